"""The walls w_j·x_n = 0 that each unit of a two-layer network slides along, and the projection of the units onto them.

Walls of different units are orthogonal, and those of one unit depend on its set of points alone, not on its weights. So
a unit's basis is found once for each set, and is kept as long as the set stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from solvers.arrays import Array

Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]

DEPENDENT = 1e-8
"""Of the largest singular value of points of norm one: a direction of their span below it is rounding of copies. (A
column in units 10⁶ times smaller than the others' leaves 1e-6, copies 1e-9 apart less than 1e-9.)"""

SAFE = 1e-3
"""Ratio of the smallest to the largest pivot of a QR decomposition from which on points are independent beyond doubt;
below, singular values decide, which take ten times longer."""


@dataclass(frozen=True)
class _Unit:
    """The walls of one unit: rows of an orthonormal basis, of their span or of what is orthogonal to it."""

    basis: Array
    """(b, r)."""
    across: bool
    """Whether the basis spans the walls' normals; else what is orthogonal to them. The smaller one is kept."""
    images: Array
    """⟨basis, x_n⟩ (b, N)."""
    inverse: Array
    """(k, r): v ↦ the multipliers κ with v − Σ_k κ_k x_k along the walls."""
    points: Numbers
    """(k,)."""


@dataclass(frozen=True)
class Walls:
    """All walls of a network for one sliding set, unit by unit."""

    basis: Array
    """(B, r): the rows of all units' bases, first those that span normals."""
    unit: Numbers
    """The unit of each, (B,)."""
    normals: int
    """How many of the rows span normals; the others span what is along the walls."""
    images: Array
    """⟨basis, x_n⟩ (B, N)."""
    starts: Numbers
    """Where the rows of a new unit begin in `basis`."""
    whole: Array
    """1 for units whose projection begins with the identity, 0 for those with a basis along the walls, (H,)."""
    inverse: Array
    """(K, r)."""
    kink_unit: Numbers
    kink_point: Numbers
    """The unit and the point of each wall, (K,)."""
    members: Mapping[int, _Unit]
    """Units that have walls, by number."""

    def along(self, v: Array) -> Array:
        """v (H, r) projected onto the units' walls."""
        projected = v * self.whole[:, None]
        if self.unit.size:
            along = np.einsum("br,br->b", self.basis, v[self.unit])
            along[: self.normals] *= -1.0
            projected[self.unit[self.starts]] += np.add.reduceat(along[:, None] * self.basis, self.starts, axis=0)
        return projected

    def multipliers(self, v: Array) -> Array:
        """κ (K,) with v − Σ κ_k x_k along the walls."""
        return np.asarray(np.einsum("kr,kr->k", self.inverse, v[self.kink_unit]))

    def squares(self, points: Numbers, units: Numbers, lengths: Array) -> Array:
        """‖P_j x_n‖² of points n and units j, (K,) each, from all ‖x_n‖² (N,)."""
        found = lengths[points] * self.whole[units]
        for k, (n, j) in enumerate(zip(points.tolist(), units.tolist(), strict=True)):
            if (one := self.members.get(j)) is not None:
                found[k] += (-1.0 if one.across else 1.0) * float(one.images[:, n] @ one.images[:, n])
        return np.asarray(found)

    def gram(self, A: Array, F: Array, XX: Array) -> Array:
        """Σ_j A_nj A_mj ⟨x_n, P_j x_m⟩ + Σ_j F_nj F_mj, P_j the projection onto the walls of unit j, (N, N)."""
        plain = A * self.whole
        total = XX * (plain @ plain.T) + F @ F.T
        if self.unit.size:
            images = self.images * A.T[self.unit]
            across, along = images[: self.normals], images[self.normals :]
            total += along.T @ along - across.T @ across  # each of them symmetric, so it takes half the time
        return np.asarray(total)


class UnitWalls:
    """The walls of the sliding sets of one flow; remembers the bases of the set before."""

    def __init__(self, X: Array, n_units: int) -> None:
        self._X, self._lengths = X, np.maximum(np.linalg.norm(X, axis=1), 1e-300)
        self._sliding = np.zeros((X.shape[0], n_units), dtype=bool)
        self._known: dict[int, _Unit] = {}

    def of(self, sliding: Mask) -> Walls:
        """The walls of a sliding set (N, H)."""
        r, H = self._X.shape[1], sliding.shape[1]
        for j in np.flatnonzero((sliding != self._sliding).any(axis=0)).tolist():
            self._known[j] = self._unit(np.flatnonzero(sliding[:, j]))
        self._sliding = sliding
        members = {j: self._known[j] for j in np.flatnonzero(sliding.any(axis=0)).tolist()}
        order = sorted(members, key=lambda j: not members[j].across)
        found, units = [members[j] for j in order], np.array(order, dtype=np.intp)
        whole = np.ones(H)
        whole[units] = [one.across for one in found]
        sizes = np.array([one.basis.shape[0] for one in found], dtype=np.intp)
        counts = np.array([one.points.size for one in found], dtype=np.intp)
        ends = np.cumsum(sizes)
        return Walls(
            basis=np.concatenate([np.zeros((0, r)), *[one.basis for one in found]]),
            unit=np.repeat(units, sizes),
            normals=int(sizes[whole[units] > 0].sum()),
            images=np.concatenate([np.zeros((0, len(self._X))), *[one.images for one in found]]),
            starts=(ends - sizes)[sizes > 0],
            whole=whole,
            inverse=np.concatenate([np.zeros((0, r)), *[one.inverse for one in found]]),
            kink_unit=np.repeat(units, counts),
            kink_point=np.concatenate([np.zeros(0, dtype=np.intp), *[one.points for one in found]]),
            members=members,
        )

    def _unit(self, points: Numbers) -> _Unit:
        r = self._X.shape[1]
        if not points.size:
            return _Unit(np.zeros((0, r)), True, np.zeros((0, len(self._X))), np.zeros((0, r)), points)
        lengths = self._lengths[points, None]
        Q, rank, inverse = _factored(self._X[points] / lengths)
        across = 2 * rank <= r
        basis = Q[:rank] if across else Q[rank:]
        return _Unit(basis, across, basis @ self._X.T, inverse / lengths, points)


def _factored(rows: Array) -> tuple[Array, int, Array]:
    """Orthonormal rows (r, r), the first of which span `rows` (k, r), how many do, and the inverse (k, r)."""
    k, r = rows.shape
    if k <= r:
        reflected, scales, _, _ = lapack.dgeqrf(rows.T)
        size = np.abs(reflected.diagonal())
        if size.min() > SAFE * size.max():
            whole = np.zeros((r, r), order="F")
            whole[:, :k] = reflected
            Q = lapack.dorgqr(whole, scales)[0].T
            return Q, k, np.triu(lapack.dtrtri(reflected[:k])[0]) @ Q[:k]
    left, values, right = np.linalg.svd(rows)
    rank = int((values > DEPENDENT * values[0]).sum())
    return right, rank, (left[:, :rank] / values[:rank]) @ right[:rank]
