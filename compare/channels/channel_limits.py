"""The multi-channel comparison: does gradient flow on a CNN end at the certified optimum of R_K, whatever C is?

For each kernel size K the max margin with the convex R_K is solved and certified; for each number of channels C and
each seed the flow of the network itself is followed to its limit. Both are measured by ‖w‖² at margin one.
What theory says:

- no network with any C can be cheaper than the certified optimum;
- signals with one input channel: the optimum is the same for every C ≥ 1, so the flow is held to it for every C (no
  theorem says that the flow finds it, only that it ends at a KKT point: the check tests the expectation, and says so);
- images, or several input channels: the same once C reaches the rank of the convex solution, which is therefore
  reported; below that rank the optimum itself may be larger, and a gap is a finding, not a failure.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.channels.channel_data import ChannelData
from compare.margin.evidence import RESOLUTION, evidence, place_before
from compare.reports.curves import MARKERS
from compare.reports.progress import run_parts
from compare.reports.records import slug
from compare.reports.report import Check, Column, Evidence, Figure, Report, Section
from compare.reports.wording import counted
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.networks.multi_channel import MultiChannelCNN
from solvers.max_margin import max_margin
from solvers.regularizers.conv_kernel import ConvKernel
from solvers.solution import Solution

if TYPE_CHECKING:
    from compare.experiments.channels import ChannelComparison

REFERENCE = "Jagadeesan, Razenshteyn, Gunasekar (2021)"
NOTHING = 1e-8  # relative: a cost this much below a proved bound is rounding
EXPECTED = "the theorem is about the optimum; the flow is promised a KKT point, and that it is the optimum is tested"


@dataclass(frozen=True)
class ChannelLimit:
    """One network's limit and its kernel size's optimum; both measured by ‖w‖² at margin one."""

    kernel: int
    channels: int
    seed: int
    optimum: Solution
    limit: Limit
    seconds: float

    @property
    def cost(self) -> float:
        """‖w‖² at margin one where the integration of the flow ended; inf without a margin."""
        return cost_at(self.limit.integrated.margin)

    @property
    def cost_before(self) -> float | None:
        """The same where ln‖w‖ was a fifth less; None where the path has no such place."""
        at = place_before(self.limit)
        return None if at is None else cost_at(float(self.limit.path.margins[at].min()))

    @property
    def excess(self) -> float:
        """(cost − certified lower bound) / lower bound, at least the true excess; inf without a margin."""
        return self.cost / self.optimum.lower_bound - 1.0

    def apart(self, reference: float) -> Evidence:
        """The evidence of how far the cost is from another, relatively."""
        now, before = self.cost, self.cost_before
        then = None if before is None else abs(before / reference - 1.0)
        return evidence(self.limit, abs(now / reference - 1.0), then)

    @property
    def predicted(self) -> bool:
        """Whether theory puts the optimum of C channels at the convex value."""
        signals = self.optimum.beta.ndim == 1
        return signals or self.channels >= getattr(self.optimum, "rank", np.inf)


def measure(data: ChannelData, kernel: int, asked: ChannelComparison) -> list[ChannelLimit]:
    """One kernel size: the certified optimum and every flow."""
    size = (kernel,) * len(data.grid)
    regularizer = ConvKernel(kernel if len(size) == 1 else size, data.channels)
    optimum = max_margin(data.X, data.y, regularizer, tol=asked.tol)
    runs = []
    for C in asked.channels:
        for seed in asked.seeds:
            network = MultiChannelCNN(data.grid, size, data.channels, C, scale=asked.init, seed=seed)
            began = time.perf_counter()
            limit = flow_limit(network, data.X, data.y, loss=asked.loss)
            seconds = time.perf_counter() - began
            runs.append(ChannelLimit(kernel, C, seed, optimum, limit, seconds))
    return runs


def cost_at(margin: float) -> float:
    """‖w‖² at margin one of a network of degree 2 whose weights of norm one have this margin."""
    return 1.0 / margin if margin > 0 else np.inf


COLUMNS = (
    Column("kernel", "K", about="Kernel size along each axis."),
    Column("channels", "C", about="Output channels."),
    Column("optimum", "optimum ‖w‖²", format=".9g", about="Max margin with R_K: ‖U‖² + ‖V‖² at margin one."),
    Column("gap", "certified to", format=".1e", about="Relative duality gap of the optimum."),
    Column("rank", "rank", about="Channels that the convex optimum uses."),
    Column(
        "mean", "flow ‖w‖²", format=".9g", about="Mean over seeds: ‖w‖² at margin one where the flow ended, unpolished."
    ),
    Column("excess", "above optimum", format=".1e", about="Largest over seeds, relative to the certified lower bound."),
    Column("spread", "spread", format=".1e", about="(largest − smallest)/mean over seeds."),
    Column("status", "polished", about="What was proved of the polished limits."),
    Column("seconds", "time", "s", ".2f", about="Mean time of one flow."),
)


def row(runs: Sequence[ChannelLimit]) -> dict[str, Any]:
    """One line of the table: all seeds of one (K, C)."""
    first, costs = runs[0], np.array([run.cost for run in runs])
    return {
        "kernel": first.kernel,
        "channels": first.channels,
        "optimum": first.optimum.objective,
        "gap": first.optimum.certificate.gap,
        "rank": getattr(first.optimum, "rank", None),
        "mean": float(costs.mean()),
        "excess": max(run.excess for run in runs),
        "spread": float(np.ptp(costs) / costs.mean()) if len(runs) > 1 else None,
        "status": ", ".join(sorted({run.limit.status.name.lower() for run in runs})),
        "seconds": float(np.mean([run.seconds for run in runs])),
    }


def checks(groups: Sequence[Sequence[ChannelLimit]], signals: bool) -> list[Check]:
    """The flow against each certified optimum, from both sides, and independence of C where it is a theorem."""
    found = []
    for runs in groups:
        first, worst = runs[0], max(runs, key=lambda run: run.excess)
        statement = f"K = {first.kernel}, C = {first.channels}: the flow ends at the certified optimum of R_K"
        if first.predicted:
            about = {"reference": REFERENCE, "reason": EXPECTED}
            apart = (run.apart(run.optimum.lower_bound) for run in runs)
            found.append(Check.worst(Check.of(statement, each, RESOLUTION, **about) for each in apart))
        else:
            rank = getattr(first.optimum, "rank", None)
            why = f"the convex optimum has rank {rank} > C, so C channels may cost more: a gap is a finding"
            found.append(Check.no_prediction(statement, worst.excess, why=why, reference=REFERENCE))
    for K in dict.fromkeys(runs[0].kernel for runs in groups):
        of_kernel = [run for runs in groups for run in runs if run.kernel == K]
        optimum = of_kernel[0].optimum
        saved = max(0.0, 1.0 - min(run.cost for run in of_kernel) / optimum.lower_bound)
        statement = f"K = {K}: no network is cheaper than the certified lower bound"
        found.append(Check.at_most(statement, saved, NOTHING, reference=REFERENCE))
        if signals and len({run.channels for run in of_kernel}) > 1:
            first, last = (pick(of_kernel, key=lambda run: run.cost) for pick in (min, max))
            least, most = first.apart(first.cost), last.apart(first.cost)
            spread = Evidence(most.figure, least.uncertainty + most.uncertainty)
            statement = f"K = {K}: the cost of the flow's limit does not depend on C"
            theorem = f"{REFERENCE}, theorem for one input channel in one dimension"
            found.append(Check.of(statement, spread, RESOLUTION, reference=theorem, reason=EXPECTED))
    return found


def figure(groups: Sequence[Sequence[ChannelLimit]], name: str) -> Figure:
    """‖w‖² for each kernel size: the certified optimum, a dash, and on it the flow's limits, side by side by C."""
    kernels = list(dict.fromkeys(runs[0].kernel for runs in groups))
    channels = list(dict.fromkeys(runs[0].channels for runs in groups))
    table = {(runs[0].kernel, runs[0].channels): np.array([run.cost for run in runs]) for runs in groups}
    optimum = {runs[0].kernel: runs[0].optimum.objective for runs in groups}
    data: dict[str, Any] = {"K": kernels, "optimum [norm squared at margin 1]": [optimum[K] for K in kernels]}
    for C in channels:
        data[f"flow, C = {C} [norm squared at margin 1]"] = [float(table[K, C].mean()) for K in kernels]

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        places = np.arange(len(kernels))
        ends = (places[:, np.newaxis] + np.array([-0.35, 0.35, np.nan])).ravel()
        axes.plot(ends, np.repeat([optimum[K] for K in kernels], 3), color="C7", label="certified optimum")
        for i, C in enumerate(channels):
            costs = [table[K, C] for K in kernels]
            mean = np.array([p.mean() for p in costs])
            spread = np.array([[m - p.min(), p.max() - m] for m, p in zip(mean, costs, strict=True)]).T
            look = {
                "marker": MARKERS[i % len(MARKERS)],
                "color": f"C{i}",
                "linestyle": "",
                "markersize": 5,
                "capsize": 3,
            }
            at = places + 0.5 * ((i + 0.5) / len(channels) - 0.5)
            axes.errorbar(at, mean, yerr=spread, label=f"flow, C = {C}", **look)
        axes.set_xticks(places, [str(K) for K in kernels])
        axes.set_xlim(-0.6, len(kernels) - 0.4)
        axes.margins(y=0.15)
        axes.set_xlabel("kernel size K")
        axes.set_ylabel("‖w‖² at margin one")
        axes.legend()

    caption = (
        "‖w‖² at margin one: the certified optimum of each kernel size (grey), the flow's limits side by side on it"
    )
    bars = "; bars span the seeds." if any(len(runs) > 1 for runs in groups) else "."
    return Figure(name, caption + bars, draw, data)


