"""A report on one screen: each experiment, or each network of one experiment, with its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from compare.reports.findings import CONJECTURED, Column, Findings, Section, Value
from compare.reports.verdict import Verdict

ONE_SCREEN = 24
"""Rows of networks that are shown one by one; a longer report is summed up by section. A convention."""


def overview(report: Findings) -> tuple[Section, ...]:
    """What came out, in tables of one screen.

    A report of one experiment shows its networks, the figure that decides, and the verdict. A longer one shows for each
    section, or each experiment where there are many sections, how many predictions are confirmed; then the networks of
    the first experiment. There is none where the report says its conclusion in a sentence.
    """
    predicts = (section for section in report.sections if any(check.predicts for check in section.checks))
    tested = [] if report.conclusion else list(predicts)
    results = [in_short(section) for section in tested if verdicts(section)]
    if len(results) == len(tested) and 0 < sum(len(section.rows) for section in results) <= ONE_SCREEN:
        return tuple(results)
    if report.conclusion or not any(section.checks for section in report.sections):
        return ()
    first = [in_short(section) for section in tested if section.group == tested[0].group and verdicts(section)]
    shown = first if len(report.groups) > 1 and sum(len(section.rows) for section in first) <= ONE_SCREEN else []
    return (totals(report), *shown)


def verdicts(section: Section) -> list[Column]:
    """The columns that hold verdicts."""
    return [column for column in section.columns if column.format == "verdict"]


def naming(section: Section) -> list[Column]:
    """The columns that say which row this is: words and integers, up to the first number that was measured."""
    names: list[Column] = []
    for column in section.columns:
        if any(isinstance(row.get(column.key), float) for row in section.rows) or column.format == "verdict":
            break
        names.append(column)
    return names[:3]


def in_short(section: Section) -> Section:
    """The section's table with the columns that name a row, the first measured one with its ±, and the verdicts."""
    names = naming(section)
    measured = [c for c in section.columns[len(names) :] if any(isinstance(r.get(c.key), float) for r in section.rows)]
    further = [column for column in measured[1:2] if column.label == "±"]
    columns = (*names, *measured[:1], *further, *verdicts(section))
    keys = {column.key for column in columns}
    rows = [{key: value for key, value in row.items() if key in keys} for row in section.rows]
    return Section(section.title, columns=columns, rows=rows)


def heading(section: Section) -> str:
    """The title without the name of the data, or of the experiment, where the group says that already.

    What follows the experiment's name may be the data's, which keeps its letters.

    >>> heading(Section("wine: gradient descent", group="Max margin on wine"))
    'Gradient descent'
    """
    first, colon, rest = section.title.partition(": ")
    if colon and section.group.endswith(f" on {first}"):
        return rest[:1].upper() + rest[1:]
    return rest if colon and section.group.partition(": ")[0] == first else section.title


def totals(report: Findings) -> Section:
    """One row for each section that checks something: how many of its predictions have which verdict.

    For each experiment instead, where the sections are more than a screen, or two have one title.
    """
    columns = [Column("section", "compared"), *(Column(verdict.name, verdict.value) for verdict in Verdict)]
    if any(check.conjectured for check in report.checks):
        columns.append(Column(CONJECTURED, CONJECTURED, about="Measured, and part of what has no prediction."))
    rows: list[dict[str, Value]] = []
    checked = [section for section in report.sections if section.checks]
    repeated = len({heading(section) for section in checked}) < len(checked)
    by_group = repeated or len(checked) > ONE_SCREEN
    for title, members in groupby(checked, key=lambda section: (by_group and section.group) or heading(section)):
        checks = [check for section in members for check in section.checks]
        found = Counter(check.verdict for check in checks)
        row: dict[str, Value] = {"section": title, **{v.name: found[v] for v in Verdict}}
        rows.append(row | {CONJECTURED: sum(check.conjectured for check in checks)} if len(columns) > 5 else row)
    return Section("", columns=columns, rows=rows)


def reasons(report: Findings, verdict: Verdict) -> Sequence[tuple[str, int]]:
    """Why checks have this verdict, most frequent first, with how many."""
    return Counter(check.reason for check in report.checks if check.verdict is verdict).most_common()
