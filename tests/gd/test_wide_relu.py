"""The wide ReLU network: what it starts at, what its pieces say, and that nothing depends on how it is evaluated."""

import numpy as np
import pytest
import torch

from gd.networks.wide_relu import WideReLU
from gd.squared.tangent import tangent_bundle
from gd.squared.wide_tangent import WideBundle
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


@pytest.mark.parametrize("train", ["all", "output", "linearized"])
@pytest.mark.parametrize("parametrization", ["standard", "ntk"])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_the_tangent_in_closed_form_is_that_of_the_module(train: str, parametrization: str, shift: float) -> None:
    """With units of w = 0, a breakpoint on a point, points twice, and points far from the origin."""
    for anti_symmetric in (True, False):
        model = WideReLU(
            7,
            GaussianInit(1.0, 1.0),
            seed=3,
            train=train,
            parametrization=parametrization,
            anti_symmetric=anti_symmetric,
        )
        with torch.no_grad():
            model.weight[:2], model.bias[0], model.bias[1], model.bias[2] = 0.0, 0.3, -0.2, 0.0
            model.bias -= model.weight * shift
            model.outer *= 1.5  # away from the point at which a linearized network is expanded
        x = torch.tensor([0.5, -1.0, 0.0, 2.0, 0.5, -0.3], dtype=torch.float64)[:, None] + shift
        names, weights = zip(*((name, p.detach()) for name, p in model.named_parameters()), strict=True)

        def outputs(*parts, model=model, names=names, x=x):
            return torch.func.functional_call(model, dict(zip(names, parts, strict=True)), (x,)).flatten()

        J = torch.cat([j.flatten(1) for j in torch.func.jacrev(outputs, argnums=tuple(range(len(names))))(*weights)], 1)
        bundle = WideBundle([model], x, torch.device("cpu"))
        tangent, q = bundle.at(bundle.start), torch.arange(1.0, 7.0, dtype=torch.float64)
        size, rounding = float(J.norm()), 1e-15 * (1.0 + shift)  # of w·x + b where both are large
        np.testing.assert_allclose(tangent.outputs[0], outputs(*weights), rtol=0, atol=rounding * size)
        np.testing.assert_allclose(tangent.kernel[0], J @ J.T, rtol=0, atol=10 * rounding * size**2)
        np.testing.assert_allclose(tangent.pull(q[None])[0], q @ J, rtol=0, atol=100 * rounding * size)
        np.testing.assert_allclose(bundle.values(bundle.start, x[1:3])[0], outputs(*weights)[1:3], atol=rounding * size)


def test_the_start_as_printed_is_drawn_from_the_law():
    law = UniformInit(1.0, 2.0)
    net = WideReLU(4000, law, anti_symmetric=False, output_start="law", seed=3)
    outer = net.outer.detach().numpy() * np.sqrt(4000)
    assert np.abs(outer).max() <= 1.0  # a Gaussian start would leave it
    assert abs(outer.var() - 1 / 3) < 0.05
    assert 0 < abs(float(net.offset.detach())) * np.sqrt(4000) <= 2.0
    x = torch.tensor([[-1.0], [0.5]], dtype=torch.float64)
    assert float(net(x).detach().abs().min()) > 0
    assert WideReLU(100, law, output_start="law")(x).tolist() == [0.0, 0.0]  # mirrored halves cancel
    with pytest.raises(ValueError, match="output_start"):
        WideReLU(10, law, output_start="printed")
