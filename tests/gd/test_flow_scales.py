"""Data in bad units: margins that are tiny next to the points, one large column, and what no unit may change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gd import Convolutional, Diagonal, FlowStatus, flow_limit
from gd.flow.implicit_weights import implicit_weights
from gd.flow.loss_weights import CrossEntropyWeights, ExponentialWeights, FlowWeights, LogisticWeights
from solvers import max_margin

Array = np.ndarray


def nearly_separable(margin: float, N: int = 10, D: int = 5) -> tuple[Array, Array]:
    """Points that the direction w separates by `margin` to twice or so of it, next to inputs of size one."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal(D)
    w /= np.linalg.norm(w)
    X = rng.standard_normal((N, D))
    along = X @ w
    y = np.sign(along)
    return X + np.outer(y * margin * (1.0 + np.abs(along)) - along, w), y


def random_data(N: int, D: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, D)), rng.choice([-1.0, 1.0], N)


def relu(D: int, width: int, seed: int, scale: float = 1.0) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(D, width, bias=False), nn.ReLU(), nn.Linear(width, 1, bias=False)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model


@pytest.mark.parametrize(("network", "margin"), [(Convolutional, 1e-6), (Diagonal, 1e-7)])
def test_nearly_separable_data_are_followed_to_the_max_margin(network, margin: float) -> None:
    X, y = nearly_separable(margin)
    model = network(5, 2, seed=0)
    limit = flow_limit(model, X, y, max_steps=2000)
    assert limit.status is FlowStatus.OPTIMAL
    # β is known to the rounding of its margins, 1e-16 over `margin`, times the condition of the active points
    np.testing.assert_allclose(limit.predictor, max_margin(X, y, model.regularizer).beta, rtol=1e-6)


def test_one_large_column_does_not_stop_the_flow() -> None:
    X, y = random_data(6, 8, 5)
    X[:, 0] *= 1e6
    model = Diagonal(8, 2, seed=0)
    limit = flow_limit(model, X, y, max_steps=2000)
    assert limit.status is FlowStatus.OPTIMAL
    np.testing.assert_allclose(limit.predictor, max_margin(X, y, model.regularizer).beta, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("N", "D", "width"), [(6, 4, 8), (8, 5, 10)])
