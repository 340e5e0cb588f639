"""Functions of trained networks, narrow to wide, on top of the spline: the panels of the paper's figures.

Narrow networks train, too, but not from every start, and in more steps than wide ones: the data come to lie on kinks,
which the flow follows in hundreds of short steps. With ten units the breakpoints may all lie in two of the gaps between
the data, and the five values are then more than the units can fit: the tangent kernel is singular, at the start or
later on, and the flow ends with a residual. Counted is how many of the starts fit; the function shown is that of the
first one that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from compare.function_distance import uniform_distance
from compare.reports.records import slug
from compare.reports.report import Check, Column, Evidence, Figure, Section
from compare.reports.tables import table
from compare.spline.spline_cases import SplineCase
from compare.spline.width_rates import corrected_problem, train_batch
from gd.networks.wide_relu import LinearPieces, WideReLU
from solvers.arrays import Array
from solvers.splines.initial_distributions import InitialDistribution
from solvers.splines.weighted_spline import WeightedSpline

PAPER_WIDTHS = {"uniform:1,2": (10, 40, 160, 640), "gaussian:1,0.316228": (20, 80, 320, 2560)}
"""Neurons of the paper's panels, by initialization."""
WIDTHS = (10, 40, 160, 640)
FIGURES = "Jin and Montúfar (2020), figures of experimental results"
STARTS = 12
SINGULAR = 1e-12
"""Least over largest eigenvalue of the tangent kernel at the start, from which down it is singular to rounding."""


@dataclass(frozen=True)
class Panel:
    """One width: which starts fit the data, and the function of the first that does."""

    width: int
    fitted: tuple[bool, ...]
    """For each start."""
    singular: tuple[bool, ...]
    """Whether the tangent kernel is singular at the start."""
    pieces: LinearPieces | None = field(repr=False)
    distance: float | None
    """Its largest distance to the spline, in units of y."""

    @property
    def seed(self) -> int | None:
        """The start that is shown."""
        return self.fitted.index(True) if any(self.fitted) else None


def panel(case: SplineCase, init: InitialDistribution, width: int, starts: int = STARTS) -> Panel:
    """Train `starts` networks of one width on corrected data."""
    y, spline = corrected_problem(case, init)
    nets = train_batch(case, y, init, width, range(starts), accuracy=1e-2)
    first = next((net for net in nets if net is not None), None)
    pieces = None if first is None else first.pieces()
    distance = None if pieces is None else uniform_distance(pieces, spline, case.interval)
    singular = tuple(singular_start(WideReLU(width, init, seed=seed), case.x) for seed in range(starts))
    return Panel(width, tuple(net is not None for net in nets), singular, pieces, distance)


def singular_start(net: WideReLU, x: Array) -> bool:
    """Whether the tangent kernel on x has an eigenvalue of zero, to rounding."""
    points = torch.as_tensor(x[:, None], dtype=torch.float64)
    with torch.no_grad():
        bundle = net.tangent_bundle([net], points, torch.device("cpu"))
        values = torch.linalg.eigvalsh(bundle.at(bundle.start).kernel)[0]
    return bool(values[0] < SINGULAR * values[-1])


def panel_section(case: SplineCase, name: str, init: InitialDistribution) -> Section:
    """The panels of one initialization."""
    _, spline = corrected_problem(case, init)
    panels = [panel(case, init, width) for width in PAPER_WIDTHS.get(name, WIDTHS)]
    columns = (
        Column("width", "width n", about="units of one of the two mirrored halves"),
        Column("fitted", "starts that fit", about="Residual 10⁻¹⁰."),
        Column("singular", "starts of singular kernel", about="At the start: the units bend in too few gaps."),
        Column("seed", "shown: start"),
        Column("distance", "its sup distance to the spline", "y", ".3g"),
    )
    lines = [
        (p.width, f"{sum(p.fitted)} of {len(p.fitted)}", f"{sum(p.singular)} of {len(p.singular)}", p.seed, p.distance)
        for p in panels
    ]
    text = (
        "Each panel shows a network of that width, trained on corrected data from the first start that fits them, and "
        "the spline. The narrowest do not fit from every start: where their units bend in too few of the gaps between "
        "the data, the tangent kernel is singular, and training ends with a residual."
    )
    title = f"Narrow and wide networks, {name}"
    figures = (panels_figure(name, panels, spline, case),)
    return Section(title, text, *table(columns, lines), panel_checks(name, panels), figures)


def panel_checks(name: str, panels: Sequence[Panel]) -> list[Check]:
    """Every width trains from some start, and the widest function shown is nearer to the spline than the narrowest."""
    fitting = Evidence(float(min(sum(p.fitted) for p in panels)))
    claim = f"{name}: networks of {panels[0].width} units and more fit the data"
    made = [Check.at_least(claim, fitting, 1.0, unit="starts", reference=FIGURES, reason="the width with the fewest")]
    narrow, wide = panels[0].distance, panels[-1].distance
    claim = f"{name}: the functions approach the spline (widest panel over narrowest)"
    if narrow is None or wide is None:
        made.append(Check.not_reached(claim, None, why="no network of that width fits the data", reference=FIGURES))
    else:
        made.append(Check.at_most(claim, wide / narrow, 0.5, reference=FIGURES, reason="measured: ratio of distances"))
    return made


def panels_figure(name: str, panels: Sequence[Panel], spline: WeightedSpline, case: SplineCase) -> Figure:
    """One pair of axes for each width."""
    grid = np.linspace(*case.interval, 401)
    data: dict[str, Any] = {"x": grid, "spline (y, corrected)": spline(grid)}
    for p in panels:
        if p.pieces is not None:
            data[f"network, n = {p.width} (y, corrected)"] = p.pieces(grid)

    def draw(canvas: Any) -> None:
        grids = canvas.subplots(2, -(-len(panels) // 2), sharex=True, sharey=True, squeeze=False)
        for axes, p in zip(grids.flat, panels, strict=False):
            axes.plot(grid, spline(grid), color="C1")
            if p.pieces is not None:
                axes.plot(grid, p.pieces(grid), color="C0")
            axes.plot(case.x, spline(case.x), "o", color="C7", markersize=3)
            axes.set_title(f"n = {p.width}", fontsize=9)
        canvas.supxlabel("x", fontsize=9)
        canvas.supylabel("y (corrected)", fontsize=9)

    caption = f"{name}: trained networks (blue) and the spline (orange), data corrected by u x + v."
    return Figure(f"panels-{slug(name)}", caption, draw, data, size=(6.2, 4.2))
