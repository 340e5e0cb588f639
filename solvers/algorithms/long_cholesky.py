"""Cholesky factors in the format of the matrix: LAPACK's for float64, the textbook's for numpy's longest format.

A margin of 10^{−6} costs a primal-dual method its last six digits in the right-hand sides and twice that in the normal
equations. 80 bits (on x86; elsewhere the longest format may be float64 itself) have eleven binary digits more, at some
thirty times the price: for the second try of a small problem.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

Real = NDArray[np.floating[Any]]
"""float64, or the longest format."""


def cholesky_solver(matrix: Real) -> Callable[[Real], Real]:
    """b ↦ matrix⁻¹ b, for a symmetric positive definite matrix; b of shape (n,) or (n, k).

    Raises LinAlgError when the matrix is not positive definite in rounding, or not finite.
    """
    if not np.isfinite(matrix).all():
        raise LinAlgError("the matrix is not finite")
    if matrix.dtype == np.float64:
        factor = cho_factor(matrix, lower=True, check_finite=False)
        return lambda b: np.asarray(cho_solve(factor, b, check_finite=False))
    L = long_cholesky(matrix)

    def solve(b: Real) -> Real:
        x = np.array(b, dtype=L.dtype)
        for k in range(len(L)):
            x[k] = (x[k] - L[k, :k] @ x[:k]) / L[k, k]
        for k in reversed(range(len(L))):
            x[k] = (x[k] - L[k + 1 :, k] @ x[k + 1 :]) / L[k, k]
        return x

    return solve


def long_cholesky(matrix: Real) -> Real:
    """L with L Lᵀ = matrix, in the matrix's own format. Raises LinAlgError when there is none in rounding."""
    L = np.tril(matrix)
    for k in range(len(L)):
        if not L[k, k] > 0:
            raise LinAlgError("the matrix is not positive definite")
        L[k:, k] /= np.sqrt(L[k, k])
        L[k + 1 :, k + 1 :] -= np.tril(np.multiply.outer(L[k + 1 :, k], L[k + 1 :, k]))
    return L
