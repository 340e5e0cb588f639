"""One two-layer ReLU network: its limit, the certificate of it, and what its integrated flow says about the optimum.

Whether a flow ended at the global optimum is measured where its integration ended (`compare.margin.evidence`): there
½‖w‖² at margin one is 1/(2γ), γ the smallest margin of the unit-norm weights, and the figure is how far that is above
the certified optimum, relatively. The polished limit and its own multipliers (`Limit.global_optimum`) make a
prediction about that figure.

    KKT          the flow ends at a KKT point (Lyu, Li 2020)
    bound        no network, settled or not, is below the certified lower bound (weak duality)
    GLOBAL       multipliers of the limit prove it optimal:        the figure is 0
    NOT_GLOBAL   a cheaper network is known, by that much:         the figure is above what counts as 0
    UNKNOWN      nothing is predicted of the figure
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import torch
from torch import nn

from compare.margin.evidence import RESOLUTION, evidence, of_kkt, place_before
from compare.reports.report import Check, Evidence, Verdict
from compare.reports.verdict import decide
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.status import FlowStatus
from solvers.arrays import Array
from solvers.relu.certificate import GlobalOptimum, ReluCertificate, ReluSolution
from solvers.solution import Status

SETTLE = RESOLUTION / 40.0
"""Relative change of the margin while ln‖w‖ last grew by a quarter: `LEFT` times that and the turning are then half of
what counts as 0 (`compare.margin.evidence`)."""

KKT = "Lyu and Li (2020), Theorem 4.4"
DUALITY = "Pilanci and Ergen (2020), Theorem 1"


class End(StrEnum):
    """Where a flow ended, as measured on the network; the value is the word of the tables."""

    OPTIMUM = "global optimum"
    BEST_KNOWN = "best known network"
    ABOVE = "above"
    OPEN = "not settled"
    NOT_SEPARATED = "not separated"


@dataclass(frozen=True)
class ReluLimit:
    """One network and where its flow ended."""

    width: int
    scale: float
    seed: int
    model: nn.Module = field(repr=False)
    """With the weights it started from."""
    limit: Limit
    optimum: ReluSolution = field(repr=False)
    """The network of least norm, found apart from this one."""
    certificate: ReluCertificate | None = field(repr=False)
    """Of the polished limit; None where it has no positive margin."""

    @property
    def label(self) -> str:
        """Width, scale and seed."""
        return f"width {self.width}, α = {self.scale:g}, seed {self.seed}"

    @property
    def value(self) -> float:
        """½‖w‖² at margin one, where the integration ended; inf without a positive margin."""
        margin = self.limit.integrated.margin
        return 0.5 / margin if margin > 0 else math.inf

    @property
    def excess(self) -> Evidence:
        """How far the value is above that of the best network known, relatively."""
        best, at = self.optimum.value, place_before(self.limit)
        before = None if at is None else 0.5 / float(self.limit.path.margins[at].min()) / best - 1.0
        return evidence(self.limit, self.value / best - 1.0, before)

    @property
    def end(self) -> End:
        """What the excess says."""
        if not self.limit.integrated.margin > 0:
            return End.NOT_SEPARATED
        found = decide(self.excess, RESOLUTION)
        if found is Verdict.CONFIRMED:
            return End.OPTIMUM if self.optimum.status is Status.OPTIMAL else End.BEST_KNOWN
        return End.ABOVE if found is Verdict.REFUTED else End.OPEN


def network(D: int, width: int, slope: float, scale: float, seed: int) -> nn.Sequential:
    """A two-layer network with `scale` times torch's default weights, uniform on ±1/√(inputs of the layer)."""
    generator = torch.Generator().manual_seed(seed)
    first, last = nn.Linear(D, width, bias=False), nn.Linear(width, 1, bias=False)
    model = nn.Sequential(first, nn.LeakyReLU(slope) if slope else nn.ReLU(), last).double()
    with torch.no_grad():
        for layer in (first, last):
            drawn = torch.rand(layer.weight.shape, generator=generator, dtype=torch.float64)
            layer.weight.copy_(scale * (2.0 * drawn - 1.0) / math.sqrt(layer.in_features))
    return model


