"""ℓ2 max margin: the hard-margin support vector machine without intercept.

    min ‖β‖₂   s.t.  A β ≥ 1            dual:  max 1ᵀα  s.t.  α ≥ 0, ‖Aᵀα‖₂ ≤ 1

A least-distance problem (`separability.least_distance`) finds which constraints carry weight; an orthogonal
factorization of just those rows then gives β to working precision. When rounding made the first step keep a wrong row
the active set is repaired one constraint at a time, most violated first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

from solvers.separability import least_distance

Array = NDArray[np.float64]


LARGE_PREDICTOR = 1e3
"""Beyond this ‖β‖ (points of norm at most one) a float64 margin has lost more than 1e-13, and longer words are used."""


def _equality_solution(rows: Array) -> tuple[Array, Array] | None:
    """β of least norm with rows @ β = 1, and the multipliers a with β = rowsᵀ a; None when rows are dependent."""
    q, r = qr(rows.T, mode="economic")
    diagonal = np.abs(np.diag(r))
    if diagonal.min() <= 1e-14 * diagonal.max():
        return None
    coordinates = solve_triangular(r, np.ones(rows.shape[0]), trans="T")
    beta = q @ coordinates
    for _ in range(2):  # refinement: the margins of a large β are the first to lose digits
        residual = np.asarray(1.0 - accurate_margins(rows, beta), dtype=np.float64)
        beta += q @ solve_triangular(r, residual, trans="T")
    return beta, solve_triangular(r, q.T @ beta)


def accurate_margins(rows: Array, beta: Array) -> NDArray[np.floating]:
    """rows @ β; for large β accumulated in the longest machine format (80 bits on x86, float64 where that is all)."""
    if np.linalg.norm(beta) <= LARGE_PREDICTOR:
        return np.asarray(rows @ beta)
    return np.asarray(rows.astype(np.longdouble) @ beta.astype(np.longdouble))


def _smallest_margin(rows: Array, beta: Array) -> float:
    margins = rows @ beta
    near = margins <= margins.min() + 1e-6 * abs(margins.min())
    return float(accurate_margins(rows[near], beta).min())


def _repair(A: Array, active: list[int], max_repairs: int = 50) -> tuple[Array, Array, int] | None:
    """Swap constraints until every multiplier is nonnegative and every margin is at least one."""
    for repairs in range(max_repairs):
        rows = A[active]
        found = _equality_solution(rows) if len(active) <= A.shape[1] else None
        if found is None:
            return None
        beta, multipliers = found
        margins = A @ beta
        tolerance = 1e-13 * max(1.0, float(np.linalg.norm(beta)))
        if multipliers.min() < 0:
            del active[int(multipliers.argmin())]
        elif margins.min() < 1.0 - tolerance and int(margins.argmin()) not in active:
            active.append(int(margins.argmin()))
        else:
            dual = np.zeros(A.shape[0])
            dual[active] = multipliers
            return beta, dual, repairs
    return None


def l2_max_margin(A: Array) -> tuple[Array, Array, dict[str, object]]:
    """β (D,), multipliers α (N,) with β = Aᵀα, and statistics, for separable rows A (N, D).

    The rows are scaled to the largest; a relative margin below `NEGLIGIBLE_MARGIN` is the caller's to refuse.
    """
    scale = float(np.linalg.norm(A, axis=1).max())
    rows = A / scale
    alpha, distance = least_distance(rows)
    stats: dict[str, object] = {"method": "least distance (Lawson-Hanson) + QR", "relative_margin": distance}
    if distance == 0.0:
        return np.zeros(A.shape[1]), alpha, stats
    repaired = _repair(rows, np.flatnonzero(alpha > 0).tolist())
    if repaired is None:
        beta, dual = rows.T @ alpha / distance**2, alpha / distance**2
        stats["repairs"] = None
    else:
        beta, dual, stats["repairs"] = repaired
    smallest = _smallest_margin(rows, beta)
    if smallest > 0:
        beta = beta / smallest
    return beta / scale, dual / scale**2, stats
