"""Two-layer convolutional generators: the dual kernel, its eigenvectors, early stopping as a filter, layer shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sympy import (
    Function,
    I,
    Integer,
    Matrix,
    Rational,
    Symbol,
    acos,
    cos,
    diff,
    exp,
    expand_trig,
    integrate,
    log,
    pi,
    sqrt,
)

from proofs.claim import Claim, Formula, Kind, Step, claim, for_all_sizes
from proofs.linear_networks import reduced
from proofs.steps import check, instance
from proofs.symbols import integer, nonnegative, positive, real, tagged, whole

WEDGE = {"wedge": lambda th: (th - pi / 2, pi / 2)}
"""The angles of g in the plane of u and v, θ apart, at which both products are positive."""


@for_all_sizes
def _orthant(formula: Formula, size: int) -> Iterator[Step]:
    theta, phi = positive("θ"), real("φ")
    lower, upper = formula["wedge"](theta)
    yield check("g is seen through its angle φ in the plane of u, v; the wedge ends where one product is 0").equal(
        tagged([cos(upper), cos(lower - theta)]), 0
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
    yield check("U_i B_i C_i: the columns of U_i are the n rows of B_i (n × k), and the layer has 2n rows").equal(
        tagged([columns, rows]), tagged([n, 2 * n])
    )
    length = formula["length"]
    yield check("so after i layers the length is n_0·2^i, from n_0").equal(
        tagged([length(n0, i + 1), length(n0, Integer(0))]), tagged([2 * length(n0, i), n0])
    )


@for_all_sizes
def _layer_index(formula: Formula, size: int) -> Iterator[Step]:
    n0, i = whole("n_0 i")
    left, right = (n0 * 2 ** formula[side](i) for side in ("left_layer", "right_layer"))
    yield check("rows: the left side's b has n_0·2^(its layer), the right side 2 × the rows of its B").equal(
        left, 2 * right
    )


def _kernel_operator(kernel: Sequence[Any], size: int) -> Any:
    """T(c): circular convolution with the kernel's taps centred."""
    middle = len(kernel) // 2
    return Matrix(size, size, lambda i, j: sum(v for k, v in enumerate(kernel) if (j + k - middle - i) % size == 0))


def _upsampling(size: int) -> Any:
    """U: x_1, 0, x_2, 0, …"""
    return Matrix(2 * size, size, lambda i, j: int(i == 2 * j))


def _interpolation(formula: Formula, size: int) -> Iterator[Step]:
    for n in range(3, size + 1):
        xs = real(f"x0:{n}")
        raised = _kernel_operator(formula["kernel"], 2 * n) * _upsampling(n) * Matrix(xs)
        between = [(xs[m] + xs[(m + 1) % n]) / 2 for m in range(n)]
        yield check(f"n = {n}: T(u)U x has x_m at 2m and the mean of its neighbours at 2m + 1 (circular)").equal(
            tagged(raised), tagged([v for pair in zip(xs, between, strict=True) for v in pair])
        )
        c = real("c")
        yield check(f"n = {n}: combining channels and then upsampling is upsampling and then combining").equal(
            tagged(raised * c), tagged(_kernel_operator(formula["kernel"], 2 * n) * _upsampling(n) * (c * Matrix(xs)))
        )


def _architectures(formula: Formula, size: int) -> Iterator[Step]:
    """Which of i–iv learn their convolution: M(c) then spans more than one operator as c varies."""
    n, u = 4, (Rational(1, 2), Integer(1), Rational(1, 2))
    units = [tuple(int(k == tap) for k in range(3)) for tap in range(3)]
    families = {
        "i": [_kernel_operator(u, 2 * n) * _upsampling(n)],
        "ii": [_kernel_operator(u, n)],
        "iii": [_kernel_operator(c, n) for c in units],
        "iv": [_kernel_operator(c, 2 * n) * _upsampling(n) for c in units],
    }
    learned = {name for name, M in families.items() if Matrix([list(operator) for operator in M]).rank() > 1}
    for text, names, expected in (
        ("the operators M(c) with a fixed convolution are multiples of one", formula["fixed"], set(families) - learned),
        ("with a learned one they span a space of the kernel's dimension", formula["learned"], learned),
    ):
        named = ", ".join(sorted(names))
        yield check(f"{text}: {named}").decided(
            set(names) == expected, f"ranks, n = {n}: {', '.join(sorted(expected))}", kind=Kind.PROVED,
            counterexample={"stated": named, "found": ", ".join(sorted(expected))},
        )  # fmt: skip


