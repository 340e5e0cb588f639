"""The rich regime: what a one-input ReLU network learns when its first layer moves too.

With weight decay (or from a small initialization) the induced regularizer is no longer quadratic. The least
½Σ(a_j² + w_j²) over all networks Σ a_j[w_j x + b_j]₊ + c that compute g is

    R(g) = max( ∫ |g″|, |g′(−∞) + g′(+∞)| ),                      biases free,                             (penalized)
    R(g) = ∫ |g″|,                                              a linear unit ux + v free as well,              (free)

with ∫|g″| the total variation of g′. Both programs min R(g) s.t. g(x_i) = y_i are solved here exactly. With chord
slopes s_1, …, s_{M−1}, V = Σ|s_{i+1} − s_i| and E = |s_1 + s_{M−1}|:

- free: the value is V, and joining the dots attains it. Between x_i and x_{i+1} any g has a slope ≥ s_i and one ≤ s_i
  (mean value theorem), so its slope's variation is at least V.
- penalized: the value is max(V, (V + E)/2). Writing p, q for the changes of slope spent outside the chords,
  ∫|g″| ≥ V + |p| + |q| while |g′(−∞) + g′(+∞)| ≥ E − |p| − |q|; the best |p| + |q| is max(0, (E − V)/2).

The minimizer is **not unique** as soon as two consecutive bends have the same sign: on the interval between them g may
be any convex (concave) function that keeps the slopes monotone. `lower` and `upper` bound every minimizer of the free
program; where bends alternate they meet. The fewest bends of any minimizer are found run by run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PPoly

from solvers.arrays import Array, real_array
from solvers.card import Card
from solvers.plots import legend_below, plot_function
from solvers.splines.data import Linear, check_linear, spline_data
from solvers.splines.piecewise import Piecewise, piecewise

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def piecewise_linear(knots: Array, values: Array, end_slopes: tuple[float, float]) -> PPoly:
    """The continuous function with these values at the knots, linear between them, and these slopes outside.

    The slopes of its pieces are `c[0]`, the knots `x[1:-1]`: the first and last piece begin and end somewhere outside.
    """
    # as near as floats allow: the left piece starts at values[0] − slope·reach, which a long reach rounds away
    reach = 4.0 * float(np.spacing(max(abs(knots[0]), abs(knots[-1]), 1e-280)))
    slopes = np.concatenate([[end_slopes[0]], np.diff(values) / np.diff(knots), [end_slopes[1]]])
    starts = np.concatenate([[values[0] - end_slopes[0] * reach], values])
    return PPoly(np.stack([slopes, starts]), np.concatenate([[knots[0] - reach], knots, [knots[-1] + reach]]))


@dataclass(frozen=True, repr=False)
class RichInterpolant(Card):
    """The minimizers of R(g) s.t. g(x_i) = y_i: the value, two of them, and bounds on the rest.

    Callable: g joins the dots, a minimizer always.

    Example:
        >>> g = rich_interpolant([0, 1, 2, 3], [1, 0, 0, 1])
        >>> float(g.lower(1.5)), float(g(1.5)), float(g.upper(1.5))
        (-0.5, 0.0, 0.0)
    """

    value: float
    """min R, in units of y/x."""
    joined_dots: PPoly = field(repr=False)
    """The minimizer that bends at the data (and, penalized with E > V, bends there once more than the chords do)."""
    sparsest: PPoly = field(repr=False)
    """The minimizer with the fewest bends: half of each run of bends of one sign, rounded up."""
    unique: bool
    """Whether it is the only minimizer: no two neighbouring bends of one sign, and nothing spent outside the data."""

    def __call__(self, x: ArrayLike) -> Array:
        return np.asarray(self.joined_dots(real_array("x", x)))

    def as_piecewise(self) -> Piecewise:
        return piecewise(self.joined_dots)

    def lower(self, x: ArrayLike) -> Array:
        """The lower bound of all minimizers at x in [x_1, x_M]; attained at each x by one of them."""
        chord, bound, sign = self._bounds(x)
        return np.where(sign > 0, bound, chord)

    def upper(self, x: ArrayLike) -> Array:
        """The upper bound of all minimizers at x in [x_1, x_M]; attained at each x by one of them."""
        chord, bound, sign = self._bounds(x)
        return np.where(sign < 0, bound, chord)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the minimizer that joins the dots, the sparsest one, and the band that all of them fill.

        Args:
            axes: of matplotlib, to draw into; a new figure of pyplot's unless given.

        Returns:
            The axes.
        """
        knots = self.joined_dots.x[1:-1]
        x = np.union1d(np.linspace(knots[0], knots[-1], 801), knots)
        drawn = plot_function(self, knots, f"minimizers, R = {self.value:.6g}", axes, data=self(knots))
        drawn.fill_between(x, self.lower(x), self.upper(x), color="C0", alpha=0.2, label="all minimizers")
        drawn.plot(x, self.sparsest(x), "C2--", label="fewest bends")
        legend_below(drawn)
        return drawn

    def _bounds(self, x: ArrayLike) -> tuple[Array, Array, Array]:
        """The chord, the extension of its neighbours' chords, and the sign of the bends where these two can differ.

        Between two convex bends a minimizer lies below the chord and above both neighbouring chords' lines.
        """
        points = real_array("x", x)
        knots, values = self.joined_dots.x[1:-1], self.joined_dots.c[1, 1:]
        if points.size and (points.min() < knots[0] or points.max() > knots[-1]):
            raise ValueError(f"bounds are given on the data's interval [{knots[0]:g}, {knots[-1]:g}] only")
        chord = self(points)
        if knots.size < 4:
            return chord, chord, np.zeros(points.shape)
        slopes = np.diff(values) / np.diff(knots)
        signs = np.sign(resolved_bends(knots, values))
        i = np.clip(np.searchsorted(knots, points, side="right") - 1, 0, knots.size - 2)
        before, after = np.clip(i - 1, 0, None), np.clip(i + 1, None, slopes.size - 1)
        both = np.where((i > 0) & (i < slopes.size - 1), signs[before], 0.0)
        sign = np.where(both == signs[np.clip(i, None, signs.size - 1)], both, 0.0)
        from_left = values[i] + slopes[before] * (points - knots[i])
        from_right = values[i + 1] + slopes[after] * (points - knots[i + 1])
        return chord, np.where(sign > 0, np.maximum(from_left, from_right), np.minimum(from_left, from_right)), sign


