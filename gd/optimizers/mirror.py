"""Mirror descent with the p-norm potential."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gd.descent.objective import Gradient, Objective
from gd.optimizers.optimizer import Optimizer, Update
from gd.optimizers.weight_norm import EntrywiseNorm, WeightNorm


@dataclass(frozen=True)
class _MirrorUpdate(Update):
    """A step in ∇ψ(w) and not in w."""

    p: float

    def moved(self, eta: Tensor | float) -> Tensor:
        dual = self.W.sign() * self.W.abs() ** (self.p - 1.0) - self.scaled(eta) * self.direction
        return dual.sign() * dual.abs() ** (1.0 / (self.p - 1.0))


@dataclass(frozen=True)
class MirrorDescent(Optimizer):
    """∇ψ(w_{t+1}) = ∇ψ(w_t) − η_t ∇L(w_t),    ψ(w) = ‖w‖_p^p / p,  1 < p < ∞.

    A linear predictor ends at the ℓ_p max margin. Each entry is updated by itself, so it costs as much as gradient
    descent.

    Raises:
        ValueError: unless 1 < p < ∞; or a weight decay that is negative, or decoupled, which this step cannot be.

    Reference: Sun, Ahn, Thrampoulidis, Azizan (2022), *Mirror descent maximizes generalized margin and can be
    implemented efficiently*.

    >>> MirrorDescent(p=1.5).norm((3,))
    Bridge(p=1.5)
    """

    p: float = 3.0
    """The exponent of the potential."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 < self.p < math.inf:
            raise ValueError(f"MirrorDescent: p must lie strictly between 1 and infinity, got {self.p!r}")
        if self.weight_decay and self.decoupled:
            raise ValueError("MirrorDescent: weight decay can only be part of the gradient; give decoupled=False")

    @property
    def name(self) -> str:
        return f"mirror descent, potential ‖w‖^p/p with p = {self.p:g}"

    @property
    def weight_norm(self) -> WeightNorm:
        return EntrywiseNorm(self.p)

    def first_step(self, objective: Objective) -> tuple[float, float]:
        raise ValueError(
            "no step size is known for mirror descent: give a schedule, as in DecayingStep(0.1, exponent=0)"
        )

    def direction(
        self, objective: Objective, t: int, W: Tensor, gradient: Gradient, state: Any
    ) -> tuple[Tensor, Tensor | None, Any]:
        return gradient.direction, gradient.log_scale, None

    def step_from(self, update: Update, objective: Objective) -> Update:
        return _MirrorUpdate(update.W, update.gradient, update.direction, update.log_scale, self.p)
