"""Early stopping as a spectral filter, with Tikhonov and truncated SVD for comparison.

Linearized at a start with G(C₀) = 0, gradient descent with step η on ½‖G(C) − y‖₂² outputs, after t steps,

    G(C_t) = Σ_d [1 − (1 − ησ²_d)^t] ⟨w_d, y⟩ w_d,

with (σ²_d, w_d) the eigenpairs of the dual kernel J Jᵀ. Each bracket is a gain between 0 and 1: stopping at t *is*
this linear filter. Tikhonov regularization with ridge λ has gains σ²/(σ² + λ) and truncated SVD keeps the largest
σ² whole; with λ ≈ 1/(ηt) and the cut at σ² ≈ 1/(ηt) the three nearly agree. The kernels here are circulant, so a
filter is one multiplication in the Fourier domain.

The loss is ½‖·‖₂², with the ½. Descent on ‖G(C) − y‖₂² with step η is descent on ½‖·‖₂² with step 2η.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from solvers.arrays import Array, real_array
from solvers.card import Card
from solvers.filters.dual_kernel import DualKernel


@dataclass(frozen=True, repr=False)
class SpectralFilter(Card):
    """A linear shift-invariant filter: gains on the Fourier coefficients, called on a signal.

    Example:
        >>> SpectralFilter(np.array([1.0, 0.0]), 1)([3.0, 5.0])  # the mean is kept, the alternating part is not
        array([4., 4.])
    """

    gains: Array = field(repr=False)
    """Shape (..., *shape): one gain per frequency in `numpy.fft.fftn` order; leading axes are several filters."""
    dimensions: int
    """1 for signals (n,), 2 for images (H, W)."""

    def __call__(self, signal: ArrayLike) -> Array:
        """The filtered signal: shape of `gains` (broadcast with leading axes of the signal).

        Raises ValueError when the signal's last axes are not those of the kernel, or it has NaN or infinities.
        """
        values = real_array("signal", signal)
        shape = self.gains.shape[-self.dimensions :]
        if values.shape[-self.dimensions :] != shape:
            raise ValueError(f"the filter is for signals of shape {shape}, got one of shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"the signal has {int((~np.isfinite(values)).sum())} NaN or infinite entries")
        axes = tuple(range(-self.dimensions, 0))
        return np.asarray(np.fft.ifftn(self.gains * np.fft.fftn(values, axes=axes), axes=axes).real)


def learned_per_step(kernel: DualKernel, step: float) -> Array:
    """ησ², the share of the residual that one step on ½‖·‖₂² removes at each frequency.

    Raises ValueError unless step > 0 and every share is below 2: beyond, gradient descent diverges.
    """
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"the step must be a positive number, got {step!r}")
    # written as not (<) so that rounding at exactly 2/σ² is still refused
    if not step * kernel.largest < 2.0:
        raise ValueError(
            f"step {step:.6g} is at or above {2 / kernel.largest:.6g} = 2/σ²_max: gradient descent on ½‖·‖² does not "
            f"converge; take 1/σ²_max = {1 / kernel.largest:.6g}"
        )
    return step * kernel.eigenvalues


def power_complement(share: Array, t: Array) -> Array:
    """1 − (1 − x)^t for x = ησ² in [0, 2), accurate for tiny x; t may be infinite (limit 1 for x > 0, else 0)."""
    x, t = np.broadcast_arrays(share, t)
    gains = np.where(np.isinf(t) & (x > 0), 1.0, 0.0)
    small = np.isfinite(t) & (x < 1.0)
    gains[small] = -np.expm1(t[small] * np.log1p(-x[small]))
    large = np.isfinite(t) & (x >= 1.0)
    gains[large] = 1.0 - (1.0 - x[large]) ** t[large]  # t is whole, so the power of a negative number is real
    return gains


def early_stopping_filter(kernel: DualKernel, step: float, t: ArrayLike) -> SpectralFilter:
    """The filter that t steps of gradient descent on ½‖G(C) − y‖₂² are.

        G(C_t) = Σ_d [1 − (1 − ησ²_d)^t] ⟨w_d, y⟩ w_d

    Args:
        kernel: the dual kernel Σ, whose eigenpairs are (σ²_d, w_d).
        step: η, in units of 1/σ²; below 2/σ²_max. For the loss ‖·‖₂² without the ½ give twice its step.
        t: whole numbers of steps ≥ 0, or infinity; a scalar, or an array of any shape, which gives one filter per
            entry, as leading axes.

    Returns:
        SpectralFilter with gains of shape (*t.shape, *kernel.shape), float64. t = 0 gives zero, t = ∞ the projection on
        the range of the kernel.

    Raises:
        ValueError: when the step is not positive or so long that gradient descent does not converge, or when some t is
            negative, not whole or NaN.

    Reference:
        Heckel and Soltanolkotabi (2020), Theorem 1: the linearized iteration, exactly.

    Example:
        >>> from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
        >>> kernel = dual_kernel(gaussian_kernel(64, 0.05))
        >>> gains = early_stopping_filter(kernel, 1 / kernel.largest, [0, 1, np.inf]).gains
        >>> [float(g) for g in gains[:, 0].round(12)]
        [0.0, 1.0, 1.0]
    """
    times = real_array("t", t)
    if np.isnan(times).any() or (times < 0).any() or (times[np.isfinite(times)] % 1 != 0).any():
        raise ValueError(f"t counts gradient steps: whole numbers ≥ 0 or infinity, got {t!r}")
    share = learned_per_step(kernel, step)
    spread = times.reshape(times.shape + (1,) * len(kernel.shape))
    return SpectralFilter(power_complement(share, spread), len(kernel.shape))


def tikhonov_filter(kernel: DualKernel, ridge: float) -> SpectralFilter:
    """The filter of ridge regression, min ½‖J c − y‖₂² + ½λ‖c‖₂²: gains σ²/(σ² + λ).

    Args:
        kernel: the dual kernel Σ = J Jᵀ.
        ridge: λ ≥ 0, in the units of σ²; λ = 0 gives the projection on the range of the kernel.

    Returns:
        SpectralFilter with gains of the kernel's shape, float64.

    Raises:
        ValueError: when the ridge is negative or not finite.

    Reference:
        Tikhonov (1963); the comparison is that of Heckel and Soltanolkotabi (2020), Section 3.

    Example:
        >>> from solvers.filters.dual_kernel import dual_kernel
        >>> float(tikhonov_filter(dual_kernel([1.0, 0.0]), 0.5).gains[0])
        0.5
    """
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"the ridge must be a number ≥ 0, got {ridge!r}")
    values = kernel.eigenvalues
    gains = np.divide(values, values + ridge, out=np.zeros_like(values), where=values > 0)
    return SpectralFilter(gains, len(kernel.shape))


def truncated_filter(kernel: DualKernel, rank: int) -> SpectralFilter:
    """The filter of truncated SVD: gain 1 on the `rank` largest eigenvalues, 0 on the others.

    Eigenvalues of a real circulant come in pairs ±d, and a filter that kept one of a pair would not be
    shift-invariant: when the cut falls inside a group of equal eigenvalues the whole group is left out.

    Args:
        kernel: the dual kernel Σ.
        rank: whole number from 0 to kernel.size; at most so many directions are kept.

    Returns:
        SpectralFilter with gains 0 and 1 of the kernel's shape, float64.

    Raises:
        ValueError: unless 0 ≤ rank ≤ size, rank whole.

    Reference:
        Hansen (1987), truncated SVD as regularization.

    Example:
        >>> from solvers.filters.dual_kernel import dual_kernel, triangle_kernel
        >>> truncated_filter(dual_kernel(triangle_kernel(6, 2)), 3).gains
        array([1., 1., 0., 0., 0., 1.])
    """
    if int(rank) != rank or not 0 <= rank <= kernel.size:
        raise ValueError(f"the rank must be a whole number from 0 to {kernel.size}, got {rank!r}")
    ordered = np.append(np.sort(kernel.eigenvalues.ravel())[::-1], -np.inf)
    tie = 1e-12 * kernel.largest  # rounding of the FFT separates equal eigenvalues by some 1e-15 of the largest
    return SpectralFilter((kernel.eigenvalues > ordered[int(rank)] + tie).astype(np.float64), len(kernel.shape))
