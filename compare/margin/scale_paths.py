"""Scale of the initial weights against time: from the kernel regime to the rich regime, in depth-2 networks.

Start at w_1 with all coefficients of size α and w_2 = 0, so that f = 0. While the weights have hardly moved, β moves
along α²Xᵀp: the network is a kernel machine whose kernel is α²XXᵀ, and if it stayed one it would end at the ℓ2 max
margin. But on separable data weights grow for ever, so in the end every α comes to the ℓ1 max margin (Fourier ℓ1 for
the convolution): theory predicts the limit for every α, and how long the kernel's answer is seen on the way depends on
α and on how far the loss has fallen.

    Reference: Moroshko, Woodworth, Gunasekar, Lee, Srebro, Soudry (2020), "Implicit bias in deep linear
    classification: initialization scale vs training accuracy".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compare.data.dataset import Dataset
from compare.margin.architectures import ARCHITECTURES
from compare.margin.loss_clock import CLOCK_NOTE, clock_of, shared_clock
from compare.margin.margin_predictions import optimum_check
from compare.measures import angle
from compare.reports.curves import Curve, curve_plot
from compare.reports.progress import run_parts
from compare.reports.report import Check, Column, Figure, Report, Section, Verdict
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.networks.linear import Convolutional, Diagonal
from gd.networks.linear_network import LinearNetwork
from solvers.arrays import Array
from solvers.max_margin import max_margin
from solvers.regularizers import L2
from solvers.solution import Solution
from solvers.validation import check_problem

if TYPE_CHECKING:
    from compare.experiments.initial_scale import InitialScaleComparison


COLUMNS = (
    Column("network", "network"),
    Column("scale", "α", format=".3g", about="Every coefficient of w₁ (convolution: ŵ₁) at the start; w₂ = 0."),
    Column("kernel", "closest to ℓ2", unit="rad", format=".2g", about="Smallest angle to the ℓ2 max margin."),
    Column("when", "there ln(−ln loss)", format=".3g"),
    Column(
        "rich",
        "limit to β*",
        unit="rad",
        format=".2g",
        about="Where the integration ended and β*, the ℓ1 (Fourier ℓ1) max margin.",
    ),
    Column("gap", "polished gap", format=".2g", about="Duality gap of the polished point."),
    Column("theory", "theory", format="verdict"),
)


@dataclass(frozen=True)
class ScalePath:
    """One network at one α."""

    name: str
    scale: float
    limit: Limit
    kernel: Solution = field(repr=False)
    """The ℓ2 max margin."""
    rich: Solution = field(repr=False)
    """The max margin in the network's own norm."""

    @property
    def clock(self) -> Array:
        """ln(−ln loss) along the path."""
        return clock_of(self.limit, degree=2)

    def angles(self, beta: Array) -> Array:
        """Radians from the path's predictors to β; NaN before the loss has fallen below 1."""
        predictors = self.limit.path.predictors
        assert predictors is not None
        started = np.isfinite(self.clock)
        return np.array(
            [angle(p, beta) if on and p.any() else np.nan for p, on in zip(predictors, started, strict=True)]
        )


def network(name: str, D: int, scale: float) -> LinearNetwork:
    """The depth-2 network at w_1 = α in every coefficient (entry, or frequency), w_2 = 0."""
    model = Diagonal(D, 2) if name == "diagonal" else Convolutional(D, 2)
    first = torch.full((D,), scale, dtype=torch.float64)
    if name != "diagonal":  # a flat spectrum: |ŵ[d]| = D^{−1/2}·|w[0]|
        first = torch.zeros(D, dtype=torch.float64)
        first[0] = scale * math.sqrt(D)
    with torch.no_grad():
        model.weights[0].copy_(first)
        model.weights[1].zero_()
    return model


