"""The norms that other optimizers than gradient descent prefer: ℓ_p and ℓ∞, the spectral norm, Mahalanobis norms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from solvers import (
    L2,
    Bridge,
    LargestLayer,
    Mahalanobis,
    Norm,
    NotSeparableError,
    Regularizer,
    Schatten,
    Status,
    Uniqueness,
    certify,
    max_margin,
    regularizer_from_name,
)
from solvers.algorithms.power_margin import polished_power_margin
from solvers.solution import Candidate
from solvers.validation import check_problem

A = np.array([[3.0, 1, 0, 2], [1, -2, 3, 1], [-2, 1, 1, 5]])
ONES = np.ones(3)
EXPONENTS = [1.05, 1.1, 4 / 3, 1.5, 1.9, 2.5, 3.0, 6.0, 10.0, np.inf]


def random_data(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), np.where(rng.random(n) < 0.5, -1.0, 1.0)


@pytest.mark.parametrize(
    ("p", "value"),
    [(1, 17 / 28), (4 / 3, 0.4618040201), (1.5, 0.4209333053), (2, 0.3500943644), (3, 0.2942969557), (np.inf, 15 / 68)],
)
def test_known_values(p: float, value: float) -> None:
    solution = max_margin(A, ONES, Bridge(p))
    assert solution.status is Status.OPTIMAL
    assert solution.unique is Uniqueness.UNIQUE
    assert solution.objective == pytest.approx(value, rel=3e-10)  # the digits printed
    assert solution.certificate.worst <= 1e-12


def test_the_l_infinity_optimum_by_hand() -> None:
    solution = max_margin(A, ONES, Bridge(np.inf))
    np.testing.assert_allclose(solution.beta, np.array([12, 2, 15, 15]) / 68, rtol=1e-12)
    np.testing.assert_allclose(solution.dual, np.array([3, 5, 7]) / 68, rtol=1e-12)


def test_an_l_infinity_optimum_that_is_not_unique() -> None:
    """β₁ may be anything in [1/7, 2/7], with β₂ = (β₁ − 1/7)/2."""
    other = np.array([[3.0, 1, 0, 2], [1, -2, 2, 1], [-1, 2, 1, 3]])
    solution = max_margin(other, ONES, Bridge(np.inf))
    assert solution.objective == pytest.approx(2 / 7, rel=1e-12)
    assert solution.status is Status.OPTIMAL
    assert solution.unique is Uniqueness.NOT_UNIQUE
    for first in (1 / 7, 0.2, 2 / 7):
        beta = np.array([first, (first - 1 / 7) / 2, 2 / 7, 2 / 7])
        assert certify(other, ONES, beta, Bridge(np.inf)).worst <= 1e-12
    for first in (1 / 7 - 1e-3, 2 / 7 + 1e-3):
        beta = np.array([first, (first - 1 / 7) / 2, 2 / 7, 2 / 7])
        assert certify(other, ONES, beta, Bridge(np.inf)).worst > 1e-5


@pytest.mark.numerical
@pytest.mark.parametrize("p", EXPONENTS)
def test_weak_duality_closes_on_random_data(p: float) -> None:
    """1ᵀα/‖Aᵀα‖_q and ‖β‖_p/min Aβ by numpy alone, without the package's certificate."""
    q = 1.0 if p == np.inf else p / (p - 1)
    for n, d in [(4, 12), (12, 12), (15, 5)]:
        for seed in range(4):
            X, y = random_data(n, d, seed)
            if n > d:
                y = np.sign(X @ np.ones(d))  # separable
            solution = max_margin(X, y, Bridge(p))
            signed = y[:, None] * X
            upper = np.linalg.norm(solution.beta, p) / (signed @ solution.beta).min()
            lower = solution.dual.sum() / np.linalg.norm(solution.dual @ signed, q)
            assert solution.status is Status.OPTIMAL
            assert (solution.dual >= 0).all()
            assert -1e-12 <= (upper - lower) / upper <= 1e-9


