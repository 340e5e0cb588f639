"""Certify a weighted spline from its values alone, with a quadrature that its solver did not use.

g solves min ∫ g″²/ζ s.t. g(x_i) = y_i exactly when g is C¹, passes through the data, and q = g″/ζ is linear between
knots, continuous at them, zero at both end knots and beyond. From the callables g, g′, g″ alone:

    interpolation    max_i |g(x_i) − y_i|; for λ > 0 instead ω_i (g(x_i) − y_i) + λ·(jump of q′ at x_i), summed over i
    Euler–Lagrange   how far q is from that shape; and how far (a) g′(b) − g′(a) is from ∫ζq over an interval, (b) the
                     chord's slope minus g′(a) from ∫ζ q (b − t)/h: then q really is g″/ζ and g really is C¹.

The integrals use adaptive Fejér quadrature of ζ's values; the families' solver uses closed forms, the others'
Gauss–Legendre. Every entry is relative to the size of what it compares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from solvers.arrays import Array
from solvers.card import Card
from solvers.splines.curvature_weights import CurvatureWeight, fejer, hat_quadrature
from solvers.splines.data import SplineData


class SplineLike(Protocol):
    """What is needed of a spline to certify it."""

    @property
    def weight(self) -> CurvatureWeight: ...
    @property
    def smoothing(self) -> float: ...
    def derivative(self, k: int = 1) -> Callable[[ArrayLike], Array]: ...


@dataclass(frozen=True, repr=False)
class SplineCertificate(Card):
    """Relative residuals of a weighted spline; all zero exactly for the solution.

    Reference: Jin and Montúfar (2023), Theorem 1; the conditions are the Euler–Lagrange equations of its problem.

    Example:
        >>> from solvers.splines.weighted_spline import weighted_spline
        >>> weighted_spline([0.0, 1.0, 3.0], [0.0, 2.0, 1.0]).certificate.worst < 1e-13
        True
    """

    interpolation: float
    """Largest residual (of the smoothing equations, if λ > 0), relative to the largest |y|."""
    euler_lagrange: float
    """Largest departure of g from the Euler–Lagrange conditions, each relative to the largest |y|, slope or |q|."""

    @property
    def worst(self) -> float:
        """The larger of the two."""
        return max(self.interpolation, self.euler_lagrange)


def certify_spline(data: SplineData, spline: SplineLike) -> SplineCertificate:
    """Residuals of any function that claims to be the weighted spline of `data` (f₀ = 0).

        min ∫ g″²/ζ  s.t.  g(x_i) = y_i,     or     min Σ_i ω_i (g(x_i) − y_i)² + λ ∫ g″²/ζ

    Args:
        data: x, y, ω of shape (M,), sorted and merged by `solvers.splines.data.spline_data`.
        spline: gives g, g′ and g″ as `derivative(0)`, `(1)`, `(2)`, ζ as `weight`, λ as `smoothing`; nothing else that
            it may have stored is read.

    Returns:
        SplineCertificate: dimensionless residuals.

    Reference:
        Jin and Montúfar (2023), Theorem 1: the Euler–Lagrange conditions.
    """
    g, slope = spline.derivative(0), spline.derivative(1)
    x, values, slopes = data.x, g(data.x), slope(data.x)
    h = np.diff(x)
    q_left, q_right, shape = _density(spline, x)
    height = _largest(data.y, values)
    if spline.smoothing > 0:
        fit = _smoothing_residual(data, values, q_left, q_right, spline.smoothing, height)
    else:
        fit = _relative(values - data.y, height)
    # among many knots ζ bends little from one to the next; where it does, the quadrature halves the interval
    rule = fejer(14 if x.size < 1000 else 5)
    moments = hat_quadrature(spline.weight.zeta, x[:-1], x[1:], rule, spline.weight.breakpoints())
    turn = q_left * (moments.LL + moments.LR) + q_right * (moments.LR + moments.RR)
    rise = h * (slopes[:-1] + q_left * moments.LL + q_right * moments.LR)
    reach = max(float(x[-1] - x[0]), 1.0)
    outside = np.array([x[0] - reach, x[-1] + reach])
    ends, end_values = slopes[[0, -1]], values[[0, -1]]
    steepness = _largest(slopes, np.diff(values) / h)
    return SplineCertificate(
        interpolation=fit,
        euler_lagrange=max(
            shape,
            _relative(np.diff(slopes) - turn, steepness),
            _largest((np.diff(values) - rise) / (height + h * steepness)) if height > 0 else 0.0,
            _relative(slope(outside) - ends, steepness),
            _relative(g(outside) - end_values - ends * reach * np.array([-1.0, 1.0]), height + reach * steepness),
        ),
    )


def _smoothing_residual(
    data: SplineData, values: Array, q_left: Array, q_right: Array, smoothing: float, height: float
) -> float:
    """The equations ω_i (g(x_i) − y_i) + λ (jump of q′ at x_i) = 0, summed from the left up to every interval:

        h_i S_i + λ (q_{i+1} − q_i) = 0,   S_i = Σ_{j ≤ i} ω_j (g(x_j) − y_j),        S_M = 0.

    Nothing is divided by the distance h_i of two knots. Each is relative to its terms, with ω·max|y| for S.
    """
    sums = np.cumsum(data.weights * (values - data.y))
    size = float(data.weights.max()) * height
    left_out = _relative(sums[-1], float(data.weights.sum()) * height)
    if not (size > 0 and q_left.size):
        return left_out
    h, turn = np.diff(data.x), smoothing * (q_right - q_left)
    terms = h * np.maximum(np.abs(sums[:-1]), size) + smoothing * (np.abs(q_left) + np.abs(q_right))
    return max(left_out, _largest((h * sums[:-1] + turn) / terms))


def _density(spline: SplineLike, x: Array) -> tuple[Array, Array, float]:
    """q = g″/ζ at both ends of every interval, by the line through two inner points, and how far q is from its shape.

    The shape: a third inner point lies on that line, the lines of neighbours meet, and q = 0 at both end knots.
    """
    if x.size < 2:
        return np.zeros(0), np.zeros(0), 0.0
    h = np.diff(x)
    # inside, and only as near the ends as an interval a few ulp long has room for
    inner = np.clip(x[:-1, None] + h[:, None] * np.array([0.2, 0.55, 0.85]), x[:-1, None], x[1:, None])
    with np.errstate(divide="ignore", invalid="ignore"):  # where ζ underflows nothing is proved: inf, see _largest
        q = spline.derivative(2)(inner) / spline.weight.zeta(inner)
    theta = (inner - x[:-1, None]) / h[:, None]
    span = theta[:, 2] - theta[:, 0]
    slope = np.divide(q[:, 2] - q[:, 0], span, out=np.zeros_like(h), where=span > 0)
    left = q[:, 0] - slope * theta[:, 0]
    right = left + slope
    off = max(
        _largest(left + slope * theta[:, 1] - q[:, 1]),
        _largest(right[:-1] - left[1:]),
        abs(float(left[0])),
        abs(float(right[-1])),
    )
    return left, right, _relative(off, _largest(q))


def _largest(*arrays: Array) -> float:
    """The largest magnitude among all entries; 0 when there are none, inf when one is no number: it proves nothing."""
    largest = [float(np.abs(a).max(initial=0.0)) for a in arrays]
    return np.inf if np.isnan(largest).any() else max(largest, default=0.0)


def _relative(residual: Array | float, scale: float) -> float:
    """The largest residual in units of `scale`; absolute where the scale is zero (all data zero)."""
    size = _largest(np.asarray(residual))
    return size / scale if 0 < scale < np.inf else size
