import pytest

from compare.data.load import load
from compare.experiments.depth import compare_depths
from compare.reports.drawing import svg
from compare.reports.verdict import Verdict
from solvers.solution import NotSeparableError


@pytest.fixture(scope="module")
def report():
    return compare_depths(load("synthetic:6,12,0"), depths=(1, 2, 4), seeds=(0, 1))


def test_every_limit_is_held_to_its_own_theorem(report):
    assert report.failures == ()
    verdicts = [check.verdict for check in report.checks]
    assert verdicts.count(Verdict.CONFIRMED) == 5  # one for each family
    assert report.passed
    assert verdicts.count(Verdict.NO_PREDICTION) == 2  # the values at depth 4


def test_support_falls_from_dense_to_at_most_one_per_point(report):
    (section,) = report.sections
    support = {row["network"]: row["support"] for row in section.rows}
    assert support["linear predictor"] == 12
    # a vertex of the ℓ1 problem has at most one nonzero per active constraint, and so has a stable point below p = 1
    assert support["diagonal, L=4"] <= 6
    assert support["diagonal, L=2"] <= 6
    # frequencies come in conjugate pairs, except 0 and D/2: two real numbers for one constraint each at most
    assert support["convolutional, L=2"] <= 12


def test_plot(report):
    (figure,) = report.sections[0].figures
    assert svg(figure).startswith("<svg")
    assert list(figure.data["depth: diagonal"]) == [1, 1, 2, 2, 4, 4]


def test_inseparable_data():
    import numpy as np

    from compare.data.load import Dataset

    with pytest.raises(NotSeparableError):
        compare_depths(Dataset("d", np.array([[1.0], [1.0]]), np.array([1.0, -1.0]), ("a", "b")))
