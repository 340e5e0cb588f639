"""Arrays: the types that signatures name, and how whatever a caller gives becomes one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from inspect import isfunction, signature
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Class = TypeVar("Class", bound=type)


def plain_array(value: ArrayLike | Any) -> NDArray[Any]:
    """`value` as an array of any type: a tensor leaves its graph, a sparse matrix is filled, masked numbers become nan.

    Raises TypeError or ValueError for what is none, and for masked entries that are no numbers.
    """
    if type(value) is np.ndarray:
        return value
    if hasattr(value, "detach"):  # torch
        value = value.detach().cpu()
    elif hasattr(value, "toarray"):  # scipy.sparse
        value = value.toarray()
    with warnings.catch_warnings():  # numpy turns np.ma.masked in a list into nan, which is what it is
        warnings.filterwarnings("ignore", message="Warning: converting a masked element to nan")
        if isinstance(value, list | tuple) and any(map(np.ma.isMaskedArray, value)):
            value = np.ma.array(value)
        array = np.asarray(value)
        if not np.ma.is_masked(value):
            return array
        if array.dtype.kind not in "biufc":
            raise TypeError("masked entries")
        return np.where(np.ma.asarray(value).mask, np.nan, array)


def _number(entry: object) -> float:
    """An entry of an array of objects."""
    if isinstance(entry, np.datetime64 | np.timedelta64):
        raise TypeError("dates or durations")
    return np.nan if entry is None or entry is np.ma.masked else float(entry)  # type: ignore[arg-type]  # TypeError for what is none


def real_array(name: str, value: ArrayLike | Any) -> Array:
    """`value` as C-contiguous float64; what `plain_array` says of masked entries, tensors and sparse matrices.

    Raises ValueError, naming it, for what are no real numbers: numpy would drop an imaginary part, and turn a date, or
    a missing one, into a count of nanoseconds.
    """
    try:
        array = plain_array(value)
        if array.dtype.kind == "c":
            raise TypeError("complex numbers")
        if array.dtype.kind == "O":
            array = np.array([_number(entry) for entry in array.flat]).reshape(array.shape)
        if array.dtype.kind in "mM":
            raise TypeError("dates or durations")
        return np.asarray(array, dtype=np.float64, order="C")
    except (TypeError, ValueError, RuntimeError) as cause:
        raise ValueError(
            f"{name} must be an array of real numbers; got {type(value).__name__} that does not convert to float64 "
            f"({cause})"
        ) from None


def array_methods(**counts: int) -> Callable[[Class], Class]:
    """A class whose methods of these names, and its subclasses', are given arrays of floats whatever a caller gives.

    `counts` says how many of a method's first arguments are arrays. Lists, tensors and sparse matrices are converted;
    what `real_array` refuses, and masked entries, are a ValueError. Arrays of floats and numbers are left as they are,
    and so are methods that are no plain functions, as a `staticmethod`.
    """

    def wrap(cls: type) -> None:
        for name, count in counts.items():
            if isfunction(method := vars(cls).get(name)):
                setattr(cls, name, _given_arrays(method, count))

    def decorate(cls: Any) -> Any:
        def subclassed(sub: Any, /, **options: Any) -> None:
            super(cls, sub).__init_subclass__(**options)
            wrap(sub)

        cls.__init_subclass__ = classmethod(subclassed)
        wrap(cls)
        return cls

    return decorate


def _given_arrays(method: Callable[..., Any], count: int) -> Callable[..., Any]:
    """The method, its first arguments as arrays."""
    declared = [p.name for p in signature(method).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    names = (declared[1:] + count * ["an array"])[:count]  # a decorator may hide them behind *args

    @wraps(method)
    def given(self: Any, *values: Any, **named: Any) -> Any:
        read = [_floats(name, value) for name, value in zip(names, values, strict=False)]
        named = {name: _floats(name, value) if name in names else value for name, value in named.items()}
        return method(self, *read, *values[count:], **named)

    return given


def _floats(name: str, value: Any) -> Any:
    """An array of floats, or a number, as it is; anything else as `real_array` says, without masked entries."""
    if (type(value) is np.ndarray and value.dtype.kind == "f") or isinstance(value, float | int):
        return value
    array = real_array(name, value)
    if np.ma.is_masked(value):
        raise ValueError(f"{name} must be numbers; {int(np.isnan(array).sum())} entries are masked or nan")
    return array
