"""Spectral-norm max margin of a matrix by a primal-dual interior-point method.

    min ‖β‖₂   s.t.  A β ≥ r            dual:  max rᵀα  s.t.  α ≥ 0, ‖Aᵀα‖_* ≤ 1

β and Z = Aᵀα are M × D; A has n rows. It is solved as max γ s.t. Au ≥ γr, F = I − uuᵀ ⪰ 0, with β = u/γ. With slacks
s = Au − γr and the multiplier Y of F the central path is

    Y F = μI,   s α = μ,   Yu = Z,   rᵀα = 1,

and tr Y − γ = tr YF + sᵀα bounds the gap, for ‖Z‖_* ≤ ½(tr Y + tr ZᵀY⁻¹Z) = ½(tr Y + ⟨Z, u⟩). It is the nuclear norm's
path with the parts of β and Z exchanged, and a step is taken in the same direction (`solvers.algorithms.nuclear_norm`):
with ΔZ = H Δu + constants, H ⪰ 0 of order M·D, it solves

    (Bᵀ diag(α/s) B + diag(H, 0)) (Δu, Δγ) = …,        B = [A, −r].

H has a factor, H = CCᵀ. So the system is solved by a Cholesky factorization of order M·D + 1, and where rounding ends
that path early by an orthogonal one of [diag(α/s)^½ B; Cᵀ], which does not square the condition number.

Reference: Helmberg, Rendl, Vanderbei, Wolkowicz (1996), for the direction; Mehrotra (1992) for the step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.linalg import LinAlgError

from solvers.algorithms.factorizations import normal_solver
from solvers.algorithms.nuclear_norm import in_cone, in_ray, symmetric
from solvers.arrays import Array
from solvers.extended_precision import extended_product
from solvers.solution import Uniqueness

CENTRAL = 1e-2
"""Of points far from the path the steps get short."""


@dataclass(frozen=True)
class SpectralSolution:
    """β (M, D) of margins r and more, α (n,) scaled to ‖Aᵀα‖_* = 1, and their relative duality gap."""

    beta: Array
    dual: Array
    gap: float
    iterations: int

    @classmethod
    def of(cls, rows: Array, right: Array, beta: Array, alpha: Array, iterations: int) -> SpectralSolution:
        """Both scaled to feasibility; a gap of inf where one of them is of no use."""
        margin = float((extended_product(rows, beta.reshape(-1)) / right).min())
        size = float(np.linalg.norm((alpha @ rows).reshape(beta.shape), "nuc"))
        if not (margin > 0 and size > 0 and alpha.min() >= 0):
            return cls(beta, alpha, np.inf, iterations)
        gap = abs(1.0 - float(right @ alpha) / size * margin / float(np.linalg.norm(beta, 2)))
        return cls(beta / margin, alpha / size, gap, iterations)


@dataclass(frozen=True)
class _Point:
    """A point inside."""

    Y: Array
    u: Array
    gamma: float
    s: Array
    alpha: Array

    @property
    def F(self) -> Array:
        return np.eye(len(self.u)) - self.u @ self.u.T

    @property
    def complementarity(self) -> float:
        """The mean product μ."""
        total = float(np.vdot(self.Y, self.F)) + float(self.s @ self.alpha)
        return total / (self.s.size + len(self.u))

    @property
    def central(self) -> bool:
        """Whether every product on the path is `CENTRAL` of the mean at least."""
        if np.linalg.norm(self.u, 2) >= 1.0:
            return False
        L = np.linalg.cholesky(self.F)
        products = np.linalg.eigvalsh(L.T @ self.Y @ L)
        return min(float(products[0]), float((self.s * self.alpha).min())) >= CENTRAL * self.complementarity

    def moved(self, step: _Point, length: float) -> _Point:
        Y, u, gamma, s, alpha = (
            mine + length * its for mine, its in zip(vars(self).values(), vars(step).values(), strict=True)
        )
        return _Point(symmetric(Y), u, gamma, s, alpha)

    def longest(self, step: _Point) -> float:
        """The step to the boundary, F to first order."""
        change = -(step.u @ self.u.T + self.u @ step.u.T)
        in_cones = in_cone(self.Y, step.Y), in_cone(self.F, change)
        return min(*in_cones, in_ray(self.s, step.s), in_ray(self.alpha, step.alpha))


def spectral_max_margin(
    rows: Array, right: Array, shape: tuple[int, int], tol: float, careful: bool
) -> SpectralSolution:
    """The path until the relative gap is `tol`, or rounding stops the progress; the best point on the way.

    `rows` are the rows of A, (n, M·D), of norms of order one; right sides (n,) are positive and at most one. M ≤ D is
    faster than M > D. `careful` is by orthogonal factorizations.
    """
    alpha = 1.0 / (right.size * right)
    Z = (alpha @ rows).reshape(shape)
    size = float(np.linalg.norm(Z, 2))
    if size == 0.0:  # α says that no β separates the rows
        return SpectralSolution(Z, alpha, np.inf, 0)
    u = Z / (2.0 * size)
    margins = rows @ u.reshape(-1)
    gamma = float((margins / right).min()) - 1.0
    at = _Point(2.0 * size * np.eye(shape[0]), u, gamma, margins - gamma * right, alpha)
    best = SpectralSolution(u, alpha, np.inf, 0)
    smallest, last = at.complementarity, 0
    for iteration in range(100):
        try:
            found = SpectralSolution.of(rows, right, at.u, at.alpha, iteration)
            best = found if found.gap < best.gap else best
            if at.complementarity < 0.9 * smallest:
                smallest, last = at.complementarity, iteration
            if best.gap <= tol or iteration - last > 5:
                break
            at = _step(rows, right, at, careful)
        except (LinAlgError, ValueError):  # not positive definite, or not finite: rounding has the last word
            break
    return best


def _factor(at: _Point) -> Array:
    """C with CCᵀ = H, (M·D, M·D + M²): ⟨Δ, HΔ⟩ = tr ΔᵀYΔ + ½ tr S Y S Q, S = Δuᵀ + uΔᵀ, Q = F⁻¹."""
    M, D = at.u.shape
    P, sigma, _ = np.linalg.svd(at.u)
    distance = np.ones(M)
    distance[: sigma.size] = ((1.0 - sigma) * (1.0 + sigma)).clip(1e-16)
    left, right = np.linalg.cholesky(at.Y).T, P / np.sqrt(2.0 * distance)
    # Δ ↦ left S right, for Δ = e_i e_dᵀ: left[:, i] (uᵀ right)[d] + (left u)[:, d] right[i]
    bent = np.einsum("ai,db->idab", left, at.u.T @ right) + np.einsum("ad,ib->idab", left @ at.u, right)
    straight = np.kron(left, np.eye(D)).T
    return np.column_stack([straight, bent.reshape(M * D, M * M)])


def _step(rows: Array, right: Array, at: _Point, careful: bool) -> _Point:
    M, D = at.u.shape
    Q = np.asarray(np.linalg.inv(at.F), dtype=np.float64)
    B = np.column_stack([rows, -right])
    C = np.hstack([(B * np.sqrt(at.alpha / at.s)[:, None]).T, np.vstack([_factor(at), np.zeros(M * D + M * M)])])
    solve = normal_solver(C, np.zeros(M * D + 1), careful)
    primal = right * at.gamma + at.s - rows @ at.u.reshape(-1)
    missing = 1.0 - float(right @ at.alpha)
    Z = (at.alpha @ rows).reshape(M, D)

    def direction(target: Array, centre: Array, second: Array, curved: Array) -> _Point:
        """ΔY = target + ½(Y(Δu uᵀ + u Δuᵀ + curved)Q + …), αΔs + sΔα = centre, ΔZ = HΔu + known."""
        known = (target + symmetric(at.Y @ curved @ Q) + at.Y) @ at.u - Z + second
        k = (centre + at.alpha * primal) / at.s
        constant = k @ B + np.append(-known.reshape(-1), missing)
        both = solve(constant)
        u, gamma = both[:-1].reshape(M, D), float(both[-1])
        alpha = k - at.alpha * (B @ both) / at.s
        Y = target + symmetric(at.Y @ (u @ at.u.T + at.u @ u.T + curved) @ Q)
        return _Point(Y, u, gamma, (centre - at.s * alpha) / at.alpha, alpha)

    mu = at.complementarity
    first = direction(-at.Y, -at.s * at.alpha, np.zeros((M, D)), np.zeros((M, M)))
    after = at.moved(first, min(1.0, at.longest(first))).complementarity
    goal = mu * min(max(after / mu, 1e-3), 1.0) ** 3
    change = -(first.u @ at.u.T + at.u @ first.u.T)
    target = goal * Q - at.Y - symmetric(first.Y @ change @ Q)
    step = direction(target, goal - at.s * at.alpha - first.s * first.alpha, first.Y @ first.u, first.u @ first.u.T)
    length = min(1.0, 0.98 * at.longest(step))
    while not (moved := at.moved(step, length)).central:  # F is quadratic in the step
        length *= 0.9
        if length < 1e-8:
            raise LinAlgError("no step leads on")
    return moved


def spectral_unique(rows: Array, beta: Array, dual: Array, tolerance: float = 1e-6) -> Uniqueness:
    """Whether β (M, D) is the only minimizer, from an optimal dual: decided on the set of all minimizers.

    With Aᵀα = PΣQᵀ of rank ρ and t = ‖β‖₂ they are

        { β + P⊥ W Q⊥ᵀ :  ‖·‖₂ ≤ t,  A(·) = 1 on {α > 0},  A(·) ≥ 1 elsewhere },        W of shape (M − ρ, D − ρ),

    P⊥ and Q⊥ the complements of P and Q: a point where the tight rows are injective on such W, and more where another
    one is found. `rows` are those of A, margins of β are one.

    Reference: Watson (1992), "Characterization of the subdifferential of some matrix norms", for the set.
    """
    P, sigma, Qt = np.linalg.svd((dual @ rows).reshape(beta.shape))
    rank = int((sigma > tolerance * sigma[0]).sum())
    # between 0 and the tolerance are multipliers that rounding, or the gap left open, may have made
    clear = sigma[rank:].max(initial=0.0) <= 1e-2 * tolerance * sigma[0]
    clear &= bool(((dual > tolerance * dual.max()) | (dual <= 1e-2 * tolerance * dual.max())).all())
    left, right = P[:, rank:], Qt[rank:]
    if left.size == 0 or right.size == 0:
        return Uniqueness.UNIQUE
    tight = dual > tolerance * dual.max()
    moves = np.einsum("mi,nmd,kd->nik", left, rows[tight].reshape(-1, *beta.shape), right).reshape(tight.sum(), -1)
    _, sizes, directions = np.linalg.svd(moves)
    free = directions[int((sizes > 1e-9 * np.linalg.norm(rows, axis=1).max()).sum()) :]
    if len(free) == 0:
        return Uniqueness.UNIQUE
    generic = np.random.default_rng(0).standard_normal(len(free)) @ free
    change = left @ generic.reshape(left.shape[1], len(right)) @ right
    change *= float(np.linalg.norm(beta)) / float(np.linalg.norm(change))
    size = float(np.linalg.norm(beta, 2))
    for step in (1e-1, 1e-2, 1e-3, -1e-1, -1e-2, -1e-3):
        other = beta + step * change
        margin = float(extended_product(rows, other.reshape(-1)).min())
        if clear and margin > 0 and np.linalg.norm(other, 2) / margin <= size * (1.0 + 1e-9):
            return Uniqueness.NOT_UNIQUE
    return Uniqueness.UNKNOWN
