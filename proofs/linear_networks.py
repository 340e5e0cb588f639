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

import sympy

from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.steps import identity

GUNASEKAR = "Gunasekar et al. (2018)"

_OMEGA = sympy.Symbol("omega")
ALL = Kind.PROVED_FOR_ALL_SIZES


def weights(layer: int, size: int) -> tuple[Any, ...]:
    """Indeterminate real weights w_layer[0], …, w_layer[size−1]."""
    return tuple(sympy.Symbol(f"w{layer}_{k}", real=True) for k in range(size))


def fourier(signal: Sequence[Any], d: Any) -> Any:
    """x̂[d] = D^{-1/2} Σ_p x[p] ω^{pd}, ω a symbol with ω^D = 1."""
    size = len(signal)
    return sum(x * _OMEGA ** (p * d % size) for p, x in enumerate(signal)) / sympy.sqrt(size)


def reduced(expression: Any, size: int) -> Any:
    """The normal form of a polynomial in ω for a primitive size-th root of unity ω."""
    terms = []
    for term in sympy.Add.make_args(_multiplied_out(expression)):
        coefficient, power = term.as_coeff_exponent(_OMEGA)
        if coefficient.has(_OMEGA):
            raise ArithmeticError(f"{term} is not a multiple of a power of ω")
        terms += [share * coefficient * _OMEGA**exponent for exponent, share in _power(int(power) % size, size)]
    return sympy.Add(*terms)


def _multiplied_out(expression: Any) -> Any:
    """sympy's expand with the two hints that polynomials need, at half its cost."""
    hints = {"power_base": False, "power_exp": False, "log": False, "basic": False}
    return sympy.sympify(expression).expand(mul=True, multinomial=True, **hints)


@cache
def _power(exponent: int, size: int) -> tuple[tuple[int, Any], ...]:
    """ω^exponent modulo the cyclotomic polynomial, as (exponent, integer coefficient)."""
    remainder = sympy.Poly(_OMEGA**exponent, _OMEGA).rem(sympy.Poly(sympy.cyclotomic_poly(size, _OMEGA), _OMEGA))
    return tuple((int(power), coefficient) for (power,), coefficient in remainder.terms())


def predictor(layers: Sequence[Sequence[Any]], formula: Formula) -> list[Any]:
    """β of the network x ↦ ⟨w_L, (…(x ⋆ w₁) …) ⋆ w_{L−1}⟩, by running the network on indeterminate x."""
    size = len(layers[0])
    x = sympy.symbols(f"x0:{size}")
    hidden: list[Any] = list(x)
    for w in layers[:-1]:
        scale = formula["scale"](sympy.Integer(size))
        hidden = [
            sympy.expand(scale * sum(w[k] * hidden[formula["index"](d, k) % size] for k in range(size)))
            for d in range(size)
        ]
    output = sympy.expand(sum(a * b for a, b in zip(layers[-1], hidden, strict=True)))
    return [output.coeff(variable) for variable in x]


def _lemma_3(formula: Formula, size: int) -> Iterator[Step]:
    yield from lemma_3_instances(formula, size)
    D, L = sympy.symbols("D L", positive=True, integer=True)
    d, k, n = sympy.symbols("d k n", integer=True)
    w, gamma = sympy.symbols("w γ", real=True)
    omega = sympy.Symbol("omega", positive=True)  # one generic base; only its exponents matter
    term = formula["scale"](D) * w * gamma * omega ** (formula["index"](d, k) * n) / sympy.sqrt(D)
    yield identity(
        "one more layer in front, β[m] = scale·Σ_k w[k] γ[d] over d+k ≡ m: each term of β̂[n] is a term of ŵ[n] "
        "times a term of γ̂[n], up to factor(D, L+1)/factor(D, L)",
        term,
        (w * omega ** (k * n) / sympy.sqrt(D)) * (gamma * omega ** (d * n) / sympy.sqrt(D))
        * formula["factor"](D, L + 1) / formula["factor"](D, L),
        kind=ALL,
    )  # fmt: skip
    yield identity("one layer: β = w₁", formula["factor"](D, sympy.Integer(1)), 1, kind=ALL)
    yield identity(
        "k ↦ m = index(d, k) mod D steps by one, so every pair (d, k) is met once; ω^D = 1 makes mod D harmless; "
        "induction on L",
        formula["index"](d, k + 1) - formula["index"](d, k), 1, kind=ALL,
    )  # fmt: skip


