"""Wide fully connected networks in few coordinates: the same flow as in all of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from gd import FullyConnected, flow_limit
from gd.data import check_data
from gd.flow.map_choice import margin_map
from gd.flow.margin_map import MarginMap
from gd.flow.reduced_map import in_few_coordinates
from gd.losses import find_loss

RNG = np.random.default_rng(2)
X = RNG.standard_normal((4, 14))
TWO, THREE = np.array([1.0, -1.0, 1.0, 1.0]), np.array([0, 1, 2, 1])


def networks(depth: int, outputs: int, **options: Any) -> list[FullyConnected]:
    return [FullyConnected(14, depth, outputs=outputs, seed=seed, **options) for seed in (0, 1)]


CASES = {
    "two layers": (networks(2, 1), TWO),
    "narrow": (networks(2, 1, width=3), TWO),
    "balanced": (networks(2, 1, initialization="balanced"), TWO),
    "three layers": (networks(3, 1), TWO),
    "three classes": (networks(2, 3), THREE),
}


def whole_map(models: Sequence[FullyConnected], y: np.ndarray) -> MarginMap:
    """Of the networks themselves."""
    inputs, targets = check_data(models[0], X, y, find_loss("exponential"))
    return margin_map(models[0], inputs, targets.values, 0, targets)


@pytest.mark.parametrize("case", CASES)
def test_coordinates_and_forces_are_those_of_all_weights(case: str) -> None:
    """θ′ = Jᵀp is linear in the force, so equal forces at equal places are equal flows."""
    mapping = whole_map(*CASES[case])
    start = mapping.start(CASES[case][0])
    reduced, few = in_few_coordinates(mapping, start)
    assert few.shape[1] < start.shape[1]
    p = torch.rand(2, mapping.n_constraints, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for _ in range(3):  # at the start, and where forces have led
        np.testing.assert_allclose(few.norm(dim=1), start.norm(dim=1), rtol=1e-12)
        one, all_of_them = reduced.at(few), mapping.at(start)
        force, by_all = one.pull(p), all_of_them.pull(p)
        np.testing.assert_allclose(one.margins, all_of_them.margins, atol=1e-12)
        np.testing.assert_allclose(one.gram, all_of_them.gram, atol=1e-12)
        np.testing.assert_allclose(reduced.predictors(few), mapping.predictors(start), atol=1e-12)
        for here, there, pulled, pulled_all in zip(few, start, force, by_all, strict=True):
            np.testing.assert_allclose(reduced.whole(here)[1], there, atol=1e-12)
            np.testing.assert_allclose(reduced.whole(pulled)[1], pulled_all, atol=1e-12)
        few, start = few + 0.3 * force, start + 0.3 * by_all


@pytest.mark.parametrize("case", CASES)
def test_the_limit_is_that_of_all_weights(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # weights that pass through zero are extrapolated less, entry by entry, so that paths differ within their tolerance
    models, y = CASES[case]
    few = flow_limit(models, X, y)
    monkeypatch.setattr("gd.flow.flow_limit.in_few_coordinates", lambda mapping, start: (mapping, start))
    for one, whole in zip(few, flow_limit(models, X, y), strict=True):
        assert (one.status, one.reached) == (whole.status, whole.reached)
        assert one.norm_at_unit_margin == pytest.approx(whole.norm_at_unit_margin, rel=1e-9)
        assert one.integrated.growth == pytest.approx(whole.integrated.growth, abs=1e-5)
        assert one.second_order().symmetries == whole.second_order().symmetries
        assert one.second_order().kind is whole.second_order().kind
        for name, weights in whole.weights.items():
            np.testing.assert_allclose(one.weights[name], weights, atol=1e-3)  # 1e-4: rotations are the path's


def test_100_points_of_784_entries_leave_10303_numbers() -> None:
    # 102 × 100 and 102 weights on the span of the points and of the hidden layer at the start, and one length
    points = torch.randn(100, 784, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mapping = margin_map(model := FullyConnected(784, 2, seed=0), points, torch.ones(100, dtype=torch.float64))
    assert in_few_coordinates(mapping, mapping.start([model]))[1].shape == (1, 10303)


def test_where_nothing_is_saved_the_weights_themselves_are_followed() -> None:
    mapping = margin_map(model := FullyConnected(3, 2, seed=0), torch.as_tensor(X[:, :3]), torch.as_tensor(TWO))
    assert in_few_coordinates(mapping, mapping.start([model]))[0] is mapping
