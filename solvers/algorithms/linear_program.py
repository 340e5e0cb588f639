"""ℓ1 max margin: a linear program, solved by HiGHS and finished on its basis.

    min ‖β‖₁   s.t.  A β ≥ 1            dual:  max 1ᵀα  s.t.  α ≥ 0, ‖Aᵀα‖_∞ ≤ 1

HiGHS answers to its own feasibility tolerance (1e-10 here); the rows that carry weight and the coefficients that are
nonzero then form a square system whose solution is exact to rounding.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from solvers.algorithms.interior_point import GroupSolution, feasible_pair
from solvers.arrays import Array
from solvers.extended_precision import extended_product, power_of_two


def l1_max_margin(A: Array) -> tuple[Array, Array, dict[str, object]] | None:
    """β (D,), multipliers α (N,) and statistics; None when HiGHS reports no optimum."""
    d = A.shape[1]
    scale = power_of_two(float(np.abs(A).max()))
    rows = A / scale
    answer = linprog(
        np.ones(2 * d),
        A_ub=-np.hstack([rows, -rows]),
        b_ub=-np.ones(rows.shape[0]),
        bounds=(0, None),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.status != 0:
        return None
    blocks = rows[:, :, None]
    b, dual, gap = feasible_pair(blocks, (answer.x[:d] - answer.x[d:])[:, None], -answer.ineqlin.marginals)
    best = _on_basis(blocks, GroupSolution(b, dual, gap, int(answer.nit)))
    stats: dict[str, object] = {
        "method": "linear program (HiGHS)",
        "iterations": best.iterations,
        "polished": best.polished,
    }
    return best.b[:, 0] / scale, best.dual / scale, stats


def _on_basis(blocks: Array, found: GroupSolution) -> GroupSolution:
    """Solve A_JS β_S = 1, A_JSᵀ α_J = sign(β_S) on the rows J with weight and the support S; keep what is better."""
    beta, alpha = found.b[:, 0], found.dual
    rows = np.flatnonzero(alpha > 1e-11 * alpha.max())
    support = np.flatnonzero(np.abs(beta) > 1e-11 * np.abs(beta).max())
    matrix = blocks[np.ix_(rows, support)][:, :, 0]
    full_beta, full_alpha = np.zeros_like(beta), np.zeros_like(alpha)
    full_beta[support] = _refined(matrix, np.ones(rows.size))
    full_alpha[rows] = _refined(matrix.T, np.sign(beta[support]))
    full_alpha = np.maximum(full_alpha, 0.0)
    _, _, gap = feasible_pair(blocks, full_beta[:, None], full_alpha)
    if abs(gap) >= abs(found.gap):
        return found
    # as solved: scaling to feasibility again would round away the digits just gained
    return GroupSolution(full_beta[:, None], full_alpha, gap, found.iterations, polished=True)


def _refined(matrix: Array, right: Array) -> Array:
    """Least-squares solution with two refinements from long residuals: at small margins its terms nearly cancel."""
    inverse = np.linalg.pinv(matrix)
    x = inverse @ right
    for _ in range(2):
        x = x + inverse @ extended_product(np.column_stack([matrix, -right]), np.append(-x, -1.0))
    return np.asarray(x)
