"""Nuclear-norm max margin of several outputs by a primal-dual interior-point method.

    min ‖β‖_*   s.t.  A β ≥ r            dual:  max rᵀα  s.t.  α ≥ 0, ‖Z‖₂ ≤ 1 for Z = Aᵀα

β and Z are M × D; A has n rows, such as N·M, one for each point and output.
With ‖β‖_* = min_X ½(tr X + tr βᵀX⁻¹β) over X ≻ 0 it is the saddle point problem

    min_X max_{α ≥ 0}  ½ tr X + rᵀα − ½ tr ZᵀXZ,            β = XZ,

and the central path is X F = 2μI, s α = μ with F = I − ZZᵀ and s = A(XZ) − r. F is always computed from α, so every
iterate proves a lower bound. A step is Mehrotra's, in the direction of Helmberg, Rendl, Vanderbei and Wolkowicz (1996):

    ΔX = 2μF⁻¹ − X − ½(X ΔF F⁻¹ + F⁻¹ ΔF X),     ΔF = −(ΔZ Zᵀ + Z ΔZᵀ),     Δβ = X ΔZ + ΔX Z.

With Δβ = H ΔZ + constants, H ⪰ 0 of order M·D, a step solves (A H Aᵀ + diag s/α) Δα = …, one Cholesky factorization
of order n. β is an unknown of its own: as XZ it would have X's rounding errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from solvers.algorithms.least_distance import least_distance
from solvers.algorithms.signed_rows import SignedRows, dense
from solvers.arrays import Array

LARGEST = 4000
"""M·D and number of constraints up to which a step takes about a second at most."""


@dataclass(frozen=True)
class NuclearSolution:
    """β (M, D) of margins r and more, α scaled to ‖Aᵀα‖₂ = 1, and their relative duality gap."""

    beta: Array
    dual: Array
    gap: float
    iterations: int


class MatrixRows(Protocol):
    """n constraints ⟨a_i, β⟩ ≥ r_i on a matrix β (M, D); r and α have shape (n,)."""

    @property
    def outputs(self) -> int:
        """M."""

    def products(self, beta: Array) -> Array:
        """Aβ."""

    def combination(self, alpha: Array) -> Array:
        """Aᵀα, (M, D)."""

    def sandwich(self, H: Array) -> Array:
        """A H Aᵀ for H of order M·D, (n, n)."""

    def some(self, index: NDArray[np.intp]) -> Array:
        """The rows a_i with these numbers, flattened: (k, M·D)."""

    def l2_margins(self) -> Array:
        """Margins of an ℓ2 max margin, n of them: small where rows matter."""


@dataclass(frozen=True)
class OutputRows:
    """The rows f_nm e_m x_nᵀ of M outputs: constraint (n, m) is f_nm ⟨x_n, β_m⟩ ≥ r_nm."""

    points: Array
    """x_n, (N, D)."""
    factors: Array
    """f, (N, M)."""

    @property
    def outputs(self) -> int:
        """M."""
        return int(self.factors.shape[1])

    def products(self, beta: Array) -> Array:
        """Aβ, (N·M,)."""
        return np.asarray(self.factors * (self.points @ beta.T)).reshape(-1)

    def combination(self, alpha: Array) -> Array:
        """Aᵀα, (M, D)."""
        return np.asarray((self.factors * alpha.reshape(self.factors.shape)).T @ self.points)

    def sandwich(self, H: Array) -> Array:
        """A H Aᵀ for H of order M·D, block by block."""
        (N, M), D = self.factors.shape, self.points.shape[1]
        blocks = self.points @ H.reshape(M, D, M, D).transpose(0, 2, 1, 3) @ self.points.T
        blocks *= self.factors.T[:, None, :, None]
        blocks *= self.factors.T[None, :, None, :]
        return np.asarray(blocks.transpose(2, 0, 3, 1).reshape(N * M, N * M))

    def some(self, index: NDArray[np.intp]) -> Array:
        """The rows with these numbers, flattened."""
        n, m = np.unravel_index(index, self.factors.shape)
        rows = np.zeros((index.size, self.outputs, self.points.shape[1]))
        rows[np.arange(index.size), m] = self.factors[n, m, None] * self.points[n]
        return rows.reshape(index.size, -1)

    def l2_margins(self) -> Array:
        """Of every output by itself."""
        return np.stack([_l2_margins(SignedRows(self.points, f)) for f in self.factors.T], axis=1).reshape(-1)


@dataclass(frozen=True)
class PlainRows:
    """The rows of any matrix."""

    rows: SignedRows
    """A, (n, M·D)."""
    outputs: int
    """M."""

    def products(self, beta: Array) -> Array:
        """Aβ, (n,)."""
        return self.rows.products(beta.reshape(-1))

    def combination(self, alpha: Array) -> Array:
        """Aᵀα, (M, D)."""
        return self.rows.combination(alpha).reshape(self.outputs, -1)

    def sandwich(self, H: Array) -> Array:
        """A H Aᵀ for H of order M·D."""
        A = dense(self.rows[:])
        return np.asarray(A @ H @ A.T)

    def some(self, index: NDArray[np.intp]) -> Array:
        """The rows with these numbers."""
        return dense(self.rows[index])

    def l2_margins(self) -> Array:
        """Of all rows together."""
        return _l2_margins(self.rows)


def _l2_margins(rows: SignedRows) -> Array:
    z = rows.combination(least_distance(rows)[0])
    return rows.products(z) / max(float(z @ z), 1e-300)


def nuclear_max_margin(rows: MatrixRows, right: Array, tol: float) -> NuclearSolution:
    """β and α, both feasible, with their duality gap; the best on the way where rounding leaves it open.

    Rows should have norms of order one, and right sides be positive and at most one. With many more rows than unknowns
    it is solved on those that matter: from those of smallest ℓ2 margin on the most violated are added until none is.
    """
    unknowns = rows.combination(np.ones(right.size)).size
    if right.size <= 4 * unknowns:
        return _follow(rows, right, tol)
    chosen = np.argsort(rows.l2_margins())[:unknowns]
    while True:
        part = PlainRows(SignedRows.of(rows.some(chosen)), rows.outputs)
        found = _follow(part, right[chosen], tol)
        dual = np.zeros(right.size)
        dual[chosen] = found.dual
        found = replace(found, dual=dual)
        if not np.isfinite(found.gap):
            return found
        violation = 1.0 - rows.products(found.beta) / right
        new = np.setdiff1d(np.argsort(-violation)[:unknowns], chosen)
        new = new[violation[new] > 1e-12]
        if new.size == 0:
            return found
        chosen = np.concatenate([chosen, new])


def _follow(rows: MatrixRows, right: Array, tol: float) -> NuclearSolution:
    """The path until the relative gap is `tol`, or rounding stops the progress; the best point on the way."""
    M, n = rows.outputs, right.size
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
    rows: MatrixRows, right: Array, X: Array, beta: Array, s: Array, alpha: Array
) -> tuple[Array, Array, Array, Array]:
    M, n = rows.outputs, right.size
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
