"""`compare paper NAME`: every line of a paper decided in its order, then the experiments that were run for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from compare.papers.lines import Line, Outcome, Runs
from compare.reports.progress import run_parts
from compare.reports.report import Column, Report, Section

if TYPE_CHECKING:
    from compare.experiments.paper import PaperReproduction

COLUMNS = (
    Column("place", "in the paper"),
    Column("says", "statement"),
    Column("by", "decided by"),
    Column("verdict", "verdict", format="verdict"),
)


def lines_of(paper: str) -> tuple[Line, ...]:
    """The statements of a paper, in its order."""
    found: tuple[Line, ...] = import_module(f"compare.papers.{paper.replace('-', '_')}").LINES
    return found


def reproduction_report(asked: PaperReproduction) -> Report:
    """The lines, or those that were finished."""
    lines = lines_of(asked.paper)
    runs = Runs(quick=asked.quick_form, progress=False)
    parts = [(line.place, partial(runs.outcome, line)) for line in lines]
    done = run_parts(parts, "Lines", show=asked.progress, line=said if asked.progress else None)
    report = asked.report([section(done.results, list(runs.reports))], done)
    return replace(report, title=f"{asked.title}, line by line", sections=(*ungrouped(report), *runs.sections))


def ungrouped(report: Report) -> list[Section]:
    """Its sections, with no heading over them."""
    return [replace(one, group="") for one in report.sections]


def said(outcome: Outcome) -> str:
    """A line as it is printed when it is decided."""
    return f"{outcome.verdict.value}: {outcome.line.says}"


def section(outcomes: Sequence[Outcome], calls: Sequence[str]) -> Section:
    """The table of the lines."""
    text = (
        "Statements, numbered equations, figures and named future work in the order of the text. A statement that is "
        "false as it is printed is refuted, and the line after it says what is true."
    )
    if calls:
        numbered = [f"    >>> {call}  # {k}" for k, call in enumerate(calls, 1)]
        text += "\n\nThe experiments, numbered as they are below:\n\n" + "\n".join(numbered)
    rows = [{"place": o.line.place, "says": o.line.says, "by": o.by, "verdict": o.verdict.value} for o in outcomes]
    return Section("Line by line", text, COLUMNS, rows, [o.check for o in outcomes], in_summary=True)
