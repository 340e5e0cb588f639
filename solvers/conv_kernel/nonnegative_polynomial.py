"""The value of one signal with one input channel, over nonnegative trigonometric polynomials.

    min over r ∈ R^K  of  r_0 + Σ_d |β̂_d|²/P_d   s.t.  R(θ) = Σ_ℓ r_ℓ cos ℓθ ≥ 0 for all θ,   P_d = R(2πd/D)/D       (1)

is problem (1) of `solvers.conv_kernel.path`: in one dimension r is the lags of some X ⪰ 0 exactly when R ≥ 0 (Fejér
and Riesz). The unknowns are K numbers instead of a K × K matrix. With z = P^{-1}|β̂| and the lags t of T(z), r is
optimal when there are angles ζ_j and weights w_j ≥ 0 with

    e_0 − t(z) = Σ_j w_j (cos ℓζ_j)_ℓ,      R(ζ_j) = R'(ζ_j) = 0,      R ≥ 0,                                        (2)

and then I − T(z) ⪰ 0 proves it. The poles of the sum keep R positive at the frequencies of the grid, so zeros are few:
none where K ≪ D. An interior point with R ≥ 0 at 8K points of the circle finds where they are; Newton's method on (2)
does the rest. Every step solves one K × K system. Where (2) is degenerate there is no answer here, and the central path
has one.

Reference: Alkire, Vandenberghe (2002), *Convex optimization problems involving finite autocorrelation sequences*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.linalg import LinAlgError
from scipy import fft

from solvers.algorithms.factorizations import cholesky, cholesky_solve
from solvers.arrays import Array
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.path import longest_positive
from solvers.factorization.spectral_factorization import factor_of_autocorrelation

_POINTS = 8  # of the circle for each lag: eight between two zeros of the shortest wave
_MOST_STEPS = 30
_LEVELS = (1e-4, 1e-7)  # complementarity over r_0 at which Newton's method is tried
_PATIENCE = 8  # steps in which the gap must halve
_PROXIMAL = 1e-9  # of the curvature: where K > D/2 frequencies do not determine r, which then stays where it is
_LIFT = 0.005  # of tol: half of what the spectrum is raised by before it is factored


@dataclass(frozen=True)
class _Zeros:
    """Angles ζ (m,) of R's zeros and their weights w."""

    angles: Array
    weights: Array


@lru_cache(maxsize=8)
def _circle(K: int) -> KernelLags:
    """The lags on 8K points and a few more."""
    return KernelLags((fft.next_fast_len(_POINTS * K, real=True),), (K,))


@dataclass(frozen=True)
class NonnegativePolynomial:
    """A kernel (K,) whose spectrum is R, magnitudes z (1, H) of half the dual vector, and how many steps they took."""

    factor: Array
    z: Array
    steps: int


def nonnegative_polynomial(geometry: KernelLags, beta: Array, tol: float) -> NonnegativePolynomial | None:
    """(1) for the magnitudes `beta` (1, H) to the relative gap `tol`, or None where (2) was not reached.

    R is raised by tol/100 of r_0 before it is factored, so that it has no zeros.
    """
    circle = _circle(geometry.n)
    r = geometry.trace_lags * np.sqrt(geometry.D * geometry.inner(beta, beta))
    at = _Interior(r, beta / geometry.spectrum(r), np.full(circle.multiplicity.size, 0.5))
    before = 0
    for level in _LEVELS:
        try:
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                at, steps = _interior_point(geometry, circle, beta, at, level)
                found = _newton(geometry, circle, beta, at, tol)
        except LinAlgError:
            break
        before += steps
        if found is not None:
            r, z, steps = found
            autocorrelation = np.where(geometry.trace_lags > 0, (1.0 + 2.0 * _LIFT * tol) * r, 0.5 * r)
            factor = factor_of_autocorrelation(autocorrelation)
            return NonnegativePolynomial(factor.factor, z, before + steps) if factor.residual <= 1e-12 else None
    return None


@dataclass(frozen=True)
class _Interior:
    """Lags r, magnitudes z (1, H), and multipliers y of R ≥ 0 at points of the circle; or a direction."""

    r: Array
    z: Array
    y: Array


