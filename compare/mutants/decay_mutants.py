"""Wrong predictions about weight decay λ → 0: another cost, another norm's path, optimum or limit."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from compare.data.dataset import Dataset
from compare.margin.decay_limits import DecayedNetwork, checks_of, decayed_network
from compare.measures import angle
from compare.mutants.trial import Mutant, Trial
from gd.networks.linear import Diagonal, FullyConnected
from solvers.max_margin import max_margin
from solvers.regularization_path import regularization_path
from solvers.regularizers import L2

LOGS = (10.0, 100.0, 1e4, 1e6)
CHEAPEST, ON_PATH, BOUND, MAX_MARGIN, FLOW = range(5)
"""The checks in the order of `checks_of`."""


def decay_trial(dataset: Dataset, seed: int) -> Trial:
    """A diagonal network of depth two, R = 2‖β‖₁, against ‖β‖₁ and 2‖β‖₂."""
    D = dataset.X.shape[1]
    found = decayed_network("diagonal, L=2", partial(Diagonal, D, 2, seed=seed), True, dataset, LOGS)
    own = checks_of(found)
    names = ("the cheapest weights", "the least loss", "R/R* − 1 ≤ ln N/m", "the max margin", "the limit of the flow")
    mutants = [Mutant(name, check) for name, check in zip(names, own, strict=True)]
    mutants += [Mutant(claim, checks_of(other)[at], apart) for claim, at, other, apart in wrong(found, dataset)]
    return Trial(found.name, dataset.name, tuple(mutants))


def wrong(found: DecayedNetwork, dataset: Dataset) -> list[tuple[str, int, DecayedNetwork, float]]:
    """What is claimed, which check decides it, the study with that claim in it, and how far it is from the truth."""
    X, y, last = dataset.X, dataset.y, found.path[-1]
    euclidean = max_margin(X, y, L2())
    radius = {one.log_decay: one.square / 2.0 for one in found.path if one.log_decay in found.least}
    path = {
        log: float(regularization_path(X, y, [r], L2(), loss="exponential", tol=1e-9).losses[0])
        for log, r in radius.items()
    }
    other = replace(found, model=FullyConnected(X.shape[1], 2))
    assert found.optimum is not None

    def with_optimum(factor: float) -> DecayedNetwork:
        assert found.optimum is not None
        return replace(found, optimum=replace(found.optimum, objective=factor * found.optimum.objective))

    return [
        ("the cheapest for R = ‖β‖₁", CHEAPEST, replace(found, doubled=False), 1.0),
        ("the cheapest for R = 2‖β‖₂", CHEAPEST, other, found.value(last) / other.value(last) - 1.0),
        ("the least loss for its ‖β‖₂", ON_PATH, replace(found, least=path),
         max(abs(math.expm1(path[log] - found.least[log])) for log in path)),
        ("R/R* − 1 ≤ ln N/m with R* less by 1 %", BOUND, with_optimum(0.99), 0.01),
        ("the max margin, R* more by 0.1 %", MAX_MARGIN, with_optimum(1.001), 1e-3),
        ("the ℓ2 max margin", MAX_MARGIN, with_optimum(euclidean.objective / found.optimum.objective),
         abs(found.optimum.objective / euclidean.objective - 1.0)),
        ("the limit of the flow of a linear predictor", FLOW,
         replace(found, limit=replace(found.limit, predictor=euclidean.beta)),
         angle(found.optimum.beta, euclidean.beta)),
    ]  # fmt: skip
