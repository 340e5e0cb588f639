"""Not separable: the Farkas certificate, multiplied out. Separable by a hair: the right answer or an honest refusal."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from solvers import (
    L2,
    Bridge,
    FourierBridge,
    IllConditionedError,
    NotSeparableError,
    Regularizer,
    Schatten,
    Status,
    max_margin,
)

CONVEX: list[Regularizer] = [L2(), Bridge(1), Bridge(2), FourierBridge(1), FourierBridge(2)]
ALL = [*CONVEX, Bridge(2 / 3), FourierBridge(0.5)]


def check_farkas(error: NotSeparableError, X: np.ndarray, y: np.ndarray) -> None:
    """α ≥ 0, Σα = 1 and Σ α_n y_n x_n = 0, so Σ α_n y_n⟨x_n, β⟩ = 0 for every β: no β has all margins positive."""
    alpha = error.farkas
    assert alpha.shape == y.shape
    assert (alpha >= 0).all()
    assert alpha.sum() == pytest.approx(1, rel=1e-14)
    combination = np.einsum("n,n,n...->...", alpha, y, X)
    # each coordinate of the sum has rounding ε max|x|; the certificate itself promises the same order
    assert np.linalg.norm(combination) <= 1e-12 * np.linalg.norm(X.reshape(len(X), -1), axis=1).max()
    assert error.residual <= 1e-12


def random_labels(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), np.where(rng.random(n) < 0.5, -1.0, 1.0)


@pytest.mark.parametrize("regularizer", ALL, ids=str)
@pytest.mark.parametrize(("n", "d"), [(60, 4), (30, 9), (40, 1)])
def test_random_labels_beyond_capacity(regularizer: Regularizer, n: int, d: int) -> None:
    X, y = random_labels(n, d, seed=d)
    with pytest.raises(NotSeparableError, match="not linearly separable through the origin") as caught:
        max_margin(X, y, regularizer)
    check_farkas(caught.value, X, y)


@pytest.mark.parametrize("regularizer", CONVEX, ids=str)
def test_the_conic_method_refuses_with_the_same_certificate(regularizer: Regularizer) -> None:
    X, y = random_labels(30, 4, seed=1)
    with pytest.raises(NotSeparableError) as caught:
        max_margin(X, y, regularizer, method="conic")
    check_farkas(caught.value, X, y)


def test_several_outputs() -> None:
    X, y = random_labels(30, 4, seed=2)
    labels = np.stack([np.sign(X[:, 0]), y], axis=1)  # the first output separates, the second does not
    with pytest.raises(NotSeparableError) as caught:
        max_margin(X, labels, Schatten(1))
    alpha = caught.value.farkas
    assert alpha.shape == labels.shape
    assert alpha[:, 0].sum() <= 1e-10
    np.testing.assert_allclose(np.einsum("nm,nm,nd->md", alpha, labels, X), 0, atol=1e-12)


@pytest.mark.parametrize("regularizer", ALL, ids=str)
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_contradictory_duplicates_and_a_zero_row(regularizer: Regularizer, scale: float) -> None:
    X = scale * np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0], [1.0, 2.0, 3.0]])
    y = np.array([1.0, 1.0, -1.0])
    with pytest.raises(NotSeparableError) as caught:
        max_margin(X, y, regularizer)
    check_farkas(caught.value, X, y)
    np.testing.assert_allclose(caught.value.farkas, [0.5, 0, 0.5], atol=1e-12)
    X[2] = 0
    with pytest.raises(NotSeparableError) as caught:
        max_margin(X, y, regularizer)
    np.testing.assert_array_equal(caught.value.farkas, [0, 0, 1])


@pytest.mark.parametrize("regularizer", [*CONVEX, FourierBridge(0.5)], ids=str)
def test_columns_of_very_different_scale_do_not_hide_a_contradiction(regularizer: Regularizer) -> None:
    X, y = random_labels(40, 6, seed=3)
    scaled = X * np.array([1e8, 1e-8, 1.0, 1e8, 1e-8, 1.0])
    with pytest.raises(NotSeparableError) as caught:
        max_margin(scaled, y, regularizer)
    check_farkas(caught.value, scaled, y)


def separable_over_the_integers(A: np.ndarray) -> bool:
    """Exactly: by Gordan's theorem either Aβ > 0 has a solution or Aᵀα = 0, α ≥ 0, Σα = 1 has one, never both.

    HiGHS proposes β; integers decide. (A proposed β is rounded to fractions, whose margins are exact.)
    """
    answer = linprog(np.zeros(A.shape[1]), A_ub=-A, b_ub=-np.ones(len(A)), bounds=(None, None), method="highs")
    if answer.status != 0:
        return False
    beta = [Fraction(float(b)) for b in answer.x]
    return all(sum(int(a) * b for a, b in zip(row, beta, strict=True)) > 0 for row in A)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 5))
def test_small_integers_are_decided_exactly(seed: int, n: int, d: int) -> None:
    """Points on a coarse grid: ties, opposite points and origins on the boundary of the hull are common."""
    rng = np.random.default_rng(seed)
    X, y = rng.integers(-2, 3, (n, d)), rng.choice([-1, 1], n)
    expected = separable_over_the_integers(y[:, None] * X)
    for regularizer in (L2(), Bridge(1), FourierBridge(1)):
        try:
            solution = max_margin(X, y, regularizer)
        except NotSeparableError as error:
            assert not expected
            check_farkas(error, X.astype(float), y.astype(float))
        else:
            assert expected
            assert solution.status is Status.OPTIMAL
            assert (y * (X @ solution.beta)).min() >= 1 - 1e-12


@pytest.mark.parametrize("regularizer", CONVEX, ids=str)
@pytest.mark.parametrize("margin", [1e-3, 1e-6, 1e-9, 1e-11])
def test_nearly_contradictory_points_are_solved_or_refused_never_answered_wrongly(
    regularizer: Regularizer, margin: float
) -> None:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((12, 16))
    y = np.where(np.arange(12) % 2, 1.0, -1.0)
    X[1] = X[0] + margin * rng.standard_normal(16)  # labels differ
    refused: IllConditionedError | None = None
    try:
        solution = max_margin(X, y, regularizer)
    except IllConditionedError as error:
        refused = error
    if refused is not None:
        assert margin <= 1e-9
        assert refused.relative_margin <= 10 * margin
    else:
        margins = (y[:, None] * X).astype(np.longdouble) @ solution.beta.astype(np.longdouble)
        assert margins.min() >= 1 - 1e-15 * 50 * np.linalg.norm(solution.beta)
        assert (solution.status is Status.OPTIMAL) == (solution.certificate.worst <= 1e-9)
        if margin >= 1e-6:
            assert solution.status is Status.OPTIMAL


def test_the_message_says_what_to_do() -> None:
    with pytest.raises(NotSeparableError, match=r"n in \[0, 1\].*column of ones"):
        max_margin([[1.0], [2.0]], [1, -1], L2())
    # and that works: with the column of ones the same points separate
    assert max_margin([[1.0, 1.0], [2.0, 1.0]], [1, -1], L2()).status is Status.OPTIMAL
