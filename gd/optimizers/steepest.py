"""Steepest descent in a norm of the weights, normalized: sign, coordinate and spectral descent, with momentum Signum.

u_t = argmax { ⟨m_t, u⟩ : ‖u‖ ≤ 1 },    m_t = μ m_{t−1} + ∇L(w_t).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gd.descent.objective import Gradient, Objective
from gd.optimizers.gradient_descent import check_momentum
from gd.optimizers.moments import momentum
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.weight_norm import EntrywiseNorm, WeightNorm


@dataclass(frozen=True)
class SteepestDescent(Optimizer):
    """Normalized steps in the norm `in_norm`: the length of a step is the schedule's, whatever the gradient's.

    Sign descent is `EntrywiseNorm(inf)`, Signum the same with momentum, coordinate descent `EntrywiseNorm(1)`, spectral
    descent (Muon) `SpectralNorm()`. On linear predictors the margin in this norm is maximized.

    Raises:
        ValueError: momentum outside [0, 1), or a negative weight decay.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), *Characterizing implicit bias in terms of optimization geometry*,
    Theorem 5; Fan, Schmidt, Thrampoulidis (2025) for the spectral norm and several classes; Tsilivis, Gronich, Vardi,
    Kempe (2024) for homogeneous networks.

    >>> SteepestDescent(EntrywiseNorm(float("inf")), momentum=0.9).name
    'sign descent, momentum 0.9'
    """

    in_norm: WeightNorm = field(default_factory=lambda: EntrywiseNorm(float("inf")))
    """The norm of the weights."""
    momentum: float = 0.0
    """μ in [0, 1)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum("SteepestDescent", self.momentum)

    @property
    def name(self) -> str:
        return self.in_norm.descent + (f", momentum {self.momentum:g}" if self.momentum else "")

    @property
    def weight_norm(self) -> WeightNorm:
        return self.in_norm

    @property
    def bounded(self) -> bool:
        return self.in_norm.exact

    @property
    def descends(self) -> bool:
        return self.momentum == 0 and self.weight_decay == 0 and self.in_norm.exact

    def start(self, objective: Objective, W: Tensor) -> None:
        self.in_norm.check_layers(objective.shapes)

    def direction(
        self, objective: Objective, t: int, W: Tensor, gradient: Gradient, state: Any
    ) -> tuple[Tensor, Tensor | None, Any]:
        state = momentum(state, gradient.direction, gradient.log_scale, self.momentum)
        return self.in_norm.steepest(state[0], objective.layers), None, state if self.momentum else None
