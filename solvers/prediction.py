"""Scores and labels of new points: what every answer that is a linear predictor says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.arrays import Array
from solvers.validation import check_points


def scores(X: ArrayLike, beta: Array, intercept: float | Array, *, rows: bool) -> Array:
    """⟨x, β⟩ + b, shape (N,); with `rows` one for each row of β, (N, rows).

    Raises ValueError unless X holds finite points of the predictor's shape.
    """
    points, shape = check_points(X), beta.shape[1:] if rows else beta.shape
    if tuple(points.shape[1:]) != shape:
        one = "; for one point use X[None]" if tuple(points.shape) == shape else ""
        raise ValueError(f"X must hold points of shape {shape}, as those that were fitted; got {points.shape}{one}")
    size = int(np.prod(shape))
    flat = points if len(shape) == 1 else points.reshape(points.shape[0], size)
    found = np.asarray(flat @ beta.reshape(-1, size).T) + intercept
    return found if rows else found[:, 0]


def labels_of(values: Array, classes: NDArray[Any]) -> NDArray[Any]:
    """The class of the largest score; of two classes the second where the one score is positive."""
    if classes.size > 2:
        return np.asarray(classes[values.argmax(axis=-1)])
    return np.asarray(classes[(values > 0).astype(np.intp)])
