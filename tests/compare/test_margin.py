import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from compare.data.load import Dataset, load
from compare.experiments.margin import MarginComparison, compare_margin
from compare.margin import margin_report
from compare.margin.architectures import ARCHITECTURES, architectures
from compare.margin.families import families, own_families
from compare.margin.flow_and_solution import end_at, measure_family
from compare.margin.margin_figures import descent_clock, flow_clock, path
from compare.margin.margin_predictions import family_checks, no_claim, run_checks
from compare.reports.drawing import svg
from compare.reports.verdict import Verdict
from gd.descent.schedule import ConstantStep
from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from gd.status import FlowStatus
from solvers.regularizers import Bridge
from solvers.solution import NotSeparableError

SHORT = MarginComparison(steps=40)


@pytest.fixture(scope="module")
def data():
    return load("synthetic:8,12,3")


@pytest.fixture(scope="module")
def runs(data):
    """Solution and limit of every 1-D family at depths 1 to 3, two seeds, by label."""
    chosen = families(data, depths=(1, 2, 3), seeds=(0, 1))
    return {family.label: measure_family(family, data.y, SHORT) for family in chosen}


def perturbed(run, data, size):
    """The run with its limit turned by `size` radians, away from the separating hyperplanes."""
    β = run.limit.predictor
    noise = np.random.default_rng(0).standard_normal(β.shape)
    noise -= β * (noise.ravel() @ β.ravel()) / (β.ravel() @ β.ravel())
    turned = β + math.tan(size) * np.linalg.norm(β) * noise / np.linalg.norm(noise)
    dual = run.limit.dual if run.convex else None
    return replace(run, flow=end_at(turned, run.family, data.y, run.solution, dual))


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_each_row_names_the_regularizer_of_its_network(name, depth):
    row = ARCHITECTURES[name]
    network = row.build((3, 4), depth, 0.3, 0)
    R = row.regularizer(depth)
    if depth == 1:
        assert R.value(np.eye(3)) == pytest.approx(math.sqrt(3))  # ℓ2, whatever the transform
    else:
        assert network.regularizer == R
    # min ‖w‖² = L·R(β)^{2/L}: no weights are cheaper, and balanced ones cost just that
    cost = depth * R.value(network.predictor) ** (2 / depth)
    assert sum(float((w.detach() ** 2).sum()) for w in network.weights) >= cost * (1 - 1e-12)
    if name != "fully connected":
        kind, shape = type(network), network.shape if name.endswith("2-D") else network.shape[0]
        balanced = kind(shape, depth, scale=0.3, initialization="balanced")
        total = sum(float((w.detach() ** 2).sum()) for w in balanced.weights)
        assert total == pytest.approx(depth * R.value(balanced.predictor) ** (2 / depth), rel=1e-12)


def test_every_prediction_holds_where_the_hypotheses_do(runs):
    assert list(runs) == [
        "linear predictor", "fully connected, L=2", "fully connected, L=3", "diagonal, L=2", "diagonal, L=3",
        "convolutional, L=2", "convolutional, L=3",
    ]  # fmt: skip
    for label, members in runs.items():
        checks = family_checks(members)
        convex = members[0].convex
        expected = [Verdict.CONFIRMED] * 2 + [Verdict.NO_PREDICTION] * (not convex)
        assert [check.verdict for check in checks] == expected, label
        assert all("2 seeds" in check.statement and "worst: seed" in check.statement for check in checks)
        for run in members:
            assert run.limit.status is (FlowStatus.OPTIMAL if convex else FlowStatus.STATIONARY)
            if convex:
                assert run.flow.angle < 1e-9
                assert run.flow.certificate.direction_gap < 1e-9
                # with the optimal multipliers the duality gap of an iterate is its margin gap
                assert run.descent.certificate.direction_gap == pytest.approx(run.descent.margin_gap, abs=1e-8)
                assert run.descent.angle > 1e-4  # what gradient descent alone would have confirmed
            else:
                # 0 where the flow found the best stationary point; never less than the best, up to rounding
                assert run.excess > -1e-9
                assert run.best.objective <= run.solution.objective * (1 + 1e-12)


@pytest.mark.parametrize("size", [1e-4, 1e-2])
def test_a_limit_that_is_off_is_rejected(runs, data, size):
    for members in runs.values():
        off = perturbed(members[0], data, size)
        verdicts = [check.verdict for check in run_checks(off)]
        assert verdicts[:2] == [Verdict.REFUTED, Verdict.REFUTED]  # the residual or gap, and the angle
        assert off.flow.angle == pytest.approx(size, rel=1e-6)
        # one bad seed of two is the one that is reported
        (worst, *_) = family_checks([members[1], off])
        assert worst.verdict is Verdict.REFUTED
        assert f"worst: seed {off.seed}" in worst.statement


def test_a_nan_is_worse_than_any_number(runs):
    good, bad = runs["diagonal, L=2"]
    broken = replace(bad, flow=replace(bad.flow, angle=math.nan))
    angles = [check for check in family_checks([good, broken]) if check.unit == "rad"]
    assert [check.verdict for check in angles] == [Verdict.REFUTED]
    assert f"worst: seed {broken.seed}" in angles[0].statement


