"""Newton's method on the optimality conditions of a cone program, from a point that a cone solver has found.

    min cᵀv   s.t.  Gv + s = h,  s ∈ K               Gᵀz + c = 0,  z ∈ K*,  sᵀz = 0

With u = s − z the last three conditions say s = Π(u) and z = Π(u) − u, Π the projection onto K (Moreau). Newton's
method on the two equations left, in v and u,

    Gᵀ(Π(u) − u) + c = 0,        Gv + Π(u) = h,

ends at rounding where an interior point stops at 1e-8 or before. Its steps are least-squares ones, since neither v nor
u need be unique. Rows on which Π is the identity only say what s is, so they are left out of the system.

Reference: Busseti, Moursi, Boyd (2019), "Solution refinement at regular points of conic problems".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lstsq

from solvers.arrays import Array
from solvers.extended_precision import extended_product

FAR = 1e3
"""A step of this size, from a point of size one, leads nowhere near."""


@dataclass(frozen=True)
class Cone:
    """A factor of K: {0}, the nonnegative numbers, a second-order cone, or the positive semidefinite matrices.

    The matrices are given by their upper triangles, column by column, entries off the diagonal times √2.
    """

    kind: str
    """"zero", "nonnegative", "second order" or "semidefinite"."""
    size: int
    """Of the vectors, or of the sides of the matrices."""

    @property
    def rows(self) -> int:
        """Rows of G that belong to it."""
        return self.size * (self.size + 1) // 2 if self.kind == "semidefinite" else self.size

    def projection(self, u: Array) -> tuple[Array, Array]:
        """Π(u) and its derivative."""
        if self.kind == "zero":
            return np.zeros_like(u), np.zeros((u.size, u.size))
        if self.kind == "nonnegative":
            return np.maximum(u, 0.0), np.diag((u > 0).astype(np.float64))
        return _second_order(u) if self.kind == "second order" else _semidefinite(u, self.size)


def _second_order(u: Array) -> tuple[Array, Array]:
    """Onto {(t, w) : ‖w‖₂ ≤ t}."""
    t, r = float(u[0]), float(np.linalg.norm(u[1:]))
    if r <= abs(t):
        return (u, np.eye(u.size)) if t > 0 else (np.zeros_like(u), np.zeros((u.size, u.size)))
    half, e = 0.5 * (t + r), u[1:] / r
    D = np.empty((u.size, u.size))
    D[0, 0], D[0, 1:], D[1:, 0] = 0.5, 0.5 * e, 0.5 * e
    D[1:, 1:] = half / r * np.eye(e.size) + (0.5 - half / r) * np.outer(e, e)
    return np.append(half, half * e), D


def _semidefinite(u: Array, n: int) -> tuple[Array, Array]:
    """Onto the matrices without negative eigenvalues."""
    column, row = np.tril_indices(n)
    weight = np.where(row == column, 1.0, np.sqrt(0.5))
    basis = np.zeros((u.size, n, n))
    basis[np.arange(u.size), row, column] = basis[np.arange(u.size), column, row] = weight
    values, Q = np.linalg.eigh(np.tensordot(u, basis, axes=1))
    above = values.clip(0.0)
    apart = np.where(values[:, None] == values, 1.0, values[:, None] - values)
    slope = np.where((values[:, None] > 0) == (values > 0), values > 0, (above[:, None] - above) / apart)
    turned = (Q.T @ basis @ Q).reshape(u.size, -1)
    return turned @ np.diag(above).reshape(-1), (turned * slope.reshape(-1)) @ turned.T


@dataclass(frozen=True)
class ConePoint:
    """v, s and z of a cone program."""

    v: Array
    s: Array
    z: Array


@dataclass(frozen=True)
class ConeProgram:
    """min cᵀv s.t. Gv + s = h, s in the product of the cones."""

    c: Array
    G: Array
    h: Array
    cones: tuple[Cone, ...]

    def newton(self, start: ConePoint, max_steps: int = 15) -> ConePoint:
        """The point with the least residual among those of Newton's method from `start`.

        In units in which v and z are at most one: h and c are divided by what v and z are multiplied with.
        """
        primal, dual = (float(np.abs(part).max()) or 1.0 for part in (start.v, start.z))
        c, h, n = self.c / dual, self.h / primal, self.c.size
        v, u = start.v / primal, start.s / primal - start.z / dual
        best, least = start, np.inf
        for step in range(max_steps if np.isfinite(u).all() else 0):
            s, D = self._projection(u)
            z = s - u
            missing = np.concatenate([extended_product(self.G.T, z) + c, extended_product(self.G, v) + s - h])
            residual = float(np.abs(missing).max())
            if not residual < (0.5 * least if step > 2 else np.inf):
                break
            if residual < least:
                best, least = ConePoint(primal * v, primal * s, dual * z), residual
            held = np.flatnonzero(D.diagonal() != 1.0)
            G, P = self.G[held], D[np.ix_(held, held)]
            system = np.block([[np.zeros((n, n)), G.T @ (P - np.eye(held.size))], [G, P]])
            found = _least_squares(system, -missing[np.concatenate([np.arange(n), n + held])])
            if not float(np.abs(found).max()) < FAR:
                break
            v = v + found[:n]
            moved = h - self.G @ v
            moved[held] = u[held] + found[n:]
            u = moved
        return best

    def _projection(self, u: Array) -> tuple[Array, Array]:
        """Π(u) and its derivative."""
        s, D, first = np.empty_like(u), np.zeros((u.size, u.size)), 0
        for cone in self.cones:
            part = slice(first, first + cone.rows)
            s[part], D[part, part] = cone.projection(u[part])
            first += cone.rows
        return s, D


def _least_squares(system: Array, right: Array) -> Array:
    """The solution of rows and columns of norm one, of least norm where there are several."""
    rows = np.linalg.norm(system, axis=1).clip(1e-300)
    scaled = system / rows[:, None]
    columns = np.linalg.norm(scaled, axis=0).clip(1e-300)
    found = lstsq(scaled / columns, right / rows, cond=1e-12, lapack_driver="gelsy", check_finite=False)[0]
    return np.asarray(found / columns)
