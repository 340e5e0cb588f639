"""`implicitbias compare scale`."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.data_options import data_options
from compare.commands.outcome import deliver, report_options
from compare.data.load import Scale, load
from compare.reports.report import Report


def positive(ctx: click.Context, option: click.Parameter, text: str) -> tuple[float, ...]:
    """ "0.01,1,10" as positive numbers."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r}: write positive numbers such as 0.01,1,10", ctx, option) from None
    if not all(0 < number < float("inf") for number in found):
        raise click.BadParameter(f"{text!r}: every number must be positive and finite", ctx, option)
    return found


@click.command(name="scale")
@data_options("wine:0v1")
@click.option("--inits", default="0.01,0.1,1,10", show_default=True, callback=positive, help="Initial scales α.")
@report_options("implicitbias-report-scale")
def command(data: str, scale: Scale, offset: bool | None, inits: tuple[float, ...], out: Path, as_json: bool) -> None:
    """Depth-2 networks from initial weights of every size: how long the kernel's answer lasts, and where they end."""
    from compare.margin.initial_scale import compare_scales

    report = compare_scales(load(data, scale=scale, offset=offset), scales=inits, progress=True)
    deliver(report, out=out, as_json=as_json)


def quick() -> Report:
    """The part of bare `implicitbias compare`."""
    from compare.margin.initial_scale import quick

    return quick()
