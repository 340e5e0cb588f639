"""The path of a self-dual interior point for group norms.

    min Σ_g ‖b_g‖₂   s.t.  Σ_g B_g b_g ≥ r          dual:  max rᵀα  s.t.  α ≥ 0, ‖B_gᵀα‖₂ ≤ 1 for every g

The homogeneous embedding asks for u_g = (t_g, b_g) and v_g = (τ, −B_gᵀα) in the cone {‖b_g‖₂ ≤ t_g}, and s, α, τ, κ ≥ 0
with

    B b − s = τ r,        rᵀα − Σ_g t_g = κ,        u ∘ v = 0,  s α = 0,  τ κ = 0.                                (1)

It has a solution with τ + κ > 0. If τ > 0, then b/τ and α/τ solve the problem; if κ > 0, then Bᵀα = 0 with rᵀα > 0, and
no b separates the rows: the method needs no start, and proves infeasibility too. The dual half of (1) holds by
construction, so that every iterate is a proof of a lower bound.

Steps are Mehrotra's with Nesterov and Todd's scaling. All but α and τ is eliminated in closed form; a step costs one
N × N Cholesky factorization, O(N² G m).

Reference: Andersen, Dahl, Vandenberghe, "The CVXOPT linear and quadratic cone program solvers" (2010), for the scaling;
Xu, Hung, Ye (1996), "A simplified homogeneous and self-dual linear programming algorithm", for (1).
"""

from __future__ import annotations

import numpy as np
from numpy.linalg import LinAlgError

from solvers.algorithms.factorizations import Real, normal_solver
from solvers.algorithms.group_rows import GroupRows, GroupSolution, scaled_pair
from solvers.algorithms.second_order_cones import Scaling, jordan, jordan_divide, longest_steps, squared_norms

INFEASIBLE = 1e13
"""A lower bound above this, in units of rows and right sides of order one, is rounding: no b separates the rows."""

_CACHED = 1 << 15  # numbers that are handled together


