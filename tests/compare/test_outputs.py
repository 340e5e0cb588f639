from dataclasses import replace

import numpy as np
import pytest

from compare.experiments.outputs import compare_outputs
from compare.margin.output_limits import end_checks, ends, planted, wine
from compare.reports.verdict import Verdict
from solvers.separability import farkas_certificate
from solvers.solution import NotSeparableError


@pytest.fixture(scope="module")
def found():
    data, labels = planted(6, 5, 2, 0)
    return [end for depth in (1, 2, 3) for end in ends(data.X, labels, depth, (0,), 0.1)]


def test_limits_are_kkt_points_and_the_conjecture_is_only_measured(found):
    for end in found:
        checks = end_checks(end)
        assert checks[0].verdict is Verdict.CONFIRMED
        assert checks[1].verdict is (Verdict.CONFIRMED if end.depth == 1 else Verdict.NO_PREDICTION)
        if end.depth > 1:
            assert "conjectured" in checks[1].reason
            assert checks[1].measured < 1e-6


def test_against_the_conic_method(found):
    linear, nuclear, _ = found
    assert linear.angle < 1e-9
    # the conic solver's matrix is good to about the square root of its gap
    assert nuclear.angle < 1e-5
    value = np.linalg.svd(nuclear.limit.predictor, compute_uv=False).sum()
    assert value == pytest.approx(nuclear.solution.objective, rel=1e-6)


def test_a_limit_that_is_off_is_rejected(found):
    linear = found[0]
    turned = linear.limit.predictor + 1e-3
    assert end_checks(replace(linear, limit=replace(linear.limit, predictor=turned)))[1].verdict is Verdict.REFUTED
    assert end_checks(replace(linear, limit=replace(linear.limit, kkt_epsilon=1.0)))[0].verdict is Verdict.REFUTED


def test_report_and_data():
    data, labels = planted(5, 4, 2, 1)
    report = compare_outputs(data, labels, depths=(1, 2), seeds=(0,))
    assert report.failures == ()
    assert [row["norm"] for row in report.sections[0].rows] == ["Frobenius", "nuclear"]
    assert report.provenance.data[0].sha256 != data.sha256  # the hash is of all labels
    three, classes = wine()
    assert three.X.shape == (178, 14)
    np.testing.assert_array_equal((classes == 1).sum(axis=1), 1)
    assert all(farkas_certificate(three.X * classes[:, [m]]) is None for m in range(3))


def test_bad_labels():
    data, labels = planted(5, 4, 2, 1)
    with pytest.raises(ValueError, match="labels"):
        compare_outputs(data, labels * 2, depths=(1,))
    X = np.array([[1.0], [1.0]])
    with pytest.raises(NotSeparableError):
        compare_outputs(replace(data, X=X), np.array([[1.0, 1.0], [1.0, -1.0]]), depths=(1,))
