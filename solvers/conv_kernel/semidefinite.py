"""The textbook semidefinite program of R_K, solved and certified, and its optimal matrix reduced to few channels.

    min tr Z   s.t.   Z ⪰ 0  (K·R + D square),   D^{-1/2} Σ_k Z[(k, r), d − k] = w_r[d]                            (1)
    max ⟨z, w⟩   s.t.   R_K°(z) ≤ 1                                                                                 (2)

rank(Z) ≤ C is the network with C channels. The cone solver's Z is made feasible: its negative eigenvalues are lifted,
and what the lifted Z misses of w is charged at the most it can cost. Its multipliers are scaled to R_K°(z) = 1. So both
bounds hold whatever the solver did. `solvers.induced_regularizer` has the same value from a problem in the kernels'
own dimension; this one is for checking it, and the statement from which the literature starts.

Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), the SDP formulation, its tightness for R = 1, and C ≥ R·K.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from solvers.arrays import Array
from solvers.card import Card
from solvers.conic import cvxpy_library, solve_conic
from solvers.conv_kernel.conic import moments, second_moment
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.network import (
    SAME_PREDICTOR,
    TwoLayerNetwork,
    least_output_weights,
    relative_residual,
    shaped_kernels,
)
from solvers.conv_kernel.path import kernel_dual_norm
from solvers.conv_kernel.value import factor_second_moment
from solvers.induced_regularizer import predictor_and_regularizer
from solvers.search import Progress, deadline_after, untold
from solvers.solution import Status
from solvers.validation import check_tolerance, finite_array

RANK = 1e-6  # eigenvalues of Z below this part of the largest are not counted
LARGEST_ORDER = 400
"""K·R + D above which the program is not set up: Z has 80,000 unknowns there, and takes minutes."""


@dataclass(frozen=True, repr=False)
class SemidefiniteValue(Card):
    """R_K(w) by program (1), with bounds that hold whatever the cone solver did."""

    value: float
    """tr Z of the lifted Z, plus what its error in w can cost: an upper bound on R_K(w)."""
    lower_bound: float
    """⟨dual, w⟩, a lower bound on R_K(w)."""
    gap: float
    """1 − lower_bound/value."""
    status: Status
    """OPTIMAL: the gap is at most `tol`. INACCURATE: it is not."""
    matrix: Array = field(repr=False)
    """Z ⪰ 0, shape (K·R + D, K·R + D), in the order kernels (input channel last), output weights."""
    dual: Array = field(repr=False)
    """z of w's shape with R_K°(z) = 1."""
    rank: int
    """Numerical rank of Z (relative 1e-6)."""
    solver: str
    """The cone solver that answered."""


@dataclass(frozen=True, repr=False)
class RankReduction(TwoLayerNetwork, Card):
    """A network for w from a matrix Z of (1), with as few channels as the theorems promise, at no greater cost."""

    kernels: Array = field(repr=False)
    """U, shape (C, K), (C, K_H, K_W), or (C, R, …)."""
    output_weights: Array = field(repr=False)
    """V, shape (C, *grid)."""
    value: float
    """‖U‖² + ‖V‖²."""
    trace: float
    """tr Z: the cost before."""
    rank: int
    """Numerical rank of Z (relative 1e-6): the channels before."""
    channels: int
    """C: 1 for signals with one input channel, else at most K·R, and no more than Z needs."""
    predictor_error: float
    """‖f − w‖₂/‖w‖₂ of the predictor f that the network computes."""


def conv_kernel_sdp(
    w: ArrayLike,
    kernel_size: int | tuple[int, ...],
    *,
    in_channels: int | None = None,
    tol: float = 1e-6,
    time_limit: float = math.inf,
    progress: Progress | None = None,
) -> SemidefiniteValue:
    """R_K(w) by the textbook semidefinite program, with a certificate.

        min tr Z   s.t.   Z ⪰ 0,   D^{-1/2} Σ_k Z[(k, r), d − k] = w_r[d]

    Args:
        w: predictor, shape (D,), (H, W), (R, D) or (R, H, W).
        kernel_size: K, or (K_H, K_W); an int means K × K for images.
        in_channels: R, as for `induced_regularizer`.
        tol: the largest relative gap that counts as closed.
        time_limit: seconds after which the cone solver is stopped; the answer has the gap that it left.
        progress: called with (parts done, 2): the cone solver, the certificate.

    Returns:
        SemidefiniteValue: bounds on R_K(w), Z, and the dual vector z of max ⟨z, w⟩ s.t. R°(z) ≤ 1.

    Raises:
        ValueError: w not finite, zero, of the wrong shape, or a kernel wider than w; K·R + D above 400.
        ConicSolverError: no cone solver returned a solution.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), the SDP formulation.

    >>> answer = conv_kernel_sdp(np.arange(1.0, 9.0), 2)
    >>> round(answer.value, 4), answer.status.name, answer.matrix.shape
    (66.0071, 'OPTIMAL', (10, 10))
    """
    tol, tell = check_tolerance(tol), progress or untold
    deadline_after(time_limit)
    predictor, regularizer = predictor_and_regularizer(w, kernel_size, in_channels, None)
    geometry = regularizer.geometry(predictor.shape)
    size = float(np.abs(predictor).max())
    if size == 0 or geometry.n + geometry.D > LARGEST_ORDER:
        raise ValueError(
            f"conv_kernel_sdp wants a predictor that is not zero and K·R + D ≤ {LARGEST_ORDER}; got K·R + D = "
            f"{geometry.n + geometry.D}, max |w| = {size:g}. induced_regularizer has no such limits"
        )
    target = predictor / size
    cp = cvxpy_library()
    variable, computed = second_moment(geometry)
    equations = computed == target.reshape(-1)
    program = cp.Problem(cp.Minimize(cp.trace(variable)), [equations])
    solver = solve_conic(program, seconds=time_limit)
    tell(1, 2)
    Z = lifted(np.asarray(variable.value))
    missing = target.reshape(-1) - computed_by(Z, geometry)
    upper = float(np.trace(Z)) + 2.0 * float(np.sqrt(geometry.D * geometry.channels) * np.linalg.norm(missing))
    z = np.asarray(equations.dual_value).reshape(predictor.shape)
    norm = kernel_dual_norm(geometry, z)
    z = z / norm * np.sign(np.vdot(z, target)) if norm > 0 else np.zeros_like(z)
    lower = float(np.vdot(z, target))
    gap = max(1.0 - lower / upper, 0.0)
    status = Status.OPTIMAL if gap <= tol else Status.INACCURATE
    tell(2, 2)
    return SemidefiniteValue(size * upper, size * lower, gap, status, size * Z, z, rank_of(Z), solver)


