"""R_K: the induced regularizer of a two-layer linear CNN with kernels of length K.

    β = D^{-1/2} Σ_c Σ_k U[k,c] V[(·−k) mod D, c],        R_K(β) = min ‖U‖² + ‖V‖²

In frequency β̂[d] = Σ_c û_c[d] v̂_c[d] with û_c the unitary DFT of the zero-padded kernel. Eliminating V leaves
‖U‖² + Σ_d |β̂[d]|²/P_d, P_d = Σ_c |û_c[d]|²; K = 1 and K = D have closed forms; and ⟨z, β⟩ is a bilinear form in
(U, V) with the K × D matrix T_K z of shifts of z, which gives the dual norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sympy import Integer, Matrix, conjugate, diff, sqrt

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.induced_regularizers import D, cauchy_schwarz, parseval
from proofs.linear_networks import LAYER, fourier, reduced
from proofs.steps import check, instance
from proofs.symbols import complex_, dot, integer, positive, real, tagged


@for_all_sizes
def _variational(formula: Formula, size: int) -> Iterator[Step]:
    yield cauchy_schwarz()
    b, u = complex_("β̂ û_c")
    P, modulus2 = positive("P_d |β̂|²")
    v = formula["attaining"](b, u, P)
    yield check(
        "v̂_c = β̂ conj(û_c)/P meets the constraint: û_c v̂_c is the share |û_c|²/P of β̂, and the shares add to 1"
    ).equal(u * v, b * (u * conjugate(u)) / P)
    yield check("its value: |v̂_c|² is the share |û_c|²/P of the stated value").equal(
        v * conjugate(v) / (u * conjugate(u)), formula["value"](b * conjugate(b), P) / P
    )
    yield check("no v is smaller: |β̂|² = |Σ û_c v̂_c|² ≤ P Σ|v̂_c|², so Σ|v̂_c|² ≥ |β̂|²/P is the stated value").equal(
        modulus2 / P, formula["value"](modulus2, P)
    )
    yield check("v is real: at −d, where β̂ and û_c are conjugate, v̂_c is conjugate").equal(
        formula["attaining"](conjugate(b), conjugate(u), P), conjugate(v)
    )
    yield from parseval()


@for_all_sizes
def _one_tap(formula: Formula, size: int) -> Iterator[Step]:
    u, n, s = positive("u ‖β‖ s")
    power = formula["power"](u, D)
    yield check("K = 1: û[d] = u/√D at every d").equal(power, (u / sqrt(D)) ** 2)
    energy = s + n**2 / formula["power"](sqrt(s), D)
    root = sqrt(s)
    yield check("with s = ‖u‖²: s + ‖β‖² D/s ≥ value(D, ‖β‖), a square is left over").nonnegative(
        energy - formula["value"](D, n), (root - sqrt(D) * n / root) ** 2
    )
    yield check("attained at s = √D‖β‖").equal(energy.subs(s, sqrt(D) * n), formula["value"](D, n))
    for dim in range(1, size + 1):
        w = real("u")
        energy = reduced(fourier([w, *[0] * (dim - 1)], 1) * fourier([w, *[0] * (dim - 1)], -1), dim)
        yield instance(f"D = {dim}: |û[1]|² of a kernel with one tap").equal(energy, formula["power"](w, Integer(dim)))


@for_all_sizes
def _full_width(formula: Formula, size: int) -> Iterator[Step]:
    P, b = positive("P_d |β̂_d|")
    yield from parseval()
    yield check(
        "K = D: ‖U‖² = Σ_d P_d, so the value is Σ_d P_d + |β̂_d|²/P_d, and each term is ≥ value(|β̂_d|)"
    ).nonnegative(P + b**2 / P - formula["value"](b), (sqrt(P) - b / sqrt(P)) ** 2)
    attained = formula["power"](b)
    yield check("attained at P_d = power(|β̂_d|)").equal(attained + b**2 / attained, formula["value"](b))
    root = sqrt(b)
    yield check(
        "such a kernel exists for K = D with one channel: û[d] = √P_d, even in d, is the DFT of a real kernel"
    ).equal(root * conjugate(root), attained)


@for_all_sizes
def _dual_norm(formula: Formula, size: int) -> Iterator[Step]:
    index, constant = formula["index"], formula["constant"]
    k, m = integer("k m")
    yield check("⟨z, β⟩ = D^{-1/2} Σ z[m] U[k] V[m−k] meets V[d] with z[index(d, k)] at m = d + k").equal(
        index(m - k, k), m
    )
    sigma, u, v, half = positive("σ ‖U‖ ‖V‖ h")
    yield check("⟨U, T V⟩ ≤ σ‖U‖‖V‖ ≤ σ(‖U‖² + ‖V‖²)/2").nonnegative(
        sigma * (u**2 + v**2) / 2 - sigma * u * v, sigma * (u - v) ** 2 / 2
    )
    yield check("attained at the singular pair with ‖U‖² = ‖V‖² = 1/2: D^{-1/2} σ/2 = constant(D)·σ").equal(
        (sigma * half * half / sqrt(D)).subs(half, 1 / sqrt(2)), constant(D) * sigma
    )
    n, top = positive("‖z‖ |ẑ|_max")
    yield check("K = 1: ‖z‖/(2√D), the dual of 2√D‖β‖₂").equal(constant(D) * n, n / (2 * sqrt(D)))
    yield check("K = D: T is circulant, σ = √D max|ẑ|: max|ẑ|/2, the dual of 2‖β̂‖₁").equal(
        constant(D) * sqrt(D) * top, top / 2
    )
    for dim in range(1, size + 1):
        yield from _dual_instances(dim, index)


def _dual_instances(dim: int, index: Any) -> Iterator[Step]:
    z, V = real(f"z0:{dim}"), real(f"v0:{dim}")
    for K in {1, min(2, dim), dim}:
        U = real(f"u0:{K}")
        beta = [sum(U[k] * V[(m - k) % dim] for k in range(K)) for m in range(dim)]
        T = Matrix(K, dim, lambda k, d: z[index(d, k) % dim])
        bilinear = (Matrix([U]) * T * Matrix(V))[0]
        yield instance(f"D = {dim}, K = {K}: √D⟨z, β⟩ = Uᵀ(T_K z)V").equal(dot(z, beta), bilinear)
        lag = [dot(z, z[j:] + z[:j]) for j in range(dim)]
        yield instance(f"D = {dim}, K = {K}: T Tᵀ is the Toeplitz matrix of z's circular autocorrelation").equal(
            tagged(T * T.T), tagged([lag[(i - j) % dim] for i in range(K) for j in range(K)])
        )


@for_all_sizes
def _kkt(formula: Formula, size: int) -> Iterator[Step]:
    """w = ∇_w⟨z, P(w)⟩ for the bilinear ⟨z, P(U, V)⟩ = D^{-1/2} Uᵀ(T_K z)V."""
    u, v, entry, inner = positive("u v T ⟨z|β⟩")
    share = u * entry * v / sqrt(D)
    term = formula["form"](u, v, entry) / sqrt(D)
    yield check("U·∂/∂U of a term u T v is the term itself, so KKT U = ∇_U gives ‖U‖² = ⟨z, β⟩").equal(
        u * diff(term, u), share
    )
    yield check("and V·∂/∂V as well: ‖V‖² = ⟨z, β⟩").equal(v * diff(term, v), share)
    yield check("so ‖U‖² + ‖V‖² is value(⟨z, β⟩): Fenchel's equality for 2z").equal(
        inner + inner, formula["value"](inner)
    )
    for dim in range(2, size + 1):
        z, V, U = (real(f"{name}0:{n}") for name, n in (("z", dim), ("v", dim), ("u", 2)))
        beta = [sum(U[k] * V[(m - k) % dim] for k in range(2)) / sqrt(dim) for m in range(dim)]
        value, w = dot(z, beta), (*U, *V)
        gradient = dot(w, [diff(value, s) for s in w])
        yield instance(f"D = {dim}, K = 2: w·∇_w⟨z, P(w)⟩").equal(gradient, formula["value"](value))


CLAIMS: tuple[Claim, ...] = (
    claim("variational-form", _variational, value=lambda b2, P: b2 / P, attaining=lambda b, u, P: b * conjugate(u) / P)
    .refutes("|β̂|²/P²", value=lambda b2, P: b2 / P**2)
    .refutes("no conjugate", attaining=lambda b, u, P: b * u / P)
    .refutes("factor 2", value=lambda b2, P: 2 * b2 / P),
    claim("one-tap", _one_tap, value=lambda D, n: 2 * sqrt(D) * n, power=lambda u, D: u**2 / D)
    .refutes("2‖β‖", value=lambda D, n: 2 * n)
    .refutes("2D‖β‖", value=lambda D, n: 2 * D * n)
    .refutes("P_d = u²", power=lambda u, D: u**2),
    claim("full-width", _full_width, value=lambda b: 2 * b, power=lambda b: b)
    .refutes("factor 1", value=lambda b: b)
    .refutes("P = |β̂|²", power=lambda b: b**2)
    .refutes("sign", value=lambda b: -2 * b),
    claim("dual-norm", _dual_norm, index=LAYER["index"], constant=lambda D: 1 / (2 * sqrt(D)))
    .refutes("shift d − k", index=lambda d, k: d - k)
    .refutes("constant 1/√D", constant=lambda D: 1 / sqrt(D))
    .refutes("constant 1/(2D)", constant=lambda D: 1 / (2 * D)),
    claim("kkt-two-layer", _kkt, form=lambda u, v, t: u * t * v, value=lambda m: 2 * m)
    .refutes("value ⟨z, β⟩", value=lambda m: m)
    .refutes("a square", form=lambda u, v, t: u**2 * t * v)
    .refutes("sign", value=lambda m: -2 * m),
)
