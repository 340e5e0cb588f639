"""Interpolation where Newton's method has no digits: minimizers on the boundary of the domain, and next to an ℓ1 norm.

**Forced zeros.** A coefficient that keeps its sign may be zero in every β that fits. Then R is least on the boundary,
where ∇R = −∞, and no multipliers belong to it. Which coefficients are forced is a linear program,

    max Σ s_d   s.t.   Qβ = τb,  τ ≥ 1,  0 ≤ s_d ≤ 1,  |β_d| ≥ s_d with its sign            (s_d = 0: forced).

Without them the problem has multipliers ν. With w such that Xᵀw is zero on the others, of the wrong sign on the forced
and ⟨w, y⟩ = 0, the bounds that ν + λw prove tend to the minimum for λ → ∞.

**Small starts.** Where ∇R has the finite range (z₋, z₊), R is nearly the norm Σ z₊β⁺ + |z₋|β⁻, and some coefficients
are nearly zero. In float64 neither the small ones nor z near the end of its range have digits then. The minimizer of
that norm, with the z of its nonzero coefficients exact and the others strictly inside, has a Fenchel gap of the order
of R*(z) of the others: α^L for a network of depth L started at α. A second linear program puts them furthest inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from solvers.arrays import Array
from solvers.interpolation.row_space import Interpolated, RowSpace

if TYPE_CHECKING:
    from solvers.regularizers.potential import SeparablePotential

TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
NONZERO = 1e-9
"""Part of the largest coefficient above which a linear program's answer is not zero."""


def forced_zeros(rows: RowSpace, low: Array, high: Array) -> NDArray[np.bool_] | None:
    """Which coefficients of one sign (an end of [low, high] is 0) are zero in every β that fits; None if none is."""
    live = rows.live.reshape(-1)
    up, down = live & (low.reshape(-1) == 0), live & (high.reshape(-1) == 0)
    signed = np.flatnonzero(up | down)
    if signed.size == 0:
        return None
    count, scale = live.size, float(np.abs(rows.b).max(initial=0.0)) or 1.0
    positive = np.zeros((signed.size, count + 1 + signed.size))
    positive[np.arange(signed.size), signed] = np.where(up[signed], -1.0, 1.0)
    positive[:, count + 1 :] = np.eye(signed.size)
    found = linprog(
        np.concatenate([np.zeros(count + 1), -np.ones(signed.size)]),
        A_ub=positive,
        b_ub=np.zeros(signed.size),
        A_eq=np.hstack([rows.Q, -rows.b[:, None] / scale, np.zeros((rows.b.size, signed.size))]),
        b_eq=np.zeros(rows.b.size),
        bounds=[(None, None)] * count + [(1.0, None)] + [(0.0, 1.0)] * signed.size,
        options=TIGHT,
    )
    if found.status != 0:
        return None
    zero = np.zeros(count, dtype=bool)
    zero[signed] = found.x[count + 1 :] < 0.5
    return zero.reshape(rows.live.shape) if zero.any() else None


def towards_boundary(rows: RowSpace, zero: NDArray[np.bool_], low: Array) -> Array | None:
    """w with bᵀw = 0 and Qᵀw zero on what is not forced, ≤ −1 on the forced of positive sign, ≥ 1 on the others.

    None where the linear program has no answer.
    """
    forced, scale = zero.reshape(-1), float(np.abs(rows.b).max(initial=0.0)) or 1.0
    sign = np.where(low.reshape(-1)[forced] == 0, 1.0, -1.0)
    still = np.vstack([rows.Q[:, ~forced].T, rows.b / scale])
    found = linprog(
        np.zeros(rows.b.size),
        A_ub=sign[:, None] * rows.Q[:, forced].T,
        b_ub=-np.ones(sign.size),
        A_eq=still,
        b_eq=np.zeros(len(still)),
        bounds=(None, None),
        options=TIGHT,
    )
    if found.status != 0:
        return None
    return np.asarray(found.x - np.linalg.lstsq(still, still @ found.x, rcond=1e-12)[0])


def near_ends(rows: RowSpace, potential: SeparablePotential) -> Interpolated | None:
    """The answer of small starts; None where ∇R is unbounded, or the linear programs have none."""
    shape, live = rows.live.shape, rows.live.reshape(-1)
    low, high = (part.reshape(-1) for part in potential.slopes(shape))
    below, above = (part.reshape(-1) for part in potential.bounds(shape))
    plus, minus = np.flatnonzero(live & (above > 0)), np.flatnonzero(live & (below < 0))
    cost = np.concatenate([high[plus], -low[minus]])
    if not (rows.b.any() and np.isfinite(cost).all()):
        return None
    size, unit = float(np.abs(rows.b).max()), float(cost.max())
    both = np.hstack([rows.Q[:, plus], -rows.Q[:, minus]])
    found = linprog(cost / unit, A_eq=both, b_eq=rows.b / size, options=TIGHT)
    if found.status != 0:
        return None
    beta = np.zeros(live.size)
    beta[plus] += size * found.x[: plus.size]
    beta[minus] -= size * found.x[plus.size :]
    on = np.abs(beta) > NONZERO * np.abs(beta).max(initial=0.0)
    start = np.where(live, potential.inverse_gradient(np.zeros(shape)).reshape(-1), 0.0)
    beta = _fitted(rows, np.where(on, beta, start), on)
    z = potential.gradient(beta.reshape(shape)).reshape(-1)
    mu = _inside(
        rows.Q,
        z,
        on,
        np.where(live, low, -np.inf) / unit,
        np.where(live, high, np.inf) / unit,
        unit,
    )
    if mu is None:
        return None
    off = live & ~on
    beta = np.where(off, potential.inverse_gradient((mu @ rows.Q).reshape(shape)).reshape(-1), beta)
    return Interpolated(_fitted(rows, np.where(np.isfinite(beta), beta, start), on), mu, 2)


def _fitted(rows: RowSpace, beta: Array, on: NDArray[np.bool_]) -> Array:
    """β with the coefficients `on` solved for."""
    solved = beta.copy()
    for _ in range(2):
        off = rows.b - rows.Q @ solved
        solved[on] += np.linalg.lstsq(rows.Q[:, on], off, rcond=1e-12)[0]
    return solved


def _inside(Q: Array, z: Array, on: NDArray[np.bool_], low: Array, high: Array, unit: float) -> Array | None:
    """μ with Qᵀμ = z on the coefficients `on`, and the others furthest inside (low, high), in units of `unit`."""
    off = ~on
    upper, lower = off & np.isfinite(high), off & np.isfinite(low)
    found = linprog(
        np.append(np.zeros(len(Q)), -1.0),
        A_ub=np.vstack(
            [
                np.column_stack([Q[:, upper].T, high[upper]]),
                np.column_stack([-Q[:, lower].T, -low[lower]]),
            ]
        ),
        b_ub=np.concatenate([high[upper], -low[lower]]),
        A_eq=np.column_stack([Q[:, on].T, np.zeros(int(on.sum()))]),
        b_eq=z[on] / unit,
        bounds=[(None, None)] * len(Q) + [(None, 1.0)],
        options=TIGHT,
    )
    if found.status != 0:
        return None
    mu: Array = unit * found.x[:-1]
    exact: Any = np.linalg.lstsq(Q[:, on].T, z[on] - mu @ Q[:, on], rcond=1e-12)[0]
    return np.asarray(mu + exact)
