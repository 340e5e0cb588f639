"""Every damaged or unusual input: the right answer, or one clear error that names what came and what to do."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog
from scipy.sparse import csr_array, csr_matrix
from torch import tensor

from solvers import (
    L2,
    Bridge,
    ConstantWeight,
    ConvKernel,
    FourierBridge,
    GaussianInputs,
    NotSeparableError,
    QuasiNorm,
    Regularizer,
    Schatten,
    Status,
    certify,
    max_margin,
    rich_interpolant,
    vector_interpolant,
    weighted_spline,
)
from solvers.regularizers import regularizer_from_name

REGULARIZERS: list[Regularizer] = [L2(), Bridge(1), FourierBridge(1), Bridge(2 / 3), FourierBridge(2 / 3)]
RNG = np.random.default_rng(41)
X = RNG.standard_normal((6, 8))
y = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])


def replaced(array: np.ndarray, value: Any, at: tuple[int, ...]) -> np.ndarray:
    copy = array.copy()
    copy[at] = value
    return copy


REFUSED: list[tuple[str, Any, Any, str]] = [
    ("NaN in X", replaced(X, np.nan, (2, 3)), y, r"X must be finite; entry \(2, 3\) is nan"),
    ("masked X", np.ma.array(X, mask=X < -1), y, r"X must be finite; entry \(\d, \d\) is masked"),
    ("rows of masked X", list(np.ma.array(X, mask=X < -1)), y, r"X must be finite; entry \(\d, \d\) is"),
    ("masked y", X, np.ma.array(y, mask=y < 0), r"y must be finite; entry \(1,\) is masked"),
    ("NaT", np.full((6, 8), np.datetime64("NaT", "s")), y, r"X must be an array of real numbers.*dates or durations"),
    ("dates among objects", replaced(X.astype(object), np.datetime64("2020-01-01"), (0, 0)), y, r"dates or durations"),
    ("durations among objects", replaced(X.astype(object), np.timedelta64(3, "s"), (5, 7)), y, r"dates or durations"),
    ("masked among objects", replaced(X.astype(object), np.ma.masked, (1, 2)), y, r"entry \(1, 2\) is nan"),
    ("masked in a list", [[1.0, np.ma.masked], [2.0, 3.0]], [1, -1], r"entry \(0, 1\) is nan"),
    ("masked labels in a list", X[:3], [1, np.ma.masked, -1], r"y must be finite"),
    ("durations", np.ones((6, 8), "timedelta64[s]"), y, r"X must be an array of real numbers.*dates or durations"),
    ("a frame with dates", pd.DataFrame({"a": pd.to_datetime(["2020-01-01", None])}), [1, -1], r"X must be an array"),
    ("inf in X", replaced(X, np.inf, (0, 0)), y, r"X must be finite; entry \(0, 0\) is inf"),
    ("-inf in X", replaced(X, -np.inf, (5, 7)), y, r"X must be finite; entry \(5, 7\) is -inf"),
    ("NaN in y", X, replaced(y, np.nan, (4,)), r"y must be finite; entry \(4,\) is nan"),
    ("X is one point, flat", X[0], y[:1], r"X must have shape \(N, D\).*got shape \(8,\).*X\[None, :\]"),
    ("X is a number", 3.0, [1], r"X must have shape \(N, D\).*got shape \(\)"),
    ("too few labels", X, y[:5], r"one label per row of X: shape \(6,\).*got shape \(5,\)"),
    ("too many labels", X, np.append(y, 1), r"one label per row of X: shape \(6,\).*got shape \(7,\)"),
    ("one label", X, 1.0, r"one label per row of X.*got shape \(\)"),
    ("cubic labels", X, np.ones((6, 2, 2)), r"one label per row of X.*got shape \(6, 2, 2\)"),
    ("labels (N, M) of 0/1", X, np.eye(2)[[0, 1] * 3], r"labels must be −1 or \+1; .*2\*y - 1"),
    ("labels of one class", X, np.zeros(6), r"labels must be −1 or \+1; got values \[0.0\], one class"),
    ("real labels", X, np.arange(6) / 2, r"labels must be −1 or \+1; .*real numbers.*min_norm"),
    ("classes of too few points", X, np.arange(5), r"one label per row of X"),
    ("labels near one", X, y * (1 + 1e-9), r"labels must be −1 or \+1"),
    ("one word", X, ["cat"] * 6, r"y holds one class, 'cat'"),
    ("too few words", X, ["cat", "dog"], r"one label per row of X: shape \(6,\)"),
    ("no points", np.empty((0, 8)), np.empty(0), r"at least one point.*got shape \(0, 8\)"),
    ("no features", np.empty((6, 0)), y, r"at least one feature; got shape \(6, 0\)"),
    ("complex X", X + 1j, y, r"X must be an array of real numbers.*complex"),
    ("ragged X", [[1.0, 2.0], [3.0]], [1, -1], r"X must be an array of real numbers; got list"),
    ("text X", [["a", "b"]], [1], r"X must be an array of real numbers; got list"),
    ("None", None, y, r"X must"),
    ("a frame with text", pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), [1, -1], r"X must be an array of real"),
    ("entries beyond the square root of the largest float", X * 1e150, y, r"largest entry of X is .*Divide X by it"),
    ("a row below that of the others", np.vstack([X[:-1], 1e-150 * X[-1:]]), y, r"row \d+ of X is .*remove it"),
    ("entries below that of the smallest", X * 1e-150, y, r"largest entry of X is .*Divide X by it"),
    ("a row of zeros", replaced(X, 0.0, (3,)), y, r"not linearly separable through the origin"),
    ("nothing but zeros", np.zeros((6, 8)), y, r"not linearly separable through the origin"),
    ("one zero", [[0.0]], [1], r"not linearly separable through the origin"),
    ("contradictory duplicates", X[[0, 0]], [1, -1], r"not linearly separable through the origin.*n in \[0, 1\]"),
    ("opposite points of one class", [[1.0, 2.0], [-1.0, -2.0]], [1, 1], r"not linearly separable"),
]  # fmt: skip


@pytest.mark.parametrize("method", ["auto", "conic"])
@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=str)
@pytest.mark.parametrize(("points", "labels", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(points: Any, labels: Any, message: str, regularizer: Regularizer, method: Any) -> None:
    if method == "conic" and not regularizer.is_norm:
        return
    with pytest.raises(ValueError, match=message):
        max_margin(points, labels, regularizer, method=method)


@pytest.mark.parametrize(("points", "labels", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused_by_certify_too(points: Any, labels: Any, message: str) -> None:
    try:
        shape = np.real(np.asarray(points) * 1.0).shape[1:] or (1,)
    except (TypeError, ValueError, UserWarning):  # numpy warns of np.ma.masked in a list
        shape = (1,)
    with pytest.raises(ValueError, match=message):
        certify(points, labels, np.ones(shape), L2())


class Strange:
    """An object that only numpy's array protocol can read."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(X, dtype=dtype)


