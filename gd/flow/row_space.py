"""The span of constraints' gradients, dependent ones among them: projections and least squares.

Up to `LARGEST_DENSE` weights by a singular value decomposition of the rows. Above, by the scalar products of the rows
alone, which for layers of matrices are known without the rows themselves (`gd.piecewise.rows`); their rounding decides
what counts as dependent, and results are refined once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gd.piecewise.rows import Rows
from solvers.arrays import Array

LARGEST_DENSE = 3000  # weights: constraints' gradients are factorized themselves, above this their scalar products
INDEPENDENT = 1e-7
"""Relative singular value of the constraints' gradients that Newton's method can solve for. Where kinks meet, gradients
depend on each other at the point itself, but next to it, 1e-8 away, they seem not to: with smaller values their
difference would take any residual up. And scalar products have a rounding of 1e-16."""


class RowSpace:
    """The span of rows (R, P), with those directions left out in which they are dependent.

    Args:
        rows: gradients of constraints.
        size: P.
        rcond: relative singular value from which on rows are independent.
    """

    def __init__(self, rows: Rows, size: int, rcond: float = INDEPENDENT) -> None:
        self._rows = rows
        self._dense = size <= LARGEST_DENSE
        if self._dense:
            U, singular, V = torch.linalg.svd(rows.dense, full_matrices=False)
            kept = singular > rcond * singular[0]
            self._V, self._inverse = V[kept], U[:, kept] / singular[kept]
        else:
            squares, U = torch.linalg.eigh(rows.gram())
            kept = squares > max(rcond, INDEPENDENT) ** 2 * squares[-1]
            self._inverse = (U[:, kept] / squares[kept]) @ U[:, kept].T

    def multipliers(self, v: Tensor) -> Tensor:
        """c (R,) of least norm with rowsᵀc nearest to v."""
        if self._dense:
            nearest: Tensor = self._inverse @ (self._V @ v)
        else:
            first = self._inverse @ self._rows.dot(v)
            nearest = first + self._inverse @ self._rows.dot(v - self._rows.combine(first))
        return nearest

    def across(self, v: Tensor) -> Tensor:
        """v less its part in the span."""
        within: Tensor = self._V.T @ (self._V @ v) if self._dense else self._rows.combine(self.multipliers(v))
        return v - within

    def least_norm(self, values: Tensor) -> Tensor:
        """The shortest v with rows·v = values, as far as the rows are independent."""
        if not self._dense:
            return self._rows.combine(self._inverse @ values)
        shortest: Tensor = self._V.T @ (self._inverse.T @ values)
        return shortest


def compressed(rows: Rows, w: Tensor) -> tuple[Array, Array]:
    """R and Qᵀw with rowsᵀ = QR, the columns of Q orthonormal."""
    if w.numel() <= LARGEST_DENSE:
        Q, R = torch.linalg.qr(rows.dense.T)
        return R.cpu().numpy(), (Q.T @ w).cpu().numpy()
    squares, U = torch.linalg.eigh(rows.gram())
    kept = squares > INDEPENDENT**2 * squares[-1]
    root = torch.sqrt(squares[kept])
    R = root[:, None] * U[:, kept].T
    return R.cpu().numpy(), ((U[:, kept].T @ rows.dot(w)) / root).cpu().numpy()
