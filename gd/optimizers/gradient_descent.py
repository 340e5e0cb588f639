"""Gradient descent, plain or with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gd.descent.objective import Gradient, Objective
from gd.optimizers.moments import momentum
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.weight_norm import EntrywiseNorm, WeightNorm


def check_momentum(name: str, value: float) -> None:
    """Raise ValueError unless 0 ≤ value < 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{name}: momentum must lie in [0, 1), got {value!r}")


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """u_t = ∇L(w_t), or with momentum μ the heavy ball u_t = μ u_{t−1} + ∇L(w_t), as `torch.optim.SGD` has it.

    Raises:
        ValueError: momentum outside [0, 1), or a negative weight decay.

    Reference: Soudry et al. (2018); with momentum Wang, Meng, Zhang, Sun, Chen, Ma, Liu (2022), *Does
    momentum change the implicit regularization on separable data?*: the same limit.

    >>> GradientDescent(momentum=0.9).name, GradientDescent().norm((3,))
    ('gradient descent, momentum 0.9', L2())
    """

    momentum: float = 0.0
    """μ in [0, 1)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum("GradientDescent", self.momentum)

    @property
    def name(self) -> str:
        return "gradient descent" + (f", momentum {self.momentum:g}" if self.momentum else "")

    @property
    def weight_norm(self) -> WeightNorm:
        return EntrywiseNorm(2.0)

    @property
    def descends(self) -> bool:
        return self.momentum == 0 and self.weight_decay == 0

    @property
    def is_gradient(self) -> bool:
        return self.descends

    def first_step(self, objective: Objective) -> tuple[float, float]:
        largest = objective.log_loss(objective.start).clamp(min=0.0).exp() * objective.curvature(objective.start)
        return (1.0 - self.momentum) / float(largest.max()), 0.0

    def direction(
        self, objective: Objective, t: int, W: Tensor, gradient: Gradient, state: Any
    ) -> tuple[Tensor, Tensor | None, Any]:
        state = momentum(state, gradient.direction, gradient.log_scale, self.momentum)
        return *state, state
