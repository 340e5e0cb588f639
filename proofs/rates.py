"""Rates of convergence, in the asymptotic form that the literature proves: how fast direction, margin and loss settle.

Linear predictors: w(t) = ŵ log t + ρ + o(1), ŵ the ℓ2 max-margin vector (Soudry et al.). What follows from that form is
algebra, and is here: the multipliers in ρ, and 1/log t for direction and margin. Homogeneous networks of degree L: the
flow of one effective margin γ‖w‖^L, which decides the loss, 1/(t (log t)^{2−2/L}), and the norm (Lyu and Li).
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Integer, diff, exp, limit, log, oo, sqrt

from proofs.claim import Claim, Formula, Step, claim, for_all_sizes
from proofs.steps import check, instance
from proofs.symbols import positive, real, whole

s = positive("s")
"""log t."""


def _multipliers(formula: Formula, size: int) -> Iterator[Step]:
    t, hat, entry = positive("t"), real("ŵ"), real("x_n")
    shift, slack = real("⟨x_n|ρ⟩"), positive("δ")
    path = formula["path"](hat, t)
    yield check("dw/dt of ŵ log t + ρ is ŵ/t").equal(diff(path, t), hat / t)
    margin = formula["path"](1, t) + shift
    yield check("a support vector, ⟨x_n, ŵ⟩ = 1: e^{−⟨x_n, w⟩}x_n = α_n x_n/t with α_n = multiplier(⟨x_n, ρ⟩)").equal(
        exp(-margin) * entry, formula["multiplier"](shift) * entry / t
    )
    yield check("any other point, ⟨x_n, ŵ⟩ = 1 + δ: t times it vanishes; so Σα_n x_n = ŵ, the KKT condition").equal(
        limit(s * exp(-s * (1 + slack)) * exp(s), s, oo), 0
    )


def _direction(formula: Formula, size: int) -> Iterator[Step]:
    h, (p, q) = positive("‖ŵ‖"), real("ρ_∥ ρ_⊥")
    w = (h * s + p, q)
    norm = sqrt(w[0] ** 2 + w[1] ** 2)
    yield check("w = (‖ŵ‖s + ρ_∥, ρ_⊥), s = log t: clock·(the part of w/‖w‖ across ŵ) tends to constant").equal(
        limit(formula["clock"](s) * w[1] / norm, s, oo), formula["constant"](h, q)
    )
    yield check("and the part along ŵ reaches 1 as 1/log² t: the distance of directions is constant/log t").equal(
        limit(s * (1 - w[0] / norm), s, oo), 0
    )


def _margin(formula: Formula, size: int) -> Iterator[Step]:
    h, (p, q, z) = positive("‖ŵ‖"), real("ρ_∥ ρ_⊥ x_⊥")
    norm = sqrt((h * s + p) ** 2 + q**2)
    point = s + p / h + z * q
    yield check("a support vector (1/‖ŵ‖, x_⊥): ⟨x, w⟩ = log t + ρ_∥/‖ŵ‖ + x_⊥ρ_⊥; it tends to the margin 1/‖ŵ‖").equal(
        limit(point / norm, s, oo), 1 / h
    )
    yield check("clock·(1/‖ŵ‖ − ⟨x, w⟩/‖w‖) tends to constant: the gap of the margin is O(1/log t)").equal(
        limit(formula["clock"](s) * (1 / h - point / norm), s, oo), formula["constant"](h, q, z)
    )


@for_all_sizes
def _homogeneous(formula: Formula, size: int) -> Iterator[Step]:
    L = whole("L")
    r, gamma, m = positive("‖w‖ γ m")
    margin = gamma * r**L
    speed = diff(margin, r) * exp(-margin)
    radius = (m / gamma) ** (1 / L)
    where = {L: [2, 3, 4], gamma: [1, 2], m: [1, 4]}
    yield check(
        "direction settled, loss e^{−m}, m = γ‖w‖^L: d‖w‖/dt = γL‖w‖^{L−1}e^{−m}, so dm/dt = rate(m)e^{−m}"
    ).equal((diff(margin, r) * speed * exp(margin)).subs(r, radius), formula["rate"](m, gamma, L), where=where)
    yield check(
        "with s = log t the loss e^{−m} = 1/(t·rate(s)) is m = s + log rate(s): then dm/ds = rate(m)/rate(s)"
    ).equal(
        formula["rate"](m, gamma, L) * exp(s) * exp(-(s + log(formula["rate"](s, gamma, L)))),
        formula["rate"](m, gamma, L) / formula["rate"](s, gamma, L),
        where={**where, s: [1, 2]},
    )
    quotient = positive("m/s")
    yield check("… which is (m/s)^{exponent} and tends to 1 with m/s: consistent to leading order").equal(
        formula["rate"](s * quotient, gamma, L) / formula["rate"](s, gamma, L),
        quotient ** formula["exponent"](L),
        where={**where, s: [1, 2], quotient: [2, 3]},
    )
    yield instance("L = 1: loss 1/(γ² t), as for linear predictors").equal(
        formula["rate"](m, gamma, Integer(1)), gamma**2
    )


CLAIMS: tuple[Claim, ...] = (
    claim("rate-multipliers", _multipliers, path=lambda w, t: w * log(t), multiplier=lambda shift: exp(-shift))
    .refutes("ŵ t", path=lambda w, t: w * t)
    .refutes("e^{+⟨x, ρ⟩}", multiplier=lambda shift: exp(shift)),
    claim("rate-direction", _direction, clock=lambda s: s, constant=lambda h, q: q / h)
    .refutes("1/√log t", clock=lambda s: sqrt(s))
    .refutes("1/log² t", clock=lambda s: s**2)
    .refutes("constant ρ_⊥", constant=lambda h, q: q),
    claim("rate-margin", _margin, clock=lambda s: s, constant=lambda h, q, z: -z * q / h)
    .refutes("1/log² t", clock=lambda s: s**2)
    .refutes("sign", constant=lambda h, q, z: z * q / h)
    .refutes("constant without ‖ŵ‖", constant=lambda h, q, z: -z * q),
    claim(
        "rate-homogeneous",
        _homogeneous,
        rate=lambda m, gamma, L: L**2 * gamma ** (2 / L) * m ** (2 - 2 / L),
        exponent=lambda L: 2 - 2 / L,
    )
    .refutes("(log t)^{2−1/L}", rate=lambda m, gamma, L: L**2 * gamma ** (2 / L) * m ** (2 - 1 / L))
    .refutes("L for L²", rate=lambda m, gamma, L: L * gamma ** (2 / L) * m ** (2 - 2 / L))
    .refutes("exponent 2/L", exponent=lambda L: 2 / L),
)
