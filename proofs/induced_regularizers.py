"""The price of a predictor: R(β) = min ‖w‖² s.t. P(w) = β, for each parametrization, with the depth L indeterminate.

All lower bounds are one inequality, weighted AM–GM, Σ_l s_l ≥ L (∏_l s_l)^{1/L} for s_l > 0, proved here from
t − 1 − log t ≥ 0; all upper bounds are weights that attain it. What differs is what s_l is: ‖W_l‖_F² (Lemma 5),
w_l[d]² (Lemma 6), |ŵ_l[d]|² (Lemma 7). For two layers and a short kernel the price is a program over the kernel,
R_K(β) = min_U ‖U‖² + Σ_d |β̂[d]|²/P_d, with closed forms at K = 1 and K = D and an explicit dual norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy

from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.linear_networks import GUNASEKAR, fourier, lemma_3_instances, predictor, reduced, weights
from proofs.steps import identity, nonnegative

ALL = Kind.PROVED_FOR_ALL_SIZES
L = sympy.Symbol("L", positive=True, integer=True)
D = sympy.Symbol("D", positive=True, integer=True)
LAYER = {"index": lambda d, k: d + k, "scale": lambda D: 1 / sympy.sqrt(D)}


def weighted_am_gm() -> Iterator[Step]:
    """Σ_l s_l ≥ L (∏ s_l)^{1/L} for L positive numbers, L indeterminate."""
    (t, s), S = sympy.symbols("t s", positive=True), sympy.Symbol("S", real=True)
    gap = t - 1 - sympy.log(t)
    yield identity("t − 1 − log t has its double zero at t = 1: value", gap.subs(t, 1), 0, kind=ALL)
    yield identity("… and slope", sympy.diff(gap, t).subs(t, 1), 0, kind=ALL)
    yield nonnegative("… and is convex, so t ≥ 1 + log t", sympy.diff(gap, t, 2), 1 / t**2, kind=ALL, strict=True)
    yield identity(
        "with G = (∏ s_l)^{1/L} and S = Σ log s_l: Σ_l log(s_l/G) = S − L log G = 0, so Σ s_l/G ≥ L",
        S - L * sympy.log(sympy.exp(S / L)), 0, kind=ALL,
    )  # fmt: skip
    yield identity("scaling back: G · (s/G) = s", s, sympy.exp(S / L) * (s / sympy.exp(S / L)), kind=ALL)


def cauchy_schwarz() -> Step:
    """Lagrange's identity, pair by pair, for complex entries and any number of them."""
    u, v, w, z = sympy.symbols("u_i v_i u_j v_j", complex=True)
    c = sympy.conjugate
    return identity(
        "‖u‖²‖v‖² − |Σ u_i v_i|² = Σ_{i<j} |u_i v̄_j − u_j v̄_i|² ≥ 0 (Lagrange), pair by pair",
        u * c(u) * z * c(z) + w * c(w) * v * c(v) - u * v * c(w * z) - w * z * c(u * v),
        (u * c(z) - w * c(v)) * (c(u) * z - c(w) * v), kind=ALL,
    )  # fmt: skip


def _price_steps(formula: Formula) -> Iterator[Step]:
    """Lower bound and attaining weights for one product β = factor · ∏ w_l of magnitudes."""
    b = sympy.Symbol("b", positive=True)
    factor, weight, price = formula["factor"](D, L), formula["weight"](D, L, b), formula["price"](D, L, b)
    # whole values of L first in a counterexample: depth 2 on D = 4 reads best
    where = {L: [2, 3, 4], D: [4, 9], b: [sympy.Integer(16), sympy.Integer(81)]}
    yield identity(
        "lower bound: s_l = |w_l|², ∏|w_l| ≥ b/factor, so Σ s_l ≥ L (b/factor)^{2/L}",
        L * (b / factor) ** (2 / L), price, kind=ALL, where=where,
    )  # fmt: skip
    yield identity("attaining weights give b", factor * weight**L, b, kind=ALL, where=where)
    yield identity("… at this price", L * weight**2, price, kind=ALL, where=where)


