"""The constraints Xβ = y in an orthonormal basis of the rows of X: Qβ = b, with Q = (rank, D).

X is scaled row by row (by powers of two, which round nothing). Which rows depend on others is decided on X with its
columns scaled as well, by QR with pivoting: it does not depend on units. The others are factored by QR, largest columns
of X first, which keeps the digits of small columns. Newton's matrix Q diag(c) Qᵀ is then as well conditioned as c
allows, however the rows lie.

Reference: Cox, Higham (1998), for the order in which QR keeps the digits of small rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular
from scipy.optimize import linprog, lsq_linear

from solvers.arrays import Array
from solvers.extended_precision import extended_product, powers_of_two

DEPENDENT = 1e-13
"""Rows of norm one, their columns scaled to one as well, that are closer than this to the span of others count as
combinations of them. Rounding leaves a few ε·√D; data with 13 digits in common with others determine nothing."""
ROUNDS = 8
"""Of scaling rows and columns in turn: every one squares what is left to scale, or nearly."""

FROZEN = "as some coefficients cannot leave zero from this start"
LOCKED = "with the signs that this start fixes"


class InconsistentDataError(ValueError):
    """No predictor fits the data: there is nothing to minimize over.

    Attributes:
        combination: c (shape (N,)) with Xᵀc ≈ 0 and ⟨c, y⟩ ≠ 0, so that Xβ = y cannot hold. Where coefficients are
            bounded (a start that fixes their signs), Xᵀc ≥ 0 or ≤ 0 as their signs ask and ⟨c, y⟩ has the other sign.
        residual: ‖y − Xβ‖₂/‖y‖₂ of the nearest Xβ.
    """

    def __init__(self, combination: Array, residual: float, why: str = "") -> None:
        self.combination = combination
        self.residual = residual
        involved = np.flatnonzero(np.abs(combination) > 1e-12 * np.abs(combination).max())
        shown = ", ".join(map(str, involved[:8])) + (", …" if involved.size > 8 else "")
        reason = why or "to rounding: the rows of X depend on each other in float64 and y does not follow"
        super().__init__(
            f"no predictor fits the data: Xβ = y has no solution, {reason} (relative residual {residual:.1e}; a "
            f"combination of rows [{shown}] that shows it is in `error.combination`). Remove or correct such rows, or "
            "give X more columns."
        )


class Interpolated(NamedTuple):
    """What a method found: β (flat) and the multipliers in the basis, Xᵀν = Qᵀμ."""

    beta: Array
    multipliers: Array
    iterations: int


@dataclass(frozen=True)
class Found:
    """β (in the problem's shape) and multipliers ν (one a constraint, any scale), of which nothing is proved yet."""

    beta: Array
    dual: Array
    stats: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Qβ = b, the consistent constraints on flat β. Columns of coefficients that cannot move are zero."""

    Q: Array
    """Orthonormal rows, shape (rank, D)."""
    b: Array
    """Shape (rank,)."""
    live: NDArray[np.bool_]
    """Which coefficients can move, of the shape of a predictor of one output."""
    _scales: Array
    _kept: NDArray[np.intp]
    _factor: Array
    _count: int

    @classmethod
    def of(cls, X: Array, y: Array, live: NDArray[np.bool_]) -> RowSpace:
        """Factor X (N, D) on the coefficients that can move. Raises InconsistentDataError for y not in its range."""
        X = X * live.reshape(-1)
        norms = np.sqrt(np.einsum("nd,nd->n", X, X))
        scales = powers_of_two(np.where(norms > 0, norms, 1.0))
        rows, target = X / scales[:, None], y / scales
        kept = independent_rows(rows)
        order = np.argsort(-np.abs(rows).max(axis=0, initial=0.0), kind="stable")
        columns, factor = qr(rows[kept][:, order].T, mode="economic")
        b = solve_triangular(factor, target[kept], trans="T") if kept.size else np.zeros(0)
        Q = np.empty((kept.size, X.shape[1]))
        Q[:, order] = columns.T
        if kept.size:  # one refinement with long residuals: b has the digits of y
            off = target[kept] - extended_product(rows[kept], b @ Q)
            b = b + solve_triangular(factor, off, trans="T")
        missing = target - rows @ (b @ Q)
        # row by row: of rows and targets of one size each its own digits count
        worst = np.abs(missing) / np.maximum(np.linalg.norm(rows, axis=1) * np.linalg.norm(b) + np.abs(target), 1e-300)
        if float(worst.max(initial=0.0)) > 1e-10:
            combination = missing - rows @ np.linalg.lstsq(rows, missing, rcond=DEPENDENT)[0]
            combination = combination / (scales * float(np.abs(combination / scales).max()))
            best = X @ np.linalg.lstsq(X, y, rcond=None)[0]
            residual = float(np.linalg.norm(y - best) / np.linalg.norm(y))
            raise InconsistentDataError(combination, residual, "" if live.all() else FROZEN)
        return cls(Q, b, live, scales, kept, factor, y.size)

    def multipliers(self, mu: Array) -> Array:
        """ν with Xᵀν = Qᵀμ; zero on rows that depend on others. Shape (N,)."""
        nu = np.zeros(self._count)
        if self._kept.size:
            nu[self._kept] = solve_triangular(self._factor, mu) / self._scales[self._kept]
        return nu


def independent_rows(rows: Array) -> NDArray[np.intp]:
    """The indices of rows whose span holds all others, to within `DEPENDENT` of rows and columns scaled to one."""
    table = np.abs(rows)
    columns = np.ones(rows.shape[1])
    for _ in range(ROUNDS):
        for axis in (0, 1):
            size = table.max(axis=axis, initial=0.0)
            scale = powers_of_two(np.where(size > 0, size, 1.0))
            table = table / (scale if axis == 0 else scale[:, None])
            columns = columns * scale if axis == 0 else columns
    scaled = rows / columns
    norms = np.linalg.norm(scaled, axis=1)
    triangle, order = qr((scaled / np.where(norms > 0, norms, 1.0)[:, None]).T, mode="r", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    return np.asarray(order[: int((sizes > DEPENDENT * max(float(sizes.max(initial=0.0)), 1e-300)).sum())])


def raise_outside_bounds(X: Array, y: Array, low: Array, high: Array) -> None:
    """Raise InconsistentDataError where Xβ = y has no solution with low ≤ β ≤ high, each end 0 or infinite.

    By a linear program (Farkas): max ⟨c, y⟩ s.t. Xᵀc ≤ 0 where β may be positive, ≥ 0 where it may be negative,
    |c| ≤ 1. A positive maximum shows it.
    """
    if np.isneginf(low).all() and np.isposinf(high).all():
        return
    size = powers_of_two(np.maximum(np.abs(X).max(axis=1), 1e-300))
    rows, target = X / size[:, None], y / size
    above, below = rows[:, high > 0].T, -rows[:, low < 0].T
    signed = np.vstack([above, below])
    found = linprog(-target / (np.abs(target).max() or 1.0), A_ub=signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1))
    if found.status == 0 and -found.fun > 1e-9:
        nearest = lsq_linear(X, y, bounds=(low - (low == high), high + (low == high)))
        raise InconsistentDataError(found.x / size, float(np.linalg.norm(nearest.fun) / np.linalg.norm(y)), LOCKED)
