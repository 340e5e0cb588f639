"""The spline experiment: its statistics, its cases, its report, and that wrong theory would fail it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from compare.command_line import cli
from compare.experiments.protocol import quick_report
from compare.experiments.spline import SplineComparison, compare_spline
from compare.function_distance import uniform_distance
from compare.reports.verdict import Verdict
from compare.spline.exponents import exponent_check, fitted_slope
from compare.spline.initial_function import StartStudy, start_checks, start_study
from compare.spline.linearization import TrajectoryGaps, linearization_section, trajectory_gaps
from compare.spline.several_inputs import Gaps, deep_study, distance_check, scattered
from compare.spline.smoothing_trajectory import trajectory_study
from compare.spline.spline_cases import AUTHORS_RMS, BUILTIN, SplineCase, default_inits, load_case, parse_init
from compare.spline.spline_panels import panel, panel_checks
from compare.spline.spline_sections import rate_section, rich_section, spline_cost
from compare.spline.width_rates import WidthStudy, train_batch, width_study
from gd import WideReLUVectors, squared_flow_limit
from gd.descent.weight_decay import DecayedNetwork, train_with_decay
from solvers.splines.initial_distributions import BinaryUniformInit, GaussianInit
from solvers.splines.rich_regime import rich_interpolant
from solvers.splines.vector_kernels import GaussianInputs, SphereInputs, vector_interpolant
from solvers.splines.weighted_spline import weighted_spline

WIDTHS = (160, 640, 2560, 10240)


def study_with_slope(power: float) -> WidthStudy:
    noise = np.random.default_rng(0).lognormal(0.0, 0.3, (len(WIDTHS), 100))
    sup = np.asarray(WIDTHS)[:, None] ** power * noise
    return WidthStudy(WIDTHS, sup, sup / 2)


def test_slope_and_its_interval() -> None:
    slope, half = fitted_slope(WIDTHS, study_with_slope(-0.5).sup)
    assert abs(slope + 0.5) < half < 0.05
    assert np.isnan(fitted_slope([160], np.ones((1, 3)))).all()
    assert np.isnan(fitted_slope([160, 640], np.array([[np.nan] * 3, [1.0] * 3]))).all()


def test_the_interval_holds_the_true_exponent_as_often_as_it_says() -> None:
    """95 % of 1,000 intervals from 20 networks: below 93 %, or above 97 %, has a probability of 4e-3."""
    noise = np.random.default_rng(1).lognormal(0.0, 0.33, (1000, 3, 20))
    held = [abs(slope) <= half for slope, half in (fitted_slope(WIDTHS[:3], errors) for errors in noise)]
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.parametrize(("networks", "widths"), [(100, 4), (12, 4), (100, 2)])
def test_a_verdict_takes_enough_points_and_an_interval_on_one_side(networks: int, widths: int) -> None:
    """At the threshold's edge, and with too few networks or widths, nothing is decided."""
    for power, exact in ((-0.5, True), (-0.45, True), (-0.4, False), (-0.6, False), (-0.2, False)):
        sup = study_with_slope(power).sup[:widths, :networks]
        check = exponent_check("", WIDTHS[:widths], sup, -0.5, "", exact=exact)
        edge = power in (-0.45, -0.4)
        decided = {-0.5: Verdict.CONFIRMED, -0.6: Verdict.CONFIRMED, -0.2: Verdict.REFUTED}
        few = networks < 16 or widths < 3
        assert check.verdict is (Verdict.NOT_REACHED if few or edge else decided[power])


def test_a_mean_above_the_authors_fit_is_rejected() -> None:
    name, widths = "uniform:1,2", (80, 640, 5120)
    front, power = AUTHORS_RMS[name]
    for factor, verdict in ((0.9, Verdict.CONFIRMED), (1.1, Verdict.REFUTED)):
        sup = np.asarray(widths)[:, None] ** -0.5 * np.ones((3, 20))
        rms = factor * front * np.asarray(widths)[:, None] ** power * np.linspace(0.99, 1.01, 20)
        section = rate_section(name, WidthStudy(widths, sup, rms), BUILTIN)
        assert section.checks[1].verdict is verdict


