"""Dual acceleration: Nesterov's method on the dual of the margin problem, which in the weights is a momentum method."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gd.descent.objective import Objective
from gd.descent.schedule import StepSize
from gd.optimizers.optimizer import Update, column


@dataclass(frozen=True)
class DualAcceleration(StepSize):
    """Momentum on the loss-normalized gradient d_t = ∇ log L(w_t), with factors that grow to one:

        g_t = t/(t + 1) · (g_{t−1} + d_t),    w_{t+1} = w_t − η(g_t + d_t),    g_{−1} = 0.

    For the exponential loss d_t = −Σ p_n y_n x_n with p the softmax of −m, and p runs Nesterov's method on
    min ‖Σ p_n y_n x_n‖² over the simplex, the dual of the ℓ2 margin problem. Without `step_size`, η = 1/max‖x_n‖₂² for
    linear predictors (the η = 1 of the theory, where ‖x_n‖ ≤ 1); for deep networks 1 over the curvature bound at the
    current ‖w‖, where the method is a heuristic: d_t is then not an average of fixed vectors.

    Reference: Ji, Srebro, Telgarsky (2021), *Fast margin maximization via dual acceleration*.

    >>> DualAcceleration().heuristic(degree=1), DualAcceleration().heuristic(degree=2)
    (False, True)
    """

    name = "dual acceleration"
    rate = "margin gap O(log t/t²), exponential loss; Ji, Srebro, Telgarsky 2021"
    margin_loss_only = True
    linear_theory_only = True
    rescaled = True
    gradient_only = True

    def start(self, objective: Objective, W: Tensor) -> Tensor:
        return torch.zeros_like(W)

    def step(self, objective: Objective, t: int, update: Update, state: Tensor) -> tuple[Tensor, Tensor]:
        momentum = t / (t + 1) * (state + update.direction)
        move = column(self.step_sizes(objective, update.W)) * (momentum + update.direction)
        return update.W - move, momentum
