"""The door of the ground floor: data come in, are checked once, and become the constraints A β ≥ 1."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.regularizers import Regularizer

Array = NDArray[np.float64]


def extended_product(matrix: Array, vector: Array) -> Array:
    """matrix @ vector; entries that cancel to less than 10⁻³ of their terms are summed in 80 bits where there are any.

    (On x86; elsewhere the longest format may be float64 itself.)
    """
    product = np.asarray(matrix @ vector)
    cancels = np.abs(matrix) @ np.abs(vector) > 1e3 * np.abs(product)
    if cancels.any():
        product[cancels] = matrix[cancels].astype(np.longdouble) @ vector.astype(np.longdouble)
    return product


def power_of_two(value: float) -> float:
    """The power of two next below value > 0: dividing by it is exact."""
    return float(2.0 ** np.floor(np.log2(value)))


@dataclass(frozen=True)
class MarginProblem:
    """The constraints ⟨a_m, β⟩ ≥ 1 of a margin problem, a_m = y_n x_n.

    With labels y of shape (N,), row n of A is y_n x_n and β has the shape of one x. With labels of shape (N, M)
    (M outputs), row nM + m is y_{nm} e_m ⊗ x_n and β has shape (M, D).
    """

    A: Array
    """Shape (number of constraints, size of β), C-contiguous float64."""
    shape: tuple[int, ...]
    """Shape of β."""
    label_shape: tuple[int, ...]
    """Shape of y, and of the multipliers."""

    def margins(self, beta: Array) -> Array:
        """⟨a_m, β⟩ for every constraint, shape (number of constraints,).

        The smallest ones are accumulated in the machine's longest format: at small margins they are differences of
        large terms, and a float64 sum would be a worse judge than the predictor deserves.
        """
        flat = beta.reshape(-1)
        margins = np.asarray(self.A @ flat)
        # first those of which rounding leaves no digit: large, but only noise, they would not be among the smallest
        noise = np.flatnonzero(np.abs(self.A) @ np.abs(flat) >= 1e13 * np.abs(margins))
        margins[noise] = extended_product(self.A[noise], flat)
        near = np.flatnonzero(np.abs(margins - margins.min()) <= 1e-3 * abs(margins.min()))[: 2 * flat.size]
        margins[near] = extended_product(self.A[near], flat)
        return margins

    def combine(self, dual: Array) -> Array:
        """Aᵀα in the shape of β, in the machine's longest format where few enough α are nonzero (see `margins`)."""
        alpha = dual.reshape(-1)
        active = np.flatnonzero(alpha)
        if active.size > 2 * self.A.shape[1]:
            return np.asarray(self.A.T @ alpha).reshape(self.shape)
        return extended_product(self.A[active].T, alpha[active]).reshape(self.shape)


def _finite_array(name: str, value: ArrayLike) -> Array:
    try:
        array = np.asarray(value)
        if np.iscomplexobj(array):
            raise TypeError("complex numbers")
        array = np.asarray(array, dtype=np.float64, order="C")
    except (TypeError, ValueError) as cause:
        raise ValueError(
            f"{name} must be an array of real numbers; got {type(value).__name__} that does not convert "
            f"to float64 ({cause})"
        ) from None
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name} must be finite; entry {where} is {array[where]} ({int((~np.isfinite(array)).sum())} such in all). "
            "Drop or impute them first."
        )
    return array


def check_labels(y: ArrayLike, n_points: int) -> Array:
    """Labels as float64 of shape (N,) or (N, M), every entry −1 or +1. Raises ValueError otherwise."""
    labels = _finite_array("y", y)
    if labels.ndim not in (1, 2) or labels.shape[0] != n_points:
        raise ValueError(
            f"y must have one label per row of X: shape ({n_points},), or ({n_points}, M) for M outputs; "
            f"got shape {labels.shape}"
        )
    values = np.unique(labels)
    if not np.isin(values, (-1.0, 1.0)).all():
        hint = "; for labels 0/1 pass 2*y - 1" if np.isin(values, (0.0, 1.0)).all() else ""
        raise ValueError(f"labels must be −1 or +1; got values {values[:6].tolist()}{hint}")
    return labels


def check_problem(X: ArrayLike, y: ArrayLike, regularizer: Regularizer) -> MarginProblem:
    """Validate data for min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1 and form its constraints.

    Args:
        X: points, shape (N, *shape of β): (N, D), or images (N, H, W). Any real dtype; converted to float64.
        y: labels ±1, shape (N,), or (N, M) for M outputs (then X is (N, D) and β is (M, D)).
        regularizer: says which shapes of β it accepts.

    Raises:
        ValueError: not numbers, not finite, no points, shapes that do not match, labels other than ±1.
    """
    if not isinstance(regularizer, Regularizer):
        raise TypeError(
            "regularizer must be a solvers.Regularizer such as L2(), Bridge(1) or FourierBridge(1); "
            f"got {reprlib.repr(regularizer)} of type {type(regularizer).__name__}. "
            "The order is max_margin(X, y, regularizer) and certify(X, y, beta, regularizer)."
        )
    points = _finite_array("X", X)
    if points.ndim < 2:
        raise ValueError(
            f"X must have shape (N, D), one row per point (or (N, H, W) for images); got shape {points.shape}. "
            "For a single point use X[None, :], for a single feature X[:, None]."
        )
    if points.size == 0:
        raise ValueError(f"X must hold at least one point with at least one feature; got shape {points.shape}")
    labels = check_labels(y, points.shape[0])
    if labels.ndim == 1:
        shape = points.shape[1:]
        A = labels[:, None] * points.reshape(points.shape[0], -1)
    else:
        if points.ndim != 2:
            raise ValueError(f"with labels (N, M) X must have shape (N, D); got {points.shape}")
        n_outputs, n_features = labels.shape[1], points.shape[1]
        shape = (n_outputs, n_features)
        A = np.einsum("nm,mk,nd->nmkd", labels, np.eye(n_outputs), points).reshape(-1, n_outputs * n_features)
    regularizer.check_shape(shape)
    largest = float(np.abs(A).max())
    if largest != 0 and not 1e-100 < largest < 1e100:
        raise ValueError(
            f"the largest entry of X is {largest:.1e}: squares of such numbers leave the range of float64. "
            "Divide X by it; β is then multiplied by it"
        )
    return MarginProblem(np.ascontiguousarray(A), shape, labels.shape)


def check_beta(beta: ArrayLike, problem: MarginProblem) -> Array:
    """A predictor as float64 in the problem's shape. Raises ValueError when it does not fit or is not finite."""
    array = _finite_array("beta", beta)
    if array.shape == (1, *problem.shape):  # a scikit-learn classifier's coef_
        array = array[0]
    if array.shape != problem.shape:
        raise ValueError(f"beta must have the shape of one predictor, {problem.shape}; got {array.shape}")
    if not array.any():
        raise ValueError("beta is zero, and the zero predictor has no direction to judge")
    return array


def check_multipliers(dual: ArrayLike, problem: MarginProblem) -> Array:
    """Multipliers as float64. Raises ValueError when their shape is not that of the labels or they are not finite."""
    array = _finite_array("dual", dual)
    if array.shape != problem.label_shape:
        raise ValueError(f"dual must have the shape of y, {problem.label_shape}; got {array.shape}")
    return array


def check_options(name: str, options: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """`known` updated by `options`; an option that the method does not have is refused by name."""
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(f"{name} does not take {', '.join(unknown)}; it takes {', '.join(known) or 'no options'}")
    return known | options
