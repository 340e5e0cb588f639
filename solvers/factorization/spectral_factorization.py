"""One filter with the autocorrelation of many: the convolution lemma, as an algorithm.

For real a_1, …, a_C of length K there is a real c of length K with

    a_1⋆a_1 + … + a_C⋆a_C = c⋆c,     (a⋆a)[k] = Σ_j a[j] a[j+k],                                     (1)

because the left side has the nonnegative spectrum R(θ) = Σ_i |a_i(e^{iθ})|², and a nonnegative trigonometric
polynomial in one variable is a square (Fejér–Riesz). It is why one output channel is enough for a two-layer linear
CNN on one-dimensional single-channel signals. ⋆ is autocorrelation: for ordinary convolution (1) is false, and in
two dimensions it is false too, since nonnegative polynomials of two variables need not be squares.

The factor returned has no zeros outside the unit circle ("minimum phase"), which fixes it up to sign. Newton's method
on (1), c ← c + δ with c⋆δ + δ⋆c = r − c⋆c, converges to it from every minimum-phase start (Wilson 1969):
quadratically when R > 0, and halving the error, so quartering the residual, when R has zeros. Only the start differs:
from the roots of the polynomial (small K), from the cepstrum (large K), or from a constant, which always works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import hankel, toeplitz

from solvers.arrays import Array, real_array
from solvers.card import Card

_ROOTS_UP_TO = 12  # companion-matrix roots lose digits like the K-th power of their spread; beyond, the cepstrum
_LIFT = 2e-15  # of r[0]: rounding can push R below 0 at one of its zeros, where no factor exists; this puts it back
_MANY_DIGITS_UP_TO = 128  # K for which Newton's method in 640 bits, some 30 solves of order K, takes seconds
_LIFTS = (5e-14, 2e-12, 4e-11)  # of r[0]: what a spectrum that is zero over an interval is raised by
_STARTS = ("auto", "roots", "cepstrum", "constant")

Power = Callable[[int], Array]
"""The spectrum R at the frequencies of `rfft` for N points."""


@dataclass(frozen=True, repr=False)
class SpectralFactor(Card):
    """A real c with Σ_i a_i⋆a_i = c⋆c, and how well it holds.

    Example:
        >>> spectral_factorization([3.0], [4.0])
        SpectralFactor
          factor      (1,)  5
          residual    0
          iterations  0
          start       exact
    """

    factor: Array
    """c, shape (K,)."""
    residual: float
    """max_k |c⋆c − Σ_i a_i⋆a_i|[k] divided by Σ_i ‖a_i‖²; dimensionless."""
    iterations: int = field(default=0)
    """Newton steps taken."""
    start: str = field(default="exact")
    """Where Newton began: `roots`, `cepstrum`, `constant`, or `exact` when no iteration was needed."""


def autocorrelation(*summands: ArrayLike) -> Array:
    """Σ_i a_i⋆a_i at the lags 0, …, K−1.

    >>> autocorrelation([1.0, 2.0], [0.0, 1.0])
    array([6., 2.])
    """
    filters = [np.asarray(a, dtype=np.float64) for a in summands]
    if filters[0].size <= 256:
        return np.asarray(sum(np.correlate(a, a, "full")[a.size - 1 :] for a in filters))
    length = 2 * filters[0].size
    power = sum(np.abs(np.fft.rfft(a, length)) ** 2 for a in filters)
    return np.asarray(np.fft.irfft(power, length)[: filters[0].size])


def spectral_factorization(*summands: ArrayLike, start: str = "auto", tol: float = 1e-13) -> SpectralFactor:
    """The filter c whose autocorrelation is the sum of the autocorrelations of the given filters.

        find real c of length K   with   c⋆c = Σ_i a_i⋆a_i                                             (1)

    Args:
        summands: one or more real filters a_i, all of the same length K; or one array (C, K), a filter a row.
        start: where Newton begins: "auto", "roots", "cepstrum" or "constant".
        tol: residual at which Newton may stop, relative to Σ_i ‖a_i‖²; it goes on while that still gains digits. Where
            float64 does not reach it, K ≤ 128 is solved again in 640 bits (seconds); longer filters keep what float64
            gave: read `residual`.

    Returns:
        SpectralFactor: `factor` c (K,), float64, with c[0] ≥ 0 or, if that is zero, positive first entry;
        `residual`, relative.

    Raises:
        ValueError: when the filters differ in length, are empty or not finite, or `start` is none of the above.
        ArithmeticError: when the residual stays above 1e-10 from every start; possible for K > 128 and a spectrum with
            zeros of high multiplicity on the unit circle.

    Reference:
        Fejér (1916), Riesz (1916); Wilson, "Factorization of the covariance generating function of a pure moving
        average process" (1969), for Newton. Jagadeesan, Razenshteyn, Gunasekar (2021) use (1) to remove the dependence
        on the number of output channels; the operation there is autocorrelation, not convolution.

    Example:
        >>> answer = spectral_factorization([1.0, 2.0, 0.5], [0.0, 1.0, -1.0])
        >>> np.allclose(autocorrelation(answer.factor), autocorrelation([1.0, 2.0, 0.5], [0.0, 1.0, -1.0]))
        True
    """
    filters, scale, offset, length = _checked(summands, start)
    if filters.shape[1] == 0:
        return SpectralFactor(np.zeros(length), 0.0)
    candidate = _one_direction(filters)
    if candidate is None:
        candidate = _by_newton(filters, start, tol)
    c = np.zeros(length)
    c[offset : offset + filters.shape[1]] = candidate.factor * scale
    leading = c[np.flatnonzero(c)[0]]
    return SpectralFactor(c if leading > 0 else -c, candidate.residual, candidate.iterations, candidate.start)


def factor_of_autocorrelation(r: Array) -> SpectralFactor:
    """c (K,) with c⋆c = r for r (K,) of positive spectrum r_0 + 2 Σ_k r_k cos kθ, as far as float64 allows."""
    found = _newton(_from_cepstrum(r, lambda N: np.maximum(2.0 * np.fft.rfft(r, N).real - r[0], 0.0)), r, "cepstrum")
    if found.residual <= 1e-13:
        return found
    again = _newton(np.concatenate([[np.sqrt(r[0])], np.zeros(r.size - 1)]), r, "constant")
    return again if again.residual < found.residual else found


def _checked(summands: tuple[ArrayLike, ...], start: str) -> tuple[Array, float, int, int]:
    """The filters as rows, scaled to largest entry 1, without common zeros at either end; scale, offset and K."""
    if start not in _STARTS:
        raise ValueError(f"start={start!r} is unknown; choose one of {', '.join(_STARTS)}")
    rows = [row for a in summands for row in np.atleast_2d(real_array("a filter", a))]
    lengths = sorted({row.shape for row in rows})
    if len(lengths) != 1 or len(lengths[0]) != 1 or lengths[0][0] == 0:
        raise ValueError(f"the filters must be one or more real vectors of one common length K, got shapes {lengths}")
    filters = np.array(rows)
    if not np.isfinite(filters).all():
        raise ValueError("the filters hold a nan or an infinity; the lemma is about finite real filters")
    length = filters.shape[1]
    scale = float(np.abs(filters).max())
    if scale == 0.0:
        return np.empty((0, 0)), 0.0, 0, length
    used = np.flatnonzero(np.any(filters != 0.0, axis=0))  # a common factor z^j drops out of (1)
    return filters[:, used[0] : used[-1] + 1] / scale, scale, int(used[0]), length


def _one_direction(filters: Array) -> SpectralFactor | None:
    """The exact answer when all filters are multiples of one: C = 1, b = 0, a = ±b."""
    largest = filters[np.argmax(np.linalg.norm(filters, axis=1))]
    direction = largest / np.linalg.norm(largest)
    weights = filters @ direction
    rest = filters - np.outer(weights, direction)
    if np.linalg.norm(rest) > 1e-15 * np.linalg.norm(filters):
        return None
    c = direction * np.linalg.norm(weights)
    return SpectralFactor(c, _residual(c, autocorrelation(*filters)))


def _by_newton(filters: Array, start: str, tol: float) -> SpectralFactor:
    r = autocorrelation(*filters)
    automatic = ("roots" if r.size <= _ROOTS_UP_TO else "cepstrum", "constant")
    order = automatic if start == "auto" else (start,)
    best: SpectralFactor | None = None
    for name in order:
        found = _newton(_begin(name, r, filters), r, name)
        if best is None or found.residual < best.residual:
            best = found
        if best.residual <= tol:
            break
    assert best is not None
    for lift in _LIFTS:
        if best.residual <= max(tol, lift):
            break
        found = _newton(_from_cepstrum(r, _power(filters), lift), r, "cepstrum")
        best = found if found.residual < best.residual else best
    if best.residual > tol and r.size <= _MANY_DIGITS_UP_TO:
        precise = _newton_in_many_digits(filters)
        best = precise if precise.residual < best.residual else best
    if not best.residual <= 1e-10:
        raise ArithmeticError(
            f"spectral factorization stopped at a relative residual of {best.residual:.1e} (K = {r.size}): the "
            f"spectrum has zeros that float64 does not resolve, and exact arithmetic ends at K = {_MANY_DIGITS_UP_TO}. "
            "Adding a small unit impulse as one more filter lifts the zeros, at a residual of its square"
        )
    return best


def _begin(name: str, r: Array, filters: Array) -> Array:
    if name == "roots":
        return _from_roots(r)
    if name == "cepstrum":
        return _from_cepstrum(r, _power(filters))
    return np.concatenate([[np.sqrt(r[0])], np.zeros(r.size - 1)])


def _newton(c: Array, r: Array, name: str, most: int = 80) -> SpectralFactor:
    """Newton on c⋆c = r until the residual no longer falls; the best iterate."""
    target = r.copy()
    target[0] *= 1.0 + _LIFT
    best, best_residual, since_best = c, _residual(c, r), 0
    steps = 0
    while steps < most and since_best < 6 and best_residual > 4e-16:
        try:
            step = np.linalg.solve(linearized(c), target - autocorrelation(c))
        except np.linalg.LinAlgError:
            break
        if not np.isfinite(step).all():
            break
        c, steps = c + step, steps + 1
        residual = _residual(c, r)
        since_best = 0 if residual < 0.5 * best_residual else since_best + 1
        if residual < best_residual:
            best, best_residual = c, residual
        if best_residual < 1e-14 and since_best >= 2:
            break
    return SpectralFactor(best, best_residual, steps, name)


def _newton_in_many_digits(filters: Array, bits: int = 640, most: int = 400) -> SpectralFactor:
    """The same Newton iteration in exact-enough arithmetic, for zeros of high multiplicity on the circle.

    With m coinciding double zeros the linearization is singular to order 2m − 1, beyond what 53 bits resolve; the
    answer itself rounds to doubles without harm.
    """
    from flint import arb, arb_mat, ctx

    K, before = filters.shape[1], ctx.prec
    ctx.prec = bits
    try:
        exact = [[arb(float(entry)) for entry in row] for row in filters]
        r = [sum((a[j] * a[j + k] for a in exact for j in range(K - k)), arb(0)) for k in range(K)]
        c = [r[0].sqrt()] + [arb(0)] * (K - 1)
        steps = 0
        while steps < most:
            steps += 1
            residual = [r[k] - sum((c[j] * c[j + k] for j in range(K - k)), arb(0)) for k in range(K)]
            if max(abs(float(m.mid())) for m in residual) < 1e-22 * float(r[0].mid()):
                break
            padded = [arb(0)] * K + c + [arb(0)] * K
            matrix = arb_mat([[padded[K + i - k] + padded[K + i + k] for i in range(K)] for k in range(K)])
            step = matrix.solve(arb_mat([[m.mid()] for m in residual]), algorithm="approx")
            c = [(c[i] + step[i, 0]).mid() for i in range(K)]  # Newton corrects itself: radii need not be carried
        found = np.array([float(entry.mid()) for entry in c])
        return SpectralFactor(found, _residual(found, autocorrelation(*filters)), steps, "constant")
    except ZeroDivisionError:
        return SpectralFactor(np.zeros(K), 1.0, 0, "constant")
    finally:
        ctx.prec = before


def linearized(c: Array) -> Array:
    """The K×K matrix of δ ↦ c⋆δ + δ⋆c at the lags 0 … K−1: Hankel c[i+k] plus Toeplitz c[i−k]."""
    return np.asarray(hankel(c) + toeplitz(np.r_[c[0], np.zeros(c.size - 1)], c))


def _residual(c: Array, r: Array) -> float:
    return float(np.abs(autocorrelation(c) - r).max() / r[0])


def _from_roots(r: Array) -> Array:
    """Half of the 2(K−1) roots, one of each pair z, 1/z̄: those of smaller modulus."""
    trimmed = r[: np.flatnonzero(np.abs(r) > 1e-15 * r[0])[-1] + 1]
    if trimmed.size == 1:
        return np.concatenate([[np.sqrt(r[0])], np.zeros(r.size - 1)])
    roots = np.roots(np.concatenate([trimmed[:0:-1], trimmed]))
    inside = roots[np.argsort(np.abs(roots))][: trimmed.size - 1]
    # a root kept at 0.999… of its modulus keeps the linearized map (singular for z_i z_j = 1) solvable
    monic = np.poly(inside * np.minimum(1.0, (1.0 - 1e-9) / np.maximum(np.abs(inside), 1e-300))).real
    c = np.zeros(r.size)
    c[: monic.size] = monic * np.sqrt(r[0] / (monic @ monic))
    return c


def _power(filters: Array) -> Power:
    return lambda N: np.asarray(np.sum(np.abs(np.fft.rfft(filters, N, axis=1)) ** 2, axis=0))


def _from_cepstrum(r: Array, power: Power, lift: float | None = None) -> Array:
    """exp of the causal half of log R (Kolmogorov), on a grid 32 times finer than the filters need.

    R is lifted by r[0]·(8/N)², so that zeros on the circle, which make log R infinite, sit where N points resolve them.
    A smaller `lift`, relative to r[0], is for spectra that vanish over an interval; its grid is finer by another 32.
    """
    N = 1 << int(np.ceil(np.log2((32 if lift is None else 1024) * r.size)))
    raised = (8.0 / N) ** 2 if lift is None else lift
    return minimum_phase(power(N) + r[0] * raised, N)[: r.size]


def minimum_phase(spectrum: Array, N: int) -> Array:
    """The real sequence of length N with this power |ĉ|² at the frequencies of `rfft` and its zeros inside the disc."""
    cepstrum = np.fft.irfft(0.5 * np.log(spectrum), N)
    cepstrum[1 : N // 2] *= 2.0
    cepstrum[N // 2 + 1 :] = 0.0
    return np.asarray(np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), N))