def test_with_one_large_column_no_step_lowers_the_smoothed_margin_by_a_hundredth(N: int, D: int, width: int) -> None:
    """−ln L/‖w‖² of Lyu and Li, Theorem 4.1, never falls along the flow; before it is positive the loss never rises."""
    X, y = random_data(N, D, 2)
    X[:, 0] *= 1e6
    path = flow_limit(relu(D, width, 2), X, y, max_steps=150).path
    smoothed = -path.log_loss * np.exp(-2.0 * path.log_norm)
    before, after = smoothed[:-1], smoothed[1:]
    least = np.where(before > 0, before, before * np.exp(-2.0 * np.diff(path.log_norm)))
    assert ((least - after) / np.abs(before)).max() < 0.01


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (ExponentialWeights(), lambda s: s.neg().exp().sum()),
        (LogisticWeights(), lambda s: s.neg().exp().log1p().sum()),
        (CrossEntropyWeights(3), lambda s: s.reshape(-1, 3).neg().exp().sum(dim=1).log1p().sum()),
    ],
)
def test_the_soft_margin_over_the_norm_rises_along_the_flow(loss: FlowWeights, value) -> None:
    """S with dS/dt ≥ 0 along θ′ = −∇L: its slope along the weights, L ⟨s, ∇S⟩, is at least L S where S > 0."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        s = torch.tensor(rng.standard_normal(6) * np.exp(rng.normal(0.0, 1.5)) + rng.uniform(0, 4), requires_grad=True)
        (slope,) = torch.autograd.grad(value(s), s)
        at, h = s.detach().numpy(), 1e-6
        S = loss.soft_margin(np.stack([at, (1.0 + h) * at, at + h * slope.numpy()]))
        if S[0] > 0:
            assert S[1] >= (1.0 + h) * S[0] - 1e-9 * h * (1.0 + np.abs(at).max())
        assert S[2] <= S[0] + 1e-13 * (1.0 + abs(S[0]))
    for one in (-900.0, -40.0, -3.0, 1e-3, 5.0, 29.0, 31.0, 1e5):  # of a single margin it is that margin
        if not isinstance(loss, CrossEntropyWeights) or loss.group == 1:
            np.testing.assert_allclose(loss.soft_margin(np.array([[one]])), [one], rtol=1e-9)


@pytest.mark.parametrize("loss", ["exponential", "logistic", "cross entropy"])
@pytest.mark.parametrize("depth", [2, 3])
def test_rows_of_all_lengths_stop_no_step(loss: str, depth: int) -> None:
    """Where one point dominates the loss, its margin alone is what rises."""
    X, y = random_data(4, 8, 0)
    X *= np.array([[0.1], [5.0], [1.0], [30.0]])
    model = Diagonal(8, depth, seed=0)
    limit = flow_limit(model, X, y, loss=loss)
    assert limit.status in (FlowStatus.OPTIMAL, FlowStatus.STATIONARY)
    assert limit.stats["rejected"] < 0.2 * limit.stats["steps"] < 60
    alone = flow_limit(model, X[1:2], y[1:2], loss=loss)
    assert alone.stats["rejected"] == 0


def test_a_point_that_is_much_longer_does_not_end_the_time_of_the_others() -> None:
    X, y = random_data(6, 3, 5)
    X[0] *= 1e12
    limit = flow_limit(relu(3, 8, 0), X, y, max_steps=300)
    assert limit.status is not FlowStatus.NOT_SEPARATED  # ten steps later all margins are positive
    assert limit.integrated.margin > 0


def test_with_one_large_column_a_relu_network_s_limit_is_found() -> None:
    X, _ = random_data(4, 3, 6)
    X, y = X * np.array([1e6, 1.0, 1.0]), np.array([1.0, -1.0, -1.0, -1.0])
    limit = flow_limit(relu(3, 6, 6), X, y, max_steps=1000)
    assert limit.status is FlowStatus.STATIONARY
    W, a = limit.weights.values()
    margins = y * (np.maximum(X @ W.T, 0.0) @ a[0])
    np.testing.assert_allclose(margins[limit.active], margins.min(), rtol=1e-9)  # what the large column multiplies
    assert limit.active.sum() > 1
    assert limit.kkt_epsilon <= 1e-9 * limit.norm_at_unit_margin


@pytest.mark.parametrize("h", [1e-3, 0.3])
def test_loss_weights_are_exact_for_margins_that_rounding_allows(h: float) -> None:
    rng = np.random.default_rng(1)
    J, T = rng.standard_normal((6, 8)), 1e-2
    J[:, 0] *= 1e6
    m, K = rng.random(6), J @ J.T
    p, converged = implicit_weights(
        m[None], K[None], np.array([h]), np.array([T]), np.full((1, 6), 1.0 / 6.0), ExponentialWeights()
    )
    assert converged.all()
    left = T * np.log(p[0]) + m + h * K @ p[0]
    left -= p[0] @ left
    length = np.linalg.norm(J, axis=1)
    rounding = 1e-15 * (1.0 + h * length * (length @ p[0]))  # of the terms of h K p; once in the test, once in the code
    seen = p[0] > 1e-12
    assert (np.abs(left[seen]) <= 2.0 * rounding[seen].max() + 1e-9 * T).all()


def test_units_of_the_data_are_units_of_the_weights() -> None:
    """f(cx; w) = f(x; √c w) for two layers, so that the flow from √c w on X is the flow from w on cX."""
    X, y = random_data(5, 3, 2)
    root = 2.0**10  # exact in floating point
    large, plain = flow_limit(relu(3, 6, 2), root**2 * X, y), flow_limit(relu(3, 6, 2, scale=root), X, y)
    assert large.status is plain.status is FlowStatus.STATIONARY
    np.testing.assert_allclose(large.direction, plain.direction, atol=1e-9)
    np.testing.assert_allclose(large.margin, root**2 * plain.margin, rtol=1e-9)


def test_order_and_copies_of_points_do_not_matter() -> None:
    X, y = random_data(4, 3, 4)
    limit = flow_limit(relu(3, 5, 4), X, y)
    order = np.append(np.random.default_rng(0).permutation(4), np.arange(4))
    twice = flow_limit(relu(3, 5, 4), X[order], y[order])
    assert limit.status is twice.status is FlowStatus.STATIONARY
    np.testing.assert_allclose(twice.margin, limit.margin, rtol=1e-8)


def test_a_flow_is_followed_on_until_its_own_margin_is_final() -> None:
    X, y = random_data(5, 3, 2)
    early, late = flow_limit(relu(3, 6, 2), X, y), flow_limit(relu(3, 6, 2), X, y, settle=1e-6)
    assert late.log_norm >= early.log_norm
    np.testing.assert_allclose(late.margin, early.margin, rtol=1e-8)
    np.testing.assert_allclose(late.integrated.margin, late.margin, rtol=1e-5)
    with pytest.raises(ValueError, match="settle"):
        flow_limit(relu(3, 6, 2), X, y, settle=2.0)
    with pytest.raises(TypeError, match="settle"):
        flow_limit(relu(3, 6, 2), X, y, loss="squared", settle=1e-7)  # type: ignore[call-overload]
