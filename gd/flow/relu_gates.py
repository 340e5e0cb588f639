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


class _Gating(TorchFunctionMode):
    """Replaces every ReLU by its gate, in call order; with gates None it only records pre-activations."""

    def __init__(self, gates: Sequence[Tensor] | None, offsets: Sequence[Tensor] | None) -> None:
        super().__init__()
        self.gates, self.offsets = gates, offsets
        self.seen: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        if func not in _RELUS and func not in _LEAKY:
            return func(*args, **(kwargs or {}))
        z = args[0] if args else (kwargs or {})["input"]
        call = len(self.seen)
        self.seen.append(z)
        slope = 0.0
        if func in _LEAKY:
            slope = float(args[1]) if len(args) > 1 else float((kwargs or {}).get("negative_slope", 0.01))
        gate = (z > 0).to(z.dtype) if self.gates is None else self.gates[call].reshape(z.shape)
        out = z * (slope + (1.0 - slope) * gate)
        return out if self.offsets is None else out + (1.0 - slope) * self.offsets[call].reshape(z.shape)


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