def scale_report(asked: InitialScaleComparison) -> Report:
    """Paths and limits of gradient flow at every initial scale α."""
    dataset = asked.dataset()
    scales = tuple(dict.fromkeys(asked.inits))
    parts = [(name, partial(paths, dataset, name, scales)) for name in asked.architectures]
    done = run_parts(parts, "Initial scales", show=asked.progress)
    sections = [section(group, dataset) for group in done.results]
    return asked.report(sections, done, on=dataset.name, used=[dataset.used])


def paths(dataset: Dataset, name: str, scales: Sequence[float]) -> list[ScalePath]:
    """One architecture at every α, as one batch."""
    models = [network(name, dataset.X.shape[1], scale) for scale in scales]
    kernel = max_margin(dataset.X, dataset.y, L2())
    regularizer = ARCHITECTURES[name].regularizer(2)
    assert regularizer is not None
    rich = max_margin(dataset.X, dataset.y, regularizer)
    limits = flow_limit(models, dataset.X, dataset.y)
    return [ScalePath(name, scale, limit, kernel, rich) for scale, limit in zip(scales, limits, strict=True)]


def section(group: Sequence[ScalePath], dataset: Dataset) -> Section:
    """One architecture: table, predictions, two plots."""
    name = group[0].name
    formula = ARCHITECTURES[name].formula(2)
    first = "w₁" if name == "diagonal" else "ŵ₁"
    text = (
        f"At the start every coefficient of {first} is α and w₂ = 0. The kernel of that start would lead to the ℓ2 max "
        f"margin; the limit is the max margin in {formula} whatever α is. Only paths of large α come close to "
        "the kernel's answer, and the larger α, the smaller the loss at which they leave it."
    )
    checks = [check for path in group for check in path_checks(path, dataset)]
    plots = (
        path_plot(group, "kernel", f"Angle to the ℓ2 max margin, the kernel's answer ({name}).", "angle to ℓ2 [°]"),
        path_plot(group, "rich", f"Angle to the {formula} max margin, the limit ({name}).", f"angle to {formula} [°]"),
    )
    title = f"{dataset.name}: initial scale, {name}"
    return Section(title, text, COLUMNS, [row(path, dataset) for path in group], checks, plots)


def row(path: ScalePath, dataset: Dataset) -> dict[str, Any]:
    """One line of the table."""
    to_kernel = path.angles(path.kernel.beta)
    nearest = int(np.nanargmin(to_kernel))
    certificate, β = path.limit.certificate, path.limit.integrated.predictor
    return {
        "network": path.name,
        "scale": path.scale,
        "kernel": float(to_kernel[nearest]),
        "when": float(path.clock[nearest]),
        "rich": None if β is None else angle(β, path.rich.beta),
        "gap": None if certificate is None else certificate.direction_gap,
        "theory": Verdict.of_all(check.verdict for check in path_checks(path, dataset)),
    }


def path_checks(path: ScalePath, dataset: Dataset) -> list[Check]:
    """The flow ends at the max margin in the network's own norm, for every α."""
    row = ARCHITECTURES[path.name]
    regularizer = row.regularizer(2)
    assert regularizer is not None
    problem = check_problem(dataset.X, dataset.y, regularizer)
    reason = "" if path.limit.status.converged else str(path.limit.status)
    about = {"reference": row.reference(2), "reason": reason}
    subject = f"{path.name}, α = {path.scale:g}"
    return [optimum_check(subject, path.limit, problem, path.rich, regularizer, **about)]


def path_plot(group: Sequence[ScalePath], goal: str, caption: str, label: str) -> Figure:
    """The angle to one of the two answers against ln(−ln loss), a line per α."""
    curves = [
        Curve(
            f"α = {path.scale:g}",
            path.clock,
            path.angles(getattr(path, goal).beta),
            names=(f"ln(-ln loss), alpha={path.scale:g}", f"angle [rad], alpha={path.scale:g}"),
        )
        for path in group
    ]

    def adjust(axes: Any) -> None:
        axes.set_ylim(bottom=0)
        shared_clock(axes)

    name = f"initial-scale-{group[0].name}-{goal}"
    return curve_plot(name, f"{caption} {CLOCK_NOTE}", curves, ("", label), degrees=True, adjust=adjust)
