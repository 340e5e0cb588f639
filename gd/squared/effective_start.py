"""Finite steps of a two-layer diagonal network on the squared loss: the start from which the flow would end alike.

A gradient step of β = w₁⊙w₂ with step γ and g = Xᵀ(y − Xβ), on all points or on a minibatch, is

    w₁ ← w₁ + γg⊙w₂,  w₂ ← w₂ + γg⊙w₁:      (w₁ ± w₂) ← (1 ± s)(w₁ ± w₂),   s = γg.

So after K steps, with G = Σ s_k in the span of the rows of X,

    β_K = ¼[(w₁ + w₂)² e^{2ρ₊} e^{2G} − (w₁ − w₂)² e^{2ρ₋} e^{−2G}],     ρ± = Σ_k (ln|1 ± s_k| ∓ s_k) ≤ 0 for small s:

the flow's formula, from a start whose sums w₁ ± w₂ are e^{ρ±} times as large. If the run fits the data, β_K is
*exactly* the least potential of that start. It needs the run to know ρ±; the multipliers ν are then solved from
(ρ±, X, y), and G = Xᵀν is not taken from the run. Where s is small, ρ± ≈ −½Σ s²: larger steps act like a smaller start.

    Reference: Even, Pesme, Gunasekar, Flammarion (2023), "(S)GD over diagonal linear networks: implicit regularisation,
    large stepsizes and edge of stability", Theorem 1.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from solvers.arrays import Array
from solvers.regularizers.hyperbolic_entropy import HyperbolicEntropy

NO_GRADIENT = 1e-10
"""Largest part of w₁ ± w₂ by which a step may differ from (1 ± s)(w₁ ± w₂): rounding is 1e-15; momentum is not near."""


class EffectiveStart:
    """ρ± of a batch of runs, from their weights (B, 2D) at the start, and before and after each step."""

    def __init__(self, start: Tensor) -> None:
        self._start = start
        self._growth = torch.zeros_like(torch.stack(start.chunk(2, dim=1)))
        self._off = torch.zeros_like(start[:, 0])

    def add(self, before: Tensor, after: Tensor) -> None:
        """Take one step into the sums. s is the multiple that fits the change of both w₁ + w₂ and w₁ − w₂."""
        (p, m), (p1, m1) = _sums(before), _sums(after)
        square = p * p + m * m
        s = torch.where(square > 0, (p * (p1 - p) - m * (m1 - m)) / square, 0.0)
        off = (p1 - (1.0 + s) * p).abs() + (m1 - (1.0 - s) * m).abs()
        relative = off / torch.where(square > 0, square.sqrt(), 1.0)
        self._off = torch.maximum(self._off, relative.amax(dim=1))
        self._growth[0] += torch.log((1.0 + s).abs()) - s
        self._growth[1] += torch.log((1.0 - s).abs()) + s

    @property
    def growth(self) -> Array:
        """ρ±, shape (B, 2, D)."""
        return np.asarray(self._growth.movedim(1, 0).cpu().numpy(), dtype=np.float64)

    def potentials(self) -> tuple[HyperbolicEntropy | None, ...]:
        """The potential of each run's effective start; None where some step was no gradient step."""
        first, second = (w.cpu().numpy().astype(np.float64) for w in self._start.chunk(2, dim=1))
        growth = self.growth
        exact = (self._off <= NO_GRADIENT).cpu().numpy() & np.isfinite(growth).all(axis=(1, 2))
        return tuple(
            HyperbolicEntropy.of_weights(first[b], second[b], growth[b]) if exact[b] else None
            for b in range(exact.size)
        )


def _sums(W: Tensor) -> tuple[Tensor, Tensor]:
    first, second = W.chunk(2, dim=1)
    return first + second, first - second
