"""The wide ReLU network: what it starts at, what its pieces say, and that nothing depends on how it is evaluated."""

import numpy as np
import pytest
import torch

from gd.networks.wide_relu import WideReLU
from gd.squared.tangent import tangent_bundle
from solvers.splines.initial_distributions import BinaryUniformInit, GaussianInit, UniformInit

X = torch.tensor([[-2.0], [-1.0], [0.0], [1.0], [2.0]], dtype=torch.float64)
INITS = [GaussianInit(1.0, 0.1**0.5), UniformInit(1.0, 2.0), BinaryUniformInit(2.5)]


def perturbed(net: WideReLU, size: float = 0.1) -> WideReLU:
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in net.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter += size * noise / np.sqrt(net.width)
    return net


@pytest.mark.parametrize("init", INITS, ids=str)
@pytest.mark.parametrize("parametrization", ["standard", "ntk"])
def test_anti_symmetric_networks_start_at_zero_with_two_widths_of_units(init, parametrization) -> None:
    net = WideReLU(50, init, parametrization=parametrization, seed=3)
    assert net(X).abs().max() == 0.0
    assert net.units == 100
    alone = WideReLU(50, init, anti_symmetric=False, parametrization=parametrization, seed=3)
    assert alone.units == 50
    assert alone(X).abs().max() > 0.01


def test_parametrizations_compute_one_function_at_the_start() -> None:
    standard = WideReLU(40, INITS[0], False, seed=1)
    ntk = WideReLU(40, INITS[0], False, parametrization="ntk", seed=1)
    np.testing.assert_allclose(standard(X).detach(), ntk(X).detach(), rtol=1e-13)


@pytest.mark.parametrize("train", ["all", "output", "linearized"])
@pytest.mark.parametrize("anti_symmetric", [True, False])
def test_pieces_are_the_function(train, anti_symmetric) -> None:
    net = perturbed(WideReLU(60, INITS[1], anti_symmetric, train=train, seed=2))
    pieces = net.pieces()
    breaks = np.unique(pieces.breaks)  # mirrored units that have not moved share theirs
    t = np.sort(np.concatenate([np.linspace(-30, 30, 401), 0.5 * (breaks[1:] + breaks[:-1])]))
    values = net(torch.from_numpy(t)[:, None]).detach().numpy()
    np.testing.assert_allclose(pieces(t), values, atol=1e-12 * (1 + np.abs(values)).max())
    if train != "linearized":  # continuous at every break
        k = np.arange(pieces.breaks.size)
        left = pieces.slopes[k] * pieces.breaks + pieces.intercepts[k]
        right = pieces.slopes[k + 1] * pieces.breaks + pieces.intercepts[k + 1]
        np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-10)


def test_linearized_agrees_to_first_order() -> None:
    """f(θ₀ + εv) − f_lin(θ₀ + εv) falls like ε² (until a unit crosses a data point)."""
    gaps = []
    for size in (1e-2, 1e-3, 1e-4):
        full, linear = (perturbed(WideReLU(30, INITS[0], train=t, seed=4), size) for t in ("all", "linearized"))
        gaps.append((full(X) - linear(X)).abs().max().item())
    assert gaps[1] < 0.02 * gaps[0]
    assert gaps[2] < 0.02 * gaps[1]


@pytest.mark.parametrize("train", ["all", "output", "linearized"])
def test_fast_tangent_is_autograd(train) -> None:
    """The products of N × units matrices against jacobians by torch.func, at weights away from the start."""
    nets = [perturbed(WideReLU(20, INITS[0], train=train, seed=s), 0.3) for s in (0, 1)]
    bundle = tangent_bundle(nets, X, torch.zeros(5), torch.device("cpu"))
    tangent = bundle.at(bundle.start)
    q = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for b, net in enumerate(nets):
        names = [name for name, _ in net.named_parameters()]
        values = tuple(parameter.detach() for _, parameter in net.named_parameters())

        def f(*parts, net=net, names=names):
            return torch.func.functional_call(net, dict(zip(names, parts, strict=True)), (X,))

        J = torch.cat(torch.autograd.functional.jacobian(f, values), dim=1)
        np.testing.assert_allclose(tangent.outputs[b], f(*values), atol=1e-13)
        np.testing.assert_allclose(tangent.kernel[b], J @ J.T, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(tangent.pull(q)[b], q[b] @ J, atol=1e-12)


def test_output_kernel_is_width_times_k_with_monte_carlo_error() -> None:
    net = WideReLU(40_000, INITS[0], train="output", seed=0)
    bundle = tangent_bundle([net], X, torch.zeros(5), torch.device("cpu"))
    x = X[:, 0].numpy()
    kernel = bundle.at(bundle.start).kernel[0].numpy() / net.width
    # standard error of a mean of products with variance of a few, plus 1/width for the output bias
    np.testing.assert_allclose(kernel, INITS[0].kernel(x[:, None], x), atol=5 * 5 / np.sqrt(net.width))


def test_seeds_repeat_and_differ() -> None:
    a, b, c = (WideReLU(10, INITS[0], seed=s) for s in (5, 5, 6))
    assert torch.equal(a.weight, b.weight)
    assert not torch.equal(a.weight, c.weight)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width must be a positive integer"),
        ({"width": 5, "train": "inner"}, "train one of"),
        ({"width": 5, "parametrization": "mup"}, "parametrization is one of"),
    ],
)
def test_refusals(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        WideReLU(init=INITS[0], **arguments)
