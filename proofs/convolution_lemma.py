"""The polynomial convolution lemma: for real a, b of length K ≤ D there is a real c of length K with

        a ⋆ a  +  b ⋆ b  =  c ⋆ c        (circular autocorrelation mod D),

proved for all K in steps; `proofs.convolution_radicals` has c for K ≤ 3, `proofs.convolution_limits` says where the
lemma ends.

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

from sympy import Function, I, Integer, Mod, Symbol, cos, exp, expand, sqrt

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.steps import check, instance
from proofs.symbols import nonnegative, positive, real, tagged, whole

x = Symbol("x")


def autocorrelation(a: Sequence[Any], formula: Formula) -> list[Any]:
    """r_j = Σ_{k=0}^{K−1−j} summand(a, k, j), j = 0, …, K−1; entries outside the kernel are zero."""

    def entry(k: Any) -> Any:
        return a[k] if 0 <= k < len(a) else Integer(0)

    return [sum((formula["summand"](entry, k, j) for k in range(len(a) - j)), Integer(0)) for j in range(len(a))]


def summed(formula: Formula, kernels: Sequence[Sequence[Any]]) -> list[Any]:
    """The formula's combination of the autocorrelations of two kernels, lag by lag."""
    return [formula["combination"](*lags) for lags in zip(*(autocorrelation(p, formula) for p in kernels), strict=True)]


def circular(r: Sequence[Any], dim: int) -> list[Any]:
    """The circular autocorrelation mod D from the linear one: lag j and −j fold onto d ≡ ±j (mod D)."""
    folded = [Integer(0)] * dim
    for lag, value in enumerate(r):
        folded[lag % dim] += value
        if lag:
            folded[-lag % dim] += value
    return folded


def _symmetric_product(p: Any, K: int) -> Any:
    return x ** (K - 1) * p(x) * p(1 / x)


AUTOCORRELATION = {"summand": lambda a, k, j: a(k) * a(k + j)}
SUM = {"combination": lambda A, B: A + B}


def _palindromic(formula: Formula, size: int) -> Iterator[Step]:
    for K in range(1, size + 1):
        a, b = real(f"a0:{K}"), real(f"b0:{K}")
        q = expand(sum(formula["product"](_polynomial(p), K) for p in (a, b)))
        r = summed({**formula, **SUM}, (a, b))
        yield check(
            f"K = {K}: r_j is the coefficient of x^(K−1+j) and of x^(K−1−j), all lags: identity and palindromy"
        ).equal(q, sum(r[abs(m - K + 1)] * x**m for m in range(2 * K - 1)))
        for D in {K, K + 1, 2 * K - 1}:
            direct, folded = _circular_directly(a, D, formula["summand"]), circular(autocorrelation(a, formula), D)
            line = check(f"K = {K}, D = {D}: circular autocorrelation is the folded linear one")
            yield line.equal(tagged(direct), tagged(folded))


def _polynomial(a: Sequence[Any]) -> Any:
    return lambda z: sum(coefficient * z**k for k, coefficient in enumerate(a))


def _circular_directly(a: Sequence[Any], D: int, summand: Any) -> list[Any]:
    """Σ_{k mod D} of the summand of the zero-padded kernel, indices mod D."""
    padded = [*a, *[Integer(0)] * (D - len(a))]
    return [sum((summand(lambda i: padded[i % D], k, d) for k in range(D)), Integer(0)) for d in range(D)]


@for_all_sizes
def _all_sizes(formula: Formula, size: int) -> Iterator[Step]:
    yield from _polynomial_steps(formula)
    yield from _symmetry_steps(formula)
    yield from _factor_steps()
    yield from _assembly_steps()
    for K in range(1, size + 1):
        a = real(f"a0:{K}")
        p, r = _polynomial(a), autocorrelation(a, formula)
        spectrum = sum(r[abs(m)] * x ** (K - 1 + m) for m in range(1 - K, K))
        yield instance(f"K = {K}: the first step for the sum itself").equal(spectrum, x ** (K - 1) * p(x) * p(1 / x))


