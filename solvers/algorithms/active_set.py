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

_AS_BAD = 0.1
"""Groups and rows leave with the worst if their reversal is this part of its: those that it displaces are to stay."""


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
    drop: bool = False,
) -> tuple[Real, Real] | None:
    """From b (G, m) and α (N,), the nearby solution supported on `groups` and `rows`; None when it breaks down.

    `right` is r.

    In one step no group changes by more than `largest_change` times its size. Newton's method ends early where a group
    has shrunk below `collapsed` times its start: then it is not in the support. With `drop`, groups that a whole step
    would reverse and rows whose weight it would make negative are taken out, the worst first, and it goes on.

    B has shape (N, G, m). A coordinate whose column is zero (the imaginary part of a real frequency) stays zero.

    With `drop` the coordinates across b_g are eliminated: faster, and the products that it takes square the condition
    of wild columns. Without, the whole system is solved.
    """
    x, alpha, start = b[groups], dual[rows], np.linalg.norm(b[groups], axis=1)
    A, target, weight = B[np.ix_(rows, groups)], np.broadcast_to(right, dual.shape)[rows], p * omega[groups]
    settled, near = 0, False
    for iteration in range(max_steps):
        radius = np.linalg.norm(x, axis=1)
        if radius.min(initial=np.inf) == 0.0:
            return None
        if (radius < collapsed * start).any():
            break
        unit = x / radius[:, None]
        gradient = (weight * radius ** (p - 1.0))[:, None] * unit
        flat = A.reshape(rows.size, x.size)
        if iteration == 0:
            alpha = np.linalg.lstsq(flat.T, gradient.reshape(-1), rcond=None)[0] if p < 1 else alpha
        if not near:  # near the solution the last matrix contracts the error a millionfold
            solver = _reduced_solver if drop else _whole_solver
            solve = solver(A, weight * radius ** (p - 2.0), unit, p)
        open_groups = extended_product(flat.T, alpha).reshape(x.shape) - gradient
        dx, d_alpha = solve(open_groups, extended_product(flat, x.reshape(-1)) - target)
        if not (np.isfinite(dx).all() and np.isfinite(d_alpha).all()):
            return None
        if drop:
            kept, positive = _not_reversed(-np.einsum("gi,gi->g", unit, dx) / radius, -d_alpha / alpha)
            if not (kept.any() and positive.any()):
                return None
        if drop and not (kept.all() and positive.all()):
            groups, rows, near = groups[kept], rows[positive], False
            x, start, weight = x[kept], start[kept], weight[kept]
            alpha, target, A = alpha[positive], target[positive], A[np.ix_(positive, kept)]
            continue
        change = np.linalg.norm(dx, axis=1) / radius
        length = 1.0 / max(1.0, float(change.max()) / largest_change)
        x, alpha = x + length * dx, alpha + length * d_alpha
        near = length == 1.0 and change.max() <= 1e-6
        # convergence is quadratic: two steps after 1e-9 only rounding is left
        settled += length == 1.0 and change.max() <= 1e-9
        if settled > 2 or (settled and change.max() <= 1e-15):
            break
    result, multipliers = np.zeros_like(b), np.zeros_like(dual)
    result[groups], multipliers[rows] = x, alpha
    return result, multipliers


