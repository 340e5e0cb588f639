"""The central path to the value of one predictor, problem (1) of `solvers.conv_kernel.path`.

    min over X ⪰ 0  of  tr X + Σ_d β̂_d* P_d(X)^{-1} β̂_d                                                        (1)

`GivenPredictor` eliminates z. The unknowns of a Newton step are the q lags of X: with H the curvature of the sum in the
lags and M that of the barrier, Δr = (I + M H)^{-1}(…), and neither X nor z of length D enters a dense solve.

That divides by P_d. Where the optimal P is nearly singular (several input channels that want one kernel, coefficients
over ten orders of magnitude) the division loses the last digits. `DensePredictor` keeps the D·R unknowns of z: it is
the system of the max margin with A = I, without inequalities, and costs (D·R)³/3 a step. It is a second try for small
problems.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import lu_factor, lu_solve

from solvers.algorithms.factorizations import cholesky, cholesky_solve, forward
from solvers.arrays import Array, ComplexArray
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.margin_path import Rows
from solvers.conv_kernel.path import (
    Constraint,
    Direction,
    Iterate,
    Point,
    Solve,
    largest_eigenvalue,
    symmetric,
)

LARGEST_DENSE = 800
"""Of D·R, up to which a step of `DensePredictor` takes well under a second."""


class GivenPredictor(Constraint):
    """Coefficients β̂ (R, H) ≠ 0; v is ẑ.

    For R = 1 only the magnitudes |β̂_d| matter; pass them (real) and z comes back as magnitudes too.
    """

    def __init__(self, geometry: KernelLags, beta: ComplexArray) -> None:
        self.geometry, self.beta = geometry, beta

    def start(self) -> Point:
        """X = x·I and ẑ = P^{-1}β̂ with λ_max(T(z)) = 1/2: feasible on both sides, all equations but X F = μI met."""
        geometry, X = self.geometry, np.eye(self.geometry.n)
        z = geometry.divide(geometry.spectrum(geometry.lags(X)), self.beta)
        factor = np.sqrt(0.5 / largest_eigenvalue(geometry, geometry.lags_of(z)))
        return Point(X / factor, z * factor, np.zeros(0))

    def dual(self, v: NDArray[Any]) -> ComplexArray:
        return v

    def value(self, v: NDArray[Any]) -> float:
        return self.geometry.inner(self.beta, v)

    def feasible(self, P: NDArray[Any], z: ComplexArray) -> tuple[ComplexArray, float]:
        return self.beta, self.geometry.inner(self.beta, self.geometry.divide(P, self.beta))

    def newton(self, at: Iterate) -> Solve:
        geometry = self.geometry
        H = geometry.curvature(at.P, at.z)
        solve = _value_solver(at.M, H)
        residual = self.beta - geometry.apply(at.P, at.z)

        def direction(target: Array, centre: Array, bilinear: NDArray[Any], quadratic: Array) -> Direction:
            # PΔẑ + ΔPẑ = residual, so the lags of F move by ρ + HΔr; and Δr = lags(target) − M·(that)
            w = geometry.divide(at.P, residual - bilinear)
            rho = -2.0 * geometry.cross_lags(w[None], at.z)[0] - quadratic
            dr = solve(geometry.lags(target) - at.M @ rho)
            dF = geometry.matrix(rho + H @ dr)
            dP = geometry.spectrum(dr)
            dz = w - geometry.divide(at.P, geometry.apply(dP, at.z))
            return Direction(at.move(target, dF), dz, centre, dF, dz, dP)

        return direction


class DensePredictor(Rows):
    """The same for complex β̂, in real space: v is z, flattened (R·D,)."""

    def __init__(self, geometry: KernelLags, beta: ComplexArray) -> None:
        super().__init__(geometry, np.eye(geometry.D * geometry.channels), geometry.inverse(beta).reshape(-1))
        self.given = GivenPredictor(geometry, beta)

    def start(self) -> Point:
        start = self.given.start()
        return Point(start.X, self.geometry.inverse(start.v).reshape(-1), start.slack)

    def dual(self, v: NDArray[Any]) -> ComplexArray:
        return np.asarray(self.geometry.fourier(v)[0])

    def feasible(self, P: NDArray[Any], z: ComplexArray) -> tuple[ComplexArray, float]:
        return self.given.feasible(P, z)


def _value_solver(M: Array, H: Array) -> Callable[[Array], Array]:
    """b ↦ (I + M H)^{-1} b, M ≻ 0, H ⪰ 0, once refined: through LLᵀ = M while that exists in rounding, else LU."""
    identity = np.eye(M.shape[0])
    try:
        L = cholesky(M)
        factor = cholesky(identity + symmetric(L.T @ H @ L))

        def once(b: Array) -> Array:
            return np.asarray(L @ cholesky_solve(factor, forward(L, b)))
    except LinAlgError:
        lu = lu_factor(identity + M @ H, check_finite=False)

        def once(b: Array) -> Array:
            return np.asarray(lu_solve(lu, b, check_finite=False))

    def solve(b: Array) -> Array:
        x = once(b)
        return x + once(b - x - M @ (H @ x))

    return solve
