"""The best two-layer network of one activation pattern: a convex program, solved in the flow's own cell.

Let f(x) = Σ_j a_j φ(w_j·x), φ(z) = (b + (a − b)γ) z with γ = [z > 0]. For signs s_j = sign a_j and gates γ_nj held,
u_j = |a_j| w_j turns min ½‖w‖² s.t. margins ≥ 1 into a second-order cone program,

    min Σ_j ‖u_j‖   s.t.   y_n Σ_j s_j φ′_nj u_j·x_n ≥ 1,      σ_nj u_j·x_n ≥ 0,                                (1)

σ_nj = ±1 the side of each wall, with multipliers λ_n and μ_nj. Its optimum has u_j = r_j v_j,

    v_j = Σ_n (s_j λ_n y_n φ′_nj + μ_nj σ_nj) x_n,      ‖v_j‖ ≤ 1,  r_j ≥ 0,  r_j = 0 where ‖v_j‖ < 1.           (2)

It is a KKT point of the network if each wall's multiplier is one that Clarke allows: φ′_nj + μ_nj σ_nj/(s_j y_n λ_n)
lies between the two slopes. Where it does not, the network gets better behind that wall, and (1) is solved again there.
Units that die like a small power of ‖w‖ are zero at once, and walls and margins come in and leave as the program says.

(1) is solved by a primal-dual interior-point method: with the cones' heights eliminated, ‖u_j‖ is smoothed to
t_j − τ ln(t_j² − ‖u_j‖²), t_j = τ + (τ² + ‖u_j‖²)^{1/2}, a Newton step takes one factorization per unit and one of N
by N. The end is Newton's method on (2) and the tight constraints, in (r, λ, μ) alone.

Reference: Pilanci, Ergen (2020), "Neural networks are convex regularizers", Theorem 1 for (1); Lyu, Li (2020),
Definition C.4 for the KKT conditions with Clarke multipliers; Chan, Golub, Mulet (1999) for steps in u and v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from gd.flow.kkt import KKT
from solvers.arrays import Array

Mask = NDArray[np.bool_]

ITERATIONS = 120
START = 1e-2  # of the largest ‖u_j‖: smaller units start from there
CENTRAL = 0.5  # products of complementary pairs, over τ, of a point that shows which of the two is zero
SHORTEST = 1e-2  # step length below which the path has ended in rounding
LAST_TAU = 1e-11  # relative to the value: what is left is for Newton's method; below it steps are rounding
ENOUGH_TAU = 1e-6  # the same: from here on points of the path are worth trying
UNIT = 1e-9  # below 1 by more, ‖v_j‖ is strict and the unit is zero
HEAVY = 1e8  # weight of the equations next to the distance, in least squares; they are solved exactly afterwards
SOLVED = 1e-10  # relative residual of (2), a tenth of the KKT residual at which a limit counts as found
ON_THE_KINK = 1e-10  # of the largest |z|: Newton's method leaves 1e-15
ALLOWED = 1e-7  # slack of Clarke's interval, relative to the jump of the slope
CROSSINGS = 8  # times that walls are crossed before the cell is given up
PRESENT = 1e-4  # of the largest ‖u_j‖: at smaller ones both u_j and 1 − ‖v_j‖ vanish, and the unit may be left out
PARALLEL = 1e-6  # 1 − cos: an angle of 1.4e-3, where the interior point leaves 1e-5
NEARLY_UNIT = 1e-3  # 1 − ‖v_j‖ of units that may be parallel to one of the support
POLISHES = 5  # corrections of the tight set
NEWTON_STEPS = 20
DIVERGED = 1e3  # growth of the residual in one step


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
        slack = ALLOWED * float(self.lam.max()) * abs(cell.above - cell.below)
        return np.asarray(((change < ends.min(0) - slack) | (change > ends.max(0) + slack)) & present)


def cell_optimum(cell: Cell, u: Array) -> CellOptimum | None:
    """The optimum of the cell of u (H, r), or of one next to it, that is a KKT point of the network; else None."""
    for _ in range(CROSSINGS):
        found = solve(cell, u)
        if found is None:
            return None
        refused = found.refused()
        if not refused.any():
            return found
        cell, u = replace(cell, on=cell.on ^ refused), found.u
    return None


def solve(cell: Cell, u: Array) -> CellOptimum | None:
    """(1), from the flow's u; None where it has no solution or the methods fail."""
    units, place = _merged(cell)
    start = np.zeros((len(units), u.shape[1]))
    np.add.at(start, place, u)
    smaller = replace(cell, signs=cell.signs[units], on=cell.on[:, units])
    path = reversed(_central_path(smaller, start))
    polished = (way(smaller, *central) for central in path for way in (_polished_by_directions, _polished))
    found = next((one for one in polished if one is not None and one.residual <= SOLVED), None)
    if found is None:
        return None
    first = np.zeros(len(place), dtype=bool)
    first[units] = True  # of parallel units one has it all, until the nearest optimum is looked for
    u_all = np.where(first[:, None], found.u[place], 0.0)
    return _nearest(CellOptimum(cell, u_all, found.lam, found.mu[:, place], found.residual), u)


