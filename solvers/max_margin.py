"""The verb of the ground floor: the predictor of least price R(β) among those that classify with margin one.

    min_β R(β)   s.t.   y_n ⟨x_n, β⟩ ≥ 1,  n = 1…N

One road for each regularizer; `method="conic"` is the same problem by an independent solver through cvxpy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from solvers.certificate import certified, judge, nearest_multipliers
from solvers.conv_kernel.margin import conic_conv_kernel, conv_kernel_max_margin
from solvers.conv_kernel.regularizer import ConvKernel
from solvers.margin.bridge import bridge_max_margin
from solvers.margin.fourier import fourier_blocks, fourier_l1_max_margin
from solvers.margin.l1 import l1_max_margin
from solvers.margin.l2 import l2_max_margin
from solvers.margin.uniqueness import unique_on_face
from solvers.problem import MarginProblem, check_beta, check_multipliers, check_options, check_problem
from solvers.regularizers import L2, Bridge, FourierBridge, Regularizer, Schatten
from solvers.separability import raise_if_ill_conditioned, raise_if_not_resolved, raise_if_not_separable
from solvers.solution import Certificate, Solution


def max_margin(
    X: ArrayLike,
    y: ArrayLike,
    regularizer: Regularizer | None = None,
    *,
    tol: float = 1e-9,
    method: Literal["auto", "conic"] = "auto",
    **options: Any,
) -> Solution:
    """Solve min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1, with a certificate.

    Args:
        X: points, shape (N, D), or (N, H, W) for images with FourierBridge and ConvKernel, which also takes several
            input channels, (N, R, D) and (N, R, H, W); converted to float64.
        y: labels −1 or +1, shape (N,); (N, M) for a matrix β of M outputs (Schatten), constraints on every (n, m).
        regularizer: R. L2() (the default), Bridge(p), FourierBridge(p), Schatten(1 or 2), ConvKernel(…). For p < 1 the
            problem is nonconvex: the answer is a BridgeSolution, the best of the stationary points found. ConvKernel
            answers with a ConvKernelSolution, which holds the network too.
        tol: the certificate's largest allowed violation, relative.
        method: "auto" is this package's road for the regularizer; "conic" goes through cvxpy with MOSEK where a licence
            is found, else Clarabel, else SCS (recorded in `stats["solver"]`). Only norms have a conic form.
        **options: of the road taken; an unknown one is refused by name. For p < 1: `n_starts` (8), `seed` (0) and
            `start`, a predictor to start from as well ("which stationary point did gradient descent choose?").

    Returns:
        Solution. `status` is OPTIMAL only where the duality gap is closed to `tol`; INACCURATE where it is not, and
        then `certificate` says how far.

    Raises:
        NotSeparableError: no β classifies all points; carries the Farkas certificate.
        IllConditionedError: they separate, but by a margin so small that float64 does not resolve this problem.
        ValueError: data that are not finite numbers of matching shapes, labels other than ±1.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2 and 2a: gradient descent on a linear network whose
    induced regularizer is R converges in direction to a solution (a stationary point when p < 1).

    >>> solution = max_margin([[2.0, 1.0], [-1.0, 0.0]], [1, -1], Bridge(1))
    >>> solution.beta.round(12).tolist(), solution.status.name, solution.unique
    ([1.0, 0.0], 'OPTIMAL', True)
    """
    regularizer = L2() if regularizer is None else regularizer
    problem = check_problem(X, y, regularizer)
    if not 0 < tol < 1:
        raise ValueError(f"tol must be a relative violation between 0 and 1, such as 1e-9; got {tol!r}")
    if method not in ("auto", "conic"):
        raise ValueError(f'method must be "auto" or "conic"; got {method!r}')
    if not problem.A.any(axis=1).all():  # a point at the origin has margin zero, whatever β
        raise_if_not_separable(problem.A, problem.label_shape)
    if method == "conic":
        check_options("the conic road", options, {})
        return _conic(problem, regularizer, tol)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows fails its certificate
        return _own_road(problem, regularizer, tol, options)


def _own_road(problem: MarginProblem, regularizer: Regularizer, tol: float, options: dict[str, Any]) -> Solution:
    if isinstance(regularizer, Schatten) and regularizer.p == 1:
        return _conic(problem, regularizer, tol)
    if isinstance(regularizer, Bridge) and not regularizer.convex:
        check_options(f"max_margin with {regularizer}", options, {"n_starts": 8, "seed": 0, "start": None})
        raise_if_not_resolved(problem.A, problem.label_shape)
        return bridge_max_margin(problem, regularizer, tol, **options)
    if isinstance(regularizer, ConvKernel):
        check_options(f"max_margin with {regularizer}", options, {"restarts": 8, "seed": 0})
        raise_if_not_resolved(problem.A, problem.label_shape)
        return conv_kernel_max_margin(problem, regularizer, tol, **options)
    if not regularizer.convex:
        raise ValueError(
            f"{regularizer} is nonconvex and has no solver here; `certify` judges a given predictor, and Schatten(1) "
            "(depth 2) is solved"
        )
    check_options(f"max_margin with {regularizer}", options, {})
    if isinstance(regularizer, FourierBridge) and regularizer.p == 1:
        beta, dual, stats = fourier_l1_max_margin(problem.A, problem.shape, tol)
    elif isinstance(regularizer, Bridge) and regularizer.p == 1:
        found = l1_max_margin(problem.A)
        if found is None:
            raise_if_not_separable(problem.A, problem.label_shape)
            return _conic(problem, regularizer, tol)
        beta, dual, stats = found
    elif isinstance(regularizer, L2 | Bridge | Schatten):  # p = 2: the transforms are isometries
        beta, dual, stats = l2_max_margin(problem.A)
    else:
        raise TypeError(f"{regularizer} has no road in max_margin; certify(…, dual=α) judges a predictor for it")
    return _finish(problem, beta.reshape(problem.shape), regularizer, dual, tol, stats)


def _conic(problem: MarginProblem, regularizer: Regularizer, tol: float) -> Solution:
    from solvers.conic import conic_max_margin
    from solvers.conic_solvers import ConicSolverError

    if not regularizer.convex:
        raise ValueError(f'{regularizer} is not a norm (p < 1), so it has no conic form; use method="auto"')
    try:
        if isinstance(regularizer, ConvKernel):
            return _checked(problem, conic_conv_kernel(problem, regularizer, tol), tol)
        beta, dual, stats = conic_max_margin(problem, regularizer)
    except ConicSolverError:
        raise_if_not_separable(problem.A, problem.label_shape)
        raise_if_ill_conditioned(problem.A, np.inf)
        raise
    return _finish(problem, beta, regularizer, dual, tol, stats)


def _finish(
    problem: MarginProblem, beta: Any, regularizer: Regularizer, dual: Any, tol: float, stats: dict[str, object]
) -> Solution:
    solution = certified(problem, beta, regularizer, dual, tol=tol, unique=None, stats=stats)
    if not _checked(problem, solution, tol).certificate.worst <= tol:
        return solution
    return replace(solution, unique=_unique(problem, regularizer, solution))


def _checked(problem: MarginProblem, solution: Solution, tol: float) -> Solution:
    """The solution; where it misses the tolerance because of the data, the refusal that says so."""
    if not solution.certificate.worst <= tol:
        raise_if_not_separable(problem.A, problem.label_shape)
        raise_if_ill_conditioned(problem.A, solution.certificate.worst)
    return solution


def _unique(problem: MarginProblem, regularizer: Regularizer, solution: Solution) -> bool | None:
    if isinstance(regularizer, L2) or getattr(regularizer, "p", None) == 2:
        return True  # strictly convex along every feasible segment
    scale = abs(problem.A).max()
    if isinstance(regularizer, FourierBridge):
        return unique_on_face(fourier_blocks(problem.A / scale, problem.shape)[0], solution.dual.reshape(-1))
    if isinstance(regularizer, Bridge):
        return unique_on_face(problem.A[:, :, None] / scale, solution.dual.reshape(-1))
    return None


def certify(
    X: ArrayLike,
    y: ArrayLike,
    beta: ArrayLike,
    regularizer: Regularizer | None = None,
    *,
    dual: ArrayLike | None = None,
) -> Certificate:
    """Judge any predictor β for min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1: ours, another solver's, a gradient-descent iterate.

    Args:
        X, y: as in `max_margin`.
        beta: the predictor, shape X.shape[1:] ((M, D) for labels (N, M)). Judged as given; `direction_gap`,
            `stationarity` and `complementarity` do not depend on its scale, for a gradient-descent iterate read these.
        regularizer: R; L2() by default.
        dual: multipliers α ≥ 0, shape of y, any scale. By default the best there are: for a norm the optimal dual (so
            that `gap` is the true distance from the optimum), for p < 1 the nonnegative least-squares fit of the
            stationarity equations (eq. 13) on the active constraints.

    Returns:
        Certificate. Nothing in it depends on how β was found.

    Raises:
        ValueError: as `max_margin`; β of the wrong shape, not finite, or zero.
        NotSeparableError: `dual` was not given and no β classifies all points.

    >>> certificate = certify([[2.0, 1.0], [-1.0, 0.0]], [1, -1], [1.0, 0.0], Bridge(1))
    >>> certificate.worst <= 1e-12
    True
    """
    regularizer = L2() if regularizer is None else regularizer
    problem = check_problem(X, y, regularizer)
    predictor = check_beta(beta, problem)
    if dual is not None:
        multipliers = check_multipliers(dual, problem)
    elif regularizer.convex or isinstance(regularizer, ConvKernel):  # whose dual is the same for every C
        multipliers = max_margin(X, y, regularizer).dual
    else:
        multipliers = nearest_multipliers(problem, predictor, regularizer)
    return judge(problem, predictor, regularizer, multipliers)
