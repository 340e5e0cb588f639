"""Newton's method on the optimality conditions of a group penalty, support and active constraints given.

    ω_g p ‖b_g‖₂^{p−2} b_g = B_gᵀ α   (g in the support),        Σ_g B_g b_g = r   (rows with weight)

for the value Σ_g ω_g ‖b_g‖₂^p, 0 < p ≤ 1. At p = 1 these are the conditions b_g/‖b_g‖ = z_g of the group norm; for
p < 1 they are eq. (13) of Gunasekar, Lee, Soudry, Srebro (2018). The caller certifies the result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgetrf, dgetrs

from solvers.algorithms.factorizations import Real
from solvers.arrays import Array
from solvers.extended_precision import extended_product


def newton_on_support(
    B: Real,
    omega: Array,
    p: float,
    b: Real,
    dual: Real,
    groups: NDArray[np.intp],
    rows: NDArray[np.intp],
    *,
    right: Real | float = 1.0,
    max_steps: int = 30,
    largest_change: float = 0.5,
    collapsed: float = 0.0,
) -> tuple[Real, Real] | None:
    """From b (G, m) and α (N,), the nearby solution supported on `groups` and `rows`; None when it breaks down.

    `right` is r.

    In one step no group changes by more than `largest_change` times its size. Newton's method ends early where a group
    has shrunk below `collapsed` times its start: then it is not in the support.

    B has shape (N, G, m). A coordinate whose column is zero (the imaginary part of a real frequency) stays zero.
    """
    m = B.shape[2]
    columns = B[:, groups].reshape(B.shape[0], -1)
    unknown = np.flatnonzero(columns.any(axis=0))
    matrix = columns[np.ix_(rows, unknown)]
    weight = p * omega[groups]
    x, alpha = b[groups].reshape(-1)[unknown], dual[rows]
    full, target = np.zeros(groups.size * m, dtype=b.dtype), np.broadcast_to(right, dual.shape)[rows]
    settled, near, start = 0, False, np.linalg.norm(b[groups], axis=1)

    def by_group(vector: Real) -> Real:
        full[unknown] = vector
        return full.reshape(-1, m).copy()

    for iteration in range(max_steps):
        current = by_group(x)
        radius = np.linalg.norm(current, axis=1)
        if radius.min(initial=np.inf) == 0.0:
            return None
        if (radius < collapsed * start).any():
            break
        unit = current / radius[:, None]
        gradient = ((weight * radius ** (p - 1.0))[:, None] * unit).reshape(-1)[unknown]
        if iteration == 0:
            alpha = np.linalg.lstsq(matrix.T, gradient, rcond=None)[0] if p < 1 else alpha
        if not near:  # near the solution the last matrix contracts the error a millionfold
            curvature = _curvature(weight * radius ** (p - 2.0), unit, p)[np.ix_(unknown, unknown)]
            solve = _equilibrated_solver(
                np.block([[curvature, -matrix.T], [-matrix, np.zeros((rows.size, rows.size))]])
            )
        residual = [extended_product(matrix.T, alpha) - gradient, extended_product(matrix, x) - target]
        step = solve(np.concatenate(residual))
        if not np.isfinite(step).all():
            return None
        change = np.linalg.norm(by_group(step[: x.size]), axis=1) / radius
        length = 1.0 / max(1.0, float(change.max()) / largest_change)
        x, alpha = x + length * step[: x.size], alpha + length * step[x.size :]
        near = length == 1.0 and change.max() <= 1e-6
        # convergence is quadratic: two steps after 1e-9 only rounding is left
        settled += length == 1.0 and change.max() <= 1e-9
        if settled > 2 or (settled and change.max() <= 1e-15):
            break
    result, multipliers = np.zeros_like(b), np.zeros_like(dual)
    result[groups], multipliers[rows] = by_group(x), alpha
    return result, multipliers


def _curvature(scale: Real, unit: Real, p: float) -> Real:
    """The block diagonal matrix of scale_g (I + (p − 2) u_g u_gᵀ), for unit vectors u_g (G, m)."""
    G, m = unit.shape
    hessian = np.zeros((G, m, G, m), dtype=unit.dtype)
    index = np.arange(G)
    hessian[index, :, index, :] = scale[:, None, None] * (np.eye(m) + (p - 2.0) * unit[:, :, None] * unit[:, None, :])
    return hessian.reshape(G * m, -1)


def _equilibrated_solver(matrix: Real) -> Callable[[Real], Array]:
    """Solves, in float64, a symmetric system whose entries differ by many orders: curvature grows as b shrinks.

    Dependent rows (duplicated points) make it singular; the least-norm step is then the one to take.
    """
    matrix = matrix.astype(np.float64)
    balance = 1.0 / np.sqrt(np.abs(matrix).max(axis=1).clip(1e-300))
    balanced = balance[:, None] * matrix * balance
    lu, pivots, info = dgetrf(balanced)

    def solve(right: Real) -> Array:
        target = balance * right.astype(np.float64)
        step = dgetrs(lu, pivots, target)[0]
        regular = info == 0 and np.isfinite(step).all()
        if not (regular and np.linalg.norm(balanced @ step - target) <= 1e-8 * np.linalg.norm(target)):
            step = np.linalg.lstsq(balanced, target, rcond=1e-12)[0]
        return np.asarray(balance * step)

    return solve
