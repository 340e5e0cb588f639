"""ℓ2 max margin: the hard-margin support vector machine without intercept, by the closest point of a hull.

    min ‖β‖₂   s.t.  A β ≥ 1            dual:  max 1ᵀα  s.t.  α ≥ 0, ‖Aᵀα‖₂ ≤ 1

The point of the convex hull of the rows that is closest to the origin,

    γ(A) = min { ‖Aᵀα‖₂ : α ≥ 0, 1ᵀα = 1 } = max { min_m ⟨a_m, β⟩ : ‖β‖₂ ≤ 1 }  or 0,

has γ = 1/‖β‖₂. With an ordinary margin it is found in the inner products of the rows (`dual_newton`) and refined on the
rows themselves. Where the margin is small, inner products lose too many digits. Then it is a least-distance problem,
solved by Lawson and Hanson's nonnegative least squares on

    min_u ‖ [Aᵀ; t 1ᵀ] u − (0, t) ‖₂,      β = −(first block of the residual) / (last entry · t⁻¹).

The plain choice t = 1 loses digits like ε‖β‖². With t ≈ 1/‖β‖ the loss is only ε‖β‖, so t is adapted. It says which
constraints carry weight; an orthogonal factorization of just those rows then gives β to working precision. When
rounding made the first step keep a wrong row the active set is corrected one constraint at a time, most violated first.

Many rows are solved on a working set: the rows that carry weight and those of smallest margin, until no other row is
violated.

Reference: Lawson, Hanson (1974), chapter 23 (problem LDP).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, qr, solve_triangular
from scipy.optimize import nnls

from solvers.algorithms.dual_newton import dual_newton
from solvers.algorithms.factorizations import cholesky, cholesky_solve
from solvers.algorithms.signed_rows import SignedRows, dense
from solvers.arrays import Array
from solvers.extended_precision import extended_product, power_of_two

NEGLIGIBLE_MARGIN = 1e-12
"""Below this margin, relative to the largest point, rounding in the data itself decides the sign of the margin."""

EXACT = 1e-13
"""The relative accuracy asked of the last working set."""

_SMALLEST_SET, _LARGEST_SET = 300, 1000
"""Sizes between which a working set starts, and grows by: the number of columns, if it lies between them."""


@dataclass(frozen=True)
class _Closest:
    """A solution on some rows: multipliers α with β = Aᵀα of margin one, and γ; weights of the hull where γ = 0."""

    beta: Array
    dual: Array
    distance: float
    stats: dict[str, object] = field(default_factory=dict)


Solve = Callable[[Any, Array, float], _Closest]
"""A solution on rows, from multipliers to start at, to a relative accuracy."""


def least_distance(A: Array | SignedRows) -> tuple[Array, float]:
    """Convex weights α (shape (N,)) of the point of conv{a_n} closest to 0, and its distance γ.

    Rows of A should have norms of order one. O(N D k) with k the number of nonzero weights.
    """
    found = _on_working_set(SignedRows.of(A), _closest)
    return found.dual / found.dual.sum(), found.distance


def l2_max_margin(
    A: Array | SignedRows, start: Array | None = None, accuracy: float = EXACT
) -> tuple[Array, Array, dict[str, object]]:
    """β (D,), multipliers α (N,) with β = Aᵀα, and statistics, for separable rows A (N, D).

    The rows are scaled to the largest; a relative margin below `NEGLIGIBLE_MARGIN` is the caller's to refuse. `start`
    are multipliers near the answer's, `accuracy` is relative.
    """
    rows = SignedRows.of(A)
    # a power of two: divided by anything else the rows are rounded, which moves the margins by 1e-10 at ‖β‖ = 1e6
    scale = 2.0 * power_of_two(float(rows.norms().max()))
    found = _on_working_set(
        rows.scaled(1.0 / scale), _max_margin, None if start is None else start * scale**2, accuracy
    )
    return found.beta / scale, found.dual / scale**2, found.stats | {"relative_margin": found.distance}


def _on_working_set(rows: SignedRows, solve: Solve, start: Array | None = None, last: float = EXACT) -> _Closest:
    """The solution on all rows, from solutions on a few of them."""
    n, d = rows.shape
    size = min(max(d, _SMALLEST_SET), _LARGEST_SET)
    dual = np.zeros(n) if start is None else start
    if n <= 2 * size:
        return solve(rows[:], dual, last)
    chosen = np.arange(0, n, n // size)
    accuracy, nearest = 1e-2, np.inf
    while True:
        found = solve(rows[chosen], dual[chosen], accuracy)
        dual = np.zeros(n)
        dual[chosen] = found.dual
        if found.distance <= NEGLIGIBLE_MARGIN:
            break
        margins = rows.products(found.beta)
        margins[chosen] += margins.max()  # not to be chosen again before any other row
        if float(margins.min()) >= 1.0 - last * max(1.0, 1.0 / found.distance):
            if accuracy == last:
                break
            accuracy = last
            continue
        # each set of rows moves the hull nearer; where rounding denies that, no row is dropped any more
        kept = chosen if found.distance >= nearest else np.flatnonzero(dual)
        nearest = found.distance if accuracy == last else nearest
        chosen = np.union1d(kept, np.argpartition(margins, size)[:size])
    return replace(found, dual=dual)


def _closest(rows: Any, start: Array, accuracy: float) -> _Closest:
    """The closest point of the hull of a few rows."""
    quick = _in_inner_products(rows, start, accuracy)
    if quick is not None:
        return quick
    A = dense(rows)
    alpha, distance = _nearest_by_nnls(A)
    square = max(distance, NEGLIGIBLE_MARGIN) ** 2
    return _Closest(A.T @ alpha / square, alpha / square, distance)


def _max_margin(rows: Any, start: Array, accuracy: float) -> _Closest:
    """The max margin of a few rows of norm at most one."""
    quick = _in_inner_products(rows, start, accuracy)
    if quick is not None:
        return quick
    A = dense(rows)
    alpha, distance = _nearest_by_nnls(A)
    stats: dict[str, object] = {"method": "least distance (Lawson-Hanson) + active set"}
    if distance**2 == 0.0:  # the square is divided by
        return _Closest(np.zeros(A.shape[1]), alpha, distance, stats)
    polished = _polish(A, np.flatnonzero(alpha > 0).tolist())
    if polished is None:
        beta, dual = A.T @ alpha / distance**2, alpha / distance**2
        stats["active-set changes"] = None
    else:
        beta, dual, stats["active-set changes"] = polished
    return _Closest(_at_margin_one(A, beta, dual > 0), dual, distance, stats)


def _in_inner_products(rows: Any, start: Array, accuracy: float) -> _Closest | None:
    """The solution from the inner products of the rows; None where that has lost digits that matter.

    Inner products square the condition number, so an exact answer is refined and then examined on the rows themselves.
    """
    gram = dense(rows @ rows.T)
    dual, gap = dual_newton(gram, start, accuracy)
    if gap > max(accuracy, 1e-9):
        return None
    active = np.flatnonzero(dual)
    beta = np.asarray(rows.T @ dual)
    if accuracy == EXACT:
        support = rows[active]
        system = gram[active[:, None], active]
        system.flat[:: active.size + 1] += 1e-11  # dependent rows share their correction
        try:
            factor = cholesky(system)
        except LinAlgError:
            return None
        for _ in range(2):  # of β itself: as Aᵀα with a rounded α it would lose digits like ε‖β‖²
            correction = cholesky_solve(factor, 1.0 - extended_product(support, beta))
            dual[active] += correction
            beta += np.asarray(support.T @ correction)
        dual = np.maximum(dual, 0.0)
    size, smallest = float(np.linalg.norm(beta)), float((rows @ beta).min())
    if not smallest > 0 or (accuracy == EXACT and smallest < 1.0 - EXACT * max(1.0, size)):
        return None
    return _Closest(beta / smallest, dual, 1.0 / size, {"method": "augmented Lagrangian in inner products"})


def _nearest_by_nnls(A: Array) -> tuple[Array, float]:
    """Convex weights of the point of the hull closest to 0, and its distance, by nonnegative least squares."""
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
