"""A torch module with its ReLUs' on/off states held, as a smooth function of its weights.

Along gradient flow ReLU networks run into kinks and stay: where a unit's pre-activation z is zero on a sample and each
side pushes towards the other, the flow slides along z = 0 (Filippov), and its limits satisfy the KKT conditions with
the Clarke subdifferential, one multiplier in [0, 1] for each such (unit, sample). A single subgradient from autograd
sees one side only. So the module is evaluated with gates in place of its ReLUs,

    relu(z) → γ z + e,    γ ∈ {0, 1} given, e = 0,

which is smooth in the weights: m(θ; γ), every z_k(θ; γ), and through e the sensitivities δ_k = ∂m/∂(output of k).
Calls of relu and leaky_relu are caught wherever the module makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_RELUS = {functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_LEAKY = {functional.leaky_relu, functional.leaky_relu_}
_CLAMPS = {torch.clamp, torch.clamp_, Tensor.clamp, Tensor.clamp_, torch.clamp_min, Tensor.clamp_min, Tensor.clamp_min_}
_MAXIMA = {torch.maximum, Tensor.maximum, torch.max, Tensor.max}
_MODULI = {torch.abs, torch.abs_, Tensor.abs, Tensor.abs_, Tensor.__abs__, torch.absolute, Tensor.absolute}
_THRESHOLDS = {functional.threshold, torch.threshold_}
_IN_PLACE = {
    functional.relu_, torch.relu_, Tensor.relu_, functional.leaky_relu_, torch.clamp_, Tensor.clamp_, Tensor.clamp_min_,
    torch.abs_, Tensor.abs_, torch.threshold_,
}  # fmt: skip


def _is_zero(value: Any) -> bool:
    return not value.any() if isinstance(value, Tensor) else value is not None and float(value) == 0.0


def _rectified(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Tensor, float] | None:
    """(z, a) where the call computes max(z, 0) + a·min(z, 0); None for any other."""
    z: Any = args[0] if args else kwargs.get("input")
    rest = args[1:]
    if func in _RELUS:
        return z, 0.0
    if func in _LEAKY:
        return z, float(rest[0] if rest else kwargs.get("negative_slope", 0.01))
    if func in _MODULI:
        return z, -1.0
    if func in _CLAMPS:
        least, most = (*rest, None, None)[:2]
        least, most = kwargs.get("min", least), kwargs.get("max", most)
        return (z, 0.0) if most is None and _is_zero(least) else None
    if func in _THRESHOLDS:
        limits = (*rest[:2], *(kwargs[name] for name in ("threshold", "value") if name in kwargs))
        return (z, 0.0) if all(map(_is_zero, limits)) else None
    if func in _MAXIMA:
        other = rest[0] if rest else kwargs.get("other")
        return (z, 0.0) if isinstance(other, Tensor) and _is_zero(other) else None
    return None


class _Gating(TorchFunctionMode):
    """Replaces every rectifier by its gate, in call order; with gates None it only records pre-activations.

    Rectifiers are ReLU and leaky ReLU by whatever call, `abs`, and clamping from below at zero; in place too.
    """

    def __init__(self, gates: Sequence[Tensor] | None, offsets: Sequence[Tensor] | None) -> None:
        super().__init__()
        self.gates, self.offsets = gates, offsets
        self.seen: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        found = _rectified(func, args, kwargs)
        if found is None:
            return func(*args, **kwargs)
        target, slope = found
        in_place = func in _IN_PLACE or bool(kwargs.get("inplace", False))
        z = target.clone() if in_place else target
        call = len(self.seen)
        self.seen.append(z)
        gate = (z > 0).to(z.dtype) if self.gates is None else self.gates[call].reshape(z.shape)
        out = z * (slope + (1.0 - slope) * gate)
        out = out if self.offsets is None else out + (1.0 - slope) * self.offsets[call].reshape(z.shape)
        return target.copy_(out) if in_place else out


class GatedModule:
    """(m, z) as smooth functions of θ for held gates; z has one row per sample and one column per ReLU unit."""

    def __init__(self, call: Callable[[Tensor], Tensor], n_samples: int) -> None:
        self._call = call
        self._n = n_samples
        self._widths: list[int] = []

    def units(self, theta: Tensor) -> int:
        """How many ReLU units one sample passes through; 0 when there are none (or not one row per sample)."""
        with torch.no_grad(), _Gating(None, None) as gating:
            self._call(theta)
        if any(z.ndim < 2 or z.shape[0] != self._n for z in gating.seen):
            return 0
        self._widths = [z[0].numel() for z in gating.seen]
        return sum(self._widths)

    def plain(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """m (N,) and z (N, units) at θ with the ReLUs as they are."""
        with torch.no_grad(), _Gating(None, None) as gating:
            m = self._call(theta)
        return m, torch.cat([z.reshape(self._n, -1) for z in gating.seen], 1)

    def gated(self, theta: Tensor, gates: Tensor, offsets: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """m and z with gates (N, units) in {0, 1}; differentiable in θ and the offsets."""
        split = torch.split(gates, self._widths, 1)
        with _Gating(split, None if offsets is None else torch.split(offsets, self._widths, 1)) as gating:
            m = self._call(theta)
        return m, torch.cat([z.reshape(self._n, -1) for z in gating.seen], 1)

    def sensitivity(self, theta: Tensor, gates: Tensor) -> Tensor:
        """δ (N, units): the derivative of sample n's margin(s) by the output of each of its units."""
        delta: Tensor = torch.func.grad(lambda e: self.gated(theta, gates, e)[0].sum())(torch.zeros_like(gates))
        return delta

    def rows(self, theta: Tensor, gates: Tensor, kinks: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """J (N, P) of m, and Z (K, P), the gradients of z at the K kinks (sample indices, unit indices)."""

        def both(t: Tensor) -> Tensor:
            m, z = self.gated(t, gates)
            return torch.cat([m, z[kinks]])

        values, back = torch.func.vjp(both, theta)[:2]
        basis = torch.eye(values.shape[0], dtype=theta.dtype, device=theta.device)
        rows = torch.func.vmap(lambda v: back(v)[0])(basis)
        n = values.shape[0] - kinks[0].shape[0]
        return rows[:n], rows[n:]

    def push_z(self, theta: Tensor, gates: Tensor, v: Tensor) -> Tensor:
        """dz (N, units) along v."""
        z, back = torch.func.vjp(lambda t: self.gated(t, gates)[1], theta)[:2]
        # forward mode as the reverse of the reverse: torch's own forward mode warns that torch.jit is deprecated
        forward = torch.func.vjp(lambda u: back(u)[0], torch.zeros_like(z))[1]
        pushed: Tensor = forward(v)[0]
        return pushed.detach()
