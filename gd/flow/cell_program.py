"""The best network of one activation pattern, and of the patterns behind walls that Clarke's condition lets it cross.

The program (1) of `gd.flow.cell` is solved in its dual (`gd.flow.cell_dual`), from the flow's own loss weights, or from
a point of the central path (`gd.flow.cell_path`) where these are no start. Units that die like a small power of ‖w‖ are
zero at once, and walls and margins come in and leave as the program says. Where the optimum leans on a wall with a
multiplier that Clarke does not allow, the network gets better behind that wall, and the program is solved again there.

The optimum is not unique among parallel units: of all optima the one nearest to the flow is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from gd.flow.cell import Cell, CellOptimum, Mask, assembled, on_faces
from gd.flow.cell_dual import maximize, refined
from gd.flow.cell_path import central_path
from solvers.arrays import Array

UNIT = 1e-9  # below 1 by more, ‖v_j‖ is strict and the unit is zero
HEAVY = 1e8  # weight of the equations next to the distance, in least squares; they are solved exactly afterwards
SOLVED = 1e-10  # relative residual of (2), a tenth of the KKT residual at which a limit counts as found
CROSSINGS = 30  # times that walls are crossed before the cell is given up
SAME_VALUE = 1e-12  # relative: where one column is large, a wall of a weightless point changes no more
CORRECTIONS = 5  # of the set of tight margins
ABSENT = 1e-11  # of the largest λ and r: less is zero in any case


def cell_optimum(cell: Cell, u: Array, lam: Array | None = None, open_walls: Mask | None = None) -> CellOptimum | None:
    """The optimum of the cell of u (H, r), or of one behind walls that may be crossed; None where none is found.

    It is a KKT point of the network if it refuses no wall (`CellOptimum.refused`).

    Args:
        cell: the activation pattern and the data.
        u: the flow's units, with positive margins.
        lam: weights of the margins (N,) to start from, up to a factor; none unless given.
        open_walls: the walls that may be crossed besides those of weightless points, (N, H); all unless given. A point
            with λ_n = 0 exerts no force, so the flow goes through its walls as if they were not there; and where it
            slides along a wall it is on both sides. Whether it will ever cross another one is for the flow to say.
    """
    found = solve(cell, u, lam)
    for _ in range(CROSSINGS):
        if found is None or not (refused := found.refused()).any():
            return found
        if open_walls is not None and not (open_walls | (found.lam == 0)[:, None])[refused].all():
            return found
        before = found.value
        found = solve(replace(found.cell, on=found.cell.on ^ refused), found.u, found.lam)
        # behind a wall it is no worse, but by rounding, or the way leads in circles
        if found is not None and found.value > (1.0 + SAME_VALUE) * before:
            return None
    return found


def solve(cell: Cell, u: Array, lam: Array | None = None) -> CellOptimum | None:
    """(1), from the flow's u and weights of the margins; None where it has no solution or the methods fail."""
    units, place = _merged(cell)
    start = np.zeros((len(units), u.shape[1]))
    np.add.at(start, place, u)
    margins = (cell.coefficients * (cell.X @ u.T)).sum(1)
    if not margins.min() > 0:
        return None
    smaller = replace(cell, signs=cell.signs[units], on=cell.on[:, units])
    for first_lam, first_r in _starts(smaller, start / margins.min(), lam):
        reached = maximize(smaller, first_lam, first_r)
        if reached is None:
            continue
        at, r = reached
        if not r.max() > 0:
            continue
        # of each complementary pair the smaller number is what the quadratic program leaves of zero
        r = np.where(r > np.maximum(ABSENT, 1.0 - at.length) * r.max(), r, 0.0)
        slack = (smaller.coefficients * (smaller.X @ (r[:, None] * at.v).T)).sum(1) - 1.0
        lam_kept = np.where(at.lam > np.maximum(ABSENT, slack) * at.lam.max(), at.lam, 0.0)
        if not (r.any() and lam_kept.any()):
            continue
        weights, lengths, walls = refined(smaller, lam_kept, r, at.mu)
        both = assembled(smaller, r, lam_kept, at.mu), assembled(smaller, lengths, weights, walls)
        found = min(both, key=lambda one: one.residual)
        first = np.zeros(len(place), dtype=bool)
        first[units] = True  # of parallel units one has it all, until the nearest optimum is looked for
        u_all = np.where(first[:, None], found.u[place], 0.0)
        nearest = _nearest(CellOptimum(cell, u_all, found.lam, found.mu[:, place], found.residual), u)
        if nearest.residual <= SOLVED:
            return nearest
    return None


def _starts(cell: Cell, u: Array, lam: Array | None) -> Iterator[tuple[Array, Array]]:
    """Weights of the margins and lengths of the units, the cheapest start first."""
    if lam is not None:
        yield lam, np.linalg.norm(u, axis=1)
    with np.errstate(all="ignore"):  # a path may end in numbers that are not finite, which it looks for
        path = central_path(cell, u)
    for point, weights, _ in reversed(path):
        yield weights, np.linalg.norm(point, axis=1)


def _nearest(optimum: CellOptimum, u: Array) -> CellOptimum:
    """Of all optima, r ≥ 0 with margins 1 where λ > 0 and ≥ 1 elsewhere, the one nearest to the flow's u (H, r).

    The optimum itself where least squares do not find that one.
    """
    cell, v = optimum.cell, on_faces(optimum.directions(), optimum)
    z = cell.X @ v.T
    M = cell.coefficients * z  # margin n is (M r)_n
    margins = (cell.coefficients * (cell.X @ u.T)).sum(1)
    wanted = np.maximum((u * v).sum(1), 0.0) / float(margins.min())
    may = np.linalg.norm(v, axis=1) > 1.0 - UNIT
    tight = optimum.lam > 0
    if not may.any():
        return optimum
    for _ in range(CORRECTIONS):
        heavy = HEAVY / max(float(np.abs(M[tight][:, may]).max(initial=0.0)), 1e-300)
        system = np.vstack([np.eye(int(may.sum())), heavy * M[tight][:, may]])
        try:
            r, _ = nnls(system, np.concatenate([wanted[may], np.full(int(tight.sum()), heavy)]), maxiter=50 * may.size)
        except RuntimeError:  # too many iterations
            return optimum
        kept = r > 0
        if not kept.any():
            return optimum
        columns = M[tight][:, may][:, kept]
        for _ in range(2):  # the equations exactly
            r[kept] += np.linalg.lstsq(columns, 1.0 - columns @ r[kept], rcond=1e-12)[0]
        full = np.zeros(may.size)
        full[may] = np.maximum(r, 0.0)
        short = ~tight & (M @ full < 1.0 - SOLVED)
        if not short.any():
            found = assembled(cell, full, optimum.lam, optimum.mu)
            return found if found.residual <= SOLVED else optimum
        tight = tight | short
    return optimum


def _merged(cell: Cell) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One unit of each kind (same sign, same gates), and the kind of every unit."""
    kinds = np.concatenate([cell.signs[None] > 0, cell.on]).T
    _, units, place = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    return units, place.ravel()
