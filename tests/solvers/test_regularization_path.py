"""The path against cvxpy at every radius, and its limits: logistic regression within reach, max margin far out."""

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize

from solvers import L2, Bridge, ConvKernel, FourierBridge, Schatten, certify, max_margin, regularization_path
from solvers.algorithms.ball_newton import Box, GroupBall
from solvers.algorithms.spectral_ball import NuclearBall, SpectralBall

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
        ({"radii": [1.0, 1e150]}, "leave float64's range"),
        ({"radii": [1e-150]}, "leave float64's range"),
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


@pytest.mark.parametrize("labels", ["tasks", "classes"])
@pytest.mark.parametrize("regularizer", [Schatten(2), Schatten(1), Schatten(np.inf)], ids=str)
def test_matrices_with_columns_of_any_units(regularizer, labels):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((15, 8)) * UNITS, np.sign(rng.standard_normal((15, 3)))
    y = y if labels == "tasks" else rng.integers(0, 3, 15)
    path = regularization_path(X, y, [1.0, 100.0], regularizer)
    assert (path.gaps <= 1e-6 * path.losses).all()
    for radius, beta in zip(path.radii, path.predictors, strict=True):
        assert regularizer.value(beta) <= radius * (1 + 1e-14)


@pytest.mark.parametrize(
    ("regularizer", "shape"),
    [
        (ConvKernel(1), (8,)),
        (ConvKernel(3), (8,)),
        (ConvKernel((2, 2)), (2, 4)),
        (ConvKernel(2, in_channels=2), (2, 4)),
    ],
    ids=str,
)
def test_kernels_with_columns_of_any_units(regularizer, shape):
    rng = np.random.default_rng(2)
    X, y = (rng.standard_normal((15, 8)) * UNITS).reshape(15, *shape), np.sign(rng.standard_normal(15))
    path = regularization_path(X, y, [100.0], regularizer)
    assert path.gaps[0] <= 1e-6 * path.losses[0]
    assert regularizer.value(path.predictors[0]) <= 100.0 * (1 + 1e-9)


@pytest.mark.parametrize("regularizer", [*NORMS, Bridge(np.inf), ConvKernel(3), Bridge(1.5)], ids=str)
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_tiny_radii_are_of_first_order(noisy, regularizer, loss):
    """β(c)/c → argmax ⟨−∇L(0), u⟩ over R(u) ≤ 1, where it attains R°."""
    X, y = noisy
    slope = (0.5 if loss == "logistic" else 1 / len(y)) * (y @ X)
    path = regularization_path(X, y, [1e-120, 1e-30, 1e-10], regularizer, loss=loss)
    for radius, beta in zip(path.radii, path.predictors, strict=True):
        assert regularizer.value(beta) <= radius * (1 + 1e-12)
        assert slope @ beta / radius == pytest.approx(regularizer.dual_norm(slope), rel=2e-6)
    assert (np.abs(path.gaps) <= 1e-6 * path.radii * X.size).all()


@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), ConvKernel(3)], ids=str)
def test_huge_radii(noisy, regularizer):
    """Not separable: the minimizer, wherever the ball ends. Separable: the max margin, or no loss at all."""
    X, y = noisy
    reference = minimize(lambda b: np.logaddexp(0, -y * (X @ b)).sum(), np.zeros(8), options={"gtol": 1e-9})
    path = regularization_path(X, y, [1e12, 1e80, 1e130], regularizer)
    np.testing.assert_allclose(path.losses, reference.fun, rtol=1e-9)
    assert (np.abs(path.gaps) <= 1e-6 * path.losses).all()
    few, signs = X[:6], y[:6]
    path = regularization_path(few, signs, [1e20, 1e80, 1e130], regularizer)
    assert (path.gaps <= 1e-6).all()
    path = regularization_path(few, signs, [1e20, 1e80, 1e130], regularizer, loss="exponential")
    margin = 1.0 / max_margin(few, signs, regularizer).objective
    np.testing.assert_allclose(path.losses / path.radii, -margin, rtol=1e-7)
    assert (path.gaps <= 1e-7 * np.abs(path.losses)).all()


def test_partly_separable_data_in_a_huge_ball():
    """The loss of the rows that do not separate is left."""
    A = [[1.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0.5, 1.0, 1.0], [0.0, 2.0, 1.0], [3.0, 0.0, 2.0]]
    root = max(np.roots([2.0, 1.0, 0.0, -1.0]), key=np.real).real
    for radius in (1e6, 1e40, 1e120):
        path = regularization_path(A, np.ones(5), [radius], L2())
        assert path.losses[0] == pytest.approx(np.log1p(1 / root) + np.log1p(root**2), rel=1e-6)
        assert path.gaps[0] <= 1e-6 * path.losses[0]


