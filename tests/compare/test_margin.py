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
from compare.margin.evidence import evidence
from compare.margin.families import families, own_families
from compare.margin.flow_and_solution import measure_family
from compare.margin.margin_figures import descent_clock, flow_clock, path
from compare.margin.margin_predictions import family_checks, run_checks
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


def measured(run, predictor=None, path=None, **changes):
    """The run with other evidence: the integrated β, β along the path, and more entries of `limit.integrated`."""
    limit = run.limit
    if predictor is not None:
        changes["predictor"] = predictor
    along = limit.path if path is None else replace(limit.path, predictors=path)
    return replace(run, limit=replace(limit, integrated=replace(limit.integrated, **changes), path=along))


def turned(run, size):
    """The integrated β of the run, turned by `size` radians."""
    β = run.limit.integrated.predictor
    noise = np.random.default_rng(0).standard_normal(β.shape)
    noise -= β * (noise.ravel() @ β.ravel()) / (β.ravel() @ β.ravel())
    return β + math.tan(size) * np.linalg.norm(β) * noise / np.linalg.norm(noise)


def settled_at(run, β):
    """The run as if its flow had come to rest at β long ago."""
    return measured(run, β, np.broadcast_to(β, run.limit.path.predictors.shape))


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
        expected = [Verdict.CONFIRMED] + [Verdict.NO_PREDICTION] * (not convex)
        assert [check.verdict for check in checks] == expected, label
        assert all("2 seeds" in check.statement and "worst: seed" in check.statement for check in checks)
        for run in members:
            assert run.limit.status is (FlowStatus.OPTIMAL if convex else FlowStatus.STATIONARY)
            # what decides was measured before any polish, and polishing moved it by no more than that
            assert checks[0].measured >= run_checks(run)[0].measured
            assert run.polish < 1e-5
            if convex:
                assert run.angle < 1e-5
                assert run.flow.angle < 1e-9
                assert run.flow.certificate.direction_gap < 1e-9
                # with the optimal multipliers the duality gap of an iterate is its margin gap
                assert run.descent.certificate.direction_gap == pytest.approx(run.descent.margin_gap, abs=1e-8)
                assert run.descent.angle > 1e-4  # what gradient descent alone would have confirmed
            else:
                # 0 where the flow found the best stationary point; never less than the best, up to rounding
                assert run.excess > -1e-9
                assert run.best.objective <= run.solution.objective * (1 + 1e-12)


@pytest.mark.parametrize("size", [1e-3, 1e-2])
def test_a_flow_that_settles_elsewhere_refutes(runs, size):
    for label, members in runs.items():
        off = settled_at(members[0], turned(members[0], size))
        check = run_checks(off)[0]
        assert check.verdict is Verdict.REFUTED, label
        if off.convex:
            assert check.measured == off.angle == pytest.approx(size, rel=1e-2)
        # one bad seed of two is reported, and so is the good one
        good, bad = (c for c in family_checks([members[1], off]) if c.verdict.tested)
        assert (good.verdict, bad.verdict) == (Verdict.CONFIRMED, Verdict.REFUTED)
        assert f"seed {off.seed}:" in bad.statement
        if not off.convex:  # there the residual of a turned β is no multiple of the turn
            continue
        # of two bad seeds it is the worse one
        worse = settled_at(members[1], turned(members[1], 2 * size))
        (worst, *_) = family_checks([off, worse])
        assert worst.verdict is Verdict.REFUTED
        assert f"worst: seed {worse.seed}" in worst.statement


def test_the_polished_point_is_no_evidence(runs):
    for members in runs.values():
        run = members[0]
        β = turned(run, 0.1)
        moved = replace(run, limit=replace(run.limit, predictor=β, kkt_epsilon=1.0, polish_angle=0.1))
        assert run_checks(moved)[0] == run_checks(run)[0]
        assert moved.polish == pytest.approx(0.1, rel=1e-3)  # the table shows it


def test_ten_times_the_last_change_covers_what_is_left_of_slow_laws(runs):
    run = next(iter(runs.values()))[0]
    limit = measured(run, growth=0.0).limit
    turning = 10.0 * limit.integrated.turned / max(limit.log_norm, 1.0)
    for figure in (lambda x: 1.0 / x, lambda x: np.exp(-0.5 * x), lambda x: np.exp(-12.0 * x)):
        now, then = figure(1.0), figure(0.8)
        found = evidence(limit, now, then)
        assert found.uncertainty == pytest.approx(10.0 * abs(now - then) + turning, rel=1e-12)
        assert found.uncertainty >= now  # the limit of each is zero


def test_a_flow_that_still_moves_decides_nothing(runs):
    for members in runs.values():
        run = members[0]
        away, path = turned(run, 1e-2), run.limit.path.predictors
        moving = [
            measured(run, growth=1.0),  # close to the prediction, at a saddle that it has not left
            measured(run, away, np.broadcast_to(away, path.shape), growth=1.0),  # far from it, at a saddle
            measured(run, path=np.broadcast_to(away, path.shape)),  # it came to the prediction in the last quarter
            measured(run, path=np.full_like(path, np.nan)),  # nothing on record to tell
        ]
        if run.convex:  # still far from the prediction, and coming closer
            moving.append(measured(run, away, np.broadcast_to(turned(run, 1.3e-2), path.shape)))
        for still in moving:
            check = run_checks(still)[0]
            assert check.verdict is Verdict.NOT_REACHED
            assert check.uncertainty > 0


