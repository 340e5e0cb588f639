"""The first part of a flow with kinks by explicit steps, and the states of kinks by a convex program."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, minimize
from torch import Tensor, nn

from gd.flow.explicit_step import GRADIENTS, chebyshev_step, explicit_steps
from gd.flow.integration import Flow
from gd.flow.kink_program import states_of_step
from gd.flow.loss_weights import ExponentialWeights
from gd.flow.sliding import SlidingMap
from solvers.arrays import Array


@pytest.mark.parametrize("stages", [2, 5, 20])
def test_chebyshev_steps_are_of_order_two_and_stable_on_a_long_interval(stages: int) -> None:
    # y′ = −y²: 1/(1 + t). Halved steps leave a quarter of the error
    errors = []
    for n in (20, 40):
        y = torch.ones(1, dtype=torch.float64)
        for _ in range(n):
            y = chebyshev_step(lambda t: -t * t, y, -y * y, 1.0 / n, stages)
        errors.append(abs(float(y) - 0.5))
    assert 3.5 < errors[0] / errors[1] < 4.5
    rates = torch.linspace(0.0, 0.65 * (stages**2 - 1), 400, dtype=torch.float64)
    assert float(chebyshev_step(lambda t: -rates * t, torch.ones_like(rates), -rates, 1.0, stages).abs().max()) <= 1.0
    beyond = torch.tensor([0.8 * stages**2 + 2.0], dtype=torch.float64)
    assert abs(float(chebyshev_step(lambda t: -beyond * t, torch.ones_like(beyond), -beyond, 1.0, stages))) > 1.0


def test_explicit_steps_slide_along_a_kink() -> None:
    # x′ = 1, y′ = −sign(y): Filippov's flow reaches y = 0 at x = 0.3 and stays there
    def force(t: Tensor) -> Tensor:
        return torch.stack([torch.ones_like(t[0]), -torch.sign(t[1])])

    theta, elapsed = torch.tensor([0.3, 0.1], dtype=torch.float64), 0.0
    for _ in range(6):
        found = explicit_steps(force, theta, 1.0, 1e-2, 1e-3)
        theta, elapsed = found.theta, elapsed + found.elapsed
    np.testing.assert_allclose(float(theta[0]), 0.3 + elapsed, rtol=1e-12)
    assert elapsed > 0.104
    assert found.stiff
    assert abs(float(theta[1])) < 2e-3


def test_a_stiff_flow_is_said_to_be_stiff() -> None:
    found = explicit_steps(lambda t: torch.stack([-1e9 * t[0], 0.0 * t[1]]), torch.ones(2).double(), 1e9, 1e-2, 1e-3)
    assert found.stiff


def raw_force(W: list[Array], X: Array, y: Array) -> list[Array]:
    """−∇L / L of the exponential loss, for a stack of ReLU layers."""
    inputs = [X]
    for one in W[:-1]:
        inputs.append(np.maximum(inputs[-1] @ one.T, 0.0))
    m = y * (inputs[-1] @ W[-1].T)[:, 0]
    error = (np.exp(m.min() - m) / np.exp(m.min() - m).sum() * y)[:, None]
    forces = []
    for one, h in zip(W[::-1], inputs[::-1], strict=True):
        forces.append(error.T @ h)
        error = (error @ one) * (h > 0)
    return forces[::-1]


def test_explicit_steps_follow_the_flow_of_the_raw_weights() -> None:
    """At the default tolerance; with steps of ten times the error the flow is 2e-4 away, by Heun's method."""
    X = np.random.default_rng(0).standard_normal((4, 3))
    torch.manual_seed(1)
    layers = [
        nn.Linear(3, 5, bias=False),
        nn.ReLU(),
        nn.Linear(5, 5, bias=False),
        nn.ReLU(),
        nn.Linear(5, 1, bias=False),
    ]
    model = nn.Sequential(*layers).double()
    with torch.no_grad():
        y = torch.sign(model(torch.from_numpy(X))[:, 0])  # so that the norm grows from the start
    assert (y != 0).all()
    mapping = SlidingMap(model, torch.from_numpy(X), y)
    start = 2.0 * mapping.start([model])
    mapping.explicit_gradients = GRADIENTS  # also for so few kinks
    flow = Flow.begin(mapping, start, loss=ExponentialWeights(), tolerance=1e-3)
    for _ in range(10):
        assert flow.explicit
        assert flow.advance()[0]
    W = [2.0 * p.detach().numpy() for p in model.parameters()]
    norm, end = np.linalg.norm(start[0]), float(np.exp(flow.log_norm[0]))
    while norm < end:
        first = raw_force(W, X, y.numpy())
        h = 2e-4 * norm / np.linalg.norm(np.concatenate([f.ravel() for f in first]))
        second = raw_force([w + h * f for w, f in zip(W, first, strict=True)], X, y.numpy())
        W = [w + 0.5 * h * (f + g) for w, f, g in zip(W, first, second, strict=True)]
        norm = np.linalg.norm(np.concatenate([w.ravel() for w in W]))
    w = np.concatenate([w.ravel() for w in W]) / norm
    assert np.linalg.norm(w - start[0].numpy() / np.linalg.norm(start[0])) > 0.1
    assert np.linalg.norm(flow.theta[0].numpy() - w) < 1e-4


