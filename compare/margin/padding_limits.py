"""Narrow kernels and zero padding: convolutions whose induced regularizer is not known in closed form.

The theorems are about circular convolutions as wide as the signal. With zero padding, or with kernels narrower than the
signal at depth L > 2, no formula for min{‖w‖² : P(w) = β} is known, so nothing is said about β. What holds for every
homogeneous network is that directions of gradient flow converge to KKT points of

    min ‖w‖²   s.t.   yₙ f(xₙ; w) ≥ 1,

and that is what each limit is held to. The table also has its angle to the full-width circular network's limit from the
same seed, of which nothing is predicted.

    Reference: Lyu and Li (2020), Theorem 4.4.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch

from compare.data.dataset import Dataset
from compare.margin.evidence import kkt_check
from compare.margin.margin_predictions import kkt_residual
from compare.measures import angle
from compare.reports.report import Check, Column, Report, Section, Value
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.networks.linear import Convolutional
from solvers.arrays import Array

if TYPE_CHECKING:
    from compare.experiments.padding import PaddingComparison


Padding = Literal["circular", "zero"]
REFERENCE = "Lyu and Li (2020), Theorem 4.4"
COLUMNS = (
    Column("padding", "padding"),
    Column("kernel", "kernel"),
    Column("depth", "L"),
    Column("seed", "seed"),
    Column("kkt", "KKT residual", format=".2g", about="Polished: ‖w − Σ λₙ∇mₙ‖/‖w‖ in weight space, at unit margin."),
    Column("angle", "angle to circular", unit="rad", format=".3g", about="To the full-width circular network's limit."),
    Column(
        "norm", "‖w‖ at unit margin", format=".4g", about="The representation cost of each architecture's own limit."
    ),
    Column("theory", "theory", format="verdict"),
)


@dataclass(frozen=True)
class PaddedNetwork:
    """One architecture: circular or zero padding, kernel size, depth."""

    padding: Padding
    kernel: int
    depth: int
    seed: int
    model: Convolutional
    limit: Limit
    to_circular: float | None
    """Radians to the full-width circular network's limit; None where either has no limit."""


def padding_report(asked: PaddingComparison) -> Report:
    """KKT residuals of the limits under zero padding, and under circular padding with narrow kernels at L > 2."""
    dataset, seeds = asked.dataset(), tuple(asked.seeds)
    parts = [(f"L={depth}", partial(cases, dataset, depth, asked.kernels, seeds, asked.init)) for depth in asked.depths]
    return asked.report_of_parts(parts, "Paddings", lambda found: [section(found, dataset)], dataset, seeds=seeds)


def cases(
    dataset: Dataset, depth: int, kernels: Sequence[int], seeds: Sequence[int], scale: float
) -> list[PaddedNetwork]:
    """Every architecture of one depth, a batch of seeds each."""
    D = dataset.X.shape[1]
    wide = flow_limit([Convolutional(D, depth, scale=scale, seed=s) for s in seeds], dataset.X, dataset.y)
    chosen: list[tuple[Padding, int]] = [("zero", kernel) for kernel in (*kernels, D)]
    if depth > 2:  # at L = 2 the regularizer of narrow circular kernels is known: `compare channels`
        chosen += [("circular", kernel) for kernel in kernels if kernel < D]
    found = []
    for padding, kernel in dict.fromkeys(chosen):
        models = [build(D, depth, kernel, padding, scale, seed) for seed in seeds]
        limits = flow_limit(models, dataset.X, dataset.y)
        for seed, model, limit, other in zip(seeds, models, limits, wide, strict=True):
            apart = None
            if limit.status.converged and other.predictor is not None:
                apart = angle(predictor_at(model, limit), other.predictor)
            found.append(PaddedNetwork(padding, kernel, depth, seed, model, limit, apart))
    return found


def build(D: int, depth: int, kernel: int, padding: Padding, scale: float, seed: int) -> Convolutional:
    """One network; "zero" or circular padding."""
    return Convolutional(D, depth, kernel=kernel, padding=padding, scale=scale, seed=seed)


def predictor_at(model: Convolutional, limit: Limit) -> Array:
    """β of the limit direction's weights."""
    ended = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in ended.named_parameters():
            parameter.copy_(torch.from_numpy(limit.weights[name]))
    return ended.predictor


def section(found: Sequence[PaddedNetwork], dataset: Dataset) -> Section:
    """The table and its predictions."""
    text = (
        "No closed form of the induced regularizer is known here, so nothing is predicted of β itself. Each limit must "
        "be a KKT point of the network's own problem\n\n"
        "    min ‖w‖²   s.t.   yₙ f(xₙ; w) ≥ 1."
    )
    title = f"{dataset.name}: zero padding and narrow kernels"
    return Section(
        title, text, COLUMNS, [row(case, dataset) for case in found], [check_of(case, dataset) for case in found]
    )


def check_of(case: PaddedNetwork, dataset: Dataset) -> Check:
    """The flow ends at a KKT point of this network's own problem."""
    network = f"{case.padding} padding, kernel {case.kernel}, L={case.depth}, seed {case.seed}"
    statement = f"{network}: the flow ends at a KKT point"
    return kkt_check(statement, case.limit, case.model, dataset.X, dataset.y, REFERENCE)


def row(case: PaddedNetwork, dataset: Dataset) -> dict[str, Value]:
    """One line of the table."""
    return {
        "padding": case.padding,
        "kernel": case.kernel,
        "depth": case.depth,
        "seed": case.seed,
        "kkt": kkt_residual(case.limit),
        "angle": case.to_circular,
        "norm": case.limit.norm_at_unit_margin,
        "theory": check_of(case, dataset).verdict,
    }
