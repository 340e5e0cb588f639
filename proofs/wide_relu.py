"""Wide one-input ReLU networks: the weight ζ of curvature, from the initial distribution.

    f(x) = Σ a_i [w_i x + b_i]₊,   the unit bends at C = −B/W;      ζ(x) = ∫ |w|³ p_{W,B}(w, −wx) dw

The integrals are done symbolically from the density, for all parameters; the law of the breakpoint by a change of
variables with the density indeterminate; and the price of a given second derivative, ∫ g″²/ζ, by Cauchy–Schwarz at
each breakpoint. `splines` has what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy

from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.steps import decided, identity

JIN = "Jin and Montúfar (2023)"
ALL = Kind.PROVED_FOR_ALL_SIZES

w, sigma_w, sigma_b, a_w, a_b = sympy.symbols("w σ_w σ_b a_w a_b", positive=True)
x = sympy.Symbol("x", real=True)


def _gaussian(formula: Formula, size: int) -> Iterator[Step]:
    del size
    density = formula["density"](w, -w * x)
    both = formula["weight"](w) * (density + formula["density"](-w, w * x))
    exponent = sympy.simplify(1 / sigma_w**2 + x**2 / sigma_b**2) / 2
    rate = sympy.Symbol("α", positive=True)
    yield identity(
        "on the line b = −wx the density is a Gaussian in w with rate α = (1/σ_w² + x²/σ_b²)/2",
        density, sympy.exp(-exponent * w**2) / (2 * sympy.pi * sigma_w * sigma_b),
    )  # fmt: skip
    yield identity("the two signs of w give the same", both, 2 * formula["weight"](w) * density)
    integral = sympy.integrate(formula["weight"](w) * sympy.exp(-rate * w**2), (w, 0, sympy.oo))
    value = 2 * integral.subs(rate, exponent) / (2 * sympy.pi * sigma_w * sigma_b)
    yield identity("∫₀^∞ |w|³ e^{−αw²} dw, doubled, is ζ", sympy.simplify(value), formula["zeta"](x))


def _normal(v: Any, sigma: Any) -> Any:
    return sympy.exp(-(v**2) / (2 * sigma**2)) / (sigma * sympy.sqrt(2 * sympy.pi))


def _uniform(formula: Formula, size: int) -> Iterator[Step]:
    del size
    r = sympy.Symbol("|x|", positive=True)
    level = formula["density"]
    yield identity("the density is one over the area of the rectangle", level * (2 * a_w) * (2 * a_b), 1)
    for region, upper in (("inside", a_w), ("outside", a_b / r)):
        integral = 2 * sympy.integrate(formula["weight"](w) * level, (w, 0, upper))
        where = "≤" if region == "inside" else ">"
        yield identity(
            f"|x| {where} a_b/a_w: (w, −wx) is in the rectangle for |w| ≤ {'a_w' if region == 'inside' else 'a_b/|x|'}",
            integral, formula[region](r),
        )  # fmt: skip
    yield identity("the two agree at |x| = a_b/a_w", formula["inside"](a_b / a_w), formula["outside"](a_b / a_w))


def _binary(formula: Formula, size: int) -> Iterator[Step]:
    del size
    level = formula["bias_density"]
    yield identity("B is uniform on [−a_b, a_b]", level * 2 * a_b, 1)
    yield identity(
        "W = ±1 with probability ½ each: ζ(x) = Σ_± ½|±1|³ p_B(∓x), both inside for |x| ≤ a_b",
        sum(sympy.Rational(1, 2) * formula["weight"](sympy.Integer(s)) * level for s in (1, -1)), formula["zeta"],
    )  # fmt: skip


def _breakpoint_law(formula: Formula, size: int) -> Iterator[Step]:
    del size
    v, b, c = sympy.symbols("w b c", real=True)
    density = sympy.Function("p", real=True)
    bend = formula["breakpoint"](v, b)
    yield identity("the unit bends at C: wC + b = 0", sympy.simplify(v * bend + b), 0)
    bias = sympy.solve(sympy.Eq(bend, c), b)[0]
    jacobian = sympy.Abs(sympy.diff(bias, c))
    yield identity("b = −wc, |∂b/∂c| = |w|: (W, C) has density |w| p(w, −wc)", jacobian * density(v, bias),
                   sympy.Abs(v) * density(v, -v * c))  # fmt: skip
    yield identity(
        "p_C(x) E[φ(W) | C = x] = ∫ φ(w) |w| p(w, −wx) dw; with φ(w) = w² the integrand is that of ζ",
        formula["moment"](v) * jacobian.subs(c, x) * density(v, -v * x),
        formula["weight"](v) * density(v, -v * x),
    )  # fmt: skip


def _anti_symmetric(formula: Formula, size: int) -> Iterator[Step]:
    del size
    a, v, b = sympy.symbols("a w b", real=True)
    relu, theta = sympy.Function("relu", real=True), sympy.Symbol("k", positive=True)
    first, second = formula["signs"]
    unit = a * relu(v * x + b)
    yield identity("each unit and its mirror cancel, whatever the weights and the activation",
                   first * unit + second * unit, 0, kind=ALL)  # fmt: skip
    yield identity("while the kernel, a sum of squares of gradients, stays: (1/√2)²k + (−1/√2)²k = k",
                   first**2 * theta + second**2 * theta, theta, kind=ALL)  # fmt: skip


def _second_derivative(formula: Formula, size: int) -> Iterator[Step]:
    """∫ [w(t−c)]₊ φ″(t) dt = mass(w)·φ(c) for test functions (1−t²)²·polynomial on [−1, 1]."""
    del size
    t, c, v = sympy.Symbol("t", real=True), sympy.Symbol("c", real=True), sympy.Symbol("w", positive=True)
    p = sympy.symbols("p0:4", real=True)
    phi = (1 - t**2) ** 2 * sum(q * t**k for k, q in enumerate(p))
    curvature = sympy.diff(phi, t, 2)
    for sign, text, limits in ((1, "w > 0, on [c, 1]", (c, 1)), (-1, "w < 0, on [−1, c]", (-1, c))):
        ramp = sign * v * (t - c)
        yield identity(
            f"the second derivative of [w(t−c)]₊ is mass(w) at c: {text}",
            sympy.integrate(sympy.expand(ramp * curvature), (t, *limits)),
            formula["mass"](sign * v) * phi.subs(t, c),
        )  # fmt: skip


def _price(formula: Formula, size: int) -> Iterator[Step]:
    del size
    g, v, W = sympy.symbols("g″ v |W|", real=True)
    p, m = sympy.symbols("p_C m_2", positive=True)
    gamma = formula["weights"](g, p, m)
    yield identity(
        "at each breakpoint γ = λ|W| makes p_C E[γ|W|] = g″; with E[W²|C] = m_2 (the integrand's share W²/m_2)",
        p * gamma * m, g, kind=ALL,
    )  # fmt: skip
    stated = formula["price"](g, p * m)
    yield identity("its price p_C E[γ²] is g″²/(p_C m_2) = g″²/ζ", p * gamma**2 * m, stated, kind=ALL)
    yield identity(
        "no γ is cheaper: γ = λ|W| + v with E[v|W|] = 0 costs p_C E[v²] more, by Pythagoras",
        (gamma * W + v) ** 2 - (gamma * W) ** 2 - v**2, 2 * gamma * W * v, kind=ALL,
    )  # fmt: skip


def _sup(formula: Formula, size: int) -> Iterator[Step]:
    del size
    t = sympy.Symbol("t", real=True)
    interval = sympy.Interval(-1, 1)
    for h in (t, t**2, 1 + t, t**3 - t, sympy.Integer(0)):
        distance = formula["distance"](h, t, interval)
        largest = max(abs(sympy.sympify(h).subs(t, sympy.Rational(k, 8))) for k in range(-8, 9))
        yield decided(
            f"f_n − g* = {h} on [−1, 1] has distance {distance}, and |f_n − g*| ≤ distance at every point",
            bool(largest <= distance), f"largest of |{h}| on 17 points: {largest}", kind=Kind.CHECKED,
            counterexample={"f_n − g*": h, "distance": distance, "|f_n − g*| somewhere": largest},
            residual=largest - distance,
        )  # fmt: skip


def _extreme(h: Any, t: Any, interval: Any, choose: Any) -> Any:
    """The smallest or largest |h| over the interval, from its critical points, zeros and ends."""
    h = sympy.sympify(h)
    points = {interval.start, interval.end}
    if h.free_symbols:
        points |= {r for e in (h, sympy.diff(h, t)) for r in sympy.solveset(e, t, interval)} if (
            sympy.diff(h, t).free_symbols) else set(sympy.solveset(h, t, interval))  # fmt: skip
    return choose(abs(h.subs(t, point)) for point in points)


def _claims() -> Iterator[Claim]:
    cube = {"weight": lambda v: sympy.Abs(v) ** 3}
    square = (Mutant("|w|² for |w|³", {"weight": lambda v: sympy.Abs(v) ** 2}),)
    yield Claim(
        name="zeta-gaussian", statement="W ~ N(0, σ_w²), B ~ N(0, σ_b²): ζ(x) = 2σ_w³σ_b³/(π(σ_b² + x²σ_w²)²)",
        assumptions=("σ are standard deviations", "W, B independent"), reference=f"{JIN}, Proposition 8(1)",
        scope="all σ_w, σ_b > 0, x", argument=_gaussian,
        formula={
            **cube, "density": lambda v, b: _normal(v, sigma_w) * _normal(b, sigma_b),
            "zeta": lambda x: 2 * sigma_w**3 * sigma_b**3 / (sympy.pi * (sigma_b**2 + x**2 * sigma_w**2) ** 2),
        },
        mutants=(
            *square,
            Mutant("factor 1", {"zeta": lambda x: sigma_w**3 * sigma_b**3
                                / (sympy.pi * (sigma_b**2 + x**2 * sigma_w**2) ** 2)}),
            Mutant("σ_w and σ_b exchanged", {"zeta": lambda x: 2 * sigma_w**3 * sigma_b**3
                                             / (sympy.pi * (sigma_w**2 + x**2 * sigma_b**2) ** 2)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="zeta-uniform",
        statement="W ~ U(−a_w, a_w), B ~ U(−a_b, a_b): ζ = a_w³/(8a_b) for |x| ≤ a_b/a_w, a_b³/(8a_w x⁴) beyond",
        assumptions=("W, B independent",), reference=f"{JIN}, Proposition 8(3), and its continuation",
        scope="all a_w, a_b > 0, x", argument=_uniform,
        formula={
            **cube, "density": 1 / (4 * a_w * a_b), "inside": lambda r: a_w**3 / (8 * a_b),
            "outside": lambda r: a_b**3 / (8 * a_w * r**4),
        },
        mutants=(
            *square, Mutant("1/(4a_b)", {"inside": lambda r: a_w**3 / (4 * a_b)}),
            Mutant("constant beyond", {"outside": lambda r: a_w**3 / (8 * a_b)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="zeta-binary-uniform", statement="W = ±1, B ~ U(−a_b, a_b): ζ(x) = 1/(2a_b) for |x| ≤ a_b",
        assumptions=("W, B independent",), reference=f"{JIN}, Proposition 8(2)", scope="all a_b > 0, |x| ≤ a_b",
        formula={**cube, "bias_density": 1 / (2 * a_b), "zeta": 1 / (2 * a_b)}, argument=_binary,
        mutants=(Mutant("1/a_b", {"zeta": 1 / a_b}), Mutant("|w|³ + 1", {"weight": lambda v: abs(v) ** 3 + 1})),
    )  # fmt: skip
    yield from _law_claims()


def _law_claims() -> Iterator[Claim]:
    half = 1 / sympy.sqrt(2)
    yield Claim(
        name="zeta-breakpoints", statement="∫|w|³ p_{W,B}(w, −wx) dw = p_C(x) E[W² | C = x],  C = −B/W",
        assumptions=("W ≠ 0 almost surely", "any joint density p"), reference=f"{JIN}, Theorem 1",
        scope="all densities, integrand by integrand", argument=_breakpoint_law,
        formula={"breakpoint": lambda v, b: -b / v, "moment": lambda v: v**2, "weight": lambda v: sympy.Abs(v) ** 3},
        mutants=(
            Mutant("C = B/W", {"breakpoint": lambda v, b: b / v}),
            Mutant("E[|W|]", {"moment": lambda v: sympy.Abs(v)}),
            Mutant("w³", {"weight": lambda v: v**3}),
        ),
    )  # fmt: skip
    yield Claim(
        name="anti-symmetric", statement="f = (f_θ − f_θ′)/√2 with θ′ = θ at the start: f ≡ 0, same kernel",
        assumptions=("any activation",), reference=f"{JIN}, anti-symmetrical initialization",
        scope="all widths, weights",
        formula={"signs": (half, -half)}, argument=_anti_symmetric, expected=ALL,
        mutants=(
            Mutant("a sum", {"signs": (half, half)}), Mutant("unequal halves", {"signs": (half, -1)}),
            Mutant("no 1/√2", {"signs": (sympy.Integer(1), sympy.Integer(-1))}),
        ),
    )  # fmt: skip
    yield Claim(
        name="eq-20", statement="d²/dx² [W(x − c)]₊ = |W| δ(x − c), so g″(x) = p_C(x) E[γ(W, x)|W| | C = x]",
        assumptions=("the output weights as a function γ of (W, c)",), reference=f"{JIN}, eq. (20)",
        scope="tested against (1 − t²)²·(cubic), all c ∈ [−1, 1], both signs of w", argument=_second_derivative,
        formula={"mass": lambda v: sympy.Abs(v)},
        mutants=(Mutant("w", {"mass": lambda v: v}), Mutant("w²", {"mass": lambda v: v**2})),
    )  # fmt: skip
    yield Claim(
        name="curvature-price",
        statement="min ∫γ² dν s.t. p_C E[γ|W| | C = x] = g″(x) is ∫ g″²/ζ dx,  ζ = p_C E[W² | C]",
        assumptions=("ζ > 0",), reference=f"{JIN}, Theorem 1", scope="all distributions, breakpoint by breakpoint",
        formula={"weights": lambda g, p, m: g / (p * m), "price": lambda g, zeta: g**2 / zeta}, argument=_price,
        expected=ALL,
        mutants=(
            Mutant("g″²ζ", {"price": lambda g, zeta: g**2 * zeta}),
            Mutant("γ ∝ 1/p_C", {"weights": lambda g, p, m: g / p}),
        ),
    )  # fmt: skip
    yield Claim(
        name="theorem-inf-as-printed",
        statement="distance = inf_{x∈[−1,1]} |f_n(x) − g*(x)| bounds |f_n − g*| everywhere",
        assumptions=("the convergence statement read with the printed inf over the interval",),
        reference=f"{JIN}, Theorem 1", scope="five differences on [−1, 1]", expected=Kind.REFUTED,
        formula={"distance": lambda h, t, interval: _extreme(h, t, interval, min)}, argument=_sup,
        correction={"distance": lambda h, t, interval: _extreme(h, t, interval, max)}, corrected_by="theorem-sup",
        mutants=(
            Mutant("half the sup", {"distance": lambda h, t, i: _extreme(h, t, i, max) / 2}),
            Mutant("|h(0)|", {"distance": lambda h, t, i: abs(sympy.sympify(h).subs(t, 0))}),
        ),
    )  # fmt: skip
    yield Claim(
        name="theorem-sup", statement="distance = sup_{x∈[−1,1]} |f_n(x) − g*(x)| bounds |f_n − g*| everywhere",
        assumptions=(), reference=f"{JIN}, Theorem 1, with sup", scope="five differences on [−1, 1]",
        expected=Kind.CHECKED, formula={"distance": lambda h, t, interval: _extreme(h, t, interval, max)},
        argument=_sup,
        mutants=(
            Mutant("inf", {"distance": lambda h, t, i: _extreme(h, t, i, min)}),
            Mutant("|h(1)|", {"distance": lambda h, t, i: abs(sympy.sympify(h).subs(t, 1))}),
        ),
    )  # fmt: skip


CLAIMS = tuple(_claims())
