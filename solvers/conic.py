"""The independent road: the same problems through cvxpy, by a conic solver that nobody here wrote.

    min R(β)   s.t.  A β ≥ 1

The solver is always named, MOSEK where a licence is found, else Clarabel, else SCS: cvxpy's own choice prefers an
installed MOSEK even without a licence and then fails. cvxpy is imported here, when a function is called, and nowhere
else in the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.problem import MarginProblem
from solvers.regularizers import L2, Bridge, FourierBridge, Regularizer, Schatten

Array = NDArray[np.float64]

TIGHTENED: Mapping[str, Mapping[str, Any]] = {
    "MOSEK": {
        "mosek_params": {
            "MSK_DPAR_INTPNT_CO_TOL_REL_GAP": 1e-12,
            "MSK_DPAR_INTPNT_CO_TOL_PFEAS": 1e-12,
            "MSK_DPAR_INTPNT_CO_TOL_DFEAS": 1e-12,
        }
    },
    "CLARABEL": {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12, "max_iter": 500},
    "SCS": {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 500_000},
}
"""Options that ask each solver for all the digits it has."""


class ConicSolverError(RuntimeError):
    """No conic solver returned a solution; the message says what each one answered."""


@cache
def mosek_licence() -> bool:
    """Whether MOSEK is installed and may optimize here, found out by a three-variable problem (0.3 s, once)."""
    try:
        import mosek
    except ImportError:
        return False
    try:
        with mosek.Env() as env, env.Task(0, 0) as task:
            task.appendvars(3)
            for j in range(3):
                task.putvarbound(j, mosek.boundkey.fr, 0.0, 0.0)
            task.putvarbound(0, mosek.boundkey.fx, 1.0, 1.0)
            task.appendafes(3)
            task.putafefentrylist([0, 1, 2], [0, 1, 2], [1.0, 1.0, 1.0])
            task.appendacc(task.appendquadraticconedomain(3), [0, 1, 2], None)
            task.optimize()
    except mosek.Error:
        return False
    return True


def solver_order() -> tuple[str, ...]:
    """The conic solvers to try, in order."""
    return ("MOSEK", "CLARABEL", "SCS") if mosek_licence() else ("CLARABEL", "SCS")


def solve_conic(
    problem: Any, solvers: Sequence[str] | None = None, options: Mapping[str, Mapping[str, Any]] = TIGHTENED
) -> str:
    """Solve a cvxpy problem by the first solver that succeeds; return its name.

    A solver that stops at `optimal_inaccurate` has an answer, which its caller certifies; the next one is tried only
    when there is none.

    Raises:
        ConicSolverError: every solver failed. The problem's status (infeasible, unbounded) is in the message.
    """
    import cvxpy

    failures: list[tuple[str, str]] = []
    for name in solver_order() if solvers is None else solvers:
        try:
            import warnings

            with warnings.catch_warnings():
                # "solution may be inaccurate" is judged by our certificate, not by a warning
                warnings.simplefilter("ignore", UserWarning)
                problem.solve(solver=name, **options.get(name, {}))
        except Exception as failure:  # mosek.Error is no cvxpy.SolverError, and each solver raises its own
            failures.append((name, f"{type(failure).__name__}: {failure}"))
            continue
        if problem.status in (cvxpy.OPTIMAL, cvxpy.OPTIMAL_INACCURATE):
            return name
        failures.append((name, str(problem.status)))
        if problem.status in (cvxpy.INFEASIBLE, cvxpy.UNBOUNDED):
            break
    raise ConicSolverError("no conic solver returned a solution: " + "; ".join(f"{n}: {why}" for n, why in failures))


def conic_problem(problem: MarginProblem, regularizer: Regularizer) -> tuple[Any, Any, Any]:
    """The cvxpy problem, its variable β (flat, or a matrix for Schatten) and its margin constraint."""
    import cvxpy

    cp: Any = cvxpy  # its functions are re-exported in a way that type checkers do not see
    size = problem.A.shape[1]
    beta = cp.Variable(size)
    if isinstance(regularizer, L2) or (isinstance(regularizer, Bridge) and regularizer.p == 2):
        price = cp.norm2(beta)
    elif isinstance(regularizer, FourierBridge):
        from solvers.expressions import fourier_l1

        price = fourier_l1(cp.reshape(beta, problem.shape, order="C"))
    elif isinstance(regularizer, Bridge):
        price = cp.norm1(beta)
    elif isinstance(regularizer, Schatten):
        price = cp.normNuc(cp.reshape(beta, problem.shape, order="C"))
    else:
        raise TypeError(f"{regularizer} has no conic form here; it is solved by its own method")
    margin = problem.A @ beta >= 1
    return cp.Problem(cp.Minimize(price), [margin]), beta, margin


def conic_max_margin(problem: MarginProblem, regularizer: Regularizer) -> tuple[Array, Array, dict[str, object]]:
    """β in the problem's shape, multipliers (N,), and which solver answered."""
    scale = float(np.linalg.norm(problem.A, axis=1).max())
    scaled = MarginProblem(problem.A / scale, problem.shape, problem.label_shape)
    program, beta, margin = conic_problem(scaled, regularizer)
    name = solve_conic(program)
    flat = np.asarray(beta.value, dtype=np.float64)
    smallest = float((scaled.A @ flat).min())
    if smallest > 0:
        flat = flat / smallest
    stats: dict[str, object] = {"method": "conic", "solver": name, "solver_status": program.status}
    return flat.reshape(problem.shape) / scale, np.asarray(margin.dual_value, dtype=np.float64) / scale, stats
