"""Labels of any kind: which values there are, in order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array, plain_array


def distinct_labels(y: Any) -> tuple[NDArray[Any], NDArray[np.intp]] | None:
    """The values of labels (N,) in order, and which of them each point has; None for what are no labels of classes.

    Labels are truth values, whole numbers, or words. Words sort by the alphabet, but numbers written as words by their
    size: +1 is more than −1. (`MaxMarginClassifier.classes_` keeps to the alphabet, as scikit-learn does.)

    >>> names, index = distinct_labels(["+1", "-1", "+1"])
    >>> names.tolist(), index.tolist()
    (['-1', '+1'], [1, 0, 1])
    >>> distinct_labels([0.5, 1.0]) is None
    True
    """
    try:
        labels = plain_array(y)
    except (TypeError, ValueError):  # ragged, or words of which some are masked
        return None
    if labels.ndim != 1 or labels.size == 0:
        return None
    if labels.dtype == object and all(isinstance(value, (bool, np.bool_)) for value in labels):
        labels = labels.astype(bool)
    words = labels.dtype.kind in "US" or (labels.dtype == object and all(isinstance(v, str) for v in labels))
    if labels.dtype == object and not words and all(isinstance(v, (int, float)) for v in labels):
        labels = np.asarray(labels.tolist())  # numbers that pandas kept as objects
    whole = labels.dtype.kind in "biu" or (
        labels.dtype.kind == "f" and bool(np.isfinite(labels).all()) and bool((labels == np.round(labels)).all())
    )
    if not (words or whole):
        return None
    names, index = np.unique(labels.astype(str) if words else labels, return_inverse=True)
    sizes = _sizes(names) if words else None
    if sizes is not None:
        order = np.argsort(sizes, kind="stable")
        names, index = names[order], np.argsort(order)[index]
    return names, index


def _sizes(words: NDArray[Any]) -> Array | None:
    """The numbers that these words are; None where one is none."""
    try:
        sizes = words.astype(np.float64)
    except ValueError:
        return None
    return sizes if np.isfinite(sizes).all() else None


def label_names(y: Any) -> NDArray[Any]:
    """The values of labels in order; −1 and 1 where there is only one, or M tasks have labels of their own."""
    found = distinct_labels(y)
    return np.array([-1.0, 1.0]) if found is None or found[0].size < 2 else found[0]
