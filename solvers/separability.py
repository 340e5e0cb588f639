"""Is there any separating predictor? The closest point of the convex hull of the signed points to the origin.

    γ(A) = min { ‖Aᵀα‖₂ : α ≥ 0, 1ᵀα = 1 } = max { min_m ⟨a_m, β⟩ : ‖β‖₂ ≤ 1 }  or 0,

so γ > 0 exactly when the data are separable, 1/γ is the norm of the ℓ2 max-margin predictor, and where γ = 0 the
minimizing α is a Farkas certificate. It is a least-distance problem, solved by Lawson and Hanson's nonnegative
least squares on

    min_u ‖ [Aᵀ; t 1ᵀ] u − (0, t) ‖₂,      β = −(first block of the residual) / (last entry · t⁻¹).

The plain choice t = 1 loses digits like ε‖β‖²; with t ≈ 1/‖β‖ the loss is only ε‖β‖, so t is adapted.

Reference: Lawson, Hanson (1974), chapter 23 (problem LDP).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from solvers.solution import IllConditionedError, NotSeparableError

Array = NDArray[np.float64]

NEGLIGIBLE_MARGIN = 1e-12
"""Below this margin, relative to the largest point, rounding in the data itself decides the sign of the margin."""

ORDINARY_MARGIN = 1e-4
"""Above this relative margin a problem is not called ill-conditioned."""


def least_distance(A: Array) -> tuple[Array, float]:
    """Convex weights α (shape (N,)) of the point of conv{a_n} closest to 0, and its distance γ.

    Rows of A should have norms of order one. O(N D k) with k the number of nonzero weights.
    """
    n, d = A.shape
    # the rows enter only through their inner products, so with D > N the triangular factor serves as well
    columns: Array = np.asarray(np.linalg.qr(A.T, mode="r")) if d > n else A.T
    t = 1.0
    for _ in range(6):
        weights, _ = nnls(
            np.vstack([columns, np.full(n, t)]), np.append(np.zeros(columns.shape[0]), t), maxiter=30 * (n + d)
        )
        total = weights.sum()
        if total <= 0:  # numerically only: the first pass always takes a step
            break
        alpha = weights / total
        distance = float(np.linalg.norm(A.T @ alpha))
        if distance >= 0.1 * t or t <= NEGLIGIBLE_MARGIN:
            break
        t = max(distance, NEGLIGIBLE_MARGIN)
    return alpha, distance


def relative_margin(A: Array) -> float:
    """The ℓ2 margin 1/‖β‖₂ of the rows over the largest ‖a_n‖₂: what there is to resolve, dimensionless."""
    return least_distance(A / float(np.linalg.norm(A, axis=1).max()))[1]


def farkas_certificate(A: Array) -> tuple[Array, float] | None:
    """α ≥ 0, Σα = 1 with Σα_n a_n ≈ 0 and its relative residual ‖Aᵀα‖₂ / max‖a_n‖₂; None when the data separate.

    Separability does not change when columns or rows are scaled by positive numbers, so both are equilibrated first.
    """
    zero_rows = np.flatnonzero(~A.any(axis=1))
    if zero_rows.size:
        alpha = np.zeros(A.shape[0])
        alpha[zero_rows[0]] = 1.0
        return alpha, 0.0
    largest = np.abs(A).max(axis=1)
    lift = np.where(largest < 1e-150 * max(1.0, largest.max()), largest, 1.0)  # rows whose squares would underflow
    scaled = A / lift[:, None]
    column_scale = np.abs(scaled).max(axis=0)
    scaled = scaled / np.where(column_scale > 0, column_scale, 1.0)
    row_scale = np.linalg.norm(scaled, axis=1)
    alpha, distance = least_distance(scaled / row_scale[:, None])
    if distance > NEGLIGIBLE_MARGIN:
        return None
    alpha = alpha / row_scale * (lift.min() / lift)
    alpha = alpha / alpha.sum()
    return alpha, float(np.linalg.norm(A.T @ alpha) / np.linalg.norm(A, axis=1).max())


def raise_if_not_separable(A: Array, label_shape: tuple[int, ...]) -> None:
    """Raise NotSeparableError with its Farkas certificate when no β has A β > 0."""
    found = farkas_certificate(A)
    if found is not None:
        alpha, residual = found
        raise NotSeparableError(alpha.reshape(label_shape), residual)


def raise_if_not_resolved(A: Array, label_shape: tuple[int, ...]) -> None:
    """Raise, before a road sets out, when the relative margin is below rounding: every β then has margin 1 ± 1.

    NotSeparableError with its certificate where there is one, else IllConditionedError.
    """
    distance = relative_margin(A)
    if distance <= np.finfo(np.float64).eps:
        raise_if_not_separable(A, label_shape)
        raise IllConditionedError(distance, "no usable answer")


def raise_if_ill_conditioned(A: Array, worst: float) -> None:
    """Raise IllConditionedError when an answer's worst violation exceeds 1e-3 on data of tiny margin or mixed size.

    Where the relative margin is ordinary, a bad answer has another cause, and blaming the data would mislead.
    """
    if worst <= 1e-3:
        return
    distance = relative_margin(A)
    if distance > ORDINARY_MARGIN:
        return
    raise IllConditionedError(
        distance, "no usable answer" if worst == np.inf else f"the worst violation is {worst:.1e}"
    )
