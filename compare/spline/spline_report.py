"""Wide ReLU networks, the weighted spline they converge to, and the rich regime: the report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from compare.reports.progress import run_parts
from compare.reports.report import Report, Section
from compare.spline.initial_function import start_section, start_study
from compare.spline.linearization import linearization_section, trajectory_gaps
from compare.spline.several_inputs import deep_section, inputs_section
from compare.spline.smoothing_trajectory import trajectory_study
from compare.spline.spline_cases import SplineCase, default_inits, parse_init, spline_case
from compare.spline.spline_panels import PAPER_WIDTHS, panel_section
from compare.spline.spline_sections import (
    rate_section,
    rich_section,
    shape_section,
    trajectory_section,
)
from compare.spline.width_rates import FITTED_FROM, corrected_problem, train_batch, width_study
from gd.descent.weight_decay import train_with_decay
from solvers.splines.initial_distributions import InitialDistribution
from solvers.splines.rich_regime import rich_interpolant
from solvers.splines.weighted_spline import weighted_spline

if TYPE_CHECKING:
    from compare.experiments.spline import SplineComparison

FOLLOWED = 20
"""Networks of each width that are followed along their whole trajectory, or from f₀ ≠ 0, at most."""
LONGEST = 2560
"""Widths up to here are followed along the whole trajectory: three networks from every start."""


def spline_report(asked: SplineComparison) -> Report:
    """The whole comparison on one data set; see `compare.spline.spline_sections` for what each section says."""
    case, widths, seeds = spline_case(asked.data, asked.y), tuple(asked.widths), tuple(asked.seeds)
    laws = {name: parse_init(name) for name in asked.inits or default_inits(case)}
    for law in laws.values():
        law.check_inside_support(case.x)
    fitted = tuple(n for n in widths if n >= FITTED_FROM)
    first, law = next(iter(laws.items()))

    def rate(name: str) -> Section:
        return rate_section(name, width_study(case, laws[name], widths, seeds), case)

    def linearization() -> Section:
        chosen = tuple(n for n in fitted if n <= LONGEST) or widths
        return linearization_section(first, trajectory_gaps(case, law, chosen, seeds[:FOLLOWED]))

    def start() -> Section:
        return start_section(first, start_study(case, law, fitted or widths, seeds[:FOLLOWED]))

    def trajectory() -> Section:
        return trajectory_section(first, trajectory_study(case, law, width=min(10_000, widths[-1])))

    def rich() -> Section:
        exact = rich_interpolant(case.x, case.y, "penalized")
        spline = weighted_spline(case.x, case.y, law)
        return rich_section(case, exact, train_with_decay(case.x, case.y), spline, first)

    shown = [name for name in laws if name in PAPER_WIDTHS] or [first]
    asked_for: dict[str, list[tuple[str, Callable[[], Section]]]] = {
        "shapes": [("shapes", partial(shapes, case, laws, widths[-1]))],
        "rates": [(f"error against width, {name}", partial(rate, name)) for name in laws],
        "panels": [(f"panels, {name}", partial(panel_section, case, name, laws[name])) for name in shown],
        "linearization": [("all weights, output layer, linearized", linearization)],
        "start": [("initialization as printed", start)],
        "trajectory": [("trajectory", trajectory)],
        "rich": [("rich regime", rich)],
        "inputs": [("several inputs", inputs_section)],
        "deep": [("deep networks", deep_section)],
    }
    parts = [part for question in asked.questions for part in asked_for[question]]
    done = run_parts(parts, "Wide ReLU networks", show=asked.progress)
    return asked.report(done.results, done, on=case.name, used=[case.used], seeds=seeds)


def shapes(case: SplineCase, laws: dict[str, InitialDistribution], width: int) -> Section:
    """The spline of each initialization, and one wide network trained on corrected data."""
    solutions = {}
    for name, law in laws.items():
        y, spline = corrected_problem(case, law)
        net = train_batch(case, y, law, width, [0], accuracy=1e-3)[0]
        if net is not None:
            solutions[name] = (law, spline, net.pieces())
    return shape_section(case, solutions)
