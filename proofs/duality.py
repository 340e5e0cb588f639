"""Dual norms, and the two bounds that certify every trajectory.

    1/R°(Aᵀp)  ≤  R* = min {R(β) : Aβ ≥ 1}  ≤  R(β)/min_n(Aβ)_n      for any probability vector p and β with Aβ > 0

The left one is weak duality, the right one homogeneity. The norms that optimizers bring are ℓ_p, dual to ℓ_q with
1/p + 1/q = 1, the spectral norm, dual to the nuclear one, √(βᵀQβ), dual to √(zᵀQ⁻¹z), and the largest of the norms of
several layers, dual to the sum of their duals.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Integer, Matrix, Max, diff

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.steps import check, instance
from proofs.symbols import nonnegative, positive, real, tagged


@for_all_sizes
def _weak_duality(formula: Formula, size: int) -> Iterator[Step]:
    (p, R, mu, dual), s = positive("p_n R(β) μ R°"), nonnegative("s")
    a, b = real("A_nd β_d")
    yield check("⟨Aᵀp, β⟩ = Σ_n p_n(Aβ)_n, term by term").equal((a * p) * b, p * (a * b))
    yield check(
        "a feasible β, (Aβ)_n = 1 + s: with Σp_n = mass, Σp_n(Aβ)_n − 1 = Σp_n((Aβ)_n − 1) ≥ 0; a term"
    ).nonnegative(p * (1 + s) - formula["mass"](p), p * s)
    yield check("so 1 ≤ ⟨Aᵀp, β⟩ ≤ R°(Aᵀp)·R(β), and R(β) ≥ lower(R°)").equal(dual * formula["lower"](dual), 1)
    yield check("scaled by its least margin μ every β with Aβ > 0 is feasible: (Aβ)_n = μ(1 + s)").nonnegative(
        formula["scaled"](mu * (1 + s), mu) - 1, s
    )
    yield check("… at R(β)/μ, by homogeneity").equal(formula["scaled"](R, mu), formula["upper"](R, mu))


@for_all_sizes
def _lp(formula: Formula, size: int) -> Iterator[Step]:
    (a, b, t, S, M), s = positive("|β_d| |z_d| t S M"), nonnegative("s")
    p = 1 + t
    q = formula["conjugate"](p)
    gap = a**p / p + b**q / q - a * b
    where = {t: [1, 2, 3], b: [1, 2, 16]}
    yield check("Young: a^p/p + b^q/q − ab at a = b^{q−1}: value").equal(gap.subs(a, b ** (q - 1)), 0, where=where)
    yield check("… and slope").equal(diff(gap, a).subs(a, b ** (q - 1)), 0, where=where)
    yield check("… and it is convex in a; summed over unit vectors: ⟨z, β⟩ ≤ ‖z‖_q‖β‖_p").nonnegative(
        diff(gap, a, 2), t * a ** (t - 1), strict=True
    )
    yield check("equality at |β_d| = |z_d|^{q−1}, S = Σ|z_d|^q: ‖β‖_p^p = S").equal(
        (b ** (q - 1)) ** p, b**q, where=where
    )
    yield check("… so ⟨z, β⟩/‖β‖_p = S/S^{1/p} is ‖z‖_q").equal(S / S ** (1 / p), S ** (1 / q), where={t: [1, 2, 3]})
    yield check(
        "p = 1, q = ∞ and back: |z_d| ≤ M gives Σ|z_d||β_d| ≤ M Σ|β_d|, attained at the largest; a term"
    ).nonnegative(M * a - M / (1 + s) * a, M * a * s / (1 + s))


@for_all_sizes
def _spectral(formula: Formula, size: int) -> Iterator[Step]:
    (sigma, M), s = positive("σ_i σ_max(A)"), nonnegative("s")
    yield check("β = Σσ_i q_ip_iᵀ: ⟨A, β⟩ = Σσ_i q_iᵀAp_i, and each q_iᵀAp_i ≤ σ_max(A), here σ_max/(1+s)").nonnegative(
        formula["bound"](M, sigma) - sigma * M / (1 + s), M * sigma * s / (1 + s)
    )
    yield check("attained by A = Σq_ip_iᵀ, of spectral norm 1, on the nuclear norm Σσ_i").equal(
        formula["bound"](Integer(1), sigma), sigma
    )


@for_all_sizes
def _mahalanobis(formula: Formula, size: int) -> Iterator[Step]:
    factor, b, w = real("L_de β_d w_e")
    u, v, s = positive("|u| |v| s")
    yield check("Q = LLᵀ, u = Lᵀβ, v = L⁻¹z: ⟨z, β⟩ = ⟨Lv, β⟩ = ⟨v, u⟩, a term").equal(
        (factor * w) * b, w * (factor * b)
    )
    yield check("⟨v, u⟩² ≤ |u|²|v|²: with s the size of u across v, the difference is s²|v|²").nonnegative(
        (u**2 + s**2) * v**2 - (u * v) ** 2, s**2 * v**2
    )
    p, q = positive("L_00 L_11")
    r, x, y = real("L_10 z_0 z_1")
    L, z = Matrix([[p, 0], [r, q]]), Matrix([x, y])
    Q = L * L.T
    square, beta = formula["square"](Q, z), formula["direction"](Q) * z
    yield instance("any Q of order 2: |v|² = |L⁻¹z|² is the square of the dual norm").equal(
        tagged((L.inv() * z).T * (L.inv() * z)), tagged([square])
    )
    yield instance("… and equality holds at β = Q⁻¹z: ⟨z, β⟩² = βᵀQβ · zᵀQ⁻¹z").equal(
        (z.T * beta)[0] ** 2, (beta.T * Q * beta)[0] * square
    )


@for_all_sizes
def _largest_layer(formula: Formula, size: int) -> Iterator[Step]:
    (c, dual, M), s = positive("c_l R_l°(z_l) M"), nonnegative("s")
    yield check(
        "M = max_l c_l R_l(β_l), a layer's c_l R_l(β_l) = M/(1+s): ⟨z_l, β_l⟩ ≤ R_l° M/(c_l(1+s)) ≤ M·share; a term"
    ).nonnegative(M * formula["share"](dual, c) - dual * M / (c * (1 + s)), dual * M * s / (c * (1 + s)))
    yield check("attained with c_l R_l(β_l) = M in every layer and ⟨z_l, β_l⟩ = R_l° R_l(β_l); a term").equal(
        M * formula["share"](dual, c), dual * (M / c)
    )
    first, second = positive("R_1° R_2°")
    yield instance("two layers, c = 1 and 2: the terms add up to the dual norm").equal(
        formula["total"](formula["share"](first, Integer(1)), formula["share"](second, Integer(2))), first + second / 2
    )


CLAIMS: tuple[Claim, ...] = (
    claim(
        "weak-duality",
        _weak_duality,
        mass=lambda p: p,
        lower=lambda dual: 1 / dual,
        upper=lambda R, mu: R / mu,
        scaled=lambda value, mu: value / mu,
    )
    .refutes("lower bound R°", lower=lambda dual: dual)
    .refutes("upper bound R·μ", upper=lambda R, mu: R * mu)
    .refutes("p of mass 2", mass=lambda p: 2 * p)
    .refutes("scaled by more than the least margin", scaled=lambda value, mu: value / (2 * mu)),
    claim("lp-duality", _lp, conjugate=lambda p: p / (p - 1))
    .refutes("q = p", conjugate=lambda p: p)
    .refutes("q = p + 1", conjugate=lambda p: p + 1)
    .refutes("1/p + 1/q = 2", conjugate=lambda p: p / (2 * p - 1)),
    claim("spectral-nuclear-duality", _spectral, bound=lambda M, sigma: M * sigma)
    .refutes("half of it", bound=lambda M, sigma: M * sigma / 2)
    .refutes("σ²", bound=lambda M, sigma: M * sigma**2),
    claim(
        "mahalanobis-duality",
        _mahalanobis,
        square=lambda Q, z: (z.T * Q.inv() * z)[0],
        direction=lambda Q: Q.inv(),
    )
    .refutes("zᵀQz", square=lambda Q, z: (z.T * Q * z)[0])
    .refutes("zᵀz", square=lambda Q, z: (z.T * z)[0])
    .refutes("attained at Qz", direction=lambda Q: Q)
    .refutes("attained at z", direction=lambda Q: Q**0),
    claim(
        "largest-layer-duality",
        _largest_layer,
        share=lambda dual, c: dual / c,
        total=lambda first, second: first + second,
    )
    .refutes("c_l R_l°", share=lambda dual, c: dual * c)
    .refutes("scales left out", share=lambda dual, c: dual)
    .refutes("half of each", share=lambda dual, c: dual / (2 * c))
    .refutes("the largest of the duals", total=Max),
)
