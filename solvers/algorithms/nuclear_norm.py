"""Nuclear-norm max margin of several outputs by a primal-dual interior-point method.

    min ‖β‖_*   s.t.  A β ≥ r            dual:  max rᵀα  s.t.  α ≥ 0, ‖Z‖₂ ≤ 1 for Z = Aᵀα

β and Z are M × D; A has n rows, such as N·M, one for each point and output.
With ‖β‖_* = min_X ½(tr X + tr βᵀX⁻¹β) over X ≻ 0 it is the saddle point problem

    min_X max_{α ≥ 0}  ½ tr X + rᵀα − ½ tr ZᵀXZ,            β = XZ,

and the central path is X F = 2μI, s α = μ with F = I − ZZᵀ and s = A(XZ) − r. F is always computed from α, so every
iterate proves a lower bound. A step is Mehrotra's, in the direction of Helmberg, Rendl, Vanderbei and Wolkowicz (1996):

    ΔX = 2μF⁻¹ − X − ½(X ΔF F⁻¹ + F⁻¹ ΔF X),     ΔF = −(ΔZ Zᵀ + Z ΔZᵀ),     Δβ = X ΔZ + ΔX Z.

With Δβ = H ΔZ + constants, H ⪰ 0 of order M·D, a step solves (A H Aᵀ + diag s/α) Δα = …, of order n. Where there are
more constraints than unknowns, those with large s/α, which are all of them at the start and the inactive ones at the
end, are eliminated first, into H: what is factored are matrices of order M·D, and of the number of the others.
β is an unknown of its own: as XZ it would have X's rounding errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.linalg import LinAlgError

from solvers.algorithms.factorizations import cholesky, cholesky_solve, forward
from solvers.algorithms.matrix_rows import MatrixRows, PlainRows
from solvers.algorithms.signed_rows import SignedRows
from solvers.arrays import Array

LARGEST = 4000
"""M·D and number of constraints up to which a step takes about a second at most."""


LIGHT = 1e-4
"""Eliminating a row of norm one and this share of max H multiplies rounding by its inverse; refinement divides it."""


@dataclass(frozen=True)
class NuclearSolution:
    """β (M, D) of margins r and more, α scaled to ‖Aᵀα‖₂ = 1, and their relative duality gap."""

    beta: Array
    dual: Array
    gap: float
    iterations: int


def nuclear_max_margin(rows: MatrixRows, right: Array, tol: float) -> NuclearSolution:
    """β and α, both feasible, with their duality gap; the best on the way where rounding leaves it open.

    Rows should have norms of order one, and right sides be positive and at most one. With many more rows than unknowns
    it is solved on those that matter: from those of smallest ℓ2 margin on the most violated are added until none is.
    """
    unknowns = rows.combination(np.ones(right.size)).size
    if right.size <= rows.most_a_step * unknowns:
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
    solve = _solver(rows, H, s / alpha)

    def direction(target: Array, centre: Array, second: Array, curved: Array) -> tuple[Array, ...]:
        """ΔX = target + ½(X(ΔZZᵀ + ZΔZᵀ + curved)Q + …), αΔs + sΔα = centre, A(HΔZ + known) − Δs = missing."""
        known = (target + symmetric(X @ curved @ Q) + X) @ Z - beta + second
        d_alpha = solve(centre / alpha + missing - rows.products(known))
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
        if length < 1e-8:
            raise LinAlgError("no step leads on")
    return symmetric(X + length * dX), beta + length * d_beta, s + length * ds, alpha + length * d_alpha


def _solver(rows: MatrixRows, H: Array, ratio: Array) -> Callable[[Array], Array]:
    """c ↦ (A H Aᵀ + diag ratio)⁻¹ c, once refined.

    With H = LLᵀ and the light rows' Gram matrix G = Σ a aᵀ/ratio, H' = L(I + LᵀGL)⁻¹Lᵀ = L'L'ᵀ takes them in:

        (A H' Aᵀ + diag ratio) x = c − A H' g   for the heavy rows,   g = Σ a c/ratio of the light ones,
        x = (c − A H'(Aᵀx + g))/ratio           for the light ones.

    Light are those of ratio ≥ LIGHT·max H, so that I + LᵀGL is well conditioned.
    """
    everything = np.arange(ratio.size)
    light = ratio >= LIGHT * float(H.diagonal().max()) if ratio.size > len(H) else np.zeros(ratio.size, dtype=bool)
    heavy = np.flatnonzero(~light)
    weights = np.where(light, 1.0 / ratio, 0.0)
    if light.any():
        L = cholesky(H + 1e-15 * float(np.trace(H)) / len(H) * np.eye(len(H)))
        inner = np.eye(len(H)) + symmetric(L.T @ rows.gram_times(weights, L))
        L = forward(cholesky(inner), L.T).T
        features = rows.times(heavy, L)
        system = features @ features.T
    else:
        L, system = np.empty((len(H), 0)), symmetric(rows.times(everything, rows.times(everything, H).T))
    system.flat[:: heavy.size + 1] += ratio[heavy]
    factor = cholesky(system)

    def once(c: Array) -> Array:
        if not light.any():
            return cholesky_solve(factor, c)
        x, g = np.zeros(ratio.size), rows.combination(weights * c).reshape(-1)
        if heavy.size:
            x[heavy] = cholesky_solve(factor, c[heavy] - features @ (L.T @ g))
        moved = L @ (L.T @ (rows.combination(x).reshape(-1) + g))
        x[light] = ((c - rows.products(moved.reshape(rows.outputs, -1))) * weights)[light]
        return x

    def apply(x: Array) -> Array:
        return rows.products((H @ rows.combination(x).reshape(-1)).reshape(rows.outputs, -1)) + ratio * x

    def solve(c: Array) -> Array:
        x = once(c)
        return x + once(c - apply(x))

    return solve


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
