"""The KKT residual at kinks, where it is known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from gd import flow_limit
from gd.data import check_data
from gd.flow.kink_residual import subgradient_residual
from gd.losses import find_loss

ROOT = math.sqrt(0.5)


def residual(model: nn.Module, weights: dict[str, np.ndarray], X: np.ndarray, y: np.ndarray, p: np.ndarray) -> float:
    inputs, targets = check_data(model, X, y, find_loss("exponential"))
    return subgradient_residual(model, weights, inputs, targets, p)


def two_layers(D: int, width: int, activation: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(D, width, bias=False), activation, nn.Linear(width, 1, bias=False)).double()


@pytest.mark.parametrize("offset", [0.0, 1e-9, -1e-9])
@pytest.mark.parametrize(
    ("p", "expected"),
    [((0.5, 0.5), 0.0), ((0.4, 0.6), 0.0), ((0.75, 0.25), 0.5 / math.sqrt(1.375))],
)
def test_one_unit_on_a_kink(offset: float, p: tuple[float, float], expected: float) -> None:
    """w = (1, 0), a = 1: the force on w is p₁(1, 1) − γp₂(0, 1), γ in [0, 1] as w·x₂ = 0, and that on a is p₁."""
    X, y = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([1.0, -1.0])
    weights = {"0.weight": np.array([[ROOT, offset]]), "2.weight": np.array([[ROOT]])}
    assert residual(two_layers(2, 1, nn.ReLU()), weights, X, y, np.array(p)) == pytest.approx(expected, abs=1e-8)


def test_a_kink_that_pushes_away_has_the_gate_of_its_side() -> None:
    # y₂ = 1: γ = ½ would make the force (p₁, p₁ + γp₂ − …) no shorter, and a flow does not stay there
    X, y, p = np.array([[1.0, -1.0], [0.0, 1.0]]), np.array([1.0, 1.0]), np.array([0.5, 0.5])
    for offset, force in ((1e-9, (1.0, 0.0, 1.0)), (-1e-9, (1.0, -1.0, 1.0))):
        weights = {"0.weight": np.array([[ROOT, offset]]), "2.weight": np.array([[ROOT]])}
        expected = math.sqrt(1.0 - 2.0 / sum(part**2 for part in force))
        assert residual(two_layers(2, 1, nn.ReLU()), weights, X, y, p) == pytest.approx(expected, abs=1e-7)


def test_a_network_without_kinks_has_its_gradient() -> None:
    # f = a w·x at w = (1, 0), a = 1: the force is (x, w·x) = (1, 1, 1)
    weights = {"0.weight": np.array([[ROOT, 0.0]]), "2.weight": np.array([[ROOT]])}
    linear = two_layers(2, 1, nn.Identity())
    found = residual(linear, weights, np.array([[1.0, 1.0], [1.0, 1.0]]), np.ones(2), np.array([0.5, 0.5]))
    assert found == pytest.approx(math.sqrt(1.0 / 3.0), abs=1e-12)


def test_it_is_the_flows_own_residual_where_the_flow_slides() -> None:
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((8, 4)), rng.choice([-1.0, 1.0], 8)
    torch.manual_seed(4)
    model = two_layers(4, 12, nn.ReLU())
    limit = flow_limit(model, X, y)
    assert limit.stats["kinks"] > 0
    measured = residual(model, dict(limit.integrated.weights), X, y, limit.integrated.dual)
    assert measured == pytest.approx(limit.integrated.residual, rel=0.05, abs=1e-8)
