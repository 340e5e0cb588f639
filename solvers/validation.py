"""Input validation: data come in, are checked once, and become a `MarginProblem`."""

from __future__ import annotations

import reprlib
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse

from solvers.algorithms.float32_points import Float32Points
from solvers.algorithms.signed_rows import SignedRows
from solvers.arrays import Array, plain_array, real_array
from solvers.classes import Classes, ClassProblem
from solvers.labels import distinct_labels
from solvers.problem import MarginProblem
from solvers.regularizers import Regularizer, regularizer_from_name
from solvers.search import Search


def finite_array(name: str, value: ArrayLike) -> Array:
    """`value` as C-contiguous float64. Raises ValueError, naming it, unless all entries are finite real numbers.

    A masked entry is none.
    """
    array = real_array(name, value)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        masked = np.ma.is_masked(value) and bool(np.asarray(np.ma.asarray(value).mask)[where])
        raise ValueError(
            f"{name} must be finite; entry {where} is {'masked' if masked else array[where]} "
            f"({int((~np.isfinite(array)).sum())} such in all). Drop or impute them first."
        )
    return array


def check_labels(y: ArrayLike, n_points: int) -> Array:
    """Labels as float64 of shape (N,) or (N, M), every entry −1 or +1. Raises ValueError otherwise."""
    labels = finite_array("y", y)
    if labels.ndim not in (1, 2) or labels.shape[0] != n_points:
        raise ValueError(
            f"y must have one label per row of X: shape ({n_points},), or ({n_points}, M) for M outputs; "
            f"got shape {labels.shape}"
        )
    values = np.unique(labels)
    if not np.isin(values, (-1.0, 1.0)).all():
        hint = ""
        if np.isin(values, (0.0, 1.0)).all():
            hint = "; for labels (N, M) of 0/1 pass 2*y - 1" if labels.ndim == 2 else ", one class"
        elif labels.ndim == 1 and (values != np.round(values)).any():
            hint = (
                ", which are real numbers. Classes are three values or more, integers or strings; real targets belong "
                'to min_norm(X, y, regularizer), or to training with loss="squared"'
            )
        raise ValueError(f"labels must be −1 or +1; got values {values[:6].tolist()}{hint}")
    return labels


def read_labels(y: ArrayLike, n_points: int) -> tuple[Array, NDArray[Any]]:
    """Labels of two values of any kind as −1 and +1, shape (N,), with these values; ±1 of shape (N, M) as they are.

    Raises ValueError for anything else.
    """
    return _two_labels(y, n_points, distinct_labels(y))


def _two_labels(
    y: ArrayLike, n_points: int, found: tuple[NDArray[Any], NDArray[np.intp]] | None
) -> tuple[Array, NDArray[Any]]:
    """`read_labels`, from the `distinct_labels` found."""
    if found is None or found[0].size > 2 or (found[0].size == 1 and found[0].dtype.kind not in "US"):
        return check_labels(y, n_points), np.array([-1.0, 1.0])
    names, index = found
    if index.size != n_points:
        raise ValueError(f"y must have one label per row of X: shape ({n_points},); got shape {index.shape}")
    if names.size == 1:
        raise ValueError(f"y holds one class, {str(names[0])!r}; a margin is between two classes or more")
    return np.where(index > 0, 1.0, -1.0), names


def check_regularizer(regularizer: object) -> Regularizer:
    """The regularizer, or the one of that name. Raises TypeError for anything else, and says what to pass instead."""
    if isinstance(regularizer, Regularizer):
        return regularizer
    if isinstance(regularizer, str):
        return regularizer_from_name(regularizer)
    if regularizer is None:
        raise TypeError(
            "regularizer is None: this network has no closed-form induced regularizer. Follow the network itself with "
            "gd.flow_limit(model, X, y); for the l2 max margin pass solvers.L2()."
        )
    raise TypeError(
        "regularizer must be a solvers.Regularizer such as L2(), Bridge(1) or FourierBridge(1); "
        f"got {reprlib.repr(regularizer)} of type {type(regularizer).__name__}. "
        "The order is max_margin(X, y, regularizer) and certify(X, y, beta, regularizer). A potential, such as "
        "HyperbolicEntropy, is not homogeneous and has no margin problem: only min_norm takes it."
    )