def follow(
    X: Array, y: Array, optimum: ReluSolution, width: int, scale: float, seeds: Iterable[int], max_steps: int
) -> list[ReluLimit]:
    """Networks of the optimum's slope, followed to their limits as one batch, and on until their norm is the limit's.

    A limit is known long before: the best network of a cell is a convex program, and units that die do so slowly.
    """
    seeds = list(seeds)
    models = [network(X.shape[1], width, optimum.slope, scale, seed) for seed in seeds]
    limits = flow_limit(models, X, y, settle=SETTLE, max_steps=max_steps)
    certificates = [limit.global_optimum() if limit.margin > 0 else None for limit in limits]
    return [
        ReluLimit(width, scale, seed, model, limit, optimum, certificate)
        for seed, model, limit, certificate in zip(seeds, models, limits, certificates, strict=True)
    ]


def checks(run: ReluLimit, X: Array, y: Array) -> list[Check]:
    """What is predicted of one network's limit: that it is a KKT point, and what its certificate says of its norm."""
    if run.end is End.NOT_SEPARATED:
        statement = f"{run.label}: the flow ends at a KKT point"
        if run.limit.status is FlowStatus.UNFINISHED:
            return [Check.not_reached(statement, None, why=str(run.limit.status), reference=KKT)]
        why = "a margin stays at or below 0, so the loss does not tend to 0"
        return [Check.no_prediction(statement, None, why=why, reference=KKT)]
    reason = "" if run.limit.status.converged else str(run.limit.status)
    statement = f"{run.label}: the flow ends at a KKT point of min ½‖w‖² at unit margin"
    found = [Check.of(statement, of_kkt(run.limit, run.model, X, y), RESOLUTION, reference=KKT, reason=reason)]
    return [*found, certified_check(run)]


def certified_check(run: ReluLimit) -> Check:
    """The certificate of the limit against the flow itself."""
    assert run.certificate is not None
    known, above = run.certificate.verdict, run.certificate.value / run.optimum.value - 1.0
    about = {"reference": DUALITY, "reason": "" if run.limit.status.converged else str(run.limit.status)}
    if known is GlobalOptimum.GLOBAL:
        return optimum_check(f"{run.label}: the flow ends at the global optimum, as its multipliers prove", run)
    if known is GlobalOptimum.NOT_GLOBAL and above > 2.0 * RESOLUTION:
        statement = f"{run.label}: the flow ends above the global optimum, as a cheaper network proves of its limit"
        return Check.at_least(statement, run.excess, RESOLUTION, **about)
    why = str(known) if known is GlobalOptimum.UNKNOWN else "the limit is above it by less than the resolution"
    statement = f"{run.label}: the flow's ½‖w‖² above the best network known"
    return Check.no_prediction(statement, run.excess.figure, why=why, reference=DUALITY)


def optimum_check(statement: str, run: ReluLimit) -> Check:
    """That ½‖w‖² at margin one, where the integration ended, is the optimum."""
    reason = "" if run.limit.status.converged else str(run.limit.status)
    found = run.excess
    return Check.of(
        statement,
        Evidence(abs(found.figure), found.uncertainty),
        RESOLUTION,
        reference=DUALITY,
        reason=reason,
    )


def bound_check(runs: Iterable[ReluLimit], lower_bound: float, claim: str) -> Check:
    """That no network, settled or not, has a smaller ½‖w‖² at margin one than the bound."""
    below = max((lower_bound / run.value - 1.0 for run in runs), default=-1.0)
    return Check.at_most(f"no network is below {claim}", max(below, 0.0), RESOLUTION, reference=DUALITY)
