"""The plots of a margin comparison: angles and margins on their way to the limit, and the predictors side by side.

Gradient descent's clock is its number of steps. The flow runs far beyond it, to losses such as exp(−e^2000), so the
clock they share is ln(−ln loss); the dotted line is where the loss drops below the smallest double.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.margin.families import Family
from compare.margin.flow_and_solution import FlowAndSolution
from compare.margin.loss_clock import clock_of, clock_of_log_loss, shared_clock
from compare.reports.drawing import literal
from compare.reports.records import slug
from compare.reports.report import Figure
from solvers.regularizers import FourierBridge

Array = NDArray[np.float64]

UNDERFLOW = math.log(745.0)
"""ln(−ln loss) of the smallest positive double, e^{−745}."""


def figures(runs: Sequence[FlowAndSolution]) -> tuple[Figure, ...]:
    """The plots of one architecture: `runs` of all its depths and seeds."""
    if all(run.target is None for run in runs):
        return (weight_margin(runs, slug(runs[0].family.label)),)
    name = slug(runs[0].family.row.name)
    return (angle_by_step(runs, name), angle_by_loss(runs, name), margin_by_step(runs, name), *spectra(runs))


def by_family(runs: Sequence[FlowAndSolution]) -> list[tuple[Family, list[FlowAndSolution]]]:
    """Runs by family, in order."""
    grouped: dict[int, list[FlowAndSolution]] = {}
    for run in runs:
        grouped.setdefault(id(run.family), []).append(run)
    return [(members[0].family, members) for members in grouped.values()]


def angle_by_step(runs: Sequence[FlowAndSolution], name: str) -> Figure:
    """∠(β(t), limit) against steps of plain gradient descent."""
    data: dict[str, Any] = {}
    for run in (r for r in runs if r.target is not None):
        data[f"steps: {run.label}"] = run.trajectory.steps
        data[f"angle [rad]: {run.label}"] = run.angles(path(run))

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        for colour, (_, members) in enumerate(by_family(runs)):
            for run in members:
                label = legend(run) if run is members[0] else None
                angles = np.degrees(positive(run.angles(path(run))))
                axes.loglog(run.trajectory.steps, angles, color=f"C{colour}", label=label)
        axes.set_xlabel("steps of gradient descent")
        axes.set_ylabel("angle to the limit [°]")
        axes.legend()

    schedule = runs[0].trajectory.schedule
    caption = f"Plain gradient descent, {schedule}: angle to the solver's predictor, one line per seed."
    if not all(run.convex for run in runs):
        caption += " For L > 2 (nonconvex) it is the angle to the flow's own limit."
    return Figure(f"angle-by-step-{name}", caption, draw, data)


def angle_by_loss(runs: Sequence[FlowAndSolution], name: str) -> Figure:
    """∠(β, limit) against ln(−ln loss), for gradient descent and for the flow beyond it."""
    data: dict[str, Any] = {}
    for run in (r for r in runs if r.target is not None):
        data[f"ln(-ln loss), flow: {run.label}"] = flow_clock(run)
        data[f"angle [rad], flow: {run.label}"] = run.angles(run.limit.path.predictors)
        data[f"ln(-ln loss), descent: {run.label}"] = descent_clock(run)
        data[f"angle [rad], descent: {run.label}"] = run.angles(path(run))

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        axes.set_yscale("log")
        for colour, (_, members) in enumerate(by_family(runs)):
            for run in members:
                flow = np.degrees(positive(run.angles(run.limit.path.predictors)))
                label = legend(run) if run is members[0] else None
                axes.plot(flow_clock(run), flow, color=f"C{colour}", label=label)
                descent = np.degrees(positive(run.angles(path(run))))
                axes.plot(descent_clock(run), descent, color=f"C{colour}", ls="", marker=".", ms=3, alpha=0.7)
        axes.axvline(UNDERFLOW, color="C7", ls=":", lw=1)
        shared_clock(axes)
        axes.set_ylabel("angle to the limit [°]")
        axes.legend()

    caption = (
        "Gradient flow (lines) and plain gradient descent (dots) on the clock they share. Right of the dotted line the "
        "loss is below the smallest double. Lines end where the limit was identified; it is in the table above."
    )
    return Figure(f"angle-by-loss-{name}", caption, draw, data)


def margin_by_step(runs: Sequence[FlowAndSolution], name: str) -> Figure:
    """γ(β)/γ(limit) against ln(−ln loss)."""
    data: dict[str, Any] = {}
    for run in (r for r in runs if r.target is not None):
        data[f"ln(-ln loss), flow: {run.label}"] = flow_clock(run)
        data[f"margin ratio, flow: {run.label}"] = run.margins(run.limit.path.predictors)
        data[f"ln(-ln loss), descent: {run.label}"] = descent_clock(run)
        data[f"margin ratio, descent: {run.label}"] = run.margins(path(run))

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        for colour, (_, members) in enumerate(by_family(runs)):
            for run in members:
                label = legend(run) if run is members[0] else None
                axes.plot(flow_clock(run), run.margins(run.limit.path.predictors), color=f"C{colour}", label=label)
                descent = run.margins(path(run))
                axes.plot(descent_clock(run), descent, color=f"C{colour}", ls="", marker=".", ms=3, alpha=0.7)
        axes.axhline(1.0, color="C7", ls="--", lw=1)
        axes.set_ylim(-0.05, 1.05)
        shared_clock(axes)
        axes.set_ylabel("γ(β)/γ(limit)")
        axes.legend(loc="lower right")

    caption = "Normalized margin γ(β) = min y⟨x, β⟩/R(β), as a share of its limit's (dashed)."
    return Figure(f"margin-{name}", caption, draw, data)


def weight_margin(runs: Sequence[FlowAndSolution], name: str) -> Figure:
    """γ(w)/γ(limit) for networks that are no linear predictor, γ(w) = minₙ yₙ f(xₙ; w)/‖w‖^L."""
    data: dict[str, Any] = {}
    for run in runs:
        limit = run.limit.margin if run.limit.margin > 0 else float("nan")  # else not separated
        data[f"ln(-ln loss), flow: {run.label}"] = flow_clock(run)
        data[f"margin ratio, flow: {run.label}"] = run.limit.path.margins.min(axis=1) / limit
        data[f"ln(-ln loss), descent: {run.label}"] = descent_clock(run)
        data[f"margin ratio, descent: {run.label}"] = run.trajectory.margin[run.index] / limit

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        for colour, run in enumerate(runs):
            flow, descent = (data[f"margin ratio, {side}: {run.label}"] for side in ("flow", "descent"))
            axes.plot(flow_clock(run), flow, color=f"C{colour}", label=literal(run.label))
            axes.plot(descent_clock(run), descent, color=f"C{colour}", ls="", marker=".", ms=3, alpha=0.7)
        axes.axhline(1.0, color="C7", ls="--", lw=1)
        axes.set_ylabel("γ(w)/γ(limit)")
        shared_clock(axes)
        axes.legend(loc="lower right")

    caption = "Normalized margin of the weights, flow (line) and gradient descent (dots), as a share of its limit's."
    return Figure(f"margin-{name}", caption, draw, data)


def spectra(runs: Sequence[FlowAndSolution]) -> tuple[Figure, ...]:
    """One plot per family: the coefficients' magnitudes, solver, flow and gradient descent, first seed."""
    return tuple(
        spectrum(members[0], slug(family.label))
        for family, members in by_family(runs)
        if members[0].limit.predictor is not None
    )


