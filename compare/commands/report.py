"""`implicitbias report diff A B`: two reports side by side."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compare.commands.outcome import WIDTH_OF_A_FILE, folder_of_reports
from compare.commands.written import Place

if TYPE_CHECKING:
    from compare.reports.report import Report

MOST = 20
"""Differing verdicts that are printed; all of them are in the page. A convention."""


@click.group(name="report")
def command() -> None:
    """Two reports side by side."""


@command.command(name="diff")
@click.argument("a", type=Place())
@click.argument("b", type=Place())
@click.option(
    "--out",
    type=Place(file_okay=False),
    callback=folder_of_reports,
    default=Path("implicitbias-report-diff"),
    show_default=True,
    help="Folder for report.html, report.json and CSV files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON instead of the summary.")
@click.pass_context
def diff(ctx: click.Context, a: Path, b: Path, out: Path, as_json: bool) -> None:
    """Two reports side by side: verdicts that differ, and every number of A next to that of B.

    A and B are the folders that --out named, or their report.json.

    Exit codes: 0 the verdicts are the same, 1 some differ, 2 a place holds no report, 3 no prediction is in both.
    """
    from compare.reports.difference import NOTHING_SHARED, changed, difference
    from compare.reports.report import Report

    found = difference(Report.load(a), Report.load(b))
    page = found.write(out)
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        print_changes(found)
    click.echo(f"report: {os.path.relpath(page) if page.is_relative_to(Path.cwd()) else page}", err=True)
    ctx.exit(1 if changed(found) else 3 if found.conclusion.startswith(NOTHING_SHARED) else 0)


def print_changes(found: Report) -> None:
    """What is compared, and the verdicts that differ, the first few of them, A next to B."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from compare.reports.terminal import STYLES, headline, print_notes
    from compare.reports.wording import clean

    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    print_notes(found, console)
    rows = found.sections[0].rows
    table = Table("theory says", "A", "B", box=SIMPLE_HEAD, pad_edge=False)
    for row in rows[:MOST]:
        verdicts = [(str(row[f"verdict {side}"]), str(row[f"measured {side}"])) for side in "AB"]
        cells = [Text(f"{verdict}: {clean(measured)}", style=STYLES[verdict]) for verdict, measured in verdicts]
        table.add_row(Text(clean(f"{row['section']}: {row['statement']}")), *cells)
    if rows:
        console.print(table)
    if len(rows) > MOST:
        console.print(Text(f"  and {len(rows) - MOST} more that differ: in the report", style="dim"))
    console.print(headline(found))
