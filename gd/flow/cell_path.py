"""The interior of a cell's program: a path to near its optimum from any network with positive margins.

With the cones' heights eliminated, ‖u_j‖ is smoothed to t_j − τ ln(t_j² − ‖u_j‖²), t_j = τ + (τ² + ‖u_j‖²)^{1/2}, and
the inequalities of (1) in `gd.flow.cell` get logarithms of weight τ. A Newton step takes one factorization per unit
and one of N + H by N + H. The path is where `gd.flow.cell_dual` starts from if the flow's own weights are no start.

Reference: Chan, Golub, Mulet (1999) for steps in u and v.
"""

from __future__ import annotations

import numpy as np

from gd.flow.cell import Cell
from solvers.arrays import Array

ITERATIONS = 120
START = 1e-2  # of the largest ‖u_j‖: smaller units start from there
CENTRAL = 0.5  # products of complementary pairs, over τ, of a point that counts as on the path
SHORTEST = 1e-2  # step length below which the path has ended in rounding
LAST_TAU = 1e-8  # relative to the value: from there Newton's method on the dual converges
ENOUGH_TAU = 1e-5  # the same: from here on points of the path are worth trying


def central_path(cell: Cell, u: Array) -> list[tuple[Array, Array, Array]]:
    """u, λ, μ on the central path of (1), at falling τ as far as rounding lets it be followed."""
    X, C, sides = cell.X, cell.coefficients, cell.sides
    margins = (C * (X @ u.T)).sum(1)
    if not margins.min() > 0:
        return []
    u = u / margins.min()
    size = np.linalg.norm(u, axis=1, keepdims=True)  # a unit of e^{−100} is no start for steps of its own size
    u = u * np.maximum(1.0, START * size.max() / np.maximum(size, 1e-300))
    scale = float(np.linalg.norm(u, axis=1).sum())
    z = sides * (X @ u.T)
    slack = np.maximum((C * (X @ u.T)).sum(1) - 1.0, 0.1)
    room = np.maximum(z, 1e-2 * float(np.abs(z).max()))
    tau = 1e-2 * scale / u.shape[0]
    lam, mu = tau / slack, tau / room
    v = u / (tau + np.sqrt(tau**2 + (u**2).sum(1)))[:, None]
    path: list[tuple[Array, Array, Array]] = []
    for _ in range(ITERATIONS):
        step = _newton_step(cell, u, v, lam, mu, slack, room, tau)
        if step is None:
            break
        du, dv, dlam, dmu, dslack, droom = step
        pairs = ((lam, dlam), (mu, dmu), (slack, dslack), (room, droom))
        with np.errstate(divide="ignore", invalid="ignore"):
            most = min(float(np.where(d < 0, -v / d, np.inf).min()) for v, d in pairs)
        length = min(1.0, 0.95 * most)
        if length < SHORTEST and path:
            break
        v = v + length * dv
        v = v / np.maximum(1.0, np.linalg.norm(v, axis=1, keepdims=True))  # it only shapes the next Hessian
        u, lam, mu = u + length * du, lam + length * dlam, mu + length * dmu
        slack, room = slack + length * dslack, room + length * droom
        if not np.isfinite(u).all():
            break
        products = np.concatenate([lam * slack, (mu * room).ravel()]) / tau
        late = tau <= ENOUGH_TAU * scale
        if late and (length < 0.9 or products.min() < CENTRAL or products.max() > 1.0 / CENTRAL):
            continue
        if late:
            path.append((u, lam, mu))
        if tau <= LAST_TAU * scale:
            break
        tau = max(tau * (0.15 if length > 0.9 else 0.5 if length > 0.4 else 1.0), LAST_TAU * scale)
    return path


def _newton_step(
    cell: Cell, u: Array, v: Array, lam: Array, mu: Array, slack: Array, room: Array, tau: float
) -> tuple[Array, Array, Array, Array, Array, Array] | None:
    """du, dv, dλ, dμ and the changes of the slacks; t v = u is linearized with v on its own, and symmetrized."""
    X, C, sides, r = cell.X, cell.coefficients, cell.sides, u.shape[1]
    root = np.sqrt(tau**2 + (u**2).sum(1))
    t = tau + root
    z = X @ u.T
    primal_margin = (C * z).sum(1) - 1.0 - slack
    primal_wall = sides * z - room
    weight_wall = mu / room
    K = np.einsum("nj,ni,nk->jik", weight_wall, X, X, optimize=True)
    outer = v[:, :, None] * u[:, None, :]
    curvature = (np.eye(r) - (outer + np.swapaxes(outer, 1, 2)) / (2.0 * root)[:, None, None]) / t[:, None, None]
    K += curvature
    # stationarity, with dμ and dλ eliminated as far as they are explicit
    pull = (C * lam[:, None] + sides * mu).T @ X - u / t[:, None]
    wall_part = (tau - mu * room) / room - weight_wall * primal_wall
    margin_part = (tau - lam * slack) / slack - (lam / slack) * primal_margin
    side = pull + (sides * wall_part + C * margin_part[:, None]).T @ X
    columns = np.einsum("nj,ni->jin", C, X)  # G_jᵀ (r, N) for each unit
    # along u_j the norm has no curvature: K_j gets some, K⁺ = K + q qᵀ/t, and an equation each takes it away again
    q = u / root[:, None]
    K += q[:, :, None] * q[:, None, :] / t[:, None, None]
    N, H = C.shape
    try:
        lower = np.linalg.cholesky(K)
        half = np.linalg.solve(lower, np.concatenate([columns, q[:, :, None], side[:, :, None]], axis=2))
        G, Q, last = half[:, :, :N], half[:, :, N], half[:, :, N + 1]
        inner = np.empty((N + H, N + H))
        inner[:N, :N] = np.einsum("jin,jim->nm", G, G, optimize=True) + np.diag(slack / lam)
        inner[:N, N:] = np.einsum("jin,ji->nj", G, Q)
        inner[N:, :N] = inner[:N, N:].T
        inner[N:, N:] = np.diag((Q**2).sum(1) - t)
        along = np.concatenate([np.einsum("jin,ji->n", G, last), (Q * last).sum(1)])
        weights = np.linalg.solve(inner, along)
        rest = last - np.einsum("jin,n->ji", G, weights[:N]) - Q * weights[N:, None]
        du = np.linalg.solve(np.swapaxes(lower, 1, 2), rest[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        return None
    dz = X @ du.T
    dslack, droom = (C * dz).sum(1) + primal_margin, sides * dz + primal_wall
    dlam = (tau - lam * slack - lam * dslack) / slack
    dmu = (tau - mu * room - mu * droom) / room
    dv = np.einsum("jik,jk->ji", curvature, du) - (v - u / t[:, None])
    return du, dv, dlam, dmu, dslack, droom