class _System:
    """The Newton system of P z = |β̂|, e_0 − t(z) = lags(y), p y = μ, with p = R/G at the G points of the circle."""

    def __init__(self, geometry: KernelLags, circle: KernelLags, beta: Array, at: _Interior) -> None:
        self.geometry, self.circle, self.at = geometry, circle, at
        self.P, self.p = geometry.spectrum(at.r), circle.spectrum(at.r)
        self.rho = geometry.trace_lags - geometry.lags_of(at.z) - circle.to_lags(at.y)
        self.missing = beta - self.P * at.z
        self.factor = cholesky(geometry.curvature(self.P, at.z) + circle.lag_gram(at.y / self.p))

    def direction(self, quadratic: Array, bilinear: Array, centre: Array) -> tuple[_Interior, float]:
        """The direction for the lags of Δz, ΔP Δz and the centre of p y, and the longest step along it."""
        geometry, circle, at = self.geometry, self.circle, self.at
        missing = self.missing - bilinear
        right = 2.0 * geometry.to_lags((at.z * missing / self.P)[0]) + circle.to_lags(centre / self.p)
        dr = cholesky_solve(self.factor, right - self.rho + quadratic)
        dP, dp = geometry.spectrum(dr), circle.spectrum(dr)
        d = _Interior(dr, (missing - at.z * dP) / self.P, (centre - at.y * dp) / self.p)
        pairs = ((at.z[0], d.z[0]), (at.y, d.y), (self.P, dP), (self.p, dp))
        return d, min(longest_positive(x, dx) for x, dx in pairs)


def _interior_point(
    geometry: KernelLags, circle: KernelLags, beta: Array, at: _Interior, level: float
) -> tuple[_Interior, int]:
    """Mehrotra's method for (1) with R ≥ 0 at points of the circle, until Σ p y ≤ level·r_0; and its steps."""
    for step in range(_MOST_STEPS):
        if circle.multiplicity @ (circle.spectrum(at.r) * at.y) <= level * at.r[0]:
            return at, step
        system = _System(geometry, circle, beta, at)
        p, y = system.p, at.y
        mu = circle.multiplicity @ (p * y) / y.size
        d, longest = system.direction(np.zeros_like(at.r), np.zeros_like(at.z), -p * y)
        reach, dP, dp = min(1.0, longest), geometry.spectrum(d.r), circle.spectrum(d.r)
        after = circle.multiplicity @ ((p + reach * dp) * (y + reach * d.y)) / y.size
        goal = mu * min(float(after / mu) ** 3, 0.9)
        d, longest = system.direction(geometry.lags_of(d.z), dP * d.z, goal - p * y - dp * d.y)
        size = float(min(1.0, (0.9 + 0.09 * reach) * longest))
        at = _Interior(at.r + size * d.r, at.z + size * d.z, y + size * d.y)
    raise LinAlgError("the interior point did not arrive")


def _active(circle: KernelLags, at: _Interior) -> _Zeros:
    """Where the interior point wants zeros: runs of points whose multiplier exceeds R/r_0, one zero for each."""
    points = np.flatnonzero(at.y * at.r[0] > circle.spectrum(at.r) * circle.D)
    mass = circle.multiplicity * at.y / circle.D
    runs = [run for run in np.split(points, np.flatnonzero(np.diff(points) > 1) + 1) if run.size]
    weights = np.array([mass[run].sum() for run in runs])
    angles = np.array([mass[run] @ run for run in runs]) / weights * (2.0 * np.pi / circle.D) if runs else weights
    return _Zeros(angles, weights)


