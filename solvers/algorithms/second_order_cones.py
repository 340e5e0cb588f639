"""Products of second-order cones {‖x₁‖₂ ≤ x₀}, and Nesterov and Todd's scaling between two of their points.

A point of G cones is an array (1 + m, G), a column each, with x₀ in the first row. Most is done for a primal and a dual
point at once, arrays (1 + m, 2, G): small problems cost as much as there are calls of numpy, whatever these do.

    x ∘ y = (⟨x, y⟩, x₀ y₁ + y₀ x₁),      ‖x‖_J² = x₀² − ‖x₁‖²,      W v = W⁻¹ u = λ,      W² = β²(2 w wᵀ − J)

Reference: Andersen, Dahl, Vandenberghe, "The CVXOPT linear and quadratic cone program solvers" (2010).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solvers.algorithms.factorizations import Real

_SIGNS = np.array([[-1.0], [1.0]])


def squared_norms(x: Real) -> Real:
    """x₀² − ‖x₁‖², formed as a product to keep digits near the boundary."""
    radius = np.sqrt(np.add.reduce(x[1:] * x[1:]))
    return np.asarray((x[0] - radius) * (x[0] + radius))


def jordan(x: Real, y: Real) -> Real:
    """x ∘ y."""
    product = x[0] * y + y[0] * x
    product[0] = np.add.reduce(x * y)
    return np.asarray(product)


def jordan_divide(x: Real, y: Real) -> Real:
    """The solution z of x ∘ z = y."""
    z = np.empty_like(y)
    z[0] = (x[0] * y[0] - np.add.reduce(x[1:] * y[1:])) / squared_norms(x)
    z[1:] = (y[1:] - z[0] * x[1:]) / x[0]
    return z


def longest_steps(pair: Real, squares: Real, direction: Real) -> Real:
    """The largest steps that keep both points (1 + m, 2, G) in the cone, (2,): inf where nothing stops them.

    The smallest positive root of a s² + 2 b s + c, c = ‖x‖_J² > 0, is c/(√(b² − ac) − b), a form that does not
    cancel.
    """
    d, x = direction[1:], pair[1:]
    a = direction[0] ** 2 - np.add.reduce(d * d)
    b = pair[0] * direction[0] - np.add.reduce(x * d)
    inverse = ((np.sqrt(np.maximum(b * b - a * squares, 0.0)) - b) / squares).max(axis=1)
    return np.asarray(1.0 / np.maximum(inverse, 0.0))


@dataclass(frozen=True)
class Scaling:
    """β (G,), w₀ (G,) and w₁ (m, G)."""

    beta: Real
    w0: Real
    w1: Real

    @classmethod
    def of(cls, pair: Real, squares: Real) -> Scaling:
        """From u and v, (1 + m, 2, G), with their ‖·‖_J²."""
        norms = np.sqrt(squares)
        u, v = (pair / norms).transpose(1, 0, 2)
        half = 0.5 / np.sqrt((1.0 + np.add.reduce(u * v)) / 2.0)
        return cls(np.sqrt(norms[0] / norms[1]), half * (u[0] + v[0]), half * (u[1:] - v[1:]))

    def apply(self, x: Real) -> Real:
        """W x."""
        inner = np.add.reduce(self.w1 * x[1:])
        y = np.empty_like(x)
        y[0] = self.w0 * x[0] + inner
        y[1:] = x[1:] + (x[0] + inner / (1.0 + self.w0)) * self.w1
        y *= self.beta
        return y

    def apply_to_pair(self, pair: Real) -> Real:
        """W⁻¹ of the first and W of the second."""
        inner = np.add.reduce(self.w1[:, None] * pair[1:])
        y = np.empty_like(pair)
        y[0] = self.w0 * pair[0] + _SIGNS * inner
        y[1:] = pair[1:] + (_SIGNS * pair[0] + inner / (1.0 + self.w0)) * self.w1[:, None]
        y[:, 0] /= self.beta
        y[:, 1] *= self.beta
        return y
