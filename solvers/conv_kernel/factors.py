"""Fewer channels than the convex value needs: rank-constrained problems by Burer and Monteiro's factorization.

    min over U ∈ R^{C×KR}  of  ‖U‖² + S(P(U)),    S = Σ_d β̂_d* P_d^{-1} β̂_d   or  S = min {the same : A β ≥ 1}   (1)

With X = UᵀU the gradient is 2(U − U·T(z)), where z is half the dual vector at P(U): P^{-1}β̂ for a given β, Aᵀα with α
the multipliers of the support vector machine in the Fourier-weighted norm for the margin problem (Danskin). The problem
is nonconvex for C below the rank of the convex solution, so the answer is the best of several starts and an upper
bound: one start is the convex solution's leading kernels, the others are seeded Gaussian.

Reference: Burer, Monteiro (2003), *A nonlinear programming algorithm for solving semidefinite programs via low-rank
factorization*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.optimize import minimize

from solvers.algorithms.least_distance import l2_max_margin
from solvers.arrays import Array, ComplexArray
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.network import network_cost
from solvers.search import Search

_NEWTON_UP_TO = 200  # C·K·R, unknowns; beyond, the dense Hessian costs more than the digits are worth
_NEWTON_STEPS = 200

Objective = Callable[[Array], tuple[float, Array]]


def leading_kernels(U: Array, C: int) -> Array:
    """The C kernels whose second moment is nearest to that of U, in the spectral norm."""
    _, sizes, directions = np.linalg.svd(U, full_matrices=False)
    found = np.zeros((C, U.shape[1]))
    found[: min(C, sizes.size)] = (sizes[:, None] * directions)[:C]
    return found


def fewer_kernels(
    geometry: KernelLags,
    beta: ComplexArray,
    U: Array,
    C: int,
    search: Search,
    max_steps: int = _NEWTON_STEPS,
) -> Array:
    """(1) for a given predictor: the best C kernels found, (C, n). U are the convex solution's kernels."""

    def objective(kernels: Array) -> tuple[float, Array]:
        _, z = spectrum_and_dual(geometry, beta, kernels)
        T = geometry.matrix(geometry.lags_of(z))
        return float(np.vdot(kernels, kernels)) + geometry.inner(beta, z), 2.0 * (kernels - kernels @ T)

    def hessian(kernels: Array) -> Array:
        P, z = spectrum_and_dual(geometry, beta, kernels)
        T = geometry.matrix(geometry.lags_of(z))
        lag_slopes = _lag_slopes(geometry, kernels)  # ∂r/∂U = 2 E_i U
        if geometry.channels == 1:
            P = np.where(beta[0] != 0, P, 1.0)  # z is zero there, so any value does
        bent = 4.0 * lag_slopes.T @ geometry.curvature(P, z) @ lag_slopes
        return 2.0 * np.kron(np.eye(kernels.shape[0]), np.eye(geometry.n) - T) + bent

    def cost(kernels: Array) -> float:
        """Of the network itself: near a singular P rounding can make the objective too good to be true."""
        return network_cost(geometry, kernels, beta)

    second_order = hessian if C * geometry.n <= _NEWTON_UP_TO else None
    return _best_of(objective, U, C, search, second_order, cost, max_steps)


def spectrum_and_dual(geometry: KernelLags, beta: ComplexArray, kernels: Array) -> tuple[NDArray[Any], ComplexArray]:
    """P and P^{-1}β̂; frequencies that β̂ does not use may have P_d = 0. Raises LinAlgError where P is singular."""
    P = geometry.spectrum(geometry.lags(kernels.T @ kernels))
    if geometry.channels > 1:
        z = geometry.divide(P, beta)
        if not float(np.abs(geometry.apply(P, z) - beta).max()) <= 1e-11 * float(np.abs(beta).max()):
            raise LinAlgError("the kernels' spectrum is singular in a direction that the predictor needs")
        return P, z
    used = beta != 0
    if not (P[used[0]] > 0).all():
        raise LinAlgError("the kernels' spectrum vanishes where the predictor does not")
    return P, np.asarray(np.divide(beta, P, out=np.zeros_like(beta), where=used))


def _lag_slopes(geometry: KernelLags, kernels: Array) -> Array:
    """E_i U for every lag, flattened: (q, C·n)."""
    C, n = kernels.shape
    slopes = np.zeros((geometry.q, C, n))
    rows = np.broadcast_to(np.arange(n)[:, None], (n, n))
    for c in range(C):
        np.add.at(slopes[:, c], (geometry.index, rows), np.broadcast_to(kernels[c], (n, n)))
    return slopes.reshape(geometry.q, C * n)


