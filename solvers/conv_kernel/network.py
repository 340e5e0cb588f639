"""The network that given kernels make: their spectra, the least output weights for a predictor, and what both cost.

    û_c = DFT of the zero-padded kernel,    v̂_c = û_c* P^{-1} β̂,    P = Σ_c û_c û_c*,    cost ‖U‖² + ‖V‖²

The cost is measured on what the network computes: what it misses of β is charged at the most it could cost.
"""

from __future__ import annotations

import numpy as np

from solvers import fourier
from solvers.arrays import Array, ComplexArray
from solvers.conv_kernel.lags import KernelLags

SAME_PREDICTOR = 1e-8
"""Relative error above which a network does not compute β, so that its cost is no bound."""


def full_width_kernel(geometry: KernelLags, beta: ComplexArray) -> Array:
    """K = D needs one kernel, û_d = β̂_d/√‖β̂_d‖, whatever the dimension and the number of channels: (1, n).

    Then v̂_d = √‖β̂_d‖ and the cost is 2 Σ_d ‖β̂_d‖ (2‖β̂‖₁ for R = 1). For R = 1 the phase goes to v.
    """
    roots = np.sqrt(np.linalg.norm(beta, axis=0))
    hat = directions(beta) * roots if geometry.channels > 1 else roots[None].astype(complex)
    return np.asarray(np.moveaxis(geometry.inverse(hat), 0, -1).reshape(1, -1))


def directions(beta: ComplexArray) -> ComplexArray:
    """β̂_d/‖β̂_d‖, and 0 where β̂_d = 0: the dual optimum for full-width kernels, up to scale."""
    sizes = np.linalg.norm(beta, axis=0)
    return np.asarray(np.divide(beta, sizes, out=np.zeros_like(beta), where=sizes > 0))


def padded_spectra(geometry: KernelLags, U: Array) -> ComplexArray:
    """û_c: unitary DFT of the zero-padded kernels U (C, n), shape (C, R, H)."""
    shaped = np.moveaxis(U.reshape(-1, *geometry.kernel, geometry.channels), -1, 1)
    padded = np.zeros((U.shape[0], geometry.channels, *geometry.grid))
    padded[(slice(None), slice(None), *(slice(0, k) for k in geometry.kernel))] = shaped
    return geometry.fourier(padded)


def least_output_weights(geometry: KernelLags, U: Array, beta: ComplexArray) -> tuple[Array, Array, ComplexArray]:
    """The least V for kernels U, v̂_c = û_c* P^{-1}β̂, with U and V rescaled to ‖U‖ = ‖V‖; and the scaled û."""
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


def network_cost(geometry: KernelLags, U: Array, beta: ComplexArray) -> float:
    """‖U‖² + ‖V‖² of the least network with these kernels, rescaled; inf when they cannot compute β."""
    U, V, hat = least_output_weights(geometry, U, beta)
    error = relative_residual(geometry, hat, V, beta)
    if error > SAME_PREDICTOR:
        return np.inf
    return float(np.vdot(U, U) + np.vdot(V, V)) + cost_of_residual(geometry, error, beta)


def cost_of_residual(geometry: KernelLags, error: float, beta: ComplexArray) -> float:
    """What the part of β that the network misses may cost, R(δ) ≤ 2√D‖δ‖_* ≤ 2√(D·R)‖δ‖₂."""
    size = geometry.inner(beta, beta) ** 0.5
    return float(2.0 * np.sqrt(geometry.D * geometry.channels) * error * size)


def relative_residual(geometry: KernelLags, hat: ComplexArray, V: Array, beta: ComplexArray) -> float:
    """Relative error of the predictor that kernels (as spectra) and output weights compute."""
    wrong = np.einsum("crh,ch->rh", hat, fourier.to_half(V, geometry.grid)) - beta
    return float((geometry.inner(wrong, wrong) / geometry.inner(beta, beta)) ** 0.5)


def _balanced(
    geometry: KernelLags, U: Array, hat_V: ComplexArray, hat: ComplexArray
) -> tuple[Array, Array, ComplexArray]:
    V = fourier.from_half(hat_V, geometry.grid)
    balance = float((np.vdot(V, V) / np.vdot(U, U)) ** 0.25)
    return U * balance, V / balance, hat * balance


def shaped_kernels(geometry: KernelLags, U: Array) -> Array:
    """Kernels (C, n) as (C, K), (C, K_H, K_W), or (C, R, …) for several input channels."""
    inner = (geometry.channels, *geometry.kernel) if geometry.channels > 1 else geometry.kernel
    moved = np.moveaxis(U.reshape(-1, *geometry.kernel, geometry.channels), -1, 1)
    return np.ascontiguousarray(moved).reshape(-1, *inner)


def flat_kernels(geometry: KernelLags, kernels: Array) -> Array:
    """The inverse of `shaped_kernels`."""
    moved = np.moveaxis(kernels.reshape(-1, geometry.channels, *geometry.kernel), 1, -1)
    return np.ascontiguousarray(moved).reshape(kernels.shape[0], -1)


class TwoLayerNetwork:
    """An answer that is a network: ‖U‖² = ‖V‖², half of its cost each."""

    kernels: Array
    """U, shape (C, K), (C, K_H, K_W), or (C, R, …) for R > 1 input channels."""
    output_weights: Array
    """V, shape (C, D) or (C, H, W)."""

    @property
    def second_moment(self) -> Array:
        """Z = `[U; V] [U; V]ᵀ`, shape (K·R + D, K·R + D): the matrix of the semidefinite program; tr Z is the cost."""
        C = self.kernels.shape[0]
        stacked = np.concatenate([self.kernels.reshape(C, -1), self.output_weights.reshape(C, -1)], axis=1)
        return np.asarray(stacked.T @ stacked)
