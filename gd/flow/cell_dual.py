"""The dual of a cell's program, in the N multipliers of the margins alone, by Newton's method.

For multipliers λ of the margins, those of the walls are found unit by unit: with g_j = Σ_n s_j λ_n y_n φ′_nj x_n, the
shortest v_j that wall multipliers can make of g_j is its projection onto the unit's cone {v : σ_nj v·x_n ≥ 0 for all n}
(Moreau), a nonnegative least-squares problem. So the dual of (1) in `gd.flow.cell` is

    max Σ_n λ_n   s.t.   h_j(λ) = ½‖v_j(λ)‖² ≤ ½,   λ ≥ 0,                                                    (3)

with convex h_j, ∂h_j/∂λ_n = s_j y_n φ′_nj x_n·v_j, and multipliers r_j, the lengths of the units: u_j = r_j v_j. A step
linearizes the constraints and takes the curvature Σ r_j ∇²h_j of the Lagrangian, on the faces of the cones where the
v_j lie; a quadratic program then says which margins and units are tight, degenerate or not. It is solved for the points
that may have weight alone (`_step`). λ over its largest ‖v_j‖ is feasible, so the value max_j ‖v_j‖^{−1} Σ λ_n decides
on each step. A projection only shortens, so units with ‖g_j‖ far below the largest ‖v_j‖ need none.

Reference: Moreau (1962); Nocedal, Wright (2006), section 18.1, for sequential quadratic programming; Qi, Sun (1993) for
Newton's method on piecewise smooth equations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import nnls

from gd.flow.cell import Cell, Mask
from gd.flow.quadratic_program import quadratic_program
from solvers.arrays import Array

STEPS = 40
REFINEMENTS = 4
LARGEST_REFINEMENT = 0.1  # of the largest λ and r: a larger change is no matter of rounding
INSIDE = 1e-14  # of ‖x_n‖‖g_j‖: a wall that a projection is behind by less is met
FAR = 0.5  # of the largest ‖v_j‖: units below it are not looked at
HALVINGS = 4
FLAT = 1e-12  # of the mean curvature: directions in which the multipliers are free then stay where they are
HARD, STIFFER = 1e-3, 30.0  # the same where steps must be cut, and the factor from one step to the next
STIFFEST = 1e6
DUST = 1e-13  # of the largest λ: less is what the quadratic program leaves of zero
SHORT = 1e-12  # of a margin, as far as the program's own accuracy goes
JOINING = 20  # points that fall short of their margins join the program, at least as many at a time
SMALLEST_STEP = 1e-13  # relative to the largest λ
GAINED, CLOSED = 1e-13, 1e-10  # of the value: a gain that is rounding, and a gap between the two values that is


@dataclass(frozen=True)
class Pull:
    """The forces on the units, at multipliers scaled to max ‖v_j‖ = 1."""

    lam: Array
    """(N,)."""
    mu: Array
    """(N, H)."""
    v: Array
    """(H, r)."""
    length: Array
    """‖v_j‖, zero for units that are `FAR`, (H,)."""

    @property
    def value(self) -> float:
        return float(self.lam.sum())


def pull(cell: Cell, lam: Array, before: Pull | None = None) -> Pull | None:
    """The shortest forces at λ; None where all of them vanish, so that (3) is unbounded, or one is not found.

    Where `before` is given, its faces of the cones are tried first.
    """
    g = (cell.coefficients * lam[:, None]).T @ cell.X
    longest, sides = np.linalg.norm(g, axis=1), cell.sides
    mu, v, length, top = np.zeros_like(cell.coefficients), g.copy(), np.zeros(len(g)), 0.0
    for j in np.argsort(-longest):
        if longest[j] <= FAR * top:
            break
        walls = cell.X * sides[:, [j]]
        known = None if before is None else _on_face(walls, g[j], np.flatnonzero(before.mu[:, j]))
        try:
            mu[:, j] = nnls(walls.T, -g[j], maxiter=30 * len(walls))[0] if known is None else known
        except RuntimeError:  # too many iterations, on rows that rounding makes dependent
            return None
        v[j] += walls.T @ mu[:, j]
        length[j] = np.linalg.norm(v[j])
        top = max(top, float(length[j]))
    if top <= 1e-12 * longest.max(initial=0.0) or not lam.max() > 0:
        return None
    return Pull(lam / top, mu / top, v / top, length / top)


def _on_face(walls: Array, g: Array, face: NDArray[np.intp]) -> Array | None:
    """The multipliers (N,) of the projection of g onto {v : walls v ≥ 0}, if it lies on this face of the cone."""
    rows, mu = walls[face], np.zeros(len(walls))
    if face.size:
        _, found, failed = lapack.dposv(rows @ rows.T, -(rows @ g))
        if failed or not found.min() > 0:
            return None
        mu[face] = found
    z = walls @ (g + rows.T @ mu[face])
    lengths = np.linalg.norm(walls, axis=1) * np.linalg.norm(g)
    outside = np.where(mu > 0, np.abs(z), -z) > INSIDE * lengths
    return None if outside.any() else mu


def maximize(cell: Cell, lam: Array, r: Array) -> tuple[Pull, Array] | None:
    """The optimum of (3) and r, as far as `STEPS` lead from λ (N,) and lengths r (H,); None where a step fails."""
    at, flat = pull(cell, _without_dust(lam)), FLAT
    if at is None:
        return None
    working = at.lam > 0
    for _ in range(STEPS):
        solved = _step(cell, at, r, flat, working)
        if solved is None:
            return None
        change, r, working = solved
        trials = (pull(cell, _without_dust(at.lam + 0.5**k * change), at) for k in range(HALVINGS + 1))
        length, trial = next(
            ((0.5**k, one) for k, one in enumerate(trials) if one is not None and one.value > at.value), (0.0, None)
        )
        gain = 0.0 if trial is None else trial.value / at.value - 1.0
        settled = gain <= GAINED and abs(float(r.sum()) / at.value - 1.0) <= CLOSED
        at = at if trial is None else trial
        if settled or np.abs(change).max() <= SMALLEST_STEP * at.lam.max():
            break
        working &= at.lam > 0
        flat = max(flat / STIFFER, FLAT) if length == 1.0 else min(max(flat * STIFFER, HARD), STIFFEST)
    return at, r


def _without_dust(lam: Array) -> Array:
    """λ without what is negative, or nothing next to the largest."""
    return np.where(lam > DUST * lam.max(), lam, 0.0)


def _step(cell: Cell, at: Pull, r: Array, flat: float, working: Mask) -> tuple[Array, Array, Mask] | None:
    """The change of λ (N,) by the quadratic program, r (H,), and the points that it was solved for.

    It begins with the points of `working` (N,), all that have weight. Those without weight whose linearized margins
    then fall short join them, until there are none: of 569 points, 50 to 90 matter.
    """
    near = np.flatnonzero(at.length > FAR)
    slopes = cell.coefficients[:, near] * (cell.X @ at.v[near].T)
    room = (1.0 - at.length[near] ** 2) / 2.0
    factor = _curvature(cell, at, r)
    working = working.copy()
    while True:
        S = np.flatnonzero(working)
        H = factor[S] @ factor[S].T
        least = 1e-3 * at.value / (S.size * float(at.lam.max()) ** 2)
        H[np.diag_indices(S.size)] += flat * max(float(np.trace(H)) / S.size, least)
        solved = quadratic_program(H, slopes[S].T, room, at.lam[S])
        if solved is None:
            return None
        change, multipliers = solved
        excess = factor @ (factor[S].T @ change) + slopes @ multipliers - 1.0
        short = np.flatnonzero(~working & (excess < -SHORT))
        if not short.size:
            break
        working[short[np.argsort(excess[short])[: max(JOINING, S.size // 2)]]] = True
    whole, lengths = np.zeros_like(at.lam), np.zeros_like(r)
    whole[S], lengths[near] = change, multipliers
    return whole, lengths, working


def refined(cell: Cell, lam: Array, r: Array, mu: Array) -> tuple[Array, Array, Array]:
    """λ, r and μ to rounding, by Newton's method for the tight margins and ‖v_j‖ = 1, with what is zero held at zero.

    A step of `maximize` knows no zeros: a unit with r_j = 1e-11 and ‖v_j‖ below 1 moves margins whose inputs are large.
    """
    tight, units = np.flatnonzero(lam > 0), np.flatnonzero(r > 0)
    faces = [mu[:, j] > 0 for j in units]
    along = [_along(cell, int(j), face) for j, face in zip(units, faces, strict=True)]
    unit_lam, unit_r, k = float(lam.max()), float(r.max()), tight.size
    for _ in range(REFINEMENTS):
        v = [A.T @ lam for A in along]
        M = np.stack([A @ direction for A, direction in zip(along, v, strict=True)], axis=1)[tight]
        H = sum(r[j] * (A[tight] @ A[tight].T) for j, A in zip(units, along, strict=True))
        K = np.block([[unit_lam * H, unit_r * M], [unit_lam * M.T, np.zeros((units.size, units.size))]])
        left = [1.0 - M @ r[units], 0.5 * (1.0 - np.array([direction @ direction for direction in v]))]
        change = np.linalg.lstsq(K, np.concatenate(left), rcond=1e-13)[0]
        if np.abs(change).max() > LARGEST_REFINEMENT:
            break
        lam, r = lam.copy(), r.copy()
        lam[tight] += unit_lam * change[:k]
        r[units] += unit_r * change[k:]
    mu = mu.copy()
    for j, face in zip(units, faces, strict=True):
        g = cell.X.T @ (cell.coefficients[:, j] * lam)
        mu[face, j] = np.linalg.lstsq((cell.X[face] * cell.sides[face, j, None]).T, -g, rcond=None)[0]
    return lam, r, mu


def _along(cell: Cell, j: int, face: Mask) -> Array:
    """The coefficients of unit j times the points, projected onto the face of its cone, (N, r)."""
    X = cell.X
    if face.any():
        across = np.linalg.qr(X[face].T)[0]
        X = X - (X @ across) @ across.T
    return np.asarray(cell.coefficients[:, [j]] * X)


def _curvature(cell: Cell, at: Pull, r: Array) -> Array:
    """B (N, ·) with BBᵀ = Σ r_j ∇²h_j, each on the face of its cone."""
    units = np.flatnonzero((r > 1e-9 * r.max()) & (at.length > FAR))
    parts = [np.sqrt(r[j]) * _along(cell, int(j), at.mu[:, j] > 0) for j in units]
    return np.concatenate([np.zeros((at.lam.size, 0)), *parts], axis=1)
