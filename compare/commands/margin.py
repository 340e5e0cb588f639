"""`implicitbias compare margin`."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.data_options import data_options
from compare.commands.network_options import network_options
from compare.commands.outcome import deliver, report_options
from compare.data.load import Scale, load

ARCHITECTURE_HELP = "Comma-separated: fully connected, diagonal, convolutional, convolutional 2-D; all by default."


@click.command(name="margin")
@data_options("digits:3v8")
@click.option("--architectures", metavar="NAMES", help=ARCHITECTURE_HELP)
@network_options(depths="1,2,3")
@click.option("--loss", type=click.Choice(["exponential", "logistic"]), default="exponential", show_default=True)
@click.option("--steps", default=5000, show_default=True, help="Steps of plain gradient descent.")
@click.option(
    "--schedule",
    type=click.Choice(["armijo", "constant", "normalized", "accelerated", "rescaled"]),
    default="armijo",
    show_default=True,
    help="Of plain gradient descent.",
)
@report_options("implicitbias-report-margin")
def command(
    data: str,
    scale: Scale,
    offset: bool | None,
    architectures: str | None,
    depths: tuple[int, ...],
    seeds: tuple[int, ...],
    init: float,
    loss: str,
    steps: int,
    schedule: str,
    out: Path,
    as_json: bool,
) -> None:
    """Max margin of linear networks: the explicit solution, gradient flow's limit, and plain gradient descent."""
    from compare.margin.margin import compare_dataset
    from compare.margin.measure import Plan

    names = [name.strip() for name in architectures.split(",")] if architectures else None
    report = compare_dataset(
        load(data, scale=scale, offset=offset),
        architectures=names,
        depths=depths,
        seeds=seeds,
        scale=init,
        plan=Plan(loss, steps, schedule),
        progress=True,
    )
    deliver(report, out=out, as_json=as_json)


def quick() -> object:
    """The part of bare `implicitbias compare`."""
    from compare.margin.margin import quick

    return quick()
