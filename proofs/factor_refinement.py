"""A spectral factor in many digits: the solver's double-precision answer, corrected by Newton's method.

Nothing here is rigorous or needs to be: `proofs.certified_factor` certifies what comes out. Residuals are computed in
many digits; corrections, for long kernels, by the double-precision factorization of J h = c⋆h + h⋆c at the start.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from flint import arb, arb_mat, arb_poly

from proofs.balls import lags
from solvers.arrays import Array
from solvers.factorization.spectral_factorization import linearized, minimum_phase, spectral_factorization

_DENSE_UP_TO = 64  # up to here Newton steps are taken in many digits: J may be singular to double precision


def start_from_solver(rows: Array, begin: str) -> Array:
    """The solver's factor; where it gives up, half of the logarithm of the spectrum (Kolmogorov), as good as it is."""
    try:
        # tol=1: digits beyond double precision are the business of `refine`
        return spectral_factorization(*rows, start=begin, tol=1.0).factor
    except ArithmeticError:
        grid = 1 << int(np.ceil(np.log2(256 * rows.shape[1])))
        spectrum = np.sum(np.abs(np.fft.rfft(rows, grid, axis=1)) ** 2, axis=0)
        return minimum_phase(np.maximum(spectrum, 1e-30 * spectrum.max()), grid)[: rows.shape[1]]


def refine(c: list[arb], target: list[arb], start: Array, scale: arb, precision: int) -> list[arb]:
    """Corrections until the residual stops falling: J⁻¹ in double precision, or in many digits for short kernels."""
    factors = None if len(c) <= _DENSE_UP_TO else scipy.linalg.lu_factor(linearized(start))
    best = _residuals(c, target)
    for _ in range(precision // 4):
        if not _largest(best) > 0:
            break
        step = _newton_step(c, best) if factors is None else _double_precision_step(factors, best, scale)
        if step is None:
            break
        trial = [(u - h).mid() for u, h in zip(c, step, strict=True)]
        residual = _residuals(trial, target)
        if not _largest(residual) < _largest(best) / 2:
            break
        c, best = trial, residual
    return c


def _residuals(c: list[arb], target: list[arb]) -> list[arb]:
    return [(u - v).mid() for u, v in zip(lags([arb_poly(c)], len(c)), target, strict=True)]


def _largest(values: list[arb]) -> arb:
    return max((abs(v) for v in values), key=lambda v: v.mid())


def _double_precision_step(factors: tuple[Array, Array], residual: list[arb], scale: arb) -> list[arb]:
    unit = _largest(residual).mid()
    right = np.array([float(v / unit) for v in residual])
    return [arb(float(h)) * unit / scale for h in scipy.linalg.lu_solve(factors, right)]


def _newton_step(c: list[arb], residual: list[arb]) -> list[arb] | None:
    size = len(c)
    rows = [
        [(c[k + j] if k + j < size else arb(0)) + (c[k - j] if k >= j else arb(0)) for k in range(size)]
        for j in range(size)
    ]
    try:
        solved = arb_mat(rows).solve(arb_mat([[v] for v in residual]), algorithm="approx")
    except ZeroDivisionError:
        return None
    return [value.mid() for value in solved.entries()]
