"""An intercept that is not penalized: against cvxpy, against itself moved, and with its proofs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cvxpy
import numpy as np
import pytest
from scipy.sparse import csr_array

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
    Uniqueness,
    certify,
    max_margin,
)
from solvers.cycles import Arcs, best_intercepts, cycles_through, smallest_means

cp: Any = cvxpy
NORMS: list[tuple[Regularizer, Callable[[Any], Any]]] = [
    (L2(), lambda w: cp.norm(w)),
    (Bridge(1), lambda w: cp.norm1(w)),
    (Bridge(np.inf), lambda w: cp.norm_inf(w)),
    (FourierBridge(1), lambda w: FourierBridge(1).conic(w)),
    (ConvKernel(3), lambda w: ConvKernel(3).conic(w)),
]
MATRIX_NORMS: list[tuple[Regularizer, Callable[[Any], Any]]] = [
    (L2(), lambda W: cp.norm(W, "fro")),
    (Bridge(1), lambda W: cp.sum(cp.abs(W))),
    (Schatten(1), cp.normNuc),
    (Schatten(np.inf), cp.sigma_max),
]


def shifted(N: int, D: int, seed: int, gap: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Points that separate only with an intercept, far from the middle."""
    rng = np.random.default_rng(seed)
    X, v = rng.standard_normal((N, D)), rng.standard_normal(D)
    y = np.where(X @ v > 0.7, 1.0, -1.0)
    return X + gap * np.outer(y, v) / np.linalg.norm(v) + 3.0, y


def value_by_cones(X: np.ndarray, y: np.ndarray, norm: Callable[[Any], Any]) -> float:
    """The problem as it is written, with b a variable."""
    w, b = cp.Variable(X.shape[1]), cp.Variable()
    problem = cp.Problem(cp.Minimize(norm(w)), [cp.multiply(y, X @ w + b) >= 1])
    return float(problem.solve(solver="CLARABEL"))


def check(X: np.ndarray, y: np.ndarray, solution: Any, regularizer: Regularizer) -> None:
    """Feasible, and a proof by weak duality, both by hand."""
    assert solution.status is Status.OPTIMAL
    assert (y * (X @ solution.beta + solution.intercept)).min() >= 1 - 1e-9
    alpha = solution.dual
    assert (alpha >= 0).all()
    assert abs(alpha @ y) <= 1e-12 * alpha.sum()  # rounding: otherwise b would make the dual value unbounded
    assert regularizer.dual_norm((alpha * y) @ X) <= 1 + 1e-9
    assert alpha.sum() >= (1 - 1e-8) * regularizer.value(solution.beta)


@pytest.mark.parametrize(
    ("regularizer", "norm"), NORMS, ids=lambda one: str(one) if isinstance(one, Regularizer) else "cvxpy"
)
def test_two_classes_against_cvxpy(regularizer: Regularizer, norm: Callable[[Any], Any]) -> None:
    X, y = shifted(20, 12, 0)
    solution = max_margin(X, y, regularizer, fit_intercept=True)
    check(X, y, solution, regularizer)
    assert solution.objective == pytest.approx(value_by_cones(X, y, norm), rel=1e-6)  # Clarabel's gap


@pytest.mark.parametrize("name", ["l2", "l1", "linf"])
def test_many_points_by_the_function_of_b_alone(name: str) -> None:
    """More pairs than are taken at once: the same optimum as by cutting planes on pairs, each proved."""
    X, y = shifted(300, 6, 1)
    rounds: list[int] = []
    solution = max_margin(X, y, name, fit_intercept=True, progress=lambda done, _: rounds.append(done))  # type: ignore[arg-type]
    assert rounds
    from solvers.regularizers import regularizer_from_name

    check(X, y, solution, regularizer_from_name(name))
    assert solution.unique is (Uniqueness.UNIQUE if name == "l2" else Uniqueness.UNKNOWN)


