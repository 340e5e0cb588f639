"""Linear networks as maps from weights to predictors: Lemma 3, P_conv, homogeneity, and the problem in weight space.

A convolution layer is a correlation, (h ⋆ w)[d] = D^{-1/2} Σ_k w[k] h[(d+k) mod D]. The network is built from this
layer and nothing else (its output is linear in the input x, so the predictor is read off as ∂/∂x), and the formulas
of the papers are compared with it.

Roots of unity are handled exactly: ω is a symbol, reduced modulo the D-th cyclotomic polynomial, so an identity holds
for ω = e^{-2πi/D} without rounding; a counterexample is evaluated there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sympy import Add, I, Integer, Poly, Symbol, cyclotomic_poly, exp, expand, pi, prod, sqrt, symbols, sympify

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.steps import check, instance
from proofs.symbols import dot, integer, positive, real, tagged, whole

_OMEGA = Symbol("omega")


def weights(depth: int, dim: int) -> list[Any]:
    """Indeterminate real weights of `depth` layers, w_layer[0], …, w_layer[dim−1] each."""
    return [real(f"w{layer}_0:{dim}") for layer in range(1, depth + 1)]


def fourier(signal: Sequence[Any], d: Any) -> Any:
    """x̂[d] = D^{-1/2} Σ_p x[p] ω^{pd}, ω a symbol with ω^D = 1."""
    size = len(signal)
    return sum(x * _OMEGA ** (p * d % size) for p, x in enumerate(signal)) / sqrt(size)


def reduced(expression: Any, size: int) -> Any:
    """The normal form of a polynomial in ω for a primitive size-th root of unity ω."""
    terms = []
    for term in Add.make_args(_multiplied_out(expression)):
        coefficient, power = term.as_coeff_exponent(_OMEGA)
        if coefficient.has(_OMEGA):
            raise ArithmeticError(f"{term} is not a multiple of a power of ω")
        terms += [share * coefficient * _OMEGA**exponent for exponent, share in _power(int(power) % size, size)]
    return Add(*terms)


def _multiplied_out(expression: Any) -> Any:
    """sympy's expand with the two hints that polynomials need, at half its cost."""
    hints = {"power_base": False, "power_exp": False, "log": False, "basic": False}
    return sympify(expression).expand(mul=True, multinomial=True, **hints)


@cache
def _power(exponent: int, size: int) -> tuple[tuple[int, Any], ...]:
    """ω^exponent modulo the cyclotomic polynomial, as (exponent, integer coefficient)."""
    remainder = Poly(_OMEGA**exponent, _OMEGA).rem(Poly(cyclotomic_poly(size, _OMEGA), _OMEGA))
    return tuple((int(power), coefficient) for (power,), coefficient in remainder.terms())


def predictor(layers: Sequence[Sequence[Any]], formula: Formula) -> list[Any]:
    """β of the network x ↦ ⟨w_L, (…(x ⋆ w₁) …) ⋆ w_{L−1}⟩, by running the network on indeterminate x."""
    size = len(layers[0])
    x = symbols(f"x0:{size}")
    hidden: list[Any] = list(x)
    for w in layers[:-1]:
        scale = formula["scale"](Integer(size))
        hidden = [
            expand(scale * sum(w[k] * hidden[formula["index"](d, k) % size] for k in range(size))) for d in range(size)
        ]
    output = expand(dot(layers[-1], hidden))
    return [output.coeff(variable) for variable in x]


@for_all_sizes
def _lemma_3(formula: Formula, size: int) -> Iterator[Step]:
    yield from lemma_3_instances(formula, size)
    D, L = whole("D L")
    d, k, n = integer("d k n")
    w, gamma = real("w γ")
    omega = positive("omega")  # one generic base; only its exponents matter
    term = formula["scale"](D) * w * gamma * omega ** (formula["index"](d, k) * n) / sqrt(D)
    yield check(
        "one more layer in front, β[m] = scale·Σ_k w[k] γ[d] over d+k ≡ m: each term of β̂[n] is a term of ŵ[n] "
        "times a term of γ̂[n], up to factor(D, L+1)/factor(D, L)"
    ).equal(
        term,
        (w * omega ** (k * n) / sqrt(D))
        * (gamma * omega ** (d * n) / sqrt(D))
        * formula["factor"](D, L + 1)
        / formula["factor"](D, L),
    )
    yield check("one layer: β = w₁").equal(formula["factor"](D, Integer(1)), 1)
    yield check(
        "k ↦ m = index(d, k) mod D steps by one, so every pair (d, k) is met once; ω^D = 1 makes mod D harmless; "
        "induction on L"
    ).equal(formula["index"](d, k + 1) - formula["index"](d, k), 1)


def lemma_3_instances(formula: Formula, size: int) -> Iterator[Step]:
    for depth in (1, 2, 3):
        for dim in range(1, size + 1):
            layers = weights(depth, dim)
            beta, factor = predictor(layers, formula), formula["factor"](Integer(dim), Integer(depth))
            products = [factor * prod([fourier(w, n) for w in layers]) for n in range(dim)]
            yield instance(f"D = {dim}, L = {depth}: the network run on indeterminate x, all frequencies").equal(
                tagged([reduced(fourier(beta, n), dim) for n in range(dim)]),
                tagged([reduced(product, dim) for product in products]),
                where={_OMEGA: [exp(-2 * pi * I / dim)]},
            )


