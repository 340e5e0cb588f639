"""The potential of diagonal networks of depth three and more, from any start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.arrays import Array
from solvers.regularizers.potential import Curve, SeparablePotential
from solvers.validation import finite_array

NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)
"""On a panel of length one the integrand is analytic within π/2: 12 nodes leave 6^{−24}."""
BLOCK = 1 << 16
"""Numbers that are integrated together."""
FURTHEST = 1e20
"""The largest factor that counts, relative to the start's: z is then at the end of its range to rounding."""
FARTHEST = 1000.0
"""No z is formed for an x further from its start: a step of Newton's method that went astray."""
LONGEST = 200.0
"""How far x can fall below its start where t keeps its sign: t is e⁻²⁰⁰ of what it was."""
SHRINKINGS = (1.0, *(1.0 - 4.0**k * float(np.finfo(np.float64).eps) for k in range(1, 8)))


@dataclass(frozen=True, eq=False)
class DiagonalPotential(SeparablePotential):
    """The potential of β = w₁⊙…⊙w_L, L ≥ 3, under gradient flow on the squared loss from these weights:

        z_d(β_d) = G:   dw_j/dG = Π_{k≠j} w_k,   Π_j w_j(G) = β_d,         R_d(β) = ∫_{β₀}^{β} z_d(s) ds.

    Each coefficient is a function of G_d = (Xᵀν)_d alone, because all of its factors are driven by the same integral
    G = ∫ Xᵀ(y − Xβ) dt. Every w_j² − w_k² is conserved. So with t the factor that is smallest at the start and
    w_k² = t² + δ_k for the others (σ the sign of their product),

        G = σ ∫_{t₀}^{t} ds / Π_k √(s² + δ_k),    β = σ t Π_k √(t² + δ_k),    R*(G) = ½(t² − t₀²).

    With t = √δ₁ sinh x, δ₁ the smallest (t = t₀eˣ where δ₁ = 0: then t keeps its sign), the integrand is 1/Π_{k≥2},
    analytic in |Im x| < π/2, and Gauss's rule on panels of length one is exact to rounding. x is the parameter in which
    Newton's method runs: z(x) is bounded, while β(x) keeps all of its digits.

    Where every coefficient starts alike and small, R is nearly ‖β‖₁ (not ‖β‖_{2/L}). Else it is nearly an ℓ1 norm with
    weights 1/G₊ and 1/G₋, the ends of the range of G, which the shape of the start fixes.

    Args:
        weights: w₁ … w_L, shape (L, D), L ≥ 3. For L = 2 see `HyperbolicEntropy.of_weights`. A coefficient with two
            zero factors stays zero.

    Raises:
        ValueError: fewer than three layers, or numbers that are not finite.

    Reference: Woodworth et al. (2020), for the idea, on the networks u^D − v^D; the equations are derived
    here, and `proofs` checks them (`diagonal-flow`).

    >>> from solvers import min_norm
    >>> potential = DiagonalPotential([[0.1, 0.1], [0.1, 0.1], [0.0, 0.0]])
    >>> min_norm([[2.0, 1.0]], [1.0], potential).beta.round(6).tolist()
    [0.499217, 0.001566]
    """

    weights: ArrayLike = field(repr=False)
    """As given."""
    shrinkings = SHRINKINGS

    def __post_init__(self) -> None:
        weights = finite_array("weights", self.weights)
        if weights.ndim != 2 or weights.shape[0] < 3:
            raise ValueError(
                f"weights must have shape (L, D) with L ≥ 3 layers; got {weights.shape}. For L = 2 take "
                "HyperbolicEntropy.of_weights(w1, w2)"
            )
        order = np.argsort(np.abs(weights), axis=0, kind="stable")
        sorted_ = np.take_along_axis(weights, order, axis=0)
        sizes = np.abs(sorted_)
        gaps = (sizes[1:] - sizes[0]) * (sizes[1:] + sizes[0])  # δ_k, smallest first
        live = sizes[1] > 0
        tied = gaps[0] == 0
        first = np.where(live, sorted_[0], 1.0)
        sign = np.prod(np.sign(sorted_[1:]), axis=0)
        parts = {
            "weights": weights,
            "_first": first,  # t₀
            "_near": np.where(tied, 0.0, np.sqrt(np.maximum(gaps[0], 0.0))),  # √δ₁
            "_far": gaps[1:],
            "_sign": np.where(live, sign * np.where(tied, np.sign(first), 1.0), 1.0),  # of dG/dx
            "_live": live,
            "_x0": np.where(tied, 0.0, np.arcsinh(first / np.where(tied, 1.0, np.sqrt(np.maximum(gaps[0], 1e-300))))),
        }
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    _first: Array = field(init=False, repr=False)
    _near: Array = field(init=False, repr=False)
    _far: Array = field(init=False, repr=False)
    _sign: Array = field(init=False, repr=False)
    _live: NDArray[np.bool_] = field(init=False, repr=False)
    _x0: Array = field(init=False, repr=False)

    @property
    def depth(self) -> int:
        """L."""
        return int(np.asarray(self.weights).shape[0])

    @property
    def formula(self) -> str:
        return f"∫G(β)dβ of the start, L = {self.depth}"

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self._first.shape:
            raise ValueError(f"this potential has {self._first.shape} coefficients; the data have predictors {shape}")

    def live(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        del shape
        return self._live

    def bounds(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        one_signed = ~self._live | (self._near == 0)
        above = self._live & (self._beta(self._x0) > 0)
        below = self._live & (self._beta(self._x0) < 0)
        free = ~one_signed
        return np.where(free | below, -np.inf, 0.0), np.where(free | above, np.inf, 0.0)

    def slopes(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        del shape
        low, high = (self.along(np.where(self._live, x, self._x0)).z for x in self._reach())
        ends = np.minimum(low, high), np.maximum(low, high)
        # a coefficient that keeps its sign gets to 0 at infinity only
        tied, positive = self._near == 0, self._beta(self._x0) > 0
        return np.where(tied & positive, -np.inf, ends[0]), np.where(tied & ~positive, np.inf, ends[1])

    def first(self, shape: tuple[int, ...]) -> Array:
        del shape
        return self._x0

    # ---- as functions of x -------------------------------------------------------------------------------------------

    def _factor(self, x: Array) -> Array:
        """t."""
        tied = self._near == 0
        return np.where(
            tied, self._first * np.exp(np.where(tied, x, 0.0)), self._near * np.sinh(np.where(tied, 0.0, x))
        )

    def _others(self, t: Array) -> Array:
        """Π_{k ≥ 2} √(t² + δ_k)."""
        product = np.ones_like(t)
        for far in self._far:
            product = product * np.sqrt(t * t + far)
        return product

    def _beta(self, x: Array) -> Array:
        t = self._factor(x)
        # with ties dt = ±|t| dx has taken the sign of t into _sign
        # with ties √(t² + δ₁) is |t|, and the sign of t is in _sign already
        product = np.where(self._near == 0, t * t, t * np.hypot(t, self._near)) * self._others(t)
        return np.where(self._live, self._sign * product, 0.0)

    def _integral(self, x: Array) -> Array:
        """∫_{x₀}^{x} dx/Π_{k ≥ 2}, panel by panel."""
        length = x - self._x0
        if not np.abs(length).max(initial=0.0) <= FARTHEST:
            return np.full_like(x, np.nan)
        panels = max(1, int(np.ceil(np.abs(length).max(initial=0.0))))
        at = ((np.arange(panels)[:, None] + 0.5 + 0.5 * NODES) / panels).reshape(-1, 1)
        total, block = np.zeros_like(x), max(1, BLOCK // x.size)
        for begin in range(0, len(at), block):
            weights = np.resize(WEIGHTS, len(at))[begin : begin + block]
            total += weights @ (1.0 / self._others(self._factor(self._x0 + length * at[begin : begin + block])))
        return np.asarray(total * length * (0.5 / panels))

    def along(self, x: Array) -> Curve:
        t = self._factor(x)
        others = self._others(t)
        spread = np.hypot(t, self._near)
        # d ln|β|/d ln t = 1 + Σ_k t²/(t² + δ_k), and dt/dx = √(t² + δ₁) up to sign
        inner = np.where(self._near == 0, 1.0, (t / np.where(spread > 0, spread, 1.0)) ** 2)
        growth = 1.0 + inner + (t * t / np.maximum(t * t + self._far, 1e-300)).sum(axis=0)
        slope = self._sign * spread * spread * others * growth
        live = self._live
        return Curve(
            beta=self._beta(x),
            z=np.where(live, self._sign * self._integral(x), 0.0),
            beta_slope=np.where(live, slope, 0.0),
            z_slope=np.where(live, self._sign / others, 1.0),
        )

    # ---- as functions of β and of z: the x that belongs to them ------------------------------------------------------

    def _reach(self) -> tuple[Array, Array]:
        """The x beyond which z no longer changes, or t is as good as zero."""
        largest = FURTHEST * np.abs(np.asarray(self.weights)).max(axis=0)
        tied = self._near == 0
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            high = np.where(tied, np.log(largest / np.abs(self._first)), np.arcsinh(largest / self._near))
        return np.where(tied, -LONGEST, -high), high

    def _found(self, value: Array, of: Callable[[Curve], tuple[Array, Array]]) -> Array:
        """The x at which `of`(curve), an increasing or decreasing value with its slope, is `value`; ±inf beyond."""
        low, high = self._reach()
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            x = self._x0
            left, right, step = low, high, np.full_like(x, 0.5)
            for _ in range(200):
                reached, slope = of(self.along(x))
                off = self._sign * (value - reached)
                left, right = np.where(off >= 0, x, left), np.where(off <= 0, x, right)
                step = np.minimum(2.0 * step, 8.0)
                newton = np.clip(off / (self._sign * slope), -step, step)
                middle = 0.5 * (left + right)
                after = np.where((x + newton > left) & (x + newton < right), x + newton, middle)
                settled = (np.abs(after - x) <= 2e-16 * np.maximum(1.0, np.abs(x))) | ~self._live
                step, x = np.abs(after - x), np.where(settled, x, after)
                if settled.all():
                    break
        at_end = np.where(x >= high * (1 - 1e-9), np.inf, np.where(x <= low * (1 - 1e-9), -np.inf, x))
        return np.where(self._live, at_end, self._x0)

    def gradient(self, beta: Array) -> Array:
        x = self._found(beta, lambda curve: (curve.beta, curve.beta_slope))
        beyond = np.isinf(x) | ~self._live
        z = self.along(np.where(beyond, self._x0, x)).z
        low, high = self.bounds(beta.shape)
        outside = np.where((beta < low) | (beta > high) | beyond, np.copysign(np.inf, beta - self._beta(self._x0)), z)
        return np.where(~self._live & (beta == 0), 0.0, outside)

    def value(self, beta: Array) -> float:
        low, high = self.bounds(beta.shape)
        if (beta < low).any() or (beta > high).any():
            return np.inf
        x = np.where(self._live, self._found(beta, lambda curve: (curve.beta, curve.beta_slope)), self._x0)
        curve = self.along(np.where(np.isfinite(x), x, np.sign(x) * LONGEST))
        return float((curve.z * beta - self._conjugate(x)).sum())

    def _conjugate(self, x: Array) -> Array:
        """½(t² − t₀²), as a product of differences."""
        t, start = self._factor(x), self._factor(self._x0)
        return np.where(self._live, 0.5 * (t - start) * (t + start), 0.0)

    def conjugate(self, z: Array) -> float:
        x = self._found(z, lambda curve: (curve.z, curve.z_slope))
        # beyond the range of z, R* is infinite; at the end of tied coefficients t has gone to 0
        beyond = np.isposinf(x) | (np.isneginf(x) & (self._near > 0))
        return np.inf if beyond.any() else float(self._conjugate(np.where(np.isneginf(x), -LONGEST, x)).sum())

    def inverse_gradient(self, z: Array) -> Array:
        return self._beta(self._found(z, lambda curve: (curve.z, curve.z_slope)))

    def inverse_curvature(self, z: Array) -> Array:
        return self.along(self._found(z, lambda curve: (curve.z, curve.z_slope))).curvature
