"""Every function on hostile numbers: certified, refused in words, or said to be uncertified; and checks that reject.

The checks and the generators are those of `benchmarks/abuse.py`, which runs many more of them.
"""

from dataclasses import replace
from fractions import Fraction

import abuse
import abuse_check
import numpy as np
import pytest
from abuse_check import Wrong, check_margin, check_refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from solvers import (
    L2,
    Bridge,
    ConvKernel,
    FourierBridge,
    GaussianInit,
    NotSeparableError,
    Regularizer,
    Schatten,
    Status,
    kernel_interpolant,
    max_margin,
    rich_interpolant,
    weighted_spline,
)

REGULARIZERS: list[Regularizer] = [
    L2(), Bridge(1), FourierBridge(1), Bridge(2 / 3), FourierBridge(2 / 3), ConvKernel(1),
]  # fmt: skip
numbers = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True, width=64)
tame = st.floats(-8, 8, allow_subnormal=False).map(lambda v: round(v, 2))
GOOD = ("certified", "not certified", "refused")


@given(
    arrays(np.float64, st.tuples(st.integers(0, 5), st.integers(0, 4)), elements=st.one_of(tame, tame, numbers)),
    st.lists(st.sampled_from([-1.0, 1.0]), min_size=5, max_size=5),
    st.sampled_from(REGULARIZERS),
    st.sampled_from(["C", "F", "read-only"]),
)
@settings(max_examples=150)
def test_max_margin_on_any_numbers(X: np.ndarray, y: list[float], regularizer: Regularizer, order: str) -> None:
    X = np.asfortranarray(X) if order == "F" else X
    X.flags.writeable = order != "read-only"
    ended, why = abuse.outcome(lambda: abuse.checked_margin(X, y[: len(X)], regularizer))
    assert ended in GOOD, why


@given(st.lists(st.tuples(st.one_of(tame, numbers), st.one_of(tame, numbers)), max_size=7))
@settings(max_examples=60)
def test_functions_through_any_points(points: list[tuple[float, float]]) -> None:
    data = [x for x, _ in points], [y for _, y in points]
    for function in ("weighted_spline", "kernel_interpolant", "rich_interpolant"):
        ended, why = abuse.outcome(lambda function=function: abuse.CALLS[function](None, data))
        assert ended in GOOD, (function, why)


@pytest.mark.parametrize("seed", [7, 8])
def test_random_calls_of_every_function(seed: int) -> None:
    for function, what, call in abuse.random_calls(60, seed, tuple(abuse.SHARES)):
        ended, why = abuse.outcome(call)
        assert ended in GOOD, (function, what, why)


def test_adversarial_calls() -> None:
    for function, what, call in abuse.adversarial_calls(tuple(abuse.SHARES)):
        ended, why = abuse.outcome(call)
        assert ended in GOOD, (function, what, why)


RNG = np.random.default_rng(5)
X, y = RNG.standard_normal((6, 9)), np.array([1.0, -1, 1, 1, -1, -1])


@pytest.mark.parametrize("regularizer", [*REGULARIZERS, Schatten(1), ConvKernel(3)], ids=str)
def test_the_checks_reject(regularizer: Regularizer) -> None:
    labels = np.stack([y, -y * y[::-1]], axis=1) if isinstance(regularizer, Schatten) else y
    solution = max_margin(X, labels, regularizer, **({"method": "conic"} if isinstance(regularizer, Schatten) else {}))
    claimed = replace(solution, status=abuse_check.Status.OPTIMAL if regularizer.is_norm else solution.status)
    assert check_margin(X, labels, regularizer, solution) in GOOD
    aside = solution.beta + 1e-3 * RNG.standard_normal(solution.beta.shape) * np.abs(solution.beta).max()
    damaged = [
        replace(claimed, beta=aside),
        replace(claimed, beta=solution.beta * (1 - 1e-6)),
        replace(claimed, objective=solution.objective * (1 + 1e-6)),
        replace(claimed, dual=-solution.dual),
    ]
    if regularizer.is_norm:
        damaged += [
            replace(claimed, lower_bound=solution.lower_bound * (1 + 1e-5)),
            replace(claimed, dual=np.ones_like(solution.dual)),
        ]
    for wrong in damaged:
        with pytest.raises(Wrong):
            check_margin(X, labels, regularizer, wrong)


def test_the_checks_reject_a_false_refusal() -> None:
    with pytest.raises(Wrong, match="a predictor separates"):
        check_refusal(X, y, NotSeparableError(np.full(6, 1 / 6), 1.0))
    with pytest.raises(Wrong, match="no convex combination"):
        check_refusal(X, y, NotSeparableError(np.full(6, 1.0), 0.0))
    with pytest.raises(Wrong, match="Farkas residual"):
        check_refusal(np.eye(2), [1, 1], NotSeparableError(np.full(2, 0.5), 0.0))


def test_outcomes_are_told_apart() -> None:
    def warns() -> str:
        return str(np.float64(1.0) / np.float64(0.0))

    def complains() -> str:
        raise ValueError("operands could not be broadcast together with shapes (2,) (3,)")

    def refuses() -> str:
        raise ValueError("X must be finite; entry (0, 0) is nan. Drop or impute it first.")

    assert [abuse.outcome(call)[0] for call in (warns, complains, refuses)] == ["TRACEBACK", "TRACEBACK", "refused"]


def test_order_and_repetition_of_points_do_not_matter() -> None:
    x, values = RNG.standard_normal(9), RNG.standard_normal(9)
    shuffled = RNG.permutation(np.repeat(np.arange(9), 2))
    at = np.linspace(-2, 2, 7)
    for make in (
        weighted_spline,
        rich_interpolant,
        lambda x, y: kernel_interpolant(x, y, GaussianInit(1.0, 1.0)),
    ):
        np.testing.assert_allclose(make(x[shuffled], values[shuffled])(at), make(x, values)(at), rtol=1e-9, atol=1e-9)


def test_a_margin_that_is_only_rounding_is_no_margin() -> None:
    """Of β = (−c, −c) the margin of row 2 is 0, and a float64 sum may say 1e42; β₁ must be the next number below β₂."""
    points = [[0.0, 9.6e-43], [1e16, -1e16]]
    solution = max_margin(points, [-1, -1], L2())
    assert solution.status is Status.OPTIMAL
    for point in points:
        margin = -sum(Fraction(x) * Fraction(float(b)) for x, b in zip(point, solution.beta, strict=True))
        assert margin >= 1 - Fraction(1, 10**15)
    assert solution.objective == pytest.approx(2**0.5 / 9.6e-43, rel=1e-12)
