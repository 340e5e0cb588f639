"""Solving (C Cᵀ + diag d) x = b, in float64 or in numpy's longest format.

The Newton systems of interior points have this form, C the scaled rows. Where a weighted sum of rows nearly vanishes
the matrix, once formed, has lost twice as many digits as C. So hard problems are solved with the triangle of [C, √d]ᵀ
instead, and residuals for the refinement that are formed by Cᵀ and C one after the other; in numpy's longest format
(80 bits on x86; elsewhere it may be float64 itself) where they are small.

Reference: Björck, *Numerical Methods for Least Squares Problems* (1996), section 6.6.5, corrected seminormal equations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from solvers.arrays import Array

Real = Array
"""float64, or the longest format; type checkers see float64."""


def normal_solver(C: Real, d: Real, careful: bool) -> Callable[[Real], Real]:
    """b ↦ (C Cᵀ + diag d)⁻¹ b for C (n, k), d > 0 (n,), b (n,) or (n, l); `careful` is without forming the matrix.

    Raises LinAlgError when the matrix is not positive definite in rounding, or not finite.
    """
    if not (np.isfinite(C).all() and np.isfinite(d).all()):
        raise LinAlgError("the matrix is not finite")
    if careful:
        R = triangle(np.vstack([C.T, np.diag(np.sqrt(d))]))
        return _refined(lambda b: solve_triangle(R, b), lambda x: C @ (C.T @ x) + (d * x.T).T, 2)
    matrix = C @ C.T
    matrix[np.diag_indices(d.size)] += d
    factor = cho_factor(matrix, lower=True, check_finite=False)
    return _refined(lambda b: cho_solve(factor, b, check_finite=False), lambda x: matrix @ x, 1)


def _refined(once: Callable[[Real], Real], apply: Callable[[Real], Real], times: int) -> Callable[[Real], Real]:
    def solve(b: Real) -> Real:
        x = once(b)
        for _ in range(times):
            x = x + once(b - apply(x))
        return x

    return solve


def triangle(matrix: Real) -> Real:
    """R with RᵀR = matrixᵀ·matrix, upper triangular: LAPACK's for float64, else by modified Gram–Schmidt."""
    if matrix.dtype == np.float64:
        return np.asarray(np.linalg.qr(matrix, mode="r"))
    rest, R = matrix.copy(), np.zeros((matrix.shape[1],) * 2, dtype=matrix.dtype)
    for k in range(len(R)):
        R[k, k] = np.sqrt(rest[:, k] @ rest[:, k])
        if not R[k, k] > 0:
            raise LinAlgError("the matrix is not positive definite")
        q = rest[:, k] / R[k, k]
        R[k, k + 1 :] = q @ rest[:, k + 1 :]
        rest[:, k + 1 :] -= np.multiply.outer(q, R[k, k + 1 :])
    return R


def solve_triangle(R: Real, b: Real) -> Real:
    """(RᵀR)⁻¹ b."""
    if R.dtype == np.float64:
        return np.asarray(solve_triangular(R, solve_triangular(R, b, trans="T")))
    x = np.array(b, dtype=R.dtype)
    for k in range(len(R)):
        x[k] = (x[k] - R[:k, k] @ x[:k]) / R[k, k]
    for k in reversed(range(len(R))):
        x[k] = (x[k] - R[k, k + 1 :] @ x[k + 1 :]) / R[k, k]
    return x
