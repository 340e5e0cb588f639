"""The central path to the max margin, problem (2) of `solvers.conv_kernel.path`.

    max rᵀα   s.t.   α ≥ 0,  I − T(Aᵀα) ⪰ 0        (multipliers X ⪰ 0 and the slacks s = 2(Aβ − r) ≥ 0)          (2)

A Newton step has the N unknowns Δα: the matrix is 2·A P Aᵀ, the curvature of a support vector machine with spectrum P,
plus 4·τ M τᵀ, how the constraint curves, plus the diagonal s/α.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

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
    cholesky,
    cholesky_solve,
    follow,
    largest_eigenvalue,
    symmetric,
)

WORKING_SET = 400
"""Constraints up to which every step sees them all."""


def solve_margin(geometry: KernelLags, A: Array, right: Array, tol: float) -> PathEnd:
    """Solve (2) for separable constraints Aβ ≥ r, A (N, R·D) of norms of order one and 0 < r ≤ 1 (N,), until the relative gap is `tol` or rounding stops the progress.

    A step costs N³ and N² memory, but few constraints are ever active: of many, the path follows a working set, which
    begins with those closest to the l2 max margin's and takes in the most violated ones until none is. Multipliers
    of the others are zero, so the lower bound is one for all.
    """
    N = A.shape[0]
    if N <= WORKING_SET:
        return follow(Margins(geometry, A, right), tol)
    support = l2_max_margin(A / right[:, None])[0]
    working = np.argsort(A @ support / right, kind="stable")[:WORKING_SET]
    while True:
        end = follow(Margins(geometry, A[working], right[working]), tol)
        if end.multipliers is None or end.beta is None:
            return end
        alpha = np.zeros(N)
        alpha[working] = end.multipliers
        margins = A @ geometry.inverse(end.beta).reshape(-1) / right
        violated = np.setdiff1d(np.flatnonzero(margins < margins[working].min() * (1.0 - 0.1 * tol)), working)
        if violated.size == 0:
            return replace(end, multipliers=alpha)
        worst = violated[np.argsort(margins[violated], kind="stable")[: WORKING_SET // 2]]
        working = np.concatenate([working, worst])


class Rows(Constraint):
    """z = Aᵀv for rows A (N, R·D): the Newton system in v, whose first-order conditions are A P ẑ = b + slack/2."""

    def __init__(self, geometry: KernelLags, A: Array, b: Array) -> None:
        self.geometry, self.A, self.b = geometry, A, b
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
        geometry = self.geometry
        gram = geometry.gram(self.rows, at.P)
        tau = geometry.cross_lags(self.rows, at.z)
        system = 2.0 * gram + 4.0 * symmetric(tau @ at.M @ tau.T)
        alpha, slack = at.point.signed, at.point.slack
        ratio = slack / alpha
        system[np.diag_indices(alpha.size)] += ratio
        factor = _cholesky_with_ridge(system) if alpha.size else cholesky(system)
        missing = 2.0 * (self.b - gram @ at.point.v)

        def direction(target: Array, centre: Array, bilinear: NDArray[Any], quadratic: Array) -> Direction:
            # Δr = lags(target) − M Δy, Δy = −2τᵀΔv − quadratic, Δs = centre/α − s − (s/α)Δα
            push = geometry.lags(target) + at.M @ quadratic
            right = missing - 2.0 * self.against(bilinear) - 2.0 * (tau @ push)
            right[: alpha.size] += centre / alpha
            dv = cholesky_solve(factor, right)
            dv = dv + cholesky_solve(factor, right - system @ dv)
            dF = geometry.matrix(-2.0 * (dv @ tau) - quadratic)
            dX = at.move(target, dF)
            ds = centre / alpha - slack - ratio * dv[: alpha.size]
            return Direction(dX, dv, ds, dF, self.dual(dv), geometry.spectrum(geometry.lags(dX)))

        return direction


class Margins(Rows):
    """A β ≥ r with v = α ≥ 0."""

    def feasible(self, P: NDArray[Any], z: ComplexArray) -> tuple[ComplexArray, float]:
        """β̂ = P ẑ, scaled to A β ≥ r with equality somewhere."""
        beta = self.geometry.apply(P, z)
        smallest = float((self.against(beta) / self.b).min())
        if smallest <= 0:
            return beta, np.inf
        return beta / smallest, self.geometry.inner(beta, z) / smallest**2

    def start(self) -> Point:
        """X = x·I with the ℓ2 max margin's β, scaled to 3/2 of r, so that slacks are positive; α near it."""
        geometry, A, b = self.geometry, self.A, self.b
        X = np.eye(geometry.n)
        gram = geometry.gram(self.rows, geometry.spectrum(geometry.lags(X)))
        support = l2_max_margin(A / b[:, None])[1] / b
        margins = gram @ support
        smallest = float((margins / b).min())
        if not smallest > 0 or not np.isfinite(support).all():
            support = np.linspace(1.0, 2.0, A.shape[0])  # inseparable, or nearly: let the path find out
            margins = gram @ support
            smallest = max(float(np.abs(margins / b).max()), 1e-12 * float(np.diag(gram).max()))

        def inside(multipliers: Array, largest: float) -> Array:
            """Scaled to λ_max(T) = `largest`."""
            found = largest_eigenvalue(geometry, geometry.lags_of(self.dual(multipliers)))
            return multipliers * np.sqrt(largest / found) if found > 0 else multipliers

        alpha = inside(support, 0.25)
        x = 1.5 / (smallest * float(alpha.sum() / support.sum()))
        # a slack in proportion to its row, however small the margin, keeps every α = μ/s off the support harmless
        sizes = np.linalg.norm(A, axis=1)
        floor = np.maximum(0.45 / smallest * sizes * float(np.max(np.abs(margins) / sizes)), 0.5 * b)
        slack = np.maximum(2.0 * (x * (gram @ alpha) - b), floor)
        alpha = inside(np.maximum(alpha, 0.5 * x / slack), 0.5)  # μ of X F
        return Point(X * x, alpha, np.maximum(2.0 * (x * (gram @ alpha) - b), floor))


def _cholesky_with_ridge(system: Array) -> Array:
    """A Cholesky factor of the matrix, ridged in proportion to its diagonal when rounding made it indefinite."""
    diagonal = np.diag(system)
    for ridge in (0.0, 1e-16, 1e-14, 1e-12):
        try:
            return cholesky(system + np.diag(ridge * diagonal))
        except LinAlgError:
            continue
    raise LinAlgError("the Newton system lost definiteness")
