"""Logistic loss beside exponential loss: do both flows end at the same predictor?

Both losses have the tail e^{−m}, so where R is a norm with one minimizer theory sends both to it. Where the problem is
nonconvex (L > 2) only stationarity is promised, and the two losses take different paths: they may end at different
stationary points, and then the angle between them is a fact about the paths, no failure of the theory.

    Reference: Gunasekar et al. (2018), Theorems 1, 2, 2a (exponential loss), and the remark on losses with exponential
    tails; Lyu and Li (2020), Theorem 4.4, for both losses and any homogeneous network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any

from compare.data.load import Dataset, load
from compare.margin.families import Family, families
from compare.margin.networks import ANGLE_TOLERANCE
from compare.measures import angle
from compare.reports.progress import run_parts
from compare.reports.provenance import Provenance
from compare.reports.report import Check, Column, Report, Section
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from solvers.max_margin import max_margin

COLUMNS = (
    Column("network", "network"),
    Column("price", "R(β)"),
    Column("seed", "seed"),
    Column("angle", "angle between limits", unit="rad", format=".2g", about="∠(β exponential, β logistic)."),
    Column("ratio", "price ratio − 1", format=".2g", about="R(β logistic)/R(β exponential) − 1, both at unit margin."),
    Column("exponential", "KKT, exponential", format=".2g", about="‖w − Σ λₙ∇mₙ‖/‖w‖ at unit margin."),
    Column("logistic", "KKT, logistic", format=".2g"),
    Column("theory", "theory", format="verdict"),
)


@dataclass(frozen=True)
class Pair:
    """One network, both losses."""

    family: Family
    seed: int
    exponential: Limit = field(repr=False)
    logistic: Limit = field(repr=False)
    unique: bool | None
    """Whether the explicit problem has one minimizer; None where that is not known or R is no norm."""

    @property
    def angle(self) -> float | None:
        """Radians between the two limits."""
        a, b = self.exponential.predictor, self.logistic.predictor
        return None if a is None or b is None else angle(a, b)

    @property
    def why(self) -> str:
        """Why nothing is predicted of the angle; empty where theory says it is 0."""
        for limit in (self.exponential, self.logistic):
            if not limit.status.converged:
                return str(limit.status)
        if self.family.regularizer is None or not self.family.regularizer.is_norm:
            return "the problem is nonconvex: two paths, possibly two stationary points"
        return "" if self.unique else "the explicit problem is not known to have a single minimizer"


def compare_losses(
    dataset: Dataset,
    *,
    architectures: Sequence[str] | None = None,
    depths: Sequence[int] = (1, 2, 3),
    seeds: Sequence[int] = (0, 1),
    scale: float = 0.1,
    progress: bool = False,
) -> Report:
    """The limits of both flows from the same initial weights.

    Raises NotSeparableError when no predictor separates the data; ValueError for unknown names, depths or seeds.
    """
    chosen = families(
        dataset.X, names=architectures, depths=depths, seeds=seeds, scale=scale, image_shape=dataset.image_shape
    )
    done = run_parts([(f.label, partial(pairs, f, dataset)) for f in chosen], "Losses", show=progress)
    found = [pair for group in done.results for pair in group]
    return Report(
        f"Losses: linear networks on {dataset.name}",
        (section(found, dataset),) if found else (),
        Provenance.collect([dataset.used], seeds=seeds, command="compare.compare_losses(dataset)"),
        notes=(done.note,) if done.note else (),
        complete=done.complete,
    )


def pairs(family: Family, dataset: Dataset) -> list[Pair]:
    """One family, both losses."""
    exponential = flow_limit(family.models, family.X, dataset.y, loss="exponential")
    logistic = flow_limit(family.models, family.X, dataset.y, loss="logistic")
    unique = None
    if family.regularizer is not None and family.regularizer.is_norm:
        unique = max_margin(family.X, dataset.y, family.regularizer).unique.known
    return [Pair(family, seed, a, b, unique) for seed, a, b in zip(family.seeds, exponential, logistic, strict=True)]


def section(found: Sequence[Pair], dataset: Dataset) -> Section:
    """The table and its predictions."""
    text = (
        "Gradient flow of Σ exp(−mₙ) and of Σ log(1 + exp(−mₙ)), mₙ = yₙ f(xₙ), from the same initial weights. Where "
        "the explicit problem is convex with one minimizer both must end there; for L > 2 each ends at some stationary "
        "point."
    )
    grouped = groupby(found, key=lambda pair: id(pair.family))
    checks = [check for _, members in grouped for check in family_checks(list(members))]
    title = f"{dataset.name}: logistic beside exponential"
    return Section(title, text, COLUMNS, tuple(map(row, found)), tuple(checks))


def row(pair: Pair) -> dict[str, Any]:
    """One line of the table."""
    a, b, R = pair.exponential, pair.logistic, pair.family.regularizer
    ratio = None
    if R is not None and a.predictor is not None and b.predictor is not None:
        ratio = R.value(b.predictor) / R.value(a.predictor) - 1.0
    checked = check_of(pair)
    return {
        "network": pair.family.label,
        "price": pair.family.price,
        "seed": pair.seed,
        "angle": pair.angle,
        "ratio": ratio,
        "exponential": a.kkt_epsilon / a.norm_at_unit_margin,
        "logistic": b.kkt_epsilon / b.norm_at_unit_margin,
        "theory": None if checked is None else checked.passed,
    }


def check_of(pair: Pair) -> Check | None:
    """The angle between the limits, with its prediction; None where there are no predictors to compare."""
    if pair.angle is None:
        return None
    statement = f"{pair.family.label}, seed {pair.seed}: both losses end at one predictor"
    reference = pair.family.row.reference(pair.family.depth)
    if pair.why:
        return Check.no_prediction(statement, pair.angle, unit="rad", why=pair.why, reference=reference)
    return Check.at_most(statement, pair.angle, ANGLE_TOLERANCE, unit="rad", reference=reference)


def family_checks(members: Sequence[Pair]) -> list[Check]:
    """One check a family where all its seeds have a prediction (the largest angle), else one a seed."""
    checks = [check for check in map(check_of, members) if check is not None]
    if len(checks) > 1 and all(check.passed is not None for check in checks):
        worst = max(checks, key=lambda check: check.measured or 0.0)
        return [replace(worst, statement=f"{worst.statement} (the worst of {len(checks)} seeds)")]
    return checks


def quick() -> Report:
    """The part of bare `implicitbias compare`."""
    return compare_losses(load("iris:0v1"), depths=(2, 3), seeds=(0,), progress=True)
