"""Which rows can be classified strictly, all others kept at zero: the one split of data that do not separate.

The rows of A split in one way into a separable part S and the rest C such that

    some u has   ⟨a_n, u⟩ > 0 on S,  ⟨a_n, u⟩ = 0 on C,
    some α has   α_n > 0 on C,  α_n = 0 on S,  Aᵀα = 0.

Each proves its half: by u no α ≥ 0 with Aᵀα = 0 has weight on S, by α no β with Aβ ≥ 0 has a positive margin on C. The
split is found by one linear program,

    max Σ s_n   s.t.   A β ≥ s,  0 ≤ s ≤ 1,

whose optimum has s = 1 on S and 0 on C. Its answer is not believed: u and α are computed from the split, and examined.

u needs the null space of the rows of C, and whether rows are dependent is a matter of their last digits. So it is
decided in exact arithmetic, of the float64 numbers as they are given, where that takes a second at most.

Reference: Ji, Telgarsky (2019), for the split; Goldman, Tucker (1956), for its existence and uniqueness.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack

from solvers.algorithms.exact_null_space import PRODUCTS, integers, null_space, too_large
from solvers.algorithms.finite_minimum import finite_minimum
from solvers.algorithms.least_distance import NEGLIGIBLE_MARGIN, l2_max_margin, least_distance
from solvers.algorithms.signed_rows import SignedRows, dense
from solvers.arrays import Array
from solvers.card import Card
from solvers.extended_precision import extended_product, powers_of_two
from solvers.margin_losses import LogExponentialLoss
from solvers.solution import IllConditionedError

EPS = float(np.finfo(np.float64).eps)
UNRESOLVED = 1e-10
"""A relative margin, or a residual, that is neither rounding nor clearly more than that."""
CLEAR = 1e-14
"""A leak or residual up to which nothing but rounding is in doubt."""
DEPENDENT = 1e-12
"""Singular values below this part of the largest are rounding, for rows and columns scaled to about one."""


class SplitProof(Enum):
    """What is proved about a split. The value is the sentence to read.

    >>> print(SplitProof.EXACT)
    Proved for the numbers as they are given, in exact arithmetic.
    """

    EXACT = "Proved for the numbers as they are given, in exact arithmetic."
    ROUNDING = "Holds for data that differ from those given by rounding; the residuals say by how much."

    def __str__(self) -> str:
        return self.value


class SplitNotResolvedError(IllConditionedError):
    """Some rows are separable, or not, by a relative margin of the order of rounding."""

    def __init__(self, relative_margin: float) -> None:
        super().__init__(relative_margin, "the split is not resolved")

    def __str__(self) -> str:
        return (
            f"which constraints can be separated is not resolved in float64: it rests on relative margins of "
            f"{self.relative_margin:.1e} or less. Remove points that nearly contradict each other, or columns that "
            "nearly depend on each other, or give features more digits"
        )


@dataclass(frozen=True, repr=False)
class SeparablePart(Card):
    """The split of rows a_n (M, D), with its two certificates.

    Its numbers are those of rows and u with the columns scaled to largest entries of about one, then the rows and u to
    norm one: they do not depend on the units of the data.
    """

    separable: NDArray[np.bool_]
    """Which rows are the separable part S, shape (M,)."""
    span: Array = field(repr=False)
    """An orthonormal basis of the span of the rest, shape (r, D)."""
    complement: Array = field(repr=False)
    """An orthonormal basis of its orthogonal complement, shape (D − r, D)."""
    direction: Array = field(repr=False)
    """u, unit length, shape (D,): zero on C, positive on S; the zero vector where S is empty."""
    multipliers: Array = field(repr=False)
    """α, shape (M,): positive on C, zero on S, Aᵀα = 0, largest entry one; zero where C is empty."""
    margin: float
    """min over S of ⟨a_n, u⟩; inf where S is empty."""
    leak: float
    """max over C of |⟨a_n, u⟩|: rounding."""
    residual: float
    """‖Aᵀα‖₂ / Σ α: rounding."""
    proof: SplitProof
    """What u and α prove."""


def separable_part(A: Array | SignedRows) -> SeparablePart:
    """The split of the rows of A.

    Raises:
        IllConditionedError: float64 does not resolve it: a row counts as separable by a margin of the order of
            rounding, and no split is proved exactly.
    """
    rows = dense(SignedRows.of(A)[:])
    unit = _scaled(rows)[0]
    likely = _split(unit)
    first = None if likely is None else _examined(rows, likely)
    if first is not None and (first.proof is SplitProof.EXACT or _resolved(first, CLEAR)):
        return first
    # what is too small for the linear program may be all there is in doubt
    every = np.ones(len(rows), dtype=bool)
    for other in (every, ~every):
        part = _examined(rows, other)
        if part.proof is SplitProof.EXACT:
            return part
    if first is None or not _resolved(first, UNRESOLVED):
        nonzero = unit.any(axis=1)
        distance = least_distance(unit[nonzero])[1] if nonzero.any() else 0.0
        seen = 0.0 if first is None or not np.isfinite(first.margin) else first.margin
        raise SplitNotResolvedError(max(distance, min(seen, UNRESOLVED), EPS))
    return first


def _resolved(part: SeparablePart, rounding: float) -> bool:
    return part.margin > UNRESOLVED and max(part.leak, part.residual) < rounding


def _examined(rows: Array, separable: NDArray[np.bool_]) -> SeparablePart:
    """A split with its two certificates, and what they prove."""
    unit, columns, lengths = _scaled(rows)
    rest = _scaled(rows[~separable])
    basis = _row_space(rest[0])
    span, complement = _orthonormal(basis * rest[1])
    direction = _direction(rows[separable], complement)
    multipliers = np.zeros(len(rows))
    multipliers[~separable] = _multipliers(rest[0] @ basis.T, rest[2])
    margins = extended_product(unit, direction * columns) / max(float(np.linalg.norm(direction * columns)), 1e-300)
    margin = float(margins[separable].min(initial=np.inf))
    leak = float(np.abs(margins[~separable]).max(initial=0.0))
    combination = extended_product(unit.T, multipliers * lengths)
    residual = float(np.linalg.norm(combination)) / max(float(multipliers @ lengths), 1e-300)
    exact = _proved(rows, separable, direction, multipliers, span.shape[0])
    proof = SplitProof.EXACT if exact else SplitProof.ROUNDING
    return SeparablePart(separable, span, complement, direction, multipliers, margin, leak, residual, proof)


def _scaled(rows: Array) -> tuple[Array, Array, Array]:
    """Rows with columns of largest entry in [1, 2), then of norm one; zero stays zero. Both scales: columns, rows."""
    size = np.abs(rows).max(axis=0, initial=0.0)
    columns = powers_of_two(np.where(size > 0, size, 1.0))
    norms = np.linalg.norm(rows / columns, axis=1)
    lengths = np.where(norms > 0, norms, 1.0)
    return rows / columns / lengths[:, None], columns, lengths


def _split(rows: Array) -> NDArray[np.bool_] | None:
    """S by the linear program; rows of norm one, or zero. None where it has no answer."""
    n, d = rows.shape
    nonzero = np.flatnonzero(rows.any(axis=1))
    separable = np.zeros(n, dtype=bool)
    if nonzero.size == 0:
        return separable
    unit = rows[nonzero]
    if nonzero.size == n and least_distance(unit)[1] > NEGLIGIBLE_MARGIN:
        return ~separable
    answer = linprog(
        np.concatenate([np.zeros(d), -np.ones(len(unit))]),
        A_ub=hstack([csr_array(-unit), eye_array(len(unit))], format="csr"),
        b_ub=np.zeros(len(unit)),
        bounds=[(None, None)] * d + [(0.0, 1.0)] * len(unit),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.status != 0:
        return None
    separable[nonzero] = answer.x[d:] > 0.5
    return separable


def _row_space(unit: Array) -> Array:
    """An orthonormal basis, by rows, of the span of rows of norm one or zero."""
    _, sigma, basis = np.linalg.svd(unit, full_matrices=False)
    return np.asarray(basis[: int((sigma > DEPENDENT * sigma.max(initial=0.0)).sum())])


def _orthonormal(basis: Array) -> tuple[Array, Array]:
    """Orthonormal bases, by rows, of the span of some rows and of its complement."""
    rank, d = basis.shape
    q = qr(basis.T)[0] if rank else np.eye(d)
    return np.ascontiguousarray(q[:, :rank].T), np.ascontiguousarray(q[:, rank:].T)


def _direction(rows: Array, complement: Array) -> Array:
    """A unit vector of the complement with positive margins on the rows: the max margin of their parts there."""
    projected = rows @ complement.T
    lengths = np.linalg.norm(projected, axis=1)
    if len(rows) == 0 or not lengths.all():
        return np.zeros(rows.shape[1])
    u = l2_max_margin(projected / lengths[:, None])[0] @ complement
    size = float(np.linalg.norm(u))
    return np.asarray(u / size) if 0 < size < np.inf else np.zeros(rows.shape[1])


def _multipliers(rows: Array, lengths: Array) -> Array:
    """Positive weights α with Σ α_n a_n = 0, largest one, where a_n = lengths_n · row n: those of the least loss."""
    if len(rows) == 0:
        return np.zeros(0)
    weights = finite_minimum(rows, LogExponentialLoss()).weights / lengths
    return np.asarray(weights / weights.max())


def _proved(rows: Array, separable: NDArray[np.bool_], u: Array, alpha: Array, rank: int) -> bool:
    """Whether exact vectors near u and α prove the split of these very numbers."""
    rest, d = rows[~separable], rows.shape[1]
    basis = _independent(rest, alpha[~separable], rank)
    if not _multipliers_are_exact(rest, alpha[~separable], basis):
        return False
    if rank == d:
        return not separable.any()
    if rest.size * (d - rank) > PRODUCTS or too_large(rest[basis]):
        return False
    null = null_space(rest[basis])
    if null is None or not null.annihilates(integers(rest)):
        return False
    return bool((integers(rows[separable]) @ null.lifted(u) > 0).all())


def _independent(rows: Array, weights: Array, rank: int) -> NDArray[np.intp]:
    """`rank` independent rows, of large weight where there is a choice."""
    if rank == 0:
        return np.zeros(0, dtype=np.intp)
    size = np.abs(rows).max(axis=0)
    scaled = rows / np.where(size > 0, size, 1.0) * np.maximum(weights, EPS * weights.max(initial=1.0))[:, None]
    return np.asarray(qr(scaled.T, mode="r", pivoting=True)[1][:rank], dtype=np.intp)


def _multipliers_are_exact(rows: Array, alpha: Array, basis: NDArray[np.intp]) -> bool:
    """Whether rowsᵀ(α + δ) = 0 for some δ on the rows of the basis, smaller than α there, if they span all rows.

    ‖δ‖₂ ≤ ‖rowsᵀα‖₂ / σ_min(basis), both bounded with their rounding errors, after exact scaling by powers of two.
    """
    if not (alpha > 0).all():
        return False
    if basis.size == 0:
        return True
    size = np.abs(rows[basis]).max(axis=0)
    columns = powers_of_two(np.where(size > 0, size, 1.0))
    chosen = rows[basis] / columns
    lengths = powers_of_two(np.linalg.norm(chosen, axis=1))
    sigma = np.linalg.svd(chosen / lengths[:, None], compute_uv=False)
    smallest = sigma[-1] - 10.0 * sum(chosen.shape) * EPS * sigma[0]
    long = np.finfo(np.longdouble)
    terms = np.abs(rows / columns).T @ alpha
    combination = np.abs((rows / columns).T.astype(np.longdouble) @ alpha.astype(np.longdouble))
    bound = float(np.linalg.norm((combination + 2.0 * len(rows) * long.eps * terms).astype(np.float64)))
    return bool(smallest > 0 and (alpha[basis] * lengths > 1.01 * bound / smallest).all())
