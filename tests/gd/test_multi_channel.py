"""Multi-channel CNNs: what they compute, what they cost, and where gradient flow takes them."""

import numpy as np
import pytest
import torch

from gd import descend
from gd.flow.channel_polish import polish_channels
from gd.flow.flow_limit import flow_limit
from gd.flow.module_map import ModuleMap
from gd.networks.multi_channel import MultiChannelCNN, MultiChannelReLU
from gd.status import FlowStatus
from solvers import ConvKernel, induced_regularizer, max_margin

SIZES = [((9,), (3,), 1, 2), ((4, 6), (2, 3), 1, 3), ((5,), (5,), 3, 2), ((4, 5), (2, 3), 2, 3)]


def data(seed, N, *shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, *shape)), rng.choice([-1.0, 1.0], N)


def slow_forward(U, V, x, rectify):
    """f(x) = Σ_c ⟨v_c, φ(Σ_r x_r ⋆ u_{c,r})⟩ by shifting and adding."""
    axes = tuple(range(V.ndim - 1))
    total = 0.0
    for c in range(V.shape[0]):
        h = np.zeros(V.shape[1:])
        for r in range(U.shape[1]):
            for k in np.ndindex(U.shape[2:]):
                h += U[c, r][k] * np.roll(x[r], np.negative(k), axes) / np.sqrt(h.size)
        total += np.sum(V[c] * (np.maximum(h, 0) if rectify else h))
    return total


@pytest.mark.parametrize(("grid", "kernel", "R", "C"), SIZES)
@pytest.mark.parametrize("network", [MultiChannelCNN, MultiChannelReLU])
def test_the_forward_pass_is_shift_and_add(network, grid, kernel, R, C):
    model = network(grid, kernel, R, C, seed=1)
    X, _ = data(0, 4, *((R, *grid) if R > 1 else grid))
    U, V = (w.detach().numpy() for w in model.weights)
    expected = [slow_forward(U, V, x.reshape(R, *grid), network is MultiChannelReLU) for x in X]
    np.testing.assert_allclose(model(torch.as_tensor(X)).detach(), expected, atol=1e-14)


@pytest.mark.parametrize(("grid", "kernel", "R", "C"), SIZES)
def test_the_squared_norm_of_the_weights_is_never_below_the_regularizer(grid, kernel, R, C):
    model = MultiChannelCNN(grid, kernel, R, C, seed=2)
    convex = ConvKernel(kernel if len(kernel) > 1 else kernel[0], R)
    paid = sum(float((w.detach() ** 2).sum()) for w in model.weights)
    assert paid >= convex.value(model.predictor) * (1 - 1e-9)


def test_weights_from_the_solver_compute_its_predictor_at_its_value():
    w = np.random.default_rng(3).standard_normal((2, 10))
    answer = induced_regularizer(w, 3, in_channels=2)
    C = answer.kernels.shape[0]
    model = MultiChannelCNN(10, 3, 2, C)
    with torch.no_grad():
        model.weights[0].copy_(torch.as_tensor(answer.kernels))
        model.weights[1].copy_(torch.as_tensor(answer.output_weights))
    np.testing.assert_allclose(model.predictor, w, atol=1e-13)
    assert sum(float((w.detach() ** 2).sum()) for w in model.weights) == pytest.approx(answer.value, rel=1e-12)


def test_initializations():
    balanced = MultiChannelCNN((6, 6), 2, 1, 7, seed=4, initialization="balanced", scale=0.3)
    U, V = (w.detach().flatten(1) for w in balanced.weights)
    np.testing.assert_allclose(U @ U.T, V @ V.T, atol=1e-15)
    singular = np.linalg.svd(U.numpy(), compute_uv=False)
    np.testing.assert_allclose(singular, [0.3] * 4, atol=1e-15)
    assert np.all(MultiChannelCNN(8, 3, initialization="unbiased").predictor == 0)
    assert np.array_equal(MultiChannelCNN(8, 3, seed=5).predictor, MultiChannelCNN(8, 3, seed=5).predictor)