def reduce_rank(
    Z: ArrayLike,
    w: ArrayLike,
    kernel_size: int | tuple[int, ...],
    *,
    in_channels: int | None = None,
    time_limit: float = math.inf,
    progress: Progress | None = None,
) -> RankReduction:
    """From a matrix Z of any rank that computes w, a network with few channels, at no greater cost.

        tr Z ≥ min_V ‖U‖² + ‖V‖²,    U Uᵀ = Z's block of the kernels

    The kernels' block X of Z fixes the spectrum P; the least output weights cost Σ_d ŵ_d* P_d^{-1} ŵ_d for any kernels
    with that spectrum. X has K·R rows, so K·R channels do. For signals with one input channel a single kernel c with
    |ĉ|² = P exists by the convolution lemma, and one channel does.

    Args:
        Z: shape (K·R + D, K·R + D), positive semidefinite up to rounding, as of `conv_kernel_sdp`; or any other that
            computes w.
        w: predictor, shape (D,), (H, W), (R, D) or (R, H, W).
        kernel_size: K, or (K_H, K_W).
        in_channels: R, as for `induced_regularizer`.
        time_limit: seconds after which no number of channels is tried any more but the largest, which does.
        progress: called with (numbers of channels tried, how many at most).

    Returns:
        RankReduction: the network, its cost beside tr Z, and how exactly it computes w.

    Raises:
        ValueError: w or Z not finite, Z of another order than K·R + D, or Z computes another predictor (relative 1e-3).

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), tightness for R = 1 and C ≥ R·K for any R.

    >>> w = np.arange(1.0, 9.0)
    >>> wide = conv_kernel_sdp(w, 2)
    >>> narrow = reduce_rank(wide.matrix, w, 2)
    >>> narrow.channels, bool(abs(narrow.value / wide.value - 1) < 1e-6), narrow.predictor_error < 1e-9
    (1, True, True)
    """
    deadline = deadline_after(time_limit)
    predictor, regularizer = predictor_and_regularizer(w, kernel_size, in_channels, None)
    geometry = regularizer.geometry(predictor.shape)
    matrix = finite_array("Z", Z)
    order = geometry.n + geometry.D
    if matrix.shape != (order, order):
        raise ValueError(
            f"Z must have shape {(order, order)}, K·R + D = {geometry.n} + {geometry.D}; got {matrix.shape}"
        )
    matrix = lifted(matrix)
    missing = float(np.linalg.norm(computed_by(matrix, geometry) - predictor.reshape(-1)))
    if not missing <= 1e-3 * float(np.linalg.norm(predictor)):
        raise ValueError(
            f"Z computes another predictor than w, at a distance of {missing:.3g}: its entries summed along "
            "D^{-1/2} Σ_k Z[(k, r), d − k] must be w"
        )
    every, _ = factor_second_moment(geometry, matrix[: geometry.n, : geometry.n], 1e-9)  # by falling size
    beta = geometry.fourier(predictor)[0]
    trace = float(np.trace(matrix))
    fewest = min(rank_of(every @ every.T), every.shape[0])
    for channels in range(fewest, every.shape[0] + 1):
        channels = channels if time.monotonic() < deadline else every.shape[0]
        U, V, hat = least_output_weights(geometry, every[:channels], beta)
        error = relative_residual(geometry, hat, V, beta)
        cost = float(np.vdot(U, U) + np.vdot(V, V))
        if progress is not None:
            progress(channels - fewest + 1, every.shape[0] - fewest + 1)
        if channels == every.shape[0] or (error <= SAME_PREDICTOR and cost <= (1.0 + SAME_PREDICTOR) * trace):
            break
    shape = -1, *geometry.grid
    return RankReduction(shaped_kernels(geometry, U), V.reshape(shape), cost, trace, rank_of(matrix), channels, error)


def lifted(Z: Array) -> Array:
    """The symmetric part of Z, with its eigenvalues raised until none is negative."""
    Z = 0.5 * (Z + Z.T)
    smallest = min(0.0, float(np.linalg.eigvalsh(Z)[0]))
    return np.asarray(Z - smallest * np.eye(Z.shape[0]))


def rank_of(Z: Array) -> int:
    """The numerical rank."""
    eigenvalues = np.linalg.eigvalsh(Z)
    return int((eigenvalues > RANK * eigenvalues[-1]).sum())


def computed_by(Z: Array, geometry: KernelLags) -> Array:
    """The predictor that Z computes, flattened."""
    collect, order = moments(geometry), Z.shape[0]
    return np.asarray(collect @ Z.reshape(order * order))
