"""Wide one-input ReLU networks: the weight ζ of curvature, from the initial distribution.

    f(x) = Σ a_i [w_i x + b_i]₊,   the unit bends at C = −B/W;      ζ(x) = ∫ |w|³ p_{W,B}(w, −wx) dw

The integrals are done symbolically from the density, for all parameters; the law of the breakpoint by a change of
variables with the density indeterminate; and the least energy of a given second derivative, ∫ g″²/ζ, by
Cauchy–Schwarz at each breakpoint. `proofs.spline_equations` has what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sympy import (
    Abs,
    Eq,
    Function,
    Integer,
    Interval,
    Rational,
    diff,
    exp,
    expand,
    integrate,
    oo,
    pi,
    simplify,
    solve,
    solveset,
    sqrt,
    sympify,
)

from proofs.claim import Claim, Formula, Kind, Mutant, Step, claim, for_all_sizes
from proofs.steps import check
from proofs.symbols import positive, real

w, sigma_w, sigma_b, a_w, a_b = positive("w σ_w σ_b a_w a_b")
x = real("x")


def _gaussian(formula: Formula, size: int) -> Iterator[Step]:
    density = formula["density"](w, -w * x)
    both = formula["weight"](w) * (density + formula["density"](-w, w * x))
    exponent = simplify(1 / sigma_w**2 + x**2 / sigma_b**2) / 2
    rate = positive("α")
    yield check("on the line b = −wx the density is a Gaussian in w with rate α = (1/σ_w² + x²/σ_b²)/2").equal(
        density, exp(-exponent * w**2) / (2 * pi * sigma_w * sigma_b)
    )
    yield check("the two signs of w give the same").equal(both, 2 * formula["weight"](w) * density)
    integral = integrate(formula["weight"](w) * exp(-rate * w**2), (w, 0, oo))
    value = 2 * integral.subs(rate, exponent) / (2 * pi * sigma_w * sigma_b)
    yield check("∫₀^∞ |w|³ e^{−αw²} dw, doubled, is ζ").equal(simplify(value), formula["zeta"](x))


def _normal(v: Any, sigma: Any) -> Any:
    return exp(-(v**2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi))


def _uniform(formula: Formula, size: int) -> Iterator[Step]:
    r = positive("|x|")
    level = formula["density"]
    yield check("the density is one over the area of the rectangle").equal(level * (2 * a_w) * (2 * a_b), 1)
    for region, sign, upper, shown in (("inside", "≤", a_w, "a_w"), ("outside", ">", a_b / r, "a_b/|x|")):
        yield check(f"|x| {sign} a_b/a_w: (w, −wx) is in the rectangle for |w| ≤ {shown}").equal(
            2 * integrate(formula["weight"](w) * level, (w, 0, upper)), formula[region](r)
        )
    yield check("the two agree at |x| = a_b/a_w").equal(formula["inside"](a_b / a_w), formula["outside"](a_b / a_w))


def _binary(formula: Formula, size: int) -> Iterator[Step]:
    level = formula["bias_density"]
    yield check("B is uniform on [−a_b, a_b]").equal(level * 2 * a_b, 1)
    yield check("W = ±1 with probability ½ each: ζ(x) = Σ_± ½|±1|³ p_B(∓x), both inside for |x| ≤ a_b").equal(
        sum(Rational(1, 2) * formula["weight"](Integer(s)) * level for s in (1, -1)), formula["zeta"]
    )


def _breakpoint_law(formula: Formula, size: int) -> Iterator[Step]:
    v, b, c = real("w b c")
    density = Function("p", real=True)
    bend = formula["breakpoint"](v, b)
    yield check("the unit bends at C: wC + b = 0").equal(simplify(v * bend + b), 0)
    bias = solve(Eq(bend, c), b)[0]
    jacobian = Abs(diff(bias, c))
    yield check("b = −wc, |∂b/∂c| = |w|: (W, C) has density |w| p(w, −wc)").equal(
        jacobian * density(v, bias), Abs(v) * density(v, -v * c)
    )
    yield check("p_C(x) E[φ(W) | C = x] = ∫ φ(w) |w| p(w, −wx) dw; with φ(w) = w² the integrand is that of ζ").equal(
        formula["moment"](v) * jacobian.subs(c, x) * density(v, -v * x), formula["weight"](v) * density(v, -v * x)
    )


@for_all_sizes
def _anti_symmetric(formula: Formula, size: int) -> Iterator[Step]:
    a, v, b = real("a w b")
    relu, theta = Function("relu", real=True), positive("k")
    first, second = formula["signs"]
    unit = a * relu(v * x + b)
    yield check("each unit and its mirror cancel, whatever the weights and the activation").equal(
        first * unit + second * unit, 0
    )
    yield check("while the kernel, a sum of squares of gradients, stays: (1/√2)²k + (−1/√2)²k = k").equal(
        first**2 * theta + second**2 * theta, theta
    )


def _second_derivative(formula: Formula, size: int) -> Iterator[Step]:
    """∫ [w(t−c)]₊ φ″(t) dt = mass(w)·φ(c) for test functions (1−t²)²·polynomial on [−1, 1]."""
    t, c, v = real("t"), real("c"), positive("w")
    p = real("p0:4")
    phi = (1 - t**2) ** 2 * sum(q * t**k for k, q in enumerate(p))
    curvature = diff(phi, t, 2)
    for sign, text, limits in ((1, "w > 0, on [c, 1]", (c, 1)), (-1, "w < 0, on [−1, c]", (-1, c))):
        ramp = sign * v * (t - c)
        yield check(f"the second derivative of [w(t−c)]₊ is mass(w) at c: {text}").equal(
            integrate(expand(ramp * curvature), (t, *limits)), formula["mass"](sign * v) * phi.subs(t, c)
        )


@for_all_sizes
def _least_energy(formula: Formula, size: int) -> Iterator[Step]:
    g, v, W = real("g″ v |W|")
    p, m = positive("p_C m_2")
    gamma = formula["weights"](g, p, m)
    yield check(
        "at each breakpoint γ = λ|W| makes p_C E[γ|W|] = g″; with E[W²|C] = m_2 (the integrand's share W²/m_2)"
    ).equal(p * gamma * m, g)
    yield check("its energy p_C E[γ²] is g″²/(p_C m_2) = g″²/ζ").equal(p * gamma**2 * m, formula["energy"](g, p * m))
    yield check("no γ has less: γ = λ|W| + v with E[v|W|] = 0 has p_C E[v²] more, by Pythagoras").equal(
        (gamma * W + v) ** 2 - (gamma * W) ** 2 - v**2, 2 * gamma * W * v
    )


def _sup(formula: Formula, size: int) -> Iterator[Step]:
    t = real("t")
    interval = Interval(-1, 1)
    for h in (t, t**2, 1 + t, t**3 - t, Integer(0)):
        distance = formula["distance"](h, t, interval)
        largest = max(abs(sympify(h).subs(t, Rational(k, 8))) for k in range(-8, 9))
        found = {"f_n − g*": h, "distance": distance, "|f_n − g*| somewhere": largest}
        how = f"largest of |{h}| on 17 points: {largest}"
        yield check(
            f"f_n − g* = {h} on [−1, 1] has distance {distance}, and |f_n − g*| ≤ distance at every point"
        ).decided(bool(largest <= distance), how, kind=Kind.CHECKED, counterexample=found, residual=largest - distance)


def _extreme(h: Any, t: Any, interval: Any, choose: Any) -> Any:
    """The smallest or largest |h| over the interval, from its critical points, zeros and ends."""
    h = sympify(h)
    points = {interval.start, interval.end}
    for e in (h, diff(h, t)):
        points |= set(solveset(e, t, interval)) if e.free_symbols else set()
    return choose(abs(h.subs(t, point)) for point in points)


def _zeta_gaussian(x: Any, s_w: Any = sigma_w, s_b: Any = sigma_b) -> Any:
    return 2 * s_w**3 * s_b**3 / (pi * (s_b**2 + x**2 * s_w**2) ** 2)


CUBE = {"weight": lambda v: Abs(v) ** 3}
_SQUARE = Mutant("|w|² for |w|³", weight=lambda v: Abs(v) ** 2)
_GAUSSIAN = {"density": lambda v, b: _normal(v, sigma_w) * _normal(b, sigma_b), "zeta": _zeta_gaussian}
_TAIL = {"outside": lambda r: a_b**3 / (8 * a_w * r**4)}
_HALF = 1 / sqrt(2)

CLAIMS: tuple[Claim, ...] = (
    claim("zeta-gaussian", _gaussian, CUBE, _GAUSSIAN)
    .refutes_all([_SQUARE])
    .refutes("factor 1", zeta=lambda x: _zeta_gaussian(x) / 2)
    .refutes("σ_w and σ_b exchanged", zeta=lambda x: _zeta_gaussian(x, sigma_b, sigma_w)),
    claim("zeta-uniform", _uniform, CUBE, _TAIL, density=1 / (4 * a_w * a_b), inside=lambda r: a_w**3 / (8 * a_b))
    .refutes_all([_SQUARE])
    .refutes("1/(4a_b)", inside=lambda r: a_w**3 / (4 * a_b))
    .refutes("constant beyond", outside=lambda r: a_w**3 / (8 * a_b)),
    claim("zeta-binary-uniform", _binary, CUBE, bias_density=1 / (2 * a_b), zeta=1 / (2 * a_b))
    .refutes("1/a_b", zeta=1 / a_b)
    .refutes("|w|³ + 1", weight=lambda v: abs(v) ** 3 + 1),
    claim("zeta-breakpoints", _breakpoint_law, CUBE, breakpoint=lambda v, b: -b / v, moment=lambda v: v**2)
    .refutes("C = B/W", breakpoint=lambda v, b: b / v)
    .refutes("E[|W|]", moment=lambda v: Abs(v))
    .refutes("w³", weight=lambda v: v**3),
    claim("anti-symmetric", _anti_symmetric, signs=(_HALF, -_HALF))
    .refutes("a sum", signs=(_HALF, _HALF))
    .refutes("unequal halves", signs=(_HALF, -1))
    .refutes("no 1/√2", signs=(Integer(1), Integer(-1))),
    claim("eq-20", _second_derivative, mass=lambda v: Abs(v))
    .refutes("w", mass=lambda v: v)
    .refutes("w²", mass=lambda v: v**2),
    claim("curvature-value", _least_energy, weights=lambda g, p, m: g / (p * m), energy=lambda g, zeta: g**2 / zeta)
    .refutes("g″²ζ", energy=lambda g, zeta: g**2 * zeta)
    .refutes("γ ∝ 1/p_C", weights=lambda g, p, m: g / p),
    claim("theorem-inf-as-printed", _sup, distance=lambda h, t, interval: _extreme(h, t, interval, min))
    .corrected(distance=lambda h, t, interval: _extreme(h, t, interval, max))
    .refutes("_HALF the sup", distance=lambda h, t, i: _extreme(h, t, i, max) / 2)
    .refutes("|h(0)|", distance=lambda h, t, i: abs(sympify(h).subs(t, 0))),
    claim("theorem-sup", _sup, distance=lambda h, t, interval: _extreme(h, t, interval, max))
    .refutes("inf", distance=lambda h, t, i: _extreme(h, t, i, min))
    .refutes("|h(1)|", distance=lambda h, t, i: abs(sympify(h).subs(t, 1))),
)
