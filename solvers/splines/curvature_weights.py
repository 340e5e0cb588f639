"""ζ, the weight of curvature: how easily a wide network bends at x.

A one-input ReLU unit a·[wx + b]₊ bends at its breakpoint C = −b/w. Over a distribution of units, the least energy of a
function is an integral of its second derivative

    ∫ g″(x)² / ζ(x) dx,        ζ(x) = ∫ |w|³ p_{W,B}(w, −wx) dw = p_C(x)·E[W² | C = x]        (units of w²/x).

Everything a spline needs of ζ is one thing, the three **hat moments** of an interval [a, b], h = b − a,

    LL = ∫ζ L²,   LR = ∫ζ L R,   RR = ∫ζ R²,      L = (b − t)/h,  R = (t − a)/h,

and these are integrals of nonnegative functions. Raw moments ∫ζ, ∫tζ, ∫t²ζ would have to be subtracted from one
another, losing all digits for knots 1e-8 apart; a sum of nonnegative terms cannot lose any. (They are recovered
without loss too: ∫ζ = LL + 2LR + RR, ∫(t − a)ζ = h(LR + RR), ∫(t − a)²ζ = h²RR.)

This file holds the interface, the constant weight, a weight given as a function, and the quadrature used where there
is no closed form. `solvers.splines.initial_distributions` has the weights that come from initializing a network.

Reference: Jin and Montúfar (2023), Theorem 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array, array_methods

Index = NDArray[np.intp]

SEARCHED = 1024
"""Pieces in which a user's ζ is searched for spikes, over all intervals."""

BLOCK = 1 << 15
"""Intervals handled together, so that the temporaries of a block stay in the cache."""


class HatMoments(NamedTuple):
    """∫ζL², ∫ζLR, ∫ζR² of a vector of intervals; each has the intervals' shape. Zero for an interval of length 0."""

    LL: Array
    LR: Array
    RR: Array


@array_methods(zeta=1, kernel=2, hat_moments=2, check_inside_support=1)
class CurvatureWeight(ABC):
    """A weight ζ(x) ≥ 0 of squared curvature, positive inside its support.

    A weight of one's own is a subclass with `zeta`; `support`, `breakpoints` and `hat_moments` are replaced where more
    is known of ζ.

    Example:
        >>> class Laplace(CurvatureWeight):
        ...     def zeta(self, x):
        ...         return np.exp(-np.abs(x))
        >>> float(Laplace().hat_moments(np.array([0.0]), np.array([1.0])).RR[0].round(6))
        0.160603
    """

    zeta_accuracy: ClassVar[float] = 1e-14
    """Relative rounding of `zeta`, below which a quadrature of it refines no further."""

    @property
    def support(self) -> tuple[float, float]:
        """The smallest closed interval outside which ζ = 0; by default (−inf, inf), ζ never vanishes."""
        return (-np.inf, np.inf)

    @abstractmethod
    def zeta(self, x: Array) -> Array:
        """ζ(x), elementwise."""

    def hat_moments(self, a: Array, b: Array) -> HatMoments:
        """The hat moments of the intervals [a, b], a ≤ b elementwise; by default by quadrature of ζ, to about 1e-13."""
        return hat_quadrature(self.zeta, a, b, gauss_legendre(10), self.breakpoints(), self.zeta_accuracy)

    def breakpoints(self) -> tuple[float, ...]:
        """Where ζ is not smooth, so that any quadrature of it can split there. None by default."""
        return ()

    def check_inside_support(self, x: Array) -> None:
        """Raise ValueError naming the points of x where ζ = 0: no unit can bend there."""
        low, high = self.support
        outside = np.flatnonzero((x < low) | (x > high))
        if outside.size:
            shown = ", ".join(f"x[{i}] = {x[i]:g}" for i in outside[:5]) + (", …" if outside.size > 5 else "")
            raise ValueError(
                f"{outside.size} data point(s) outside the support [{low:g}, {high:g}] of ζ for {self}: {shown}. No "
                "unit of such a network bends there, so the prediction says nothing about them; use a wider bias "
                "distribution or leave these points out"
            )


def require_positive(owner: object, **scales: float) -> None:
    """Raise ValueError for a scale that is not positive and finite, naming the object it belongs to."""
    for name, value in scales.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{type(owner).__name__}({name}={value!r}): {name} must be positive and finite")


