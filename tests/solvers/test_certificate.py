"""The certificate: what it must accept, and above all what it must reject."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import L2, Bridge, FourierBridge, Regularizer, Schatten, Status, certify, max_margin
from solvers.certificate import certified
from solvers.solution import Candidate
from solvers.validation import check_problem

NORMS: list[Regularizer] = [L2(), Bridge(1), Bridge(2), FourierBridge(1), FourierBridge(2)]
NONCONVEX: list[Regularizer] = [Bridge(2 / 3), Bridge(0.5), FourierBridge(2 / 3), FourierBridge(0.5)]
RNG = np.random.default_rng(31)
X = RNG.standard_normal((9, 12))
y = np.sign(X @ RNG.standard_normal(12))


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
def test_weak_duality_multiplied_out(regularizer: Regularizer) -> None:
    """R°(Aᵀα) ≤ 1 and α ≥ 0, then 1ᵀα ≤ ⟨Aᵀα, β⟩ ≤ R(β) for every feasible β: by hand, for the returned α."""
    solution = max_margin(X, y, regularizer)
    alpha = solution.dual
    z = X.T @ (alpha * y)
    assert (alpha >= 0).all()
    assert regularizer.dual_norm(z) == pytest.approx(1, rel=1e-12)
    assert solution.lower_bound == pytest.approx(alpha.sum(), rel=1e-14)
    assert solution.objective - alpha.sum() <= 1e-9 * solution.objective
    rng = np.random.default_rng(0)
    for _ in range(200):
        other = solution.beta + 0.3 * rng.standard_normal(12) * np.abs(solution.beta).max()
        margin = (y * (X @ other)).min()
        if margin > 0:
            assert regularizer.value(other) / margin >= alpha.sum()


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
def test_the_gap_is_stationarity_plus_complementarity(regularizer: Regularizer) -> None:
    """The identity in the docstring of Certificate, with each term by hand, at a β that is not optimal."""
    beta = max_margin(X, y, regularizer).beta + 0.2 * np.random.default_rng(1).standard_normal(12)
    beta = beta / (y * (X @ beta)).min()
    certificate = certify(X, y, beta, regularizer)
    value, alpha = regularizer.value(beta), certificate.dual
    stationarity = (value - X.T @ (alpha * y) @ beta) / value
    complementarity = float(alpha @ (y * (X @ beta) - 1)) / value
    assert certificate.gap == pytest.approx(stationarity + complementarity, rel=1e-9)
    assert certificate.gap == pytest.approx(certificate.direction_gap, rel=1e-9)
    assert certificate.stationarity == pytest.approx(stationarity, rel=1e-9)
    assert certificate.gap > 1e-3


@pytest.mark.parametrize("regularizer", NORMS + NONCONVEX, ids=str)
def test_our_own_answers_pass_without_their_multipliers(regularizer: Regularizer) -> None:
    """`certify` finds multipliers of its own; it is not told ours."""
    assert certify(X, y, max_margin(X, y, regularizer).beta, regularizer).worst <= 1e-9


@pytest.mark.parametrize("size", [1e-6, 1e-4, 1e-2, 0.5])
@pytest.mark.parametrize("regularizer", NORMS, ids=str)
def test_a_perturbed_predictor_is_rejected(regularizer: Regularizer, size: float) -> None:
    """Feasible but not optimal: the gap is quadratic in the step where R curves, linear on a face."""
    solution = max_margin(X, y, regularizer)
    step = np.random.default_rng(2).standard_normal(12)
    beta = solution.beta + size * np.linalg.norm(solution.beta) * step / np.linalg.norm(step)
    beta = beta / (y * (X @ beta)).min()
    certificate = certify(X, y, beta, regularizer)
    assert certificate.primal <= 1e-15
    assert certificate.gap == pytest.approx(1 - solution.objective / regularizer.value(beta), rel=1e-9, abs=1e-14)
    assert certificate.gap > 1e-2 * size**2
    assert certificate.worst >= size / 1e3  # complementarity is linear in the step


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.3])
@pytest.mark.parametrize("regularizer", NONCONVEX, ids=str)
def test_a_perturbed_stationary_point_is_rejected(regularizer: Bridge, size: float) -> None:
    solution = max_margin(X, y, regularizer)
    coefficients = regularizer.coefficients(solution.beta)
    on = regularizer.support(solution.beta)
    noise = regularizer.coefficients(np.random.default_rng(3).standard_normal(12)) * on
    inside = solution.beta + size * np.linalg.norm(coefficients) * regularizer.from_coefficients(
        noise / np.linalg.norm(noise)
    )
    inside = inside / (y * (X @ inside)).min()
    assert certify(X, y, inside, regularizer).support_size == solution.certificate.support_size
    assert certify(X, y, inside, regularizer).worst >= size / 1e3


@pytest.mark.parametrize("regularizer", NORMS + NONCONVEX, ids=str)
def test_scaled_predictors_are_rejected_and_their_directions_are_not(regularizer: Regularizer) -> None:
    beta = max_margin(X, y, regularizer).beta
    for factor in (0.5, 2.0, 1e6, 1 + 1e-6):
        certificate = certify(X, y, factor * beta, regularizer)
        assert certificate.worst >= 0.9 * abs(1 - 1 / factor) * min(1.0, factor)
        assert certificate.margin == pytest.approx(factor, rel=1e-9)
        assert certificate.primal == pytest.approx(max(0, 1 - factor), abs=1e-9)
        assert certificate.stationarity <= 1e-9
        assert certificate.complementarity <= 1e-9
        if certificate.direction_gap is not None:
            assert certificate.direction_gap <= 1e-9
            assert certificate.gap == pytest.approx(1 - 1 / factor, abs=1e-9)
    opposite = certify(X, y, -beta, regularizer)
    assert opposite.worst >= 1
    assert opposite.primal > 1


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
def test_wrong_multipliers_prove_nothing(regularizer: Regularizer) -> None:
    solution = max_margin(X, y, regularizer)
    rng = np.random.default_rng(4)
    for dual in (np.ones(9), rng.random(9), -solution.dual, np.zeros(9), solution.dual[::-1].copy()):
        certificate = certify(X, y, solution.beta, regularizer, dual=dual)
        assert certificate.lower_bound <= solution.objective * (1 + 1e-12)  # never a false bound
        assert certificate.worst > 1e-3
    nearly = solution.dual * (1 + 1e-4 * rng.standard_normal(9))
    assert 1e-9 < certify(X, y, solution.beta, regularizer, dual=nearly).worst < 1e-2
    # one negative multiplier is not a smaller one: it may not be used at all
    negative = solution.dual - 2 * solution.dual.max() * (solution.dual == solution.dual.max())
    certificate = certify(X, y, solution.beta, regularizer, dual=negative)
    assert (certificate.dual >= 0).all()
    assert certificate.worst > 1e-3


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(NORMS))
def test_no_multipliers_ever_prove_more_than_the_optimum(seed: int, regularizer: Regularizer) -> None:
    optimum = max_margin(X, y, regularizer).objective
    rng = np.random.default_rng(seed)
    dual = np.exp(3 * rng.standard_normal(9)) * rng.choice([-1, 0, 1], 9)
    beta = rng.standard_normal(12)
    assert certify(X, y, beta, regularizer, dual=dual).lower_bound <= optimum * (1 + 1e-12)


def test_the_wrong_regularizers_answer_is_rejected() -> None:
    """The answers of different architectures are different; the certificate must tell them apart."""
    regularizers = (L2(), Bridge(1), FourierBridge(1), Bridge(0.5), FourierBridge(0.5))
    answers = {r: max_margin(X, y, r).beta for r in regularizers}
    for of, beta in answers.items():
        for other in answers:
            worst = certify(X, y, beta, other).worst
            assert (worst <= 1e-9) == (of == other), (of, other, worst)


def test_status_claims_only_what_is_proved() -> None:
    problem = check_problem(X, y, Bridge(1))
    solution = max_margin(X, y, Bridge(1))

    def status(regularizer: Regularizer, beta: Any, dual: Any) -> Status:
        return certified(problem, regularizer, Candidate(beta, dual), tol=1e-9).status

    assert status(Bridge(1), solution.beta, solution.dual) is Status.OPTIMAL
    assert status(Bridge(1), 1.001 * solution.beta, solution.dual) is Status.INACCURATE
    assert status(Bridge(1), solution.beta, np.ones(9)) is Status.INACCURATE
    nonconvex = max_margin(X, y, Bridge(0.5))
    assert nonconvex.status is Status.STATIONARY
    assert nonconvex.certificate.gap is None
    assert status(Bridge(0.5), 2 * nonconvex.beta, nonconvex.dual) is Status.INACCURATE
    assert "nonconvex" in str(Status.STATIONARY)


def test_an_iterate_without_margin_gets_an_answer_and_not_an_exception() -> None:
    beta = np.random.default_rng(5).standard_normal(12)
    assert (y * (X @ beta)).min() < 0
    for regularizer in NORMS:
        certificate = certify(X, y, beta, regularizer)
        assert certificate.direction_gap == np.inf
        assert certificate.worst >= 1
        assert certificate.primal == 1 - certificate.margin
    for regularizer in NONCONVEX:
        certificate = certify(X, y, beta, regularizer)
        assert certificate.worst >= 1
        assert certificate.lower_bound == -np.inf


@pytest.mark.parametrize("p", [2 / 3, 0.5])
def test_schatten_below_one_accepts_a_constructed_stationary_point(p: float) -> None:
    """β = U diag(σ) Vᵀ, z = U diag(pσ^{p−1}) Vᵀ + a block on the two complements, where nothing is required."""
    rng = np.random.default_rng(6)
    u, v = np.linalg.qr(rng.standard_normal((4, 4)))[0], np.linalg.qr(rng.standard_normal((5, 5)))[0]
    sigma = np.array([3.0, 0.7])
    beta = u[:, :2] * sigma @ v[:, :2].T
    z = u[:, :2] * (p * sigma ** (p - 1)) @ v[:, :2].T
    free = u[:, 2:] @ rng.standard_normal((2, 3)) @ v[:, 2:].T
    residual = Schatten(p).stationarity
    assert residual(beta, z) <= 1e-12
    assert residual(beta, 7.0 * z + free) <= 1e-12
    tangent = u[:, :2] @ rng.standard_normal((2, 3)) @ v[:, 2:].T
    assert residual(beta, z + 1e-3 * tangent) >= 1e-4
    assert residual(beta, z + 1e-3 * u[:, :2] @ np.diag([1.0, -1.0]) @ v[:, :2].T) >= 1e-4
    assert residual(beta, -z) == 1.0
    # the derivative of ‖·‖_p^p along rank-preserving curves is ⟨z, ·⟩ (central differences)
    for _ in range(5):
        left, right = rng.standard_normal((4, 4)), rng.standard_normal((5, 5))
        direction = left @ beta + beta @ right
        h = 1e-6
        curve = [(np.eye(4) + t * h * left) @ beta @ (np.eye(5) + t * h * right) for t in (1, -1)]
        powers = [float(np.sum(np.linalg.svd(m, compute_uv=False)[:2] ** p)) for m in curve]
        assert (powers[0] - powers[1]) / (2 * h) == pytest.approx(float(np.vdot(z, direction)), rel=1e-7, abs=1e-7)


def test_the_lower_bound_is_what_the_stored_multipliers_prove() -> None:
    """At condition 1e12 rounding α while scaling it moves Aᵀα; the bound must follow. Checked in exact fractions."""
    X, y = np.array([[2e-12, 7.0], [0.0, -3.0]]), np.array([-1.0, -1.0])
    solution = max_margin(X, y, L2())
    alpha = [Fraction(float(a)) for a in solution.dual]
    z = [sum(a * Fraction(float(v)) for a, v in zip(alpha, column, strict=True)) for column in (y[:, None] * X).T]
    proved = float(sum(alpha)) / math.sqrt(float(sum(v * v for v in z)))
    assert solution.lower_bound == pytest.approx(proved, rel=1e-12)


def test_a_predictor_that_is_wrong_on_a_point_has_no_gap_to_show() -> None:
    X, y = np.array([[2.0, 1.0], [-1.0, 0.5]]), np.array([1.0, -1.0])
    beta = max_margin(X, y, L2()).beta
    assert certify(X, y, -beta, L2()).gap == np.inf
    assert certify(X, y, -beta, L2()).worst == np.inf
    assert certify(X, y, beta[None, :], L2()).worst <= 1e-12  # coef_ of a scikit-learn classifier


def test_predictors_near_overflow_are_certified_without_a_warning() -> None:
    X, y = [[3.0, 1.0, 0.0], [-1.0, 2.0, -3.0]], [1.0, -1.0]
    solution = max_margin(X, y, Bridge(1))
    huge = certify(X, y, 1e305 * solution.beta, Bridge(1), dual=solution.dual)
    assert huge.direction_gap == pytest.approx(0.0, abs=1e-12)
