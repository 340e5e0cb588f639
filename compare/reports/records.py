"""A report for machines: one JSON text and several CSV tables.

Text that comes from file names and labels is made harmless where it is written. In JSON, characters that repaint a
terminal or turn the direction of writing are escaped, which any parser undoes. In CSV they are left out, and a text
that a spreadsheet would take for a formula begins with an apostrophe.

Numbers are in the units of the API (angles in radians), unrounded. JSON has no word for a number that is not finite,
so those are the strings "nan", "inf", "-inf", which `float` of most languages reads back; CSV uses the same words.

The JSON is the record of `solvers.storage`, with what a reader wants to know first, and it is the one form in which a
report is saved: `Report.load` reads it back, all but the pictures.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.reports.findings import Findings, Section
from compare.reports.verdict import Verdict
from compare.reports.wording import clean, one_line
from solvers.storage import SCHEMA, decoded, encoded, fields_of, headed, identity, regular

if TYPE_CHECKING:
    from compare.reports.report import Report

FILE, PAGE, CHECKS = "report.json", "report.html", "checks.csv"
LARGEST = 2**28
"""Bytes of a report that is read."""

FORMULA = "=+-@＝＋－＠"
"""What spreadsheets begin a formula with, in both widths."""
CHECK_FIELDS = (
    "section",
    "statement",
    "measured",
    "uncertainty",
    "tolerance",
    "unit",
    "verdict",
    "reference",
    "reason",
)


def to_json(report: Findings) -> str:
    """The whole report but its pictures, indented, keys in reading order, one text for one report."""
    return json_text(headed(contents(report)), indent=1) + "\n"


def from_json(cls: type[Report], place: str | Path) -> Report:
    """The report in a folder that `Report.write` wrote, or in a file of `to_json`; see `Report.load`."""
    path = regular(Path(place) / FILE if Path(place).is_dir() else Path(place))
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{str(path)!r} has more than {LARGEST} bytes, more than a report's numbers")
        text = path.read_bytes()
        if text.lstrip()[:1] == b"<":
            raise ValueError(f"{str(path)!r} is the page of a report; give its folder, or the {FILE} beside it")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"there is no report at {str(place)!r}; give the folder that --out named, or its {FILE}"
        ) from error
    try:
        return from_contents(cls, fields_of(json.loads(text)))
    except json.JSONDecodeError as error:
        raise ValueError(f"{str(path)!r} holds no JSON, and so no report: {error}") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is no report of `implicitbias compare`, or damaged: {one_line(error)}"
        ) from error


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON of what `solvers.storage` writes, safe to print: characters that `clean` leaves out are escaped.

    >>> json_text({"file": "a\u202e.csv"}) == '{"file": "a\\\\u202e.csv"}'
    True
    """
    text = json.dumps(encoded(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return text if clean(text) == text else "".join(c if clean(c) else json.dumps(c)[1:-1] for c in text)


def run_of(report: Findings) -> str:
    """Which run the report is of, the same in the page and in JSON: 16 hex digits of everything in it."""
    return identity(contents(report))


def contents(report: Findings) -> dict[str, Any]:
    """All of a report that JSON holds: what follows from its fields, and the fields."""
    return {
        "kind": "Report",
        "passed": report.passed,
        "summary": report.summary,
        "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
        "tables": list(to_csv(report)),
        **encoded(report),
    }


def from_contents(cls: type[Report], record: Mapping[str, Any]) -> Report:
    """The report of what `contents` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    if record["kind"] != "Report":
        raise TypeError(f"it holds a {record['kind']}")
    follows = ("kind", "passed", "summary", "counts", "tables")
    report: Report = decoded({key: item for key, item in record.items() if key not in follows}, cls)
    again = contents(report)
    for name in follows:
        if record[name] != again[name]:
            raise ValueError(f"its {name} does not follow from its checks and tables")
    return report


def files_of(record: Path) -> set[str] | None:
    """The files that the report in this report.json was written with, itself among them; none where there is no file.

    None where the file is none that `implicitbias compare` of any version wrote.
    """
    try:
        found = json.loads(regular(record).read_text(encoding="utf-8"))
        if not str(found["schema"]).startswith(SCHEMA.rpartition("/")[0]):
            return None
        tables = found.get("tables")
        names = [name for name in tables if isinstance(name, str)] if isinstance(tables, list) else []
        return {FILE, PAGE, *(name for name in names if Path(name).name == name and name.endswith(".csv"))}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError):
        return None


def foreign_file(folder: Path, names: Iterable[str] = ()) -> Path | None:
    """A file in the folder that a report's would replace, and that no earlier report wrote; None where there is none.

    `names` are the tables that are to be written, as far as they are known.
    """
    ours = files_of(folder / FILE)
    if ours is None:
        return folder / FILE
    return next((folder / name for name in (PAGE, CHECKS, *names) if name not in ours and lexists(folder / name)), None)


def to_csv(report: Findings) -> dict[str, str]:
    """CSV texts by file name: all checks, each section's table, each figure's numbers."""
    checks = [
        [section.title, *(encoded(getattr(check, name)) for name in CHECK_FIELDS[1:])]
        for section in report.sections
        for check in section.checks
    ]
    files = {CHECKS: table(CHECK_FIELDS, checks)}
    for number, section in enumerate(report.sections, 1):
        if section.rows:
            files[f"{number:02d}-{slug(section.title)}.csv"] = section_csv(section)
        for figure in section.figures:
            if figure.data:
                files[f"{number:02d}-figure-{slug(figure.name)}.csv"] = columns_csv(figure.data)
    return files


def section_csv(section: Section) -> str:
    """A section's table: one line per row, the units in the header."""
    names = [f"{c.key} [{c.unit}]" if c.unit else c.key for c in section.columns]
    return table(names, [[encoded(row.get(c.key)) for c in section.columns] for row in section.rows])


def columns_csv(data: Mapping[str, Any]) -> str:
    """Named columns of possibly different lengths side by side; a missing entry is an empty cell."""
    columns = [np.atleast_1d(np.asarray(values)).ravel().tolist() for values in data.values()]
    return table(tuple(data), [[encoded(value) for value in row] for row in zip_longest(*columns)])


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """RFC 4180 with newline line ends; None is an empty cell, and text is `harmless`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([harmless(value) if isinstance(value, str) else value for value in row] for row in (names, *rows))
    return text.getvalue()


def harmless(text: str) -> str:
    """A text cell without control characters, and marked as text where a spreadsheet would run it as a formula.

    >>> harmless("=cmd()"), harmless("-inf"), harmless("a\x1b[31m")
    ("'=cmd()", '-inf', 'a[31m')
    """
    shown = clean(text)
    return f"'{shown}" if shown.lstrip()[:1] in FORMULA and shown.strip() and not is_number(shown) else shown


def is_number(text: str) -> bool:
    """Whether the text is one of the numbers that these tables write."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def slug(text: str) -> str:
    """A file name of letters, digits and hyphens that resembles the text.

    >>> slug("Depth 2: ../../etc/<b>")
    'depth-2-etc-b'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "table"