def test_l_infinity_is_scipys_linear_program() -> None:
    for seed in range(5):
        X, y = random_data(20, 30, seed)
        signed = y[:, None] * X
        eye, t = np.eye(30), np.ones((30, 1))
        answer = linprog(
            np.append(np.zeros(30), 1.0),
            np.block([[-signed, np.zeros((20, 1))], [eye, -t], [-eye, -t]]),
            np.append(-np.ones(20), np.zeros(60)),
            bounds=(None, None),
        )
        assert max_margin(X, y, Bridge(np.inf)).objective == pytest.approx(answer.fun, rel=1e-7)


def test_l_infinity_of_hard_data() -> None:
    """Thin margins, rows and columns over many decades, more rows than columns, duplicates."""
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((20, 30))
    near = rng.standard_normal((10, 12))
    near = np.vstack([near, 1e-4 * rng.standard_normal((3, 12)) - near[:3]])
    many = rng.standard_normal((1500, 6))
    many *= np.sign(many @ np.ones(6))[:, None]
    wide = 10.0 ** rng.uniform(-4, 4, 20)[:, None]
    for data in (near, rows * wide, rows * 10.0 ** rng.uniform(-4, 4, 30), many, np.vstack([rows, rows])):
        solution = max_margin(data, np.ones(len(data)), Bridge(np.inf))
        assert solution.status is Status.OPTIMAL
        # ε‖A‖‖β‖ ≤ 1e-11 by rounding of β alone
        assert solution.certificate.worst <= 1e-10
    for thin in (1e-3, 1e-6, 1e-9):
        solution = max_margin([[1.0, thin], [-1.0, thin], [1.0, 2 * thin]], np.ones(3), Bridge(np.inf))
        np.testing.assert_allclose(solution.objective, 1 / thin, rtol=1e-9)


@pytest.mark.parametrize("regularizer", [Bridge(1.5), Bridge(3.0), Bridge(np.inf), Schatten(np.inf)], ids=str)
def test_a_cone_solver_agrees(regularizer: Regularizer) -> None:
    X, y = random_data(8, 12, 3)
    labels = np.column_stack([y, -y, np.roll(y, 1)]) if isinstance(regularizer, Schatten) else y
    own = max_margin(X, labels, regularizer, tol=1e-6)
    cones = max_margin(X, labels, regularizer, tol=1e-6, method="conic")
    assert own.status is Status.OPTIMAL
    assert own.objective == pytest.approx(cones.objective, rel=1e-6)


def test_exponents_meet_their_limits() -> None:
    """Continuous at 1, 2 and ∞: ‖·‖_p changes by at most a factor D^{|1/p − 1/p'|}."""
    X, y = random_data(6, 10, 1)
    for near, at in [(1.001, 1.0), (2.001, 2.0), (300.0, np.inf)]:
        slack = 10 ** abs(1 / near - 1 / at)
        ratio = max_margin(X, y, Bridge(near), tol=1e-7).objective / max_margin(X, y, Bridge(at)).objective
        assert 1 / slack <= ratio <= slack


def test_scale_and_data_without_a_margin() -> None:
    X, y = random_data(6, 9, 2)
    for p in (1.2, 4.0, np.inf):
        value = max_margin(X, y, Bridge(p)).objective
        for factor in (1e-30, 1e30):
            assert max_margin(factor * X, y, Bridge(p)).objective == pytest.approx(value / factor, rel=1e-9, abs=0.0)
        with pytest.raises(NotSeparableError):
            max_margin([[1.0, 0.0], [-1.0, 0.0]], [1, 1], Bridge(p))


def test_perturbed_answers_are_rejected() -> None:
    X, y = random_data(6, 9, 4)
    noise = np.random.default_rng(0).standard_normal(9)
    for norm in (Bridge(1.5), Bridge(np.inf), Mahalanobis(1.0 + np.arange(9.0))):
        solution = max_margin(X, y, norm)
        assert certify(X, y, solution.beta, norm, dual=solution.dual).worst <= 1e-9
        assert certify(X, y, 1.001 * solution.beta, norm).worst > 1e-4
        assert certify(X, y, solution.beta + 1e-3 * noise / np.linalg.norm(noise), norm).worst > 1e-6
        assert certify(X, y, solution.beta, norm, dual=np.ones(6)).worst > 1e-3
        assert certify(X, y, max_margin(X, y, L2()).beta, norm).worst > 1e-4  # the optimum of another norm


