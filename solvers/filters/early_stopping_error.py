"""The error of an early-stopped generator, split into signal and noise, and the best time to stop.

With y = x + e and gains f_d(t) = 1 − (1 − ησ²_d)^t the error of the filter's output is

    x̂_t − x = −(1 − f(t)) x + f(t) e,

    E‖x̂_t − x‖₂² = Σ_d (1 − f_d)² |⟨w_d, x⟩|²   +   ς² Σ_d f_d²        (e ~ N(0, ς²I)),
                    signal not yet learned           noise learned

the first falling and the second growing in t (for ησ² ≤ 1). For a given e the noise part is Σ f_d² |⟨w_d, e⟩|² and
there is a third, the cross term −2 Σ (1 − f_d) f_d ⟨w_d, x⟩⟨w_d, e⟩, of mean zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from solvers.arrays import Array, real_array
from solvers.card import Card
from solvers.filters.dual_kernel import DualKernel
from solvers.filters.early_stopping import early_stopping_filter


@dataclass(frozen=True, repr=False)
class ErrorSplit(Card):
    """‖x̂_t − x‖₂² at each of the steps, in its parts; all in the squared units of the signal, summed over pixels.

    Example:
        >>> ErrorSplit(np.array([1.0]), np.array([2.0]), np.array([0.5]), np.array([0.0])).total
        array([2.5])
    """

    steps: Array
    """The numbers of steps t, shape (T,), as are all parts."""
    signal: Array = field(repr=False)
    """Σ (1 − f)² |⟨w, x⟩|², the signal not yet learned."""
    noise: Array = field(repr=False)
    """ς² Σ f² in expectation, or Σ f² |⟨w, e⟩|² for a given e: the noise learned."""
    cross: Array = field(repr=False)
    """−2 Σ (1 − f) f ⟨w, x⟩⟨w, e⟩ for a given e; zero in expectation."""

    @property
    def total(self) -> Array:
        return np.asarray(self.signal + self.noise + self.cross)


@dataclass(frozen=True, repr=False)
class StoppingTime(Card):
    """The step t at which the predicted error is least: see `best_stopping_time`.

    Example:
        >>> from solvers.filters.dual_kernel import dual_kernel
        >>> best_stopping_time(dual_kernel([1.0, 0.0]), [3.0, 4.0], 0.0, step=1.0, longest=9).at_limit
        True
    """

    step: int
    """The number of gradient steps t, not the step size."""
    error: float
    """‖x̂_t − x‖₂², summed over pixels."""
    at_limit: bool
    """True when the best step is the largest one allowed: the noise never wins within `longest` steps."""


def _spectra(kernel: DualKernel, signal: ArrayLike, noise: ArrayLike | float) -> tuple[Array, Array, Array]:
    """|x̂_d|², the noise power per frequency, and Re(x̂ conj ê), under the unitary DFT."""
    x = real_array("signal", signal)
    e = real_array("noise", noise)
    if x.shape != kernel.shape or e.shape not in ((), kernel.shape):
        raise ValueError(
            f"the kernel is for signals of shape {kernel.shape}, got a signal of shape {x.shape} "
            f"and noise of shape {e.shape}; noise is one standard deviation, or an array like the signal"
        )
    if not (np.isfinite(x).all() and np.isfinite(e).all()):
        raise ValueError("signal and noise must be finite; at least one has NaN or infinite entries")
    x_hat = np.fft.fftn(x, norm="ortho")
    if e.shape == ():
        if e < 0:
            raise ValueError(f"a standard deviation must be ≥ 0, got {float(e)}")
        return np.abs(x_hat) ** 2, np.full(kernel.shape, float(e) ** 2), np.zeros(kernel.shape)
    e_hat = np.fft.fftn(e, norm="ortho")
    return np.abs(x_hat) ** 2, np.abs(e_hat) ** 2, (x_hat * e_hat.conj()).real


def predicted_error(
    kernel: DualKernel, signal: ArrayLike, noise: ArrayLike | float, step: float, steps: ArrayLike
) -> ErrorSplit:
    """The predicted ‖G(C_t) − x‖₂² of gradient descent on ½‖G(C) − y‖₂², y = x + e, at each t, split in parts.

        ‖x̂_t − x‖₂² = Σ_d (1 − f_d)² |⟨w_d, x⟩|² + Σ_d f_d² |⟨w_d, e⟩|² − 2 Σ_d (1 − f_d) f_d ⟨w_d, x⟩⟨w_d, e⟩

    Args:
        kernel: the dual kernel Σ.
        signal: x, shape of the kernel.
        noise: the standard deviation ς of e ~ N(0, ς²I), then the parts are expectations; or e itself, shape of x.
        step: η, in units of 1/σ².
        steps: whole numbers ≥ 0, or infinity, shape (T,).

    Returns:
        ErrorSplit of arrays (T,), float64, in squared units of the signal, summed over pixels.

    Raises:
        ValueError: when shapes do not match the kernel, a value is not finite, ς is negative, or the step is so long
            that gradient descent diverges.

    Reference:
        Heckel and Soltanolkotabi (2020), Theorem 1. Its bound has the same two terms; these are exact for the
        linearized iteration.

    Example:
        >>> from solvers.filters.dual_kernel import dual_kernel
        >>> split = predicted_error(dual_kernel([1.0, 0.0]), [3.0, 4.0], 1.0, step=2.0, steps=[0, 1])
        >>> [float(v) for v in split.total.round(12)]
        [25.0, 2.0]
    """
    x_power, e_power, inner = _spectra(kernel, signal, noise)
    times = np.atleast_1d(real_array("steps", steps))
    parts = np.empty((3, times.size))
    for chunk in np.array_split(np.arange(times.size), max(1, times.size * kernel.size // 2_000_000)):
        gains = early_stopping_filter(kernel, step, times[chunk]).gains.reshape(len(chunk), -1)
        missing = 1.0 - gains
        parts[0, chunk] = missing**2 @ x_power.ravel()
        parts[1, chunk] = gains**2 @ e_power.ravel()
        parts[2, chunk] = -2.0 * (missing * gains) @ inner.ravel()
    return ErrorSplit(times, *parts)


def best_stopping_time(
    kernel: DualKernel, signal: ArrayLike, noise: ArrayLike | float, step: float, *, longest: int = 10**7
) -> StoppingTime:
    """The whole number t ≤ `longest` that minimizes the predicted error of `predicted_error`.

        min_t  Σ_d (1 − f_d(t))² |⟨w_d, x⟩|² + ς² Σ_d f_d(t)²,     f_d(t) = 1 − (1 − ησ²_d)^t

    Every t up to 512 is tried, then 32 per doubling, then the whole numbers between the neighbours of the best. The
    error can have several minima: one narrower than 2 % of t, past t = 512, can be missed.

    Args:
        kernel: the dual kernel Σ.
        signal: x, shape of the kernel.
        noise: the standard deviation ς of e ~ N(0, ς²I), or e itself, shape of x.
        step: η, in units of 1/σ².
        longest: the largest t allowed, whole number ≥ 1.

    Returns:
        StoppingTime; `at_limit` says that the error was still falling at `longest`.

    Raises:
        ValueError: as `predicted_error`, and unless longest is a whole number ≥ 1.

    Reference:
        Heckel and Soltanolkotabi (2020), Theorem 1: the bound whose minimizer in t this makes exact.

    Example:
        >>> from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
        >>> kernel = dual_kernel(gaussian_kernel(64, 0.05))
        >>> wave = np.sin(2 * np.pi * 5 * np.arange(64) / 64)
        >>> best_stopping_time(kernel, wave, 0.3, 0.1 / kernel.largest).step
        71
    """
    if int(longest) != longest or longest < 1:
        raise ValueError(f"longest must be a whole number ≥ 1, got {longest!r}")

    def error(t: Array) -> Array:
        return predicted_error(kernel, signal, noise, step, t).total

    doublings = int(np.ceil(np.log2(longest + 1)))
    spaced = np.rint(np.geomspace(1, longest, 1 + 32 * doublings))
    coarse = np.unique(np.concatenate([np.arange(min(longest, 512) + 1.0), spaced]))
    values = error(coarse)
    best = int(np.argmin(values))
    low, high = coarse[max(best - 1, 0)], coarse[min(best + 1, coarse.size - 1)]
    candidates = np.arange(low, high + 1)
    if candidates.size > 4096:
        found = minimize_scalar(lambda t: float(error(np.rint([t]))[0]), bounds=(low, high), options={"xatol": 0.5})
        candidates = np.clip(np.rint(found.x) + np.arange(-512, 513), low, high)
        candidates = np.unique(np.append(candidates, coarse[best]))
    refined = error(candidates)
    chosen = int(np.argmin(refined))
    return StoppingTime(int(candidates[chosen]), float(refined[chosen]), int(candidates[chosen]) == int(longest))
