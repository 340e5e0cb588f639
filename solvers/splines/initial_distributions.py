"""How the first layer of a one-input ReLU network is drawn, and what that does to the functions it learns.

Each `InitialDistribution` is a law of (W, B), the input weight and bias of a unit [Wx + B]₊, and carries

    ζ(x) = ∫ |w|³ p(w, −wx) dw                    the weight of curvature, see `solvers.splines.curvature_weights`,
    k(x, x′) = E [Wx + B]₊ [Wx′ + B]₊             the kernel of the trained output layer,

both in closed form for the three named families, and `sample`, from which the networks are drawn. The hat moments
of the families are closed forms without cancellation, so knots may be 1e-12 apart or 1e12.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial

import numpy as np

from solvers.arrays import Array
from solvers.splines.curvature_weights import CurvatureWeight, HatMoments, constant_moments, require_positive


class InitialDistribution(CurvatureWeight):
    """A law of (W, B) with its curvature weight ζ, its kernel and a sampler.

    A law of one's own is a subclass with `zeta`, `sample` and `kernel`.

    Reference:
        Jin and Montúfar (2023), Theorem 1.

    Example:
        >>> init = GaussianInit(1.0, 2.0)
        >>> w, b = init.sample(5, np.random.default_rng(0))
        >>> w.shape, float(init.kernel(np.array(0.0), np.array(0.0)))
        ((5,), 2.0)
    """

    @abstractmethod
    def sample(self, n: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """n independent draws (w, b), each of shape (n,)."""

    @abstractmethod
    def kernel(self, x: Array, x2: Array) -> Array:
        """k(x, x′) = E [Wx + B]₊[Wx′ + B]₊, elementwise over broadcast arguments."""


@dataclass(frozen=True)
class GaussianInit(InitialDistribution):
    """W ~ N(0, σ_w²), B ~ N(0, σ_b²), independent. σ are standard deviations: "N(0, 0.1)" is sigma_b=0.1**0.5.

        ζ(x) = 2σ_w³σ_b³ / (π(σ_b² + x²σ_w²)²)     on all of R.

    The moments: with s = σ_b/σ_w and t = s tan φ, ζ dt is a multiple of cos²φ dφ and t − a = s sin(φ − φ_a)
    / (cos φ cos φ_a), so for δ = φ_b − φ_a all three are elementary,

        RR = κ (1 + a²/s²) (δ − sin δ cos δ)/2,   LR = κ (1 + a²/s²)^½ (1 + b²/s²)^½ (sin δ − δ cos δ)/2,

    κ = 2σ_b²/(π h²), with δ = atan2(s h, s² + ab) exact to the last digit; the two functions of δ are
    summed from their power series where they would cancel.

    Args:
        sigma_w: σ_w > 0, in units of w.
        sigma_b: σ_b > 0, in units of w·x.

    Raises:
        ValueError: when a standard deviation is not positive and finite.

    Reference:
        Jin and Montúfar (2023), Proposition 8(1), for ζ; Cho and Saul (2009), degree 1, for the kernel.

    Example:
        >>> GaussianInit(1.0, 1.0).zeta(np.array([0.0])) * np.pi
        array([2.])
    """

    sigma_w: float = 1.0
    sigma_b: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, sigma_w=self.sigma_w, sigma_b=self.sigma_b)

    def zeta(self, x: Array) -> Array:
        ratio = np.asarray(x) * (self.sigma_w / self.sigma_b)
        return (2.0 * self.sigma_w**3 / (np.pi * self.sigma_b)) / (1.0 + ratio * ratio) ** 2

    def hat_moments(self, a: Array, b: Array) -> HatMoments:
        s = self.sigma_b / self.sigma_w
        u, v, h = a / s, b / s, (b - a) / s  # h not as v − u, which rounds
        delta = np.arctan2(h, 1.0 + u * v)
        square, cross = _angle_integrals(delta)
        # (δ/h)² δ and not δ³/h²: the cube of 1e-110 is zero
        ratio = np.divide(delta, h, out=np.zeros_like(delta), where=h > 0)
        front = (2.0 * self.sigma_w**2 / np.pi) * delta * ratio * ratio
        square *= front
        cross *= front
        sec_a, sec_b = 1.0 + u * u, 1.0 + v * v
        return HatMoments(sec_b * square, np.sqrt(sec_a * sec_b) * cross, sec_a * square)

    def sample(self, n: int, generator: np.random.Generator) -> tuple[Array, Array]:
        return self.sigma_w * generator.standard_normal(n), self.sigma_b * generator.standard_normal(n)

    def kernel(self, x: Array, x2: Array) -> Array:
        """(|c| + (π − θ) d)/2π, d = σ_b² + σ_w²xx′, c = σ_wσ_b(x − x′), θ = atan2(|c|, d): arc-cosine, degree 1."""
        dot = self.sigma_b**2 + self.sigma_w**2 * x * x2
        cross = self.sigma_w * self.sigma_b * np.abs(x - x2)
        return np.asarray((cross + (np.pi - np.arctan2(cross, dot)) * dot) / (2.0 * np.pi))


def _angle_integrals(delta: Array) -> tuple[Array, Array]:
    """(δ − sin δ cos δ)/(2δ³) and (sin δ − δ cos δ)/(2δ³) for 0 ≤ δ < π; limits 1/3 and 1/6 at 0."""
    t = delta * delta
    # powers of δ² up to the 9th: at δ = 0.3 the first neglected terms are below 1e-18
    largest = float(np.max(delta, initial=0.0))
    terms = 3 if largest < 1e-3 else 5 if largest < 2e-2 else 10
    square, cross = np.full_like(t, _SQUARE[terms - 1]), np.full_like(t, _CROSS[terms - 1])
    for k in range(terms - 2, -1, -1):
        square *= t
        square += _SQUARE[k]
        cross *= t
        cross += _CROSS[k]
    if largest >= 0.3:
        large = delta >= 0.3
        d = delta[large]
        sin, cos = np.sin(d), np.cos(d)
        square[large] = (d - sin * cos) / (2.0 * d**3)
        cross[large] = (sin - d * cos) / (2.0 * d**3)
    return square, cross


def _series() -> tuple[list[float], list[float]]:
    """Taylor coefficients in δ²: (2δ − sin 2δ)/(4δ³) and (sin δ − δ cos δ)/(2δ³)."""
    square, cross, factorial = [], [], 1.0
    for k in range(10):
        factorial *= (2.0 * k + 2.0) * (2.0 * k + 3.0)  # (2k + 3)!
        square.append((-1.0) ** k * 2.0 ** (2 * k + 1) / factorial)
        cross.append((-1.0) ** k * (k + 1.0) / factorial)
    return square, cross


_SQUARE, _CROSS = _series()


@dataclass(frozen=True)
class UniformInit(InitialDistribution):
    """W ~ U(−a_w, a_w), B ~ U(−a_b, a_b), independent.

        ζ(x) = a_w³/(8a_b) for |x| ≤ a_b/a_w,     a_b³/(8a_w x⁴) beyond: positive on all of R.

    On the tail, ∫(t − a)²t⁻⁴ = h³/(3ab³), ∫(t − a)(b − t)t⁻⁴ = h³/(6a²b²), ∫(b − t)²t⁻⁴ = h³/(3a³b).

    Args:
        a_w: largest |w|, > 0.
        a_b: largest |b|, > 0, in units of w·x.

    Raises:
        ValueError: when a bound is not positive and finite.

    Reference:
        Jin and Montúfar (2023), Proposition 8(3), which states the constant part.

    Example:
        >>> UniformInit(1.0, 2.0).zeta(np.array([0.0, 2.0, 4.0])) * 16
        array([1.    , 1.    , 0.0625])
    """

    a_w: float = 1.0
    a_b: float = 2.0

    def __post_init__(self) -> None:
        require_positive(self, a_w=self.a_w, a_b=self.a_b)

    def breakpoints(self) -> tuple[float, ...]:
        return (-self.a_b / self.a_w, self.a_b / self.a_w)

    def zeta(self, x: Array) -> Array:
        largest_w = np.minimum(self.a_w, self.a_b / np.maximum(np.abs(x), self.a_b / self.a_w))
        return np.asarray(largest_w**4 / (8.0 * self.a_w * self.a_b))

    def hat_moments(self, a: Array, b: Array) -> HatMoments:
        corner = self.a_b / self.a_w
        plateau = self.a_w**3 / (8.0 * self.a_b)
        in_tail = (a >= corner) | (b <= -corner)
        if in_tail.all():
            return self._tail(a, b)
        total = constant_moments(plateau, b - a)
        across = ((a < -corner) | (b > corner)) & ~in_tail
        for some, moments in ((in_tail, self._tail), (across, partial(self._with_tails, corner, plateau))):
            if some.any():
                for whole, part in zip(total, moments(a[some], b[some]), strict=True):
                    whole[some] = part
        return total

    def _with_tails(self, corner: float, plateau: float, a: Array, b: Array) -> HatMoments:
        """Hat moments of intervals that reach into a tail: the left tail, the plateau, the right tail."""
        left, right = np.minimum(b, -corner), np.maximum(a, corner)
        p, q = np.clip(a, -corner, corner), np.clip(b, -corner, corner)
        parts = (
            _restricted(self._tail(np.minimum(a, -corner), left), a, left, a, b),
            _restricted(constant_moments(plateau, q - p), p, q, a, b),
            _restricted(self._tail(right, np.maximum(b, corner)), right, b, a, b),
        )
        return HatMoments(*(sum(column[1:], start=column[0]) for column in zip(*parts, strict=True)))

    def _tail(self, p: Array, q: Array) -> HatMoments:
        """Hat moments of a_b³/(8a_w t⁴) over [p, q], where pq > 0."""
        front = (self.a_b**3 / (8.0 * self.a_w)) * (q - p) / (3.0 * p * q)
        return HatMoments(front / p**2, 0.5 * front / (p * q), front / q**2)

    def sample(self, n: int, generator: np.random.Generator) -> tuple[Array, Array]:
        return generator.uniform(-self.a_w, self.a_w, n), generator.uniform(-self.a_b, self.a_b, n)

    def kernel(self, x: Array, x2: Array) -> Array:
        """Exact: a cubic in w on either side of w = a_b/|min(x, x′)|, which two Gauss points integrate exactly."""
        return 0.5 * (self._kernel_positive_w(x, x2) + self._kernel_positive_w(-x, -x2))

    def _kernel_positive_w(self, x: Array, x2: Array) -> Array:
        lowest = np.minimum(x, x2)
        corner = np.minimum(self.a_w, self.a_b / np.maximum(np.abs(lowest), self.a_b / self.a_w))
        total = np.zeros(np.broadcast(x, x2).shape)
        for start, end in ((0.0 * corner, corner), (corner, self.a_w + 0.0 * corner)):
            for node in (0.5 - 0.5 / np.sqrt(3.0), 0.5 + 0.5 / np.sqrt(3.0)):
                w = start + node * (end - start)
                total += 0.5 * (end - start) * _uniform_bias_kernel(w * x, w * x2, self.a_b)
        return total / self.a_w


@dataclass(frozen=True)
class BinaryUniformInit(InitialDistribution):
    """W = ±1 with equal probability, B ~ U(−a_b, a_b), independent.

        ζ(x) = 1/(2a_b) on |x| ≤ a_b, zero outside: data must lie in [−a_b, a_b], and the spline is the cubic one.

    Args:
        a_b: largest |b|, > 0, in units of x.

    Raises:
        ValueError: when a_b is not positive and finite.

    Reference:
        Jin and Montúfar (2023), Proposition 8(2).

    Example:
        >>> BinaryUniformInit(2.0).support
        (-2.0, 2.0)
    """

    a_b: float = 2.0

    def __post_init__(self) -> None:
        require_positive(self, a_b=self.a_b)

    @property
    def support(self) -> tuple[float, float]:
        return (-self.a_b, self.a_b)

    def breakpoints(self) -> tuple[float, ...]:
        return self.support

    def zeta(self, x: Array) -> Array:
        return np.where(np.abs(x) <= self.a_b, 0.5 / self.a_b, 0.0)

    def hat_moments(self, a: Array, b: Array) -> HatMoments:
        if np.all(a >= -self.a_b) and np.all(b <= self.a_b):
            return constant_moments(0.5 / self.a_b, b - a)
        p, q = np.clip(a, -self.a_b, self.a_b), np.clip(b, -self.a_b, self.a_b)
        return _restricted(constant_moments(0.5 / self.a_b, q - p), p, q, a, b)

    def sample(self, n: int, generator: np.random.Generator) -> tuple[Array, Array]:
        return generator.choice(np.array([-1.0, 1.0]), n), generator.uniform(-self.a_b, self.a_b, n)

    def kernel(self, x: Array, x2: Array) -> Array:
        return 0.5 * (_uniform_bias_kernel(x, x2, self.a_b) + _uniform_bias_kernel(-x, -x2, self.a_b))


def _uniform_bias_kernel(x: Array, x2: Array, a_b: float) -> Array:
    """E_B [x + B]₊[x′ + B]₊, B ~ U(−a_b, a_b): with c = b + min, ∫ c(c + |x − x′|) dc from max(0, min − a_b)."""
    lowest, distance = np.minimum(x, x2), np.abs(x - x2)
    start, end = np.maximum(0.0, lowest - a_b), np.maximum(0.0, lowest + a_b)
    return np.asarray(((end**3 - start**3) / 3.0 + distance * (end**2 - start**2) / 2.0) / (2.0 * a_b))


def _restricted(local: HatMoments, p: Array, q: Array, a: Array, b: Array) -> HatMoments:
    """Moments of the hats of [a, b] over [p, q] ⊂ [a, b], from those of [p, q]'s own hats. Zero where q ≤ p."""
    h = np.where(b > a, b - a, 1.0)
    inside = (q > p) & (b > a)
    left_p, left_q = (b - p) / h, (b - q) / h
    right_p, right_q = (p - a) / h, (q - a) / h
    ll, lr, rr = local
    left_square = left_p**2 * ll + 2.0 * left_p * left_q * lr + left_q**2 * rr
    cross = left_p * right_p * ll + (left_p * right_q + left_q * right_p) * lr + left_q * right_q * rr
    right_square = right_p**2 * ll + 2.0 * right_p * right_q * lr + right_q**2 * rr
    return HatMoments(*(np.where(inside, part, 0.0) for part in (left_square, cross, right_square)))
