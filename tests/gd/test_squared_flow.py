"""Squared-loss flow: closed forms, plain gradient descent, scipy's integrator, and honest statuses."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from gd.descent.descend import descend
from gd.descent.schedule import ConstantStep
from gd.flow.flow_limit import flow_limit
from gd.networks.linear import Diagonal, FullyConnected
from gd.networks.wide_relu import WideReLU
from gd.squared.squared_flow import linear_limit, squared_flow_limit, stable_step
from gd.squared.tangent import tangent_bundle
from gd.status import SquaredStatus
from solvers.splines.initial_distributions import GaussianInit, UniformInit
from solvers.splines.kernel_interpolant import kernel_interpolant

x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
X, Y = x[:, None], np.array([1.5, 0.5, 1.5, 0.5, 1.5])
GRID = np.linspace(-2.5, 2.5, 201)[:, None]
INIT = GaussianInit(1.0, 1.0)


def on_grid(model: torch.nn.Module) -> np.ndarray:
    return model(torch.from_numpy(GRID)).detach().numpy()


def test_flow_limit_hands_the_squared_loss_on() -> None:
    net = WideReLU(1000, INIT, seed=0)  # wide, so that it takes about a hundred steps
    strict = flow_limit(net, X, Y, loss="squared", tol=1e-12, device="cpu")
    direct = squared_flow_limit(net, X, Y, tol=1e-12, device="cpu")
    assert strict.residual[0] <= 1e-12 * np.abs(Y).max()
    assert all(np.array_equal(strict.weights[name], direct.weights[name]) for name in direct.weights)
    assert flow_limit(net, X, Y, loss="squared", max_steps=1, device="cpu").status[0] is SquaredStatus.UNFINISHED
    with pytest.raises(TypeError, match="path_tolerance"):
        flow_limit(net, X, Y, loss="squared", path_tolerance=1e-2)


@pytest.mark.parametrize("train", ["output", "linearized"])
@pytest.mark.parametrize("anti_symmetric", [True, False])
def test_linear_training_ends_at_the_least_norm_change(train, anti_symmetric) -> None:
    """Three ways: the integrator, the closed form, and numpy's pseudo-inverse of autograd's Jacobian."""
    nets = [WideReLU(100, INIT, anti_symmetric, train=train, seed=s) for s in range(3)]
    flow, closed = squared_flow_limit(nets, X, Y), linear_limit(nets, X, Y)
    assert flow.status == (SquaredStatus.FITTED,) * 3
    for name, values in closed.items():
        np.testing.assert_allclose(flow.weights[name], values, atol=1e-11)
    net = nets[0]
    f = net(torch.from_numpy(X))
    rows = [torch.autograd.grad(f[i], list(net.parameters()), retain_graph=True) for i in range(5)]
    J = np.stack([torch.cat([g.flatten() for g in row]).numpy() for row in rows])
    change = np.linalg.lstsq(J, Y - f.detach().numpy(), rcond=None)[0]
    start = np.concatenate([p.detach().numpy().ravel() for p in net.parameters()])
    found = np.concatenate([flow.weights[name][0].ravel() for name, _ in net.named_parameters()])
    np.testing.assert_allclose(found - start, change, atol=1e-10)


def test_linear_trajectory_is_the_matrix_exponential() -> None:
    net = WideReLU(200, INIT, train="output", seed=1)
    bundle = tangent_bundle([net], torch.from_numpy(X), torch.from_numpy(Y), torch.device("cpu"))
    kernel = bundle.at(bundle.start).kernel[0].numpy()
    times = np.array([0.01, 1.0, 30.0]) / np.linalg.eigvalsh(kernel)[-1]
    flow = squared_flow_limit(net, X, Y, times=times, grid=GRID)
    for k, t in enumerate(times):
        np.testing.assert_allclose(flow.outputs[0, k], Y - expm(-t * kernel) @ Y, atol=1e-12)
    np.testing.assert_allclose(flow.grid_outputs[0, -1], on_grid(flow.load(net)), atol=1e-13)
    at = squared_flow_limit(WideReLU(200, INIT, train="output", seed=1), X, Y, times=times, stop_at_last_time=True)
    assert at.status == (SquaredStatus.STOPPED_IN_TIME,)
    np.testing.assert_allclose(at.outputs[0, -1], flow.outputs[0, 2], atol=1e-13)


def test_all_weights_against_runge_kutta() -> None:
    """A narrow network, strongly nonlinear: classical Runge–Kutta on autograd's gradient, at steps of 0.02/λ_max."""
    points, values = torch.from_numpy(X[1:4]), torch.from_numpy(Y[1:4])
    net = WideReLU(30, INIT, seed=0)
    h, steps = 0.02 * stable_step(net, points, values), 1000

    def velocity(parts):
        f = torch.func.functional_call(net, parts, (points,))
        gradient = torch.autograd.grad(0.5 * (f - values).square().sum(), list(parts.values()))
        return {name: -g for name, g in zip(parts, gradient, strict=True)}

    def ahead(parts, by, slope):
        return {name: (w + by * slope[name]).detach().requires_grad_(True) for name, w in parts.items()}

    w = {name: p.detach().clone().requires_grad_(True) for name, p in net.named_parameters()}
    for _ in range(steps):
        k1 = velocity(w)
        k2 = velocity(ahead(w, h / 2, k1))
        k3 = velocity(ahead(w, h / 2, k2))
        k4 = velocity(ahead(w, h, k3))
        w = ahead(w, h / 6, {n: k1[n] + 2 * k2[n] + 2 * k3[n] + k4[n] for n in k1})
    flow = squared_flow_limit(net, points, values, times=[h * steps], stop_at_last_time=True, accuracy=1e-5)
    gap = np.sqrt(sum(float(((flow.weights[n][0] - w[n].detach().numpy()) ** 2).sum()) for n in w))
    assert gap < 1e-4 * flow.movement[0]


