"""`implicitbias compare losses`."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.data_options import data_options
from compare.commands.network_options import network_options
from compare.commands.outcome import deliver, report_options
from compare.data.load import Scale, load
from compare.reports.report import Report


@click.command(name="losses")
@data_options("wine:0v1")
@network_options(depths="1,2,3")
@report_options("implicitbias-report-losses")
def command(
    data: str,
    scale: Scale,
    offset: bool | None,
    depths: tuple[int, ...],
    seeds: tuple[int, ...],
    init: float,
    out: Path,
    as_json: bool,
) -> None:
    """Where the flows of the exponential and of the logistic loss end, from the same initial weights."""
    from compare.margin.losses import compare_losses

    dataset = load(data, scale=scale, offset=offset)
    report = compare_losses(dataset, depths=depths, seeds=seeds, scale=init, progress=True)
    deliver(report, out=out, as_json=as_json)


def quick() -> Report:
    """The part of bare `implicitbias compare`."""
    from compare.margin.losses import quick

    return quick()
