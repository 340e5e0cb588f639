"""Regression: the predictor of least R(β) among those that fit real targets.

    min_β R(β)   s.t.   ⟨x_n, β⟩ = y_n,  n = 1…N

R is a norm or a potential. The certificate is computed from X, y, R, β and ν alone:

    norm         R°(Xᵀν) ≤ 1        proves   R(β′) ≥ ⟨ν, y⟩              for every β′ that fits,
    potential    any ν              proves   R(β′) ≥ ⟨ν, y⟩ − R*(Xᵀν)    (Fenchel).
"""

from __future__ import annotations

import math
import reprlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from solvers.arrays import Array
from solvers.card import Card
from solvers.interpolation.problem import InterpolationProblem, check_interpolation
from solvers.interpolation.row_space import Found
from solvers.regularizers import regularizer_from_name
from solvers.regularizers.potential import Potential
from solvers.regularizers.regularizer import Regularizer
from solvers.search import Progress, deadline_after, untold
from solvers.solution import Status, Uniqueness
from solvers.threads import threads_for
from solvers.validation import check_tolerance

CLOSED = 1e-12
"""A gap and a residual that leave nothing to improve."""
Interpolating = Regularizer | Potential
"""What can be minimized over the predictors that fit."""


@dataclass(frozen=True, repr=False)
class Interpolation(Card):
    """A predictor that fits, and what is proved about it."""

    beta: Array
    """The predictor, shape X.shape[1:], or (M, D)."""
    dual: Array = field(repr=False)
    """Multipliers ν of the constraints, any sign, shape of y. R°(Xᵀν) = 1 for a norm; Xᵀν = ∇R(β) for a potential."""
    objective: float
    """R(β)."""
    lower_bound: float
    """No predictor that fits has a smaller R: ⟨ν, y⟩ for a norm, ⟨ν, y⟩ − R*(Xᵀν) for a potential."""
    gap: float
    """(R(β) − lower bound)/R(β); for a potential the relative Fenchel gap. 0 where both are zero to rounding."""
    residual: float
    """max_n |⟨x_n, β⟩ − y_n|, divided by the largest |y_n|."""
    status: Status
    """What is proved about `beta`; prints a sentence."""
    unique: Uniqueness
    """Whether the minimizer is the only one."""
    stats: Mapping[str, Any] = field(default_factory=dict)
    """How the answer was found: `method`, `iterations`, …"""

    @property
    def worst(self) -> float:
        """The larger of |gap| and residual; inf where one is not a number."""
        found = max(abs(self.gap), self.residual)
        return found if np.isfinite(self.gap) and np.isfinite(self.residual) else np.inf


def min_norm(
    X: ArrayLike,
    y: ArrayLike,
    regularizer: Interpolating | str,
    *,
    tol: float = 1e-9,
    time_limit: float = math.inf,
    progress: Progress | None = None,
) -> Interpolation:
    """Solve min R(β) s.t. ⟨x_n, β⟩ = y_n, with a certificate.

    Args:
        X: points, shape (N, D), or (N, H, W) for images and matrices with FourierBridge, ConvKernel and Schatten;
            converted to float64. Rows may depend on each other.
        y: real targets, shape (N,); (N, M) for a matrix β of M outputs, where R takes several.
        regularizer: R: a norm (L2(), Bridge(p) with p ≥ 1, FourierBridge(1), Schatten(1), …, or a `Norm` of your own),
            its name, such as "l1", or a `Potential` (`HyperbolicEntropy`, …, or your own).
        tol: the largest residual and relative gap of an answer called OPTIMAL.
        time_limit: seconds after which no further method is tried where the gap is still open; the first one ends.
        progress: called with (methods tried, how many at most): one more than were tried while the gap is open.

    Returns:
        Interpolation. `status` is OPTIMAL where the gap is closed and the data are fitted to `tol`; else INACCURATE.

    Raises:
        InconsistentDataError: no β fits, or none with the signs that a start fixes; with the combination of rows that
            shows it, and the residual of the nearest.
        TypeError: `regularizer` is neither a norm nor a potential.
        ValueError: p < 1 (nonconvex); data that are not finite numbers of matching shapes.

    Reference: Woodworth et al. (2020); Gunasekar, Lee, Soudry, Srebro (2018), "Characterizing implicit bias
    in terms of optimization geometry", Theorem 1, for mirror descent on the squared loss.

    >>> from solvers import L2, Bridge
    >>> X, y = [[2.0, 1.0, 0.0], [0.0, 1.0, 1.0]], [2.0, 1.0]
    >>> [min_norm(X, y, R).beta.round(9).tolist() for R in (Bridge(1), L2())]
    [[0.5, 1.0, 0.0], [0.666666667, 0.666666667, 0.333333333]]
    """
    if isinstance(regularizer, str):
        regularizer = regularizer_from_name(regularizer)
    if not isinstance(regularizer, Interpolating):
        raise TypeError(
            "regularizer must be a norm such as L2() or Bridge(1), or a potential such as HyperbolicEntropy(0.1); "
            f"got {reprlib.repr(regularizer)}. The order is min_norm(X, y, regularizer)."
        )
    problem = check_interpolation(X, y, regularizer)
    check_tolerance(tol)
    deadline, tell = deadline_after(time_limit), progress or untold
    with (
        threads_for(float(problem.targets.shape[0]) ** 2 * np.prod(problem.shape)),
        np.errstate(over="ignore", invalid="ignore", divide="ignore"),  # what overflows fails its certificate
    ):
        solution = certified(problem, regularizer, regularizer.interpolate(problem), tol)
        more, tried = regularizer.interpolate_again(problem), 1
        while solution.worst > CLOSED and time.monotonic() < deadline:
            tell(tried, tried + 1)
            again = next(more, None)
            if again is None:
                break
            other = certified(problem, regularizer, again, tol)
            solution, tried = other if other.worst < solution.worst else solution, tried + 1
        tell(tried, tried)
        if solution.status is not Status.OPTIMAL:
            regularizer.raise_if_infeasible(problem)
        return solution


def certified(problem: InterpolationProblem, regularizer: Interpolating, found: Found, tol: float) -> Interpolation:
    """The answer that β and ν prove, with the status that they earn at `tol`."""
    objective = regularizer.value(found.beta)
    dual, lower_bound = regularizer.interpolation_bound(problem, found.dual.reshape(problem.targets.shape), objective)
    largest = float(np.abs(problem.targets).max()) or 1.0
    residual = float(np.abs(problem.missing(found.beta)).max()) / largest
    # a potential whose minimum fits: what rounding β does to R is more than R
    noise = 100.0 * abs(regularizer.value(found.beta * (1.0 + 8.0 * np.finfo(np.float64).eps)) - objective)
    zero = max(objective, abs(lower_bound)) <= noise or objective == lower_bound
    gap = 0.0 if zero else (objective - lower_bound) / objective if objective > 0 else np.inf
    optimal = abs(gap) <= tol and residual <= tol
    return Interpolation(
        beta=found.beta,
        dual=dual,
        objective=objective,
        lower_bound=lower_bound,
        gap=gap,
        residual=residual,
        status=Status.OPTIMAL if optimal else Status.INACCURATE,
        unique=Uniqueness.UNIQUE if regularizer.strictly_convex and optimal else Uniqueness.UNKNOWN,
        stats=found.stats,
    )