@pytest.mark.parametrize(
    ("regularizer", "norm"), MATRIX_NORMS, ids=lambda one: str(one) if isinstance(one, Regularizer) else "cvxpy"
)
def test_classes_against_cvxpy(regularizer: Regularizer, norm: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((24, 4))
    y = (X @ rng.standard_normal((4, 3)) + np.array([0.5, -0.5, 0.0])).argmax(axis=1)
    X[:, :3] += 0.3 * np.eye(3)[y]
    solution = max_margin(X, y, regularizer, fit_intercept=True)
    assert np.unique(y).size == 3
    W, b, S = cp.Variable((3, 4)), cp.Variable((1, 3)), np.eye(3)[y]
    outputs = X @ W.T + np.ones((24, 1)) @ b
    own = cp.sum(cp.multiply(outputs, S), axis=1)
    constraints = [own - outputs[:, k] >= 1 - 1e3 * S[:, k] for k in range(3)]  # nothing is asked of the own class
    least = cp.Problem(cp.Minimize(norm(W)), constraints).solve(solver="CLARABEL")
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(least, rel=1e-6)
    assert solution.intercept.sum() == pytest.approx(0.0, abs=1e-12)  # type: ignore[union-attr]
    scores = solution.decision_function(X)
    others = np.where(S > 0, -np.inf, scores).max(axis=1)
    assert (scores[np.arange(24), y] - others).min() >= 1 - 1e-9
    assert solution.predict(X).tolist() == y.tolist()
    out, into = np.zeros(3), np.zeros(3)
    for n in range(24):
        out[y[n]] += solution.dual[n].sum()
        into[[k for k in range(3) if k != y[n]]] += solution.dual[n]
    np.testing.assert_allclose(out, into, atol=1e-12 * solution.dual.sum())


def test_several_outputs_have_intercepts_of_their_own() -> None:
    X, y = shifted(30, 5, 3)
    Y = np.stack([y, np.where(X[:, 0] > 3.3, 1.0, -1.0), np.ones(30)], axis=1)
    solution = max_margin(X, Y, L2(), fit_intercept=True)
    assert solution.status is Status.OPTIMAL
    assert (Y * (X @ solution.beta.T + solution.intercept)).min() >= 1 - 1e-9
    for m in range(2):  # in ℓ2 the outputs do not feel each other
        alone = max_margin(X, Y[:, m], L2(), fit_intercept=True)
        np.testing.assert_allclose(solution.beta[m], alone.beta, atol=1e-9)
    assert not solution.beta[2].any()  # of one class: b alone


def test_nonconvex_penalties_give_stationary_points() -> None:
    X, y = shifted(16, 6, 4)
    solution = max_margin(X, y, Bridge(2 / 3), fit_intercept=True)
    assert solution.status is Status.STATIONARY
    assert abs(solution.dual @ y) <= 1e-12 * solution.dual.sum()
    assert certify(X, y, solution.beta, Bridge(2 / 3), fit_intercept=True).worst <= 1e-9
    assert all(abs(point.dual @ y) <= 1e-12 * point.dual.sum() for point in solution.stationary_points)  # type: ignore[attr-defined]
    assert solution.stationary_points[0].objective == solution.objective  # type: ignore[attr-defined]


def test_moving_the_data_moves_only_b() -> None:
    X, y = shifted(20, 5, 5)
    c = np.array([5.0, -3.0, 0.0, 100.0, 1.0])
    here, there = max_margin(X, y, "l1", fit_intercept=True), max_margin(X + c, y, "l1", fit_intercept=True)
    np.testing.assert_allclose(there.beta, here.beta, atol=1e-10)
    assert there.intercept == pytest.approx(here.intercept - c @ here.beta, abs=1e-9)


def test_a_sparse_matrix_is_not_filled() -> None:
    X, y = shifted(20, 5, 6)
    dense, sparse = (max_margin(points, y, L2(), fit_intercept=True) for points in (X, csr_array(X)))
    np.testing.assert_allclose(sparse.beta, dense.beta, atol=1e-9)


@pytest.mark.parametrize("N", [30, 200])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_farkas_certificate_balances(N: int, classes: int) -> None:
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((N, 2)), rng.integers(classes, size=N)
    with pytest.raises(NotSeparableError, match="with any intercept") as caught:
        max_margin(X, y, L2(), fit_intercept=True)
    alpha = caught.value.farkas
    assert alpha.sum() == pytest.approx(1.0)
    others = np.array([[k for k in range(classes) if k != label] for label in y])
    weights = np.zeros((N, classes))
    np.put_along_axis(weights, others, -alpha.reshape(N, -1), axis=1)
    weights[np.arange(N), y] = alpha.reshape(N, -1).sum(axis=1)
    assert np.abs(weights.T @ X).max() <= 1e-12
    assert np.abs(weights.sum(axis=0)).max() <= 1e-12
    assert caught.value.split is not None


def test_a_certificate_rejects_what_is_not_optimal() -> None:
    X, y = shifted(20, 5, 8)
    solution = max_margin(X, y, L2(), fit_intercept=True)
    assert certify(X, y, solution.beta, L2(), fit_intercept=True).worst <= 1e-9
    moved = solution.beta + 0.01 * np.ones(5)
    assert (certify(X, y, moved, L2(), fit_intercept=True).direction_gap or 0.0) > 1e-6
    penalized = max_margin(X, y, L2())  # through the origin: another optimum
    assert (certify(X, y, penalized.beta, L2(), fit_intercept=True).direction_gap or 0.0) > 1e-3
    with pytest.raises(ValueError, match="multipliers must balance"):
        certify(X, y, solution.beta, L2(), dual=np.arange(20.0), fit_intercept=True)


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="points of two classes"):
        max_margin(np.eye(3), [1, 1, 1], L2(), fit_intercept=True)


