"""Deeper is sparser: the limits of diagonal and convolutional networks as p = 2/L falls from 2 towards 0.

The regularizer ‖β‖_p (‖β̂‖_p for convolutions) of a network of depth L is the ℓ2 norm at L = 1, the ℓ1 norm at L = 2,
and counts nonzeros as L → ∞. Each limit is held to its own theorem; that the support shrinks with depth is seen, not
proved: for L > 2 the limit is one stationary point of several, and which one depends on the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.data.dataset import Dataset
from compare.experiments.margin import MarginComparison
from compare.margin.architectures import ARCHITECTURES
from compare.margin.families import families
from compare.margin.flow_and_solution import FlowAndSolution, measure_family
from compare.margin.margin_predictions import FLOW_COLUMNS, families_checks, filled, flow_row
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Figure, Report, Section
from compare.reports.wording import counted

if TYPE_CHECKING:
    from compare.experiments.depth import DepthComparison


def depth_report(asked: DepthComparison) -> Report:
    """The limits of gradient flow at every depth, their supports, and their certificates."""
    dataset = asked.dataset()
    chosen = families(dataset, names=asked.architectures, depths=asked.depths, seeds=asked.seeds, scale=asked.init)
    settings = MarginComparison(dataset, steps=10)  # plain gradient descent has no part in this
    parts = [(f.label, partial(measure_family, f, dataset.y, settings)) for f in chosen]
    return asked.report_of_parts(parts, "Depths", lambda runs: [section(runs, dataset)], dataset, seeds=asked.seeds)


def section(runs: Sequence[FlowAndSolution], dataset: Dataset) -> Section:
    """The table, the predictions, and one plot."""
    columns, rows = filled([row(run) for run in runs], FLOW_COLUMNS)
    N, D = dataset.X.shape
    text = (
        f"{counted(N, 'point')} in {counted(D, 'dimension')}. "
        "Gradient flow of a network of depth L ends at a stationary point (L ≤ 2: the "
        "minimizer) of\n\n"
        "    min ‖c‖_p   s.t.   yₙ⟨xₙ, β⟩ ≥ 1,   p = 2/L,\n\n"
        "c = β for diagonal networks and c = β̂, the unitary DFT of β, for convolutional ones. The smaller p, the more "
        "a nonzero coefficient costs; no theorem says how many are left. For L > 2, β* "
        "is the stationary point that the solver reaches from the limit."
    )
    return Section(
        f"{dataset.name}: support against depth", text, columns, rows, families_checks(runs), (support_plot(runs),)
    )


def row(run: FlowAndSolution) -> dict[str, Any]:
    """A line of the limits' table; at depth 1, where R is ℓ2, every nonzero entry counts as support."""
    filled_in = dict(flow_row(run))
    if filled_in["support"] is None and run.limit.predictor is not None:
        β = np.abs(run.limit.predictor)
        filled_in["support"] = int((β > 1e-9 * β.max()).sum())
    return filled_in


def support_plot(runs: Sequence[FlowAndSolution]) -> Figure:
    """Nonzero coefficients of the limit against depth, one dot per seed."""
    deeper = [run.family.row.name for run in runs if run.family.depth > 1 and run.family.row.name in ARCHITECTURES]
    curves, data = [], dict[str, Any]()
    networks = list(dict.fromkeys(deeper))
    for colour, name in enumerate(networks):
        aside = 0.08 * (colour - 0.5 * (len(networks) - 1))  # where two networks agree, both are seen
        shown = [run for run in runs if run.family.depth == 1 or run.family.row.name == name]
        depths = np.array([run.family.depth for run in shown])
        counts = np.array([row(run)["support"] for run in shown])
        levels = np.unique(depths)
        means = [counts[depths == level].mean() for level in levels]
        data |= {f"depth: {name}": depths, f"support: {name}": counts}
        curves.append(Curve(name, depths + aside, counts, "o", colour, look={"ms": 4, "alpha": 0.6}))
        curves.append(Curve("", levels + aside, means, "-", colour))
    caption = "Support of the flow's limit: a dot per seed, lines through the means."
    labels = ("depth L", "nonzero coefficients of the limit")
    plot = curve_plot("support-by-depth", caption, curves, labels, adjust=lambda axes: axes.set_ylim(bottom=0))
    return replace(plot, data=data)
