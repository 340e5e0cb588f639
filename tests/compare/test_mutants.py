"""Wrong predictions are refuted, right ones confirmed, equivalent ones recognized; and this very test can fail."""

from dataclasses import replace

import click
import numpy as np
import pytest
from click.testing import CliRunner

from compare.bounded.signals import gaussian_signals
from compare.channels.channel_data import load_channels
from compare.commands.experiment import options_of
from compare.data.load import Dataset, load
from compare.experiments.mutants import MutantComparison, compare_mutants
from compare.generators.denoising_filter import example_signal
from compare.margin.output_limits import planted
from compare.mutants.bounded_mutants import minima_trial, pooling_trial, wavelet_trial
from compare.mutants.decay_mutants import decay_trial
from compare.mutants.function_mutants import diabetes, filter_trial, spline_trial
from compare.mutants.generator_mutants import TRIALS
from compare.mutants.margin_mutants import WRONG, Flattened, Hartley, hartley, margin_trial
from compare.mutants.network_mutants import channel_trial, outputs_trial, padding_trial, relu_kkt_trial
from compare.mutants.trial import Mutant
from compare.mutants.wide_mutants import printed_start_trial
from compare.reports.report import Check, Evidence
from compare.reports.verdict import Verdict
from compare.spline.spline_cases import BUILTIN
from solvers.max_margin import max_margin


def random_labels(N, D, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, D)), rng.choice([-1.0, 1.0], N)


def caught(trial):
    return [mutant.caught("here").verdict for mutant in trial.mutants]


@pytest.mark.parametrize(("name", "depth"), list(WRONG))
def test_wrong_regularizers_of_every_row_are_refuted(name, depth):
    data = load("synthetic:8,12,3")
    data = replace(data, image_shape=(3, 4)) if name.endswith("2-D") else data
    trial = margin_trial(data, name, depth, 0, 0.1)
    assert [mutant.check.verdict for mutant in trial.mutants[:1]] == [Verdict.CONFIRMED]
    assert caught(trial).count(Verdict.CONFIRMED) >= 4  # the right one and three wrong ones
    assert Verdict.REFUTED not in caught(trial)
    assert Verdict.NOT_REACHED not in caught(trial)


def test_wrong_networks_and_wrong_kernel_sizes_are_refuted():
    data, (table, labels) = load("synthetic:6,10,0"), planted(8, 5, 2, 0)
    trials = [
        padding_trial(data, 3, 2, 0, 0.1),
        outputs_trial("planted", table.X, labels, 0, 0.1),
        channel_trial(load_channels("synthetic:8,16,1"), 2, 1, 0, 0.1),
    ]
    for trial in trials:
        assert set(caught(trial)) <= {Verdict.CONFIRMED, Verdict.NO_PREDICTION}, trial
        assert caught(trial).count(Verdict.CONFIRMED) >= 3
    # on these data R_3 is 1.1e-6 from R_2: K + 1 is no mutant here, and is not counted as one
    equivalent = [mutant for mutant in trials[2].mutants if mutant.equivalent]
    assert [mutant.claim for mutant in equivalent] == ["R_3"]
    assert 0 < equivalent[0].apart < 1e-5


def test_wrong_filters_and_wrong_splines_are_refuted():
    found = filter_trial("three low frequencies", example_signal(128), 4096, (0, 1, 2))
    assert caught(found) == [Verdict.CONFIRMED] * 6
    trial = spline_trial(diabetes(), "gaussian:1,0.316228", 640, 16)
    assert caught(trial)[0] is Verdict.CONFIRMED
    assert caught(trial).count(Verdict.CONFIRMED) >= 4


@pytest.mark.parametrize(
    ("trial", "wrong"),
    [
        pytest.param(lambda: relu_kkt_trial("synthetic", *random_labels(10, 5, 3), 20, 3), 6, id="two-layer ReLU"),
        pytest.param(lambda: decay_trial(load("synthetic:4,6,0"), 0), 7, id="decay"),
        pytest.param(lambda: pooling_trial(gaussian_signals(6, 8, 0), 0), 8, id="pooling"),
        pytest.param(lambda: minima_trial(gaussian_signals(6, 8, 0), 0), 1, id="local minima"),
        pytest.param(lambda: wavelet_trial(8, 12, 64, 40), 6, id="wavelets"),
        pytest.param(lambda: printed_start_trial(BUILTIN, "gaussian:1,1", 10240, 24), 2, id="initial function"),
    ],
)
def test_wrong_decay_bounded_width_and_starts_are_refuted(trial, wrong):
    found = trial()
    assert set(caught(found)) == {Verdict.CONFIRMED}
    assert sum(mutant.apart is not None and not mutant.equivalent for mutant in found.mutants) == wrong


