"""A report in a terminal: what was compared, whether theory holds, where not; the tables where they are asked for."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from compare.reports.findings import Check, Column, Findings, Section, Value
from compare.reports.overview import naming, overview, reasons
from compare.reports.verdict import Verdict
from compare.reports.wording import ROUNDING, cell, clean, header, measurement, ranges, shown_in_unit

LONGEST_UNIT = 3
"""Letters of a unit that stands at both numbers; words stand at the first alone. A convention."""
GAP = 3
"""Letters between two columns, as rich sets them."""
MOST_LINES = 6
"""Open predictions that a summary spells out. A convention."""
UNCERTAINTY = (
    "a ± b: b is how much the number may still change on the way to its limit, or half the 95 % interval of a mean "
    "over seeds."
)
"""Under printed measurements that have one."""
STYLES = {
    Verdict.CONFIRMED.value: "green",
    Verdict.REFUTED.value: "bold red",
    Verdict.NOT_REACHED.value: "yellow",
    Verdict.NO_PREDICTION.value: "dim",
}


def print_report(report: Findings, console: Console | None = None, *, verbose: bool = True) -> None:
    """Print the report as text; every string is data, never markup. Without `verbose`, on about one screen."""
    out = console or Console()
    out.print(Rule(Text(clean(report.title), style="bold")))
    if not report.complete:
        print_notes(report, out)
    if verbose:
        for section in report.sections:
            print_section(section, out)
        print_provenance(report, out)
    else:
        for section in report.sections:
            if section.in_summary:
                out.print(Text(clean(section.title), style="bold"))
                out.print(rich_table(section, section.columns))
        for section in overview(report):
            print_short(section, out)
        print_open(report, out)
    shown = [check for check in report.checks if verbose or check.verdict in (Verdict.REFUTED, Verdict.NOT_REACHED)]
    if any(0 < check.uncertainty < math.inf for check in shown):
        out.print(Text(f"  {UNCERTAINTY}", style="dim"))
    if report.complete:
        print_notes(report, out)
    out.print(headline(report))
    for check in report.failures:
        why = f" ({clean(check.reason)})" if check.reason else ""
        out.print(Text(f"  refuted: {clean(check.statement)}: {comparison(check)}{why}", style="red"))


def print_notes(report: Findings, out: Console) -> None:
    """What to know about the report as a whole: first where it was interrupted, else at the end."""
    for note in report.notes:
        out.print(Text(f"! {clean(note)}", style="yellow"))


def print_short(section: Section, out: Console) -> None:
    """The table with the columns that fit, under the title."""
    if section.title:
        out.print(Text(clean(section.title), style="bold"))
    out.print(rich_table(section, split(section, out.width)[0]))


def print_open(report: Findings, out: Console) -> None:
    """What is not reached, one line each, and why nothing is predicted elsewhere; the first few of each."""
    late = [check for check in report.checks if check.verdict is Verdict.NOT_REACHED]
    lines = [f"not reached: {check.statement}{open_measurement(check)}" for check in late]
    none = [f"no prediction ({count}): {reason}" for reason, count in reasons(report, Verdict.NO_PREDICTION)]
    for found, style in ((lines, "yellow"), (none, "dim")):
        for line in found[:MOST_LINES]:
            out.print(Text(f"  {clean(line)}", style=style))
        if len(found) > MOST_LINES:
            out.print(Text(f"  and {len(found) - MOST_LINES} more: --verbose", style=style))


def open_measurement(check: Check) -> str:
    """What was measured, where anything was, and why that decides nothing."""
    measured = f": {comparison(check)}" if check.measured is not None else ""
    if not check.reason:
        return measured
    return f"{measured} ({check.reason})" if measured else f": {check.reason}"


def headline(report: Findings) -> Text:
    """The one line to read: does theory hold?"""
    if report.conclusion:
        return Text(report.conclusion, style="bold")
    stopped = "" if report.complete else "Interrupted. "
    counts = report.summary[:1].upper() + report.summary[1:]
    if report.failures:
        return Text(f"{stopped}A prediction is refuted. {counts}.", style="bold red")
    if report.passed:
        return Text(f"All that is predicted is confirmed. {counts}.", style="bold green")
    if report.count(Verdict.NOT_REACHED):
        return Text(f"{stopped}Nothing is refuted, not all was reached. {counts}.", style="bold yellow")
    word = "Nothing was predicted here" if not report.count(Verdict.CONFIRMED) else "Nothing is refuted so far"
    return Text(f"{stopped}{word}. {counts}.", style="bold")


def comparison(check: Check) -> str:
    """ "2·10⁻⁷° ≤ 0.001°", with the sign that is true, and how much the number may still change.

    What is below rounding reads < 10⁻¹⁵, or 0 where the number may still change by more.
    """
    floor = ROUNDING if check.tolerance is None or shown_in_unit(check.tolerance, check.unit) >= ROUNDING else 0.0
    measured = measurement(check.measured, check.unit, floor=floor)
    if check.tolerance is None or check.measured is None:
        return measured
    rounding = 0 < shown_in_unit(abs(check.measured), check.unit) < floor
    if math.isinf(check.uncertainty):
        measured += " (still moving)"
    elif check.uncertainty > 0 and not (rounding and shown_in_unit(check.uncertainty, check.unit) < floor):
        figure = measurement(0.0 if rounding else check.measured, check.unit)
        measured = f"{figure} ± {measurement(check.uncertainty, check.unit, '.1g')}"
    right, wrong = "≥<" if check.upwards else "≤>"
    sign = {Verdict.CONFIRMED: right, Verdict.REFUTED: wrong}.get(check.verdict, "against")
    return f"{measured} {sign} {measurement(check.tolerance, '' if len(check.unit) > LONGEST_UNIT else check.unit)}"


def print_section(section: Section, out: Console) -> None:
    """Title, text, table, checks."""
    out.print()
    out.print(Text(clean(section.title), style="bold"))
    if section.text:
        out.print(Text(clean(section.text)))
    if section.rows:
        for columns in split(section, out.width):
            out.print(rich_table(section, columns))
        print_abouts(section, out)
    if section.checks:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in ("prediction", "measured", "verdict", "reference"):
            table.add_column(name)
        for check in section.checks:
            statement = clean(check.statement) + (f" ({clean(check.reason)})" if check.reason else "")
            table.add_row(
                Text(statement),
                Text(comparison(check)),
                Text(check.verdict.value, style=STYLES[check.verdict]),
                Text(clean(check.reference)),
            )
        out.print(table)


def print_abouts(section: Section, out: Console) -> None:
    """What the columns mean, one line each, under the table."""
    lines = [f"{clean(column.label)}: {clean(column.about)}" for column in section.columns if column.about]
    if lines:
        out.print(Text("\n".join(lines), style="dim"))


def rich_table(section: Section, columns: Sequence[Column]) -> Table:
    """These columns of a section's rows."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        numeric = any(is_number(row.get(column.key)) for row in section.rows)
        table.add_column(Text(header(column)), justify="right" if numeric else "left")
    for row in section.rows:
        texts = [cell(row.get(column.key), column) for column in columns]
        table.add_row(*(Text(text, style=STYLES.get(text, "")) for text in texts))
    return table


