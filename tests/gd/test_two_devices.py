"""What runs on a CUDA device keeps to it: no tensors of two devices meet, and numpy reads none of the device's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from two_devices import CPU, CUDA, TwoDevices, TwoDevicesError

from gd import (
    OPTIMIZERS,
    ConstantStep,
    ConvGenerator,
    Convolutional,
    DecayingStep,
    Diagonal,
    EncoderDecoder,
    FullyConnected,
    MatrixFactorization,
    MultiChannelCNN,
    MultiChannelReLU,
    NoiseLevel,
    Oracle,
    RunningVariance,
    TwoLayerGenerator,
    WideReLU,
    descend,
    descend_image,
    flow_limit,
    linear_flow,
    optimizer_limit,
    squared_flow_limit,
    train_with_decay,
)
from gd.data import WORTH_A_DEVICE, choose_device
from gd.descent.decay_path import decay_path
from gd.squared.squared_flow import linear_limit, stable_step
from solvers import GaussianInit

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((4, 6))
Y = np.sign(X @ RANDOM.standard_normal(6))
POINTS = np.linspace(-1.0, 1.0, 5)[:, None]
VALUES = np.sin(3.0 * POINTS[:, 0])
IMAGE = np.add.outer(np.arange(8), np.arange(8))[None] / 14


def there(values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, device="cuda")


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if there were a CUDA device."""
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda device: "none",
        "get_rng_state": lambda device: torch.zeros(1),
        "set_rng_state": lambda state, device: None,
        "_lazy_init": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    with TwoDevices():
        yield


def relu(*, outputs: int = 1) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, outputs, bias=False)
    return nn.Sequential(*layers).double()


def three_layers() -> nn.Module:
    torch.manual_seed(0)
    first, second, last = (nn.Linear(*size, bias=False) for size in ((6, 5), (5, 5), (5, 1)))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last).double()


def pooled() -> nn.Module:
    torch.manual_seed(0)
    convolution = nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 3, bias=False), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten()
    return nn.Sequential(*convolution, nn.Linear(6, 1, bias=False)).double()


def wide(train: str = "all", seed: int = 0) -> WideReLU:
    return WideReLU(100, GaussianInit(1.0, 1.0), train=train, seed=seed)


def generator(kind: str = "bilinear") -> ConvGenerator:
    return ConvGenerator(kind, channels=8, depth=3, out_channels=1, output_shape=(8, 8), seeds=(0, 1))


def flow(model: nn.Module | list[nn.Module], X: Any, y: Any, max_steps: int = 60, **options: Any) -> Any:
    """Long enough for a look at the limit, which is polished on the way."""
    return flow_limit(model, X, y, max_steps=max_steps, **options)


RUNS: dict[str, Callable[[], Any]] = {
    **{
        f"descend, {schedule}": partial(descend, FullyConnected(6, depth, seed=0), X, Y, steps=20, schedule=schedule)
        for schedule, depth in (("armijo", 2), ("accelerated", 1), ("normalized", 2), ("constant", 2), ("rescaled", 2))
    },
    **{
        f"descend, {name}": partial(
            descend, FullyConnected(6, 2, seed=0), X, Y, steps=9, optimizer=name, schedule=DecayingStep(0.01)
        )
        for name in OPTIMIZERS
    },
    "descend, batch": lambda: descend([Diagonal(6, 2, seed=s) for s in (0, 1)], there(X), there(Y), steps=20),
    "descend, module": lambda: descend(relu().to("cuda"), X, Y, steps=20, loss="logistic", record_outputs=True),
    "descend, squared": lambda: descend(wide(), POINTS, VALUES, steps=9, loss="squared", schedule=ConstantStep(1e-3)),
    "flow, diagonal": lambda: flow([Diagonal(6, 2, seed=s) for s in (0, 1)], there(X), there(Y)),
    "flow, two layers, batch": lambda: flow([relu(), relu()], there(X), there(Y)),
    "flow, diagonal, L=3": lambda: flow(Diagonal(6, 3, seed=0), X, Y),
    "flow, fully connected": lambda: flow(FullyConnected(6, 3, seed=0).to("cuda"), X, Y, loss="logistic"),
    "flow, several outputs": lambda: flow(FullyConnected(6, 2, outputs=2, seed=0), X, np.stack([Y, -Y], 1)),
    "flow, convolutional": lambda: flow(Convolutional(6, 2, seed=0), X, Y),
    "flow, zero padding": lambda: flow(Convolutional(6, 2, kernel=3, padding="zero", seed=0), X, Y),
    "flow, multi-channel": lambda: flow(MultiChannelCNN(6, 2, 3, seed=0), np.stack([X] * 3, 1), Y),
    "flow, ReLU": lambda: flow(relu().to("cuda"), X, there(Y)),
    "flow, ReLU, outputs": lambda: flow(relu(outputs=2), X, np.stack([Y, -Y], 1), max_steps=20),
    "flow, pooled": lambda: flow(pooled(), X, Y, max_steps=40),
    "flow, linear": lambda: linear_flow(there(X), there(Y), there(np.ones(1))),
    "descend, factorization": lambda: descend(
        MatrixFactorization((2, 3), seed=0), X.reshape(4, 2, 3), Y, steps=3, loss="squared", schedule=ConstantStep(0.01)
    ),
    "descend, multi-channel ReLU": lambda: descend(MultiChannelReLU(6, 2, 3, seed=0), np.stack([X] * 3, 1), Y, steps=3),
    "optimizer, linear": lambda: optimizer_limit(FullyConnected(6, 1, seed=0), there(X), there(Y), max_steps=50),
    "optimizer, diagonal": lambda: optimizer_limit(
        Diagonal(6, 2, seed=0), X, Y, schedule=DecayingStep(0.01), max_steps=50
    ),
    "decay, path": lambda: decay_path(Diagonal(6, 2, seed=0), X, Y, [-5.0, -6.0]),
    "decay, neurons": lambda: train_with_decay(there(POINTS[:, 0]), there(VALUES), width=10, iterations=5),
    "squared, linear": lambda: flow_limit(Diagonal(6, 2, seed=0), X, there(X.sum(axis=1)), loss="squared"),
    "squared, wide": lambda: squared_flow_limit(
        [wide(seed=s) for s in (0, 1)], POINTS, VALUES, times=[0.1, 1.0], grid=there(POINTS), max_steps=20
    ),
    "squared, linearized": lambda: squared_flow_limit(
        wide("linearized"), there(POINTS), there(VALUES), times=there(np.ones(1)), grid=torch.as_tensor(POINTS)
    ),
    "squared, output": lambda: linear_limit(wide("output").to("cuda"), POINTS, VALUES, device="cuda"),
    "squared, step": lambda: stable_step(wide(), there(POINTS), VALUES, device="cuda"),
    "squared, module": lambda: squared_flow_limit(relu(), X, there(Y[:, None]), max_steps=9),
    "images, rules": lambda: descend_image(
        generator(),
        IMAGE,
        steps=30,
        step=0.5,
        clean=there(IMAGE),
        rules=(Oracle(there(IMAGE)), NoiseLevel((0.1, 0.2)), RunningVariance(window=5)),
    ),
    **{
        f"images, {kind}": partial(descend_image, generator(kind), IMAGE, steps=3, step=0.01, optimizer=optimizer)
        for kind, optimizer in (("fixed", "adam"), ("learned", "momentum"), ("deconvolution", "gd"))
    },
    "images, encoder and decoder": lambda: descend_image(EncoderDecoder(4, 2, 1, (8, 8)), IMAGE, steps=3, step=0.01),
    "images, two layers": lambda: descend_image(
        TwoLayerGenerator(16, 8, np.eye(16)[0], seeds=(0,)), np.ones(16), steps=3, step=0.1
    ),
}


