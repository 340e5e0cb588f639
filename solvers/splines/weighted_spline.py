"""The weighted cubic spline that a wide one-input ReLU network converges to, exactly and in O(M).

    minimize ∫ (g″ − f₀″)² / ζ dx   s.t.  g(x_i) = y_i,                                                        (1)
    minimize Σ_i ω_i (g(x_i) − y_i)² + λ ∫ (g″ − f₀″)² / ζ dx,   λ > 0.                                         (2)

f₀ only shifts the problem: g = f₀ + s, with s the spline of the data y − f₀(x). For s, the Euler–Lagrange equation
says that s″/ζ is linear between knots, continuous at them, and zero at the two end knots and beyond. So

    s″ = ζ ℓ,   ℓ = Σ_i ℓ_i B_i,   B_i the hat functions on the knots,   ℓ_1 = ℓ_M = 0,

and testing s″ against B_i leaves M − 2 equations: ∫ s″ B_i is the jump of the slopes of the chords at x_i, that is

    A ℓ = Q y,   A_ij = ∫ ζ B_i B_j  (tridiagonal, positive definite, from the hat moments of ζ),              (1′)
    (A + λ Q Ω⁻¹ Qᵀ) ℓ = Q y,   fitted values y − λ Ω⁻¹ Qᵀ ℓ  (Reinsch 1967, with ζ).                          (2′)

ζ = 1 is the natural cubic spline. Energy is ℓᵀAℓ. Values between knots come from the same hat moments, taken on the
two pieces [a, x] and [x, b]: the correction of the chord is −u v h times a sum of moments, u = (x − a)/h, v = 1 − u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_banded, solveh_banded

from solvers.arrays import Array, real_array
from solvers.card import Card
from solvers.plots import plot_function
from solvers.splines.curvature_weights import ConstantWeight, CurvatureWeight, blockwise
from solvers.splines.data import SplineData, spline_data
from solvers.splines.piecewise import Piecewise, smooth_between, with_linear_density

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from solvers.splines.spline_certificate import SplineCertificate


@dataclass(frozen=True, repr=False)
class WeightedSpline(Card):
    """The solution g of (1), or of (2) when `smoothing` > 0. Callable; linear outside the knots (when f₀ = 0).

    Values have the units of y, derivatives those of y/xᵏ.

    Example:
        >>> g = weighted_spline([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
        >>> float(g(1.0)), float(g.derivative(1)(1.0)), g.second_derivative([-1.0, 1.0, 3.0])
        (1.0, 0.0, array([ 0., -3.,  0.]))
    """

    knots: Array
    """The distinct x, ascending, shape (M,)."""
    values: Array = field(repr=False)
    """s at the knots, shape (M,): y − f₀ for the interpolant, the fitted values for λ > 0."""
    density: Array = field(repr=False)
    """ℓ = s″/ζ at the knots, shape (M,); zero at both ends."""
    end_slopes: tuple[float, float]
    """s′ left of the first and right of the last knot."""
    energy: float
    """∫ (g″ − f₀″)²/ζ."""
    weight: CurvatureWeight
    """ζ."""
    smoothing: float = 0.0
    """λ."""
    initial: Callable[[Array], Array] | None = field(default=None, repr=False)
    """f₀, or None for zero."""
    data: SplineData | None = field(default=None, repr=False)
    """The data after sorting and merging, f₀ subtracted."""
    chords: Array | None = field(default=None, repr=False)
    """Slopes of s from knot to knot, shape (M − 1,), where they are known better than from values at close knots."""

    def __call__(self, x: ArrayLike) -> Array:
        """g(x), elementwise."""
        return self.derivative(0)(x)

    def as_piecewise(self) -> Piecewise:
        if self.initial is not None:
            return smooth_between(self.knots, self)
        return with_linear_density(self.knots, self.density, self, self.derivative(1))

    def derivative(self, k: int = 1) -> Callable[[ArrayLike], Array]:
        """The k-th derivative as a function, k = 0, 1, 2.

        Raises ValueError for other k (g‴ jumps at the knots), and when f₀ was given without a `derivative`.
        """
        if k not in (0, 1, 2):
            raise ValueError(f"derivative(k={k!r}): k must be 0, 1 or 2; g is twice differentiable and no more")
        initial = None if self.initial is None else _derivative_of(self.initial, k)

        def evaluate(x: ArrayLike) -> Array:
            points = real_array("x", x)
            own = blockwise(partial(self._evaluate, k=k), points.ravel()).reshape(points.shape)
            own = np.where(np.isnan(points), np.nan, own) if k == 2 else own
            return own if initial is None else own + initial(points)

        return evaluate

    def second_derivative(self, x: ArrayLike) -> Array:
        """g″(x); of the spline part it is ζ(x) ℓ(x)."""
        return self.derivative(2)(x)

    @cached_property
    def certificate(self) -> SplineCertificate:
        """Interpolation and Euler–Lagrange residuals by a quadrature the solver did not use; computed on first use."""
        from solvers.splines.spline_certificate import certify_spline

        if self.data is None:
            raise ValueError("this WeightedSpline was built without its data, which a certificate needs")
        return certify_spline(self.data, replace(self, initial=None))

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw g over the data's range and a tenth more on both sides, with the data.

        Args:
            axes: of matplotlib, to draw into; a new figure of pyplot's unless given.

        Returns:
            The axes.
        """
        data = None
        if self.data is not None:
            data = self.data.y if self.initial is None else self.data.y + self.initial(self.data.x)
        return plot_function(self, self.knots, f"spline of energy {self.energy:.6g}", axes, data=data)

    def _evaluate(self, x: Array, k: int) -> Array:
        knots, values, density = self.knots, self.values, self.density
        if knots.size == 1:
            return np.full_like(x, values[0] if k == 0 else 0.0)
        inside = np.clip(x, knots[0], knots[-1])
        i = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, knots.size - 2)
        a, b = knots[i], knots[i + 1]
        h = b - a
        u, v = (inside - a) / h, (b - inside) / h
        at_x = v * density[i] + u * density[i + 1]
        if k == 2:
            return np.where(inside == x, self.weight.zeta(inside) * at_x, 0.0)
        before = self.weight.hat_moments(a, inside)
        start, short = self._left_slopes
        if short:  # one hat moment instead of two: g(x) = g(a) + (x − a)(g′(a) + ∫ζℓL), g′(x) = g′(a) + ∫ζℓ over [a, x]
            if k == 0:
                middle = values[i] + (inside - a) * (start[i] + density[i] * before.LL + at_x * before.LR)
            else:
                middle = start[i] + density[i] * (before.LL + before.LR) + at_x * (before.LR + before.RR)
        else:
            after = self.weight.hat_moments(inside, b)
            lower = density[i] * before.LR + at_x * before.RR
            upper = at_x * after.LL + density[i + 1] * after.LR
            if k == 0:
                middle = v * values[i] + u * values[i + 1] - u * v * h * (lower + upper)
            else:
                middle = self._chords[i] + u * lower - v * upper
        if k == 1:
            return np.where(x < knots[0], self.end_slopes[0], np.where(x > knots[-1], self.end_slopes[1], middle))
        return middle + np.where(x < knots[0], self.end_slopes[0], self.end_slopes[1]) * (x - inside)

    @cached_property
    def _left_slopes(self) -> tuple[Array, bool]:
        """g′ at the left knot of every interval, shape (M − 1,); and whether all intervals are short.

        Over a long interval g′(a) and the integral nearly cancel, and the chord is the better start.
        """
        a, b = self.knots[:-1], self.knots[1:]
        LL, LR, _ = blockwise(lambda p, q: np.stack(self.weight.hat_moments(p, q)), a, b)
        turn = LL * self.density[:-1] + LR * self.density[1:]
        short = float(np.abs((b - a) * turn).max()) <= 1e-3 * float(np.abs(self.values).max())
        return self._chords - turn, short

    @property
    def _chords(self) -> Array:
        return np.diff(self.values) / np.diff(self.knots) if self.chords is None else self.chords


def weighted_spline(
    x: ArrayLike,
    y: ArrayLike,
    init: CurvatureWeight | None = None,
    *,
    smoothing: float = 0.0,
    weights: ArrayLike | None = None,
    initial: Callable[[Array], Array] | None = None,
) -> WeightedSpline:
    """The function of least ζ-weighted curvature through, or near, the data.

        minimize ∫ (g″ − f₀″)²/ζ   s.t. g(x_i) = y_i                   (λ = 0)
        minimize Σ ω_i (g(x_i) − y_i)² + λ ∫ (g″ − f₀″)²/ζ             (λ > 0)

    Args:
        x, y: (M,), data in any order. An x repeated with the same y counts once; with λ > 0 as one point of added
            weight at the weighted mean of its y.
        init: ζ: an initial distribution such as `GaussianInit`, any `CurvatureWeight`, None for ζ = 1.
        smoothing: λ ≥ 0, in units of y²/energy; ∞ is not accepted (it is the least-squares line).
        weights: ω > 0, (M,), default 1; used only when λ > 0.
        initial: f₀, the function the network starts at; takes and returns arrays of shape (M,). Default 0.

    Returns:
        WeightedSpline: callable, with `energy` and `certificate`. It is unique for M ≥ 2. For M = 1 it is the constant,
        one of many minimizers (any line through the point has energy 0). O(M) time and memory.

    Raises:
        ValueError: when shapes differ, a number is not finite, one x carries different y at λ = 0, a point lies outside
            the support of ζ, or ζ vanishes around an interior knot.

    A network reaches this function on data corrected by the line (u, v) of `kernel_interpolant(linear="free")`; on
    the data as they are it ends at `kernel_interpolant(linear="penalized")`.

    Reference:
        Jin and Montúfar (2023), Theorem 1 (interpolation) and its extension to trajectories (smoothing splines).

    Example:
        >>> g = weighted_spline([-2, -1, 0, 1, 2], [1.5, 0.5, 1.5, 0.5, 1.5])
        >>> round(g.energy * 7, 9), g([0.5, 1.5]).round(6)
        (192.0, array([1.053571, 0.732143]))
    """
    weight = ConstantWeight() if init is None else init
    if not (np.isfinite(smoothing) and smoothing >= 0):
        raise ValueError(f"smoothing={smoothing!r}: λ must be finite and ≥ 0; 0 interpolates")
    data = spline_data(x, y, weights, initial, merge_unequal=smoothing > 0)
    weight.check_inside_support(data.x)
    if data.x.size < 3:
        # the line through one or two points has energy 0, at any λ
        values, density = data.y, np.zeros_like(data.x)
        end_slope = float(np.diff(values)[0] / np.diff(data.x)[0]) if values.size == 2 else 0.0
        return WeightedSpline(data.x, values, density, (end_slope, end_slope), 0.0, weight, smoothing, initial, data)
    h = np.diff(data.x)
    diagonal, off_diagonal = _gram(weight, data.x)
    _require_bending(diagonal, data.x)
    if smoothing == 0:
        values, slopes, density = data.y, np.diff(data.y) / h, np.zeros_like(data.x)
        density[1:-1] = _solve_tridiagonal(diagonal, off_diagonal[1:-1], np.diff(slopes))
    else:
        density, slopes, values = _solve_smoothing(diagonal, off_diagonal, h, data.y, smoothing / data.weights)
    first = float(slopes[0] - density[1] * off_diagonal[0])
    last = float(slopes[-1] + density[-2] * off_diagonal[-1])
    energy = float(density[1:-1] @ np.diff(slopes))
    return WeightedSpline(data.x, values, density, (first, last), energy, weight, smoothing, initial, data, slopes)


def _derivative_of(initial: Callable[[Array], Array], k: int) -> Callable[[Array], Array]:
    if k == 0:
        return initial
    if not hasattr(initial, "derivative"):
        raise ValueError(
            f"derivative(k={k}) needs the derivative of f₀, and {initial!r} has no method `derivative`; give f₀ as an "
            "object with one (a scipy spline, another WeightedSpline), or differentiate the parts yourself"
        )
    derivative: Callable[[Array], Array] = initial.derivative(k)
    return derivative


def _gram(weight: CurvatureWeight, knots: Array) -> tuple[Array, Array]:
    """Diagonal ∫ζB_i² of the interior knots, shape (M−2,), and ∫ζB_iB_{i+1} of every interval, shape (M−1,)."""
    left_square, cross, right_square = blockwise(lambda a, b: np.stack(weight.hat_moments(a, b)), knots[:-1], knots[1:])
    return right_square[:-1] + left_square[1:], cross


def _require_bending(diagonal: Array, knots: Array) -> None:
    flat = np.flatnonzero(~(diagonal > 0))
    if flat.size:
        i = int(flat[0]) + 1
        raise ValueError(
            f"ζ vanishes (or underflows) on the whole of [{knots[i - 1]:g}, {knots[i + 1]:g}] around the knot "
            f"x = {knots[i]:g}: no unit bends there, so the data cannot be interpolated"
        )


def _solve_tridiagonal(diagonal: Array, off_diagonal: Array, jumps: Array) -> Array:
    if diagonal.size == 1:
        return jumps / diagonal
    bands = np.empty((2, diagonal.size))
    bands[0, 0] = 0.0
    bands[0, 1:] = off_diagonal
    bands[1] = diagonal
    try:
        return np.asarray(solveh_banded(bands, jumps, overwrite_ab=True, check_finite=False))
    except np.linalg.LinAlgError:
        raise ValueError(
            "the integrals ∫ζB_iB_j lose their digits at these knots (far out in the tails of ζ, or of very different "
            "distances), and their matrix is no longer positive definite: choose a ζ as wide as the data, or rescale x"
        ) from None


def _solve_smoothing(
    diagonal: Array, off_diagonal: Array, h: Array, y: Array, ratio: Array
) -> tuple[Array, Array, Array]:
    """Solve (2′) for ℓ at all knots, the chords' slopes c and the fitted values; ratio = λ/ω.

    Q and Qᵀ divide by h, twice, and the pentadiagonal matrix loses definiteness for knots 1e-8 apart. So the two
    quotients stay unknowns, σ = (slope of ℓ) and c = (slope of the fitted values v), and nothing is divided:

        h_i σ_i = ℓ_{i+1} − ℓ_i,    h_i c_i = v_{i+1} − v_i,    v_i = y_i − (λ/ω_i)(σ_i − σ_{i−1}),
        Σ_j A_ij ℓ_j = c_i − c_{i−1}   (interior i),   ℓ_1 = ℓ_M = 0,

    banded (4 below, 3 above the diagonal) in the order ℓ_1, σ_1, c_1, ℓ_2, …; v is eliminated.
    """
    size = 3 * h.size + 1
    bands = np.zeros((8, size))  # entry (row, column) at [3 + row − column, column]

    def put(row: int, column: int, start: int, stop: int, values: Array | float) -> None:
        """Entries of the equations `row` (0: A, 1: σ, 2: c) of intervals start..stop, in the unknown at `column`."""
        bands[3 + row - column, 3 * start + column : 3 * stop + column : 3] = values

    n = h.size
    bands[3, 0] = bands[3, -1] = 1.0
    put(0, 0, 1, n, diagonal)
    put(0, -3, 1, n, np.concatenate([[0.0], off_diagonal[1:-1]]))
    put(0, 3, 1, n, np.concatenate([off_diagonal[1:-1], [0.0]]))
    put(0, 2, 1, n, -1.0)
    put(0, -1, 1, n, 1.0)
    put(1, 0, 0, n, 1.0)
    put(1, 1, 0, n, h)
    bands[3 - 2, 3 : 3 * n + 1 : 3] = -1.0
    put(2, 2, 0, n, h)
    put(2, 1, 0, n, -(ratio[:-1] + ratio[1:]))
    put(2, 4, 0, n - 1, ratio[1:-1])
    put(2, -2, 1, n, ratio[1:-1])
    right = np.zeros(size)
    right[2::3] = np.diff(y)
    solution = solve_banded((4, 3), bands, right, check_finite=False)
    turn = np.diff(solution[1::3], prepend=0.0, append=0.0)
    return solution[0::3], solution[2::3], y - ratio * turn
