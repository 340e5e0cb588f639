"""What a predictor costs a two-layer CNN: R_{K,C}(w) from its central path, the network that attains it, the proof.

    min_{U,V}  ‖U‖² + ‖V‖²     s.t.  the network with kernels U and read-outs V computes w                    (P)
    max_z      ⟨z, w⟩           s.t.  R_K°(z) = ½√λ_max(T(z)) ≤ 1                                               (D)

The convex value comes from the central path (`conv_kernel_path`); kernels are read off its X ⪰ 0. For one-dimensional
signals with one input channel they are then replaced by a single kernel of the same spectrum, whatever the rank of X
(`spectral_factorization`). Otherwise the number of kernels is the rank of X, and a smaller C is a rank-constrained
problem (`conv_kernel_factors`), answered by an upper and a lower bound.

Everything here is said in terms of `KernelLags`; `ConvKernel` and `induced_regularizer` are the doors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from solvers.conv_kernel.dense_path import LARGEST, follow_price_path_densely
from solvers.conv_kernel.factors import fewer_kernels
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.network import (
    SAME_PREDICTOR,
    directions,
    full_width_kernel,
    misfit,
    price_of_misfit,
    read_outs,
)
from solvers.conv_kernel.path import kernel_dual_norm, proved_largest_eigenvalue
from solvers.conv_kernel.price_path import follow_price_path
from solvers.factorization.spectral_factorization import spectral_factorization
from solvers.solution import Certificate, Solution, Status

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_KEPT = 1e-14  # eigenvalues of X below this part of its trace are rounding
_RANK = 1e-6  # and those below this part of the largest are not counted in the rank reported


@dataclass(frozen=True)
class ConvKernelSolution(Solution):
    """A predictor with the network that computes it: ‖U‖² = ‖V‖² = objective/2."""

    kernels: Array = field(default_factory=lambda: np.empty(0), repr=False)
    """U, shape (C, K), (C, K_H, K_W), or (C, R, …) for R > 1 input channels."""
    weights: Array = field(default_factory=lambda: np.empty(0), repr=False)
    """V, shape (C, D) or (C, H, W)."""
    rank: int = 0
    """Numerical rank of the optimal second moment X found (relative 1e-6): channels the convex solution uses."""

    @property
    def second_moment(self) -> Array:
        """Z = `[U; V] [U; V]ᵀ`, shape (K·R + D, K·R + D): the matrix of the semidefinite program, tr Z = objective."""
        C = self.kernels.shape[0]
        stacked = np.concatenate([self.kernels.reshape(C, -1), self.weights.reshape(C, -1)], axis=1)
        return np.asarray(stacked.T @ stacked)


def price(
    w: Array,
    geometry: KernelLags,
    out_channels: int | None = None,
    *,
    convex: bool = True,
    tol: float = 1e-9,
    restarts: int = 8,
    seed: int = 0,
) -> ConvKernelSolution:
    """R_{K,C}(w), w finite and of a shape that suits the geometry; arguments and answer as `induced_regularizer`'s.

    `convex` says whether R_{K,C} is known to be a norm, so that an open gap is the solver's and not the problem's.
    """
    scale = float(np.abs(w).max(initial=0.0))
    if scale == 0.0:
        return _zero(w, geometry)
    beta = geometry.fourier(w / scale)[0]
    if geometry.full_width:
        U, z, rank, iterations = full_width_kernel(geometry, beta), directions(beta), 1, 0
    else:
        U, z, rank, iterations = _convex(geometry, beta, tol)
    lower = 2.0 * geometry.inner(z, beta) / np.sqrt(proved_largest_eigenvalue(geometry, geometry.lags_of(z)))
    method = "closed form" if geometry.full_width else "central path"
    if out_channels is not None and U.shape[0] > out_channels:
        U = fewer_kernels(geometry, _leading(geometry, beta, tol), U, out_channels, restarts, seed)
        method = f"local search over {out_channels} channels, {restarts} seeded starts"
    return _assemble(w, geometry, beta, scale, U, z, lower, tol, convex, rank, method, iterations)


def _convex(geometry: KernelLags, beta: ComplexArray, tol: float) -> tuple[Array, ComplexArray, int, int]:
    """Kernels U (C, n), half the dual vector ẑ (R, H), the rank of X, and iterations."""
    leading = _leading(geometry, beta, tol)
    if geometry.channels == 1:
        end = follow_price_path(geometry, np.abs(leading), 0.5 * tol)
        sizes = np.abs(end.z)
        z = np.asarray(sizes * np.exp(1j * np.angle(beta)))
    else:
        end = follow_price_path(geometry, leading, 0.5 * tol)
        z = end.z
    if end.gap > 0.8 * tol and geometry.D * geometry.channels <= LARGEST:
        again = follow_price_path_densely(geometry, leading, 0.5 * tol)
        z = again.z if again.lower > end.lower else z
        end = again if again.upper < end.upper else end
    U, rank = factor_second_moment(geometry, end.X, tol)
    return U, z, rank, end.iterations


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


def _assemble(
    w: Array,
    geometry: KernelLags,
    beta: ComplexArray,
    scale: float,
    U: Array,
    z: ComplexArray,
    lower: float,
    tol: float,
    convex: bool,
    rank: int,
    method: str,
    iterations: int,
) -> ConvKernelSolution:
    U, V, hat_U = read_outs(geometry, U, beta)
    objective = float(np.vdot(U, U) + np.vdot(V, V))
    error = misfit(geometry, hat_U, V, beta)
    if error > SAME_PREDICTOR:  # fewer channels than inputs cannot compute every predictor
        objective = np.inf
    gap = 1.0 - lower / (objective + price_of_misfit(geometry, error, beta))
    gap, lower = max(gap, 0.0), min(lower, objective)  # they may cross by rounding
    dual = geometry.inverse(z)
    dual = (dual / kernel_dual_norm(geometry, dual.reshape(w.shape))).reshape(w.shape)
    status = judged(gap, tol, convex)
    certificate = Certificate(
        objective=objective * scale,
        lower_bound=lower * scale,
        margin=1.0,
        primal=error,
        gap=gap,
        direction_gap=gap,
        stationarity=gap,
        complementarity=0.0,
        support_size=None,
        dual=dual,
    )
    inner_shape = (geometry.channels, *geometry.kernel) if geometry.channels > 1 else geometry.kernel
    kernels = np.moveaxis(U.reshape(-1, *geometry.kernel, geometry.channels), -1, 1) * np.sqrt(scale)
    return ConvKernelSolution(
        beta=w,
        dual=dual,
        objective=objective * scale,
        lower_bound=lower * scale,
        status=status,
        unique=True,
        certificate=certificate,
        stats={"method": method, "iterations": iterations},
        kernels=np.ascontiguousarray(kernels).reshape(-1, *inner_shape),
        weights=V.reshape(-1, *geometry.grid) * np.sqrt(scale),
        rank=rank,
    )


def judged(gap: float, tol: float, convex: bool) -> Status:
    """OPTIMAL with a closed gap; otherwise BOUNDED where C keeps it open, INACCURATE where the convex solver does."""
    if gap <= tol:
        return Status.OPTIMAL
    return Status.INACCURATE if convex else Status.BOUNDED


def _zero(w: Array, geometry: KernelLags) -> ConvKernelSolution:
    zero = np.zeros_like(w)
    certificate = Certificate(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, None, zero)
    kernel = (geometry.channels, *geometry.kernel) if geometry.channels > 1 else geometry.kernel
    return ConvKernelSolution(
        zero, zero, 0.0, 0.0, Status.OPTIMAL, True, certificate, {"method": "w = 0", "iterations": 0},
        np.zeros((1, *kernel)), np.zeros((1, *geometry.grid)), 0,
    )  # fmt: skip
