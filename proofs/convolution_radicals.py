"""The polynomial convolution lemma with c written out: K = 1, 2, 3 in radicals.

With r = a ⋆ a + b ⋆ b and q(x) = r_0 + Σ_j r_j (x^j + x^{−j}), evaluating |c(±1)|² = q(±1) gives c_0 + c_2 ± c_1, and
c_0 c_2 = r_2 the rest. That the roots are of nonnegative numbers is part of the claim and is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sympy

from proofs.claim import Claim, Formula, Mutant, Step
from proofs.convolution_lemma import AUTOCORRELATION, JAGADEESAN, SUM, autocorrelation, kernel
from proofs.steps import identity, nonnegative


def _radicals(K: int) -> Any:
    """The argument for an explicit c: its autocorrelation, and that its square roots are of nonnegative numbers."""

    def argument(formula: Formula, size: int) -> Iterator[Step]:
        del size
        a, b = kernel("a", K), kernel("b", K)
        r = [formula["combination"](ra, rb) for ra, rb in zip(
            autocorrelation(a, formula["summand"]), autocorrelation(b, formula["summand"]), strict=True)]  # fmt: skip
        truth = [ra + rb for ra, rb in zip(
            *(autocorrelation(p, AUTOCORRELATION["summand"]) for p in (a, b)), strict=True)]  # fmt: skip
        c = formula["c"](r)
        for j, lag in enumerate(autocorrelation(c, AUTOCORRELATION["summand"])):
            yield identity(f"(c ⋆ c)_{j} = (a ⋆ a)_{j} + (b ⋆ b)_{j}", lag, truth[j])
        yield from _reality(K, a, b, truth)

    return argument


def _reality(K: int, a: Sequence[Any], b: Sequence[Any], r: Sequence[Any]) -> Iterator[Step]:
    ones, alternating = [1] * K, [(-1) ** k for k in range(K)]
    for signs, text in ((ones, "q(1)"), (alternating, "q(−1)")):
        value = r[0] + 2 * sum(signs[j] * r[j] for j in range(1, K))
        squares = sum(sum(s * u for s, u in zip(signs, p, strict=True)) ** 2 for p in (a, b))
        yield nonnegative(f"{text} = r_0 + 2Σ(±1)^j r_j is a sum of squares, so its root is real", value, squares)
    if K == 3:
        yield from _discriminant()


def _discriminant() -> Iterator[Step]:
    """u² ≥ 4r_2 with u = (√q(1) + √q(−1))/2: only r_2 > 0 needs an argument. 2u² − 8r_2 = r_0 + ST − 6r_2."""
    r0, r1 = sympy.symbols("r_0 r_1", real=True)
    r2, gap = sympy.symbols("r_2 ε", positive=True)
    S, T = sympy.sqrt(r0 + 2 * r1 + 2 * r2), sympy.sqrt(r0 - 2 * r1 + 2 * r2)
    yield identity(
        "u² − 4r_2 ≥ 0 reads r_0 + √(q(1)q(−1)) ≥ 6 r_2",
        sympy.expand(((S + T) / 2) ** 2 * 2 - 8 * r2), r0 + S * T - 6 * r2,
    )  # fmt: skip
    t = sympy.Symbol("t", real=True)
    q = r0 - 2 * r2 + 2 * r1 * t + 4 * r2 * t**2
    yield identity(
        "q as a parabola in t = cos θ, vertex −r_1/(4r_2): its value there",
        q.subs(t, -r1 / (4 * r2)), r0 - 2 * r2 - r1**2 / (4 * r2),
    )  # fmt: skip
    yield identity(
        "vertex inside (r_1² ≤ 4r_2(r_0 − 2r_2)): q(1)q(−1) − (6r_2 − r_0)² = 4[4r_2(r_0 − 2r_2) − r_1²] ≥ 0",
        (r0 + 2 * r2) ** 2 - 4 * r1**2 - (6 * r2 - r0) ** 2, 4 * (4 * r2 * (r0 - 2 * r2) - r1**2),
    )  # fmt: skip
    excess = sympy.Symbol("|r_1|−4r_2", positive=True)
    yield nonnegative(
        "vertex outside (|r_1| > 4r_2): q(±1) = ε ≥ 0 gives r_0 = 2|r_1| − 2r_2 + ε > 6r_2",
        2 * (4 * r2 + excess) - 2 * r2 + gap - 6 * r2, 2 * excess + gap,
    )  # fmt: skip


def _root(value: Any) -> Any:
    return sympy.sqrt(value)


def _c2(r: Sequence[Any]) -> list[Any]:
    S, T = _root(r[0] + 2 * r[1]), _root(r[0] - 2 * r[1])
    return [(S + T) / 2, (S - T) / 2]


def _c3(r: Sequence[Any], four: int = 4) -> list[Any]:
    S, T = _root(r[0] + 2 * r[1] + 2 * r[2]), _root(r[0] - 2 * r[1] + 2 * r[2])
    u = (S + T) / 2
    v = _root(u**2 - four * r[2])
    return [(u + v) / 2, (S - T) / 2, (u - v) / 2]


def _claims() -> Iterator[Claim]:
    scope = "all a, b"
    yield Claim(
        name="convolution-lemma-1", statement="K = 1: c = √(a_0² + b_0²)", assumptions=("a, b real",),
        reference=f"{JAGADEESAN}, polynomial convolution lemma", scope=f"K = 1, {scope}",
        formula={**AUTOCORRELATION, **SUM, "c": lambda r: [_root(r[0])]}, argument=_radicals(1),
        mutants=(
            Mutant("difference", {"combination": lambda A, B: A - B}),
            Mutant("factor 2", {"c": lambda r: [_root(2 * r[0])]}),
        ),
    )  # fmt: skip
    yield Claim(
        name="convolution-lemma-2",
        statement="K = 2: c = (√(r_0+2r_1) ± √(r_0−2r_1))/2,  r = a⋆a + b⋆b", assumptions=("a, b real",),
        reference=f"{JAGADEESAN}, polynomial convolution lemma", scope=f"K = 2, {scope}",
        formula={**AUTOCORRELATION, **SUM, "c": _c2}, argument=_radicals(2),
        mutants=(
            Mutant("difference", {"combination": lambda A, B: A - B}),
            Mutant("r_1 for 2r_1", {"c": lambda r: _c2([r[0], r[1] / 2])}),
            Mutant("a sign in c", {"c": lambda r: [_c2(r)[0], -_c2(r)[1]]}),
        ),
    )  # fmt: skip
    yield Claim(
        name="convolution-lemma-3",
        statement="K = 3: c_1 = (S−T)/2, c_0,c_2 = (u ± √(u²−4r_2))/2, u = (S+T)/2, S = √q(1), T = √q(−1)",
        assumptions=("a, b real",),
        reference=f"{JAGADEESAN}, polynomial convolution lemma", scope=f"K = 3, {scope}",
        formula={**AUTOCORRELATION, **SUM, "c": _c3}, argument=_radicals(3),
        mutants=(
            Mutant("2 for 4 in the discriminant", {"c": lambda r: _c3(r, 2)}),
            Mutant("entries out of order", {"c": lambda r: [_c3(r)[1], _c3(r)[0], _c3(r)[2]]}),
        ),
    )  # fmt: skip


CLAIMS = tuple(_claims())
