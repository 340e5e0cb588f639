"""Spectral factors with a proof: how well c⋆c matches, and how far an exact factor is at most.

The numbers come from `solvers.factorization.spectral_factorization`; what is added here is rigorous. Floating-point
input is a list of exact binary fractions, and everything below is integer, rational or ball arithmetic on them.

1. Divide by the greatest common divisor, exactly: a_i = G·a_i′. The a_i′ have no common root, so
   q′ = Σ|a_i′|² > 0 *strictly* on the circle: every degeneracy (roots on the circle, a = ±b, b = 0, leading zeros)
   sits in G, and c = G·c′ is a factor when c′ is one of q′.
2. Refine c′ in many digits: residual in ball arithmetic, correction from a double-precision factorization of
   J h = c′⋆h + h⋆c′.
3. Schur–Cohn in ball arithmetic proves that c′ has all its zeros in the open disc, |k_j| < 1, and bounds it below on
   the circle, |c′| ≥ |f_0| / ∏(1 + |k_j|) = √m. Then J is invertible: h = c′·P₊(g/|c′|²), P₊ the analytic half,
   so ‖J⁻¹g‖₂ ≤ B‖g‖₂ with B = max|c′| / m.
4. Newton–Kantorovich for the quadratic map F(c) = c⋆c − r: with η = B‖F(c′)‖₂ and κ = B√K, 4κη < 1 proves that there
   is an exact factor within ρ = (1 − √(1 − 4κη))/(2κ) of c′ in ‖·‖₂.

Where a step does not go through the answer says which; c and the bound on its residual are rigorous all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from flint import arb, arb_poly, fmpq, fmpq_poly, nmod_poly
from numpy.typing import ArrayLike

from proofs.balls import bits, lags
from proofs.factor_refinement import refine, start_from_solver
from proofs.kernels import rational_kernels
from solvers.arrays import Array

_PRIME = (1 << 61) - 1  # coprime modulo a prime that spares the leading coefficients is coprime over ℚ
_ATTEMPTS = (("auto", 256), ("constant", 768), ("constant", 3072))
"""Newton's start and bits. From a constant every zero stays inside the disc; the last is for nearly common roots."""
_LAST_ATTEMPT_UP_TO = 64  # beyond this K, 3072 bits take minutes


@dataclass(frozen=True)
class CertifiedFactor:
    """A real c with Σ_i a_i⋆a_i ≈ c⋆c, and what is proved about it."""

    factor: Array
    """c, shape (K,), float64."""
    residual: float
    """Proved: Σ over all lags of |Σ_i a_i⋆a_i − c⋆c| is at most this; so is the error of every circular lag, any D."""
    relative_residual: float
    """The same divided by Σ_i ‖a_i‖²; dimensionless."""
    distance: float | None
    """Proved: an exact real factor c* has ‖c* − c‖₂ at most this. None where the proof does not go through."""
    proof: str
    """What the distance rests on, or why there is none."""

    @property
    def exists(self) -> bool:
        """Whether an exact factor is proved to lie within `distance`."""
        return self.distance is not None


