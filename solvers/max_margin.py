"""Max margin: the predictor of least R(β) among those that classify with margin one.

    min_β R(β)   s.t.   y_n ⟨x_n, β⟩ ≥ 1,  n = 1…N

The data are validated, the regularizer minimizes itself, and the answer is certified. `method="conic"` is the same
problem by an independent solver through cvxpy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from solvers.certificate import certificate_of, certified, nearest_multipliers
from solvers.conic import ConicSolverError
from solvers.intercept import certify_with_intercept, solve_with_intercept
from solvers.problem import MarginProblem
from solvers.regularizers.l2 import least_norm
from solvers.regularizers.regularizer import Regularizer
from solvers.search import Progress, Search, deadline_after
from solvers.separability import raise_if_ill_conditioned, raise_if_not_separable
from solvers.solution import Candidate, Certificate, IllConditionedError, NoSolverError, Solution, Status
from solvers.threads import threads_for
from solvers.validation import check_beta, check_multipliers, check_problem, check_regularizer, check_search


def max_margin(
    X: ArrayLike,
    y: ArrayLike,
    regularizer: Regularizer | str,
    *,
    tol: float = 1e-9,
    method: Literal["auto", "conic"] = "auto",
    n_starts: int | None = None,
    seed: int | None = None,
    start: ArrayLike | None = None,
    fit_intercept: bool = False,
    time_limit: float = math.inf,
    progress: Progress | None = None,
) -> Solution:
    """Solve min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1, with a certificate; with `fit_intercept`

        min_{β, b} R(β)   s.t.   y_n(⟨x_n, β⟩ + b) ≥ 1.

    Args:
        X: points, shape (N, D), or (N, H, W) for images with FourierBridge and ConvKernel, which also takes several
            input channels, (N, R, D) and (N, R, H, W); converted to float64. A scipy sparse matrix (N, D) stays
            sparse with L2(); the other regularizers fill it. Float32 (N, D) is converted in parts with L2(), and not
            copied.
        y: labels −1 or +1, shape (N,), or any two truth values, whole numbers or words, of which the smaller is −1;
            three or more of these are classes, ⟨w_{y_n} − w_k, x_n⟩ ≥ 1 for every k ≠ y_n; ±1 of shape (N, M) for a
            matrix β of M outputs, constraints on every (n, m).
        regularizer: R. L2(), Bridge(p), FourierBridge(p), Schatten(p), ConvKernel(…), a `Norm` of your own, or a name
            that `regularizer_from_name` knows, such as "l1".
            For p < 1 the problem is nonconvex: the answer is a BridgeSolution, the best of the stationary points found.
            ConvKernel answers with a ConvKernelSolution, which holds the network too.
        tol: the certificate's largest allowed violation, relative.
        method: "auto" is the regularizer's own method; "conic" goes through cvxpy with MOSEK where a licence
            is found, else Clarabel, else SCS (recorded in `stats["solver"]`). Only norms have a conic form.
        n_starts: starts of the local search, for p < 1 and ConvKernel (default 8).
        seed: of the random starts (default 0).
        start: for p < 1, a predictor of shape X.shape[1:] to start from as well. Give the point at which gradient
            descent ended to learn which stationary point it chose.
        fit_intercept: whether there is an intercept b that R does not penalize: `Solution.intercept`, a number; (M,) of
            M outputs; (K,) of K classes. A column of ones is another problem: its coefficient is penalized.
        time_limit: seconds after which no further start, and no further round (with an intercept and many pairs of
            points) begins; the answer is certified as far as it came.
        progress: called with (starts or rounds done, how many at most).

    Returns:
        Solution. `status` is OPTIMAL only where the duality gap is closed to `tol`; INACCURATE where it is not, and
        then `certificate` says how far. STATIONARY and BOUNDED are for nonconvex problems.

    Raises:
        NotSeparableError: no β classifies all points; carries the Farkas certificate.
        IllConditionedError: they separate, but by an ℓ2 margin below 1e-10 of points scaled to norm one, and no usable
            answer was found.
        NoSolverError: a regularizer of your own says neither how it is minimized nor its conic form.
        TypeError: `regularizer` is none (of a network without one: see `gd.flow_limit`), or an option was given that
            its method does not use.
        ValueError: data that are not finite numbers of matching shapes, labels that are none, a name that is none.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2 and 2a: gradient descent on a linear network whose
    induced regularizer is R converges in direction to a solution (a stationary point when p < 1).

    >>> from solvers.regularizers import Bridge
    >>> solution = max_margin([[2.0, 1.0], [-1.0, 0.0]], [1, -1], Bridge(1))
    >>> solution.beta.round(12).tolist(), solution.status.name, solution.unique.name
    ([1.0, 0.0], 'OPTIMAL', 'UNIQUE')
    >>> solution = max_margin([[7.0], [5.0], [2.0]], ["ham", "ham", "eggs"], "l2", fit_intercept=True)
    >>> solution.beta.round(12).tolist(), round(solution.intercept, 12), solution.predict([[3.0]]).tolist()
    ([0.666666666667], -2.333333333333, ['eggs'])
    """
    regularizer = check_regularizer(regularizer)
    by_products = regularizer.by_products and method == "auto" and not fit_intercept
    problem = check_problem(X, y, regularizer, by_products=by_products)
    regularizer = problem.suited(regularizer)
    search = check_search(problem, regularizer, method, tol=tol, n_starts=n_starts, seed=seed, start=start)
    search = replace(search, deadline=deadline_after(time_limit), progress=progress)
    by_cones = method == "conic"
    with threads_for(float(problem.n_constraints) ** 2 * np.prod(problem.shape)):
        if fit_intercept:
            return solve_with_intercept(problem, regularizer, search, lambda *part: _solve(*part, by_cones=by_cones))
        return _solve(problem, regularizer, search, by_cones=by_cones)


def _solve(problem: MarginProblem, regularizer: Regularizer, search: Search, *, by_cones: bool) -> Solution:
    tol = search.tol
    if problem.has_zero_row:
        raise_if_not_separable(problem.signed_rows, problem.label_shape)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows fails its certificate
            found = _found(problem, regularizer, search, by_cones=by_cones)
            solution = certified(problem, regularizer, found, tol=tol)
    except NotImplementedError as error:
        raise NoSolverError(regularizer, f"has no solver here ({str(error) or 'not implemented'})") from error
    if solution.certificate.worst <= tol:
        return replace(solution, unique=regularizer.unique(problem, solution))
    if solution.status is Status.INACCURATE:
        raise_if_not_separable(problem.signed_rows, problem.label_shape)
        if not by_cones:
            solution = _last_resort(problem, regularizer, solution, search, cones_tried=found.by_cones)
        raise_if_ill_conditioned(problem.signed_rows, solution.certificate.worst)
    return solution


def _found(problem: MarginProblem, regularizer: Regularizer, search: Search, *, by_cones: bool) -> Candidate:
    """What the method finds; where a cone solver stands in for one and finds nothing, the ℓ2 max margin."""
    try:
        return regularizer.minimize_conic(problem) if by_cones else regularizer.minimize(problem, search)
    except ConicSolverError:
        raise_if_not_separable(problem.signed_rows, problem.label_shape)
        raise_if_ill_conditioned(problem.signed_rows, np.inf)
        if by_cones:
            raise
        return replace(least_norm(problem), by_cones=True)


def _last_resort(
    problem: MarginProblem, regularizer: Regularizer, solution: Solution, search: Search, *, cones_tried: bool
) -> Solution:
    """The better of the solution and the regularizer's last resort; if neither separates, the ℓ2 max margin's β."""
    others = regularizer.minimize_conic_again(problem) if cones_tried else _once(problem, regularizer, search, solution)
    for found in others:
        other = certified(problem, regularizer, found, tol=search.tol)
        solution = other if other.certificate.worst < solution.certificate.worst else solution
        if solution.certificate.worst <= search.tol or time.monotonic() >= search.deadline:
            break
    if solution.certificate.worst <= search.tol:
        return replace(solution, unique=regularizer.unique(problem, solution))
    if not solution.certificate.margin > 0:
        plain = least_norm(problem)
        plain = replace(plain, dual=solution.dual) if np.isfinite(solution.dual).all() else plain
        return certified(problem, regularizer, plain, tol=search.tol)
    return solution


def _once(problem: MarginProblem, regularizer: Regularizer, search: Search, solution: Solution) -> Iterator[Candidate]:
    """What the regularizer's last resort finds, if it finds anything."""
    try:
        found = regularizer.last_resort(problem, search, solution.certificate.worst)
    except (ConicSolverError, IllConditionedError):
        return
    if found is not None:
        yield found


