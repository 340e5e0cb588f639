"""`flow_limit` against gradient flow of the raw weights by LSODA; and checks that the comparison can fail.

The cases are fixed draws of `raw_flow_cases` whose raw flow settles; they were chosen by that alone.
`benchmarks/against_raw_flow.py` runs hundreds of them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import raw_flow as reference
import torch
from raw_flow import DiagonalNetwork, FullyConnectedNetwork, RawPath, TwoLayerNetwork, raw_flow
from raw_flow_cases import FAMILIES, Case, Outcome, case, compare_with_raw_flow, examine, limit_within, moved

from gd import Diagonal, FlowStatus, Limit

CHOSEN = {
    "diagonal L=2": (0, 5, 10, 12), "diagonal L=3": (1, 5, 9, 13), "diagonal L=4": (2, 6, 10),
    "convolutional L=2": (3, 7, 11), "convolutional L=3": (0, 4, 8, 12), "fully connected L=1": (1, 5, 9, 13),
    "fully connected L=2": (2, 6, 9), "fully connected L=3": (3, 7, 11), "multi-channel R=1": (0, 4),
    "multi-channel R=2": (1, 4), "own product L=2": (2, 6, 12), "own product L=3": (3, 7, 11),
    "own linear layers": (0, 4, 8), "two-layer ReLU": (0, 2, 3, 6), "two-layer x²": (1, 5, 9),
    "pooled patches": (0,),
}  # fmt: skip
"""Family → draws, of every kind of data."""
FLAT = ("diagonal L=2",)
"""Families with draws whose optimal set is not one point: 0.005 rad apart at the default tolerance of the path."""
SETTLED = [(family, i) for family, chosen in CHOSEN.items() for i in chosen]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(family: str, i: int) -> Case:
    return case(family, FAMILIES[family], i, 1)


@pytest.mark.parametrize(("family", "i"), SETTLED)
def test_the_limit_is_where_the_raw_flow_goes(family: str, i: int) -> None:
    one = replace(drawn(family, i), path_tolerance=1e-5 if family in FLAT else 1e-3)
    verdict = examine(one, seconds=30.0)[0]  # a slow machine is no failure
    assert verdict.outcome is Outcome.SAME, f"{verdict.reason} ({verdict.distance:.2g} rad)"


@pytest.mark.parametrize("family", FAMILIES)
def test_jacobians_are_those_of_the_forward_pass(family: str) -> None:
    # complex steps are exact to rounding: ∂f/∂w_j = Im f(w + iεe_j)/ε
    one = drawn(family, 0)
    X, w = one.X.reshape(len(one.X), -1), one.start
    columns = [one.network.outputs(w + 1e-30j * e, X).imag / 1e-30 for e in np.eye(w.size)]
    np.testing.assert_allclose(one.network.jacobian(w, X), np.array(columns).T, atol=1e-13)


@pytest.mark.parametrize("family", FAMILIES)
def test_forward_passes_are_those_of_the_models(family: str) -> None:
    one = drawn(family, 0)
    with torch.no_grad():
        outputs = one.model()(torch.from_numpy(one.X)).numpy().ravel()
    np.testing.assert_allclose(one.network.outputs(one.start, one.X.reshape(len(one.X), -1)), outputs, atol=1e-12)


def test_both_parts_of_the_integration_follow_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    one = drawn("diagonal L=3", 0)
    ends = []
    for handover in (1e-1, 1e-6):  # temperatures at which the raw weights are given up for the direction
        monkeypatch.setattr(reference, "HANDOVER", handover)
        ends.append(raw_flow(one.network, one.X, one.y, one.start))
    a, b = ends
    at = np.linspace(1.0, min(a.log_norm[-1], b.log_norm[-1], 4.0), 9)
    paths = [np.array([np.interp(at, p.log_norm, column) for column in p.directions.T]) for p in ends]
    np.testing.assert_allclose(paths[0], paths[1], atol=1e-2)  # thinned paths, interpolated
    np.testing.assert_allclose(a.directions[-1], b.directions[-1], atol=1e-6)


def test_the_raw_flow_of_a_linear_predictor_is_the_max_margin() -> None:
    # (1, ½) alone: the direction of the point itself
    path = raw_flow(FullyConnectedNetwork(2, 1, 1), np.array([[1.0, 0.5]]), np.ones(1), np.array([0.3, -0.2]))
    assert path.settled
    np.testing.assert_allclose(path.directions[-1], np.array([1.0, 0.5]) / np.sqrt(1.25), atol=1e-7)


def test_the_raw_flow_slides_along_a_kink_and_wakes_a_sample() -> None:
    # v relu(w·x), x = (1, 0), (0.1, −1), y = 1: the second wakes at w_1 = 10, then w ∝ (1, −0.9)
    X = np.array([[1.0, 0.0], [0.1, -1.0]])
    path = raw_flow(TwoLayerNetwork(2, 1, "relu"), X, np.ones(2), np.array([1.0, 1.0, 1.5]))
    assert path.settled
    np.testing.assert_allclose(path.directions[-1], np.array([1.0, -0.9, np.sqrt(1.81)]) / np.sqrt(3.62), atol=1e-4)


# ── The comparison can fail ──────────────────────────────────────────────────────────────────────────────────────────

EASY = ["diagonal L=2", "convolutional L=2", "fully connected L=3", "multi-channel R=1", "two-layer x²"]


def both_sides(one: Case) -> tuple[Limit, RawPath]:
    return limit_within(one.model(), one.X, one.y, 5.0), raw_flow(one.network, one.X, one.y, one.start)


@cache
def easy(family: str) -> tuple[Case, Limit, RawPath]:
    one = drawn(family, 0)
    return one, *both_sides(one)


@pytest.mark.parametrize("family", EASY)
@pytest.mark.parametrize("size", [3e-3, 0.3])
def test_a_limit_moved_a_little_is_wrong(family: str, size: float) -> None:
    one, limit, path = easy(family)
    assert compare_with_raw_flow(one, limit, path).outcome is Outcome.SAME
    assert path.settled
    noise = np.random.default_rng(0).standard_normal(limit.direction.size)
    off = limit.direction + size * noise / np.linalg.norm(noise)
    planted = moved(limit, off / np.linalg.norm(off))
    assert compare_with_raw_flow(one, planted, path).outcome is Outcome.WRONG


@pytest.fixture(scope="module")
def saddle() -> tuple[Case, Limit, RawPath]:
    """The flow leaves the saddle β = (1, 0) and ends at (0, −½)."""
    X, start = np.array([[1.0, -2.0], [1.0, -3.0]]), np.array([0.1, 1e-3, 0.2, 2e-3])
    one = Case("saddle", DiagonalNetwork(2, 2), lambda: Diagonal(2, 2), X, np.ones(2), start)
    return one, *both_sides(one)


def test_the_saddle_on_the_way_is_wrong(saddle: tuple[Case, Limit, RawPath]) -> None:
    one, limit, path = saddle
    assert compare_with_raw_flow(one, limit, path).outcome is Outcome.SAME
    planted = moved(limit, np.sqrt(0.5) * np.array([1.0, 0.0, 1.0, 0.0]))
    assert compare_with_raw_flow(one, planted, path).outcome is Outcome.WRONG


def test_another_function_of_equal_margins_on_the_data_is_wrong(saddle: tuple[Case, Limit, RawPath]) -> None:
    # both points stay active at every (1, −1 − t): the data alone would not tell, the probe points do
    one, limit, path = saddle
    planted = moved(limit, np.array([0.1, -0.7, 0.1, 0.7]))
    assert compare_with_raw_flow(one, planted, path).outcome is Outcome.WRONG


def test_wrong_statuses_and_active_sets_are_wrong(saddle: tuple[Case, Limit, RawPath]) -> None:
    one, limit, path = saddle
    lost = replace(limit, status=FlowStatus.NOT_SEPARATED)
    assert compare_with_raw_flow(one, lost, path).outcome is Outcome.WRONG
    unfinished = replace(limit, status=FlowStatus.UNFINISHED)
    assert compare_with_raw_flow(one, unfinished, path).outcome is Outcome.NO_ANSWER
    active = replace(limit, active=~limit.active)
    assert compare_with_raw_flow(one, active, path).outcome is Outcome.WRONG


def test_a_flow_that_is_still_moving_decides_nothing(saddle: tuple[Case, Limit, RawPath]) -> None:
    one, limit, _ = saddle
    early = raw_flow(one.network, one.X, one.y, one.start, steps=60)
    assert not early.settled
    assert compare_with_raw_flow(one, limit, early).outcome is not Outcome.WRONG
    assert compare_with_raw_flow(one, limit, early).outcome is not Outcome.SAME
