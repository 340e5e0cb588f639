"""R_K: the price of a predictor in a two-layer linear CNN with kernels of length K.

    β = D^{-1/2} Σ_c Σ_k U[k,c] V[(·−k) mod D, c],        R_K(β) = min ‖U‖² + ‖V‖²

In frequency β̂[d] = Σ_c û_c[d] v̂_c[d] with û_c the unitary DFT of the zero-padded kernel. Eliminating V leaves
‖U‖² + Σ_d |β̂[d]|²/P_d, P_d = Σ_c |û_c[d]|²; K = 1 and K = D have closed forms; and ⟨z, β⟩ is a bilinear form in
(U, V) with the K × D matrix T_K z of shifts of z, which gives the dual norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy

from proofs.claim import Claim, Formula, Mutant, Step
from proofs.convolution_lemma import JAGADEESAN
from proofs.induced_regularizers import ALL, LAYER, D, cauchy_schwarz, parseval
from proofs.linear_networks import GUNASEKAR, fourier, reduced
from proofs.steps import identity, nonnegative


def _variational(formula: Formula, size: int) -> Iterator[Step]:
    del size
    yield cauchy_schwarz()
    b, u = sympy.symbols("β̂ û_c", complex=True)
    P, modulus2 = sympy.symbols("P_d |β̂|²", positive=True)
    v = formula["attaining"](b, u, P)
    yield identity(
        "v̂_c = β̂ conj(û_c)/P meets the constraint: û_c v̂_c is the share |û_c|²/P of β̂, and the shares add to 1",
        u * v, b * (u * sympy.conjugate(u)) / P, kind=ALL,
    )  # fmt: skip
    yield identity(
        "its price: |v̂_c|² is the share |û_c|²/P of the stated price",
        v * sympy.conjugate(v) / (u * sympy.conjugate(u)), formula["price"](b * sympy.conjugate(b), P) / P, kind=ALL,
    )  # fmt: skip
    yield identity(
        "no v is cheaper: |β̂|² = |Σ û_c v̂_c|² ≤ P Σ|v̂_c|², so Σ|v̂_c|² ≥ |β̂|²/P is the stated price",
        modulus2 / P, formula["price"](modulus2, P), kind=ALL,
    )  # fmt: skip
    yield identity(
        "v is real: at −d, where β̂ and û_c are conjugate, v̂_c is conjugate",
        formula["attaining"](sympy.conjugate(b), sympy.conjugate(u), P), sympy.conjugate(v), kind=ALL,
    )  # fmt: skip
    yield from parseval()


def _one_tap(formula: Formula, size: int) -> Iterator[Step]:
    u, n, s = sympy.symbols("u ‖β‖ s", positive=True)
    power = formula["power"](u, D)
    yield identity("K = 1: û[d] = u/√D at every d", power, (u / sympy.sqrt(D)) ** 2, kind=ALL)
    price = s + n**2 / formula["power"](sympy.sqrt(s), D)
    root = sympy.sqrt(s)
    yield nonnegative(
        "with s = ‖u‖²: s + ‖β‖² D/s ≥ value(D, ‖β‖), a square is left over",
        price - formula["value"](D, n), (root - sympy.sqrt(D) * n / root) ** 2, kind=ALL,
    )  # fmt: skip
    yield identity("attained at s = √D‖β‖", price.subs(s, sympy.sqrt(D) * n), formula["value"](D, n), kind=ALL)
    for dim in range(1, size + 1):
        w = sympy.Symbol("u", real=True)
        energy = reduced(fourier([w, *[0] * (dim - 1)], 1) * fourier([w, *[0] * (dim - 1)], -1), dim)
        yield identity(f"D = {dim}: |û[1]|² of a kernel with one tap", energy, formula["power"](w, sympy.Integer(dim)),
                       instance=True)  # fmt: skip


def _full_width(formula: Formula, size: int) -> Iterator[Step]:
    del size
    P, b = sympy.symbols("P_d |β̂_d|", positive=True)
    yield from parseval()
    yield nonnegative(
        "K = D: ‖U‖² = Σ_d P_d, so the price is Σ_d P_d + |β̂_d|²/P_d, and each term is ≥ value(|β̂_d|)",
        P + b**2 / P - formula["value"](b), (sympy.sqrt(P) - b / sympy.sqrt(P)) ** 2, kind=ALL,
    )  # fmt: skip
    attained = formula["power"](b)
    yield identity("attained at P_d = power(|β̂_d|)", attained + b**2 / attained, formula["value"](b), kind=ALL)
    root = sympy.sqrt(b)
    yield identity(
        "such a kernel exists for K = D with one channel: û[d] = √P_d, even in d, is the DFT of a real kernel",
        root * sympy.conjugate(root), attained, kind=ALL,
    )  # fmt: skip


def _shifts(z: Any, K: int, index: Any) -> Any:
    """T_K z, K × D."""
    dim = len(z)
    return sympy.Matrix(K, dim, lambda k, d: z[index(d, k) % dim])


def _dual_norm(formula: Formula, size: int) -> Iterator[Step]:
    index, constant = formula["index"], formula["constant"]
    k, m = sympy.symbols("k m", integer=True)
    yield identity(
        "⟨z, β⟩ = D^{-1/2} Σ z[m] U[k] V[m−k] meets V[d] with z[index(d, k)] at m = d + k",
        index(m - k, k), m, kind=ALL,
    )  # fmt: skip
    sigma, u, v, half = sympy.symbols("σ ‖U‖ ‖V‖ h", positive=True)
    yield nonnegative(
        "⟨U, T V⟩ ≤ σ‖U‖‖V‖ ≤ σ(‖U‖² + ‖V‖²)/2",
        sigma * (u**2 + v**2) / 2 - sigma * u * v, sigma * (u - v) ** 2 / 2, kind=ALL,
    )  # fmt: skip
    yield identity(
        "attained at the singular pair with ‖U‖² = ‖V‖² = 1/2: D^{-1/2} σ/2 = constant(D)·σ",
        (sigma * half * half / sympy.sqrt(D)).subs(half, 1 / sympy.sqrt(2)), constant(D) * sigma, kind=ALL,
    )  # fmt: skip
    n, top = sympy.symbols("‖z‖ |ẑ|_max", positive=True)
    yield identity("K = 1: ‖z‖/(2√D), the dual of 2√D‖β‖₂", constant(D) * n, n / (2 * sympy.sqrt(D)), kind=ALL)
    yield identity("K = D: T is circulant, σ = √D max|ẑ|: max|ẑ|/2, the dual of 2‖β̂‖₁",
                   constant(D) * sympy.sqrt(D) * top, top / 2, kind=ALL)  # fmt: skip
    for dim in range(1, size + 1):
        yield from _dual_instances(dim, index)


def _dual_instances(dim: int, index: Any) -> Iterator[Step]:
    z = sympy.symbols(f"z0:{dim}", real=True)
    V = sympy.symbols(f"v0:{dim}", real=True)
    for K in {1, min(2, dim), dim}:
        U = sympy.symbols(f"u0:{K}", real=True)
        beta = [sum(U[k] * V[(m - k) % dim] for k in range(K)) for m in range(dim)]
        T = _shifts(z, K, index)
        bilinear = (sympy.Matrix([U]) * T * sympy.Matrix(V))[0]
        inner = sum(p * q for p, q in zip(z, beta, strict=True))
        yield identity(f"D = {dim}, K = {K}: √D⟨z, β⟩ = Uᵀ(T_K z)V", inner, bilinear, instance=True)
        lag = [sum(z[i] * z[(i + j) % dim] for i in range(dim)) for j in range(dim)]
        tag = sympy.symbols(f"t0:{K * K}", real=True)
        gram = T * T.T
        yield identity(
            f"D = {dim}, K = {K}: T Tᵀ is the Toeplitz matrix of z's circular autocorrelation",
            sum(t * g for t, g in zip(tag, gram, strict=True)),
            sum(tag[i * K + j] * lag[(i - j) % dim] for i in range(K) for j in range(K)), instance=True,
        )  # fmt: skip


def _kkt(formula: Formula, size: int) -> Iterator[Step]:
    """w = ∇_w⟨z, P(w)⟩ for the bilinear ⟨z, P(U, V)⟩ = D^{-1/2} Uᵀ(T_K z)V."""
    u, v, entry, inner = sympy.symbols("u v T ⟨z|β⟩", positive=True)
    share = u * entry * v / sympy.sqrt(D)
    term = formula["form"](u, v, entry) / sympy.sqrt(D)
    yield identity("U·∂/∂U of a term u T v is the term itself, so KKT U = ∇_U gives ‖U‖² = ⟨z, β⟩",
                   u * sympy.diff(term, u), share, kind=ALL)  # fmt: skip
    yield identity("and V·∂/∂V as well: ‖V‖² = ⟨z, β⟩", v * sympy.diff(term, v), share, kind=ALL)
    yield identity("so the price ‖U‖² + ‖V‖² is price(⟨z, β⟩): Fenchel's equality for 2z", inner + inner,
                   formula["price"](inner), kind=ALL)  # fmt: skip
    for dim in range(2, size + 1):
        z, V, U = (sympy.symbols(f"{name}0:{n}", real=True) for name, n in (("z", dim), ("v", dim), ("u", 2)))
        beta = [sum(U[k] * V[(m - k) % dim] for k in range(2)) / sympy.sqrt(dim) for m in range(dim)]
        value = sum(p * q for p, q in zip(z, beta, strict=True))
        gradient = sum(s * sympy.diff(value, s) for s in (*U, *V))
        yield identity(f"D = {dim}, K = 2: w·∇_w⟨z, P(w)⟩", gradient, formula["price"](value), instance=True)


def _claims() -> Iterator[Claim]:
    two_layers = "two layers, the first scaled by 1/√D, as many output channels as needed"
    yield Claim(
        name="variational-form", statement="R_K(β) = min_U ‖U‖² + Σ_d |β̂[d]|²/P_d,  P_d = Σ_c |û_c[d]|²",
        assumptions=(two_layers, "0/0 = 0: where P_d = 0, β̂[d] must be 0"),
        reference=f"{JAGADEESAN}, R_{{K,C}} with V eliminated", scope="all K, D, C, β", argument=_variational,
        formula={"price": lambda b2, P: b2 / P, "attaining": lambda b, u, P: b * sympy.conjugate(u) / P}, expected=ALL,
        mutants=(
            Mutant("|β̂|²/P²", {"price": lambda b2, P: b2 / P**2}),
            Mutant("no conjugate", {"attaining": lambda b, u, P: b * u / P}),
            Mutant("factor 2", {"price": lambda b2, P: 2 * b2 / P}),
        ),
    )  # fmt: skip
    yield Claim(
        name="one-tap", statement="R_1(β) = 2√D‖β‖₂", assumptions=(two_layers,),
        reference=f"{JAGADEESAN}, K = 1", scope="all D, β ≠ 0", argument=_one_tap, expected=ALL, max_size=5,
        formula={"value": lambda D, n: 2 * sympy.sqrt(D) * n, "power": lambda u, D: u**2 / D},
        mutants=(
            Mutant("2‖β‖", {"value": lambda D, n: 2 * n}),
            Mutant("2D‖β‖", {"value": lambda D, n: 2 * D * n}),
            Mutant("P_d = u²", {"power": lambda u, D: u**2}),
        ),
    )  # fmt: skip
    yield Claim(
        name="full-width", statement="R_D(β) = 2‖β̂‖₁", assumptions=(two_layers, "β̂[d] ≠ 0; a zero frequency costs 0"),
        reference=f"{JAGADEESAN}, K = D; {GUNASEKAR}, Lemma 7 at L = 2", scope="all D, β",
        argument=_full_width, expected=ALL,
        formula={"value": lambda b: 2 * b, "power": lambda b: b},
        mutants=(
            Mutant("factor 1", {"value": lambda b: b}),
            Mutant("P = |β̂|²", {"power": lambda b: b**2}),
            Mutant("sign", {"value": lambda b: -2 * b}),
        ),
    )  # fmt: skip
    yield Claim(
        name="dual-norm", statement="R_K°(z) = ‖T_K z‖_op/(2√D),  (T_K z)[k, d] = z[(d+k) mod D]",
        assumptions=(two_layers,), reference=f"{JAGADEESAN}, the dual of R_K", scope="all K ≤ D, z; instances D ≤ 5",
        formula={"index": LAYER["index"], "constant": lambda D: 1 / (2 * sympy.sqrt(D))},
        argument=_dual_norm, expected=ALL, max_size=5,
        mutants=(
            Mutant("shift d − k", {"index": lambda d, k: d - k}),
            Mutant("constant 1/√D", {"constant": lambda D: 1 / sympy.sqrt(D)}),
            Mutant("constant 1/(2D)", {"constant": lambda D: 1 / (2 * D)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="kkt-two-layer", statement="KKT of (14) ⇒ ‖U‖² + ‖V‖² = 2⟨z, β⟩, the equality half of 2z ∈ ∂R_K(β)",
        assumptions=(two_layers, "the other half, R_K°(2z) ≤ 1, is not first-order: saddles are KKT points"),
        reference=f"{GUNASEKAR}, KKT of (14) ⇒ (10), for the network of {JAGADEESAN}", scope="all K, D, C",
        formula={"form": lambda u, v, t: u * t * v, "price": lambda m: 2 * m}, argument=_kkt, expected=ALL,
        mutants=(
            Mutant("price ⟨z, β⟩", {"price": lambda m: m}),
            Mutant("a square", {"form": lambda u, v, t: u**2 * t * v}),
            Mutant("sign", {"price": lambda m: -2 * m}),
        ),
    )  # fmt: skip


CLAIMS = tuple(_claims())