ACCEPTED: list[tuple[str, Callable[[], Any], Callable[[], Any], float]] = [
    ("lists", lambda: X.tolist(), lambda: y.tolist(), 0.0),
    ("Fortran order", lambda: np.asfortranarray(X), lambda: y, 0.0),
    ("a strided view", lambda: np.repeat(X, 2, axis=1)[:, ::2], lambda: y, 0.0),
    ("reversed view", lambda: X[::-1, ::-1][::-1, ::-1], lambda: y, 0.0),
    ("big-endian", lambda: X.astype(">f8"), lambda: y.astype(">f8"), 0.0),
    ("read-only", lambda: np.broadcast_to(X, X.shape), lambda: y, 0.0),
    ("integer labels", lambda: X, lambda: y.astype(np.int8), 0.0),
    ("labels 0/1", lambda: X, lambda: (y + 1) / 2, 0.0),
    ("labels 1/2", lambda: X, lambda: np.where(y > 0, 2, 1), 0.0),
    ("truth values", lambda: X, lambda: y > 0, 0.0),
    ("words", lambda: X, lambda: np.where(y > 0, "dog", "cat"), 0.0),
    ("numbers as words, by size", lambda: X, lambda: np.where(y > 0, "10", "9").astype(object), 0.0),
    ("a categorical series", lambda: X, lambda: pd.Series(np.where(y > 0, "dog", "cat")).astype("category"), 0.0),
    ("a DataFrame and a Series", lambda: pd.DataFrame(X), lambda: pd.Series(y), 0.0),
    ("nullable integers", lambda: X, lambda: pd.Series(y.astype(int), dtype="Int64"), 0.0),
    ("array protocol", Strange, lambda: y, 0.0),
    ("objects that are numbers", lambda: X.astype(object), lambda: y, 0.0),
    ("float32", lambda: X.astype(np.float32), lambda: y.astype(np.float32), 1e-5),
    ("a mask that hides nothing", lambda: np.ma.array(X, mask=False), lambda: np.ma.array(y), 0.0),
    ("a sparse matrix", lambda: csr_matrix(X), lambda: y, 1e-14),
    ("a sparse array", lambda: csr_array(X), lambda: y, 1e-14),
    ("tensors in a graph", lambda: tensor(X, requires_grad=True), lambda: tensor(y, requires_grad=True), 0.0),
    ("longdouble", lambda: X.astype(np.longdouble), lambda: y, 0.0),
]


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=str)
@pytest.mark.parametrize(("points", "labels", "atol"), [a[1:] for a in ACCEPTED], ids=[a[0] for a in ACCEPTED])
def test_accepted_in_any_dress(points: Any, labels: Any, atol: float, regularizer: Regularizer) -> None:
    plain = max_margin(X, y, regularizer)
    solution = max_margin(points(), labels(), regularizer)
    assert solution.beta.dtype == np.float64
    np.testing.assert_allclose(solution.beta, plain.beta, rtol=0, atol=atol)
    assert solution.certificate.worst <= 1e-9