def _nearest(optimum: CellOptimum, u: Array) -> CellOptimum:
    """Of all optima, r ≥ 0 with margins 1 where λ > 0 and ≥ 1 elsewhere, the one nearest to the flow's u (H, r).

    The optimum itself where least squares do not find that one.
    """
    cell, v = optimum.cell, optimum.directions()
    z = cell.X @ v.T
    M = cell.coefficients * z  # margin n is (M r)_n
    margins = (cell.coefficients * (cell.X @ u.T)).sum(1)
    wanted = np.maximum((u * v).sum(1), 0.0) / float(margins.min())
    may = np.linalg.norm(v, axis=1) > 1.0 - UNIT
    tight = optimum.lam > 0
    for _ in range(POLISHES):
        heavy = HEAVY / max(float(np.abs(M[tight][:, may]).max()), 1e-300)
        system = np.vstack([np.eye(int(may.sum())), heavy * M[tight][:, may]])
        r, _ = nnls(system, np.concatenate([wanted[may], np.full(int(tight.sum()), heavy)]), maxiter=50 * may.size)
        kept = r > 0
        columns = M[tight][:, may][:, kept]
        for _ in range(2):  # the equations exactly
            r[kept] += np.linalg.lstsq(columns, 1.0 - columns @ r[kept], rcond=1e-12)[0]
        full = np.zeros(may.size)
        full[may] = np.maximum(r, 0.0)
        short = ~tight & (M @ full < 1.0 - SOLVED)
        if not short.any():
            found = _assembled(cell, full, optimum.lam, optimum.mu)
            return found if found.residual <= SOLVED else optimum
        tight = tight | short
    return optimum