@pytest.mark.parametrize("name", [name for name in TRIALS if name != "stopping"])
def test_wrong_statements_about_generators_are_refuted(name):
    assert set(caught(TRIALS[name]())) == {Verdict.CONFIRMED}


def test_a_threshold_is_no_resolution():
    check = Check.at_least("ten times", Evidence(1.0), 10.0)
    assert Mutant("wrong", check, 9.0).caught("here").verdict is Verdict.CONFIRMED
    assert Mutant("wrong", replace(check, verdict=Verdict.CONFIRMED), 9.0).caught("here").verdict is Verdict.REFUTED


def test_the_hartley_transform_is_orthogonal_and_its_norm_is_minimized():
    np.testing.assert_allclose(hartley(7) @ hartley(7), np.eye(7), atol=1e-14)
    data = load("synthetic:6,7,0")
    solution = max_margin(data.X, data.y, Hartley())
    conic = max_margin(data.X, data.y, Hartley(), method="conic", tol=1e-6)
    assert solution.certificate.gap < 1e-9
    assert conic.objective == pytest.approx(solution.objective, rel=1e-6)


def test_flattening_an_image_is_another_norm():
    X = np.random.default_rng(0).standard_normal((5, 3, 4))
    y = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    solution, conic = max_margin(X, y, Flattened()), max_margin(X, y, Flattened(), method="conic", tol=1e-6)
    assert conic.objective == pytest.approx(solution.objective, rel=1e-6)


@pytest.mark.parametrize(
    ("figure", "uncertainty", "apart", "verdict"),
    [
        (0.0, 0.0, None, Verdict.CONFIRMED),  # the right prediction, confirmed
        (0.5, 0.0, None, Verdict.REFUTED),  # the right prediction, refuted
        (0.5, 1.0, None, Verdict.NOT_REACHED),
        (0.5, 0.0, 0.5, Verdict.CONFIRMED),  # a mutant, refuted
        (0.0, 0.0, 0.5, Verdict.REFUTED),  # a mutant that survives
        (0.5, np.inf, 0.5, Verdict.NOT_REACHED),  # a network that is still moving tells nothing apart
        (0.0, 0.0, 1e-7, Verdict.NO_PREDICTION),  # equivalent
        (0.5, 0.0, 1e-7, Verdict.REFUTED),  # refuted, though it says what the right prediction says
    ],
)
def test_a_mutant_that_survives_is_a_failure(figure, uncertainty, apart, verdict):
    check = Check.of("the prediction", Evidence(figure, uncertainty), 1e-6)
    assert Mutant("wrong", check, apart).caught("here").verdict is verdict


def test_the_report_counts_them():
    report = compare_mutants(["diagonal"], data=["synthetic:8,12,3"], depths=[2])
    assert report.passed
    assert len(report.checks) == 1 + len(WRONG["diagonal", 2])
    assert {row["verdict"] for row in report.sections[0].rows} == {"confirmed", "refuted"}
    report.to_html()


def test_the_command_takes_its_data_from_the_defaults():
    seen = {}

    @click.command()
    @options_of(MutantComparison)
    def command(**given):
        seen.update(given)

    assert CliRunner().invoke(command, ["--kinds", "diagonal"]).exit_code == 0
    assert seen["data"] == ("synthetic:10,20,0", "wine:0v1", "digits:3v8")
    with pytest.raises(ValueError, match="at least one"):
        compare_mutants(["diagonal"], data=[])


def test_how_far_apart_is_said_in_the_unit_of_the_check():
    # β* = (1, 0) in ℓ1 and ∝ (1, 0.01) in ℓ2: 0.01 rad, while ‖β*‖₂ differs by 5e-5 only
    data = Dataset("one point", np.array([[1.0, 0.01]]), np.array([1.0]), ("a", "b"))
    trial = margin_trial(data, "diagonal", 2, 0, 0.1)
    l2 = next(mutant for mutant in trial.mutants if mutant.claim == "‖β‖₂")
    assert l2.apart == pytest.approx(0.01, rel=1e-3)
    assert l2.caught("here").verdict is Verdict.CONFIRMED


def test_of_several_right_minimizers_the_one_that_was_reached_counts():
    # min ‖β‖₁ s.t. β_0 + β_1 ≥ 1, β_2 + β_3 ≥ 1: every point of a square
    data = Dataset("square", np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]), np.ones(2), ("a", "b"))
    for mutant in margin_trial(data, "diagonal", 2, 0, 0.1).mutants:
        assert mutant.caught("here").verdict is Verdict.CONFIRMED, mutant.claim
