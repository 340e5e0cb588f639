"""The first part of a flow with kinks by explicit steps, and the states of kinks by a convex program."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, minimize
from torch import Tensor, nn

from gd.flow.explicit_step import chebyshev_step, explicit_steps
from gd.flow.integration import Flow
from gd.flow.kink_program import states_of_step
from gd.flow.loss_weights import ExponentialWeights
from gd.flow.sliding import SlidingMap


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
    assert elapsed > 0.11
    assert abs(float(theta[1])) < 2e-3


def test_a_stiff_flow_is_said_to_be_stiff() -> None:
    found = explicit_steps(lambda t: torch.stack([-1e9 * t[0], 0.0 * t[1]]), torch.ones(2).double(), 1e9, 1e-2, 1e-3)
    assert found.stiff


def test_explicit_and_implicit_steps_follow_one_path() -> None:
    rng = np.random.default_rng(0)
    X, y = torch.from_numpy(rng.standard_normal((6, 4))), torch.from_numpy(rng.choice([-1.0, 1.0], 6))
    torch.manual_seed(1)
    layers = [
        nn.Linear(4, 6, bias=False),
        nn.ReLU(),
        nn.Linear(6, 6, bias=False),
        nn.ReLU(),
        nn.Linear(6, 1, bias=False),
    ]
    model = nn.Sequential(*layers).double()
    mapping, ends = SlidingMap(model, X, y), []
    for explicit in (True, False):
        flow = Flow.begin(mapping, 2.0 * mapping.start([model]), loss=ExponentialWeights(), tolerance=1e-5)
        flow.explicit, path = explicit, []
        while flow.log_norm[0] < 1.9:
            flow.advance()
            path.append((flow.log_norm[0], *flow.margins[0]))
        path = np.array(path)
        ends.append([np.interp(1.85, path[:, 0], column) for column in path[:, 1:].T])
    np.testing.assert_allclose(ends[0], ends[1], atol=2e-3 * np.abs(ends[1]).max())


def test_the_states_of_a_step_are_those_of_the_step_as_a_minimum() -> None:
    # the step minimizes ½‖v‖²/h + T ln Σ exp(−m′/T) with the kinks in m′, here by another method, which knows no states
    rng = np.random.default_rng(2)
    N, K, P, h, T = 4, 9, 6, 0.7, 0.05
    J, Z, m, z = (rng.standard_normal(s) for s in ((N, P), (K, P), N, K))
    bends = np.zeros((K, N + K))
    bends[np.arange(K), np.arange(K) % N] = rng.uniform(0.2, 2.0, K)

    def margins(v: np.ndarray, relu: np.ndarray) -> np.ndarray:
        return m + J @ v - bends[:, :N].T @ relu

    def objective(x: np.ndarray) -> float:  # relu as variables t ≥ 0, t ≥ z′
        return float(x[:P] @ x[:P] / (2 * h) + T * np.log(np.exp(-margins(x[:P], x[P:]) / T).sum()))

    above = LinearConstraint(np.hstack([-Z, np.eye(K)]), z, np.inf)
    start = np.concatenate([np.zeros(P), np.maximum(z, 0.0) + 0.1])
    bounds = [(None, None)] * P + [(0.0, None)] * K
    solved = minimize(objective, start, bounds=bounds, constraints=above, method="SLSQP", tol=1e-14)
    after = z + Z @ solved.x[:P]
    rows = np.vstack([J, Z])
    found = states_of_step(rows @ rows.T, bends, m, z, h, T, np.full(N, 1.0 / N))
    assert found is not None
    sliding, on, u = found
    assert sliding.sum() >= 2
    np.testing.assert_array_equal(sliding, np.abs(after) < 1e-4)
    np.testing.assert_array_equal(on[~sliding], after[~sliding] > 0)
    p = np.exp(-(margins(solved.x[:P], np.maximum(after, 0.0))) / T)
    p /= p.sum()
    np.testing.assert_allclose(h * (J.T @ p - Z.T @ u), solved.x[:P], atol=1e-4)  # SLSQP's differences
