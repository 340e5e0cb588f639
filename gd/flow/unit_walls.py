"""The walls w_j·x_n = 0 that each unit of a two-layer network slides along, and the projection of the units onto them.

Walls of different units are orthogonal, and those of one unit depend on its set of points alone, not on its weights. So
a unit's basis is found once for each set, and a network's walls are those of the step before but for the units whose
sets differ. Units are stacked, each padded with rows of zeros to the longest basis: one product serves all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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

REMEMBERED = 2  # bases of sets of points, for each unit: a step with h and its two halves change the same ones


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

    @classmethod
    def free(cls, N: int, r: int) -> _Unit:
        """That slides along nothing."""
        return cls(np.zeros((0, r)), True, np.zeros((0, N)), np.zeros((0, r)))


@dataclass(frozen=True)
class Walls:
    """All walls of one network, or of several one after the other, for one sliding set; padded with zeros."""

    sliding: Mask
    """(H, N)."""
    basis: Array
    """(H, b, r), orthonormal rows."""
    across: Mask
    """Whether a unit's basis spans the walls' normals; else what is along the walls, (H,)."""
    units: tuple[_Unit, ...]
    inverse: Array
    """(H, k, r)."""

    @classmethod
    def none(cls, N: int, H: int, r: int) -> Walls:
        """Of units that slide along nothing."""
        units, padded = (_Unit.free(N, r),) * H, np.zeros((H, 0, r))
        return cls(np.zeros((H, N), dtype=bool), padded, np.ones(H, dtype=bool), units, padded)

    @cached_property
    def kinks(self) -> tuple[Numbers, Numbers]:
        """The unit and the point of each wall, (K,), unit by unit."""
        unit, point = np.nonzero(self.sliding)
        return unit, point

    def along(self, v: Array, units: Numbers | slice = slice(None)) -> Array:
        """v (H, r), of these units, projected onto their walls."""
        basis = self.basis[units]
        spanned = ((basis @ v[:, :, None]).mT @ basis)[:, 0]
        return np.asarray(np.where(self.across[units, None], v - spanned, spanned))

    def multipliers(self, v: Array) -> Array:
        """κ (K,) with v − Σ κ_k x_k along the walls."""
        unit, _ = self.kinks
        counts = self.sliding.sum(axis=1)
        place = np.arange(unit.size) - (np.cumsum(counts) - counts)[unit]  # among the walls of the unit
        return np.asarray((self.inverse @ v[:, :, None])[unit, place, 0])

    def of_unit(self, j: int) -> tuple[Numbers, Array]:
        """The points (k,) of unit j, and its part (k, r) of `inverse`."""
        points = np.flatnonzero(self.sliding[j])
        return points, self.inverse[j, : points.size]

    def squares(self, units: Numbers, points: Numbers, lengths: Array) -> Array:
        """‖P_j x_n‖² of units j and points n, (K,) each, from all ‖x_n‖² (N,)."""
        images = (self.units[j].images[:, n] for j, n in zip(units.tolist(), points.tolist(), strict=True))
        spanned = np.array([image @ image for image in images])
        return np.asarray(np.where(self.across[units], lengths[points] - spanned, spanned))

    def gram(self, A: Array, F: Array, XX: Array, units: Numbers | slice = slice(None)) -> Array:
        """Σ_j A_jn A_jm ⟨x_n, P_j x_m⟩ + Σ_j F_jn F_jm, P_j the projection onto the walls of unit j, (N, N).

        Over these units j; over all unless given.
        """
        across, A, F, known = self.across[units], A[units], F[units], self.units
        whole = A[across]
        total = XX * (whole.T @ whole) + F.T @ F
        numbers = np.arange(len(known))[units]
        for some, sign in ((across, -1.0), (~across, 1.0)):
            if some.any():
                images = [known[j].images for j in numbers[some].tolist()]
                rows = np.concatenate(images) * np.repeat(A[some], [len(image) for image in images], axis=0)
                total += sign * (rows.T @ rows)
        return np.asarray(total)

    def restricted(self, units: Numbers) -> Walls:
        """Of these units alone."""
        some = tuple(self.units[j] for j in units.tolist())
        return Walls(self.sliding[units], self.basis[units], self.across[units], some, self.inverse[units])


class UnitWalls:
    """The walls of the sliding sets of flows on the same points; remembers the set before, and bases of some more."""

    def __init__(self, X: Array) -> None:
        self._X, self._lengths = X, np.maximum(np.linalg.norm(X, axis=1), 1e-300)
        self._last = Walls.none(X.shape[0], 0, X.shape[1])
        self._known: dict[bytes, _Unit] = {}

    def of(self, sliding: Mask) -> Walls:
        """The walls of a sliding set (H, N)."""
        if len(sliding) != len(self._last.sliding):  # other networks
            self._last = Walls.none(self._X.shape[0], len(sliding), self._X.shape[1])
        return self.changed(self._last, sliding)

    def changed(self, before: Walls, sliding: Mask) -> Walls:
        """The walls of a sliding set (H, N), by those of units that have another set than before."""
        changed = np.flatnonzero((sliding != before.sliding).any(axis=1))
        if not changed.size:
            return before
        new = [self._unit(sliding[j]) for j in changed]
        across, units = before.across.copy(), list(before.units)
        across[changed] = [one.across for one in new]
        for j, one in zip(changed.tolist(), new, strict=True):
            units[j] = one
        basis = _replaced(before.basis, changed, [one.basis for one in new])
        inverse = _replaced(before.inverse, changed, [one.inverse for one in new])
        found = Walls(sliding.copy(), basis, across, tuple(units), inverse)
        if len(sliding) == len(self._last.sliding):
            self._last = found
        return found

    def _unit(self, sliding: Mask) -> _Unit:
        """The walls of a unit that slides along these points, (N,)."""
        key = sliding.tobytes()
        known = self._known.pop(key, None) or self._found(np.flatnonzero(sliding))
        while len(self._known) >= REMEMBERED * self._last.across.size:
            del self._known[next(iter(self._known))]  # the one that was not asked for the longest
        self._known[key] = known
        return known

    def _found(self, points: Numbers) -> _Unit:
        r = self._X.shape[1]
        if not points.size:
            return _Unit.free(len(self._X), r)
        lengths = self._lengths[points, None]
        Q, rank, inverse = _factored(self._X[points] / lengths)
        across = 2 * rank <= r
        basis = Q[:rank] if across else Q[rank:]
        return _Unit(basis, across, basis @ self._X.T, inverse / lengths)


def _replaced(stack: Array, changed: Numbers, parts: list[Array]) -> Array:
    """The stack (H, b, ·) with some of its members replaced, padded to the longest."""
    missing = max(len(part) for part in parts) - stack.shape[1]
    new = stack.copy() if missing <= 0 else np.pad(stack, ((0, 0), (0, missing), (0, 0)))
    for j, part in zip(changed.tolist(), parts, strict=True):
        new[j, : len(part)], new[j, len(part) :] = part, 0.0
    return new


def _factored(rows: Array) -> tuple[Array, int, Array]:
    """Orthonormal rows, the first of which span `rows` (k, r), how many do, and the inverse (k, r).

    As many orthonormal rows as do; all r where these are more than half of them.
    """
    k, r = rows.shape
    if k <= r:
        reflected, scales, _, _ = lapack.dgeqrf(rows.T)
        size = np.abs(reflected.diagonal())
        if size.min() > SAFE * size.max():
            whole = np.zeros((r, k if 2 * k <= r else r), order="F")
            whole[:, :k] = reflected
            Q = lapack.dorgqr(whole, scales)[0].T
            return Q, k, np.triu(lapack.dtrtri(reflected[:k])[0]) @ Q[:k]
    left, values, right = np.linalg.svd(rows)
    rank = int((values > DEPENDENT * values[0]).sum())
    return right, rank, (left[:, :rank] / values[:rank]) @ right[:rank]
