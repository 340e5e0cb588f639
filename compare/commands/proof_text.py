"""Claims and their verdicts as text in a terminal: what `prove` and `prove lemma` print."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.commands.outcome import WIDTH_OF_A_FILE

COLOURS = {"REFUTED": "yellow", "NOT PROVED": "red", "CHECKED": "cyan", "CERTIFIED": "green"}
Result = tuple[Any, Any]


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)


def print_list(chosen: Iterable[Any]) -> None:
    table = Table("claim", "statement", box=SIMPLE_HEAD)
    for claim in chosen:
        table.add_row(Text(claim.name, style="bold"), Text(claim.statement))
    console().print(table)


def print_table(results: list[Result], *, details: bool) -> None:
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
