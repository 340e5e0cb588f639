"""Narrow kernels and zero padding: convolutions whose price nobody has in closed form.

The theorems are about circular convolutions as wide as the signal. With zero padding, or with kernels narrower than the
signal at depth L > 2, no formula for min{‖w‖² : P(w) = β} is known, so nothing is said about β. What holds for every
homogeneous network is that directions of gradient flow converge to KKT points of

    min ‖w‖²   s.t.   yₙ f(xₙ; w) ≥ 1,

and that is what each limit is held to. Beside it stands its angle to the full-width circular network's limit from the
same seed, of which nothing is predicted.

    Reference: Lyu and Li (2020), Theorem 4.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from compare.data.load import Dataset, load
from compare.margin.networks import RESIDUAL_TOLERANCE
from compare.measures import angle
from compare.reports.progress import run_parts
from compare.reports.provenance import Provenance
from compare.reports.report import Check, Column, Report, Section, Value
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.networks.linear import Convolutional

Array = NDArray[np.float64]

REFERENCE = "Lyu and Li (2020), Theorem 4.4"
COLUMNS = (
    Column("padding", "padding"),
    Column("kernel", "kernel"),
    Column("depth", "L"),
    Column("seed", "seed"),
    Column("kkt", "KKT residual", format=".2g", about="‖w − Σ λₙ∇mₙ‖/‖w‖ in weight space, at unit margin."),
    Column("angle", "angle to circular", unit="rad", format=".3g", about="To the full-width circular network's limit."),
    Column("norm", "‖w‖ at unit margin", format=".4g", about="What each architecture pays for its own limit."),
    Column("theory", "theory", format="verdict"),
)


@dataclass(frozen=True)
class Case:
    """One architecture: circular or zero padding, kernel size, depth."""

    padding: str
    kernel: int
    depth: int
    seed: int
    limit: Limit
    to_circular: float | None
    """Radians to the full-width circular network's limit; None where either has no limit."""


def compare_paddings(
    dataset: Dataset,
    *,
    kernels: Sequence[int] = (3,),
    depths: Sequence[int] = (2, 3),
    seeds: Sequence[int] = (0,),
    scale: float = 0.1,
    progress: bool = False,
) -> Report:
    """KKT residuals of the flow's limits under zero padding, and under circular padding with narrow kernels at L > 2.

    Raises NotSeparableError when no predictor separates the data; ValueError when a kernel is wider than the signal.
    """
    parts = [(f"L={depth}", partial(cases, dataset, depth, kernels, tuple(seeds), scale)) for depth in depths]
    done = run_parts(parts, "Paddings", show=progress)
    found = [case for group in done.results for case in group]
    return Report(
        f"Padding: convolutional networks on {dataset.name}",
        (section(found, dataset),) if found else (),
        Provenance.collect([dataset.used], seeds=seeds, command="compare.compare_paddings(dataset)"),
        notes=(done.note,) if done.note else (),
        complete=done.complete,
    )


def cases(dataset: Dataset, depth: int, kernels: Sequence[int], seeds: Sequence[int], scale: float) -> list[Case]:
    """Every architecture of one depth, a batch of seeds each."""
    D = dataset.X.shape[1]
    wide = flow_limit([Convolutional(D, depth, scale=scale, seed=s) for s in seeds], dataset.X, dataset.y)
    chosen = [("zero", kernel) for kernel in (*kernels, D)]
    if depth > 2:  # at L = 2 the price of narrow circular kernels is known: `compare channels`
        chosen += [("circular", kernel) for kernel in kernels if kernel < D]
    found = []
    for padding, kernel in dict.fromkeys(chosen):
        models = [build(D, depth, kernel, padding, scale, seed) for seed in seeds]
        limits = flow_limit(models, dataset.X, dataset.y)
        for seed, model, limit, other in zip(seeds, models, limits, wide, strict=True):
            apart = None
            if limit.status.converged and other.predictor is not None:
                apart = angle(predictor_at(model, limit), other.predictor)
            found.append(Case(padding, kernel, depth, seed, limit, apart))
    return found


def build(D: int, depth: int, kernel: int, padding: str, scale: float, seed: int) -> Convolutional:
    """One network; "zero" or circular padding."""
    if padding == "zero":
        return Convolutional(D, depth, kernel=kernel, padding="zero", scale=scale, seed=seed)
    return Convolutional(D, depth, kernel=kernel, padding="circular", scale=scale, seed=seed)


def predictor_at(model: Convolutional, limit: Limit) -> Array:
    """β of the limit direction's weights."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(limit.weights[name]))
    return model.predictor


def section(found: Sequence[Case], dataset: Dataset) -> Section:
    """The table and its predictions."""
    text = (
        "No closed form of the price is known here, so nothing is predicted of β itself. Each limit must be a KKT "
        "point of the network's own problem\n\n"
        "    min ‖w‖²   s.t.   yₙ f(xₙ; w) ≥ 1."
    )
    title = f"{dataset.name}: zero padding and narrow kernels"
    return Section(title, text, COLUMNS, tuple(map(row, found)), tuple(map(check_of, found)))


def residual(case: Case) -> float:
    """ε/‖w̃‖ of the limit."""
    return case.limit.kkt_epsilon / case.limit.norm_at_unit_margin


def check_of(case: Case) -> Check:
    """The limit is a KKT point, where it was reached."""
    network = f"{case.padding} padding, kernel {case.kernel}, L={case.depth}, seed {case.seed}"
    statement = f"{network}: the limit is a KKT point"
    if not case.limit.status.converged:
        return Check.no_prediction(statement, residual(case), why=str(case.limit.status), reference=REFERENCE)
    return Check.at_most(statement, residual(case), RESIDUAL_TOLERANCE, reference=REFERENCE)


def row(case: Case) -> dict[str, Value]:
    """One line of the table."""
    return {
        "padding": case.padding,
        "kernel": case.kernel,
        "depth": case.depth,
        "seed": case.seed,
        "kkt": residual(case),
        "angle": case.to_circular,
        "norm": case.limit.norm_at_unit_margin,
        "theory": check_of(case).passed,
    }


def quick() -> Report:
    """The part of bare `implicitbias compare`."""
    return compare_paddings(load("synthetic:6,10,0"), progress=True)
