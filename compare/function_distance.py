"""How far apart two functions of one variable are: the true largest difference on an interval, and the L2 distance.

A grid misses the peak between its points, and a network has its breaks exactly where nobody put a grid point. So both
functions are cut at every place where either changes its formula, and each piece is treated by what it is:

- linear minus linear: the largest difference sits at an end of the piece;
- linear minus spline: besides the ends, where g′ equals the slope. g″ = ζℓ changes sign only where ℓ does, so with
  those zeros among the cuts g′ is monotone on each piece, has at most one such point, and bisection finds it;
- anything else that is smooth between its knots: the pieces are cut further and each local maximum is refined;
- a plain callable: the interval is cut into 256 pieces, since nobody says where it changes its formula.

Which functions say what they are: `solvers.splines.piecewise`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from solvers.arrays import Array
from solvers.splines.piecewise import Piecewise, piecewise

SUBDIVISION = 16
"""Parts into which a piece is cut when neither function is linear there."""
PLAIN = 256
"""Pieces of the interval for a function of which nothing is known. A convention."""


def uniform_distance(f: Any, g: Any, interval: tuple[float, float]) -> float:
    """max over x in [low, high] of |f(x) − g(x)|, in units of the functions' values.

    Where one function is piecewise linear and the other piecewise linear or a `WeightedSpline` this is the maximum to
    rounding. Else each piece between knots, of a plain callable each 256th of the interval, is cut into 16 and every
    local maximum refined, which is exact unless the difference oscillates faster than that within a piece.

    Args:
        f, g: functions of one variable as the module lists them: networks, splines, interpolants, any callable.
        interval: (low, high), low < high, finite, in units of x.

    Returns:
        The distance.

    Raises:
        ValueError: the interval is not one.
        TypeError: f or g is no function of one variable.

    >>> round(uniform_distance(np.sin, np.cos, (0.0, np.pi)) ** 2, 12)  # √2, at 3π/4
    2.0
    >>> from solvers.splines.rich_regime import rich_interpolant
    >>> from solvers.splines.weighted_spline import weighted_spline
    >>> x, y = [0.0, 1.0, 2.0], [0.0, 1.0, 0.0]
    >>> dots, spline = rich_interpolant(x, y).joined_dots, weighted_spline(x, y)
    >>> round(uniform_distance(dots, spline, (0.0, 2.0)) * 3**1.5, 12)  # x/2 − x³/2 at 1/√3
    1.0
    """
    left, right, first, second = _common_pieces(f, g, interval)
    middle = 0.5 * (left + right)

    def difference(x: Array) -> Array:
        return first.on(x, middle) - second.on(x, middle)

    best = max(float(np.abs(difference(left)).max()), float(np.abs(difference(right)).max()))
    if first.linear is not None and second.linear is not None:
        return best
    curved, other = (first, second) if first.linear is None else (second, first)
    if other.linear is not None and curved.monotone_slope and curved.slope is not None:
        inner = _equal_slopes(curved, other, left, right, middle)
        return max(best, float(np.abs(difference(inner)).max()))
    return max(best, _refined_maximum(lambda x: np.abs(first.value(x) - second.value(x)), left, right))


def l2_distance(f: Any, g: Any, interval: tuple[float, float]) -> float:
    """( ∫ (f − g)² dx / (high − low) )^½ over the interval: the root mean square difference.

    8-point Gauss–Legendre on every common piece: exact for linear pieces and cubics, to rounding for splines with
    smooth ζ.

    Args:
        f, g: functions of one variable, as for `uniform_distance`.
        interval: (low, high), low < high, finite, in units of x.

    Returns:
        The distance, in units of the functions' values.

    Raises:
        ValueError: the interval is not one.
        TypeError: f or g is no function of one variable.

    >>> from solvers.splines.rich_regime import rich_interpolant
    >>> f, g = (rich_interpolant([0.0, 1.0], [0.0, end]).joined_dots for end in (1.0, 0.0))
    >>> round(l2_distance(f, g, (0.0, 1.0)) ** 2 * 3, 12)
    1.0
    """
    left, right, first, second = _common_pieces(f, g, interval)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    middle = 0.5 * (left + right)
    total = np.zeros_like(left)
    for node, weight in zip(nodes, weights, strict=True):
        x = middle + 0.5 * node * (right - left)
        total += weight * (first.on(x, middle) - second.on(x, middle)) ** 2
    return float(np.sqrt(np.sum(0.5 * (right - left) * total) / (interval[1] - interval[0])))


def _common_pieces(f: Any, g: Any, interval: tuple[float, float]) -> tuple[Array, Array, Piecewise, Piecewise]:
    low, high = (float(end) for end in interval)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"interval must be (low, high) with low < high, both finite; got {interval!r}")
    first, second = piecewise(f), piecewise(g)
    plain = np.linspace(low, high, PLAIN + 1) if first.plain or second.plain else np.zeros(0)
    inner = np.concatenate([first.cuts, second.cuts, plain])
    edges = np.unique(np.concatenate([[low, high], inner[(inner > low) & (inner < high)]]))
    return edges[:-1], edges[1:], first, second


def _equal_slopes(curved: Piecewise, other: Piecewise, left: Array, right: Array, middle: Array) -> Array:
    """The point of each piece where the monotone slope of `curved` equals the line's; its middle where none does."""
    assert other.linear is not None
    assert curved.slope is not None
    line = other.linear[0][np.searchsorted(other.cuts, middle)]
    # slopes a hair inside, so that a neighbour's formula at a shared knot is not read
    low, high = left + 1e-12 * (right - left), right - 1e-12 * (right - left)
    at_low, at_high = curved.slope(low) - line, curved.slope(high) - line
    crossing = at_low * at_high < 0
    a, b, sign = low[crossing], high[crossing], np.sign(at_low[crossing])
    for _ in range(40):  # the value is flat there: 1e-12 of a piece is 1e-24 of its bend
        m = 0.5 * (a + b)
        before = (curved.slope(m) - line[crossing]) * sign > 0
        a, b = np.where(before, m, a), np.where(before, b, m)
    found = middle.copy()
    found[crossing] = 0.5 * (a + b)
    return found


def _refined_maximum(size: Callable[[Array], Array], left: Array, right: Array) -> float:
    """The largest `size` over pieces on which it is smooth: samples, then golden sections around the best of each."""
    theta = np.linspace(0.0, 1.0, SUBDIVISION + 1)
    grid = left[:, None] + (right - left)[:, None] * theta
    values = size(grid)
    k = values.argmax(axis=1)
    rows = np.arange(left.size)
    a, b = grid[rows, np.maximum(k - 1, 0)], grid[rows, np.minimum(k + 1, SUBDIVISION)]
    golden = 0.5 * (np.sqrt(5.0) - 1.0)
    for _ in range(60):
        c, d = b - golden * (b - a), a + golden * (b - a)
        rising = size(c) < size(d)
        a, b = np.where(rising, c, a), np.where(rising, b, d)
    return max(float(values.max()), float(size(0.5 * (a + b)).max()))