def _not_reversed(groups: Real, rows: Real) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of them a step leaves: all that it reduces by less than the whole, or by little next to the worst."""
    worst = max(float(groups.max(initial=0.0)), float(rows.max(initial=0.0)))
    return groups < max(1.0, _AS_BAD * worst), rows < max(1.0, _AS_BAD * worst)


def _whole_solver(A: Real, scale: Real, unit: Real, p: float) -> Callable[[Real, Real], tuple[Array, Array]]:
    """The Newton step (Δb, Δα) for what the two equations miss; scale is ω_g p ‖b_g‖^{p−2}, and unit is b_g/‖b_g‖."""
    (n, G, m), index = A.shape, np.arange(len(scale))
    hessian = np.zeros((G, m, G, m))
    hessian[index, :, index, :] = scale[:, None, None] * (np.eye(m) + (p - 2.0) * unit[:, :, None] * unit[:, None, :])
    flat = A.reshape(n, G * m)
    unknown = np.flatnonzero(flat.any(axis=0))
    size, matrix = unknown.size, flat[:, unknown]
    system = np.zeros((size + n, size + n))
    system[:size, :size] = hessian.reshape(G * m, G * m)[np.ix_(unknown, unknown)]
    system[:size, size:], system[size:, :size] = -matrix.T, -matrix
    solve_both = _equilibrated_solver(system, least_norm=True)

    def solve(groups: Real, rows: Real) -> tuple[Array, Array]:
        step, dx = solve_both(np.append(groups.reshape(-1)[unknown], rows).astype(np.float64)), np.zeros(G * m)
        dx[unknown] = step[:size]
        return dx.reshape(G, m), step[size:]

    return solve


def _reduced_solver(A: Real, scale: Real, unit: Real, p: float) -> Callable[[Real, Real], tuple[Array, Array]]:
    """The same in one number a group and one a row.

    Along b_g the curvature is (p − 1) times the scale. With A_u = A·unit and A_⊥ the rest, Δb = a·unit + Δb_⊥,

        scale (p − 1) a − A_uᵀ Δα = ρ_u,     −A_u a − A_⊥ scale⁻¹ A_⊥ᵀ Δα = ρ_rows + A_⊥ scale⁻¹ ρ_⊥.
    """
    A, scale, unit = (np.asarray(part, dtype=np.float64) for part in (A, scale, unit))
    G, n = len(scale), len(A)
    along = np.einsum("ngi,gi->ng", A, unit)
    across = (A - along[:, :, None] * unit).reshape(n, -1)
    m = unit.shape[1]
    soft = np.repeat(1.0 / scale, m) if m > 1 else np.zeros(G)  # nothing is across one coordinate
    system = np.empty((G + n, G + n))
    system[:G, :G], system[:G, G:], system[G:, :G] = np.diag((p - 1.0) * scale), -along.T, -along
    half = across * np.sqrt(soft)
    np.negative(half @ half.T, out=system[G:, G:])
    solve_both = _equilibrated_solver(system, least_norm=False)

    def solve(groups: Real, rows: Real) -> tuple[Array, Array]:
        missing, other = np.asarray(groups, dtype=np.float64), np.asarray(rows, dtype=np.float64)
        radial = np.einsum("gi,gi->g", unit, missing)
        rest = (missing - radial[:, None] * unit).reshape(-1)
        step = solve_both(np.append(radial, other + across @ (soft * rest)))
        a, d_alpha = step[:G], step[G:]
        return a[:, None] * unit + (soft * (across.T @ d_alpha + rest)).reshape(unit.shape), d_alpha

    return solve


def _equilibrated_solver(matrix: Array, least_norm: bool) -> Callable[[Array], Array]:
    """Solves, in float64, a symmetric system whose entries differ by many orders: curvature grows as b shrinks.

    Dependent rows (duplicated points) make it singular. The least-norm step is then the one to take, or else NaN.
    """
    balance = 1.0 / np.sqrt(np.maximum(matrix.max(axis=1), -matrix.min(axis=1)).clip(1e-300))
    balanced = balance[:, None] * matrix
    balanced *= balance
    lu, pivots, info = dgetrf(balanced.T)  # symmetric, and LAPACK wants columns

    def solve(right: Array) -> Array:
        target = balance * right
        step = dgetrs(lu, pivots, target)[0]
        regular = info == 0 and np.isfinite(step).all()
        if not (regular and np.linalg.norm(balanced @ step - target) <= 1e-8 * np.linalg.norm(target)):
            step = np.linalg.lstsq(balanced, target, rcond=1e-12)[0] if least_norm else np.full_like(target, np.nan)
        return np.asarray(balance * step)

    return solve
