"""Two-layer convolutional generators: the dual kernel, its eigenvectors, early stopping as a filter, layer shapes."""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.linear_networks import reduced
from proofs.steps import identity

HECKEL = "Heckel and Soltanolkotabi (2020)"
DECODER = "Heckel and Hand (2019)"
ALL = Kind.PROVED_FOR_ALL_SIZES


def _orthant(formula: Formula, size: int) -> Iterator[Step]:
    del size
    theta, phi = sympy.Symbol("θ", positive=True), sympy.Symbol("φ", real=True)
    lower, upper = formula["wedge"](theta)
    for edge, vector in ((upper, sympy.Integer(0)), (lower, theta)):
        yield identity("g is seen through its angle φ in the plane of u, v; the wedge ends where one product is 0",
                       sympy.cos(edge - vector), 0, kind=ALL)  # fmt: skip
    yield identity("its middle is the bisector θ/2, where both products are cos(θ/2) > 0 for θ < π",
                   (lower + upper) / 2, theta / 2, kind=ALL)  # fmt: skip
    angle = sympy.integrate(sympy.Integer(1), (phi, lower, upper)) / (2 * sympy.pi)
    yield identity("φ is uniform: the probability is the wedge's share of the circle, with θ = arccos ρ",
                   angle, formula["probability"](theta), kind=ALL, where={theta: [1, 2]})  # fmt: skip
    for rho, value in ((1, sympy.Rational(1, 2)), (0, sympy.Rational(1, 4)), (-1, sympy.Integer(0))):
        yield identity(f"ρ = {rho}", formula["probability"](sympy.acos(rho)), value, instance=True)


def _circulant(formula: Formula, size: int) -> Iterator[Step]:
    m, n, d = sympy.symbols("m n d", integer=True)
    omega, c = sympy.Symbol("omega", positive=True), sympy.Function("c", real=True)
    row = formula["entry"]
    yield identity(
        "(C f_d)[m] = Σ_j c[m − j] ω^{jd}: the term with n = m − j is c[n] ω^{−nd} times f_d[m] = ω^{md}",
        c(row(m, m - n)) * omega ** ((m - n) * d), c(n) * formula["eigenvalue"](omega, n * d) * omega ** (m * d),
        kind=ALL,
    )  # fmt: skip
    alpha, beta = sympy.symbols("α β", real=True)
    yield identity(
        "c even: the terms n and −n together are real, so cos(2πmd/N) and sin(2πmd/N) are eigenvectors too",
        sympy.expand_trig(sympy.cos(alpha - beta) + sympy.cos(alpha + beta)), 2 * sympy.cos(alpha) * sympy.cos(beta),
        kind=ALL,
    )  # fmt: skip
    w = sympy.Symbol("omega")
    for N in range(1, size + 1):
        entries = sympy.symbols(f"c0:{N}", real=True)
        for frequency in range(min(N, 3)):
            top = sum(entries[row(0, j) % N] * w ** (j * frequency % N) for j in range(N))
            value = sum(entries[k] * w ** (_exponent(formula, k * frequency) % N) for k in range(N))
            yield identity(f"N = {N}, d = {frequency}: the first row of C f_d", reduced(top, N), reduced(value, N),
                           instance=True, where={w: [sympy.exp(-2 * sympy.pi * sympy.I / N)]})  # fmt: skip


def _exponent(formula: Formula, product: int) -> int:
    """The exponent of ω in eigenvalue(ω, nd), so that it can be reduced mod N."""
    base = sympy.Symbol("omega", positive=True)
    return int(sympy.log(formula["eigenvalue"](base, sympy.Integer(product))).expand().coeff(sympy.log(base)))