def certify(
    X: ArrayLike,
    y: ArrayLike,
    beta: ArrayLike,
    regularizer: Regularizer | str,
    *,
    dual: ArrayLike | None = None,
    fit_intercept: bool = False,
) -> Certificate:
    """Certify any predictor β for min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1: ours, another solver's, a gradient-descent iterate.

    Args:
        X: as in `max_margin`.
        y: as in `max_margin`.
        beta: the predictor, shape X.shape[1:] ((M, D) for labels (N, M)). Certified as given; `direction_gap`,
            `stationarity` and `complementarity` do not depend on its scale, for a gradient-descent iterate read these.
        regularizer: R.
        dual: multipliers α ≥ 0, shape of y, any scale. By default the best there are: for a norm the optimal dual (so
            that `gap` is the true distance from the optimum), for p < 1 the nonnegative least-squares fit of the
            stationarity equations (eq. 13) on the active constraints. With an intercept they must balance,
            Σ_n α_n y_n = 0.
        fit_intercept: certify β for the problem with an intercept, with the b that makes its smallest margin largest.

    Returns:
        Certificate. Nothing in it depends on how β was found.

    Raises:
        TypeError: `regularizer` is none.
        ValueError: as `max_margin`; β of the wrong shape, not finite, or zero; multipliers that do not balance.
        NotSeparableError: `dual` was not given and no β classifies all points.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), eqs. (10), (11) and (13).

    >>> from solvers.regularizers import Bridge
    >>> certificate = certify([[2.0, 1.0], [-1.0, 0.0]], [1, -1], [1.0, 0.0], Bridge(1))
    >>> certificate.worst <= 1e-12
    True
    """
    regularizer = check_regularizer(regularizer)
    problem = check_problem(X, y, regularizer)
    suited = problem.suited(regularizer)
    predictor = check_beta(beta, problem)
    multipliers = None if dual is None else check_multipliers(dual, problem)
    if multipliers is None and suited.has_dual_norm:
        multipliers = max_margin(X, y, regularizer, fit_intercept=fit_intercept).dual
    regularizer = suited
    if fit_intercept:
        return certify_with_intercept(problem, predictor, regularizer, multipliers)
    if multipliers is None:
        multipliers = nearest_multipliers(problem, predictor, regularizer)
    return certificate_of(problem, predictor, regularizer, multipliers)
