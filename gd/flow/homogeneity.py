"""Whether a network's outputs scale like a power of its weights: measured, not guessed from the layers.

A network f(x; θ) is homogeneous of degree L in its trainable parameters when f(x; cθ) = c^L f(x; θ) for all c > 0.
Then its margins along a direction only scale, and gradient flow has a limit direction to speak of. Biases behind the
first layer, batch normalization, smooth activations and skip connections around layers break it. (Biases of the first
layer alone do not: they are weights of a constant input.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

CANCELLED = 1e-6
"""Outputs at the parameters below this part of those near them are taken for rounding of 1e-16, at most 1e-10 here."""
SCALES = (0.5, 1.7, 3.0)
PROBES = 2  # random weights near the given ones

Outputs = Callable[[Mapping[str, Tensor]], Tensor]
"""Named parameters to all outputs on the data, (N·M,)."""


def tolerated(dtype: torch.dtype) -> float:
    """Relative deviation from c^L f(x; θ) that is rounding: 1.5e-8 in float64, where 1e-15 to 1e-12 is seen."""
    return math.sqrt(torch.finfo(dtype).eps)


class NotHomogeneousError(ValueError):
    """The module's outputs do not scale like a power of its parameters.

    Attributes:
        deviation: largest |f(x; cθ) − c^L f(x; θ)| / max|f(x; cθ)| measured, L the best integer-free fit.
        degree: that L.
        layers: the degree of the outputs in each layer's own parameters, the others held; None where there is none.
    """

    def __init__(
        self, deviation: float, degree: float, layers: Mapping[str, float | None], removable: Sequence[str]
    ) -> None:
        self.deviation, self.degree, self.layers = deviation, degree, dict(layers)
        listed = ", ".join(f"{name}: {'none' if d is None else format(d, 'g')}" for name, d in layers.items())
        named = f" Without {', '.join(removable)} it is homogeneous." if removable else ""
        super().__init__(
            f"the module is not homogeneous in its parameters: f(x; cθ) differs from c^L f(x; θ) by {deviation:.1e} "
            f"(relative; best degree L = {degree:.3f}; rounding gives at most 1e-8), so its gradient flow has "
            f"no limit direction to find. Degree in the parameters of each layer alone: {listed}.{named} Remove biases "
            "behind the first layer, normalization and smooth activations; ReLU, LeakyReLU, linear, convolution and "
            "pooling layers without bias are homogeneous"
        )


def measured_degree(outputs: Outputs, start: Mapping[str, Tensor], seed: int) -> float:
    """L, at the given parameters and at random ones near them, for several c.

    Raises NotHomogeneousError where there is none, ValueError where the outputs are not finite or vanish.
    """
    probes = _probes(start, seed)
    degree, deviation = _fit(outputs, probes, list(start))
    if not np.isfinite(deviation):
        raise ValueError("the module's outputs on X are identically zero near its parameters: no margin to follow")
    if deviation > tolerated(next(iter(start.values())).dtype) or degree <= 0:
        raise NotHomogeneousError(deviation, degree, _layers(outputs, probes), _removable(outputs, probes))
    return degree


def _probes(start: Mapping[str, Tensor], seed: int) -> list[dict[str, Tensor]]:
    """Random parameters, then the given ones and their negatives: a ReLU unit dead at θ for all points lives at −θ."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(p.numel() for p in start.values())
    spread = float(sum(p.abs().sum() for p in start.values()) / total) or 1.0
    found = []
    for noise in torch.randn(PROBES, total, generator=generator, dtype=torch.float64):
        parts = torch.split(noise, [p.numel() for p in start.values()])
        pairs = zip(start.items(), parts, strict=True)
        found.append({n: p + spread * part.to(p).reshape(p.shape) for (n, p), part in pairs})
    return [*found, dict(start), {n: -p for n, p in start.items()}]


def _fit(outputs: Outputs, probes: Sequence[Mapping[str, Tensor]], names: Sequence[str]) -> tuple[float, float]:
    """The degree in the parameters of these names alone, and the largest deviation from it; inf where f vanishes."""
    ratios, pairs = [], []
    for number, probe in enumerate(probes):
        f = outputs(probe)
        if number < PROBES and not torch.isfinite(f).all():
            raise ValueError("the module's outputs on X are not finite at (and near) its parameters")
        for c in SCALES:
            scaled = outputs({n: c * p if n in names else p for n, p in probe.items()})
            pairs.append((c, f, scaled))
            if number < PROBES and bool(f.any()) and bool(scaled.any()):
                unit = f.abs().max()  # squares of small outputs are 0
                ratios.append(float(torch.log((scaled / unit).norm() / (f / unit).norm())) / math.log(c))
    if not ratios:
        return 0.0, np.inf
    degree = float(np.median(ratios))
    degree = float(round(degree)) if abs(degree - round(degree)) < 0.05 else degree
    # where outputs cancel, as in pairs of units of opposite signs, only rounding is left of them
    typical = CANCELLED * max(float(f.abs().max()) for _, f, _ in pairs)
    deviations = [
        float((scaled - c**degree * f).abs().max())
        / max(float(scaled.abs().max()), c**degree * float(f.abs().max()), typical, 1e-300)
        for c, f, scaled in pairs
    ]
    return degree, max(deviations)


def _layers(outputs: Outputs, probes: Sequence[Mapping[str, Tensor]]) -> dict[str, float | None]:
    """The degree in each layer's parameters alone, with their names; None where there is none."""
    groups: dict[str, list[str]] = {}
    for name in probes[0]:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    found: dict[str, float | None] = {}
    for names in groups.values():
        degree, deviation = _fit(outputs, probes, names)
        found[", ".join(names)] = degree if deviation <= tolerated(probes[0][names[0]].dtype) else None
    return found


def _removable(outputs: Outputs, probes: Sequence[Mapping[str, Tensor]]) -> list[str]:
    """The last biases of the network without which it is homogeneous, as few as will do; none where none will."""
    biases = [name for name in probes[0] if "bias" in name.rpartition(".")[2]]
    for count in range(1, len(biases) + 1):
        removed = biases[-count:]
        without = [{n: torch.zeros_like(p) if n in removed else p for n, p in probe.items()} for probe in probes]
        degree, deviation = _fit(outputs, without, list(probes[0]))
        if degree > 0 and deviation <= tolerated(probes[0][biases[0]].dtype):
            return removed
    return []
