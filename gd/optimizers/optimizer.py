"""What an optimizer is: it makes a direction of the gradients so far; a schedule says how far to go along it.

    w_{t+1} = w_t − η_t u_t,    u_t = e^{log_scale} · direction,

with u_t from the optimizer and η_t from the schedule. Directions carry their scale apart, because a gradient is
e^{log L} times a moderate vector and log L may be −10⁶. An optimizer is a value; what it remembers between steps is a
state it makes in `start` and is handed back in `direction`. All tensors have the run axis first.

Weight decay with factor λ (`weight_decay`) is decoupled, w_{t+1} = w_t − η_t (u_t + λ w_t), or with `decoupled=False`
added to the gradient, ∇L + λ w_t. Where ‖u_t‖ ≤ 1 in the optimizer's norm, decoupled decay ends inside ‖w‖ ≤ 1/λ.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gd.descent.objective import Gradient, Objective
from gd.optimizers.weight_norm import EntrywiseNorm, WeightNorm
from solvers.regularizers import Regularizer


def column(value: Tensor) -> Tensor:
    """(B,) → (B, 1), to multiply the rows of W."""
    return value.unsqueeze(1)


@dataclass(frozen=True)
class Update:
    """The direction of one step from W, for a schedule to choose its length."""

    W: Tensor
    """(B, P)."""
    gradient: Gradient
    """∇L at W that the direction was made of."""
    direction: Tensor
    """(B, P)."""
    log_scale: Tensor | None
    """(B,); None for zero."""

    def moved(self, eta: Tensor | float) -> Tensor:
        """The weights after a step of η, (B,) or one number for all runs."""
        return self.W - self.scaled(eta) * self.direction

    def scaled(self, eta: Tensor | float) -> Tensor | float:
        """η e^{log_scale}, to multiply the rows of W."""
        full = eta if self.log_scale is None else eta * torch.exp(self.log_scale)
        return full.unsqueeze(1) if torch.is_tensor(full) else full


@dataclass(frozen=True, kw_only=True)
class Optimizer(ABC):
    """One way to turn gradients into directions.

    Raises:
        ValueError: a negative weight decay.
    """

    weight_decay: float = 0.0
    """λ ≥ 0."""
    decoupled: bool = True
    """Whether the decay acts on the weights, and not through the gradient."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"{type(self).__name__}: weight_decay must be 0 or positive, got {self.weight_decay!r}")

    @property
    @abstractmethod
    def name(self) -> str:
        """What a report prints."""

    @property
    def weight_norm(self) -> WeightNorm | None:
        """The norm that its limit is measured in; None where no norm is known beforehand."""
        return None

    def norm(self, shape: tuple[int, ...]) -> Regularizer | None:
        """The norm of linear predictors β of this shape whose margin the optimizer maximizes; None where none is known.

        This is for the linear predictor itself, f(x) = ⟨x, β⟩ with β the parameters, and full batches.
        """
        return None if self.weight_norm is None else self.weight_norm.regularizer(shape)

    @property
    def bounded(self) -> bool:
        """Whether ‖u_t‖ ≤ 1 in `weight_norm` for every t, up to a transient."""
        return False

    @property
    def boundary(self) -> float | None:
        """1/λ, the radius in `weight_norm` that decoupled weight decay ends inside; None where there is none."""
        return 1.0 / self.weight_decay if self.weight_decay and self.decoupled and self.bounded else None

    @property
    def descends(self) -> bool:
        """Whether −u_t is a descent direction of the loss for every t, so that a line search makes sense."""
        return False

    @property
    def is_gradient(self) -> bool:
        """Whether u_t is the gradient itself, as schedules with a theory of gradient descent have it."""
        return False

    @property
    def decay(self) -> float:
        """The weight decay, whatever it acts on."""
        return self.weight_decay

    def first_step(self, objective: Objective) -> tuple[float, float]:
        """The first step and the exponent of its decay, where the schedule is left to us.

        Raises ValueError where no step is known to be safe, as on networks that are no linear predictor.
        """
        return objective.unit_step(self.weight_norm or EntrywiseNorm(float("inf"))), 0.5

    def start(self, objective: Objective, W: Tensor) -> Any:
        """The state before the first step; None for an optimizer that remembers nothing.

        Raises ValueError where the optimizer is not defined for the network's parameters.
        """
        return None

    @abstractmethod
    def direction(
        self, objective: Objective, t: int, W: Tensor, gradient: Gradient, state: Any
    ) -> tuple[Tensor, Tensor | None, Any]:
        """u_t as direction (B, P) and log_scale (B,) (None for zero), and the new state; t = 0, 1, …"""

    def update(self, objective: Objective, t: int, W: Tensor, gradient: Gradient, state: Any) -> tuple[Update, Any]:
        """The update at W, weight decay included, and the new state."""
        given = gradient
        if self.weight_decay and not self.decoupled:
            decayed = _added(gradient.direction, gradient.log_scale, self.weight_decay * W)
            gradient = replace(gradient, direction=decayed, log_scale=torch.zeros_like(gradient.log_scale))
        direction, log_scale, state = self.direction(objective, t, W, gradient, state)
        if self.weight_decay and self.decoupled:
            direction, log_scale = _added(direction, log_scale, self.weight_decay * W), None
        return self.step_from(Update(W, given, direction, log_scale), objective), state

    def step_from(self, update: Update, objective: Objective) -> Update:
        """The update itself, or one that moves the weights in another way than along a straight line."""
        del objective
        return update

    def preconditioner(self, state: Any) -> Tensor | None:
        """Q (B, P) of the diagonal preconditioner Q⁻¹ that the state holds; None where it holds none."""
        del state
        return None


def _added(direction: Tensor, log_scale: Tensor | None, more: Tensor) -> Tensor:
    return more + (direction if log_scale is None else column(torch.exp(log_scale)) * direction)
