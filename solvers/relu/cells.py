"""The cells into which hyperplanes through the origin divide space: which gates a ReLU unit can have on given points.

Points z_1, …, z_m in R^k cut R^k along the hyperplanes z_n · u = 0 into open cones, the **cells**. In a cell the gates
1[z_n · u > 0] are constant. There are at most 2 Σ_{i<k} C(m−1, i) cells.

Every cell has a facet, and a facet is a cell of the arrangement that the other points induce in its hyperplane. So the
cells of R^k are those of the m hyperplanes, with both signs of the point that is zero there; in the plane they are the
arcs between neighbouring angles. Only the plane needs a comparison of numbers, and what rounding could miss there is a
cell of an angle near 1e-16.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array

PARALLEL = 1e-13
"""Two directions whose sine is below this are taken as parallel: rounding of unit vectors, times a thousand."""


def most_cells(m: int, k: int) -> int:
    """The largest number of cells that m hyperplanes through the origin of R^k can have.

    >>> most_cells(3, 2), most_cells(3, 3)
    (6, 8)
    """
    return 2 * sum(comb(m - 1, i) for i in range(k)) if m else 1


def gates_of_cells(points: Array) -> NDArray[np.bool_]:
    """The gates z_n · u > 0 of every cell, shape (cells, m), for nonzero points z (m, k)."""
    m, k = points.shape
    if m == 0:
        return np.zeros((1, 0), dtype=bool)
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    if k == 1:
        positive = points[:, 0] > 0
        return np.stack([positive, ~positive])
    if k == 2:
        return _arcs(points)
    found, done = [], np.zeros(m, dtype=bool)
    for n in range(m):
        if done[n]:
            continue
        wall = points @ _orthogonal_basis(points[n])
        parallel = np.linalg.norm(wall, axis=1) <= PARALLEL
        done |= parallel
        facets = gates_of_cells(wall[~parallel])
        gates = np.empty((2, facets.shape[0], m), dtype=bool)
        gates[:, :, ~parallel] = facets
        gates[0, :, parallel] = (points[parallel] @ points[n] > 0)[:, None]
        gates[1, :, parallel] = ~gates[0, :, parallel]
        found.append(np.packbits(gates.reshape(-1, m), axis=1))
    return _distinct(np.concatenate(found), m)


def _arcs(points: Array) -> NDArray[np.bool_]:
    """The cells of the plane, one unit vector in each arc between neighbouring lines."""
    lines = np.sort(np.arctan2(points[:, 1], points[:, 0]) % np.pi)
    middle = 0.5 * (lines + np.append(lines[1:], lines[0] + np.pi)) + 0.5 * np.pi
    gates = np.column_stack([np.cos(middle), np.sin(middle)]) @ points.T > 0
    return _distinct(np.packbits(np.concatenate([gates, ~gates]), axis=1), m=points.shape[0])


def _orthogonal_basis(x: Array) -> Array:
    """An orthonormal basis of the hyperplane x · u = 0, shape (k, k − 1), for a unit vector x (Householder)."""
    v = x.copy()
    v[0] += np.copysign(1.0, x[0])
    return np.asarray(np.eye(x.size)[:, 1:] - np.outer(v, 2.0 * v[1:] / (v @ v)))


def _distinct(packed: NDArray[np.uint8], m: int) -> NDArray[np.bool_]:
    """The different rows of gates of m points that came eight to a byte."""
    return np.unpackbits(np.unique(packed, axis=0), axis=1, count=m).astype(bool)
