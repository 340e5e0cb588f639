"""Where the polynomial convolution lemma ends: ordinary convolution, two dimensions, several input channels.

Each claim here says that *no* single kernel c does what two kernels a, b do together, for one stated pair. The
argument is an algebraic obstruction that every single kernel satisfies identically (checked with c indeterminate),
and that the pair violates (checked in exact or ball arithmetic). If the pair does not violate it, the machine looks for
an exact c, and one that it finds refutes the claim.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from flint import acb, arb
from sympy import Abs, Integer, Poly, Symbol, conjugate, simplify, solve, sqrt, sympify

from proofs.balls import bits, fourier
from proofs.claim import Claim, Formula, Kind, Step, claim, for_all_sizes
from proofs.steps import Truth, check, instance
from proofs.symbols import complex_, real


def _square_root_tails(
    a: Sequence[int], b: Sequence[int], dim: int, formula: Formula
) -> Iterator[tuple[str, list[arb]]]:
    """Every real c ∈ ℝ^D with ĉ² = combination(â, b̂): one per choice of signs; yields its entries beyond K."""
    A, B = fourier(a, dim), fourier(b, dim)
    roots = [_complex_root(formula["combination"](u, v)) for u, v in zip(A, B, strict=True)]
    free = range(1, dim // 2 + 1)
    for signs in itertools.product((1, -1), repeat=len(free)):
        spectrum = [roots[0], *[acb(0)] * (dim - 1)]  # c and −c are the same answer, so ĉ[0]'s sign is free
        for d, sign in zip(free, signs, strict=True):
            spectrum[d] = sign * roots[d]
            spectrum[-d % dim] = spectrum[d] if 2 * d == dim else acb(spectrum[d].real, -spectrum[d].imag)
        entries = [(value / dim).real for value in fourier(spectrum, dim, sign=1)]
        yield "".join("+" if s > 0 else "−" for s in (1, *signs)), entries[len(a) :]


def _complex_root(value: acb) -> acb:
    """A square root; real nonnegative values (d = 0, D/2) come with an imaginary ball around 0, which is dropped."""
    return acb(value.real).sqrt() if value.imag.contains(0) and value.real > 0 else value.sqrt()


def _ordinary(formula: Formula, size: int) -> Iterator[Step]:
    a0, a1, b0, b1 = real("a_0 a_1 b_0 b_1")
    yield check(
        "K = 2 < D − 1, no wrapping: c_0² = a_0² + b_0², c_0c_1 = a_0a_1 + b_0b_1, c_1² = a_1² + b_1² need "
        "c_0²·c_1² − (c_0c_1)² = 0, but it is (a_0b_1 − a_1b_0)² (Lagrange)"
    ).equal((a0**2 + b0**2) * (a1**2 + b1**2) - (a0 * a1 + b0 * b1) ** 2, (a0 * b1 - a1 * b0) ** 2, kind=Kind.CERTIFIED)
    for K, D in formula["sizes"]:
        if size < D:
            continue
        a, b = formula["kernels"](K)
        yield _no_single_kernel(a, b, K, D, formula)


def _no_single_kernel(a: Sequence[Any], b: Sequence[Any], K: int, D: int, formula: Formula) -> Step:
    """Every real square root of the spectrum has a certified nonzero entry beyond K."""
    line = check(f"K = {K}, D = {D}, a = {a}, b = {b}: no c of length K")
    smallest = arb("inf")
    with bits(200):
        for signs, tail in _square_root_tails(a, b, D, formula):
            largest = max((abs(entry).lower() for entry in tail), key=float, default=arb(0))
            if not largest > 0:
                certain = all(entry.contains(0) and float(entry.rad()) < 1e-40 for entry in tail)
                how, shown = "signs of ĉ give a c whose entries beyond K vanish to 1e-40", {"signs of ĉ": signs}
                return line.decided(Truth.of(False, certain), how, counterexample=shown, residual="0 beyond K")
            smallest = min(smallest, largest, key=float)
    return line.decided(True, f"each choice of signs of ĉ leaves an entry ≥ {float(smallest):.2e} beyond K")


@for_all_sizes
def _ordinary_all(formula: Formula, size: int) -> Iterator[Step]:
    """K = 1 and K = D, where ordinary convolution does have a c."""
    A, B = complex_("â b̂")
    a0, b0 = real("a_0 b_0")
    total = formula["combination"](A, B)
    yield check("K = D: ĉ[d] = √(â[d]² + b̂[d]²) has ĉ[d]² = â[d]² + b̂[d]²").equal(sqrt(total) ** 2, A**2 + B**2)
    yield check(
        "c is real: the value at −d is the conjugate one, so the conjugate root may be chosen there (d ≠ 0, D/2)"
    ).equal(formula["combination"](conjugate(A), conjugate(B)), conjugate(A**2 + B**2))
    yield check(
        "at d = 0, D/2 the values are real, â² + b̂² ≥ 0; K = 1 is the same with one entry: c = √(a_0² + b_0²)"
    ).equal(sqrt(formula["combination"](a0, b0)) ** 2, Abs(a0) ** 2 + Abs(b0) ** 2)


def autocorrelation_2d(c: Sequence[Sequence[Any]]) -> dict[tuple[int, int], Any]:
    """r[s, t] = Σ c[i, j] c[i+s, j+t] over one half of the lags; the other half is its mirror image."""
    rows, columns = len(c), len(c[0])
    lags = [(s, t) for s in range(rows) for t in range(-columns + 1, columns) if s > 0 or t >= 0]
    return {
        (s, t): sum(c[i][j] * c[i + s][j + t] for i in range(rows - s) for j in range(columns) if 0 <= j + t < columns)
        for s, t in lags
    }


def _two_dimensions(formula: Formula, size: int) -> Iterator[Step]:
    entries = real("c0:4")
    c = (entries[:2], entries[2:])
    r = autocorrelation_2d(c)
    diagonal, anti = c[0][0] ** 2 + c[1][1] ** 2, c[0][1] ** 2 + c[1][0] ** 2
    yield check("every 2×2 kernel c satisfies r[1,0] r[0,1] = r[1,−1](c_00² + c_11²) + r[1,1](c_01² + c_10²)").equal(
        r[1, 0] * r[0, 1], formula["obstruction"](r, diagonal, anti)
    )
    total: dict[tuple[int, int], Any] = {}
    for summand in formula["kernels"]:
        for lag, value in autocorrelation_2d(summand).items():
            total[lag] = total.get(lag, 0) + value
    for H, W in ((3, 3), (3, 5), (8, 8)):
        folded = {(s % H, t % W) for s in (-1, 0, 1) for t in (-1, 0, 1)}
        yield instance(f"circular on {H}×{W}: the nine lags stay apart, so it is the linear one").decided(
            len(folded) == 9, f"{len(folded)} lags mod ({H}, {W})", kind=Kind.PROVED
        )
    yield _violated(total, c, formula)


def _violated(r: dict[tuple[int, int], Any], c: Any, formula: Formula) -> Step:
    """The obstruction is affine in s = c_00² + c_11² ∈ [0, r[0,0]]; it excludes c if it has one strict sign there."""
    line = check("the pair a, b has autocorrelation " + ", ".join(f"r[{s},{t}] = {v}" for (s, t), v in r.items()))
    ends = [r[1, 0] * r[0, 1] - formula["obstruction"](r, s, r[0, 0] - s) for s in (Integer(0), r[0, 0])]
    if ends[0] * ends[1] > 0:
        return line.decided(True, f"the identity is off by {ends[0]} to {ends[1]}: no c", kind=Kind.PROVED)
    found = _exact_single_kernel(r, c)
    if found is None:
        return line.decided(Truth.OPEN, "obstruction not violated", residual="0")
    return line.decided(False, "an exact c exists", counterexample=found, residual="0")


def _exact_single_kernel(r: dict[tuple[int, int], Any], c: Any) -> dict[str, Any] | None:
    """A real solution of c ⋆ c = r with one corner zero (the rank-one and separable cases), or None."""
    unknowns = [entry for row in c for entry in row]
    equations = [value - r[lag] for lag, value in autocorrelation_2d(c).items()]
    for zeros in (unknowns[2:], unknowns[1:2] + unknowns[3:], unknowns[3:], unknowns[:1], []):
        free = [u for u in unknowns if u not in zeros]
        for solution in solve([e.subs(dict.fromkeys(zeros, 0)) for e in equations], free, dict=True):
            full = {u: sympify(solution.get(u, 0)) for u in unknowns}
            if all(simplify(e.subs(full)) == 0 for e in equations) and all(v.is_real for v in full.values()):
                return {str(u): value for u, value in full.items()}
    return None


def _two_channels(formula: Formula, size: int) -> Iterator[Step]:
    p, q = complex_("ĉ_1 ĉ_2")
    yield check("one c: the 2×2 cross-spectrum [ĉ_i conj ĉ_j] has determinant 0 at every frequency").equal(
        formula["determinant"](p * conjugate(p), p * conjugate(q), q * conjugate(p), q * conjugate(q)), 0
    )
    a1, a2, b1, b2 = complex_("â_1 â_2 b̂_1 b̂_2")
    outer = [[u * conjugate(v) + w * conjugate(z) for v, z in ((a1, b1), (a2, b2))] for u, w in ((a1, b1), (a2, b2))]
    yield check("two kernels: the determinant of the sum is |â_1 b̂_2 − â_2 b̂_1|² (Cauchy–Binet)").equal(
        formula["determinant"](*outer[0], *outer[1]), (a1 * b2 - a2 * b1) * conjugate(a1 * b2 - a2 * b1)
    )
    a, b = formula["kernels"]
    x = Symbol("x")
    A, B = ([Poly(list(reversed(channel)), x) for channel in pair] for pair in (a, b))
    minor = A[0] * B[1] - A[1] * B[0]
    yield check(
        f"a = {a}, b = {b}: â_1b̂_2 − â_2b̂_1 is the polynomial {minor.as_expr()}, of degree < D, not zero: no c"
    ).decided(
        not minor.is_zero,
        "a nonzero polynomial of degree 2K − 2 < D is nonzero at some frequency",
        kind=Kind.PROVED,
        counterexample={"c": "h·u, where a = f·u, b = g·u with polynomials f, g, and h is a factor of |f|² + |g|²"},
        residual=minor.as_expr(),
    )


def _false_lemma(formula: Formula, size: int) -> Iterator[Step]:
    squares = [formula["square"](p) for p in (real("a0:2"), real("b0:2"))]
    low, middle, high = (u + v for u, v in zip(*squares, strict=True))
    yield check("K = 2: with c_0c_1 and c_0², c_1² read off, (c_0²)(c_1²) = (c_0c_1)² must hold").equal(
        formula["products"](low, middle, high), 0
    )


def _pair(K: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The generic pair a, b of the statement, cut to length K."""
    return (1, 2, 5, -3, 1, 2)[:K], (3, -1, 4, 1, -5, 9)[:K]


