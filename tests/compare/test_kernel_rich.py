"""Regression at every initial scale: right predictions are confirmed, wrong ones refuted, and the check can fail."""

from dataclasses import replace

import click
import numpy as np
import pytest
from click.testing import CliRunner

from compare.commands.experiment import options_of
from compare.data.dataset import DataError
from compare.experiments.kernel_rich import KernelRichComparison, compare_kernel_rich
from compare.mutants.regression_mutants import TRIALS
from compare.regression.initial_scales import Extremes, regimes
from compare.regression.interpolants import Reached, interpolant_check
from compare.regression.other_networks import (
    commuting,
    commuting_measurements,
    from_identity,
    spectral_prediction,
    symmetric_measurements,
)
from compare.regression.regression_data import regression_data
from compare.reports.drawing import svg
from compare.reports.verdict import Verdict
from gd.flow.flow_limit import flow_limit
from solvers import HyperbolicEntropy, Schatten, Status, min_norm

SMALL = "sparse:3,6,1,0"


@pytest.fixture(scope="module")
def report():
    return compare_kernel_rich(SMALL, inits=(0.03, 10.0), steps=100, shares=(1.0,), matrix_inits=(0.5,))


def test_the_report(report):
    assert report.passed
    titles = [section.title for section in report.sections]
    assert [sum(word in title for title in titles) for word in ("depth 2", "depth 3", "Matrix")] == [2, 1, 1]
    assert report.count(Verdict.NO_PREDICTION) == 4  # momentum, Gaussian, convolutional, not commuting
    assert all(svg(figure).startswith("<svg") for figure in report.sections[0].figures)


def test_from_l2_to_l1(report):
    for section in report.sections[:2]:
        small, large, _ = section.rows
        assert small["l1"] < 0.05 < small["l2"]
        assert large["l2"] < 1e-3 < 0.05 < large["l1"]


@pytest.mark.parametrize("name", list(TRIALS))
def test_wrong_predictions_are_refuted(name):
    trial = TRIALS[name](regression_data("sparse:4,8,2,0", None), 0)
    assert trial.mutants[0].check.verdict is Verdict.CONFIRMED
    assert len(trial.mutants) >= 5
    for mutant in trial.mutants[1:]:
        assert not mutant.equivalent, mutant.claim
        assert mutant.check.verdict is Verdict.REFUTED, mutant.claim


def test_a_network_that_is_not_there_yet_decides_nothing():
    data = regression_data(SMALL, None)
    (run, _) = regimes(data, 2, (0.3,), 0)
    assert run.check.verdict is Verdict.CONFIRMED
    l1 = Extremes.of(data).l1

    def verdict(network: Reached, predicted=run.predicted):
        return interpolant_check(network, "it", predicted, reference="").verdict

    assert verdict(run.network, l1) is Verdict.REFUTED
    assert verdict(replace(run.network, error=np.inf), l1) is Verdict.NOT_REACHED
    assert verdict(replace(run.network, error=1.0)) is Verdict.NOT_REACHED
    assert verdict(replace(run.network, predictor=np.full(6, np.nan))) is Verdict.REFUTED
    assert verdict(run.network, replace(run.predicted, status=Status.INACCURATE)) is Verdict.NOT_REACHED


def test_commuting_measurements_are_a_diagonal_network():
    X, y, V = commuting_measurements(3, 1)
    assert max(np.abs(A @ B - B @ A).max() for A in X for B in X) < 1e-12
    general, _ = symmetric_measurements(4, 1)
    assert max(np.abs(A @ B - B @ A).max() for A in general for B in general) > 0.1
    beta = flow_limit(from_identity(0.2), X, y, loss="squared").predictor[0]
    off = V.T @ beta @ V
    assert np.abs(off - np.diag(np.diag(off))).max() < 1e-8  # it stays in the eigenbasis
    right = spectral_prediction(X, y, V, HyperbolicEntropy.of_weights(np.full(5, 0.2), np.zeros(5)))
    wrong = spectral_prediction(X, y, V, HyperbolicEntropy.of_weights(np.full(5, 0.4), np.zeros(5)))
    np.testing.assert_allclose(beta, right.beta, atol=1e-8)
    assert np.abs(beta - wrong.beta).max() > 1e-3


def test_the_nuclear_norm_as_the_start_shrinks():
    far, near = commuting(1.0, 0), commuting(1e-2, 0)
    assert 0 < near.excess < 0.01 < far.excess
    X, y, _ = commuting_measurements(3, 0)
    assert near.least.objective == pytest.approx(min_norm(X, y, Schatten(1)).objective)


def test_the_command_runs_every_part_unless_told_otherwise():
    seen = {}

    @click.command()
    @options_of(KernelRichComparison)
    def command(**given):
        seen.update(given)

    assert CliRunner().invoke(command, []).exit_code == 0
    assert KernelRichComparison(**seen).record == KernelRichComparison().record
    assert CliRunner().invoke(command, ["--no-others"]).exit_code == 0
    assert seen["others"] is False


def test_data_in_python_and_by_name():
    data = regression_data(SMALL, None)
    again = regression_data(data.X, data.y)
    assert (again.name, again.used.sha256) == ("data", data.used.sha256)
    assert compare_kernel_rich(data.X, data.y, depths=(2,), inits=(1.0,), steps=0, others=False).passed
    for wrong in ("sparse:4,8", "wine:0v1", "sparse:4,8,9,0"):
        with pytest.raises(DataError, match="sparse:N,D,K,seed"):
            regression_data(wrong, None)
    with pytest.raises(ValueError, match="targets"):
        compare_kernel_rich(data.X)
    with pytest.raises(ValueError, match="shape"):
        regression_data(data.X, data.y[:2])
