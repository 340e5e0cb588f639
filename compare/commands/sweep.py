"""`implicitbias sweep PLAN`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compare.command_line import CONFIRMED, INTERRUPTED, NOT_REACHED
from compare.commands.experiment import time_limit_option
from compare.commands.written import Place, written
from compare.experiments.values import COUNT, INTEGER, Wanted

if TYPE_CHECKING:
    from compare.sweep.sweep import SweepResult

SOME_FAILED = 1
"""Exit code where some cells failed."""


@click.command(name="sweep")
@click.argument("plan", type=Place())
@click.option(
    "--out",
    type=Place(file_okay=False),
    help="Folder of the results; the same folder resumes.  [default: the plan's name without .toml]",
)
@written("--jobs", wanted=Wanted(INTEGER, COUNT), shown="all cores", help="Worker processes on this machine.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on a Dask cluster instead: tcp://HOST:PORT of its scheduler.")
@time_limit_option
@click.option("--retry-failed", is_flag=True, help="Run again all cells that are stored as failed.")
@click.option("--check", is_flag=True, help="Read and check the plan, say how many cells it has, run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    plan: Path,
    out: Path | None,
    jobs: int | None,
    scheduler: str | None,
    time_limit: float,
    retry_failed: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Run every cell of a grid over data, networks, depths, widths, seeds, scales, losses and methods.

    PLAN is a TOML file; the shortest is a [grid] with data = "wine:0v1". `implicitbias sweep plan.toml` again goes on
    where it stopped; `compare.load_sweep(DIR)` loads the results as a DataFrame.

    Exit codes: 0 every cell is done, 1 some cells failed, 2 bad plan, 3 the time limit came, 130 interrupted or the
    cluster lost; whatever the end, every finished cell is stored.
    """
    if jobs is not None and scheduler is not None:
        raise click.UsageError("--jobs is for this machine and --scheduler for a cluster; give one of them")
    from compare.reports.records import json_text
    from compare.sweep.plan import read_plan
    from compare.sweep.sweep import run_sweep

    checked = read_plan(plan)
    if check:
        counted = {"plan": checked.name, "cells": len(checked.cells)}
        click.echo(json.dumps(counted) if as_json else f"{checked.name}: {len(checked.cells)} cells")
        return
    folder = out if out is not None else plan.with_suffix("")
    if folder.exists() and not folder.is_dir():
        raise click.UsageError(f"{str(folder)!r} is a file; give a folder by --out")
    result = run_sweep(
        checked,
        folder,
        jobs=jobs,
        scheduler=scheduler,
        retry_failed=retry_failed,
        time_limit=time_limit,
        progress=True,
        command=shlex.join(["implicitbias", *sys.argv[1:]]),
    )
    click.echo(as_text(result) if not as_json else json_text(as_dictionary(result)))
    click.get_current_context().exit(exit_code(result))


def exit_code(result: SweepResult) -> int:
    """As the command's help says."""
    if not result.complete:
        return NOT_REACHED if result.late else INTERRUPTED
    return SOME_FAILED if result.failed else CONFIRMED


def as_dictionary(result: SweepResult) -> dict[str, object]:
    """The summary for machines."""
    return {
        "folder": str(result.folder),
        "cells": result.cells,
        "found": result.found,
        "done": result.done,
        "failed": result.failed,
        "complete": result.complete,
        "seconds": result.seconds,
        "note": result.note,
        "damage": list(result.damage),
        "errors": [{"type": kind, "message": message, "count": count} for kind, message, count in result.errors],
    }


def as_text(result: SweepResult) -> str:
    """The summary for people."""
    from compare.reports.wording import clean, counted
    from compare.sweep.progress import duration

    lines = [
        f"{counted(result.done, 'cell')} done in {duration(result.seconds)}, {result.found} were stored before, "
        f"{result.failed} failed, of {result.cells}"
    ]
    for kind, message, count in result.errors[:5]:
        lines.append(f"  {count} × {kind}: {clean(message)[:300]}")
    if len(result.errors) > 5:
        lines.append(f"  and {len(result.errors) - 5} other errors")
    if result.damage:
        lines.append(f"  the store was damaged and is mended, its old file is kept: {'; '.join(result.damage[:5])}")
    lines += [result.note] if result.note else []
    lines.append(f'results: compare.load_sweep("{clean(str(result.folder))}")')
    return "\n".join(lines)
