"""The plots of a margin comparison: angles and margins on their way to the limit, and the predictors side by side.

Gradient descent's clock is its number of steps. The flow runs far beyond it, to losses such as exp(−e^2000), so the
clock they share is ln(−ln loss); the dotted line is where the loss drops below the smallest double.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.margin.flow_and_solution import FlowAndSolution
from compare.margin.loss_clock import CLOCK_NOTE, clock_of, clock_of_log_loss, shared_clock
from compare.reports.curves import Curve, curve_plot
from compare.reports.records import slug
from compare.reports.report import Figure
from compare.reports.wording import number
from solvers.arrays import Array

SMALLEST = 1e-8
"""Of the largest coefficient: a smaller one is drawn as 0. A convention."""
UNDERFLOW = math.log(745.0)
"""ln(−ln loss) of the smallest positive double, e^{−745}."""


def figures(runs: Sequence[FlowAndSolution]) -> tuple[Figure, ...]:
    """The plots of one architecture: `runs` of all its depths and seeds."""
    if all(run.target is None for run in runs):
        return (weight_margin(runs, slug(runs[0].family.label)),)
    name = slug(runs[0].family.row.name)
    by_step = [angle_by_step(runs, name)] if any(path(run) is not None for run in runs) else []
    return (angle_by_loss(runs, name), *by_step, margin_by_loss(runs, name), *spectra(runs))


def by_family(runs: Sequence[FlowAndSolution]) -> list[list[FlowAndSolution]]:
    """Runs by family, in order."""
    return [list(members) for _, members in groupby(runs, key=lambda run: id(run.family))]


def labelled(runs: Sequence[FlowAndSolution]) -> Iterator[tuple[int, str, FlowAndSolution]]:
    """Every run with the number of its family, and with its label for the legend where it is the family's first."""
    for colour, members in enumerate(by_family(runs)):
        for run in members:
            yield colour, legend(run) if run is members[0] else "", run


def angle_by_step(runs: Sequence[FlowAndSolution], name: str) -> Figure:
    """∠(β(t), limit) against steps of plain gradient descent."""
    curves = [
        Curve(
            label,
            run.trajectory.steps,
            run.angles(path(run)),
            "-",
            colour,
            (f"steps: {run.label}", f"angle [rad]: {run.label}"),
        )
        for colour, label, run in labelled(runs)
        if run.target is not None and path(run) is not None
    ]
    caption = (
        f"Plain gradient descent, {runs[0].trajectory.schedule}: angle to the solver's predictor, one line per seed."
    )
    if not all(run.convex for run in runs):
        caption += " For L > 2 (nonconvex) it is the angle to the flow's own limit."
    labels = ("steps of gradient descent", "angle to the limit [°]")
    return curve_plot(f"angle-by-step-{name}", caption, curves, labels, log="xy", degrees=True)


Measure = Callable[[FlowAndSolution], Array]


def by_loss(runs: Sequence[FlowAndSolution], what: str, of_flow: Measure, of_descent: Measure) -> list[Curve]:
    """A measure of flow (lines) and of gradient descent (dots) against the clock they share."""
    curves = []
    for colour, label, run in labelled(runs):
        for side, clock, measured, style, look in (
            ("flow", flow_clock(run), of_flow(run), "-", {}),
            ("descent", descent_clock(run), of_descent(run), ".", {"ms": 3, "alpha": 0.7}),
        ):
            names = (f"ln(-ln loss), {side}: {run.label}", f"{what}, {side}: {run.label}")
            if measured.size:  # gradient descent records no predictors of a module that does not say its own
                curves.append(Curve(label if side == "flow" else "", clock, measured, style, colour, names, look))
    return curves


def angle_by_loss(runs: Sequence[FlowAndSolution], name: str) -> Figure:
    """∠(β, limit) against ln(−ln loss), for gradient descent and for the flow beyond it."""
    known = [run for run in runs if run.target is not None]
    curves = by_loss(known, "angle [rad]", lambda r: r.angles(r.limit.path.predictors), lambda r: r.angles(path(r)))
    caption = (
        "Gradient flow (lines) and plain gradient descent (dots) on the clock they share. Right of the dotted line the "
        "loss is below the smallest double. Lines end where the limit was identified; it is in the table above. "
        + CLOCK_NOTE
    )

    def adjust(axes: Any) -> None:
        axes.axvline(UNDERFLOW, color="C7", ls=":", lw=1)
        shared_clock(axes)

    labels = ("", "angle to the limit [°]")
    return curve_plot(f"angle-by-loss-{name}", caption, curves, labels, log="y", degrees=True, adjust=adjust)


def margin_by_loss(runs: Sequence[FlowAndSolution], name: str) -> Figure:
    """γ(β)/γ(limit) against ln(−ln loss)."""
    known = [run for run in runs if run.target is not None]
    curves = by_loss(known, "margin ratio", lambda r: r.margins(r.limit.path.predictors), lambda r: r.margins(path(r)))
    caption = f"Normalized margin γ(β) = min y⟨x, β⟩/R(β), as a share of its limit's (dotted). {CLOCK_NOTE}"

    def adjust(axes: Any) -> None:
        axes.set_ylim(max(axes.get_ylim()[0], -0.05), 1.05)
        shared_clock(axes)

    return curve_plot(f"margin-{name}", caption, curves, ("", "γ(β)/γ(limit)"), level=1.0, adjust=adjust)


