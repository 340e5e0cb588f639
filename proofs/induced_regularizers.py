"""Induced regularizers: R(β) = min ‖w‖² s.t. P(w) = β, for each parametrization, with the depth L indeterminate.

All lower bounds are one inequality, weighted AM–GM, Σ_l s_l ≥ L (∏_l s_l)^{1/L} for s_l > 0, proved here from
t − 1 − log t ≥ 0; all upper bounds are weights that attain it. What differs is what s_l is: ‖W_l‖_F² (Lemma 5),
w_l[d]² (Lemma 6), |ŵ_l[d]|² (Lemma 7). Two layers with a short
kernel: `proofs.two_layer_convolution`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sympy import I, Integer, Matrix, Symbol, conjugate, diff, exp, expand, log, pi, prod, sqrt, sympify

from proofs.claim import Claim, Formula, Mutant, Step, claim, for_all_sizes
from proofs.linear_networks import GROWN, LAYER, UNSCALED, fourier, lemma_3_instances, predictor, reduced, weights
from proofs.steps import check, instance
from proofs.symbols import complex_, dot, positive, real, tagged, whole

L = whole("L")
D = whole("D")


def weighted_am_gm() -> Iterator[Step]:
    """Σ_l s_l ≥ L (∏ s_l)^{1/L} for L positive numbers, L indeterminate."""
    (t, s), S = positive("t s"), real("S")
    gap = t - 1 - log(t)
    yield check("t − 1 − log t has a double zero at t = 1").equal(tagged([gap.subs(t, 1), diff(gap, t).subs(t, 1)]), 0)
    yield check("… and is convex, so t ≥ 1 + log t").nonnegative(diff(gap, t, 2), 1 / t**2, strict=True)
    yield check("with G = (∏ s_l)^{1/L} and S = Σ log s_l: Σ_l log(s_l/G) = S − L log G = 0, so Σ s_l/G ≥ L").equal(
        S - L * log(exp(S / L)), 0
    )
    yield check("scaling back: G · (s/G) = s").equal(s, exp(S / L) * (s / exp(S / L)))


def cauchy_schwarz() -> Step:
    """Lagrange's identity, pair by pair, for complex entries and any number of them."""
    u, v, w, z = complex_("u_i v_i u_j v_j")
    c = conjugate
    return check("‖u‖²‖v‖² − |Σ u_i v_i|² = Σ_{i<j} |u_i v̄_j − u_j v̄_i|² ≥ 0 (Lagrange), pair by pair").equal(
        u * c(u) * z * c(z) + w * c(w) * v * c(v) - u * v * c(w * z) - w * z * c(u * v),
        (u * c(z) - w * c(v)) * (c(u) * z - c(w) * v),
    )


def _value_steps(formula: Formula) -> Iterator[Step]:
    """Lower bound and attaining weights for one product β = factor · ∏ w_l of magnitudes."""
    b = positive("b")
    factor, weight, value = formula["factor"](D, L), formula["weight"](D, L, b), formula["value"](D, L, b)
    # whole values of L first in a counterexample: depth 2 on D = 4 reads best
    where = {L: [2, 3, 4], D: [4, 9], b: [Integer(16), Integer(81)]}
    yield check("lower bound: s_l = |w_l|², ∏|w_l| ≥ b/factor, so Σ s_l ≥ L (b/factor)^{2/L}").equal(
        L * (b / factor) ** (2 / L), value, where=where
    )
    yield check("attaining weights give b").equal(factor * weight**L, b, where=where)
    yield check("… at this value").equal(L * weight**2, value, where=where)


@for_all_sizes
def _lemma_5(formula: Formula, size: int) -> Iterator[Step]:
    yield cauchy_schwarz()
    yield from weighted_am_gm()
    yield from _value_steps(formula)
    b0, b1 = positive("β_0 β_1")
    norm = sqrt(b0**2 + b1**2)
    for depth in range(2, size + 1):
        weight = formula["weight"](Integer(2), Integer(depth), norm)
        first = Matrix([[b0 / norm, 0], [b1 / norm, 0]]) * weight
        middle, last = Matrix([[weight, 0], [0, 0]]), Matrix([weight, 0])
        beta = first * middle ** (depth - 2) * last
        yield instance(f"L = {depth}: W₁ = n^(1/L)(β/‖β‖)e₁ᵀ, W_l = n^(1/L)e₁e₁ᵀ multiply to β").equal(beta[0], b0)
        energy = dot(first, first) + dot(last, last) + (depth - 2) * weight**2
        yield instance(f"L = {depth}: ‖w‖² of these weights is the value").equal(
            energy, formula["value"](Integer(2), Integer(depth), norm)
        )


@for_all_sizes
def _lemma_6(formula: Formula, size: int) -> Iterator[Step]:
    yield from weighted_am_gm()
    yield from _value_steps(formula)
    sign, b = Symbol("σ", odd=True), positive("b")
    p = formula["exponent"](L)
    yield check("the coordinates do not meet, so values add: Σ_d value(|β_d|) = L‖β‖_p^p with p = exponent(L)").equal(
        formula["value"](D, L, b), L * b**p, where={L: [2, 3, 4], b: [16, 81]}
    )
    yield check("the sign of β_d, σ = ±1, sits in one layer and adds nothing: (σw)² = w²").equal(
        (sign**2 * b).subs(sign, -1), b
    )
    for depth in range(2, size + 1):
        product = prod([formula["weight"](1, Integer(depth), b)] * depth)
        yield instance(f"L = {depth}: the network multiplies the coordinates").equal(product, b)


