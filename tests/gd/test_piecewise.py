"""Every kink of a forward pass is found, however it is written, and belongs to the samples whose margins it bends.

The reference for margins and gradients is autograd on the module itself; for kinks it is the jump of those gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gd import flow_limit
from gd.flow.module_map import ModuleMap
from gd.flow.sliding import SlidingMap
from gd.piecewise.builder import HiddenKinkError
from gd.piecewise.trace import UntraceableError

GENERATOR = torch.Generator().manual_seed(7)
X = torch.randn(5, 3, generator=GENERATOR, dtype=torch.float64)
Y = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=torch.float64)


class Net(nn.Module):
    """b(middle(a(x)))."""

    def __init__(self, middle: Callable[[Tensor], Tensor], width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.a, self.b = nn.Linear(3, width, bias=False), nn.Linear(width, 1, bias=False)
        self.middle = middle
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.middle(self.a(x)))


def with_zeros_put_in(h: Tensor) -> Tensor:
    h = h.clone()
    h[h < 0] = 0.0
    return h


RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "where, flipped": lambda h: torch.where(torch.zeros_like(h) >= h, 0.0, h),
    "where of the negative": lambda h: torch.where(-h < 0, h, 0.0),
    "float mask": lambda h: h * (h > 0).double(),
    "one minus a mask": lambda h: h * (1.0 - (h < 0).to(h.dtype)),
    "masked_fill, not": lambda h: h.masked_fill(~(h > 0), 0.0),
    "zeros put in": with_zeros_put_in,
    "heaviside": lambda h: h * torch.heaviside(h, torch.zeros(1, dtype=h.dtype)),
    "sign": lambda h: h * (torch.sign(h) + 1.0) / 2.0,
    "mask of a transpose": lambda h: h * (h.T > 0).T,
    "relu, masked as well": lambda h: torch.relu(h) * (h > 0),
    "amax": lambda h: torch.stack([torch.zeros_like(h), h]).amax(0),
    "minimum": lambda h: -torch.minimum(-h, torch.zeros_like(h)),
    "clamp by a tensor": lambda h: torch.clamp(h, torch.zeros_like(h)),
    "hardtanh": lambda h: F.hardtanh(h, 0.0, float("inf")),
    "negative part": lambda h: h + torch.relu(-h),
    "max-pooling with zeros": lambda h: F.max_pool1d(torch.stack([h, torch.zeros_like(h)], -1), 2)[..., 0],
    "adaptive max-pooling": lambda h: F.adaptive_max_pool1d(torch.stack([h, torch.zeros_like(h)], -1), 1)[..., 0],
}
OTHERS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    # a module's middle part, and how many kinks one sample has
    "slope by where": (lambda h: torch.where(h > 0, h, 0.3 * h), 4),
    "slope by a mask of numbers": (lambda h: torch.where(h > 0, 1.0, 0.25) * h, 4),
    "square of the positive part": (lambda h: torch.where(h > 0, h**2, 0.0), 4),
    "maximum of units": (lambda h: torch.relu(h).amax(1, keepdim=True).expand(h.shape), 4 + 3),
    "overlapping pools": (lambda h: F.max_pool1d(h[:, None], 3, stride=1, padding=1)[:, 0], 12 - 4),
    "one-norm": (lambda h: torch.linalg.vector_norm(h, 1, dim=1, keepdim=True).expand(h.shape), 4),
    "prelu": (lambda h: F.prelu(h, torch.tensor([0.1], dtype=h.dtype)), 4),
    "absolute differences": (lambda h: (h - h.roll(1, 1)).abs(), 4),
}


def module_gradients(model: nn.Module, mapping: ModuleMap, theta: Tensor) -> Tensor:
    jacobian: Tensor = torch.autograd.functional.jacobian(mapping.smooth_margins, theta)  # type: ignore[no-untyped-call]
    return jacobian


def kinks_are_all_there_is(model: nn.Module, mapping: SlidingMap) -> None:
    """Along a random line, gradients with held gates are those of the module as long as no z changes sign."""
    theta = mapping.start([model])[0]
    generator = torch.Generator().manual_seed(0)
    ahead = theta + 3.0 * torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    line = [theta + t * (ahead - theta) for t in torch.linspace(0.0, 1.0, 60, dtype=torch.float64)]
    signs = [mapping.pieces.plain(point)[1] > 0 for point in line]
    assert len({tuple(s.tolist()) for s in signs}) > 2  # the line passes through several cells
    none = torch.zeros(0, dtype=torch.long)
    for point, sign in zip(line, signs, strict=True):
        gates = sign.to(torch.float64)
        held = mapping.pieces.derivatives(point, gates, none)
        np.testing.assert_allclose(held.margins, mapping.margins(point[None])[0], atol=1e-12)
        if isinstance(model, Net) and model.middle is RELUS["heaviside"]:
            continue  # which has no derivative in torch
        expected = module_gradients(model, mapping, point)
        np.testing.assert_allclose(held.rows.dense, expected, atol=1e-11)


@pytest.mark.parametrize("way", RELUS)
def test_a_relu_by_any_other_name(way: str) -> None:
    model, plain = Net(RELUS[way]), Net(torch.relu)
    mapping, reference = SlidingMap(model, X, Y), SlidingMap(plain, X, Y)
    theta = reference.start([plain])[0]
    z, expected = (m.pieces.plain(theta)[1] for m in (mapping, reference))
    # one kink for each unit and sample, at the same weights; a maximum over windows may see its z from the other side
    np.testing.assert_allclose(z.abs().sort().values, expected.abs().sort().values, atol=1e-13)
    kinks_are_all_there_is(model, mapping)


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinks(name: str) -> None:
    middle, per_sample = OTHERS[name]
    model = Net(middle)
    mapping = SlidingMap(model, X, Y)
    assert mapping.pieces.n_kinks == 5 * per_sample
    kinks_are_all_there_is(model, mapping)


def test_kinks_of_weights_and_of_samples_that_meet() -> None:
    class Folded(nn.Module):
        """|W| x, less its mean over the batch, rectified."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.W, self.a = nn.Parameter(torch.randn(2, 3).double()), nn.Parameter(torch.randn(2).double())

        def forward(self, x: Tensor) -> Tensor:
            h = x @ self.W.abs().T
            return torch.relu(h - h.mean(0)) @ self.a

    model = Folded()
    mapping = SlidingMap(model, X, Y)
    assert (mapping.pieces.n_items, mapping.pieces.n_kinks) == (1, 6 + 10)
    kinks_are_all_there_is(model, mapping)
    gates = (mapping.pieces.plain(mapping.start([model])[0])[1] > 0).to(torch.float64)
    kink = torch.tensor([0])  # of the weight W_00: it bends all margins
    found = mapping.pieces.derivatives(mapping.start([model])[0], gates, kink)
    assert np.count_nonzero(mapping.pieces.bends(found, kink)) > 1


