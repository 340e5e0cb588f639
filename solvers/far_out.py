"""The least loss in a ball so large that its limit is the answer: what c → ∞ leaves of min L(Aβ) s.t. R(β) ≤ c.

The rows split into a separable part S and the rest C (`solvers.separable_part`). With v the minimizer of the loss of C,
and u a direction with positive margins on S that are zero on C,

    β(c) = v + ρ u,    R(v) + ρ R(u) = c,      L(β(c)) → inf L = the loss of C at v.

So where C is not empty, or the loss has the infimum 0, L(β(c)) − inf L bounds the gap, and it falls exponentially in c.
Where all rows separate, u is the max margin in R. For L = ln Σ e^{−m} and u of margin γ at R(u) = 1 the loss falls like
−cγ; what bounds it from below are the multipliers p of that margin, Σ p = 1:

    L(β) ≥ −⟨p, Aβ⟩ + E(p) ≥ −c R°(Aᵀp) + E(p)        if R(β) ≤ c      (E as in `solvers.margin_losses`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solvers.arrays import Array
from solvers.conic import ConicSolverError
from solvers.logistic_limit import finite_part
from solvers.margin_losses import MarginLoss
from solvers.problem import MarginProblem
from solvers.regularizers.regularizer import Regularizer
from solvers.search import Search
from solvers.separable_part import SplitNotResolvedError, separable_part


@dataclass(frozen=True)
class FarOut:
    """v, u and a lower bound on the loss that is linear in the radius."""

    regularizer: Regularizer
    finite: Array
    """v."""
    direction: Array
    """u."""
    least: float
    """Lower bound on L: this …"""
    fall: float
    """… less c times this."""

    def least_loss(self, radius: float) -> tuple[Array | None, float]:
        """β of the ball, and the lower bound; None where v is outside."""
        left = radius - self.regularizer.value(self.finite)
        if left < 0:
            return None, -np.inf
        length = self.regularizer.value(self.direction)
        beta = self.finite if length == 0 else self.finite + self.direction * (left * (1.0 - 1e-15) / length)
        return beta, self.least - radius * self.fall


def far_out(problem: MarginProblem, regularizer: Regularizer, loss: MarginLoss) -> FarOut | None:
    """The limit; None where float64 does not resolve which rows separate, or no method finds the margin."""
    try:
        split = separable_part(problem.signed_rows)
    except SplitNotResolvedError:
        return None
    if not split.separable.all():
        v, found = finite_part(problem, split, loss)
        shape = problem.shape
        return FarOut(regularizer, v.reshape(shape), split.direction.reshape(shape), found.value - found.gap, 0.0)
    try:
        best = regularizer.minimize(problem, Search(1e-12))
    except ConicSolverError:
        return None
    p = best.dual.reshape(-1) / best.dual.sum()
    zero = np.zeros(problem.shape)
    if np.isfinite(loss.infimum):
        return FarOut(regularizer, zero, best.beta, loss.infimum, 0.0)
    return FarOut(regularizer, zero, best.beta, loss.entropy(p), regularizer.dual_norm(problem.careful_combine(p)))