@for_all_sizes
def _lemma_7(formula: Formula, size: int) -> Iterator[Step]:
    yield from lemma_3_instances(formula, min(size, 4))
    yield from parseval()
    yield from weighted_am_gm()
    yield from _value_steps(formula)
    phi, b = real("φ"), positive("b")
    phase = exp(I * phi / L)
    yield check("phases: e^{iφ/L} in each layer multiply to e^{iφ}").equal(phase**L, exp(I * phi))
    yield check("the weights are real: the value at −d, from conj β̂[d], is the conjugate one").equal(
        exp(I * (-phi) / L) * b, conjugate(phase * b)
    )
    for dim in range(1, size + 1):
        (w,) = weights(1, dim)
        energy = reduced(sum(fourier(w, d) * fourier(w, -d) for d in range(dim)), dim)
        yield instance(f"D = {dim}: Parseval for real w, Σ_d |ŵ[d]|² = Σ_k w[k]²").equal(energy, dot(w, w))


def parseval() -> Iterator[Step]:
    """The unitary DFT keeps ‖w‖: geometric sums, D indeterminate."""
    z, n = Symbol("z", nonzero=True), whole("n")
    yield check("geometric sum by induction: (z−1)Σ_{d<n} z^d = z^n − 1; the step from n to n + 1").equal(
        (z**n - 1) + z**n * (z - 1), z ** (n + 1) - 1
    )
    yield check(
        "z = ω^{p−q} has z^D = 1, so Σ_d ω^{(p−q)d} = 0 for p ≠ q and D for p = q: Σ_d|ŵ[d]|² = Σ_k|w[k]|²"
    ).equal(exp(2 * pi * I * n * D / D), 1)


@for_all_sizes
def _homogeneity(formula: Formula, size: int) -> Iterator[Step]:
    alpha, c, w, h = positive("α c w h")
    yield check("a layer is a sum of terms w·h: scaling its weights scales it").equal(
        formula["term"](alpha * w, h), alpha * formula["term"](w, h)
    )
    yield check("… and scaling its input scales it").equal(formula["term"](w, c * h), c * formula["term"](w, h))
    yield check("one layer: degree 1").equal(formula["degree"](Integer(1)), 1)
    yield check("one more layer: degree L + 1").equal(formula["degree"](L + 1), formula["degree"](L) + 1)
    for depth in range(1, size + 1):
        layers = weights(depth, 3)
        scaled, factor = [[alpha * v for v in w] for w in layers], alpha ** formula["degree"](Integer(depth))
        for name, network in formula["networks"].items():
            yield instance(f"{name}, L = {depth}: P(αw) = α^degree P(w)").equal(
                tagged(network(scaled)), factor * tagged(network(layers))
            )


def _fully_connected(layers: Any) -> list[Any]:
    """W_l = the circulant-free 3×3 matrix with rows w_l, 2w_l reversed, and ones times w_l: linear in w_l, dense."""
    matrices = [Matrix([list(w), [2 * v for v in reversed(w)], [w[0], -w[1], w[2]]]) for w in layers[:-1]]
    result = Matrix(layers[-1])
    for matrix in reversed(matrices):
        result = matrix * result
    return [expand(v) for v in result]


def _diagonal(layers: Any) -> list[Any]:
    return [prod([w[d] for w in layers]) for d in range(len(layers[0]))]


POWER = {
    "factor": lambda D, L: Integer(1),
    "weight": lambda D, L, b: b ** (1 / L),
    "value": lambda D, L, b: L * b ** (2 / L),
}
_ALTERED = (
    Mutant("exponent 1/L", value=lambda D, L, b: L * b ** (1 / L)),
    Mutant("factor 2 for L", value=lambda D, L, b: 2 * b ** (2 / L)),
    Mutant("weights b^{2/L}", weight=lambda D, L, b: b ** (2 / L)),
)
_SHRINK = {"weight": lambda D, L, b: (b * D ** (-(L - 1) / Integer(2))) ** (1 / L), "factor": GROWN["factor"]}
_CORRECT = {"value": lambda D, L, b: L * D ** (-(L - 1) / sympify(L)) * b ** (2 / L)}
_NETWORKS = {
    "fully connected": _fully_connected,
    "diagonal": _diagonal,
    "convolutional": lambda layers: predictor(layers, LAYER),
}

CLAIMS: tuple[Claim, ...] = (
    claim("lemma-5", _lemma_5, POWER).refutes_all(_ALTERED),
    claim("lemma-6", _lemma_6, POWER, exponent=lambda L: 2 / L)
    .refutes_all(_ALTERED)
    .refutes("p = 1/L", exponent=lambda L: 1 / L),
    claim("lemma-7", _lemma_7, LAYER, POWER).refutes_all(_ALTERED).refutes("unscaled layer", scale=UNSCALED["scale"]),
    claim("lemma-7-unscaled", _lemma_7, UNSCALED, _SHRINK, _CORRECT)
    .refutes("D^{−(L−1)/2}", value=lambda D, L, b: L * D ** (-(L - 1) / Integer(2)) * b ** (2 / L))
    .refutes("D^{+(L−1)/L}", value=lambda D, L, b: L * D ** ((L - 1) / sympify(L)) * b ** (2 / L)),
    claim("lemma-7-as-printed", _lemma_7, UNSCALED, POWER, _SHRINK).corrected(**_CORRECT).refutes_all(_ALTERED[:2]),
    claim("homogeneity", _homogeneity, term=lambda w, h: w * h, degree=lambda L: L, networks=_NETWORKS)
    .refutes("degree L − 1", degree=lambda L: L - 1)
    .refutes("degree 2L", degree=lambda L: 2 * L)
    .refutes("a bias in each layer", term=lambda w, h: w * h + 1),
)