LAYER = {"index": lambda d, k: d + k, "scale": lambda D: 1 / sqrt(D)}
UNSCALED = {**LAYER, "scale": lambda D: Integer(1)}
GROWN = {"factor": lambda D, L: D ** ((L - 1) / Integer(2))}
"""By how much the product of the layers' spectra falls short of β̂ when the layers are not scaled by 1/√D."""


def correlate(h: Sequence[Any], w: Sequence[Any]) -> list[Any]:
    """(h ⋆ w)[d] = D^{-1/2} Σ_k w[k] h[(d+k) mod D]."""
    D = len(h)
    return [sum(w[k] * h[(d + k) % D] for k in range(D)) / sqrt(D) for d in range(D)]


def _p_conv(formula: Formula, size: int) -> Iterator[Step]:
    def flip(w: Sequence[Any]) -> list[Any]:
        return [w[formula["flip"](k, len(w)) % len(w)] for k in range(len(w))]

    for depth in (2, 3):
        for dim in range(1, size + 1):
            layers = weights(depth, dim)
            yield check(f"D = {dim}, L = {depth}: β of the network, all entries").equal(
                tagged(predictor(layers, LAYER)), tagged(formula["composition"](layers, flip))
            )


def _in_order(layers: Any, flip: Any) -> Any:
    """w₁↓ ⋆ w₂↓ ⋆ … ⋆ w_L, from the left."""
    result = flip(layers[0])
    for w in layers[1:-1]:
        result = correlate(result, flip(w))
    return correlate(result, layers[-1])


def _from_the_top(layers: Any, flip: Any) -> Any:
    """(…(w_L ⋆ w↓_{L−1}) …) ⋆ w₁↓."""
    result = layers[-1]
    for w in reversed(layers[:-1]):
        result = correlate(result, flip(w))
    return result


def _plain(layers: Any, flip: Any) -> Any:
    """Circular convolution D^{-1/2} Σ_k u[k] v[(d−k) mod D], no flip."""
    result = list(layers[0])
    for w in layers[1:]:
        D = len(w)
        result = [sum(w[k] * result[(d - k) % D] for k in range(D)) / sqrt(D) for d in range(D)]
    return result


def _negative(composition: Any) -> Any:
    return lambda layers, flip: [-b for b in composition(layers, flip)]


_NO_FACTOR = {"factor": lambda D, L: Integer(1)}
_PRINTED_FLIP, _RIGHT_FLIP = {"flip": lambda k, D: D - 1 - k}, {"flip": lambda k, D: -k}
_FROM_THE_LEFT, _RIGHT_ORDER = {"composition": _in_order}, {"composition": _from_the_top}


def _as_printed(name: str, *parts: Formula) -> Claim:
    return (
        claim(name, _p_conv, *parts)
        .corrected(**_RIGHT_FLIP, **_RIGHT_ORDER)
        .refutes("flip by D − 2 − k", flip=lambda k, D: D - 2 - k)
        .refutes("sign", composition=_negative(parts[1]["composition"]))
    )


CLAIMS: tuple[Claim, ...] = (
    claim("lemma-3", _lemma_3, LAYER, _NO_FACTOR)
    .refutes("index d − k: a conjugate appears", index=lambda d, k: d - k)
    .refutes("scale 1/D", scale=lambda D: 1 / D)
    .refutes("sign (−1)^{L−1}", factor=lambda D, L: (-1) ** (L - 1)),
    claim("lemma-3-as-printed", _lemma_3, UNSCALED, _NO_FACTOR)
    .corrected(**GROWN)
    .refutes("factor √D whatever the depth", factor=lambda D, L: sqrt(D))
    .refutes("factor D^{−(L−1)/2}", factor=lambda D, L: D ** (-(L - 1) / Integer(2))),
    claim("lemma-3-unscaled", _lemma_3, UNSCALED, GROWN)
    .refutes("factor D^{L/2}", factor=lambda D, L: D ** (L / Integer(2)))
    .refutes("index k − d", index=lambda d, k: k - d),
    claim("p-conv", _p_conv, _RIGHT_FLIP, _RIGHT_ORDER)
    .refutes("flip by D − 1 − k", **_PRINTED_FLIP)
    .refutes("no flip", flip=lambda k, D: k)
    .refutes("operands from the left", composition=_in_order),
    claim("p-conv-without-flip", _p_conv, _RIGHT_FLIP, composition=_plain)
    .refutes("one layer flipped", composition=lambda w, flip: _plain([flip(w[0]), *w[1:]], flip))
    .refutes("sign", composition=_negative(_plain)),
    _as_printed("p-conv-as-printed", _PRINTED_FLIP, _FROM_THE_LEFT),
    _as_printed("p-conv-printed-flip", _PRINTED_FLIP, _RIGHT_ORDER),
    _as_printed("p-conv-printed-order", _RIGHT_FLIP, _FROM_THE_LEFT),
)
