"""Representation costs in the geometry of the optimizer: min ‖θ‖ s.t. the network computes β, in other norms than ℓ2.

Steepest descent in a norm prefers weights that are small in it: all parameters flattened for ℓ_p, ℓ∞ and ℓ1 (signs,
coordinates), the largest layer for the spectral norm. Every lower bound is one of two: AM–GM over the layers, or
products of the largest weights; every upper bound is weights that attain it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sympy import Integer, Matrix, ones

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.induced_regularizers import L, weighted_am_gm
from proofs.steps import check, instance
from proofs.symbols import nonnegative, positive, real, tagged

WHERE = {L: [2, 3, 4]}


@for_all_sizes
def _diagonal(formula: Formula, size: int) -> Iterator[Step]:
    b, p, total = positive("|β_d| p S")
    weight, share = formula["weight"](b, L), formula["share"](b, p, L)
    yield from weighted_am_gm()
    yield check("in one coordinate s_l = |w_l|^p have the product |β_d|^p, so Σ_l s_l ≥ L|β_d|^{p/L} = share").equal(
        L * (b**p) ** (1 / L), share, where=WHERE
    )
    yield check("attained by equal weights, whose product is |β_d|").equal(
        tagged([weight**L, L * weight**p]), tagged([b, share]), where=WHERE
    )
    yield check("all coordinates, S = Σ_d|β_d|^{p/L}: ‖w‖_p = (L·S)^{1/p} is value(S), with ‖β‖_{p/L} = S^{L/p}").equal(
        (L * total) ** (1 / p), formula["value"](total ** (L / p), p, L), where=WHERE
    )


def _product_of_the_largest() -> Step:
    M, s, P = positive("M"), nonnegative("s"), positive("P")
    return check(
        "one more factor |w| ≤ M, here M/(1+s), of a product P: M·P − |w|·P ≥ 0; so L of them are ≤ M^L"
    ).nonnegative(M * P - M / (1 + s) * P, M * P * s / (1 + s))


@for_all_sizes
def _diagonal_max(formula: Formula, size: int) -> Iterator[Step]:
    b = positive("‖β‖∞")
    value = formula["value"](b, L)
    yield _product_of_the_largest()
    yield check("lower bound: |β_d| ≤ M^L for M the largest weight, in each coordinate; M = value gives ‖β‖∞").equal(
        value**L, b, where=WHERE
    )
    yield check("attained: |w_l[d]| = |β_d|^{1/L}, the largest of which is value").equal(
        value, b ** (1 / L), where=WHERE
    )


@for_all_sizes
def _full_max(formula: Formula, size: int) -> Iterator[Step]:
    b, width, m, M, h = positive("‖β‖∞ Π m M |h|")
    s = nonnegative("s")
    value = formula["value"](b, width, L)
    yield _product_of_the_largest()
    yield check("a layer adds m products: |Σ_j w_j h_j| ≤ m·M·max|h|, a term |h_j| = |h|/(1+s)").nonnegative(
        M * h - M * h / (1 + s), M * h * s / (1 + s)
    )
    yield check("so ‖β‖∞ ≤ Π·M^L, Π = ∏ m_l over the hidden layers; equality at M = value").equal(
        width * value**L, b, where=WHERE
    )
    yield check("one more hidden layer of m units: the bound grows by m·M").equal(
        formula["value"](b * m * M, width * m, L + 1) ** (L + 1) * width * m, b * m * M, where=WHERE
    )
    x, y = real("β_0"), positive("β_1")
    M = formula["value"](y, Integer(6), Integer(3))
    first, second, last = Matrix([x / y, 1]) * M * ones(1, 2), M * ones(2, 3), M * ones(3, 1)
    yield instance("L = 3, widths 2 and 3, |β_0| ≤ β_1 = ‖β‖∞: rows M·β_i/‖β‖∞ and M everywhere else give β").equal(
        tagged(first * second * last), tagged([x, y])
    )


@for_all_sizes
def _full_l1(formula: Formula, size: int) -> Iterator[Step]:
    w, v = nonnegative("|w_i1| |w_i2|"), nonnegative("|v_1| |v_2|")
    b = positive("‖β‖₁")
    yield check("‖W v‖₁ ≤ ‖W‖₁‖v‖₁, entrywise norms: what is missing are the products of unlike indices").nonnegative(
        (w[0] + w[1]) * (v[0] + v[1]) - w[0] * v[0] - w[1] * v[1], w[0] * v[1] + w[1] * v[0]
    )
    yield from weighted_am_gm()
    yield check("so ∏_l‖W_l‖₁ ≥ ‖β‖₁ and Σ_l‖W_l‖₁ ≥ L‖β‖₁^{1/L}").equal(
        L * b ** (1 / L), formula["value"](b, L), where=WHERE
    )
    x, y = positive("β_0 β_1")
    norm = x + y
    root = formula["value"](norm, Integer(3)) / 3
    first, second, last = Matrix([[x, 0], [y, 0]]) * root / norm, Matrix([[root, 0], [0, 0]]), Matrix([root, 0])
    yield instance("L = 3: one path, W₁ = ‖β‖₁^{1/L}(β/‖β‖₁)e₁ᵀ and ‖β‖₁^{1/L}e₁e₁ᵀ, gives β").equal(
        tagged(first * second * last), tagged([x, y])
    )
    yield instance("… at this value").equal(sum(first) + sum(second) + sum(last), formula["value"](norm, Integer(3)))


@for_all_sizes
def _spectral(formula: Formula, size: int) -> Iterator[Step]:
    sigma, s = positive("σ_max"), nonnegative("s")
    value = formula["value"](sigma, L)
    yield _product_of_the_largest()
    yield check("σ_max(W₁⋯W_L) ≤ ∏ σ_max(W_l) ≤ M^L, M the largest of them; equality at M = value").equal(
        value**L, sigma, where=WHERE
    )
    yield check(
        "attained: β = QΣPᵀ with W₁ = QΣ^{1/L}, …, W_L = Σ^{1/L}Pᵀ, hidden widths ≥ rank β; a smaller σ = σ_max/(1+s) "
        "gives a smaller entry, by the factor (1+s)^{−1/L}"
    ).equal(formula["value"](sigma / (1 + s), L), value * (1 + s) ** (-1 / L), where=WHERE)
    for depth in (2, 3):
        root = [formula["value"](v, Integer(depth)) for v in positive("σ_1 σ_2")]
        yield instance(f"L = {depth}: the singular values of the product").equal(
            tagged([r**depth for r in root]), tagged(positive("σ_1 σ_2"))
        )


@for_all_sizes
def _schatten(formula: Formula, size: int) -> Iterator[Step]:
    sigma = positive("σ_i")
    weight, share = formula["weight"](sigma, L), formula["share"](sigma, L)
    yield from weighted_am_gm()
    yield check(
        "Horn: Σ_i σ_i(β)^{2/L} ≤ Σ_i ∏_l σ_i(W_l)^{2/L}; AM–GM of s_l = σ_i(W_l)²: L·∏ s_l^{1/L} ≤ Σ_l σ_i(W_l)², so "
        "Σ_l‖W_l‖_F² ≥ Σ_i share(σ_i)"
    ).equal(L * (sigma**2) ** (1 / L), share, where=WHERE)
    yield check(
        "attained: W_l = Σ^{1/L} between Q and Pᵀ; σ_i^{1/L} multiply to σ_i, and their squares sum to it"
    ).equal(tagged([weight**L, L * weight**2]), tagged([sigma, share]), where=WHERE)
    yield instance("L = 2: twice the nuclear norm").equal(formula["share"](sigma, Integer(2)), 2 * sigma)
    u, v = positive("‖W₁ᵀq_i‖ ‖W₂p_i‖")
    yield instance(
        "L = 2 without Horn: σ_i = q_iᵀW₁W₂p_i ≤ uv ≤ (u² + v²)/2, and these sum to the Frobenius norms"
    ).nonnegative((u**2 + v**2) / 2 - u * v, (u - v) ** 2 / 2)


_LP = {
    "weight": lambda b, L: b ** (1 / L),
    "share": lambda b, p, L: L * b ** (p / L),
    "value": lambda norm, p, L: L ** (1 / p) * norm ** (1 / L),
}
_SCHATTEN = {"weight": lambda s, L: s ** (1 / L), "share": lambda s, L: L * s ** (2 / L)}


def _root(b: Any, L: Any) -> Any:
    return b ** (1 / L)


CLAIMS: tuple[Claim, ...] = (
    claim("cost-diagonal", _diagonal, _LP)
    .refutes("ℓ_{pL}", share=lambda b, p, L: L * b ** (p * L))
    .refutes("without L^{1/p}", value=lambda norm, p, L: norm ** (1 / L))
    .refutes("weights |β|^{p/L}", weight=lambda b, L: b ** (2 / L)),
    claim("cost-diagonal-max", _diagonal_max, value=_root)
    .refutes("‖β‖∞", value=lambda b, L: b)
    .refutes("L‖β‖∞^{1/L}", value=lambda b, L: L * b ** (1 / L)),
    claim("cost-max", _full_max, value=lambda b, width, L: (b / width) ** (1 / L))
    .refutes("widths left out", value=lambda b, width, L: b ** (1 / L))
    .refutes("widths outside the root", value=lambda b, width, L: b ** (1 / L) / width)
    .refutes("exponent 1/(L−1)", value=lambda b, width, L: (b / width) ** (1 / (L - 1))),
    claim("cost-l1", _full_l1, value=lambda b, L: L * b ** (1 / L))
    .refutes("without L", value=_root)
    .refutes("exponent 2/L", value=lambda b, L: L * b ** (2 / L)),
    claim("cost-spectral", _spectral, value=_root)
    .refutes("the sum over layers", value=lambda s, L: L * s ** (1 / L))
    .refutes("exponent 2/L", value=lambda s, L: s ** (2 / L)),
    claim("cost-schatten", _schatten, _SCHATTEN)
    .refutes("exponent 1/L", share=lambda s, L: L * s ** (1 / L))
    .refutes("factor 2", share=lambda s, L: 2 * s ** (2 / L))
    .refutes("weights σ^{2/L}", weight=lambda s, L: s ** (2 / L)),
)