def _filter(formula: Formula, size: int) -> Iterator[Step]:
    del size
    eta, sigma = sympy.symbols("η σ", positive=True)
    t, y, c, r = sympy.symbols("t y c r", real=True)
    t = sympy.Symbol("t", integer=True, nonnegative=True)
    share = formula["share"](eta, sigma)
    slope = sympy.diff(formula["loss"](r), r).subs(r, sigma * c - y)
    yield identity(
        "one step on loss(σc − y), G = σc: G ← G − ησ·σ·loss′ = G + share·(y − G)",
        sigma * (c - eta * sigma * slope), sigma * c + share * (y - sigma * c), kind=ALL,
    )  # fmt: skip
    gain = formula["gain"](share, t)
    yield identity("t = 0: nothing", formula["gain"](share, sympy.Integer(0)), 0, kind=ALL)
    yield identity("from t to t + 1: gain + share(1 − gain)", formula["gain"](share, t + 1), gain + share * (1 - gain),
                   kind=ALL)  # fmt: skip


def _shapes(formula: Formula, size: int) -> Iterator[Step]:
    n, k, i, n0 = sympy.symbols("n k i n_0", positive=True, integer=True)
    rows, columns = formula["operator"](n)
    yield identity("U_i B_i: the columns of U_i are the n rows of B_i (n × k)", columns, n, kind=ALL)
    yield identity("the layer doubles the length: U_i B_i C_i is 2n × k", rows, 2 * n, kind=ALL)
    yield identity("after i layers the length is n_0·2^i", formula["length"](n0, i + 1), 2 * formula["length"](n0, i),
                   kind=ALL)  # fmt: skip
    yield identity("which starts at n_0", formula["length"](n0, sympy.Integer(0)), n0, kind=ALL)
    del size, k


def _layer_index(formula: Formula, size: int) -> Iterator[Step]:
    del size
    n0, i = sympy.symbols("n_0 i", positive=True, integer=True)
    left, right = (n0 * 2 ** formula[side](i) for side in ("left_layer", "right_layer"))
    text = "rows: the left side's b has n_0·2^(its layer), the right side 2 × the rows of its B"
    yield identity(text, left, 2 * right, kind=ALL)


def _claims() -> Iterator[Claim]:
    yield Claim(
        name="orthant-probability", statement="E[1{g·u > 0} 1{g·v > 0}] = ½(1 − arccos ρ / π)",
        assumptions=("g centred isotropic Gaussian in any dimension", "ρ the cosine of the angle between u and v"),
        reference=f"{HECKEL}, Section 3", scope="all dimensions, −1 ≤ ρ ≤ 1", argument=_orthant, expected=ALL,
        formula={
            "probability": lambda th: (1 - th / sympy.pi) / 2,
            "wedge": lambda th: (th - sympy.pi / 2, sympy.pi / 2),
        },
        mutants=(
            Mutant("without ½", {"probability": lambda th: 1 - th / sympy.pi}),
            Mutant("sign", {"probability": lambda th: (1 + th / sympy.pi) / 2}),
            Mutant("2π", {"probability": lambda th: (1 - th / (2 * sympy.pi)) / 2}),
        ),
    )  # fmt: skip
    yield Claim(
        name="circulant-eigenvectors",
        statement="C[m, j] = c[m − j]: C f_d = ĉ_d f_d, f_d[j] = ω^{jd}, ĉ_d = Σ_n c[n] ω^{−nd}",
        assumptions=("ω^N = 1",), reference=f"{HECKEL}, Section 3", scope="all N, d; instances N ≤ 5",
        formula={"entry": lambda m, j: m - j, "eigenvalue": lambda omega, nd: omega ** (-nd)}, argument=_circulant,
        expected=ALL, max_size=5,
        mutants=(
            Mutant("C[m, j] = c[m + j]", {"entry": lambda m, j: m + j}),
            Mutant("ω^{+nd}", {"eigenvalue": lambda omega, nd: omega**nd}),
            Mutant("C[m, j] = c[m − j + 1]", {"entry": lambda m, j: m - j + 1}),
        ),
    )  # fmt: skip
    yield Claim(
        name="early-stopping-filter", statement="t steps of gradient descent on ½‖G − y‖²: gain 1 − (1 − ησ²)^t",
        assumptions=("G linear in the weights, from 0, singular value σ",), reference=f"{HECKEL}, Theorem 1",
        scope="all t, η, σ", argument=_filter, expected=ALL,
        formula={"loss": lambda r: r**2 / 2, "share": lambda eta, s: eta * s**2, "gain": lambda z, t: 1 - (1 - z) ** t},
        mutants=(
            Mutant("‖·‖² without ½", {"loss": lambda r: r**2}),
            Mutant("1 + ησ²", {"gain": lambda z, t: 1 - (1 + z) ** t}),
            Mutant("σ for σ²", {"share": lambda eta, s: eta * s}),
        ),
    )  # fmt: skip
    yield Claim(
        name="early-stopping-filter-unhalved", statement="t steps on ‖G − y‖²: gain 1 − (1 − 2ησ²)^t",
        assumptions=("G linear in the weights, from 0, singular value σ",), reference=f"{HECKEL}, the loss without ½",
        scope="all t, η, σ", argument=_filter, expected=ALL,
        formula={"loss": lambda r: r**2, "share": lambda eta, s: 2 * eta * s**2, "gain": lambda z, t: 1 - (1 - z) ** t},
        mutants=(
            Mutant("ησ²", {"share": lambda eta, s: eta * s**2}),
            Mutant("t + 1 steps", {"gain": lambda z, t: 1 - (1 - z) ** (t + 1)}),
        ),
    )  # fmt: skip
    yield from _layer_claims()