def test_plain_gradient_descent_finds_the_same_function() -> None:
    """Half the stated bound, to residual 1e-8: 1e-6 apart on the interval, thousands of steps against dozens.

    Three distant points keep λ_max/λ_min at 45, so that the plain side takes a second.
    """
    points, values = np.array([[-2.0], [0.0], [2.0]]), np.array([0.5, -0.5, 0.4])
    net = WideReLU(2000, UniformInit(1.0, 2.0), seed=0)
    flow = squared_flow_limit(net, points, values, tol=1e-8)
    bound = stable_step(net, points, values)
    step = ConstantStep(bound / 2)
    path = descend(net, points, values, loss="squared", steps=1200, schedule=step, snapshots=5, device="cpu")
    plain = path.load(WideReLU(2000, UniformInit(1.0, 2.0), seed=0))
    assert np.abs(plain(torch.from_numpy(points)).detach().numpy() - values).max() < 1e-8
    followed = flow.load(WideReLU(2000, UniformInit(1.0, 2.0), seed=0))
    assert np.abs(on_grid(plain) - on_grid(followed)).max() < 1e-6
    assert flow.steps[0] < 100


def test_the_stated_bound_is_sharp() -> None:
    net = WideReLU(500, INIT, train="output", seed=0)
    bound = stable_step(net, X, Y)
    below, above = (
        descend(net, X, Y, loss="squared", steps=200, schedule=ConstantStep(f * bound), device="cpu").log_loss[0, -1]
        for f in (0.99, 1.02)
    )
    assert below < 0 < above


def test_accuracy_is_kept_in_function_space() -> None:
    for width in (640, 5000):
        rough, fine = (
            squared_flow_limit(WideReLU(width, INIT, seed=0), X, Y, accuracy=a, grid=GRID).grid_outputs[0, -1]
            for a in (1e-3, 1e-5)
        )
        assert np.abs(rough - fine).max() < 1e-5


def test_networks_approach_the_kernel_limit() -> None:
    """10⁵ units a half: about 1e-2 of the penalized kernel interpolant on raw data, and the rate's constant is ~1."""
    flow = squared_flow_limit(WideReLU(100_000, INIT, seed=0), X, Y, grid=GRID)
    limit = kernel_interpolant(x, Y, INIT, "penalized")(GRID[:, 0])
    assert np.abs(flow.grid_outputs[0, -1] - limit).max() < 5 / np.sqrt(100_000)


def test_a_batch_is_its_runs() -> None:
    nets = [WideReLU(150, INIT, seed=s) for s in range(3)]
    together = squared_flow_limit(nets, X, Y, accuracy=1e-3)
    for s, net in enumerate(nets):
        alone = squared_flow_limit(net, X, Y, accuracy=1e-3)
        # runs share batched products, whose rounding kinks can amplify; far below the accuracy asked for
        np.testing.assert_allclose(together.weights["outer"][s], alone.weights["outer"][0], atol=1e-4)
        assert together.residual[s] < 2e-10


def test_other_modules_go_through_autograd() -> None:
    """Depth-2 linear networks, more weights than data: the residual closes, and the flow conserves W₂ᵀW₂ − W₁W₁ᵀ."""
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((4, 7)), rng.standard_normal(4)
    net = FullyConnected(7, 2, width=3, scale=0.3, seed=0)
    flow = squared_flow_limit(net, A, b, accuracy=1e-5)
    assert flow.status == (SquaredStatus.FITTED,)
    W1, W2 = (p.detach().numpy() for p in net.parameters())
    V1, V2 = (w[0] for w in flow.weights.values())
    np.testing.assert_allclose(V2.T @ V2 - V1 @ V1.T, W2.T @ W2 - W1 @ W1.T, atol=1e-5)
    assert np.abs(A @ (V2 @ V1).ravel() - b).max() < 1e-9 * np.abs(b).max() * 2
    diagonal = squared_flow_limit(Diagonal(7, 2, scale=0.1, seed=0), A, b)
    assert diagonal.residual[0] < 1e-9


def test_too_narrow_is_said() -> None:
    net = WideReLU(1, INIT, train="output", seed=0)
    flow = squared_flow_limit(net, X, Y)
    assert flow.status == (SquaredStatus.DEGENERATE,)
    assert flow.residual[0] > 0.1
    with pytest.raises(ValueError, match="too narrow to fit"):
        linear_limit(net, X, Y)


def test_running_out_of_steps_is_said() -> None:
    flow = squared_flow_limit(WideReLU(20, INIT, seed=0), X, Y, max_steps=2)
    assert flow.status == (SquaredStatus.UNFINISHED,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"times": [2.0, 1.0]}, "positive and ascending"),
        ({"stop_at_last_time": True}, "needs `times`"),
        ({"accuracy": 0.0}, r"must lie in \(0, 1\)"),
    ],
)
def test_refusals(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        squared_flow_limit(WideReLU(5, INIT), X, Y, **options)
    with pytest.raises(ValueError, match="one architecture"):
        squared_flow_limit([WideReLU(5, INIT), WideReLU(6, INIT)], X, Y)
    with pytest.raises(ValueError, match="at least one network"):
        squared_flow_limit([], X, Y)
