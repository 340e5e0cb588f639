"""`implicitbias prove`: every claim with what was proved about it, as a table, as JSON, or as one HTML page."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.command_line import INTERRUPTED
from compare.commands.outcome import WIDTH_OF_A_FILE

COLOURS = {"REFUTED": "yellow", "NOT PROVED": "red", "CHECKED": "cyan", "CERTIFIED": "green"}
Result = tuple[Any, Any]


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
@click.option("--max-K", "max_K", type=click.IntRange(1, 64), help="Largest kernel length for identities per K.")
@click.option("--details", is_flag=True, help="Print every step with its check, and the formulas.")
@click.option("--list", "listing", is_flag=True, help="Print the names and statements; verify nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print verdicts and steps as JSON.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), is_flag=False, flag_value=Path("proofs.html"),
    help="Also write one HTML page with every step rendered (proofs.html if no FILE follows; put names before it).",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that share the work.")
def command(
    names: tuple[str, ...], max_K: int | None, details: bool, listing: bool, as_json: bool, html: Path | None, jobs: int
) -> None:
    """Verify claims by NAME (or group; all by default) and say exactly what each verdict covers.

    `lemma` as the first word is a command of its own, the convolution lemma for your kernels: `prove lemma --help`.

    ALGEBRA PROVED FOR ALL SIZES: every step is an identity or inequality with the sizes indeterminate; that the steps
    add up (by induction, in a limit) is said in words, for you to check. PROVED is symbolic at the sizes stated,
    CERTIFIED a rigorous enclosure for stated inputs, CHECKED exact arithmetic on instances. REFUTED shows a
    counterexample; some claims, as papers print them, are meant to be refuted. The exit code is 1 when any verdict is
    not the expected one.
    """
    from proofs.catalogue import find, verify
    from proofs.page import record, write

    if listing:
        _print_list(find(names))
        return
    results: list[Result] = []
    interrupted = False
    try:
        with Console(stderr=True).status("verifying …") as status:
            for claim, verdict in verify(names, max_K=max_K, jobs=jobs):
                results.append((claim, verdict))
                status.update(f"verified {len(results)}: {claim.name}")
    except KeyboardInterrupt:
        interrupted = True  # what is finished is still worth printing
    if as_json:
        click.echo(json.dumps([record(*result) for result in results], ensure_ascii=False, indent=1))
    else:
        _print_table(results, details=details)
    if html is not None:
        write(results, html)
        click.echo(f"page: {os.path.relpath(html) if html.resolve().is_relative_to(Path.cwd()) else html}", err=True)
    if interrupted:
        click.get_current_context().exit(INTERRUPTED)
    if not all(verdict.as_expected for _, verdict in results):
        click.get_current_context().exit(1)


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)


def _print_list(chosen: Iterable[Any]) -> None:
    table = Table("claim", "statement", box=SIMPLE_HEAD)
    for claim in chosen:
        table.add_row(Text(claim.name, style="bold"), Text(claim.statement))
    console().print(table)


def _print_table(results: list[Result], *, details: bool) -> None:
    out = console()
    table = Table(box=SIMPLE_HEAD)
    for title, ratio in (("claim", 11), ("source", 6), ("scope", 5), ("verdict", 4)):
        table.add_column(title, ratio=ratio, overflow="fold")
    table.add_column("time/s", justify="right", no_wrap=True)
    for claim, verdict in results:
        what = Text.assemble((claim.name, "bold"), "\n", (claim.statement, ""))
        table.add_row(what, claim.reference, verdict.scope, _verdict(claim, verdict), f"{verdict.seconds:.2f}")
    out.print(table)
    for claim, verdict in results:
        if details:
            print_steps(claim, verdict, out)
        elif not verdict.as_expected:
            _print_failure(verdict, out)
    expected = sum(verdict.as_expected for _, verdict in results)
    seconds = sum(verdict.seconds for _, verdict in results)
    good = expected == len(results)
    out.print(Text(f"{expected} of {len(results)} claims have the expected verdict; {seconds:.1f} s.",
                   style="bold green" if good else "bold red"))  # fmt: skip


def _verdict(claim: Any, verdict: Any) -> Text:
    if not verdict.as_expected:
        return Text(f"{verdict.kind}\nexpected {verdict.expected}", style="bold red")
    text = Text(str(verdict.kind), style=COLOURS.get(str(verdict.kind), "green"))
    if claim.corrected_by:
        text.append(f"\nsee {claim.corrected_by}", style="dim")
    return text


def _print_failure(verdict: Any, out: Console) -> None:
    step = verdict.failure
    if step is None:
        return
    at = ", ".join(f"{name} = {value}" for name, value in step.counterexample.items())
    out.print(Text(f"  {verdict.claim}: {step.text}: {step.check}; {step.residual}" + (f" at {at}" if at else "")))


def print_steps(claim: Any, verdict: Any, out: Console) -> None:
    from proofs.page import pretty

    out.print(Text(f"\n{claim.name}: {claim.statement}", style="bold"))
    for assumption in claim.assumptions:
        out.print(Text(f"  assuming {assumption}", style="dim"))
    for number, step in enumerate(verdict.steps, start=1):
        kind = f"instance: {step.kind}" if step.instance else str(step.kind)
        out.print(Text.assemble((f"  {number}. ", "bold"), step.text, (f"  [{kind}] {step.check}", "dim")))
        for line in pretty(step).splitlines():
            out.print(Text("       " + line, style="cyan"), no_wrap=True)
        if step.counterexample:
            at = ", ".join(f"{name} = {value}" for name, value in step.counterexample.items())
            out.print(Text(f"       counterexample: {at}; left − right: {step.residual}", style="yellow"))
