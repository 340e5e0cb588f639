"""Certified instances of the polynomial convolution lemma: a proved residual, and an exact factor at a proved distance.

The claim is about the lags it states (`lags` of the two or more kernels) and the tolerance; the factor comes from
`proofs.certified_factor`, and its misfit to the stated lags is enclosed anew, so that lags with an altered sign, factor
or index are refuted by a misfit proved to be above the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, arb_poly, fmpq

from proofs.certified_factor import CertifiedFactor, bits, spectral_factor
from proofs.claim import Claim, Formula, Kind, Mutant, Step
from proofs.convolution_lemma import JAGADEESAN
from proofs.exact_factor import exact_spectral_factor
from proofs.steps import decided

Kernels = Sequence[Sequence[float]]


def summed_lags(kernels: Sequence[arb_poly], K: int) -> list[arb]:
    """Σ_i Σ_k a_i[k] a_i[k+j], j = 0, …, K − 1, in ball arithmetic."""
    total = [arb(0)] * K
    for p in kernels:
        entries = [p[k] for k in range(K)]
        product = p * arb_poly(entries[::-1])
        for j in range(K):
            total[j] += product[K - 1 + j]
    return total


def _argument(formula: Formula, size: int) -> Iterator[Step]:
    for label, kernels in formula["inputs"]:
        K = len(kernels[0])
        if size < K:
            continue
        found = spectral_factor(*kernels)
        with bits(320):
            target = formula["lags"]([_exact(a) for a in kernels], K)
            own = summed_lags([_exact(found.factor)], K)
            misfit = sum((abs(u - v) for u, v in zip(own, target, strict=True)), arb(0))
            limit = arb(formula["tolerance"]) * target[0]
            holds = _compare(misfit, limit)
        yield decided(
            f"{label} (K = {K}, {len(kernels)} kernels): Σ_j |Σ_i a_i⋆a_i − c⋆c|_j ≤ {formula['tolerance']:g}·Σ‖a_i‖²",
            holds, f"ball arithmetic: misfit ≤ {float(misfit.upper()):.2e}",
            counterexample={"kernels": label}, residual=f"{float(misfit.lower()):.3e}",
        )  # fmt: skip
        yield decided(
            f"{label}: an exact real factor lies within {formula['distance']:g}·‖c‖ of c",
            True if _within(found, formula["distance"]) else None,
            f"{found.proof}; ‖c* − c‖₂ ≤ {found.distance}", residual=found.distance,
            counterexample={"kernels": label},
        )  # fmt: skip


def _within(found: CertifiedFactor, relative: float) -> bool:
    largest = float(np.abs(found.factor).max())  # a lower bound of ‖c‖₂ that cannot overflow
    return found.distance is not None and found.distance <= relative * largest


def _exact(a: Any) -> arb_poly:
    return arb_poly([arb(fmpq(Fraction(float(v)).numerator, Fraction(float(v)).denominator)) for v in a])


def _compare(misfit: arb, limit: arb) -> bool | None:
    if misfit <= limit:
        return True
    return False if misfit > limit else None


def _exact_argument(formula: Formula, size: int) -> Iterator[Step]:
    for kernels in formula["inputs"]:
        K = len(kernels[0])
        if size < K:
            continue
        found = exact_spectral_factor(*kernels)
        with bits(700):
            own = summed_lags([arb_poly(found.balls(700))], K)
            target = formula["lags"]([arb_poly([arb(v) for v in a]) for a in kernels], K)
            gap = max((abs(u - v) for u, v in zip(own, target, strict=True)), key=lambda v: v.upper())
            holds = True if gap < arb(10) ** -150 else (False if gap > arb(10) ** -150 else None)
        pieces = ", ".join(str(f) for f in found.split) or "none"
        yield decided(
            f"a, b = {kernels}: g = {found.rational}, split {pieces}; half of the split roots are inside the disc",
            holds, f"roots isolated in balls; |c⋆c − Σ a_i⋆a_i| < {float(gap.upper()):.1e}",
            counterexample={"kernels": str(kernels)}, residual=f"{float(gap.lower()):.3e}",
        )  # fmt: skip


def _altered_lags(change: Callable[[list[arb], list[arb], int], list[arb]]) -> Any:
    """Lags put together from those of the first kernel and those of the others."""
    return lambda kernels, K: change(summed_lags(kernels[:1], K), summed_lags(kernels[1:], K), K)


_MUTANTS = (
    Mutant("difference", {"lags": _altered_lags(lambda a, b, K: [u - v for u, v in zip(a, b, strict=True)])}),
    Mutant("factor 1 + 1e-9 on the rest", {
        "lags": _altered_lags(lambda a, b, K: [u + (1 + arb(1e-9)) * v for u, v in zip(a, b, strict=True)])}),
    Mutant("lags of the rest reversed", {
        "lags": _altered_lags(lambda a, b, K: [u + v for u, v in zip(a, b[::-1], strict=True)])}),
)  # fmt: skip


def _random(K: int, count: int, seed: int) -> Kernels:
    return tuple(map(tuple, np.random.default_rng(seed).standard_normal((count, K))))


def _claims() -> Iterator[Claim]:
    common: dict[str, Any] = {
        "assumptions": ("the kernels are the binary fractions that the floats are",),
        "reference": f"{JAGADEESAN}, polynomial convolution lemma", "argument": _argument, "expected": Kind.CERTIFIED,
        "max_size": 1024, "mutants": _MUTANTS,
    }  # fmt: skip
    base = {"lags": summed_lags, "tolerance": 1e-12, "distance": 1e-12}
    generic = tuple((f"Gaussian, seed {seed}", _random(K, count, seed)) for K, count, seed in
                    ((2, 2, 1), (9, 2, 2), (33, 5, 3), (128, 2, 4), (512, 2, 5)))  # fmt: skip
    yield Claim(
        name="spectral-factor", statement="‖Σ a_i⋆a_i − c⋆c‖₁ ≤ 1e-12 Σ‖a_i‖², ‖c − c*‖ ≤ 1e-12‖c‖, c*⋆c* = Σ a_i⋆a_i",
        scope="the Gaussian kernels named in the steps, K ≤ 512", formula={**base, "inputs": generic}, **common,
    )  # fmt: skip
    rng = np.random.default_rng(7)
    left, right = rng.integers(-9, 9, 8), rng.integers(-9, 9, 8)
    nasty = (
        ("a double root at 1 and roots ±i on the circle, shared", tuple(
            tuple(np.convolve(np.convolve([1, -2, 1], [1, 0, 1]), p).astype(float)) for p in (left, right))),
        ("b a shift of a", ((1.0, 2.0, 0.0, 0.0), (0.0, 0.0, 1.0, 2.0))),
        ("b within 1e-12 of a, root near −1", ((1.0, 1.0), (1.0, 1.0 + 1e-12))),
        ("an almost-root on the circle", ((1.0, -1.0), (1e-9, 2e-9))),
        ("leading and trailing zeros", ((0.0, 0.0, 1.0, 2.0, 0.0), (0.0, 0.0, 3.0, -1.0, 0.0))),
        ("magnitudes 1e±150", ((1e-150, 2e-150), (3e-150, 1e-150))),
        ("two boxes", (tuple(np.ones(64)), tuple(np.r_[np.ones(63), 0.0]))),
    )  # fmt: skip
    yield Claim(
        name="spectral-factor-degenerate",
        statement="the same for nearly degenerate kernels: shared roots on |x| = 1, …",
        scope="the kernels named in the steps", formula={**base, "inputs": nasty}, **common,
    )  # fmt: skip
    yield Claim(
        name="spectral-factor-exact", statement="a, b rational: c = √|λ| g(x) ∏(x − r_i), r_i algebraic, exactly",
        assumptions=("a, b rational",), reference=f"{JAGADEESAN}, polynomial convolution lemma",
        scope="the rational kernels named in the steps, K ≤ 8", expected=Kind.CERTIFIED, max_size=8,
        formula={"lags": summed_lags, "inputs": (
            ((1, 1), (0, 1)), ((1, 2, 3), (4, -1, 2)), ((1, -1, 0), (0, 1, -1)), ((1, 1), (1, 1)),
            ((1, 2, 3, 4, 5), (1, 0, 0, -1, 2)), ((1, 2, 3, 4, 5, 6, 7, 8), (2, 1, 0, -1, 3, 1, 1, 1)),
        )},
        argument=_exact_argument, mutants=_MUTANTS,
    )  # fmt: skip


CLAIMS = tuple(_claims())
