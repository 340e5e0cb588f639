"""What the table of optimizers predicts of one run, each with its measurement on the iterates."""

from __future__ import annotations

import math

from compare.optimizers.optimizer_runs import Run
from compare.optimizers.predictions import Standing
from compare.reports.report import Check
from solvers.regularizers import Regularizer

RESOLUTION = 5e-3
"""A margin below the largest by no more than this part of it counts as the largest. Measured: right predictions are
extrapolated to 1e-6 to 5e-4, with uncertainties up to 5e-3, after 4,000 to 12,000 steps on Gaussian data; wrong norms
to 0.02 to 3."""


def margin_check(run: Run, regularizer: Regularizer, reference: str) -> Check:
    """That the margin in R tends to the largest one: that its shortfall R(β)/R* − 1 at margin one tends to 0."""
    statement = f"{run.label}: the margin tends to the largest in {regularizer.formula}"
    return Check.of(statement, run.of_optimum(regularizer), RESOLUTION, reference=reference)


def run_checks(run: Run) -> list[Check]:
    """The checks of one run: of the margin where that is proved, else of a KKT point, and the margin as a figure."""
    line, regularizer = run.line, run.regularizer
    if line is None or line.standing is Standing.OPEN:
        return []
    if line.standing is Standing.PROVED and regularizer is not None and run.depth == 1:
        return [margin_check(run, regularizer, line.source)]
    checks = []
    stationarity = run.of_stationarity()
    if stationarity is not None:
        statement = f"{run.label}: the weights tend to a KKT point of their least norm at margin one"
        checks.append(Check.of(statement, stationarity, RESOLUTION, reference=line.source))
    if regularizer is not None and regularizer.is_norm:
        shortfall = float(run.excess(regularizer)[-1])
        statement = f"{run.label}: by how much the margin in {regularizer.formula} falls short of the largest"
        why = "a KKT point in weight space need not be the optimum, and steps may still be far from it"
        measured = shortfall if math.isfinite(shortfall) else None
        checks.append(Check.no_prediction(statement, measured, why=why, reference=line.source))
    return checks
