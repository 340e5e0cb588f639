"""ℓ1 max margin: a linear program, solved by HiGHS and finished on its basis.

    min ‖β‖₁   s.t.  A β ≥ r            dual:  max rᵀα  s.t.  α ≥ 0, ‖Aᵀα‖_∞ ≤ 1

HiGHS answers to its own feasibility tolerance (1e-10 here); the rows that carry weight and the coefficients that are
nonzero then form a square system whose solution is exact to rounding.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from solvers.algorithms.group_rows import GroupRows, GroupSolution, feasible_pair
from solvers.arrays import Array
from solvers.extended_precision import extended_product


def l1_max_margin(A: Array, right: Array) -> GroupSolution | None:
    """β as b (D, 1) with multipliers α (N,); None when HiGHS reports no optimum. A and r as in `group_max_margin`."""
    d = A.shape[1]
    answer = linprog(
        np.ones(2 * d),
        A_ub=-np.hstack([A, -A]),
        b_ub=-right,
        bounds=(0, None),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.status != 0:
        return None
    rows = GroupRows(A[:, :, None], right)
    b, dual = (answer.x[:d] - answer.x[d:])[:, None], -answer.ineqlin.marginals
    found = GroupSolution(*feasible_pair(rows, b, dual), int(answer.nit))
    return _on_basis(rows, found)


def _on_basis(rows: GroupRows, found: GroupSolution) -> GroupSolution:
    """Solve A_JS β_S = r, A_JSᵀ α_J = sign(β_S) on the rows J with weight and the support S; keep what is better."""
    beta, alpha = found.b[:, 0], found.dual
    if not alpha.any() or not beta.any():
        return found
    active = np.flatnonzero(alpha > 1e-11 * alpha.max())
    support = np.flatnonzero(np.abs(beta) > 1e-11 * np.abs(beta).max())
    matrix = rows.B[np.ix_(active, support)][:, :, 0]
    full_beta, full_alpha = np.zeros_like(found.b), np.zeros_like(alpha)
    inverse = np.asarray(np.linalg.pinv(matrix), dtype=np.float64)
    full_beta[support, 0] = _refined(matrix, inverse, rows.representable(found.b).right[active])
    full_alpha[active] = _refined(matrix.T, inverse.T, np.sign(beta[support]))
    full_alpha = np.maximum(full_alpha, 0.0)
    _, _, gap = feasible_pair(rows, full_beta, full_alpha)
    if abs(gap) >= abs(found.gap) and _missing(rows, found.b) <= max(1e-10, _missing(rows, full_beta)):
        return found
    # as solved: scaling to feasibility again would round away the digits just gained
    return GroupSolution(full_beta, full_alpha, gap, found.iterations, polished=True)


def _missing(rows: GroupRows, b: Array) -> float:
    """The largest violation of a constraint, relative to its right side."""
    return float((1.0 - extended_product(rows.B[:, :, 0], b[:, 0]) / rows.right).max())


def _refined(matrix: Array, inverse: Array, right: Array) -> Array:
    """Least-squares solution with two refinements from long residuals: at small margins its terms nearly cancel."""
    x = inverse @ right
    for _ in range(2):
        x = x + inverse @ extended_product(np.column_stack([matrix, -right]), np.append(-x, -1.0))
    return np.asarray(x)
