"""The polynomial convolution lemma with c written out: K = 1, 2, 3 in radicals.

With r = a ⋆ a + b ⋆ b and q(x) = r_0 + Σ_j r_j (x^j + x^{−j}), evaluating |c(±1)|² = q(±1) gives c_0 + c_2 ± c_1, and
c_0 c_2 = r_2 the rest. That the roots are of nonnegative numbers is part of the claim and is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sympy import expand, sqrt

from proofs.claim import Claim, Formula, Step, claim
from proofs.convolution_lemma import AUTOCORRELATION, SUM, autocorrelation, summed
from proofs.steps import check
from proofs.symbols import dot, positive, real


def _radicals(K: int) -> Any:
    """The argument for an explicit c: its autocorrelation, and that its square roots are of nonnegative numbers."""

    def argument(formula: Formula, size: int) -> Iterator[Step]:
        a, b = real(f"a0:{K}"), real(f"b0:{K}")
        r, truth = summed(formula, (a, b)), summed({**AUTOCORRELATION, **SUM}, (a, b))
        c = formula["c"](r)
        for j, lag in enumerate(autocorrelation(c, AUTOCORRELATION)):
            yield check(f"(c ⋆ c)_{j} = (a ⋆ a)_{j} + (b ⋆ b)_{j}").equal(lag, truth[j])
        yield from _reality(K, a, b, truth)

    return argument


def _reality(K: int, a: Sequence[Any], b: Sequence[Any], r: Sequence[Any]) -> Iterator[Step]:
    ones, alternating = [1] * K, [(-1) ** k for k in range(K)]
    for signs, text in ((ones, "q(1)"), (alternating, "q(−1)")):
        value = r[0] + 2 * dot(signs[1:], r[1:])
        squares = dot(signs, a) ** 2 + dot(signs, b) ** 2
        yield check(f"{text} = r_0 + 2Σ(±1)^j r_j is a sum of squares, so its root is real").nonnegative(value, squares)
    if K == 3:
        yield from _discriminant()


def _discriminant() -> Iterator[Step]:
    """u² ≥ 4r_2 with u = (√q(1) + √q(−1))/2: only r_2 > 0 needs an argument. 2u² − 8r_2 = r_0 + ST − 6r_2."""
    r0, r1 = real("r_0 r_1")
    r2, gap = positive("r_2 ε")
    S, T = sqrt(r0 + 2 * r1 + 2 * r2), sqrt(r0 - 2 * r1 + 2 * r2)
    yield check("u² − 4r_2 ≥ 0 reads r_0 + √(q(1)q(−1)) ≥ 6 r_2").equal(
        expand(((S + T) / 2) ** 2 * 2 - 8 * r2), r0 + S * T - 6 * r2
    )
    t = real("t")
    q = r0 - 2 * r2 + 2 * r1 * t + 4 * r2 * t**2
    yield check("q as a parabola in t = cos θ, vertex −r_1/(4r_2): its value there").equal(
        q.subs(t, -r1 / (4 * r2)), r0 - 2 * r2 - r1**2 / (4 * r2)
    )
    yield check(
        "vertex inside (r_1² ≤ 4r_2(r_0 − 2r_2)): q(1)q(−1) − (6r_2 − r_0)² = 4[4r_2(r_0 − 2r_2) − r_1²] ≥ 0"
    ).equal((r0 + 2 * r2) ** 2 - 4 * r1**2 - (6 * r2 - r0) ** 2, 4 * (4 * r2 * (r0 - 2 * r2) - r1**2))
    excess = positive("|r_1|−4r_2")
    yield check("vertex outside (|r_1| > 4r_2): q(±1) = ε ≥ 0 gives r_0 = 2|r_1| − 2r_2 + ε > 6r_2").nonnegative(
        2 * (4 * r2 + excess) - 2 * r2 + gap - 6 * r2, 2 * excess + gap
    )


def _c2(r: Sequence[Any]) -> list[Any]:
    S, T = sqrt(r[0] + 2 * r[1]), sqrt(r[0] - 2 * r[1])
    return [(S + T) / 2, (S - T) / 2]


def _c3(r: Sequence[Any], four: int = 4) -> list[Any]:
    S, T = sqrt(r[0] + 2 * r[1] + 2 * r[2]), sqrt(r[0] - 2 * r[1] + 2 * r[2])
    u = (S + T) / 2
    v = sqrt(u**2 - four * r[2])
    return [(u + v) / 2, (S - T) / 2, (u - v) / 2]


CLAIMS: tuple[Claim, ...] = (
    claim("convolution-lemma-1", _radicals(1), AUTOCORRELATION, SUM, c=lambda r: [sqrt(r[0])])
    .refutes("difference", combination=lambda A, B: A - B)
    .refutes("factor 2", c=lambda r: [sqrt(2 * r[0])]),
    claim("convolution-lemma-2", _radicals(2), AUTOCORRELATION, SUM, c=_c2)
    .refutes("difference", combination=lambda A, B: A - B)
    .refutes("r_1 for 2r_1", c=lambda r: _c2([r[0], r[1] / 2]))
    .refutes("a sign in c", c=lambda r: [_c2(r)[0], -_c2(r)[1]]),
    claim("convolution-lemma-3", _radicals(3), AUTOCORRELATION, SUM, c=_c3)
    .refutes("2 for 4 in the discriminant", c=lambda r: _c3(r, 2))
    .refutes("entries out of order", c=lambda r: [_c3(r)[1], _c3(r)[0], _c3(r)[2]]),
)
