from dataclasses import replace

import numpy as np
import pytest

from compare.experiments.outputs import compare_outputs
from compare.margin.output_limits import end_checks, ends, planted, wine
from compare.measures import angle
from compare.reports.verdict import Verdict
from gd.status import FlowStatus
from solvers.separability import farkas_certificate
from solvers.solution import NotSeparableError


@pytest.fixture(scope="module")
def found():
    data, labels = planted(6, 5, 2, 0)
    return [end for depth in (1, 2, 3) for end in ends(data.X, labels, depth, (0,), 0.1)]


@pytest.fixture(scope="module")
def data():
    data, labels = planted(6, 5, 2, 0)
    return replace(data, y=labels)


def test_limits_are_kkt_points_and_the_conjecture_is_only_measured(found, data):
    for end in found:
        first, *others = end_checks(end, data)
        assert first.verdict is Verdict.CONFIRMED
        assert first.unit == ("rad" if end.depth == 1 else "")
        assert [check.verdict for check in others] == [Verdict.NO_PREDICTION] * (end.depth > 1)
        for check in others:
            assert "conjectured" in check.reason
            assert check.measured < 1e-6


def test_against_the_conic_method(found):
    linear, nuclear, _ = found
    assert linear.angle < 1e-7
    assert angle(linear.limit.predictor, linear.solution.beta) < 1e-9
    # the conic solver's matrix is good to about the square root of its gap
    assert nuclear.angle < 1e-5
    value = np.linalg.svd(nuclear.limit.predictor, compute_uv=False).sum()
    assert value == pytest.approx(nuclear.solution.objective, rel=1e-6)


def test_a_flow_that_settles_elsewhere_is_rejected(found, data):
    linear = found[0].limit
    turned = linear.integrated.predictor + 1e-3
    path = replace(linear.path, predictors=np.broadcast_to(turned, linear.path.predictors.shape))
    off = replace(linear, integrated=replace(linear.integrated, predictor=turned), path=path)
    (check,) = end_checks(replace(found[0], limit=off), data)
    assert check.verdict is Verdict.REFUTED
    assert check.measured == angle(turned, found[0].solution.beta)
    turning = replace(linear, path=path)  # it came there in the last quarter
    assert end_checks(replace(found[0], limit=turning), data)[0].verdict is Verdict.NOT_REACHED
    for end in found[1:]:
        weights = {name: w + 1e-2 * np.roll(w, 1) for name, w in end.limit.integrated.weights.items()}
        off = replace(end.limit, integrated=replace(end.limit.integrated, weights=weights))
        assert end_checks(replace(end, limit=off), data)[0].verdict is Verdict.REFUTED


def test_a_flow_that_still_moves_decides_nothing(found, data):
    for end in found:
        moving = replace(end.limit, integrated=replace(end.limit.integrated, growth=1.0))
        assert end_checks(replace(end, limit=moving), data)[0].verdict is Verdict.NOT_REACHED
        unfinished = replace(end.limit, status=FlowStatus.UNFINISHED)
        (check, *_) = end_checks(replace(end, limit=unfinished), data)
        assert (check.verdict, check.reason) == (Verdict.CONFIRMED, str(FlowStatus.UNFINISHED))


def test_the_polished_point_is_no_evidence(found, data):
    for end in found:
        moved = replace(end.limit, predictor=-end.limit.predictor, kkt_epsilon=1.0)
        assert end_checks(replace(end, limit=moved), data) == end_checks(end, data)


def test_report_and_data():
    data, labels = planted(5, 4, 2, 1)
    report = compare_outputs(data, labels, depths=(1, 2), seeds=(0,))
    assert report.failures == ()
    assert [row["norm"] for row in report.sections[0].rows] == ["Frobenius", "nuclear, a conjecture, not judged here"]
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
