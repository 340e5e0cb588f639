"""Regression on linear networks: the potentials of diagonal and balanced networks, and the start of finite steps.

G is the integral of g = Xᵀ(y − Xβ) along the flow, entry by entry. It lies in the span of the rows of X. So where β is
an increasing function h of G alone, the limit has h⁻¹(β) = Xᵀν: it is the least Σ∫h⁻¹ that fits.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Integer, Rational, Symbol, asinh, cosh, diff, exp, log, prod, sinh, sqrt

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.steps import check
from proofs.symbols import positive, real, tagged


@for_all_sizes
def _hyperbolic(formula: Formula, size: int) -> Iterator[Step]:
    u, v, G = real("u v G")
    plus, minus = (u + v) * exp(G), (u - v) * exp(-G)
    first, second = (plus + minus) / 2, (plus - minus) / 2
    yield check("dw₁/dG = w₂, dw₂/dG = w₁ from (u, v): w₁ ± w₂ = (u ± v)e^{±G}").equal(
        tagged([diff(first, G), diff(second, G), first.subs(G, 0), second.subs(G, 0)]), tagged([second, first, u, v])
    )
    yield check("β = w₁w₂ is the stated function of G").equal((first * second).expand(), formula["predictor"](u, v, G))
    s = real("s")
    yield check("q′(s) = arcsinh(s/2), so α²q(β/α²) has the gradient arcsinh(β/2α²)").equal(
        diff(formula["q"](s), s), asinh(s / 2)
    )
    yield check("q(0) = 0").equal(formula["q"](Integer(0)), 0)
    p, m, x = positive("p m x")
    beta = formula["entropic"](p, m, x)
    excess = p * _entropy(x) + m * _entropy(-x)
    yield check("R = p·E(x) + m·E(−x), E(x) = 1 + (x − 1)eˣ, has dR/dx = x·dβ/dx for β = p eˣ − m e⁻ˣ").equal(
        diff(excess, x).expand(), (x * diff(beta, x)).expand()
    )


def _entropy(x: Symbol) -> Symbol:
    return 1 + (x - 1) * exp(x)


@for_all_sizes
def _finite_steps(formula: Formula, size: int) -> Iterator[Step]:
    u, v = real("u v")
    s = positive("s")
    first, second = u + s * v, v + s * u
    yield check("one step, s = γg: w₁ ± w₂ is multiplied by 1 ± s").equal(
        tagged([first + second, first - second]), tagged([(1 + s) * (u + v), (1 - s) * (u - v)])
    )
    yield check("so β = ¼[(w₁ + w₂)²(1 + s)² − (w₁ − w₂)²(1 − s)²] after it").equal(
        (first * second).expand(), (((u + v) ** 2 * (1 + s) ** 2 - (u - v) ** 2 * (1 - s) ** 2) / 4).expand()
    )
    yield check("(1 + s)² = e^{2ρ₊} e^{2s}, s being what the step adds to G").equal(
        exp(2 * formula["up"](s)) * exp(2 * s), (1 + s) ** 2
    )
    r = 1 / (1 + s)  # 0 < r < 1
    yield check("(1 − s)² = e^{2ρ₋} e^{−2s}").equal(exp(2 * formula["down"](r)) * exp(-2 * r), (1 - r) ** 2)


def _diagonal(formula: Formula, size: int) -> Iterator[Step]:
    for depth in range(2, size + 1):
        w = real(f"w1:{depth + 1}")
        velocity = [prod(w[:j] + w[j + 1 :]) for j in range(depth)]
        beta = prod(w)
        conserved = formula["conserved"](w[0], w[1])
        yield check(f"L = {depth}: along dw_j/dG = Π_(k≠j) w_k the difference w₁² − w₂² stays").equal(
            sum(diff(conserved, x) * dx for x, dx in zip(w, velocity, strict=True)), 0
        )
        yield check(f"L = {depth}: R* = ½(w₁² − start) has dR*/dG = β").equal(
            diff(formula["conjugate"](w[0]), w[0]) * velocity[0], beta
        )
        yield check(f"L = {depth}: dβ/dG, which is never negative, so that β is a function of G and G of β").equal(
            sum(diff(beta, x) * dx for x, dx in zip(w, velocity, strict=True)), formula["slope"](velocity)
        )


@for_all_sizes
def _differences(formula: Formula, size: int) -> Iterator[Step]:
    D, alpha, x = positive("D α x")
    G = real("G")
    z = formula["z"](alpha, D, G)
    power = alpha * (1 - z) ** (-1 / (D - 2))
    yield check("u′ = D u^{D−1}: u = α(1 − z)^{−1/(D−2)}, by d ln u/dG = D u^{D−2}").equal(
        diff(log(power), G).simplify(), D * alpha ** (D - 2) / (1 - z)
    )
    k, low, high = positive("k 1-z 1+z")
    yield check("with k = D/(D − 2): (D − 2)/2 = 1/(k − 1) and −2/(D − 2) = 1 − k").equal(
        tagged([1 / (D / (D - 2) - 1), 1 - D / (D - 2)]), tagged([(D - 2) / 2, -2 / (D - 2)])
    )
    conjugate = formula["conjugate"](k, low, high)
    yield check("dR*/dz = h_D(z) = (1 − z)^{−k} − (1 + z)^{−k}, by its derivatives in 1 − z and 1 + z").equal(
        (diff(conjugate, high) - diff(conjugate, low)).simplify(), low ** (-k) - high ** (-k)
    )
    yield check("with z = tanh x: (1 ∓ z) = e^{∓x}/cosh x, so h_D = 2 coshᵏx sinh kx").equal(
        ((exp(-x) / cosh(x)) ** (-k) - (exp(x) / cosh(x)) ** (-k)).rewrite(exp).expand(power_base=True),
        formula["stable"](k, x).rewrite(exp).expand(power_base=True),
    )


@for_all_sizes
def _balanced(formula: Formula, size: int) -> Iterator[Step]:
    L, r = positive("L r")
    along, across = real("g_1 g_2")
    flow = [r ** (2 - 2 / L) * factor * g for factor, g in zip(formula["gain"](L), (along, across), strict=True)]
    power = formula["power"](L)
    moved = [(1 + power) * r**power * flow[0], r**power * flow[1]]
    yield check("d/dt r^{1/L−1}β, along β and across it, is one multiple of g: r = ‖β‖").equal(
        tagged([part.simplify() for part in moved]),
        tagged([(r ** formula["pace"](L) * g).simplify() for g in (along, across)]),
    )
    p = formula["exponent"](L)
    yield check("and it is the gradient of ‖β‖^p/p").equal(diff(r**p / p, r).simplify(), (r ** (power + 1)).simplify())


HYPERBOLIC = claim(
    "hyperbolic-entropy",
    _hyperbolic,
    predictor=lambda u, v, G: (((u + v) ** 2 * exp(2 * G) - (u - v) ** 2 * exp(-2 * G)) / 4).expand(),
    q=lambda s: 2 - sqrt(4 + s**2) + s * asinh(s / 2),
    entropic=lambda p, m, x: p * exp(x) - m * exp(-x),
)
HYPERBOLIC = (
    HYPERBOLIC.refutes(
        "the exponent", predictor=lambda u, v, G: (((u + v) ** 2 * exp(G) - (u - v) ** 2 * exp(-G)) / 4).expand()
    )
    .refutes(
        "a sign", predictor=lambda u, v, G: (((u + v) ** 2 * exp(2 * G) + (u - v) ** 2 * exp(-2 * G)) / 4).expand()
    )
    .refutes("the root", q=lambda s: 2 - sqrt(2 + s**2) + s * asinh(s / 2))
    .refutes("the two terms exchanged", entropic=lambda p, m, x: m * exp(x) - p * exp(-x))
)

FINITE = (
    claim("finite-steps", _finite_steps, up=lambda s: log(1 + s) - s, down=lambda s: log(1 - s) + s)
    .refutes("the sign of what the flow has", up=lambda s: log(1 + s) + s)
    .refutes("the growths exchanged", down=lambda s: log(1 + s) - s)
    .refutes("twice the growth", up=lambda s: 2 * (log(1 + s) - s))
)

DIAGONAL = (
    claim(
        "diagonal-flow",
        _diagonal,
        conserved=lambda first, second: first**2 - second**2,
        conjugate=lambda first: first**2 / 2,
        slope=lambda velocity: sum(v**2 for v in velocity),
    )
    .refutes("a sum for the difference", conserved=lambda first, second: first**2 + second**2)
    .refutes("a lost half", conjugate=lambda first: first**2)
    .refutes("one factor left out", slope=lambda velocity: sum(v**2 for v in velocity[1:]))
)

DIFFERENCES = (
    claim(
        "difference-potential",
        _differences,
        z=lambda alpha, D, G: D * (D - 2) * alpha ** (D - 2) * G,
        conjugate=lambda k, low, high: (low ** (1 - k) + high ** (1 - k) - 2) / (k - 1),
        stable=lambda k, x: 2 * cosh(x) ** k * sinh(k * x),
    )
    .refutes("the factor of G", z=lambda alpha, D, G: D * alpha ** (D - 2) * G)
    .refutes("a sign", conjugate=lambda k, low, high: (low ** (1 - k) - high ** (1 - k)) / (k - 1))
    .refutes("a lost factor", stable=lambda k, x: cosh(x) ** k * sinh(k * x))
)

BALANCED = (
    claim(
        "balanced-flow",
        _balanced,
        gain=lambda L: (L, Integer(1)),
        power=lambda L: 1 / L - 1,
        pace=lambda L: 1 - 1 / L,
        exponent=lambda L: 1 + 1 / L,
    )
    .refutes("no gain along β", gain=lambda L: (Integer(1), Integer(1)))
    .refutes("the power of every depth is that of L = 2", power=lambda L: -Rational(1, 2))
    .refutes("the exponent", exponent=lambda L: 2 / L)
)

CLAIMS: tuple[Claim, ...] = (HYPERBOLIC, FINITE, DIAGONAL, DIFFERENCES, BALANCED)
