"""`implicitbias compare`: a quick default of every experiment there is; with a name, that experiment in full."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from compare.command_line import EXPERIMENTS, LazyGroup, Row, load
from compare.commands.outcome import deliver, report_options
from compare.reports.progress import run_parts
from compare.reports.provenance import Provenance
from compare.reports.report import Check, Report, Section


class Experiments(LazyGroup):
    """The experiments by name."""

    rows = EXPERIMENTS


@click.group(cls=Experiments, name="compare", invoke_without_command=True)
@report_options("implicitbias-report")
@click.pass_context
def command(ctx: click.Context, out: Path, as_json: bool) -> None:
    """Compare the explicit problems' solutions with where gradient descent ends.

    Without a name: a quick default of every experiment, in one report. With one: that experiment in full
    (`implicitbias compare margin --help` lists its options; --out and --json then come after the name).
    """
    if ctx.invoked_subcommand is None:
        deliver(every_experiment(), out=out, as_json=as_json)
    for option in ("out", "as_json"):
        if ctx.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE:
            name = "--json" if option == "as_json" else "--out"
            raise click.UsageError(f"write {name} after the experiment's name: {ctx.invoked_subcommand} {name}", ctx)


def every_experiment() -> Report:
    """The quick form of each experiment, one report. One that raises becomes a failed check; the others go on."""
    done = run_parts([(name, partial(attempt, name, row)) for name, row in EXPERIMENTS.items()], "All experiments")
    if not done.results:
        return Report("Nothing finished", (), Provenance.collect(), (done.note,), complete=False)
    joined = Report.merge(done.results, "The explicit solution and the limit of gradient descent")
    notes = joined.notes + ((done.note,) if done.note else ())
    return replace(joined, notes=notes, complete=joined.complete and done.complete)


def attempt(name: str, row: Row) -> Report:
    """One experiment's quick report; a report of its error where it raises one."""
    try:
        report: Report = load(f"{row.target.partition(':')[0]}:quick")()
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        failed = Check(f"the experiment {name!r} runs", None, "", None, passed=False, reason=reason)
        return Report(name, (Section(f"{name}: not finished", reason, checks=(failed,)),), Provenance.collect())
    return report