def _polynomial_steps(formula: Formula) -> Iterator[Step]:
    K, D, j, k, i = whole("K D j k i")
    a = Function("a", real=True)
    yield check(
        "the term of x^{K−1}p(x)p(1/x) with indices k+j and k is the k-th summand of r_j, times x^{K−1+j}"
    ).equal(
        x ** (K - 1) * a(k + j) * x ** (k + j) * a(k) * x ** (-k),
        formula["summand"](a, k, j) * x ** (K - 1 + j),
        where={x: [2, 3]},
    )
    yield check(
        "the lag of two entries mod D depends on their linear lag j alone, wherever the indices wrap: circular "
        "autocorrelations are equal as soon as the linear ones are"
    ).equal(Mod((k + j + D * i) - k, D), Mod(j, D))


def _symmetry_steps(formula: Formula) -> Iterator[Step]:
    K = whole("K")
    pa, pb = Function("p_a", real=True), Function("p_b", real=True)
    theta, A, B = real("θ A B")
    combination = formula["combination"]

    def spectrum(z: Any) -> Any:
        return combination(pa(z) * pa(1 / z), pb(z) * pb(1 / z))

    yield check("a ⋆ a + b ⋆ b is the coefficient sequence of p_a(x)p_a(1/x) + p_b(x)p_b(1/x)").equal(
        spectrum(x), pa(x) * pa(1 / x) + pb(x) * pb(1 / x)
    )
    yield check("on |x| = 1 a real p has p(1/x) = p(x̄) = conj p(x), so q·x^{1−K} = |p_a|² + |p_b|² ≥ 0").nonnegative(
        combination(A**2, B**2), A**2 + B**2
    )
    yield check(
        "q is self-reciprocal: x^{2K−2} q(1/x) = q(x); so with r, also 1/r is a root, of the same multiplicity"
    ).equal(x ** (2 * K - 2) * (1 / x) ** (K - 1) * spectrum(1 / x), x ** (K - 1) * spectrum(x), where={x: [2, 3]})
    yield check("x^j + x^{−j} is real on the circle: 2 cos jθ, so q·x^{1−K} = r_0 + 2 Σ r_j cos jθ").equal(
        exp(I * theta) + exp(-I * theta), 2 * cos(theta)
    )
    m, (h, left, right) = Symbol("m", odd=True, positive=True), positive("h S(θ₀−h) S(θ₀+h)")
    yield check(
        "even multiplicity on the circle: a root θ₀ of odd order m is q = (θ − θ₀)^m S with S(θ₀) ≠ 0, so near θ₀ its "
        "two values have the product −h^{2m} S(θ₀−h) S(θ₀+h) < 0, but q ≥ 0"
    ).equal((-h) ** m * left * h**m * right, -(h ** (2 * m)) * left * right)


def _factor_steps() -> Iterator[Step]:
    """Each type of roots of q, nonzero by division by x^m beforehand, as x^n f(x) f(1/x) with real f of degree n."""
    rho, r = positive("ρ"), Symbol("r", real=True, nonzero=True)
    phi = real("φ")
    root = rho * exp(I * phi)
    conjugate = rho * exp(-I * phi)
    cosine = cos(phi).rewrite(exp)
    f = x**2 - 2 * rho * cosine * x + rho**2
    yield check("the quadruple r, r̄, 1/r, 1/r̄ off the real axis and the circle: f = x² − 2ρ cos φ x + ρ²").equal(
        x**2 * f * f.subs(x, 1 / x), rho**2 * (x - root) * (x - conjugate) * (x - 1 / root) * (x - 1 / conjugate)
    )
    yield check("the pair r, 1/r on the real axis: f = x − r").equal(
        x * (x - r) * (1 / x - r), -r * (x - r) * (x - 1 / r)
    )
    g = x**2 - 2 * cosine * x + 1
    yield check("double roots e^{±iφ} on the circle: f = x² − 2 cos φ x + 1").equal(
        x**2 * g * g.subs(x, 1 / x), ((x - exp(I * phi)) * (x - exp(-I * phi))) ** 2
    )
    yield check("a double root at ±1: f = x ∓ 1").equal(
        tagged([x * (x - 1) * (1 / x - 1), x * (x + 1) * (1 / x + 1)]), tagged([-((x - 1) ** 2), (x + 1) ** 2])
    )


