"""Sums whose terms nearly cancel: formed in the machine's longest format where float64 leaves too few digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from solvers.arrays import Array

BLOCK = 1 << 18
"""Entries of a matrix that are handled together, so that temporaries stay small."""


def block_length(points: Any) -> int:
    """How many rows of an array or of a sparse matrix are handled together."""
    entries = points.nnz // points.shape[0] + 1 if hasattr(points, "nnz") else points.shape[1]
    return max(1, BLOCK // int(entries))


def in_row_blocks(function: Callable[[Any], Array], points: Any) -> Array:
    """function(rows), one number a row, block by block."""
    step = block_length(points)
    return np.concatenate([function(points[i : i + step]) for i in range(0, points.shape[0], step)])


def row_norms(points: Any, columns: Array | None = None) -> Array:
    """‖x_n ⊙ c‖₂ for the rows of a matrix, dense or sparse, without a temporary of its size."""
    if hasattr(points, "nnz"):
        return in_row_blocks(lambda rows: _sparse_row_norms(rows, columns), points)
    if columns is None:
        return in_row_blocks(lambda rows: np.asarray(np.sqrt(np.einsum("nd,nd->n", rows, rows))), points)
    return in_row_blocks(
        lambda rows: np.linalg.norm(rows * columns, axis=1), points
    )  # c² may overflow where x ⊙ c is one


def _sparse_row_norms(rows: Any, columns: Array | None) -> Array:
    scaled = rows if columns is None else rows.multiply(columns[None]).tocsr()
    return np.asarray(np.sqrt((scaled * scaled).sum(axis=1))).reshape(-1)


def extended_product(matrix: Any, vector: Array) -> Array:
    """matrix @ vector; entries that cancel to less than 10⁻³ of their terms are summed in 80 bits where there are any.

    (On x86; elsewhere the longest format may be float64 itself.)
    """
    product = np.asarray(matrix @ vector)
    cancels = np.abs(product) < 1e-3 * (abs(matrix) @ np.abs(vector))
    if cancels.any():
        product[cancels] = matrix[cancels].astype(np.longdouble) @ vector.astype(np.longdouble)
    return np.asarray(product)


def careful_margins(points: Any, labels: Array, beta: Array) -> Array:
    """y_n⟨x_n, β⟩, with the smallest entries and those without correct digits summed in the longest format.

    At small margins the smallest entries are differences of large terms. A float64 sum of them would be less accurate
    than the predictor is.
    """
    products = np.asarray(points @ beta)
    # first those of which rounding leaves no digit: large, but only noise, they would not be among the smallest
    terms = in_row_blocks(lambda rows: np.asarray(abs(rows) @ np.abs(beta)), points)
    noise = np.flatnonzero(np.abs(products) <= 1e-13 * terms)
    products[noise] = extended_product(points[noise], beta)
    margins: Array = labels * products
    near = np.flatnonzero(np.abs(margins - margins.min()) <= 1e-3 * abs(margins.min()))[: 2 * beta.size]
    margins[near] = labels[near] * extended_product(points[near], beta)
    return margins


def power_of_two(value: float) -> float:
    """The power of two next below value > 0: dividing by it is exact."""
    return float(powers_of_two(np.array(value)))


def powers_of_two(values: Array) -> Array:
    """`power_of_two` of each."""
    return np.asarray(np.exp2(np.floor(np.log2(values))))