def _layer_claims() -> Iterator[Claim]:
    yield Claim(
        name="upsampling-shapes", statement="B_{i+1} = ReLU(U_i B_i C_i): U_i is 2n × n, B_i is n × k, n_i = n_0·2^i",
        assumptions=("each layer doubles the length",), reference=f"{DECODER}; {HECKEL}, layer formula",
        scope="all n, k, depths", argument=_shapes, expected=ALL,
        formula={"operator": lambda n: (2 * n, n), "length": lambda n0, i: n0 * 2**i},
        mutants=(
            Mutant("n × 2n", {"operator": lambda n: (n, 2 * n)}),
            Mutant("n × n", {"operator": lambda n: (n, n)}),
            Mutant("n_0·2i", {"length": lambda n0, i: n0 * 2 * i}),
        ),
    )  # fmt: skip
    yield Claim(
        name="generator-layer-index", statement="b_{i+1,j} = ReLU(U_i B_i c_{ij})",
        assumptions=("each layer doubles the length",), reference=f"{DECODER}; {HECKEL}, layer formula, with its index",
        scope="all n_0, i", argument=_layer_index, expected=ALL,
        formula={"left_layer": lambda i: i + 1, "right_layer": lambda i: i},
        mutants=(
            Mutant("i on both sides", {"left_layer": lambda i: i}),
            Mutant("i + 2", {"left_layer": lambda i: i + 2}),
        ),
    )  # fmt: skip
    yield Claim(
        name="generator-layer-index-as-printed", statement="b_j = ReLU(U B c_j), no layer index on b",
        assumptions=("each layer doubles the length", "the b of the left side read as a column of the same layer's B"),
        reference=f"{DECODER}; {HECKEL}, layer formula read without the index of b_i", scope="all n_0, i",
        argument=_layer_index, expected=Kind.REFUTED, corrected_by="generator-layer-index",
        formula={"left_layer": lambda i: i, "right_layer": lambda i: i}, correction={"left_layer": lambda i: i + 1},
        mutants=(
            Mutant("i − 1", {"left_layer": lambda i: i - 1}),
            Mutant("i + 1 on both sides", {"left_layer": lambda i: i + 1, "right_layer": lambda i: i + 1}),
        ),
    )  # fmt: skip


CLAIMS = tuple(_claims())
