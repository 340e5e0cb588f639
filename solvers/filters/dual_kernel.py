"""The dual kernel of a two-layer convolutional generator: which patterns gradient descent learns first.

The generator G(C) = ReLU(U C) v has a fixed circulant U (a convolution with the interpolation kernel u), random
weights C (n × k, i.i.d. centred Gaussian entries) and fixed output weights with ‖v‖₂ = 1. Its Jacobian J at C has

    E[J Jᵀ]_{ij} = E[ReLU′(⟨u_i, c⟩) ReLU′(⟨u_j, c⟩)] ⟨u_i, u_j⟩
                 = ½ (1 − arccos(ρ_{ij}) / π) ⟨u_i, u_j⟩,      ρ_{ij} = ⟨u_i, u_j⟩ / (‖u_i‖₂ ‖u_j‖₂),

with u_i the rows of U. U is circulant, so ⟨u_i, u_j⟩ depends on i − j only: the kernel is circulant and symmetric,
its eigenvectors are the cosines and sines whatever u is, and one FFT gives its eigenvalues σ². Gradient descent on
½‖G(C) − y‖₂² shrinks the part of the residual along an eigenvector by 1 − ησ² in every step; smooth u put nearly all
of σ² on low frequencies, which is why smooth images are fitted long before noise. In two dimensions everything
reads the same, with the 2-D FFT.

The scale is that of the formula above. Published code for the same kernels divides by 6 instead of 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.arrays import Array, real_array
from solvers.card import Card

T = TypeVar("T", bound=np.generic)


def _shape(n: int | Sequence[int]) -> tuple[int, ...]:
    """A signal length or an image shape as a tuple, or one clear error."""
    shape = (n,) if isinstance(n, int | np.integer) else tuple(n)
    if len(shape) not in (1, 2) or any(int(s) != s or s < 2 for s in shape):
        raise ValueError(f"the shape must be a length n ≥ 2 or a pair (H, W) of sizes ≥ 2, got {n!r}")
    return tuple(int(s) for s in shape)


def _torus(factors: list[Array]) -> Array:
    """The kernel with these 1-D factors, of unit ℓ2 norm."""
    profile = factors[0] if len(factors) == 1 else np.outer(*factors)
    return np.asarray(profile / np.linalg.norm(profile))


def _lags(length: int) -> Array:
    """The signed circular lags 0, 1, …, −2, −1 (−n/2 for the middle of an even n)."""
    return np.asarray(np.fft.fftfreq(length, d=1.0 / length))


def triangle_kernel(n: int | Sequence[int], width: int) -> Array:
    """The triangle interpolation kernel, u[p] ∝ max(0, width − |p|), ‖u‖₂ = 1: linear interpolation.

    In two dimensions it is the product of two triangles (bilinear interpolation). Width 1 is the identity.

    Args:
        n: int, or (H, W): pixels of the circle or torus.
        width: half-width, a whole number of pixels; 1 ≤ width ≤ n/2, so that the triangle does not meet itself.

    Returns:
        The kernel, float64, shape (n,) or (H, W), centred at index 0 (it wraps around).

    Raises:
        ValueError: when a side is below 2, or the width is not a whole number between 1 and n/2.

    Reference:
        Heckel and Soltanolkotabi (2020), Section 3.

    Example:
        >>> triangle_kernel(6, 2).round(4)
        array([0.8165, 0.4082, 0.    , 0.    , 0.    , 0.4082])
    """
    shape = _shape(n)
    if int(width) != width or not 1 <= width <= min(shape) / 2:
        raise ValueError(
            f"the triangle's width must be a whole number from 1 to {min(shape) // 2} pixels "
            f"(half of the shortest side of {shape}), got {width!r}"
        )
    factors = [np.maximum(0.0, width - np.abs(_lags(s))) for s in shape]
    return _torus(factors)


def gaussian_kernel(n: int | Sequence[int], width: float) -> Array:
    """The Gaussian interpolation kernel, u[p] ∝ exp(−|p|² / (n·width)²), ‖u‖₂ = 1; isotropic in two dimensions.

    Args:
        n: int, or (H, W): pixels of the circle or torus.
        width: √2 standard deviations, in units of the signal's length (of an image's shorter side); > 0.

    Returns:
        The kernel, float64, shape (n,) or (H, W), centred at index 0 (it wraps around).

    Raises:
        ValueError: when a side is below 2, or the width is not a positive number.

    Reference:
        Heckel and Soltanolkotabi (2020), Section 3.

    Example:
        >>> gaussian_kernel(8, 0.1).round(4)
        array([0.9588, 0.201 , 0.0019, 0.    , 0.    , 0.    , 0.0019, 0.201 ])
    """
    shape = _shape(n)
    if not (math.isfinite(width) and width > 0):
        raise ValueError(f"the Gaussian's width must be a positive number (in units of the side), got {width!r}")
    factors = [np.exp(-((_lags(s) / (min(shape) * width)) ** 2)) for s in shape]
    return _torus(factors)


@dataclass(frozen=True, repr=False)
class DualKernel(Card):
    """A symmetric circulant positive semidefinite matrix Σ = E[J Jᵀ] over a circle (n,) or a torus (H, W).

    Example:
        >>> kernel = dual_kernel([2.0, 0.0])
        >>> kernel.matrix(), kernel.apply(np.array([1.0, 3.0]))
        (array([[2., 0.],
               [0., 2.]]), array([2., 6.]))
    """

    column: Array = field(repr=False)
    """Σ's first column, laid out as the signal: Σ_{ij} = column[i − j], shape (n,) or (H, W)."""
    eigenvalues: Array = field(repr=False)
    """σ²[d] ≥ 0 at frequency d, in the order of `numpy.fft.fftn`: shape of `column`; σ²[d] = σ²[−d]."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.column.shape

    @property
    def size(self) -> int:
        return self.column.size

    @property
    def largest(self) -> float:
        """σ²_max: gradient descent on ½‖·‖₂² is stable for steps below 2/σ²_max and monotone up to 1/σ²_max."""
        return float(self.eigenvalues.max())

    def apply(self, signal: Array) -> Array:
        """Σ·signal, over the last axes of `signal`; O(n log n)."""
        axes = tuple(range(-len(self.shape), 0))
        return np.asarray(
            np.fft.ifftn(self.eigenvalues * np.fft.fftn(real_array("signal", signal), axes=axes), axes=axes).real
        )

    def matrix(self) -> Array:
        """Σ as a dense (size, size) matrix over row-major pixels; for checks and small problems."""
        index = np.indices(self.shape).reshape(len(self.shape), -1)
        lag = [(i[:, None] - i[None, :]) % s for i, s in zip(index, self.shape, strict=True)]
        return np.asarray(self.column[tuple(lag)])

    def eigenvectors(self) -> tuple[Array, Array]:
        """The trigonometric eigenvectors: (σ² in decreasing order (size,), orthonormal columns (size, size)).

        For each pair of frequencies ±d the columns √(2/n) cos(2π⟨d, m⟩) and √(2/n) sin(2π⟨d, m⟩), with n = size and
        ⟨d, m⟩ = Σ_a d_a m_a / n_a; for d = −d (constant, alternating) the single column n^{−1/2} cos(2π⟨d, m⟩).

        >>> kernel = dual_kernel(triangle_kernel(6, 2))
        >>> values, vectors = kernel.eigenvectors()
        >>> bool(np.allclose(kernel.matrix() @ vectors, vectors * values))
        True
        """
        frequency = np.indices(self.shape).reshape(len(self.shape), -1)
        size = np.array(self.shape)[:, None]
        conjugate = np.ravel_multi_index(tuple((-frequency) % size), self.shape)
        own = np.arange(self.size)
        phase = 2 * np.pi * np.einsum("am,ad->md", frequency, frequency / size)
        vectors = np.where(own <= conjugate, np.cos(phase), np.sin(phase))
        vectors *= np.where(own == conjugate, 1.0, np.sqrt(2.0)) / np.sqrt(self.size)
        order = np.argsort(-self.eigenvalues.ravel(), kind="stable")
        return self.eigenvalues.ravel()[order], vectors[:, order]


def dual_kernel(u: ArrayLike) -> DualKernel:
    """The dual kernel of the two-layer generator with interpolation kernel u.

        Σ = ½ (1 − arccos(ρ)/π) ⊙ U Uᵀ,     ρ_ij = ⟨u_i, u_j⟩ / (‖u_i‖₂ ‖u_j‖₂),  u_i the rows of U

    Args:
        u: real array (n,) or (H, W), the convolution kernel, as long as the signal (zero outside its support). Any
            scale: Σ scales with ‖u‖₂². Where it is centred does not matter.

    Returns:
        DualKernel in the units of ‖u‖₂²; its trace is n‖u‖₂²/2.

    Raises:
        ValueError: when u is not 1-D or 2-D with sides ≥ 2, has NaN or infinities, or is zero.

    Reference:
        Heckel and Soltanolkotabi (2020), "Denoising and regularization via exploiting the structural bias of
        convolutional generators", Section 3: the expected Jacobian Gram matrix and its circulant eigenvectors.

    Example:
        >>> kernel = dual_kernel([1.0, 0.0, 0.0, 0.0])
        >>> kernel.eigenvalues
        array([0.5, 0.5, 0.5, 0.5])
    """
    weights = real_array("u", u)
    if weights.ndim not in (1, 2) or min(weights.shape, default=0) < 2:
        raise ValueError(
            f"the interpolation kernel must be an array (n,) or (H, W) with sides ≥ 2, got shape {weights.shape}"
        )
    if not np.isfinite(weights).all() or not weights.any():
        raise ValueError(
            "the interpolation kernel must be finite and not all zero: "
            f"{int((~np.isfinite(weights)).sum())} of its {weights.size} entries are NaN or infinite"
        )
    inner = np.fft.ifftn(np.abs(np.fft.fftn(weights)) ** 2).real  # ⟨u_0, u_d⟩ for every lag d, by Wiener–Khinchin
    inner = (inner + reflected(inner)) / 2  # symmetric exactly, not only to rounding
    cosine = np.clip(inner / inner.flat[0], -1.0, 1.0)
    cosine[1.0 - cosine < 8 * np.finfo(float).eps] = 1.0  # arccos turns a rounding error ε into √ε
    column = 0.5 * (1.0 - np.arccos(cosine) / np.pi) * inner
    eigenvalues = np.fft.fftn(column).real
    return DualKernel(column, np.maximum(eigenvalues, 0.0))  # PSD by Schur's product theorem; drop the rounding


def reflected(array: NDArray[T]) -> NDArray[T]:
    """array[−d], circularly, in every axis."""
    return np.roll(np.flip(array), 1, axis=tuple(range(array.ndim)))