SQUARES = {"combination": lambda A, B: A * A + B * B}
SIZES = {"sizes": tuple((K, D) for D in range(3, 8) for K in range(2, D))}
_A, _B, _A_DOWN = (
    tuple(tuple(map(Integer, row)) for row in c) for c in (((1, 1), (0, 0)), ((1, 0), (1, 0)), ((0, 0), (1, 1)))
)
CHANNELS = {"kernels": (((1, 2), (0, 1)), ((1, 0), (3, 1)))}

CLAIMS: tuple[Claim, ...] = (
    claim("ordinary-convolution", _ordinary, SQUARES, SIZES, kernels=_pair)
    .refutes("K = D", sizes=((3, 3),))
    .refutes("K = 1", sizes=((1, 4),))
    .refutes("b = 0", kernels=lambda K: (_pair(K)[0], (0,) * K)),
    claim("ordinary-convolution-ends", _ordinary_all, SQUARES)
    .refutes("difference", combination=lambda A, B: A * A - B * B)
    .refutes("a product", combination=lambda A, B: A * B),
    claim(
        "ordinary-convolution-lemma",
        _false_lemma,
        products=lambda low, mid, high: low * high - mid**2,
        square=lambda p: (p[0] ** 2, p[0] * p[1], p[1] ** 2),
    )
    .refutes("sign", products=lambda low, middle, high: low * high + middle**2)
    .refutes("factor 4", products=lambda low, middle, high: 4 * low * high - middle**2),
    claim("two-dimensions", _two_dimensions, kernels=(_A, _B), obstruction=lambda r, s, t: r[1, -1] * s + r[1, 1] * t)
    .refutes("a sign in the obstruction", obstruction=lambda r, s, t: r[1, -1] * s - r[1, 1] * t)
    .refutes("the lags exchanged", obstruction=lambda r, s, t: r[1, 1] * s + r[1, -1] * t)
    .refutes("b a shift of a", kernels=(_A, _A_DOWN)),
    claim("two-channels", _two_channels, CHANNELS, determinant=lambda p, q, r, s: p * s - q * r)
    .refutes("sign in the determinant", determinant=lambda p, q, r, s: p * s + q * r)
    .refutes("b a multiple of a", kernels=(((1, 2), (0, 1)), ((2, 4), (0, 2)))),
)