def _lemma_5(formula: Formula, size: int) -> Iterator[Step]:
    yield cauchy_schwarz()
    yield from weighted_am_gm()
    yield from _price_steps(formula)
    b0, b1 = sympy.symbols("β_0 β_1", positive=True)
    norm = sympy.sqrt(b0**2 + b1**2)
    for depth in range(2, size + 1):
        weight = formula["weight"](sympy.Integer(2), sympy.Integer(depth), norm)
        first = sympy.Matrix([[b0 / norm, 0], [b1 / norm, 0]]) * weight
        middle, last = sympy.Matrix([[weight, 0], [0, 0]]), sympy.Matrix([weight, 0])
        beta = first * middle ** (depth - 2) * last
        yield identity(f"L = {depth}: W₁ = n^(1/L)(β/‖β‖)e₁ᵀ, W_l = n^(1/L)e₁e₁ᵀ multiply to β", beta[0], b0,
                       instance=True)  # fmt: skip
        cost = sum(v**2 for m in (first, last) for v in m) + (depth - 2) * weight**2
        yield identity(f"L = {depth}: ‖w‖² of these weights is the price", cost,
                       formula["price"](sympy.Integer(2), sympy.Integer(depth), norm), instance=True)  # fmt: skip


def _lemma_6(formula: Formula, size: int) -> Iterator[Step]:
    yield from weighted_am_gm()
    yield from _price_steps(formula)
    sign, b = sympy.Symbol("σ", odd=True), sympy.Symbol("b", positive=True)
    p = formula["exponent"](L)
    yield identity(
        "the coordinates do not meet, so prices add: Σ_d price(|β_d|) = L‖β‖_p^p with p = exponent(L)",
        formula["price"](D, L, b), L * b**p, kind=ALL, where={L: [2, 3, 4], b: [16, 81]},
    )  # fmt: skip
    yield identity("the sign of β_d, σ = ±1, sits in one layer and costs nothing: (σw)² = w²",
                   (sign**2 * b).subs(sign, -1), b, kind=ALL)  # fmt: skip
    for depth in range(2, size + 1):
        product = sympy.prod([formula["weight"](1, sympy.Integer(depth), b)] * depth)
        yield identity(f"L = {depth}: the network multiplies the coordinates", product, b, instance=True)


def _lemma_7(formula: Formula, size: int) -> Iterator[Step]:
    yield from lemma_3_instances(formula, min(size, 4))
    yield from parseval()
    yield from weighted_am_gm()
    yield from _price_steps(formula)
    phi, b = sympy.Symbol("φ", real=True), sympy.Symbol("b", positive=True)
    phase = sympy.exp(sympy.I * phi / L)
    yield identity("phases: e^{iφ/L} in each layer multiply to e^{iφ}", phase**L, sympy.exp(sympy.I * phi), kind=ALL)
    yield identity(
        "the weights are real: the value at −d, from conj β̂[d], is the conjugate one",
        sympy.exp(sympy.I * (-phi) / L) * b, sympy.conjugate(phase * b), kind=ALL,
    )  # fmt: skip
    for dim in range(1, size + 1):
        w = weights(1, dim)
        energy = reduced(sum(fourier(w, d) * fourier(w, -d) for d in range(dim)), dim)
        text = f"D = {dim}: Parseval for real w, Σ_d |ŵ[d]|² = Σ_k w[k]²"
        yield identity(text, energy, sum(v**2 for v in w), instance=True)


