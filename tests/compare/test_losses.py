from dataclasses import replace

import numpy as np
import pytest

from compare.data.load import load
from compare.experiments.losses import compare_losses
from compare.margin.families import families
from compare.margin.loss_pairs import check_of, family_checks, pairs, section
from compare.measures import angle
from compare.reports.verdict import Verdict
from gd.status import FlowStatus


@pytest.fixture(scope="module")
def data():
    return load("synthetic:6,9,2")


@pytest.fixture(scope="module")
def found(data):
    return [pair for family in families(data, depths=(2, 3), seeds=(0, 1)) for pair in pairs(family, data)]


def test_convex_problems_have_one_limit_for_both_losses(found):
    for pair in found:
        check = check_of(pair)
        if pair.family.regularizer.is_norm:
            assert check.verdict is Verdict.CONFIRMED
            assert pair.angle < 1e-5  # where the integration ended, before any polish
            assert angle(pair.exponential.predictor, pair.logistic.predictor) < 1e-9
        else:
            assert check.verdict is Verdict.NO_PREDICTION
            assert "nonconvex" in check.reason


def settled_at(limit, beta, **changes):
    """The limit as if its flow had come to rest at β long ago."""
    path = replace(limit.path, predictors=np.broadcast_to(beta, limit.path.predictors.shape))
    return replace(limit, integrated=replace(limit.integrated, predictor=beta, **changes), path=path)


def test_limits_that_differ_are_rejected(found):
    pair, second = (p for p in found if p.family.label == "diagonal, L=2")
    beta = pair.logistic.integrated.predictor.copy()
    beta[0] += 1e-3 * abs(beta).max()
    off = replace(pair, logistic=settled_at(pair.logistic, beta))
    assert check_of(off).verdict is Verdict.REFUTED
    # what one seed refutes, another that agrees does not hide
    assert [check.verdict for check in family_checks([second, off])] == [Verdict.CONFIRMED, Verdict.REFUTED]
    worse = replace(second, logistic=settled_at(second.logistic, np.roll(beta, 1)))
    merged = family_checks([off, worse])
    assert [check.verdict for check in merged] == [Verdict.REFUTED]
    assert merged[0].measured == worse.angle
    assert merged[0].statement.endswith("(the worst of 2 seeds)")


def test_neither_flow_may_still_move(found):
    pair = next(p for p in found if p.family.label == "diagonal, L=2")
    for name in ("exponential", "logistic"):
        limit = getattr(pair, name)
        growing = settled_at(limit, limit.integrated.predictor, growth=1.0)
        assert check_of(replace(pair, **{name: growing})).verdict is Verdict.NOT_REACHED
        beta = limit.integrated.predictor.copy()
        beta[0] += 1e-3 * abs(beta).max()
        turning = replace(limit, path=settled_at(limit, beta).path)  # it came to the other one in the last quarter
        assert check_of(replace(pair, **{name: turning})).verdict is Verdict.NOT_REACHED


def test_the_polished_points_are_no_evidence(found):
    pair = next(p for p in found if p.family.label == "diagonal, L=2")
    moved = replace(pair, logistic=replace(pair.logistic, predictor=-pair.logistic.predictor, kkt_epsilon=1.0))
    assert check_of(moved) == check_of(pair)
    unfinished = replace(pair, logistic=replace(pair.logistic, status=FlowStatus.UNFINISHED))
    assert check_of(unfinished).verdict is Verdict.CONFIRMED
    assert check_of(unfinished).reason == str(FlowStatus.UNFINISHED)


def test_nothing_is_claimed_without_a_single_minimizer_or_a_predictor(found):
    pair = next(p for p in found if p.family.label == "diagonal, L=2")
    assert check_of(replace(pair, unique=None)).verdict is Verdict.NO_PREDICTION
    nothing = replace(pair.logistic.integrated, predictor=None)
    assert check_of(replace(pair, logistic=replace(pair.logistic, integrated=nothing))) is None


def test_the_table(found, data):
    made = section(found, data)
    assert len(made.rows) == len(found) == 12
    assert {row["theory"] for row in made.rows if row["network"].endswith("L=2")} == {Verdict.CONFIRMED}
    assert max(row["logistic"] for row in made.rows) < 1e-6


def test_bad_input(data):
    with pytest.raises(ValueError, match="known are"):
        compare_losses(data, architectures=["mlp"])
