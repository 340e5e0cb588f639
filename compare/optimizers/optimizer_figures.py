"""The plots of the optimizer comparison: margins against steps, and the heat map of optimizers and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from compare.optimizers.optimizer_runs import Run
from compare.reports.curves import Curve, curve_plot
from compare.reports.records import slug
from compare.reports.report import Figure
from solvers.arrays import Array
from solvers.regularizers import Regularizer


def share(run: Run, regularizer: Regularizer) -> Array:
    """The margin in R as a part of the largest one, at every snapshot; NaN before it is positive."""
    excess = run.excess(regularizer)
    return np.where(np.isfinite(excess), 1.0 / (1.0 + np.where(np.isfinite(excess), excess, 0.0)), np.nan)


def margin_plot(runs: Sequence[Run], regularizer: Regularizer, name: str) -> Figure:
    """The margin in one norm against steps, a line per optimizer; the certified optimum is the line at 1."""
    formula = regularizer.formula
    curves = [
        Curve(
            run.optimizer,
            run.trajectory.steps[: run.reached],
            share(run, regularizer),
            names=(f"steps: {run.optimizer}", f"margin/largest: {run.optimizer}"),
        )
        for run in runs
    ]
    caption = f"Margin in {formula} as a part of the largest one, which is certified (dotted)."
    return curve_plot(
        f"{name}-{slug(str(regularizer))}",
        caption,
        curves,
        ("steps", f"margin in {formula} / largest"),
        log="x",
        level=1.0,
        adjust=lambda axes: axes.set_ylim(0.0, 1.05),
    )


def heat_map(runs: Sequence[Run], norms: Sequence[Regularizer], name: str) -> Figure:
    """Optimizers × norms: by how much the final margin falls short of the largest in that norm, as a colour."""
    gaps = np.array([[run.excess(norm)[-1] for norm in norms] for run in runs])
    data: dict[str, Any] = {"optimizer": [run.optimizer for run in runs]}
    data |= {f"shortfall in {norm.formula}": gaps[:, k] for k, norm in enumerate(norms)}

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        logs = np.log10(np.clip(np.where(np.isfinite(gaps), gaps, 10.0), 1e-3, 10.0))
        image = axes.imshow(logs, cmap="viridis_r", vmin=-3.0, vmax=0.5, aspect="auto")
        axes.set_xticks(range(len(norms)), [norm.formula for norm in norms])
        axes.set_yticks(range(len(runs)), [run.optimizer for run in runs])
        axes.grid(False)
        for (i, k), gap in np.ndenumerate(gaps):
            dark = logs[i, k] > -1.25
            axes.text(
                k, i, f"{gap:.1g}" if math.isfinite(gap) else "–", ha="center", va="center", color="w" if dark else "k"
            )
        canvas.colorbar(image, ax=axes, label="log₁₀ of the shortfall")

    caption = (
        "Final shortfall of the margin, R(β)/R* − 1 at margin one: a row's lightest entry is the norm whose margin "
        "that optimizer maximizes."
    )
    return Figure(f"{name}-heat-map", caption, draw, data, (5.2, 0.5 * len(runs) + 1.6))


def two_norms(run: Run, norms: Sequence[Regularizer], name: str) -> Figure:
    """One run's margins in several norms against steps."""
    steps = run.trajectory.steps[: run.reached]
    curves = [
        Curve(
            norm.formula, steps, share(run, norm), names=(f"steps: {norm.formula}", f"margin/largest: {norm.formula}")
        )
        for norm in norms
    ]
    caption = "Margins as parts of the largest ones (dotted): which norm's is nearer changes on the way."
    return curve_plot(
        f"{name}-norms",
        caption,
        curves,
        ("steps", "margin / largest"),
        log="x",
        level=1.0,
        adjust=lambda axes: axes.set_ylim(0.8, 1.01),
    )