def parseval() -> Iterator[Step]:
    """The unitary DFT keeps ‖w‖: geometric sums, D indeterminate."""
    z, n = sympy.Symbol("z", nonzero=True), sympy.Symbol("n", positive=True, integer=True)
    yield identity(
        "geometric sum by induction: (z−1)Σ_{d<n} z^d = z^n − 1; the step from n to n + 1",
        (z**n - 1) + z**n * (z - 1), z ** (n + 1) - 1, kind=ALL,
    )  # fmt: skip
    yield identity(
        "z = ω^{p−q} has z^D = 1, so Σ_d ω^{(p−q)d} = 0 for p ≠ q and D for p = q: Σ_d|ŵ[d]|² = Σ_k|w[k]|²",
        sympy.exp(2 * sympy.pi * sympy.I * n * D / D), 1, kind=ALL,
    )  # fmt: skip


def _homogeneity(formula: Formula, size: int) -> Iterator[Step]:
    alpha, c, w, h = sympy.symbols("α c w h", positive=True)
    yield identity("a layer is a sum of terms w·h: scaling its weights scales it", formula["term"](alpha * w, h),
                   alpha * formula["term"](w, h), kind=ALL)  # fmt: skip
    yield identity("… and scaling its input scales it", formula["term"](w, c * h), c * formula["term"](w, h), kind=ALL)
    yield identity("one layer: degree 1", formula["degree"](sympy.Integer(1)), 1, kind=ALL)
    yield identity("one more layer: degree L + 1", formula["degree"](L + 1), formula["degree"](L) + 1, kind=ALL)
    for depth in range(1, size + 1):
        layers = [weights(layer, 3) for layer in range(1, depth + 1)]
        scaled = [tuple(alpha * v for v in layer) for layer in layers]
        tag = sympy.symbols("t0:3", real=True)
        for name, network in formula["networks"].items():
            left = sum(t * b for t, b in zip(tag, network(scaled), strict=True))
            right = sum(t * b for t, b in zip(tag, network(layers), strict=True))
            yield identity(f"{name}, L = {depth}: P(αw) = α^degree P(w)", left,
                           alpha ** formula["degree"](sympy.Integer(depth)) * right, instance=True)  # fmt: skip


def _fully_connected(layers: Any) -> list[Any]:
    """W_l = the circulant-free 3×3 matrix with rows w_l, 2w_l reversed, and ones times w_l: linear in w_l, dense."""
    matrices = [sympy.Matrix([list(w), [2 * v for v in reversed(w)], [w[0], -w[1], w[2]]]) for w in layers[:-1]]
    result = sympy.Matrix(layers[-1])
    for matrix in reversed(matrices):
        result = matrix * result
    return [sympy.expand(v) for v in result]


def _diagonal(layers: Any) -> list[Any]:
    return [sympy.prod([w[d] for w in layers]) for d in range(len(layers[0]))]


