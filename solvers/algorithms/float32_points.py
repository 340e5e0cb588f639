"""Points in float32, kept as they are: every row and every product that is asked for is float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array
from solvers.extended_precision import block_length, in_row_blocks


@dataclass(frozen=True, eq=False)
class Float32Points:
    """X (N, D), of which some rows at a time are converted."""

    values: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[0], self.values.shape[1]

    def __getitem__(self, index: NDArray[np.intp] | slice) -> Array:
        return self.values[index].astype(np.float64)

    def __matmul__(self, right: Array) -> Array:
        return in_row_blocks(lambda rows: np.asarray(rows @ right), self)

    @property
    def T(self) -> TransposedPoints:
        """Xᵀ, to be multiplied."""
        return TransposedPoints(self)

    def toarray(self) -> Array:
        """X as an array of float64."""
        return self.values.astype(np.float64)


@dataclass(frozen=True, eq=False)
class TransposedPoints:
    """Xᵀ."""

    points: Float32Points

    def __matmul__(self, right: Array) -> Any:
        """Xᵀ @ right, right (N,) or (N, M)."""
        step, n = block_length(self.points), self.points.shape[0]
        return sum(self.points[i : i + step].T @ right[i : i + step] for i in range(0, n, step))
