"""The central path to the max margin, problem (2) of `solvers.conv_kernel.path`.

    max rᵀα   s.t.   α ≥ 0,  I − T(Aᵀα) ⪰ 0        (multipliers X ⪰ 0 and the slacks s = 2(Aβ − r) ≥ 0)          (2)

A Newton step has the N unknowns Δα: the matrix is 2·A P Aᵀ, the curvature of a support vector machine with spectrum P,
plus 4·τ M τᵀ, how the constraint curves, plus the diagonal s/α.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

from solvers.algorithms.factorizations import cholesky, cholesky_solve, forward, normal_solver
from solvers.algorithms.least_distance import l2_max_margin
from solvers.arrays import Array, ComplexArray
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.path import (
    Constraint,
    Direction,
    Iterate,
    PathEnd,
    Point,
    Solve,
    follow,
    largest_eigenvalue,
    symmetric,
)

WORKING_SET = 400
"""Constraints up to which every step sees them all."""


def solve_margin(
    geometry: KernelLags, A: Array, right: Array, tol: float, near: Array | None = None, careful: bool = False
) -> PathEnd:
    """Solve (2) for separable constraints until the relative gap is `tol` or rounding stops the progress.

    Rows of A (N, R·D) should have norms of order one, and right sides r (N,) be positive and at most one.

    A step costs N³ and N² memory, but few constraints are ever active: of many, the path follows a working set, which
    begins with those closest to the l2 max margin's and takes in the most violated ones until none is. Multipliers
    of the others are zero, so the lower bound is one for all.
    """
    N, near = A.shape[0], np.eye(geometry.n, dtype=A.dtype) if near is None else near.astype(A.dtype)
    size = min(WORKING_SET, 4 * A.shape[1])
    if size >= N:
        return follow(Margins(geometry, A, right, near, careful), tol)
    support = l2_max_margin((A / right[:, None]).astype(np.float64))[0]
    working = np.argsort(A @ support / right, kind="stable")[:size]
    while True:
        end = follow(Margins(geometry, A[working], right[working], near, careful), tol)
        if end.multipliers is not None:
            alpha = np.zeros(N, dtype=A.dtype)
            alpha[working] = end.multipliers
            end = replace(end, multipliers=alpha)
        if end.beta is None:
            return end
        margins = A @ geometry.inverse(end.beta).reshape(-1) / right
        violated = np.setdiff1d(np.flatnonzero(margins < margins[working].min() * (1.0 - 0.1 * tol)), working)
        if violated.size == 0:
            return end
        worst = violated[np.argsort(margins[violated], kind="stable")[: size // 2]]
        working = np.concatenate([working, worst])


class Rows(Constraint):
    """z = Aᵀv for rows A (N, R·D): the Newton system in v, whose first-order conditions are A P ẑ = b + slack/2."""

    def __init__(self, geometry: KernelLags, A: Array, b: Array, careful: bool = False) -> None:
        self.geometry, self.A, self.b, self.careful = geometry, A, b, careful
        self.rows = geometry.fourier(A)
        self._flat = self.rows.reshape(A.shape[0], -1)

    def dual(self, v: NDArray[Any]) -> ComplexArray:
        return np.asarray((v @ self._flat).reshape(self.rows.shape[1:]))

    def value(self, v: NDArray[Any]) -> float:
        return float(v @ self.b)

    def against(self, beta: ComplexArray) -> Array:
        """⟨a_n, β⟩ for every row."""
        flat = (beta * self.geometry.multiplicity).reshape(-1)
        return np.asarray(self._flat.real @ flat.real + self._flat.imag @ flat.imag)

    def newton(self, at: Iterate) -> Solve:
        geometry, tau = self.geometry, self.geometry.cross_lags(self.rows, at.z)
        alpha, slack = at.point.signed, at.point.slack
        ratio = slack / alpha
        solve = self._solver(at, tau, ratio)
        missing = 2.0 * (self.b - self.against(geometry.apply(at.P, at.z)))

        def direction(target: Array, centre: Array, bilinear: NDArray[Any], quadratic: Array) -> Direction:
            # Δr = lags(target) − M Δy, Δy = −2τᵀΔv − quadratic, Δs = centre/α − s − (s/α)Δα
            push = geometry.lags(target) + at.M @ quadratic
            right = missing - 2.0 * self.against(bilinear) - 2.0 * (tau @ push)
            right[: alpha.size] += centre / alpha
            dv = solve(right)
            for _ in range(2 if self.careful else 0):  # X and P have magnified the rounding of Δv
                d = self._direction(at, target, centre, quadratic, tau, dv)
                moved = geometry.apply(at.P, d.z) + geometry.apply(d.P, at.z)
                left = missing - 2.0 * self.against(moved + bilinear)
                left[: alpha.size] += slack + d.slack
                dv = dv + solve(left)
            return self._direction(at, target, centre, quadratic, tau, dv)

        return direction

    def _direction(
        self, at: Iterate, target: Array, centre: Array, quadratic: Array, tau: Array, dv: Array
    ) -> Direction:
        geometry, alpha, slack = self.geometry, at.point.signed, at.point.slack
        dF = geometry.matrix(-2.0 * (dv @ tau) - quadratic)
        dX = at.move(target, dF)
        ds = (centre - slack * dv[: alpha.size]) / alpha - slack
        return Direction(dX, dv, ds, dF, self.dual(dv), geometry.spectrum(geometry.lags(dX)))

    def _solver(self, at: Iterate, tau: Array, ratio: Array) -> Callable[[Array], Array]:
        """b ↦ (2 A P Aᵀ + 4 τ M τᵀ + diag s/α)⁻¹ b."""
        geometry = self.geometry
        if self.careful:  # M = GGᵀ with (τG)_n = L_F⁻¹ T(τ_n) L_X, and the matrix is not formed
            curved = [forward(at.L_F, geometry.matrix(row) @ at.L_X).reshape(-1) for row in tau]
            features = geometry.features(self.rows, at.P)
            return normal_solver(np.hstack([np.sqrt(2.0) * features, 2.0 * np.stack(curved)]), ratio, careful=True)
        system = 2.0 * geometry.gram(self.rows, at.P) + 4.0 * symmetric(tau @ at.M @ tau.T)
        system[np.diag_indices(ratio.size)] += ratio
        factor = _cholesky_with_ridge(system) if ratio.size else cholesky(system)

        def solve(b: Array) -> Array:
            x = cholesky_solve(factor, b)
            return x + cholesky_solve(factor, b - system @ x)

        return solve


class Margins(Rows):
    """A β ≥ r with v = α ≥ 0; the path starts with the α of the ℓ2 problem that the second moment `near` weights."""

    def __init__(self, geometry: KernelLags, A: Array, b: Array, near: Array, careful: bool = False) -> None:
        super().__init__(geometry, A, b, careful)
        self.near = near

    def feasible(self, P: NDArray[Any], z: ComplexArray) -> tuple[ComplexArray, float]:
        """β̂ = P ẑ, scaled to A β ≥ r with equality somewhere."""
        beta = self.geometry.apply(P, z)
        smallest = float((self.against(beta) / self.b).min())
        if smallest <= 0:
            return beta, np.inf
        return beta / smallest, self.geometry.inner(beta, z) / smallest**2

    def start(self) -> Point:
        """Well inside the dual, and centred: X F = μI, s α = μ.

        The multipliers of the ℓ2 max margin cancel in Aᵀα as the optimal ones must when the margin is small, and what
        is added to make the others positive must not drown that.
        """
        geometry, A, b = self.geometry, self.A, self.b
        features = geometry.features(self.rows, geometry.spectrum(geometry.lags(self.near)))
        alpha = l2_max_margin((features / b[:, None]).astype(np.float64))[1].astype(A.dtype) / b
        distance = float(np.linalg.norm(alpha @ A))
        if not (np.isfinite(alpha).all() and distance > 0):  # inseparable, or nearly: let the path find out
            alpha, distance = np.linspace(1.0, 2.0, len(b), dtype=A.dtype), 1.0
        alpha = alpha + 0.5 * distance / len(b)
        alpha = alpha * np.sqrt(0.5 / largest_eigenvalue(geometry, geometry.lags_of(self.dual(alpha))))
        F = np.eye(geometry.n, dtype=A.dtype) - geometry.matrix(geometry.lags_of(self.dual(alpha)))
        mu = 2.0 * (b @ alpha) / (len(b) + geometry.n)
        return Point(mu * symmetric(cholesky_solve(cholesky(F), np.eye(geometry.n, dtype=A.dtype))), alpha, mu / alpha)


def _cholesky_with_ridge(system: Array) -> Array:
    """A Cholesky factor of the matrix, ridged in proportion to its diagonal when rounding made it indefinite."""
    diagonal = np.diag(system)
    for ridge in (0.0, 1e-16, 1e-14, 1e-12):
        try:
            return cholesky(system + np.diag(ridge * diagonal))
        except LinAlgError:
            continue
    raise LinAlgError("the Newton system lost definiteness")
