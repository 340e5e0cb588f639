"""An exponent fitted to the errors of networks, its 95 % interval, and what that says of a proved rate.

    mean ln error = s · ln n + constant,     s the slope over all widths n, by least squares

with Student's interval s ± u, the spread of the networks taken at each width by itself (Welch).

    the rate n^e        |s − e| ± u is held against `EXACT`        both sides
    O(n^e)              s − e ± u is held against `UPPER`          a faster fall is no refutation

The confidence is 95 % before anything is measured. With fewer than `WIDTHS` widths or `NETWORKS` networks of each the
interval is not to be trusted, and nothing is decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

from compare.reports.report import Check, Evidence
from compare.reports.wording import number
from solvers.arrays import Array

EXACT = 0.05
"""How far a fitted exponent may be from that of a rate."""
UPPER = 0.1
"""How far above the theory's exponent a fitted one may be where the theory has an upper bound."""
WIDTHS, NETWORKS = 3, 16
"""The fewest that a verdict rests on. Measured on lognormal errors: 95 % of the intervals of them hold the slope."""
CONFIDENCE = 0.95


def fitted_slope(widths: Sequence[int], errors: Array) -> tuple[float, float]:
    """Slope of mean log error against log width, errors (W, S) with NaN for none, and half its 95 % interval.

    NaN when fewer than two widths have two errors or more.

    >>> w = np.array([100, 400, 1600])
    >>> slope, half = fitted_slope(w, np.outer(1 / np.sqrt(w), [0.9, 1.0, 1.1]))
    >>> round(slope, 12), round(half, 3)
    (-0.5, 0.082)
    """
    rows = {n: np.log(row[~np.isnan(row)]) for n, row in zip(widths, errors, strict=True)}
    rows = {n: row for n, row in rows.items() if row.size > 1}
    if len(rows) < 2:
        return np.nan, np.nan
    centred = np.log(list(rows)) - np.log(list(rows)).mean()
    weights = centred / (centred @ centred)
    sizes = np.array([row.size for row in rows.values()])
    variances = weights**2 * [row.var(ddof=1) for row in rows.values()] / sizes
    freedom = variances.sum() ** 2 / max(float((variances**2 / (sizes - 1)).sum()), 1e-300)
    half = student.ppf((1.0 + CONFIDENCE) / 2.0, max(freedom, 1.0)) * np.sqrt(variances.sum())
    return float(weights @ [row.mean() for row in rows.values()]), float(half)


def exponent_check(
    claim: str, widths: Sequence[int], errors: Array, exponent: float, reference: str, *, exact: bool = False
) -> Check:
    """What the fit says of n^exponent: as a rate where `exact`, else as an upper bound."""
    slope, half = fitted_slope(widths, errors)
    words = slope_in_words(slope, half) + ("" if exact else "; O(·) is an upper bound")
    off = abs(slope - exponent) if exact else slope - exponent
    fewest = min((~np.isnan(errors)).sum(axis=1), default=0)
    if len(widths) < WIDTHS or fewest < NETWORKS:
        why = f"{words}; a verdict takes {WIDTHS} widths and {NETWORKS} networks of each, here {len(widths)}, {fewest}"
        return Check.not_reached(claim, None if np.isnan(slope) else off, why=why, reference=reference)
    check = Check.of(claim, Evidence(off, half), EXACT if exact else UPPER, reference=reference, reason=words)
    return check if check.verdict.tested else replace(check, reason=f"{words}; four times the networks halve it")


def slope_in_words(slope: float, half: float) -> str:
    """The fitted slope and its interval, or that there is none."""
    if np.isnan(slope):
        return "no slope: it takes two widths"
    return f"slope {number(slope, '.3f')} ± {number(half, '.3f')} (95 %)"
