"""Constraints on a matrix β (M, D), ⟨a_i, β⟩ ≥ r_i, as an interior point needs them: products, never A itself.

The rows of M outputs have one block of D entries each that is not zero, so their products cost 1/M of a full matrix's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from solvers.algorithms.least_distance import least_distance
from solvers.algorithms.signed_rows import SignedRows, dense
from solvers.arrays import Array


class MatrixRows(Protocol):
    """n constraints ⟨a_i, β⟩ ≥ r_i on a matrix β (M, D); r and α have shape (n,). A is (n, M·D)."""

    @property
    def outputs(self) -> int:
        """M."""

    @property
    def most_a_step(self) -> int:
        """Constraints for each unknown up to which a step sees them all."""

    def products(self, beta: Array) -> Array:
        """Aβ."""

    def combination(self, alpha: Array) -> Array:
        """Aᵀα, (M, D)."""

    def times(self, index: NDArray[np.intp], matrix: Array) -> Array:
        """A_I·matrix, the rows with these numbers times a matrix (M·D, k)."""

    def gram_times(self, weights: Array, matrix: Array) -> Array:
        """Aᵀ diag(weights) A·matrix, (M·D, k)."""

    def some(self, index: NDArray[np.intp]) -> Array:
        """The rows a_i with these numbers, flattened: (k, M·D)."""

    def l2_margins(self) -> Array:
        """Margins of an ℓ2 max margin, n of them: small where rows matter."""


@dataclass(frozen=True)
class OutputRows:
    """The rows f_nm e_m x_nᵀ of M outputs: constraint (n, m) is f_nm ⟨x_n, β_m⟩ ≥ r_nm."""

    points: Array
    """x_n, (N, D)."""
    factors: Array
    """f, (N, M)."""

    @property
    def outputs(self) -> int:
        """M."""
        return int(self.factors.shape[1])

    @property
    def most_a_step(self) -> int:
        """Many: 2D multiplications each."""
        return 16

    def products(self, beta: Array) -> Array:
        """Aβ, (N·M,)."""
        return np.asarray(self.factors * (self.points @ beta.T)).reshape(-1)

    def combination(self, alpha: Array) -> Array:
        """Aᵀα, (M, D)."""
        return np.asarray((self.factors * alpha.reshape(self.factors.shape)).T @ self.points)

    def times(self, index: NDArray[np.intp], matrix: Array) -> Array:
        """A_I·matrix, output by output."""
        n, m = np.unravel_index(index, self.factors.shape)
        blocks, found = matrix.reshape(self.outputs, -1, matrix.shape[1]), np.empty((index.size, matrix.shape[1]))
        for output, block in enumerate(blocks):
            own = np.flatnonzero(m == output)
            found[own] = (self.factors[n[own], output, None] * self.points[n[own]]) @ block
        return found

    def gram_times(self, weights: Array, matrix: Array) -> Array:
        """Aᵀ diag(weights) A·matrix: one D × D matrix an output."""
        shares = (self.factors**2 * weights.reshape(self.factors.shape)).T
        grams = np.stack([(self.points * share[:, None]).T @ self.points for share in shares])
        return np.asarray(grams @ matrix.reshape(self.outputs, -1, matrix.shape[1])).reshape(matrix.shape)

    def some(self, index: NDArray[np.intp]) -> Array:
        """The rows with these numbers, flattened."""
        n, m = np.unravel_index(index, self.factors.shape)
        rows = np.zeros((index.size, self.outputs, self.points.shape[1]))
        rows[np.arange(index.size), m] = self.factors[n, m, None] * self.points[n]
        return rows.reshape(index.size, -1)

    def l2_margins(self) -> Array:
        """Of every output by itself."""
        return np.stack([_l2_margins(SignedRows(self.points, f)) for f in self.factors.T], axis=1).reshape(-1)


@dataclass(frozen=True)
class PlainRows:
    """The rows of any matrix."""

    rows: SignedRows
    """A, (n, M·D)."""
    outputs: int
    """M."""

    @property
    def most_a_step(self) -> int:
        """Few: M·D multiplications each, and as much memory."""
        return 4

    @cached_property
    def _dense(self) -> Array:
        return dense(self.rows[:])

    def products(self, beta: Array) -> Array:
        """Aβ, (n,)."""
        return self.rows.products(beta.reshape(-1))

    def combination(self, alpha: Array) -> Array:
        """Aᵀα, (M, D)."""
        return self.rows.combination(alpha).reshape(self.outputs, -1)

    def times(self, index: NDArray[np.intp], matrix: Array) -> Array:
        """A_I·matrix."""
        return np.asarray(self._dense[index] @ matrix)

    def gram_times(self, weights: Array, matrix: Array) -> Array:
        """Aᵀ diag(weights) A·matrix."""
        scaled = self._dense * np.sqrt(weights)[:, None]
        return np.asarray((scaled.T @ scaled) @ matrix)

    def some(self, index: NDArray[np.intp]) -> Array:
        """The rows with these numbers."""
        return dense(self.rows[index])

    def l2_margins(self) -> Array:
        """Of all rows together."""
        return _l2_margins(self.rows)


def _l2_margins(rows: SignedRows) -> Array:
    z = rows.combination(least_distance(rows)[0])
    return rows.products(z) / max(float(z @ z), 1e-300)
