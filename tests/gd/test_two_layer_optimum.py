"""Limits of two-layer ReLU networks: global or not, against values known in closed form and brute force over angles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from gd import FlowStatus, flow_limit
from gd.flow.sliding import SlidingMap
from solvers import GlobalOptimum

Array = np.ndarray
XOR = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]), np.array([1.0, -1.0, -1.0, 1.0])
FIVE = np.array([[2, 1], [1, 3], [-1, 2], [-2, -1], [1, -2.0]]), np.array([1.0, -1.0, 1.0, 1.0, -1.0])


class Apply(nn.Module):
    """A function of the pre-activations."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z)


def network(D: int, width: int, seed: int, activation: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Linear(D, width, bias=False), activation or nn.ReLU(), nn.Linear(width, 1, bias=False)
    return nn.Sequential(*layers).double()


def random_points(seed: int, N: int, D: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, D)), np.sign(rng.standard_normal(N))


def by_brute_force(X: Array, y: Array, slope: float) -> float:
    """The optimal value in the plane: a linear program over units at many angles, refined three times where it has any.

    All kinks are among the angles, for there the responses have corners; elsewhere an error h of an angle costs h².
    """
    kinks = np.arctan2(X[:, 1], X[:, 0])[:, None] + np.pi / 2 * np.array([-1.0, 1.0])
    angles = np.append(2 * np.pi * np.arange(720) / 720, kinks)
    value, width = np.inf, 2 * np.pi / 720
    for _ in range(4):
        z = X @ np.stack([np.cos(angles), np.sin(angles)])
        features = y[:, None] * np.maximum(z, slope * z)
        program = -np.hstack([features, -features])
        found = linprog(np.ones(2 * angles.size), A_ub=program, b_ub=-np.ones(y.size), bounds=(0, None))
        value, used = float(found.fun), angles[found.x.reshape(2, -1).any(axis=0)]
        angles = np.concatenate([kinks.ravel(), *(used + width * step for step in np.linspace(-1, 1, 21))])
        width /= 10
    return value


@pytest.mark.parametrize(
    ("data", "width", "value"), [(XOR, 10, 2 * np.sqrt(2)), (FIVE, 10, 0.6 * (np.sqrt(10) + np.sqrt(5)))]
)
def test_known_optima_are_reached_and_global(data: tuple[Array, Array], width: int, value: float) -> None:
    limit = flow_limit(network(2, width, 5), *data)
    found = limit.global_optimum()
    assert found.verdict is GlobalOptimum.GLOBAL
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.lower_bound == pytest.approx(value, rel=1e-9)
    # units are balanced at a KKT point, so the value is half the squared norm
    assert found.value == pytest.approx(0.5 * limit.norm_at_unit_margin**2, rel=1e-9)


@pytest.mark.parametrize(
    ("N", "width", "seed", "slope"),
    [(6, 6, 2, 0.0), (5, 4, 2, 0.0), (5, 4, 4, 0.2)],
)
def test_planar_limits_are_global_where_brute_force_over_angles_says_so(N, width, seed, slope) -> None:
    X, y = random_points(seed + 40, N, 2)
    limit = flow_limit(network(2, width, seed, nn.LeakyReLU(slope)), X, y)
    assert limit.status is FlowStatus.STATIONARY
    found = limit.global_optimum()
    best = by_brute_force(X, y, slope)  # angles end up at spacing 1e-6, whose square is below rounding
    assert found.lower_bound == pytest.approx(best, rel=1e-7)
    is_global = found.value < best * (1 + 1e-6)
    assert found.verdict is (GlobalOptimum.GLOBAL if is_global else GlobalOptimum.NOT_GLOBAL)
    if not is_global:
        cheaper = found.cheaper
        assert (y * cheaper(X)).min() >= 1 - 1e-12
        assert cheaper.value == pytest.approx(best, rel=1e-7)
        assert found.largest_response > 1  # the unit that enters


def test_an_optimum_with_many_multipliers_is_global_although_some_of_them_fail() -> None:
    # α = (½, ½, 0, 0) proves that the unit (1, 0) is global, α = (0, 0, ½, ½) has the maximum √5/2
    X, y = np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 2.0], [1.0, -2.0]]), np.ones(4)
    model = network(2, 1, 0)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0]]))
        model[2].weight.fill_(1.0)
    found = flow_limit(model, X, y).global_optimum()
    assert found.verdict is GlobalOptimum.GLOBAL
    assert found.value == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(
    ("activation", "slope"),
    [
        (torch.relu, 0.0),
        (lambda z: -torch.relu(z), 0.0),
        (lambda z: torch.relu(-z), 0.0),
        (lambda z: torch.nn.functional.leaky_relu(-z, 0.2), 0.2),
        (lambda z: -torch.nn.functional.leaky_relu(-z, 0.2), 0.2),
    ],
)
def test_every_way_to_write_the_activation_is_the_same_network(activation, slope) -> None:
    X, y = XOR
    limit = flow_limit(network(2, 4, 0, Apply(activation)), X, y, max_steps=1)
    net = limit.two_layers
    assert net.slope == pytest.approx(slope, abs=1e-12)
    model = network(2, 4, 0, Apply(activation))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.as_tensor(limit.weights[name]))
        expected = model(torch.as_tensor(X))[:, 0].numpy()
    z = X @ net.hidden.T
    np.testing.assert_allclose(np.maximum(z, net.slope * z) @ net.output, expected, rtol=1e-12, atol=1e-15)