@dataclass(frozen=True)
class ConstantWeight(CurvatureWeight):
    """ζ(x) = value everywhere: the natural cubic spline.

    Args:
        value: ζ > 0; an energy ∫g″²/ζ is in units of 1/value.

    Raises:
        ValueError: when the value is not positive and finite.

    Reference:
        Reinsch (1967), the spline of ζ = 1.

    Example:
        >>> ConstantWeight().hat_moments(np.array([0.0]), np.array([3.0])).LL
        array([1.])
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        if not (self.value > 0 and np.isfinite(self.value)):
            raise ValueError(f"ConstantWeight(value={self.value!r}): ζ must be positive and finite; ζ = 1 is value=1.0")

    def zeta(self, x: Array) -> Array:
        return np.full(np.shape(x), self.value)

    def hat_moments(self, a: Array, b: Array) -> HatMoments:
        return constant_moments(self.value, b - a)


class WeightOnInterval(CurvatureWeight):
    """A weight that vanishes outside `interval` and is not smooth at `kinks`, as its user says."""

    interval: tuple[float, float]
    kinks: tuple[float, ...]

    @property
    def support(self) -> tuple[float, float]:
        return self.interval

    def breakpoints(self) -> tuple[float, ...]:
        return self.kinks

    def _on_interval(self, x: Array, values: Array) -> Array:
        low, high = self.interval
        return np.where((x >= low) & (x <= high), values, 0.0)


@dataclass(frozen=True)
class FunctionWeight(WeightOnInterval):
    """ζ given as a function, with the interval outside which it vanishes.

    Moments by adaptive Gauss–Legendre quadrature, so ζ may have jumps and kinks; naming them saves time. A spike
    narrower than about 1e-4 of the data's range must be named in `kinks`, or the quadrature can miss it.

    Args:
        function: ζ(x) ≥ 0, vectorized over float64 arrays.
        interval: the support, (low, high) in units of x.
        kinks: points x where ζ is not smooth.

    Reference:
        Jin and Montúfar (2023), Theorem 1, for the role of ζ.

    Example:
        >>> weight = FunctionWeight(lambda x: 1.0 / (1.0 + x**2) ** 2)
        >>> weight.hat_moments(np.array([-1e-9]), np.array([1e-9])).LR * 3e9
        array([1.])
    """

    function: Callable[[Array], Array]
    interval: tuple[float, float] = (-np.inf, np.inf)
    kinks: tuple[float, ...] = ()

    def zeta(self, x: Array) -> Array:
        return self._on_interval(x, self.function(x))

    def hat_moments(self, a: Array, b: Array) -> HatMoments:
        pieces = max(1, SEARCHED // max(a.size, 1))
        # cut ever nearer to a kink as well: a spike there is seen at whatever width it has
        widths = np.max(b - a, initial=0.0) * 16.0 ** -np.arange(1.0, 12.0)
        around = [float(at) for kink in self.kinks for at in np.concatenate([kink - widths, kink + widths])]
        cuts = (*self.kinks, *around)
        return hat_quadrature(self.zeta, a, b, gauss_legendre(10), cuts, self.zeta_accuracy, pieces)


def blockwise(function: Callable[..., Array], *arrays: Array) -> Array:
    """function(*arrays) with the last axis taken in blocks of `BLOCK`: of bounded memory, and within the cache."""
    size = arrays[0].size
    if size <= BLOCK:
        return function(*arrays)
    first = function(*(values[:BLOCK] for values in arrays))
    out = np.empty((*first.shape[:-1], size))
    out[..., :BLOCK] = first
    for i in range(BLOCK, size, BLOCK):
        out[..., i : i + BLOCK] = function(*(values[i : i + BLOCK] for values in arrays))
    return out


def constant_moments(value: float, h: Array) -> HatMoments:
    """Hat moments of ζ = value on intervals of length h: value·h·(1/3, 1/6, 1/3)."""
    third = (value / 3.0) * h
    return HatMoments(third, 0.5 * third, third.copy())  # three arrays: callers may overwrite one


class QuadratureRule(NamedTuple):
    """Nodes in (0, 1) and positive weights that sum to 1."""

    nodes: Array
    weights: Array


def gauss_legendre(n: int) -> QuadratureRule:
    """The n-point Gauss–Legendre rule on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return QuadratureRule(0.5 * (nodes + 1.0), 0.5 * weights)


