"""Is the limit a local minimum in weight space, and is that minimum the optimum in the space of predictors?

    min ‖w‖²  s.t.  y_n⟨x_n, P(w)⟩ ≥ 1                                                                         (14)
    min R(β)  s.t.  y_n⟨x_n, β⟩ ≥ 1,       R(β) = min {‖w‖² : P(w) = β}                                        (15)

That flows end at local minima of (14), not only at stationary points, is suspected by Gunasekar et al. (2018); that
stationary points of (14) may have nothing to do with (15) is stated there. Both are measured. For the first the figure
is how fast a small weight grows out of the direction where the integration ended (`Limit.integrated.growth`), which can
refute; the second-order conditions at the polished limit must say minimum too, or nothing is decided. For the second,
circular networks with one kernel of size K: their R_K is a norm, so a strict local minimum of (14) above the certified
optimum of (15) settles it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from compare.bounded.signals import Signals
from compare.margin.evidence import GROWING
from compare.reports.report import Check, Column, Evidence, Section, Value, Verdict
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.flow.second_order import PointKind, SecondOrder
from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from gd.networks.linear_network import LinearNetwork
from gd.networks.multi_channel import MultiChannelCNN

SUSPECTED = "suspected in section 4 of Gunasekar et al. (2018), not proved"
STATED = "Gunasekar et al. (2018), after eq. (15)"
LARGE_GAP = 1e-3
"""Relative excess of a norm over its certified optimum that no accuracy of the limit explains (polished: 1e-9)."""
ONE_KERNEL = 6  # starts of the network with one kernel: of 24 measured, 2 ended above the optimum
COLUMNS = (
    Column("data", "data"),
    Column("network", "network"),
    Column("status", "status"),
    Column("kind", "in weight space"),
    Column(
        "smallest", "smallest curvature", format=".2g", about="Of I − Σ λ∇²m along the constraints, symmetries aside."
    ),
    Column("flat", "flat", about="Directions without curvature that are no symmetries."),
    Column("symmetries", "symmetries", about="Directions of rotations between layers, phases, rotations of channels."),
    Column("growth", "growth", format=".1e", about="Of the fastest small weight per unit of ln‖w‖, before any polish."),
    Column("gap", "gap of (15)", format=".1e", about="1 − R*/‖w‖² with R* certified, where R is a norm."),
)


@dataclass(frozen=True)
class Minimum:
    """One network's limit."""

    signals: Signals
    name: str
    one_kernel: bool
    limit: Limit = field(repr=False)
    second: SecondOrder

    @property
    def gap(self) -> float | None:
        """Of the predictor problem, where R is a norm."""
        certificate = self.limit.certificate
        return None if certificate is None or certificate.gap is None else float(certificate.gap)


def networks(D: int, kernel: int, seed: int) -> dict[str, LinearNetwork]:
    """The architectures by name."""
    build: dict[str, Callable[[], LinearNetwork]] = {
        "fully connected, L=2": lambda: FullyConnected(D, 2, seed=seed),
        "fully connected, L=3": lambda: FullyConnected(D, 3, seed=seed),
        "diagonal, L=2": lambda: Diagonal(D, 2, seed=seed),
        "diagonal, L=3": lambda: Diagonal(D, 3, seed=seed),
        "convolutional, L=2": lambda: Convolutional(D, 2, seed=seed),
        "convolutional, L=3": lambda: Convolutional(D, 3, seed=seed),
        f"kernel {kernel}, L=3": lambda: Convolutional(D, 3, kernel=kernel, seed=seed),
        f"kernel {kernel}, L=2, C=2": lambda: MultiChannelCNN(D, kernel, 1, 2, seed=seed),
    }
    return {name: make() for name, make in build.items()}


def minima(signals: Signals, kernel: int, seed: int) -> list[Minimum]:
    """Every architecture on one data set, and further starts with one kernel."""
    D, found = signals.X.shape[1], []
    for name, model in networks(D, kernel, seed).items():
        limit = flow_limit(model, signals.X, signals.y)
        found.append(Minimum(signals, name, False, limit, limit.second_order()))
    starts = [Convolutional(D, 2, kernel=kernel, seed=start) for start in range(ONE_KERNEL)]
    limits = flow_limit(starts, signals.X, signals.y)
    name = f"kernel {kernel}, L=2, C=1"
    return found + [Minimum(signals, name, True, limit, limit.second_order()) for limit in limits]


def local_check(found: Minimum) -> Check:
    """That nothing grows out of the direction."""
    statement = f"{found.name}, {found.signals.name}: the flow ends at a local minimum of min ‖w‖²"
    growth = found.limit.integrated.growth
    if not found.limit.status.converged or math.isnan(growth):
        return Check.not_reached(statement, None, why=str(found.limit.status), reference=SUSPECTED)
    turning = 10.0 * found.limit.integrated.turned / max(found.limit.log_norm, 1.0)
    check = Check.of(statement, Evidence(max(growth, 0.0), turning), GROWING, reference=SUSPECTED)
    if check.verdict is Verdict.CONFIRMED and not found.second.kind.minimum:
        return Check.not_reached(statement, growth, why=f"nothing grows, but: {found.second.kind}", reference=SUSPECTED)
    return check


def apart_check(found: list[Minimum]) -> Check:
    """That a strict local minimum with one kernel can be above the optimum of the predictor problem."""
    strict = [one for one in found if one.one_kernel and one.second.kind is PointKind.STRICT_MINIMUM]
    gaps = [one.gap for one in strict if one.gap is not None]
    statement = "one kernel: a strict local minimum in weight space that is not the optimum in the space of predictors"
    if not gaps:
        return Check.not_reached(statement, None, why="no flow ended at a strict local minimum", reference=STATED)
    above = sum(gap > LARGE_GAP for gap in gaps)
    reason = f"{above} of {len(gaps)} are above it, by as much as this, relatively"
    if not above:  # that there is one is not refuted by those that are none
        return Check.not_reached(statement, max(gaps), why=reason, reference=STATED)
    return Check.at_least(statement, Evidence(max(gaps)), LARGE_GAP, reference=STATED, reason=reason)


def row(found: Minimum) -> dict[str, Value]:
    """One line of the table."""
    return {
        "data": found.signals.name,
        "network": found.name,
        "status": found.limit.status.name,
        "kind": found.second.kind.name.replace("_", " ").lower(),
        "smallest": found.second.smallest,
        "flat": found.second.flat,
        "symmetries": found.second.symmetries,
        "growth": found.limit.integrated.growth,
        "gap": found.gap,
    }


def minima_section(found: list[Minimum]) -> Section:
    """The table and its predictions."""
    text = (
        "Second-order conditions of min ‖w‖² s.t. margins ≥ 1 at each limit, and the gap of the problem in the space "
        "of predictors where its regularizer is a norm. One kernel of size K and several have the same function class "
        "and the same R_K, but not the same weight space: with one kernel a strict local minimum can lie above the "
        "optimum."
    )
    checks = [*(local_check(one) for one in found), apart_check(found)]
    return Section("Local minima in weight space", text, COLUMNS, [row(one) for one in found], checks)
