"""`implicitbias prove`: every claim with what was proved about it, as a table, as JSON, or as one HTML page."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from compare.command_line import CONFIRMED, INTERRUPTED, NOT_REACHED, REFUTED
from compare.commands.experiment import from_the_start, time_limit_option
from compare.commands.proof_text import Result, print_list, print_table
from compare.commands.written import Place, written
from compare.experiments.values import COUNT, INTEGER, Interval, Wanted


class _Prove(click.Command):
    """`prove`, in which a first word `lemma` stands for the command of that name."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """The context of the command that the arguments ask for."""
        if args[:1] != ["lemma"]:
            return super().make_context(info_name, args, parent, **extra)
        from compare.commands.lemma import command as lemma

        return lemma.make_context(f"{info_name} lemma", args[1:], parent, **extra)


@click.command("prove", cls=_Prove, short_help="Verify the identities that both sides rest on.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@written(
    "--max-K", "max_K", wanted=Wanted(INTEGER, Interval(1, 64)), help="Largest kernel length for identities per K."
)
@click.option("--details", is_flag=True, help="Print every step with its check, and the formulas.")
@click.option("--list", "listing", is_flag=True, help="Print the names and statements; verify nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print verdicts and steps as JSON.")
@click.option(
    "--html", type=Place(dir_okay=False), is_flag=False, flag_value=Path("proofs.html"),
    help="Also write one HTML page with every step rendered (proofs.html if no FILE follows; put names before it).",
)  # fmt: skip
@written("--jobs", wanted=Wanted(INTEGER, COUNT), default=1, help="Processes that share the work.")
@time_limit_option
def command(
    names: tuple[str, ...],
    max_K: int | None,
    details: bool,
    listing: bool,
    as_json: bool,
    html: Path | None,
    jobs: int,
    time_limit: float,
) -> None:
    """Verify claims by NAME (or group; all by default) and say exactly what each verdict covers.

    `lemma` as the first word is a command of its own, the convolution lemma for your kernels: `prove lemma --help`.

    ALGEBRA PROVED FOR ALL SIZES: every step is an identity or inequality with the sizes indeterminate; that the steps
    add up (by induction, in a limit) is said in words, for you to check. PROVED is symbolic at the sizes stated,
    CERTIFIED a rigorous enclosure for stated inputs, CHECKED exact arithmetic on instances. REFUTED shows a
    counterexample; some claims, as papers print them, are meant to be refuted. The exit code is 1 when any verdict is
    not the expected one, 3 when the time limit came before all were verified.
    """
    from compare.reports.progress import run_parts
    from compare.reports.wording import counted
    from proofs.catalogue import find, verify
    from proofs.page import record, write

    chosen = find(names)
    if listing:
        print_list(chosen)
        return
    running = verify(names, max_K=max_K, jobs=jobs)
    click.echo(f"{counted(len(chosen), 'claim')} to verify", err=True)
    with from_the_start(time_limit):
        done = run_parts([(claim.name, partial(next, running)) for claim in chosen], "Claims")
    results: list[Result] = list(done.results)
    if as_json:
        click.echo(json.dumps([record(*result) for result in results], ensure_ascii=False, indent=1))
    else:
        print_table(results, details=details)
    if html is not None:
        write(results, html)
        click.echo(f"page: {os.path.relpath(html) if html.resolve().is_relative_to(Path.cwd()) else html}", err=True)
    if done.note:
        click.echo(done.note, err=True)
    code = CONFIRMED if all(verdict.as_expected for _, verdict in results) else REFUTED
    if not done.complete:
        code = INTERRUPTED
    click.get_current_context().exit(code or (NOT_REACHED if done.late else CONFIRMED))
