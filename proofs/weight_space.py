"""The problem in the space of the weights: what eq. (8) defines, and where the w of Theorem 4 lives."""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.linear_networks import GUNASEKAR
from proofs.steps import decided, identity, nonnegative


def _argmin(formula: Formula, size: int) -> Iterator[Step]:
    del size
    first, second = formula["minimizers"]
    beta = sympy.prod(formula["network"](first))
    yield identity("both weights give the predictor β = 1", sympy.prod(formula["network"](second)), beta)
    yield identity("at the same price", sum(v**2 for v in first), sum(v**2 for v in second))
    w = sympy.Symbol("w", positive=True)
    yield nonnegative("which is the least, 2: w² + 1/w² − 2 is a square", w**2 + 1 / w**2 - sum(v**2 for v in first),
                      (w - 1 / w) ** 2)  # fmt: skip
    yield identity("the argmin is one point: its first entry", first[0], second[0])


def _argmin_value(formula: Formula, size: int) -> Iterator[Step]:
    del size
    w = sympy.Symbol("w", positive=True)
    at = sympy.Symbol("b", positive=True)
    yield nonnegative("w² + (b/w)² ≥ value(b)", w**2 + (at / w) ** 2 - formula["value"](at), (w - at / w) ** 2)
    yield identity("attained at w² = b", (w**2 + (at / w) ** 2).subs(w, sympy.sqrt(at)), formula["value"](at))


def _space(formula: Formula, size: int) -> Iterator[Step]:
    """A homogeneous polynomial map from `dimension(D, L)` weights at D = 1, L = 2 must reach both signs of β."""
    del size
    count = formula["dimension"](1, 2)
    c, w, other = sympy.symbols("c w w'", real=True)
    if count == 1:
        yield identity("D = 1, L = 2, one weight: P is c·w², so P(−w) = P(w)", c * (-w) ** 2, c * w**2)
        yield identity("β = 1 and β = −1 both reached needs P(w)P(w') = −1", (c * w**2) * (c * other**2), -1)
        return
    signs = {s1 * s2 for s1 in (1, -1) for s2 in (1, -1)} if count == 2 else set()
    yield decided(
        f"D = 1, L = 2: {count} weights; the number the diagonal network has is 2, and w₁w₂ takes both signs",
        count == 2 and signs == {1, -1}, "enumerated", kind=Kind.PROVED,
        counterexample={"weights": count, "wanted": 2}, residual=count - 2,
    )  # fmt: skip
    D, depth = sympy.symbols("D L", positive=True, integer=True)
    yield identity("D weights in each of L layers (diagonal, convolutional)", formula["dimension"](D, depth), D * depth)


def _claims() -> Iterator[Claim]:
    one = sympy.Integer(1)
    yield Claim(
        name="eq-8-argmin", statement="argmin{‖w‖² : w₁w₂ = β} is one point",
        assumptions=("D = 1, L = 2, β = 1", "eq. (8) read as an argmin over weights, taken for a value"),
        reference=f"{GUNASEKAR}, eq. (8)", scope="this example", expected=Kind.REFUTED, corrected_by="eq-8-value",
        formula={"minimizers": ((one, one), (-one, -one)), "network": lambda w: w}, argument=_argmin,
        mutants=(
            Mutant("another pair of the same price", {"minimizers": ((one, one), (one, -one))}),
            Mutant("not minimizers", {"minimizers": ((one * 2, one / 2), (-one * 2, -one / 2))}),
        ),
    )  # fmt: skip
    yield Claim(
        name="eq-8-value", statement="R_P(β) = min{‖w‖² : P(w) = β}, a number: 2b for w₁w₂ = b", assumptions=("b > 0",),
        reference=f"{GUNASEKAR}, eq. (8), with min", scope="D = 1, L = 2, all b", argument=_argmin_value,
        formula={"value": lambda b: 2 * b},
        mutants=(Mutant("factor 1", {"value": lambda b: b}), Mutant("b²", {"value": lambda b: 2 * b**2})),
    )  # fmt: skip
    yield Claim(
        name="theorem-4-space-as-printed", statement="P: ℝ^D → ℝ^D covers depth-L diagonal networks: w ∈ ℝ^D",
        assumptions=("P a homogeneous polynomial of degree L", "Theorem 4 read with w in the space of β"),
        reference=f"{GUNASEKAR}, Theorem 4", scope="D = 1, L = 2", expected=Kind.REFUTED,
        formula={"dimension": lambda D, L: D}, argument=_space, correction={"dimension": lambda D, L: D * L},
        corrected_by="theorem-4-space",
        mutants=(
            Mutant("ℝ^{D+L+1}", {"dimension": lambda D, L: D + L + 1}),
            Mutant("ℝ^{D^L}", {"dimension": lambda D, L: D**L}),
        ),
    )  # fmt: skip
    yield Claim(
        name="theorem-4-space", statement="w ∈ ℝ^{LD} for depth-L diagonal and convolutional networks",
        assumptions=("P a homogeneous polynomial of degree L",), reference=f"{GUNASEKAR}, Theorem 4, corrected",
        scope="all D, L; both signs reached at D = 1, L = 2", formula={"dimension": lambda D, L: D * L},
        argument=_space,
        mutants=(
            Mutant("ℝ^D", {"dimension": lambda D, L: D}),
            Mutant("ℝ^{D+L−1}", {"dimension": lambda D, L: D + L - 1}),
        ),
    )  # fmt: skip


CLAIMS = tuple(_claims())
