"""Squared loss on linear networks: integrated limits against their potentials, and finite steps against theirs."""

import numpy as np
import pytest
import torch

from gd import Convolutional, Diagonal, FullyConnected, MatrixFactorization, RegressionLimit, descend, flow_limit
from gd.descent.schedule import ConstantStep, DecayingStep
from gd.optimizers.gradient_descent import GradientDescent
from gd.squared.squared_flow import squared_flow_limit
from gd.status import SquaredStatus
from solvers import HyperbolicEntropy, Schatten, Status, min_norm

X, Y = np.array([[1.0, 2.0, -1.0], [2.0, -1.0, 3.0]]), np.array([1.0, 2.0])
DOUBLE = torch.float64


def started(*layers):
    network = Diagonal(len(layers[0]), len(layers))
    with torch.no_grad():
        for weight, values in zip(network.weights, layers, strict=True):
            weight.copy_(torch.tensor(values, dtype=DOUBLE))
    return network


def general():
    return started([0.5, 0.2, 0.3], [0.1, -0.4, 0.3])


def data(N, D, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((N, D))
    return A, A[:, 0] - A[:, 1]


def apart(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


def test_the_check_value_of_the_flow():
    limit = flow_limit(general(), X, Y, loss="squared")
    assert isinstance(limit, RegressionLimit)
    assert limit.prediction[0].beta[0] == pytest.approx(0.9088479645396, abs=1e-12)
    assert limit.predictor[0, 0] == pytest.approx(0.9088479645, abs=1e-9)
    assert limit.predictor_error[0] < 1e-7
    np.testing.assert_allclose(limit.load(general()).predictor, limit.predictor[0], rtol=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_diagonal_networks_at_every_depth_and_scale(depth):
    A, b = data(4, 9)
    networks = [Diagonal(9, depth, scale=scale, seed=1) for scale in (0.3, 1.0)]
    limit = flow_limit(networks, A, b, loss="squared")
    assert limit.status == (SquaredStatus.FITTED,) * 2
    for beta, predicted, error in zip(limit.predictor, limit.prediction, limit.predictor_error, strict=True):
        assert predicted.status is Status.OPTIMAL
        assert apart(beta, predicted.beta) <= error < 1e-6


def test_tiny_weights():
    """α = 1e-8: the flow waits near zero for ln(1/α), and the limit still depends on α."""
    A, b = data(3, 5)
    tiny = started(np.full(5, 1e-8), np.zeros(5))
    limit = flow_limit(tiny, A, b, loss="squared")
    assert apart(limit.predictor[0], limit.prediction[0].beta) < 1e-7
    other = min_norm(A, b, HyperbolicEntropy.of_weights(np.full(5, 1e-7), np.zeros(5)))
    assert apart(limit.predictor[0], other.beta) > 1e-6


@pytest.mark.parametrize("depth", [2, 3])
def test_balanced_fully_connected_networks(depth):
    A, b = data(4, 9)
    balanced = FullyConnected(9, depth, width=3, scale=0.4, seed=0, initialization="balanced")
    limit = flow_limit(balanced, A, b, loss="squared")
    assert apart(limit.predictor[0], limit.prediction[0].beta) < 1e-7


def test_nothing_is_predicted_where_nothing_is_proved():
    A, b = data(4, 9)
    for network in (
        FullyConnected(9, 2, width=3, scale=0.4, seed=0),
        FullyConnected(9, 2, outputs=2, seed=0, initialization="balanced"),
        Convolutional(9, 2, scale=0.4, seed=0),
        MatrixFactorization((3, 3), scale=0.4),
    ):
        assert network.potential is None
    limit = flow_limit(Convolutional(9, 2, scale=0.4, seed=0), A, b, loss="squared")
    assert limit.prediction == (None,)
    assert limit.status == (SquaredStatus.FITTED,)


def test_what_a_start_cannot_fit_is_said():
    locked = started([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])  # β > 0 for ever
    limit = flow_limit(locked, np.eye(3)[:2], [1.0, -1.0], loss="squared")
    assert limit.status == (SquaredStatus.DEGENERATE,)
    assert limit.prediction == (None,)
    contradictory = flow_limit(general(), [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]], [1.0, 3.0], loss="squared")
    assert (contradictory.status, contradictory.prediction) == ((SquaredStatus.DEGENERATE,), (None,))
    assert flow_limit(general(), X, Y, loss="squared", max_steps=5).status == (SquaredStatus.UNFINISHED,)
    zero = flow_limit(started(np.zeros(3), np.zeros(3)), X, Y, loss="squared")
    assert zero.status == (SquaredStatus.DEGENERATE,)


def test_several_outputs_and_matrices():
    A, _ = data(4, 6)
    B = np.random.default_rng(1).standard_normal((4, 2))
    limit = flow_limit(FullyConnected(6, 2, outputs=2, scale=0.4), A, B, loss="squared")
    np.testing.assert_allclose(A @ limit.predictor[0].T, B, atol=1e-8)
    M = np.random.default_rng(2).standard_normal((5, 3, 4))
    network = MatrixFactorization((3, 4), scale=0.1, seed=0)
    assert network.regularizer == Schatten(1.0)
    fitted = flow_limit(network, M, np.ones(5), loss="squared")
    np.testing.assert_allclose(np.einsum("nij,ij->n", M, fitted.predictor[0]), 1.0, atol=1e-8)


def test_the_exponential_integrator_has_no_shortest_step_on_smooth_networks():
    """It had one of 0.1/tr Θ, far longer than the growth of small weights takes: an error of 12 % at α = 0.01."""
    A, b = data(3, 6)
    small = started(np.full(6, 0.01), np.zeros(6))
    exact = min_norm(A, b, small.potential).beta
    rough = squared_flow_limit(small, A, b, accuracy=1e-3, device="cpu")
    assert apart(rough.load(started(np.zeros(6), np.zeros(6))).predictor, exact) < 1e-3
    # and large networks go through it
    wide = flow_limit(Diagonal(600, 2, scale=1.0, seed=0), *data(2, 600), loss="squared", device="cpu")
    assert apart(wide.predictor[0], wide.prediction[0].beta) <= wide.predictor_error[0]


@pytest.mark.parametrize(("step", "steps", "first"), [(0.01, 3500, 0.9085548728), (0.08, 450, 0.9072531024)])
def test_finite_steps_are_a_flow_from_another_start(step, steps, first):
    run = descend(general(), X, Y, loss="squared", steps=steps, schedule=ConstantStep(step))
    solved = min_norm(X, Y, run.effective_potential[0])  # ν from (ρ±, X, y), not from the run
    assert solved.status is Status.OPTIMAL
    assert run.predictor[0, 0] == pytest.approx(first, abs=1e-10)
    np.testing.assert_allclose(run.predictor[0], solved.beta, atol=1e-10)
    assert apart(run.predictor[0], min_norm(X, Y, general().potential).beta) > 1e-4  # which is the flow's


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": DecayingStep(0.1, 0.1), "steps": 800},
        {"schedule": ConstantStep(0.05), "batch_size": 1, "seed": 3, "steps": 1000},
        {"schedule": "armijo", "steps": 400},
        {"schedule": "constant", "steps": 400},
    ],
    ids=["decaying", "minibatches", "armijo", "halved"],
)
def test_so_they_are_with_every_step_and_every_batch(options):
    run = descend(general(), X, Y, loss="squared", **options)
    np.testing.assert_allclose(X @ run.predictor[0], Y, atol=1e-9)
    np.testing.assert_allclose(run.predictor[0], min_norm(X, Y, run.effective_potential[0]).beta, atol=1e-9)


