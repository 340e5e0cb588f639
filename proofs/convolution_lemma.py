"""The polynomial convolution lemma: for real a, b of length K ≤ D there is a real c of length K with

        a ⋆ a  +  b ⋆ b  =  c ⋆ c        (circular autocorrelation mod D),

proved for all K in steps; `convolution_radicals` has c for K ≤ 3, `convolution_limits` says where the lemma ends.

The chain: autocorrelation r_j = Σ_k a_k a_{k+j} is the coefficient of x^{K−1+j} in x^{K−1} p(x) p(1/x), where
p(x) = Σ a_k x^k; so the lemma asks for a real factor of q(x) = x^{K−1}[p_a(x) p_a(1/x) + p_b(x) p_b(1/x)]. On the
circle q is real and nonnegative, therefore its roots pair off as r, 1/r (and r̄, 1/r̄), each pair is |·|² of a real
factor, and so is the product (Fejér and Riesz). The formula the claim is about, `summand` and `combination`, enters
every step that uses it.

Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), the lemma behind the independence of R_{K,C} of C for R = 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sympy

from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.steps import identity, nonnegative

JAGADEESAN = "Jagadeesan et al. (2021)"
ALL = Kind.PROVED_FOR_ALL_SIZES

x = sympy.Symbol("x")


def kernel(name: str, size: int) -> tuple[Any, ...]:
    """Indeterminate real entries name0, …, name(size−1)."""
    return tuple(sympy.Symbol(f"{name}{k}", real=True) for k in range(size))


def autocorrelation(a: Sequence[Any], summand: Any) -> list[Any]:
    """r_j = Σ_{k=0}^{K−1−j} summand(a, k, j), j = 0, …, K−1; entries outside the kernel are zero."""

    def entry(k: Any) -> Any:
        return a[k] if 0 <= k < len(a) else sympy.Integer(0)

    return [sum((summand(entry, k, j) for k in range(len(a) - j)), sympy.Integer(0)) for j in range(len(a))]


def circular(r: Sequence[Any], dim: int) -> list[Any]:
    """The circular autocorrelation mod D from the linear one: lag j and −j fold onto d ≡ ±j (mod D)."""
    folded = [sympy.Integer(0)] * dim
    for lag, value in enumerate(r):
        folded[lag % dim] += value
        if lag:
            folded[-lag % dim] += value
    return folded


AUTOCORRELATION = {"summand": lambda a, k, j: a(k) * a(k + j)}
SUM = {"combination": lambda A, B: A + B}


def _identity_argument(formula: Formula, size: int) -> Iterator[Step]:
    tag = sympy.symbols(f"t0:{2 * size}", real=True)
    for K in range(1, size + 1):
        a, b = kernel("a", K), kernel("b", K)
        q = sympy.expand(sum(formula["product"](_polynomial(p), K) for p in (a, b)))
        r = [ra + rb for ra, rb in zip(
            autocorrelation(a, formula["summand"]), autocorrelation(b, formula["summand"]), strict=True)]  # fmt: skip
        yield identity(
            f"K = {K}: r_j is the coefficient of x^(K−1+j) and of x^(K−1−j), all lags: identity and palindromy",
            q, sum(r[abs(m - K + 1)] * x**m for m in range(2 * K - 1)),
        )  # fmt: skip
        for D in {K, K + 1, 2 * K - 1}:
            direct = _circular_directly(a, D, formula["summand"])
            folded = circular(autocorrelation(a, formula["summand"]), D)
            yield identity(
                f"K = {K}, D = {D}: circular autocorrelation is the folded linear one",
                sum(t * u for t, u in zip(tag, direct, strict=False)),
                sum(t * u for t, u in zip(tag, folded, strict=False)),
            )  # fmt: skip


def _polynomial(a: Sequence[Any]) -> Any:
    return lambda z: sum(coefficient * z**k for k, coefficient in enumerate(a))


def _circular_directly(a: Sequence[Any], D: int, summand: Any) -> list[Any]:
    """Σ_{k mod D} of the summand of the zero-padded kernel, indices mod D."""
    padded = [*a, *[sympy.Integer(0)] * (D - len(a))]
    return [sum((summand(lambda i: padded[i % D], k, d) for k in range(D)), sympy.Integer(0)) for d in range(D)]


def _all_sizes(formula: Formula, size: int) -> Iterator[Step]:
    yield from _polynomial_steps(formula)
    yield from _symmetry_steps(formula)
    yield from _factor_steps()
    yield from _assembly_steps()
    for K in range(1, size + 1):
        a = kernel("a", K)
        p = _polynomial(a)
        yield identity(
            f"K = {K}: the first step for the sum itself",
            sum(r * x ** (K - 1 + j) + (r * x ** (K - 1 - j) if j else 0)
                for j, r in enumerate(autocorrelation(a, formula["summand"]))),
            x ** (K - 1) * p(x) * p(1 / x), instance=True,
        )  # fmt: skip


def _polynomial_steps(formula: Formula) -> Iterator[Step]:
    K, D, j, k, i = sympy.symbols("K D j k i", positive=True, integer=True)
    a = sympy.Function("a", real=True)
    yield identity(
        "the term of x^{K−1}p(x)p(1/x) with indices k+j and k is the k-th summand of r_j, times x^{K−1+j}",
        x ** (K - 1) * a(k + j) * x ** (k + j) * a(k) * x ** (-k), formula["summand"](a, k, j) * x ** (K - 1 + j),
        kind=ALL, where={x: [2, 3]},
    )  # fmt: skip
    yield identity(
        "the lag of two entries mod D depends on their linear lag j alone, wherever the indices wrap: circular "
        "autocorrelations are equal as soon as the linear ones are",
        sympy.Mod((k + j + D * i) - k, D), sympy.Mod(j, D), kind=ALL,
    )  # fmt: skip


def _symmetry_steps(formula: Formula) -> Iterator[Step]:
    K = sympy.Symbol("K", positive=True, integer=True)
    pa, pb = sympy.Function("p_a", real=True), sympy.Function("p_b", real=True)
    theta, A, B = sympy.symbols("θ A B", real=True)
    combination = formula["combination"]

    def spectrum(z: Any) -> Any:
        return combination(pa(z) * pa(1 / z), pb(z) * pb(1 / z))

    yield identity(
        "a ⋆ a + b ⋆ b is the coefficient sequence of p_a(x)p_a(1/x) + p_b(x)p_b(1/x)",
        spectrum(x), pa(x) * pa(1 / x) + pb(x) * pb(1 / x), kind=ALL,
    )  # fmt: skip
    yield nonnegative(
        "on |x| = 1 a real p has p(1/x) = p(x̄) = conj p(x), so q·x^{1−K} = |p_a|² + |p_b|² ≥ 0",
        combination(A**2, B**2), A**2 + B**2, kind=ALL,
    )  # fmt: skip
    yield identity(
        "q is self-reciprocal: x^{2K−2} q(1/x) = q(x); so with r, also 1/r is a root, of the same multiplicity",
        x ** (2 * K - 2) * (1 / x) ** (K - 1) * spectrum(1 / x), x ** (K - 1) * spectrum(x), kind=ALL,
        where={x: [2, 3]},
    )  # fmt: skip
    yield identity(
        "x^j + x^{−j} is real on the circle: 2 cos jθ, so q·x^{1−K} = r_0 + 2 Σ r_j cos jθ",
        sympy.exp(sympy.I * theta) + sympy.exp(-sympy.I * theta), 2 * sympy.cos(theta), kind=ALL,
    )  # fmt: skip
    m, h = sympy.Symbol("m", odd=True, positive=True), sympy.Symbol("h", positive=True)
    yield identity(
        "even multiplicity on the circle: near a root θ₀ of odd order m, q ~ C h^m changes sign, but q ≥ 0",
        (-h) ** m, -(h**m), kind=ALL,
    )  # fmt: skip


def _factor_steps() -> Iterator[Step]:
    """Each type of roots of q, nonzero by division by x^m beforehand, as x^n f(x) f(1/x) with real f of degree n."""
    rho, r = sympy.Symbol("ρ", positive=True), sympy.Symbol("r", real=True, nonzero=True)
    phi = sympy.Symbol("φ", real=True)
    root = rho * sympy.exp(sympy.I * phi)
    conjugate = rho * sympy.exp(-sympy.I * phi)
    cosine = sympy.cos(phi).rewrite(sympy.exp)
    f = x**2 - 2 * rho * cosine * x + rho**2
    yield identity(
        "the quadruple r, r̄, 1/r, 1/r̄ off the real axis and the circle: f = x² − 2ρ cos φ x + ρ²",
        x**2 * f * f.subs(x, 1 / x),
        rho**2 * (x - root) * (x - conjugate) * (x - 1 / root) * (x - 1 / conjugate), kind=ALL,
    )  # fmt: skip
    yield identity(
        "the pair r, 1/r on the real axis: f = x − r",
        x * (x - r) * (1 / x - r), -r * (x - r) * (x - 1 / r), kind=ALL,
    )  # fmt: skip
    g = x**2 - 2 * cosine * x + 1
    yield identity(
        "double roots e^{±iφ} on the circle: f = x² − 2 cos φ x + 1",
        x**2 * g * g.subs(x, 1 / x), ((x - sympy.exp(sympy.I * phi)) * (x - sympy.exp(-sympy.I * phi))) ** 2, kind=ALL,
    )  # fmt: skip
    for sign in (1, -1):
        yield identity(
            f"a double root at {sign}: f = x {'−' if sign > 0 else '+'} 1",
            x * (x - sign) * (1 / x - sign), -sign * (x - sign) ** 2, kind=ALL,
        )  # fmt: skip


def _assembly_steps() -> Iterator[Step]:
    m, n, K = sympy.symbols("m n K", positive=True, integer=True)
    f, g = sympy.Function("f", real=True), sympy.Function("g", real=True)
    yield identity(
        "products: x^m f(x)f(1/x) · x^n g(x)g(1/x) = x^{m+n} (fg)(x)(fg)(1/x)",
        (x**m * f(x) * f(1 / x)) * (x**n * g(x) * g(1 / x)), x ** (m + n) * (f(x) * g(x)) * (f(1 / x) * g(1 / x)),
        kind=ALL, where={x: [2, 3]},
    )  # fmt: skip
    yield identity(
        "degrees: m leading lags zero leave 2(K−1−m) nonzero roots, half of them in f: deg f = K−1−m ≤ K−1",
        (2 * (K - 1) - 2 * m) / 2, K - 1 - m, kind=ALL,
    )  # fmt: skip
    real, modulus, value = sympy.Symbol("λ", real=True), sympy.Symbol("|f|", positive=True), sympy.Symbol("q")
    yield identity(
        "the constant: where |x| = 1 and f ≠ 0, q·x^{1−K} = λ|f|² gives λ = (q·x^{1−K})/|f|²",
        sympy.solve(real * modulus**2 - value, real, dict=True)[0][real], value / modulus**2, kind=ALL,
    )  # fmt: skip
    above = sympy.Symbol("q", nonnegative=True)
    yield nonnegative("… which is ≥ 0, because q·x^{1−K} ≥ 0", above / modulus**2, above / modulus**2, kind=ALL)
    lam = sympy.Symbol("λ", nonnegative=True)
    yield identity(
        "c = √λ f: c(x)c(1/x) = λ f(x)f(1/x)",
        (sympy.sqrt(lam) * f(x)) * (sympy.sqrt(lam) * f(1 / x)), lam * f(x) * f(1 / x), kind=ALL,
    )  # fmt: skip


def _many(formula: Formula, size: int) -> Iterator[Step]:
    """From n kernels to n + 1: the sum of the first n is c⋆c already, and (c, a_{n+1}) is a pair."""
    S, A, C = sympy.symbols("Σ_{i≤n}|p_i|² |p_{n+1}|² |p_c|²", nonnegative=True)
    yield identity(
        "n + 1 kernels: the spectrum is that of the first n, plus |p_{n+1}|²", formula["next"](S, A), S + A, kind=ALL
    )
    yield identity(
        "by hypothesis Σ_{i≤n}|p_i|² = |p_c|², so it is the spectrum of the pair (c, a_{n+1}): the lemma for two",
        formula["next"](S, A).subs(S, C), C + A, kind=ALL,
    )  # fmt: skip
    yield identity("n = 1: c = a_1", formula["next"](sympy.Integer(0), A), A, kind=ALL)
    yield from _all_sizes({"summand": formula["summand"], "combination": formula["next"]}, size)


def _claims() -> Iterator[Claim]:
    yield Claim(
        name="convolution-lemma", statement="for all real a, b ∈ ℝ^K, K ≤ D, there is c ∈ ℝ^K: a⋆a + b⋆b = c⋆c (mod D)",
        assumptions=("a, b real", "K ≤ D", "⋆ is circular autocorrelation"),
        reference=f"{JAGADEESAN}, polynomial convolution lemma; Fejér–Riesz",
        scope="all K, D ≥ K, a, b; instances K ≤ ⟨size⟩",
        formula={**AUTOCORRELATION, **SUM}, argument=_all_sizes, expected=ALL, size="K", max_size=6,
        mutants=(
            Mutant("difference instead of sum", {"combination": lambda A, B: A - B}),
            Mutant("lag shifted by one", {"summand": lambda a, k, j: a(k) * a(k + j + 1)}),
            Mutant("factor 2 on b ⋆ b only in the claim", {"combination": lambda A, B: A + 2 * B}),
            Mutant("ordinary convolution's index", {"summand": lambda a, k, j: a(k) * a(j - k)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="convolution-lemma-many",
        statement="for all real a_1, …, a_n ∈ ℝ^K there is c ∈ ℝ^K: Σ_i a_i⋆a_i = c⋆c (mod D)",
        assumptions=("a_i real", "K ≤ D", "⋆ is circular autocorrelation"),
        reference=f"{JAGADEESAN}, polynomial convolution lemma, repeated", scope="all n, K, D ≥ K",
        formula={**AUTOCORRELATION, "next": lambda S, A: S + A}, argument=_many, expected=ALL, size="K", max_size=4,
        mutants=(
            Mutant("difference", {"next": lambda S, A: S - A}),
            Mutant("a factor on the next kernel", {"next": lambda S, A: S + 2 * A}),
            Mutant("lag shifted by one", {"summand": lambda a, k, j: a(k) * a(k + j + 1)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="autocorrelation-polynomial", statement="Σ_k a_k a_{k+j} = [x^{K−1±j}] x^{K−1} p(x) p(1/x)",
        assumptions=("a real",), reference=f"{JAGADEESAN}, polynomial convolution lemma, first step",
        scope="K ≤ ⟨size⟩, D ∈ {K, K+1, 2K−1}, all a, b",
        formula={**AUTOCORRELATION, "product": lambda p, K: x ** (K - 1) * p(x) * p(1 / x)},
        argument=_identity_argument, size="K", max_size=8,
        mutants=(
            Mutant("p(x)² in place of p(x)p(1/x)", {"product": lambda p, K: p(x) ** 2}),
            Mutant("x^K", {"product": lambda p, K: x**K * p(x) * p(1 / x)}),
            Mutant("lag off by one", {"summand": lambda a, k, j: a(k) * a(k + j - 1)}),
        ),
    )  # fmt: skip


CLAIMS = tuple(_claims())
