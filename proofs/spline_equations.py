"""The weighted spline: Euler–Lagrange system, its matrix for ζ = 1, the natural cubic spline, kernel formulation.

    min ∫ g″²/ζ s.t. g(x_i) = y_i:    g″ = ζℓ, ℓ piecewise linear, continuous, zero at both end knots,
    A ℓ = jumps of the chords' slopes,  A_ij = ∫ ζ B_i B_j.

Three knots with indeterminate spacings already show every entry; the kernel of the wide network, least norm with a
free line (problem (21)), is shown to return the same function.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sympy import (
    BlockMatrix,
    Integer,
    Matrix,
    Rational,
    cos,
    diff,
    exp,
    expand,
    expand_trig,
    integrate,
    oo,
    pi,
    sin,
    zeros,
)
from sympy.polys.matrices import DomainMatrix

from proofs.claim import Claim, Formula, Kind, Step, claim
from proofs.generator_equations import WEDGE
from proofs.steps import check
from proofs.symbols import dot, positive, real, tagged

h0, h1, a = positive("h_0 h_1 a")
t = real("t")
y = real("y0:3")


def _hat_pieces() -> tuple[Any, Any]:
    """The middle hat on the knots −h_0, 0, h_1."""
    return 1 + t / h0, 1 - t / h1


def _integral(left: Any, right: Any) -> Any:
    """∫ over [−h_0, 0] of the left piece and [0, h_1] of the right one."""
    return integrate(expand(left), (t, -h0, 0)) + integrate(expand(right), (t, 0, h1))


def _euler_lagrange(formula: Formula, size: int) -> Iterator[Step]:
    p = real("p0:3")
    eta = (t + h0) * t * (t - h1) * sum(q * t**k for k, q in enumerate(p))
    left, right = formula["multiplier"]
    yield check(
        "stationarity: ∫ (g″/ζ) η″ = 0 for every η that vanishes at the knots (here polynomials of degree ≤ 5)"
    ).equal(_integral(left * diff(eta, t, 2), right * diff(eta, t, 2)), 0)
    spline = dot(real("s0:6"), [t**k for k in range(6)])
    value = [spline.subs(t, v) for v in (-h0, 0, h1)]
    yield check("∫ g″ B_1 is the jump of the chords' slopes").equal(
        _integral(*(hat * diff(spline, t, 2) for hat in _hat_pieces())), formula["jump"](*value)
    )


def _tridiagonal(formula: Formula, size: int) -> Iterator[Step]:
    left, right = _hat_pieces()
    yield check("A_ii = ∫ B_i²").equal(_integral(left**2, right**2), formula["diagonal"](h0, h1))
    shared = integrate(expand((1 - t / h1) * (t / h1)), (t, 0, h1))
    yield check("A_{i,i+1} = ∫ B_i B_{i+1} over the interval they share").equal(shared, formula["off_diagonal"](h1))


def _jump(u: Any, v: Any, w: Any) -> Any:
    return (w - v) / h1 - (v - u) / h0


def _natural(formula: Formula, size: int) -> Iterator[Step]:
    """The cubic whose second derivative is ℓ_1·hat, interpolating: value, slope and curvature meet at the knot."""
    slope = formula["curvature"](_jump(*y), h0, h1)
    pieces = []
    for hat, (u, yu), (v, yv) in zip(_hat_pieces(), ((-h0, y[0]), (0, y[1])), ((0, y[1]), (h1, y[2])), strict=True):
        twice = integrate(integrate(slope * hat, t), t)
        ends = (twice.subs(t, u), twice.subs(t, v))
        pieces.append(twice + yu - ends[0] + (t - u) / (v - u) * (yv - yu - ends[1] + ends[0]))
    left, right = pieces
    yield check("value, slope and curvature are continuous at the knot").equal(
        tagged([diff(left, t, order).subs(t, 0) for order in range(3)]),
        tagged([diff(right, t, order).subs(t, 0) for order in range(3)]),
    )
    bent = [diff(piece, t, 2).subs(t, end) for piece, end in ((left, -h0), (right, h1))]
    yield check("natural and cubic: no curvature at the ends, no fourth derivative").equal(
        tagged([*bent, diff(left, t, 4), diff(right, t, 4)]), 0
    )
    energy = _integral(diff(left, t, 2) ** 2, diff(right, t, 2) ** 2)
    yield check("its energy ∫ g″² is jump²/A").equal(energy, formula["energy"](_jump(*y), h0, h1))


def _paper_case(formula: Formula, size: int) -> Iterator[Step]:
    """x = (−2, …, 2), y = (3/2, 1/2, 3/2, 1/2, 3/2), ζ = 1, in exact arithmetic."""
    data = [Rational(v) for v in ("3/2", "1/2", "3/2", "1/2", "3/2")]
    bands = [formula["diagonal"], formula["off_diagonal"], Integer(0)]
    gram = Matrix(3, 3, lambda i, j: bands[abs(i - j)])
    jumps = Matrix([data[i] - 2 * data[i + 1] + data[i + 2] for i in range(3)])
    inner = gram.solve(jumps)
    level = [Integer(0), *inner, Integer(0)]
    yield check("energy ℓᵀAℓ").equal((inner.T * gram * inner)[0], formula["energy"], kind=Kind.CERTIFIED)
    for start, key in ((2, "at_half"), (3, "at_three_halves")):
        middle = (data[start] + data[start + 1]) / 2 - (level[start] + level[start + 1]) / 16
        yield check(f"g({Rational(2 * start - 3, 2)}): the chord minus (ℓ_i + ℓ_(i+1))h²/16").equal(
            middle, formula[key], kind=Kind.CERTIFIED
        )


def _arc_cosine(formula: Formula, size: int) -> Iterator[Step]:
    r, theta, phi = positive("r"), positive("θ"), real("φ")
    radial = integrate(r**3 * exp(-(r**2) / 2), (r, 0, oo))
    lower, upper = formula["wedge"](theta)
    yield check("the wedge where both units are on ends where one switches").equal(
        tagged([cos(upper), cos(lower - theta)]), 0
    )
    angular = integrate(expand_trig(cos(phi) * cos(phi - theta)), (phi, lower, upper))
    yield check("E[u·g]₊[v·g]₊ in polar coordinates, |u| = |v| = 1: radial × angular / 2π").equal(
        radial * angular / (2 * pi), formula["kernel"](theta), where={theta: [1, 2, Rational(1, 2)]}
    )


def _binary_kernel(u: Any, v: Any, smaller: Any) -> Any:
    """½(E_B[u + B]₊[v + B]₊ + E_B[B − u]₊[B − v]₊), B ~ U(−a, a), |u|, |v| ≤ a; `smaller` = min(u, v)."""
    b = real("b")
    larger = u + v - smaller
    right = integrate(expand((u + b) * (v + b)), (b, -smaller, a))
    left = integrate(expand((b - u) * (b - v)), (b, larger, a))
    return expand((right + left) / (4 * a))


def _solved(matrix: Any, right: list[Any]) -> list[Any]:
    """Exact solution over the field of rational functions of a."""
    left, values = DomainMatrix.from_Matrix(matrix).unify(DomainMatrix.from_Matrix(Matrix(right)))
    return list(left.to_field().lu_solve(values.to_field()).to_Matrix())


def _least_kernel_norm(formula: Formula, size: int) -> Iterator[Step]:
    """Knots −1, 0, 1 inside [−a, a], any y, at a point t ∈ (0, 1), against the natural cubic spline."""
    knots = [Integer(v) for v in (-1, 0, 1)]
    gram = Matrix(3, 3, lambda i, j: _binary_kernel(knots[i], knots[j], min(knots[i], knots[j])))
    line = Matrix([[v, 1] for v in knots])
    if formula["line"] == "free":
        system = BlockMatrix([[gram, line], [line.T, zeros(2, 2)]]).as_explicit()
        solution = _solved(system, [*y, 0, 0])
    else:
        solution = [*_solved(gram, list(y)), Integer(0), Integer(0)]
    position = positive("t")
    where = {a: [2, 3], position: [Rational(1, 3), Rational(1, 2)]}
    at = [_binary_kernel(position, knot, knot if knot <= 0 else position) for knot in knots]
    value = dot(solution, [*at, position, 1])
    bend = formula["curvature"](y[2] - 2 * y[1] + y[0])
    spline = y[1] + position * (y[2] - y[1]) - bend * position * (1 - position) * (2 - position) / 6
    yield check("the least-norm function of the kernel is the spline at t ∈ (0, 1)").equal(value, spline, where=where)
    norm = dot(solution[:3], gram * Matrix(solution[:3]))
    yield check("and its squared norm is ∫ g″²/ζ, ζ = 1/(2a)").equal(
        norm, 2 * a * bend**2 * Rational(2, 3), where=where
    )


_BANDS = {"diagonal": lambda h, k: (h + k) / 3, "off_diagonal": lambda h: h / 6}
_THREE_KNOTS = {"curvature": lambda j, h, k: 3 * j / (h + k), "energy": lambda j, h, k: 3 * j**2 / (h + k)}
R = Rational
_FIVE_POINTS = {"diagonal": R(2, 3), "off_diagonal": R(1, 6), "energy": R(192, 7)}
_KERNEL = {"line": "free", "curvature": lambda second: 3 * second / 2}

CLAIMS: tuple[Claim, ...] = (
    claim("euler-lagrange", _euler_lagrange, multiplier=_hat_pieces(), jump=_jump)
    .refutes("ℓ ≠ 0 at an end", multiplier=(2 + t / h0, 2 - t / h1))
    .refutes("ℓ not continuous", multiplier=(1 + t / h0, -1 + t / h1))
    .refutes("sign of the jump", jump=lambda u, v, w: -_jump(u, v, w)),
    claim("tridiagonal", _tridiagonal, _BANDS)
    .refutes("2/3", diagonal=lambda h, k: 2 * (h + k) / 3)
    .refutes("h/3", off_diagonal=lambda h: h / 3)
    .refutes("index: h_i twice", diagonal=lambda h, k: 2 * k / 3),
    claim("natural-cubic-spline", _natural, _THREE_KNOTS)
    .refutes("ℓ = 6·jump/(h_0 + h_1)", curvature=lambda j, h, k: 6 * j / (h + k))
    .refutes("sign", curvature=lambda j, h, k: -3 * j / (h + k))
    .refutes("energy halved", energy=lambda j, h, k: 3 * j**2 / (2 * (h + k))),
    claim("spline-of-five-points", _paper_case, _FIVE_POINTS, at_half=R(59, 56), at_three_halves=R(41, 56))
    .refutes("192/5", energy=R(192, 5))
    .refutes("off-diagonal 1/3", off_diagonal=R(1, 3)),
    claim("arc-cosine-kernel", _arc_cosine, WEDGE, kernel=lambda th: (sin(th) + (pi - th) * cos(th)) / (2 * pi))
    .refutes("1/π", kernel=lambda th: (sin(th) + (pi - th) * cos(th)) / pi)
    .refutes("θ for π − θ", kernel=lambda th: (sin(th) + th * cos(th)) / (2 * pi))
    .refutes("half circle", wedge=lambda th: (-pi / 2, pi / 2)),
    claim("kernel-21", _least_kernel_norm, _KERNEL)
    .refutes("no free line", line="penalized")
    .refutes("curvature without 3/2", curvature=lambda second: second),
    claim("kernel-18-is-the-spline", _least_kernel_norm, _KERNEL, line="penalized")
    .corrected(line="free")
    .refutes("curvature without 3/2", curvature=lambda second: second)
    .refutes("sign", curvature=lambda second: -3 * second / 2),
)