def spectrum(run: FlowAndSolution, name: str) -> Figure:
    """|β| or |β̂|, each predictor divided by its largest coefficient."""
    fourier = isinstance(run.family.regularizer, FourierBridge)
    symbol = "β̂" if fourier else "β"
    shown = {"flow": magnitudes(run.limit.predictor, fourier), "descent": magnitudes(run.descent.predictor, fourier)}
    if run.solution is not None:
        shown = {"solver": magnitudes(run.solution.beta, fourier), **shown}
    image = run.limit.predictor is not None and run.limit.predictor.ndim > 1
    order = np.argsort(-shown["flow"]) if image else np.arange(len(shown["flow"]))
    styles = {"solver": ("s", 6.0, "C0"), "flow": ("x", 4.5, "C1"), "descent": (".", 4.0, "C7")}

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        for side, values in shown.items():
            marker, size, colour = styles[side]
            hollow = {"mfc": "none"} if side == "solver" else {}
            shape = {"marker": marker, "ms": size, "color": colour, "ls": "", **hollow}
            axes.semilogy(positive(values[order], 1e-12), label=side, **shape)
        axes.set_ylim(1e-8, 3.0)
        axes.set_xlabel("rank of the frequency" if image and fourier else "frequency" if fourier else "coordinate")
        axes.set_ylabel(f"|{symbol}| / max |{symbol}|")
        axes.legend()

    caption = f"{run.label}: |{symbol}| of the solver, of the flow's limit, and of gradient descent's last step."
    data = {f"|{symbol}| {side}": values for side, values in shown.items()}
    return Figure(f"spectrum-{name}", caption, draw, data)


def magnitudes(beta: Array | None, fourier: bool) -> Array:
    """|β| or |β̂| over its largest, flattened; of a real signal only the frequencies up to D/2."""
    if beta is None:
        return np.zeros(0)
    if not fourier:
        values = np.abs(beta).ravel()
    else:
        values = np.abs(np.fft.rfft(beta) if beta.ndim == 1 else np.fft.rfftn(beta)).ravel()
    return np.asarray(values / values.max())


def legend(run: FlowAndSolution) -> str:
    """The family's name; with what its angles are to where no explicit solution is known."""
    return literal(run.family.label) + ("" if run.convex else " (to its own limit)")


def path(run: FlowAndSolution) -> Array | None:
    """β at gradient descent's snapshots."""
    return None if run.trajectory.predictors is None else run.trajectory.predictors[run.index]


def descent_clock(run: FlowAndSolution) -> Array:
    """ln(−ln loss) at gradient descent's snapshots; NaN while the loss is above 1."""
    return clock_of_log_loss(run.trajectory.log_loss[run.index])


def flow_clock(run: FlowAndSolution) -> Array:
    """ln(−ln loss) along the flow."""
    return clock_of(run.limit, degree=run.family.depth)


def positive(values: Array, floor: float = 0.0) -> Array:
    """The values above the floor; NaN, which a logarithmic axis leaves out, elsewhere."""
    return np.asarray(np.where(values > floor, values, np.nan))
