"""ℓ2 max margin: against scikit-learn, Clarabel and 60-digit arithmetic; rotations; large predictors."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from solvers import L2, Bridge, FourierBridge, Schatten, Status, Uniqueness, certify, max_margin


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Radians, from the chord, so that it is accurate near zero."""
    a, b = a.ravel() / np.linalg.norm(a), b.ravel() / np.linalg.norm(b)
    return float(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))


def separable(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.sign(X @ rng.standard_normal(d))
    return X, y


def with_known_answer(n_active: int, n: int, d: int, size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points whose ℓ2 max-margin predictor is, up to the rounding of X, `size` along the first axis of a rotation."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    beta = size * rotation[:, 0]
    tangent = rng.standard_normal((n, d - 1)) @ rotation[:, 1:].T
    weights = rng.uniform(0.5, 1.5, n_active)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    tangent[0] = -(weights[1:] @ tangent[1:n_active]) / weights[0]  # the support vectors' tangents cancel
    margins = np.where(np.arange(n) < n_active, 1.0, rng.uniform(2, 5, n))
    return tangent + np.outer(margins / size**2, beta), beta


@pytest.mark.parametrize(("n", "d"), [(10, 20), (60, 15), (40, 101), (150, 8)])
def test_support_vector_classifier_of_scikit_learn(n: int, d: int) -> None:
    X, y = separable(n, d, seed=n)
    signed = y[:, None] * X
    # the same problem as a kernel SVM has an intercept; mirroring the data at the origin makes it zero
    both, labels = np.vstack([X, -X]), np.concatenate([y, -y])
    reference = SVC(C=1e10, kernel="linear", tol=1e-10, max_iter=2_000_000).fit(both, labels).coef_[0]
    reference = reference / (signed @ reference).min()
    solution = max_margin(X, y, L2())
    assert solution.objective <= np.linalg.norm(reference) * (1 + 1e-12)
    # libsvm's own margins, not ours, limit this: its support vectors end 1e-6 to 3e-5 away from margin one
    assert angle(solution.beta, reference) <= 1e-3
    assert solution.objective == pytest.approx(np.linalg.norm(reference), rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_hard_margin_quadratic_program_of_clarabel(seed: int) -> None:
    import cvxpy as cp

    X, y = separable(25, 40, seed)
    beta = cp.Variable(40)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(beta)), [cp.multiply(y, X @ beta) >= 1])
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-13, tol_gap_rel=1e-13, tol_feas=1e-13)
    solution = max_margin(X, y, L2())
    assert solution.objective == pytest.approx(np.linalg.norm(beta.value), rel=1e-7)
    assert angle(solution.beta, beta.value) <= 1e-5
    assert solution.status is Status.OPTIMAL
    assert solution.unique is Uniqueness.UNIQUE
    assert solution.certificate.worst <= 1e-12


def exact_on_active_set(A: np.ndarray, active: np.ndarray) -> mpmath.matrix:
    """β = A_Sᵀ(A_S A_Sᵀ)^{-1} 1 with 60 digits, checked to be the optimum: multipliers > 0 and every margin ≥ 1."""
    rows = mpmath.matrix(A[active].tolist())
    multipliers = mpmath.lu_solve(rows * rows.T, mpmath.ones(len(active), 1))
    beta = rows.T * multipliers
    assert min(multipliers) > 0
    assert min(mpmath.matrix(A.tolist()) * beta) > 1 - mpmath.mpf(10) ** -40
    return beta


@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("seed", range(3))
def test_margins_hold_to_1e_10_for_large_predictors(size: float, seed: int) -> None:
    A, _ = with_known_answer(8, 30, 20, size, seed)
    y = np.where(np.arange(30) % 2, 1.0, -1.0)
    solution = max_margin(y[:, None] * A, y, L2())
    assert np.linalg.norm(solution.beta) == pytest.approx(size, rel=1e-6)
    with mpmath.workdps(60):
        active = np.flatnonzero(solution.dual > 0)
        exact = exact_on_active_set(A, active)
        beta = mpmath.matrix(solution.beta.tolist())
        margins = mpmath.matrix(A.tolist()) * beta
        assert abs(min(margins) - 1) <= 1e-10
        # rounding β alone moves a margin by up to (ε/2) Σ|x_d β_d| ≤ 1.1e-10 at ‖x‖ = 1, ‖β‖ = 1e6
        assert all(abs(margins[int(n)] - 1) <= 2e-10 for n in active)
        # X is known to ε, so margins move by ε‖β‖ and the direction by no more than that times the condition
        assert mpmath.norm(beta - exact) / mpmath.norm(exact) <= 1e-14 * size
    assert solution.status is Status.OPTIMAL


