"""First-order conditions: subdifferentials of ‖·‖₁ and ‖·‖_p, and from weights to predictors, (14) ⇒ (10).

Problem (14) is min ‖w‖² s.t. y_n⟨x_n, P(w)⟩ ≥ 1; its KKT point has w = Σ α_n y_n ∇_w⟨x_n, P(w)⟩, that is, with
z = Σ α_n y_n x_n, w = P′(w)ᵀ z. Condition (10) asks that a positive multiple of z be a subgradient of the regularizer
at β = P(w). For each network multiplying the KKT equation of a layer by its own weights gives it in one line.
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.linear_networks import GUNASEKAR
from proofs.steps import decided, identity, nonnegative

ALL = Kind.PROVED_FOR_ALL_SIZES
L = sympy.Symbol("L", positive=True, integer=True)
b, t = sympy.symbols("b t", positive=True)
_S = sympy.Symbol("s_p", positive=True)
p, q = 1 / (1 + _S), _S / (1 + _S)
"""Every p in (0, 1), with q = 1 − p: written so that both are seen to be positive."""
_BELOW_ONE = {_S: [sympy.Integer(1), sympy.Rational(1, 2)]}


def _l1(formula: Formula, size: int) -> Iterator[Step]:
    del size
    rho, sigma = sympy.symbols("ρ σ", positive=True)
    phi, psi = sympy.symbols("φ ψ", real=True)
    z = formula["on_support"](phi)
    g = sigma * sympy.exp(sympy.I * psi)
    inner = sympy.re(sympy.expand(sympy.conjugate(z) * g, complex=True))
    yield identity(
        "on the support, β̂ = ρe^{iφ}: Fenchel's equality ⟨ẑ, β̂⟩ = |β̂|",
        sympy.conjugate(z) * rho * sympy.exp(sympy.I * phi), rho, kind=ALL,
    )  # fmt: skip
    yield nonnegative(
        "and the inequality |γ| ≥ ⟨ẑ, γ⟩ for γ = σe^{iψ}: |γ| − ⟨ẑ, γ⟩ = 2σ sin²((ψ−φ)/2)",
        sigma - sympy.expand_trig(inner), sympy.expand_trig(2 * sigma * sympy.sin((psi - phi) / 2) ** 2), kind=ALL,
    )  # fmt: skip
    bound, slack = formula["off_bound"], sympy.Symbol("s", nonnegative=True)
    yield nonnegative(
        "off the support every |ẑ| = bound/(1+s) is a subgradient: |γ| − |ẑ||γ| ≥ 0",
        sigma - sigma * bound / (1 + slack), sigma * slack / (1 + slack), kind=ALL,
    )  # fmt: skip
    excess = sympy.Symbol("ε", positive=True)
    yield nonnegative(
        "and no larger one is: γ = ẑ has |ẑ|·|γ| − |γ| > 0 when |ẑ| = bound + ε",
        (bound + excess) ** 2 - (bound + excess), excess * (1 + excess), kind=ALL, strict=True,
    )  # fmt: skip


def _gradient(formula: Formula, size: int) -> Iterator[Step]:
    """eq. (13): the stated gradient against the derivative of the stated objective, in a coordinate and a frequency."""
    x0, y0, rest = sympy.symbols("x y r", positive=True)
    exponent = sympy.Symbol("p", positive=True)
    where = {exponent: [sympy.Rational(1, 2), sympy.Rational(2, 3)]}
    objective = formula["objective"](b**exponent + rest, exponent)
    whole = formula["total"](b**exponent + rest, exponent)
    yield identity(
        "∂/∂β_d of the objective, β_d = b > 0, the other coordinates' Σ|β|^p = r",
        sympy.diff(objective, b), formula["gradient"](b, exponent) * whole, kind=ALL, where=where,
    )  # fmt: skip
    modulus = sympy.sqrt(x0**2 + y0**2)
    frequency = formula["objective"](modulus**exponent + rest, exponent)
    scaled = formula["total"](modulus**exponent + rest, exponent)
    yield identity(
        "in frequency, β̂_d = x + iy: ∂/∂x = Re of gradient(|β̂_d|)·e^{iφ}",
        sympy.diff(frequency, x0), formula["gradient"](modulus, exponent) * scaled * x0 / modulus, kind=ALL,
        where=where,
    )  # fmt: skip
    del size


def _clarke_empty(formula: Formula, size: int) -> Iterator[Step]:
    del size
    M, rest = sympy.symbols("M r", positive=True)
    gradient = formula["gradient"](t, p)
    yield identity(
        "at distance t from a zero entry the gradient of ‖·‖_p^p reaches any bound M, at t_M = (p/M)^{1/q}, q = 1 − p",
        gradient.subs(t, (p / M) ** (1 / q)), M, kind=ALL,
        where={**_BELOW_ONE, M: [1, 7]},
    )  # fmt: skip
    c = sympy.Symbol("c", positive=True)
    yield identity(
        "and only grows as t → 0: the gradient at t/c is c^q ≥ 1 times the one at t, for c ≥ 1",
        gradient.subs(t, t / c), c**q * gradient, kind=ALL,
        where={**_BELOW_ONE, c: [2, 4]},
    )  # fmt: skip
    yield identity(
        "so does the gradient of ‖·‖_p itself: the common factor (r + t^p)^{1/p−1} tends to r^{1/p−1} > 0",
        ((rest + t**p) ** (1 / p - 1)).subs(t**p, 0), rest ** (1 / p - 1), kind=ALL,
    )  # fmt: skip


def _clarke_printed(formula: Formula, size: int) -> Iterator[Step]:
    del size
    ratio = formula["gradient"](t / 8, formula["p"]) / formula["gradient"](t, formula["p"])
    yield identity(
        "at β = (1, 0), p = 2/3: gradients along h = (0, t), t → 0, that converge have ratio → 1 from t to t/8",
        sympy.limit(ratio, t, 0), 1, kind=Kind.PROVED,
    )  # fmt: skip


def _off_support(formula: Formula, size: int) -> Iterator[Step]:
    del size
    z = sympy.Symbol("|z|", positive=True)
    radius = formula["radius"](z, q)
    where = {**_BELOW_ONE, z: [2, 5]}
    yield identity("|t|^p = |z|·|t| at t = radius(z)", radius**p, z * radius, kind=ALL, where=where)
    c = sympy.Symbol("s", positive=True)
    yield identity(
        "and below it |t|^p/|t| is larger: at t/(1+s) by the factor (1+s)^q ≥ 1; so |t|^p ≥ z·t near 0, any z",
        (t / (1 + c)) ** p / (t / (1 + c)), (1 + c) ** formula["growth"](q) * t**p / t, kind=ALL, where=where,
    )  # fmt: skip


def _kkt_diagonal(formula: Formula, size: int) -> Iterator[Step]:
    z, w = sympy.symbols("z_d w", positive=True)
    modulus, others = sympy.Symbol("|β_d|", positive=True), sympy.Symbol("∏'w", positive=True)
    yield identity(
        "KKT w_l = z_d·conj ∏_{l'≠l} w_{l'}; times conj w_l: |w_l|² = z_d conj β_d for each l, so all |w_l| are equal",
        (z * others) * w, z * (others * w), kind=ALL,
    )  # fmt: skip
    where = {L: [3, 4], modulus: [16, 81]}
    solved = formula["squared_weight"](modulus, L) / modulus
    yield identity(
        "with |w_l|² = squared_weight(|β_d|, L): the L-th power of |w_l| is |β_d|",
        formula["squared_weight"](modulus, L) ** (L / sympy.Integer(2)), modulus, kind=ALL, where=where,
    )  # fmt: skip
    exponent = 2 / L
    yield identity(
        "z_d = |w_l|²/|β_d| is multiple(L) times eq. (13): p|β_d|^{p−1}, p = 2/L; the phase is that of β_d",
        solved, formula["multiple"](L) * exponent * modulus ** (exponent - 1), kind=ALL, where=where,
    )  # fmt: skip
    for depth in range(2, size + 1):
        yield from _kkt_instance(formula, depth)


def _kkt_instance(formula: Formula, depth: int) -> Iterator[Step]:
    """The gradient of z·∏ w_l itself, at the balanced weights."""
    ws = sympy.symbols(f"w1:{depth + 1}", positive=True)
    root = sympy.sqrt(formula["squared_weight"](b, sympy.Integer(depth)))
    z = formula["multiple"](sympy.Integer(depth)) * sympy.Rational(2, depth) * b ** (sympy.Rational(2, depth) - 1)
    gradient = sympy.diff(z * sympy.prod(ws), ws[0]).subs(dict.fromkeys(ws, root))
    yield identity(f"L = {depth}: w = ∇_w(z·∏w) at the balanced weights", root, gradient, instance=True)


def _kkt_full(formula: Formula, size: int) -> Iterator[Step]:
    W, z0, z1 = sympy.symbols("W z_0 z_1", real=True)
    v = sympy.symbols("v0:2", real=True)
    first = [[formula["outer"](zi, vj) for vj in v] for zi in (z0, z1)]
    norm2 = sum(vj**2 for vj in v)
    for i, zi in enumerate((z0, z1)):
        yield identity(
            f"β_{i} = Σ_j W₁[{i},j]v_j = ‖v‖² z_{i} with KKT W₁ = z vᵀ, v = W₂⋯w_L: β ∥ z, so z is a multiple of ∇‖β‖₂",
            sum(f * vj for f, vj in zip(first[i], v, strict=True)), formula["multiple"](norm2) * zi, kind=ALL,
        )  # fmt: skip
    x, y = sympy.symbols("β_0 β_1", positive=True)
    yield identity("∇‖β‖₂ = β/‖β‖₂", sympy.diff(sympy.sqrt(x**2 + y**2), x), x / sympy.sqrt(x**2 + y**2), kind=ALL)
    del W, size


def _kkt_off_support(formula: Formula, size: int) -> Iterator[Step]:
    """A KKT point of (14), depth 2, with a zero coordinate, whose z violates eq. (12) there."""
    del size
    w1, w2, x = formula["w1"], formula["w2"], formula["x"]
    beta = [u * v for u, v in zip(w1, w2, strict=True)]
    margin = sum(u * v for u, v in zip(beta, x, strict=True))
    for d, (u, v, z) in enumerate(zip(w1, w2, x, strict=True)):
        yield identity(f"d = {d}: KKT of (14), N = 1, α = 1: w₁ = z w₂", u, z * v)
        yield identity(f"d = {d}: w₂ = z w₁", v, z * u)
    yield identity("the margin is 1, so the multiplier may be positive", margin, 1)
    worst = max(abs(v) for v in x)
    yield decided(
        f"the point obeys eq. (12): |z_d| ≤ 1 for every d; here β = {tuple(beta)}, z = {tuple(x)}",
        bool(worst <= 1), f"max|z_d| = {worst}", kind=Kind.PROVED,
        counterexample={"w₁ = w₂": tuple(w1), "x, z": tuple(x)}, residual=worst - 1,
    )  # fmt: skip


def _claims() -> Iterator[Claim]:
    yield Claim(
        name="eq-12", statement="∂‖β̂‖₁ = {ẑ : ẑ_d = e^{iφ_d} where β̂_d ≠ 0, |ẑ_d| ≤ 1 where β̂_d = 0}",
        assumptions=("real inner product Re Σ conj(ẑ)β̂, equal to ⟨z, β⟩ by the unitary DFT",),
        reference=f"{GUNASEKAR}, eq. (12)", scope="all D; the ℓ1 norm is the case of real entries", expected=ALL,
        formula={"on_support": lambda phi: sympy.exp(sympy.I * phi), "off_bound": sympy.Integer(1)}, argument=_l1,
        mutants=(
            Mutant("conjugate phase", {"on_support": lambda phi: sympy.exp(-sympy.I * phi)}),
            Mutant("bound 2 off the support", {"off_bound": sympy.Integer(2)}),
            Mutant("bound 1/2 off the support", {"off_bound": sympy.Rational(1, 2)}),
        ),
    )  # fmt: skip
    power = {"objective": lambda s, p: s, "total": lambda s, p: sympy.Integer(1),
             "gradient": lambda m, p: p * m ** (p - 1)}  # fmt: skip
    yield Claim(
        name="eq-13", statement="∇‖β̂‖_p^p = p|β̂_d|^{p−1}e^{iφ_d} on the support", assumptions=("p > 0", "β̂_d ≠ 0"),
        reference=f"{GUNASEKAR}, eq. (13), read for ‖·‖_p^p", scope="all D, p", formula=power, argument=_gradient,
        expected=ALL, mutants=(
            Mutant("exponent p", {"gradient": lambda m, p: p * m**p}),
            Mutant("factor 1", {"gradient": lambda m, p: m ** (p - 1)}),
        ),
    )  # fmt: skip
    norm = {**power, "objective": lambda s, p: s ** (1 / p)}
    yield Claim(
        name="eq-13-as-printed", statement="∇‖β̂‖_p = p|β̂_d|^{p−1}e^{iφ_d} on the support",
        assumptions=("p > 0", "β̂_d ≠ 0"), reference=f"{GUNASEKAR}, eq. (13) as printed, for ‖·‖_p", scope="all D, p",
        formula=norm, argument=_gradient, expected=Kind.REFUTED, corrected_by="eq-13",
        correction={"total": lambda s, p: s ** (1 / p - 1) / p},
        mutants=(
            Mutant("norm^{p−1}", {"total": lambda s, p: s ** ((p - 1) / p)}),
            Mutant("factor 1/p only", {"total": lambda s, p: 1 / p}),
        ),
    )  # fmt: skip
    yield from _clarke_claims()
    yield from _kkt_claims()


def _clarke_claims() -> Iterator[Claim]:
    yield Claim(
        name="eq-11-empty", statement="p < 1, β_d = 0: conv{lim ∇‖β + h_k‖_p^p : h_k → 0} = ∅",
        assumptions=("0 < p < 1", "the definition as printed, by limits of gradients"),
        reference=f"{GUNASEKAR}, eq. (11)", scope="all D, all sparse β", expected=ALL, argument=_clarke_empty,
        formula={"gradient": lambda t, p: p * t ** (p - 1)},
        mutants=(
            Mutant("the gradient of |·|", {"gradient": lambda t, p: sympy.Integer(1)}),
            Mutant("exponent 1 − p", {"gradient": lambda t, p: p * t ** (1 - p)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="eq-11-as-printed", statement="p < 1: ∂°‖β‖_p = conv{lim ∇‖β + h_k‖_p : h_k → 0} has an element at (1, 0)",
        assumptions=("the definition as printed, by limits of gradients",), reference=f"{GUNASEKAR}, eq. (11)",
        scope="β = (1, 0), p = 2/3", expected=Kind.REFUTED, argument=_clarke_printed, corrected_by="off-support",
        formula={"gradient": lambda t, p: p * t ** (p - 1), "p": sympy.Rational(2, 3)},
        correction={"p": sympy.Integer(1)},
        mutants=(
            Mutant("p = 1/2", {"p": sympy.Rational(1, 2)}),
            Mutant("factor 1", {"gradient": lambda t, p: t ** (p - 1)}),
        ),
    )  # fmt: skip
    yield Claim(
        name="off-support", statement="p < 1, β_d = 0: every real z_d is a regular subgradient, |t|^p ≥ z_d t near 0",
        assumptions=("0 < p < 1",), reference=f"the set that replaces eq. (11) of {GUNASEKAR}", scope="all D",
        formula={"radius": lambda z, q: z ** (-1 / q), "growth": lambda q: q}, argument=_off_support, expected=ALL,
        mutants=(
            Mutant("radius z^{1/q}", {"radius": lambda z, q: z ** (1 / q)}),
            Mutant("growth −q", {"growth": lambda q: -q}),
        ),
    )  # fmt: skip


def _kkt_claims() -> Iterator[Claim]:
    yield Claim(
        name="kkt-bridge",
        statement="KKT of (14) ⇒ (10) on the support, diagonal and convolutional: z_d = |β_d|^{2/L−2}β_d",
        assumptions=("β_d ≠ 0", "off the support nothing is required for L > 2"),
        reference=f"{GUNASEKAR}, KKT of (14) ⇒ (10), eq. (13)", scope="all D, L ≥ 2; instances L ≤ 4",
        formula={"squared_weight": lambda m, L: m ** (2 / L), "multiple": lambda L: L / 2},
        argument=_kkt_diagonal, expected=ALL,
        mutants=(
            Mutant("|w|² = |β|^{1/L}", {"squared_weight": lambda m, L: m ** (1 / L)}),
            Mutant("multiple 1", {"multiple": lambda L: sympy.Integer(1)}),
            Mutant("sign", {"multiple": lambda L: -L / 2}),
        ),
    )  # fmt: skip
    yield Claim(
        name="kkt-fully-connected", statement="KKT of (14) ⇒ (10), fully connected: β = ‖W₂⋯w_L‖² z",
        assumptions=("v = W₂⋯w_L ≠ 0",), reference=f"{GUNASEKAR}, KKT of (14) ⇒ (10)",
        scope="all L, widths, D: the sum over j is term by term, shown for two", expected=ALL,
        formula={"outer": lambda z, v: z * v, "multiple": lambda n: n}, argument=_kkt_full,
        mutants=(Mutant("‖v‖⁴", {"multiple": lambda n: n**2}), Mutant("sign", {"outer": lambda z, v: -z * v})),
    )  # fmt: skip
    one, zero = sympy.Integer(1), sympy.Integer(0)
    yield Claim(
        name="kkt-off-support", statement="L = 2: KKT of (14) alone ⇒ |z_d| ≤ 1 where β_d = 0, eq. (12)",
        assumptions=("depth-2 diagonal network", "no more than the KKT conditions: saddles are KKT points"),
        reference=f"{GUNASEKAR}, (14) ⇒ (10) at p = 1, if read without the limit of gradient descent",
        scope="x = (1, 2), N = 1", expected=Kind.REFUTED,
        formula={"w1": (one, zero), "w2": (one, zero), "x": (one, sympy.Integer(2))}, argument=_kkt_off_support,
        correction={"x": (one, sympy.Rational(1, 2))}, corrected_by="eq-12",
        mutants=(
            Mutant("x = (1, −3)", {"x": (one, sympy.Integer(-3))}),
            Mutant("unbalanced weights", {"w1": (sympy.Integer(2), zero), "w2": (one / 2, zero)}),
        ),
    )  # fmt: skip


CLAIMS = tuple(_claims())
