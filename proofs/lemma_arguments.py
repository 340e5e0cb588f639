"""What `verify_lemma` proves, one argument for each sort of kernels: rational vectors, floats, channels, images.

Each is a generator of steps like those of a claim; it is handed the lags as a part of its formula, and refutes others.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_poly, fmpq, fmpz_poly

from proofs.balls import bits, lags
from proofs.certified_factor import CertifiedFactor
from proofs.claim import Argument, Formula, Kind, Step
from proofs.convolution_limits import autocorrelation_2d
from proofs.exact_factor import (
    ExactFactor,
    autocorrelation,
    exact_spectral_factor,
    mirrored,
    roots_on_the_circle,
    self_reciprocal,
    written,
)
from proofs.matrix_kernels import (
    channel_step,
    common_direction,
    halved_factor,
    planar_factor,
    planar_steps,
    spectrum,
)
from proofs.steps import Truth, check, instance, shorten

Vector = list[Any]
"""Of `flint.fmpq`."""
COARSE = "; doubles hold few digits of entries this small: scale the kernels, or take them exactly (--exact)"


# What is proved of vectors


@dataclass(frozen=True)
class Problem:
    """An argument that there is c, and c where it went through."""

    argument: Argument
    formula: Formula
    expected: Kind
    entries: Callable[[], list[arb]]
    minimal: Callable[[], tuple[str, ...]] = tuple


def zero(shape: tuple[int, ...]) -> Problem:
    def argument(formula: Formula, size: int) -> Iterator[Step]:
        yield check("all kernels are zero, and so is c").equal(formula["lag"], 0)

    return Problem(argument, {"lag": 0}, Kind.PROVED, lambda: [arb(0)] * int(np.prod(shape)))


def exact(kernels: Sequence[Vector], dim: int | None) -> Problem:
    factor = exact_spectral_factor(*kernels)

    def argument(formula: Formula, size: int) -> Iterator[Step]:
        r = formula["lags"](kernels)
        yield from _factored(r)
        yield _enclosed(factor.balls(), r)
        if dim is not None:
            yield _folded(kernels, r, dim)

    return Problem(argument, {"lags": autocorrelation}, Kind.PROVED, factor.balls, lambda: _minimal(factor))


def _factored(r: Sequence[fmpq]) -> Iterator[Step]:
    """q = λ·C·C* from the factors of q over ℤ: every one of them is shared out evenly between C and C*."""
    q, unit = self_reciprocal(r)
    content, powers = q.factor()
    product = fmpz_poly([content])
    for f, power in powers:
        product *= f**power
    shown = " · ".join([str(content), *(f"({shorten(written(f), 60)})^{power}" for f, power in powers)])
    yield check(f"q = x^n Σ r_j (x^j + x^−j), times {shorten(unit, 60)}: {shown}").decided(
        product == q, "multiplied out; equal in ℤ[x]", kind=Kind.PROVED
    )
    for f, power in powers:
        yield _shared(f, power, powers)
    yield check("q = λ x^n C(x) C(1/x) at lag 0: r_0 = λ‖C‖², so λ > 0 and c = √λ·C is real").decided(
        bool(r[0] > 0), f"r_0 = {shorten(r[0], 60)}", kind=Kind.PROVED, counterexample={"r_0": r[0]}
    )


def _shared(f: fmpz_poly, power: int, powers: Sequence[tuple[fmpz_poly, int]]) -> Step:
    name, mirror = shorten(written(f), 60), mirrored(f)
    halved = halved_factor(name, (f, mirror), power, powers)
    if halved is not None:
        return halved
    on_the_circle, how = roots_on_the_circle(f)
    return check(
        f"{name} = x^m F(x + 1/x) has no root on |x| = 1, where x + 1/x ∈ [−2, 2]; so half of its roots are inside"
    ).decided(
        on_the_circle == 0,
        f"{how}: {on_the_circle} roots in [−2, 2]",
        kind=Kind.PROVED,
        counterexample={"factor": name, "power": power, "roots on the circle": on_the_circle},
    )


def _enclosed(c: list[arb], r: Sequence[fmpq]) -> Step:
    """What the steps before say exactly, once more in numbers: it can refute c as it was computed."""
    with bits(256):
        gaps = [abs(u - arb(v)) for u, v in zip(lags([arb_poly(c)], len(r)), r, strict=True)]
        return _within(gaps, arb(r[0]))


def _within(gaps: Sequence[arb], scale: arb) -> Step:
    largest = max(gaps, key=lambda gap: float(gap.upper()))
    holds = Truth.of(bool(largest < arb(10) ** -30 * scale), any(gap > 0 for gap in gaps))
    return instance("the intervals of c: every lag of c⋆c encloses that of Σ a_i⋆a_i").decided(
        holds,
        f"ball arithmetic: |c⋆c − Σ a_i⋆a_i| ≤ {float(largest.upper()):.1e}",
        counterexample={"|c⋆c − Σ a_i⋆a_i|": f"≥ {float(largest.lower()):.3e}"},
    )


def _folded(kernels: Sequence[Vector], r: Sequence[fmpq], dim: int) -> Step:
    circle: dict[int, fmpq] = defaultdict(fmpq)  # D may be large, and most entries are zero
    direct: dict[int, fmpq] = defaultdict(fmpq)
    for lag, value in enumerate(r):
        circle[lag % dim] += value
        if lag:
            circle[-lag % dim] += value
    for a in kernels:
        for (k, left), (m, right) in itertools.product(enumerate(a), repeat=2):
            direct[(m - k) % dim] += left * right
    return check(f"mod D = {dim} the lags j and −j of both sides fold onto the same entries").decided(
        circle == direct, "computed both ways in ℚ", kind=Kind.PROVED
    )


def _minimal(factor: ExactFactor) -> tuple[str, ...]:
    try:
        return tuple(map(written, factor.minimal_polynomials))
    except ArithmeticError:  # their degree would be 64 or more: the intervals say it shorter
        return ()


def fine(found: CertifiedFactor) -> bool:
    """Whether c holds the digits of a double: entries off by 2⁻⁵³ each move the lags by K·2⁻⁵² of Σ‖a_i‖² in all."""
    return found.relative_residual <= found.factor.size * 2.0**-51


def certified(kernels: Sequence[Vector], found: CertifiedFactor) -> Problem:
    c = [arb(float(v)) for v in found.factor]

    def argument(formula: Formula, size: int) -> Iterator[Step]:
        with bits(320):
            target = formula["lags"]([arb_poly([arb(v) for v in a]) for a in kernels], len(c))
            gaps = [abs(u - v) for u, v in zip(lags([arb_poly(c)], len(c)), target, strict=True)]
            total = (gaps[0] + 2 * sum(gaps[1:], arb(0))) / arb(sum((v * v for a in kernels for v in a), fmpq(0)))
            bound = arb(found.relative_residual)
            holds = Truth.of(bool(total <= bound), bool(total > bound))
        yield check(
            f"c in doubles: Σ_j |Σ a_i⋆a_i − c⋆c|_j ≤ {found.relative_residual:.2e}·Σ‖a_i‖², and no circular lag is "
            "off by more"
        ).decided(
            holds if fine(found) or holds is Truth.FAILS else Truth.OPEN,
            f"ball arithmetic: at most {float(total.upper()):.2e}·Σ‖a_i‖²{COARSE * (not fine(found))}",
            counterexample={"the sum / Σ‖a_i‖²": f"≥ {float(total.lower()):.3e}"},
        )
        yield check("an exact real factor c* is near: ‖c* − c‖₂ ≤ the distance").decided(
            Truth.of(found.exists, False), f"{found.proof}; distance {found.distance}"
        )

    radius = arb(0, found.distance or 0.0)
    return Problem(argument, {"lags": lags}, Kind.CERTIFIED, lambda: [v + radius for v in c])


# What is proved of matrices


def channels(kernels: Sequence[Sequence[Vector]], dim: int | None) -> Problem:
    K = len(kernels[0][0])

    def lines() -> list[Vector]:
        """f_i, padded to one length."""
        f = [p.coeffs() for p in (common_direction(kernels) or ([], []))[1]]
        longest = max(map(len, f))
        return [[*map(fmpq, p), *[fmpq(0)] * (longest - len(p))] for p in f]

    def argument(formula: Formula, size: int) -> Iterator[Step]:
        step = channel_step(kernels, dim or 2 * K - 1)
        yield step
        if step.kind is Kind.PROVED:
            yield from _factored(formula["lags"](lines()))

    def entries() -> list[arb]:
        u, _ = common_direction(kernels) or ([], [])
        with bits(256):
            h = arb_poly(exact_spectral_factor(*lines()).balls())
            rows = [(h * arb_poly(p)).coeffs() for p in u]
        return [v for row in rows for v in [*row, *[arb(0)] * K][:K]]

    return Problem(argument, {"lags": autocorrelation}, Kind.PROVED, entries)


def planar(kernels: Sequence[Sequence[Vector]]) -> Problem:
    rows, columns = len(kernels[0]), len(kernels[0][0])

    def entries() -> list[arb]:
        c = planar_factor(spectrum(kernels))
        return [c.get((k, i), arb(0)) for k in range(rows) for i in range(columns)]

    def argument(formula: Formula, size: int) -> Iterator[Step]:
        r, decided = formula["lags"](kernels), True
        for step in planar_steps(r):
            yield step
            decided = decided and step.kind.rank < Kind.NOT_PROVED.rank
        if decided:
            with bits(256):
                found = autocorrelation_2d(np.array(entries(), dtype=object).reshape(rows, columns).tolist())
                yield _within([abs(v - arb(r.get(lag, fmpq(0)))) for lag, v in found.items()], arb(r[0, 0]))

    return Problem(argument, {"lags": spectrum}, Kind.PROVED, entries)