class InteriorPoint:
    """The path of (1), from its start or from where it was left.

    u and v are columns of (1 + m, 2, G); slacks are (s, κ) and multipliers (α, τ), of N + 1 entries.
    """

    def __init__(self, rows: GroupRows, careful: bool = False) -> None:
        n, n_groups, m = rows.B.shape
        self.rows, self.careful, self.iteration = rows, careful, 0
        self.flat = np.ascontiguousarray(rows.B.transpose(0, 2, 1)).reshape(n, m * n_groups)
        # half way to the dual's boundary unless rows sum to zero, and the primal point centred with it: u ∘ v = μ e,
        # s α = τ κ = μ
        self.pair = np.empty((1 + m, 2, n_groups), dtype=self.flat.dtype)
        dual = np.ones(n + 1, dtype=self.flat.dtype)
        largest = np.linalg.norm(self.flat.sum(axis=0).reshape(m, n_groups), axis=0).max()
        dual[:n] = 0.5 / max(largest, 1.0 / INFEASIBLE)
        self._set_dual(dual)
        mu = (rows.right @ dual[:n]) / (n + n_groups + 1)
        v = self.pair[:, 1]
        self.pair[:, 0] = v * (mu / squared_norms(v))
        self.pair[1:, 0] *= -1.0
        self.slack = mu / dual
        self.best = GroupSolution(self.pair[1:, 0].T.copy(), dual[:n], np.inf, 0)

    def _set_dual(self, dual: Real) -> None:
        self.dual = dual
        self.pair[0, 1] = dual[-1]
        self.pair[1:, 1] = -(dual[:-1] @ self.flat).reshape(-1, self.pair.shape[2])

    def follow(self, tol: float, max_iterations: int = 100) -> GroupSolution:
        """To the relative gap `tol`, rounding allowing; gap inf and a Farkas α if κ > 0."""
        while self.iteration < max_iterations:
            if not (np.isfinite(self.pair).all() and np.isfinite(self.dual).all()):
                break
            tau, n = self.dual[-1], len(self.flat)
            covered = self.flat @ self.pair[1:, 0].reshape(-1)
            largest = np.sqrt(np.add.reduce(self.pair[1:, 1] ** 2).max())
            b, alpha, gap = scaled_pair(self.rows, self.pair[1:, 0].T / tau, self.dual[:n], covered / tau, largest)
            if alpha.sum() > INFEASIBLE:
                return GroupSolution(np.zeros_like(b), alpha / alpha.sum(), np.inf, self.iteration)
            if abs(gap) < abs(self.best.gap):
                self.best = GroupSolution(b, alpha, gap, self.iteration)
            if abs(self.best.gap) <= tol or (np.isfinite(self.best.gap) and self.iteration - self.best.iterations > 8):
                break
            try:
                with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                    self._step(covered)
            except (LinAlgError, ValueError):  # not positive definite, or not finite: rounding has the last word
                break
            self.iteration += 1
        return self.best

    def _step(self, covered: Real) -> None:
        """Mehrotra's."""
        pair, slack, dual = self.pair, self.slack, self.dual
        system = _NewtonSystem(self.flat, self.rows.right, pair, covered, slack, dual, self.careful)
        lam, degree = system.lam, dual.size + pair.shape[2]
        mu = (np.vdot(pair[:, 0], pair[:, 1]) + slack @ dual) / degree
        d, d_slack, d_dual = system.direction(-lam, -slack * dual, 1.0)
        primal, other = system.steps(d, d_slack, d_dual)
        reached = pair + np.array([[primal], [other]]) * d
        affine = np.vdot(reached[:, 0], reached[:, 1]) + (slack + primal * d_slack) @ (dual + other * d_dual)
        centring = min(max(float(affine / degree / mu), 0.0), 1.0) ** 3
        scaled = system.W.apply_to_pair(d)
        correction = jordan(scaled[:, 0], scaled[:, 1])
        correction[0] -= centring * mu
        ray = centring * mu - slack * dual - d_slack * d_dual
        share = 1.0 if system.feasible else 1.0 - centring
        d, d_slack, d_dual = system.direction(-jordan_divide(lam, correction) - lam, ray, share)
        primal, other = system.steps(d, d_slack, d_dual, 0.99)
        pair[:, 0] += primal * d[:, 0]
        self.slack = slack + primal * d_slack
        self._set_dual(dual + other * d_dual)