def test_the_identity_holds_before_the_end_and_for_every_run_of_a_batch():
    A, b = data(5, 12)
    networks = [Diagonal(12, 2, scale=scale, seed=2) for scale in (0.1, 1.0)]
    run = descend(networks, A, b, loss="squared", steps=60, schedule=ConstantStep(0.005))
    for beta, potential in zip(run.predictor, run.effective_potential, strict=True):
        np.testing.assert_allclose(beta, min_norm(A, A @ beta, potential).beta, atol=1e-12)
    assert run.effective_growth.shape == (2, 2, 12)
    assert (run.effective_growth <= 0).all()  # ln|1 ± s| ∓ s < 0 for |s| < 1: finite steps act like a smaller start


def test_momentum_has_no_effective_start_and_other_networks_none():
    heavy = GradientDescent(momentum=0.9)
    run = descend(general(), X, Y, loss="squared", optimizer=heavy, steps=50, schedule=ConstantStep(0.01))
    assert run.effective_potential == (None,)
    deep = descend(Diagonal(3, 3, seed=0), X, Y, loss="squared", steps=5)
    margins = descend(Diagonal(3, 2, seed=0), X, np.sign(Y), steps=5)
    assert deep.effective_potential is margins.effective_potential is None


def test_progress_and_errors():
    seen = []
    flow_limit([general(), general()], X, Y, loss="squared", progress=lambda steps, left: seen.append(left))
    assert seen == [1, 0]
    with pytest.raises(ValueError, match="tol"):
        flow_limit(general(), X, Y, loss="squared", tol=0.0)
    with pytest.raises(ValueError, match="reshape X"):
        flow_limit(general(), X[:, :2], Y, loss="squared")
    with pytest.raises(ValueError, match="rank"):
        MatrixFactorization((2, 3), rank=3)