def fejer(n: int) -> QuadratureRule:
    """The n-point Fejér rule on [0, 1] (Clenshaw–Curtis without its end points), which the certificate uses."""
    k = np.arange(n)
    theta = (k + 0.5) * np.pi / n
    j = np.arange(1, n // 2 + 1)
    weights = (2.0 / n) * (1.0 - 2.0 * (np.cos(2.0 * np.outer(theta, j)) / (4.0 * j**2 - 1.0)).sum(axis=1))
    return QuadratureRule(0.5 * (1.0 - np.cos(theta)), 0.5 * weights)


def clenshaw_curtis(n: int) -> QuadratureRule:
    """The rule on [0, 1] with n + 1 Chebyshev points, n even: the end points see a jump next to them."""
    theta = np.arange(n + 1) * np.pi / n
    j = np.arange(1, n // 2 + 1)
    terms = np.where(2 * j == n, 1.0, 2.0) * np.cos(2.0 * np.outer(theta, j)) / (4.0 * j**2 - 1.0)
    weights = np.where((theta == 0.0) | (np.arange(n + 1) == n), 1.0, 2.0) / n * (1.0 - terms.sum(axis=1))
    return QuadratureRule(0.5 * (1.0 - np.cos(theta)), 0.5 * weights)


def hat_quadrature(
    zeta: Callable[[Array], Array],
    a: Array,
    b: Array,
    rule: QuadratureRule,
    kinks: tuple[float, ...] = (),
    rtol: float = 1e-14,
    pieces: int = 1,
) -> HatMoments:
    """Hat moments of a vector of intervals from values of ζ alone, by `adaptive_quadrature` split at the kinks.

    Each interval begins as `pieces` equal ones, unless it is short against its distance to 0.
    """
    left, right = np.ravel(a).astype(np.float64), np.ravel(b).astype(np.float64)
    if left.size > BLOCK:
        parts = blockwise(lambda p, q: np.stack(hat_quadrature(zeta, p, q, rule, kinks, rtol)), left, right)
        return HatMoments(*parts.reshape(3, *np.shape(a)))
    # Knots 1e-12 apart leave (t − a)/h no digits, so there the variable is θ, t = a + hθ; an interval much longer than
    # its distance to 0 needs t itself, because θ near 1 cannot tell points near b apart.
    h = right - left
    close = (h > 0) & (h < 1e-3 * np.maximum(np.abs(left), np.abs(right)))
    origin, unit = np.where(close, left, 0.0), np.where(close, h, 1.0)
    start, end = np.where(close, 0.0, left), np.where(close, 1.0, right)

    def integrand(owner: Index, s: Array) -> Array:
        o, c, p, q = (values[owner][:, None] for values in (origin, unit, start, end))
        hat_left, hat_right = (q - s) / (q - p), (s - p) / (q - p)
        values = zeta(o + c * s)
        return np.stack([values * hat_left**2, values * hat_left * hat_right, values * hat_right**2])

    inner = tuple((kink - origin) / unit for kink in kinks)
    inner += tuple(np.where(close, start, start + (end - start) * (i / pieces)) for i in range(1, pieces))
    total = adaptive_quadrature(integrand, start, end, rule, inner, rtol, components=3) * unit
    return HatMoments(*(row.reshape(np.shape(a)) for row in total))


def adaptive_quadrature(
    integrand: Callable[[Index, Array], Array],
    left: Array,
    right: Array,
    rule: QuadratureRule,
    kinks: tuple[Array, ...] = (),
    rtol: float = 1e-14,
    max_depth: int = 50,
    components: int = 1,
) -> Array:
    """∫ of a vector of nonnegative integrands over [left_i, right_i], shape (components, intervals), by bisection.

    `integrand(owner, t)`, t of shape (pieces, nodes) and owner (pieces,) the interval of each, returns (components,
    pieces, nodes). All open pieces are evaluated together. A piece is accepted when halving it moves it by no more
    than rtol of its interval's total; after `max_depth` halvings it is 1e-15 of the interval and accepted as it is,
    and so are all when there are 100 times more pieces than intervals: that is noise in the integrand, not structure.
    `kinks` are places to cut at first, one per interval in each array of shape (intervals,).

    Why not scipy: tanhsinh takes all intervals together but is wrong by 1e-4 at a jump nobody named, and takes 6 to 8
    times as long on smooth ζ (10 to 50,000 intervals). cubature refines all intervals where one needs it: as fast on
    smooth ζ, 3 times as long for ζ of a sample, 28 times with a jump in one of 1,000 intervals, 317 times with twenty;
    a peak of width 1e-6 in one of them stops it unconverged after 1,500 times as long.
    """
    owner = np.flatnonzero(right > left)
    p, q = left[owner], right[owner]
    for kink in kinks:
        at = kink[owner]
        cut = (p < at) & (at < q)
        owner, p, q = (
            np.concatenate([owner, owner[cut]]),
            np.concatenate([p, at[cut]]),
            np.concatenate([np.where(cut, at, q), q[cut]]),
        )

    def integrate(owner: Index, p: Array, q: Array) -> Array:
        t = p[:, None] + (q - p)[:, None] * rule.nodes
        return integrand(owner, t) @ rule.weights * (q - p)

    def collect(owner: Index, parts: Array) -> Array:
        rows = [np.bincount(owner, weights=row, minlength=left.size) for row in parts]
        return np.asarray(rows, dtype=np.float64)  # bincount of nothing is int

    most = 10_000 + 100 * left.size
    total = np.zeros((components, left.size))
    for depth in range(max_depth + 1):
        if not owner.size:
            break
        middle = 0.5 * (p + q)
        whole = integrate(owner, p, q)
        halves = integrate(owner, p, middle) + integrate(owner, middle, q)
        # of what is known by now: a first estimate that missed a peak must not set the tolerance for good
        scale = (total + collect(owner, halves)).sum(axis=0)
        moving = (np.abs(whole - halves).max(axis=0) > rtol * scale[owner]) & (depth < max_depth) & (owner.size < most)
        total += collect(owner[~moving], halves[:, ~moving])
        owner, p, middle, q = owner[moving], p[moving], middle[moving], q[moving]
        owner, p, q = np.tile(owner, 2), np.concatenate([p, middle]), np.concatenate([middle, q])
    return total
