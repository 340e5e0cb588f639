"""The representation cost R_{K,C}(w) of a predictor: by its central path, with the network that attains it and a proof.

    min_{U,V}  ‖U‖² + ‖V‖²     s.t.  the network with kernels U and output weights V computes w                 (P)
    max_z      ⟨z, w⟩           s.t.  R_K°(z) = ½√λ_max(T(z)) ≤ 1                                               (D)

For one-dimensional signals with one input channel it is the minimum over the spectra of one kernel
(`solvers.conv_kernel.nonnegative_polynomial`). Otherwise, and where that is degenerate, the convex value comes from the
central path (`solvers.conv_kernel.path`) and kernels are read off its X ⪰ 0; for such signals they are then replaced by
one of the same spectrum, whatever the rank of X (`solvers.factorization.spectral_factorization`). Otherwise the number
of kernels is the rank of X, and a smaller C is a rank-constrained problem (`solvers.conv_kernel.factors`), answered by
an upper and a lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from solvers.arrays import Array, ComplexArray
from solvers.card import Card
from solvers.conv_kernel.factors import fewer_kernels
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.network import (
    SAME_PREDICTOR,
    TwoLayerNetwork,
    cost_of_residual,
    directions,
    full_width_kernel,
    least_output_weights,
    relative_residual,
    shaped_kernels,
)
from solvers.conv_kernel.nonnegative_polynomial import nonnegative_polynomial
from solvers.conv_kernel.path import follow, kernel_dual_norm, proved_largest_eigenvalue
from solvers.conv_kernel.value_path import LARGEST_DENSE, DensePredictor, GivenPredictor
from solvers.factorization.spectral_factorization import spectral_factorization
from solvers.search import Search
from solvers.solution import Status

_KEPT = 1e-14  # eigenvalues of X below this part of its trace are rounding
_RANK = 1e-6  # and those below this part of the largest are not counted in the rank reported


@dataclass(frozen=True, repr=False)
class InducedRegularizer(TwoLayerNetwork, Card):
    """R_{K,C}(w) with the network that attains it, ‖U‖² = ‖V‖² = value/2, and the proof."""

    beta: Array = field(repr=False)
    """w, as float64."""
    value: float
    """‖U‖² + ‖V‖² of this network: an upper bound on R(w). inf when no network was found that computes w."""
    lower_bound: float
    """Proved lower bound on R(w): ⟨dual, w⟩."""
    gap: float
    """1 − lower_bound/value, with what the network misses of w charged at the most it could cost."""
    status: Status
    """OPTIMAL: the gap is at most `tol`. BOUNDED: C is too small for the convex value, and the bounds differ.
    INACCURATE: the convex solver stopped above `tol`."""
    kernels: Array = field(repr=False)
    output_weights: Array = field(repr=False)
    dual: Array = field(repr=False)
    """z, a vector of w's shape, of either sign: R°(z) = 1 and ⟨z, w⟩ = lower_bound."""
    predictor_error: float
    """‖f − w‖₂/‖w‖₂ of the predictor f that the network computes."""
    rank: int
    """Numerical rank of the optimal second moment X found (relative 1e-6): channels the convex solution uses."""
    stats: Mapping[str, Any] = field(default_factory=dict)
    """How the answer was found: `method`, `iterations`."""