def test_mahalanobis_is_l2_in_other_coordinates() -> None:
    X, y = random_data(7, 5, 8)
    y = np.sign(X @ np.ones(5))
    root = np.random.default_rng(1).standard_normal((5, 5))
    Q = root @ root.T + np.eye(5)
    norm: Norm = Mahalanobis(Q)
    solution = max_margin(X, y, norm)
    assert solution.status is Status.OPTIMAL
    assert solution.unique is Uniqueness.UNIQUE
    assert solution.objective == pytest.approx(np.sqrt(solution.beta @ Q @ solution.beta), rel=1e-12)
    half = np.linalg.cholesky(Q)
    changed = max_margin(X @ np.linalg.inv(half).T, y, L2())
    assert solution.objective == pytest.approx(changed.objective, rel=1e-9)
    np.testing.assert_allclose(half.T @ solution.beta, changed.beta, rtol=1e-8)
    assert norm.dual_norm(X[0]) == pytest.approx(np.sqrt(X[0] @ np.linalg.solve(Q, X[0])), rel=1e-12)
    # Clarabel closes its gap to 1e-8
    assert max_margin(X, y, norm, tol=1e-6, method="conic").objective == pytest.approx(solution.objective, rel=1e-6)


def test_mahalanobis_with_the_identity_and_a_diagonal() -> None:
    X, y = random_data(5, 8, 9)
    assert max_margin(X, y, Mahalanobis(np.ones(8))).objective == pytest.approx(max_margin(X, y, L2()).objective)
    diagonal = 1.0 + np.arange(8.0)
    full = max_margin(X, y, Mahalanobis(np.diag(diagonal)))
    np.testing.assert_allclose(max_margin(X, y, Mahalanobis(diagonal)).beta, full.beta, rtol=1e-10)


@pytest.mark.parametrize(
    ("Q", "message"),
    [
        (np.ones((2, 3)), "symmetric"),
        (np.array([[1.0, 1.0], [0.0, 1.0]]), "symmetric"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "positive definite"),
        (np.array([1.0, 0.0]), "positive definite"),
        (np.array([1.0, np.nan]), "finite"),
    ],
)
def test_matrices_that_make_no_norm_are_refused(Q: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mahalanobis(Q)


def test_mahalanobis_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="predictors have the shape"):
        max_margin(A, ONES, Mahalanobis(np.ones(3)))


def test_the_spectral_norm_and_its_dual() -> None:
    rng = np.random.default_rng(3)
    norm = Schatten(np.inf)
    for _ in range(5):
        beta, z = rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
        assert norm.value(beta) == pytest.approx(np.linalg.norm(beta, 2), rel=1e-12)
        assert norm.dual_norm(z) == pytest.approx(np.linalg.norm(z, "nuc"), rel=1e-12)
        assert np.vdot(beta, z) <= norm.value(beta) * norm.dual_norm(z)
        u, _, vt = np.linalg.svd(z, full_matrices=False)
        assert np.vdot(u @ vt, z) == pytest.approx(norm.value(u @ vt) * norm.dual_norm(z), rel=1e-12)
        projected = norm.project(beta, 0.7)
        assert projected is not None
        assert norm.value(projected) == pytest.approx(0.7, rel=1e-12)


def labels_of(X: np.ndarray, outputs: int, seed: int) -> np.ndarray:
    return np.where(X @ np.random.default_rng(seed).standard_normal((X.shape[1], outputs)) > 0, 1.0, -1.0)


