"""The independent road: the same problems through cvxpy, by a conic solver that nobody here wrote.

    min R(β)   s.t.  A β ≥ 1

cvxpy is imported when a function here is called, and not before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.conic_solvers import solve_conic
from solvers.problem import MarginProblem
from solvers.regularizers import L2, Bridge, FourierBridge, Regularizer, Schatten

Array = NDArray[np.float64]


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
