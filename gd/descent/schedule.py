"""Schedules: how far to go along the optimizer's direction. Here the plain ones: constant, decaying, loss-normalized.

A schedule is a value; what it remembers between steps is a state it makes in `start` and is handed back in `step`.
Every tensor has the run axis first, so each run of a batch has its own step size. A schedule also says what is proved
about it, because the methods differ in little else: `rate` for linear predictors (degree 1), and `heuristic` when it
is used where its theory does not apply.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.descent.objective import Objective
from gd.optimizers.optimizer import Update, column
from solvers.arrays import Array

# A computed log-loss is uncertain by this much, relative to 1 + |log L|: a smaller increase is not an increase.
ROUNDING = 1e-13


class Schedule(ABC):
    """One way to turn gradients into steps."""

    name: str
    rate: str
    """The rate proved for linear predictors on separable data, for which loss, with its source."""
    margin_loss_only = False
    """Whether the method is defined through ∇ log L, so that the squared loss is refused."""
    linear_theory_only = False
    """Whether nothing is proved beyond linear predictors."""
    rescaled = False
    """Whether the gradients that the optimizer sees are divided by the loss, ∇ log L for ∇L."""
    gradient_only = False
    """Whether the method is gradient descent with a rule of its own, so that other optimizers are refused."""
    line_search = False
    """Whether steps are searched for along the direction, which must then be one of descent."""
    needs_step = False
    """Whether it falls back on the curvature along gradients, so that another optimizer must be given a step."""

    def heuristic(self, degree: float | None) -> bool:
        """Whether no theorem covers this method on networks of this degree of homogeneity (None: not homogeneous)."""
        return self.linear_theory_only and degree != 1

    def label(self, degree: float | None) -> str:
        """What a report prints: the name, and the proved rate or the word heuristic."""
        if self.heuristic(degree):
            return f"{self.name} (heuristic here: proved for linear predictors only, {self.rate})"
        if degree == 1:
            return f"{self.name} (proved: {self.rate})"
        return f"{self.name} (no rate proved for networks of this kind)"

    def start(self, objective: Objective, W: Tensor) -> Any:
        """The state before the first step; None for a schedule that remembers nothing."""
        return None

    @abstractmethod
    def step(self, objective: Objective, t: int, update: Update, state: Any) -> tuple[Tensor, Any]:
        """Weights after step t = 0, 1, … from `update.W` along the update, and the new state."""


def check_step(name: str, step: float | None) -> None:
    """Raise ValueError unless step is None or a positive finite number."""
    if step is not None and not 0 < step < float("inf"):
        raise ValueError(f"{name}: step must be a positive number, or None for the documented default; got {step!r}")


@dataclass(frozen=True)
class StepSize(Schedule):
    """A schedule with a step size η, or the inverse of a curvature bound where none is given."""

    step_size: float | None = None
    """η; None for the default that the schedule documents."""

    def __post_init__(self) -> None:
        check_step(type(self).__name__, self.step_size)

    @property
    def needs_step(self) -> bool:  # type: ignore[override]
        return self.step_size is None

    def step_sizes(self, objective: Objective, W: Tensor) -> Tensor:
        """η for every run, shape (B,): the step asked for, or 1 over the curvature bound at the current norm of w."""
        return 1.0 / objective.curvature(W) if self.step_size is None else torch.full_like(W[:, 0], self.step_size)


@dataclass(frozen=True)
class ConstantStep(StepSize):
    """Steps of constant size, w ← w − ηu; with the gradient u = ∇L(w), gradient descent as the theorems have it.

    With `step_size` given, η is that throughout, whatever happens. Without it η starts at the inverse of a bound on the
    curvature of L at the start, and is halved for good whenever a step would raise the loss, so it is constant after
    finitely many halvings. Only a linear network has such a bound, and only gradient descent is tied to it.

    Reference: Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018): direction and margin at rate 1/log t.
    Gunasekar et al. (2018), Theorems 1 and 2: the limit on linear networks, at no stated rate.

    Raises:
        ValueError: a step size that is not a positive number.

    >>> ConstantStep(1e-2).heuristic(degree=3)
    False
    """

    name = "constant step"
    rate = "margin gap O(1/log t) and loss O(1/t), exponential and logistic loss; Soudry et al. 2018"

    def start(self, objective: Objective, W: Tensor) -> Tensor:
        eta = self.step_sizes(objective, W)
        if self.step_size is None and objective.loss.margin:
            eta = eta * torch.exp(-objective.log_loss(W).clamp(min=0.0))  # ∇²L ⪯ L·(∇² log L + ∇ log L ∇ log Lᵀ)
        return eta

    def step(self, objective: Objective, t: int, update: Update, state: Tensor) -> tuple[Tensor, Tensor]:
        trial = update.moved(state)
        if self.step_size is not None:
            return trial, state
        log_loss = update.gradient.log_loss
        accepted = objective.log_loss(trial) <= log_loss + ROUNDING * (1.0 + log_loss.abs())
        return torch.where(column(accepted), trial, update.W), torch.where(accepted, state, state / 2)


@dataclass(frozen=True)
class DecayingStep(Schedule):
    """Steps that fall like a power of t, with any optimizer,

        w ← w − η_t u,    η_t = step_size/(t + 1)^exponent.

    With exponent 1/2 it is the schedule of normalized steepest descent (sign, coordinate, spectral): the margin gap is
    of the order (log N/step_size + step_size·R² log t)/√t, R the largest dual norm of a point.

    Raises:
        ValueError: a step size that is not a positive number, or an exponent outside [0, 1].

    Reference: Nacson, Lee, Gunasekar, Savarese, Srebro, Soudry (2019), for steepest descent of any norm with
    steps c/√t.

    >>> DecayingStep(0.3).sizes(np.array([0, 3, 8])).tolist()
    [0.3, 0.15, 0.09999999999999999]
    """

    step_size: float
    """The first step."""
    exponent: float = 0.5
    """How fast steps fall, in [0, 1]."""
    name = "decaying step"
    rate = "margin gap O(log t/√t) at exponent 1/2 with normalized directions, exponential loss; Nacson et al. 2019"

    def __post_init__(self) -> None:
        check_step("DecayingStep", self.step_size)
        if not 0 <= self.exponent <= 1:
            raise ValueError(f"DecayingStep: exponent must lie in [0, 1] so that Σ η_t diverges, got {self.exponent!r}")

    def sizes(self, t: NDArray[np.int64]) -> Array:
        """η_t of the steps t (any shape)."""
        return np.asarray(self.step_size / (t + 1.0) ** self.exponent)

    def step(self, objective: Objective, t: int, update: Update, state: None) -> tuple[Tensor, None]:
        return update.moved(self.step_size / (t + 1) ** self.exponent), None


@dataclass(frozen=True)
class NormScaledStep(Schedule):
    """Steps for deep homogeneous networks, of any optimizer whose directions grow with the gradient,

        w ← w − η_t u,    η_t = step_size · min(1, ‖w_0‖/‖w_t‖)^{2L−2}.

    The curvature of log L grows like ‖w‖^{2L−2}, so a step that suits the start suits later weights too. Meant for
    gradients divided by the loss (`rescaled`), whose steps would otherwise blow up in finite time for L ≥ 2.

    Raises:
        ValueError: a step size that is not a positive number; in `descend`, a network without a degree L.

    Reference: Lyu, Li (2020), section 3: margins of degree L with step sizes that depend on the loss and the norm.

    >>> NormScaledStep(1e-3).name
    'norm-scaled step'
    """

    step_size: float
    """The first step."""
    name = "norm-scaled step"
    rate = "none proved"

    def __post_init__(self) -> None:
        check_step("NormScaledStep", self.step_size)

    def start(self, objective: Objective, W: Tensor) -> Tensor:
        if objective.degree is None:
            raise ValueError("the norm-scaled step needs a homogeneous network, f(x; cw) = c^L f(x; w)")
        norm: Tensor = torch.linalg.vector_norm(W, dim=1)
        return norm

    def step(self, objective: Objective, t: int, update: Update, state: Tensor) -> tuple[Tensor, Tensor]:
        ratio = (state / torch.linalg.vector_norm(update.W, dim=1)).nan_to_num(nan=1.0).clamp(max=1.0)
        eta: Tensor = self.step_size * ratio ** (2 * (objective.degree or 1) - 2)
        return update.moved(eta), state


@dataclass(frozen=True)
class LossNormalized(StepSize):
    """Gradient descent with steps inversely proportional to the loss,

        w ← w − η_t ∇L(w)/L(w) = w − η_t ∇ log L(w),    η_t = η/(t + 1)^decay.

    Without `step_size`, η is 1 over a bound on the curvature of log L at the current w: at degree 1 the constant
    1/max‖x_n‖₂² of the linear theory; at degree L it falls like ‖w‖^{−(2L−2)} as the weights grow, without which the
    iteration would end in oscillation.

    Reference: Nacson, Lee, Gunasekar, Savarese, Srebro, Soudry (2019), decay = 1/2, margin gap O(log t/√t);
    Ji and Telgarsky (2021), *Characterizing the implicit bias via a primal-dual analysis*, decay = 0, O(1/t).

    Raises:
        ValueError: a step size that is not a positive number, or a decay outside [0, 1).

    >>> LossNormalized(decay=0.5).rate
    'margin gap O(log t/√t) at decay 1/2, exponential loss; Nacson et al. 2019'
    """

    decay: float = 0.0
    """The exponent of 1/(t + 1), in [0, 1)."""
    name = "loss-normalized"
    margin_loss_only = True
    rescaled = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.decay < 1:
            raise ValueError(f"LossNormalized: decay must lie in [0, 1) so that Σ η_t diverges, got {self.decay!r}")

    @property
    def rate(self) -> str:  # type: ignore[override]
        if self.decay == 0:
            return "margin gap O(1/t), exponential loss; Ji and Telgarsky 2021"
        return "margin gap O(log t/√t) at decay 1/2, exponential loss; Nacson et al. 2019"

    def step(self, objective: Objective, t: int, update: Update, state: None) -> tuple[Tensor, None]:
        return update.moved(self.step_sizes(objective, update.W) / (t + 1) ** self.decay), None