@pytest.mark.parametrize(
    ("power", "verdict"), [(-1.0, Verdict.CONFIRMED), (-1.3, Verdict.CONFIRMED), (-0.5, Verdict.REFUTED)]
)
def test_a_training_gap_that_falls_too_slowly_is_rejected(power: float, verdict: Verdict) -> None:
    gaps = np.asarray(WIDTHS)[:, None] ** power * np.random.default_rng(0).lognormal(0.0, 0.1, (len(WIDTHS), 40))
    study = TrajectoryGaps(WIDTHS, gaps, gaps * np.sqrt(WIDTHS)[:, None], gaps)
    verdicts = [check.verdict for check in linearization_section("", study).checks]
    assert verdicts == [verdict] * 2


@pytest.mark.parametrize(
    ("power", "verdict"), [(-0.5, Verdict.CONFIRMED), (-0.35, Verdict.REFUTED), (-0.7, Verdict.REFUTED)]
)
def test_the_rate_check_rejects_other_rates(power: float, verdict: Verdict) -> None:
    section = rate_section("gaussian:1,1", study_with_slope(power), BUILTIN)
    assert section.checks[0].verdict is verdict


def test_a_width_without_a_fitted_network_has_empty_cells() -> None:
    study = study_with_slope(-0.5)
    sup, rms = study.sup.copy(), study.rms.copy()
    sup[1], rms[1] = np.nan, np.nan
    row = rate_section("gaussian:1,1", replace(study, sup=sup, rms=rms), BUILTIN).rows[1]
    assert row == {"width": 640, "fitted": True, "runs": 0, "median": None, "low": None, "high": None, "rms": None}


def test_measured_rate_of_the_gaussian_case() -> None:
    """20 seeds, three widths: the slope within 0.1 of −1/2, no run left out."""
    study = width_study(BUILTIN, GaussianInit(1.0, 1.0), (160, 640, 2560), range(20))
    assert study.unfitted == 0
    assert abs(fitted_slope(study.widths, study.sup)[0] + 0.5) < 0.1
    assert np.all(study.rms <= study.sup)
    assert np.all(np.diff(study.median()) < 0)


def test_uncorrected_data_has_a_floor() -> None:
    """Trained on the data as they are, a wide network stays away from the spline by the gap of (18) and (21)."""
    init = BinaryUniformInit(2.5)
    net = train_batch(BUILTIN, BUILTIN.y, init, 20_000, [0])[0]
    assert net is not None
    assert uniform_distance(net, weighted_spline(BUILTIN.x, BUILTIN.y, init), BUILTIN.interval) > 0.004


def test_suprema_over_the_trajectory_fall_as_fast_as_proved_and_are_not_those_of_the_end() -> None:
    gaps = trajectory_gaps(BUILTIN, GaussianInit(1.0, 1.0), (160, 640, 2560), range(8))
    widths = np.array(gaps.widths)
    assert -1.5 < fitted_slope(widths, gaps.output)[0] < -0.9
    assert fitted_slope(widths, gaps.linearized)[0] < -0.5
    assert (gaps.output >= gaps.at_end).all()
    assert np.median(gaps.output[-1]) > 1.05 * np.median(gaps.at_end[-1])


def test_a_function_at_the_start_is_part_of_the_prediction() -> None:
    study = start_study(BUILTIN, parse_init("uniform:1,2"), (1280, 5120), range(6))
    *_, nearer = start_checks("", study)
    assert nearer.verdict is Verdict.CONFIRMED
    assert np.ptp(study.lines[-1, :, 1]) > 0.1  # every start has a line of its own
    *_, further = start_checks("", replace(study, with_start=study.ignored, ignored=study.with_start))
    assert further.verdict is Verdict.REFUTED
    flat = np.full((3, 20), 0.1) * np.linspace(1, 1.1, 20)
    assert start_checks("", StartStudy(WIDTHS[:3], flat, flat, flat, study.lines))[1].verdict is Verdict.REFUTED


