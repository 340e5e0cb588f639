"""An activation pattern of a two-layer network, and what the best network with that pattern must satisfy.

Let f(x) = Σ_j a_j φ(w_j·x), φ(z) = (b + (a − b)γ) z with γ = [z > 0]. For signs s_j = sign a_j and gates γ_nj held,
u_j = |a_j| w_j turns min ½‖w‖² s.t. margins ≥ 1 into a second-order cone program,

    min Σ_j ‖u_j‖   s.t.   y_n Σ_j s_j φ′_nj u_j·x_n ≥ 1,      σ_nj u_j·x_n ≥ 0,                                (1)

σ_nj = ±1 the side of each wall, with multipliers λ_n and μ_nj. Its optimum has u_j = r_j v_j,

    v_j = Σ_n (s_j λ_n y_n φ′_nj + μ_nj σ_nj) x_n,      ‖v_j‖ ≤ 1,  r_j ≥ 0,  r_j = 0 where ‖v_j‖ < 1.           (2)

It is a KKT point of the network if each wall's multiplier is one that Clarke allows: φ′_nj + μ_nj σ_nj/(s_j y_n λ_n)
lies between the two slopes. `gd.flow.cell_program` solves (1).

Reference: Pilanci, Ergen (2020), "Neural networks are convex regularizers", Theorem 1 for (1); Lyu, Li (2020),
Definition C.4 for the KKT conditions with Clarke multipliers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gd.flow.kkt import KKT
from solvers.arrays import Array

Mask = NDArray[np.bool_]

ON_THE_KINK = 1e-10  # of the largest |z|: projections onto cones leave 1e-15
DEPENDENT = 1e-13  # of the largest singular value of walls
ALLOWED = 1e-7  # slack of Clarke's interval, relative to the jump of the slope


@dataclass(frozen=True)
class Cell:
    """An activation pattern and data: everything that defines (1)."""

    X: Array
    """(N, r): data, in coordinates of their span."""
    y: Array
    """(N,)."""
    signs: Array
    """s (H,)."""
    on: Mask
    """γ (N, H)."""
    above: float
    below: float

    @property
    def slopes(self) -> Array:
        """φ′ (N, H)."""
        return np.where(self.on, self.above, self.below)

    @property
    def sides(self) -> Array:
        """σ (N, H)."""
        return np.where(self.on, 1.0, -1.0)

    @property
    def coefficients(self) -> Array:
        """y_n s_j φ′_nj (N, H): of u_j·x_n in margin n."""
        return np.asarray(self.y[:, None] * self.signs * self.slopes)


@dataclass(frozen=True)
class CellOptimum:
    """A solution of (1)."""

    cell: Cell
    u: Array
    """(H, r)."""
    lam: Array
    """(N,)."""
    mu: Array
    """(N, H)."""
    residual: float
    """Largest residual of (2), of the tight constraints, and of feasibility; the value is the unit of u."""

    @property
    def value(self) -> float:
        return float(np.linalg.norm(self.u, axis=1).sum())

    def directions(self) -> Array:
        """v (H, r)."""
        return np.asarray((self.cell.coefficients * self.lam[:, None] + self.mu * self.cell.sides).T @ self.cell.X)

    def weights(self) -> tuple[Array, Array]:
        """W (H, r) and a (H,) with |a_j| w_j = u_j, balanced: |a_j| = ‖w_j‖."""
        size = np.linalg.norm(self.u, axis=1)
        root = np.sqrt(size)
        W = self.u / np.where(size > 0, root, 1.0)[:, None]
        return W, self.cell.signs * root

    def kkt(self) -> KKT:
        """How far the weights are from a KKT point of the network, with gates within Clarke's interval.

        Computed from the network's own formulas: the forces on W and on a, with the multipliers λ.
        """
        cell, (W, a) = self.cell, self.weights()
        z = cell.X @ W.T
        force = cell.y[:, None] * cell.signs * self.lam[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            bent = cell.slopes + np.where(force != 0, self.mu * cell.sides / force, 0.0)
        at_kink = np.abs(z) <= ON_THE_KINK * np.abs(z).max()
        own = np.where(z > 0, cell.above, cell.below)
        low, high = min(cell.above, cell.below), max(cell.above, cell.below)
        slopes = np.where(at_kink, np.clip(bent, low, high), own)
        outputs = own * z
        margins = cell.y * (outputs @ a)
        pull = cell.y * self.lam
        on_W = W - a[:, None] * ((slopes * pull[:, None]).T @ cell.X)
        on_a = a - outputs.T @ pull
        norm = float(np.sqrt((W**2).sum() + (a**2).sum()))
        epsilon = float(np.sqrt((on_W**2).sum() + (on_a**2).sum()))
        margin = float(margins.min())
        return KKT(epsilon, float((self.lam * (margins - 1.0)).max()), norm, margin / norm**2)

    def refused(self) -> Mask:
        """Walls (N, H) whose multiplier Clarke does not allow, on units of the support."""
        cell, present = self.cell, np.linalg.norm(self.u, axis=1) > 0
        force = self.cell.y[:, None] * cell.signs * self.lam[:, None]
        change = self.mu * cell.sides  # of λ y s φ′; allowed between λ y s b and λ y s a
        ends = np.stack([force * (cell.below - cell.slopes), force * (cell.above - cell.slopes)])
        # in units of v, whose length is one: of a large point a small multiplier moves it
        size = np.minimum(float(self.lam.max()), 1.0 / np.linalg.norm(cell.X, axis=1, keepdims=True))
        slack = ALLOWED * size * abs(cell.above - cell.below)
        return np.asarray(((change < ends.min(0) - slack) | (change > ends.max(0) + slack)) & present)


def on_faces(v: Array, point: CellOptimum) -> Array:
    """The directions v (H, r) of a point with z = 0 at its walls to the rounding of z.

    Where one column of X is large, that of v is a small difference of large numbers, and z is made of it.
    """
    v = v.copy()
    for j in np.flatnonzero(point.mu.any(axis=0)):
        walls = point.cell.X[point.mu[:, j] > 0]
        for _ in range(2):
            v[j] -= np.linalg.lstsq(walls, walls @ v[j], rcond=DEPENDENT)[0]
    return v


def assembled(cell: Cell, r: Array, lam: Array, mu: Array) -> CellOptimum:
    """The point with nonnegative multipliers, and what is left of all its conditions."""
    lam, mu, r = np.maximum(lam, 0.0), np.maximum(mu, 0.0), np.maximum(r, 0.0)
    plain = CellOptimum(cell, np.zeros((r.size, cell.X.shape[1])), lam, mu, 0.0)
    v = plain.directions()
    length = np.linalg.norm(v, axis=1)
    v = on_faces(v, plain)
    u = r[:, None] * v
    z = cell.X @ u.T
    margins = (cell.coefficients * z).sum(1)
    size, total = (max(float(part.sum()), 1e-300) for part in (r, lam))  # without units all margins are short
    residual = max(
        float(np.maximum(1.0 - margins, 0.0).max()),
        float(np.maximum(-cell.sides * z, 0.0).max()) / size,
        float((lam * np.abs(margins - 1.0)).max()) / total,
        float((mu * np.abs(z)).max()) / size / total,
        float(np.where(r > 0, np.abs(length - 1.0), np.maximum(length - 1.0, 0.0)).max()),
    )
    return replace(plain, u=u, residual=residual)
