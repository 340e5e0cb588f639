"""Progressive rescaling: lift the weights to a growing sphere, where the gradient still turns them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gd.objective import Gradient, Objective
from gd.schedule import Schedule, check_step, column, step_sizes

# Directions are exact to rounding long before ‖w‖^L = 1e30; growing further would only overflow.
LARGEST = 1e30


@dataclass(frozen=True)
class ProgressiveRescaling(Schedule):
    """Loss-normalized steps inside a ball whose radius R_k grows geometrically (PRGD):

        after `warmup` plain normalized steps, at times T_k:  w ← R_k w/‖w‖,   R_k = growth^{k/L} ‖w(warmup)‖,
        each step:  w ← Π_{‖w‖ ≤ R_k} [ w − η∇ log L(w) ].

    Without the rescaling ‖w‖ and the temperature 1/‖w‖^L improve only as 1/t; with it they improve geometrically, and
    the steps taken at each radius must turn w by as much as is still wrong. L is the degree of homogeneity, so that
    outputs grow by `growth` per stage. Without `step_size`, η is as in `LossNormalized`. A heuristic for deep networks.

    With `period` an integer, T_{k+1} − T_k = period as in the theorem, whose constants (how small `growth` must be)
    depend on the data: too large, and w is lifted before it has turned and stays where it is. By default
    (`period=None`) a run is lifted for the k-th time once the gradient's component across w is at most turned/k times
    the one along w. The test tightens with k because a support vector with a small multiplier moves that component
    little; a fixed test would leave it out for ever. The theorem is about fixed periods and does not cover this rule.

    Reference: Wang, Min, Wu (2024), *Achieving margin maximization exponentially fast via progressive norm rescaling*;
    their rate assumes that the support vectors span the data and that their multipliers do not vanish.

    >>> print(ProgressiveRescaling(period=5, growth=1.02).label(degree=1))
    progressive rescaling (proved: margin gap e^{−Ω(t)} if growth suits the data, exponential loss; Wang, ...)
    """

    step_size: float | None = None
    warmup: int = 100
    period: int | None = None
    growth: float = 1.5
    turned: float = 0.3
    name = "progressive rescaling"
    rate = "margin gap e^{−Ω(t)} if growth suits the data, exponential loss; Wang, Min, Wu 2024"
    margin_loss_only = True
    linear_theory_only = True

    def __post_init__(self) -> None:
        check_step("ProgressiveRescaling", self.step_size)
        sane = self.warmup >= 0 and (self.period is None or self.period >= 1)
        if not sane or not 1 < self.growth < float("inf") or not 0 < self.turned <= 1:
            raise ValueError(
                "ProgressiveRescaling: warmup ≥ 0, period ≥ 1 or None, growth > 1 and 0 < turned ≤ 1 are needed, got "
                f"warmup={self.warmup!r}, period={self.period!r}, growth={self.growth!r}, turned={self.turned!r}"
            )

    def label(self, degree: int | None) -> str:
        adaptive = ", radius raised when the gradient has turned: fixed periods are what is proved"
        return super().label(degree) + (adaptive if self.period is None else "")

    def start(self, objective: Objective, W: Tensor) -> tuple[Tensor, Tensor] | None:
        return None

    def step(
        self, objective: Objective, t: int, W: Tensor, gradient: Gradient, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        moved = W - column(step_sizes(self.step_size, objective, W)) * gradient.direction
        if t < self.warmup:
            return moved, None
        norm = torch.linalg.vector_norm(moved, dim=1)
        radius, lifts = state or (torch.linalg.vector_norm(W, dim=1), torch.ones_like(norm))
        degree = objective.degree or 1
        due = self._due(t, W, gradient, lifts)
        grown = (radius * self.growth ** (1 / degree)).clamp(max=LARGEST ** (1 / degree))
        new_norm = torch.where(due, grown, torch.minimum(norm, radius))
        return moved * column(new_norm / norm), (torch.where(due, grown, radius), lifts + due)

    def _due(self, t: int, W: Tensor, gradient: Gradient, lifts: Tensor) -> Tensor:
        """Which runs are lifted after this step, shape (B,)."""
        if self.period is not None:
            return torch.full((W.shape[0],), (t + 1 - self.warmup) % self.period == 0, device=W.device)
        theta = W / torch.linalg.vector_norm(W, dim=1, keepdim=True)
        along = -(theta * gradient.direction).sum(dim=1)
        across = torch.linalg.vector_norm(gradient.direction + column(along) * theta, dim=1)
        due: Tensor = across <= self.turned / lifts * along
        return due
