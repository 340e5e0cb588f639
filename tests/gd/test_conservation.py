"""Conservation laws along the integrated path: they hold to the path's accuracy, and a wrong path shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gd import Convolutional, Diagonal, FullyConnected, MultiChannelCNN, flow_limit
from gd.flow.map_choice import margin_map
from gd.flow.margin_map import Local
from gd.flow.module_map import ModuleMap
from gd.flow.product_map import ProductMap


def relu_network(activation: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3, bias=False), activation, nn.Linear(3, 1, bias=False)).double()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "diagonal": lambda: Diagonal(4, 3, scale=0.5, seed=1),
    "convolutional": lambda: Convolutional(4, 2, scale=0.5, seed=1),
    "fully connected": lambda: FullyConnected(4, 3, scale=0.5, seed=1),
    "multi-channel": lambda: MultiChannelCNN(4, 2, 1, 2, scale=0.5, seed=1),
    "ReLU": lambda: relu_network(nn.ReLU()),
    "linear layers of torch": lambda: relu_network(nn.Identity()),
    "leaky ReLU": lambda: relu_network(nn.LeakyReLU(0.2)),
}
DATA = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 4)))
LABELS = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_forms_are_those_that_gradient_flow_conserves(name: str) -> None:
    # dQ = 0 along the force of any loss: Q(θ + h force) − Q(θ − h force) has no term in h
    mapping = margin_map(NETWORKS[name](), DATA, LABELS)
    theta = mapping.start([NETWORKS[name]()])
    force = mapping.at(theta).pull(torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64))
    ahead, behind, still = (mapping.conserved(theta + h * force) for h in (1e-4, -1e-4, 0.0))
    assert ahead is not None
    assert behind is not None
    assert still is not None
    assert still.abs().max() > 1e-3  # else the test could not fail
    np.testing.assert_allclose(ahead, behind, atol=1e-12)
    sideways = torch.randn(theta.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(theta.dtype)
    moved = mapping.conserved(theta + 1e-4 * sideways)
    assert moved is not None
    assert (moved - still).abs().max() > 1e-6


@pytest.mark.parametrize("name", NETWORKS)
def test_the_path_keeps_them_to_its_accuracy(name: str) -> None:
    coarse, fine = (
        flow_limit(NETWORKS[name](), DATA, LABELS, max_steps=steps, path_tolerance=tol).conservation_drift
        for steps, tol in ((25, 1e-3), (60, 1e-5))
    )
    assert coarse is not None
    assert fine is not None
    assert coarse < 3e-2
    assert fine < 0.3 * coarse  # second order: steps of 1e-5 are ten times shorter


def test_a_wrong_path_does_not_keep_them(monkeypatch: Any) -> None:
    at = ProductMap.at

    def skewed(self: ProductMap, theta: Tensor, carried: Any = None) -> Local:
        local = at(self, theta, carried)
        weight = torch.linspace(1.0, 1.5, theta.shape[1], dtype=torch.float64)
        return Local(local.margins, local.gram, lambda p: weight * local.pull(p), theta, self.degree)

    right = flow_limit(NETWORKS["diagonal"](), DATA, LABELS, max_steps=30).conservation_drift
    monkeypatch.setattr(ProductMap, "at", skewed)
    wrong = flow_limit(NETWORKS["diagonal"](), DATA, LABELS, max_steps=30).conservation_drift
    assert right is not None
    assert wrong is not None
    assert wrong > 10.0 * right


def test_where_no_law_is_known_none_is_claimed() -> None:
    class Powers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([0.5, 0.2, 0.1, 0.3], dtype=torch.float64))

        def forward(self, X: Tensor) -> Tensor:
            return X @ self.w**3

    assert isinstance(margin_map(Powers(), DATA, LABELS), ModuleMap)
    assert flow_limit(Powers(), DATA, LABELS, max_steps=20).conservation_drift is None