def check_problem(X: ArrayLike, y: ArrayLike, regularizer: Regularizer, *, by_products: bool = False) -> MarginProblem:
    """Validate data for min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1 and form its constraints.

    Args:
        X: points, shape (N, *shape of β): (N, D), or images (N, H, W). Any real dtype; converted to float64.
        y: labels ±1, shape (N,), or (N, M) for M outputs where R takes several (then X is (N, D) and β is (M, D)); or
            K ≥ 3 classes, shape (N,), integers or strings (then β is (K, *shape of x)).
        regularizer: says which shapes of β it accepts.
        by_products: whether X is only multiplied with vectors, and few of its rows asked for: float32 is kept then.

    Raises:
        TypeError: `regularizer` is none.
        ValueError: not numbers, not finite, no points, shapes that do not match, labels other than ±1.
    """
    regularizer = check_regularizer(regularizer)
    if by_products and (single := float32_points(X)) is not None:
        return _margin_problem(single, float(np.abs(single.values).max(initial=0.0)), y, single.shape, regularizer)
    points = check_points(X)
    if points.ndim < 2:
        raise ValueError(
            f"X must have shape (N, D), one row per point (or (N, H, W) for images); got shape {points.shape}. "
            "For a single point use X[None, :], for a single feature X[:, None]."
        )
    if 0 in points.shape:
        raise ValueError(f"X must hold at least one point with at least one feature; got shape {points.shape}")
    largest = max(float(points.max()), -float(points.min()))
    flat = points if issparse(points) else points.reshape(points.shape[0], -1)
    return _margin_problem(flat, largest, y, points.shape, regularizer)


def _margin_problem(
    flat: Any, largest: float, y: ArrayLike, shape_of_points: tuple[int, ...], regularizer: Regularizer
) -> MarginProblem:
    """The rest of `check_problem`, for points of rows `flat` with this `largest` entry."""
    if largest != 0 and not 1e-100 < largest < 1e100:
        raise ValueError(
            f"the largest entry of X is {largest:.1e}: squares of such numbers leave the range of float64. "
            "Divide X by it; β is then multiplied by it"
        )
    check_rows(flat, largest)
    found = distinct_labels(y)
    if found is not None and found[0].size >= 3:
        return _class_problem(flat, Classes(*found), shape_of_points, regularizer)
    labels, names = _two_labels(y, flat.shape[0], found)
    if labels.ndim == 2 and not regularizer.several_outputs:
        one = "y[:, 0]" if labels.shape[1] == 1 else "y[:, m], one column after the other"
        raise ValueError(
            f"{regularizer} is defined for one output: y must have shape (N,), got {labels.shape}; give {one}"
        )
    if labels.ndim == 2 and len(shape_of_points) != 2:
        raise ValueError(f"with labels (N, M) X must have shape (N, D); got {shape_of_points}")
    shape = shape_of_points[1:] if labels.ndim == 1 else (labels.shape[1], shape_of_points[1])
    regularizer.check_shape(shape)
    return MarginProblem(flat, labels, shape, names=names)


def check_rows(flat: Any, largest: float) -> None:
    """Raise ValueError for a row, not zero, whose square is nothing next to that of the largest."""
    in_rows = SignedRows.of(flat).largest_in_rows()
    small = np.flatnonzero((in_rows > 0) & (in_rows < 1e-100 * max(1.0, largest)))
    if small.size:
        raise ValueError(
            f"the largest entry of row {small[0]} of X is {in_rows[small[0]]:.1e}, that of X {largest:.1e}: squares of "
            f"both do not fit into float64. Multiply the row, or remove it ({small.size} such in all)"
        )