def test_inputs_are_not_written_to() -> None:
    points, labels = X.copy(), y.copy()
    for array in (points, labels):
        array.flags.writeable = False
    for regularizer in REGULARIZERS:
        max_margin(points, labels, regularizer)
        max_margin(np.asfortranarray(points), labels, regularizer)
    np.testing.assert_array_equal(points, X)


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=str)
def test_integers_booleans_and_one_class(regularizer: Regularizer) -> None:
    grid = np.array([[3, 1, 0], [0, 2, 1], [1, 0, 4]])
    solution = max_margin(grid, [1, 1, 1], regularizer)  # one class is a fine margin problem through the origin
    np.testing.assert_allclose(solution.beta, max_margin(grid.astype(float), np.ones(3), regularizer).beta)
    assert (grid @ solution.beta).min() == pytest.approx(1)
    mask = grid > 0
    np.testing.assert_allclose(
        max_margin(mask, [1, 1, 1], regularizer).beta, max_margin(mask.astype(int), [1, 1, 1], regularizer).beta
    )


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=str)
@pytest.mark.parametrize(
    ("n", "d"), [(1, 1), (1, 2), (2, 1), (50, 1), (1, 500), (3, 400), (300, 2), (300, 3), (2, 2), (9, 5)]
)
def test_every_aspect_ratio(regularizer: Regularizer, n: int, d: int) -> None:
    rng = np.random.default_rng(n * 1000 + d)
    points, direction = rng.standard_normal((n, d)), rng.standard_normal(d)
    labels = np.sign(points @ direction)
    points += 0.1 * labels[:, None] * np.sign(direction)  # keeps the margin away from zero at N ≫ D
    solution = max_margin(points, labels, regularizer)
    assert solution.status is (Status.OPTIMAL if regularizer.is_norm else Status.STATIONARY)
    assert solution.certificate.worst <= 1e-9
    assert solution.beta.shape == (d,)
    assert solution.dual.shape == (n,)
    assert (labels * (points @ solution.beta)).min() == pytest.approx(1, abs=1e-10)
    if d == 1:  # β = ±1/min|x|, whatever R
        assert abs(solution.beta[0]) == pytest.approx(1 / np.abs(points).min(), rel=1e-12)


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=str)
@pytest.mark.parametrize("scale", [1e-90, 1e-8, 1e8, 1e90])
def test_units_do_not_matter(regularizer: Regularizer, scale: float) -> None:
    plain, scaled = max_margin(X, y, regularizer), max_margin(scale * X, y, regularizer)
    assert scaled.certificate.worst <= 1e-9
    assert scaled.objective * scale == pytest.approx(plain.objective, rel=1e-9)
    assert scaled.unique is plain.unique


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=str)
@pytest.mark.parametrize("pattern", ["half up, half down", "one column up", "one column down"])
def test_columns_scaled_by_1e8(regularizer: Regularizer, pattern: str) -> None:
    scale = np.ones(8)
    if pattern == "half up, half down":
        scale = np.where(np.arange(8) % 2, 1e8, 1e-8)
    else:
        scale[3] = 1e8 if pattern.endswith("up") else 1e-8
    solution = max_margin(X * scale, y, regularizer)
    # Next to a column of 1e8 the others' β and α are of order one, and both Aβ and Aᵀα sum terms of 1e8 that cancel:
    # the rounding of β and α alone is then 1e8·ε times a few, and the status must say that 1e-9 was not reached.
    limit = 1e-7 if pattern == "one column up" else 1e-9
    assert (y * ((X * scale) @ solution.beta)).min() >= 1 - limit
    assert solution.certificate.worst <= limit
    assert (solution.status is Status.INACCURATE) == (solution.certificate.worst > 1e-9)
    if regularizer == Bridge(1) and pattern != "half up, half down":
        # the same program in coordinates of order one, β_d = b_d/scale_d (costs over 16 decades are beyond HiGHS)
        cost = np.tile(1 / scale, 2)
        signed = y[:, None] * X
        program = linprog(cost, A_ub=-np.hstack([signed, -signed]), b_ub=-np.ones(6), method="highs")
        assert solution.objective == pytest.approx(program.fun, rel=1e-7)