def test_the_spectral_margin_is_certified_by_the_nuclear_norm() -> None:
    """More points than entries and fewer, more outputs than inputs; the bound by numpy alone."""
    for n, d, m in [(6, 9, 3), (40, 5, 3), (12, 3, 6), (3, 30, 2)]:
        X, _ = random_data(n, d, 5)
        Y = labels_of(X, m, n)
        solution = max_margin(X, Y, Schatten(np.inf))
        assert solution.status is Status.OPTIMAL
        z = (Y * solution.dual).T @ X
        bound = solution.dual.sum() / np.linalg.norm(z, "nuc")
        assert bound == pytest.approx(solution.lower_bound, rel=1e-12)
        assert (Y * (X @ solution.beta.T)).min() == pytest.approx(1.0, rel=1e-12)
        assert abs(1 - bound / np.linalg.norm(solution.beta, 2)) <= 1e-9
    # ‖·‖₂ ≤ ‖·‖_F ≤ ‖·‖_*
    values = [max_margin(X, Y, Schatten(p)).objective for p in (np.inf, 2.0, 1.0)]
    assert values == sorted(values)
    # one output: every Schatten norm is ‖β‖₂
    for p in (np.inf, 1.0):
        one = max_margin(X, Y[:, :1], Schatten(p))
        assert one.objective == pytest.approx(max_margin(X, Y[:, 0], L2()).objective, rel=1e-12)
        assert one.unique is Uniqueness.UNIQUE


def test_the_spectral_margin_by_hand() -> None:
    """Two orthogonal points, one an output: β = diag(b₁, b₂) with free off-diagonal entries where ‖β‖₂ allows."""
    eye = np.eye(2)
    # y = +1 everywhere: all entries are at least 1, the value is that of the all-ones matrix, 2
    ones = max_margin(eye, np.ones((2, 2)), Schatten(np.inf))
    assert ones.objective == pytest.approx(2.0, rel=1e-9)
    assert ones.unique is Uniqueness.UNIQUE
    # one point: every β with β x = 1 and ‖β‖₂ = √2; orthogonal to x it is free
    one = max_margin([[1.0, 0.0]], np.ones((1, 2)), Schatten(np.inf))
    assert one.objective == pytest.approx(np.sqrt(2.0), rel=1e-9)
    assert one.unique is Uniqueness.NOT_UNIQUE
    other = one.beta + np.array([[0.0, 0.5], [0.0, -0.5]])
    assert certify([[1.0, 0.0]], np.ones((1, 2)), other, Schatten(np.inf)).worst <= 1e-9


@pytest.mark.parametrize(
    ("norm", "value"),
    [
        (L2(), 0.8000547866),
        (Schatten(np.inf), 0.6057252029),
        (Bridge(np.inf), 1 / 3),
        (Schatten(1.0), 1.1266221818),
        (Bridge(1.0), 122 / 65),
    ],
)
def test_known_values_of_several_classes(norm: Regularizer, value: float) -> None:
    X = np.array([[2.0, 1, 0], [0, 2, 1], [1, 0, 3], [3, -1, 1]])
    solution = max_margin(X, [0, 1, 2, 0], norm)
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(value, rel=3e-10)  # the digits printed


def test_perturbed_spectral_answers_are_rejected() -> None:
    X, _ = random_data(12, 4, 1)
    Y = labels_of(X, 3, 1)
    solution = max_margin(X, Y, Schatten(np.inf))
    noise = np.random.default_rng(0).standard_normal(solution.beta.shape)
    assert certify(X, Y, solution.beta, Schatten(np.inf)).worst <= 1e-9
    assert certify(X, Y, solution.beta + 1e-4 * noise, Schatten(np.inf)).worst > 1e-6
    for wrong in (2.0, 1.0):
        assert certify(X, Y, max_margin(X, Y, Schatten(wrong)).beta, Schatten(np.inf)).direction_gap > 1e-3
    assert certify(X, Y, solution.beta, Schatten(np.inf), dual=np.ones_like(Y)).worst > 1e-3


def test_the_spectral_norm_of_points_that_do_not_separate() -> None:
    with pytest.raises(NotSeparableError):
        max_margin([[1.0, 0.0], [-1.0, 0.0]], np.ones((2, 2)), Schatten(np.inf))
    with pytest.raises(NotSeparableError):
        max_margin([[1.0, 0.0], [0.0, 1.0], [-1.0, -2.0]], np.ones((3, 2)), Schatten(np.inf))


