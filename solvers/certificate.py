"""Judging a predictor: the same code for our solvers', another solver's and gradient descent's.

The judge knows the data, the regularizer, a β and multipliers α ≥ 0, never how they were found. For a norm R, weak
duality is the proof: after scaling α to R°(Aᵀα) = 1 the number 1ᵀα is below R(β′) for every feasible β′.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from solvers.problem import MarginProblem
from solvers.regularizers import Bridge, Regularizer
from solvers.solution import Certificate, Solution, Status

Array = NDArray[np.float64]


def scaled_to_the_dual(problem: MarginProblem, regularizer: Regularizer, dual: Array) -> tuple[Array, Array, float]:
    """α ≥ 0 (flat) scaled to R°(Aᵀα) = 1, z = Aᵀα, and the lower bound 1ᵀα/R°(Aᵀα) that this α proves.

    Where Aᵀα cancels, rounding α moves it, so z is formed from the scaled α and the bound follows it. Negative
    multipliers are set to zero: a certificate may not rest on them.
    """
    alpha = np.maximum(np.asarray(dual, dtype=np.float64).reshape(-1), 0.0)
    scale = regularizer.dual_norm(problem.combine(alpha))
    alpha = alpha / scale if scale > 0 else alpha
    z = problem.combine(alpha)
    reached = regularizer.dual_norm(z)
    return alpha, z, float(alpha.sum()) / reached if reached > 0 else 0.0


def judge(problem: MarginProblem, beta: Array, regularizer: Regularizer, dual: Array) -> Certificate:
    """The certificate of β (in the problem's shape) with multipliers `dual` ≥ 0 (one per constraint, any scale).

    Negative multipliers are set to zero: a certificate may not rest on them.
    """
    lower_bound = -np.inf
    if regularizer.convex:
        alpha, z, lower_bound = scaled_to_the_dual(problem, regularizer, dual)
    else:
        alpha = np.maximum(np.asarray(dual, dtype=np.float64).reshape(-1), 0.0)
        z = problem.combine(alpha)
    margins = problem.margins(beta)
    margin = float(margins.min())
    objective = regularizer.value(beta)
    total = float(alpha.sum())
    gap = direction_gap = None
    if regularizer.convex:
        # the price of a predictor that classifies a point wrongly bounds nothing
        gap = (objective - lower_bound) / objective if margin > 0 and objective > 0 else np.inf
        direction_gap = 1.0 - lower_bound * margin / objective if margin > 0 and objective > 0 else np.inf
    return Certificate(
        objective=objective,
        lower_bound=lower_bound,
        margin=margin,
        primal=max(0.0, 1.0 - margin),
        gap=gap,
        direction_gap=direction_gap,
        stationarity=abs(regularizer.subgradient_residual(beta, z)) if objective > 0 else 1.0,
        complementarity=float(alpha @ np.abs(margins / margin - 1.0)) / total if margin > 0 and total > 0 else 1.0,
        support_size=int(regularizer.support(beta).sum()) if isinstance(regularizer, Bridge) else None,
        dual=alpha.reshape(problem.label_shape),
    )


def nearest_multipliers(
    problem: MarginProblem, beta: Array, regularizer: Regularizer, active_tolerance: float = 1e-6
) -> Array:
    """Multipliers for a stationary point when p < 1: least squares, α ≥ 0, on the equations of the support.

    Only active constraints may carry weight: those whose margin is within `active_tolerance` (relative) of the
    smallest (eqs. 10 and 13 of Gunasekar et al. 2018).
    """
    margins = problem.margins(beta)
    active = np.flatnonzero(margins <= margins.min() + active_tolerance * abs(margins.min()))
    columns, target = regularizer.support_system(beta, problem.A[active].reshape(-1, *problem.shape))
    scale = np.linalg.norm(columns, axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(columns / scale, target, maxiter=100 * len(active) + 100)
    alpha = np.zeros(problem.A.shape[0])
    alpha[active] = solution / scale
    return alpha


def certified(
    problem: MarginProblem,
    beta: Array,
    regularizer: Regularizer,
    dual: Array,
    *,
    tol: float,
    unique: bool | None,
    stats: dict[str, object],
) -> Solution:
    """The solution that this β and these multipliers prove, with the status they earn at `tol`."""
    certificate = judge(problem, beta, regularizer, dual)
    if not certificate.worst <= tol:
        status = Status.INACCURATE
    else:
        status = Status.OPTIMAL if regularizer.convex else Status.STATIONARY
    return Solution(
        beta=beta,
        dual=certificate.dual,
        objective=certificate.objective,
        lower_bound=certificate.lower_bound,
        status=status,
        unique=unique,
        certificate=certificate,
        stats=stats,
    )
