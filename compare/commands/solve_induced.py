"""`implicitbias solve induced FILE`: the least weights of a two-layer CNN that computes a given predictor."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.commands.outcome import WIDTH_OF_A_FILE, save_option
from compare.commands.written import Place, written
from compare.data.arrays import read_array
from compare.data.dataset import DataError
from compare.experiments.values import COUNT, INTEGER, NUMBER, SIZES, TOLERANCE, Wanted, sizes
from compare.reports.records import json_text
from compare.reports.wording import clean, number
from solvers.arrays import Array
from solvers.solution import Status


def kernel_sizes(ctx: click.Context, option: click.Parameter, text: str) -> tuple[tuple[int, ...], ...]:
    """ "3" or "1,2,3x3" as kernels."""
    try:
        return tuple(sizes(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, option) from error


@click.command(name="induced")
@click.argument("file", type=Place())
@click.option(
    "--kernel", "kernels", required=True, metavar="K[,K…]", callback=kernel_sizes, help="Kernel sizes: 3, 1,2,4 or 3x3."
)
@written("--image-shape", wanted=Wanted(SIZES), help="HxW: the numbers are the pixels of an image, row by row.")
@written("--channels-in", wanted=Wanted(INTEGER, COUNT), default=1, help="R; the first axis for R > 1.")
@written("--channels-out", wanted=Wanted(INTEGER, COUNT), shown="enough for the convex value", help="C.")
@written("--tol", wanted=Wanted(NUMBER, TOLERANCE), default=1e-9, help="Largest relative gap that counts as closed.")
@click.option("--sdp", is_flag=True, help="Also solve the textbook semidefinite program, and reduce its rank.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, kernels, output weights and dual vector included.")
@save_option("Write kernels, output weights and dual vectors to this .npz.")
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    kernels: tuple[tuple[int, ...], ...],
    image_shape: tuple[int, ...] | None,
    channels_in: int,
    channels_out: int | None,
    tol: float,
    sdp: bool,
    as_json: bool,
    save: Path | None,
) -> None:
    """R_{K,C}(w) = min ‖U‖² + ‖V‖² over two-layer CNNs that compute w, with the network and the proof.

    FILE holds w: .npy, or text with one row a line. A vector is a signal, a matrix an image; with --channels-in R the
    first axis are the channels.

    Exit code 0 when every gap is closed, 1 when one is open (too few channels), 2 for bad input.
    """
    import solvers

    w = predictor(read_array(file), image_shape, channels_in)
    axes = w.ndim - (channels_in > 1)
    found = []
    for kernel in kernels:
        whole = kernel * axes if len(kernel) == 1 else kernel
        start = perf_counter()
        answer = solvers.induced_regularizer(w, whole, in_channels=channels_in, out_channels=channels_out, tol=tol)
        facts = describe(answer, whole, perf_counter() - start)
        if sdp:
            program = solvers.conv_kernel_sdp(w, whole, in_channels=channels_in)
            reduced = solvers.reduce_rank(program.matrix, w, whole, in_channels=channels_in)
            facts |= {"sdp": program.value, "sdp_rank": program.rank, "reduced": reduced.value}
            facts |= {"reduced_channels": reduced.channels}
        found.append((answer, facts))
    if save is not None:
        arrays = ("kernels", "output_weights", "dual")
        np.savez(save, **{f"{name}_K{f['kernel']}": getattr(a, name) for a, f in found for name in arrays})
    if as_json:
        shown = [{**f, "kernels": a.kernels, "output_weights": a.output_weights, "dual": a.dual} for a, f in found]
        click.echo(json_text({"file": clean(str(file)), "shape": list(w.shape), "results": shown}))
    else:
        print_table(found, w, file)
    ctx.exit(0 if all(answer.status is Status.OPTIMAL for answer, _ in found) else 1)


def predictor(w: Array, image_shape: tuple[int, ...] | None, channels: int) -> Array:
    """w in the shape that the options say. Raises DataError where it has not as many numbers."""
    shape = w.shape if image_shape is None else image_shape
    if channels > 1 and (image_shape is not None or w.ndim == 1):
        shape = (channels, *(shape if image_shape is not None else (w.size // channels,)))
    if int(np.prod(shape)) != w.size or len(shape) > 2 + (channels > 1):
        raise DataError(f"w has shape {w.shape}, {w.size} numbers; wanted {'×'.join(map(str, shape))}")
    return w.reshape(shape)


def describe(answer: Any, kernel: tuple[int, ...], seconds: float) -> dict[str, Any]:
    """One line of the table, by the keys of JSON."""
    return {
        "kernel": "x".join(map(str, kernel)),
        "value": answer.value,
        "lower_bound": answer.lower_bound,
        "gap": answer.gap,
        "status": answer.status.name,
        "channels": answer.kernels.shape[0],
        "rank": answer.rank,
        "predictor_error": answer.predictor_error,
        "seconds": seconds,
    }


LABELS = {
    "kernel": ("K", ""),
    "value": ("R(w) = ‖U‖² + ‖V‖²", ".10g"),
    "lower_bound": ("proved lower bound", ".10g"),
    "gap": ("gap", ".1e"),
    "status": ("status", ""),
    "channels": ("channels", ""),
    "predictor_error": ("error of w", ".0e"),
    "seconds": ("time/s", ".2g"),
}
PROGRAM = {
    "kernel": ("K", ""),
    "sdp": ("tr Z of the SDP", ".10g"),
    "sdp_rank": ("rank Z", ""),
    "reduced": ("cost with fewer channels", ".10g"),
    "reduced_channels": ("channels then", ""),
}
"""The semidefinite program's own table."""


def print_table(found: list[tuple[Any, dict[str, Any]]], w: Array, file: Path) -> None:
    """A row for each kernel, and what w is."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    kind = "×".join(map(str, w.shape))
    console.print(Text(f"{clean(str(file))}: w of shape {kind}, ‖w‖₂ = {np.linalg.norm(w):.6g}"))
    for columns in (LABELS, PROGRAM) if "sdp" in found[0][1] else (LABELS,):
        table = Table(*(label for label, _ in columns.values()), box=SIMPLE_HEAD)
        for _, facts in found:
            table.add_row(*(Text(number(facts[k], f) if f else str(facts[k])) for k, (_, f) in columns.items()))
        console.print(table)
    for status in {answer.status for answer, _ in found}:
        console.print(Text(f"{status.name}: {status}", style="dim"))
