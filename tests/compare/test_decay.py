"""`compare decay`: what it predicts is confirmed, and wrong predictions are refuted by the same checks."""

from dataclasses import replace
from functools import partial

import pytest

from compare import load
from compare.margin.decay_limits import checks_of, decayed_network
from compare.reports.verdict import Verdict
from gd import Diagonal, FullyConnected
from solvers import Bridge, max_margin

DATA = load("synthetic:4,6,0")
LOGS = (10.0, 100.0, 1e4, 1e6)


@pytest.fixture(scope="module")
def found():
    return decayed_network("diagonal, L=2", partial(Diagonal, 6, 2, seed=0), True, DATA, LOGS)


def verdicts(network):
    return [check.verdict for check in checks_of(network)]


def test_the_right_predictions_are_confirmed(found):
    assert verdicts(found) == [Verdict.CONFIRMED] * 5


def test_wrong_predictions_are_refuted(found):
    half = verdicts(replace(found, doubled=False))
    assert half[0] is Verdict.REFUTED  # R for R_w: half the cost
    optimum = max_margin(DATA.X, DATA.y, Bridge(1.0))
    for factor in (0.999, 1.001):
        wrong = replace(found, optimum=replace(optimum, objective=factor * optimum.objective))
        assert verdicts(wrong)[3] is Verdict.REFUTED
    less = {log: value - 1e-4 for log, value in found.least.items()}
    assert verdicts(replace(found, least=less))[1] is Verdict.REFUTED
    other = FullyConnected(6, 2, seed=0)  # the ℓ2 norm: neither cheapest, nor its margin
    assert Verdict.REFUTED in verdicts(replace(found, model=other))
    away = replace(found, limit=replace(found.limit, predictor=found.limit.predictor[::-1]))
    assert verdicts(away)[4] is Verdict.REFUTED
    early = replace(found, path=found.path[:3])
    assert verdicts(early)[3] is Verdict.NOT_REACHED


def test_no_norm_no_prediction():
    deep = decayed_network("diagonal, L=3", partial(Diagonal, 6, 3, seed=0), True, DATA, (10.0, 100.0))
    assert verdicts(deep) == [Verdict.NO_PREDICTION]