def test_the_states_of_a_step_are_those_of_the_step_as_a_minimum() -> None:
    # as T → 0 the step minimizes ½‖v‖²/h − min_n m′_n with the kinks in m′: here by a method that knows no states
    rng = np.random.default_rng(0)
    N, K, P, h = 6, 9, 8, 0.7
    J, Z, m, z = (rng.standard_normal(s) for s in ((N, P), (K, P), N, K))
    Z, m, z = 0.3 * Z, 1.0 + 0.1 * m, 0.1 * z
    bends = np.zeros((K, N + K))
    bends[np.arange(K), np.arange(K) % N] = rng.uniform(0.2, 2.0, K)
    B = bends[:, :N].T
    # variables v, relu ≥ 0 and ≥ z′, least margin
    above = LinearConstraint(np.hstack([-Z, np.eye(K), np.zeros((K, 1))]), z, np.inf)
    margins = LinearConstraint(np.hstack([J, -B, -np.ones((N, 1))]), -m, np.inf)
    start = np.concatenate([np.zeros(P), np.maximum(z, 0.0) + 0.1, [-5.0]])
    solved = minimize(
        lambda x: x[:P] @ x[:P] / (2 * h) - x[-1],
        start,
        jac=lambda x: np.concatenate([x[:P] / h, np.zeros(K), [-1.0]]),
        bounds=[(None, None)] * P + [(0.0, None)] * K + [(None, None)],
        constraints=[above, margins],
        method="SLSQP",
        tol=1e-14,
    )
    after, rows = z + Z @ solved.x[:P], np.vstack([J, Z])
    found = states_of_step(rows @ rows.T, bends, m, z, h, 1e-6, np.full(N, 1.0 / N))
    assert found is not None
    sliding, on, u = found
    assert sliding.sum() == 2
    np.testing.assert_array_equal(sliding, np.abs(after) < 1e-7)
    np.testing.assert_array_equal(on[~sliding], after[~sliding] > 0)
    # u are the multipliers: with the weights p that are left, they make the step
    made, *_ = np.linalg.lstsq(h * J.T, solved.x[:P] + h * Z.T @ u, rcond=None)
    np.testing.assert_allclose(h * (J.T @ made - Z.T @ u), solved.x[:P], atol=1e-5)
    np.testing.assert_allclose(made.sum(), 1.0, atol=1e-4)
    # samples that the guess leaves without weight come in when the step makes them count
    late = states_of_step(rows @ rows.T, bends, m, z, h, 1e-6, np.eye(N)[0])
    assert late is not None
    np.testing.assert_array_equal(late[:2], found[:2])
    np.testing.assert_allclose(late[2], u, atol=1e-5)
