"""The report: how often flows of each width and scale end at the global optimum, every network, and its neurons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.data.dataset import Dataset
from compare.relu.neurons import neuron_figures
from compare.relu.relu_limits import End, ReluLimit, bound_check, checks, follow
from compare.reports.curves import Curve, curve_plot
from compare.reports.progress import run_parts
from compare.reports.report import Check, Column, Figure, Report, Section, Value, Verdict
from compare.reports.tables import table_of
from solvers.relu.certificate import ReluSolution
from solvers.relu.margin import relu_max_margin

if TYPE_CHECKING:
    from compare.experiments.relu import ReluComparison

SMALLEST_DRAWN = 1e-12  # an excess below this is rounding, and is drawn here


def relu_report(asked: ReluComparison) -> Report:
    """The optimum, then every network, a part of the progress bar for each width and scale."""
    dataset = asked.dataset()
    optimum = relu_max_margin(dataset.X, dataset.y, slope=asked.slope)
    groups = list(product(dict.fromkeys(asked.widths), dict.fromkeys(asked.inits)))
    parts = [
        (f"width {width}, α = {scale:g}", partial(group, asked, dataset, optimum, width, scale))
        for width, scale in groups
    ]
    done = run_parts(parts, "Two-layer ReLU networks", show=asked.progress)
    sections = [summary(done.results, optimum, dataset), networks(done.results, dataset)] if done.results else []
    return asked.report(sections, done, on=dataset.name, used=[dataset.used], seeds=asked.seeds)


def group(asked: ReluComparison, dataset: Dataset, optimum: ReluSolution, width: int, scale: float) -> list[ReluLimit]:
    """All seeds of one width and scale."""
    return follow(dataset.X, dataset.y, optimum, width, scale, dict.fromkeys(asked.seeds), asked.max_steps)


def summary(groups: Sequence[Sequence[ReluLimit]], optimum: ReluSolution, dataset: Dataset) -> Section:
    """How often and how far, with the bound that no network may be below."""
    proved = (
        "It is proved to be the least."
        if optimum.gap <= 1e-9
        else (f"Its proved lower bound is {optimum.lower_bound:.6g}, so that nothing can be proved to be the optimum.")
    )
    text = (
        f"The network of least norm has ½‖w‖² = {optimum.value:.9g} at margin one and {optimum.output_weights.size} "
        f"units. {proved} That a network of finite width ends there is not a theorem: how many do is counted.\n\n"
        "    min ½‖w‖²   s.t.   yₙ Σⱼ aⱼ σ(wⱼ·xₙ) ≥ 1"
    )
    return Section(
        f"{dataset.name}: how often the flow ends at the global optimum",
        text,
        *table_of(
            groups,
            (Column("width", "width"), lambda g: g[0].width),
            (Column("scale", "α", format=".3g", about="Of torch's default initialization."), lambda g: g[0].scale),
            (Column("networks", "networks"), len),
            (Column("separated", "separate", about="Networks whose margins all became positive."), separated),
            (Column("optimum", "at the optimum", about="As the flow measures it, to 10⁻⁵."), reached),
            (Column("above", "above"), partial(count, end=End.ABOVE)),
            (Column("open", "not settled"), partial(count, end=End.OPEN)),
            (Column("median", "median excess", format=".2g", about="Of those above: ½‖w‖² over the optimum, less 1."),
             partial(of_those_above, figure=np.median)),
            (Column("largest", "largest excess", format=".2g"), partial(of_those_above, figure=np.max)),
        ),
        checks=[bound_check([run for g in groups for run in g], optimum.lower_bound, "the certified lower bound")],
        figures=[*excess_plots(groups), *neuron_figures(groups, optimum, dataset.X, dataset.y)],
    )  # fmt: skip


def count(runs: Sequence[ReluLimit], end: End) -> int:
    """How many flows ended so."""
    return sum(run.end is end for run in runs)


def separated(runs: Sequence[ReluLimit]) -> int:
    """How many networks classify every point."""
    return len(runs) - count(runs, End.NOT_SEPARATED)


def reached(runs: Sequence[ReluLimit]) -> int | None:
    """How many ended at the optimum; None where the best network known is not proved to be that."""
    return None if count(runs, End.BEST_KNOWN) else count(runs, End.OPTIMUM)


def of_those_above(runs: Sequence[ReluLimit], figure: Any) -> float | None:
    """A figure of the excesses of the networks that ended above the optimum."""
    found = [run.excess.figure for run in runs if run.end is End.ABOVE]
    return float(figure(found)) if found else None


def networks(groups: Sequence[Sequence[ReluLimit]], dataset: Dataset) -> Section:
    """A row and the checks of every network."""
    runs = [run for g in groups for run in g]
    made = {id(run): checks(run, dataset.X, dataset.y) for run in runs}
    text = (
        "Where each flow ended is measured on its own weights, before any polish. The certificate is that of the "
        "polished limit: its multipliers, or a cheaper network and how many units that has."
    )
    return Section(
        f"{dataset.name}: every network",
        text,
        *table_of(
            runs,
            (Column("width", "width"), lambda run: run.width),
            (Column("scale", "α", format=".3g"), lambda run: run.scale),
            (Column("seed", "seed"), lambda run: run.seed),
            (Column("end", "flow ends"), lambda run: run.end.value),
            (Column("value", "½‖w‖²", format=".7g", about="At margin one, where the integration ended."), finite_value),
            (Column("excess", "excess", format=".2g", about="Over the best network known, relative."), excess),
            (Column("kkt", "KKT residual", format=".2g", about="Of the integrated direction."), residual),
            (Column("certificate", "certificate", about="Of the polished limit."), certificate),
            (Column("cheaper", "units of the cheaper", about="Of the network that proves a limit not global."), units),
            (Column("theory", "theory", format="verdict"), lambda run: verdict(made[id(run)])),
        ),
        checks=[check for run in runs for check in made[id(run)]],
    )  # fmt: skip


def verdict(of_network: Sequence[Check]) -> Verdict:
    """What all checks of one network say."""
    return Verdict.of_all(check.verdict for check in of_network)


def finite_value(run: ReluLimit) -> Value:
    """½‖w‖² at margin one."""
    return run.value if math.isfinite(run.value) else None


def excess(run: ReluLimit) -> Value:
    """How far that is above the best network known."""
    return run.excess.figure if math.isfinite(run.value) else None


def residual(run: ReluLimit) -> Value:
    """Sine of the angle between the weights and the flow's force."""
    return run.limit.integrated.residual if math.isfinite(run.value) else None