def test_several_inputs_approach_their_own_kernel_and_not_another() -> None:
    law = SphereInputs(1.5)
    X, y, grid = scattered(2)
    nets = [WideReLUVectors(1600, 2, law, seed=seed) for seed in range(2)]
    found = squared_flow_limit(nets, X, y, grid=grid, accuracy=1e-2).grid_outputs[:, -1]
    near, far = (
        np.median(np.abs(found - vector_interpolant(X, y, k, "penalized")(grid)).max(axis=1))
        for k in (law, GaussianInputs(1.0, 0.1))
    )
    assert near < 0.1
    assert far > 3 * near


@pytest.mark.parametrize(
    ("power", "verdict"), [(-0.5, Verdict.CONFIRMED), (-0.7, Verdict.CONFIRMED), (0.0, Verdict.REFUTED)]
)
def test_networks_that_stay_away_from_the_explicit_function_are_rejected(power: float, verdict: Verdict) -> None:
    noise = np.random.default_rng(0).lognormal(0.0, 0.1, (len(WIDTHS), 20))
    distance = np.asarray(WIDTHS)[:, None] ** power * noise
    assert distance_check(Gaps("", WIDTHS, distance, distance), "").verdict is verdict


def test_the_kernel_of_a_deep_network_moves_less_as_it_widens() -> None:
    gaps = deep_study(3, (40, 160), 2, 0.25)
    assert np.nanmedian(gaps.change[1]) < 0.7 * np.nanmedian(gaps.change[0])


def test_ten_units_train_from_most_starts_and_a_panel_that_stays_away_is_rejected() -> None:
    law = parse_init("uniform:1,2")
    narrow, wide = panel(BUILTIN, law, 10, 4), panel(BUILTIN, law, 640, 2)
    assert narrow.fitted == (True, False, True, True)
    assert narrow.singular == (False, True, False, False)
    assert [check.verdict for check in panel_checks("", [narrow, wide])] == [Verdict.CONFIRMED] * 2
    away = replace(wide, distance=narrow.distance)
    assert panel_checks("", [narrow, away])[1].verdict is Verdict.REFUTED
    assert panel_checks("", [replace(narrow, fitted=(False,) * 4), wide])[0].verdict is Verdict.REFUTED


def test_trajectory_ends_at_the_interpolant_and_lambda_falls() -> None:
    study = trajectory_study(BUILTIN, GaussianInit(1.0, 1.0), width=3000, snapshots=5)
    assert study.smoothing[-1] < 1e-3 * study.smoothing[0] + 1e-2
    assert np.all(study.distance(study.nearest) <= study.distance(study.at_inverse_time) + 1e-6)
    assert study.distance(study.nearest)[-1] < 0.1


def test_cost_of_a_spline_is_its_variation() -> None:
    spline = weighted_spline(BUILTIN.x, BUILTIN.y, GaussianInit(1.0, 0.5))
    grid = np.linspace(-2, 2, 400_001)
    assert spline_cost(spline) == pytest.approx(np.abs(np.diff(spline.derivative(1)(grid))).sum(), rel=1e-8)


def test_a_network_that_misses_the_data_is_not_praised_for_its_cost() -> None:
    x, y = BUILTIN.x, BUILTIN.y
    flat = DecayedNetwork(np.zeros(2), np.zeros(2), np.ones(2), 1.1, 1.0, float(np.abs(y - 1.1).max()), 1)
    spline = weighted_spline(x, y, GaussianInit())
    section = rich_section(BUILTIN, rich_interpolant(x, y, "penalized"), flat, spline, "")
    assert [check.verdict for check in section.checks] == [Verdict.NOT_REACHED]


