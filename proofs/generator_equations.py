"""Two-layer convolutional generators: the dual kernel, its eigenvectors, early stopping as a filter, layer shapes."""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Function, I, Integer, Rational, Symbol, acos, cos, diff, exp, expand_trig, integrate, log, pi

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.linear_networks import reduced
from proofs.steps import check, instance
from proofs.symbols import integer, positive, real, whole

WEDGE = {"wedge": lambda th: (th - pi / 2, pi / 2)}
"""The angles of g in the plane of u and v, θ apart, at which both products are positive."""


@for_all_sizes
def _orthant(formula: Formula, size: int) -> Iterator[Step]:
    theta, phi = positive("θ"), real("φ")
    lower, upper = formula["wedge"](theta)
    for edge, vector in ((upper, Integer(0)), (lower, theta)):
        yield check("g is seen through its angle φ in the plane of u, v; the wedge ends where one product is 0").equal(
            cos(edge - vector), 0
        )
    yield check("its middle is the bisector θ/2, where both products are cos(θ/2) > 0 for θ < π").equal(
        (lower + upper) / 2, theta / 2
    )
    angle = integrate(Integer(1), (phi, lower, upper)) / (2 * pi)
    yield check("φ is uniform: the probability is the wedge's share of the circle, with θ = arccos ρ").equal(
        angle, formula["probability"](theta), where={theta: [1, 2]}
    )
    for rho, value in ((1, Rational(1, 2)), (0, Rational(1, 4)), (-1, Integer(0))):
        yield instance(f"ρ = {rho}").equal(formula["probability"](acos(rho)), value)


@for_all_sizes
def _circulant(formula: Formula, size: int) -> Iterator[Step]:
    m, n, d = integer("m n d")
    omega, c = positive("omega"), Function("c", real=True)
    row = formula["entry"]
    yield check(
        "(C f_d)[m] = Σ_j c[m − j] ω^{jd}: the term with n = m − j is c[n] ω^{−nd} times f_d[m] = ω^{md}"
    ).equal(c(row(m, m - n)) * omega ** ((m - n) * d), c(n) * formula["eigenvalue"](omega, n * d) * omega ** (m * d))
    alpha, beta = real("α β")
    yield check(
        "c even: the terms n and −n together are real, so cos(2πmd/N) and sin(2πmd/N) are eigenvectors too"
    ).equal(expand_trig(cos(alpha - beta) + cos(alpha + beta)), 2 * cos(alpha) * cos(beta))
    w = Symbol("omega")
    for N in range(1, size + 1):
        entries = real(f"c0:{N}")
        for frequency in range(min(N, 3)):
            top = sum(entries[row(0, j) % N] * w ** (j * frequency % N) for j in range(N))
            value = sum(entries[k] * w ** (_exponent(formula, k * frequency) % N) for k in range(N))
            yield instance(f"N = {N}, d = {frequency}: the first row of C f_d").equal(
                reduced(top, N), reduced(value, N), where={w: [exp(-2 * pi * I / N)]}
            )


def _exponent(formula: Formula, product: int) -> int:
    """The exponent of ω in eigenvalue(ω, nd), so that it can be reduced mod N."""
    base = positive("omega")
    return int(log(formula["eigenvalue"](base, Integer(product))).expand().coeff(log(base)))


@for_all_sizes
def _filter(formula: Formula, size: int) -> Iterator[Step]:
    eta, sigma = positive("η σ")
    y, c, r = real("y c r")
    t = Symbol("t", integer=True, nonnegative=True)
    share = formula["share"](eta, sigma)
    slope = diff(formula["loss"](r), r).subs(r, sigma * c - y)
    yield check("one step on loss(σc − y), G = σc: G ← G − ησ·σ·loss′ = G + share·(y − G)").equal(
        sigma * (c - eta * sigma * slope), sigma * c + share * (y - sigma * c)
    )
    gain = formula["gain"](share, t)
    yield check("t = 0: nothing").equal(formula["gain"](share, Integer(0)), 0)
    yield check("from t to t + 1: gain + share(1 − gain)").equal(
        formula["gain"](share, t + 1), gain + share * (1 - gain)
    )


