"""The price of one predictor: R_{K,C}(w), the kernels and read-outs that attain it, and the proof.

    min_{U,V}  ‖U‖² + ‖V‖²     s.t.  the network with kernels U and read-outs V computes w                    (P)
    max_z      ⟨z, w⟩           s.t.  R_K°(z) = ½√λ_max(T(z)) ≤ 1                                               (D)

The convex value comes from the central path (`conv_kernel_path`); kernels are read off its X ⪰ 0. For one-dimensional
signals with one input channel they are then replaced by a single kernel of the same spectrum, whatever the rank of X
(`spectral_factorization`). Otherwise the number of kernels is the rank of X, and a smaller C is a rank-constrained
problem (`conv_kernel_factors`), answered by an upper and a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.conv_kernel import ConvKernel
from solvers.conv_kernel_dense_path import LARGEST, follow_price_path_densely
from solvers.conv_kernel_lags import KernelLags
from solvers.conv_kernel_path import largest_eigenvalue
from solvers.conv_kernel_price_path import follow_price_path
from solvers.solution import Certificate, Solution, Status
from solvers.spectral_factorization import spectral_factorization

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_KEPT = 1e-14  # eigenvalues of X below this part of its trace are rounding
_SAME_PREDICTOR = 1e-8  # relative error above which a network does not compute w, so that its price is no bound
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
        """Z = [U; V][U; V]ᵀ, shape (K·R + D, K·R + D): the matrix of the semidefinite program, tr Z = objective."""
        C = self.kernels.shape[0]
        stacked = np.concatenate([self.kernels.reshape(C, -1), self.weights.reshape(C, -1)], axis=1)
        return np.asarray(stacked.T @ stacked)


def induced_regularizer(
    w: ArrayLike,
    kernel_size: int | tuple[int, ...],
    *,
    in_channels: int | None = None,
    out_channels: int | None = None,
    tol: float = 1e-9,
    restarts: int = 8,
    seed: int = 0,
) -> ConvKernelSolution:
    """R_{K,C}(w) with the kernels that attain it and a certificate.

        min ‖U‖² + ‖V‖²   s.t.   ŵ_r = Σ_{c ≤ C} û_{c,r} ⊙ v̂_c       (unitary DFT of zero-padded kernels)

    Args:
        w: predictor, shape (D,), (H, W), (R, D) or (R, H, W).
        kernel_size: K, or (K_H, K_W); an int means K × K for images.
        in_channels: R. Needed only for (R, D) with an int kernel, which otherwise reads as one image (H, W); a pair
            with three axes, or three axes in any case, is (R, H, W).
        out_channels: C; None is the convex value. A finite C below the convex range (see `ConvKernel`) is a
            rank-constrained problem: `objective` is then the best of a local search over `restarts` seeded starts and
            one from the convex solution, `lower_bound` the convex value.
        tol: relative duality gap asked for.
        restarts, seed: of the local search.

    Returns:
        ConvKernelSolution. `objective` = ‖U‖² + ‖V‖² of the network returned (an upper bound on R; inf when no network
        of C < R channels was found that computes w), `lower_bound` proved
        by `dual`, which here is z of (D) in the shape of w: R°(z) ≤ 1, ⟨z, w⟩ = lower_bound. `certificate.primal` is
        the relative error of the network's predictor against w. `status` OPTIMAL: the gap is at most `tol`; BOUNDED:
        finite C and the bounds differ; INACCURATE: the convex solver stopped above `tol`.

    Raises:
        ValueError: w not finite, of the wrong shape, or a kernel wider than w.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021): the semidefinite form and, for R = 1 in one dimension, its
    rank-one solutions. Following the path in the kernels' own
    dimension instead of the (K·R + D)-dimensional program is ours.

    >>> answer = induced_regularizer(np.arange(1.0, 9.0), 3)
    >>> round(answer.objective, 6), answer.status.name, answer.kernels.shape, answer.weights.shape
    (61.01355, 'OPTIMAL', (1, 3), (1, 8))
    """
    predictor = np.asarray(w, dtype=np.float64)
    if not np.isfinite(predictor).all():
        raise ValueError("w must be finite; it holds a nan or an infinity")
    if not 0 < tol < 1:
        raise ValueError(f"tol must be a relative gap between 0 and 1, such as 1e-9; got {tol!r}")
    if in_channels is None:
        signals = isinstance(kernel_size, tuple) and len(kernel_size) == 1 and predictor.ndim == 2
        in_channels = predictor.shape[0] if predictor.ndim == 3 or signals else 1
    if in_channels == 1 and predictor.ndim == 3:
        predictor = predictor[0]
    if isinstance(kernel_size, int) and out_channels is not None and predictor.ndim - (in_channels > 1) == 2:
        kernel_size = (kernel_size, kernel_size)
    regularizer = ConvKernel(kernel_size, in_channels, out_channels)
    regularizer.check_shape(predictor.shape)
    return price(predictor, regularizer, tol=tol, restarts=restarts, seed=seed)


def price(
    w: Array, regularizer: ConvKernel, *, tol: float = 1e-9, restarts: int = 8, seed: int = 0
) -> ConvKernelSolution:
    """`induced_regularizer` for arguments already checked."""
    geometry = regularizer.geometry(w.shape)
    scale = float(np.abs(w).max(initial=0.0))
    if scale == 0.0:
        return _zero(w, geometry)
    beta = geometry.fourier(w / scale)[0]
    if geometry.full_width:
        U, z, rank, iterations = full_width_kernel(geometry, beta), _directions(beta), 1, 0
    else:
        U, z, rank, iterations = _convex(geometry, beta, tol)
    lower = 2.0 * geometry.inner(z, beta) / np.sqrt(largest_eigenvalue(geometry, geometry.lags_of(z)))
    method = "closed form" if geometry.full_width else "central path"
    C = regularizer.out_channels
    if C is not None and U.shape[0] > C:
        from solvers.conv_kernel_factors import fewer_kernels

        U = fewer_kernels(geometry, _leading(geometry, beta, tol), U, C, restarts, seed)
        method = f"local search over {C} channels, {restarts} seeded starts"
    return _assemble(w, geometry, beta, scale, U, z, lower, tol, regularizer, rank, method, iterations)


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


def _directions(beta: ComplexArray) -> ComplexArray:
    """β̂_d/‖β̂_d‖, and 0 where β̂_d = 0: the dual optimum for full-width kernels, up to scale."""
    sizes = np.linalg.norm(beta, axis=0)
    return np.asarray(np.divide(beta, sizes, out=np.zeros_like(beta), where=sizes > 0))


def full_width_kernel(geometry: KernelLags, beta: ComplexArray) -> Array:
    """K = D needs one kernel, û_d = β̂_d/√‖β̂_d‖, whatever the dimension and the number of channels: (1, n).

    Then v̂_d = √‖β̂_d‖ and the price is 2 Σ_d ‖β̂_d‖ (2‖β̂‖₁ for R = 1). For R = 1 the phase goes to v.
    """
    roots = np.sqrt(np.linalg.norm(beta, axis=0))
    hat = _directions(beta) * roots if geometry.channels > 1 else roots[None].astype(complex)
    return np.asarray(np.moveaxis(geometry.inverse(hat), 0, -1).reshape(1, -1))


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
    regularizer: ConvKernel,
    rank: int,
    method: str,
    iterations: int,
) -> ConvKernelSolution:
    U, V, hat_U = read_outs(geometry, U, beta)
    objective = float(np.vdot(U, U) + np.vdot(V, V))
    error = _misfit(geometry, hat_U, V, beta)
    if error > _SAME_PREDICTOR:  # fewer channels than inputs cannot compute every predictor
        objective = np.inf
    gap = 1.0 - lower / (objective + _price_of_misfit(geometry, error, beta))
    gap, lower = max(gap, 0.0), min(lower, objective)  # they may cross by rounding
    dual = geometry.inverse(z)
    dual = (dual / regularizer.dual_norm(dual.reshape(w.shape))).reshape(w.shape)
    status = judged(gap, tol, regularizer)
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


def judged(gap: float, tol: float, regularizer: ConvKernel) -> Status:
    """OPTIMAL with a closed gap; otherwise BOUNDED where C keeps it open, INACCURATE where the convex solver does."""
    if gap <= tol:
        return Status.OPTIMAL
    return Status.INACCURATE if regularizer.convex else Status.BOUNDED


def padded_spectra(geometry: KernelLags, U: Array) -> ComplexArray:
    """û_c: unitary DFT of the zero-padded kernels U (C, n), shape (C, R, H)."""
    shaped = np.moveaxis(U.reshape(-1, *geometry.kernel, geometry.channels), -1, 1)
    padded = np.zeros((U.shape[0], geometry.channels, *geometry.grid))
    padded[(slice(None), slice(None), *(slice(0, k) for k in geometry.kernel))] = shaped
    return geometry.fourier(padded)


def read_outs(geometry: KernelLags, U: Array, beta: ComplexArray) -> tuple[Array, Array, ComplexArray]:
    """The cheapest V for kernels U, v̂_c = û_c* P^{-1}β̂, with U and V rescaled to ‖U‖ = ‖V‖; and the scaled û."""
    hat = padded_spectra(geometry, U)
    if geometry.channels == 1:
        P = np.sum(hat.real**2 + hat.imag**2, axis=(0, 1))
        magnitudes = np.abs(beta[0])
        used = magnitudes > 1e-15 * magnitudes.max(initial=0.0)  # what is below is the rounding of the transform
        quotient = np.divide(beta[0], P, out=np.zeros_like(beta[0]), where=used & (P > 0))
        hat_V = np.conj(hat[:, 0]) * quotient
    else:  # the least-norm solution of Û_d v̂_d = β̂_d; P_d = Û_d Û_d* is singular for C < R
        by_frequency = np.moveaxis(hat, (0, 1), (2, 1))
        hat_V = (np.linalg.pinv(by_frequency, rcond=1e-13) @ beta.T[:, :, None])[:, :, 0].T
    return _balanced(geometry, U, hat_V, hat)


def network_price(geometry: KernelLags, U: Array, beta: ComplexArray) -> float:
    """‖U‖² + ‖V‖² of the cheapest network with these kernels, rescaled; inf when they cannot compute β."""
    U, V, hat = read_outs(geometry, U, beta)
    error = _misfit(geometry, hat, V, beta)
    if error > _SAME_PREDICTOR:
        return np.inf
    return float(np.vdot(U, U) + np.vdot(V, V)) + _price_of_misfit(geometry, error, beta)


def _price_of_misfit(geometry: KernelLags, error: float, beta: ComplexArray) -> float:
    """What the part of β that the network misses may cost, R(δ) ≤ 2√D‖δ‖_* ≤ 2√(D·R)‖δ‖₂: no price is too good."""
    size = geometry.inner(beta, beta) ** 0.5
    return float(2.0 * np.sqrt(geometry.D * geometry.channels) * error * size)


def _misfit(geometry: KernelLags, hat: ComplexArray, V: Array, beta: ComplexArray) -> float:
    """Relative error of the predictor that kernels (as spectra) and read-outs compute."""
    wrong = np.einsum("crh,ch->rh", hat, _fourier_one(geometry, V)) - beta
    return float((geometry.inner(wrong, wrong) / geometry.inner(beta, beta)) ** 0.5)


def _balanced(
    geometry: KernelLags, U: Array, hat_V: ComplexArray, hat: ComplexArray
) -> tuple[Array, Array, ComplexArray]:
    V = np.stack([_inverse_one(geometry, v) for v in hat_V])
    balance = float((np.vdot(V, V) / np.vdot(U, U)) ** 0.25)
    return U * balance, V / balance, hat * balance


def _inverse_one(geometry: KernelLags, hat: ComplexArray) -> Array:
    axes = tuple(range(len(geometry.grid)))
    half = (*geometry.grid[:-1], geometry.grid[-1] // 2 + 1)
    return np.asarray(np.fft.irfftn(hat.reshape(half), geometry.grid, axes, norm="ortho"))


def _fourier_one(geometry: KernelLags, V: Array) -> ComplexArray:
    """Unitary DFT of read-outs (C, *grid), shape (C, H)."""
    axes = tuple(range(1, 1 + len(geometry.grid)))
    return np.asarray(np.fft.rfftn(V, axes=axes, norm="ortho").reshape(V.shape[0], -1))


def _zero(w: Array, geometry: KernelLags) -> ConvKernelSolution:
    zero = np.zeros_like(w)
    certificate = Certificate(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, None, zero)
    kernel = (geometry.channels, *geometry.kernel) if geometry.channels > 1 else geometry.kernel
    return ConvKernelSolution(
        zero, zero, 0.0, 0.0, Status.OPTIMAL, True, certificate, {"method": "w = 0", "iterations": 0},
        np.zeros((1, *kernel)), np.zeros((1, *geometry.grid)), 0,
    )  # fmt: skip
