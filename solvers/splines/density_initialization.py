"""Initial distributions outside the named families: any joint density of (W, B), or a sample of it.

For a density p the weight is an integral at every x,

    ζ(x) = ∫_0^{w_max} w³ [ p(w, −wx) + p(−w, wx) ] dw,

taken adaptively. A sample has no density, so its ζ = p_C(x) E[W² | C = x] is a kernel estimate: the density of the
breakpoints C_i = −b_i/w_i weighted by w_i². That is a statistical estimate (relative error about (sample size ·
bandwidth)^(−1/2)), where the density's ζ is exact to quadrature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from solvers.arrays import Array, real_array
from solvers.splines.curvature_weights import (
    Index,
    WeightOnInterval,
    adaptive_quadrature,
    clenshaw_curtis,
    gauss_legendre,
    require_positive,
)
from solvers.splines.initial_distributions import InitialDistribution

Density = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class DensityInit(WeightOnInterval, InitialDistribution):
    """(W, B) with joint density p(w, b) on a rectangle; `from_samples` for a sample instead.

        ζ(x) = ∫_0^{w_max} w³ [ p(w, −wx) + p(−w, wx) ] dw

    Args:
        density: p(w, b) ≥ 0, vectorized over float64 arrays of one shape.
        w_max, b_max: p is taken as zero outside |w| ≤ w_max, |b| ≤ b_max; should hold all but about 1e-16 of the mass.
        interval: the support of ζ, in units of x (default all of R).
        kinks: points x where ζ is not smooth; naming them saves quadrature.
        sampler: draws (w, b), each of shape (n,), given (n, generator). Without it: rejection from the rectangle.

    Raises:
        ValueError: when a bound is not positive and finite, or the mass on the rectangle differs from 1 by over 5e-3.

    Reference:
        Jin and Montúfar (2023), Theorem 1, for any density.

    Example:
        >>> p = lambda w, b: np.exp(-(w**2 + b**2) / 2) / (2 * np.pi)
        >>> DensityInit(p, w_max=9.0, b_max=9.0).zeta(np.array([0.0, 1.0])) * np.pi
        array([2. , 0.5])
    """

    zeta_accuracy: ClassVar[float] = 1e-13
    density: Density
    w_max: float
    b_max: float
    interval: tuple[float, float] = (-np.inf, np.inf)
    kinks: tuple[float, ...] = ()
    sampler: Callable[[int, np.random.Generator], tuple[Array, Array]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        require_positive(self, w_max=self.w_max, b_max=self.b_max)
        mass = float(self.density(*self._cells).mean()) * 4.0 * self.w_max * self.b_max
        # midpoint sums of discontinuous densities are good to about a row of cells, 1/512; of narrow ones to nothing
        if abs(mass - 1.0) > 5e-3 and abs((mass := self._mass()) - 1.0) > 5e-3:
            raise ValueError(
                f"the density integrates to {mass:.4g} over |w| ≤ {self.w_max:g}, |b| ≤ {self.b_max:g}, wanted 1: "
                "normalize it, or enlarge w_max and b_max"
            )

    @staticmethod
    def from_samples(w: ArrayLike, b: ArrayLike, bandwidth: float | None = None) -> SampledInit:
        """The distribution a sample (w_i, b_i) comes from, with ζ estimated; `bandwidth` in units of x."""
        return SampledInit(real_array("w", w), real_array("b", b), bandwidth)

    def _mass(self) -> float:
        """∫∫ p over the rectangle, adaptively from 256 × 64 pieces: a peak of a thousandth of the width is seen."""
        rule = clenshaw_curtis(8)

        def over_bias(owner: Index, w: Array) -> Array:
            flat = w.ravel()
            ends = np.full(flat.shape, self.b_max)
            cuts = tuple(np.full(flat.shape, cut) for cut in np.linspace(-self.b_max, self.b_max, 65)[1:-1])

            def density(point: Index, b: Array) -> Array:
                return self.density(np.broadcast_to(flat[point][:, None], b.shape), b)[None]

            return adaptive_quadrature(density, -ends, ends, rule, cuts, rtol=1e-5).reshape(1, *w.shape)

        end = np.array([self.w_max])
        cuts = tuple(np.linspace(-self.w_max, self.w_max, 257)[1:-1, None])
        return float(adaptive_quadrature(over_bias, -end, end, rule, cuts, rtol=1e-4)[0, 0])

    def zeta(self, x: Array) -> Array:
        points = np.ravel(x).astype(np.float64)
        # beyond w = b_max/|x| the bias leaves the rectangle
        top = np.minimum(self.w_max, self.b_max / np.maximum(np.abs(points), self.b_max / self.w_max))

        def integrand(owner: Index, w: Array) -> Array:
            b = w * points[owner][:, None]
            return np.asarray(w**3 * (self.density(w, -b) + self.density(-w, b)))[None]

        values = adaptive_quadrature(integrand, np.zeros_like(top), top, clenshaw_curtis(16), rtol=1e-14)[0]
        return self._on_interval(points, values).reshape(np.shape(x))

    def kernel(self, x: Array, x2: Array) -> Array:
        """E [Wx + B]₊[Wx′ + B]₊ by Gauss–Legendre in w and, from the breakpoint upwards, in b."""
        x, x2 = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(x2, dtype=np.float64))
        first, second = x.ravel(), x2.ravel()
        rule = gauss_legendre(60)

        def integrand(owner: Index, w: Array) -> Array:
            u, v = w * first[owner][:, None], w * second[owner][:, None]
            low = np.clip(np.maximum(-u, -v), -self.b_max, self.b_max)[..., None]
            b = low + (self.b_max - low) * rule.nodes
            inner = (u[..., None] + b) * (v[..., None] + b) * self.density(np.broadcast_to(w[..., None], b.shape), b)
            return np.asarray((inner @ rule.weights) * (self.b_max - low[..., 0]))[None]

        ends = np.full(first.shape, self.w_max)
        halves = adaptive_quadrature(integrand, -ends, ends, gauss_legendre(20), kinks=(0.0 * ends,), rtol=1e-12)
        return np.asarray(halves[0].reshape(x.shape))

    def sample(self, n: int, generator: np.random.Generator) -> tuple[Array, Array]:
        if self.sampler is not None:
            w, b = self.sampler(n, generator)
            return np.asarray(w, dtype=np.float64), np.asarray(b, dtype=np.float64)
        bound = 1.1 * float(self.density(*self._cells).max())
        kept: list[Array] = []
        missing = n
        while missing > 0:
            w = generator.uniform(-self.w_max, self.w_max, 4 * missing + 1024)
            b = generator.uniform(-self.b_max, self.b_max, w.size)
            height = self.density(w, b)
            if np.any(height > bound):
                raise ValueError(
                    f"the density reaches {height.max():g}, above {bound:g}, its largest value on a 512×512 grid: it "
                    "is too peaked for rejection sampling; pass `sampler`"
                )
            accepted = np.flatnonzero(generator.uniform(0.0, bound, w.size) < height)[:missing]
            kept.append(np.stack([w[accepted], b[accepted]]))
            missing -= accepted.size
        w, b = np.concatenate(kept, axis=1) if kept else np.empty((2, 0))
        return w, b

    @cached_property
    def _cells(self) -> tuple[Array, Array]:
        """Midpoints (w, b) of a 512×512 grid of the rectangle."""
        middle = (np.arange(512) + 0.5) / 256.0 - 1.0
        w, b = np.meshgrid(middle * self.w_max, middle * self.b_max, indexing="ij")
        return w, b


@dataclass(frozen=True, eq=False)
class SampledInit(InitialDistribution):
    """(W, B) known through a sample only; see `DensityInit.from_samples`. `sample` resamples, `kernel` averages.

    ζ is the Gaussian kernel density of C = −B/W weighted by W², binned to 1/8 of the bandwidth and interpolated by a
    cubic spline; its support is where 99.9 % of the weight lies, 4 bandwidths added. Default bandwidth: Silverman's
    rule on the weighted quartiles. The sums of `scipy.stats.gaussian_kde(weights=)` on the same grid differ by 2.5e-3
    (1,000 samples) to 7e-4 (200,000) of the largest ζ and take 11 to 390 times as long (7 ms to 4.8 s).
    """

    zeta_accuracy: ClassVar[float] = 1e-12
    w: Array = field(repr=False)
    b: Array = field(repr=False)
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        if self.w.ndim != 1 or self.w.shape != self.b.shape or self.w.size < 100:
            raise ValueError(
                f"w and b must be one-dimensional of one length ≥ 100 to estimate ζ, got {self.w.shape}, {self.b.shape}"
            )
        if not (np.isfinite(self.w).all() and np.isfinite(self.b).all()) or np.any(self.w == 0):
            raise ValueError("w and b must be finite and w nonzero: a unit with w = 0 has no breakpoint")

    @cached_property
    def _table(self) -> tuple[float, float, CubicSpline]:
        breakpoints, weights = -self.b / self.w, self.w**2
        order = np.argsort(breakpoints)
        mass = np.cumsum(weights[order]) / weights.sum()
        low, first, third, high = np.interp([0.0005, 0.25, 0.75, 0.9995], mass, breakpoints[order])
        effective = weights.sum() ** 2 / (weights**2).sum()
        width = 0.9 * (third - first) / 1.34 * effective**-0.2 if self.bandwidth is None else self.bandwidth
        low, high, step = low - 4.0 * width, high + 4.0 * width, width / 8.0
        cells = int(np.ceil((high - low) / step))
        edges = low + step * np.arange(-40, cells + 41)
        density = np.histogram(breakpoints, edges, weights=weights)[0] / (self.w.size * step)
        offsets = step * np.arange(-40, 41)
        bump = np.exp(-0.5 * (offsets / width) ** 2)
        smooth = np.maximum(np.convolve(density, bump / bump.sum(), mode="same"), 0.0)
        return float(low), float(high), CubicSpline(0.5 * (edges[1:] + edges[:-1]), smooth)

    @property
    def support(self) -> tuple[float, float]:
        return self._table[0], self._table[1]

    def zeta(self, x: Array) -> Array:
        low, high, curve = self._table
        return np.where((x >= low) & (x <= high), np.maximum(curve(np.clip(x, low, high)), 0.0), 0.0)

    def kernel(self, x: Array, x2: Array) -> Array:
        x, x2 = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(x2, dtype=np.float64))
        values = [np.mean(self._units(p) * self._units(q)) for p, q in zip(x.ravel(), x2.ravel(), strict=True)]
        return np.array(values).reshape(x.shape)

    def _units(self, x: float) -> Array:
        return np.maximum(self.w * x + self.b, 0.0)

    def sample(self, n: int, generator: np.random.Generator) -> tuple[Array, Array]:
        chosen = generator.integers(0, self.w.size, n)
        return self.w[chosen], self.b[chosen]
