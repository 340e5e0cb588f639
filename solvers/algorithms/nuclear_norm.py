"""Nuclear-norm max margin of several outputs by a primal-dual interior-point method.

    min ‖β‖_*   s.t.  A β ≥ r            dual:  max rᵀα  s.t.  α ≥ 0, ‖Z‖₂ ≤ 1 for Z = Aᵀα

β and Z are M × D; A has n = M·N rows, one an output and a point.
With ‖β‖_* = min_X ½(tr X + tr βᵀX⁻¹β) over X ≻ 0 it is the saddle point problem

    min_X max_{α ≥ 0}  ½ tr X + rᵀα − ½ tr ZᵀXZ,            β = XZ,

and the central path is X F = 2μI, s α = μ with F = I − ZZᵀ and s = A(XZ) − r. F is always computed from α, so every
iterate proves a lower bound. A step is Mehrotra's, in the direction of Helmberg, Rendl, Vanderbei and Wolkowicz (1996):

    ΔX = 2μF⁻¹ − X − ½(X ΔF F⁻¹ + F⁻¹ ΔF X),     ΔF = −(ΔZ Zᵀ + Z ΔZᵀ),     Δβ = X ΔZ + ΔX Z.

With Δβ = H ΔZ + constants, H ⪰ 0 of order M·D, a step solves (A H Aᵀ + diag s/α) Δα = …, one Cholesky factorization
of order n. β is an unknown of its own: as XZ it would have X's rounding errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg import cho_factor, cho_solve

from solvers.arrays import Array

LARGEST = 4000
"""M·D and number of constraints up to which a step takes about a second at most."""


@dataclass(frozen=True)
class NuclearSolution:
    """β (M, D) of margins r and more, α (M, N) scaled to ‖Aᵀα‖₂ = 1, and their relative duality gap."""

    beta: Array
    dual: Array
    gap: float
    iterations: int


@dataclass(frozen=True)
class OutputRows:
    """The rows f_mn e_m x_nᵀ of M outputs: constraint (m, n) is f_mn ⟨x_n, β_m⟩ ≥ r_mn."""

    points: Array
    """x_n, (N, D)."""
    factors: Array
    """f, (M, N)."""

    def products(self, beta: Array) -> Array:
        """Aβ, (M, N)."""
        return np.asarray(self.factors * (beta @ self.points.T))

    def combination(self, alpha: Array) -> Array:
        """Aᵀα, (M, D)."""
        return np.asarray((self.factors * alpha) @ self.points)

    def sandwich(self, H: Array) -> Array:
        """A H Aᵀ for H of order M·D, block by block."""
        (M, N), D = self.factors.shape, self.points.shape[1]
        blocks = self.points @ H.reshape(M, D, M, D).transpose(0, 2, 1, 3) @ self.points.T
        blocks *= self.factors[:, None, :, None]
        blocks *= self.factors[None, :, None, :]
        return np.asarray(blocks.transpose(0, 2, 1, 3).reshape(M * N, M * N))


def nuclear_max_margin(rows: OutputRows, right: Array, tol: float) -> NuclearSolution:
    """The path until the relative gap is `tol`, or rounding stops the progress; the best point on the way.

    Rows should have norms of order one, and right sides (M, N) be positive and at most one.
    """
    M, n = len(right), right.size
    alpha = np.ones(right.shape)
    alpha *= 0.5 / np.linalg.norm(rows.combination(alpha), 2)
    Z = rows.combination(alpha)
    mu = float(np.vdot(right, alpha)) / (n + M)
    X: Array = np.asarray(2.0 * mu * np.linalg.inv(np.eye(M) - Z @ Z.T), dtype=np.float64)
    s = mu / alpha
    beta = X @ Z
    best = NuclearSolution(np.zeros_like(Z), alpha, np.inf, 0)
    for iteration in range(60):
        smallest, largest = (
            float((rows.products(beta) / right).min()),
            float(np.linalg.norm(rows.combination(alpha), 2)),
        )
        if smallest > 0 and largest > 0:
            value = float(np.linalg.norm(beta, "nuc")) / smallest
            gap = 1.0 - float(np.vdot(right, alpha)) / largest / value
            if gap < best.gap:
                best = NuclearSolution(beta / smallest, alpha / largest, gap, iteration)
        if best.gap <= tol or (np.isfinite(best.gap) and iteration - best.iterations > 8):
            break
        try:
            X, beta, s, alpha = _step(rows, right, X, beta, s, alpha)
        except (LinAlgError, ValueError):  # not positive definite, or not finite: rounding has the last word
            break
    return best


def _step(
    rows: OutputRows, right: Array, X: Array, beta: Array, s: Array, alpha: Array
) -> tuple[Array, Array, Array, Array]:
    M, n = len(right), right.size
    Z = rows.combination(alpha)
    F = np.eye(M) - Z @ Z.T
    Q = np.asarray(np.linalg.inv(F), dtype=np.float64)
    missing = right + s - rows.products(beta)
    H = derivative(X, Q, Z)
    system = rows.sandwich(H)
    system.flat[:: n + 1] += (s / alpha).reshape(-1)
    factor = cho_factor(system.T, check_finite=False)

    def direction(target: Array, centre: Array, second: Array, curved: Array) -> tuple[Array, ...]:
        """ΔX = target + ½(X(ΔZZᵀ + ZΔZᵀ + curved)Q + …), αΔs + sΔα = centre, A(HΔZ + known) − Δs = missing."""
        known = (target + symmetric(X @ curved @ Q) + X) @ Z - beta + second
        constant = (centre / alpha + missing - rows.products(known)).reshape(-1)
        solution = cho_solve(factor, constant, check_finite=False)
        solution += cho_solve(factor, constant - system @ solution, check_finite=False)
        d_alpha = solution.reshape(right.shape)
        dZ = rows.combination(d_alpha)
        dX = target + symmetric(X @ (dZ @ Z.T + Z @ dZ.T + curved) @ Q)
        d_beta = (H @ dZ.reshape(-1)).reshape(Z.shape) + known
        return dX, d_beta, rows.products(d_beta) - missing, d_alpha, dZ

    mu = (0.5 * float(np.vdot(X, F)) + float(np.vdot(s, alpha))) / (M + n)
    dX, _, ds, d_alpha, dZ = direction(-X, -s * alpha, np.zeros_like(Z), np.zeros((M, M)))
    dF = -(dZ @ Z.T + Z @ dZ.T)
    # one length for all: β = XZ moves with both X and Z
    length = min(1.0, in_cone(X, dX), in_cone(F, dF), in_ray(s, ds), in_ray(alpha, d_alpha))
    after = 0.5 * float(np.vdot(X + length * dX, F + length * dF))
    after += float(np.vdot(s + length * ds, alpha + length * d_alpha))
    goal = mu * min(max(after / (M + n) / mu, 1e-3), 1.0) ** 3
    target = 2.0 * goal * Q - X - symmetric(dX @ dF @ Q)
    dX, d_beta, ds, d_alpha, dZ = direction(target, goal - s * alpha - ds * d_alpha, dX @ dZ, dZ @ dZ.T)
    dF = -(dZ @ Z.T + Z @ dZ.T)
    length = min(1.0, 0.98 * min(in_cone(X, dX), in_cone(F, dF), in_ray(s, ds), in_ray(alpha, d_alpha)))
    while np.linalg.norm(Z + length * dZ, 2) >= 1.0:  # F is quadratic in the step
        length *= 0.9
    return symmetric(X + length * dX), beta + length * d_beta, s + length * ds, alpha + length * d_alpha


def derivative(X: Array, Q: Array, Z: Array) -> Array:
    """H: ΔZ ↦ XΔZ + ½(X(ΔZZᵀ + ZΔZᵀ)Q + Q(ΔZZᵀ + ZΔZᵀ)X)Z, of order M·D."""
    M, D = Z.shape
    XZ, QZ = X @ Z, Q @ Z
    H = np.kron(X, np.eye(D) + 0.5 * Z.T @ QZ) + np.kron(0.5 * Q, Z.T @ XZ)
    crossed = np.einsum("ae,bd->adbe", 0.5 * XZ, QZ).reshape(M * D, M * D)
    return np.asarray(H + crossed + crossed.T)


def symmetric(matrix: Array) -> Array:
    return 0.5 * (matrix + matrix.T)


def in_cone(matrix: Array, change: Array) -> float:
    L = np.linalg.cholesky(matrix)
    inner = np.linalg.solve(L, np.linalg.solve(L, change).T)
    smallest = float(np.linalg.eigvalsh(symmetric(inner))[0])
    return np.inf if smallest >= 0 else -1.0 / smallest


def in_ray(x: Array, change: Array) -> float:
    falling = change < 0
    return float((x[falling] / -change[falling]).min(initial=np.inf))
