"""The null space of rows of float64 numbers in exact arithmetic.

Every float64 number is an integer times a power of two, so rows are integers up to a factor each. Fraction-free
elimination brings them to reduced echelon form with integers only,

    [ d I  E ] on the pivot and the free columns,     so that     N = [ −E ; d I ],   B N = 0.

Reference: Bareiss (1968), "Sylvester's identity and multistep integer-preserving Gaussian elimination".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array

LARGEST = 500_000_000
"""Of r³D·bits for r rows in D dimensions: about a second."""
PRODUCTS = 5_000_000
"""Of integers that a check of all rows may cost: about a second."""


def integers(rows: Array) -> NDArray[Any]:
    """Each row times a number > 0, so that it is integers without a common divisor: Python's, which do not overflow."""
    mantissa, exponent = np.frexp(rows)
    whole = np.ldexp(mantissa, 53).astype(np.int64).astype(object)
    shift = np.where(mantissa != 0, exponent, np.iinfo(np.int32).max)
    shift = np.where(mantissa != 0, exponent - shift.min(axis=-1, keepdims=True), 0)
    scaled = whole * (1 << shift.astype(object))
    divisor = np.gcd.reduce(abs(scaled), axis=-1, keepdims=True)  # of one number: itself
    return np.asarray(scaled // np.where(divisor == 0, 1, divisor))


def too_large(rows: Array) -> bool:
    """Whether the null space of these rows would take more than about a second."""
    bits = max((int(abs(v)).bit_length() for v in integers(rows).flat), default=0)
    return bool(rows.shape[0] ** 3 * rows.shape[1] * bits > LARGEST)


@dataclass(frozen=True)
class NullSpace:
    """The null space of r independent rows: vectors whose free coordinates are given, and the pivots follow."""

    pivots: NDArray[np.intp]
    free: NDArray[np.intp]
    entries: NDArray[Any]
    """E, (r, number of free columns), integers."""
    denominator: int
    """d ≠ 0."""

    def lifted(self, vector: Array) -> NDArray[Any]:
        """A vector of the null space, with the free coordinates of `vector` up to one positive factor; integers."""
        coordinates = integers(vector[None, self.free])[0]
        lifted = np.zeros(vector.size, dtype=object)
        sign = 1 if self.denominator > 0 else -1
        lifted[self.free] = sign * self.denominator * coordinates
        lifted[self.pivots] = -sign * (self.entries @ coordinates) if self.free.size else 0
        return lifted

    def annihilates(self, rows: NDArray[Any]) -> bool:
        """Whether rows (k, D) of integers are orthogonal to all of it."""
        products = self.denominator * rows[:, self.free] - rows[:, self.pivots] @ self.entries
        return not (products != 0).any()


def null_space(rows: Array) -> NullSpace | None:
    """The null space of rows (r, D); None where they are dependent."""
    matrix = integers(rows)
    r, d = matrix.shape
    previous, pivots = 1, []
    for k in range(r):
        # the largest entry of the row that float64 sees: the rows are independent where none is zero
        column = next((int(j) for j in np.argsort(-np.abs(rows[k])) if j not in pivots and matrix[k, j] != 0), None)
        if column is None:
            column = next((j for j in range(d) if j not in pivots and matrix[k, j] != 0), None)
        if column is None:
            return None
        pivot = matrix[k, column]
        others = np.arange(r) != k
        matrix[others] = (pivot * matrix[others] - np.outer(matrix[others, column], matrix[k])) // previous
        previous = pivot
        pivots.append(column)
    free = np.setdiff1d(np.arange(d), pivots)
    return NullSpace(np.array(pivots, dtype=np.intp), free, matrix[:, free], previous)