@pytest.mark.parametrize(("grid", "kernel", "R", "C"), SIZES)
def test_closed_form_margins_and_gradients_are_those_of_automatic_differentiation(grid, kernel, R, C):
    models = [MultiChannelCNN(grid, kernel, R, C, seed=s) for s in (1, 2)]
    X, y = (torch.as_tensor(a) for a in data(5, 5, *((R, *grid) if R > 1 else grid)))
    ours, theirs = models[0].margin_map(X, y), ModuleMap(models[0], X, y)
    theta, p = ours.start(models), torch.rand(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a, b = ours.at(theta), theirs.at(theta)
    torch.testing.assert_close(a.margins, b.margins, rtol=0, atol=1e-14)
    torch.testing.assert_close(a.gram, b.gram, rtol=0, atol=1e-14)
    torch.testing.assert_close(a.pull(p), b.pull(p), rtol=0, atol=1e-14)
    np.testing.assert_allclose(ours.predictors(theta)[1], models[1].predictor, atol=1e-15)


@pytest.mark.parametrize("C", [1, 3])
def test_flow_on_signals_ends_at_the_certified_optimum_for_every_number_of_channels(C):
    X, y = data(6, 10, 20)
    best = max_margin(X, y, ConvKernel(4))
    limit = flow_limit(MultiChannelCNN(20, 4, 1, C, seed=1), X, y)
    assert limit.status is FlowStatus.OPTIMAL
    assert limit.norm_at_unit_margin**2 == pytest.approx(best.objective, rel=3e-9)  # two gaps of 1e-9
    # R_K is 1-homogeneous and convex with quadratic growth here: β agrees to the root of the gap
    np.testing.assert_allclose(limit.predictor, best.beta, atol=1e-4 * np.abs(best.beta).max())


def test_flow_on_images_with_two_channels_and_with_one():
    X, y = data(8, 10, 5, 5)
    best = max_margin(X, y, ConvKernel((3, 3)))
    for C in (1, 4):
        limit = flow_limit(MultiChannelCNN((5, 5), 3, 1, C, seed=1), X, y)
        assert limit.status in (FlowStatus.OPTIMAL, FlowStatus.STATIONARY)
        assert limit.norm_at_unit_margin**2 >= best.lower_bound * (1 - 1e-9)
        assert limit.kkt_epsilon / limit.norm_at_unit_margin <= 1e-9
        if limit.status is FlowStatus.OPTIMAL:
            assert limit.norm_at_unit_margin**2 == pytest.approx(best.objective, rel=3e-9)


def test_the_last_newton_step_refuses_a_saddle_and_wrong_weights():
    X, y = (torch.as_tensor(a) for a in data(6, 10, 20))
    mapping = MultiChannelCNN(20, 4, 1, 2).margin_map(X, y)
    # one channel dead: the other's optimum is a KKT point, and for signals a minimum as well
    limit = flow_limit(MultiChannelCNN(20, 4, 1, 1, seed=1), X, y)
    alone = [torch.as_tensor(w) for w in limit.weights.values()]
    theta = torch.cat([torch.cat([w, torch.zeros_like(w)]).flatten() for w in alone])
    solved = polish_channels(mapping, theta, limit.dual, 1e-6)
    assert solved is not None
    assert float(mapping.margins(solved.theta[None]).min()) == pytest.approx(1, abs=1e-9)
    # a start that misclassifies (U turned, V kept) is refused
    turned = torch.cat([-theta[: 2 * 4], theta[2 * 4 :]])
    assert polish_channels(mapping, turned, limit.dual, 1e-6) is None
    # the kernel of a zero network: a point where all smaller channels are dead and the value is not minimal
    start = mapping.start([MultiChannelCNN(20, 4, 1, 2, seed=0)])[0]
    found = polish_channels(mapping, start, np.ones(10), 1e-6)
    if found is not None and found.stable:
        best = max_margin(X.numpy(), y.numpy(), ConvKernel(4))
        assert float(found.theta @ found.theta) >= best.lower_bound * (1 - 1e-9)


def test_image_size_evaluates_without_the_large_jacobian():
    X, y = (torch.as_tensor(a) for a in data(9, 16, 28, 28))
    mapping = MultiChannelCNN((28, 28), 8, 1, 8).margin_map(X, y)
    local = mapping.at(mapping.start([MultiChannelCNN((28, 28), 8, 1, 8, seed=1)]))
    assert local.gram.shape == (1, 16, 16)
    pulled = local.pull(torch.ones(1, 16, dtype=torch.float64))
    assert pulled.shape == (1, 8 * (64 + 784))
    # K = J Jᵀ: 1ᵀK1 = ‖Jᵀ1‖²
    assert float(local.gram.sum()) == pytest.approx(float((pulled**2).sum()), rel=1e-12)


@pytest.mark.parametrize("network", [MultiChannelCNN, MultiChannelReLU])
def test_descend_separates(network):
    X, y = data(10, 8, 2, 12)
    trajectory = descend(network(12, 3, 2, 4, seed=2, scale=0.3), X, y, steps=300)
    assert trajectory.margin[0, -1] > 0
    assert trajectory.log_loss[0, -1] < trajectory.log_loss[0, 0] - 5


# torch scripts one of its own decompositions the first time a forward derivative is taken, and warns about it
def test_relu_flow_runs_to_a_kkt_point():
    X, y = data(11, 6, 8)
    limit = flow_limit(MultiChannelReLU(8, 3, 1, 2, seed=3, scale=0.3), X, y, max_steps=4000)
    assert limit.predictor is None
    if limit.status.converged:
        assert limit.kkt_epsilon / limit.norm_at_unit_margin <= 1e-9


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="one size from 1 to D"):
        MultiChannelCNN((4, 4), (5, 1))
    with pytest.raises(ValueError, match="in_channels must be a positive integer, got in_channels=0"):
        MultiChannelCNN(8, 3, 0, 1)