def test_a_network_that_is_dearer_or_outside_of_the_minimizers_is_rejected() -> None:
    x, y = BUILTIN.x, BUILTIN.y
    exact, spline = rich_interpolant(x, y, "penalized"), weighted_spline(x, y, GaussianInit())
    net = train_with_decay(x, y)
    for planted, verdicts in (
        (net, [Verdict.CONFIRMED, Verdict.CONFIRMED]),
        (replace(net, offset=net.offset + 0.5), [Verdict.CONFIRMED, Verdict.REFUTED]),
        (replace(net, outer=1.1 * net.outer), [Verdict.REFUTED]),
        (replace(net, outer=0.9 * net.outer), [Verdict.REFUTED, Verdict.REFUTED]),  # cheaper than is possible
    ):
        assert [c.verdict for c in rich_section(BUILTIN, exact, planted, spline, "").checks] == verdicts


def test_cases(tmp_path) -> None:
    file = tmp_path / "points.csv"
    file.write_text("x,y\n1,2\n0,1\n\n3,0.5\n1,2\n")
    case = load_case(str(file))
    assert case.x.tolist() == [0.0, 1.0, 3.0]
    assert case.interval == (0.0, 3.0)
    assert parse_init("gaussian:1,0.5") == GaussianInit(1.0, 0.5)
    far = SplineCase("far", np.array([0.0, 1.0, 7.0]), np.zeros(3))
    assert default_inits(far)[-1] == "binary:7"
    assert case.used.sha256 != replace(case, y=case.y + 1).used.sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\n1,3\n2,2\n4,1\n", "different values"),
        ("1,2\nnan,3\n", "line 2: x and y must be finite"),
        ("1,2\n2,a\n", "line 2: wanted two numbers"),
        ("1,2\n2,1,5\n", "line 2: wanted two numbers"),
        ("1,2\n2,1\n", "three distinct x"),
    ],
)
def test_bad_files(tmp_path, text: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_case(str(file))


@pytest.mark.parametrize("text", ["gaussian", "gaussian:1", "laplace:1,2", "uniform:a,b", "binary:1,2"])
def test_bad_initializations(text: str) -> None:
    with pytest.raises(ValueError, match="write gaussian"):
        parse_init(text)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="widths must increase"):
        compare_spline(widths=(100, 50))
    with pytest.raises(ValueError, match="outside the support"):
        compare_spline(inits=("binary:1",), widths=(80,), seeds=(0,))
    with pytest.raises(ValueError, match="no file"):
        load_case("nowhere.csv")


def test_quick_report_holds_and_is_complete() -> None:
    report = quick_report(SplineComparison)
    assert report.passed
    assert report.complete
    titles = [section.title for section in report.sections]
    assert any("Error against width" in title for title in titles)
    assert {"What ζ does to the shape", "The trajectory and smoothing splines", "The rich regime"} <= set(titles)
    assert sum(len(section.figures) for section in report.sections) >= 7
    json.loads(report.to_json())
    assert "<svg" in report.to_html()


def test_command_line(tmp_path) -> None:
    file = tmp_path / "points.csv"
    file.write_text("-1,0\n0,1\n0.5,0\n1.5,2\n")
    arguments = [
        "compare",
        "spline",
        "--data",
        str(file),
        "--init",
        "uniform:1,2",
        "--widths",
        "80,160",
        "--seeds",
        "0-2",
        "--questions",
        "shapes,rates,linearization",
    ]
    done = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path / "report")])
    assert done.exit_code == 3, done.output  # three seeds tell no slope
    assert "refuted 0, not reached 3" in done.output
    assert (tmp_path / "report" / "report.html").is_file()
    refused = CliRunner().invoke(cli, ["compare", "spline", "--widths", "a,b"])
    assert refused.exit_code == 2
    assert "write integers" in refused.output