BARRIERS = [
    GroupBall((3, 2), 2.0),
    Box(6, 2.0),
    NuclearBall((2, 3), 2.0),
    NuclearBall((3, 2), 2.0),
    SpectralBall((2, 3), 2.0),
    SpectralBall((3, 2), 2.0),
]


@pytest.mark.parametrize("barrier", BARRIERS, ids=str)
def test_barriers_by_differences(barrier):
    """The slope of φ, and Newton's step, which solves the system with φ's second derivatives in b and t."""
    rng = np.random.default_rng(3)
    b, t = barrier.start()
    b = b + (0.1 if t.size else 0.3) * rng.standard_normal(6)
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


def test_the_barrier_of_the_nuclear_norm_is_the_least_over_bounds():
    rng = np.random.default_rng(4)
    b = 0.2 * rng.standard_normal(12)
    sigma = np.linalg.svd(b.reshape(3, 4), compute_uv=False)
    inner = GroupBall((3, 1), 2.0)
    found = minimize(lambda t: inner.value(sigma, t), sigma + 0.1, method="Nelder-Mead", options={"xatol": 1e-9})
    assert NuclearBall((3, 4), 2.0).value(b, np.zeros(0)) == pytest.approx(found.fun, abs=1e-7)


def soft_loss(X, y, beta, b, loss):
    """The loss of scores Xβᵀ + b in cvxpy; three classes, or ±1."""
    if loss == "cross entropy":
        scores = X @ beta.T + np.ones((len(X), 1)) @ cp.reshape(b, (1, 3), order="C")
        return cp.sum(cp.log_sum_exp(scores, axis=1) - cp.sum(cp.multiply(np.eye(3)[y], scores), axis=1))
    margins = cp.multiply(y, X @ beta + b)
    return cp.sum(cp.logistic(-margins)) if loss == "logistic" else cp.log_sum_exp(-margins)


@pytest.mark.parametrize("spread", [1.0, [1e-3, 1.0, 1e3, 1.0]], ids=["units alike", "units of every size"])
@pytest.mark.parametrize(
    ("regularizer", "loss"),
    [(Bridge(1), "logistic"), (ConvKernel(2), "logistic"), (L2(), "exponential"), (Schatten(1), "cross entropy")],
    ids=str,
)
def test_an_intercept_is_not_penalized(regularizer, loss, spread):
    rng = np.random.default_rng(7)
    X = (rng.standard_normal((25, 4)) + 2.0) * spread
    y = np.where(X[:, 1] + 1.5 * rng.standard_normal(25) > 1.0, 1.0, -1.0)
    if loss == "cross entropy":
        y = (y > 0) * (1 + (X[:, 3] > 2.0))
    path = regularization_path(X, y, [0.5, 20.0], regularizer, loss=loss, fit_intercept=True)
    for radius, beta, b, value, gap in zip(
        path.radii, path.predictors, path.intercepts, path.losses, path.gaps, strict=True
    ):
        unknown, free = cp.Variable(beta.shape), cp.Variable(b.shape)
        objective = soft_loss(X, y, unknown, free, loss)
        least = cp.Problem(cp.Minimize(objective), [regularizer.conic(unknown) <= radius]).solve(solver="CLARABEL")
        unknown.value, free.value = beta, b
        assert float(objective.value) == pytest.approx(value, rel=1e-9)
        assert regularizer.value(beta) <= radius * (1 + 1e-9)
        assert value - least <= gap + 1e-6 * abs(least)
        assert gap <= 1e-5 * max(abs(value), 1.0)


def test_an_intercept_of_one_class_is_refused():
    with pytest.raises(ValueError, match="points of two classes"):
        regularization_path(np.eye(3), [1, 1, 1], [1.0], L2(), fit_intercept=True)


def test_a_path_out_of_time_ends_at_the_radius_reached(noisy):
    X, y = noisy
    told = []
    path = regularization_path(X, y, [1.0, 2.0, 3.0], L2(), time_limit=1e-9, progress=lambda *done: told.append(done))
    assert path.radii.tolist() == [1.0]
    assert len(path.predictors) == len(path.losses) == len(path.intercepts) == 1
    assert told == [(1, 3)]
    assert 0 < path.gaps[0] < np.inf
    assert path.losses[0] - regularization_path(X, y, [1.0], L2()).losses[0] <= path.gaps[0] + 1e-9
