"""Networks trained with weight decay λ, for λ → 0: beside the explicit regularization path, R, and the flow's limit.

    w(λ) = argmin Σ exp(−m_n(w)) + (λ/2)‖w‖²,     β(λ) = P(w(λ)),     R_w(β) = min {‖w‖² : P(w) = β}

Three predictions for a network of depth 2 whose R_w is a norm. Its weights are the cheapest ones that compute β(λ):
‖w‖² = R_w(β). β(λ) is on the explicit path: no predictor of R_w ≤ ‖w‖² has less loss, which the solver certifies. And
it tends to the max margin: from min { L : R_w ≤ ρ } ≤ N e^{−ρ/R*} and L ≥ e^{−min m},

    0 ≤ R_w(β)/(R* min m) − 1 ≤ ln N/min m,                                                                       (1)

where R* is the certified least R_w at margin one. At the smallest decay (1) is below the resolution; the predictor is
then compared with the limit of gradient flow from the same weights, where its minimizer is unique.

Reference: Wei, Lee, Liu, Ma (2019), Theorem 4.1; (1) is ours. The regularizers: Gunasekar et al. (2018), Lemmas 5 to 7;
Jagadeesan et al. (2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compare.margin.evidence import ANGLE_RESOLUTION, RESOLUTION
from compare.measures import angle
from compare.reports.report import Check, Column, Evidence, Report, Section, Value
from compare.reports.verdict import Verdict
from gd.descent.decay_path import Decayed, decay_path
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from gd.networks.linear_network import LinearNetwork
from gd.networks.multi_channel import MultiChannelCNN
from solvers.max_margin import max_margin
from solvers.regularization_path import regularization_path
from solvers.solution import Solution

if TYPE_CHECKING:
    from compare.data.dataset import Dataset
    from compare.experiments.decay import DecayComparison

ON_THE_PATH = 1e-6
"""Relative difference of losses that counts as 0, at ln 1/λ up to `COMPARED`. Measured: 1e-10 to 1e-9."""
COMPARED = 1000.0  # ln 1/λ up to which losses are compared: beyond, one part in 10⁹ of R is one in 10⁵ of the loss
WEI = "Wei, Lee, Liu, Ma (2019), Theorem 4.1"
COLUMNS = (
    Column("network", "network"),
    Column("regularizer", "R(β)"),
    Column("inverse", "ln 1/λ", format=".6g"),
    Column("cheapest", "‖w‖²/R_w(β) − 1", format=".1e", about="0 where no weights that compute β are smaller."),
    Column("path", "loss over the path's", format=".1e", about="L(β)/min{L : R_w ≤ ‖w‖²} − 1, the minimum certified."),
    Column("excess", "R over optimum", format=".1e", about="R_w(β)/(R* min m) − 1."),
    Column("bound", "its bound", format=".1e", about="ln N/min m."),
    Column(
        "angle",
        "angle to the flow",
        unit="rad",
        format=".1e",
        about="To the limit of gradient flow from the same start.",
    ),
    Column("theory", "theory", format="verdict"),
)


@dataclass(frozen=True)
class DecayedNetwork:
    """One architecture: its path, the certified optimum, the flow's limit."""

    name: str
    model: LinearNetwork = field(repr=False)
    doubled: bool
    """Whether R_w is 2R and not R itself, which is a norm only for depth 2."""
    path: list[Decayed] = field(repr=False)
    optimum: Solution | None = field(repr=False)
    limit: Limit = field(repr=False)
    points: int
    least: dict[float, float] = field(repr=False)
    """ln of the least loss of the explicit path at the ‖w‖² of each decay, by ln λ."""

    def value(self, one: Decayed) -> float:
        """R_w(β)."""
        regularizer = self.model.regularizer
        assert regularizer is not None
        return (2.0 if self.doubled else 1.0) * regularizer.value(one.beta)

    @property
    def best(self) -> float:
        """R*."""
        assert self.optimum is not None
        return (2.0 if self.doubled else 1.0) * self.optimum.objective

    def excess(self, one: Decayed) -> float:
        """The middle of (1)."""
        return self.value(one) / one.margin / self.best - 1.0 if one.margin > 0 else math.inf

    def bound(self, one: Decayed) -> float:
        """The right side of (1)."""
        return math.log(self.points) / one.margin if one.margin > 0 else math.inf

    def apart(self, one: Decayed) -> float | None:
        """Radians from the flow's limit."""
        return None if self.limit.predictor is None else angle(one.beta, self.limit.predictor)

    @property
    def apart_in_the_end(self) -> Evidence:
        """The angle to the flow's limit, uncertain by twice what is left of one like a + c/ln(1/λ)."""
        angles = [self.apart(one) or 0.0 for one in self.path[-2:]]
        x = [-one.log_decay for one in self.path[-2:]]
        left = abs(angles[-1] - angles[0]) * x[0] / (x[-1] - x[0]) if x[-1] > x[0] else math.inf
        return Evidence(angles[-1], 2.0 * left)


def one_network(
    name: str, build: Callable[[], LinearNetwork], doubled: bool, dataset: Dataset, logs: Sequence[float]
) -> list[DecayedNetwork]:
    """As a part."""
    return [decayed_network(name, build, doubled, dataset, logs)]


