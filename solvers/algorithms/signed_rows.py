"""The rows f_n (x_n ⊙ c) of a large matrix, dense or sparse, formed only where they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array
from solvers.extended_precision import block_length, in_row_blocks, row_norms


@dataclass(frozen=True, eq=False)
class SignedRows:
    """A = diag(f) X diag(c): labels and scales are factors, so that X is not copied."""

    points: Any
    """X, (N, D): a C-contiguous array, a scipy sparse array in CSR format, or `Float32Points`."""
    factors: Array
    """f, (N,)."""
    columns: Array | None = None
    """c > 0, (D,); None for ones."""

    @classmethod
    def of(cls, A: Array | SignedRows) -> SignedRows:
        """A matrix as it is."""
        return A if isinstance(A, SignedRows) else cls(A, np.ones(A.shape[0]))

    @property
    def shape(self) -> tuple[int, int]:
        return self.points.shape[0], self.points.shape[1]

    def __getitem__(self, index: NDArray[np.intp] | slice) -> Any:
        """These rows, (k, D); sparse where X is."""
        points: Any = self.points[index]
        if isinstance(points, np.ndarray):
            rows: Array = points * self.factors[index, None]
            if self.columns is not None:
                rows *= self.columns
            return rows
        some: Any = points.multiply(self.factors[index, None])
        return (some if self.columns is None else some.multiply(self.columns)).tocsr()

    def products(self, beta: Array) -> Array:
        """A β, (N,)."""
        return np.asarray(self.factors * (self.points @ (beta if self.columns is None else self.columns * beta)))

    def combination(self, alpha: Array) -> Array:
        """Aᵀα, (D,)."""
        z = np.asarray(self.points.T @ (self.factors * alpha))
        return z if self.columns is None else z * self.columns

    def scaled(self, factors: Array | float, columns: Array | None = None) -> SignedRows:
        """diag(`factors`) A diag(`columns`)."""
        own = self.columns if columns is None or self.columns is None else self.columns * columns
        return replace(self, factors=self.factors * factors, columns=columns if self.columns is None else own)

    def norms(self) -> Array:
        """‖a_n‖₂, (N,)."""
        return np.asarray(np.abs(self.factors) * row_norms(self.points, self.columns))

    def largest_in_rows(self) -> Array:
        """max_d |a_nd|, (N,)."""
        c = np.ones(self.shape[1]) if self.columns is None else self.columns
        largest = in_row_blocks(lambda rows: dense((abs(rows) * c).max(axis=1)).reshape(-1), self.points)
        return np.asarray(np.abs(self.factors) * largest)

    def largest_in_columns(self) -> Array:
        """max_n |a_nd|, (D,)."""
        f = np.abs(self.factors)
        step = block_length(self.points)
        blocks = (abs(self.points[i : i + step]) * f[i : i + step, None] for i in range(0, f.size, step))
        largest = np.max([dense(block.max(axis=0)).reshape(-1) for block in blocks], axis=0)
        return np.asarray(largest if self.columns is None else largest * self.columns)


def dense(rows: Any) -> Array:
    """An array of rows that may be sparse."""
    return rows if isinstance(rows, np.ndarray) else np.asarray(rows.toarray())
