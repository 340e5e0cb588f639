from dataclasses import replace

import pytest

from compare.data.load import load
from compare.experiments.losses import compare_losses
from compare.margin.families import families
from compare.margin.loss_pairs import check_of, family_checks, pairs, section
from compare.reports.verdict import Verdict


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
            assert pair.angle < 1e-9
        else:
            assert check.verdict is Verdict.NO_PREDICTION
            assert "nonconvex" in check.reason


def test_limits_that_differ_are_rejected(found):
    pair = next(p for p in found if p.family.label == "diagonal, L=2")
    beta = pair.logistic.predictor.copy()
    beta[0] += 1e-3 * abs(beta).max()
    off = replace(pair, logistic=replace(pair.logistic, predictor=beta))
    assert check_of(off).verdict is Verdict.REFUTED
    merged = family_checks([pair, off])
    assert [check.verdict for check in merged] == [Verdict.REFUTED]
    assert merged[0].statement.endswith("(the worst of 2 seeds)")


def test_nothing_is_claimed_without_a_single_minimizer_or_a_predictor(found):
    pair = next(p for p in found if p.family.label == "diagonal, L=2")
    assert check_of(replace(pair, unique=None)).verdict is Verdict.NO_PREDICTION
    assert check_of(replace(pair, logistic=replace(pair.logistic, predictor=None))) is None


def test_the_table(found, data):
    made = section(found, data)
    assert len(made.rows) == len(found) == 12
    assert {row["theory"] for row in made.rows if row["network"].endswith("L=2")} == {Verdict.CONFIRMED}
    assert max(row["logistic"] for row in made.rows) < 1e-6


def test_bad_input(data):
    with pytest.raises(ValueError, match="known are"):
        compare_losses(data, architectures=["mlp"])
