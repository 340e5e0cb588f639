"""The weighted spline: Euler–Lagrange system, its matrix for ζ = 1, the natural cubic spline, and the kernel road.

    min ∫ g″²/ζ s.t. g(x_i) = y_i:    g″ = ζℓ, ℓ piecewise linear, continuous, zero at both end knots,
    A ℓ = jumps of the chords' slopes,  A_ij = ∫ ζ B_i B_j.

Three knots with indeterminate spacings already show every entry; the kernel of the wide network, least norm with a
free line (problem (21)), is shown to return the same function.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy
from sympy.polys.matrices import DomainMatrix

from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.steps import identity
from proofs.wide_relu import JIN

h0, h1, a = sympy.symbols("h_0 h_1 a", positive=True)
t = sympy.Symbol("t", real=True)
y = sympy.symbols("y0:3", real=True)


def _hat_pieces() -> tuple[Any, Any]:
    """The middle hat on the knots −h_0, 0, h_1."""
    return 1 + t / h0, 1 - t / h1


def _integral(left: Any, right: Any) -> Any:
    """∫ over [−h_0, 0] of the left piece and [0, h_1] of the right one."""
    return sympy.integrate(sympy.expand(left), (t, -h0, 0)) + sympy.integrate(sympy.expand(right), (t, 0, h1))


def _euler_lagrange(formula: Formula, size: int) -> Iterator[Step]:
    del size
    p = sympy.symbols("p0:3", real=True)
    eta = (t + h0) * t * (t - h1) * sum(q * t**k for k, q in enumerate(p))
    left, right = formula["multiplier"]
    yield identity(
        "stationarity: ∫ (g″/ζ) η″ = 0 for every η that vanishes at the knots (here polynomials of degree ≤ 5)",
        _integral(left * sympy.diff(eta, t, 2), right * sympy.diff(eta, t, 2)), 0,
    )  # fmt: skip
    s = sympy.symbols("s0:6", real=True)
    spline = sum(c * t**k for k, c in enumerate(s))
    hats = _hat_pieces()
    value = [spline.subs(t, v) for v in (-h0, 0, h1)]
    yield identity(
        "∫ g″ B_1 is the jump of the chords' slopes",
        _integral(*(hat * sympy.diff(spline, t, 2) for hat in hats)), formula["jump"](*value),
    )  # fmt: skip


def _tridiagonal(formula: Formula, size: int) -> Iterator[Step]:
    del size
    left, right = _hat_pieces()
    yield identity("A_ii = ∫ B_i²", _integral(left**2, right**2), formula["diagonal"](h0, h1))
    shared = sympy.integrate(sympy.expand((1 - t / h1) * (t / h1)), (t, 0, h1))
    yield identity("A_{i,i+1} = ∫ B_i B_{i+1} over the interval they share", shared, formula["off_diagonal"](h1))


def _jump(u: Any, v: Any, w: Any) -> Any:
    return (w - v) / h1 - (v - u) / h0


def _natural(formula: Formula, size: int) -> Iterator[Step]:
    """The cubic whose second derivative is ℓ_1·hat, interpolating: value, slope and curvature meet at the knot."""
    del size
    slope = formula["curvature"](_jump(*y), h0, h1)
    pieces = []
    for hat, (u, v), (yu, yv) in zip(_hat_pieces(), ((-h0, sympy.Integer(0)), (sympy.Integer(0), h1)),
                                     ((y[0], y[1]), (y[1], y[2])), strict=True):  # fmt: skip
        twice = sympy.integrate(sympy.integrate(slope * hat, t), t)
        line = yu - twice.subs(t, u) + (t - u) / (v - u) * (yv - yu - twice.subs(t, v) + twice.subs(t, u))
        pieces.append(twice + line)
    left, right = pieces
    for order, text in ((0, "value"), (1, "slope"), (2, "curvature")):
        yield identity(f"the {text} is continuous at the knot", sympy.diff(left, t, order).subs(t, 0),
                       sympy.diff(right, t, order).subs(t, 0))  # fmt: skip
    for piece, end in ((left, -h0), (right, h1)):
        yield identity("natural: no curvature at the end", sympy.diff(piece, t, 2).subs(t, end), 0)
        yield identity("cubic: the fourth derivative vanishes", sympy.diff(piece, t, 4), 0)
    energy = _integral(sympy.diff(left, t, 2) ** 2, sympy.diff(right, t, 2) ** 2)
    yield identity("its energy ∫ g″² is jump²/A", energy, formula["energy"](_jump(*y), h0, h1))


def _paper_case(formula: Formula, size: int) -> Iterator[Step]:
    """x = (−2, …, 2), y = (3/2, 1/2, 3/2, 1/2, 3/2), ζ = 1, in exact arithmetic."""
    del size
    data = [sympy.Rational(v) for v in ("3/2", "1/2", "3/2", "1/2", "3/2")]
    bands = [formula["diagonal"], formula["off_diagonal"], sympy.Integer(0)]
    gram = sympy.Matrix(3, 3, lambda i, j: bands[abs(i - j)])
    jumps = sympy.Matrix([data[i] - 2 * data[i + 1] + data[i + 2] for i in range(3)])
    inner = gram.solve(jumps)
    level = [sympy.Integer(0), *inner, sympy.Integer(0)]
    yield identity("energy ℓᵀAℓ", (inner.T * gram * inner)[0], formula["energy"], kind=Kind.CERTIFIED)
    for start, key in ((2, "at_half"), (3, "at_three_halves")):
        middle = (data[start] + data[start + 1]) / 2 - (level[start] + level[start + 1]) / 16
        yield identity(f"g({sympy.Rational(2 * start - 3, 2)}): the chord minus (ℓ_i + ℓ_(i+1))h²/16", middle,
                       formula[key], kind=Kind.CERTIFIED)  # fmt: skip


def _arc_cosine(formula: Formula, size: int) -> Iterator[Step]:
    del size
    r, theta, phi = sympy.Symbol("r", positive=True), sympy.Symbol("θ", positive=True), sympy.Symbol("φ", real=True)
    radial = sympy.integrate(r**3 * sympy.exp(-(r**2) / 2), (r, 0, sympy.oo))
    lower, upper = formula["wedge"](theta)
    for edge, vector in ((upper, sympy.Integer(0)), (lower, theta)):
        yield identity("the wedge where both units are on ends where one switches", sympy.cos(edge - vector), 0)
    angular = sympy.integrate(sympy.expand_trig(sympy.cos(phi) * sympy.cos(phi - theta)), (phi, lower, upper))
    yield identity(
        "E[u·g]₊[v·g]₊ in polar coordinates, |u| = |v| = 1: radial × angular / 2π",
        radial * angular / (2 * sympy.pi), formula["kernel"](theta), where={theta: [1, 2, sympy.Rational(1, 2)]},
    )  # fmt: skip


def _binary_kernel(u: Any, v: Any, smaller: Any) -> Any:
    """½(E_B[u + B]₊[v + B]₊ + E_B[B − u]₊[B − v]₊), B ~ U(−a, a), |u|, |v| ≤ a; `smaller` = min(u, v)."""
    b = sympy.Symbol("b", real=True)
    larger = u + v - smaller
    right = sympy.integrate(sympy.expand((u + b) * (v + b)), (b, -smaller, a))
    left = sympy.integrate(sympy.expand((b - u) * (b - v)), (b, larger, a))
    return sympy.expand((right + left) / (4 * a))


def _solved(matrix: Any, right: list[Any]) -> list[Any]:
    """Exact solution over the field of rational functions of a."""
    a_, b_ = DomainMatrix.from_Matrix(matrix), DomainMatrix.from_Matrix(sympy.Matrix(right))
    left, values = a_.unify(b_)
    return list(left.to_field().lu_solve(values.to_field()).to_Matrix())


def _kernel_road(formula: Formula, size: int) -> Iterator[Step]:
    """Knots −1, 0, 1 inside [−a, a], any y, at a point t ∈ (0, 1), against the natural cubic spline."""
    del size
    knots = [sympy.Integer(v) for v in (-1, 0, 1)]
    gram = sympy.Matrix(3, 3, lambda i, j: _binary_kernel(knots[i], knots[j], min(knots[i], knots[j])))
    line = sympy.Matrix([[v, 1] for v in knots])
    if formula["line"] == "free":
        system = sympy.BlockMatrix([[gram, line], [line.T, sympy.zeros(2, 2)]]).as_explicit()
        solution = _solved(system, [*y, 0, 0])
    else:
        solution = [*_solved(gram, list(y)), sympy.Integer(0), sympy.Integer(0)]
    position = sympy.Symbol("t", positive=True)
    where = {a: [2, 3], position: [sympy.Rational(1, 3), sympy.Rational(1, 2)]}
    at = [_binary_kernel(position, knot, knot if knot <= 0 else position) for knot in knots]
    value = sum(c * k for c, k in zip(solution[:3], at, strict=True)) + solution[3] * position + solution[4]
    bend = formula["curvature"](y[2] - 2 * y[1] + y[0])
    spline = y[1] + position * (y[2] - y[1]) - bend * position * (1 - position) * (2 - position) / 6
    yield identity("the least-norm function of the kernel is the spline at t ∈ (0, 1)", value, spline, where=where)
    coefficients = sympy.Matrix(solution[:3])
    yield identity("and its squared norm is ∫ g″²/ζ, ζ = 1/(2a)", (coefficients.T * gram * coefficients)[0],
                   2 * a * bend**2 * sympy.Rational(2, 3), where=where)  # fmt: skip


def _claims() -> Iterator[Claim]:
    yield Claim(
        name="euler-lagrange", statement="g″/ζ = ℓ: linear between knots, continuous, 0 at the ends; ∫g″B_i = jump",
        assumptions=("interpolation at the knots",), reference=f"{JIN}, problem of Theorem 1",
        scope="three knots, all spacings; η, g polynomials of degree ≤ 5", argument=_euler_lagrange,
        formula={"multiplier": _hat_pieces(), "jump": _jump},
        mutants=(
            Mutant("ℓ ≠ 0 at an end", {"multiplier": (2 + t / h0, 2 - t / h1)}),
            Mutant("ℓ not continuous", {"multiplier": (1 + t / h0, -1 + t / h1)}),
            Mutant("sign of the jump", {"jump": lambda u, v, w: -_jump(u, v, w)}),
        ),
    )  # fmt: skip
    matrix = {"diagonal": lambda h, k: (h + k) / 3, "off_diagonal": lambda h: h / 6}
    yield Claim(
        name="tridiagonal", statement="ζ = 1: A_ii = (h_{i−1} + h_i)/3, A_{i,i+1} = h_i/6", assumptions=(),
        reference="Reinsch (1967); the system of the weighted spline at ζ = 1", scope="all spacings",
        formula=matrix, argument=_tridiagonal,
        mutants=(
            Mutant("2/3", {"diagonal": lambda h, k: 2 * (h + k) / 3}),
            Mutant("h/3", {"off_diagonal": lambda h: h / 3}),
            Mutant("index: h_i twice", {"diagonal": lambda h, k: 2 * k / 3}),
        ),
    )  # fmt: skip
    yield Claim(
        name="natural-cubic-spline",
        statement="ζ = 1: the minimizer is the natural cubic spline, ℓ_1 = 3·jump/(h_0 + h_1)",
        assumptions=("three knots",), reference=f"{JIN}, uniform initialization", scope="all spacings, data",
        formula={
            "curvature": lambda j, h, k: 3 * j / (h + k), "energy": lambda j, h, k: 3 * j**2 / (h + k),
        },
        argument=_natural,
        mutants=(
            Mutant("ℓ = 6·jump/(h_0 + h_1)", {"curvature": lambda j, h, k: 6 * j / (h + k)}),
            Mutant("sign", {"curvature": lambda j, h, k: -3 * j / (h + k)}),
            Mutant("energy halved", {"energy": lambda j, h, k: 3 * j**2 / (2 * (h + k))}),
        ),
    )  # fmt: skip
    R = sympy.Rational
    yield Claim(
        name="spline-of-five-points",
        statement="x = −2…2, y = (1.5, .5, 1.5, .5, 1.5), ζ = 1: energy 192/7, g(0.5) = 59/56, g(1.5) = 41/56",
        assumptions=(), reference=f"{JIN}, the data of the figures", scope="this data", expected=Kind.CERTIFIED,
        formula={"diagonal": R(2, 3), "off_diagonal": R(1, 6), "energy": R(192, 7), "at_half": R(59, 56),
                 "at_three_halves": R(41, 56)},
        argument=_paper_case,
        mutants=(Mutant("192/5", {"energy": R(192, 5)}), Mutant("off-diagonal 1/3", {"off_diagonal": R(1, 3)})),
    )  # fmt: skip
    yield from _kernel_claims()


def _kernel_claims() -> Iterator[Claim]:
    yield Claim(
        name="arc-cosine-kernel", statement="E[u·g]₊[v·g]₊ = |u||v| (sin θ + (π − θ) cos θ)/(2π)",
        assumptions=("g standard Gaussian, any dimension: only the plane of u, v matters",),
        reference="Cho and Saul (2009), degree 1", scope="0 < θ < π; u = (σ_w x, σ_b), v = (σ_w x′, σ_b) here",
        formula={
            "kernel": lambda th: (sympy.sin(th) + (sympy.pi - th) * sympy.cos(th)) / (2 * sympy.pi),
            "wedge": lambda th: (th - sympy.pi / 2, sympy.pi / 2),
        },
        argument=_arc_cosine,
        mutants=(
            Mutant("1/π", {"kernel": lambda th: (sympy.sin(th) + (sympy.pi - th) * sympy.cos(th)) / sympy.pi}),
            Mutant("θ for π − θ", {"kernel": lambda th: (sympy.sin(th) + th * sympy.cos(th)) / (2 * sympy.pi)}),
            Mutant("half circle", {"wedge": lambda th: (-sympy.pi / 2, sympy.pi / 2)}),
        ),
    )  # fmt: skip
    road: dict[str, Any] = {
        "argument": _kernel_road, "assumptions": ("W = ±1, B ~ U(−a, a), a ≥ 1",), "scope": "x = (−1, 0, 1), all y, a",
    }  # fmt: skip
    right = {"line": "free", "curvature": lambda second: 3 * second / 2}
    yield Claim(
        name="kernel-21", statement="problem (21), least kernel norm with a free line, is the spline min ∫g″²/ζ",
        reference=f"{JIN}, problem (21)", formula=right,
        mutants=(
            Mutant("no free line", {"line": "penalized"}),
            Mutant("curvature without 3/2", {"curvature": lambda second: second}),
        ), **road,
    )  # fmt: skip
    yield Claim(
        name="kernel-18-is-the-spline",
        statement="problem (18), least kernel norm on raw data, is the spline min ∫g″²/ζ",
        reference=f"{JIN}, problem (18), if the data are not corrected by (u, v)", expected=Kind.REFUTED,
        formula={**right, "line": "penalized"}, correction={"line": "free"}, corrected_by="kernel-21",
        mutants=(
            Mutant("curvature without 3/2", {"curvature": lambda second: second}),
            Mutant("sign", {"curvature": lambda second: -3 * second / 2}),
        ), **road,
    )  # fmt: skip


CLAIMS = tuple(_claims())
