"""Group-norm max margin by a primal-dual interior-point method, finished on the active set.

    min Σ_g ‖b_g‖₂   s.t.  Σ_g B_g b_g ≥ 1          dual:  max 1ᵀα  s.t.  α ≥ 0, ‖B_gᵀα‖₂ ≤ 1 for every g

with N constraints and G groups of m coordinates: B has shape (N, G, m). In the Fourier domain a group is a pair of
conjugate frequencies (m = 2: real and imaginary part).

The method takes Mehrotra's steps with Nesterov and Todd's scaling on the cones {‖b_g‖₂ ≤ t_g}. Since the dual slack of
t_g is the constant 1, all of b and t are eliminated in closed form and a step costs one N × N Cholesky factorization,
O(N² G m). It stops on the duality gap of a feasible pair; then Newton's method on the optimality conditions of the
groups and constraints found active takes the gap to rounding, where these are nondegenerate.

Reference: Andersen, Dahl, Vandenberghe, "The CVXOPT linear and quadratic cone program solvers" (2010), for the scaling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from solvers.algorithms.active_set import newton_on_support
from solvers.algorithms.least_distance import NEGLIGIBLE_MARGIN, least_distance
from solvers.algorithms.reweighting import reweighted
from solvers.arrays import Array


@dataclass(frozen=True)
class GroupSolution:
    """b (G, m), α (N,), both scaled to feasibility, their relative duality gap, and how they were found."""

    b: Array
    dual: Array
    gap: float
    iterations: int
    polished: bool = False


@dataclass(frozen=True)
class _Scaling:
    """The Nesterov–Todd scaling of u = (t, b) and v = (1, −z): W v = W⁻¹ u = λ; W² = β²(2 w wᵀ − J)."""

    beta: Array
    w0: Array
    w1: Array

    @classmethod
    def of(cls, u: Array, v: Array) -> _Scaling:
        u_norm, v_norm = _cone_norm(u), _cone_norm(v)
        u_bar, v_bar = u / u_norm[:, None], v / v_norm[:, None]
        gamma = np.sqrt((1.0 + np.einsum("gi,gi->g", u_bar, v_bar)) / 2.0)
        v_bar[:, 1:] *= -1.0
        w = (u_bar + v_bar) / (2.0 * gamma[:, None])
        return cls(np.sqrt(u_norm / v_norm), w[:, 0], w[:, 1:])

    def apply(self, x: Array, inverse: bool = False) -> Array:
        sign = -1.0 if inverse else 1.0
        scale = 1.0 / self.beta if inverse else self.beta
        inner = np.einsum("gi,gi->g", self.w1, x[:, 1:])
        head = self.w0 * x[:, 0] + sign * inner
        tail = x[:, 1:] + (sign * x[:, 0] + inner / (1.0 + self.w0))[:, None] * self.w1
        return np.concatenate([head[:, None], tail], axis=1) * scale[:, None]


def _cone_norm(x: Array) -> Array:
    """√(x₀² − ‖x₁‖²), formed as a product to keep digits near the boundary."""
    radius = np.linalg.norm(x[:, 1:], axis=1)
    return np.asarray(np.sqrt((x[:, 0] - radius) * (x[:, 0] + radius)))


def _jordan(x: Array, y: Array) -> Array:
    """x ∘ y = (⟨x, y⟩, x₀ y₁ + y₀ x₁)."""
    return np.concatenate([np.einsum("gi,gi->g", x, y)[:, None], x[:, :1] * y[:, 1:] + y[:, :1] * x[:, 1:]], axis=1)


def _jordan_divide(x: Array, y: Array) -> Array:
    """The solution z of x ∘ z = y."""
    inner = np.einsum("gi,gi->g", x[:, 1:], y[:, 1:])
    head = (x[:, 0] * y[:, 0] - inner) / _cone_norm(x) ** 2
    return np.concatenate([head[:, None], (y[:, 1:] - head[:, None] * x[:, 1:]) / x[:, :1]], axis=1)


def _cone_step(x: Array, dx: Array) -> float:
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


def _ray_step(x: Array, dx: Array) -> float:
    falling = dx < 0
    return float((x[falling] / -dx[falling]).min(initial=np.inf))


def feasible_pair(B: Array, b: Array, dual: Array) -> tuple[Array, Array, float]:
    """Scale b to margin one and α to dual feasibility; their relative duality gap (inf if b separates nothing)."""
    alpha = np.maximum(dual, 0.0)
    largest = float(np.linalg.norm(np.tensordot(alpha, B, axes=1), axis=1).max())
    alpha = alpha / largest if largest > 0 else alpha
    margin = float(np.tensordot(B, b, axes=2).min())
    if not margin > 0:
        return b, alpha, np.inf
    b = b / margin
    return b, alpha, 1.0 - float(alpha.sum()) / float(np.linalg.norm(b, axis=1).sum())


def _solve(B: Array, tol: float) -> GroupSolution:
    """Interior point, then Newton; where a tiny margin leaves the first too few digits, reweighted ℓ2 before Newton."""
    flat = B.reshape(B.shape[0], -1)
    closest, distance = least_distance(flat / np.linalg.norm(flat, axis=1).max())
    if distance <= NEGLIGIBLE_MARGIN:
        return GroupSolution(np.zeros(B.shape[1:]), closest, np.inf, 0)
    # The start, well inside the dual: the l2 multipliers cancel in Bᵀα as the optimal ones must when the margin is
    # small, and the rest must not drown that.
    found = polish(B, interior_point(B, closest + distance / closest.size, tol))
    if found.gap <= tol:
        return found
    omega = np.ones(B.shape[1])
    b, dual = reweighted(B, omega, 1.0, omega, 1.0)
    b, dual, gap = feasible_pair(B, b, dual)
    other = polish(B, GroupSolution(b, dual, gap, found.iterations))
    return other if abs(other.gap) < abs(found.gap) else found


def group_max_margin(B: Array, tol: float) -> GroupSolution:
    """b and α of the group-norm max margin, both feasible, with their duality gap; inf for rows that do not separate.

    When there are many more rows than unknowns it is solved on the rows that matter: start from the rows nearest to
    the closest point of their hull, add the most violated ones, repeat; each round costs as if N were a few times the
    number of unknowns.
    """
    n, unknowns = B.shape[0], B.shape[1] * B.shape[2]
    if n <= 4 * unknowns:
        return _solve(B, tol)
    flat = B.reshape(n, unknowns)
    alpha, _ = least_distance(flat)
    chosen = np.argsort(flat @ (alpha @ flat))[: 2 * unknowns]
    while True:
        part = _solve(B[chosen], tol)
        dual = np.zeros(n)
        dual[chosen] = part.dual
        b, dual, gap = feasible_pair(B, part.b, dual)
        violation = 1.0 - np.tensordot(B, part.b, axes=2)
        violated = np.flatnonzero(violation > 1e-12)
        found = GroupSolution(b, dual, gap, part.iterations, part.polished)
        if gap <= tol or not np.isfinite(part.gap):
            return found
        new = np.setdiff1d(violated[np.argsort(-violation[violated])][:unknowns], chosen)
        if new.size == 0:
            return found
        chosen = np.concatenate([chosen, new])


def interior_point(B: Array, start: Array, tol: float, max_iterations: int = 100) -> GroupSolution:
    """Minimize Σ_g ‖b_g‖ s.t. Bb ≥ 1 (separable rows) from α ∝ start > 0 to relative gap `tol`, rounding allowing."""
    n, n_groups, m = B.shape
    flat = B.reshape(n, n_groups * m)
    ones = np.ones((n_groups, 1))
    # half way to the dual's boundary, and the primal point centred with it: u ∘ v = μ e, s α = μ
    alpha = start * (0.5 / np.linalg.norm((start @ flat).reshape(n_groups, m), axis=1).max())
    mu = float(alpha.sum()) / (n + n_groups)
    u = np.concatenate([ones, (alpha @ flat).reshape(n_groups, m)], axis=1)
    u = u * (mu / _cone_norm(u) ** 2)[:, None]
    s = mu / alpha
    best = GroupSolution(u[:, 1:], alpha, np.inf, 0)
    for iteration in range(max_iterations):
        if not (np.isfinite(u).all() and np.isfinite(alpha).all()):
            break
        b, scaled, gap = feasible_pair(B, u[:, 1:], alpha)
        if gap < best.gap:
            best = GroupSolution(b, scaled, gap, iteration)
        if best.gap <= tol or (np.isfinite(best.gap) and iteration - best.iterations > 8):
            break
        v = np.concatenate([ones, -(alpha @ flat).reshape(n_groups, m)], axis=1)
        try:
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                u, s, alpha = _mehrotra_step(flat, u, v, s, alpha)
        except (LinAlgError, ValueError):  # not positive definite, or not finite: rounding has the last word
            break
    return best


def _mehrotra_step(flat: Array, u: Array, v: Array, s: Array, alpha: Array) -> tuple[Array, Array, Array]:
    n, n_groups, m = alpha.size, u.shape[0], u.shape[1] - 1
    mu = (float(np.vdot(u, v)) + float(s @ alpha)) / (n + n_groups)
    W = _Scaling.of(u, v)
    lam = W.apply(v)
    residual = 1.0 + s - flat @ u[:, 1:].reshape(-1)
    # the N × N matrix B M Bᵀ with M_g = β²(I + 2 w₁w₁ᵀ) = (β(I + c w₁w₁ᵀ))²
    c = 2.0 / (1.0 + np.sqrt(1.0 + 2.0 * np.einsum("gi,gi->g", W.w1, W.w1)))
    blocks = flat.reshape(n, n_groups, m)
    along = np.einsum("ngi,gi->ng", blocks, W.w1)
    half = ((blocks + (c * along)[:, :, None] * W.w1) * W.beta[:, None]).reshape(n, -1)
    hessian = half @ half.T
    hessian[np.diag_indices(n)] += s / alpha
    factor = cho_factor(hessian)

    def direction(cone: Array, ray: Array) -> tuple[Array, Array, Array, Array]:
        """Solve W⁻¹du + W dv = cone, α ds + s dα = ray, B db − ds = residual, dv = (0, −Bᵀdα)."""
        scaled = W.apply(cone)
        d_alpha = cho_solve(factor, residual - flat @ scaled[:, 1:].reshape(-1) + ray / alpha)
        dv = np.concatenate([np.zeros((n_groups, 1)), -(d_alpha @ flat).reshape(n_groups, m)], axis=1)
        return scaled - W.apply(W.apply(dv)), dv, (ray - s * d_alpha) / alpha, d_alpha

    du, dv, ds, d_alpha = direction(-lam, -s * alpha)
    primal = min(_cone_step(u, du), _ray_step(s, ds), 1.0)
    dual = min(_cone_step(v, dv), _ray_step(alpha, d_alpha), 1.0)
    affine = float(np.vdot(u + primal * du, v + dual * dv)) + float((s + primal * ds) @ (alpha + dual * d_alpha))
    target = mu * float(np.clip(affine / (n + n_groups) / mu, 0.0, 1.0)) ** 3
    correction = _jordan(W.apply(du, inverse=True), W.apply(dv)) + _jordan(lam, lam)
    correction[:, 0] -= target
    du, dv, ds, d_alpha = direction(-_jordan_divide(lam, correction), target - s * alpha - ds * d_alpha)
    primal = min(0.99 * min(_cone_step(u, du), _ray_step(s, ds)), 1.0)
    dual = min(0.99 * min(_cone_step(v, dv), _ray_step(alpha, d_alpha)), 1.0)
    return u + primal * du, s + primal * ds, alpha + dual * d_alpha


def polish(B: Array, start: GroupSolution) -> GroupSolution:
    """Newton's method on the groups and rows found active. Returns the better of start and result."""
    slack = np.tensordot(B, start.b, axes=2) - 1.0
    rows = np.flatnonzero(start.dual * start.dual.size > slack * start.dual.sum())
    sizes = np.linalg.norm(start.b, axis=1)
    inside = 1.0 - np.linalg.norm(np.tensordot(start.dual, B, axes=1), axis=1)
    groups = np.flatnonzero(sizes * sizes.size > inside * sizes.sum())
    if rows.size == 0 or groups.size == 0 or rows.size + groups.size * B.shape[2] > 4000:
        return start
    found = newton_on_support(B, np.ones(B.shape[1]), 1.0, start.b, start.dual, groups, rows)
    if found is None:
        return start
    b, dual, gap = feasible_pair(B, *found)
    return GroupSolution(b, dual, gap, start.iterations, polished=True) if abs(gap) < abs(start.gap) else start
