"""`implicitbias compare depth`."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.data_options import data_options
from compare.commands.network_options import network_options
from compare.commands.outcome import deliver, report_options
from compare.data.load import Scale, load
from compare.reports.report import Report


@click.command(name="depth")
@data_options("wine:0v1")
@network_options(depths="1-6", seeds="0-4")
@report_options("implicitbias-report-depth")
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
    """Limits of diagonal and convolutional networks at every depth: certificates, supports, prices."""
    from compare.margin.depth import compare_depths

    dataset = load(data, scale=scale, offset=offset)
    report = compare_depths(dataset, depths=depths, seeds=seeds, scale=init, progress=True)
    deliver(report, out=out, as_json=as_json)


def quick() -> Report:
    """The part of bare `implicitbias compare`."""
    from compare.margin.depth import quick

    return quick()
