"""Dual norms, and the two bounds that certify every trajectory.

    1/R°(Aᵀp)  ≤  R* = min {R(β) : Aβ ≥ 1}  ≤  R(β)/min_n(Aβ)_n      for any probability vector p and β with Aβ > 0

The left one is weak duality, the right one homogeneity. The norms that optimizers bring are ℓ_p, dual to ℓ_q with
1/p + 1/q = 1, and the spectral norm, dual to the nuclear one.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Integer, diff

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.steps import check
from proofs.symbols import nonnegative, positive, real


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
)