def _class_problem(
    flat: Any, classes: Classes, points_shape: tuple[int, ...], regularizer: Regularizer
) -> ClassProblem:
    if classes.index.size != points_shape[0]:
        raise ValueError(
            f"y must have one label per row of X: shape ({points_shape[0]},); got shape {classes.index.shape}"
        )
    shape = (classes.names.size, *points_shape[1:])
    regularizer.of_rows().check_shape(shape)
    index = classes.index.astype(np.float64)
    return ClassProblem(flat, index, shape, names=classes.names, classes=classes)


def float32_points(X: ArrayLike | Any) -> Float32Points | None:
    """X (N, D) in float32, an array or a tensor, as it is; None for anything else, and for entries not finite."""
    if type(X) is not np.ndarray and not hasattr(X, "detach"):
        return None
    array = plain_array(X)
    plain = array.dtype == np.float32 and array.ndim == 2 and array.size > 0
    return Float32Points(np.ascontiguousarray(array)) if plain and np.isfinite(array).all() else None


def check_points(X: ArrayLike | Any) -> Any:
    """X as float64: an array, or a scipy sparse array in CSR format. Raises ValueError for entries not finite."""
    if not issparse(X):
        return finite_array("X", X)
    points = csr_array(X)
    return csr_array((finite_array("the entries of X", points.data), points.indices, points.indptr), points.shape)


def check_beta(beta: ArrayLike, problem: MarginProblem) -> Array:
    """A predictor as float64 in the problem's shape. Raises ValueError when it does not fit or is not finite."""
    array = finite_array("beta", beta)
    if array.shape == (1, *problem.shape):  # a scikit-learn classifier's coef_
        array = array[0]
    if array.shape != problem.shape:
        raise ValueError(f"beta must have the shape of one predictor, {problem.shape}; got {array.shape}")
    if not array.any():
        raise ValueError("beta is zero, and the zero predictor has no direction to certify")
    return array


def check_multipliers(dual: ArrayLike, problem: MarginProblem) -> Array:
    """Multipliers as float64. Raises ValueError when their shape is not that of the labels or they are not finite."""
    array = finite_array("dual", dual)
    if array.shape != problem.label_shape:
        raise ValueError(
            f"dual must have the shape of y, {problem.label_shape}; got {array.shape} (for K classes it is (N, K − 1))"
        )
    return array


def check_search(
    problem: MarginProblem,
    regularizer: Regularizer,
    method: Literal["auto", "conic"],
    *,
    tol: float,
    n_starts: int | None,
    seed: int | None,
    start: ArrayLike | None,
) -> Search:
    """The parameters of the method that solves the problem.

    Raises:
        TypeError: an option was given that this method does not use.
        ValueError: a value out of its range.
    """
    if method not in ("auto", "conic"):
        raise ValueError(f'method must be "auto" or "conic"; got {method!r}')
    given = {"n_starts": n_starts, "seed": seed, "start": start}
    used = regularizer.search_options if method == "auto" else ()
    unused = [name for name, value in given.items() if value is not None and name not in used]
    if unused:
        whose = f"max_margin with {regularizer}" if method == "auto" else 'max_margin with method="conic"'
        raise TypeError(f"{whose} does not take {', '.join(unused)}; it takes {', '.join(used) or 'no options'}")
    return Search(
        tol=check_tolerance(tol),
        n_starts=check_starts(8 if n_starts is None else n_starts),
        seed=0 if seed is None else seed,
        start=None if start is None else check_beta(start, problem),
    )


def check_tolerance(tol: float) -> float:
    """`tol`. Raises ValueError unless 0 < tol < 1."""
    if not 0 < tol < 1:
        raise ValueError(f"tol must be a relative violation between 0 and 1, such as 1e-9; got {tol!r}")
    return tol


def check_starts(n_starts: int) -> int:
    """`n_starts`. Raises ValueError unless it is at least 1."""
    if n_starts < 1:
        raise ValueError(f"n_starts must be at least 1; got {n_starts}")
    return n_starts
