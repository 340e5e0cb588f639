import re
from dataclasses import replace

import numpy as np
import pytest

from compare.data.load import load
from compare.experiments.padding import compare_paddings
from compare.margin.padding_limits import build, cases, check_of, predictor_at, section
from compare.reports.verdict import Verdict
from gd.status import FlowStatus


@pytest.fixture(scope="module")
def data():
    return load("synthetic:5,8,0")


@pytest.fixture(scope="module")
def found(data):
    return cases(data, 3, (3,), (0,), 0.1)


def settled_at(limit, residual, weights):
    """The limit as if its flow had come to rest at these weights, with this residual, long ago."""
    path = replace(limit.path, residual=np.full_like(limit.path.residual, residual))
    return replace(limit, integrated=replace(limit.integrated, residual=residual, weights=weights), path=path)


def test_every_limit_is_a_kkt_point_and_separates(found, data):
    assert [(c.padding, c.kernel) for c in found] == [("zero", 3), ("zero", 8), ("circular", 3)]
    for case in found:
        assert check_of(case, data).verdict is Verdict.CONFIRMED
        model = build(8, 3, case.kernel, case.padding, 0.1, 0)
        β = predictor_at(model, case.limit)
        margins = data.y * (data.X @ β)
        # the limit's weights have norm 1, so its smallest margin is γ = ‖w̃‖^{−L}
        assert margins.min() == pytest.approx(case.limit.norm_at_unit_margin**-3, rel=1e-6)
        assert case.to_circular > 1e-3  # other architectures, other predictors


def test_a_residual_above_the_resolution_is_rejected(found, data):
    for case in found:
        weights = {name: w + 1e-3 * np.roll(w, 1) for name, w in case.limit.integrated.weights.items()}
        off = settled_at(case.limit, case.limit.integrated.residual, weights)
        check = check_of(replace(case, limit=off), data)
        assert check.verdict is Verdict.REFUTED
        # measured on the module itself, whatever the flow reports: weights moved by 1e-3 of their norm
        assert 1e-4 < check.measured < 1e-2
        moving = replace(off, integrated=replace(off.integrated, growth=1.0))
        open_ = check_of(replace(case, limit=moving), data)
        assert open_.verdict is Verdict.NOT_REACHED
        assert open_.reason.startswith("small weights still grow, by 1 for each unit of ln‖w‖")
        turning = replace(case.limit, path=replace(off.path, residual=off.path.residual + 1e-3))
        open_ = check_of(replace(case, limit=turning), data)
        assert open_.verdict is Verdict.NOT_REACHED
        assert re.search(r"its residual was 0\.001 at ln‖w‖ = \d+ and is \de-\d+ at \d+", open_.reason), open_.reason
        short = replace(case.limit, path=replace(off.path, log_norm=off.path.log_norm + 1e9))
        assert "too short to tell" in check_of(replace(case, limit=short), data).reason


def test_neither_the_polished_point_nor_the_status_decides(found, data):
    polished = replace(found[0], limit=replace(found[0].limit, kkt_epsilon=1.0))
    assert check_of(polished, data) == check_of(found[0], data)
    unfinished = check_of(replace(found[0], limit=replace(found[0].limit, status=FlowStatus.UNFINISHED)), data)
    assert (unfinished.verdict, unfinished.reason) == (Verdict.CONFIRMED, str(FlowStatus.UNFINISHED))


def test_the_table(found, data):
    made = section(found, data)
    assert [row["theory"] for row in made.rows] == [Verdict.CONFIRMED] * 3
    assert all(np.isfinite(row["norm"]) for row in made.rows)


def test_bad_input(data):
    with pytest.raises(ValueError, match="kernel"):
        compare_paddings(data, kernels=[9], depths=[2])
