"""Data of any size: the flow on sX is the flow on X from weights that are s^{k/L} times as long."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gd import flow_limit
from gd.flow.data_scale import MODERATE
from gd.flow.limit import Limit
from gd.status import FlowStatus
from solvers import L2, max_margin
from solvers.arrays import Array


class Squares(nn.Module):
    """ReLU²: of degree two in the inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) ** 2


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6, bias=False), nn.ReLU(), nn.Linear(6, 1, bias=False))


def squares() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4, bias=False), Squares(), nn.Linear(4, 1, bias=False))


def three_layers() -> nn.Module:
    layers = nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False), nn.ReLU()
    return nn.Sequential(*layers, nn.Linear(4, 1, bias=False))


def convolution() -> nn.Module:
    layers = nn.Conv1d(1, 2, 2, bias=False), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten()
    return nn.Sequential(nn.Unflatten(1, (1, 3)), *layers, nn.Linear(2, 1, bias=False))


def limit_of(network: Callable[[], nn.Module], seed: int = 0, *, data: float = 1.0, weights: float = 1.0) -> Limit:
    X = np.random.default_rng(seed).standard_normal((4, 3)) + np.array([1.0, 0.0, 0.0])
    torch.manual_seed(seed + 1)
    model = network().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(weights)
    return flow_limit(model, data * X, np.where(X[:, 0] > 1.0, 1.0, -1.0), time_limit=20.0)


@pytest.mark.parametrize(
    ("network", "seed", "size", "k", "L"),
    [
        (two_layers, 1, 1e150, 1, 2),
        (two_layers, 1, 1e-100, 1, 2),
        (three_layers, 2, 1e150, 1, 3),
        (convolution, 0, 1e8, 1, 2),
        (convolution, 0, 1e150, 1, 2),
        (squares, 0, 1e60, 2, 3),
    ],
)
def test_the_limit_on_large_and_small_data_is_that_of_longer_and_shorter_weights(
    network: Callable[[], nn.Module], seed: int, size: float, k: int, L: int
) -> None:
    found = limit_of(network, seed, data=size)
    expected = limit_of(network, seed, weights=size ** (k / L))
    assert found.status is expected.status is FlowStatus.STATIONARY
    # directions without curvature leave 1e-6
    np.testing.assert_allclose(found.direction, expected.direction, atol=1e-5)
    assert math.isclose(found.margin, size**k * expected.margin, rel_tol=1e-6)
    assert math.isclose(found.norm_at_unit_margin * size ** (k / L), expected.norm_at_unit_margin, rel_tol=1e-6)
    assert found.kkt_epsilon <= 1e-9 * found.norm_at_unit_margin
    assert found.path.log_norm[0] == pytest.approx(expected.path.log_norm[0] - k / L * math.log(size), abs=1e-9)
    np.testing.assert_allclose(found.path.margins[0] / size**k, expected.path.margins[0], rtol=1e-9)
    assert all(holds for holds, _ in found.agreements())


def test_a_scale_that_margins_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"entries of about .*e\+300.*power 1"):
        limit_of(two_layers, data=1e300)


def test_moderate_data_are_left_as_they_are() -> None:
    X: Array = np.array([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0]])
    torch.manual_seed(1)
    found = flow_limit(two_layers().double(), 0.5 * MODERATE * X, [1, -1], time_limit=20.0)
    assert found.two_layers is not None
    np.testing.assert_array_equal(found.two_layers.X, 0.5 * MODERATE * X)


class Prepared(nn.Module):
    """A two-layer network, or one layer, behind a map of the inputs that knows numbers of its own."""

    def __init__(self, prepare: Callable[[Tensor], Tensor], network: nn.Module) -> None:
        super().__init__()
        self.prepare, self.network = prepare, network.double()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.network(self.prepare(x))
        return found


@pytest.mark.parametrize(
    ("prepare", "X"),
    [
        (lambda x: x.clamp(-1e3, 1e3), [[5e4, 1e3], [2e3, 9e4]]),
        (lambda x: x - 5e-9, [[7e-9, 5e-9], [5e-9, 6e-9]]),
    ],
    ids=["clamp", "mean"],
)
def test_a_module_that_knows_a_unit_sees_the_data_as_they_are(prepare: Callable[[Tensor], Tensor], X: object) -> None:
    torch.manual_seed(0)
    model = Prepared(prepare, nn.Linear(2, 1, bias=False))
    points = torch.tensor(X, dtype=torch.float64)
    found = flow_limit(model, points, [1.0, 1.0])
    fed = prepare(points).numpy()
    assert found.status in (FlowStatus.OPTIMAL, FlowStatus.STATIONARY)
    best = max_margin(fed, np.ones(2), L2())
    np.testing.assert_allclose(found.margin, 1.0 / best.objective, rtol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(found.load_weights(model)(points).min(), found.margin, rtol=1e-9)


@pytest.mark.parametrize("size", [1.0, 1e3, 1e5])
def test_what_the_first_layer_is_fed_has_its_own_power(size: float) -> None:
    torch.manual_seed(1)
    layers = nn.Linear(2, 6, bias=False), nn.ReLU(), nn.Linear(6, 1, bias=False)
    X = size * np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 1.0], [1.0, 3.0]])
    found = flow_limit(Prepared(torch.square, nn.Sequential(*layers)), X, [1.0, -1.0, -1.0, 1.0])
    net = found.two_layers
    assert net is not None
    np.testing.assert_allclose(net.X, X**2, rtol=1e-12)
    assert all(holds for holds, _ in found.agreements())
    value = found.global_optimum().value
    np.testing.assert_allclose(value, 0.5 * found.norm_at_unit_margin**2, rtol=1e-8)


def test_what_float64_cannot_say_is_refused_before_the_flow() -> None:
    one = nn.Sequential(nn.Linear(2, 1, bias=False)).double()
    with pytest.raises(ValueError, match="squares of those leave the range"):
        flow_limit(one, [[1e-200, 0.0], [0.0, 2e-200]], [1, 1])
    with pytest.raises(ValueError, match="their ratio leaves the range"):
        flow_limit(one, [[1e200, 1e-150], [1e200, -1e-150]], [1, -1])
    tiny = limit_of(two_layers, data=1e-280, weights=1e-20)
    assert tiny.margin == pytest.approx(1e-280 * limit_of(two_layers, weights=1e-100).margin, rel=1e-6, abs=0.0)
