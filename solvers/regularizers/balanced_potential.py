"""Potentials of networks that move β as a vector: the linear predictor, and balanced fully connected networks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from solvers.arrays import Array
from solvers.interpolation.row_space import Interpolated, RowSpace
from solvers.regularizers.potential import Potential
from solvers.validation import finite_array


@dataclass(frozen=True, eq=False)
class BalancedPotential(Potential):
    """R(β) = ‖β‖^p/p − ⟨c, β⟩ + ‖β₀‖^p/q,   p = 1 + 1/L,  q = L + 1,  c = ‖β₀‖^{1/L − 1} β₀.

    Gradient flow on the squared loss of a fully connected linear network with one output, of depth L and balanced
    weights W_{l+1}ᵀW_{l+1} = W_l W_lᵀ, moves β by dβ/dt = ‖β‖^{2−2/L}(g + (L − 1)⟨β̂, g⟩β̂), g = Xᵀ(y − Xβ). So

        d/dt ‖β‖^{1/L − 1} β = ‖β‖^{1 − 1/L} g     lies in the span of the rows of X:

    the flow ends at the least R that fits, unless it ends at β = 0. (Time runs at another pace than that of mirror
    descent, so nothing is said of the way.) L = 1 is the linear predictor, ½‖β − β₀‖².

    Args:
        start: β₀, shape (D,), not zero if L > 1.
        depth: L ≥ 1.

    Raises:
        ValueError: β₀ = 0 with L > 1, of which the flow never moves; or a depth below 1.

    Reference: Azulay, Moroshko, Nacson, Woodworth, Srebro, Globerson, Soudry (2021), L = 2: ‖β‖^{3/2}. For other L by
    the flow of β that Arora, Cohen, Hazan (2018), Theorem 1, derive.

    >>> from solvers import min_norm
    >>> min_norm([[1.0, 1.0]], [2.0], BalancedPotential([1e-9, 0.0])).beta.round(3).tolist()
    [1.0, 1.0]
    """

    start: ArrayLike
    """β₀."""
    depth: int = 2
    """L."""
    _c: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        start = finite_array("start", self.start)
        size = float(np.linalg.norm(start))
        if self.depth < 1 or int(self.depth) != self.depth or start.ndim != 1:
            raise ValueError(f"start must have shape (D,) and depth be at least 1; got {start.shape}, {self.depth!r}")
        if size == 0 and self.depth > 1:
            raise ValueError("start is zero: balanced weights of a deep network are then all zero, and stay so")
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "_c", start * size ** (1.0 / self.depth - 1.0) if self.depth > 1 else start)

    @property
    def formula(self) -> str:
        return "½‖β − β₀‖²" if self.depth == 1 else f"‖β‖^(1+1/{self.depth}) − ⟨c, β⟩"

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self._c.shape:
            raise ValueError(f"this potential has {self._c.shape} coefficients; the data have predictors {shape}")

    def gradient(self, beta: Array) -> Array:
        size = float(np.linalg.norm(beta))
        return (beta * size ** (1.0 / self.depth - 1.0) if size > 0 else beta) - self._c

    def value(self, beta: Array) -> float:
        return _bregman(beta, np.asarray(self.start), 1.0 + 1.0 / self.depth)

    def conjugate(self, z: Array) -> float:
        return self.excess(z) + float(z @ np.asarray(self.start))

    def excess(self, z: Array) -> float:
        return _bregman(z + self._c, self._c, self.depth + 1.0)

    def inverse_gradient(self, z: Array) -> Array:
        w = z + self._c
        return np.asarray(w * float(np.linalg.norm(w)) ** (self.depth - 1))

    def minimize(self, rows: RowSpace) -> Interpolated:
        """β = ρ^{L−1}w, w = c⊥ + ρ^{1−L}Qᵀb, ρ = ‖w‖: one equation for ρ², ρ² = ‖c⊥‖² + ρ^{2−2L}‖b‖²."""
        along = rows.Q @ self._c
        across = self._c - along @ rows.Q
        rest, size = float(across @ across), float(rows.b @ rows.b)
        power = self.depth - 1
        if power == 0:
            squared = 1.0
        elif size == 0:
            squared = rest
        else:  # s = ρ² grows with both: at least the larger of what each alone gives, at most their sum
            alone = size ** (1.0 / self.depth)
            f = lambda s: s - rest - size / s**power  # noqa: E731
            squared = float(brentq(f, max(rest, alone), rest + alone, xtol=1e-300, rtol=4 * np.finfo(float).eps))
        w = across + squared ** (-0.5 * power) * (rows.b @ rows.Q)
        beta = squared ** (0.5 * power) * across + rows.b @ rows.Q
        return Interpolated(beta, rows.Q @ w - along, 1)


def _bregman(beta: Array, start: Array, p: float) -> float:
    """‖β‖^p/p − ‖β₀‖^p/p − ⟨‖β₀‖^{p−2}β₀, β − β₀⟩, split into what the lengths and what the angle contribute.

    With s = ‖β₀‖ and r = ‖β‖:  [r^p/p − s^p/p − s^{p−1}(r − s)] + s^{p−1}(r − ⟨β, β₀⟩/s), both nonnegative.
    """
    r, s = float(np.linalg.norm(beta)), float(np.linalg.norm(start))
    if s == 0:
        return float(r**p / p)
    turned = 0.5 * r * float(np.sum((beta / r - start / s) ** 2)) if r > 0 else 0.0
    longer = float((beta - start) @ (beta + start)) / (r + s) / s  # r/s − 1
    return float(s**p * _radial(longer, p) + s ** (p - 1.0) * turned)


def _radial(t: float, p: float) -> float:
    """((1 + t)^p − 1)/p − t, by its series where it cancels."""
    if abs(t) > 1e-2:
        return float(((1.0 + t) ** p - 1.0) / p - t)
    total, term = 0.0, t
    for k in range(2, 12):
        term *= t * (p - k + 1) / k
        total += term
    return total
