"""Two reports side by side: which verdicts differ, and every number of the one next to that of the other.

The result is a report itself, so that it is printed, and written as HTML, JSON and CSV, by what prints and writes all
reports. Its one check is that the verdicts are the same; there is none where the reports share no prediction.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import TypeVar

from compare.reports.findings import Check, Column, Findings, Section, Value
from compare.reports.overview import naming
from compare.reports.report import Report
from compare.reports.terminal import comparison
from compare.reports.time_limit import LATE, left_out
from compare.reports.wording import counted

T = TypeVar("T")
Pairs = list[tuple[T | None, T | None]]
SIDES = ("A", "B")
SEEDS = re.compile(r",? (?:seed \d+|\d+ seeds)| \((?:worst: seed \d+|the worst of \d+ seeds)\)")
"""Of which seeds a statement was measured on: the prediction is the same without."""


def difference(a: Findings, b: Findings) -> Report:
    """The report of what two reports say; `changed` of it are the verdicts that differ.

    Sections are paired by experiment and title, predictions by their statements whatever the seeds,
    rows by the columns that name them. What stands for parts that came too late is left out: the other report has the
    parts' own predictions.
    """
    ones, others = ([section for section in report.sections if section.title != LATE] for report in (a, b))
    paired = pairs(ones, others, lambda section: (section.group, section.title))
    tables = (table for one, other in paired for table in side_by_side(one, other))
    differing, alone = changes(paired), one_sided(paired, (a, b))
    conclusion = said_of(paired, alone)
    same = Check.at_most("every prediction of both reports has one verdict", len(differing.rows), 0.0)
    if conclusion.startswith(NOTHING_SHARED):
        same = Check.no_prediction(same.statement, None, why=NOTHING_SHARED)
    made = [replace(differing, checks=(same,)), *(section for section in alone if section.rows), *tables]
    notes = tuple(
        f"{side}: {report.title}, {report.provenance.time}: {report.summary}"
        + "".join(f" ({command})" for command in report.provenance.commands[:1])
        for side, report in zip(SIDES, (a, b), strict=True)
    )
    return Report("Two reports side by side", tuple(made), a.provenance + b.provenance, notes, conclusion=conclusion)


def said_of(paired: Pairs[Section], alone: Iterable[Section]) -> str:
    """How many verdicts differ, and how many predictions have no counterpart."""
    predictions = [both for sections in paired for both in checks_of(*sections)]
    shared = sum(len(known(both)) == 2 for both in predictions)
    count = len(changes(paired).rows)
    same = f"No verdict differs, of {counted(shared, 'prediction')} in both reports."
    text = f"{counted(count, 'verdict')} differ{'s' * (count == 1)}." if count else same
    if predictions and not shared:
        text = NOTHING_SHARED
    for section, words in zip(alone, ("only in {}", "left out by the time limit of {}"), strict=True):
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            count = sum(row[f"verdict {side}"] is not None for row in section.rows)
            named = words.format(side if section.title == ALONE else other)
            text += f" {counted(count, 'prediction')} {named}." if count else ""
    return text


ALONE = "In one report alone"
NOTHING_SHARED = "No prediction is in both reports."


def changed(report: Report) -> int:
    """How many predictions that are in both reports have another verdict in B than in A."""
    return len(report.sections[0].rows)


def pairs(ones: Iterable[T], others: Iterable[T], key: Callable[[T], Hashable]) -> Pairs[T]:
    """Each of the ones with the other of the same key, in order; then the others that are left. Keys may repeat."""
    waiting: defaultdict[Hashable, list[T]] = defaultdict(list)
    for other in others:
        waiting[key(other)].append(other)
    found: Pairs[T] = [(one, waiting[key(one)].pop(0) if waiting[key(one)] else None) for one in ones]
    return found + [(None, other) for left in waiting.values() for other in left]


def checks_of(one: Section | None, other: Section | None) -> Pairs[Check]:
    """The predictions of two sections, paired."""
    a, b = (() if section is None else section.checks for section in (one, other))
    return pairs(a, b, lambda check: SEEDS.sub("", check.statement))


def changes(paired: Pairs[Section]) -> Section:
    """Every prediction of both reports whose verdict differs."""
    rows: list[dict[str, Value]] = []
    for sections in paired:
        differing = (both for both in checks_of(*sections) if len({check and check.verdict for check in both}) > 1)
        rows += [{"section": known(sections)[0].title, **said(both)} for both in differing if len(known(both)) == 2]
    text = "" if rows else "None: each prediction that is in both reports has one verdict."
    return Section("Verdicts that differ", text, [Column("section", "section"), *PREDICTION], rows)


def one_sided(paired: Pairs[Section], reports: tuple[Findings, Findings]) -> tuple[Section, Section]:
    """The predictions that have no counterpart: of one report alone, and those that the other's time limit left out."""
    alone: list[dict[str, Value]] = []
    late: list[dict[str, Value]] = []
    for sections in paired:
        (section, *_) = known(sections)
        for both in checks_of(*sections):
            if len(known(both)) == 1:
                other = reports[0 if both[0] is None else 1]
                rows = late if left_out(other, section) else alone
                rows.append({"section": section.title, **said(both)})
    columns = [Column("section", "section"), *PREDICTION]
    return Section(ALONE, "", columns, alone), Section("Left out by the time limit of the other", "", columns, late)


