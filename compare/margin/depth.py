"""Deeper is sparser: the limits of diagonal and convolutional networks as p = 2/L falls from 2 towards 0.

The price ‖β‖_p (‖β̂‖_p for convolutions) of a network of depth L is the ℓ2 norm at L = 1, the ℓ1 norm at L = 2, and
counts nonzeros as L → ∞. Each limit is held to its own theorem; that the support shrinks with depth is seen, not
proved: for L > 2 the limit is one stationary point of several, and which one depends on the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from compare.data.load import Dataset, load
from compare.margin.families import families
from compare.margin.measure import Plan, Run, measure_family
from compare.margin.networks import ARCHITECTURES
from compare.margin.tables import FLOW_COLUMNS, family_checks, filled, flow_row
from compare.reports.progress import run_parts
from compare.reports.provenance import Provenance
from compare.reports.report import Figure, Report, Section

PREDICTED_BY_COEFFICIENTS = ("diagonal", "convolutional")
"""The architectures whose price is a norm of coefficients, so that there is a support to count."""


def compare_depths(
    dataset: Dataset,
    *,
    architectures: Sequence[str] = PREDICTED_BY_COEFFICIENTS,
    depths: Sequence[int] = (1, 2, 3, 4, 5, 6),
    seeds: Sequence[int] = (0, 1, 2),
    scale: float = 0.1,
    progress: bool = False,
) -> Report:
    """The limits of gradient flow at every depth, their supports, and their certificates.

    Raises NotSeparableError when no predictor separates the data; ValueError for unknown names, depths or seeds.
    """
    chosen = families(
        dataset.X, names=architectures, depths=depths, seeds=seeds, scale=scale, image_shape=dataset.image_shape
    )
    plan = Plan(steps=10)  # gradient descent itself has no part in this
    done = run_parts([(f.label, partial(measure_family, f, dataset.y, plan)) for f in chosen], "Depths", show=progress)
    runs = [run for group in done.results for run in group]
    return Report(
        f"Depth: linear networks on {dataset.name}",
        (section(runs, dataset),) if runs else (),
        Provenance.collect([dataset.used], seeds=seeds, command="compare.compare_depths(dataset)"),
        notes=(done.note,) if done.note else (),
        complete=done.complete,
    )


def section(runs: Sequence[Run], dataset: Dataset) -> Section:
    """The table, the predictions, and one plot."""
    columns, rows = filled([row(run) for run in runs], FLOW_COLUMNS)
    N, D = dataset.X.shape
    text = (
        f"{N} points in {D} dimensions. Gradient flow of a network of depth L ends at a stationary point (L ≤ 2: the "
        "minimizer) of\n\n"
        "    min ‖c‖_p   s.t.   yₙ⟨xₙ, β⟩ ≥ 1,   p = 2/L,\n\n"
        "c = β for diagonal networks and c = β̂, the unitary DFT of β, for convolutional ones. The smaller p, the more "
        "a nonzero coefficient costs; no theorem says how many are left. For L > 2, β* "
        "is the stationary point that the solver reaches from the limit."
    )
    grouped = groupby(runs, key=lambda run: id(run.family))
    checks = [check for _, members in grouped for check in family_checks(list(members))]
    return Section(f"{dataset.name}: support against depth", text, columns, rows, tuple(checks), (support_plot(runs),))


def row(run: Run) -> dict[str, Any]:
    """A line of the limits' table; at depth 1, where the price is ℓ2, every nonzero entry counts as support."""
    filled_in = dict(flow_row(run))
    if filled_in["support"] is None and run.limit.predictor is not None:
        β = np.abs(run.limit.predictor)
        filled_in["support"] = int((β > 1e-9 * β.max()).sum())
    return filled_in


def support_plot(runs: Sequence[Run]) -> Figure:
    """Nonzero coefficients of the limit against depth, one dot per seed."""
    linear = [run for run in runs if run.family.depth == 1]
    points: dict[str, list[tuple[int, int]]] = {}
    for run in (r for r in runs if r.family.depth > 1 and r.family.row.name in ARCHITECTURES):
        points.setdefault(run.family.row.name, []).append((run.family.depth, row(run)["support"]))
    for values in points.values():
        values[:0] = [(1, row(run)["support"]) for run in linear]
    data = {
        f"{what} {name}": [point[i] for point in values]
        for name, values in points.items()
        for i, what in enumerate(("depth:", "support:"))
    }

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        for colour, (name, values) in enumerate(points.items()):
            depths, counts = np.array(values).T
            axes.plot(depths, counts, color=f"C{colour}", ls="", marker="o", ms=4, alpha=0.6, label=name)
            levels = np.unique(depths)
            axes.plot(levels, [counts[depths == level].mean() for level in levels], color=f"C{colour}")
        axes.set_xlabel("depth L")
        axes.set_ylabel("nonzero coefficients of the limit")
        axes.set_ylim(bottom=0)
        axes.legend()

    caption = "Support of the flow's limit: a dot per seed, lines through the means."
    return Figure("support-by-depth", caption, draw, data)


def quick() -> Report:
    """The part of bare `implicitbias compare`."""
    return compare_depths(load("synthetic:10,24,0"), depths=(1, 2, 3, 4, 6), seeds=(0, 1), progress=True)
