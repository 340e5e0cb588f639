"""`implicitbias compare padding`."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.data_options import data_options
from compare.commands.network_options import integers, network_options
from compare.commands.outcome import deliver, report_options
from compare.data.load import Scale, load
from compare.reports.report import Report


@click.command(name="padding")
@data_options("wine:0v1")
@click.option("--kernels", default="3,5", show_default=True, callback=integers, help="Kernel sizes.")
@network_options(depths="2,3", depths_help="Numbers of layers L ≥ 2.")
@report_options("implicitbias-report-padding")
def command(
    data: str,
    scale: Scale,
    offset: bool | None,
    kernels: tuple[int, ...],
    depths: tuple[int, ...],
    seeds: tuple[int, ...],
    init: float,
    out: Path,
    as_json: bool,
) -> None:
    """Convolutions without a closed-form price: are the flow's limits KKT points of min ‖w‖² at unit margin?"""
    from compare.margin.padding import compare_paddings

    dataset = load(data, scale=scale, offset=offset)
    report = compare_paddings(dataset, kernels=kernels, depths=depths, seeds=seeds, scale=init, progress=True)
    deliver(report, out=out, as_json=as_json)


def quick() -> Report:
    """The part of bare `implicitbias compare`."""
    from compare.margin.padding import quick

    return quick()
