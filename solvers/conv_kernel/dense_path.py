"""The same path to the value of one predictor, with all of z as the unknown: slower, and exact to more digits.

`solvers.conv_kernel.value_path` eliminates z at each step, which makes a million dimensions possible, and divides by
P_d to do so. Where the optimal P is nearly singular (several input channels that want one kernel, coefficients over ten
orders of magnitude) that division loses the last digits. Here the Newton system keeps the D·R unknowns Δz,
in real space, with τ = ½∂(lags of T)/∂z,

    [2 P + 4 τ M τᵀ] Δz = 2 (β − P z) − 2 τ·lags(target),                                                         (1)

positive definite without any inverse of P, and costs (D·R)³/3 a step: a second try for small problems.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

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
    largest_eigenvalue,
    symmetric,
)

LARGEST = 800
"""Of D·R, up to which a step takes well under a second."""


def follow_value_path_densely(geometry: KernelLags, beta: ComplexArray, tol: float) -> PathEnd:
    """Problem (1) of `solvers.conv_kernel.path` for β̂ (R, H) ≠ 0, until the relative gap is `tol` or it stalls."""
    basis = geometry.fourier(np.eye(geometry.D * geometry.channels))
    target = geometry.inverse(beta).reshape(-1)
    X = np.eye(geometry.n)
    P = geometry.spectrum(geometry.lags(X))
    z = geometry.inverse(geometry.divide(P, beta)).reshape(-1)
    factor = np.sqrt(0.5 / largest_eigenvalue(geometry, _lags(geometry, z)))
    X, z = X / factor, z * factor
    best = PathEnd(X, beta, np.inf, 0.0, 0)
    for iteration in range(MOST_ITERATIONS):
        P = geometry.spectrum(geometry.lags(X))
        t = _lags(geometry, z)
        trace = float(np.trace(X))
        try:
            upper = 2.0 * np.sqrt(trace * geometry.inner(beta, geometry.divide(P, beta)))
        except LinAlgError:
            upper = np.inf
        lower = 2.0 * float(z @ target) / np.sqrt(largest_eigenvalue(geometry, t))
        better = upper < best.upper
        best = PathEnd(
            X if better else best.X,
            geometry.fourier(z)[0] if lower > best.lower else best.z,
            min(upper, best.upper),
            max(lower, best.lower),
            iteration,
        )
        if best.gap <= tol:
            break
        try:
            X, z, step = _step(geometry, basis, target, X, z, P, t, 0.02 * tol * trace / geometry.n)
        except LinAlgError:
            break
        if step < 1e-3:
            break
    return best


def _lags(geometry: KernelLags, z: Array) -> Array:
    return geometry.lags_of(geometry.fourier(z)[0])


def _step(
    geometry: KernelLags,
    basis: ComplexArray,
    target: Array,
    X: Array,
    z: Array,
    P: NDArray[Any],
    t: Array,
    floor: float,
) -> tuple[Array, Array, float]:
    at = Iterate(geometry, X, t)
    mu = float(np.vdot(X, at.F)) / geometry.n
    gram = geometry.gram(basis, P)
    tau = geometry.cross_lags(basis, geometry.fourier(z)[0])
    system = 2.0 * gram + 4.0 * symmetric(tau @ at.M @ tau.T)
    factor = cholesky(system)
    missing = 2.0 * (target - gram @ z)

    def direction(goal: Array, excess: Array | float, quadratic: Array | float) -> tuple[Array, Array, Array]:
        push = geometry.lags(goal) + at.M @ np.broadcast_to(quadratic, t.shape)
        right = missing - excess - 2.0 * (tau @ push)
        dz = cholesky_solve(factor, right)
        dz = dz + cholesky_solve(factor, right - system @ dz)
        dF = geometry.matrix(-2.0 * (dz @ tau) - quadratic)
        return at.move(goal, dF), dz, dF

    dX, dz, dF = direction(at.target(0.0, 0.0), 0.0, 0.0)
    reach = min(1.0, at.longest(dX, dF))
    after = float(np.vdot(X + reach * dX, at.F + reach * dF)) / geometry.n
    sigma = centering(after, mu, floor)
    dP = geometry.spectrum(geometry.lags(dX))
    bilinear = 2.0 * geometry.inverse(geometry.apply(dP, geometry.fourier(dz)[0])).reshape(-1)
    dX, dz, dF = direction(at.target(sigma * mu, at.second_order(dX, dF)), bilinear, _lags(geometry, dz))
    step = damped(at.longest(dX, dF), reach)
    step = dual_feasible_step(geometry, step, lambda a: _lags(geometry, z + a * dz))
    return symmetric(X + step * dX), z + step * dz, step
