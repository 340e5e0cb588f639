"""The potential of two-layer diagonal networks at any initial scale and shape."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.arrays import Array
from solvers.regularizers.potential import SeparablePotential
from solvers.validation import finite_array

SERIES = 0.5
"""Up to this |x| the two functions below are summed as power series: their closed forms cancel."""
TERMS = 18  # 0.5¹⁸/18! is far below ε


@dataclass(frozen=True, eq=False)
class HyperbolicEntropy(SeparablePotential):
    """R(β) = Σ_d [ α_d² q(β_d/α_d²) + c_d (β_d − β₀_d) ],  q(s) = 2 − √(4 + s²) + s·arcsinh(s/2), with R(β₀) = 0.

    Gradient flow on the squared loss of β = u⊙u − v⊙v from u = v = α ends at the least R that fits the data (β₀ = 0,
    c = 0). α → ∞ is the ℓ2 norm, α → 0 is ℓ1. A general start, of u⊙u − v⊙v or of β = w₁⊙w₂ (`gd.Diagonal` of depth
    2), has an α of each coefficient and starts from a β₀ that is not zero: a linear term, c = −arcsinh(β₀/2α²).

    Coefficients with α_d = 0 keep the sign of β₀_d, and have R_d(β) = β ln(β/β₀) − β + β₀; where β₀_d = 0 as well they
    stay at zero. All sums are formed from two functions that are nowhere negative,

        ∇R*(z) = p eᶻ − m e⁻ᶻ,   R(β) = p E(z) + m E(−z),   R*(z) − zβ₀ = p F(z) + m F(−z),      z = ∇R(β),
        E(z) = 1 + (z − 1)eᶻ,   F(z) = eᶻ − 1 − z,      p m = α⁴,  p − m = β₀,

    so that no digit is lost where 2 − √(4 + s²) + s·arcsinh(s/2), for small s, has none.

    Args:
        alpha: √(u v) of the start where both layers of each copy are alike in size (see `shape`), hence |u| = |v| = α;
            a number, or one for each coefficient, shape (D,). Units of √β. At least 0, and finite.
        shape: the start's shape s = (|a| − |b|)/(|a| + |b|) where every unit is itself a product a·b: α² becomes
            α²(1 + s²)/(1 − s²), as large as one likes at any scale. A number in [0, 1), or (D,).
        start: β₀, a number or (D,).

    Raises:
        ValueError: α negative, α² outside float64's range, s outside [0, 1), shapes that do not fit each other.

    Reference: Woodworth, Gunasekar, Lee, Moroshko, Savarese, Golan, Soudry, Srebro (2020), for u² − v²;
    Azulay, Moroshko, Nacson, Woodworth, Srebro, Globerson, Soudry (2021), for the shape. For β = w₁⊙w₂ the flow's own
    integral of Xᵀ(y − Xβ) is z/2.

    >>> from solvers import min_norm
    >>> X, y = [[1.0, 2.0, -1.0], [2.0, -1.0, 3.0]], [1.0, 2.0]
    >>> [round(float(min_norm(X, y, HyperbolicEntropy(alpha)).beta[0]), 12) for alpha in (1.0, 0.1, 0.01)]
    [0.669650719627, 0.905867726956, 0.990050874937]
    """

    alpha: ArrayLike
    """α, as given."""
    shape: ArrayLike = 0.0
    """s, as given."""
    start: ArrayLike = 0.0
    """β₀, as given."""
    _plus: Array = field(init=False, repr=False)
    _minus: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        alpha, shape, start = (finite_array(name, getattr(self, name)) for name in ("alpha", "shape", "start"))
        try:
            alpha, shape, start = np.broadcast_arrays(alpha, shape, start)
        except ValueError:
            sizes = f"{alpha.shape}, {shape.shape}, {start.shape}"
            raise ValueError(f"alpha, shape and start must be numbers or arrays of one shape; got {sizes}") from None
        if not ((alpha >= 0).all() and ((shape >= 0) & (shape < 1)).all()):
            raise ValueError(f"alpha must be at least 0 and shape in [0, 1); got {self.alpha!r} and {self.shape!r}")
        square = alpha**2 * ((1.0 + shape**2) / (1.0 - shape**2))
        if not ((square == 0) == (alpha == 0)).all() or not (square[alpha > 0] > 1e-290).all() or square.max() > 1e140:
            raise ValueError(f"alpha² must lie between 1e-290 and 1e140, or alpha be 0; got alpha={self.alpha!r}")
        larger = 0.5 * (np.abs(start) + np.hypot(start, 2.0 * square))
        smaller = square * (square / np.where(larger > 0, larger, 1.0))
        object.__setattr__(self, "_plus", np.where(start >= 0, larger, smaller))
        object.__setattr__(self, "_minus", np.where(start >= 0, smaller, larger))

    @classmethod
    def of_weights(cls, first: ArrayLike, second: ArrayLike, log_growth: ArrayLike = 0.0) -> HyperbolicEntropy:
        """The potential of β = w₁⊙w₂ from these weights, each (D,):  p = ¼(w₁ + w₂)², m = ¼(w₁ − w₂)².

        Args:
            first: w₁, shape (D,).
            second: w₂, shape (D,).
            log_growth: (ρ₊, ρ₋), shape (2, D): multiplies p by e^{2ρ₊} and m by e^{2ρ₋}. Finite steps have such factors
                (`gd.Trajectory.effective_potential`); the flow has none.
        """
        w1, w2 = finite_array("first", first), finite_array("second", second)
        growth = np.broadcast_to(finite_array("log_growth", log_growth), (2, *w1.shape))
        made = cls(alpha=0.0)
        object.__setattr__(made, "_plus", (0.5 * (w1 + w2) * np.exp(growth[0])) ** 2)
        object.__setattr__(made, "_minus", (0.5 * (w1 - w2) * np.exp(growth[1])) ** 2)
        object.__setattr__(made, "alpha", (made._plus * made._minus) ** 0.25)
        object.__setattr__(made, "start", made._plus - made._minus)
        return made

    @property
    def formula(self) -> str:
        scales = np.unique((self._plus * self._minus) ** 0.25)
        text = f"{scales[0]:.3g}" if scales.size == 1 else f"{scales[0]:.3g} … {scales[-1]:.3g}"
        return f"hyperbolic entropy, α = {text}"

    def check_shape(self, shape: tuple[int, ...]) -> None:
        own = self._plus.shape
        if own not in ((), shape):
            raise ValueError(f"this potential has coefficients of shape {own}; the data have predictors {shape}")

    def live(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        return np.broadcast_to((self._plus > 0) | (self._minus > 0), shape)

    def bounds(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        low = np.where(self._minus > 0, -np.inf, 0.0)
        high = np.where(self._plus > 0, np.inf, 0.0)
        return np.broadcast_to(low, shape), np.broadcast_to(high, shape)

    def gradient(self, beta: Array) -> Array:
        """z with p eᶻ − m e⁻ᶻ = β. With r = √(β² + 4pm), for β ≥ 0 (else with β, z, p of the other sign)

            eᶻ = (r + β)/2p,      and near the start   eᶻ − 1 = (β − β₀)(r + β + 2p)/(2p(r + p + m)),

        which have all their digits because no difference is formed but β − β₀.
        """
        p, m = self._plus, self._minus
        root, change = np.hypot(beta, 2.0 * np.sqrt(p * m)), beta - (p - m)
        up = beta >= 0
        own, sign = np.where(up, p, m), np.where(up, 1.0, -1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = sign * change * (root + np.abs(beta) + 2.0 * own) / (2.0 * own * (root + p + m))
            far = np.log((root + np.abs(beta)) / (2.0 * own))
            z = sign * np.where(np.abs(rise) < SERIES, np.log1p(np.clip(rise, -SERIES, SERIES)), far)
        z = np.where((p == 0) & (m == 0), np.where(beta == 0, 0.0, np.copysign(np.inf, beta)), z)
        # one-signed: the other end of the domain is 0, and beyond it there is nothing
        z = np.where((p == 0) & (m > 0) & (beta >= 0), np.inf, z)
        return np.where((m == 0) & (p > 0) & (beta <= 0), -np.inf, z)

    def value(self, beta: Array) -> float:
        low, high = self.bounds(beta.shape)
        if (beta < low).any() or (beta > high).any():
            return np.inf
        z = self.gradient(beta)
        return float((_times(self._plus, _entropy(z)) + _times(self._minus, _entropy(-z))).sum())

    def conjugate(self, z: Array) -> float:
        return self.excess(z) + float(((self._plus - self._minus) * z).sum())

    def excess(self, z: Array) -> float:
        with np.errstate(over="ignore"):
            return float((_times(self._plus, _excess(z)) + _times(self._minus, _excess(-z))).sum())

    def inverse_gradient(self, z: Array) -> Array:
        # the differences first: where z is small the start's digits would hide the change
        rise, fall = _times(self._plus, np.expm1(z)), _times(self._minus, np.expm1(-z))
        return np.asarray((self._plus - self._minus) + (rise - fall))

    def inverse_curvature(self, z: Array) -> Array:
        return _times(self._plus, np.exp(z)) + _times(self._minus, np.exp(-z))


def _times(weight: Array, value: Array) -> Array:
    """weight · value with 0·∞ = 0."""
    return np.where(weight > 0, weight * np.where(weight > 0, value, 0.0), 0.0)


def _entropy(x: Array) -> Array:
    """E(x) = 1 + (x − 1)eˣ = Σ_{k ≥ 2} (k − 1) xᵏ/k!; 1 at −∞."""
    finite = np.where(np.isfinite(x), x, 0.0)
    with np.errstate(over="ignore"):
        closed = finite * np.exp(finite) - np.expm1(finite)
    near = np.clip(finite, -SERIES, SERIES)
    series = near**2 * np.polyval(_COEFFICIENTS_E, near)
    return np.where(np.isfinite(x), np.where(np.abs(finite) < SERIES, series, closed), np.where(x < 0, 1.0, np.inf))


def _excess(x: Array) -> Array:
    """F(x) = eˣ − 1 − x = Σ_{k ≥ 2} xᵏ/k!."""
    near = np.clip(x, -SERIES, SERIES)
    return np.where(np.abs(x) < SERIES, near**2 * np.polyval(_COEFFICIENTS_F, near), np.expm1(x) - x)


_FACTORIALS = np.cumprod(np.arange(1.0, TERMS + 1.0))
_COEFFICIENTS_F = 1.0 / _FACTORIALS[:0:-1]
_COEFFICIENTS_E = np.arange(TERMS - 1.0, 0.0, -1.0) / _FACTORIALS[:0:-1]
