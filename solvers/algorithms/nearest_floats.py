"""Rounding a vector to float64 so that what it is multiplied with barely notices.

    x̃ float64 near x   with   M x̃ ≈ t

Rounding every entry by itself moves Mx by about ε‖M‖‖x‖, which for nearly contradicting points is more than a
certificate allows. One unit in the last place of entry k moves Mx by the column m_k·ulp(x_k), so the floats near x are
a lattice, and Babai's nearest plane finds a point of it near t: the entries whose columns are largest are rounded
first, and the finer ones make up for what they missed.

Reference: Babai (1986), *On Lovász' lattice reduction and the nearest lattice point problem*.
"""

from __future__ import annotations

import numpy as np

from solvers.arrays import Array


def nearest_floats(matrix: Array, x: Array, target: Array) -> Array:
    """x (k,) with nonzero entries moved by units in the last place, so that matrix (n, k) times it is near target (n,).

    How far they move nothing limits: compare what the result is good for with what x is.
    """
    used = np.flatnonzero(x)
    unit = np.spacing(np.abs(x[used]))
    steps = (matrix[:, used] * unit).astype(np.float64)
    order = np.argsort(np.linalg.norm(steps, axis=0), kind="stable")  # columns decided first stand last
    Q, R = np.linalg.qr(steps[:, order])
    missing = target - matrix.astype(np.longdouble) @ x.astype(np.longdouble)
    left, moved = Q.T @ missing.astype(np.float64), x.copy()
    for i in reversed(range(len(R))):
        if R[i, i] != 0:
            count = np.rint(left[i] / R[i, i])
            moved[used[order[i]]] += count * unit[order[i]]
            left = left - R[:, i] * count
    return moved
