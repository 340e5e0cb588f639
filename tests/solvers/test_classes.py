"""Several classes: one matrix, N(K − 1) constraints as an operator, and everything that takes labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cvxpy
import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_digits, load_iris, load_wine

from solvers import (
    L2,
    Bridge,
    ConvKernel,
    FourierBridge,
    MaxMarginClassifier,
    NotSeparableError,
    Regularizer,
    Schatten,
    Status,
    certify,
    max_margin,
    regularization_path,
)
from solvers.classes import ClassProblem, DifferenceRows, find_classes
from solvers.margin_losses import ExponentialLoss, LogisticLoss, MarginLoss
from solvers.problem import MarginProblem
from solvers.validation import check_problem

cp: Any = cvxpy
X = np.array([[2.0, 1.0, 0.0], [0.0, 2.0, 1.0], [1.0, 0.0, 3.0], [3.0, -1.0, 1.0]])
y = np.array([0, 1, 2, 0])
VALUES = [
    (L2(), 0.8000547866),
    (Schatten(2), 0.8000547866),
    (Schatten(np.inf), 0.6057252029),
    (Bridge(np.inf), 1 / 3),
    (Schatten(1), 1.1266221818),
    (Bridge(1), 122 / 65),
]
NORMS: list[tuple[Regularizer, Callable[[Any], Any]]] = [
    (L2(), lambda W: cp.norm(W, "fro")),
    (Schatten(1), cp.normNuc),
    (Schatten(np.inf), cp.sigma_max),
    (Bridge(1), lambda W: cp.sum(cp.abs(W))),
    (Bridge(np.inf), lambda W: cp.max(cp.abs(W))),
    (Bridge(1.5), lambda W: cp.pnorm(cp.vec(W, order="C"), 1.5)),
]


def planted(N: int, D: int, K: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian points in the classes of largest score of a Gaussian matrix."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((N, D))
    return points, (points @ rng.standard_normal((D, K))).argmax(axis=1)


def margins_by_hand(points: np.ndarray, labels: np.ndarray, W: np.ndarray) -> np.ndarray:
    """⟨w_{y_n} − w_k, x_n⟩ of the definition, one after the other."""
    rows = [[(W[c] - W[k]) @ x for k in range(len(W)) if k != c] for x, c in zip(points, labels, strict=True)]
    return np.array(rows)


@pytest.mark.parametrize(("regularizer", "value"), VALUES, ids=str)
def test_values_known_beforehand(regularizer: Regularizer, value: float) -> None:
    solution = max_margin(X, y, regularizer)
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(value, abs=1e-9)
    assert margins_by_hand(X, y, solution.beta).min() == pytest.approx(1.0, abs=1e-9)
    assert solution.dual.shape == (4, 2)


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")  # Clarabel is asked for more digits than it promises
@pytest.mark.parametrize(("regularizer", "norm"), NORMS, ids=lambda r: str(r) if isinstance(r, Regularizer) else "")
@pytest.mark.parametrize("seed", [0, 1])
def test_random_data_against_cvxpy(regularizer: Regularizer, norm: Callable[[Any], Any], seed: int) -> None:
    points, labels = planted(14, 5, 4, seed)
    W = cp.Variable((4, 5))
    scores = points @ W.T
    rows = [scores[n, c] - scores[n, k] >= 1 for n, c in enumerate(labels) for k in range(4) if k != c]
    reference = cp.Problem(cp.Minimize(norm(W)), rows)
    reference.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    assert max_margin(points, labels, regularizer).objective == pytest.approx(reference.value, rel=1e-8)


def test_fourier_transforms_every_row_by_itself() -> None:
    points, labels = planted(9, 6, 3, 2)
    W = max_margin(points, labels, FourierBridge(1)).beta
    R = FourierBridge(1, rows=True)
    assert R.value(W) == pytest.approx(sum(FourierBridge(1).value(row) for row in W), rel=1e-12)
    assert certify(points, labels, W, FourierBridge(1)).worst <= 1e-9
    assert max_margin(points, labels, R, method="conic").objective == pytest.approx(R.value(W), rel=1e-8)
    images = max_margin(points.reshape(9, 2, 3), labels, FourierBridge(1))
    assert images.beta.shape == (3, 2, 3)
    assert images.status is Status.OPTIMAL
    assert R.value(images.beta) == pytest.approx(sum(FourierBridge(1).value(image) for image in images.beta), rel=1e-12)


def test_labels_are_names() -> None:
    words = np.array(["b", "c", "a", "b"])  # sorted: a, b, c are the classes 2, 0, 1
    by_word, by_number = max_margin(X, words, L2()).beta, max_margin(X, y, L2()).beta
    np.testing.assert_allclose(by_word, by_number[[2, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(max_margin(X, [7, 9, 12, 7], L2()).beta, by_number, atol=1e-12)
    np.testing.assert_allclose(max_margin(X, list(words), L2()).beta, by_word, atol=1e-12)
    assert find_classes([0.5, 1.0, 2.0]) is None
    assert find_classes([1, -1, 1]) is None
    assert find_classes(np.array(["a", None, "b", "c"], dtype=object)) is None


def test_tasks_stay_another_problem() -> None:
    tasks = np.where(y[:, None] == np.arange(3), 1.0, -1.0)
    assert max_margin(X, tasks, L2()).dual.shape == (4, 3)
    assert max_margin(X, tasks, L2()).objective > 1.01 * max_margin(X, y, L2()).objective


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"real numbers.*min_norm.*squared"):
        max_margin(X, [0.5, 1.0, 2.0, 1.5], L2())
    with pytest.raises(ValueError, match="one output"):
        max_margin(X, y, ConvKernel(2))
    with pytest.raises(ValueError, match=r"shape of one predictor, \(3, 3\)"):
        certify(X, y, np.ones(3), L2())
    with pytest.raises(ValueError, match=r"\(4, 2\).*\(N, K − 1\)"):
        certify(X, y, np.eye(3), L2(), dual=np.ones(4))
    with pytest.raises(ValueError, match="tasks of their own"):
        regularization_path(X, np.ones((4, 2)), [1.0], L2(), loss="cross entropy")


def test_a_certificate_rejects_another_matrix() -> None:
    points, labels = planted(12, 5, 3, 6)
    solution = max_margin(points, labels, Schatten(1))
    assert certify(points, labels, solution.beta, Schatten(1)).worst <= 1e-8
    moved = solution.beta + 1e-2 * np.eye(3, 5)
    assert certify(points, labels, moved, Schatten(1)).direction_gap > 1e-4
    assert certify(points, labels, solution.beta, L2()).direction_gap > 1e-4
    # a vector added to all rows changes no constraint: only the norm sees it
    shifted = certify(points, labels, solution.beta + 0.1, Schatten(1))
    assert shifted.margin == pytest.approx(1.0, abs=1e-12)
    assert shifted.gap > 1e-3


def test_the_operator_is_the_matrix_of_the_definition() -> None:
    points, labels = planted(7, 4, 5, 3)[0], np.array([0, 3, 1, 2, 4, 0, 1])
    points[0] *= 1e9
    problem = check_problem(points, labels, L2())
    assert isinstance(problem, ClassProblem)
    rng = np.random.default_rng(0)
    W, alpha = rng.standard_normal((5, 4)), rng.random((7, 4))
    A = problem.A
    expected = margins_by_hand(points, labels, W).reshape(-1)
    for found in (A @ W.reshape(-1), problem.margins(W), problem.careful_margins(W)):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-5)
    for z in (problem.combine(alpha), problem.careful_combine(alpha)):
        np.testing.assert_allclose(z.reshape(-1), A.T @ alpha.reshape(-1), rtol=1e-12, atol=1e-5)
    columns = rng.uniform(0.1, 10.0, 20)
    for rows in (problem.signed_rows, check_problem(csr_array(points), labels, L2()).signed_rows):
        assert isinstance(rows, DifferenceRows)
        scaled = rows.scaled(2.0, columns)
        dense = 2.0 * A * columns
        some = scaled[np.array([3, 20, 11])]
        np.testing.assert_allclose(some if isinstance(some, np.ndarray) else some.toarray(), dense[[3, 20, 11]])
        np.testing.assert_allclose(scaled.norms(), np.linalg.norm(dense, axis=1))
        np.testing.assert_allclose(scaled.largest_in_rows(), np.abs(dense).max(axis=1))
        np.testing.assert_allclose(scaled.largest_in_columns(), np.abs(dense).max(axis=0))
        np.testing.assert_allclose(scaled.products(W.ravel()), dense @ W.ravel(), rtol=1e-9, atol=1e-4)
        np.testing.assert_allclose(scaled.combination(alpha.ravel()), dense.T @ alpha.ravel(), rtol=1e-9, atol=1e-4)


@pytest.mark.parametrize("loss", [LogisticLoss(3), LogisticLoss(1), ExponentialLoss()], ids=str)
def test_curvature_by_pairs_of_classes(loss: MarginLoss) -> None:
    rng = np.random.default_rng(5)
    problem = check_problem(rng.standard_normal((20, 3)), np.arange(20) % 4, L2())
    m = problem.margins(rng.standard_normal((4, 3)))
    blocks, root = loss.curvature_blocks(m), loss.curvature_rows(m, problem.A)
    np.testing.assert_allclose(problem.curvature(blocks), root.T @ root, atol=1e-13)
    np.testing.assert_allclose(MarginProblem.curvature(problem, blocks), root.T @ root, atol=1e-13)


def test_sparse_points() -> None:
    points, labels = planted(40, 30, 3, 4)
    points[np.abs(points) < 0.8] = 0.0
    labels = (points @ np.random.default_rng(1).standard_normal((30, 3))).argmax(axis=1)
    sparse, dense = max_margin(csr_array(points), labels, L2()), max_margin(points, labels, L2())
    np.testing.assert_allclose(sparse.beta, dense.beta, atol=1e-10)


def test_classes_that_no_matrix_separates() -> None:
    points, labels = load_iris(return_X_y=True)
    with pytest.raises(NotSeparableError, match=r"points' constraints") as caught:
        max_margin(points, labels, L2())
    farkas = caught.value.farkas
    assert farkas.shape == (150, 2)
    assert farkas.min() >= 0
    assert farkas.sum() == pytest.approx(1.0)
    z = check_problem(points, labels, L2()).combine(farkas)
    assert np.linalg.norm(z) <= 1e-14 * np.linalg.norm(points, axis=1).max()
    assert farkas[labels == 0].max() <= 1e-12  # setosa is the separable class


def test_all_digits() -> None:
    data = load_digits()
    solution = max_margin(data.data / 16.0, data.target, L2())
    assert solution.status is Status.OPTIMAL
    assert abs(solution.certificate.gap or 0.0) <= 1e-9
    assert solution.beta.shape == (10, 64)
    assert solution.dual.shape == (1797, 9)


def test_scales_over_many_decades() -> None:
    points, labels = planted(12, 6, 3, 5)
    columns = 10.0 ** np.linspace(-3, 3, 6)
    assert max_margin(points * columns, labels, L2()).status is Status.OPTIMAL
    tiny = max_margin(points * 1e-90, labels, Schatten(1))
    assert tiny.status is Status.OPTIMAL
    assert tiny.objective * 1e-90 == pytest.approx(max_margin(points, labels, Schatten(1)).objective, rel=1e-8)


@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), Schatten(1)], ids=str)
def test_path_of_the_cross_entropy_against_cvxpy(regularizer: Regularizer) -> None:
    points, labels = load_iris(return_X_y=True)
    points, labels = points[::3], labels[::3]
    W = cp.Variable((3, 4))
    scores = points @ W.T
    loss = cp.sum(cp.log_sum_exp(scores, axis=1)) - cp.sum(scores[np.arange(len(labels)), labels])
    norm = next(norm for known, norm in NORMS if known == regularizer)
    reference = cp.Problem(cp.Minimize(loss), [norm(W) <= 3.0])
    reference.solve(solver="CLARABEL")
    path = regularization_path(points, labels, [3.0], regularizer, loss="cross entropy")
    assert path.losses[0] == pytest.approx(reference.value, rel=1e-5)
    assert path.losses[0] <= reference.value + 2.0 * path.gaps[0] + 1e-6


def test_path_ends_at_the_max_margin() -> None:
    best = max_margin(X, y, L2()).beta
    path = regularization_path(X, y, [200.0], L2(), loss="exponential")
    np.testing.assert_allclose(path.predictors[0] / 200.0, best / np.linalg.norm(best), atol=1e-2)


def test_classifier_of_several_classes() -> None:
    points, labels = load_wine(return_X_y=True)
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    names = np.array(["barolo", "grignolino", "barbera"])[labels]
    model = MaxMarginClassifier().fit(points, names)
    assert model.coef_.shape == (3, 13)
    assert model.intercept_.shape == (3,)
    assert model.score(points, names) == 1.0
    assert model.separable_
    assert model.decision_function(points).shape == (178, 3)
    assert model.margin_ == pytest.approx(1.0 / max_margin(points, names, L2()).objective, rel=1e-12)
    soft = MaxMarginClassifier(on_nonseparable="soft", radius=5.0).fit(*load_iris(return_X_y=True))
    assert not soft.separable_
    assert soft.coef_.shape == (3, 4)
    assert soft.score(*load_iris(return_X_y=True)) > 0.95
