"""The margin comparison: every network's limit and the max-margin predictor of its induced regularizer.

For each network the explicit problem is solved and certified; gradient flow is followed to its limit from the network's
own initial weights; plain gradient descent is run for a number of steps. `compare.margin.margin_predictions` says what
is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from compare.data.dataset import Dataset
from compare.margin.families import families, own_families
from compare.margin.flow_and_solution import FlowAndSolution, measure_family
from compare.margin.margin_figures import figures
from compare.margin.margin_predictions import (
    DESCENT_COLUMNS,
    FLOW_COLUMNS,
    descent_row,
    families_checks,
    filled,
    flow_row,
)
from compare.reports.report import Report, Section
from compare.reports.wording import counted

if TYPE_CHECKING:
    from compare.experiments.margin import MarginComparison


def margin_report(asked: MarginComparison) -> Report:
    """The report of all families, or of those that were finished."""
    dataset = asked.dataset()
    if asked.models is None:
        chosen = families(dataset, names=asked.architectures, depths=asked.depths, seeds=asked.seeds, scale=asked.init)
    else:
        chosen = own_families(asked.models, dataset)
    parts = [(family.label, partial(measure_family, family, dataset.y, asked)) for family in chosen]

    def sections(runs: Sequence[FlowAndSolution]) -> list[Section]:
        on_the_way = architecture_sections(runs, dataset.name)
        return [limits_section(runs, dataset, asked.loss), *on_the_way, descent_section(runs, dataset.name)]

    return asked.report_of_parts(
        parts, "Networks", sections, dataset, seeds=asked.seeds if asked.models is None else ()
    )


def limits_section(runs: Sequence[FlowAndSolution], dataset: Dataset, loss: str) -> Section:
    """Where gradient flow ends, and every prediction about it."""
    N, D = dataset.X.shape
    rows = [flow_row(run) for run in runs]
    constraints = "yₙ⟨xₙ, β⟩ ≥ 1,   n = 1 … N"
    if dataset.outputs > 1:
        constraints = f"⟨β_yₙ − β_k, xₙ⟩ ≥ 1   for every k ≠ yₙ   ({N * (dataset.outputs - 1)} constraints)"
    text = (
        f"{counted(N, 'point')} in {counted(D, 'dimension')}; {dataset.meaning}. "
        f"Gradient flow of the {loss} loss is followed from each network's own initial weights to its limit direction, "
        "which is certified by itself and compared with the solution β* of\n\n"
        f"    min R(β)   s.t.   {constraints}\n\n"
        "where min{‖w‖² : P(w) = β} = L·R(β)^(2/L) for a network of depth L, except that the value of two-layer "
        "multi-channel networks is printed as that minimum itself, R(β) = min ‖U‖² + ‖V‖². "
        "Where R is no norm (diagonal and convolutional, L > 2) β* is the stationary point that the solver reaches "
        "from the limit itself: a small angle confirms that the limit is stationary, and no more."
    )
    title = f"{dataset.name}: where gradient flow ends"
    return Section(title, text, *filled(rows, FLOW_COLUMNS), families_checks(runs))


def architecture_sections(runs: Sequence[FlowAndSolution], data: str) -> list[Section]:
    """The plots, one section per architecture."""
    sections = []
    for name, members in groupby(runs, key=lambda run: run.family.row.name):
        of_one = list(members)
        values = "\n".join(dict.fromkeys(f"{run.family.label}: R(β) = {run.family.formula}" for run in of_one))
        sections.append(Section(f"{data}: {name} on the way", values, figures=figures(of_one)))
    return sections


def descent_section(runs: Sequence[FlowAndSolution], data: str) -> Section:
    """Plain gradient descent after its last step: how far it has got, and the theorems' hypotheses as measured."""
    rows = [descent_row(run) for run in runs]
    text = (
        f"The same networks after {runs[0].trajectory.last_step.max()} steps, schedule {runs[0].trajectory.schedule}. "
        "Theory predicts where directions converge, not how far they are at a given step: nothing is predicted here."
    )
    return Section(f"{data}: gradient descent as it is run", text, *filled(rows, DESCENT_COLUMNS))
