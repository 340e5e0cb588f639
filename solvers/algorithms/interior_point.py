"""Group-norm max margin by a self-dual interior-point method, finished on the active set.

    min Σ_g ‖b_g‖₂   s.t.  Σ_g B_g b_g ≥ r          dual:  max rᵀα  s.t.  α ≥ 0, ‖B_gᵀα‖₂ ≤ 1 for every g

with N constraints and G groups of m coordinates: B has shape (N, G, m), r > 0. In the Fourier domain a group is a pair
of conjugate frequencies (m = 2: real and imaginary part); for ℓ1 a group is a coefficient.

The homogeneous embedding asks for u_g = (t_g, b_g) and v_g = (τ, −B_gᵀα) in the cone {‖b_g‖₂ ≤ t_g}, and s, α, τ, κ ≥ 0
with

    B b − s = τ r,        rᵀα − Σ_g t_g = κ,        u ∘ v = 0,  s α = 0,  τ κ = 0.                                (1)

It has a solution with τ + κ > 0. If τ > 0, then b/τ and α/τ solve the problem; if κ > 0, then Bᵀα = 0 with rᵀα > 0, and
no b separates the rows: the method needs no start, and proves infeasibility too. The dual half of (1) holds by
construction, so that every iterate is a proof of a lower bound.

Steps are Mehrotra's with Nesterov and Todd's scaling. All but α and τ is eliminated in closed form; a step costs one
N × N Cholesky factorization, O(N² G m). Then Newton's method on the optimality conditions of the groups and constraints
found active takes the gap to rounding, where these are nondegenerate. Where rounding ends the path above `tol` and the
problem is small, it is followed again in the machine's longest format.

Reference: Andersen, Dahl, Vandenberghe, "The CVXOPT linear and quadratic cone program solvers" (2010), for the scaling;
Xu, Hung, Ye (1996), "A simplified homogeneous and self-dual linear programming algorithm", for (1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.linalg import LinAlgError

from solvers.algorithms.active_set import newton_on_support
from solvers.algorithms.factorizations import Real, normal_solver
from solvers.algorithms.least_distance import least_distance
from solvers.arrays import Array

LONG_UP_TO = 2e7
"""N² G m up to which an iteration in the longest format takes less than a tenth of a second."""

INFEASIBLE = 1e13
"""A lower bound above this, in units of rows and right sides of order one, is rounding: no b separates the rows."""


@dataclass(frozen=True)
class GroupSolution:
    """b (G, m), α (N,), both scaled to feasibility, their relative duality gap, and how they were found."""

    b: Real
    dual: Real
    gap: float
    iterations: int
    polished: bool = False


@dataclass(frozen=True)
class GroupRows:
    """B (N, G, m) and r (N,), r > 0: rows of norms of order one, right sides at most one."""

    B: Real
    right: Real

    @cached_property
    def sizes(self) -> Real:
        """‖B_ng‖₂, (N, G)."""
        return np.asarray(np.sqrt(np.einsum("ngi,ngi->ng", self.B, self.B)))

    def margins(self, b: Real) -> Real:
        """Σ_g B_ng b_g, (N,)."""
        return np.asarray(np.tensordot(self.B, b, axes=2))

    def products(self, b: Real) -> Real:
        """Rounding errors of `margins` in the format of the rows, at most, (N,)."""
        return np.asarray(4.0 * np.finfo(self.B.dtype).eps * (self.sizes @ np.linalg.norm(b, axis=1)))

    def representable(self, b: Real) -> GroupRows:
        """Right sides raised by what rounding b to float64 will take from the margins, where that counts.

        The errors of the terms add like random numbers of at most ε/2 each, 0.3 ε on average. Half an ε is enough where
        a rare error is harmless next to the right side; where it is not, two are. That costs a relative ε‖α‖‖b‖.
        """
        error = np.finfo(np.float64).eps * np.sqrt(self.sizes**2 @ np.einsum("gi,gi->g", b, b))
        raised = np.where(error > 1e-9 * self.right, 2.0 * error, 0.5 * error)
        return GroupRows(self.B, self.right + np.where(error > 1e-11 * self.right, raised, 0.0))


@dataclass(frozen=True)
class _Scaling:
    """The Nesterov–Todd scaling of u = (t, b) and v = (1, −z): W v = W⁻¹ u = λ; W² = β²(2 w wᵀ − J)."""

    beta: Real
    w0: Real
    w1: Real

    @classmethod
    def of(cls, u: Real, v: Real) -> _Scaling:
        u_norm, v_norm = _cone_norm(u), _cone_norm(v)
        u_bar, v_bar = u / u_norm[:, None], v / v_norm[:, None]
        gamma = np.sqrt((1.0 + np.einsum("gi,gi->g", u_bar, v_bar)) / 2.0)
        v_bar[:, 1:] *= -1.0
        w = (u_bar + v_bar) / (2.0 * gamma[:, None])
        return cls(np.sqrt(u_norm / v_norm), w[:, 0], w[:, 1:])

    def apply(self, x: Real, inverse: bool = False) -> Real:
        sign = -1.0 if inverse else 1.0
        scale = 1.0 / self.beta if inverse else self.beta
        inner = np.einsum("gi,gi->g", self.w1, x[:, 1:])
        head = self.w0 * x[:, 0] + sign * inner
        tail = x[:, 1:] + (sign * x[:, 0] + inner / (1.0 + self.w0))[:, None] * self.w1
        return np.concatenate([head[:, None], tail], axis=1) * scale[:, None]


def _cone_norm(x: Real) -> Real:
    """√(x₀² − ‖x₁‖²), formed as a product to keep digits near the boundary."""
    radius = np.linalg.norm(x[:, 1:], axis=1)
    return np.asarray(np.sqrt((x[:, 0] - radius) * (x[:, 0] + radius)))


def _jordan(x: Real, y: Real) -> Real:
    """x ∘ y = (⟨x, y⟩, x₀ y₁ + y₀ x₁)."""
    return np.concatenate([np.einsum("gi,gi->g", x, y)[:, None], x[:, :1] * y[:, 1:] + y[:, :1] * x[:, 1:]], axis=1)


def _jordan_divide(x: Real, y: Real) -> Real:
    """The solution z of x ∘ z = y."""
    inner = np.einsum("gi,gi->g", x[:, 1:], y[:, 1:])
    head = (x[:, 0] * y[:, 0] - inner) / _cone_norm(x) ** 2
    return np.concatenate([head[:, None], (y[:, 1:] - head[:, None] * x[:, 1:]) / x[:, :1]], axis=1)


def _cone_step(x: Real, dx: Real) -> float:
    """The largest step that keeps x + step·dx in the cone."""
    a = dx[:, 0] ** 2 - np.einsum("gi,gi->g", dx[:, 1:], dx[:, 1:])
    b = x[:, 0] * dx[:, 0] - np.einsum("gi,gi->g", x[:, 1:], dx[:, 1:])
    c = _cone_norm(x) ** 2
    discriminant = np.sqrt(np.maximum(b * b - a * c, 0.0))
    # the roots of a s² + 2 b s + c in the form that does not cancel
    with np.errstate(divide="ignore", invalid="ignore"):
        roots = np.stack([c / (-b + discriminant), c / (-b - discriminant)])
    positive = roots[(roots > 0) & np.isfinite(roots)]
    return float(positive.min(initial=np.inf))


def _ray_step(x: Real, dx: Real) -> float:
    falling = dx < 0
    return float((x[falling] / -dx[falling]).min(initial=np.inf))


def feasible_pair(rows: GroupRows, b: Real, dual: Real) -> tuple[Real, Real, float]:
    """Scale b to Bb ≥ r, as far as float64 has that, and α to dual feasibility; their relative duality gap.

    It is inf if b separates nothing.
    """
    alpha = np.maximum(dual, 0.0)
    largest = np.linalg.norm(np.tensordot(alpha, rows.B, axes=1), axis=1).max()
    alpha = alpha / largest if largest > 0 else alpha
    noise = rows.products(b)
    margin = ((rows.margins(b) + np.where(noise > 1e-11 * rows.right, noise, 0.0)) / rows.right).min()
    if not margin > 0:
        return b, alpha, np.inf
    b = b / margin
    return b, alpha, 1.0 - float(rows.right @ alpha / np.linalg.norm(b, axis=1).sum())


def group_max_margin(rows: Array, right: Array, blocks: Callable[[Real], Real], tol: float) -> GroupSolution:
    """b and α of the group-norm max margin, both feasible, with their duality gap; inf for rows that do not separate.

    `blocks` makes B (N, G, m) of rows (N, D) in either format. Rows should have norms of order one, right sides at most
    one.

    When there are many more rows than unknowns it is solved on the rows that matter: start from the rows nearest to
    the closest point of their hull, add the most violated ones, repeat; each round costs as if N were a few times the
    number of unknowns.
    """
    n, unknowns = rows.shape[0], blocks(rows[:1]).size
    if n <= 4 * unknowns:
        return _solve(rows, right, blocks, tol)
    alpha, _ = least_distance(rows)
    chosen = np.argsort(rows @ (alpha @ rows))[: 2 * unknowns]
    while True:
        part = _solve(rows[chosen], right[chosen], blocks, tol)
        found = replace(part, dual=np.zeros(n, dtype=part.dual.dtype))
        found.dual[chosen] = part.dual
        if not np.isfinite(part.gap):
            return found
        violation = right - GroupRows(blocks(rows), right).margins(part.b)
        worst = np.argsort(-violation / right)[:unknowns]
        new = np.setdiff1d(worst[violation[worst] > 1e-12 * right[worst]], chosen)
        if new.size == 0:
            return found
        chosen = np.concatenate([chosen, new])


def _solve(rows: Array, right: Array, blocks: Callable[[Real], Real], tol: float) -> GroupSolution:
    """In float64; where the gap stays open carefully, and in the longest format if that takes seconds at most."""
    B = blocks(rows)
    found = _follow(GroupRows(B, right), tol)
    if abs(found.gap) <= tol:
        return found
    if len(B) * B.size <= LONG_UP_TO:
        again = _follow(GroupRows(blocks(rows.astype(np.longdouble)), right.astype(np.longdouble)), 1e-3 * tol, True)
    else:
        again = _follow(GroupRows(B, right), tol, True)
    return again if abs(again.gap) < abs(found.gap) or not np.isfinite(again.gap) else found


def _follow(rows: GroupRows, tol: float, careful: bool = False) -> GroupSolution:
    """The path and its polish; once more with larger right sides where rounding b could violate a constraint."""
    found = polish(rows, interior_point(rows, tol, careful))
    if np.isfinite(found.gap) and (raised := rows.representable(found.b)).right.sum() > rows.right.sum():
        found = polish(raised, interior_point(raised, tol, careful))
    return found


def interior_point(rows: GroupRows, tol: float, careful: bool = False, max_iterations: int = 100) -> GroupSolution:
    """Solve (1) to the relative gap `tol`, rounding allowing; gap inf and a Farkas α if κ > 0.

    Slacks are (s, κ) and multipliers (α, τ), of N + 1 entries.
    """
    n, n_groups, m = rows.B.shape
    flat = rows.B.reshape(n, n_groups * m)
    # half way to the dual's boundary, and the primal point centred with it: u ∘ v = μ e, s α = τ κ = μ
    dual = np.ones(n + 1, dtype=flat.dtype)
    dual[:n] = 0.5 / np.linalg.norm(flat.sum(axis=0).reshape(n_groups, m), axis=1).max()
    mu = (rows.right @ dual[:n]) / (n + n_groups + 1)
    v = _dual_cone(flat, n_groups, dual)
    u = np.concatenate([v[:, :1], -v[:, 1:]], axis=1) * (mu / _cone_norm(v) ** 2)[:, None]
    slack = mu / dual
    best = GroupSolution(u[:, 1:], dual[:n], np.inf, 0)
    for iteration in range(max_iterations):
        if not (np.isfinite(u).all() and np.isfinite(dual).all()):
            break
        b, alpha, gap = feasible_pair(rows, u[:, 1:] / dual[n], dual[:n])
        if alpha.sum() > INFEASIBLE:
            return GroupSolution(np.zeros_like(b), alpha / alpha.sum(), np.inf, iteration)
        if abs(gap) < abs(best.gap):
            best = GroupSolution(b, alpha, gap, iteration)
        if abs(best.gap) <= tol or (np.isfinite(best.gap) and iteration - best.iterations > 8):
            break
        try:
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                u, slack, dual = _mehrotra_step(flat, rows.right, u, slack, dual, careful)
        except (LinAlgError, ValueError):  # not positive definite, or not finite: rounding has the last word
            break
    return best


def _dual_cone(flat: Real, n_groups: int, dual: Real) -> Real:
    """v = (τ, −Bᵀα), shape (G, 1 + m)."""
    z = (dual[:-1] @ flat).reshape(n_groups, -1)
    return np.concatenate([np.full((n_groups, 1), dual[-1], dtype=flat.dtype), -z], axis=1)


class _NewtonSystem:
    """The Newton equations of (1) at one point, with all but α and τ eliminated."""

    def __init__(self, flat: Real, right: Real, u: Real, slack: Real, dual: Real, careful: bool) -> None:
        n, (n_groups, size) = len(flat), u.shape
        self.flat, self.right, self.u, self.slack, self.dual, self.careful = flat, right, u, slack, dual, careful
        self.v, s, alpha = _dual_cone(flat, n_groups, dual), slack[:n], dual[:n]
        W = self.W = _Scaling.of(u, self.v)
        self.primal_residual = right * dual[n] + s - flat @ u[:, 1:].reshape(-1)
        self.gap_residual = slack[n] + u[:, 0].sum() - right @ alpha
        # the N × N matrix B M Bᵀ with M_g = β²(I + 2 w₁w₁ᵀ) = (β(I + c w₁w₁ᵀ))²
        self.weight = 1.0 + 2.0 * np.einsum("gi,gi->g", W.w1, W.w1)
        blocks = flat.reshape(n, n_groups, size - 1)
        along = np.einsum("ngi,gi->ng", blocks, W.w1) * (2.0 / (1.0 + np.sqrt(self.weight)))
        half = np.empty_like(flat)
        for i in range(size - 1):  # by coordinate: numpy is slow where the last axis has two entries
            half[:, i :: size - 1] = (blocks[:, :, i] + along * W.w1[:, i]) * W.beta
        self.solve = normal_solver(half, s / alpha, careful)
        # κ ≪ rᵀα: there is a solution. Its scale is then free in (1), and rounding would be all that moves it: τ stays.
        self.feasible = bool(slack[n] <= 1e-3 * (right @ alpha))
        # What τ does to u is W²e = (·, q), and Hx = Bq with q = My. Sums of large terms cancel in dτ, but not in these.
        y = (2.0 * W.w0 / self.weight)[:, None] * W.w1
        q = (W.beta**2 * self.weight)[:, None] * y
        self.by_right, self.by_tau = self.solve(np.stack([right, flat @ q.reshape(-1)], axis=1)).T
        self.short = y - (self.by_tau @ flat).reshape(n_groups, -1)
        left = np.einsum("gi,gi->g", self.short, self.short) + 2.0 * np.einsum("gi,gi->g", W.w1, self.short) ** 2
        self.pivot = right @ self.by_right + W.beta**2 @ (left + 1.0 / self.weight)
        self.pivot = self.pivot + self.by_tau**2 @ (s / alpha) + slack[n] / dual[n]

    def direction(self, cone: Real, ray: Real, share: float) -> tuple[Real, Real, Real, Real]:
        """Solve W⁻¹du + W dv = cone, dual·dslack + slack·ddual = ray, and `share` of the residuals of (1)."""
        W, flat, n, n_groups = self.W, self.flat, len(self.flat), len(cone)
        scaled = W.apply(cone)
        moved = share * self.primal_residual + ray[:n] / self.dual[:n]
        fixed = self.solve(moved - flat @ scaled[:, 1:].reshape(-1))
        kept = W.w0 * cone[:, 0] - np.einsum("gi,gi->g", W.w1, cone[:, 1:])
        d_tau = share * self.gap_residual + (W.beta / self.weight) @ kept + np.vdot(self.short, scaled[:, 1:])
        d_tau = d_tau + self.by_tau @ moved + ray[n] / self.dual[n] - self.right @ fixed
        d_tau = 0.0 if self.feasible else d_tau / self.pivot
        d_dual = np.append(fixed + d_tau * (self.by_right + self.by_tau), d_tau)
        dv = _dual_cone(flat, n_groups, d_dual)
        du, d_slack = scaled - W.apply(W.apply(dv)), (ray - self.slack * d_dual) / self.dual
        for _ in range(2 if self.careful else 0):  # W² has magnified the rounding of dv, and B du takes differences
            missing = share * self.primal_residual + self.right * d_tau + d_slack[:n] - flat @ du[:, 1:].reshape(-1)
            more = np.append(self.solve(missing), 0.0)
            dv_more = _dual_cone(flat, n_groups, more)
            du, dv = du - W.apply(W.apply(dv_more)), dv + dv_more
            d_slack, d_dual = d_slack - self.slack * more / self.dual, d_dual + more
        return du, dv, d_slack, d_dual

    def steps(self, du: Real, dv: Real, d_slack: Real, d_dual: Real, most: float = 1.0) -> tuple[float, float]:
        """To the boundary of the primal and the dual cone; one step for both while τ moves, which is in both."""
        primal = min(most * min(_cone_step(self.u, du), _ray_step(self.slack, d_slack)), 1.0)
        dual = min(most * min(_cone_step(self.v, dv), _ray_step(self.dual, d_dual)), 1.0)
        return (primal, dual) if self.feasible else (min(primal, dual),) * 2


def _mehrotra_step(flat: Real, right: Real, u: Real, slack: Real, dual: Real, careful: bool) -> tuple[Real, Real, Real]:
    system = _NewtonSystem(flat, right, u, slack, dual, careful)
    W, degree = system.W, len(flat) + len(u) + 1
    lam, mu = W.apply(system.v), (np.vdot(u, system.v) + slack @ dual) / degree
    du, dv, d_slack, d_dual = system.direction(-lam, -slack * dual, 1.0)
    primal, other = system.steps(du, dv, d_slack, d_dual)
    affine = np.vdot(u + primal * du, system.v + other * dv) + (slack + primal * d_slack) @ (dual + other * d_dual)
    centring = float(np.clip(affine / degree / mu, 0.0, 1.0)) ** 3
    correction = _jordan(W.apply(du, inverse=True), W.apply(dv)) + _jordan(lam, lam)
    correction[:, 0] -= centring * mu
    ray = centring * mu - slack * dual - d_slack * d_dual
    share = 1.0 if system.feasible else 1.0 - centring
    du, dv, d_slack, d_dual = system.direction(-_jordan_divide(lam, correction), ray, share)
    primal, other = system.steps(du, dv, d_slack, d_dual, 0.99)
    return u + primal * du, slack + primal * d_slack, dual + other * d_dual


def polish(rows: GroupRows, start: GroupSolution) -> GroupSolution:
    """Newton's method on the groups and rows found active. Returns the better of start and result."""
    B, slack = rows.B, rows.margins(start.b) - rows.right
    active = np.flatnonzero(start.dual * start.dual.size > slack * start.dual.sum())
    sizes = np.linalg.norm(start.b, axis=1)
    inside = 1.0 - np.linalg.norm(np.tensordot(start.dual, B, axes=1), axis=1)
    groups = np.flatnonzero(sizes * sizes.size > inside * sizes.sum())
    if not np.isfinite(start.gap) or active.size == 0 or groups.size == 0:
        return start
    if active.size + groups.size * B.shape[2] > 4000:
        return start
    found = newton_on_support(B, np.ones(B.shape[1]), 1.0, start.b, start.dual, groups, active, right=rows.right)
    if found is None:
        return start
    b, dual, gap = feasible_pair(rows, *found)
    return GroupSolution(b, dual, gap, start.iterations, polished=True) if abs(gap) < abs(start.gap) else start
