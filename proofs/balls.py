"""Ball arithmetic: a working precision, autocorrelations and discrete Fourier transforms as enclosures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flint import acb, arb, arb_poly, ctx


@contextmanager
def bits(precision: int) -> Iterator[None]:
    """Ball arithmetic at this working precision, and back."""
    before, ctx.prec = ctx.prec, precision
    try:
        yield
    finally:
        ctx.prec = before


def lags(polynomials: Sequence[arb_poly], size: int) -> list[arb]:
    """Σ_p p⋆p at the lags 0, …, size − 1."""
    total = [arb(0)] * size
    for p in polynomials:
        coefficients = p.coeffs()
        product = (p * arb_poly(coefficients[::-1])).coeffs()
        for j, value in enumerate(product[max(len(coefficients) - 1, 0) :]):
            total[j] += value
    return total


def fourier(signal: Sequence[acb | arb | int], dim: int, sign: int = -1) -> list[acb]:
    """Σ_p x[p] e^{sign·2πi pd/D} of the zero-padded signal at d = 0, …, D − 1, without a factor in D."""
    unit = [(acb(sign * 2 * p) / dim).exp_pi_i() for p in range(dim)]
    return [sum((acb(v) * unit[p * d % dim] for p, v in enumerate(signal)), acb(0)) for d in range(dim)]