def certificate(run: ReluLimit) -> Value:
    """What is proved of the polished limit."""
    return None if run.certificate is None else run.certificate.verdict.name.lower().replace("_", " ")


def units(run: ReluLimit) -> Value:
    """How many units the cheaper network has."""
    cheaper = None if run.certificate is None else run.certificate.cheaper
    return None if cheaper is None else int(cheaper.output_weights.size)


def excess_plots(groups: Sequence[Sequence[ReluLimit]]) -> list[Figure]:
    """The excess of every network over its initial scale, a colour for each width; no plot over a single scale."""
    if len({g[0].scale for g in groups}) < 2:
        return []
    caption = "½‖w‖² of each network above the best known, where its flow ended."
    labels = ("initial scale α", "relative excess")
    return [curve_plot("excess", caption, list(excess_curves(groups)), labels, log="xy", level=1e-5)]


def excess_curves(groups: Sequence[Sequence[ReluLimit]]) -> Iterator[Curve]:
    """The points of one width each, a little apart from the next one's."""
    widths = dict.fromkeys(g[0].width for g in groups)
    for place, width in enumerate(widths):
        runs = [run for g in groups if g[0].width == width for run in g if math.isfinite(run.value)]
        aside = 1.08 ** (place - 0.5 * (len(widths) - 1))
        drawn = [max(run.excess.figure, SMALLEST_DRAWN) for run in runs]
        names = (f"alpha, width {width} (moved aside)", f"excess, width {width}")
        yield Curve(f"width {width}", [run.scale * aside for run in runs], drawn, "o", names=names)
