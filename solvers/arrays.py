"""Arrays: the types that signatures name, and how whatever a caller gives becomes one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


def real_array(name: str, value: ArrayLike | Any) -> Array:
    """`value` as C-contiguous float64; masked entries become nan, a tensor leaves its graph, a sparse matrix is filled.

    Raises ValueError, naming it, for what are no real numbers: numpy would drop an imaginary part, and turn a date, or
    a missing one, into a count of nanoseconds.
    """
    given = type(value).__name__
    try:
        if hasattr(value, "detach"):  # torch
            value = value.detach().cpu()
        elif hasattr(value, "toarray"):  # scipy.sparse
            value = value.toarray()
        elif isinstance(value, list | tuple) and any(map(np.ma.isMaskedArray, value)):
            value = np.ma.array(value)
        array = np.asarray(value)
        if array.dtype.kind in "cmM":
            raise TypeError("complex numbers" if array.dtype.kind == "c" else "dates or durations")
        array = np.asarray(array, dtype=np.float64, order="C")
    except (TypeError, ValueError, RuntimeError) as cause:
        raise ValueError(
            f"{name} must be an array of real numbers; got {given} that does not convert to float64 ({cause})"
        ) from None
    return np.where(np.ma.asarray(value).mask, np.nan, array) if np.ma.is_masked(value) else array
