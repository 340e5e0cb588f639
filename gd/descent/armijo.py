"""Armijo line search on the log-loss: the longest steps that a descent condition allows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gd.descent.objective import Objective
from gd.descent.schedule import Schedule, check_step
from gd.optimizers.optimizer import Update, column


@dataclass(frozen=True)
class ArmijoLineSearch(Schedule):
    """Descent on φ = log L (φ = L for the squared loss) along u, which is ∇φ for gradient descent, by backtracking,

        w ← w − su,    s the first of s₀, s₀/2, s₀/4, … with φ(w − su) ≤ φ(w) − c·s·⟨∇φ(w), u⟩,
        s₀ = 2 × the step taken before, but s₀⟨∇φ, u⟩ ≤ `longest` (margin losses).

    On log L, because a condition on L itself stops meaning anything at L = e^{−800}. The bound on s₀ is needed for the
    same reason: far out, log L is linear wherever one point dominates it, a descent condition alone then accepts ever
    longer steps, the weights run off geometrically and their direction stays where it was. With it log L falls by at
    most about `longest` per step.

    Needs no step size and no curvature bound, so it suits any module. Each run of a batch has its own s; the batch
    backtracks until all have one. A run for which no s ≥ 2^{−60}·s₀ will do stays where it is for good.

    Args:
        decrease: c in (0, 1). At 1/2 a step is at most about 1/curvature, as with exact knowledge of it.
        longest: largest predicted decrease s⟨∇φ, u⟩ of log L in one step, in nats.
        first_step: s before the first step.
        halvings: how often a step is halved before the run is left where it is.

    Raises:
        ValueError: a first step that is not positive, a decrease outside (0, 1), or `longest` not positive.

    Reference: Armijo (1966); Nocedal, Wright (2006), algorithm 3.1.

    >>> ArmijoLineSearch().heuristic(degree=3)
    False
    """

    decrease: float = 0.5
    longest: float = 10.0
    first_step: float = 1.0
    halvings: int = 60
    name = "line search"
    rescaled = True
    line_search = True
    rate = "no rate proved for the line search; direction by Gunasekar et al. 2018"

    def __post_init__(self) -> None:
        check_step("ArmijoLineSearch", self.first_step)
        if not 0 < self.decrease < 1 or not self.longest > 0:
            raise ValueError(
                "ArmijoLineSearch: decrease must lie in (0, 1) and longest be positive, got "
                f"decrease={self.decrease!r}, longest={self.longest!r}"
            )

    def label(self, degree: float | None) -> str:
        return f"{self.name} (no rate proved)"

    def start(self, objective: Objective, W: Tensor) -> Tensor:
        return torch.full((W.shape[0],), self.first_step / 2, dtype=W.dtype, device=W.device)

    def step(self, objective: Objective, t: int, update: Update, state: Tensor) -> tuple[Tensor, Tensor]:
        def phi(log_loss: Tensor) -> Tensor:
            return log_loss if objective.loss.margin else torch.exp(log_loss)

        gradient, W = update.gradient, update.W
        here, slope = phi(gradient.log_loss), (gradient.direction * update.direction).sum(dim=1)
        s = 2.0 * state
        if objective.loss.margin:
            s = torch.minimum(s, self.longest / slope.clamp(min=torch.finfo(s.dtype).tiny))
        for _ in range(self.halvings):
            trial = update.moved(s)
            accepted = phi(objective.log_loss(trial)) <= here - self.decrease * s * slope
            if bool(accepted.all()):
                break
            s = torch.where(accepted, s, s / 2)
        # the next step would repeat a failed search exactly; s = 0 is accepted at once and says the same
        return torch.where(column(accepted), trial, W), torch.where(accepted, s, 0.0)