@pytest.mark.parametrize(
    ("make", "given", "wanted"),
    [
        (Bridge, (-1, 0, np.nan, -np.inf, "2", None, True), "0 < p ≤ inf"),
        (FourierBridge, (-1, 0, np.nan, 3, np.inf, "2"), "0 < p ≤ 1, or 2;"),
        (Schatten, (-1, 0, np.nan, 3, -np.inf, "2"), "0 < p ≤ 1, or 2, or inf for the spectral norm"),
    ],
)
def test_an_exponent_out_of_range_is_named_with_the_range(make: Any, given: tuple[Any, ...], wanted: str) -> None:
    for p in given:
        with pytest.raises(ValueError, match=re.escape(f"{make.__name__}(p={p!r}): p must be a number with {wanted}")):
            make(p)


@pytest.mark.parametrize("kind", ["bridge", "fourier", "schatten", "kernel"])
@pytest.mark.parametrize("number", ["-1", "0", "nan", "-inf", "1/0", "2/-3", "abc", "", "1:2", "1e999999999/1"])
def test_a_bad_number_in_a_name_is_told_with_its_range(kind: str, number: str) -> None:
    letter, wanted = ("K", "1, 2, 3, …") if kind == "kernel" else ("P", "0 < P ≤")
    with pytest.raises(ValueError, match=rf"in {kind}:{letter}, {letter} is a .*{wanted}.*; got '{number}'$"):
        regularizer_from_name(f"{kind}:{number}")