@pytest.mark.parametrize("status", [s for s in FlowStatus if not s.converged])
def test_no_claim_where_the_limit_was_not_reached(runs, status):
    run = runs["diagonal, L=2"][0]
    checks = run_checks(replace(run, limit=replace(run.limit, status=status)))
    locked = status is FlowStatus.LOCKED  # reached, and outside of what the theorem covers
    assert [check.verdict for check in checks] == [Verdict.NO_PREDICTION if locked else Verdict.NOT_REACHED]
    assert checks[0].reason == str(status)


def test_a_sign_locked_start_is_named_and_nothing_is_claimed():
    # the answer needs β_1 < 0, which a balanced start with β_1 > 0 never reaches
    X, y = np.array([[1.0, -2.0], [1.5, -1.0]]), np.array([1.0, 1.0])
    models = [Diagonal(2, 2, seed=seed, initialization="balanced") for seed in range(8)]
    wrong = next(model for model in models if (np.sign(model.predictor) == [1, 1]).all())
    (run,) = measure_family(own_families(wrong, Dataset("two", X, y, ("a", "b")))[0], y, SHORT)
    assert run.limit.status is FlowStatus.LOCKED
    assert "sign-locked" in no_claim(run)
    report = compare_margin(X, y, wrong, steps=40)
    assert [check.verdict for check in report.checks] == [Verdict.NO_PREDICTION]
    assert "sign-locked" in report.to_html()
    # the solver's answer is one the network cannot have
    assert run.solution.beta[1] < 0 <= run.limit.predictor[1]


def test_several_minimizers_make_no_angle_prediction():
    # min ‖β‖₁ s.t. β_0 + β_1 ≥ 1: every point of a segment
    report = compare_margin([[1.0, 1.0]], [1.0], architectures=["diagonal"], depths=[2], seeds=[0], steps=20)
    gap, measured = report.checks
    assert gap.verdict is Verdict.CONFIRMED
    assert measured.verdict is Verdict.NO_PREDICTION
    assert "several minimizers" in measured.reason


def test_a_users_own_network():
    torch.manual_seed(0)
    data = load("synthetic:6,4,1")
    net = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 1, bias=False), nn.Flatten(0)).double()
    report = compare_margin(data.X, data.y, {"my net <b>": net}, steps=40, name="mine")
    assert len(report.checks) == 1
    assert "KKT" in report.checks[0].statement
    assert report.checks[0].verdict is Verdict.CONFIRMED
    assert "my net &lt;b&gt;" in report.to_html()
    figures = [figure for section in report.sections for figure in section.figures]
    assert figures
    assert all(svg(plot).startswith("<svg") for plot in figures)
    (ratio,) = [plot.data[key] for plot in figures for key in plot.data if key == "margin ratio, flow: my net <b>"]
    assert ratio[-1] == pytest.approx(1.0, abs=1e-2)  # the flow's last direction is close to the limit


def test_a_network_with_a_bias_is_refused():
    net = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 1), nn.Flatten(0)).double()
    data = load("synthetic:6,5,1")
    with pytest.raises(ValueError, match="homogeneous"):
        compare_margin(data.X, data.y, net)


def test_own_linear_networks_are_held_to_their_theorem(data):
    models = [FullyConnected(12, 2), Diagonal(12, 2), Convolutional(12, 2), Convolutional(12, 2, kernel=3)]
    report = compare_margin(data.X, data.y, models[:3], steps=20)
    assert [check.reference for check in report.checks[::2]] == [
        ARCHITECTURES[name].reference(2) for name in ("fully connected", "diagonal", "convolutional")
    ]
    assert report.failures == ()
    (narrow,) = own_families(models[3], data)
    assert narrow.row.reference(2) != ARCHITECTURES["convolutional"].reference(2)


def test_images(data):
    images = load("synthetic:6,12,0")
    report = compare_margin(images.X.reshape(6, 3, 4), images.y, depths=[2], seeds=[0], steps=20)
    assert [row["network"] for row in report.sections[0].rows] == [
        "fully connected, L=2", "diagonal, L=2", "convolutional, L=2", "convolutional 2-D, L=2",
    ]  # fmt: skip
    assert report.failures == ()


def test_logistic_ends_where_exponential_does(data):
    for loss in ("exponential", "logistic"):
        report = compare_margin(data.X, data.y, architectures=["convolutional"], depths=[2], loss=loss, steps=20)
        assert [check.verdict for check in report.checks] == [Verdict.CONFIRMED, Verdict.CONFIRMED]
        assert loss in report.sections[0].text


@pytest.fixture(scope="module")
def report(data):
    return compare_margin(data, depths=(1, 2, 3), seeds=(0,), steps=40)