PREDICTION = (
    Column("statement", "theory says"),
    Column("verdict A", "A", format="verdict"),
    Column("verdict B", "B", format="verdict"),
    Column("measured A", "measured, A"),
    Column("measured B", "measured, B"),
)


def said(both: tuple[Check | None, Check | None]) -> dict[str, Value]:
    """Verdicts and measurements of one prediction in the two reports."""
    cells: dict[str, Value] = {"statement": known(both)[0].statement}
    for side, check in zip(SIDES, both, strict=True):
        cells[f"verdict {side}"] = None if check is None else check.verdict.value
        cells[f"measured {side}"] = None if check is None else comparison(check)
    return cells


def known(both: tuple[T | None, T | None]) -> list[T]:
    """Those of the two that there are; never none."""
    return [one for one in both if one is not None]


def side_by_side(one: Section | None, other: Section | None) -> list[Section]:
    """The predictions and the table of two sections, every number next to its counterpart."""
    sections = known((one, other))
    title, group = sections[0].title, sections[0].group
    alone = "" if len(sections) == 2 else f"Only in {SIDES[other is not None]}."
    checks = [said(both) for both in checks_of(one, other)]
    made = [Section(f"{title}: predictions", alone, PREDICTION, checks, group=group)] if checks else []
    if any(section.rows for section in sections):
        made.append(Section(f"{title}: measurements", alone, *measured(one, other), group=group))
    return made


def measured(one: Section | None, other: Section | None) -> tuple[list[Column], list[dict[str, Value]]]:
    """The tables of two sections as one: a column that differs stands twice, with its values in A and in B."""
    sections = known((one, other))
    names = [column.key for column in naming(sections[0])]
    a, b = (() if section is None else section.rows for section in (one, other))
    rows = pairs(a, b, lambda row: tuple(row.get(name) for name in names))
    columns, cells = list[Column](), [dict[str, Value]() for _ in rows]
    for column in {column.key: column for section in sections for column in section.columns}.values():
        values = [tuple(None if row is None else row.get(column.key) for row in both) for both in rows]
        differs = column.key not in names and any(a != b and not (a != a and b != b) for a, b in values)
        for side, name in enumerate(SIDES):
            if differs:
                columns.append(replace(column, key=f"{column.key} {name}", label=f"{column.label}, {name}"))
                for cell, both in zip(cells, values, strict=True):
                    cell[columns[-1].key] = both[side]
        if not differs:
            columns.append(column)
            for cell, both in zip(cells, values, strict=True):
                cell[column.key] = both[1] if both[0] is None else both[0]
    return columns, cells
