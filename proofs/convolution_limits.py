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

import sympy
from flint import acb, arb, ctx

from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.convolution_lemma import JAGADEESAN, kernel
from proofs.steps import decided, identity

Spectrum = list[acb]


def _dft(signal: Sequence[Any], dim: int) -> Spectrum:
    """Σ_p x[p] e^{-2πi pd/D} as complex balls."""
    unit = [(acb(-2 * p) / dim).exp_pi_i() for p in range(dim)]
    return [sum((acb(sympy_to_arb(v)) * unit[p * d % dim] for p, v in enumerate(signal)), acb(0)) for d in range(dim)]


def sympy_to_arb(value: Any) -> arb:
    """A rational number as a ball."""
    exact = sympy.Rational(value)
    return arb(int(exact.p)) / int(exact.q)


def _square_root_tails(
    a: Sequence[Any], b: Sequence[Any], dim: int, formula: Formula
) -> Iterator[tuple[str, list[arb]]]:
    """Every real c ∈ ℝ^D with ĉ² = combination(â, b̂): one per choice of signs; yields its entries beyond K."""
    A, B = _dft(a, dim), _dft(b, dim)
    roots = [_complex_root(formula["combination"](u, v)) for u, v in zip(A, B, strict=True)]
    half = dim // 2
    free = range(1, half + 1)
    for signs in itertools.product((1, -1), repeat=len(free)):
        spectrum = [roots[0], *[acb(0)] * (dim - 1)]  # c and −c are the same answer, so ĉ[0]'s sign is free
        for d, sign in zip(free, signs, strict=True):
            spectrum[d] = sign * roots[d]
            spectrum[-d % dim] = spectrum[d] if 2 * d == dim else acb(spectrum[d].real, -spectrum[d].imag)
        unit = [(acb(2 * p) / dim).exp_pi_i() for p in range(dim)]
        entries = [(sum((spectrum[d] * unit[p * d % dim] for d in range(dim)), acb(0)) / dim).real for p in range(dim)]
        yield "".join("+" if s > 0 else "−" for s in (1, *signs)), entries[len(a) :]


def _complex_root(value: acb) -> acb:
    """A square root; real nonnegative values (d = 0, D/2) arrive with an imaginary ball around 0, which is dropped."""
    return acb(value.real).sqrt() if value.imag.contains(0) and value.real > 0 else value.sqrt()


def _ordinary(formula: Formula, size: int) -> Iterator[Step]:
    a0, a1, b0, b1 = sympy.symbols("a_0 a_1 b_0 b_1", real=True)
    yield identity(
        "K = 2 < D − 1, no wrapping: c_0² = a_0² + b_0², c_0c_1 = a_0a_1 + b_0b_1, c_1² = a_1² + b_1² need "
        "c_0²·c_1² − (c_0c_1)² = 0, but it is (a_0b_1 − a_1b_0)² (Lagrange)",
        (a0**2 + b0**2) * (a1**2 + b1**2) - (a0 * a1 + b0 * b1) ** 2, (a0 * b1 - a1 * b0) ** 2, kind=Kind.CERTIFIED,
    )  # fmt: skip
    for K, D in formula["sizes"]:
        if size < D:
            continue
        a, b = formula["kernels"](K)
        yield _no_single_kernel(a, b, K, D, formula)


def _no_single_kernel(a: Sequence[Any], b: Sequence[Any], K: int, D: int, formula: Formula) -> Step:
    """Every real square root of the spectrum has a certified nonzero entry beyond K."""
    precision, ctx.prec = ctx.prec, 200
    try:
        smallest: arb | None = None
        text = f"K = {K}, D = {D}, a = {tuple(map(str, a))}, b = {tuple(map(str, b))}: no c of length K"
        for signs, tail in _square_root_tails(a, b, D, formula):
            largest = max((abs(entry).lower() for entry in tail), key=float, default=arb(0))
            if not largest > 0:
                certain = all(entry.contains(0) and float(entry.rad()) < 1e-40 for entry in tail)
                return decided(
                    text, False if certain else None, "signs of ĉ give a c whose entries beyond K vanish to 1e-40",
                    counterexample={"signs of ĉ": signs}, residual="0 beyond K",
                )  # fmt: skip
            smallest = largest if smallest is None or largest < smallest else smallest
    finally:
        ctx.prec = precision
    return decided(text, True, f"each choice of signs of ĉ leaves an entry ≥ {float(smallest or 0):.2e} beyond K")


