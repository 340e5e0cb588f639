"""ℓ2 max margin: the hard-margin support vector machine without intercept, by the closest point of a hull.

    min ‖β‖₂   s.t.  A β ≥ 1            dual:  max 1ᵀα  s.t.  α ≥ 0, ‖Aᵀα‖₂ ≤ 1

The point of the convex hull of the rows that is closest to the origin,

    γ(A) = min { ‖Aᵀα‖₂ : α ≥ 0, 1ᵀα = 1 } = max { min_m ⟨a_m, β⟩ : ‖β‖₂ ≤ 1 }  or 0,

has γ = 1/‖β‖₂. It is a least-distance problem, solved by Lawson and Hanson's nonnegative least squares on

    min_u ‖ [Aᵀ; t 1ᵀ] u − (0, t) ‖₂,      β = −(first block of the residual) / (last entry · t⁻¹).

The plain choice t = 1 loses digits like ε‖β‖². With t ≈ 1/‖β‖ the loss is only ε‖β‖, so t is adapted. It says which
constraints carry weight; an orthogonal factorization of just those rows then gives β to working precision. When
rounding made the first step keep a wrong row the active set is corrected one constraint at a time, most violated first.
With D > N and an ordinary margin all of this happens in the N × N inner products, and the answer is refined on the rows
themselves.

Reference: Lawson, Hanson (1974), chapter 23 (problem LDP).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular
from scipy.optimize import nnls

from solvers.arrays import Array
from solvers.extended_precision import extended_product, power_of_two

NEGLIGIBLE_MARGIN = 1e-12
"""Below this margin, relative to the largest point, rounding in the data itself decides the sign of the margin."""

LARGE_PREDICTOR = 1e3
"""Up to this ‖β‖ (points of norm at most one) inner products of the points leave digits enough."""


def least_distance(A: Array) -> tuple[Array, float]:
    """Convex weights α (shape (N,)) of the point of conv{a_n} closest to 0, and its distance γ.

    Rows of A should have norms of order one. O(N D k) with k the number of nonzero weights.
    """
    n, d = A.shape
    # the rows enter only through their inner products, so with D > N the triangular factor serves as well
    columns: Array = np.asarray(np.linalg.qr(A.T, mode="r")) if d > n else A.T
    t = 1.0
    for _ in range(6):
        weights, _ = nnls(
            np.vstack([columns, np.full(n, t)]), np.append(np.zeros(columns.shape[0]), t), maxiter=30 * (n + d)
        )
        total = weights.sum()
        if total <= 0:  # numerically only: the first pass always takes a step
            break
        alpha = weights / total
        distance = float(np.linalg.norm(A.T @ alpha))
        if distance >= 0.1 * t or t <= NEGLIGIBLE_MARGIN:
            break
        t = max(distance, NEGLIGIBLE_MARGIN)
    return alpha, distance


def _equality_solution(rows: Array) -> tuple[Array, Array] | None:
    """β of least norm with rows @ β = 1, and the multipliers a with β = rowsᵀ a; None when rows are dependent."""
    q, r = qr(rows.T, mode="economic")
    diagonal = np.abs(np.diag(r))
    if diagonal.min() <= 1e-14 * diagonal.max():
        return None
    coordinates = solve_triangular(r, np.ones(rows.shape[0]), trans="T")
    beta = q @ coordinates
    for _ in range(2):  # refinement: the margins of a large β are the first to lose digits
        residual = 1.0 - extended_product(rows, beta)
        beta += q @ solve_triangular(r, residual, trans="T")
    return beta, solve_triangular(r, q.T @ beta)


def _smallest_margin(rows: Array, beta: Array) -> float:
    margins = rows @ beta
    near = margins <= margins.min() + 1e-6 * abs(margins.min())
    return float(extended_product(rows[near], beta).min())


def _polish(A: Array, active: list[int], max_changes: int = 50) -> tuple[Array, Array, int] | None:
    """Swap constraints until every multiplier is nonnegative and every margin is at least one."""
    for changes in range(max_changes):
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
            return beta, dual, changes
    return None


def _in_inner_products(rows: Array) -> tuple[Array, Array, int, float] | None:
    """The solution from the Cholesky factor of rows·rowsᵀ, N-dimensional; None when that has lost digits that matter.

    Inner products square the condition number, so the answer is refined and then examined on the rows themselves.
    """
    gram = rows @ rows.T
    try:
        inner = np.asarray(np.linalg.cholesky(gram), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    alpha, distance = least_distance(inner)
    found = _polish(inner, np.flatnonzero(alpha > 0).tolist()) if distance * LARGE_PREDICTOR > 1.0 else None
    if found is None:
        return None
    _, dual, changes = found
    active = np.flatnonzero(dual)
    for _ in range(2):
        beta = rows.T @ dual
        try:
            dual[active] += np.linalg.solve(gram[np.ix_(active, active)], 1.0 - rows[active] @ beta)
        except np.linalg.LinAlgError:
            return None
    beta = rows.T @ dual
    exact = dual.min() >= 0 and float((rows @ beta).min()) >= 1.0 - 1e-13 * max(1.0, float(np.linalg.norm(beta)))
    return (beta, dual, changes, distance) if exact else None


def l2_max_margin(A: Array) -> tuple[Array, Array, dict[str, object]]:
    """β (D,), multipliers α (N,) with β = Aᵀα, and statistics, for separable rows A (N, D).

    The rows are scaled to the largest; a relative margin below `NEGLIGIBLE_MARGIN` is the caller's to refuse.
    """
    # a power of two: divided by anything else the rows are rounded, which moves the margins by 1e-10 at ‖β‖ = 1e6
    scale = 2.0 * power_of_two(float(np.linalg.norm(A, axis=1).max()))
    rows = A / scale
    stats: dict[str, object] = {"method": "least distance (Lawson-Hanson) + active set"}
    if A.shape[1] > A.shape[0] and (quick := _in_inner_products(rows)) is not None:
        beta, dual, stats["active-set changes"], stats["relative_margin"] = quick
        return beta / float((rows @ beta).min()) / scale, dual / scale**2, stats
    alpha, distance = least_distance(rows)
    stats["relative_margin"] = distance
    if distance**2 == 0.0:  # the square is divided by
        return np.zeros(A.shape[1]), alpha, stats
    polished = _polish(rows, np.flatnonzero(alpha > 0).tolist())
    if polished is None:
        beta, dual = rows.T @ alpha / distance**2, alpha / distance**2
        stats["active-set changes"] = None
    else:
        beta, dual, stats["active-set changes"] = polished
    return _at_margin_one(rows, beta, dual > 0) / scale, dual / scale**2, stats


def _at_margin_one(rows: Array, beta: Array, active: NDArray[np.bool_], most: int = 12) -> Array:
    """β scaled to the margin one, the active margins as nearly one as β in float64 can have them.

    Rounding β alone moves a margin by up to (ε/2) Σ_d |x_d β_d|, 1e-10 at ‖x‖‖β‖ = 1e6, and every division rounds anew:
    the best of a few is kept.
    """
    best, nearest = beta, np.inf
    smallest = _smallest_margin(rows, beta)
    for _ in range(most):
        if not smallest > 0:
            break
        beta = beta / smallest
        smallest = _smallest_margin(rows, beta)
        spread = float(np.abs(extended_product(rows[active], beta) - 1.0).max(initial=0.0))
        if (error := max(2.0 * abs(smallest - 1.0), spread)) < nearest:
            best, nearest = beta, error
        if nearest <= 1e-12:
            break
    return best
