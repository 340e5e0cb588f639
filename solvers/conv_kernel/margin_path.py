"""The central path to the max margin, problem (2) of `solvers.conv_kernel.path`.

    max 1ᵀα   s.t.   α ≥ 0,  I − T(Aᵀα) ⪰ 0        (multipliers X ⪰ 0 and the slacks s = 2(Aβ − 1) ≥ 0)          (2)

A Newton step has the N unknowns Δα: the matrix is 2·A P Aᵀ, the curvature of a support vector machine with spectrum P,
plus 4·τ M τᵀ, how the constraint curves, plus the diagonal s/α.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.linalg import LinAlgError

from solvers.algorithms.least_distance import l2_max_margin
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
    longest_positive,
    symmetric,
)

WORKING_SET = 400
"""Constraints up to which every step sees them all."""


def solve_margin(geometry: KernelLags, A: Array, tol: float) -> PathEnd:
    """Solve (2) for separable constraints A (N, R·D) until the relative gap is `tol` or rounding stops the progress.

    A step costs N³ and N² memory, but few constraints are ever active: of many, the path follows a working set, which
    begins with those closest to the l2 max margin's and takes in the most violated ones until none is. Multipliers
    of the others are zero, so the lower bound is one for all.
    """
    N = A.shape[0]
    if N <= WORKING_SET:
        return follow_margin_path(geometry, A, tol)
    support = l2_max_margin(A)[0]
    working = np.argsort(A @ support, kind="stable")[:WORKING_SET]
    while True:
        end = follow_margin_path(geometry, A[working], tol)
        if end.alpha is None or end.beta is None:
            return end
        alpha = np.zeros(N)
        alpha[working] = end.alpha
        margins = A @ geometry.inverse(end.beta).reshape(-1)
        violated = np.setdiff1d(np.flatnonzero(margins < margins[working].min() * (1.0 - 0.1 * tol)), working)
        if violated.size == 0:
            return replace(end, alpha=alpha)
        worst = violated[np.argsort(margins[violated], kind="stable")[: WORKING_SET // 2]]
        working = np.concatenate([working, worst])


def follow_margin_path(geometry: KernelLags, A: Array, tol: float) -> PathEnd:
    """`solve_margin` with every constraint at every step."""
    rows = geometry.fourier(A)
    flat = rows.reshape(rows.shape[0], -1)
    X, alpha, slack = _margin_start(geometry, rows, A)
    N, n = alpha.size, geometry.n
    best = PathEnd(X, rows[0], np.inf, 0.0, 0)
    for iteration in range(MOST_ITERATIONS):
        P = geometry.spectrum(geometry.lags(X))
        z = (alpha @ flat).reshape(rows.shape[1:])
        t = geometry.lags_of(z)
        gram = geometry.gram(rows, P)
        margins = gram @ alpha
        smallest = float(margins.min())
        trace = float(np.trace(X))
        upper = 2.0 * np.sqrt(trace * float(alpha @ margins)) / smallest if smallest > 0 else np.inf
        root = np.sqrt(max(largest_eigenvalue(geometry, t), 0.0))
        if root <= 1e-13 * float(alpha.sum()):  # Aᵀα = 0 with α ≥ 0: inseparable, for the caller to say
            break
        lower = 2.0 * float(alpha.sum()) / root
        if upper < best.upper:
            best = PathEnd(X, best.z, upper, best.lower, iteration, best.alpha, geometry.apply(P, z) / smallest)
        if lower > best.lower:
            best = PathEnd(best.X, z, best.upper, lower, iteration, 2.0 * alpha / root, best.beta)
        best = PathEnd(best.X, best.z, best.upper, best.lower, iteration, best.alpha, best.beta)
        if best.gap <= tol:
            break
        try:
            X, alpha, slack, step = _margin_step(
                geometry, rows, X, alpha, slack, z, t, gram, 0.02 * tol * trace / (n + N)
            )
        except LinAlgError:
            break
        if step < 1e-3:
            break
    return best


def _margin_start(geometry: KernelLags, rows: ComplexArray, A: Array) -> tuple[Array, Array, Array]:
    """X = x·I with the ℓ2 max margin's β, scaled to margin 3/2, so that slacks are positive; α on the path next to it.

    Rows of very different size would leave a constant α nearly stuck: those of the small ones must be far larger.
    """
    X = np.eye(geometry.n)
    gram = geometry.gram(rows, geometry.spectrum(geometry.lags(X)))
    _, support, _ = l2_max_margin(A)
    margins = gram @ support
    smallest = float(margins.min())
    if not smallest > 0 or not np.isfinite(support).all():
        support = np.linspace(1.0, 2.0, rows.shape[0])  # inseparable, or nearly: let the path find out
        margins = gram @ support
        smallest = max(float(np.abs(margins).max()), 1e-12 * float(np.diag(gram).max()))

    def inside(multipliers: Array, largest: float) -> Array:
        """Scaled to λ_max(T) = `largest`."""
        found = largest_eigenvalue(geometry, geometry.lags_of(np.tensordot(multipliers, rows, 1)))
        return multipliers * np.sqrt(largest / found) if found > 0 else multipliers

    alpha = inside(support, 0.25)
    x = 1.5 / (smallest * float(alpha.sum() / support.sum()))
    # a slack in proportion to its row, however small the margin, keeps every α = μ/s off the support harmless
    sizes = np.linalg.norm(A, axis=1)
    floor = np.maximum(0.45 / smallest * sizes * float(np.max(np.abs(margins) / sizes)), 0.5)
    slack = np.maximum(2.0 * (x * (gram @ alpha) - 1.0), floor)
    alpha = inside(np.maximum(alpha, 0.5 * x / slack), 0.5)  # μ of X F
    return X * x, alpha, np.maximum(2.0 * (x * (gram @ alpha) - 1.0), floor)


def _margin_step(
    geometry: KernelLags,
    rows: ComplexArray,
    X: Array,
    alpha: Array,
    slack: Array,
    z: ComplexArray,
    t: Array,
    gram: Array,
    floor: float,
) -> tuple[Array, Array, Array, float]:
    at = Iterate(geometry, X, t)
    order = geometry.n + alpha.size
    mu = (float(np.vdot(X, at.F)) + float(alpha @ slack)) / order
    tau = geometry.cross_lags(rows, z)
    tau_M = tau @ at.M
    system = 2.0 * gram + 4.0 * symmetric(tau_M @ tau.T)
    system[np.diag_indices_from(system)] += slack / alpha
    factor = _cholesky_with_ridge(system)
    missing = 2.0 - 2.0 * (gram @ alpha)

    def direction(target: Array, centre: Array, excess: Array | float, quadratic: Array | float) -> tuple[Array, ...]:
        # Δr = lags(target) − M Δy, Δy = −2τᵀΔα − quadratic, Δs = centre/α − s − (s/α)Δα
        push = geometry.lags(target) + at.M @ np.broadcast_to(quadratic, t.shape)
        right = missing - excess + centre / alpha - 2.0 * (tau @ push)
        da = cholesky_solve(factor, right)
        da = da + cholesky_solve(factor, right - system @ da)
        dF = geometry.matrix(-2.0 * (da @ tau) - quadratic)
        return at.move(target, dF), da, centre / alpha - slack - (slack / alpha) * da, dF

    def longest(dX: Array, da: Array, ds: Array, dF: Array) -> float:
        return min(at.longest(dX, dF), longest_positive(alpha, da), longest_positive(slack, ds))

    dX, da, ds, dF = direction(at.target(0.0, 0.0), np.zeros_like(alpha), 0.0, 0.0)
    reach = min(1.0, longest(dX, da, ds, dF))
    after = float(np.vdot(X + reach * dX, at.F + reach * dF)) + float((alpha + reach * da) @ (slack + reach * ds))
    sigma = centering(after / order, mu, floor)
    dz = np.tensordot(da, rows, 1)
    dP = geometry.spectrum(geometry.lags(dX))
    bilinear = 2.0 * _against(geometry, rows, geometry.apply(dP, dz))
    dX, da, ds, dF = direction(
        at.target(sigma * mu, at.second_order(dX, dF)), sigma * mu - da * ds, bilinear, geometry.lags_of(dz)
    )
    step = damped(longest(dX, da, ds, dF), reach)
    dz = np.tensordot(da, rows, 1)
    step = dual_feasible_step(geometry, step, lambda a: geometry.lags_of(z + a * dz))
    return symmetric(X + step * dX), alpha + step * da, slack + step * ds, step


def _against(geometry: KernelLags, rows: ComplexArray, beta: ComplexArray) -> Array:
    """⟨a_n, β⟩ for every row."""
    weighted = (rows * geometry.multiplicity).reshape(rows.shape[0], -1)
    flat = beta.reshape(-1)
    return np.asarray(weighted.real @ flat.real + weighted.imag @ flat.imag)


def _cholesky_with_ridge(system: Array) -> Array:
    """A Cholesky factor of the matrix, ridged in proportion to its diagonal when rounding made it indefinite."""
    diagonal = np.diag(system)
    for ridge in (0.0, 1e-16, 1e-14, 1e-12):
        try:
            return cholesky(system + np.diag(ridge * diagonal))
        except LinAlgError:
            continue
    raise LinAlgError("the Newton system lost definiteness")