def networks(D: int, kernel: int, channels: int, seed: int) -> dict[str, tuple[Callable[[], LinearNetwork], bool]]:
    """The architectures, and whether ‖w‖² is twice their R."""
    return {
        "fully connected, L=2": (partial(FullyConnected, D, 2, seed=seed), True),
        "diagonal, L=2": (partial(Diagonal, D, 2, seed=seed), True),
        "convolutional, L=2": (partial(Convolutional, D, 2, seed=seed), True),
        f"CNN, K={kernel}, C={channels}": (partial(MultiChannelCNN, D, kernel, 1, channels, seed=seed), False),
        "diagonal, L=3": (partial(Diagonal, D, 3, seed=seed), True),
    }


def decayed_network(
    name: str, build: Callable[[], LinearNetwork], doubled: bool, dataset: Dataset, logs: Sequence[float]
) -> DecayedNetwork:
    """Train one architecture at every decay; solve its explicit problems; follow its flow."""
    X, y, model = np.asarray(dataset.X), np.asarray(dataset.y), build()
    path = decay_path(model, X, y, [-value for value in logs])
    regularizer = model.regularizer
    assert regularizer is not None
    optimum = max_margin(X, y, regularizer) if regularizer.is_norm else None
    least: dict[float, float] = {}
    for one in path:
        if optimum is not None and -one.log_decay <= COMPARED:
            radius = one.square / (2.0 if doubled else 1.0)
            solved = regularization_path(X, y, [radius], regularizer, loss="exponential", tol=1e-9)
            least[one.log_decay] = float(solved.losses[0])
    return DecayedNetwork(name, model, doubled, path, optimum, flow_limit(build(), X, y), len(y), least)


def checks_of(found: DecayedNetwork) -> list[Check]:
    """The three predictions, and the flow's limit."""
    last = found.path[-1]
    if found.optimum is None:
        statement = f"{found.name}: the limit λ → 0 is the limit of gradient flow"
        why = "R is no norm: both end at stationary points, not necessarily at the same one"
        return [Check.no_prediction(statement, found.apart(last), unit="rad", why=why)]
    cheapest = max(abs(one.square / found.value(one) - 1.0) for one in found.path)
    losses = [
        abs(math.expm1(one.log_loss - found.least[one.log_decay])) for one in found.path if one.log_decay in found.least
    ]
    over = max((found.excess(one) - found.bound(one) for one in found.path), default=math.inf)
    checks = [
        Check.at_most(f"{found.name}: at every λ the weights are the cheapest ones", cheapest, RESOLUTION),
        Check.at_most(f"{found.name}: at every λ the loss is the least for its R", max(losses), ON_THE_PATH),
        Check.at_most(f"{found.name}: at every λ R/(R* min m) − 1 − ln N/min m is not positive", over, RESOLUTION),
        Check.of(
            f"{found.name}: as λ → 0 the network tends to the max margin",
            Evidence(abs(found.excess(last)), found.bound(last)),
            RESOLUTION,
            reference=WEI,
        ),
    ]
    if found.optimum.unique.known and found.apart(last) is not None:
        statement = f"{found.name}: the limit λ → 0 is the limit of gradient flow"
        checks.append(Check.of(statement, found.apart_in_the_end, ANGLE_RESOLUTION, unit="rad", reference=WEI))
    return checks


def rows_of(found: DecayedNetwork) -> list[dict[str, Value]]:
    """A line for each decay."""
    regularizer, norm = found.model.regularizer, found.optimum is not None
    assert regularizer is not None
    verdict = Verdict.of_all(check.verdict for check in checks_of(found)).value
    rows: list[dict[str, Value]] = []
    for one in found.path:
        least = found.least.get(one.log_decay)
        rows.append(
            {
                "network": found.name,
                "regularizer": regularizer.formula,
                "inverse": -one.log_decay,
                "cheapest": one.square / found.value(one) - 1.0 if norm else None,
                "path": None if least is None else math.expm1(one.log_loss - least),
                "excess": found.excess(one) if norm else None,
                "bound": found.bound(one) if norm else None,
                "angle": found.apart(one),
                "theory": verdict,
            }
        )
    return rows


def decay_report(asked: DecayComparison) -> Report:
    """Every architecture on one data set."""
    dataset = asked.dataset()
    chosen = networks(dataset.X.shape[1], asked.kernel, asked.channels, asked.seed)
    parts = [
        (name, partial(one_network, name, build, doubled, dataset, asked.log_inverse_decays))
        for name, (build, doubled) in chosen.items()
    ]

    def sections(found: Sequence[DecayedNetwork]) -> list[Section]:
        text = (
            "Σ exp(−mₙ) + (λ/2)‖w‖² minimized over the weights, from the same start at every λ in turn. R_w(β) is the "
            "least ‖w‖² of weights that compute β; the explicit path has the least loss for every bound on it."
        )
        rows = [line for one in found for line in rows_of(one)]
        checks = [check for one in found for check in checks_of(one)]
        return [Section(f"{dataset.name}: weight decay λ → 0", text, COLUMNS, rows, checks)]

    return asked.report_of_parts(parts, "Weight decay", sections, dataset, seeds=[asked.seed])