@pytest.mark.usefixtures("two_devices")
@pytest.mark.parametrize("name", list(RUNS))
def test_a_run_keeps_to_its_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gd.data.WORTH_A_DEVICE", 0)  # so that all go there unasked
    for name_of_it in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):
        # Adam asks the driver whether a graph is captured; a torch with CUDA may be here without one
        monkeypatch.setattr(torch.optim.Optimizer, name_of_it, lambda _: None, raising=False)
    RUNS[name]()


def test_the_device_is_chosen_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    model = relu()
    weights = 6 * 5 + 5
    assert choose_device(None, [model], WORTH_A_DEVICE // weights).type == "cpu"
    assert choose_device(None, [model], WORTH_A_DEVICE // weights + 1).type == "cuda"
    assert choose_device(None, [model, model], WORTH_A_DEVICE // weights).type == "cuda"
    assert choose_device("cuda:1", [model], 1) == torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(None, [model], WORTH_A_DEVICE).type == "cpu"


@pytest.mark.usefixtures("two_devices")
def test_random_numbers_of_the_device_that_computes_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    forked: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: forked.append(device) or torch.zeros(1))
    descend(relu(), X, Y, steps=1, device="cuda:0")
    assert forked == [torch.device("cuda:0")]


# --- that such a test can fail ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mixed",
    [
        lambda a, b: a + b,
        lambda a, b: torch.cat([a, b]),
        lambda a, b: a @ b,
        lambda a, b: b[torch.tensor([0, 1], device="cuda")],
        lambda a, b: torch.where(a > 0, b, b),
        lambda a, b: torch.func.vmap(lambda row: row * b)(a.expand(2, 3)),
        lambda a, b: torch.autograd.grad((a.clone().requires_grad_() ** 2).sum() + (b * a).sum(), [a]),
        lambda a, b: a.numpy(),
        lambda a, b: np.asarray(a),
        lambda a, b: np.asarray(a[:2]),
    ],
)
def test_what_fails_on_a_device_fails_here(mixed: Callable[[Tensor, Tensor], Any]) -> None:
    with TwoDevices():
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        with pytest.raises(TwoDevicesError):
            mixed(there, here)


def test_what_works_on_a_device_works_here() -> None:
    with TwoDevices():
        a, b = torch.randn(3, device="cuda"), torch.randn(3)
        assert [t.device for t in (a, b, 2 * a, a @ a, a.cpu(), b.to(a), a.to("cpu"))] == [
            CUDA, CPU, CUDA, CUDA, CPU, CUDA, CPU,
        ]  # fmt: skip
        assert (a + torch.tensor(1.0)).device == CUDA  # single numbers may come from anywhere
        assert a[torch.tensor([0, 1])].device == CUDA  # and so may indices
        assert a.new_zeros(2).device == torch.zeros_like(a).device == CUDA
        np.testing.assert_array_equal(a.cpu().numpy(), [float(number) for number in a])
        b.copy_(a)
        assert b.device == CPU
        layer = nn.Linear(3, 2).to("cuda")
        (slope,) = torch.autograd.grad(layer(a).square().sum(), [layer.weight])
        assert slope.device == layer.weight.device == CUDA
        assert torch.func.jacrev(torch.square)(a).device == CUDA
