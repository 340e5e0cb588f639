"""What a potential is: a strictly convex R(β) that is not homogeneous, of which squared loss ends at the minimum.

A norm knows no scale, but a network's start has one. On the squared loss, gradient flow of a diagonal network ends at

    min R(β)   s.t.   Xβ = y,

where R depends on the initial weights: it runs from a squared distance (large weights) to ℓ1 (small ones). Everything
here is said of R by its **conjugate** R*(z) = max_β ⟨z, β⟩ − R(β): ∇R* is the inverse of ∇R, and

    β = ∇R*(Xᵀν),   Xβ = y

has as many unknowns as there are data. R is normalized to R(β₀) = 0 at its minimum β₀ = ∇R*(0), the start's predictor.
Then R*(0) = 0 as well, and Fenchel's inequality R(β) + R*(z) ≥ ⟨z, β⟩ makes any ν a proof of a lower bound.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array, array_methods
from solvers.interpolation.boundary import forced_zeros, near_ends, towards_boundary
from solvers.interpolation.row_space import Found, Interpolated, RowSpace, raise_outside_bounds

if TYPE_CHECKING:
    from solvers.interpolation.problem import InterpolationProblem

FURTHER = (64.0, 2048.0, 65536.0, 2097152.0)
"""How far multipliers are moved towards the boundary of the domain: the best bound counts."""
CLOSED = 1e-13
"""A relative Fenchel gap that leaves nothing to improve."""


@array_methods(value=1, gradient=1, conjugate=1, inverse_gradient=1, inverse_curvature=1, excess=1)
class Potential(ABC):
    """A strictly convex R(β) ≥ 0 with R(β₀) = 0, not homogeneous: only `min_norm` takes it.

    Subclass `SeparablePotential` for a sum over the coefficients; Newton's method then comes with it.
    """

    several_outputs = False
    strictly_convex = True
    shrinkings: tuple[float, ...] = (1.0,)
    """Factors of ν that are tried for the lower bound. Where z has a bounded range and lies at its end, R*(z) has no
    digits left; a ν smaller by a few ε has, and proves as much to within these ε."""

    @property
    def formula(self) -> str:
        """R(β) as it is printed in reports."""
        return str(self)

    @abstractmethod
    def value(self, beta: Array) -> float:
        """R(β); inf outside the domain."""

    @abstractmethod
    def gradient(self, beta: Array) -> Array:
        """∇R(β), of β's shape; ±inf at the ends of the domain."""

    @abstractmethod
    def conjugate(self, z: Array) -> float:
        """R*(z) = max_β ⟨z, β⟩ − R(β); inf outside the domain."""

    @abstractmethod
    def inverse_gradient(self, z: Array) -> Array:
        """The β with ∇R(β) = z, which is ∇R*(z)."""

    @abstractmethod
    def minimize(self, rows: RowSpace) -> Interpolated:
        """The minimizer of R(β) s.t. Qβ = b, with its multipliers. Nothing is believed: the certificate decides."""

    def excess(self, z: Array) -> float:
        """R*(z) − ⟨z, β₀⟩ ≥ 0: what is left of R*(z) where β₀ is the origin. With its own digits where they cancel."""
        return self.conjugate(z) - float(np.vdot(z, self.inverse_gradient(np.zeros_like(z))))

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError when predictors of this shape do not fit. Any shape by default."""
        del shape

    def live(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which coefficients can move at all (boolean, of this shape). All by default."""
        return np.ones(shape, dtype=bool)

    def bounds(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """The ends of the domain of each coefficient, of this shape; −inf and inf by default."""
        return np.full(shape, -np.inf), np.full(shape, np.inf)

    def slopes(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """The ends of the range of each coefficient of ∇R, of this shape; −inf and inf by default."""
        return np.full(shape, -np.inf), np.full(shape, np.inf)

    def rows(self, problem: InterpolationProblem, zero: NDArray[np.bool_] | None = None) -> tuple[RowSpace, Array]:
        """The constraints on the coefficients that can move, and the values of the others: the start, or 0 if forced.

        Raises InconsistentDataError where they cannot fit y.
        """
        live, start = self.live(problem.shape), self.inverse_gradient(np.zeros(problem.shape))
        if zero is not None:
            live, start = live & ~zero, np.where(zero, 0.0, start)
        if live.all():
            return problem.row_spaces[0], start
        still = problem.targets - problem.inputs.points[:, ~live.reshape(-1)] @ start[~live]
        return RowSpace.of(problem.inputs.points, still, live), start

    def interpolate(self, problem: InterpolationProblem) -> Found:
        """β and ν of min R(β) s.t. Xβ = y. Coefficients that cannot move stay where they are.

        Raises InconsistentDataError where the others cannot fit y.
        """
        rows, start = self.rows(problem)
        return self._answer(problem, rows, start, self.minimize(rows), "Newton")

    def _answer(self, problem: InterpolationProblem, rows: RowSpace, start: Array, at: Interpolated, how: str) -> Found:
        beta = np.where(rows.live, at.beta.reshape(problem.shape), start)
        return Found(beta, rows.multipliers(at.multipliers), {"method": how, "iterations": at.iterations})

    def interpolate_again(self, problem: InterpolationProblem) -> Iterator[Found]:
        """What other methods find where the gap of `interpolate` is open: on the boundary of the domain."""
        rows, _ = self.rows(problem)
        low, high = self.bounds(problem.shape)
        zero = forced_zeros(rows, low, high)
        away = None if zero is None else towards_boundary(rows, zero, low)
        if zero is None or away is None:
            return
        inner, start = self.rows(problem, zero)
        at = self.minimize(inner) if inner.b.size else Interpolated(start.reshape(-1), inner.b, 0)
        found = self._answer(problem, inner, start, at, "Newton, some coefficients zero")
        turn = rows.multipliers(away)
        for length in FURTHER:
            yield replace(found, dual=found.dual + length * turn)

    def interpolation_bound(self, problem: InterpolationProblem, dual: Array, objective: float) -> tuple[Array, float]:
        """ν, and ⟨ν, y⟩ − R*(Xᵀν), formed from what is left of y and R* where β₀ is the origin.

        The best of the `shrinkings` of ν, or the first that closes the gap to the objective R(β).
        """
        z, start = problem.inputs.combine(dual), self.inverse_gradient(np.zeros(problem.shape))
        inner, best = float(dual @ problem.missing(start)), (-np.inf, 1.0)
        for t in self.shrinkings:
            bound = t * inner - self.excess(t * z)
            best = (bound, t) if bound > best[0] else best
            if abs(objective - bound) <= CLOSED * objective:
                break
        return best[1] * dual, best[0]

    def raise_if_infeasible(self, problem: InterpolationProblem) -> None:
        """Raise InconsistentDataError where no β in the domain fits."""
        raise_outside_bounds(problem.inputs.points, problem.targets, *self.bounds(problem.shape))


@dataclass(frozen=True)
class Curve:
    """β and z = ∇R(β) of each coefficient as functions of a parameter x, with their derivatives."""

    beta: Array
    z: Array
    beta_slope: Array
    z_slope: Array

    @property
    def curvature(self) -> Array:
        """dβ/dz = R*″."""
        return self.beta_slope / self.z_slope


class SeparablePotential(Potential):
    """A potential Σ_d R_d(β_d). `inverse_curvature` makes Newton's method of it.

    >>> class Quartic(SeparablePotential):
    ...     def value(self, beta):
    ...         return float((beta**2 / 2 + beta**4 / 4).sum())
    ...
    ...     def gradient(self, beta):
    ...         return beta + beta**3
    ...
    ...     def inverse_gradient(self, z):
    ...         return 2 / np.sqrt(3) * np.sinh(np.arcsinh(1.5 * np.sqrt(3) * z) / 3)
    ...
    ...     def conjugate(self, z):
    ...         beta = self.inverse_gradient(z)
    ...         return float(z @ beta) - self.value(beta)
    ...
    ...     def inverse_curvature(self, z):
    ...         return 1 / (1 + 3 * self.inverse_gradient(z) ** 2)
    >>> from solvers import min_norm
    >>> min_norm([[1.0, 1.0, 2.0]], [4.0], Quartic()).status.name
    'OPTIMAL'
    """

    @abstractmethod
    def inverse_curvature(self, z: Array) -> Array:
        """The derivative of each coefficient of `inverse_gradient` with respect to its own z: R_d*″(z_d) ≥ 0."""

    def first(self, shape: tuple[int, ...]) -> Array:
        """The parameter x of β₀, of this shape."""
        return np.zeros(shape)

    def along(self, x: Array) -> Curve:
        """β and z at the parameter x. Here x is z itself.

        A better parameter is one in which β is known to its last digit where z is close to the end of its range.
        """
        return Curve(self.inverse_gradient(x), x, self.inverse_curvature(x), np.ones_like(x))

    def minimize(self, rows: RowSpace) -> Interpolated:
        from solvers.algorithms.potential_newton import potential_newton

        return potential_newton(rows, self)

    def interpolate_again(self, problem: InterpolationProblem) -> Iterator[Found]:
        yield from super().interpolate_again(problem)
        rows, start = self.rows(problem)
        at = near_ends(rows, self)
        if at is not None:
            yield self._answer(problem, rows, start, at, "linear programs, of a small start")