def spectral_factor(*summands: ArrayLike) -> CertifiedFactor:
    """A certified real factor of a sum of autocorrelations.

        find c ∈ ℝ^K   with   c⋆c = Σ_i a_i⋆a_i                                                        (1)

    Args:
        summands: one or more real kernels a_i, each of shape (K,): floats, integers or fractions.

    Returns:
        CertifiedFactor: `factor` (K,), `residual` and `relative_residual` (proved upper bounds), `distance` to an exact
        factor (proved upper bound in ‖·‖₂, or None), `proof` (one sentence).

    Raises:
        ValueError: when kernels differ in length, are empty, or hold a nan or an infinity.

    Reference:
        Fejér (1916), Riesz (1916); Jagadeesan, Razenshteyn, Gunasekar (2021), polynomial convolution lemma.

    Example:
        >>> answer = spectral_factor([1.0, 2.0, 0.5], [0.0, 1.0, -1.0])
        >>> answer.relative_residual < 1e-15, answer.distance < 1e-14
        (True, True)
        >>> spectral_factor([1, 1, 0], [-1, -1, 0]).proof
        'exact: every kernel is a multiple of one; rounded'
    """
    kernels = rational_kernels(summands)
    K = len(kernels[0])
    polynomials = [fmpq_poly(a) for a in kernels]
    if all(_zero(p) for p in polynomials):
        return CertifiedFactor(np.zeros(K), 0.0, 0.0, 0.0, "exact: zero")
    common = _common_divisor(polynomials)
    reduced = [p / common for p in polynomials]
    if all(p.degree() <= 0 for p in reduced):
        return _multiple(polynomials, common, reduced, K)
    note = f", after division by the common divisor of degree {common.degree()}" if common.degree() else ""
    for start, precision in _ATTEMPTS[: 3 if K <= _LAST_ATTEMPT_UP_TO else 2]:
        with bits(precision):
            exact, radius, proof = _refined(reduced, start, precision)
            if radius is not None:
                return _rounded(polynomials, common, exact, radius, K, proof + note)
    return _rounded(polynomials, common, exact, None, K, proof + note)


def _zero(polynomial: fmpq_poly) -> bool:
    return polynomial.degree() < 0


def _common_divisor(polynomials: list[fmpq_poly]) -> fmpq_poly:
    """The monic greatest common divisor; one prime settles the usual case of none but a power of x."""
    nonzero = [p for p in polynomials if not _zero(p)]
    shift = min(next(k for k, v in enumerate(p.coeffs()) if v != 0) for p in nonzero)
    power = fmpq_poly([0] * shift + [1])
    cleared = [(p / power).numer() for p in nonzero]
    images = [nmod_poly([int(v) % _PRIME for v in p.coeffs()], _PRIME) for p in cleared]
    if any(image.degree() == p.degree() for image, p in zip(images, cleared, strict=True)):
        divisor = images[0]
        for image in images[1:]:
            divisor = divisor.gcd(image)
        if divisor.degree() == 0 and len(nonzero) > 1:
            return power
    common = cleared[0]
    for p in cleared[1:]:
        common = common.gcd(p)
    monic = fmpq_poly(common)
    return power * monic / monic.coeffs()[-1]


def _multiple(polynomials: list[fmpq_poly], common: fmpq_poly, reduced: list[fmpq_poly], K: int) -> CertifiedFactor:
    """All kernels multiples t_i·G: c = √(Σt_i²)·G."""
    with bits(256):
        weight = arb(sum((p.coeffs()[0] ** 2 for p in reduced if not _zero(p)), fmpq(0))).sqrt()
        exact = arb_poly([weight])
        return _rounded(polynomials, common, exact, arb(0), K, "exact: every kernel is a multiple of one; rounded")


def _refined(reduced: list[fmpq_poly], begin: str, precision: int) -> tuple[arb_poly, arb | None, str]:
    """c′ in many digits (exact midpoints), the Kantorovich radius ρ (None if not proved), and the sentence."""
    size = 1 + max(p.degree() for p in reduced)
    target = lags([arb_poly(p) for p in reduced], size)
    scale = target[0].mid().sqrt()
    rows = np.array([_floats([arb(v) / scale for v in p.coeffs()], size) for p in reduced])
    start = start_from_solver(rows, begin)[::-1]  # zeros inside the disc, for Schur–Cohn
    c = [(arb(float(v)) * scale).mid() for v in start]
    c = refine(c, target, start, scale, precision)
    polynomial = arb_poly(c)
    residual = [u - v for u, v in zip(lags([polynomial], size), target, strict=True)]
    error = _norm([*residual, *residual[1:]])
    inverse = _inverse_bound(polynomial, size)
    if inverse is None:
        return polynomial, None, "Schur–Cohn could not separate the zeros from the circle"
    kappa, eta = inverse * arb(size).sqrt(), inverse * error
    if not 4 * kappa * eta < 1:
        return polynomial, None, "the Newton–Kantorovich condition 4κη < 1 was not met"
    # (1 − √(1−s))/(2κ) with s = 4κη, written without cancellation
    radius = 2 * eta / (1 + (1 - 4 * kappa * eta).sqrt())
    return polynomial, radius, f"Newton–Kantorovich with 4κη ≤ {float((4 * kappa * eta).upper()):.1e}"


