"""Labels of any kind: which values there are, in order, and two of them as −1 and +1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array


def distinct_labels(y: Any) -> tuple[NDArray[Any], NDArray[np.intp]] | None:
    """The values of labels (N,) in order, and which of them each point has; None for what are no labels of classes.

    Labels are truth values, whole numbers, or words. Words sort by the alphabet, but numbers written as words by their
    size.

    >>> names, index = distinct_labels(["10", "9", "10"])
    >>> names.tolist(), index.tolist()
    (['9', '10'], [1, 0, 1])
    >>> distinct_labels([0.5, 1.0]) is None
    True
    """
    given = y.detach().cpu().numpy() if hasattr(y, "detach") else y
    if np.ma.is_masked(given):
        return None
    try:
        labels = np.asarray(given)
    except ValueError:  # ragged
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
    if words and all(name.lstrip("+-").isdecimal() and len(name) < 16 for name in names):
        order = np.argsort(names.astype(np.int64), kind="stable")
        names, index = names[order], np.argsort(order)[index]
    return names, index


def label_names(y: Any) -> NDArray[Any]:
    """The values of labels in order; −1 and 1 where there is only one, or M tasks have labels of their own."""
    found = distinct_labels(y)
    return np.array([-1.0, 1.0]) if found is None or found[0].size < 2 else found[0]


def two_labels(y: Any) -> tuple[Array, NDArray[Any]] | None:
    """Labels of two values as −1, for the smaller, and +1, with the two values; None for anything else.

    >>> two_labels(["yes", "no", "yes"])
    (array([ 1., -1.,  1.]), array(['no', 'yes'], dtype='<U3'))
    """
    found = distinct_labels(y)
    if found is None or found[0].size != 2:
        return None
    return np.where(found[1] > 0, 1.0, -1.0), found[0]
