"""Certifying a predictor: the same code for our solvers', another solver's and gradient descent's.

A certificate is computed from the data, the regularizer, a β and multipliers α ≥ 0, whatever found them. For a norm R,
weak duality is the proof: after scaling α to R°(Aᵀα) = 1 the number 1ᵀα is below R(β′) for every feasible β′.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from solvers.agreements import gaps_of
from solvers.arrays import Array
from solvers.problem import MarginProblem
from solvers.solution import Candidate, Certificate, Solution, Status, Uniqueness

if TYPE_CHECKING:
    from solvers.regularizers.regularizer import Regularizer


NEARLY = 1e-10
"""A dual norm this near to a power of two counts as that: by it α, which may have been rounded with care, is divided
without being rounded again."""


def scaled_to_the_dual(problem: MarginProblem, regularizer: Regularizer, alpha: Array) -> tuple[Array, Array, float]:
    """α scaled to R°(Aᵀα) = 1, z = Aᵀα, and R°(z) as it comes out: 1, or 0 where z is zero.

    Where Aᵀα cancels, rounding α moves it, so z is formed from the scaled α and its dual norm follows it.
    """
    scale = regularizer.dual_norm(problem.careful_combine(alpha))
    if scale > 0:
        exact = 2.0 ** np.rint(np.log2(scale))
        alpha = alpha / (exact if abs(scale / exact - 1.0) <= NEARLY else scale)
    z = problem.careful_combine(alpha)
    return alpha, z, regularizer.dual_norm(z)


def certificate_of(
    problem: MarginProblem, beta: Array, regularizer: Regularizer, dual: Array, *, objective: float | None = None
) -> Certificate:
    """The certificate of β (in the problem's shape) with multipliers `dual` (one per constraint, any scale).

    Negative multipliers are set to zero: a certificate may not rest on them. `objective` is R(β), if known.
    """
    alpha = np.maximum(np.asarray(dual, dtype=np.float64).reshape(-1), 0.0)
    margins = problem.careful_margins(beta)
    margin = float(margins.min())
    objective = regularizer.value(beta) if objective is None else objective
    lower_bound, stationarity = -np.inf, 1.0
    if regularizer.has_dual_norm:
        alpha, z, reached = scaled_to_the_dual(problem, regularizer, alpha)
        lower_bound = float(alpha.sum()) / reached if reached > 0 else 0.0
        if objective > 0 and reached > 0:
            stationarity = abs(1.0 - float(np.vdot(z, beta)) / (objective * reached))
    elif objective > 0:
        stationarity = abs(regularizer.stationarity(beta, problem.careful_combine(alpha)))
    total = float(alpha.sum())
    gap, direction_gap = gaps_of(objective, lower_bound, margin)
    return Certificate(
        objective=objective,
        lower_bound=lower_bound,
        margin=margin,
        primal=max(0.0, 1.0 - margin),
        gap=gap,
        direction_gap=direction_gap,
        stationarity=stationarity,
        complementarity=float(alpha @ np.abs(margins / margin - 1.0)) / total if margin > 0 and total > 0 else 1.0,
        support_size=regularizer.support_size(beta),
        dual=alpha.reshape(problem.label_shape),
    )


def nearest_multipliers(
    problem: MarginProblem, beta: Array, regularizer: Regularizer, active_tolerance: float = 1e-6
) -> Array:
    """Multipliers for a stationary point when p < 1: least squares, α ≥ 0, on the equations of the support.

    Only active constraints may carry weight: those whose margin is within `active_tolerance` (relative) of the
    smallest (eqs. 10 and 13 of Gunasekar et al. 2018).
    """
    margins = problem.careful_margins(beta)
    active = np.flatnonzero(margins <= margins.min() + active_tolerance * abs(margins.min()))
    columns, target = regularizer.support_system(beta, problem.rows(active).reshape(-1, *problem.shape))
    scale = np.linalg.norm(columns, axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(columns / scale, target, maxiter=100 * len(active) + 100)
    alpha = np.zeros(margins.size)
    alpha[active] = solution / scale
    return alpha


def status_of(regularizer: Regularizer, worst: float, tol: float) -> Status:
    """What a certificate whose largest violation is `worst` proves."""
    if worst <= tol:
        return Status.OPTIMAL if regularizer.has_dual_norm else Status.STATIONARY
    # where R is not a norm but has a dual norm, the gap may be the problem's and not the solver's
    return Status.BOUNDED if regularizer.has_dual_norm and not regularizer.is_norm else Status.INACCURATE


def certified(problem: MarginProblem, regularizer: Regularizer, found: Candidate, *, tol: float) -> Solution:
    """The solution that a candidate's β and multipliers prove, with the status that they earn at `tol`."""
    certificate = certificate_of(problem, found.beta, regularizer, found.dual, objective=found.objective)
    return found.completed(
        Solution(
            beta=found.beta,
            dual=certificate.dual,
            objective=certificate.objective,
            lower_bound=max(certificate.lower_bound, found.lower_bound),
            status=status_of(regularizer, certificate.worst, tol),
            unique=Uniqueness.UNKNOWN,
            certificate=certificate,
            stats=found.stats,
            classes=problem.names,
        )
    )
