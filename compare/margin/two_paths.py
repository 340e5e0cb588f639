"""The optimization path of a linear predictor, beside its predicted limit and beside the regularization path.

The flow is measured first (`gd.linear_flow`); then the limit is computed (`solvers.logistic_limit`), and the predictors
of least loss at the flow's own norms (`solvers.regularization_path`). A prediction is one figure of the flow:

    the split        how many margins were found to grow that should not, or not to grow that should
    the direction    (w(t) − w(√t)) / (½ ln t) at the end, against the predicted one
    the finite part  P_V w(t) at the end, against the predicted one
    the least loss   L(w(t)) at the end, against the predicted infimum

The uncertainty of a figure is ten times how much it changed since ln t was half of what it is at the end. (w(t) is
direction · ln t + constant + O(t^{−c}), and where a support vector has multiplier zero, ln ln t in place of the last.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import linregress
from scipy.stats import t as student

from compare.data.dataset import Dataset
from compare.margin.evidence import LEFT
from compare.reports.report import Check, Evidence
from gd.descent.descend import descend
from gd.descent.schedule import LossNormalized
from gd.flow.linear_flow import LinearFlow, linear_flow
from gd.networks.linear import FullyConnected
from gd.status import LinearFlowStatus
from solvers.arrays import Array
from solvers.logistic_limit import LogisticLimit, logistic_limit
from solvers.margin_losses import Loss
from solvers.regularization_path import regularization_path
from solvers.regularizers import L2

if TYPE_CHECKING:
    from compare.experiments.path import PathComparison

DIRECTION, OFFSET, LOSS = 1e-3, 1e-9, 1e-9
"""Relative distances that count as 0. Measured: 1e-15 to 1e-9, on nearly degenerate data 3e-3; 1e-15; 1e-15."""
EXPONENT = 0.05
"""Exponents of fitted rates that are closer are not told apart."""
MATCHED = np.arange(2.0, 15.0, 2.0)
"""ln t at which the two paths are compared: later the loss has too few digits for the regularization path."""
ZERO = 1e-10
"""Distances below this are integration errors, and no part of a fit."""


@dataclass(frozen=True)
class Rate:
    """An exponent a fitted to y ∝ x^{−a}, with its 95 % confidence interval, and the one that is proved."""

    name: str
    exponent: float
    halfwidth: float
    drift: float
    """How much larger the exponent of the later half of the numbers is: rates are about the end."""
    proved: float
    says: str
    """The proved rate as it is written."""
    reference: str
    followed: bool = True
    """Whether the numbers reach to where a bound for t → ∞ can be seen: ln t = 600 does, some thousand steps do not."""

    @property
    def check(self) -> Check:
        """That the decay is at least as fast as proved; an exponent that still rises may come to ten times that."""
        statement = f"{self.name}: at least {self.says}"
        if not self.followed:
            why = f"fitted {self.exponent:.2f} ± {self.halfwidth:.2g}; the bound is for steps → ∞, and these are few"
            return Check.no_prediction(statement, self.proved - self.exponent, why=why, reference=self.reference)
        moving = LEFT * self.drift if self.drift > 0 else -self.drift
        shortfall = Evidence(self.proved - self.exponent, self.halfwidth + moving)
        why = "measured: by how much the fitted exponent is below the proved one"
        return Check.of(statement, shortfall, EXPONENT, reference=self.reference, reason=why)


def fitted(name: str, x: Any, y: Any, proved: float, says: str, reference: str) -> Rate | None:
    """The rate of positive numbers y at x > 0; None for fewer than four of them above `ZERO`."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    kept = np.isfinite(y) & (y > ZERO)
    if kept.sum() < 4:
        return None
    across, up = np.log(x[kept]), np.log(y[kept])
    line, late = linregress(across, up), linregress(across[across.size // 2 :], up[across.size // 2 :])
    half = float(student.ppf(0.975, across.size - 2) * line.stderr)
    drift = float(line.slope - late.slope)
    return Rate(name, -float(line.slope), half, drift, proved, says, reference)


@dataclass(frozen=True)
class TwoPaths:
    """What was measured on one data set."""

    dataset: Dataset
    flow: LinearFlow = field(repr=False)
    limit: LogisticLimit = field(repr=False)
    regularized: Array = field(repr=False)
    """β(c) of the regularization path at c = ‖w(t)‖, flat, for t of `MATCHED`: (T, size)."""
    gaps: Array = field(repr=False)
    """Proved bounds on how much the loss of these is above the least one, relative to it, (T,)."""
    normalized: tuple[Array, Array] | None = field(repr=False)
    """Steps of loss-normalized descent and its relative margin gaps; None where the data do not separate."""

    @property
    def followed(self) -> bool:
        """Whether the flow got to its last time."""
        return self.flow.status is LinearFlowStatus.FOLLOWED

    @property
    def matched(self) -> Array:
        """w(t) at the times of the regularization path, flat, (T, size)."""
        return self.flow.predictors[np.isin(self.flow.log_times, MATCHED)].reshape(MATCHED.size, -1)

    @property
    def distances(self) -> Array:
        """‖w(t) − β(‖w(t)‖)‖/‖w(t)‖ at these times."""
        w = self.matched
        return np.asarray(np.linalg.norm(w - self.regularized, axis=1) / np.linalg.norm(w, axis=1))


def loss_on(dataset: Dataset, asked: PathComparison) -> Loss:
    """The loss that was asked for; of several classes the logistic loss is the cross entropy."""
    if asked.loss == "exponential":
        return "exponential"
    return "logistic" if len(dataset.classes) == 2 else "cross entropy"


def measure(dataset: Dataset, asked: PathComparison) -> TwoPaths:
    """The flow first, then what is predicted of it."""
    late = np.geomspace(16.0, asked.log_time, 33)
    loss = loss_on(dataset, asked)
    flow = linear_flow(dataset.X, dataset.y, np.concatenate([[0.0, 1.0], MATCHED, late]), loss=loss)
    limit = logistic_limit(dataset.X, dataset.y, loss=loss)
    w = flow.predictors[np.isin(flow.log_times, MATCHED)]
    norms = np.array([np.linalg.norm(one) for one in w])
    path = regularization_path(dataset.X, dataset.y, norms, L2(), loss=loss, tol=1e-12, max_steps=3000)
    place = np.argsort(np.argsort(norms))  # radii are sorted in the answer
    normalized = (
        normalized_margins(dataset, limit, asked.steps) if limit.separable.all() and len(dataset.classes) == 2 else None
    )
    gaps = path.gaps if loss == "exponential" else path.gaps / np.maximum(path.losses, 1e-300)
    β = path.predictors[place].reshape(MATCHED.size, -1)
    return TwoPaths(dataset, flow, limit, β, gaps[place], normalized)


def normalized_margins(dataset: Dataset, limit: LogisticLimit, steps: int) -> tuple[Array, Array]:
    """Steps, and 1 − margin/(largest margin), of descent with steps proportional to 1/(L √t)."""
    network = FullyConnected(dataset.X.shape[1], 1, scale=1e-6, seed=0)
    run = descend(
        network, dataset.X, dataset.y, loss="exponential", steps=steps, schedule=LossNormalized(decay=0.5), snapshots=40
    )
    kept = run.steps >= steps / 30
    return run.steps[kept].astype(np.float64), 1.0 - run.margin[0][kept] * np.linalg.norm(limit.direction)


def evidence(paths: TwoPaths, figure: Any) -> Evidence:
    """A figure (function of the last index of the flow that it uses) at the end, and how far it may still move."""
    if not paths.followed:
        return Evidence(math.inf, math.inf)
    times = paths.flow.log_times
    before = int(np.searchsorted(times, times[-1] / 2.0))
    now, then = figure(times.size - 1), figure(before)
    return Evidence(now, LEFT * abs(now - then))


def of_split(paths: TwoPaths, separable: Any) -> Evidence:
    """How many margins grow against the prediction."""
    growing = paths.flow.growing
    return Evidence(math.inf, math.inf) if growing is None else Evidence(float((growing != separable).sum()))


def of_direction(paths: TwoPaths, direction: Array) -> Evidence:
    """The relative distance of the direction in which w(t) moved while t was squared."""
    times, w = paths.flow.log_times, paths.flow.predictors

    def figure(last: int) -> float:
        root = int(np.searchsorted(times, times[last] / 2.0))
        moved = (w[last] - w[root]) / (times[last] - times[root])
        scale = max(float(np.linalg.norm(direction)), float(np.linalg.norm(w[last])) / float(times[last]))
        return float(np.linalg.norm(moved - direction)) / scale

    return evidence(paths, figure)


def of_finite_part(paths: TwoPaths, limit: LogisticLimit) -> Evidence:
    """The distance of P_V w(t) from the finite part, relative to its length or one."""
    scale = max(1.0, float(np.linalg.norm(limit.finite_part)))

    def figure(last: int) -> float:
        return float(np.linalg.norm(limit.project(paths.flow.predictors[last]) - limit.finite_part)) / scale

    return evidence(paths, figure)


def of_loss(paths: TwoPaths, loss: float) -> Evidence:
    """The distance of the loss from the infimum, relative to the larger of it and one."""
    return evidence(paths, lambda last: abs(float(np.exp(paths.flow.log_loss[last])) - loss) / max(1.0, loss))


def rates(paths: TwoPaths) -> list[Rate]:
    """The rates that were fitted, beside the proved ones."""
    limit, flow = paths.limit, paths.flow
    times, found = flow.log_times, []
    late, early = times >= 60.0, (times >= 10.0) & (times <= 24.0)
    if paths.followed and limit.separable.any():
        apart = [
            np.linalg.norm(w / s - limit.direction) for w, s in zip(flow.predictors[late], times[late], strict=True)
        ]
        found.append(fitted("‖w/ln t − direction‖", times[late], apart, 1.0, "1/ln t", DIRECTION_RATE))
    if paths.followed and not limit.separable.all():
        offset = [np.linalg.norm(limit.project(w) - limit.finite_part) for w in flow.predictors[early]]
        found.append(fitted("offset", np.exp(times[early]), offset, 0.5, "1/√t", OFFSET_RATE))
    if paths.followed:
        excess = np.exp(flow.log_loss[early]) - limit.loss
        found.append(fitted("loss above its infimum", np.exp(times[early]), excess, 1.0, "1/t", LOSS_RATE))
    if paths.normalized is not None:
        steps, gaps = paths.normalized
        gaps = gaps / np.log(steps)
        rate = fitted("margin gap/ln t, normalized steps", steps, gaps, 0.5, "1/√t", NORMALIZED_RATE)
        found.append(None if rate is None else replace(rate, followed=False))
    return [rate for rate in found if rate is not None]


DIRECTION_RATE = "Soudry et al. (2018): O(1/ln t) on almost all data; Ji, Telgarsky (2019): O(ln ln t/ln t) on all"
OFFSET_RATE = "Ji, Telgarsky (2019), main theorem: O((ln t)²/√t)"
LOSS_RATE = "Soudry et al. (2018): O(1/t); Ji, Telgarsky (2019): O((ln t)²/t)"
NORMALIZED_RATE = "Nacson et al. (2019): O(ln t/√t)"
