"""Progressive rescaling: move the weights out to a growing sphere, where the gradient still turns them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gd.descent.objective import Gradient, Objective
from gd.descent.schedule import StepSize
from gd.optimizers.optimizer import Update, column

# Directions are exact to rounding long before ‖w‖^L = 1e30; growing further would only overflow.
LARGEST = 1e30


@dataclass(frozen=True)
class ProgressiveRescaling(StepSize):
    """Loss-normalized steps inside a ball whose radius R_k grows geometrically (PRGD):

        after `warmup` plain normalized steps, at times T_k:  w ← R_k w/‖w‖,   R_k = growth^{k/L} ‖w(warmup)‖,
        each step:  w ← Π_{‖w‖ ≤ R_k} [ w − η∇ log L(w) ].

    Without the rescaling ‖w‖ and the temperature 1/‖w‖^L improve only as 1/t; with it they improve geometrically, and
    the steps taken at each radius must turn w by as much as is still wrong. L is the degree of homogeneity, so that
    outputs grow by `growth` per stage. Without `step_size`, η is as in `LossNormalized`. A heuristic for deep networks.

    With `period` an integer, T_{k+1} − T_k = period as in the theorem, whose constants (how small `growth` must be)
    depend on the data: too large, and w is moved out before it has turned and stays where it is. By default
    (`period=None`) a run is moved out when its radius is used up:

        the part of ∇ log L across w is at most `turned` times the part along w, and
        ‖w‖·‖∇ log L‖/depth − log(1/L(w)) ≤ 1 + log N,          N the number of margins.

    For a linear predictor the left side of the second bounds R_k times the margin gap: ‖∇ log L‖ = ‖Aᵀp‖ ≥ γ* ≥
    min_n m_n/‖w‖ ≥ log(1/L)/‖w‖. At the best point of the sphere it is the entropy of p, at most log N. So each stage
    ends with margin gap ≤ (1 + log N)/R_k and the direction cannot freeze, however small a multiplier is; the first
    keeps lifts from magnifying an error that a few more steps remove: with a smaller `turned` each radius takes more
    steps, and support vectors with smaller multipliers are found early. The theorem does not cover this rule.

    Reference: Wang, Min, Wu (2024), *Achieving margin maximization exponentially fast via progressive norm rescaling*;
    their rate assumes that the support vectors span the data and that their multipliers do not vanish.

    Raises:
        ValueError: a parameter out of its range.

    >>> print(ProgressiveRescaling(period=5, growth=1.02).label(degree=1))
    progressive rescaling (proved: margin gap e^{−Ω(t)} if growth suits the data, exponential loss; Wang, ...)
    """

    warmup: int = 100
    """Plain normalized steps before the first radius."""
    period: int | None = None
    """Steps at each radius; None: until it is used up."""
    growth: float = 1.5
    """The factor by which outputs grow from one radius to the next, > 1."""
    turned: float = 0.01
    """The part of ∇ log L across w, relative to the part along w, that a used-up radius may leave."""
    name = "progressive rescaling"
    rate = "margin gap e^{−Ω(t)} if growth suits the data, exponential loss; Wang, Min, Wu 2024"
    margin_loss_only = True
    linear_theory_only = True
    rescaled = True
    gradient_only = True

    def __post_init__(self) -> None:
        super().__post_init__()
        sane = self.warmup >= 0 and (self.period is None or self.period >= 1)
        if not sane or not 1 < self.growth < float("inf") or not 0 < self.turned < 1:
            raise ValueError(
                "ProgressiveRescaling: warmup ≥ 0, period ≥ 1 or None, growth > 1 and 0 < turned < 1 are needed, got "
                f"warmup={self.warmup!r}, period={self.period!r}, growth={self.growth!r}, turned={self.turned!r}"
            )

    def heuristic(self, degree: float | None) -> bool:
        return self.period is None or super().heuristic(degree)

    def label(self, degree: float | None) -> str:
        if self.period is None and degree == 1:
            return f"{self.name} (heuristic radii; proved for fixed periods: {self.rate})"
        return super().label(degree)

    def step(self, objective: Objective, t: int, update: Update, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        W = update.W
        moved = update.moved(self.step_sizes(objective, W))
        if t < self.warmup:
            return moved, None
        norm = torch.linalg.vector_norm(moved, dim=1)
        radius, degree = (torch.linalg.vector_norm(W, dim=1) if state is None else state), objective.degree or 1
        if self.period is None:
            due = self._used_up(W, update.gradient, degree, objective.y.numel())
        else:
            due = torch.full_like(radius, (t + 1 - self.warmup) % self.period == 0, dtype=torch.bool)
        grown = (radius * self.growth ** (1 / degree)).clamp(max=LARGEST ** (1 / degree))
        new_norm = torch.where(due, grown, torch.minimum(norm, radius))
        return moved * column(new_norm / norm), torch.where(due, grown, radius)

    def _used_up(self, W: Tensor, gradient: Gradient, degree: float, margins: int) -> Tensor:
        """Whether a radius has nothing more to give, shape (B,): the two conditions above."""
        norm = torch.linalg.vector_norm(W, dim=1)
        theta = W / column(norm)
        along = -(theta * gradient.direction).sum(dim=1)
        across = torch.linalg.vector_norm(gradient.direction + column(along) * theta, dim=1)
        gap = norm * torch.hypot(along, across) / degree + gradient.log_loss
        used_up: Tensor = (across <= self.turned * along) & (gap <= 1.0 + math.log(margins))
        return used_up
