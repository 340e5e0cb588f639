"""`implicitbias solve margin`: a max-margin predictor and the proof that it is one."""

from __future__ import annotations

import json
import re
import sys
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.commands.data_options import data_options
from compare.commands.outcome import WIDTH_OF_A_FILE, writable
from compare.data.load import Dataset, Scale, load
from compare.reports.records import plain
from compare.reports.wording import clean, number
from solvers.regularizers import L2, Bridge, FourierBridge, Regularizer
from solvers.regularizers.conv_kernel import ConvKernel
from solvers.solution import Solution, Status

NUMBER = r"\d+(\.\d*)?|\.\d+|\d+/[1-9]\d*"
"""A positive decimal or fraction."""


def regularizer_of(text: str) -> Regularizer:
    """`l2`, `l1`, `bridge:P`, `fourier` (p = 1), `fourier:P`, `kernel:K`.

    Raises click.BadParameter for anything else.
    """
    name, _, argument = text.partition(":")
    try:
        if text in ("l2", "l1", "fourier"):
            return {"l2": L2(), "l1": Bridge(1.0), "fourier": FourierBridge(1.0)}[text]
        if name in ("bridge", "fourier") and re.fullmatch(NUMBER, argument):
            p = float(Fraction(argument))
            return Bridge(p) if name == "bridge" else FourierBridge(p)
        if name == "kernel" and argument.isdecimal():
            return ConvKernel(int(argument))
    except (ValueError, ZeroDivisionError) as error:
        raise click.BadParameter(f"{text!r}: {error}") from error
    raise click.BadParameter(f"{text!r}: write l2, l1, fourier, bridge:P, fourier:P (P = 2/L, such as 2/3) or kernel:K")


@click.command(name="margin")
@data_options("digits:3v8")
@click.option(
    "--regularizer",
    default="l2",
    show_default=True,
    metavar="R",
    callback=lambda ctx, option, text: regularizer_of(text),
    help="l2, l1, fourier, bridge:P, fourier:P with P = 2/L, or kernel:K.",
)
@click.option("--tol", default=1e-9, show_default=True, help="Largest relative certificate violation.")
@click.option(
    "--method",
    type=click.Choice(["auto", "conic"]),
    default="auto",
    show_default=True,
    help="conic: an independent solver, through cvxpy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, β and multipliers included.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable,
    help="Write β and multipliers to this .npz.",
)
@click.pass_context
def command(
    ctx: click.Context,
    data: str,
    scale: Scale,
    offset: bool | None,
    regularizer: Regularizer,
    tol: float,
    method: Literal["auto", "conic"],
    as_json: bool,
    save: Path | None,
) -> None:
    """min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1: the predictor, and the certificate by which anyone can check it.

    Exit code 0 when proved optimal (p < 1: stationary), 1 when not, 2 for bad or non-separable data.
    """
    import solvers

    dataset = load(data, scale=scale, offset=offset)
    shaped = dataset.X
    if isinstance(regularizer, FourierBridge) and dataset.image_shape is not None:
        shaped = dataset.images
    start = perf_counter()
    solution = solvers.max_margin(shaped, dataset.y, regularizer, tol=tol, method=method)
    seconds = perf_counter() - start
    if save is not None:
        np.savez(save, beta=solution.beta, dual=solution.dual)
    facts = describe(dataset, regularizer, solution, seconds)
    if as_json:
        record = {**facts, "beta": solution.beta, "dual": solution.dual}
        click.echo(json.dumps(plain(record), ensure_ascii=False, allow_nan=False))
    else:
        print_facts(facts)
    ctx.exit(0 if solution.status in (Status.OPTIMAL, Status.STATIONARY) else 1)


def describe(dataset: Dataset, regularizer: Regularizer, solution: Solution, seconds: float) -> dict[str, Any]:
    """What to print, by name."""
    certificate = solution.certificate
    return {
        "data": dataset.name,
        "sha256": dataset.sha256,
        "points": dataset.X.shape[0],
        "dimensions": dataset.X.shape[1],
        "regularizer": str(regularizer),
        "status": str(solution.status),
        "objective R(β)": solution.objective,
        "proved lower bound": solution.lower_bound,
        "relative gap": certificate.gap,
        "primal violation": certificate.primal,
        "stationarity residual": certificate.stationarity,
        "complementarity residual": certificate.complementarity,
        "support size": certificate.support_size,
        "unique minimizer": solution.unique.known,
        "method": str(solution.stats.get("method", "")),
        "time [s]": seconds,
    }


def print_facts(facts: dict[str, Any]) -> None:
    """Two columns: name and value."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value is None:
            shown = "unknown" if name.startswith("unique") else "–"
        elif isinstance(value, bool):
            shown = "yes" if value else "no"
        elif isinstance(value, float):
            shown = number(value, ".10g" if name.startswith(("objective", "proved")) else ".2g")
        else:
            shown = clean(str(value))
        table.add_row(Text(name, style="dim"), Text(shown))
    Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE).print(table)
