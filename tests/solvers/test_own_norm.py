"""A norm of a user's own, defined here and not in the package: value, dual norm and conic form are all it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from solvers import (
    L2,
    MaxMarginClassifier,
    Norm,
    QuasiNorm,
    Regularizer,
    Status,
    Uniqueness,
    certify,
    max_margin,
    regularization_path,
)


@dataclass(frozen=True)
class WeightedMaximum(Norm):
    """R(β) = max_d w_d|β_d|, R°(z) = Σ_d |z_d|/w_d, w_d = 1 + d/4."""

    def weights(self, size: int) -> np.ndarray:
        return 1.0 + np.arange(size) / 4.0

    def value(self, beta: np.ndarray) -> float:
        return float((self.weights(beta.size) * np.abs(beta)).max())

    def dual_norm(self, z: np.ndarray) -> float:
        return float((np.abs(z) / self.weights(z.size)).sum())

    def conic(self, beta: Any) -> Any:
        import cvxpy as cp

        return cp.norm_inf(cp.multiply(self.weights(beta.size), beta))


@dataclass(frozen=True)
class PairNorm(Norm):
    """R(β) = Σ_g ‖β_g‖₂ over pairs of neighbours, R°(z) = max_g ‖z_g‖₂: a group norm."""

    def value(self, beta: np.ndarray) -> float:
        return float(np.linalg.norm(beta.reshape(-1, 2), axis=1).sum())

    def dual_norm(self, z: np.ndarray) -> float:
        return float(np.linalg.norm(z.reshape(-1, 2), axis=1).max())

    def conic(self, beta: Any) -> Any:
        import cvxpy as cp

        return cp.sum(cp.norm(cp.reshape(beta, (beta.size // 2, 2), order="C"), 2, axis=1))


@dataclass(frozen=True)
class RowsNorm(Norm):
    """R(β) = Σ_m ‖β_m‖₂ over the outputs of a matrix β (M, D)."""

    def value(self, beta: np.ndarray) -> float:
        return float(np.linalg.norm(beta, axis=1).sum())

    def dual_norm(self, z: np.ndarray) -> float:
        return float(np.linalg.norm(z, axis=1).max())

    def conic(self, beta: Any) -> Any:
        import cvxpy as cp

        return cp.sum(cp.norm(beta, 2, axis=1))


OWN: list[Norm] = [WeightedMaximum(), PairNorm()]


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.standard_normal((7, 12)), np.array([1, -1, 1, 1, -1, -1, 1])


@pytest.mark.parametrize("norm", OWN, ids=str)
@pytest.mark.parametrize("method", ["auto", "conic"])
def test_it_is_solved_and_certified(data: Any, norm: Norm, method: Any) -> None:
    X, y = data
    solution = max_margin(X, y, norm, tol=1e-6, method=method)
    assert solution.status is Status.OPTIMAL
    assert solution.unique is Uniqueness.UNKNOWN
    assert (y * (X @ solution.beta)).min() == pytest.approx(1, abs=1e-12)
    assert solution.objective == norm.value(solution.beta)
    assert (solution.dual >= 0).all()
    # the bound that the multipliers prove, without the package: 1ᵀα/R°(Aᵀα)
    bound = solution.dual.sum() / norm.dual_norm(X.T @ (y * solution.dual))
    assert bound == pytest.approx(solution.lower_bound, rel=1e-12)
    assert solution.objective - bound <= 1e-6 * solution.objective
    assert "conic" in solution.stats["method"]


def test_the_answer_is_a_linear_programs(data: Any) -> None:
    """min t s.t. −t ≤ w_d β_d ≤ t, Aβ ≥ 1, by scipy."""
    from scipy.optimize import linprog

    X, y = data
    A, w = y[:, None] * X, WeightedMaximum().weights(12)
    rows = np.block([[-A, np.zeros((7, 1))], [np.diag(w), -np.ones((12, 1))], [-np.diag(w), -np.ones((12, 1))]])
    answer = linprog(np.eye(13)[12], A_ub=rows, b_ub=np.r_[-np.ones(7), np.zeros(24)], bounds=(None, None))
    # a cone solver's gap is below 1e-6, HiGHS's feasibility 1e-7
    assert max_margin(X, y, WeightedMaximum(), tol=1e-6).objective == pytest.approx(answer.fun, rel=2e-6)


@pytest.mark.parametrize("norm", OWN, ids=str)
def test_a_perturbed_answer_is_rejected(data: Any, norm: Norm) -> None:
    X, y = data
    solution = max_margin(X, y, norm, tol=1e-6)
    assert certify(X, y, solution.beta, norm, dual=solution.dual).worst <= 1e-6
    noise = np.random.default_rng(0).standard_normal(12)
    for beta in (
        1.001 * solution.beta,
        0.999 * solution.beta,
        solution.beta + 1e-3 * noise,
        max_margin(X, y, L2()).beta,
    ):
        assert certify(X, y, beta, norm).worst > 1e-4
        assert certify(X, y, beta, norm, dual=solution.dual).worst > 1e-4
    assert certify(X, y, solution.beta, norm, dual=np.ones(7)).worst > 1e-4


def test_a_wrong_conic_form_is_not_believed(data: Any) -> None:
    """The cone solver minimizes another norm than `value` says: the gap stays open."""

    class Other(PairNorm):
        def conic(self, beta: Any) -> Any:
            return L2().conic(beta)

    assert max_margin(*data, Other(), tol=1e-6).status is Status.INACCURATE


def test_several_outputs(data: Any) -> None:
    """Σ_m ‖β_m‖₂ separates: each output is an l2 problem of its own."""
    X, _ = data
    Y = np.where(np.random.default_rng(1).random((7, 3)) < 0.5, -1.0, 1.0)
    solution = max_margin(X, Y, RowsNorm(), tol=1e-6)
    assert solution.status is Status.OPTIMAL
    alone = [max_margin(X, column, L2()) for column in Y.T]
    assert solution.objective == pytest.approx(sum(s.objective for s in alone), rel=1e-6)
    np.testing.assert_allclose(solution.beta, [s.beta for s in alone], atol=1e-4)


@pytest.mark.parametrize("norm", OWN, ids=str)
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_it_has_a_regularization_path(data: Any, norm: Norm, loss: Any) -> None:
    X, y = data
    path = regularization_path(X, y, [0.5, 2.0, 20.0], norm, loss=loss)
    for beta, radius, gap in zip(path.predictors, path.radii, path.gaps, strict=True):
        assert norm.value(beta) <= radius * (1 + 1e-12)
        assert -1e-12 <= gap <= 1e-4  # what a cone solver gives on exponential cones; the gap that is printed is true
    if loss == "logistic":
        return  # of the order e^{−20} at the last radius: the cone solver's digits end before its direction does
    direction = path.predictors[2] / norm.value(path.predictors[2])
    best = max_margin(X, y, norm, tol=1e-6)
    # (Rosset, Zhu, Hastie) margins reach the maximum at the rate ln N / c: 0.1
    assert (y * (X @ direction)).min() == pytest.approx(1 / best.objective, abs=np.log(7) / 20 + 1e-6)


@pytest.mark.parametrize("norm", OWN, ids=str)
def test_it_classifies(data: Any, norm: Norm) -> None:
    X, y = data
    model = MaxMarginClassifier(norm, tol=1e-6).fit(X, np.where(y > 0, "yes", "no"))
    assert model.separable_
    assert model.score(X, np.where(y > 0, "yes", "no")) == 1.0
    assert model.margin_ == pytest.approx(1 / max_margin(X, y, norm, tol=1e-6).objective)
    noisy = MaxMarginClassifier(norm, on_nonseparable="soft", radius=2.0).fit(
        [[1.0, 2.0], [1.0, 2.0], [0, 1]], [0, 1, 1]
    )
    assert not noisy.separable_
    assert norm.value(noisy.coef_[0]) <= 2 * (1 + 1e-12)


def test_options_of_another_method_are_refused(data: Any) -> None:
    with pytest.raises(TypeError, match=r"PairNorm\(\) does not take n_starts; it takes no options"):
        max_margin(*data, PairNorm(), n_starts=3)


def test_a_norm_that_says_too_little_is_refused_by_python() -> None:
    class Half(Norm):
        def value(self, beta: np.ndarray) -> float:
            return float(np.abs(beta).sum())

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]


def test_a_quasi_norm_of_ones_own_is_certified_and_not_solved(data: Any) -> None:
    """Σ√|β_d| squared, by its support system; there is no general method for it."""

    class Root(QuasiNorm):
        def value(self, beta: np.ndarray) -> float:
            return float(np.sqrt(np.abs(beta)).sum() ** 2)

        def support_system(self, beta: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            on = np.abs(beta) > 1e-9 * np.abs(beta).max()
            gradient = 0.5 * np.sign(beta[on]) / np.sqrt(np.abs(beta[on]))
            return (z[:, on] / gradient).T, np.ones(int(on.sum()))

    from solvers import Bridge

    X, y = data
    point = max_margin(X, y, Bridge(0.5))
    own: Regularizer = Root()
    assert certify(X, y, point.beta, own).worst <= 1e-9
    assert certify(X, y, point.beta + 1e-3, own).worst > 1e-4
    with pytest.raises(ValueError, match="nonconvex and has no solver here"):
        max_margin(X, y, own)
    with pytest.raises(ValueError, match="not a norm"):
        max_margin(X, y, own, method="conic")
