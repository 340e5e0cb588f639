"""Is there any separating predictor? And does float64 resolve it?

The data separate exactly when the convex hull of the signed points y_n x_n does not hold the origin, that is when the
distance γ of `solvers.algorithms.least_distance` is positive. Where γ = 0 the minimizing α is a Farkas certificate:
α ≥ 0, Σ α_n = 1, Σ α_n y_n x_n = 0.
"""

from __future__ import annotations

import numpy as np

from solvers.algorithms.interior_point import group_max_margin
from solvers.algorithms.least_distance import NEGLIGIBLE_MARGIN, least_distance
from solvers.algorithms.signed_rows import SignedRows, dense
from solvers.arrays import Array
from solvers.solution import IllConditionedError, NotSeparableError

CERTAINLY_ZERO = 16.0 * float(np.finfo(np.float64).eps)
"""A distance of the hull from the origin that only rounding has left, for rows of norm one."""

UNRESOLVED = 1e-10
"""Relative margin below which a bad answer is the data's fault: β has rounding errors of a millionth of the margins."""
SMALLEST = 1e-307  # its reciprocal does not overflow


def relative_margin(A: Array | SignedRows) -> float:
    """The ℓ2 margin of the rows scaled to norm one: what there is to resolve, dimensionless."""
    rows = SignedRows.of(A)
    return least_distance(rows.scaled(1.0 / rows.norms()))[1]


def farkas_certificate(A: Array | SignedRows) -> tuple[Array, float] | None:
    """α ≥ 0, Σα = 1 with Σα_n a_n ≈ 0 and its relative residual ‖Aᵀα‖₂ / max‖a_n‖₂; None when the data separate.

    Separability does not change when columns or rows are scaled by positive numbers, so both are equilibrated first.
    """
    rows = SignedRows.of(A)
    largest = rows.largest_in_rows()
    zero_rows = np.flatnonzero(largest == 0)
    if zero_rows.size:
        alpha = np.zeros(largest.size)
        alpha[zero_rows[0]] = 1.0
        return alpha, 0.0
    lift = np.where(largest < 1e-150 * max(1.0, largest.max()), largest, 1.0)  # rows whose squares would underflow
    scaled = rows.scaled(1.0 / lift)
    column_scale = scaled.largest_in_columns()
    scaled = scaled.scaled(1.0, 1.0 / np.where(column_scale > 0, np.maximum(column_scale, SMALLEST), 1.0))
    row_scale = scaled.norms()
    unit = scaled.scaled(1.0 / row_scale)
    alpha, distance = least_distance(unit)
    if distance > NEGLIGIBLE_MARGIN or (distance > CERTAINLY_ZERO and _separates(dense(unit[:]))):
        return None
    alpha = alpha / row_scale * (lift.min() / lift)
    alpha = alpha / alpha.sum()
    return alpha, float(np.linalg.norm(rows.combination(alpha)) / rows.norms().max())


def _separates(rows: Array) -> bool:
    """Whether some β has positive margins in the longest format: rows that float64 leaves undecided."""
    beta = group_max_margin(rows, np.ones(len(rows)), lambda part: part[:, None, :], 1e-3).b.reshape(-1)
    rounding = 32.0 * np.finfo(np.longdouble).eps * np.linalg.norm(beta)
    return bool((rows.astype(np.longdouble) @ beta).min() > rounding)


def raise_if_not_separable(A: Array | SignedRows, label_shape: tuple[int, ...]) -> None:
    """Raise NotSeparableError with its Farkas certificate when no β has A β > 0."""
    found = farkas_certificate(A)
    if found is not None:
        alpha, residual = found
        raise NotSeparableError(alpha.reshape(label_shape), residual, A)


def raise_if_not_resolved(A: Array | SignedRows, label_shape: tuple[int, ...]) -> None:
    """Raise, before a method starts, when the relative margin is below rounding: every β then has margin 1 ± 1.

    NotSeparableError with its certificate where there is one, else IllConditionedError.
    """
    distance = relative_margin(A)
    if distance <= np.finfo(np.float64).eps:
        raise_if_not_separable(A, label_shape)
        raise IllConditionedError(distance, "no usable answer")


def raise_if_ill_conditioned(A: Array | SignedRows, worst: float) -> None:
    """Raise IllConditionedError when an answer's worst violation exceeds 1e-3 on data of a margin below `UNRESOLVED`.

    Above, an answer with its true gap says more than a refusal, and blaming the data would mislead.
    """
    if worst <= 1e-3:
        return
    distance = relative_margin(A)
    if distance > UNRESOLVED:
        return
    raise IllConditionedError(
        distance, "no usable answer" if worst == np.inf else f"the worst violation is {worst:.1e}"
    )
