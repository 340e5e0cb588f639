"""The central path to the value of one predictor, problem (1) of `solvers.conv_kernel.path`.

    min over X ⪰ 0  of  tr X + Σ_d β̂_d* P_d(X)^{-1} β̂_d                                                        (1)

Unknowns of a Newton step are the q lags of X: with H the curvature of the sum in the lags and M that of the barrier,
Δr = (I + M H)^{-1}(…), and neither X nor z of length D enters a dense solve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import lu_factor, lu_solve

from solvers.arrays import Array, ComplexArray
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.path import (
    MOST_ITERATIONS,
    Iterate,
    PathEnd,
    centering,
    cholesky,
    cholesky_solve,
    damped,
    dual_feasible_step,
    forward,
    largest_eigenvalue,
    symmetric,
)


def follow_value_path(geometry: KernelLags, beta: ComplexArray, tol: float) -> PathEnd:
    """Solve (1) for coefficients β̂ (R, H) ≠ 0 until the relative gap is `tol` or rounding stops the progress.

    For R = 1 only the magnitudes |β̂_d| matter; pass them (real) and z comes back as magnitudes too.
    """
    X, z, P = _value_start(geometry, beta)
    best = PathEnd(X, z, np.inf, 0.0, 0)
    for iteration in range(MOST_ITERATIONS):
        t = geometry.lags_of(z)
        trace, value = float(np.trace(X)), geometry.inner(beta, z)
        S = geometry.inner(beta, geometry.divide(P, beta))
        upper = 2.0 * np.sqrt(trace * S)
        lower = 2.0 * value / np.sqrt(largest_eigenvalue(geometry, t))
        best = PathEnd(
            X if upper < best.upper else best.X,
            z if lower > best.lower else best.z,
            min(upper, best.upper),
            max(lower, best.lower),
            iteration,
        )
        if best.gap <= tol:
            break
        try:
            X, z, step = _value_step(geometry, beta, X, z, P, t, 0.02 * tol * trace / geometry.n)
        except LinAlgError:
            break
        if step < 1e-3:
            break
        P = geometry.spectrum(geometry.lags(X))
    return best


def _value_start(geometry: KernelLags, beta: ComplexArray) -> tuple[Array, ComplexArray, NDArray[Any]]:
    """X = x·I and ẑ = P^{-1}β̂ with λ_max(T(z)) = 1/2: feasible on both sides, all equations but X F = μI met."""
    X = np.eye(geometry.n)
    P = geometry.spectrum(geometry.lags(X))
    z = geometry.divide(P, beta)
    factor = np.sqrt(0.5 / largest_eigenvalue(geometry, geometry.lags_of(z)))
    return X / factor, z * factor, P / factor


def _value_step(
    geometry: KernelLags, beta: ComplexArray, X: Array, z: ComplexArray, P: NDArray[Any], t: Array, floor: float
) -> tuple[Array, ComplexArray, float]:
    at = Iterate(geometry, X, t)
    mu = float(np.vdot(X, at.F)) / geometry.n
    H = geometry.curvature(P, z)
    solve = _value_solver(at.M, H)
    residual = beta - geometry.apply(P, z)

    def direction(target: Array, residual: ComplexArray, quadratic: Array | float) -> tuple[Any, ...]:
        # PΔẑ + ΔPẑ = residual, so the lags of F move by ρ + HΔr; and Δr = lags(target) − M·(that)
        w = geometry.divide(P, residual)
        rho = -2.0 * geometry.cross_lags(w[None], z)[0] - quadratic
        dr = solve(geometry.lags(target) - at.M @ rho)
        dF = geometry.matrix(rho + H @ dr)
        dP = geometry.spectrum(dr)
        return at.move(target, dF), dP, dF, w - geometry.divide(P, geometry.apply(dP, z))

    dX, dP, dF, dz = direction(at.target(0.0, 0.0), residual, 0.0)
    reach = min(1.0, at.longest(dX, dF))
    after = float(np.vdot(X + reach * dX, at.F + reach * dF)) / geometry.n
    sigma = centering(after, mu, floor)
    dX, dP, dF, dz = direction(
        at.target(sigma * mu, at.second_order(dX, dF)), residual - geometry.apply(dP, dz), geometry.lags_of(dz)
    )
    step = damped(at.longest(dX, dF), reach)
    step = dual_feasible_step(geometry, step, lambda a: geometry.lags_of(z + a * dz))
    return symmetric(X + step * dX), z + step * dz, step


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