class _NewtonSystem:
    """The Newton equations of (1) at one point, with all but α and τ eliminated."""

    def __init__(
        self, flat: Real, right: Real, pair: Real, covered: Real, slack: Real, dual: Real, careful: bool
    ) -> None:
        n = len(flat)
        self.flat, self.right, self.pair, self.slack, self.dual, self.careful = flat, right, pair, slack, dual, careful
        s, alpha = slack[:n], dual[:n]
        self.squares = squared_norms(pair)
        W = self.W = Scaling.of(pair, self.squares)
        self.lam = W.apply(pair[:, 1])
        self.primal_residual = right * dual[n] + s - covered
        self.gap_residual = slack[n] + pair[0, 0].sum() - right @ alpha
        # the N × N matrix B M Bᵀ with M_g = β²(I + 2 w₁w₁ᵀ) = (β(I + c w₁w₁ᵀ))²
        self.weight = 1.0 + 2.0 * np.add.reduce(W.w1 * W.w1)
        half = _scaled_rows(flat, W, 2.0 / (1.0 + np.sqrt(self.weight)))
        self.solve = normal_solver(half, s / alpha, careful)
        # κ ≪ rᵀα: there is a solution. Its scale is then free in (1), and rounding would be all that moves it: τ stays.
        self.feasible = bool(slack[n] <= 1e-3 * (right @ alpha))
        # What τ does to u is W²e = (·, q), and Hx = Bq with q = My. Sums of large terms cancel in dτ, but not in these.
        y = (2.0 * W.w0 / self.weight) * W.w1
        q = (W.beta**2 * self.weight) * y
        self.by_right, self.by_tau = self.solve(np.stack([right, flat @ q.reshape(-1)], axis=1)).T
        self.short = y - (self.by_tau @ flat).reshape(y.shape)
        left = np.add.reduce(self.short**2) + 2.0 * np.add.reduce(W.w1 * self.short) ** 2
        self.pivot = right @ self.by_right + W.beta**2 @ (left + 1.0 / self.weight)
        self.pivot = self.pivot + self.by_tau**2 @ (s / alpha) + slack[n] / dual[n]

    def direction(self, cone: Real, ray: Real, share: float) -> tuple[Real, Real, Real]:
        """Solve W⁻¹du + W dv = cone, dual·dslack + slack·ddual = ray, and `share` of the residuals of (1)."""
        W, flat, n = self.W, self.flat, len(self.flat)
        scaled = W.apply(cone)
        moved = share * self.primal_residual + ray[:n] / self.dual[:n]
        fixed = self.solve(moved - flat @ scaled[1:].reshape(-1))
        kept = W.w0 * cone[0] - np.add.reduce(W.w1 * cone[1:])
        d_tau = 0.0
        if not self.feasible:
            d_tau = share * self.gap_residual + (W.beta / self.weight) @ kept + np.vdot(self.short, scaled[1:])
            d_tau = d_tau + self.by_tau @ moved + ray[n] / self.dual[n] - self.right @ fixed
            d_tau = d_tau / self.pivot
        d_dual = np.append(fixed + d_tau * (self.by_right + self.by_tau), d_tau)
        d = np.empty_like(self.pair)
        d[:, 1] = self._dual_cone(d_dual)
        d[:, 0], d_slack = scaled - W.apply(W.apply(d[:, 1])), (ray - self.slack * d_dual) / self.dual
        for _ in range(2 if self.careful else 0):  # W² has magnified the rounding of dv, and B du takes differences
            missing = share * self.primal_residual + self.right * d_tau + d_slack[:n] - flat @ d[1:, 0].reshape(-1)
            more = np.append(self.solve(missing), 0.0)
            dv_more = self._dual_cone(more)
            d[:, 0] -= W.apply(W.apply(dv_more))
            d[:, 1] += dv_more
            d_slack, d_dual = d_slack - self.slack * more / self.dual, d_dual + more
        return d, d_slack, d_dual

    def _dual_cone(self, dual: Real) -> Real:
        """v = (τ, −Bᵀα), shape (1 + m, G)."""
        v = np.empty_like(self.lam)
        v[0] = dual[-1]
        v[1:] = -(dual[:-1] @ self.flat).reshape(-1, v.shape[1])
        return v

    def steps(self, d: Real, d_slack: Real, d_dual: Real, most: float = 1.0) -> tuple[float, float]:
        """To the boundary of the primal and the dual cone; one step for both while τ moves, which is in both."""
        cones = longest_steps(self.pair, self.squares, d)
        primal = min(most * min(float(cones[0]), _ray_step(self.slack, d_slack)), 1.0)
        dual = min(most * min(float(cones[1]), _ray_step(self.dual, d_dual)), 1.0)
        return (primal, dual) if self.feasible else (min(primal, dual),) * 2


def _scaled_rows(flat: Real, W: Scaling, c: Real) -> Real:
    """B_g β(I + c w₁w₁ᵀ) for every group, by rows that stay in the processor's cache."""
    m, n_groups = W.w1.shape
    scaled, beta, along = np.empty_like(flat), np.tile(W.beta, m), c * W.w1
    step = max(1, _CACHED // flat.shape[1])
    for start in range(0, len(flat), step):
        part = np.multiply(flat[start : start + step], beta, out=scaled[start : start + step])
        blocks = part.reshape(-1, m, n_groups)
        products = blocks * along
        np.multiply(np.add.reduce(products, axis=1)[:, None], W.w1, out=products)
        blocks += products
    return scaled


def _ray_step(x: Real, dx: Real) -> float:
    falling = dx < 0
    return float((x[falling] / -dx[falling]).min(initial=np.inf))