def test_one_point_and_orthogonal_points_by_hand() -> None:
    np.testing.assert_allclose(max_margin([[3.0, 4.0]], [-1], L2()).beta, [-3 / 25, -4 / 25], rtol=1e-15)
    scales = np.array([1.0, 2.0, 0.25])
    solution = max_margin(np.diag(scales), [1, -1, 1], L2())
    np.testing.assert_allclose(solution.beta, [1, -0.5, 4], rtol=1e-15)
    assert max_margin([[2.0], [5.0], [-4.0]], [1, 1, -1], L2()).beta == pytest.approx([0.5])


def test_every_exponent_two_is_the_same_problem() -> None:
    X, y = separable(12, 16, 3)
    l2 = max_margin(X, y, L2())
    for regularizer in (Bridge(2), FourierBridge(2)):
        same = max_margin(X, y, regularizer)
        np.testing.assert_allclose(same.beta, l2.beta, rtol=1e-12)
        assert same.objective == pytest.approx(l2.objective, rel=1e-12)
        assert same.certificate.worst <= 1e-12
    image = max_margin(X.reshape(12, 4, 4), y, FourierBridge(2))
    np.testing.assert_allclose(image.beta.ravel(), l2.beta, rtol=1e-12)
    several = max_margin(X, np.stack([y, -y], axis=1), Schatten(2))  # the outputs decouple
    np.testing.assert_allclose(several.beta, [l2.beta, -l2.beta], rtol=1e-10)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 9), st.floats(-6, 6))
def test_rotation_scaling_label_flip_order(seed: int, n: int, d: int, log_scale: float) -> None:
    X, y = separable(n, d, seed)
    beta = max_margin(X, y, L2()).beta
    # the optimum is Lipschitz in the data with constant ≲ ‖β‖, so rounding moves it by ε‖β‖²
    atol = 1e-13 * float(np.linalg.norm(beta)) ** 2 * float(np.linalg.norm(X, axis=1).max())
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    order = rng.permutation(n)
    scale = 10.0**log_scale
    np.testing.assert_allclose(max_margin(X @ rotation.T, y, L2()).beta, rotation @ beta, rtol=0, atol=atol)
    np.testing.assert_allclose(max_margin(X, -y, L2()).beta, -beta, rtol=0, atol=atol)
    np.testing.assert_allclose(max_margin(-X, y, L2()).beta, -beta, rtol=0, atol=atol)
    np.testing.assert_allclose(max_margin(X[order], y[order], L2()).beta, beta, rtol=0, atol=atol)
    np.testing.assert_allclose(max_margin(scale * X, y, L2()).beta * scale, beta, rtol=0, atol=atol)


@pytest.mark.parametrize("pair", [(3, 8), (4, 9), (1, 7)])
def test_real_digits_raw_and_with_columns_of_any_scale(pair: tuple[int, int]) -> None:
    digits = load_digits()
    chosen = np.isin(digits.target, pair)
    X, y = digits.data[chosen], np.where(digits.target[chosen] == pair[0], 1.0, -1.0)
    solution = max_margin(X, y, L2())
    assert solution.certificate.worst <= 1e-11
    assert certify(X, y, solution.beta, L2()).worst <= 1e-11
    scaled = max_margin(X * np.where(np.arange(64) % 2, 1e8, 1e-8), y, L2())
    assert scaled.certificate.worst <= 1e-9


def test_duplicated_points_share_the_multiplier_and_change_nothing() -> None:
    X, y = separable(10, 14, 8)
    once, twice = max_margin(X, y, L2()), max_margin(np.vstack([X, X, X[:2]]), np.concatenate([y, y, y[:2]]), L2())
    np.testing.assert_allclose(twice.beta, once.beta, rtol=1e-12, atol=1e-14)
    assert twice.dual.sum() == pytest.approx(once.dual.sum(), rel=1e-12)
    assert twice.dual.shape == (22,)
