"""The ReLU problem with the gates of its units held: a group-norm problem, solved to rounding.

A unit u_j of output sign s_j lies on a **face** of the cells: gates γ_nj (1 or the slope) where z_n · u_j ≠ 0, and
z_n · u_j = 0 on its kinks. On the face the network is linear in b_j = |a_j| w_j, so with P_j the projection onto the
span of the face

    min Σ_j ‖b_j‖₂   s.t.   y_n Σ_j s_j γ_nj ⟨P_j z_n, b_j⟩ ≥ 1,                                              (4)

which has the optimality conditions of the network's problem, apart from b_j being on its face. Whether it is, and
whether another unit responds more, is for the caller to find out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solvers.algorithms.group_rows import GroupSolution
from solvers.algorithms.interior_point import group_max_margin
from solvers.arrays import Array
from solvers.extended_precision import power_of_two
from solvers.relu.largest_unit import row_space

KINK = 1e-9
"""A unit is on the kink of a point where |cos∠(u, z_n)| is at most this; units come from solves exact to 1e-12."""

NEEDLESS = (
    1e-6  # of the largest ‖b_j‖: less is what an interior point at a gap of 1e-9 leaves on faces it can do without
)


def polished(
    points: Array, labels: Array, neurons: Array, outputs: Array, slope: float, tol: float, *, kink: float = KINK
) -> tuple[Array, Array, Array] | None:
    """Problem (4) on the faces of the given units: their b_j, s_j and multipliers α; None where (4) is not solved.

    Args:
        points: z, shape (N, k).
        labels: y, shape (N,).
        neurons: w, shape (units, k).
        outputs: a, shape (units,); only the signs count.
        slope: s.
        tol: relative gap asked for.
        kink: units whose cosine with a point is smaller are put on its kink.
    """
    cosines = (neurons / np.linalg.norm(neurons, axis=1, keepdims=True)) @ (
        points / np.linalg.norm(points, axis=1, keepdims=True)
    ).T
    faces = np.sign(np.where(np.abs(cosines) <= kink, 0.0, cosines))
    faces, signs = np.split(np.unique(np.column_stack([faces, np.sign(outputs)]), axis=0), [points.shape[0]], axis=1)
    bases = [_flat(points[face == 0]) for face in faces]
    bases, kept = [b for b in bases if b.size], [b.size > 0 for b in bases]
    if not bases:
        return None
    faces, signs = faces[kept], signs[kept, 0]
    blocks = np.zeros((points.shape[0], len(bases), max(b.shape[0] for b in bases)))
    for j, (basis, face, sign) in enumerate(zip(bases, faces, signs, strict=True)):
        gates = sign * labels * np.where(face > 0, 1.0, np.where(face < 0, slope, 0.0))
        blocks[:, j, : basis.shape[0]] = gates[:, None] * (points @ basis.T)
    if not blocks.any(axis=(1, 2)).all():
        return None
    found = _solved(blocks, tol)
    needed = np.linalg.norm(found.b, axis=1) > NEEDLESS * np.linalg.norm(found.b, axis=1).max()
    if not needed.all():  # an interior point leaves a little on every face; without them it finds as much or nothing
        again = _solved(blocks[:, needed], tol)
        if again.gap <= tol and again.dual.sum() <= (1.0 + tol) * found.dual.sum():
            bases, signs = [basis for basis, kept in zip(bases, needed, strict=True) if kept], signs[needed]
            found = again
    if not np.isfinite(found.gap):
        return None
    b = np.stack([found.b[j, : basis.shape[0]] @ basis for j, basis in enumerate(bases)])
    return b, signs, found.dual


def _solved(blocks: Array, tol: float) -> GroupSolution:
    """(4) with its blocks (N, faces, m)."""
    rows, shape = blocks.reshape(blocks.shape[0], -1), blocks.shape[1:]
    size = power_of_two(float(np.linalg.norm(rows, axis=1).max()))
    found = group_max_margin(rows / size, np.ones(len(rows)), lambda part: part.reshape(-1, *shape), tol)
    b, dual = (np.asarray(part, dtype=np.float64) / size for part in (found.b, found.dual))
    return replace(found, b=b, dual=dual)


def _flat(kinks: Array) -> Array:
    """Orthonormal rows spanning { u : z · u = 0 for the rows z of `kinks` }."""
    k = kinks.shape[1]
    if kinks.shape[0] == 0:
        return np.eye(k)
    _, _, vt = np.linalg.svd(kinks / np.linalg.norm(kinks, axis=1, keepdims=True))
    return np.asarray(vt[row_space(kinks).shape[0] :])
