"""What comes in: modules that are no fixed function of their weights, wrong shapes, limits, and the caller's modes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gd import (
    Convolutional,
    DecayingStep,
    FlowStatus,
    FullyConnected,
    NotHomogeneousError,
    descend,
    flow_limit,
    linear_flow,
    optimizer_limit,
    squared_flow_limit,
    train_with_decay,
)
from gd.descent.decay_path import decay_path
from gd.losses import Exponential, Logistic
from gd.networks.linear import Diagonal
from gd.networks.wide_relu import WideReLU
from solvers.splines.initial_distributions import UniformInit

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 4)), np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])


def stack(*inner: nn.Module, outputs: int = 1, inputs: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 8, bias=False), *inner, nn.ReLU(), nn.Linear(8, outputs, bias=False))


class Wrapped(nn.Module):
    def __init__(self, shape: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.layers, self.shape = stack(), shape

    def forward(self, X: Tensor) -> object:
        return self.shape(self.layers(X))


TRAIN: dict[str, Callable[..., object]] = {
    "flow_limit": flow_limit,
    "descend": descend,
    "optimizer_limit": partial(optimizer_limit, schedule=DecayingStep(0.01)),
    "squared_flow_limit": squared_flow_limit,
}


@pytest.mark.parametrize("train", TRAIN)
@pytest.mark.parametrize(("model", "words"), [
    (lambda: Wrapped(lambda f: (f, f)), "returns a tuple"),
    (lambda: Wrapped(lambda f: {"f": f}), "returns a dict"),
    (lambda: Wrapped(lambda f: f.sum()), "one row of outputs for each point"),
    (lambda: torch.jit.script(stack()), "compiled by torch.jit"),
    (lambda: stack(inputs=3), r"does not take X of shape \(6, 4\)"),
    (lambda: stack(outputs=2), r"\(6, 2\)"),
])  # fmt: skip
def test_a_forward_pass_that_does_not_fit_is_refused(train: str, model: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TRAIN[train](model(), X, Y)


@pytest.mark.parametrize("train", TRAIN)
def test_what_is_no_module_or_no_number_of_steps_is_refused(train: str) -> None:
    with pytest.raises(TypeError, match=r"must be a torch.nn.Module, or a list of them; got int"):
        TRAIN[train](3, X, Y)
    for steps in (0, -3, 2.5):
        with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
            TRAIN[train](stack(), X, Y, **{"steps" if train == "descend" else "max_steps": steps})


@pytest.mark.parametrize("train", ["flow_limit", "optimizer_limit", "squared_flow_limit"])
@pytest.mark.parametrize("kind", [nn.Dropout, partial(nn.BatchNorm1d, 8)], ids=["dropout", "batch normalization"])
def test_layers_in_training_mode_are_named(kind: Callable[[], nn.Module], train: str) -> None:
    layer = kind()
    model = stack(layer)
    with pytest.raises(ValueError, match=rf"training mode, where 1 \({type(layer).__name__}\)"):
        TRAIN[train](model, X, Y)
    assert model.training
    assert layer.training
    assert isinstance(flow_limit(stack(nn.Dropout()).eval(), X, Y, max_steps=1).margin, float)


def test_the_degree_of_each_layer_is_named() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 1))
    with pytest.raises(NotHomogeneousError) as caught:
        flow_limit(model, X, Y)
    assert caught.value.layers == {"0.weight, 0.bias": None, "2.weight, 2.bias": None, "4.weight, 4.bias": 1.0}
    assert "Without 2.bias, 4.bias it is homogeneous" in str(caught.value)  # the first layer's bias may stay
    for bias in (model[2].bias, model[4].bias):
        nn.init.zeros_(bias)
        bias.requires_grad_(False)
    assert flow_limit(model, X, Y, max_steps=1).stats["degree"] == 3.0


@pytest.mark.parametrize(("options", "words"), [
    ({"time_limit": 0.0}, "time_limit"), ({"time_limit": -1}, "time_limit"),
    ({"time_limit": float("nan")}, "time_limit"), ({"loss": "hinge"}, "loss must be"),
    ({"loss": Logistic}, "loss must be"),
])  # fmt: skip
def test_limits_and_losses_out_of_range_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        flow_limit(stack(), X, Y, **options)


def test_many_kinks_of_a_convolution_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layers = nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 3, bias=False), nn.ReLU(), nn.Flatten()
    model = nn.Sequential(*layers, nn.Linear(4, 1, bias=False))
    monkeypatch.setattr("gd.flow.flow_limit.MANY_KINKS", 25)
    flow_limit(model, X, Y, max_steps=1)
    monkeypatch.setattr("gd.flow.flow_limit.MANY_KINKS", 24)  # six points, two channels, two places
    with pytest.warns(UserWarning, match="Sequential has 24 ReLUs and maxima over all points") as caught:
        flow_limit(model, X, Y, max_steps=1)
    assert caught[0].filename == __file__
    flow_limit(stack(), X, Y, max_steps=1)  # 48 kinks of a stack of matrices


def test_a_time_limit_hands_back_what_there_is() -> None:
    rng = np.random.default_rng(1)
    points, labels = rng.standard_normal((80, 6)), np.sign(rng.standard_normal(80))
    seen: list[tuple[int, int]] = []
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 60, bias=False), nn.ReLU(), nn.Linear(60, 1, bias=False))
    flow_limit(model, points, labels, max_steps=2)  # the first call imports and compiles
    began = time.monotonic()
    limit = flow_limit(model, points, labels, time_limit=1.5, progress=lambda *now: seen.append(now))
    assert time.monotonic() - began < 15.0  # one step and one look, on a loaded machine
    assert limit.status is FlowStatus.UNFINISHED
    assert limit.stats["steps"] > 0
    assert limit.path.tau.size > 0
    assert abs(np.linalg.norm(limit.direction) - 1.0) < 1e-12
    assert seen  # once a second, however slow the steps
    several = flow_limit([stack(), stack()], X, Y, time_limit=1e-6)
    assert [one.status for one in several] == [FlowStatus.UNFINISHED] * 2  # no margin is positive yet, nor given up


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_a_loss_is_its_name_or_its_object(loss: str) -> None:
    named = {"exponential": Exponential(), "logistic": Logistic()}[loss]
    model = Diagonal(4, 2, seed=0)
    for train in (lambda **o: flow_limit(model, X, Y, max_steps=20, **o).margin,
                  lambda **o: float(descend(model, X, Y, steps=20, **o).log_loss[0, -1])):  # fmt: skip
        assert train(loss=loss) == train(loss=named)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_caller_s_gradient_mode_does_not_matter(mode: Callable[[], torch.no_grad]) -> None:
    calls = (
        lambda: flow_limit(stack(), X, Y, max_steps=40).direction,
        lambda: flow_limit(Diagonal(4, 2, seed=0), X, Y, max_steps=40).direction,
        lambda: flow_limit(stack(), torch.tensor(X), torch.tensor(Y), loss="squared", max_steps=3).residual,
        lambda: squared_flow_limit(WideReLU(50, UniformInit(1.0, 2.0), seed=0), X[:3, :1], Y[:3], max_steps=3).residual,
        lambda: descend(stack(), X, Y, steps=5).log_loss,
        lambda: descend(Diagonal(4, 2, seed=0), X, Y, steps=5).log_loss,
        lambda: optimizer_limit(FullyConnected(4, 1, seed=0), X[:3], Y[:3]).predictor,
        lambda: flow_limit(Convolutional(4, 2, seed=0), X[:3], Y[:3]).second_order().smallest,
        lambda: decay_path(Diagonal(4, 2, seed=0), X[:3], Y[:3], [-5.0])[0].beta,
        lambda: linear_flow(torch.tensor(X), torch.tensor(Y), [1.0]).predictors,
        lambda: train_with_decay(X[:, 0], Y, width=5, iterations=5).residual,
    )
    for call in calls:
        plain = call()
        with mode():
            inside = call()
            assert torch.is_grad_enabled() is False
        np.testing.assert_array_equal(inside, plain)


def test_outputs_that_are_no_finite_numbers_are_named() -> None:
    model = stack()
    with torch.no_grad():
        next(model.parameters()).fill_(1e30)
    for train in (flow_limit, descend):
        with pytest.raises(ValueError, match="are not all finite numbers: rescale X, or start from other weights"):
            train(model, 1e300 * X, Y)
