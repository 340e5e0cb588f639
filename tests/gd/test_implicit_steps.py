"""Long implicit steps along kinks: they settle, and units that die keep their directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gd.flow.integration import Flow
from gd.flow.loss_weights import ExponentialWeights
from gd.flow.sliding import SlidingMap
from gd.flow.step_rows import extrapolated

X = np.random.default_rng(3).standard_normal((3, 6))
LABELS = np.array([-1.0, 1.0, -1.0])


@pytest.fixture(scope="module")
def late() -> Flow:
    """A flow of three layers that slides along four kinks, and soon settles."""
    torch.manual_seed(3)
    widths = (6, 6), (6, 6), (6, 1)
    layers = [part for a, b in widths for part in (nn.Linear(a, b, bias=False), nn.ReLU())]
    mapping = SlidingMap(nn.Sequential(*layers[:-1]).double(), torch.as_tensor(X), torch.as_tensor(LABELS))
    flow = Flow.begin(mapping, 2.0 * mapping.start([mapping.model]), loss=ExponentialWeights(), tolerance=1e-3)
    while float(flow.residual()[0]) > 1e-3:
        assert flow.steps[0] < 120
        flow.advance()
    return flow


def test_long_steps_settle_three_layers(late: Flow) -> None:
    flow = late.restrict(np.array([0]))
    steps, rejected, before = int(flow.steps[0]), int(flow.rejected[0]), float(flow.log_norm[0])
    for _ in range(25):
        flow.advance()
    assert flow.residual()[0] < 3e-5
    # each step may stretch θ threefold: 25 ln 4 = 35 in all
    assert flow.log_norm[0] - before > 28.0
    assert flow.rejected[0] - rejected <= 3
    assert flow.steps[0] - steps >= 22


def test_an_extrapolated_step_turns_no_dying_weight_into_its_opposite() -> None:
    # w′ = −w by the linearly implicit Euler method: positive, as e^{−h} is, and of order two
    for h in np.geomspace(1e-3, 1e9, 60):
        once, twice = torch.tensor([[1.0 / (1.0 + h)]]).double(), torch.tensor([[(1.0 + h / 2) ** -2]]).double()
        found = float(extrapolated(once, twice))
        assert found > 0
        assert abs(found - np.exp(-h)) <= min(h**3, 1.0 / h)


def test_a_row_that_shrinks_by_half_in_two_short_steps_keeps_its_direction() -> None:
    # 2 · ½u − u is rounding: here 1e-9 of it, across u
    u, across = torch.tensor([[3.0, 4.0]]).double() / 5.0, torch.tensor([[-4.0, 3.0]]).double()
    found = extrapolated(u, 0.5 * u + 1e-9 * across)
    assert float((found / found.norm() - u).norm()) < 1e-7


def test_dying_units_keep_their_direction_in_long_steps() -> None:
    # a unit away from its kinks turns towards s_j Σ p_n y_n [w_j·x_n > 0] x_n, and dies, or lives, in that direction
    rng = np.random.default_rng(0)
    data, y = rng.standard_normal((3, 3)), np.array([1.0, -1.0, 1.0])
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU(), nn.Linear(5, 1, bias=False)).double()
    mapping = SlidingMap(model, torch.as_tensor(data), torch.as_tensor(y))
    flow = Flow.begin(mapping, mapping.start([model]), loss=ExponentialWeights(), tolerance=1e-3)
    while flow.log_norm[0] < 200.0:
        assert flow.steps[0] < 250
        flow.advance()
    W, a = np.split(flow.theta[0].numpy(), [15])
    dying = 0
    for w, output in zip(W.reshape(5, 3), a, strict=True):
        z = data @ w / np.linalg.norm(w)
        pull = np.sign(output) * (flow.weights[0] * y * (z > 0)) @ data
        if np.abs(z).min() > 1e-3:
            np.testing.assert_allclose(w / np.linalg.norm(w), pull / np.linalg.norm(pull), atol=2e-3)
            dying += np.linalg.norm(w) < 1e-12
    assert dying == 2