def weight_margin(runs: Sequence[FlowAndSolution], name: str) -> Figure:
    """γ(w)/γ(limit) for networks that are no linear predictor, γ(w) = minₙ yₙ f(xₙ; w)/‖w‖^L."""

    def best(run: FlowAndSolution) -> float:
        return run.limit.margin if run.limit.margin > 0 else float("nan")  # else not separated

    curves = by_loss(
        runs,
        "margin ratio",
        lambda r: r.limit.path.margins.min(axis=1) / best(r),
        lambda r: r.trajectory.margin[r.index] / best(r),
    )
    caption = (
        "Normalized margin of the weights, flow (line) and gradient descent (dots), as a share of its limit's. "
        + CLOCK_NOTE
    )
    return curve_plot(f"margin-{name}", caption, curves, ("", "γ(w)/γ(limit)"), level=1.0, adjust=shared_clock)


def spectra(runs: Sequence[FlowAndSolution]) -> tuple[Figure, ...]:
    """One plot per family: the coefficients' magnitudes, solver, flow and gradient descent, first seed."""
    return tuple(
        spectrum(members[0], slug(members[0].family.label))
        for members in by_family(runs)
        if members[0].limit.predictor is not None
    )


def spectrum(run: FlowAndSolution, name: str) -> Figure:
    """|β| or |β̂|, each predictor divided by its largest coefficient."""
    found = {"flow": run.limit.predictor, "descent": run.descent.predictor}
    if run.solution is not None:
        found = {"solver": run.solution.beta, **found}
    coefficients = {side: coefficients_of(run, beta) for side, beta in found.items() if beta is not None}
    fourier = np.iscomplexobj(coefficients["flow"])
    symbol = "β̂" if fourier else "β"
    shown = {side: magnitudes(values) for side, values in coefficients.items()}
    image = run.limit.predictor is not None and run.limit.predictor.ndim > 1
    order = np.argsort(-shown["flow"]) if image else np.arange(len(shown["flow"]))
    every = np.concatenate(list(shown.values()))
    edge = 10.0 ** min(math.floor(math.log10(every[every >= SMALLEST].min())) - 1, -2)
    across = "rank of the frequency" if image and fourier else "frequency" if fourier else "coordinate"
    styles = {"solver": ("s", 6.0, "C0"), "flow": ("x", 4.5, "C1"), "descent": (".", 4.0, "C7")}

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        for side, values in shown.items():
            marker, size, colour = styles[side]
            hollow = {"mfc": "none"} if side == "solver" else {}
            shape = {"marker": marker, "ms": size, "color": colour, "ls": "", "clip_on": False, **hollow}
            axes.semilogy(np.maximum(values, edge)[order], label=side, **shape)
        axes.set_ylim(edge, 3.0)
        axes.set_xlabel(across)
        axes.set_ylabel(f"|{symbol}| / max |{symbol}|")
        axes.legend()

    whose = {"solver": "the solver", "flow": "the flow's limit", "descent": "gradient descent's last step"}
    caption = f"{run.label}: |{symbol}| of {', of '.join(whose[side] for side in shown)}."
    if every.min() < SMALLEST:
        caption += f" On the lower edge: less than {number(SMALLEST)}."
    data = {across: np.arange(order.size)} | {f"|{symbol}| {side}": values[order] for side, values in shown.items()}
    return Figure(f"spectrum-{name}", caption, draw, data)


def coefficients_of(run: FlowAndSolution, beta: Array) -> NDArray[Any]:
    """The coefficients that R measures: β itself, or β̂."""
    return beta if run.family.regularizer is None else run.family.regularizer.coefficients(beta)


def magnitudes(coefficients: NDArray[Any]) -> Array:
    """Absolute values over their largest, flattened; of a real signal's frequencies only those up to D/2."""
    if np.iscomplexobj(coefficients):
        coefficients = coefficients[..., : coefficients.shape[-1] // 2 + 1]
    values = np.abs(coefficients).ravel()
    return np.asarray(values / values.max()) if values.size else values


def legend(run: FlowAndSolution) -> str:
    """The family's name; with what its angles are to where no explicit solution is known."""
    return run.family.label + ("" if run.convex else " (to its own limit)")


def path(run: FlowAndSolution) -> Array | None:
    """β at gradient descent's snapshots."""
    return None if run.trajectory.predictors is None else run.trajectory.predictors[run.index]


def descent_clock(run: FlowAndSolution) -> Array:
    """ln(−ln loss) at gradient descent's snapshots; NaN while the loss is above 1."""
    return clock_of_log_loss(run.trajectory.log_loss[run.index])


def flow_clock(run: FlowAndSolution) -> Array:
    """ln(−ln loss) along the flow."""
    return clock_of(run.limit, degree=run.family.depth)