@for_all_sizes
def _shapes(formula: Formula, size: int) -> Iterator[Step]:
    n, i, n0 = whole("n i n_0")
    rows, columns = formula["operator"](n)
    yield check("U_i B_i: the columns of U_i are the n rows of B_i (n × k)").equal(columns, n)
    yield check("the layer doubles the length: U_i B_i C_i is 2n × k").equal(rows, 2 * n)
    yield check("after i layers the length is n_0·2^i").equal(
        formula["length"](n0, i + 1), 2 * formula["length"](n0, i)
    )
    yield check("which starts at n_0").equal(formula["length"](n0, Integer(0)), n0)


@for_all_sizes
def _layer_index(formula: Formula, size: int) -> Iterator[Step]:
    n0, i = whole("n_0 i")
    left, right = (n0 * 2 ** formula[side](i) for side in ("left_layer", "right_layer"))
    yield check("rows: the left side's b has n_0·2^(its layer), the right side 2 × the rows of its B").equal(
        left, 2 * right
    )


gain = {"gain": lambda z, t: 1 - (1 - z) ** t}

CLAIMS: tuple[Claim, ...] = (
    claim("orthant-probability", _orthant, WEDGE, probability=lambda th: (1 - th / pi) / 2)
    .refutes("without ½", probability=lambda th: 1 - th / pi)
    .refutes("sign", probability=lambda th: (1 + th / pi) / 2)
    .refutes("2π", probability=lambda th: (1 - th / (2 * pi)) / 2),
    claim("circulant-eigenvectors", _circulant, entry=lambda m, j: m - j, eigenvalue=lambda w, nd: w ** (-nd))
    .refutes("C[m, j] = c[m + j]", entry=lambda m, j: m + j)
    .refutes("ω^{+nd}", eigenvalue=lambda omega, nd: omega**nd)
    .refutes("C[m, j] = c[m − j + 1]", entry=lambda m, j: m - j + 1),
    claim("early-stopping-filter", _filter, gain, loss=lambda r: r**2 / 2, share=lambda eta, s: eta * s**2)
    .refutes("‖·‖² without ½", loss=lambda r: r**2)
    .refutes("1 + ησ²", gain=lambda z, t: 1 - (1 + z) ** t)
    .refutes("σ for σ²", share=lambda eta, s: eta * s),
    claim("early-stopping-filter-unhalved", _filter, gain, loss=lambda r: r**2, share=lambda eta, s: 2 * eta * s**2)
    .refutes("ησ²", share=lambda eta, s: eta * s**2)
    .refutes("t + 1 steps", gain=lambda z, t: 1 - (1 - z) ** (t + 1)),
    claim("upsampling-shapes", _shapes, operator=lambda n: (2 * n, n), length=lambda n0, i: n0 * 2**i)
    .refutes("n × 2n", operator=lambda n: (n, 2 * n))
    .refutes("n × n", operator=lambda n: (n, n))
    .refutes("n_0·2i", length=lambda n0, i: n0 * 2 * i),
    claim("generator-layer-index", _layer_index, left_layer=lambda i: i + 1, right_layer=lambda i: i)
    .refutes("i on both sides", left_layer=lambda i: i)
    .refutes("i + 2", left_layer=lambda i: i + 2),
    claim("generator-layer-index-as-printed", _layer_index, left_layer=lambda i: i, right_layer=lambda i: i)
    .corrected(left_layer=lambda i: i + 1)
    .refutes("i − 1", left_layer=lambda i: i - 1)
    .refutes("i + 1 on both sides", left_layer=lambda i: i + 1, right_layer=lambda i: i + 1),
)