def split(section: Section, width: int) -> list[list[Column]]:
    """The columns in groups that fit the terminal."""
    needs = {column.key: extent(section, column) + GAP for column in section.columns}
    return fitting(section, section.columns, needs, width)


def fitting(section: Section, columns: Sequence[Column], needs: Mapping[str, int], width: int) -> list[list[Column]]:
    """The columns in groups that fit a width, in order, each but the first behind those that name a row."""
    repeated = telling([column for column in naming(section) if column in columns], section)
    groups, room = [list[Column]()], width
    for i, column in enumerate(columns):
        if needs[column.key] > room and any(one not in repeated for one in groups[-1]):
            groups.append([name for name in repeated if name in columns[:i]])
            room = width - sum(needs[name.key] for name in groups[-1])
        groups[-1].append(column)
        room -= needs[column.key]
    return groups


def telling(names: Sequence[Column], section: Section) -> list[Column]:
    """Of the columns that name a row the first, and those without which more rows would have one name."""

    def told(columns: Sequence[Column]) -> int:
        return len({tuple(row.get(column.key) for column in columns) for row in section.rows})

    kept = list(names)
    for name in reversed(names[1:]):
        fewer = [column for column in kept if column is not name]
        if told(fewer) == told(kept):
            kept = fewer
    return kept


def extent(section: Section, column: Column, longest: int = sys.maxsize) -> int:
    """The letters a column asks for: its longest cell or word; cells longer than `longest` are wrapped."""
    cells = [cell(row.get(column.key), column) for row in section.rows]
    words = [cell_len(word) for text in (header(column), *cells) for word in text.split()]
    return max([*words, *(min(cell_len(text), longest) for text in cells), 1])


def is_number(value: Value) -> bool:
    """Whether a cell stands right-aligned."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def print_provenance(report: Findings, out: Console) -> None:
    """Data hashes, seeds, versions, machine, command: small, at the end."""
    source = report.provenance
    lines = [f"data {clean(data.name)}: sha256 {data.sha256[:16]}…" for data in source.data]
    lines += [f"seeds {ranges(source.seeds)}"] if source.seeds else []
    lines += [", ".join(f"{name} {number}" for name, number in source.versions.items())]
    lines += [f"{source.machine}, {source.time}", *(f"again: {clean(command)}" for command in source.commands)]
    out.print()
    out.print(Text("\n".join(lines), style="dim"))
