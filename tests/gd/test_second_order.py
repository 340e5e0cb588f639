"""Second-order conditions of limits: against closed forms, against nearby weights, and on points that are no minima."""

import pickle

import numpy as np
import pytest
import torch

from gd import Convolutional, Diagonal, FullyConnected, MultiChannelCNN, PointKind, flow_limit
from gd.flow.multi_channel_map import MultiChannelMap
from gd.flow.second_order import WeightSpacePoint
from gd.status import FlowStatus
from solvers import L2, ConvKernel, max_margin


def data(seed=0, N=8, D=12):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D))
    return X, np.where(X @ rng.standard_normal(D) > 0, 1.0, -1.0)


X, Y = data()


def test_the_smallest_curvature_of_a_diagonal_network_is_the_slack_of_the_dual():
    """Off the support H is [[1, −z], [−z, 1]] with z the dual point: the smallest eigenvalue is 1 − max |z_i|."""
    limit = flow_limit(Diagonal(12, 2, seed=0), X, Y)
    found = limit.second_order()
    dual = np.abs((limit.dual * Y) @ X)
    off = np.abs(limit.predictor) < 1e-9 * np.abs(limit.predictor).max()
    expected = 1.0 - dual[off].max() / dual[~off].max()
    assert found.kind is PointKind.STRICT_MINIMUM
    assert found.smallest == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("depth", "turns"), [(1, 0), (2, 11), (3, 22)])
def test_layers_of_rank_one_turn_in_all_hidden_directions_but_their_own(depth, turns):
    found = flow_limit(FullyConnected(12, depth, seed=0), X, Y).second_order()
    assert found.symmetries == turns
    assert found.kind.minimum
    assert found.flat == 0
    assert found.smallest == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("depth", [2, 3])
def test_used_frequencies_have_a_phase_between_neighbouring_layers(depth):
    limit = flow_limit(Convolutional(12, depth, seed=0), X, Y)
    sizes = np.abs(np.fft.rfft(limit.predictor))
    paired = sizes[1:6] > 1e-9 * sizes.max()  # frequencies 0 and 6 are real
    found = limit.second_order()
    assert found.kind is PointKind.STRICT_BUT_FOR_SYMMETRY
    assert found.symmetries == (depth - 1) * paired.sum()


def test_signs_that_are_locked_end_at_a_saddle():
    limit = flow_limit(Diagonal(12, 2, seed=0, initialization="balanced"), X, Y)
    assert limit.status is FlowStatus.LOCKED
    found = limit.second_order()
    assert found.kind is PointKind.SADDLE
    assert found.smallest == pytest.approx(-limit.integrated.growth, rel=1e-4)


def one_kernel_above_the_optimum():
    """Data and start for which one kernel of three taps ends at a strict local minimum above the optimum of R_3."""
    rng = np.random.default_rng(0)
    for _ in range(2):
        X = rng.standard_normal((8, 12))
        y = np.sign(X @ rng.standard_normal(12))
    return X, y, flow_limit(Convolutional(12, 2, kernel=3, seed=1), X, y)


def test_one_kernel_may_end_at_a_strict_minimum_that_a_second_channel_leaves():
    X, y, limit = one_kernel_above_the_optimum()
    optimum = max_margin(X, y, ConvKernel(3)).objective
    assert limit.norm_at_unit_margin**2 > 1.1 * optimum
    assert limit.second_order().kind is PointKind.STRICT_MINIMUM
    # nearby weights at margin one are longer
    model, rng = Convolutional(12, 2, kernel=3), np.random.default_rng(1)
    for _ in range(200):
        v = [torch.as_tensor(w + 0.01 * rng.standard_normal(w.shape)) for w in limit.weights.values()]
        margin = float((torch.as_tensor(y) * (torch.as_tensor(X) @ model.P(v))).min())
        norm = float(sum(part.square().sum() for part in v)) / margin
        assert norm > limit.norm_at_unit_margin**2
    # the same network with a second channel of zeros is a saddle
    mapping = MultiChannelMap((12,), (3,), (1, 2), ConvKernel(3), torch.as_tensor(X), torch.as_tensor(y))
    U, V = (np.stack([w, np.zeros_like(w)]) for w in limit.weights.values())
    theta = torch.as_tensor(np.concatenate([U.ravel(), V.ravel()]))
    point = WeightSpacePoint(mapping, theta, limit.dual, 1e-9, FlowStatus.STATIONARY)
    assert point.second_order().kind is PointKind.SADDLE


def test_narrow_circular_layers_are_followed_as_a_network_of_one_channel():
    one = Convolutional(12, 2, kernel=3, seed=0)
    other = MultiChannelCNN(12, 3, 1, 1, seed=0)
    narrow, wide = flow_limit(one, X, Y), flow_limit(other, X, Y)
    assert narrow.status is wide.status is FlowStatus.OPTIMAL
    np.testing.assert_array_equal(narrow.predictor, wide.predictor)
    assert {name: w.shape for name, w in narrow.weights.items()} == {"weights.0": (3,), "weights.1": (12,)}
    assert narrow.certificate.gap == pytest.approx(wide.certificate.gap, abs=1e-15)
    assert Convolutional(12, 2, kernel=1).regularizer == L2()


def test_what_was_not_reached_or_has_kinks_is_not_known():
    relu = torch.nn.Sequential(torch.nn.Linear(12, 3, bias=False), torch.nn.ReLU(), torch.nn.Linear(3, 1, bias=False))
    for limit in (
        flow_limit(relu.double(), X, Y, max_steps=20),
        flow_limit(Diagonal(12, 2, seed=0), X, Y, max_steps=20),
    ):
        assert limit.second_order().kind is PointKind.UNKNOWN
    limit = flow_limit(Diagonal(12, 2, seed=0), X, Y)
    assert pickle.loads(pickle.dumps(limit)).second_order().kind is PointKind.UNKNOWN


def test_duplicated_points_do_not_make_a_minimum_a_saddle():
    twice = np.concatenate([X, X]), np.concatenate([Y, Y])
    found = flow_limit(Diagonal(12, 2, seed=0), *twice).second_order()
    assert found.kind is PointKind.STRICT_MINIMUM
