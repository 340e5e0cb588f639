"""What the comparing commands share: --out and --json, and how a report is delivered."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from compare.command_line import CONFIRMED, INTERRUPTED, NOT_REACHED, REFUTED
from compare.commands.written import Place

if TYPE_CHECKING:
    from compare.reports.report import Report

F = TypeVar("F", bound=Callable[..., Any])

WIDTH_OF_A_FILE = 130
"""Columns of printed tables where standard output is no terminal."""


def writable(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """The path itself, if it can be written; asked before the work, not after it.

    Raises click.BadParameter where it cannot: nobody should lose an hour's result to a typing error.
    """
    if path is None:
        return None
    to_file = isinstance(option.type, click.Path) and not option.type.dir_okay
    folder = path.absolute().parent if to_file else path.absolute()
    if to_file and not folder.is_dir():
        raise click.BadParameter(f"there is no folder {str(folder)!r} to write {path.name!r} into", ctx, option)
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        why = f"{str(path)!r} cannot be written: {str(existing)!r}: {error.strerror or error}"
        raise click.BadParameter(why, ctx, option) from error
    return path


def folder_of_reports(ctx: click.Context, option: click.Parameter, path: Path) -> Path:
    """The folder, if it can be written and holds no file of another program that a report would replace.

    Raises click.BadParameter otherwise.
    """
    writable(ctx, option, path)
    if path.exists() and any(path.iterdir()):
        from compare.reports.records import foreign_file

        kept = foreign_file(path)
        if kept is not None:
            why = f"{str(kept)!r} is of no report of implicitbias; name another folder, or move it away"
            raise click.BadParameter(why, ctx, option)
    return path


def save_option(help: str) -> Callable[[F], F]:
    """The option --save FILE; the command receives `save: Path | None`."""
    file = Place(dir_okay=False)
    return click.option("--save", type=file, callback=writable, help=help)


def report_options(default_folder: str) -> Callable[[F], F]:
    """The options --out DIR, --json and --verbose; the command receives `out: Path`, `as_json` and `verbose: bool`."""

    def decorate(command: F) -> F:
        command = click.option("--verbose", "-v", is_flag=True, help="Print every table, not the summary alone.")(
            command
        )
        command = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of tables.")(
            command
        )
        return click.option(
            "--out",
            type=Place(file_okay=False),
            callback=folder_of_reports,
            default=Path(default_folder),
            show_default=True,
            help="Folder for report.html, report.json and CSV files.",
        )(command)

    return decorate


def exit_code(report: Report) -> int:
    """0: all that is predicted is confirmed, and something is; 1: something is refuted; 130: interrupted.

    3: nothing is refuted, but something was not reached or nothing was predicted.
    """
    if not report.complete:
        return INTERRUPTED
    return REFUTED if report.failures else CONFIRMED if report.passed else NOT_REACHED


def deliver(report: Report, *, out: Path, as_json: bool, verbose: bool) -> NoReturn:
    """Write the report into `out`, print it, and exit with `exit_code`.

    The page is written before anything is printed, so a closed pipe loses nothing. Where it cannot be written, all of
    the report is printed, so that a full disk loses nothing either; that is an error of its own. What reproduces the
    report is the command line itself.
    """
    from dataclasses import replace

    from rich.console import Console

    again = shlex.join(["implicitbias", *sys.argv[1:]])
    report = replace(report, provenance=replace(report.provenance, commands=(again,)))
    failed, place = None, ""
    try:
        page = report.write(out)
        place = os.path.relpath(page) if page.is_relative_to(Path.cwd()) else str(page)
    except OSError as error:
        failed = error.strerror or str(error)
    if as_json:
        click.echo(report.to_json(), nl=False)
    else:
        console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
        report.print(console, verbose=verbose or failed is not None)
    if failed is not None:
        raise OSError(f"the report could not be written into {str(out)!r}: {failed}; all of it is printed instead")
    tables = "" if verbose or as_json else "; tables: there, or --verbose"
    click.echo(f"report: {place}, after {processor_seconds():.0f} s of processor time{tables}", err=True)
    click.get_current_context().exit(exit_code(report))


def processor_seconds() -> float:
    """Of this process and its workers, which are ended for it: the system adds their time when they are gone."""
    if "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)
    return sum(os.times()[:4])
