"""Logistic loss and exponential loss: do both flows end at the same predictor?

Both losses have the tail e^{−m}, so where R is a norm with one minimizer theory sends both to it. Where the problem is
nonconvex (L > 2) only stationarity is promised, and the two losses take different paths: they may end at different
stationary points, and then the angle between them is a fact about the paths, no failure of the theory.

    Reference: Gunasekar et al. (2018), Theorems 1, 2, 2a (exponential loss), and the remark on losses with exponential
    tails; Lyu and Li (2020), Theorem 4.4, for both losses and any homogeneous network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from compare.data.dataset import Dataset
from compare.margin.evidence import ANGLE_RESOLUTION, of_predictor
from compare.margin.families import Family, families
from compare.margin.margin_predictions import kkt_residual
from compare.measures import angle
from compare.reports.report import Check, Column, Evidence, Report, Section, Verdict
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from solvers.max_margin import max_margin

if TYPE_CHECKING:
    from compare.experiments.losses import LossComparison

COLUMNS = (
    Column("network", "network"),
    Column("regularizer", "R(β)"),
    Column("seed", "seed"),
    Column(
        "angle",
        "angle between limits",
        unit="rad",
        format=".2g",
        about="∠(β exponential, β logistic), where the integration ended.",
    ),
    Column("ratio", "R ratio − 1", format=".2g", about="R(β logistic)/R(β exponential) − 1, both at unit margin."),
    Column("exponential", "KKT, exponential", format=".2g", about="‖w − Σ λₙ∇mₙ‖/‖w‖ at unit margin."),
    Column("logistic", "KKT, logistic", format=".2g"),
    Column("theory", "theory", format="verdict"),
)


@dataclass(frozen=True)
class LossPair:
    """One network, both losses."""

    family: Family
    seed: int
    exponential: Limit = field(repr=False)
    logistic: Limit = field(repr=False)
    unique: bool | None
    """Whether the explicit problem has one minimizer; None where that is not known or R is no norm."""

    @property
    def angle(self) -> float | None:
        """Radians between the two directions where the integration ended."""
        a, b = self.exponential.integrated.predictor, self.logistic.integrated.predictor
        return None if a is None or b is None else angle(a, b)

    @property
    def evidence(self) -> Evidence:
        """The angle, and how much either direction may still turn."""
        a, b = self.exponential.integrated.predictor, self.logistic.integrated.predictor
        if a is None or b is None:
            return Evidence(math.inf, math.inf)
        ends = [
            of_predictor(limit, partial(angle, other)) for limit, other in ((self.exponential, b), (self.logistic, a))
        ]
        return Evidence(ends[0].figure, sum(end.uncertainty for end in ends))

    @property
    def unfinished(self) -> str:
        """Why a limit was not found; empty where both were."""
        statuses = (limit.status for limit in (self.exponential, self.logistic))
        return next((str(status) for status in statuses if not status.converged), "")

    @property
    def why(self) -> str:
        """Why nothing is predicted of the angle; empty where theory says it is 0."""
        if self.family.regularizer is None or not self.family.regularizer.is_norm:
            return "the problem is nonconvex: two paths, possibly two stationary points"
        return "" if self.unique else "the explicit problem is not known to have a single minimizer"


def loss_report(asked: LossComparison) -> Report:
    """The limits of both flows from the same initial weights."""
    dataset = asked.dataset()
    chosen = families(dataset, names=asked.architectures, depths=asked.depths, seeds=asked.seeds, scale=asked.init)
    parts = [(f.label, partial(pairs, f, dataset)) for f in chosen]
    return asked.report_of_parts(parts, "Losses", lambda found: [section(found, dataset)], dataset, seeds=asked.seeds)


def pairs(family: Family, dataset: Dataset) -> list[LossPair]:
    """One family, both losses."""
    exponential = flow_limit(family.models, family.X, dataset.y, loss="exponential")
    logistic = flow_limit(family.models, family.X, dataset.y, loss="logistic")
    unique = None
    if family.regularizer is not None and family.regularizer.is_norm:
        unique = max_margin(family.X, dataset.y, family.regularizer).unique.known
    return [
        LossPair(family, seed, a, b, unique) for seed, a, b in zip(family.seeds, exponential, logistic, strict=True)
    ]


def section(found: Sequence[LossPair], dataset: Dataset) -> Section:
    """The table and its predictions."""
    text = (
        "Gradient flow of Σ exp(−mₙ) and of Σ log(1 + exp(−mₙ)), mₙ = yₙ f(xₙ), from the same initial weights. Where "
        "the explicit problem is convex with one minimizer both must end there; for L > 2 each ends at some stationary "
        "point."
    )
    grouped = groupby(found, key=lambda pair: id(pair.family))
    checks = [check for _, members in grouped for check in family_checks(list(members))]
    title = f"{dataset.name}: logistic and exponential loss"
    return Section(title, text, COLUMNS, tuple(map(row, found)), checks)


def row(pair: LossPair) -> dict[str, Any]:
    """One line of the table."""
    a, b, R = pair.exponential, pair.logistic, pair.family.regularizer
    ratio = None
    if R is not None and a.predictor is not None and b.predictor is not None:
        ratio = R.value(b.predictor) / R.value(a.predictor) - 1.0
    checked = check_of(pair)
    return {
        "network": pair.family.label,
        "regularizer": pair.family.formula,
        "seed": pair.seed,
        "angle": pair.angle,
        "ratio": ratio,
        "exponential": kkt_residual(a),
        "logistic": kkt_residual(b),
        "theory": Verdict.NO_PREDICTION if checked is None else checked.verdict,
    }


def check_of(pair: LossPair) -> Check | None:
    """The angle between the limits, with its prediction; None where there are no predictors to compare."""
    if pair.angle is None:
        return None
    statement = f"{pair.family.label}, seed {pair.seed}: both losses end at one predictor"
    reference = pair.family.row.reference(pair.family.depth)
    if pair.why:
        return Check.no_prediction(statement, pair.angle, unit="rad", why=pair.why, reference=reference)
    return Check.of(statement, pair.evidence, ANGLE_RESOLUTION, unit="rad", reference=reference, reason=pair.unfinished)


def family_checks(members: Sequence[LossPair]) -> list[Check]:
    """One check a family where all its seeds have one verdict on a prediction (the largest angle), else one a seed."""
    checks = [check for check in map(check_of, members) if check is not None]
    if len(checks) > 1 and len({check.verdict for check in checks}) == 1 and checks[0].tolerance is not None:
        worst = max(checks, key=lambda check: check.measured or 0.0)
        return [replace(worst, statement=f"{worst.statement} (the worst of {len(checks)} seeds)")]
    return checks
