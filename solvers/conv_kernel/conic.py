"""The textbook formulation of R_K, a semidefinite program over Z = [U; V][U; V]ᵀ with the rank relaxed, through cvxpy.

    min tr Z   s.t.   Z ⪰ 0  (K·R + D square),   D^{-1/2} Σ_k Z[(k, r), d − k] = β_r[d]                            (1)

rank(Z) ≤ C is the network with C channels; dropping the rank constraint is exact for C ≥ K·R. It is the independent
check of the central path, for sizes where a matrix of order K·R + D is affordable, and the statement from which the
literature starts. `reduce_rank` is the second half of its argument: for signals with one input channel any optimal Z,
of whatever rank, becomes one of rank one at the same cost by spectral factorization.

Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), the SDP formulation and the rank-one theorem for R = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from solvers.arrays import Array
from solvers.conic import cvxpy_library, solve_conic
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.network import least_output_weights
from solvers.conv_kernel.value import factor_second_moment
from solvers.regularizers.conv_kernel import ConvKernel


@dataclass(frozen=True)
class RankReduction:
    """Kernels and output weights taken from a matrix Z of (1)."""

    kernels: Array
    """U, shape (C, K·R), flattened with the input channel last."""
    output_weights: Array
    """V, shape (C, *grid)."""
    objective: float
    """‖U‖² + ‖V‖²."""
    rank_before: int
    """Numerical rank of Z (relative 1e-6)."""
    reduced: bool
    """True when one channel was reached; False where the lemma does not apply (images, R > 1) and the rank is kept."""


def conic_value(w: Array, regularizer: ConvKernel) -> tuple[float, Array, str]:
    """R_K(w), the optimal Z (K·R + D square), and the name of the solver, by program (1).

    >>> value, Z, solver = conic_value(np.array([1.0, 2.0, 3.0]), ConvKernel(1))
    >>> bool(abs(value - 2 * 3**0.5 * 14**0.5) < 1e-6), Z.shape
    (True, (4, 4))
    """
    cp = cvxpy_library()
    geometry = regularizer.geometry(w.shape)
    scale = float(np.abs(w).max(initial=0.0)) or 1.0
    Z, beta = second_moment(geometry)
    program = cp.Problem(cp.Minimize(cp.trace(Z)), [beta == w.reshape(-1) / scale])
    name = solve_conic(program)
    return float(program.value) * scale, np.asarray(Z.value) * scale, name


def second_moment(geometry: KernelLags) -> tuple[Any, Any]:
    """The variable Z ⪰ 0 and the expression of β, flattened (R, *grid), that it computes."""
    cp = cvxpy_library()
    D, n, R = geometry.D, geometry.n, geometry.channels
    order = n + D
    Z = cp.Variable((order, order), PSD=True)
    rows, columns = [], []
    taps = list(product(*map(range, geometry.kernel)))
    places = np.indices(geometry.grid).reshape(len(geometry.grid), -1).T
    for (k, tap), r in product(enumerate(taps), range(R)):
        source = np.ravel_multi_index(tuple(((places - np.array(tap)) % np.array(geometry.grid)).T), geometry.grid)
        rows.append(r * D + np.arange(D))
        columns.append((k * R + r) * order + n + source)
    entries = np.concatenate(rows), np.concatenate(columns)
    collect = csr_array((np.full(entries[0].size, D**-0.5), entries), shape=(R * D, order * order))
    return Z, collect @ cp.reshape(Z, (order * order,), order="C")


def reduce_rank(Z: Array, w: Array, regularizer: ConvKernel, tol: float = 1e-9) -> RankReduction:
    """From an optimal Z of any rank to a network for w: one channel when w is a signal with one input channel.

    The kernels' block X of Z fixes the spectrum P; a single kernel c with |ĉ|² = P exists by the convolution lemma, and
    the output weights v̂ = ŵ/ĉ cost Σ|ŵ|²/P as before. For images and for R > 1 the lemma fails; the kernels are then
    the eigenvectors of X and `rank_before` says how many channels count.

    >>> ramp, regularizer = np.arange(1.0, 9.0), ConvKernel(2)
    >>> value, Z, _ = conic_value(ramp, regularizer)
    >>> answer = reduce_rank(Z, ramp, regularizer)
    >>> answer.reduced, answer.kernels.shape, bool(abs(answer.objective / value - 1) < 1e-6)
    (True, (1, 2), True)
    """
    geometry = regularizer.geometry(w.shape)
    eigenvalues = np.linalg.eigvalsh(0.5 * (Z + Z.T))
    rank = int((eigenvalues > 1e-6 * eigenvalues[-1]).sum())
    X = 0.5 * (Z[: geometry.n, : geometry.n] + Z[: geometry.n, : geometry.n].T)
    smallest = min(0.0, float(np.linalg.eigvalsh(X)[0]))
    U, _ = factor_second_moment(geometry, X - smallest * np.eye(geometry.n), tol)
    U, V, _ = least_output_weights(geometry, U, geometry.fourier(w)[0])
    objective = float(np.vdot(U, U) + np.vdot(V, V))
    reduced = geometry.channels == 1 and len(geometry.grid) == 1
    return RankReduction(U, V.reshape(-1, *geometry.grid), objective, rank, reduced)
