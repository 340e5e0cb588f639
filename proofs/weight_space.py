"""The problem in the space of the weights: what eq. (8) defines, and where the w of Theorem 4 lives."""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Integer, prod, sqrt

from proofs.claim import Claim, Formula, Kind, Step, claim
from proofs.steps import check
from proofs.symbols import dot, positive, real, whole


def _argmin(formula: Formula, size: int) -> Iterator[Step]:
    first, second = formula["minimizers"]
    beta = prod(formula["network"](first))
    yield check("both weights give the predictor β = 1").equal(prod(formula["network"](second)), beta)
    yield check("at the same ‖w‖²").equal(dot(first, first), dot(second, second))
    w = positive("w")
    yield check("which is the least, 2: w² + 1/w² − 2 is a square").nonnegative(
        w**2 + 1 / w**2 - dot(first, first), (w - 1 / w) ** 2
    )
    yield check("the argmin is one point: its first entry").equal(first[0], second[0])


def _argmin_value(formula: Formula, size: int) -> Iterator[Step]:
    w, b = positive("w b")
    yield check("w² + (b/w)² ≥ value(b)").nonnegative(w**2 + (b / w) ** 2 - formula["value"](b), (w - b / w) ** 2)
    yield check("attained at w² = b").equal((w**2 + (b / w) ** 2).subs(w, sqrt(b)), formula["value"](b))


def _space(formula: Formula, size: int) -> Iterator[Step]:
    """A homogeneous polynomial map from `dimension(D, L)` weights at D = 1, L = 2 must reach both signs of β."""
    count = formula["dimension"](1, 2)
    c, w, other = real("c w w'")
    if count == 1:
        yield check("D = 1, L = 2, one weight: P is c·w², so P(−w) = P(w)").equal(c * (-w) ** 2, c * w**2)
        yield check("β = 1 and β = −1 both reached needs P(w)P(w') = −1").equal((c * w**2) * (c * other**2), -1)
        return
    signs = {s1 * s2 for s1 in (1, -1) for s2 in (1, -1)} if count == 2 else set()
    shown = {"weights": count, "wanted": 2}
    yield check(
        f"D = 1, L = 2: {count} weights; the number the diagonal network has is 2, and w₁w₂ takes both signs"
    ).decided(signs == {1, -1}, "enumerated", kind=Kind.PROVED, counterexample=shown, residual=count - 2)
    D, depth = whole("D L")
    yield check("D weights in each of L layers (diagonal, convolutional)").equal(
        formula["dimension"](D, depth), D * depth
    )


_ONE = Integer(1)

CLAIMS: tuple[Claim, ...] = (
    claim("eq-8-argmin", _argmin, minimizers=((_ONE, _ONE), (-_ONE, -_ONE)), network=lambda w: w)
    .refutes("another pair of the same ‖w‖²", minimizers=((_ONE, _ONE), (_ONE, -_ONE)))
    .refutes("not minimizers", minimizers=((_ONE * 2, _ONE / 2), (-_ONE * 2, -_ONE / 2))),
    claim("eq-8-value", _argmin_value, value=lambda b: 2 * b)
    .refutes("factor 1", value=lambda b: b)
    .refutes("b²", value=lambda b: 2 * b**2),
    claim("theorem-4-space-as-printed", _space, dimension=lambda D, L: D)
    .corrected(dimension=lambda D, L: D * L)
    .refutes("ℝ^{D+L+1}", dimension=lambda D, L: D + L + 1)
    .refutes("ℝ^{D^L}", dimension=lambda D, L: D**L),
    claim("theorem-4-space", _space, dimension=lambda D, L: D * L)
    .refutes("ℝ^D", dimension=lambda D, L: D)
    .refutes("ℝ^{D+L−1}", dimension=lambda D, L: D + L - 1),
)
