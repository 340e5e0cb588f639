"""`implicitbias solve margin`: a max-margin predictor and the proof that it is one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.commands.experiment import options_of
from compare.commands.outcome import WIDTH_OF_A_FILE, save_option, writable
from compare.commands.written import Place, written
from compare.data.dataset import Dataset
from compare.experiments.margin import MarginComparison
from compare.experiments.values import NUMBER, TOLERANCE, Wanted
from compare.reports.records import columns_csv, json_text
from compare.reports.wording import clean, number
from solvers.regularizers import Regularizer, regularizer_from_name
from solvers.solution import Solution, Status
from solvers.whole_files import write_text


def regularizer_of(ctx: click.Context, option: click.Parameter, text: str) -> Regularizer:
    """The regularizer of that name. Raises click.BadParameter for anything else."""
    try:
        return regularizer_from_name(text)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, option) from error


def csv_file(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """The path of a CSV file that can be written. Raises click.BadParameter for another."""
    if path is not None and path.suffix.lower() != ".csv":
        raise click.BadParameter(f"{path.name!r} does not end in .csv; --save writes the solution as .npz", ctx, option)
    return writable(ctx, option, path)


@click.command(name="margin")
@options_of(MarginComparison, only=("data", "standardize", "offset", "image_shape", "label"))
@click.option(
    "--regularizer",
    default="l2",
    show_default=True,
    metavar="R",
    callback=regularizer_of,
    help="l2, l1, linf, fourier, spectral, nuclear, bridge:P, fourier:P, schatten:P (P = 2/L), kernel:K.",
)
@written("--tol", wanted=Wanted(NUMBER, TOLERANCE), default=1e-9, help="Largest relative certificate violation.")
@click.option(
    "--method",
    type=click.Choice(["auto", "conic"]),
    default="auto",
    show_default=True,
    help="conic: an independent solver, through cvxpy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, β and multipliers included.")
@save_option("Write the solution to this .npz, which solvers.Solution.load reads.")
@click.option(
    "--out",
    type=Place(dir_okay=False),
    callback=csv_file,
    help="Write β to this CSV file, one coefficient a line (images row by row), with the data and the class.",
)
@click.pass_context
def command(
    ctx: click.Context,
    data: str,
    standardize: Literal["auto", "none", "standard"],
    offset: bool | None,
    image_shape: tuple[int, int] | None,
    label: str | None,
    regularizer: Regularizer,
    tol: float,
    method: Literal["auto", "conic"],
    as_json: bool,
    save: Path | None,
    out: Path | None,
) -> None:
    """min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1: the predictor, and the certificate by which anyone can check it.

    Exit code 0 when proved optimal (p < 1: stationary), 1 when not, 2 for bad or non-separable data.
    """
    import solvers

    asked = MarginComparison(data, standardize=standardize, offset=offset, image_shape=image_shape, label=label)
    dataset = asked.dataset()
    shaped = dataset.images if regularizer.of_neighbours and dataset.image_shape is not None else dataset.X
    start = perf_counter()
    solution = solvers.max_margin(shaped, dataset.y, regularizer, tol=tol, method=method)
    seconds = perf_counter() - start
    if save is not None:
        solution.save(save)
    if out is not None:
        write_text(out, columns_csv(coefficients(dataset, solution)))
    facts = describe(dataset, regularizer, solution, seconds)
    if as_json:
        record = {**facts, "beta": solution.beta, "dual": solution.dual}
        click.echo(json_text(record))
    else:
        print_facts(facts)
    for remark in dataset.remarks:
        click.echo(f"! {remark}", err=True)
    ctx.exit(0 if solution.status in (Status.OPTIMAL, Status.STATIONARY) else 1)


def coefficients(dataset: Dataset, solution: Solution) -> dict[str, Any]:
    """The columns of the CSV: β, the class for which ⟨x, β⟩ speaks, and the data with what was done to them."""
    classes = dataset.classes[1:] if dataset.outputs == 1 else dataset.classes
    size = solution.beta.size // len(classes)
    return {
        "coefficient": np.tile(np.arange(size), len(classes)),
        "beta": solution.beta,
        "class": [clean(name) for name in classes for _ in range(size)],
        "data": [clean(dataset.name)] * solution.beta.size,
    }


@dataclass(frozen=True)
class Fact:
    """One line of the answer: the key in JSON, the label in a terminal, and how many digits are printed."""

    key: str
    label: str
    digits: str = ".2g"


FACTS = (
    Fact("data", "data"),
    Fact("scaling", "scaling"),
    Fact("classes", "labels"),
    Fact("sha256", "sha256"),
    Fact("points", "points"),
    Fact("dimensions", "dimensions"),
    Fact("regularizer", "regularizer"),
    Fact("status", "status"),
    Fact("objective", "objective R(β)", ".10g"),
    Fact("lower_bound", "proved lower bound", ".10g"),
    Fact("margin", "margin 1/R(β)", ".10g"),
    Fact("gap", "relative gap"),
    Fact("primal", "primal violation"),
    Fact("stationarity", "stationarity residual"),
    Fact("complementarity", "complementarity residual"),
    Fact("support_vectors", "support vectors (α > 0)"),
    Fact("support_size", "nonzero coefficients"),
    Fact("unique", "unique minimizer"),
    Fact("method", "method"),
    Fact("seconds", "time [s]"),
)
"""In the order of printing. `unique` is null where it is not known, `support_size` where R has no coefficients."""


def describe(dataset: Dataset, regularizer: Regularizer, solution: Solution, seconds: float) -> dict[str, Any]:
    """The answer by the keys of `FACTS`."""
    certificate = solution.certificate
    heavy = solution.dual > 1e-9 * solution.dual.max()  # of several classes or outputs a point has more than one α
    return {
        "data": clean(dataset.name),
        "scaling": "each column to mean 0 and standard deviation 1" if dataset.standardized else "none",
        "classes": dataset.named,
        "sha256": dataset.sha256,
        "points": dataset.X.shape[0],
        "dimensions": dataset.X.shape[1],
        "regularizer": str(regularizer),
        "status": solution.status.name,
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "margin": 1.0 / solution.objective,
        "gap": certificate.gap,
        "primal": certificate.primal,
        "stationarity": certificate.stationarity,
        "complementarity": certificate.complementarity,
        "support_vectors": int(heavy.reshape(len(heavy), -1).any(axis=1).sum()),
        "support_size": certificate.support_size,
        "unique": solution.unique.known,
        "method": str(solution.stats.get("method", "")),
        "seconds": seconds,
    }


def print_facts(facts: dict[str, Any]) -> None:
    """Two columns: name and value."""
    table = Table.grid(padding=(0, 2))
    for fact in FACTS:
        table.add_row(Text(fact.label, style="dim"), Text(shown(facts[fact.key], fact)))
    Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE).print(table)


def shown(value: Any, fact: Fact) -> str:
    """A value as the terminal prints it."""
    if fact.key == "status":
        return str(Status[value])
    if isinstance(value, dict):
        return ", ".join(f"{label.replace('-', '−')}: {name}" for label, name in value.items())
    if value is None:
        return "unknown" if fact.key == "unique" else "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value, fact.digits) if isinstance(value, float) else clean(str(value))