def fewer_kernels_for_margin(geometry: KernelLags, A: Array, U: Array, C: int, search: Search) -> Array:
    """(1) for the margin problem with constraints A (N, R·D)."""
    rows = geometry.fourier(A)

    def objective(kernels: Array) -> tuple[float, Array]:
        P = geometry.spectrum(geometry.lags(kernels.T @ kernels))
        beta, alpha = weighted_margin(geometry, rows, P)
        z = np.tensordot(alpha, rows, 1)
        T = geometry.matrix(geometry.lags_of(z))
        return float(np.vdot(kernels, kernels)) + geometry.inner(beta, z), 2.0 * (kernels - kernels @ T)

    return _best_of(objective, U, C, search)


def weighted_margin(geometry: KernelLags, rows: ComplexArray, P: NDArray[Any]) -> tuple[ComplexArray, Array]:
    """min Σ_d β̂_d* P_d^{-1} β̂_d s.t. A β ≥ 1: coefficients (R, H) and multipliers α with β̂ = P·(Aᵀα)^.

    With P = L L* and β̂ = L b this is the ordinary support vector machine for the rows L*â_n. Raises LinAlgError for a P
    that is not finite.
    """
    features = np.ascontiguousarray(geometry.features(rows, P))
    if not np.isfinite(features).all():  # a line search may try kernels of any size
        raise LinAlgError("the kernels' spectrum overflows")
    _, alpha, _ = l2_max_margin(features)
    z = np.tensordot(alpha, rows, 1)
    return geometry.apply(P, z), alpha


def _best_of(
    objective: Objective,
    U: Array,
    C: int,
    search: Search,
    hessian: Callable[[Array], Array] | None = None,
    cost: Callable[[Array], float] | None = None,
    max_steps: int = _NEWTON_STEPS,
) -> Array:
    generator = np.random.default_rng(search.seed)
    size = np.sqrt(np.vdot(U, U) / (C * U.shape[1]))
    starts = [leading_kernels(U, C)] + [
        size * generator.standard_normal((C, U.shape[1])) for _ in range(search.n_starts)
    ]
    # the truncated convex solution may have a spectrum that vanishes where β̂ does not; a little noise lifts it
    starts[0] = starts[0] + 1e-3 * size * generator.standard_normal(starts[0].shape)
    best, best_value, done = starts[0], np.inf, 0
    while search.goes_on(done, len(starts)):
        found, value = _descend(objective, starts[done])
        done += 1
        if hessian is not None:
            found, value = _newton(objective, hessian, found, value, max_steps)
        if cost is not None:
            value = cost(found)
        if value < best_value:
            best, best_value = found, value
    for _ in range(2 if hessian is None else 0):  # from where it stopped, with its memory of curvature cleared
        best, _ = _descend(objective, best)
    return np.asarray(best)


def _descend(objective: Objective, start: Array) -> tuple[Array, float]:
    shape = start.shape

    def flat(x: Array) -> tuple[float, Array]:
        try:
            value, gradient = objective(x.reshape(shape))
        except LinAlgError:
            return np.inf, np.zeros_like(x)
        return (value, gradient.reshape(-1)) if np.isfinite(value) else (np.inf, np.zeros_like(x))

    scale = max(flat(start.reshape(-1))[0], 1e-300)
    if not np.isfinite(scale):
        return start, np.inf
    answer = minimize(
        lambda x: tuple(part / scale for part in flat(x)),
        start.reshape(-1),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 3000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-10, "maxcor": 20},
    )
    return np.asarray(answer.x).reshape(shape), float(answer.fun) * scale


def _newton(
    objective: Objective, hessian: Callable[[Array], Array], start: Array, value: float, max_steps: int
) -> tuple[Array, float]:
    """Newton's method with the absolute values of the Hessian's eigenvalues: past saddles, to working precision."""
    x, trust, refused = start, 1e-2, 0
    for _ in range(max_steps):
        try:
            current, gradient = objective(x)
            curvature, directions = np.linalg.eigh(hessian(x))
        except LinAlgError:
            break
        size = float(np.abs(curvature).max())
        if not np.isfinite(size) or float(np.abs(gradient).max()) <= 1e-14 * size * float(np.abs(x).max()):
            break
        along = directions.T @ gradient.reshape(-1)
        improved = False
        while trust < 1e8 and not improved:
            step = -directions @ (along / (np.abs(curvature) + trust * size))
            try:
                trial, _ = objective(x + step.reshape(x.shape))
            except LinAlgError:
                trial = np.inf
            improved = bool(trial < current)
            trust = max(trust / 5.0, 1e-14) if improved else trust * 6.0
        if not improved:
            break
        x, value = x + step.reshape(x.shape), trial
        refused = refused + 1 if current - trial <= 1e-15 * abs(current) else 0
        if refused >= 3:
            break
    return x, value
