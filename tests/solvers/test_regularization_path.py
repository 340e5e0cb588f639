"""The path against cvxpy at every radius, and its limits: logistic regression within reach, max margin far out."""

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize

from solvers import L2, Bridge, FourierBridge, Schatten, certify, max_margin, regularization_path
from solvers.algorithms.ball_newton import Box, GroupBall

NORMS = [L2(), Bridge(1), FourierBridge(1)]


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 8))
    return X, np.sign(X @ rng.standard_normal(8) + 4 * rng.standard_normal(40))


def norm_of(regularizer, beta):
    if isinstance(regularizer, FourierBridge):
        F = np.fft.fft(np.eye(8), norm="ortho")
        return cp.sum(cp.norm(cp.vstack([F.real @ beta, F.imag @ beta]), 2, axis=0))
    return cp.norm1(beta) if isinstance(regularizer, Bridge) else cp.norm2(beta)


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_against_cvxpy(noisy, regularizer, loss):
    X, y = noisy
    radii = [0.1, 1.0, 3.0]
    path = regularization_path(X, y, radii, regularizer, loss=loss, tol=1e-8)
    for radius, beta, value, gap in zip(radii, path.predictors, path.losses, path.gaps, strict=True):
        unknown = cp.Variable(8)
        margins = cp.multiply(y, X @ unknown)
        objective = cp.sum(cp.logistic(-margins)) if loss == "logistic" else cp.log_sum_exp(-margins)
        optimum = cp.Problem(cp.Minimize(objective), [norm_of(regularizer, unknown) <= radius]).solve(solver="CLARABEL")
        assert regularizer.value(beta) <= radius * (1 + 1e-12)
        # the gap bounds what is left; Clarabel stops at 1e-8 relative
        assert -1e-6 <= value - optimum <= gap + 1e-6


def test_gap_is_a_bound_also_when_stopped_early(noisy):
    X, y = noisy
    exact = regularization_path(X, y, [2.0], Bridge(1), tol=1e-9)
    early = regularization_path(X, y, [2.0], Bridge(1), tol=1e-9, max_steps=3)
    assert early.gaps[0] >= early.losses[0] - exact.losses[0] > 1e-6


def test_large_radius_reaches_logistic_regression(noisy):
    X, y = noisy
    path = regularization_path(X, y, [1e3], L2(), tol=1e-10)
    reference = minimize(lambda b: np.logaddexp(0, -y * (X @ b)).sum(), np.zeros(8), options={"gtol": 1e-9})
    np.testing.assert_allclose(path.predictors[0], reference.x, atol=1e-4)


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
def test_separable_path_tends_to_max_margin(regularizer):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((10, 20)), np.sign(rng.standard_normal(10))
    unit = max_margin(X, y, regularizer).objective
    path = regularization_path(X, y, unit * np.array([1.0, 5.0, 25.0]), regularizer, loss="exponential", tol=1e-6)
    gaps = [certify(X, y, beta, regularizer).direction_gap for beta in path.predictors]
    assert gaps[0] > gaps[1] > gaps[2]
    # ln Σ e^{−cγ} is within ln N of c times the margin: the margin is off by at most ln N / c
    assert gaps[2] <= np.log(10) / 25.0 + 1e-6


@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), FourierBridge(1), Schatten(1)], ids=str)
def test_projection_is_the_nearest_point(regularizer):
    rng = np.random.default_rng(1)
    shape = (3, 5) if isinstance(regularizer, Schatten) else (7,)
    beta = rng.standard_normal(shape)
    nearest = regularizer.project(beta, 0.8)
    assert regularizer.value(nearest) == pytest.approx(0.8)
    for _ in range(50):  # variational inequality ⟨β − Pβ, u − Pβ⟩ ≤ 0 for u in the ball
        u = rng.standard_normal(shape)
        u *= 0.8 / regularizer.value(u)
        assert np.vdot(beta - nearest, u - nearest) <= 1e-12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radii": [0.0]}, "radii must be positive"),
        ({"radii": [1.0], "regularizer": Bridge(0.5)}, "not a norm"),
        ({"radii": [1.0], "loss": "hinge"}, "loss must be"),
    ],
)
def test_refusals(noisy, arguments, message):
    with pytest.raises(ValueError, match=message):
        regularization_path(*noisy, **({"regularizer": L2()} | arguments))


UNITS = np.logspace(-3, 3, 8)


@pytest.mark.parametrize("regularizer", [*NORMS, Bridge(np.inf)], ids=str)
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_columns_of_any_units(regularizer, loss):
    """Gradient steps alone stop at a gap of a third of the loss here. cvxpy's optimum is accurate to 1e-5 or so."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((15, 8)) * UNITS, np.sign(rng.standard_normal(15))
    path = regularization_path(X, y, [100.0], regularizer, loss=loss, tol=1e-7)
    unknown = cp.Variable(8)
    margins = cp.multiply(y, X @ unknown)
    objective = cp.sum(cp.logistic(-margins)) if loss == "logistic" else cp.log_sum_exp(-margins)
    optimum = cp.Problem(cp.Minimize(objective), [regularizer.conic(unknown) <= 100.0]).solve(solver="CLARABEL")
    assert path.gaps[0] <= 1e-7 * max(path.losses[0], 1.0)
    assert regularizer.value(path.predictors[0]) <= 100.0
    assert abs(path.losses[0] - optimum) <= 1e-5 * max(1.0, abs(optimum))


@pytest.mark.parametrize("regularizer", [Schatten(2), Schatten(np.inf)], ids=str)
def test_matrices_with_columns_of_any_units(regularizer):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((15, 8)) * UNITS, np.sign(rng.standard_normal((15, 3)))
    path = regularization_path(X, y, [100.0], regularizer)
    assert path.gaps[0] <= 1e-6 * path.losses[0]


@pytest.mark.parametrize("barrier", [GroupBall((3, 2), 2.0), Box(6, 2.0)], ids=["groups", "box"])
def test_barriers_by_differences(barrier):
    """The slope of φ, and Newton's step, which solves the system with φ's second derivatives in b and t."""
    rng = np.random.default_rng(3)
    b, t = barrier.start()
    b = b + 0.1 * rng.standard_normal(6)
    n, x = b.size, np.concatenate([b, t])

    def slope(x):
        return np.concatenate(barrier.gradient(x[:n], x[n:]))

    steps = 1e-6 * np.eye(x.size)
    value = [(barrier.value(*np.split(x + s, [n])) - barrier.value(*np.split(x - s, [n]))) / 2e-6 for s in steps]
    np.testing.assert_allclose(slope(x), value, rtol=1e-6, atol=1e-6)
    second = np.array([(slope(x + s) - slope(x - s)) / 2e-6 for s in steps])
    root = rng.standard_normal((4, n))
    second[:n, :n] += root.T @ root
    step = np.concatenate(barrier.step(b, t, root, tuple(np.split(slope(x), [n]))))
    np.testing.assert_allclose(second @ step, -slope(x), rtol=1e-5, atol=1e-6)
    assert barrier.value(np.full(6, 2.1), t) == np.inf