def _ordinary_all(formula: Formula, size: int) -> Iterator[Step]:
    """K = 1 and K = D, where ordinary convolution does have a c."""
    del size
    A, B = sympy.symbols("â b̂", complex=True)
    a0, b0 = sympy.symbols("a_0 b_0", real=True)
    total = formula["combination"](A, B)
    yield identity("K = D: ĉ[d] = √(â[d]² + b̂[d]²) has ĉ[d]² = â[d]² + b̂[d]²", sympy.sqrt(total) ** 2, A**2 + B**2,
                   kind=Kind.PROVED_FOR_ALL_SIZES)  # fmt: skip
    yield identity(
        "c is real: the value at −d is the conjugate one, so the conjugate root may be chosen there (d ≠ 0, D/2)",
        formula["combination"](sympy.conjugate(A), sympy.conjugate(B)), sympy.conjugate(A**2 + B**2),
        kind=Kind.PROVED_FOR_ALL_SIZES,
    )  # fmt: skip
    yield identity(
        "at d = 0, D/2 the values are real, â² + b̂² ≥ 0; K = 1 is the same with one entry: c = √(a_0² + b_0²)",
        sympy.sqrt(formula["combination"](a0, b0)) ** 2, sympy.Abs(a0) ** 2 + sympy.Abs(b0) ** 2,
        kind=Kind.PROVED_FOR_ALL_SIZES,
    )  # fmt: skip


def autocorrelation_2d(c: Sequence[Sequence[Any]]) -> dict[tuple[int, int], Any]:
    """r[s, t] = Σ c[i, j] c[i+s, j+t] over one half of the lags; the other half is its mirror image."""
    rows, columns = len(c), len(c[0])
    lags = [(s, t) for s in range(rows) for t in range(-columns + 1, columns) if s > 0 or t >= 0]
    return {
        (s, t): sum(c[i][j] * c[i + s][j + t] for i in range(rows - s) for j in range(columns) if 0 <= j + t < columns)
        for s, t in lags
    }


def _two_dimensions(formula: Formula, size: int) -> Iterator[Step]:
    del size
    entries = kernel("c", 4)
    c = (entries[:2], entries[2:])
    r = autocorrelation_2d(c)
    diagonal, anti = c[0][0] ** 2 + c[1][1] ** 2, c[0][1] ** 2 + c[1][0] ** 2
    yield identity(
        "every 2×2 kernel c satisfies r[1,0] r[0,1] = r[1,−1](c_00² + c_11²) + r[1,1](c_01² + c_10²)",
        r[1, 0] * r[0, 1], formula["obstruction"](r, diagonal, anti),
    )  # fmt: skip
    total: dict[tuple[int, int], Any] = {}
    for summand in formula["kernels"]:
        for lag, value in autocorrelation_2d(summand).items():
            total[lag] = total.get(lag, 0) + value
    for H, W in ((3, 3), (3, 5), (8, 8)):
        folded = {(s % H, t % W) for s in (-1, 0, 1) for t in (-1, 0, 1)}
        yield decided(f"circular on {H}×{W}: the nine lags stay apart, so it is the linear one", len(folded) == 9,
                      f"{len(folded)} lags mod ({H}, {W})", kind=Kind.PROVED, instance=True)  # fmt: skip
    yield _violated(total, c, formula)


def _violated(r: dict[tuple[int, int], Any], c: Any, formula: Formula) -> Step:
    """The obstruction is affine in s = c_00² + c_11² ∈ [0, r[0,0]]; it excludes c if it has one strict sign there."""
    text = "the pair a, b has autocorrelation " + ", ".join(f"r[{s},{t}] = {v}" for (s, t), v in r.items())
    ends = [r[1, 0] * r[0, 1] - formula["obstruction"](r, s, r[0, 0] - s) for s in (sympy.Integer(0), r[0, 0])]
    if ends[0] * ends[1] > 0:
        return decided(text, True, f"the identity is off by {ends[0]} to {ends[1]}: no c", kind=Kind.PROVED)
    found = _exact_single_kernel(r, c)
    return decided(text, None if found is None else False, "an exact c exists" if found else "obstruction not violated",
                   counterexample=found, residual="0")  # fmt: skip