def _claims() -> Iterator[Claim]:
    price = {
        "factor": lambda D, L: sympy.Integer(1), "weight": lambda D, L, b: b ** (1 / L),
        "price": lambda D, L, b: L * b ** (2 / L),
    }  # fmt: skip
    altered = (
        Mutant("exponent 1/L", {"price": lambda D, L, b: L * b ** (1 / L)}),
        Mutant("factor 2 for L", {"price": lambda D, L, b: 2 * b ** (2 / L)}),
        Mutant("weights b^{2/L}", {"weight": lambda D, L, b: b ** (2 / L)}),
    )
    yield Claim(
        name="lemma-5", statement="fully connected: min Σ‖W_l‖_F² s.t. W₁⋯W_{L−1}w_L = β is L‖β‖₂^{2/L}",
        assumptions=("β ≠ 0",), reference=f"{GUNASEKAR}, Lemma 5", scope="all D, L, widths ≥ 1; weights shown L ≤ 4",
        formula=price, argument=_lemma_5, expected=ALL, mutants=altered,
    )  # fmt: skip
    yield Claim(
        name="lemma-6", statement="diagonal: min Σ_l‖w_l‖² s.t. w₁⊙…⊙w_L = β is L‖β‖_p^p, p = 2/L",
        assumptions=("β_d ≠ 0; a zero coordinate costs 0 with zero weights",), reference=f"{GUNASEKAR}, Lemma 6",
        scope="all D, L", formula={**price, "exponent": lambda L: 2 / L}, argument=_lemma_6, expected=ALL,
        mutants=(*altered, Mutant("p = 1/L", {"exponent": lambda L: 1 / L})),
    )  # fmt: skip
    one = {**LAYER, **price}
    yield Claim(
        name="lemma-7", statement="convolutional: min Σ‖w_l‖² s.t. P_conv(w) = β is L‖β̂‖_{2/L}^{2/L}",
        assumptions=("layers scaled by 1/√D", "β̂[d] ≠ 0; a zero frequency costs 0"),
        reference=f"{GUNASEKAR}, Lemma 7, with the layer scaled by 1/√D", scope="all D, L", formula=one,
        argument=_lemma_7, expected=ALL, max_size=5,
        mutants=(*altered, Mutant("unscaled layer", {"scale": lambda D: sympy.Integer(1)})),
    )  # fmt: skip
    unscaled = {
        **one, "scale": lambda D: sympy.Integer(1), "factor": lambda D, L: D ** ((L - 1) / sympy.Integer(2)),
        "weight": lambda D, L, b: (b * D ** (-(L - 1) / sympy.Integer(2))) ** (1 / L),
    }  # fmt: skip
    right = {"price": lambda D, L, b: L * D ** (-(L - 1) / sympy.sympify(L)) * b ** (2 / L)}
    yield Claim(
        name="lemma-7-unscaled",
        statement="layers without 1/√D: min Σ‖w_l‖² s.t. P_conv(w) = β is L D^{−(L−1)/L} ‖β̂‖_{2/L}^{2/L}",
        assumptions=("layers as eq. (2) prints them",), reference=f"{GUNASEKAR}, Lemma 7 corrected for eq. (2)",
        scope="all D, L", formula={**unscaled, **right}, argument=_lemma_7, expected=ALL, max_size=5,
        mutants=(
            Mutant("D^{−(L−1)/2}", {"price": lambda D, L, b: L * D ** (-(L - 1) / sympy.Integer(2)) * b ** (2 / L)}),
            Mutant("D^{+(L−1)/L}", {"price": lambda D, L, b: L * D ** ((L - 1) / sympy.sympify(L)) * b ** (2 / L)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="lemma-7-as-printed", statement="layers without 1/√D: min Σ‖w_l‖² s.t. P_conv(w) = β is L‖β̂‖_{2/L}^{2/L}",
        assumptions=("layers as eq. (2) prints them",), reference=f"{GUNASEKAR}, Lemma 7 read with eq. (2)",
        scope="all D, L", formula={**unscaled, "price": one["price"]}, argument=_lemma_7, expected=Kind.REFUTED,
        correction=right, corrected_by="lemma-7-unscaled", max_size=5,
        mutants=altered[:2],
    )  # fmt: skip
    yield Claim(
        name="homogeneity", statement="P(αw) = α^L P(w) for fully connected, diagonal and convolutional networks",
        assumptions=("α > 0",), reference=f"{GUNASEKAR}, homogeneous parametrizations (Theorem 4)",
        scope="all D, L; instances D = 3, L ≤ 4", argument=_homogeneity, expected=ALL,
        formula={
            "term": lambda w, h: w * h, "degree": lambda L: L,
            "networks": {"fully connected": _fully_connected, "diagonal": _diagonal,
                         "convolutional": lambda layers: predictor(layers, LAYER)},
        },
        mutants=(
            Mutant("degree L − 1", {"degree": lambda L: L - 1}),
            Mutant("degree 2L", {"degree": lambda L: 2 * L}),
            Mutant("a bias in each layer", {"term": lambda w, h: w * h + 1}),
        ),
    )  # fmt: skip


CLAIMS: tuple[Claim, ...] = tuple(_claims())
