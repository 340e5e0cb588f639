"""Triangular factors and the systems they solve: by LAPACK in float64, from the textbook in numpy's longest format.

The longest format has 80 bits on x86 (elsewhere it may be float64 itself), is thirty times slower, and is for the
second try of a small problem that float64 does not resolve.

The Newton systems of interior points are (C Cᵀ + diag d) x = b, C the scaled rows. Where a weighted sum of rows nearly
vanishes the matrix, once formed, has lost twice as many digits as C. So hard problems are solved with the triangle of
[C, √d]ᵀ instead, and residuals for the refinement are formed by Cᵀ and C one after the other.

Reference: Björck, *Numerical Methods for Least Squares Problems* (1996), section 6.6.5, corrected seminormal equations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg.lapack import dpotrf, dpotrs, dsyev, dtrtrs

from solvers.arrays import Array

SMALL = 40
"""Order up to which the checks around LAPACK cost as much as the eigenvalues."""

Real = Array
"""float64, or the longest format; type checkers see float64."""


def cholesky(M: Real) -> Real:
    """L with LLᵀ = M, by LAPACK itself as `forward`. Raises LinAlgError when M is not positive definite in rounding."""
    if M.dtype == np.float64:
        factor, info = dpotrf(M.T, lower=1, clean=1)
        if info != 0:
            raise LinAlgError("the matrix is not positive definite")
        return np.asarray(factor)
    L = np.tril(M)
    for k in range(len(L)):
        if not L[k, k] > 0:
            raise LinAlgError("the matrix is not positive definite")
        L[k:, k] /= np.sqrt(L[k, k])
        L[k + 1 :, k + 1 :] -= np.tril(np.multiply.outer(L[k + 1 :, k], L[k + 1 :, k]))
    return L


def forward(L: Real, b: Real) -> Real:
    """L⁻¹ b. LAPACK itself: at small sizes the checks around it would cost more than the solve."""
    if L.dtype == np.float64:
        return np.asarray(dtrtrs(L, b, lower=1)[0])
    x = np.array(b, dtype=L.dtype)
    for k in range(len(L)):
        x[k] = (x[k] - L[k, :k] @ x[:k]) / L[k, k]
    return x


def eigenvalues(M: Array) -> Array:
    """Of a symmetric matrix, smallest first."""
    if len(M) > SMALL:
        return np.asarray(np.linalg.eigvalsh(M), dtype=np.float64)
    values, _, info = dsyev(M.T, compute_v=0)
    if info != 0:
        raise LinAlgError("eigenvalues did not converge")
    return np.asarray(values)


def cholesky_solve(L: Real, b: Real) -> Real:
    """(LLᵀ)⁻¹ b."""
    if L.dtype == np.float64:
        return np.asarray(dpotrs(L, b, lower=1)[0])
    return forward(L[::-1, ::-1].T, forward(L, b)[::-1])[::-1]


def triangle(matrix: Real) -> Real:
    """L, lower triangular, with LLᵀ = matrixᵀ·matrix, without forming that: in the long format by Gram and Schmidt."""
    if matrix.dtype == np.float64:
        R = np.asarray(np.linalg.qr(matrix, mode="r"))
        return np.asarray((R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]).T)
    rest, L = matrix.copy(), np.zeros((matrix.shape[1],) * 2, dtype=matrix.dtype)
    for k in range(len(L)):
        L[k, k] = np.sqrt(rest[:, k] @ rest[:, k])
        if not L[k, k] > 0:
            raise LinAlgError("the columns are dependent")
        q = rest[:, k] / L[k, k]
        L[k + 1 :, k] = q @ rest[:, k + 1 :]
        rest[:, k + 1 :] -= np.multiply.outer(q, L[k + 1 :, k])
    return L


def normal_solver(C: Real, d: Real, careful: bool) -> Callable[[Real], Real]:
    """b ↦ (C Cᵀ + diag d)⁻¹ b for C (n, k), d > 0 (n,), b (n,) or (n, l); `careful` is without forming the matrix.

    Raises LinAlgError when the matrix is not positive definite in rounding, or not finite.
    """
    if not (np.isfinite(C).all() and np.isfinite(d).all()):
        raise LinAlgError("the matrix is not finite")
    if careful:
        L = triangle(np.vstack([C.T, np.diag(np.sqrt(d))]))
        return _refined(lambda b: cholesky_solve(L, b), lambda x: C @ (C.T @ x) + (d * x.T).T, 2)
    matrix = C @ C.T
    matrix[np.diag_indices(d.size)] += d
    factor = cholesky(matrix)
    return _refined(lambda b: cholesky_solve(factor, b), lambda x: matrix @ x, 1)


def _refined(once: Callable[[Real], Real], apply: Callable[[Real], Real], times: int) -> Callable[[Real], Real]:
    def solve(b: Real) -> Real:
        x = once(b)
        for _ in range(times):
            x = x + once(b - apply(x))
        return x

    return solve