def _norm(values: list[arb]) -> arb:
    """An upper bound of the 2-norm; squares of balls around zero would reach below it and have no root."""
    return arb(sum((abs(v).upper() ** 2 for v in values), arb(0)).upper()).sqrt()


def _floats(values: list[arb], size: int) -> Array:
    padded = np.zeros(size)
    padded[: len(values)] = [float(v) for v in values]
    return padded


def _inverse_bound(c: arb_poly, size: int) -> arb | None:
    """B ≥ ‖J⁻¹‖₂ when all zeros of c are proved to lie in the open disc, else None.

    Schur–Cohn: with f* = x^n f(1/x) and k = f(0)/lead(f), the polynomial (f − k f*)/x has degree n − 1, and f has its
    zeros in the open disc if and only if |k| < 1 and the smaller one has. As |f| = |f*| on the circle,
    |f| (1 + |k|) ≥ |(f − k f*)/x|, which carries the lower bound up from the constant at the end.
    """
    f = c
    bound = arb(1)
    for _ in range(size - 1):
        coefficients = f.coeffs()
        if len(coefficients) < 1 or not abs(coefficients[-1]) > 0:
            return None
        k = coefficients[0] / coefficients[-1]
        if not abs(k) < 1:
            return None
        bound /= 1 + abs(k)
        degree = len(coefficients) - 1
        f = f - k * arb_poly(coefficients[::-1])
        f = arb_poly(f.coeffs()[1 : degree + 1])
    lowest = abs(f.coeffs()[0]) * bound
    if not lowest > 0:
        return None
    highest = sum((abs(v) for v in c.coeffs()), arb(0))
    return highest / lowest**2


def _rounded(
    polynomials: list[fmpq_poly], common: fmpq_poly, exact: arb_poly, radius: arb | None, K: int, proof: str
) -> CertifiedFactor:
    """c = G·c′ rounded to doubles; ‖G·h‖₂ ≤ ‖G‖₁‖h‖₂ carries ρ over. No radius, no distance."""
    product = (arb_poly(common) * arb_poly(exact.coeffs()[::-1])).coeffs()  # as solvers: c's first entries large
    entries = [*product, *[arb(0)] * (K - len(product))]
    sign = -1.0 if next((float(v) for v in entries if float(v) != 0.0), 1.0) < 0 else 1.0
    c = sign * np.array([float(v) for v in entries])
    rounding = _norm([sign * v - arb(float(u)) for u, v in zip(c, entries, strict=True)])
    stretch = sum((abs(arb(v)) for v in common.coeffs()), arb(0))
    return _with_residual(polynomials, c, None if radius is None else rounding + stretch * radius, proof)


def _with_residual(polynomials: list[fmpq_poly], c: Array, distance: arb | None, proof: str) -> CertifiedFactor:
    with bits(256):
        size = c.size
        target = lags([arb_poly(p) for p in polynomials], size)
        own = lags([arb_poly([arb(float(v)) for v in c])], size)
        gaps = [abs(u - v) for u, v in zip(own, target, strict=True)]
        residual = gaps[0] + 2 * sum(gaps[1:], arb(0))
        return CertifiedFactor(
            c, _up(residual), _up(residual / target[0]), None if distance is None else _up(distance), proof
        )


def _up(value: arb) -> float:
    """A double that is certainly not smaller."""
    return float(np.nextafter(float(value.upper()), np.inf))