def test_numbers_in_names() -> None:
    assert regularizer_from_name("bridge:inf") == Bridge(np.inf)
    assert regularizer_from_name("schatten:inf") == Schatten(np.inf)
    assert regularizer_from_name("bridge:2e-1") == Bridge(0.2)
    assert regularizer_from_name("fourier:2/3") == FourierBridge(2 / 3)
    assert regularizer_from_name("schatten") == Schatten(1.0)
    for name in ("conv_kernel:0", "nuclear:1", "l1:2", "BRIDGE:1"):
        with pytest.raises(ValueError, match=r"names no regularizer: write .*kernel:K"):
            regularizer_from_name(name)


OPTIONS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("tol zero", {"tol": 0.0}, ValueError, "tol must be a relative violation"),
    ("tol negative", {"tol": -1e-9}, ValueError, "tol must be"),
    ("tol NaN", {"tol": float("nan")}, ValueError, "tol must be"),
    ("method unknown", {"method": "cvxpy"}, ValueError, '"auto" or "conic"; got \'cvxpy\''),
    ("an option of another method", {"n_starts": 3}, TypeError, "does not take n_starts; it takes no options"),
    ("a misspelt option", {"tolerance": 1e-9}, TypeError, "unexpected keyword argument 'tolerance'"),
    ("a name of no regularizer", {"regularizer": "lasso"}, ValueError, "'lasso' names no regularizer: write l2, l1"),
    ("a class for a regularizer", {"regularizer": Bridge}, TypeError, "regularizer must be a solvers.Regularizer"),
    ("no conic form", {"regularizer": Bridge(0.5), "method": "conic"}, ValueError, "no conic form"),
    ("an option of the conic method", {"method": "conic", "seed": 1}, TypeError, '"conic" does not take seed'),
    ("n_starts", {"regularizer": Bridge(0.5), "n_starts": 0}, ValueError, "n_starts must be at least 1; got 0"),
    ("start misshapen", {"regularizer": Bridge(0.5), "start": np.ones(3)}, ValueError, r"shape.*\(8,\); got \(3,\)"),
    ("start zero", {"regularizer": Bridge(0.5), "start": np.zeros(8)}, ValueError, "zero"),
    ("start NaN", {"regularizer": Bridge(0.5), "start": np.full(8, np.nan)}, ValueError, "must be finite"),
    ("a bridge option misspelt", {"regularizer": Bridge(0.5), "starts": 4}, TypeError, "argument 'starts'"),
    ("start for a kernel", {"regularizer": ConvKernel(2), "start": np.ones(8)}, TypeError, "it takes n_starts, seed"),
    ("no regularizer", {"regularizer": None}, TypeError, r"no closed-form.*gd\.flow_limit.*L2\(\)"),
    ("Schatten below one", {"regularizer": Schatten(0.5)}, ValueError, "matrices"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error", "message"), [o[1:] for o in OPTIONS], ids=[o[0] for o in OPTIONS])
def test_options_are_refused_by_name(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        max_margin(X, y, **({"regularizer": L2()} | options))


class HalfPower(QuasiNorm):
    """‖β‖_{1/2} without a method of its own."""

    def value(self, beta: Any) -> float:
        return Bridge(0.5).value(beta)

    def support_system(self, beta: Any, z: Any) -> Any:
        return Bridge(0.5).support_system(beta, z)


def test_shapes_a_regularizer_has_no_meaning_for() -> None:
    with pytest.raises(ValueError, match=r"signals \(D,\) and images \(H, W\).*ConvKernel"):
        max_margin(np.ones((2, 3, 4, 4)), [1, 1], FourierBridge(1))
    with pytest.raises(ValueError, match=r"labels of shape \(N, outputs\)"):
        max_margin(X, y, Schatten(1))
    with pytest.raises(ValueError, match=r"with labels \(N, M\) X must have shape \(N, D\)"):
        max_margin(np.ones((6, 2, 2)), np.ones((6, 2)), Schatten(1))
    for regularizer in (FourierBridge(1), FourierBridge(0.5), ConvKernel(2)):
        with pytest.raises(ValueError, match=r"one output: y must have shape \(N,\), got \(6, 1\); give y\[:, 0\]"):
            max_margin(X, y[:, None], regularizer)
        with pytest.raises(ValueError, match=r"got \(6, 2\); give y\[:, m\], one column"):
            max_margin(X, np.stack([y, y], axis=1), regularizer)
    with pytest.raises(ValueError, match="nonconvex and has no solver here"):
        max_margin(X, y, HalfPower())


@pytest.mark.parametrize(
    ("beta", "message"),
    [
        (np.ones(7), r"shape of one predictor, \(8,\); got \(7,\)"),
        (np.ones((2, 8)), r"shape of one predictor"),
        (np.zeros(8), "beta is zero"),
        (np.full(8, np.nan), "beta must be finite"),
        (["a"] * 8, "beta must be an array of real numbers"),
    ],
)
def test_predictors_that_cannot_be_certified(beta: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certify(X, y, beta, L2())


def test_multipliers_that_cannot_be_certified() -> None:
    with pytest.raises(ValueError, match=r"dual must have the shape of y, \(6,\); got \(5,\)"):
        certify(X, y, np.ones(8), L2(), dual=np.ones(5))
    with pytest.raises(ValueError, match="dual must be finite"):
        certify(X, y, np.ones(8), L2(), dual=np.full(6, np.inf))


def test_errors_are_of_the_kinds_a_caller_catches() -> None:
    assert issubclass(NotSeparableError, ValueError)
    with pytest.raises(NotSeparableError):
        certify(X[[0, 0]], [1, -1], np.ones(8), L2())


@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), Bridge(2 / 3)], ids=str)
def test_labels_in_columns(regularizer: Regularizer) -> None:
    """Entrywise norms of one output are those of the vector; ‖·‖₁ and ‖·‖₂² of several add up output by output."""
    one = max_margin(X, y, regularizer)
    column = max_margin(X, y[:, None], regularizer)
    np.testing.assert_allclose(column.beta[0], one.beta, rtol=0, atol=1e-12)
    assert column.beta.shape == (1, 8)
    assert column.dual.shape == (6, 1)
    if regularizer.is_norm:
        other = max_margin(X, y * [1, 1, -1, 1, -1, 1], regularizer)
        both = max_margin(X, np.stack([y, y * [1, 1, -1, 1, -1, 1]], axis=1), regularizer)
        power = 2 if regularizer == L2() else 1
        assert both.objective**power == pytest.approx(one.objective**power + other.objective**power, rel=1e-12)


MASKED = np.ma.array([0.0, 1.0, 2.0, 3.0], mask=[False, True, False, False])


def test_what_is_hidden_is_not_evaluated() -> None:
    """Where a function of x is asked for hidden or missing x, its value there is nan, as it is for nan."""
    line, plane = (
        rich_interpolant([0, 1, 3], [1, 0, 2]),
        vector_interpolant(X, y, GaussianInputs(1.0, 1.0), "penalized"),
    )
    for function in (line, weighted_spline([0, 1, 3], [1, 0, 2], ConstantWeight())):
        np.testing.assert_array_equal(np.isnan(function(MASKED)), MASKED.mask)
        with pytest.raises(ValueError, match="dates"):
            function(np.full(2, np.datetime64("2020-01-01")))
    np.testing.assert_array_equal(np.isnan(plane(np.ma.array(X, mask=X > 1))), (X > 1).any(axis=1))
    np.testing.assert_allclose(plane(tensor(X, requires_grad=True)), plane(X), rtol=1e-12)