class Written(nn.Module):
    """a φ(Wx) in any way of writing it."""

    def __init__(self, forward, output=(12,), hidden=(12, 2)) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.W, self.a = (nn.Parameter(torch.randn(*size, dtype=torch.float64)) for size in (hidden, output))
        self.written = forward

    def forward(self, X: Tensor) -> Tensor:
        return self.written(X, self.W, self.a)


WAYS = {
    "vector": Written(lambda X, W, a: torch.relu(X @ W.T) @ a),
    "output first": Written(lambda X, W, a: a @ torch.relu(W @ X.T)),
    "sum": Written(lambda X, W, a: (torch.relu(X @ W.mT) * a).sum(1)),
    "einsum": Written(lambda X, W, a: torch.einsum("nh,h->n", (X @ W).relu(), a), hidden=(2, 12)),
    "clamp": Written(lambda X, W, a: ((X @ W.transpose(0, 1)).clamp(min=0) @ a)[:, 0], (12, 1)),
    "mean field": Written(lambda X, W, a: torch.relu(X @ W.T) @ a / 12),
    "NTK": Written(lambda X, W, a: torch.relu(X @ W.T / 2**0.5) @ a / 12**0.5),
}
FACTORS = {"mean field": 1 / 12, "NTK": 1 / 24**0.5}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_two_layers_is_the_same_network(way) -> None:
    # min ½‖w‖² of κ a φ(Wx) is that of a φ(Wx) over κ; XOR: 2√2
    (X, y), model, factor = XOR, WAYS[way], FACTORS.get(way, 1.0)
    limit = flow_limit(model, X, y)
    net = limit.two_layers
    np.testing.assert_allclose(net.X, factor * np.asarray(X), rtol=1e-14)
    np.testing.assert_allclose(np.maximum(net.X @ net.hidden.T, 0.0) @ net.output * y, net.margins, rtol=1e-12)
    assert net.margins.min() == pytest.approx(limit.margin, rel=1e-9)
    found = limit.global_optimum()
    assert found.lower_bound == pytest.approx(2 * 2**0.5 / factor, rel=1e-9)
    assert found.verdict is GlobalOptimum.GLOBAL
    assert limit.conservation_drift < 1e-2


@pytest.mark.parametrize(
    "model",
    [
        network(2, 4, 0, Apply(torch.abs)),
        network(2, 4, 0, nn.Identity()),
        nn.Sequential(
            network(2, 4, 0)[:2], nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 1, bias=False)
        ).double(),
        nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1, bias=False)).double(),
    ],
    ids=["absolute value", "linear", "three layers", "bias"],
)
def test_other_networks_are_refused(model: nn.Module) -> None:
    X, y = FIVE if model[1].__class__ is not nn.Identity else (np.eye(2), np.ones(2))
    limit = flow_limit(model, X, y, max_steps=1)
    assert limit.two_layers is None
    with pytest.raises(ValueError, match="two-layer ReLU"):
        limit.global_optimum()


def test_a_flow_on_its_way_is_not_called_worse_than_global() -> None:
    X, y = random_points(42, 5, 2)
    limit = flow_limit(network(2, 4, 2), X, y, max_steps=40)
    assert limit.status is FlowStatus.UNFINISHED
    assert limit.margin > 0
    found = limit.global_optimum()
    assert found.verdict is GlobalOptimum.UNKNOWN
    assert found.cheaper.value < found.value


def test_a_network_that_classifies_wrongly_has_no_value() -> None:
    limit = flow_limit(network(2, 4, 2), *random_points(42, 5, 2), max_steps=1)
    assert limit.margin <= 0
    with pytest.raises(ValueError, match="does not classify every point"):
        limit.global_optimum()


@pytest.mark.parametrize(("D", "verdict"), [(2, GlobalOptimum.GLOBAL), (6, GlobalOptimum.UNKNOWN)])
def test_beyond_rank_four_global_is_never_said(D: int, verdict: GlobalOptimum) -> None:
    # points ±e_d of one label: units along (1, …, 1) and its negative, each with the response √D to each of D points
    X, y = np.vstack([np.eye(D), -np.eye(D)]), np.ones(2 * D)
    model = network(D, 2, 0)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0]]).expand(2, D))
        model[2].weight.fill_(1.0)
    found = flow_limit(model, X, y).global_optimum()
    assert found.value == pytest.approx(2 * np.sqrt(D), rel=1e-9)
    assert found.verdict is verdict
    assert found.cheaper is None
    assert found.sampled_maximum is None if D == 2 else found.sampled_maximum == pytest.approx(1.0, abs=1e-9)


def test_a_difference_within_the_accuracy_of_the_limit_proves_nothing() -> None:
    limit = flow_limit(network(2, 4, 2), *random_points(42, 5, 2))
    assert limit.global_optimum().verdict is GlobalOptimum.NOT_GLOBAL  # 0.4 % above the optimum
    rough = replace(limit, kkt_epsilon=5e-3 * limit.norm_at_unit_margin).global_optimum()
    assert rough.verdict is GlobalOptimum.UNKNOWN
    assert rough.cheaper.value < rough.value


def test_networks_that_start_at_zero_are_two_layer_networks() -> None:
    # pairs of equal units with opposite signs: f = 0, and so is the linear network of the same weights
    model = network(2, 8, 3)
    with torch.no_grad():
        model[0].weight[4:] = model[0].weight[:4]
        model[2].weight[:, 4:] = -model[2].weight[:, :4]
    mapping = SlidingMap(model, *map(torch.as_tensor, XOR))
    net = mapping.two_layers(mapping.start([model])[0])
    assert net.slope == 0.0
    np.testing.assert_array_equal(net.hidden, model[0].weight.detach())
