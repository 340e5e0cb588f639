"""What must hold between the fields of a result, whatever the data are: checked when one is read from a file.

Whoever writes a file with a program of his own gives it a right checksum too, so a checksum says nothing about that.
A dataclass has a method `agreements()` for it. What would need the data or the regularizer is left to `certify`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from solvers.solution import Certificate, Solution

Agreements = Iterator[tuple[bool, str]]
"""What must hold, in words that begin with the name of a field, and whether it does."""
WEAK_DUALITY = 1e-6
"""How far, relative to R(β), rounding may lift a proved lower bound above the value of a feasible β. A convention."""


def near(one: float | None, other: float | None) -> bool:
    """Whether two numbers of a file are the same but for rounding; nan is nan, and None is None.

    >>> near(0.1 + 0.2, 0.3), near(math.nan, math.nan), near(math.nan, 0.0), near(None, None), near(None, 0.0)
    (True, True, False, True, False)
    """
    if one is None or other is None:
        return one is other
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def gaps_of(objective: float, lower_bound: float, margin: float) -> tuple[float | None, float | None]:
    """`Certificate.gap` and `Certificate.direction_gap`; None without a bound.

    >>> gaps_of(2.0, 1.5, 0.5)
    (0.25, 0.625)
    """
    if lower_bound == -math.inf:
        return None, None
    if not (margin > 0 and objective > 0):  # the value of a predictor that classifies a point wrongly bounds nothing
        return math.inf, math.inf
    return (objective - lower_bound) / objective, 1.0 - lower_bound * margin / objective


def of_certificate(found: Certificate) -> Agreements:
    """What holds between the fields of a certificate."""
    gap, direction_gap = gaps_of(found.objective, found.lower_bound, found.margin)
    yield near(found.primal, max(0.0, 1.0 - found.margin)), "primal is max(0, 1 − margin)"
    yield near(found.gap, gap), "gap is (objective − lower_bound) / objective"
    yield near(found.direction_gap, direction_gap), "direction_gap is 1 − lower_bound · margin / objective"
    yield not (direction_gap or 0.0) < -WEAK_DUALITY, "lower_bound is at most objective / margin"
    yield not (found.dual < 0).any(), "dual has no negative entry"


def of_solution(found: Solution) -> Agreements:
    """What holds between the fields of a solution."""
    beta, dual, classes, evidence = found.beta, found.dual, found.classes, found.certificate
    several = classes.size > 2
    rows = tuple(columns + several for columns in dual.shape[1:])  # K classes have K − 1 multipliers a point
    yield np.array_equal(dual, evidence.dual, equal_nan=True), "dual is certificate.dual"
    yield dual.ndim in (1, 2), "dual has the shape of y, (N,) or (N, M)"
    yield classes.ndim == 1 and classes.size >= 2, "classes are two labels or more"
    yield not several or rows == classes.shape, "dual has a column less than there are classes"
    yield beta.ndim > len(rows) and beta.shape[: len(rows)] == rows, "beta has the rows that dual asks for"
    yield np.shape(found.intercept) in ((), rows), "intercept is one number, or one for each row of beta"
    yield near(found.objective, evidence.objective), "objective is certificate.objective"
    yield not found.lower_bound < evidence.lower_bound, "lower_bound is not below certificate.lower_bound"
    yield found.status in evidence.proves, "status is one that the certificate proves"
