"""`compare_margin`: the max-margin predictor of every network's induced regularizer beside the network itself.

For each network both roads are walked: the explicit problem is solved and certified; gradient flow is followed to its
limit from the network's own initial weights, and plain gradient descent is run beside it. See `compare.margin.tables`
for what is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from compare.data.load import Dataset, load
from compare.margin.families import Family, families, own_families
from compare.margin.figures import figures
from compare.margin.measure import Plan, Run, measure_family
from compare.margin.tables import DESCENT_COLUMNS, FLOW_COLUMNS, descent_row, family_checks, filled, flow_row
from compare.reports.progress import run_parts
from compare.reports.provenance import Provenance
from compare.reports.report import Report, Section
from gd.descent.schedule import Schedule

Array = NDArray[np.float64]


def compare_margin(
    X: ArrayLike,
    y: ArrayLike,
    models: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module] | None = None,
    *,
    architectures: Sequence[str] | None = None,
    depths: Sequence[int] = (1, 2, 3),
    seeds: Sequence[int] = (0,),
    scale: float = 0.1,
    image_shape: tuple[int, int] | None = None,
    loss: str = "exponential",
    steps: int = 2000,
    schedule: str | Schedule = "armijo",
    tol: float = 1e-9,
    name: str = "data",
    progress: bool = False,
) -> Report:
    """Where networks end, beside the solution of

        min R(β)   s.t.   y_n⟨x_n, β⟩ ≥ 1   for every n,

    R being what each architecture's weights cost: min ‖w‖² = L·R(β)^{2/L}
    (for `ConvKernel`, R(β) = min ‖w‖² itself).

    Args:
        X: points, shape (N, D), real, any units; images flattened or as (N, H, W).
        y: labels ±1, shape (N,).
        models: homogeneous torch modules of your own, trained from the weights they have; left out, the table's
            `architectures` at these `depths` with one network per seed.
        architectures: names in `compare.margin.networks.ARCHITECTURES`; all that fit the data by default.
        depths: numbers of layers L.
        seeds: of the initial weights.
        scale: standard deviation of the initial weights.
        image_shape: (H, W) when the D columns are an image; adds 2-D convolutions.
        loss: "exponential" or "logistic".
        steps, schedule: of plain gradient descent, see `gd.descend`.
        tol: relative certificate violation that the solver may leave.
        name: what the report calls the data.
        progress: whether to draw a progress bar on standard error.

    Returns a report; interrupted by Ctrl-C, one of the families that were finished, marked as not complete.

    Raises NotSeparableError when no predictor through the origin separates the data, ValueError when the data are not
    finite numbers of matching shapes, labels are not ±1, or a name, depth or seed is none.

    >>> X, y = [[2.0, 1.0], [-1.0, -3.0], [3.0, 0.5]], [1.0, -1.0, 1.0]
    >>> report = compare_margin(X, y, architectures=["diagonal"], depths=[2], steps=50)
    >>> report.passed
    True
    """
    dataset = dataset_of(X, y, image_shape, name)
    if models is not None:
        chosen = own_families(models, dataset.X if np.ndim(X) == 2 else np.asarray(X, dtype=np.float64))
    else:
        shape = dataset.image_shape
        chosen = families(dataset.X, names=architectures, depths=depths, seeds=seeds, scale=scale, image_shape=shape)
    return compare_families(dataset, chosen, Plan(loss, steps, schedule, tol), progress=progress)


def compare_families(dataset: Dataset, chosen: Sequence[Family], plan: Plan, *, progress: bool = False) -> Report:
    """The report of these families on these data."""
    parts = [(family.label, partial(measure_family, family, dataset.y, plan)) for family in chosen]
    done = run_parts(parts, "Networks", show=progress)
    runs = [run for group in done.results for run in group]
    sections: tuple[Section, ...] = ()
    if runs:
        limits, descent = limits_section(runs, dataset, plan.loss), descent_section(runs, dataset.name)
        sections = (limits, *architecture_sections(runs, dataset.name), descent)
    seeds = [run.seed for run in runs if run.family.row.build is not None]
    return Report(
        f"Max margin: linear networks on {dataset.name}",
        sections,
        Provenance.collect([dataset.used], seeds=seeds, command="compare.compare_margin(X, y, …)"),
        notes=(done.note,) if done.note else (),
        complete=done.complete,
    )


def limits_section(runs: Sequence[Run], dataset: Dataset, loss: str) -> Section:
    """Where gradient flow ends, and every prediction about it."""
    N, D = dataset.X.shape
    rows = [flow_row(run) for run in runs]
    text = (
        f"{N} points in {D} dimensions; label −1 is {dataset.classes[0]}, +1 is {dataset.classes[1]}. "
        f"Gradient flow of the {loss} loss is followed from each network's own initial weights to its limit direction, "
        "which is judged by itself and beside the solution β* of\n\n"
        "    min R(β)   s.t.   yₙ⟨xₙ, β⟩ ≥ 1,   n = 1 … N\n\n"
        "where a network of depth L pays min{‖w‖² : P(w) = β} = L·R(β)^(2/L) for the predictor β, except that the "
        "price of two-layer multi-channel networks is printed as that minimum itself, R(β) = min ‖U‖² + ‖V‖². "
        "Where R is no norm (diagonal and convolutional, L > 2) β* is the stationary point that the solver reaches "
        "from the limit itself: a small angle confirms that the limit is stationary, and no more."
    )
    checks = [check for family in by_identity(runs) for check in family_checks(family)]
    title = f"{dataset.name}: where gradient flow ends"
    return Section(title, text, *filled(rows, FLOW_COLUMNS), tuple(checks))


def architecture_sections(runs: Sequence[Run], data: str) -> list[Section]:
    """The plots, one section per architecture."""
    sections = []
    for name, members in groupby(runs, key=lambda run: run.family.row.name):
        of_one = list(members)
        price = "\n".join(dict.fromkeys(f"{run.family.label}: R(β) = {run.family.price}" for run in of_one))
        sections.append(Section(f"{data}: {name} on the way", price, figures=figures(of_one)))
    return sections


def descent_section(runs: Sequence[Run], data: str) -> Section:
    """Plain gradient descent after its last step: how far it has got, and the theorems' hypotheses as measured."""
    rows = [descent_row(run) for run in runs]
    text = (
        f"The same networks after {runs[0].trajectory.last_step.max()} steps, schedule {runs[0].trajectory.schedule}. "
        "Theory predicts where directions converge, not how far they are at a given step: nothing is predicted here."
    )
    return Section(f"{data}: gradient descent as it is run", text, *filled(rows, DESCENT_COLUMNS))