def _normalization(formula: Formula, size: int) -> Iterator[Step]:
    n, (shift, epsilon, gamma, beta) = 3, (real("a"), positive("ε"), real("γ"), real("β"))
    z = real(f"z0:{n}")
    mean = sum(z) / n
    variance = sum((v - mean) ** 2 for v in z) / n
    out = [formula["normalized"](v, mean, variance, epsilon, gamma, beta) for v in z]
    yield check("the mean of z′ is β").equal(sum(out) / n, beta)
    yield check("its variance is γ² var/(var + ε), which is γ² as ε → 0").equal(
        sum((v - beta) ** 2 for v in out) / n, gamma**2 * variance / (variance + epsilon)
    )
    moved = [formula["normalized"](v + shift, mean + shift, variance, epsilon, gamma, beta) for v in z]
    yield check("a constant added to the channel leaves no trace").equal(tagged(moved), tagged(out))


@for_all_sizes
def _relative_distance(formula: Formula, size: int) -> Iterator[Step]:
    (a, b, c), gap = positive("‖C‖ ‖C_0‖ λ"), nonnegative("s")
    distance = formula["distance"]
    yield check("the triangle inequality, ‖C − C_0‖ = (‖C‖ + ‖C_0‖)/(1 + s), makes it at most 1").nonnegative(
        1 - distance((a + b) / (1 + gap), a, b), gap / (1 + gap)
    )
    yield check("it does not change when both weights are scaled").equal(
        distance(c * gap, c * a, c * b), distance(gap, a, b)
    )
    yield check("0 for weights that did not move").equal(distance(Integer(0), a, a), 0)


def _normalized(z: Any, mean: Any, variance: Any, epsilon: Any, gamma: Any, beta: Any) -> Any:
    return (z - mean) / sqrt(variance + epsilon) * gamma + beta


R = Rational
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
    claim("linear-upsampling", _interpolation, kernel=(R(1, 2), R(1), R(1, 2)))
    .refutes("u = [1, 1, 1]", kernel=(R(1), R(1), R(1)))
    .refutes("u = [0, 1, 1]: nearest neighbour", kernel=(R(0), R(1), R(1)))
    .refutes("u = [¼, ½, ¼]", kernel=(R(1, 4), R(1, 2), R(1, 4))),
    claim("fixed-and-learned-convolutions", _architectures, fixed=("i", "ii"), learned=("iii", "iv"))
    .refutes("i and iii fixed", fixed=("i", "iii"))
    .refutes("all learned", learned=("i", "ii", "iii", "iv")),
    claim("fixed-and-learned-convolutions-as-printed", _architectures, fixed=("i", "ii"), learned=("ii", "iii"))
    .corrected(learned=("iii", "iv"))
    .refutes("ii and iv", learned=("ii", "iv"))
    .refutes("iii alone", learned=("iii",)),
    claim("channel-normalization", _normalization, normalized=_normalized)
    .refutes("var + ε without the root", normalized=lambda z, m, v, e, g, b: (z - m) / (v + e) * g + b)
    .refutes("mean kept", normalized=lambda z, m, v, e, g, b: z / sqrt(v + e) * g + b),
    claim("relative-distance", _relative_distance, distance=lambda gap, a, b: gap / (a + b))
    .refutes("over ‖C_0‖", distance=lambda gap, a, b: gap / b)
    .refutes("squared norms below", distance=lambda gap, a, b: gap / (a**2 + b**2)),
)
