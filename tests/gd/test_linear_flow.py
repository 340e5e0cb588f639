"""The flow in ln t: against an integration that knows nothing of it, and against the limit that others compute."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from sklearn.datasets import load_iris, load_wine

from gd import ConstantStep, LinearFlowStatus, descend, linear_flow
from gd.networks.linear import FullyConnected
from solvers import logistic_limit

EXAMPLE = np.array([[1.0, 0, 0], [-2, 0, 0], [0.5, 1, 1], [0, 2, 1], [3, 0, 2]])
CLASSES = np.array([0, 1, 2, 0, 1, 2, 2])


def raw_flow(X, y, log_times, entropy):
    """Gradient flow in t itself, the gradient by automatic differentiation."""
    inputs, labels = torch.as_tensor(X), torch.as_tensor(y)
    K = 1 if labels.dtype.is_floating_point else int(labels.max()) + 1

    def slope(_, w):
        W = torch.tensor(w.reshape(K, -1), requires_grad=True)
        scores = inputs @ W.T
        value = torch.nn.functional.cross_entropy(scores, labels, reduction="sum") if K > 1 else None
        if value is None:
            m = labels * scores[:, 0]
            value = torch.nn.functional.softplus(-m).sum() if entropy else torch.exp(-m).sum()
        value.backward()
        return -W.grad.numpy().ravel()

    ends = np.exp(log_times)
    found = solve_ivp(slope, (0, ends[-1]), np.zeros(K * X.shape[1]), "LSODA", ends, rtol=1e-10, atol=1e-11)
    return found.y.T


@pytest.mark.parametrize("loss", ["logistic", "exponential", "cross entropy"])
def test_against_an_integration_in_t(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((7, 3))
    y = CLASSES if loss == "cross entropy" else np.sign(rng.standard_normal(7))
    times = np.array([-2.0, 0.0, 2.0, 4.0])
    flow = linear_flow(X, y, times, loss=loss)
    raw = raw_flow(X, y, times, entropy=loss != "exponential")
    np.testing.assert_allclose(flow.predictors.reshape(4, -1), raw, atol=1e-6)


def test_against_gradient_descent():
    """t = step · steps: small steps to t = 10."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((6, 4)), np.sign(rng.standard_normal(6))
    start = np.array([0.3, -0.2, 0.1, 0.4])
    network = FullyConnected(4, 1, seed=0)
    with torch.no_grad():
        next(network.parameters()).copy_(torch.as_tensor(start).reshape(next(network.parameters()).shape))
    run = descend(network, X, y, loss="logistic", steps=500, schedule=ConstantStep(0.02))
    flow = linear_flow(X, y, np.log(10.0), start=start)
    np.testing.assert_allclose(flow.predictors[0], run.predictor[0], atol=5e-2)
    closer = descend(network, X, y, loss="logistic", steps=2000, schedule=ConstantStep(0.005))
    ratio = np.linalg.norm(flow.predictors[0] - run.predictor[0]) / np.linalg.norm(
        flow.predictors[0] - closer.predictor[0]
    )
    assert 3.5 < ratio < 4.5  # Euler's method is of order one


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_the_example_at_every_time(loss):
    """w/ln t at the rate ln ln t/ln t (a support vector has multiplier zero), the offset faster than 1/t^0.9."""
    limit = logistic_limit(EXAMPLE, np.ones(5), loss=loss)
    times = np.array([5.0, 10.0, 20.0, 40.0, 100.0, 600.0])
    flow = linear_flow(EXAMPLE, np.ones(5), times, loss=loss)
    assert flow.status is LinearFlowStatus.FOLLOWED
    assert flow.growing.tolist() == limit.separable.tolist()
    apart = np.linalg.norm(flow.per_log_time() - limit.direction, axis=1) * times / np.log(times)
    assert apart.max() <= 2.0
    offset = np.array([np.linalg.norm(limit.project(w) - limit.finite_part) for w in flow.predictors])
    assert (offset <= np.exp(-0.9 * times) + 1e-9).all()


@pytest.mark.parametrize(
    ("load", "ones", "growing", "rank"), [(load_iris, 0, 200, 4), (load_iris, 1, 200, 5), (load_wine, 0, 356, 0)]
)
def test_iris_and_wine(load, ones, growing, rank):
    """Three classes. Iris: the 200 constraints with setosa are the separable part. Wine separates."""
    X, y = load(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    X = np.column_stack([X, np.ones(len(X))]) if ones else X
    limit, flow = logistic_limit(X, y), linear_flow(X, y, [20.0, 40.0])
    assert flow.status is LinearFlowStatus.FOLLOWED
    assert (flow.growing == limit.separable).all()
    assert (int(flow.growing.sum()), len(limit.subspace)) == (growing, rank)
    if load is load_iris:
        assert (limit.separable == ((y[:, None] == 0) | (np.arange(2) == 0))).all()
    apart = np.linalg.norm((flow.per_log_time() - limit.direction).reshape(2, -1), axis=1)
    apart /= np.linalg.norm(limit.direction)
    assert apart[1] <= 16.0 / 40.0  # bounded/ln t, the bound with the finite part in it
    assert apart[1] <= 0.6 * apart[0]
    np.testing.assert_allclose(limit.project(flow.predictors[1]), limit.finite_part, atol=1e-10)


def test_the_start_stays_where_no_row_sees_it():
    X = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    flow = linear_flow(X, [1, 1], 40.0, start=[0.0, 0.0, 7.0])
    assert flow.predictors[0, 2] == 7.0


def test_what_rounding_hides_is_not_followed():
    """Two rows that separate by 1e-10: t = e^46 would be needed to see it."""
    flow = linear_flow([[1.0, 0.0], [-1.0, 1e-10], [0.0, 1.0]], [1, 1, 1], [5.0, 60.0])
    assert flow.status is LinearFlowStatus.UNRESOLVED
    assert flow.growing is None
    assert np.isfinite(flow.predictors[0]).all()
    assert np.isnan(flow.predictors[1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"log_times": [700.0]}, "log_times must be"),
        ({"start": [1.0]}, "start must have the shape"),
        ({"loss": "squared"}, "loss must be"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        linear_flow(**({"X": np.eye(2), "y": [1, 1], "log_times": [1.0]} | arguments))


@pytest.mark.parametrize("w", [-5.0, -10.0, -20.0, -40.0, -500.0])
def test_a_start_far_on_the_wrong_side_is_followed_or_given_up(w: float) -> None:
    """u = e^{w₁} obeys u′ = 1 − 2u³: at t = e⁵ it is at rest, w₁ = −ln2/3. From −40 it once ended at −0.137."""
    flow = linear_flow([[1.0, 0], [-2, 0], [0, 1]], [1, 1, 1], [5.0], loss="exponential", start=[w, 0.0])
    if flow.status is LinearFlowStatus.FOLLOWED:
        assert abs(flow.predictors[0, 0] + np.log(2) / 3) < 1e-8
    assert (flow.status is LinearFlowStatus.FOLLOWED) == (w >= -10)
