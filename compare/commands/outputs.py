"""`implicitbias compare outputs`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from compare.commands.network_options import network_options
from compare.commands.outcome import deliver, report_options
from compare.data.load import DataError
from compare.reports.report import Report


@click.command(name="outputs")
@click.option("--data", default="wine", show_default=True, metavar="SOURCE", help="wine, or synthetic:N,D,M,seed.")
@network_options(depths="1,2,3")
@report_options("implicitbias-report-outputs")
def command(data: str, depths: tuple[int, ...], seeds: tuple[int, ...], init: float, out: Path, as_json: bool) -> None:
    """Fully connected networks with several outputs beside the Schatten (nuclear at L = 2) max margin."""
    from compare.margin.outputs import compare_outputs, planted, wine

    match = re.fullmatch(r"synthetic:(\d{1,6}),(\d{1,6}),(\d{1,3}),(\d{1,9})", data)
    if data == "wine":
        dataset, labels = wine()
    elif match and 0 not in map(int, match.groups()[:3]):
        dataset, labels = planted(*map(int, match.groups()))
    else:
        raise DataError(f"{data!r}: write wine, or synthetic:N,D,M,seed with N, D, M ≥ 1, such as synthetic:10,8,3,0")
    report = compare_outputs(dataset, labels, depths=depths, seeds=seeds, scale=init, progress=True)
    deliver(report, out=out, as_json=as_json)


def quick() -> Report:
    """The part of bare `implicitbias compare`."""
    from compare.margin.outputs import quick

    return quick()