def _newton(
    geometry: KernelLags, circle: KernelLags, beta: Array, start: _Interior, tol: float
) -> tuple[Array, Array, int] | None:
    """Newton's method on (2) and P z = |β̂|: r, z and steps; None where it fails.

    Zeros are added until R ≥ 0 and removed until w ≥ 0.
    """
    r, z, zeros = start.r, start.z, _active(circle, start)
    least, since = np.inf, 0
    for step in range(_MOST_STEPS):
        r, z, zeros = _newton_step(geometry, beta, r, z, zeros)
        exact = beta / geometry.spectrum(r)
        gap = _gap(geometry, beta, r, exact, zeros)
        least, since = (gap, 0) if gap < 0.5 * least else (least, since + 1)
        if since > _PATIENCE or not np.isfinite(r).all():
            return None
        if gap > 0.1 * tol:
            continue
        lowest, values = _minima(circle, r)
        missed = lowest[values < -_LIFT * tol * r[0]]
        positive = zeros.weights > 0
        if missed.size == 0 and positive.all():
            return r, exact, step + 1
        weights = np.append(zeros.weights[positive], np.zeros(missed.size))
        least = np.inf
        zeros = _Zeros(np.append(zeros.angles[positive], missed), weights)
    return None


def _newton_step(geometry: KernelLags, beta: Array, r: Array, z: Array, zeros: _Zeros) -> tuple[Array, Array, _Zeros]:
    """One step, as long as P and z stay positive."""
    K, m, w = r.size, zeros.angles.size, zeros.weights
    P = geometry.spectrum(r)
    V, slopes, bends = _waves(zeros.angles, K)
    rho, missing = geometry.trace_lags - geometry.lags_of(z) - w @ V, beta - P * z
    system = np.zeros((K + 2 * m, K + 2 * m))
    system[:K, :K] = H = geometry.curvature(P, z)
    system[np.arange(K), np.arange(K)] += _PROXIMAL * np.trace(H) / K
    system[:K, K : K + m], system[:K, K + m :] = -V.T, -(slopes * w[:, None]).T
    system[K : K + m, :K], system[K + m :, :K] = V, slopes
    system[np.arange(K + m, K + 2 * m), np.arange(K + m, K + 2 * m)] = bends @ r
    right = np.concatenate([2.0 * geometry.to_lags((z * missing / P)[0]) - rho, -(V @ r), -(slopes @ r)])
    d = np.linalg.solve(system, right)
    dP = geometry.spectrum(d[:K])
    dz = (missing - z * dP) / P
    size = min(1.0, 0.9 * longest_positive(P, dP), 0.9 * longest_positive(z[0], dz[0]))
    moved = _Zeros(zeros.angles + size * d[K + m :], w + size * d[K : K + m])
    return r + size * d[:K], z + size * dz, moved


def _waves(angles: Array, K: int) -> tuple[Array, Array, Array]:
    """cos ℓζ and its first two derivatives in ζ, (m, K) each."""
    lags = np.arange(float(K))
    phase = np.multiply.outer(angles, lags)
    cosines = np.cos(phase)
    return cosines, -lags * np.sin(phase), -(lags**2) * cosines


def _gap(geometry: KernelLags, beta: Array, r: Array, z: Array, zeros: _Zeros) -> float:
    """Relative gap of r and z = |β̂|/P if R ≥ 0 and w ≥ 0; λ_max(T) ≤ 1 + 2‖ρ‖₁, ρ what (2) misses.

    Frequencies are summed by pairs, so E_i has norm 2 at most.
    """
    rho = geometry.trace_lags - geometry.lags_of(z) - zeros.weights @ _waves(zeros.angles, r.size)[0]
    inside = (z > 0).all() and r[0] > 0
    value = geometry.inner(beta, z)
    return 1.0 - float(np.sqrt(value / (r[0] * (1.0 + 2.0 * np.abs(rho).sum())))) if inside else np.inf


def _minima(circle: KernelLags, r: Array) -> tuple[Array, Array]:
    """Angles and values of R's local minima, those of the circle's points refined by Newton's method."""
    values = circle.spectrum(r)
    around = np.concatenate([values[1:2], values, values[-2:-1]])
    found = np.flatnonzero((values <= around[:-2]) & (values <= around[2:]))
    found = found[values[found] <= 0.1 * r[0] / circle.D]
    angles = found * (2.0 * np.pi / circle.D)
    for _ in range(4):
        _, slopes, bends = _waves(angles, r.size)
        angles = angles - np.clip(slopes @ r / np.maximum(bends @ r, 1e-300), -np.pi / circle.D, np.pi / circle.D)
    return angles, _waves(angles, r.size)[0] @ r
