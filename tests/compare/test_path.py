"""Optimization path and regularization path: the predictions hold, wrong ones are refuted, and nothing slow refutes."""

import math

import numpy as np
import pytest

from compare import Verdict, compare_mutants, compare_paths, load
from compare.margin.two_paths import fitted
from gd import FullyConnected, SteepestDescent, descend
from gd.descent.schedule import ConstantStep, DecayingStep
from gd.optimizers.weight_norm import EntrywiseNorm, SpectralNorm
from solvers import Bridge, Schatten, logistic_limit, regularization_path


@pytest.fixture(scope="module")
def report():
    return compare_paths("partial:24,4,0", steps=500)


def test_a_part_that_separates(report):
    assert report.passed
    statements = [check.statement for check in report.checks if check.verdict is Verdict.CONFIRMED]
    for part in ("margins that grow", "w/ln t tends", "loss tends", "span of the other rows", "offset", "decay"):
        assert any(part in statement for statement in statements), part


def test_where_nothing_separates_nothing_is_said_of_what_does():
    report = compare_paths(load("iris:1v2"), steps=100)
    statements = [check.statement for check in report.checks if check.verdict is Verdict.CONFIRMED]
    assert "no margin grows: none separates" in statements
    assert "w/ln t tends to 0: w stays bounded" in statements
    assert not any("separable part" in statement for statement in statements)
    assert not any("go to infinity" in section.text for section in report.sections)


def test_the_distance_of_the_paths_falls_and_is_measured_only(report):
    (section,) = (s for s in report.sections if "two paths" in s.title)
    distances = [row["distance"] for row in section.rows]
    assert distances[-1] < 1e-2 * distances[0]
    assert [check.verdict for check in section.checks] == [Verdict.NO_PREDICTION]
    assert max(row["gap"] for row in section.rows) <= 1e-9


def test_wrong_limits_rates_and_balls_are_refuted():
    report = compare_mutants(["path"])
    assert report.passed, report.summary
    assert report.count(Verdict.CONFIRMED) >= 50


def test_a_rate_that_still_rises_is_not_refuted_and_one_that_settled_is():
    """y = (1 + 40/x)/x has exponent 1 in the end; y = 1/√x never."""
    x = np.geomspace(16, 600, 20)
    rises = fitted("y", x, 1 / x * (1 - 12 / x), 1.0, "1/x", "")
    settled = fitted("y", x, x**-0.5, 1.0, "1/x", "")
    assert rises.exponent < 0.95
    assert rises.check.verdict is Verdict.NOT_REACHED
    assert settled.check.verdict is Verdict.REFUTED
    assert fitted("y", x, 1 / x, 1.0, "1/x", "").check.verdict is Verdict.CONFIRMED
    assert fitted("y", x, 0 * x, 1.0, "1/x", "") is None


def test_spectral_descent_with_decay_ends_at_the_least_loss_in_its_ball():
    data = load("partial:40,6,0")
    y = np.stack([data.y, np.where(data.X[:, 0] > 0.3, 1.0, -1.0)], axis=1)
    network = FullyConnected(6, 1, outputs=2, scale=1e-6, seed=0)
    optimizer = SteepestDescent(in_norm=SpectralNorm(), weight_decay=0.5)
    run = descend(network, data.X, y, loss="logistic", steps=1000, optimizer=optimizer, schedule=DecayingStep(4.0, 1.0))
    least = regularization_path(data.X, y, [2.0], Schatten(np.inf), tol=1e-9)
    assert -1e-9 <= math.exp(run.log_loss[0, -1]) / least.losses[0] - 1.0 <= 1e-4
    assert Schatten(np.inf).value(run.predictor[0]) <= 2.0 * (1 + 1e-9)


def test_with_constant_steps_the_loss_is_within_their_order():
    data = load("partial:40,6,0")
    least = regularization_path(data.X, data.y, [1.0], Bridge(np.inf), tol=1e-9).losses[0]
    excess = []
    for step in (0.1, 0.01):
        optimizer = SteepestDescent(in_norm=EntrywiseNorm(np.inf), weight_decay=1.0)
        run = descend(
            FullyConnected(6, 1, scale=1e-6, seed=0),
            data.X,
            data.y,
            loss="logistic",
            steps=600,
            optimizer=optimizer,
            schedule=ConstantStep(step),
        )
        excess.append(math.exp(run.log_loss[0, -1]) / least - 1.0)
    assert 0 <= excess[1] <= 0.01
    assert excess[1] < 0.5 * excess[0]


def test_data_of_which_a_part_separates():
    data = load("partial:10,5,3")
    assert (data.X.shape, data.X[:10, 2:].any()) == ((20, 5), False)
    limit = logistic_limit(data.X, data.y)
    assert limit.separable[10:].all()
    with pytest.raises(ValueError, match="write partial:N,D,seed"):
        load("partial:10,1,0")
