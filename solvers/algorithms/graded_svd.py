"""Singular vectors of small singular values, with the digits that a matrix has of them.

LAPACK's singular value decomposition is that of a matrix near β, ε‖β‖ away or a few times as much, and so has the
vectors of σ_i to a few εσ_1/σ_i. The numbers of β themselves say more. Rotations that make the rows of Uᵀβ orthogonal,
in the machine's longest format, end at the decomposition of β as it is given.

Reference: Demmel, Veselić (1992), "Jacobi's method is more accurate than QR".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from solvers.arrays import Array

GRADED = 1e-3
"""Where no singular value that counts is below this part of the largest, LAPACK's vectors are right to 1e-13."""

SWEEPS = 6
"""LAPACK's decomposition leaves rows that are nearly orthogonal: two sweeps do, and one that finds nothing to turn."""


def graded_svd(matrix: Array) -> tuple[Array, Array, Array]:
    """U (M, M), σ and Vᵀ (D, D) of a matrix (M, D), largest first."""
    if matrix.shape[0] > matrix.shape[1]:
        V, sigma, Ut = graded_svd(matrix.T)
        return Ut.T, sigma, V.T
    U, sigma, Vt = np.linalg.svd(matrix)
    rank = int((sigma > max(matrix.shape) * np.finfo(np.float64).eps * sigma[0]).sum())
    if rank == 0 or sigma[rank - 1] > GRADED * sigma[0]:
        return U, sigma, Vt
    left: Any = U.T.astype(np.longdouble)
    rows = np.einsum("ij,jk->ik", left, matrix.astype(np.longdouble))
    for _ in range(SWEEPS):
        if not _orthogonalized(rows, left, rank):
            break
    sigma = np.asarray(np.sqrt((rows * rows).sum(axis=1)), dtype=np.float64)
    right = np.asarray(rows[:rank] / sigma[:rank, None], dtype=np.float64)
    complement = np.linalg.qr(right.T, mode="complete")[0][:, rank:]
    return np.asarray(left.T, dtype=np.float64), sigma, np.vstack([right, complement.T])


def _orthogonalized(rows: Array, left: Array, rank: int) -> bool:
    """One sweep of rotations of every two rows, of which the first counts; False when there was nothing to turn."""
    turned, precision = False, 4.0 * np.finfo(np.longdouble).eps
    for i in range(rank):
        for j in range(i + 1, len(rows)):
            one, other, both = rows[i] @ rows[i], rows[j] @ rows[j], rows[i] @ rows[j]
            if abs(both) <= precision * np.sqrt(one * other) or other == 0:
                continue
            turned = True
            zeta = (other - one) / (2.0 * both)
            tangent = np.copysign(1.0, zeta) / (abs(zeta) + np.sqrt(1.0 + zeta * zeta))
            cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
            for side in (rows, left):
                side[i], side[j] = cosine * (side[i] - tangent * side[j]), cosine * (side[j] + tangent * side[i])
    return turned
