"""R_{K,C}: the semidefinite program of a two-layer linear CNN, and how its value depends on C and K.

    R_{K,C}(w) = min ⟨Z, I⟩  s.t.  ⟨Z, A_d^real⟩ = 2 Re ŵ[d],  ⟨Z, A_d^img⟩ = 2 Im ŵ[d],  Z ⪰ 0,  rank Z ≤ C

with Z = (U; V)(U; V)ᵀ. Given U the best V has a closed form, in which U appears through sums over its channels alone:
autocorrelations for one input channel, the Gram matrix UUᵀ for R of them. So the dependence on C is a question about
these sums: the polynomial convolution lemma answers it for R = 1, and the size RK of the Gram matrix for any R.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import I, Integer, Matrix, Symbol, cos, exp, eye, pi, re, sin, sqrt

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.convolution_lemma import AUTOCORRELATION, many_kernels
from proofs.induced_regularizers import D
from proofs.steps import check, instance
from proofs.symbols import complex_, integer, nonnegative, positive, real, tagged, whole


@for_all_sizes
def _constraints(formula: Formula, size: int) -> Iterator[Step]:
    u, v, theta = real("U V θ")
    k, m = integer("k m")
    term = (u * exp(-I * theta * k) / sqrt(D)) * (v * exp(-I * theta * m) / sqrt(D))
    mirrored = term.subs(theta, -theta)
    yield check(
        "θ = 2πd/D: U[k, c]V[m, c] stands twice in Z, in UVᵀ and in VUᵀ; times A_d^real it is 2 Re of its term of "
        "û_c[d] v̂_c[d]"
    ).equal(term + mirrored, formula["copies"] * u * v * formula["real"](theta, k, m, D))
    yield check("and times A_d^img it is 2 Im of it").equal(
        (term - mirrored) / I, formula["copies"] * u * v * formula["imaginary"](theta, k, m, D)
    )
    for dim in range(1, size + 1):
        K, C = min(2, dim), 2
        U, V = Matrix(K, C, real(f"u0:{K * C}")), Matrix(dim, C, real(f"v0:{dim * C}"))
        block = U * V.T
        for d in range(dim):
            angle = 2 * pi * d / Integer(dim)
            w = sum(exp(-I * angle * (k + m)) * block[k, m] for k in range(K) for m in range(dim)) / dim
            entry = formula["real"]
            inner = sum(entry(angle, k, m, Integer(dim)) * block[k, m] for k in range(K) for m in range(dim))
            yield instance(f"D = {dim}, K = {K}, C = 2, d = {d}: ⟨Z, A_d^real⟩ = 2 Re ŵ[d]").equal(
                2 * re(w), formula["copies"] * inner
            )


@for_all_sizes
def _factors(formula: Formula, size: int) -> Iterator[Step]:
    w = real("W")
    yield check("Z = WWᵀ, W = (U; V) with C columns: ⟨Z, I⟩ is the sum of the squares of W, term by term").equal(
        formula["trace"](w), w * w
    )
    yield from _peeling(formula)


def _peeling(formula: Formula) -> Iterator[Step]:
    """A positive semidefinite matrix is a sum of as many squares as its rank, by Schur complements."""
    g, pivot = real("g_1 g_2"), positive("g_0")
    h11, h12, h22 = real("h_11 h_12 h_22")
    x = real("x_1 x_2")
    peeled = {(0, 0): h11, (0, 1): h12, (1, 1): h22}
    rest = {(i, j): value - formula["peel"](g[i], g[j], pivot) for (i, j), value in peeled.items()}
    yield check(
        "g_0 > 0: with the square of (g_0, g)/√g_0 taken away the first row and column are 0: entries (0,0) and (0,j)"
    ).equal(
        tagged([pivot - formula["peel"](pivot, pivot, pivot), g[0] - formula["peel"](pivot, g[0], pivot)]),
        0,
    )
    t = real("t")
    x0 = t - (g[0] * x[0] + g[1] * x[1]) / pivot
    form = pivot * x0**2 + 2 * x0 * (g[0] * x[0] + g[1] * x[1])
    form += sum((1 if i == j else 2) * value * x[i] * x[j] for (i, j), value in peeled.items())
    yield check(
        "the form of the whole matrix at (t − g·x/g_0, x) is g_0t² plus that of what is left at x: so what is left is "
        "positive semidefinite, and its rank is one less; all sorts of terms, two indices"
    ).equal(form, pivot * t**2 + sum((1 if i == j else 2) * value * x[i] * x[j] for (i, j), value in rest.items()))
    yield check(
        "g_0 = 0 needs g = 0: the form at (t, x_1) is 2t g_1x_1 + …, below 0 for some t: at −(h+1)/(2g_1)"
    ).equal((2 * t * g[0] + h11).subs(t, -(h11 + 1) / (2 * g[0])), -1)


@for_all_sizes
def _independence(formula: Formula, size: int) -> Iterator[Step]:
    k, j, d = integer("k j d")
    (first, second), omega = real("u[k] u[k+j]"), positive("omega")  # one generic base; only exponents matter
    spectrum = first * second * formula["phase"]((k + j) * d, k * d, omega)
    yield check(
        "P_d = Σ_c |û_c[d]|²: each product of its terms is u[k]u[k+j] ω^{jd}, so P_d is the transform of Σ_c u_c⋆u_c"
    ).equal(spectrum, first * second * omega ** (j * d))
    u = real("u")
    lag_0 = formula["summand"](lambda _: u, 0, 0)
    yield check("‖U‖² = Σ_c‖u_c‖² is its lag 0").equal(formula["energy"](u), lag_0)
    P, modulus2 = positive("P_d |β̂|²")
    yield check("the best V makes the value ‖U‖² + Σ_d |β̂[d]|²/P_d: U enters by Σ_c u_c⋆u_c alone").equal(
        formula["value"](modulus2, P), modulus2 / P
    )
    yield from many_kernels(formula, size)


@for_all_sizes
def _reduction(formula: Formula, size: int) -> Iterator[Step]:
    k, m, d = integer("k m d")
    (u, v), omega = real("u_r[k] u_s[m]"), positive("omega")
    yield check(
        "P_d[r, s] = Σ_c û_r,c[d] conj û_s,c[d]: each product is u_r,c[k] u_s,c[m] ω^{(k−m)d}, linear in G = UUᵀ"
    ).equal(u * v * formula["phase"](k * d, m * d, omega), u * v * omega ** ((k - m) * d))
    P, beta = Symbol("P", commutative=False), Symbol("β̂", commutative=False)
    yield check("the best V: v̂ = Ûᴴ P⁻¹ β̂ costs β̂ᴴ P⁻¹ (ÛÛᴴ) P⁻¹ β̂ = β̂ᴴ P⁻¹ β̂, a function of P = ÛÛᴴ").equal(
        beta * P**-1 * P * P**-1 * beta, formula["value"](beta, P)
    )
    yield check("‖U‖² = tr G, term by term").equal(formula["trace"](u), u * u)
    yield from _peeling(formula)
    R, K = whole("R K")
    yield check("G has R·K rows, each peeling takes one away: W with columns(R, K) columns has WWᵀ = G").equal(
        formula["columns"](R, K), R * K
    )


@for_all_sizes
def _more_channels(formula: Formula, size: int) -> Iterator[Step]:
    (u, v, predictor), energy = complex_("û v̂ β̂"), nonnegative("‖U‖²+‖V‖²")
    new_u, new_v = formula["added"](u, v)
    yield check("C + 1 channels, the last one added: the predictor β̂[d] = Σ_c û_c v̂_c stays").equal(
        predictor + new_u * new_v, predictor
    )
    yield check("… and so does ‖U‖² + ‖V‖²: what C channels reach, C + 1 reach").equal(
        energy + new_u**2 + new_v**2, energy
    )


@for_all_sizes
def _longer_kernel(formula: Formula, size: int) -> Iterator[Step]:
    (u, v, predictor), energy = real("u v β"), nonnegative("‖U‖²+‖V‖²")
    tap = formula["tap"](u)
    yield check("K + 1 taps, the last one added: β[m] = D^{-1/2} Σ_c Σ_k U[k, c]V[m−k, c] stays").equal(
        predictor + tap * v / sqrt(D), predictor
    )
    yield check("… and so does ‖U‖²: what K taps reach, K + 1 reach").equal(energy + tap**2, energy)


@for_all_sizes
def _every_predictor(formula: Formula, size: int) -> Iterator[Step]:
    b = real("β[m]")
    yield check("one channel, one tap: β[m] = D^{-1/2} u[0] v[m] with v = output(β)").equal(
        formula["tap"](D) * formula["output"](b, D) / sqrt(D), b
    )
    for dim in range(1, size + 1):
        beta = real(f"b0:{dim}")
        v = [formula["output"](value, Integer(dim)) for value in beta]
        for shift in range(dim):
            taps = [formula["tap"](Integer(dim)) if k == formula["place"] % dim else Integer(0) for k in range(dim)]
            found = sum(taps[k] * v[(shift - k) % dim] for k in range(dim)) / sqrt(dim)
            yield instance(f"D = {dim}: entry {shift} of the network's predictor").equal(found, beta[shift])


def _several_inputs(formula: Formula, size: int) -> Iterator[Step]:
    u0, u1, v0, v1 = real("u0 u1 v0 v1")
    determinant, target = formula["determinant"], Matrix(2, 2, formula["target"])
    one = Matrix([u0, u1]) * Matrix([[v0, v1]]) / sqrt(2)
    yield check("one output channel: β = u vᵀ/√2 has the determinant 0").equal(determinant(*one), 0)
    yield check("the target has another").equal(determinant(*target), 1)
    U = formula["tap"] * eye(2)
    yield check("two output channels, u_c = √2 e_c and v_c the rows of the target, compute it").equal(
        ((U * target / sqrt(2)) - target).norm(), 0
    )


_PHASE = {"phase": lambda left, right, omega: omega ** (left - right)}
_PEEL = {"peel": lambda gi, gj, g0: gi * gj / g0, "trace": lambda w: w**2}
_SDP = {
    "copies": Integer(2),
    "real": lambda theta, k, m, D: cos(theta * (k + m)) / D,
    "imaginary": lambda theta, k, m, D: -sin(theta * (k + m)) / D,
}
_LEMMA = {"next": lambda S, A: S + A, "energy": lambda u: u**2, "value": lambda b2, P: b2 / P}
_GRAM = {"value": lambda beta, P: beta * P**-1 * beta, "columns": lambda R, K: R * K}

CLAIMS: tuple[Claim, ...] = (
    claim("sdp-constraints", _constraints, _SDP)
    .refutes("counted once", copies=Integer(1))
    .refutes("k − m for k + m", real=lambda theta, k, m, D: cos(theta * (k - m)) / D)
    .refutes("sign of the imaginary part", imaginary=lambda theta, k, m, D: sin(theta * (k + m)) / D)
    .refutes("no 1/D", real=lambda theta, k, m, D: cos(theta * (k + m))),
    claim("sdp-factors", _factors, _PEEL)
    .refutes("g g for g g/g_0", peel=lambda gi, gj, g0: gi * gj)
    .refutes("g g/(2g_0)", peel=lambda gi, gj, g0: gi * gj / (2 * g0))
    .refutes("half the trace", trace=lambda w: w**2 / 2),
    claim("channel-independence", _independence, AUTOCORRELATION, _PHASE, _LEMMA)
    .refutes("no conjugate: not a function of autocorrelations", phase=lambda left, right, w: w ** (left + right))
    .refutes("‖U‖ for ‖U‖²", energy=lambda u: u)
    .refutes("lag shifted by one", summand=lambda a, k, j: a(k) * a(k + j + 1))
    .refutes("a difference of channels", next=lambda S, A: S - A),
    claim("rank-reduction", _reduction, _PHASE, _PEEL, _GRAM)
    .refutes("W with K columns", columns=lambda R, K: K)
    .refutes("W with R columns", columns=lambda R, K: R)
    .refutes("no conjugate", phase=lambda left, right, w: w ** (left + right))
    .refutes("β̂ᴴ P β̂", value=lambda beta, P: beta * P * beta),
    claim("monotone-in-channels", _more_channels, added=lambda u, v: (Integer(0), Integer(0)))
    .refutes("a copy of another channel", added=lambda u, v: (u, v))
    .refutes("V of the new channel kept", added=lambda u, v: (Integer(0), v)),
    claim("monotone-in-kernel", _longer_kernel, tap=lambda u: Integer(0))
    .refutes("the last tap repeated", tap=lambda u: u)
    .refutes("a tap 1", tap=lambda u: Integer(1)),
    claim("every-predictor", _every_predictor, tap=lambda D: sqrt(D), output=lambda b, D: b, place=0)
    .refutes("tap 1", tap=lambda D: Integer(1))
    .refutes("the second tap", place=1)
    .refutes("v = √D β", output=lambda b, D: sqrt(D) * b),
    claim(
        "several-input-channels",
        _several_inputs,
        determinant=lambda p, q, r, s: p * s - q * r,
        target=(1, 0, 0, 1),
        tap=sqrt(2),
    )
    .refutes("sign in the determinant", determinant=lambda p, q, r, s: p * s + q * r)
    .refutes("a target of rank one", target=(1, 1, 1, 1))
    .refutes("taps 1", tap=Integer(1)),
)
