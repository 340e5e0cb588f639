"""Wide ReLU networks in training: from all weights to the output weights, to a least-norm problem, to infinite width.

    f(x, θ) = Σ_i W2_i [W1_i x + b_i]₊ + b2,        W2_i ~ 𝒲/√n

Eqs. (7)–(19) of Jin and Montúfar in their order: the linearized network, whose hidden part is 1/n of the kernel; the
theorem that training the output weights alone differs from training all by O(1/n); the least change of parameters; the
problem over empirical and over true distributions, O(n^{−1/2}) apart; breakpoints for biases. `proofs.wide_relu` goes
on from there.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Abs, Integer, Max, Symbol, diff, expand, limit, oo, sqrt

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.steps import check
from proofs.symbols import dot, nonnegative, positive, real, tagged, whole

n = whole("n")
x = real("x")


@for_all_sizes
def _linearized(formula: Formula, size: int) -> Iterator[Step]:
    a, w, b, c = real("W2 W1 b b2")
    s, p, q, t = real("δW2 δW1 δb δb2")
    unit = (a + s) * ((w + p) * x + b + q) + c + t
    start = unit.subs(dict.fromkeys((s, p, q, t), 0))
    linear = start + sum(diff(unit, v).subs(dict.fromkeys((s, p, q, t), 0)) * v for v in (s, p, q, t))
    yield check("f_lin of one unit that stays on: the value and the gradient at θ_0").equal(
        linear, a * (w * x + b) + c + formula["linear"](s, p, q, t, a, w, b)
    )
    yield check("what it leaves out is one product of two changes, unit by unit").equal(
        unit - linear, formula["remainder"](s, p, q)
    )


def _gradients(formula: Formula, size: int) -> Iterator[Step]:
    a, w, b, c = real("W2 W1 b b2")
    for gate in (Integer(0), Integer(1)):
        unit = a * gate * (w * x + b) + c
        stated = formula["gradient"](a, w, b, gate)
        exact = [diff(unit, v) for v in (w, b, a, c)]
        yield check(f"unit {'on' if gate else 'off'}: (8), (9), (10), (11), differentiated").equal(
            tagged(exact), tagged(stated)
        )


@for_all_sizes
def _shares(formula: Formula, size: int) -> Iterator[Step]:
    v, hidden, output = positive("𝒲 HH′(xx′+1) [·]₊[·]₊")
    scale = formula["scale"](n)
    first = n * (scale * v) ** 2 * hidden
    yield check("(8)² + (9)²: n units with W2 = scale(n)·𝒲 sum to 𝒲² HH′(xx′ + 1), whatever n is").equal(
        first, v**2 * hidden
    )
    yield check(
        "(10)² + (11)²: n [·]₊[·]₊ + 1; so the hidden layer's share of the kernel is share/n in the limit"
    ).equal(limit(n * first / (n * output + 1), n, oo), formula["share"](v**2 * hidden, output))


@for_all_sizes
def _output_layer(formula: Formula, size: int) -> Iterator[Step]:
    A, B, At, Bt = (Symbol(name, commutative=False) for name in ("A", "B", "A^t", "B^t"))
    yield check(
        "residuals A^t r and B^t r, A = I − ηΘ, B = I − ηΘ_out: from t to t + 1 their difference is split"
    ).equal(expand(A * At - B * Bt), expand(A * (At - Bt) + (A - B) * formula["carried"](At, Bt)))
    s, z = positive("s"), positive("ηλ")
    slack = 1 / (1 + s)
    yield check("contraction: 0 < ηλ < 2 gives 1 − (1 − ηλ)² = ηλ(2 − ηλ) > 0; here ηλ = 2/(1 + s)").nonnegative(
        (1 - (1 - z) ** 2).subs(z, 2 * slack), 4 * slack * s * slack, strict=True
    )
    t, rho = whole("t"), slack
    bound = formula["bound"]
    yield check(
        "‖A^t − B^t‖ ≤ bound(t)·‖A − B‖ with ‖A‖, ‖B‖ ≤ ρ: ρ·bound(t) + ρ^t = bound(t + 1), bound(1) = 1"
    ).equal(tagged([rho * bound(t, rho) + rho**t, bound(Integer(1), rho)]), tagged([bound(t + 1, rho), Integer(1)]))
    total = formula["total"](rho)
    partial = total * (1 - t * rho ** (t - 1) + (t - 1) * rho**t)
    later = total * (1 - (t + 1) * rho**t + t * rho ** (t + 1))
    yield check("Σ_{u≤t} bound(u) by induction: the next term").equal(later - partial, bound(t, rho))
    yield check("… and it stays below total: what is missing is ρ^{t−1}(t − (t−1)ρ) of it, for every t: a sup").equal(
        total - partial, total * rho ** (t - 1) * (1 + s * t) / (1 + s)
    )
    h, c, kernel, r, one = positive("ηn ‖Θ_hid‖ κ ‖r_0‖ q")
    hidden = (h / n) * c * r / one
    output = (h / n) * (n * kernel) * (h / n) * c * r / one**2
    yield check(
        "f_lin(x): hidden kernel on residuals, η‖Θ_hid‖Σρ^t‖r_0‖, and output kernel nκ on their difference; q = 1 − ρ"
    ).equal(hidden + output, formula["rate"](n) * (h * c * r / one + h**2 * kernel * c * r / one**2))


@for_all_sizes
def _least_change(formula: Formula, size: int) -> Iterator[Step]:
    row, other = real("J_1 J_2"), real("v_1 v_2")
    alpha, weights = real("α"), formula["step"]
    moved = [alpha * factor * entry for factor, entry in zip(weights, row, strict=True)]
    yield check("each step of gradient descent adds a multiple of Jᵀr, so ω − θ_0 = Jᵀα: entry by entry").equal(
        tagged(moved), tagged([alpha * entry for entry in row])
    )
    cross = sum(
        formula["cost"](p + v) - formula["cost"](p) - formula["cost"](v) for p, v in zip(moved, other, strict=True)
    )
    yield check("any other solution is ω + v with Jv = 0, and costs ‖v‖² more: the cross term is 2αᵀ(Jv)").equal(
        cross, 2 * alpha * dot(row, other)
    )


def _empirical(formula: Formula, size: int) -> Iterator[Step]:
    delta, ramp, a = real("δW2_i [·]₊ W2_i")
    alpha = formula["alpha"](n, delta)
    yield check("(14): f_lin moves by Σ_i δW2_i [W1_i x_j + b_i]₊, linear in the output weights").equal(
        (a + delta) * ramp - a * ramp, delta * ramp
    )
    yield check("(17), constraint: ∫ α_n [·]₊ dμ_n gives each unit the share 1/n, and α_n/n = δW2").equal(
        alpha * ramp / n, delta * ramp
    )
    yield check("(17), objective: ∫ α_n² dμ_n is multiple(n) times ‖δW2‖², so (16) and (17) have one minimizer").equal(
        alpha**2 / n, formula["multiple"](n) * delta**2
    )


@for_all_sizes
def _width_rate(formula: Formula, size: int) -> Iterator[Step]:
    variance, correlated = positive("Var"), Integer(0)
    yield check("E|mean of n independent − its expectation|²: n variances, n² − n products of mean 0").equal(
        (n * variance + (n**2 - n) * correlated) / n**2, formula["squared_error"](n, variance)
    )
    yield check("so the error is O(n^{−1/2}): √n times it does not depend on n").equal(
        formula["factor"](n) * sqrt(formula["squared_error"](n, variance)), sqrt(variance)
    )
    G, Gn = Symbol("G", commutative=False), Symbol("G_n", commutative=False)
    yield check("multipliers λ = G⁻¹y, Gram matrices of the units: G_n⁻¹ − G⁻¹ = resolvent").equal(
        expand(Gn * (Gn**-1 - G**-1) * G), expand(Gn * formula["resolvent"](Gn, G) * G)
    )
    k, kn, lam, lamn = real("k k_n λ λ_n")
    yield check("g_n − g = (k_n − k)λ_n + k(λ_n − λ), term by term: both are O(n^{−1/2})").equal(
        kn * lamn - k * lam, (kn - k) * lamn + k * (lamn - lam)
    )


def _breakpoints(formula: Formula, size: int) -> Iterator[Step]:
    w, c = real("W c")
    yield check("b = bias(W, c): W x + b = W(x − c), so (18) in (W, b) is (19) in (W, c)").equal(
        w * x + formula["bias"](w, c), w * (x - c)
    )
    gamma = formula["gamma"](lambda v, b: 3 * v + 5 * b, w, c)
    yield check("γ(W, c) = α(W, −cW), on a linear α").equal(gamma, 3 * w - 5 * c * w)


def _outside(formula: Formula, size: int) -> Iterator[Step]:
    (c, t), (s, left, right) = real("c t"), nonnegative("s p q")
    ramp = formula["ramp"]
    yield check("a bend at c ≥ every data point: [x − c]₊ = 0 at x = c − s, so no constraint sees it").equal(
        ramp(c - s, c), 0
    )
    x0, x1 = c + left, c + right
    yield check("a bend at c ≤ every data point: [x − c]₊ is a line on the data, which u and v give for nothing").equal(
        (1 - t) * ramp(x0, c) + t * ramp(x1, c), (1 - t) * (x0 - c) + t * (x1 - c)
    )
    curvature, zeta = real("g″"), positive("ζ")
    yield check(
        "and the energy g″²/ζ of a bend is ≥ 0, so the minimizer has none: g″ = 0 outside the data"
    ).nonnegative(curvature**2 / zeta, curvature**2 / zeta)


def _initial_function(formula: Formula, size: int) -> Iterator[Step]:
    (function, start, target), zeta = real("g f_0 y"), positive("ζ")
    second, second_start = real("g″ f_0″")
    change = formula["change"](function, start)
    yield check("h = g − f_0 fits the residuals y − f_0(x_i)").equal(change.subs(function, target), target - start)
    yield check("its energy ∫ h″²/ζ is that of (4), ∫ (g″ − f_0″)²/ζ").equal(
        formula["change"](second, second_start) ** 2 / zeta, (second - second_start) ** 2 / zeta
    )


_GRADIENT = {"gradient": lambda a, w, b, gate: [a * gate * x, a * gate, gate * (w * x + b), Integer(1)]}
_OUTPUT = {
    "carried": lambda At, Bt: Bt,
    "bound": lambda t, rho: t * rho ** (t - 1),
    "total": lambda rho: 1 / (1 - rho) ** 2,
    "rate": lambda n: 1 / n,
}
_SQUARE = {"cost": lambda v: v**2, "step": (Integer(1), Integer(1))}
_WIDTH = {
    "squared_error": lambda n, variance: variance / n,
    "factor": lambda n: sqrt(n),
    "resolvent": lambda Gn, G: Gn**-1 * (G - Gn) * G**-1,
}

CLAIMS: tuple[Claim, ...] = (
    claim(
        "linearized-network",
        _linearized,
        linear=lambda s, p, q, t, a, w, b: s * (w * x + b) + a * (p * x + q) + t,
        remainder=lambda s, p, q: s * (p * x + q),
    )
    .refutes("half the remainder", remainder=lambda s, p, q: s * (p * x + q) / 2)
    .refutes("a remainder from the bias alone", remainder=lambda s, p, q: s * q)
    .refutes("output weights alone", linear=lambda s, p, q, t, a, w, b: s * (w * x + b) + t),
    claim("gradients", _gradients, _GRADIENT)
    .refutes("no W2 in (8)", gradient=lambda a, w, b, H: [H * x, a * H, H * (w * x + b), Integer(1)])
    .refutes("x in (9)", gradient=lambda a, w, b, H: [a * H * x, a * H * x, H * (w * x + b), Integer(1)])
    .refutes("no gate in (10)", gradient=lambda a, w, b, H: [a * H * x, a * H, w * x + b, Integer(1)]),
    claim("kernel-shares", _shares, scale=lambda n: 1 / sqrt(n), share=lambda hidden, output: hidden / output)
    .refutes("output weights of size 1", scale=lambda n: Integer(1))
    .refutes("output weights of size 1/n", scale=lambda n: 1 / n)
    .refutes("share inverted", share=lambda hidden, output: output / hidden),
    claim("output-layer-training", _output_layer, _OUTPUT)
    .refutes("O(n^{−1/2})", rate=lambda n: 1 / sqrt(n))
    .refutes("O(n^{−2})", rate=lambda n: 1 / n**2)
    .refutes("A^t carried instead of B^t", carried=lambda At, Bt: At)
    .refutes("bound without t", bound=lambda t, rho: rho ** (t - 1)),
    claim("least-change", _least_change, _SQUARE)
    .refutes("another norm", cost=lambda v: v**4)
    .refutes("a preconditioned step", step=(Integer(1), Integer(2))),
    claim("empirical-problem", _empirical, alpha=lambda n, delta: n * delta, multiple=lambda n: n)
    .refutes("α_n = √n δ", alpha=lambda n, delta: sqrt(n) * delta)
    .refutes("the same value", multiple=lambda n: Integer(1)),
    claim("width-rate", _width_rate, _WIDTH)
    .refutes("variance Var", squared_error=lambda n, variance: variance)
    .refutes("error O(1/n)", factor=lambda n: n)
    .refutes("sign of the resolvent", resolvent=lambda Gn, G: Gn**-1 * (Gn - G) * G**-1),
    claim("breakpoint-problem", _breakpoints, bias=lambda w, c: -c * w, gamma=lambda alpha, w, c: alpha(w, -c * w))
    .refutes("b = cW", bias=lambda w, c: c * w)
    .refutes("b = −c", bias=lambda w, c: -c)
    .refutes("γ(W, c) = α(W, c)", gamma=lambda alpha, w, c: alpha(w, c)),
    claim("curvature-outside", _outside, ramp=lambda position, c: Max(position - c, 0))
    .refutes("|x − c|", ramp=lambda position, c: Abs(position - c))
    .refutes("[x − c]₊²", ramp=lambda position, c: Max(position - c, 0) ** 2),
    claim("initial-function", _initial_function, change=lambda g, f0: g - f0)
    .refutes("a sum", change=lambda g, f0: g + f0)
    .refutes("f_0 ignored", change=lambda g, f0: g),
)