def test_the_classifier_has_one() -> None:
    X, y = shifted(40, 5, 9)
    words = np.where(y > 0, "up", "down")
    model = MaxMarginClassifier("l1", fit_intercept=True).fit(X, words)
    assert model.score(X, words) == 1.0
    assert model.intercept_.shape == (1,)
    assert (y * model.decision_function(X)).min() >= 1 - 1e-9
    # by symmetry about 1 the slope is zero, and b the log odds
    soft = MaxMarginClassifier(on_nonseparable="soft", fit_intercept=True, tol=1e-9)
    soft.fit([[0.0], [1.0], [2.0]], [0, 1, 0])
    assert soft.coef_[0, 0] == pytest.approx(0.0, abs=1e-3)
    assert soft.intercept_[0] + soft.coef_[0, 0] == pytest.approx(-np.log(2), abs=1e-3)


def test_the_smallest_mean_of_a_cycle_is_the_best_margin() -> None:
    """Karp's formula and the intercepts against all cycles of four classes, one by one."""
    from itertools import permutations

    rng = np.random.default_rng(10)
    least = rng.standard_normal((1, 4, 4))
    least[0, np.arange(4), np.arange(4)] = np.inf
    means = [
        np.mean([least[0, cycle[i], cycle[(i + 1) % len(cycle)]] for i in range(len(cycle))])
        for size in (2, 3, 4)
        for cycle in permutations(range(4), size)
    ]
    mu, b = best_intercepts(least)
    assert smallest_means(least)[0] == pytest.approx(min(means), abs=1e-14)
    assert (least[0] + b[0][:, None] - b[0][None, :] - mu[0]).min() >= -1e-14
    t, h = np.nonzero(np.isfinite(least[0]))
    arcs, margins = Arcs(np.zeros_like(t), t, h, 4), least[0, t, h]
    cycles = cycles_through(arcs, margins, 20, np.inf)
    assert np.mean(margins[list(cycles[0])]) == pytest.approx(min(means), abs=1e-12)
    for cycle in cycles:
        assert sorted(t[list(cycle)]) == sorted(h[list(cycle)])


@pytest.mark.parametrize("name", ["l1", "l2"])
@pytest.mark.parametrize(
    ("X", "labels", "least"),
    [
        ([[0.0], [1e-5], [1e9]], [-1, 1, 1], 2e5),
        ([[0.0], [1e-7], [1e4]], [-1, 1, 1], 2e7),
        ([[0.0], [1e-8], [1e9]], [-1, 1, 1], 2e8),
        ([[0.0, 0.0], [1e-3, 0.0], [1e9, 5.0]], [-1, 1, 1], 2000.0),
    ],
)
def test_small_distances_beside_large_points_keep_their_digits(
    name: str, X: list[list[float]], labels: list[int], least: float
) -> None:
    """The nearest points decide, 2/distance; centred at 3e8 they would be one point."""
    solution = max_margin(X, labels, name, fit_intercept=True)  # type: ignore[arg-type]
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(least, rel=1e-12)
    assert solution.lower_bound == pytest.approx(least, rel=1e-12)
    assert (np.array(labels) * (np.array(X) @ solution.beta + solution.intercept)).min() == pytest.approx(1.0, rel=1e-9)


def test_an_outlier_does_not_make_points_inseparable() -> None:
    rng = np.random.default_rng(0)
    low, high = -1e-5 * (1 + rng.random(30)), 1e-5 * (1 + rng.random(29))
    X, y = np.concatenate([low, high, [1e9]])[:, None], np.repeat([-1.0, 1.0], 30)
    solution = max_margin(X, y, L2(), fit_intercept=True)
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(2.0 / (high.min() - low.max()), rel=1e-9)


def test_multipliers_that_balance_only_with_negative_ones_prove_nothing() -> None:
    with pytest.raises(ValueError, match="must balance"):
        certify([[0.1], [-1.0], [0.2]], [1, -1, 1], [3.0], "l1", dual=[1.0, 0.0, -1.0], fit_intercept=True)