def test_the_report_traces_its_data_and_measures_every_hypothesis(report, data):
    assert report.failures == ()
    assert report.provenance.data[0].sha256 == data.sha256
    assert report.provenance.seeds == (0,)
    limits, descent = report.sections[0], report.sections[-1]
    assert len(limits.rows) == len(descent.rows) == 7
    assert {row["theory"] for row in limits.rows} == {Verdict.CONFIRMED}
    assert {row["theory"] for row in descent.rows} == {Verdict.NO_PREDICTION}
    assert all(math.isfinite(row["loss"]) and row["turn"] >= 0 and row["locked"] is False for row in descent.rows)
    by_network = {row["network"]: row for row in limits.rows}
    assert by_network["diagonal, L=3"]["support"] <= by_network["diagonal, L=2"]["support"] <= 8  # at most N


def test_every_plot_can_be_drawn_and_holds_its_numbers(report):
    drawn = [figure for section in report.sections for figure in section.figures]
    assert len({figure.name for figure in drawn}) == len(drawn) == 3 * 3 + 7
    for figure in drawn:
        assert all(len(np.atleast_1d(values)) for values in figure.data.values())
    for figure in (*drawn[:4], drawn[-1]):  # one of each kind, and a spectrum of frequencies
        assert svg(figure).startswith("<svg")
    angles = next(f for f in drawn if f.name == "angle-by-loss-diagonal").data
    flow = angles["angle [rad], flow: diagonal, L=2, seed 0"]
    clock = angles["ln(-ln loss), flow: diagonal, L=2, seed 0"]
    assert flow[-1] < 0.1 * flow[0]  # the line ends where the limit was identified, and that is near it
    assert (np.diff(clock[np.isfinite(clock)]) > -1e-9).all()  # the loss only falls


def test_flow_and_descent_share_their_path_on_the_shared_clock(data):
    # steps of length h follow the flow to O(h), so at equal loss the predictors are O(h) apart: halving h halves it
    family = families(data, names=["diagonal"], depths=(2,))[0]
    apart = []
    for h in (4e-3, 2e-3):
        (run,) = measure_family(family, data.y, MarginComparison(steps=round(8.0 / h), schedule=ConstantStep(h)))
        flow, descent = flow_clock(run), descent_clock(run)
        at = np.linspace(0.0, np.nanmax(descent), 20)
        ours = np.interp(at, flow[np.isfinite(flow)], run.angles(run.limit.path.predictors)[np.isfinite(flow)])
        theirs = np.interp(at, descent[np.isfinite(descent)], run.angles(path(run))[np.isfinite(descent)])
        apart.append(np.degrees(np.abs(ours - theirs)).max())
        assert np.nanmax(descent) > 1.0  # loss below e^{−e}, or nothing was compared
    assert apart[1] < 1.0


def test_ctrl_c_keeps_the_families_that_are_finished(data, monkeypatch):
    calls = []

    def interrupted(family, y, plan):
        calls.append(family.label)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure_family(family, y, plan)

    monkeypatch.setattr(margin_report, "measure_family", interrupted)
    report = compare_margin(data, depths=(2,), seeds=(0,), steps=40)
    assert not report.complete
    assert [row["network"] for row in report.sections[0].rows] == ["fully connected, L=2"]
    assert "1 of 3 parts" in report.notes[0]
    monkeypatch.setattr(margin_report, "measure_family", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    nothing = compare_margin(data, depths=(2,), steps=40)
    assert not nothing.complete
    assert nothing.sections == ()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"y": [1.0, 0.0]}, "labels"),
        ({"y": [1.0]}, "shape"),
        ({"X": [[1.0, np.nan], [1.0, 2.0]]}, "finite"),
        ({"X": [1.0, 2.0]}, "shape"),
        ({"X": np.ones((0, 2)), "y": []}, "shape"),
        ({"depths": [0]}, "depths"),
        ({"depths": []}, "depths"),
        ({"seeds": [-1]}, "seeds"),
        ({"architectures": ["transformer"]}, "known are"),
        ({"architectures": ["convolutional 2-D"]}, "hold none"),
        ({"image_shape": (3, 3)}, "columns"),
        ({"models": []}, "empty"),
        ({"loss": "hinge"}, "loss"),
    ],
)
def test_bad_input_is_refused(change, complaint):
    arguments = {"X": [[1.0, 2.0], [-1.0, 1.0]], "y": [1.0, -1.0], **change}
    with pytest.raises(ValueError, match=complaint):
        compare_margin(arguments.pop("X"), arguments.pop("y"), **{"depths": [1], **arguments})


def test_inseparable_data_are_refused():
    X, y = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]), np.array([1.0, 1.0, -1.0, -1.0])
    with pytest.raises(NotSeparableError):
        compare_margin(X, y, depths=[1, 2])


def test_families_once_each():
    images = Dataset("ones", np.ones((3, 12)), np.ones(3), ("a", "b"), (3, 4))
    assert [f.label for f in families(images, depths=(2, 1, 2))] == [
        "linear predictor", "fully connected, L=2", "diagonal, L=2", "convolutional, L=2", "convolutional 2-D, L=2",
    ]  # fmt: skip
    assert len(architectures(images=True)) == len(ARCHITECTURES)
    assert families(images, depths=(3,), seeds=(4, 4, 5))[0].seeds == (4, 5)
    assert families(images, depths=(3,))[1].regularizer == Bridge(2 / 3)