def lemma_3_instances(formula: Formula, size: int) -> Iterator[Step]:
    for depth in (1, 2, 3):
        for dim in range(1, size + 1):
            layers = [weights(layer, dim) for layer in range(1, depth + 1)]
            beta = predictor(layers, formula)
            left, right = sympy.Integer(0), sympy.Integer(0)
            tag = sympy.symbols(f"t0:{dim}", real=True)  # separates the frequencies
            for n in range(dim):
                product = sympy.prod([fourier(w, n) for w in layers])
                left += tag[n] * reduced(fourier(beta, n), dim)
                right += tag[n] * reduced(formula["factor"](sympy.Integer(dim), sympy.Integer(depth)) * product, dim)
            yield identity(
                f"D = {dim}, L = {depth}: the network run on indeterminate x, all frequencies",
                left, right, instance=True, where={_OMEGA: [sympy.exp(-2 * sympy.pi * sympy.I / dim)]},
            )  # fmt: skip


def _p_conv(formula: Formula, size: int) -> Iterator[Step]:
    right_layer = {"index": lambda d, k: d + k, "scale": lambda D: 1 / sympy.sqrt(D)}
    for depth in (2, 3):
        for dim in range(1, size + 1):
            layers = [weights(layer, dim) for layer in range(1, depth + 1)]

            def correlate(h: Sequence[Any], w: Sequence[Any]) -> list[Any]:
                D = len(h)
                return [sum(w[k] * h[(d + k) % D] for k in range(D)) / sympy.sqrt(D) for d in range(D)]

            def flip(w: Sequence[Any]) -> list[Any]:
                source = formula.get("flip", lambda k, D: -k)
                return [w[source(k, len(w)) % len(w)] for k in range(len(w))]

            claimed = formula["composition"](layers, correlate, flip)
            beta = predictor(layers, right_layer)
            tag = sympy.symbols(f"t0:{dim}", real=True)
            yield identity(
                f"D = {dim}, L = {depth}: β of the network, all entries",
                sum(t * b for t, b in zip(tag, beta, strict=True)),
                sum(t * b for t, b in zip(tag, claimed, strict=True)),
            )


def _in_order(layers: Any, correlate: Any, flip: Any) -> Any:
    """w₁↓ ⋆ w₂↓ ⋆ … ⋆ w_L, from the left."""
    result = flip(layers[0])
    for w in layers[1:-1]:
        result = correlate(result, flip(w))
    return correlate(result, layers[-1])


def _from_the_top(layers: Any, correlate: Any, flip: Any) -> Any:
    """(…(w_L ⋆ w↓_{L−1}) …) ⋆ w₁↓."""
    result = layers[-1]
    for w in reversed(layers[:-1]):
        result = correlate(result, flip(w))
    return result


def _plain(layers: Any, correlate: Any, flip: Any) -> Any:
    """Circular convolution D^{-1/2} Σ_k u[k] v[(d−k) mod D], no flip."""
    result = list(layers[0])
    for w in layers[1:]:
        D = len(w)
        result = [sum(w[k] * result[(d - k) % D] for k in range(D)) / sympy.sqrt(D) for d in range(D)]
    return result


