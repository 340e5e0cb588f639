"""Steps of two-layer networks that are exact in the weights, held to scipy's integration of the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from gd import FlowStatus, Reached, flow_limit
from gd.flow.integration import Flow
from gd.flow.loss_weights import ExponentialWeights
from gd.flow.map_choice import margin_map
from gd.flow.two_layer_map import SMALLEST_UNIT, TwoLayerLocal, TwoLayerMap
from gd.flow.two_layer_tangent import Units
from gd.flow.unit_step import HELD, unit_step


def network(D: int, width: int, seed: int, slope: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    activation = nn.LeakyReLU(slope) if slope else nn.ReLU()
    return nn.Sequential(nn.Linear(D, width, bias=False), activation, nn.Linear(width, 1, bias=False)).double()


def data(N: int, D: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, D)), rng.choice([-1.0, 1.0], N)


def followed(X: np.ndarray, y: np.ndarray, model: nn.Module, log_norm: float) -> Flow:
    """The flow, when ln‖w‖ has got so far."""
    mapping = margin_map(model, torch.from_numpy(X), torch.from_numpy(y))
    assert isinstance(mapping, TwoLayerMap)
    flow = Flow.begin(mapping, mapping.start([model]), loss=ExponentialWeights(), tolerance=1e-3)
    flow.explicit = False
    while flow.log_norm[0] < log_norm:
        flow.advance()
    return flow


@pytest.mark.parametrize("slope", [0.0, 0.3])
@pytest.mark.parametrize(("log_norm", "h"), [(3.0, 1e-3), (3.0, 3.0), (15.0, 10.0)])
def test_a_step_solves_the_flow_of_the_weights(slope: float, log_norm: float, h: float) -> None:
    X, y = data(6, 9, 1)
    model = network(9, 12, 1, slope)
    flow, T = followed(X, y, model, log_norm), 0.01
    assert isinstance(flow.local, TwoLayerLocal)
    tangent = flow.local._tangent
    assert tangent.sliding.any()
    found = unit_step(tangent, h, T, flow.weights[0], flow.loss)
    assert found is not None
    p, ended = found
    # the same by a Runge-Kutta method, with walls by projections of its own
    points, S = tangent.data.X, tangent.slopes[0].T
    along = [np.eye(points.shape[1]) - np.linalg.pinv(points[s]) @ points[s] for s in tangent.sliding[0]]
    g = np.stack([P @ (points.T @ (S[:, j] * p)) for j, P in enumerate(along)])
    W = np.stack([P @ w for P, w in zip(along, tangent.at.W[0], strict=True)])

    def slope_of(_: float, flat: np.ndarray) -> np.ndarray:
        W, a = flat[: g.size].reshape(g.shape), flat[g.size :]
        return np.concatenate([(a[:, None] * g).ravel(), (g * W).sum(1)])

    start = np.concatenate([W.ravel(), tangent.at.a[0]])
    there = solve_ivp(slope_of, (0.0, h), start, rtol=1e-12, atol=1e-15, method="DOP853").y[:, -1]
    size = np.linalg.norm(there)
    there /= size
    units = Units(there[: g.size].reshape(g.shape), there[g.size :])
    assert ended.growth == pytest.approx(np.log(size), abs=1e-9)
    np.testing.assert_allclose(ended.W, units.W, atol=2.0 * HELD)  # units that die are held at this part
    np.testing.assert_allclose(ended.a, units.a, atol=2.0 * HELD)
    margins = (S * (points @ ended.W.T)) @ ended.a
    softmax = np.exp(-(margins - margins.min()) / T)
    np.testing.assert_allclose(p, softmax / softmax.sum(), atol=1e-8)


def test_a_flow_with_units_that_die_slowly_arrives() -> None:
    X, y = data(20, 10, 1002)
    limit = flow_limit(network(10, 50, 2), X, y, settle=1e-7)
    assert limit.status is FlowStatus.STATIONARY
    assert limit.reached is Reached.AT_THE_POINT
    assert limit.log_norm > 500.0  # steps that hold the Jacobian gain 3 in ln‖w‖
    assert limit.stats["steps"] < 1000
    assert limit.integrated.residual < 1e-6
    assert limit.integrated.margin == pytest.approx(limit.margin, rel=1e-5)


def test_units_that_are_all_but_gone_keep_their_direction() -> None:
    X, y = data(5, 3, 0)
    model = network(3, 4, 0)
    mapping = margin_map(model, torch.from_numpy(X), torch.from_numpy(y))
    assert isinstance(mapping, TwoLayerMap)
    theta = mapping.start([model])
    units = mapping.data.units(theta)
    small = np.array([1.0, 1e-200, 0.0, 1e-3])
    theta = mapping.data.theta(Units(units.W * small[:, None], units.a * small), theta)
    held = mapping.data.units(mapping.above_underflow(theta))
    units, held = (Units(one.W[0], one.a[0]) for one in (units, held))
    size = np.hypot(np.linalg.norm(held.W, axis=1), held.a)
    assert size[1] == pytest.approx(SMALLEST_UNIT)
    assert size[2] == 0.0
    np.testing.assert_allclose(held.W[1] / size[1], units.W[1] / np.hypot(np.linalg.norm(units.W[1]), units.a[1]))
    np.testing.assert_allclose(held.W[[0, 3]], units.W[[0, 3]] * small[[0, 3], None], rtol=1e-12)
