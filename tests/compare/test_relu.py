"""Two-layer ReLU networks against their certified optimum: what is measured, predicted, drawn; and that it can fail."""

from dataclasses import replace

import numpy as np
import pytest

from compare.data.load import load
from compare.experiments.relu import compare_relu
from compare.mutants.relu_mutants import along_the_points, relu_trial
from compare.relu.neurons import neuron_figures, parts
from compare.relu.relu_limits import End, bound_check, certified_check, checks, follow, network
from compare.relu.relu_report import excess_plots, networks, summary
from compare.reports.drawing import svg
from compare.reports.verdict import Verdict
from gd.status import FlowStatus
from solvers import GlobalOptimum, relu_max_margin


@pytest.fixture(scope="module")
def data():
    return load("random:6,2,0")


@pytest.fixture(scope="module")
def other():
    """Points at which a narrow network ends above the optimum."""
    return load("synthetic:8,2,2")


@pytest.fixture(scope="module")
def optimum(data):
    return relu_max_margin(data.X, data.y)


@pytest.fixture(scope="module")
def runs(data, optimum, other):
    """A narrow network, which ends above the optimum, and a wide one, which ends there."""
    narrow = follow(other.X, other.y, relu_max_margin(other.X, other.y), 4, 1.0, [0], 500)
    return narrow + follow(data.X, data.y, optimum, 20, 1.0, [0], 500)


def test_a_narrow_network_ends_above_and_a_wide_one_at_the_optimum(runs, data, other):
    narrow, wide = runs
    assert (narrow.end, wide.end) == (End.ABOVE, End.OPTIMUM)
    assert narrow.certificate.verdict is GlobalOptimum.NOT_GLOBAL
    assert wide.certificate.verdict is GlobalOptimum.GLOBAL
    # what is measured at the end of the integration, before the polish, is the norm of those weights at margin one
    for run, points in zip(runs, (other, data), strict=True):
        weights = list(run.limit.integrated.weights.values())
        margins = points.y * (np.maximum(points.X @ weights[0].T, 0.0) @ weights[1][0])
        assert run.value == pytest.approx(0.5 * sum((w**2).sum() for w in weights) / margins.min(), rel=1e-12)
        assert all(check.verdict is Verdict.CONFIRMED for check in checks(run, points.X, points.y))
    assert narrow.excess.figure == pytest.approx(narrow.certificate.value / narrow.optimum.value - 1.0, abs=1e-6)


def test_a_certificate_that_the_flow_contradicts_is_refuted(runs):
    narrow, wide = runs
    said = replace(narrow, certificate=replace(narrow.certificate, verdict=GlobalOptimum.GLOBAL))
    assert certified_check(said).verdict is Verdict.REFUTED
    said = replace(wide, certificate=replace(narrow.certificate, value=1.1 * wide.optimum.value))
    assert certified_check(said).verdict is Verdict.REFUTED
    unknown = replace(wide, certificate=replace(wide.certificate, verdict=GlobalOptimum.UNKNOWN))
    assert certified_check(unknown).verdict is Verdict.NO_PREDICTION
    moving = replace(wide.limit, integrated=replace(wide.limit.integrated, growth=1.0))
    assert certified_check(replace(wide, limit=moving)).verdict is Verdict.NOT_REACHED
    assert replace(wide, limit=moving).end is End.OPEN


def test_a_limit_above_by_less_than_the_resolution_makes_no_prediction(runs):
    narrow, _ = runs
    near = replace(narrow.certificate, value=narrow.optimum.value * (1.0 + 1e-5))
    assert certified_check(replace(narrow, certificate=near)).verdict is Verdict.NO_PREDICTION


def test_a_bound_above_some_network_is_refuted(runs, optimum, data):
    assert bound_check(runs[1:], optimum.lower_bound, "the bound").verdict is Verdict.CONFIRMED
    assert bound_check(runs[1:], optimum.lower_bound * 1.0005, "too high").verdict is Verdict.REFUTED
    assert along_the_points(data.X, data.y) > 1.005 * optimum.value