def _claims() -> Iterator[Claim]:
    layer = {"index": lambda d, k: d + k, "scale": lambda D: 1 / sympy.sqrt(D)}
    yield Claim(
        name="lemma-3",
        statement="h⋆w [d] = D^{-1/2} Σ_k w[k] h[(d+k) mod D]  ⇒  β̂ = ŵ₁ ⊙ … ⊙ ŵ_L",
        assumptions=("full-width circular convolution layers, the last one fully connected", "unitary DFT"),
        reference=f"{GUNASEKAR}, Lemma 3, with the layer scaled by 1/√D",
        scope="all D, L; instances D ≤ 5, L ≤ 3",
        formula={**layer, "factor": lambda D, L: sympy.Integer(1)},
        argument=_lemma_3, expected=ALL, max_size=5,
        mutants=(
            Mutant("index d − k: a conjugate appears", {"index": lambda d, k: d - k}),
            Mutant("scale 1/D", {"scale": lambda D: 1 / D}),
            Mutant("sign (−1)^{L−1}", {"factor": lambda D, L: (-1) ** (L - 1)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="lemma-3-as-printed",
        statement="h⋆w [d] = Σ_k w[k] h[(d+k) mod D]  ⇒  β̂ = ŵ₁ ⊙ … ⊙ ŵ_L",
        assumptions=("layers as eq. (2) prints them, without the 1/√D", "unitary DFT"),
        reference=f"{GUNASEKAR}, Lemma 3 read with eq. (2)",
        scope="all D, L",
        formula={**layer, "scale": lambda D: sympy.Integer(1), "factor": lambda D, L: sympy.Integer(1)},
        argument=_lemma_3, expected=Kind.REFUTED, max_size=5,
        correction={"factor": lambda D, L: D ** ((L - 1) / sympy.Integer(2))}, corrected_by="lemma-3-unscaled",
        mutants=(
            Mutant("factor √D whatever the depth", {"factor": lambda D, L: sympy.sqrt(D)}),
            Mutant("factor D^{−(L−1)/2}", {"factor": lambda D, L: D ** (-(L - 1) / sympy.Integer(2))}),
        ),
    )  # fmt: skip
    yield Claim(
        name="lemma-3-unscaled",
        statement="h⋆w [d] = Σ_k w[k] h[(d+k) mod D]  ⇒  β̂ = D^{(L−1)/2} ŵ₁ ⊙ … ⊙ ŵ_L",
        assumptions=("layers as eq. (2) prints them, without the 1/√D", "unitary DFT"),
        reference=f"{GUNASEKAR}, Lemma 3 corrected for eq. (2)",
        scope="all D, L; instances D ≤ 5, L ≤ 3",
        formula={
            **layer, "scale": lambda D: sympy.Integer(1), "factor": lambda D, L: D ** ((L - 1) / sympy.Integer(2)),
        },
        argument=_lemma_3, expected=ALL, max_size=5,
        mutants=(
            Mutant("factor D^{L/2}", {"factor": lambda D, L: D ** (L / sympy.Integer(2))}),
            Mutant("index k − d", {"index": lambda d, k: k - d}),
        ),
    )  # fmt: skip
    yield from _p_conv_claims()


def _p_conv_claims() -> Iterator[Claim]:
    printed_flip, right_flip = (lambda k, D: D - 1 - k), (lambda k, D: -k)
    common: dict[str, Any] = {
        "assumptions": ("h⋆w [d] = D^{-1/2} Σ_k w[k] h[(d+k) mod D]",), "argument": _p_conv, "max_size": 5,
        "scope": "D ≤ 5, L = 2, 3, all weights",
    }  # fmt: skip
    right = {"flip": right_flip, "composition": _from_the_top}
    yield Claim(
        name="p-conv", statement="P_conv(w) = (…(w_L ⋆ w↓_{L−1}) …) ⋆ w₁↓,  w↓[k] = w[−k mod D]",
        reference=f"{GUNASEKAR}, P_conv, corrected", formula=right,
        mutants=(
            Mutant("flip by D − 1 − k", {"flip": printed_flip}),
            Mutant("no flip", {"flip": lambda k, D: k}),
            Mutant("operands from the left", {"composition": _in_order}),
        ), **common,
    )  # fmt: skip
    yield Claim(
        name="p-conv-without-flip", statement="P_conv(w) = w₁ ∗ … ∗ w_L,  (u∗v)[d] = D^{-1/2} Σ_k u[k] v[(d−k) mod D]",
        reference=f"{GUNASEKAR}, P_conv, as plain circular convolution",
        formula={"composition": _plain},
        mutants=(
            Mutant("one layer flipped", {"composition": lambda w, c, f: _plain([f(w[0]), *w[1:]], c, f)}),
            Mutant("sign", {"composition": lambda w, c, f: [-b for b in _plain(w, c, f)]}),
        ), **common,
    )  # fmt: skip
    for name, statement, formula in (
        ("p-conv-as-printed", "P_conv(w) = w₁↓ ⋆ … ⋆ w_L,  w↓[k] = w[D−1−k]",
         {"flip": printed_flip, "composition": _in_order}),
        ("p-conv-printed-flip", "P_conv(w) = (…(w_L ⋆ w↓_{L−1}) …) ⋆ w₁↓,  w↓[k] = w[D−1−k]",
         {"flip": printed_flip, "composition": _from_the_top}),
        ("p-conv-printed-order", "P_conv(w) = w₁↓ ⋆ … ⋆ w_L,  w↓[k] = w[−k mod D]",
         {"flip": right_flip, "composition": _in_order}),
    ):  # fmt: skip
        yield Claim(
            name=name, statement=statement, reference=f"{GUNASEKAR}, P_conv as printed ({name.rsplit('-', 1)[-1]})",
            formula=formula, expected=Kind.REFUTED, correction=right, corrected_by="p-conv",
            mutants=(
                Mutant("flip by D − 2 − k", {"flip": lambda k, D: D - 2 - k}),
                Mutant("sign", {"composition": lambda w, c, f, g=formula["composition"]: [-b for b in g(w, c, f)]}),
            ), **common,
        )  # fmt: skip


CLAIMS = tuple(_claims())