def _merged(cell: Cell) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One unit of each kind (same sign, same gates), and the kind of every unit."""
    kinds = np.concatenate([cell.signs[None] > 0, cell.on]).T
    _, units, place = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    return units, place.ravel()


def _central_path(cell: Cell, u: Array) -> list[tuple[Array, Array, Array]]:
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


def _polished(cell: Cell, u: Array, lam: Array, mu: Array) -> CellOptimum | None:
    """The solution of (2) with tight sets read off an interior point, corrected where signs say so."""
    # on the central path the two sides of a complementary pair have a fixed product: the larger one shows which is zero
    size, z = np.linalg.norm(u, axis=1), cell.X @ u.T
    value, total, reach = float(size.sum()), float(lam.sum()), float(np.linalg.norm(cell.X, axis=1).max())
    v = (cell.coefficients * lam[:, None] + mu * cell.sides).T @ cell.X
    support = (size / value > 1.0 - np.linalg.norm(v, axis=1)) & (size > PRESENT * size.max())
    active = lam / total > (cell.coefficients * z).sum(1) - 1.0
    walls = (mu / total > cell.sides * z / (value * reach)) & support
    r = np.where(support, size, 0.0)
    mu = np.where(support & ~walls, 0.0, mu)
    best: CellOptimum | None = None
    for _ in range(POLISHES):
        newton = _newton(cell, r, lam, mu, support, active, walls)
        if newton is None:
            return best
        r_new, lam_new, mu_new = newton
        found = _assembled(cell, r_new, lam_new, mu_new)
        if found.residual <= SOLVED:
            return found
        if best is None or found.residual < best.residual:
            best = found
        z, margins = cell.sides * (cell.X @ found.u.T), (cell.coefficients * (cell.X @ found.u.T)).sum(1)
        top = float(lam_new.max())
        negative, gone = active & (lam_new < -SOLVED * top), support & (r_new < -SOLVED * r_new.max())
        loose, crossed = walls & (mu_new < -SOLVED * top), support & (z < -SOLVED * r_new.max())
        short = ~active & (margins < 1.0 - SOLVED)
        lengths = np.linalg.norm(found.directions(), axis=1)
        enters = ~support & (lengths > 1.0 + SOLVED)
        if not (negative.any() or gone.any() or loose.any() or crossed.any() or short.any() or enters.any()):
            return best
        active = (active & ~negative) | short
        support = (support & ~gone) | enters
        walls = ((walls & ~loose) | crossed) & support
        r, lam, mu = (
            np.maximum(r_new, 0.0) * support,
            np.maximum(lam_new, 0.0),
            np.maximum(mu_new, 0.0) * (walls | ~support),
        )
    return best


def _polished_by_directions(cell: Cell, u: Array, lam: Array, mu: Array) -> CellOptimum | None:
    """As `_polished`, with one unit for each direction.

    Units of one direction that differ in gates at their common walls share a force v: what one of them needs of its
    walls' multipliers follows from the other's.
    """
    v = (cell.coefficients * lam[:, None] + mu * cell.sides).T @ cell.X
    length, size = np.linalg.norm(v, axis=1), np.linalg.norm(u, axis=1)
    first = np.arange(size.size)
    for j in np.argsort(-size):  # the largest unit of a direction stands for it
        parallel = (cell.signs == cell.signs[j]) & (v @ v[j] > (1.0 - PARALLEL) * length * length[j])
        if first[j] == j and length[j] > 1.0 - NEARLY_UNIT:
            first[parallel & (length > 1.0 - NEARLY_UNIT) & (first == np.arange(size.size)) & (size <= size[j])] = j
    kept = np.unique(first)
    if kept.size == size.size:
        return None
    total = np.zeros_like(u)
    np.add.at(total, first, u)
    found = _polished(replace(cell, signs=cell.signs[kept], on=cell.on[:, kept]), total[kept], lam, mu[:, kept])
    if found is None:
        return None
    whole = np.zeros_like(mu)
    whole[:, kept] = found.mu
    forces = cell.coefficients * found.lam[:, None]
    moved = np.flatnonzero(first != np.arange(size.size))
    same = first[moved]
    whole[:, moved] = cell.sides[:, moved] * (forces[:, same] + (whole * cell.sides)[:, same] - forces[:, moved])
    r = np.zeros_like(size)
    r[kept] = np.linalg.norm(found.u, axis=1)
    return _assembled(cell, r, found.lam, whole)


def _assembled(cell: Cell, r: Array, lam: Array, mu: Array) -> CellOptimum:
    """The point with nonnegative multipliers, and what is left of all its conditions."""
    lam, mu, r = np.maximum(lam, 0.0), np.maximum(mu, 0.0), np.maximum(r, 0.0)
    plain = CellOptimum(cell, np.zeros((r.size, cell.X.shape[1])), lam, mu, 0.0)
    v = plain.directions()
    length = np.linalg.norm(v, axis=1)
    u = r[:, None] * v
    z = cell.X @ u.T
    margins, size = (cell.coefficients * z).sum(1), float(r.sum())
    residual = max(
        float(np.maximum(1.0 - margins, 0.0).max()),
        float(np.maximum(-cell.sides * z, 0.0).max()) / size,
        float((lam * np.abs(margins - 1.0)).max()) / float(lam.sum()),
        float((mu * np.abs(z)).max()) / size / float(lam.sum()),
        float(np.where(r > 0, np.abs(length - 1.0), np.maximum(length - 1.0, 0.0)).max()),
    )
    return replace(plain, u=u, residual=residual)


def _newton(
    cell: Cell, r: Array, lam: Array, mu: Array, support: Mask, active: Mask, walls: Mask
) -> tuple[Array, Array, Array] | None:
    """½(‖v_j‖² − 1) = 0 on the support, margins 1 on the active set, z = 0 at the walls, in (r, λ, μ)."""
    X, C, sides = cell.X, cell.coefficients, cell.sides
    units, rows = np.flatnonzero(support), np.flatnonzero(active)
    wall_rows, wall_units = np.nonzero(walls)
    position = np.cumsum(support) - 1
    if units.size == 0 or rows.size == 0:
        return None
    r, lam, mu = r.copy(), np.where(active, lam, 0.0), np.where(walls | ~support, mu, 0.0)
    gram = X @ X.T
    last = np.inf
    for _ in range(NEWTON_STEPS):
        # v_j in the coordinates of the samples: v_j = Xᵀ c_j
        c = C * lam[:, None] + sides * mu
        Gc = gram @ c  # x_n·v_j, (N, H)
        lengths = np.einsum("nj,nj->j", c, Gc)
        margins = (C * Gc) @ r
        value = np.concatenate([(lengths[units] - 1.0) / 2.0, Gc[walls], margins[rows] - 1.0])
        residual = float(np.abs(value).max())
        if residual < 1e-14 or (residual < 1e-11 and residual > 0.5 * last):
            break
        if residual > DIVERGED * max(last, 1e-6):
            return None
        last = residual
        to_lam = gram[:, rows][:, :, None] * C[rows]  # ∂(x_m·v_j)/∂λ_n: (N, |A|, H)
        to_mu = gram[:, wall_rows] * sides[wall_rows, wall_units]  # ∂(x_m·v_j)/∂μ_k for j its unit: (N, K)
        nS, nA, nK = units.size, rows.size, wall_rows.size
        D = np.zeros((nS + nK + nA, nS + nA + nK))
        D[:nS, nS : nS + nA] = (Gc[rows][:, units] * C[rows][:, units]).T
        D[position[wall_units], nS + nA + np.arange(nK)] = Gc[wall_rows, wall_units] * sides[wall_rows, wall_units]
        D[nS : nS + nK, nS : nS + nA] = to_lam[wall_rows, :, wall_units]
        same = wall_units[:, None] == wall_units
        D[nS : nS + nK, nS + nA :] = np.where(same, to_mu[wall_rows], 0.0)
        D[nS + nK :, :nS] = (C * Gc)[rows][:, units]
        D[nS + nK :, nS : nS + nA] = np.einsum("mnj,mj->mn", to_lam[rows], C[rows] * r)
        D[nS + nK :, nS + nA :] = to_mu[rows] * (C * r)[rows][:, wall_units]
        try:
            change = np.linalg.lstsq(D, -value, rcond=1e-12)[0]
        except np.linalg.LinAlgError:
            return None
        r[units] += change[:nS]
        lam[rows] += change[nS : nS + nA]
        mu[wall_rows, wall_units] += change[nS + nA :]
        if not (np.isfinite(change).all() and np.abs(lam).max() < 1e12):
            return None
    return r, lam, mu
