"""Woodworth's q_D: the potential of u^D − v^D, D ≥ 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from solvers.arrays import Array
from solvers.regularizers.diagonal_potential import SHRINKINGS
from solvers.regularizers.potential import Curve, SeparablePotential
from solvers.validation import finite_array


@dataclass(frozen=True, eq=False)
class DifferencePotential(SeparablePotential):
    """R(β) = Σ_d α_d^D q_D(β_d/α_d^D) of the network β = u^D − v^D, D ≥ 3, started at u = v = α > 0,

        q_D′ = h_D⁻¹,     h_D(z) = (1 − z)^{−D/(D−2)} − (1 + z)^{−D/(D−2)},    |z| < 1.

    In the parameter x = artanh z, with k = D/(D − 2) and a = 2/(D − 2), nothing cancels:

        β/α^D = 2 coshᵏx sinh kx,    R*(z)/α^D = (D − 2) [ coshᵃx cosh ax − 1 ].

    α → 0 is ℓ1 and α → ∞ is ℓ2, as at D = 2 (`HyperbolicEntropy`); the larger D, the sooner. The network is not
    `gd.Diagonal` of depth D, whose 2D weights may start anywhere (`DiagonalPotential`).

    Args:
        alpha: α, a positive number, or one for each coefficient, shape (D,).
        depth: D ≥ 3.

    Raises:
        ValueError: α not positive, α^D outside float64's range, or D less than 3.

    Reference: Woodworth, Gunasekar, Lee, Moroshko, Savarese, Golan, Soudry, Srebro (2020).

    >>> from solvers import min_norm
    >>> X, y = [[1.0, 2.0, -1.0], [2.0, -1.0, 3.0]], [1.0, 2.0]
    >>> [round(float(min_norm(X, y, DifferencePotential(0.1, D)).beta[0]), 6) for D in (3, 4)]
    [0.994321, 0.999653]
    """

    alpha: ArrayLike
    """α."""
    depth: int
    """D."""
    shrinkings = SHRINKINGS

    def __post_init__(self) -> None:
        alpha = finite_array("alpha", self.alpha)
        if self.depth < 3 or int(self.depth) != self.depth:
            raise ValueError(f"depth must be an integer of at least 3, got {self.depth!r}; for 2 see HyperbolicEntropy")
        if not ((alpha > 0).all() and alpha.min() ** self.depth > 1e-290 and alpha.max() ** self.depth < 1e290):
            raise ValueError(f"alpha must be positive, with alpha^depth in float64's range; got {self.alpha!r}")
        object.__setattr__(self, "alpha", alpha)

    @property
    def formula(self) -> str:
        return f"q_{self.depth}, α = {np.min(self.alpha):.3g}"

    @property
    def _scale(self) -> Array:
        return np.asarray(np.asarray(self.alpha) ** self.depth)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        own = np.shape(self.alpha)
        if own not in ((), shape):
            raise ValueError(f"this potential has coefficients of shape {own}; the data have predictors {shape}")

    def slopes(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        return -np.ones(shape), np.ones(shape)

    def along(self, x: Array) -> Curve:
        k = self.depth / (self.depth - 2)
        power = 2.0 * self._scale * np.cosh(x) ** k
        beta = power * np.sinh(k * x)
        slope = power * k * (np.tanh(x) * np.sinh(k * x) + np.cosh(k * x))
        return Curve(beta, np.tanh(x), slope, 1.0 / np.cosh(x) ** 2)

    def gradient(self, beta: Array) -> Array:
        return np.tanh(self._parameter(beta))

    def value(self, beta: Array) -> float:
        x = self._parameter(beta)
        return float((np.tanh(x) * beta - self._conjugate(x)).sum())

    def conjugate(self, z: Array) -> float:
        return float(self._conjugate(np.arctanh(z)).sum()) if (np.abs(z) < 1).all() else np.inf

    def inverse_gradient(self, z: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.along(np.arctanh(z)).beta

    def inverse_curvature(self, z: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.along(np.arctanh(z)).curvature

    def _conjugate(self, x: Array) -> Array:
        a = 2.0 / (self.depth - 2)
        log_cosh = 0.5 * np.log1p(np.sinh(x) ** 2)
        rest = np.expm1(a * log_cosh) + 2.0 * np.exp(a * log_cosh) * np.sinh(0.5 * a * x) ** 2
        return np.asarray(self._scale * (self.depth - 2) * rest)

    def _parameter(self, beta: Array) -> Array:
        """x of β: Newton's method on arsinh(β/2α^D), which is nearly linear in x at both ends."""
        k = self.depth / (self.depth - 2)
        goal = np.arcsinh(0.5 * beta / self._scale)
        # |β| ≥ 2α^D sinh k|x|, and ≤ 2α^D sinh(2k|x|) up to a factor
        x = goal / k
        for _ in range(60):
            curve = self.along(x)
            half = 0.5 * curve.beta / self._scale
            step = (np.arcsinh(half) - goal) * np.hypot(1.0, half) * 2.0 * self._scale / curve.beta_slope
            x = x - step
            if (np.abs(step) <= 1e-15 * np.maximum(np.abs(x), 1e-300)).all():
                break
        return x
