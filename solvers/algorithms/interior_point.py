"""Group-norm max margin by a self-dual interior-point method, finished on the active set.

    min Σ_g ‖b_g‖₂   s.t.  Σ_g B_g b_g ≥ r          dual:  max rᵀα  s.t.  α ≥ 0, ‖B_gᵀα‖₂ ≤ 1 for every g

with N constraints and G groups of m coordinates: B has shape (N, G, m), r > 0. In the Fourier domain a group is a pair
of conjugate frequencies (m = 2: real and imaginary part); for ℓ1 a group is a coefficient.

The path is that of `solvers.algorithms.self_dual_path`. Newton's method on the optimality conditions of the groups and
constraints found active takes the gap to rounding, where these are nondegenerate; it is tried early, as it saves the
rest of the path. Where rounding ends the path above `tol` and the problem is small, it is followed again in the
machine's longest format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from solvers.algorithms.active_set import newton_on_support
from solvers.algorithms.factorizations import Real
from solvers.algorithms.group_rows import GroupRows, GroupSolution, feasible_pair
from solvers.algorithms.least_distance import least_distance
from solvers.algorithms.self_dual_path import InteriorPoint
from solvers.arrays import Array

LONG_UP_TO = 2e7
"""N² G m up to which an iteration in the longest format takes less than a tenth of a second."""

EARLY = 1e-6
"""Relative gap at which a first polish is tried. On Gaussian data a few groups too many are still found active then."""

_EARLY_STEPS = 12

FAR_BELOW = 0.02
"""Part of the tolerance at which a polish in the longest format ends: Newton's steps, solved in float64, need not reach
a thousandth of it."""


def group_max_margin(rows: Array, right: Array, blocks: Callable[[Real], Real], tol: float) -> GroupSolution:
    """b and α of the group-norm max margin, both feasible, with their duality gap; inf for rows that do not separate.

    `blocks` makes B (N, G, m) of rows (N, D) in either format. Rows should have norms of order one, right sides at most
    one.

    When there are many more rows than unknowns it is solved on the rows that matter: start from the rows nearest to
    the closest point of their hull, add the most violated ones, repeat; each round costs as if N were a few times the
    number of unknowns.
    """
    n, unknowns = rows.shape[0], blocks(rows[:1]).size
    if n <= 4 * unknowns:
        return _solve(rows, right, blocks, tol)
    alpha, _ = least_distance(rows)
    chosen = np.argsort(rows @ (alpha @ rows))[: 2 * unknowns]
    while True:
        part = _solve(rows[chosen], right[chosen], blocks, tol)
        found = replace(part, dual=np.zeros(n, dtype=part.dual.dtype))
        found.dual[chosen] = part.dual
        if not np.isfinite(part.gap):
            return found
        violation = right - GroupRows(blocks(rows), right).margins(part.b)
        worst = np.argsort(-violation / right)[:unknowns]
        new = np.setdiff1d(worst[violation[worst] > 1e-12 * right[worst]], chosen)
        if new.size == 0:
            return found
        chosen = np.concatenate([chosen, new])


def _solve(rows: Array, right: Array, blocks: Callable[[Real], Real], tol: float) -> GroupSolution:
    """In float64; where the gap stays open carefully, and in the longest format if that takes seconds at most."""
    B = blocks(rows)
    found = _follow(GroupRows(B, right), tol, 1e-3 * tol)
    if abs(found.gap) <= tol:
        return found
    if len(B) * B.size <= LONG_UP_TO:
        long = GroupRows(blocks(rows.astype(np.longdouble)), right.astype(np.longdouble))
        again = _follow(long, 1e-3 * tol, FAR_BELOW * tol, careful=True)
    else:
        again = _follow(GroupRows(B, right), tol, 1e-3 * tol, careful=True)
    return again if abs(again.gap) < abs(found.gap) or not np.isfinite(again.gap) else found


def _follow(rows: GroupRows, tol: float, enough: float, careful: bool = False) -> GroupSolution:
    """The path and its polish; once more with larger right sides where rounding b could violate a constraint."""
    found = _polished_path(rows, tol, enough, careful)
    if np.isfinite(found.gap) and (raised := rows.representable(found.b)).right.sum() > rows.right.sum():
        found = _polished_path(raised, tol, enough, careful)
    return found


def _polished_path(rows: GroupRows, tol: float, enough: float, careful: bool) -> GroupSolution:
    """The polish of the path's end, tried once on the way: where its gap is `enough`, the rest of the path is saved."""
    path = InteriorPoint(rows, careful)
    if tol < EARLY:
        found = polish(rows, path.follow(EARLY), early=True)
        if found.polished and abs(found.gap) <= enough:
            return found
    return polish(rows, path.follow(tol), enough=enough)


def polish(rows: GroupRows, start: GroupSolution, early: bool = False, enough: float = 0.0) -> GroupSolution:
    """Newton's method on the groups and rows found active. Returns the better of start and result.

    A result with a gap of `enough` is the better one: its zeros and active rows let it be rounded with care.
    An `early` polish drops those that it finds inactive, and ends where that is not enough.
    """
    B, slack = rows.B, rows.margins(start.b) - rows.right
    active = np.flatnonzero(start.dual * start.dual.size > slack * start.dual.sum())
    sizes = np.linalg.norm(start.b, axis=1)
    inside = 1.0 - np.linalg.norm(np.tensordot(start.dual, B, axes=1), axis=1)
    groups = np.flatnonzero(sizes * sizes.size > inside * sizes.sum())
    if not np.isfinite(start.gap) or active.size == 0 or groups.size == 0:
        return start
    if active.size + groups.size * B.shape[2] > 4000:
        return start
    omega, steps = np.ones(B.shape[1]), _EARLY_STEPS if early else 30
    found = newton_on_support(
        B, omega, 1.0, start.b, start.dual, groups, active, right=rows.right, max_steps=steps, drop=early
    )
    if found is None:
        return start
    b, dual, gap = feasible_pair(rows, *found)
    return (
        GroupSolution(b, dual, gap, start.iterations, polished=True)
        if abs(gap) < max(abs(start.gap), enough)
        else start
    )