def rich_interpolant(x: ArrayLike, y: ArrayLike, linear: Linear = "free") -> RichInterpolant:
    """Least ∫|g″| through the data, exactly; O(M).

        minimize ∫|g″|                                s.t. g(x_i) = y_i        linear="free"
        minimize max(∫|g″|, |g′(−∞) + g′(+∞)|)        s.t. g(x_i) = y_i        linear="penalized"

    Args:
        x, y: (M,), data in any order; repeated x must carry one y.
        linear: "free" (a linear unit is free) or "penalized".

    Returns:
        RichInterpolant; look at `unique` before comparing a trained network with one of its functions.

    Raises:
        ValueError: for the data errors of `weighted_spline`, fewer than two distinct x, and another `linear`.

    Reference:
        Savarese, Evron, Soudry and Srebro (2019), Theorem 3.1, for R of networks without a linear unit; Debarre,
        Denoyelle, Unser and Fageot (2022) for all minimizers and the sparsest of the free program.

    Example:
        >>> g = rich_interpolant([0, 1, 2, 3], [1, 0, 0, 1])
        >>> g.value, g.unique, g.sparsest.x[1:-1], float(g.sparsest(1.5))
        (2.0, False, array([1.5]), -0.5)
    """
    check_linear(linear)
    data = spline_data(x, y)
    if data.x.size < 2:
        raise ValueError("one distinct x only: every line through the point has the same R; give two points or more")
    slopes = np.diff(data.y) / np.diff(data.x)
    bends = resolved_bends(data.x, data.y)
    variation, excess = float(np.abs(bends).sum()), float(abs(slopes[0] + slopes[-1]))
    left = float(slopes[0])
    value, spent = variation, 0.0
    if linear == "penalized" and excess > variation:
        value, spent = 0.5 * (variation + excess), 0.5 * (excess - variation)
        left -= spent * float(np.sign(slopes[0] + slopes[-1]))
    joined = piecewise_linear(data.x, data.y, (left, float(slopes[-1])))
    one_sign = bends[1:] * bends[:-1] > 0
    return RichInterpolant(
        value, joined, _sparsest(data.x, data.y, slopes, bends, left), not (one_sign.any() or spent > 0)
    )


def resolved_bends(x: Array, y: Array) -> Array:
    """s_{i+1} − s_i, zero where rounding x and y could have made it: points on a line have none.

    A bend of more than 10⁻⁶ of its slopes is the data's, also between points that are one rounding apart.
    """
    h, slopes = np.diff(x), np.diff(y) / np.diff(x)
    ends = np.abs(y[1:]) + np.abs(y[:-1]) + np.abs(slopes) * (np.abs(x[1:]) + np.abs(x[:-1]))
    error = 2.0 * np.finfo(np.float64).eps * ends / h
    bends, sizes = np.diff(slopes), np.abs(slopes[1:]) + np.abs(slopes[:-1])
    return np.where(np.abs(bends) > np.minimum(error[1:] + error[:-1], 1e-6 * sizes), bends, 0.0)


def _sparsest(x: Array, y: Array, slopes: Array, bends: Array, left: float) -> PPoly:
    """Replace every two neighbouring bends of one sign by one, where the outer chords meet."""
    signs = np.sign(bends)
    knots: list[float] = [float(x[0])] if left != slopes[0] else []
    values: list[float] = [float(y[0])] if knots else []
    i = 0  # bend i sits at x[i + 1], between chords i and i + 1
    while i < signs.size:
        if signs[i] == 0:
            i += 1
        elif i + 1 < signs.size and signs[i + 1] == signs[i]:
            # chords i and i + 2 meet inside [x[i + 1], x[i + 2]]
            step = (y[i + 2] - y[i + 1] - slopes[i + 2] * (x[i + 2] - x[i + 1])) / (slopes[i] - slopes[i + 2])
            knots.append(float(x[i + 1] + step))
            values.append(float(y[i + 1] + slopes[i] * step))
            i += 2
        else:
            knots.append(float(x[i + 1]))
            values.append(float(y[i + 1]))
            i += 1
    if not knots:
        knots, values = [float(x[0])], [float(y[0])]
    return piecewise_linear(np.array(knots), np.array(values), (left, float(slopes[-1])))