def test_numbers_that_are_none_decide_nothing_and_are_the_worst(runs):
    good, bad = runs["diagonal, L=2"]
    nothing = np.full_like(bad.limit.integrated.predictor, math.nan)
    broken = settled_at(bad, nothing)
    confirmed, late = family_checks([good, broken])
    assert (confirmed.verdict, late.verdict) == (Verdict.CONFIRMED, Verdict.NOT_REACHED)
    assert f"seed {broken.seed}:" in late.statement
    missing = replace(bad, limit=replace(bad.limit, integrated=replace(bad.limit.integrated, predictor=None)))
    assert [check.verdict for check in run_checks(missing)] == [Verdict.NOT_REACHED]
    # without a prediction NaN is above all numbers as well
    good, bad = runs["diagonal, L=3"]
    broken = replace(bad, limit=replace(bad.limit, predictor=nothing))
    (*_, excess) = family_checks([good, broken])
    assert math.isnan(excess.measured)
    assert f"worst: seed {broken.seed}" in excess.statement


@pytest.mark.parametrize("status", [s for s in FlowStatus if not s.converged])
def test_what_was_measured_decides_and_not_the_status(runs, status):
    run = runs["diagonal, L=2"][0]
    (check,) = run_checks(replace(run, limit=replace(run.limit, status=status)))
    locked = status is FlowStatus.LOCKED  # reached, and outside of what the theorem covers
    assert check.verdict is (Verdict.NO_PREDICTION if locked else Verdict.CONFIRMED)
    assert check.reason == str(status)
    off = settled_at(run, turned(run, 1e-2))
    (check,) = run_checks(replace(off, limit=replace(off.limit, status=status)))
    assert check.verdict is (Verdict.NO_PREDICTION if locked else Verdict.REFUTED)


def test_a_sign_locked_start_is_named_and_nothing_is_claimed():
    # the answer needs β_1 < 0, which a balanced start with β_1 > 0 never reaches
    X, y = np.array([[1.0, -2.0], [1.5, -1.0]]), np.array([1.0, 1.0])
    models = [Diagonal(2, 2, seed=seed, initialization="balanced") for seed in range(8)]
    wrong = next(model for model in models if (np.sign(model.predictor) == [1, 1]).all())
    (run,) = measure_family(own_families(wrong, Dataset("two", X, y, ("a", "b")))[0], y, SHORT)
    assert run.limit.status is FlowStatus.LOCKED
    (check,) = run_checks(run)
    assert "sign-locked" in check.reason
    report = compare_margin(X, y, wrong, steps=40)
    assert [check.verdict for check in report.checks] == [Verdict.NO_PREDICTION]
    assert "sign-locked" in report.to_html()
    # the solver's answer is one the network cannot have
    assert run.solution.beta[1] < 0 <= run.limit.predictor[1]


def test_any_of_several_minimizers_confirms_and_another_point_refutes():
    # min ‖β‖₁ s.t. β_0 + β_1 ≥ 1: every point of a segment
    data = Dataset("one", np.array([[1.0, 1.0]]), np.ones(1), ("a", "b"))
    (family,) = families(data, names=["diagonal"], depths=(2,))
    (run,) = measure_family(family, data.y, SHORT)
    (check,) = run_checks(run)
    assert check.verdict is Verdict.CONFIRMED
    assert check.unit == ""  # no angle: there may be several minimizers
    assert "a minimizer of ‖β‖₁, of which there may be several" in check.statement
    (other,) = run_checks(settled_at(run, np.array([0.9, 0.1])))
    assert other.verdict is Verdict.CONFIRMED
    (outside,) = run_checks(settled_at(run, np.array([1.1, -0.1])))
    assert outside.verdict is Verdict.REFUTED
    assert outside.measured == pytest.approx(0.2)  # ‖(1.1, −0.1)‖₁ / 1 − 1


def test_an_angle_refutes_only_where_the_norm_is_above_the_optimum(runs):
    """What R cannot tell from the optimum may still turn towards it."""
    run = runs["diagonal, L=2"][0]
    solution = replace(run.solution, beta=turned(run, 1e-2))
    assert run_checks(replace(run, solution=solution))[0].verdict is Verdict.NOT_REACHED


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
    assert [check.reference for check in report.checks] == [
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
        assert [check.verdict for check in report.checks] == [Verdict.CONFIRMED]
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
        ({"y": [1.0, None]}, "empty"),
        ({"y": [1.0]}, "shape"),
        ({"X": [[1.0, np.nan], [1.0, 2.0]]}, "not a number"),
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


@pytest.mark.parametrize("seed", [3, 4])
def test_a_network_that_still_turns_is_not_refuted(seed):
    # eight columns, four nearly equal pairs: coefficients move within a pair for ln‖w‖ of thousands, excess 4e-6; where
    # they differ by 1e-4, the flow of seed 4 arrives, 6e-9 from the optimum
    half = np.array([[0.41, 0.83, -1.643, -0.257], [-0.981, -0.173, -1.289, 0.021], [-0.038, -0.304, -1.048, -0.396]])
    X, y = np.hstack([half, half * (1 - 1e-5)]), [1.0, -1.0, 1.0]
    report = compare_margin(X, y, architectures=["diagonal"], depths=[2], seeds=[seed], steps=5)
    assert [check.verdict for check in report.checks] == [Verdict.NOT_REACHED]


def test_where_all_coefficients_have_one_size_the_check_says_that_every_p_passes():
    report = compare_margin([[1.0, 0.2, 0.1]], [1.0], architectures=["diagonal"], depths=[3], seeds=[0], steps=5)
    assert "any p passes" in report.checks[0].reason