def _exact_single_kernel(r: dict[tuple[int, int], Any], c: Any) -> dict[str, Any] | None:
    """A real solution of c ⋆ c = r with one corner zero (the rank-one and separable cases), or None."""
    unknowns = [entry for row in c for entry in row]
    equations = [value - r[lag] for lag, value in autocorrelation_2d(c).items()]
    for zeros in (unknowns[2:], unknowns[1:2] + unknowns[3:], unknowns[3:], unknowns[:1], []):
        free = [u for u in unknowns if u not in zeros]
        for solution in sympy.solve([e.subs(dict.fromkeys(zeros, 0)) for e in equations], free, dict=True):
            full = {u: sympy.sympify(solution.get(u, 0)) for u in unknowns}
            if all(sympy.simplify(e.subs(full)) == 0 for e in equations) and all(v.is_real for v in full.values()):
                return {str(u): value for u, value in full.items()}
    return None


def _two_channels(formula: Formula, size: int) -> Iterator[Step]:
    del size
    p, q = sympy.symbols("ĉ_1 ĉ_2", complex=True)
    yield identity(
        "one c: the 2×2 cross-spectrum [ĉ_i conj ĉ_j] has determinant 0 at every frequency",
        formula["determinant"](p * sympy.conjugate(p), p * sympy.conjugate(q), q * sympy.conjugate(p),
                               q * sympy.conjugate(q)), 0,
    )  # fmt: skip
    a1, a2, b1, b2 = sympy.symbols("â_1 â_2 b̂_1 b̂_2", complex=True)
    outer = [[u * sympy.conjugate(v) + w * sympy.conjugate(z) for v, z in ((a1, b1), (a2, b2))]
             for u, w in ((a1, b1), (a2, b2))]  # fmt: skip
    yield identity(
        "two kernels: the determinant of the sum is |â_1 b̂_2 − â_2 b̂_1|² (Cauchy–Binet)",
        formula["determinant"](outer[0][0], outer[0][1], outer[1][0], outer[1][1]),
        (a1 * b2 - a2 * b1) * sympy.conjugate(a1 * b2 - a2 * b1),
    )  # fmt: skip
    a, b = formula["kernels"]
    x = sympy.Symbol("x")
    A, B = ([sympy.Poly(list(reversed(channel)), x) for channel in pair] for pair in (a, b))
    minor = A[0] * B[1] - A[1] * B[0]
    yield decided(
        f"a = {a}, b = {b}: â_1b̂_2 − â_2b̂_1 is the polynomial {minor.as_expr()}, of degree < D, not zero: no c",
        not minor.is_zero, "a nonzero polynomial of degree 2K − 2 < D is nonzero at some frequency", kind=Kind.PROVED,
        counterexample={"c": "h·u, where a = f·u, b = g·u with polynomials f, g, and h is a factor of |f|² + |g|²"},
        residual=minor.as_expr(),
    )  # fmt: skip


