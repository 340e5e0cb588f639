"""One-input data made fit for a spline: finite, sorted, every x once. All validation of such data is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.arrays import Array, real_array

Linear = Literal["free", "penalized"]
"""Whether adding a line changes nothing, or a line counts like every other function."""

LARGEST = 1e100
"""Of |x|, |y|, slopes, and 1/distances."""


@dataclass(frozen=True)
class SplineData:
    """Distinct ascending x, their y (f₀ subtracted) and weights ω, each of shape (M,)."""

    x: Array
    y: Array
    weights: Array


def spline_data(
    x: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    initial: Callable[[Array], Array] | None = None,
    *,
    merge_unequal: bool = False,
) -> SplineData:
    """Sort, merge repeated x, subtract f₀.

    A repeated x with one y becomes one point of added weight. With different y it is an error, unless
    `merge_unequal`: then it becomes the weighted mean, which moves the sum of squares by a constant only.

    Raises ValueError when shapes differ or are not (M,) with M ≥ 1, a number is not finite, a weight is not positive,
    or (without `merge_unequal`) one x carries different y.

    >>> spline_data([1.0, 0.0, 1.0], [2.0, 5.0, 2.0])
    SplineData(x=array([0., 1.]), y=array([5., 2.]), weights=array([1., 2.]))
    """
    x, y = real_array("x", x).copy(), real_array("y", y).copy()
    if x.ndim != 1 or x.shape != y.shape or x.size == 0:
        raise ValueError(
            f"x and y must be one-dimensional of one length ≥ 1, got shapes {x.shape} and {y.shape}; a one-input "
            "network's inputs of shape (M, 1) are given as X[:, 0]"
        )
    omega = np.ones_like(x) if weights is None else real_array("weights", weights).copy()
    if omega.shape != x.shape:
        raise ValueError(f"weights must have one entry per point, shape {x.shape}, got {omega.shape}")
    for name, values in (("x", x), ("y", y), ("weights", omega)):
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise ValueError(f"{name} holds {bad.size} number(s) that are not finite, the first at index {bad[0]}")
    if np.any(omega <= 0):
        raise ValueError(f"weights must be positive, the smallest is {omega.min():g}; leave out points of weight zero")
    if np.any(x[1:] < x[:-1]):
        order = np.argsort(x, kind="stable")
        x, y, omega = x[order], y[order], omega[order]
    repeated = x[1:] == x[:-1]
    if repeated.any():
        x, y, omega = _merged(x, y, omega, repeated, merge_unequal)
    if initial is not None:
        y = y - np.asarray(initial(x), dtype=np.float64).reshape(x.shape)
    _check_range(x, y)
    return SplineData(x, y, omega)


def check_linear(linear: str) -> None:
    """Raise ValueError for what is not a `Linear`."""
    if linear not in get_args(Linear):
        raise ValueError(f"linear={linear!r}: choose 'free' (adding a line changes nothing) or 'penalized' (it counts)")


def _check_range(x: Array, y: Array) -> None:
    """Energies are of the order of slope²/(x_{i+1} − x_i): all three must stay well inside the range of float64."""
    if np.abs(x).max() > LARGEST or np.diff(x).min(initial=np.inf) < 1.0 / LARGEST:
        raise ValueError(
            f"x runs from {x[0]:.3g} to {x[-1]:.3g}; magnitudes above {LARGEST:g} or distances below {1 / LARGEST:g} "
            "leave the range of float64 when squared. Choose another unit for x"
        )
    steepest = float(np.abs(np.diff(y / LARGEST) / np.diff(x)).max(initial=0.0))
    if np.abs(y).max() > LARGEST or steepest > 1.0:
        raise ValueError(
            f"y reaches {np.abs(y).max():.3g}, its slopes {steepest:.3g} times {LARGEST:g}; above {LARGEST:g} squares "
            "leave the range of float64. Choose another unit for y, or merge points that lie too close"
        )


def _merged(
    x: Array, y: Array, omega: Array, repeated: NDArray[np.bool_], merge_unequal: bool
) -> tuple[Array, Array, Array]:
    differing = np.flatnonzero(repeated & (y[1:] != y[:-1]))
    if differing.size and not merge_unequal:
        i = int(differing[0])
        raise ValueError(
            f"x = {float(x[i])} appears with different values y = {float(y[i])} and y = {float(y[i + 1])}: no function "
            "passes through both. Average them, remove one, or pass smoothing > 0"
        )
    start = np.flatnonzero(np.concatenate([[True], ~repeated]))
    merged = np.add.reduceat(omega, start)
    mean = np.add.reduceat(omega * y, start) / merged if differing.size else y[start]
    return x[start], mean, merged