def test_best_known_networks_are_not_called_optima(runs, data):
    searched = relu_max_margin(data.X, data.y, max_rank=1)
    assert replace(runs[1], optimum=searched).end is End.BEST_KNOWN
    section = summary([[replace(run, optimum=searched)] for run in runs[1:]], searched, data)
    assert section.rows[0]["optimum"] is None
    assert "nothing can be proved to be the optimum" in section.text


def test_a_network_with_a_wrong_margin_is_not_held_to_anything(data, optimum):
    (short,) = follow(data.X, data.y, optimum, 2, 1.0, [1], 1)
    assert short.limit.status is FlowStatus.UNFINISHED
    assert short.end is End.NOT_SEPARATED
    assert [check.verdict for check in checks(short, data.X, data.y)] == [Verdict.NOT_REACHED]
    given_up = replace(short, limit=replace(short.limit, status=FlowStatus.NOT_SEPARATED))
    assert [check.verdict for check in checks(given_up, data.X, data.y)] == [Verdict.NO_PREDICTION]
    rows = networks([[short]], data).rows
    assert (rows[0]["value"], rows[0]["certificate"]) == (None, None)
    assert neuron_figures([[short]], optimum, data.X, data.y) == []


def test_the_tables_and_the_pictures(runs, optimum, data):
    groups = [[run] for run in runs]
    section = summary(groups, optimum, data)
    assert [(row["separated"], row["optimum"], row["above"]) for row in section.rows] == [(1, 0, 1), (1, 1, 0)]
    assert section.rows[0]["median"] == section.rows[0]["largest"] == runs[0].excess.figure
    names = [figure.name for figure in section.figures]
    assert names == ["neurons-width-4-scale-1", "neurons-width-20-scale-1"]  # over a single scale there is no plot
    scaled = [[run, replace(run, scale=0.1)] for run in runs]
    (excess,) = excess_plots([[run] for group in scaled for run in group])
    assert svg(excess).startswith("<svg")
    drawn = section.figures[1]
    assert svg(drawn).startswith("<svg")
    # the wide network has the optimum's units, up to how near the flow came, and their shares add up to one
    mine = np.column_stack([drawn.data[f"unit {key}"] for key in ("x", "y", "sign")])
    best = np.column_stack([drawn.data[f"optimum {key}"] for key in ("x", "y", "sign")])
    assert np.linalg.norm(best[:, :2], axis=1).sum() == pytest.approx(1.0, abs=1e-9)
    assert len(mine) == len(best)
    assert all(np.abs(mine - unit).max(axis=1).min() < 1e-6 for unit in best)


def test_units_of_one_direction_are_drawn_as_one():
    neurons = np.array([[1.0, 0.0], [2.0, 1e-6], [1.0, 0.0], [0.0, 1e-9]])
    shares = parts(neurons, np.array([1.0, 0.5, -2.0, 1.0]))
    np.testing.assert_allclose(shares, [[0.5, 0.0, -1.0], [0.5, 0.0, 1.0]], atol=1e-6)


def test_a_scale_multiplies_the_same_weights():
    one, two = (network(3, 5, 0.0, scale, 7)[0].weight.detach().numpy() for scale in (1.0, 0.1))
    np.testing.assert_allclose(0.1 * one, two, rtol=1e-15)
    assert np.abs(one).max() <= 1 / np.sqrt(3)  # torch's own: uniform on ±1/√(inputs)


def test_wrong_predictions_are_refuted():
    plane = load("random:6,2,0")
    trial = relu_trial(plane.name, plane.X, plane.y)
    caught = [mutant.caught("here").verdict for mutant in trial.mutants]
    assert caught.count(Verdict.CONFIRMED) >= 8
    assert set(caught) <= {Verdict.CONFIRMED, Verdict.NO_PREDICTION}


def test_bad_input():
    with pytest.raises(ValueError, match="slope"):
        compare_relu(slope=1.0)
    with pytest.raises(ValueError, match="widths"):
        compare_relu(widths=(0,))