def test_several_outputs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False)).double()
    labels = torch.stack([Y, -Y], 1)
    mapping = SlidingMap(model, X, labels)
    assert (mapping.n_constraints, mapping.pieces.n_kinks) == (10, 20)
    kinks_are_all_there_is(model, mapping)
    theta = mapping.start([model])[0]
    gates = (mapping.pieces.plain(theta)[1] > 0).to(torch.float64)
    kink = torch.tensor([2 * 4 + 1])  # unit 1 on sample 2: both margins of that sample, and no other
    bends = mapping.pieces.bends(mapping.pieces.derivatives(theta, gates, kink), kink)[0]
    expected = np.zeros(11)
    expected[4:6] = -(labels[2] * model[2].weight[:, 1]).detach().numpy()
    np.testing.assert_allclose(bends, expected, atol=1e-14)


def test_images() -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 1, 6, 6, dtype=torch.float64)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(2, 2, 2, bias=False), nn.Flatten(),
        nn.LeakyReLU(0.1), nn.Linear(2, 1, bias=False),
    ).double()  # fmt: skip
    mapping = SlidingMap(model, images, Y[:4])
    assert mapping.pieces.n_kinks == 4 * (2 * 16 + 2)
    kinks_are_all_there_is(model, mapping)


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], type[ValueError], str]] = {
    "a step": (lambda h: (h > 0).double() * h.roll(1, 1), HiddenKinkError, "jumps"),
    "two comparisons": (lambda h: h * ((h > 0) & (h.roll(1, 1) > 0)), HiddenKinkError, "jumps"),
    "sorting": (lambda h: h.sort(1).values, HiddenKinkError, "sort"),
    "a place of the maximum": (lambda h: h * h.argmax(1, keepdim=True).double(), HiddenKinkError, "argmax"),
    "an if": (lambda h: h if h.sum() > 0 else 2.0 * h, UntraceableError, "torch.where"),
    # random outputs do not scale like a power either, which is measured first
    "dropout": (lambda h: F.dropout(h, 0.5, training=True), ValueError, "not homogeneous|eval"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_seen_is_refused(kind: str) -> None:
    middle, error, message = REFUSED[kind]
    model = Net(middle)
    with pytest.raises(error, match=message):
        flow_limit(model, X, Y, max_steps=10)


def test_an_operation_on_data_alone_is_no_kink() -> None:
    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return (x.sort(1).values * (x > 0)) @ self.w

    mapping: Any = SlidingMap(Features(), X, Y)
    assert mapping.pieces.n_kinks == 0