def _claims() -> Iterator[Claim]:
    ordinary = {"combination": lambda A, B: A * A + B * B}
    yield Claim(
        name="ordinary-convolution",
        statement="for a = (1, 2, …), b = (3, −1, 4, …), 2 ≤ K < D: no c ∈ ℝ^K has a∗a + b∗b = c∗c (mod D)",
        assumptions=("∗ is ordinary circular convolution", "generic a, b: the pair stated, exact integers"),
        reference=f"{JAGADEESAN}, polynomial convolution lemma read with ordinary convolution",
        scope="(K, D) with 2 ≤ K < D ≤ 7, for the stated pair", expected=Kind.CERTIFIED, max_size=7,
        formula={
            **ordinary, "sizes": tuple((K, D) for D in range(3, 8) for K in range(2, D)),
            "kernels": lambda K: ((1, 2, 5, -3, 1, 2)[:K], (3, -1, 4, 1, -5, 9)[:K]),
        },
        argument=_ordinary,
        mutants=(
            Mutant("K = D", {"sizes": ((3, 3),)}),
            Mutant("K = 1", {"sizes": ((1, 4),)}),
            Mutant("b = 0", {"kernels": lambda K: ((1, 2, 5, -3, 1, 2)[:K], (0,) * K)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="ordinary-convolution-ends", statement="K = 1 and K = D: for all a, b there is c with a∗a + b∗b = c∗c",
        assumptions=("∗ is ordinary circular convolution",), reference="the limiting cases of the lemma",
        scope="K = 1 and K = D, all D, all a, b", expected=Kind.PROVED_FOR_ALL_SIZES, formula=ordinary,
        argument=_ordinary_all,
        mutants=(
            Mutant("difference", {"combination": lambda A, B: A * A - B * B}),
            Mutant("a product", {"combination": lambda A, B: A * B}),
        ),
    )  # fmt: skip
    yield _false_lemma()
    yield from _beyond_one_dimension()


def _false_lemma() -> Claim:
    def argument(formula: Formula, size: int) -> Iterator[Step]:
        del size
        a, b = kernel("a", 2), kernel("b", 2)
        squares = [formula["square"](p) for p in (a, b)]
        low, middle, high = (u + v for u, v in zip(*squares, strict=True))
        yield identity(
            "K = 2: with c_0c_1 and c_0², c_1² read off, (c_0²)(c_1²) = (c_0c_1)² must hold",
            formula["products"](low, middle, high), 0,
        )  # fmt: skip

    ordinary = lambda p: (p[0] ** 2, p[0] * p[1], p[1] ** 2)  # noqa: E731
    return Claim(
        name="ordinary-convolution-lemma", statement="for all a, b ∈ ℝ² there is c ∈ ℝ²: a∗a + b∗b = c∗c (D ≥ 4)",
        assumptions=("∗ is ordinary convolution, not autocorrelation",),
        reference=f"{JAGADEESAN}, the lemma if ⋆ is read as convolution", scope="K = 2, all a, b",
        formula={"square": ordinary, "products": lambda low, middle, high: low * high - middle**2},
        argument=argument, expected=Kind.REFUTED, corrected_by="convolution-lemma",
        mutants=(
            Mutant("sign", {"products": lambda low, middle, high: low * high + middle**2}),
            Mutant("factor 4", {"products": lambda low, middle, high: 4 * low * high - middle**2}),
        ),
    )  # fmt: skip


def _beyond_one_dimension() -> Iterator[Claim]:
    one, zero = sympy.Integer(1), sympy.Integer(0)
    yield Claim(
        name="two-dimensions", statement="a = (1 1; 0 0), b = (1 0; 1 0): no 2×2 kernel c has a⋆a + b⋆b = c⋆c",
        assumptions=("⋆ is 2-D autocorrelation, linear, or circular on H×W with H, W ≥ 3",),
        reference=f"the limit of {JAGADEESAN}'s lemma in 2-D", scope="this pair, all real c",
        formula={
            "kernels": (((one, one), (zero, zero)), ((one, zero), (one, zero))),
            "obstruction": lambda r, diagonal, anti: r[1, -1] * diagonal + r[1, 1] * anti,
        },
        argument=_two_dimensions,
        mutants=(
            Mutant("a sign in the obstruction", {"obstruction": lambda r, s, t: r[1, -1] * s - r[1, 1] * t}),
            Mutant("the lags exchanged", {"obstruction": lambda r, s, t: r[1, 1] * s + r[1, -1] * t}),
            Mutant("b a shift of a", {"kernels": (((one, one), (zero, zero)), ((zero, zero), (one, one)))}),
        ),
    )  # fmt: skip
    yield Claim(
        name="two-channels",
        statement="a = (1 2 | 0 1), b = (1 0 | 3 1), two channels: no c has the summed cross-correlations",
        assumptions=("two input channels, kernels summed over outputs",),
        reference=f"the limit of {JAGADEESAN}'s lemma for several input channels",
        scope="this pair, all real c, D ≥ 2K − 1",
        formula={
            "determinant": lambda p, q, r, s: p * s - q * r,
            "kernels": (((1, 2), (0, 1)), ((1, 0), (3, 1))),
        },
        argument=_two_channels,
        mutants=(
            Mutant("sign in the determinant", {"determinant": lambda p, q, r, s: p * s + q * r}),
            Mutant("b a multiple of a", {"kernels": (((1, 2), (0, 1)), ((2, 4), (0, 2)))}),
        ),
    )  # fmt: skip


CLAIMS = tuple(_claims())
