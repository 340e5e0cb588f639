"""Certified instances of the polynomial convolution lemma: a proved residual, and an exact factor at a proved distance.

The claim is about the lags it states (`lags` of the two or more kernels) and the tolerance; the factor comes from
`proofs.certified_factor`, and its residual in the stated lags is enclosed anew, so that lags with an altered sign,
factor or index are refuted by a residual proved to be above the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from flint import arb, arb_poly

from proofs.balls import bits, lags
from proofs.certified_factor import CertifiedFactor, spectral_factor
from proofs.claim import Claim, Formula, Mutant, Step, claim
from proofs.exact_factor import exact_spectral_factor
from proofs.steps import Truth, check

Kernels = Sequence[Sequence[float]]


def _certified(formula: Formula, size: int) -> Iterator[Step]:
    for label, kernels in _up_to(size, formula["inputs"]):
        found = spectral_factor(*kernels)
        with bits(320):
            target = formula["lags"](_exact(kernels), len(kernels[0]))
            residual = sum(_gaps(_exact([found.factor]), target), arb(0))
            holds = _below(residual, arb(formula["tolerance"]) * target[0])
        shown = f"{label} (K = {len(kernels[0])}, {len(kernels)} kernels)"
        yield check(f"{shown}: Σ_j |Σ_i a_i⋆a_i − c⋆c|_j ≤ {formula['tolerance']:g}·Σ‖a_i‖²").decided(
            holds,
            f"ball arithmetic: residual ≤ {float(residual.upper()):.2e}",
            counterexample={"kernels": label},
            residual=f"{float(residual.lower()):.3e}",
        )
        how, near = f"{found.proof}; ‖c* − c‖₂ ≤ {found.distance}", Truth.of(_within(found, formula["distance"]), False)
        yield check(f"{label}: an exact real factor lies within {formula['distance']:g}·‖c‖ of c").decided(
            near, how, residual=found.distance, counterexample={"kernels": label}
        )


def _algebraic(formula: Formula, size: int) -> Iterator[Step]:
    for label, kernels in _up_to(size, formula["inputs"]):
        found = exact_spectral_factor(*kernels)
        with bits(700):
            target = formula["lags"](_exact(kernels), len(kernels[0]))
            gap = max(_gaps([arb_poly(found.balls(700))], target), key=lambda v: v.upper())
            holds = _below(gap, arb(10) ** -150)
        pieces = ", ".join(str(f) for f in found.split) or "none"
        yield check(
            f"a, b = {label}: g = {found.rational}, split {pieces}; half of the split roots are inside the disc"
        ).decided(
            holds,
            f"roots isolated in balls; |c⋆c − Σ a_i⋆a_i| ≤ {float(gap.upper()):.1e}",
            counterexample={"kernels": label},
            residual=f"{float(gap.lower()):.3e}",
        )


def _up_to(size: int, inputs: Sequence[tuple[str, Kernels]]) -> Iterator[tuple[str, Kernels]]:
    return ((label, kernels) for label, kernels in inputs if len(kernels[0]) <= size)


def _exact(kernels: Any) -> list[arb_poly]:
    """Binary fractions as they are."""
    return [arb_poly([arb(float(v)) for v in a]) for a in kernels]


def _gaps(factor: list[arb_poly], target: list[arb]) -> list[arb]:
    return [abs(u - v) for u, v in zip(lags(factor, len(target)), target, strict=True)]


def _within(found: CertifiedFactor, relative: float) -> bool:
    largest = float(np.abs(found.factor).max())  # a lower bound of ‖c‖₂ that cannot overflow
    return found.distance is not None and found.distance <= relative * largest


def _below(value: arb, limit: arb) -> Truth:
    return Truth.of(value <= limit, value > limit)


def _altered(change: Callable[[arb, arb], arb], order: int = 1) -> Any:
    """Lags put together from those of the first kernel and those of the others, the latter perhaps reversed."""
    return lambda kernels, K: list(map(change, lags(kernels[:1], K), lags(kernels[1:], K)[::order]))


_MUTANTS = (
    Mutant("difference", lags=_altered(lambda a, b: a - b)),
    Mutant("factor 1 + 1e-9 on the rest", lags=_altered(lambda a, b: a + (1 + arb(1e-9)) * b)),
    Mutant("lags of the rest reversed", lags=_altered(lambda a, b: a + b, order=-1)),
)


def _random(K: int, count: int, seed: int) -> Kernels:
    return tuple(map(tuple, np.random.default_rng(seed).standard_normal((count, K))))


def _with_common_roots(seed: int) -> Kernels:
    """Two kernels that share a double root at 1 and the roots ±i on the circle."""
    common = np.convolve([1, -2, 1], [1, 0, 1])
    return tuple(
        tuple(np.convolve(common, p).astype(float)) for p in np.random.default_rng(seed).integers(-9, 9, (2, 8))
    )


_BASE = {"lags": lags, "tolerance": 1e-12, "distance": 1e-12}
_SEEDS = ((2, 2, 1), (9, 2, 2), (33, 5, 3), (128, 2, 4), (512, 2, 5))
_GENERIC = tuple((f"Gaussian, seed {seed}", _random(K, count, seed)) for K, count, seed in _SEEDS)
_DEGENERATE = (
    ("a double root at 1 and roots ±i on the circle, shared", _with_common_roots(7)),
    ("b a shift of a", ((1.0, 2.0, 0.0, 0.0), (0.0, 0.0, 1.0, 2.0))),
    ("b within 1e-12 of a, root near −1", ((1.0, 1.0), (1.0, 1.0 + 1e-12))),
    ("an almost-root on the circle", ((1.0, -1.0), (1e-9, 2e-9))),
    ("leading and trailing zeros", ((0.0, 0.0, 1.0, 2.0, 0.0), (0.0, 0.0, 3.0, -1.0, 0.0))),
    ("magnitudes 1e±150", ((1e-150, 2e-150), (3e-150, 1e-150))),
    ("two boxes", (tuple(np.ones(64)), tuple(np.r_[np.ones(63), 0.0]))),
)
_RATIONAL = (
    ((1, 1), (0, 1)),
    ((1, 2, 3), (4, -1, 2)),
    ((1, -1, 0), (0, 1, -1)),
    ((1, 1), (1, 1)),
    ((1, 2, 3, 4, 5), (1, 0, 0, -1, 2)),
    ((1, 2, 3, 4, 5, 6, 7, 8), (2, 1, 0, -1, 3, 1, 1, 1)),
)
_LABELLED = tuple((str(pair), pair) for pair in _RATIONAL)

CLAIMS: tuple[Claim, ...] = (
    claim("spectral-factor", _certified, _BASE, inputs=_GENERIC).refutes_all(_MUTANTS),
    claim("spectral-factor-degenerate", _certified, _BASE, inputs=_DEGENERATE).refutes_all(_MUTANTS),
    claim("spectral-factor-exact", _algebraic, lags=lags, inputs=_LABELLED).refutes_all(_MUTANTS),
)