def _assembly_steps() -> Iterator[Step]:
    m, n, K = whole("m n K")
    f, g = Function("f", real=True), Function("g", real=True)
    yield check("products: x^m f(x)f(1/x) · x^n g(x)g(1/x) = x^{m+n} (fg)(x)(fg)(1/x)").equal(
        (x**m * f(x) * f(1 / x)) * (x**n * g(x) * g(1 / x)),
        x ** (m + n) * (f(x) * g(x)) * (f(1 / x) * g(1 / x)),
        where={x: [2, 3]},
    )
    yield check(
        "degrees: m leading lags zero leave 2(K−1−m) nonzero roots, half of them in f: deg f = K−1−m ≤ K−1"
    ).equal((2 * (K - 1) - 2 * m) / 2, K - 1 - m)
    above, modulus = nonnegative("q"), positive("|f|")
    lam = above / modulus**2
    yield check(
        "the constant: where |x| = 1 and f ≠ 0, q·x^{1−K} = λ|f|², so λ = q·x^{1−K}/|f|² ≥ 0 and c = √λ f is real"
    ).equal((sqrt(lam) * f(x)) * (sqrt(lam) * f(1 / x)), lam * f(x) * f(1 / x))


@for_all_sizes
def many_kernels(formula: Formula, size: int) -> Iterator[Step]:
    """From n kernels to n + 1: the sum of the first n is c⋆c already, and (c, a_{n+1}) is a pair."""
    S, A, C = nonnegative("Σ_{i≤n}|p_i|² |p_{n+1}|² |p_c|²")
    added = formula["next"]
    yield check(
        "n + 1 kernels: the spectrum of the first n, which is |p_c|² by hypothesis, plus |p_{n+1}|²; n = 1: c = a_1"
    ).equal(tagged([added(S, A), added(S, A).subs(S, C), added(Integer(0), A)]), tagged([S + A, C + A, A]))
    yield from _all_sizes({"summand": formula["summand"], "combination": formula["next"]}, size)


CLAIMS: tuple[Claim, ...] = (
    claim("convolution-lemma", _all_sizes, AUTOCORRELATION, SUM)
    .refutes("difference instead of sum", combination=lambda A, B: A - B)
    .refutes("lag shifted by one", summand=lambda a, k, j: a(k) * a(k + j + 1))
    .refutes("factor 2 on b ⋆ b only in the claim", combination=lambda A, B: A + 2 * B)
    .refutes("ordinary convolution's index", summand=lambda a, k, j: a(k) * a(j - k)),
    claim("convolution-lemma-many", many_kernels, AUTOCORRELATION, next=lambda S, A: S + A)
    .refutes("difference", next=lambda S, A: S - A)
    .refutes("a factor on the next kernel", next=lambda S, A: S + 2 * A)
    .refutes("lag shifted by one", summand=lambda a, k, j: a(k) * a(k + j + 1)),
    claim("autocorrelation-polynomial", _palindromic, AUTOCORRELATION, product=_symmetric_product)
    .refutes("p(x)² in place of p(x)p(1/x)", product=lambda p, K: p(x) ** 2)
    .refutes("x^K", product=lambda p, K: x**K * p(x) * p(1 / x))
    .refutes("lag off by one", summand=lambda a, k, j: a(k) * a(k + j - 1)),
)