def attained(
    w: Array, geometry: KernelLags, out_channels: int | None, search: Search, *, convex: bool = True
) -> InducedRegularizer:
    """R_{K,C}(w), w finite and of a shape that suits the geometry.

    `convex` says whether R_{K,C} is known to be a norm, so that an open gap is the solver's and not the problem's.
    """
    scale = float(np.abs(w).max(initial=0.0))
    if scale == 0.0:
        kernels, V = np.zeros((1, geometry.n)), np.zeros((1, *geometry.grid))
        stats: dict[str, object] = {"method": "w = 0", "iterations": 0}
        shaped = shaped_kernels(geometry, kernels)
        return InducedRegularizer(w, 0.0, 0.0, 0.0, Status.OPTIMAL, shaped, V, np.zeros_like(w), 0.0, 0, stats)
    beta = geometry.fourier(w / scale)[0]
    if geometry.full_width:
        U, z, rank = full_width_kernel(geometry, beta), directions(beta), 1
        stats = {"method": "closed form", "iterations": 0}
    else:
        U, z, rank, stats = _convex(geometry, beta, search.tol)
    if out_channels is not None and U.shape[0] > out_channels:
        U = fewer_kernels(geometry, _leading(geometry, beta, search.tol), U, out_channels, search)
        stats["method"] = f"local search over {out_channels} channels, {search.n_starts} seeded starts"
    lower = float(2.0 * geometry.inner(z, beta) / np.sqrt(proved_largest_eigenvalue(geometry, geometry.lags_of(z))))
    U, V, hat_U = least_output_weights(geometry, U, beta)
    value = float(np.vdot(U, U) + np.vdot(V, V))
    error = relative_residual(geometry, hat_U, V, beta)
    if error > SAME_PREDICTOR:  # fewer channels than inputs cannot compute every predictor
        value = np.inf
    gap = max(1.0 - lower / (value + cost_of_residual(geometry, error, beta)), 0.0)  # they may cross by rounding
    dual = geometry.inverse(z).reshape(w.shape)
    unproved = Status.INACCURATE if convex else Status.BOUNDED
    return InducedRegularizer(
        beta=w,
        value=value * scale,
        lower_bound=min(lower, value) * scale,
        gap=gap,
        status=Status.OPTIMAL if gap <= search.tol else unproved,
        kernels=shaped_kernels(geometry, U) * np.sqrt(scale),
        output_weights=V.reshape(-1, *geometry.grid) * np.sqrt(scale),
        dual=dual / kernel_dual_norm(geometry, dual),
        predictor_error=error,
        rank=rank,
        stats=stats,
    )


def _convex(geometry: KernelLags, beta: ComplexArray, tol: float) -> tuple[Array, ComplexArray, int, dict[str, object]]:
    """Kernels U (C, n), half the dual vector ẑ (R, H), the rank of X, and how they were found."""
    leading = _leading(geometry, beta, tol)
    if geometry.channels == 1 and len(geometry.grid) == 1:
        found = nonnegative_polynomial(geometry, np.abs(leading), tol)
        if found is not None:
            z = np.asarray(found.z * np.exp(1j * np.angle(beta)))
            return found.factor[None], z, 1, {"method": "nonnegative polynomial", "iterations": found.steps}
    if geometry.channels == 1:
        end = follow(GivenPredictor(geometry, np.abs(leading)), 0.5 * tol)
        sizes = np.abs(end.z)
        z = np.asarray(sizes * np.exp(1j * np.angle(beta)))
    else:
        end = follow(GivenPredictor(geometry, leading), 0.5 * tol)
        z = end.z
    if end.gap > 0.8 * tol and geometry.D * geometry.channels <= LARGEST_DENSE:
        again = follow(DensePredictor(geometry, leading), 0.5 * tol)
        z = again.z if again.lower > end.lower else z
        end = again if again.upper < end.upper else end
    U, rank = factor_second_moment(geometry, end.X, tol)
    return U, z, rank, {"method": "central path", "iterations": end.iterations}


def factor_second_moment(geometry: KernelLags, X: Array, tol: float) -> tuple[Array, int]:
    """Kernels U with UᵀU = X, lifted by tol/100 of its trace so that no spectrum vanishes, and the rank of X.

    For signals with one input channel the kernels are replaced by a single one of the same spectrum.
    """
    lifted = X + 0.01 * tol / geometry.n * np.trace(X) * np.eye(geometry.n)
    eigenvalues, vectors = np.linalg.eigh(lifted)
    rank = int((eigenvalues > _RANK * eigenvalues[-1]).sum())
    kept = eigenvalues > _KEPT * eigenvalues.sum()
    U = (vectors[:, kept] * np.sqrt(eigenvalues[kept])).T[::-1]
    if geometry.channels == 1 and len(geometry.grid) == 1:
        U = spectral_factorization(U).factor[None]
    return U, rank


def _leading(geometry: KernelLags, beta: ComplexArray, tol: float) -> ComplexArray:
    """β̂ without the coefficients that change R by less than tol/50, by 2√D‖δ‖₂ ≥ R(δ) and R(β) ≥ 2 max_r ‖β̂_r‖₁.

    They are left to the kernels the others choose: a frequency that wants P_d = 0 makes the path ill-conditioned.
    """
    magnitudes = np.abs(beta)
    size = float((magnitudes @ geometry.multiplicity).max())
    negligible = max(0.01 * tol * size / (geometry.D * np.sqrt(geometry.channels)), 1e-15 * magnitudes.max())
    return np.asarray(np.where(magnitudes > negligible, beta, 0.0))