def by_identity(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs grouped by family."""
    return [list(members) for _, members in groupby(runs, key=lambda run: id(run.family))]


def dataset_of(X: ArrayLike, y: ArrayLike, image_shape: tuple[int, int] | None, name: str) -> Dataset:
    """Arrays as a data set; images (N, H, W) are flattened and remembered. The solvers check the numbers."""
    points, labels = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if points.ndim == 3:
        image_shape = (points.shape[1], points.shape[2])
    if points.ndim not in (2, 3) or labels.shape != points.shape[:1] or 0 in points.shape:
        raise ValueError(
            "X must have shape (N, D), or (N, H, W) for images, and y shape (N,); "
            f"got {points.shape} and {labels.shape}"
        )
    return Dataset(name, points.reshape(len(points), -1), labels, ("−1", "+1"), image_shape)


def compare_dataset(
    dataset: Dataset,
    *,
    architectures: Sequence[str] | None = None,
    depths: Sequence[int] = (1, 2, 3),
    seeds: Sequence[int] = (0,),
    scale: float = 0.1,
    plan: Plan | None = None,
    progress: bool = False,
) -> Report:
    """`compare_margin` of a named data set."""
    shape = dataset.image_shape
    chosen = families(dataset.X, names=architectures, depths=depths, seeds=seeds, scale=scale, image_shape=shape)
    return compare_families(dataset, chosen, plan or Plan(), progress=progress)


def quick() -> Report:
    """The part of bare `implicitbias compare`: wine at depths 1 to 3, digits 3 and 8 at depths 1 and 2.

    The diagonal network on the digits alone takes as long as all of this together; `compare margin` has it.
    """
    plan = Plan(steps=1000)
    wine = compare_dataset(load("wine:0v1"), depths=(1, 2, 3), plan=plan, progress=True)
    if not wine.complete:
        return wine
    images = ("fully connected", "convolutional", "convolutional 2-D")
    digits = compare_dataset(load("digits:3v8"), architectures=images, depths=(1, 2), plan=plan, progress=True)
    return Report.merge([wine, digits], "Max margin: linear networks")
