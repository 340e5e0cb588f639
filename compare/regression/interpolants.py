"""The predictor that a network ended at, against the one that is predicted: the check that every part here makes.

What is measured is the network's own β, with how far it may be from the flow's limit; only then the prediction is held
against it. The figure is ‖β − β*‖₂/‖β*‖₂.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from compare.reports.report import Check, Evidence
from gd.squared.regression_limit import RegressionLimit
from gd.status import SquaredStatus
from solvers.arrays import Array
from solvers.interpolation.min_norm import Interpolation
from solvers.solution import Status

RESOLUTION = 1e-6
"""Distances up to this count as 0. Measured: integrated flows are within 1e-9, and known to within 1e-7."""
EXACT = 1e-9
"""The same for an identity of a run of finite steps. Measured: 1e-15 to 1e-12."""


@dataclass(frozen=True)
class Reached:
    """Where a network ended."""

    subject: str
    """Which network, from which start: "diagonal, L=2, α = 0.1"."""
    predictor: Array = field(repr=False)
    error: float
    """How far the limit may be, relative; inf where the data are not fitted."""


def reached(subject: str, limit: RegressionLimit, run: int = 0) -> Reached:
    """One run of a flow."""
    fitted = limit.status[run] is SquaredStatus.FITTED
    return Reached(subject, limit.predictor[run], float(limit.predictor_error[run]) if fitted else math.inf)


def distance(one: Array, other: Array) -> float:
    """‖one − other‖₂/‖other‖₂."""
    return float(np.linalg.norm(one - other)) / max(float(np.linalg.norm(other)), 1e-300)


def interpolant_check(
    network: Reached, claim: str, predicted: Interpolation, *, reference: str, resolution: float = RESOLUTION
) -> Check:
    """The network ends at the predicted interpolant; not tested where the prediction itself is not certified."""
    statement = f"{network.subject}: the limit is {claim}"
    figure = distance(network.predictor, predicted.beta)
    if predicted.status is not Status.OPTIMAL:
        return Check.not_reached(statement, figure, why=str(predicted.status), reference=reference)
    return Check.of(statement, Evidence(figure, network.error), resolution, reference=reference)


def no_prediction(network: Reached, claim: str, measured: float, why: str) -> Check:
    """What was measured on a network of which nothing is proved."""
    return Check.no_prediction(f"{network.subject}: {claim}", measured, why=why)
