"""Group-norm max margin with many more groups than constraints: solved on the groups that matter.

    min Σ_g ‖b_g‖₂   s.t.  Σ_g B_g b_g ≥ r          dual:  max rᵀα  s.t.  α ≥ 0, ‖B_gᵀα‖₂ ≤ 1 for every g

A minimizer has at most about N nonzero groups. The multipliers of a solution on some groups say which others it lacks:
those with ‖B_gᵀα‖₂ > 1. They are added until the scaled α closes the duality gap with all groups.

Reference: Gilmore, Gomory (1961), for the method in linear programming.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from solvers.algorithms.factorizations import Real
from solvers.algorithms.group_rows import GroupSolution
from solvers.algorithms.interior_point import group_max_margin
from solvers.algorithms.least_distance import least_distance
from solvers.arrays import Array


def group_max_margin_by_columns(rows: Array, right: Array, blocks: Callable[[Real], Real], tol: float) -> GroupSolution:
    """As `group_max_margin`, with which it solves on 3N coordinates and more."""
    n, (_, G, m) = len(rows), blocks(rows[:1]).shape
    size = -(-3 * n // m)
    if 2 * size >= G:
        return group_max_margin(rows, right, blocks, tol)
    B = blocks(rows)
    prices = _norms(B, least_distance(rows)[0])
    chosen = np.argpartition(-prices, size)[:size]
    while True:
        part = B[:, chosen].reshape(n, -1)
        found = group_max_margin(part, right, lambda some: some.reshape(len(some), -1, m), tol)
        prices = _norms(B, found.dual)
        largest = float(prices.max())
        b = np.zeros((G, m), dtype=found.b.dtype)
        b[chosen] = found.b
        value = float(np.linalg.norm(found.b, axis=1).sum())
        gap = 1.0 - float(right @ found.dual) / largest / value if np.isfinite(found.gap) else np.inf
        prices[chosen] = 0.0
        # a sum over few groups may separate nothing: then every group that its Farkas weights see is of use
        new = np.flatnonzero(prices > (1.0 if np.isfinite(gap) else 0.0))
        if gap <= tol or new.size == 0:
            return replace(found, b=b, dual=found.dual / largest, gap=gap)
        chosen = np.union1d(chosen, new[np.argsort(-prices[new])][:size])


def _norms(B: Array, dual: Real) -> Array:
    """‖B_gᵀα‖₂, (G,)."""
    z = np.asarray(dual, dtype=np.float64) @ B.reshape(len(B), -1)
    return np.asarray(np.linalg.norm(z.reshape(B.shape[1:]), axis=1))
