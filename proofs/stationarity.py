"""First-order conditions: subdifferentials of ‖·‖₁ and ‖·‖_p, and from weights to predictors, (14) ⇒ (10).

Problem (14) is min ‖w‖² s.t. y_n⟨x_n, P(w)⟩ ≥ 1; its KKT point has w = Σ α_n y_n ∇_w⟨x_n, P(w)⟩, that is, with
z = Σ α_n y_n x_n, w = P′(w)ᵀ z. Condition (10) asks that a positive multiple of z be a subgradient of the regularizer
at β = P(w). For each network multiplying the KKT equation of a layer by its own weights gives it in one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sympy import I, Integer, Rational, conjugate, diff, exp, expand, expand_trig, limit, prod, re, sin, sqrt

from proofs.claim import Claim, Formula, Kind, Step, claim, for_all_sizes
from proofs.steps import check, instance
from proofs.symbols import dot, nonnegative, positive, real, whole

L = whole("L")
b, t = positive("b t")
_S = positive("s_p")
p, q = 1 / (1 + _S), _S / (1 + _S)
"""Every p in (0, 1), with q = 1 − p: written so that both are seen to be positive."""
_BELOW_ONE = {_S: [Integer(1), Rational(1, 2)]}


@for_all_sizes
def _l1(formula: Formula, size: int) -> Iterator[Step]:
    rho, sigma = positive("ρ σ")
    phi, psi = real("φ ψ")
    z = formula["on_support"](phi)
    g = sigma * exp(I * psi)
    inner = re(expand(conjugate(z) * g, complex=True))
    yield check("on the support, β̂ = ρe^{iφ}: Fenchel's equality ⟨ẑ, β̂⟩ = |β̂|").equal(
        conjugate(z) * rho * exp(I * phi), rho
    )
    yield check("and the inequality |γ| ≥ ⟨ẑ, γ⟩ for γ = σe^{iψ}: |γ| − ⟨ẑ, γ⟩ = 2σ sin²((ψ−φ)/2)").nonnegative(
        sigma - expand_trig(inner), expand_trig(2 * sigma * sin((psi - phi) / 2) ** 2)
    )
    bound, slack = formula["off_bound"], nonnegative("s")
    yield check("off the support every |ẑ| = bound/(1+s) is a subgradient: |γ| − |ẑ||γ| ≥ 0").nonnegative(
        sigma - sigma * bound / (1 + slack), sigma * slack / (1 + slack)
    )
    excess = positive("ε")
    yield check("and no larger one is: γ = ẑ has |ẑ|·|γ| − |γ| > 0 when |ẑ| = bound + ε").nonnegative(
        (bound + excess) ** 2 - (bound + excess), excess * (1 + excess), strict=True
    )


@for_all_sizes
def _gradient(formula: Formula, size: int) -> Iterator[Step]:
    """eq. (13): the stated gradient against the derivative of the stated objective, in a coordinate and a frequency."""
    x0, y0, rest, exponent = positive("x y r p")
    where = {exponent: [Rational(1, 2), Rational(2, 3)]}

    def stated(modulus: Any) -> tuple[Any, Any]:
        """The objective with |β_d| = modulus, and the stated derivative in the direction of β_d."""
        power = modulus**exponent + rest
        gradient = formula["gradient"](modulus, exponent) * formula["total"](power, exponent)
        return formula["objective"](power, exponent), gradient

    objective, gradient = stated(b)
    yield check("∂/∂β_d of the objective, β_d = b > 0, the other coordinates' Σ|β|^p = r").equal(
        diff(objective, b), gradient, where=where
    )
    modulus = sqrt(x0**2 + y0**2)
    objective, gradient = stated(modulus)
    yield check("in frequency, β̂_d = x + iy: ∂/∂x = Re of gradient(|β̂_d|)·e^{iφ}").equal(
        diff(objective, x0), gradient * x0 / modulus, where=where
    )


@for_all_sizes
def _clarke_empty(formula: Formula, size: int) -> Iterator[Step]:
    M, rest = positive("M r")
    gradient = formula["gradient"](t, p)
    yield check(
        "at distance t from a zero entry the gradient of ‖·‖_p^p reaches any bound M, at t_M = (p/M)^{1/q}, q = 1 − p"
    ).equal(gradient.subs(t, (p / M) ** (1 / q)), M, where={**_BELOW_ONE, M: [1, 7]})
    c = positive("c")
    yield check("and only grows as t → 0: the gradient at t/c is c^q ≥ 1 times the one at t, for c ≥ 1").equal(
        gradient.subs(t, t / c), c**q * gradient, where={**_BELOW_ONE, c: [2, 4]}
    )
    yield check(
        "so does the gradient of ‖·‖_p itself: the common factor (r + t^p)^{1/p−1} tends to r^{1/p−1} > 0"
    ).equal(((rest + t**p) ** (1 / p - 1)).subs(t**p, 0), rest ** (1 / p - 1))


def _clarke_printed(formula: Formula, size: int) -> Iterator[Step]:
    ratio = formula["gradient"](t / 8, formula["p"]) / formula["gradient"](t, formula["p"])
    yield check(
        "at β = (1, 0), p = 2/3: gradients along h = (0, t), t → 0, that converge have ratio → 1 from t to t/8"
    ).equal(limit(ratio, t, 0), 1)


@for_all_sizes
def _off_support(formula: Formula, size: int) -> Iterator[Step]:
    z = positive("|z|")
    radius = formula["radius"](z, q)
    where = {**_BELOW_ONE, z: [2, 5]}
    yield check("|t|^p = |z|·|t| at t = radius(z)").equal(radius**p, z * radius, where=where)
    c = positive("s")
    yield check(
        "and below it |t|^p/|t| is larger: at t/(1+s) by the factor (1+s)^q ≥ 1; so |t|^p ≥ z·t near 0, any z"
    ).equal((t / (1 + c)) ** p / (t / (1 + c)), (1 + c) ** formula["growth"](q) * t**p / t, where=where)


@for_all_sizes
def _kkt_diagonal(formula: Formula, size: int) -> Iterator[Step]:
    z, w = positive("z_d w")
    modulus, others = positive("|β_d|"), positive("∏'w")
    yield check(
        "KKT w_l = z_d·conj ∏_{l'≠l} w_{l'}; times conj w_l: |w_l|² = z_d conj β_d for each l, so all |w_l| are equal"
    ).equal((z * others) * w, z * (others * w))
    where = {L: [3, 4], modulus: [16, 81]}
    solved = formula["squared_weight"](modulus, L) / modulus
    yield check("with |w_l|² = squared_weight(|β_d|, L): the L-th power of |w_l| is |β_d|").equal(
        formula["squared_weight"](modulus, L) ** (L / Integer(2)), modulus, where=where
    )
    exponent = 2 / L
    yield check(
        "z_d = |w_l|²/|β_d| is multiple(L) times eq. (13): p|β_d|^{p−1}, p = 2/L; the phase is that of β_d"
    ).equal(solved, formula["multiple"](L) * exponent * modulus ** (exponent - 1), where=where)
    for depth in map(Integer, range(2, size + 1)):
        ws = positive(f"w1:{depth + 1}")
        root = sqrt(formula["squared_weight"](b, depth))
        z = formula["multiple"](depth) * (2 / depth) * b ** (2 / depth - 1)
        gradient = diff(z * prod(ws), ws[0]).subs(dict.fromkeys(ws, root))
        yield instance(f"L = {depth}: w = ∇_w(z·∏w) at the balanced weights").equal(root, gradient)


@for_all_sizes
def _kkt_full(formula: Formula, size: int) -> Iterator[Step]:
    z, v = real("z_0:2"), real("v0:2")
    for i in (0, 1):
        yield check(
            f"β_{i} = Σ_j W₁[{i},j]v_j = ‖v‖² z_{i} with KKT W₁ = z vᵀ, v = W₂⋯w_L: β ∥ z, so z is a multiple of ∇‖β‖₂"
        ).equal(dot([formula["outer"](z[i], v_j) for v_j in v], v), formula["multiple"](dot(v, v)) * z[i])
    x, y = positive("β_0 β_1")
    yield check("∇‖β‖₂ = β/‖β‖₂").equal(diff(sqrt(x**2 + y**2), x), x / sqrt(x**2 + y**2))


def _kkt_off_support(formula: Formula, size: int) -> Iterator[Step]:
    """A KKT point of (14), depth 2, with a zero coordinate, whose z violates eq. (12) there."""
    w1, w2, x = formula["w1"], formula["w2"], formula["x"]
    beta = [u * v for u, v in zip(w1, w2, strict=True)]
    for d, (u, v, z) in enumerate(zip(w1, w2, x, strict=True)):
        yield check(f"d = {d}: KKT of (14), N = 1, α = 1: w₁ = z w₂").equal(u, z * v)
        yield check(f"d = {d}: w₂ = z w₁").equal(v, z * u)
    yield check("the margin is 1, so the multiplier may be positive").equal(dot(beta, x), 1)
    worst = max(abs(v) for v in x)
    yield check(f"the point obeys eq. (12): |z_d| ≤ 1 for every d; here β = {tuple(beta)}, z = {tuple(x)}").decided(
        bool(worst <= 1),
        f"max|z_d| = {worst}",
        kind=Kind.PROVED,
        residual=worst - 1,
        counterexample={"w₁ = w₂": tuple(w1), "x, z": tuple(x)},
    )


POWER = {"objective": lambda s, p: s, "total": lambda s, p: Integer(1), "gradient": lambda m, p: p * m ** (p - 1)}
one, zero = Integer(1), Integer(0)

CLAIMS: tuple[Claim, ...] = (
    claim("eq-12", _l1, on_support=lambda phi: exp(I * phi), off_bound=Integer(1))
    .refutes("conjugate phase", on_support=lambda phi: exp(-I * phi))
    .refutes("bound 2 off the support", off_bound=Integer(2))
    .refutes("bound 1/2 off the support", off_bound=Rational(1, 2)),
    claim("eq-13", _gradient, POWER)
    .refutes("exponent p", gradient=lambda m, p: p * m**p)
    .refutes("factor 1", gradient=lambda m, p: m ** (p - 1)),
    claim("eq-13-as-printed", _gradient, POWER, objective=lambda s, p: s ** (1 / p))
    .corrected(total=lambda s, p: s ** (1 / p - 1) / p)
    .refutes("norm^{p−1}", total=lambda s, p: s ** ((p - 1) / p))
    .refutes("factor 1/p only", total=lambda s, p: 1 / p),
    claim("eq-11-empty", _clarke_empty, gradient=POWER["gradient"])
    .refutes("the gradient of |·|", gradient=lambda t, p: Integer(1))
    .refutes("exponent 1 − p", gradient=lambda t, p: p * t ** (1 - p)),
    claim("eq-11-as-printed", _clarke_printed, gradient=POWER["gradient"], p=Rational(2, 3))
    .corrected(p=Integer(1))
    .refutes("p = 1/2", p=Rational(1, 2))
    .refutes("factor 1", gradient=lambda t, p: t ** (p - 1)),
    claim("off-support", _off_support, radius=lambda z, q: z ** (-1 / q), growth=lambda q: q)
    .refutes("radius z^{1/q}", radius=lambda z, q: z ** (1 / q))
    .refutes("growth −q", growth=lambda q: -q),
    claim("kkt-bridge", _kkt_diagonal, squared_weight=lambda m, L: m ** (2 / L), multiple=lambda L: L / 2)
    .refutes("|w|² = |β|^{1/L}", squared_weight=lambda m, L: m ** (1 / L))
    .refutes("multiple 1", multiple=lambda L: Integer(1))
    .refutes("sign", multiple=lambda L: -L / 2),
    claim("kkt-fully-connected", _kkt_full, outer=lambda z, v: z * v, multiple=lambda n: n)
    .refutes("‖v‖⁴", multiple=lambda n: n**2)
    .refutes("sign", outer=lambda z, v: -z * v),
    claim("kkt-off-support", _kkt_off_support, w1=(one, zero), w2=(one, zero), x=(one, Integer(2)))
    .corrected(x=(one, Rational(1, 2)))
    .refutes("x = (1, −3)", x=(one, Integer(-3)))
    .refutes("unbalanced weights", w1=(Integer(2), zero), w2=(one / 2, zero)),
)