def test_names() -> None:
    assert regularizer_from_name("linf") == Bridge(np.inf)
    assert regularizer_from_name("bridge:3/2") == Bridge(1.5)
    assert regularizer_from_name("spectral") == Schatten(np.inf)
    assert Bridge(np.inf).formula == "‖β‖∞"


def test_the_largest_layer_and_its_dual() -> None:
    rng = np.random.default_rng(7)
    norm = LargestLayer([(Schatten(np.inf), (2, 3)), (Bridge(np.inf), (4,)), (L2(), (2,))], [1.0, 2.0, 0.5])
    for _ in range(5):
        beta, z = rng.standard_normal(12), rng.standard_normal(12)
        value = max(np.linalg.norm(beta[:6].reshape(2, 3), 2), 2 * abs(beta[6:10]).max(), np.linalg.norm(beta[10:]) / 2)
        assert norm.value(beta) == pytest.approx(value, rel=1e-12)
        assert z @ beta <= norm.value(beta) * norm.dual_norm(z)
        u, _, vt = np.linalg.svd(z[:6].reshape(2, 3), full_matrices=False)
        steepest = np.concatenate([(u @ vt).ravel(), np.sign(z[6:10]) / 2, 2 * z[10:] / np.linalg.norm(z[10:])])
        assert norm.value(steepest) == pytest.approx(1.0, rel=1e-12)
        assert z @ steepest == pytest.approx(norm.dual_norm(z), rel=1e-12)


def test_the_margin_of_the_largest_layer() -> None:
    X, y = random_data(6, 9, 3)
    whole, tol = max_margin(X, y, Bridge(np.inf)).objective, 1e-6  # a cone solver's
    for sizes in ((9,), (4, 5), (1,) * 9):
        norm = LargestLayer([(Bridge(np.inf), (size,)) for size in sizes])
        solution = max_margin(X, y, norm, tol=tol)
        assert solution.status is Status.OPTIMAL
        assert solution.objective == pytest.approx(whole, rel=tol)
    norm = LargestLayer([(Schatten(np.inf), (2, 3)), (Bridge(1.0), (3,))], (1.0, 0.5))
    solution = max_margin(X, y, norm, tol=tol)
    assert solution.status is Status.OPTIMAL
    assert certify(X, y, max_margin(X, y, L2()).beta, norm).direction_gap > 1e-3


@pytest.mark.parametrize(
    ("layers", "scales", "message"),
    [
        ([], (), "at least one layer"),
        ([(L2(), (2,))], (1.0, 1.0), "a scale > 0 for each"),
        ([(L2(), (2,))], (0.0,), "a scale > 0 for each"),
        ([(Bridge(0.5), (2,))], (), "is not a norm"),
        ([(Schatten(np.inf), (4,))], (), "defined for matrices"),
    ],
)
def test_layers_that_make_no_norm_are_refused(layers: Any, scales: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LargestLayer(layers, scales)
    with pytest.raises(ValueError, match="the layers hold 2 entries"):
        max_margin(A, ONES, LargestLayer([(L2(), (2,))]))


@pytest.mark.parametrize(("p", "value"), [(1.5, 0.4209333053), (3.0, 0.2942969557)])
def test_the_best_of_other_methods_answers_is_polished(p: float, value: float) -> None:
    """A rough pair near the answer is brought to rounding; of several the best is kept; of none there is none."""
    A = np.array([[3.0, 1, 0, 2], [1, -2, 3, 1], [-2, 1, 1, 5]])
    problem = check_problem(A, [1, 1, 1], Bridge(p))
    exact = max_margin(A, [1, 1, 1], Bridge(p))
    rng = np.random.default_rng(0)
    near = Candidate(exact.beta * (1 + 1e-4 * rng.standard_normal(4)), exact.dual * (1 + 1e-4), {})
    far = Candidate(np.ones(4), np.ones(3), {})
    for others in ([near, far], [far, near]):
        found = polished_power_margin(problem, p, others, 1e-9)
        assert found is not None
        assert (A @ found.beta).min() == pytest.approx(1.0, rel=1e-12)
        assert np.linalg.norm(found.beta, p) == pytest.approx(value, rel=1e-9)
    assert polished_power_margin(problem, p, [], 1e-9) is None
