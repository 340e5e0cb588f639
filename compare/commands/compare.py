"""`implicitbias compare`: the quick form of every experiment there is; with a name, that experiment in full."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from compare.command_line import LazyGroup
from compare.commands.experiment import experiment_command, from_the_start, time_limit_option
from compare.commands.outcome import deliver, report_options
from compare.experiments.table import APART, EXPERIMENTS, Row

if TYPE_CHECKING:
    from compare.reports.report import Report


class Experiments(LazyGroup):
    """The experiments by name, each command made from the experiment's parameters."""

    rows: ClassVar[Mapping[str, Row]] = ChainMap(APART, EXPERIMENTS)  # the last one's come first

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, its experiment imported now."""
        row = self.rows.get(cmd_name)
        return None if row is None else experiment_command(cmd_name, row.load().experiment)


@click.group(cls=Experiments, name="compare", invoke_without_command=True)
@time_limit_option
@report_options("implicitbias-report")
@click.pass_context
def command(ctx: click.Context, time_limit: float, out: Path, as_json: bool, verbose: bool) -> None:
    """Compare the explicit problems' solutions with where gradient descent ends.

    Without a name: the quick form of every experiment, in one report. With one: that experiment in full
    (`implicitbias compare margin --help` lists its options; those below then come after the name).
    """
    if ctx.invoked_subcommand is None:
        deliver(every_experiment(time_limit), out=out, as_json=as_json, verbose=verbose)
    for option in ("time_limit", "out", "as_json", "verbose"):
        name = "--json" if option == "as_json" else f"--{option.replace('_', '-')}"
        if ctx.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"write {name} after the experiment's name: {ctx.invoked_subcommand} {name}", ctx)


def every_experiment(time_limit: float = math.inf) -> Report:
    """The quick form of each experiment, one report. One that raises is not reached; the others go on.

    Ctrl-C in an experiment, or the time limit, keeps what it had finished and ends them all.
    """
    from dataclasses import replace

    from compare.reports.progress import run_parts
    from compare.reports.provenance import Provenance
    from compare.reports.report import Report
    from compare.reports.time_limit import late_section

    reports: list[Report] = []

    def part(name: str, row: Row) -> Report:
        reports.append(attempt(name, row))
        if not reports[-1].complete:
            raise KeyboardInterrupt
        return reports[-1]

    parts = [(name, partial(part, name, row)) for name, row in EXPERIMENTS.items()]
    click.echo(f"{len(parts)} experiments; a line when each is finished", err=True)
    with from_the_start(time_limit):
        done = run_parts(parts, "All experiments", line=lambda report: report.summary)
    title = "The explicit solution and the limit of gradient descent"
    joined = Report.merge(reports, title) if reports else Report(title, (), Provenance.collect())
    return replace(
        joined,
        sections=(*joined.sections, *((late_section(done.late),) if done.late else ())),
        notes=(*joined.notes, *((done.note,) if done.note else ())),
        complete=joined.complete and done.complete,
    )


def attempt(name: str, row: Row) -> Report:
    """One experiment's quick report; a report of its error where it raises one."""
    from compare.experiments.protocol import quick_report
    from compare.reports.provenance import Provenance
    from compare.reports.report import Check, Report, Section

    try:
        return quick_report(row.load().experiment, progress=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        broken = Check.not_reached(f"the experiment {name!r} runs to its end", None, why=reason)
        return Report(name, (Section(f"{name}: not finished", reason, checks=(broken,)),), Provenance.collect())
