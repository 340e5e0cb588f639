"""Calls that take long hand back what they have at their time limit, and tell how far they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gd import Diagonal, descend, flow_limit
from gd.status import RunStatus, SquaredStatus
from solvers import Bridge, max_margin

X = [[2.0, 1.0, 0.3], [-1.0, -3.0, 1.0], [3.0, 1.0, -0.4]]
y = [1, -1, 1]


def test_descend_stops_in_time_with_the_weights_it_has() -> None:
    descend(Diagonal(3, 2), X, y, steps=1)  # what is slow the first time is no step
    run = descend([Diagonal(3, 2, seed=s) for s in (0, 1)], X, y, steps=10**8, snapshots=5, time_limit=0.3)
    assert run.status == (RunStatus.OUT_OF_TIME, RunStatus.OUT_OF_TIME)
    assert run.last_step.tolist() == [run.steps[-1]] * 2
    assert 0 < run.steps[-1] < 10**8
    assert run.predictor is not None
    assert run.predictors is not None
    np.testing.assert_array_equal(run.predictors[:, -1], run.predictor)
    same = descend(Diagonal(3, 2, seed=0), X, y, steps=int(run.steps[-1]))
    assert same.predictor is not None
    np.testing.assert_allclose(same.predictor[0], run.predictor[0], rtol=1e-9)
    assert same.status == (RunStatus.FINISHED,)
    with pytest.raises(ValueError, match="time_limit is in seconds and must be positive"):
        descend(Diagonal(3, 2), X, y, time_limit=0.0)


def test_a_search_ends_in_time_with_what_it_found() -> None:
    rng = np.random.default_rng(0)
    points, labels = rng.standard_normal((20, 40)), np.where(rng.random(20) < 0.5, -1.0, 1.0)
    told: list[tuple[int, int]] = []
    found = max_margin(
        points, labels, Bridge(0.5), n_starts=10**6, time_limit=0.3, progress=lambda *part: told.append(part)
    )
    assert found.stats["starts"] == len(told) < 10**6
    assert told[-1] == (len(told), 10**6)
    assert found.certificate.worst <= 1e-9
    with pytest.raises(ValueError, match="time_limit is in seconds"):
        max_margin(points, labels, Bridge(1), time_limit=-1.0)


def test_the_squared_flow_stops_in_time() -> None:
    few = [[1.0, 0.2, 0.0], [0.1, -0.4, 1.0]]
    network = torch.nn.Sequential(torch.nn.Linear(3, 8, bias=False), torch.nn.Tanh(), torch.nn.Linear(8, 1, bias=False))
    for model in (Diagonal(3, 2, seed=0), network):
        assert flow_limit(model, few, [1.0, -0.5], loss="squared").status == (SquaredStatus.FITTED,)
        cut = flow_limit(model, few, [1.0, -0.5], loss="squared", time_limit=1e-6)
        assert cut.status == (SquaredStatus.UNFINISHED,)
        assert cut.residual[0] > 1e-3