def channel_report(asked: ChannelComparison) -> Report:
    """Every kernel size, number of channels and seed on one data set."""
    data = asked.dataset()
    parts = [(f"K = {K}", partial(measure, data, K, asked)) for K in asked.kernels]
    done = run_parts(parts, f"Channels, {data.name}", show=asked.progress)
    runs = [run for part in done.results for run in part]
    keys = list(dict.fromkeys((run.kernel, run.channels) for run in runs))
    groups = [[run for run in runs if (run.kernel, run.channels) == key] for key in keys]
    signals = len(data.grid) == 1 and data.channels == 1
    kind = "signals" if len(data.grid) == 1 else "images"
    text = (
        f"{len(data.X)} {kind} of shape {'×'.join(map(str, data.X.shape[1:]))}, "
        f"{counted(data.channels, 'input channel')}.\n\n"
        "    R_{K,C}(β) = min ‖U‖² + ‖V‖²  over networks with C kernels of size K that compute β\n\n"
        "The optimum is min R_K(β) over β with margin one, certified by its dual; the flow is gradient flow on the "
        "network itself, and its limit is scaled to margin one."
    )
    section = Section(
        f"Multi-channel CNNs: {data.name}",
        text,
        COLUMNS,
        tuple(row(group) for group in groups),
        tuple(checks(groups, signals)),
        (figure(groups, f"cost-{slug(data.name)}"),) if len({group[0].kernel for group in groups}) > 1 else (),
    )
    return asked.report([section], done, used=[data.used], seeds=asked.seeds, notes=data.notes)
