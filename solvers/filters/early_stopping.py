"""Early stopping as a spectral filter, beside Tikhonov and truncated SVD.

Linearized at a start with G(C₀) = 0, gradient descent with step η on ½‖G(C) − y‖₂² outputs, after t steps,

    G(C_t) = Σ_d [1 − (1 − ησ²_d)^t] ⟨w_d, y⟩ w_d,

with (σ²_d, w_d) the eigenpairs of the dual kernel J Jᵀ. Each bracket is a gain between 0 and 1: stopping at t *is*
this linear filter. Tikhonov regularization with ridge λ has gains σ²/(σ² + λ) and truncated SVD keeps the largest
σ² whole; with λ ≈ 1/(ηt) and the cut at σ² ≈ 1/(ηt) the three nearly agree. The kernels here are circulant, so a
filter is one multiplication in the Fourier domain.

The loss matters by a factor of two: for ‖G(C) − y‖₂² without the ½ the bracket is 1 − (1 − 2ησ²)^t.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.filters.dual_kernel import DualKernel

Array = NDArray[np.float64]
Loss = Literal["half_squared", "squared"]
_GRADIENT_FACTOR = {"half_squared": 1.0, "squared": 2.0}


@dataclass(frozen=True)
class SpectralFilter:
    """A linear shift-invariant filter: gains on the Fourier coefficients, called on a signal."""

    gains: Array = field(repr=False)
    """Shape (..., *shape): one gain per frequency in `numpy.fft.fftn` order; leading axes are several filters."""
    dimensions: int
    """1 for signals (n,), 2 for images (H, W)."""

    def __call__(self, signal: ArrayLike) -> Array:
        """The filtered signal: shape of `gains` (broadcast with leading axes of the signal).

        Raises ValueError when the signal's last axes are not those of the kernel, or it has NaN or infinities.
        """
        values = np.asarray(signal, dtype=np.float64)
        shape = self.gains.shape[-self.dimensions :]
        if values.shape[-self.dimensions :] != shape:
            raise ValueError(f"the filter is for signals of shape {shape}, got one of shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"the signal has {int((~np.isfinite(values)).sum())} NaN or infinite entries")
        axes = tuple(range(-self.dimensions, 0))
        return np.asarray(np.fft.ifftn(self.gains * np.fft.fftn(values, axes=axes), axes=axes).real)


def learned_per_step(kernel: DualKernel, step: float, loss: Loss = "half_squared") -> Array:
    """ησ² (for ½‖·‖₂²) or 2ησ² (for ‖·‖₂²): the share of the residual that one step removes at each frequency.

    Raises ValueError unless step > 0 and every share is below 2: beyond, gradient descent diverges.
    """
    if loss not in _GRADIENT_FACTOR:
        raise ValueError(f"loss must be one of {sorted(_GRADIENT_FACTOR)}, got {loss!r}")
    factor = _GRADIENT_FACTOR[loss]
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"the step must be a positive number, got {step!r}")
    # written as not (<) so that rounding at exactly 2/σ² is still refused
    if not factor * step * kernel.largest < 2.0:
        raise ValueError(
            f"step {step:.6g} is at or above {2 / (factor * kernel.largest):.6g} = 2/({factor:g}·σ²_max): "
            f"gradient descent on this loss does not converge; take 1/({factor:g}·σ²_max) = "
            f"{1 / (factor * kernel.largest):.6g}"
        )
    return np.asarray(factor * step * kernel.eigenvalues)


def power_complement(share: Array, t: Array) -> Array:
    """1 − (1 − x)^t for x = ησ² in [0, 2), accurate for tiny x; t may be infinite (limit 1 for x > 0, else 0)."""
    x, t = np.broadcast_arrays(share, t)
    gains = np.where(np.isinf(t) & (x > 0), 1.0, 0.0)
    small = np.isfinite(t) & (x < 1.0)
    gains[small] = -np.expm1(t[small] * np.log1p(-x[small]))
    large = np.isfinite(t) & (x >= 1.0)
    gains[large] = 1.0 - (1.0 - x[large]) ** t[large]  # t is whole, so the power of a negative number is real
    return gains


def early_stopping_filter(
    kernel: DualKernel, step: float, t: ArrayLike, *, loss: Loss = "half_squared"
) -> SpectralFilter:
    """The filter that t steps of gradient descent are: gains 1 − (1 − ησ²)^t.

        G(C_t) = Σ_d [1 − (1 − ησ²_d)^t] ⟨w_d, y⟩ w_d     for ½‖G(C) − y‖₂²  ("half_squared")
        G(C_t) = Σ_d [1 − (1 − 2ησ²_d)^t] ⟨w_d, y⟩ w_d    for ‖G(C) − y‖₂²   ("squared")

    step – η, in units of 1/σ²; below 2/σ²_max (1/σ²_max for "squared").
    t – whole number(s) of steps ≥ 0, or infinity; an array gives one filter per entry, as leading axes.

    Returns a SpectralFilter; gains (*t.shape, *kernel.shape). t = 0 gives zero, t = ∞ the projection on the range
    of the kernel.

    Raises ValueError when the step is too long for gradient descent to converge, or some t is negative, not whole
    or NaN.

    Reference: Heckel & Soltanolkotabi (2020), Theorem 1 (½‖·‖²) — the linearized iteration, exactly.

    >>> from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
    >>> kernel = dual_kernel(gaussian_kernel(64, 0.05))
    >>> gains = early_stopping_filter(kernel, 1 / kernel.largest, [0, 1, np.inf]).gains
    >>> [float(g) for g in gains[:, 0].round(12)]
    [0.0, 1.0, 1.0]
    """
    times = np.asarray(t, dtype=np.float64)
    if np.isnan(times).any() or (times < 0).any() or (times[np.isfinite(times)] % 1 != 0).any():
        raise ValueError(f"t counts gradient steps: whole numbers ≥ 0 or infinity, got {t!r}")
    share = learned_per_step(kernel, step, loss)
    spread = times.reshape(times.shape + (1,) * len(kernel.shape))
    return SpectralFilter(power_complement(share, spread), len(kernel.shape))


def tikhonov_filter(kernel: DualKernel, ridge: float) -> SpectralFilter:
    """The ridge-regression filter, gains σ²/(σ² + λ): the output of min ½‖J c − y‖₂² + ½λ‖c‖₂².

    ridge – λ ≥ 0, in the units of σ². λ = 0 gives the projection on the range of the kernel.

    Raises ValueError for a negative or non-finite ridge.

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
    """The truncated-SVD filter: gain 1 on the `rank` largest eigenvalues, 0 on the others.

    Eigenvalues of a real circulant come in pairs ±d, and a filter that kept one of a pair would not be
    shift-invariant: when the cut falls inside a group of equal eigenvalues the group is left out whole, so the
    filter keeps at most `rank` directions.

    Raises ValueError unless 0 ≤ rank ≤ size.

    >>> from solvers.filters.dual_kernel import dual_kernel, triangle_kernel
    >>> truncated_filter(dual_kernel(triangle_kernel(6, 2)), 3).gains
    array([1., 1., 0., 0., 0., 1.])
    """
    if int(rank) != rank or not 0 <= rank <= kernel.size:
        raise ValueError(f"the rank must be a whole number from 0 to {kernel.size}, got {rank!r}")
    ordered = np.append(np.sort(kernel.eigenvalues.ravel())[::-1], -np.inf)
    tie = 1e-12 * kernel.largest
    first_left_out = ordered[int(rank)]
    gains = (kernel.eigenvalues > first_left_out + tie).astype(np.float64)
    return SpectralFilter(gains, len(kernel.shape))
