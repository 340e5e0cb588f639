"""A report for machines: one JSON text and several CSV tables.

Text that comes from file names and labels is made harmless where it is written. In JSON, characters that repaint a
terminal or turn the direction of writing are escaped, which any parser undoes. In CSV they are left out, and a text
that a spreadsheet would take for a formula begins with an apostrophe.

Numbers are in the units of the API (angles in radians), unrounded. JSON has no word for a number that is not finite,
so those are the strings "nan", "inf", "-inf", which `float` of most languages reads back; CSV uses the same words.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from compare.reports.findings import Check, Findings, Section
from compare.reports.verdict import Verdict
from compare.reports.wording import clean

SCHEMA = "implicitbias-report/1"
"""Named in every JSON report; the number changes when a key changes its meaning."""

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


def plain(value: Any) -> Any:
    """The value in JSON's own types: numpy unwrapped, complex as [real, imaginary], non-finite floats in words."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"a report cannot hold a {type(value).__name__}: {value!r}; use numbers, text, lists or arrays")


def to_json(report: Findings) -> str:
    """The whole report but its pictures, indented, keys in reading order, one text for one report."""
    record = contents(report)
    return json_text({"schema": SCHEMA, "run": identity(record), **record}, indent=1) + "\n"


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON of what `plain` takes, safe to print: characters that `clean` leaves out are escaped.

    >>> json_text({"file": "a\u202e.csv"}) == '{"file": "a\\\\u202e.csv"}'
    True
    """
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return text if clean(text) == text else "".join(c if clean(c) else json.dumps(c)[1:-1] for c in text)


def run_of(report: Findings) -> str:
    """Which run the report is of, the same in the page and in JSON: 16 hex digits of everything in it."""
    return identity(contents(report))


def identity(record: Mapping[str, Any]) -> str:
    """The first 16 hex digits of a record's SHA-256."""
    return hashlib.sha256(json.dumps(plain(record)).encode()).hexdigest()[:16]


def contents(report: Findings) -> dict[str, Any]:
    """All of a report that JSON holds."""
    return {
        "title": report.title,
        "passed": report.passed,
        "summary": report.summary,
        "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
        "complete": report.complete,
        "notes": report.notes,
        "sections": [section_record(section) for section in report.sections],
        "provenance": asdict(report.provenance),
        "tables": list(to_csv(report)),
    }


def tables_of(record: Path) -> set[str]:
    """The CSV files that the report in this JSON file was written with; none where there is no such report."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        names = found["tables"] if found["schema"] == SCHEMA else []
        return {name for name in names if Path(name).name == name and name.endswith(".csv")}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def section_record(section: Section) -> dict[str, Any]:
    """One section in JSON's shape."""
    return {
        "title": section.title,
        "group": section.group,
        "text": section.text,
        "columns": [asdict(column) for column in section.columns],
        "rows": [dict(row) for row in section.rows],
        "checks": [check_record(check) for check in section.checks],
        "figures": [
            {"name": figure.name, "caption": figure.caption, "data": figure.data} for figure in section.figures
        ],
    }


def check_record(check: Check) -> dict[str, Any]:
    """One check in JSON's shape, with its verdict in one word."""
    return {**asdict(check), "verdict": check.verdict.value}


def to_csv(report: Findings) -> dict[str, str]:
    """CSV texts by file name: all checks, each section's table, each figure's numbers."""
    checks = [
        [plain({"section": section.title, **check_record(check)}[name]) for name in CHECK_FIELDS]
        for section in report.sections
        for check in section.checks
    ]
    files = {"checks.csv": table(CHECK_FIELDS, checks)}
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
    return table(names, [[plain(row.get(c.key)) for c in section.columns] for row in section.rows])


def columns_csv(data: Mapping[str, Any]) -> str:
    """Named columns of possibly different lengths side by side; a missing entry is an empty cell."""
    columns = [np.atleast_1d(np.asarray(values)).ravel().tolist() for values in data.values()]
    return table(tuple(data), [[plain(value) for value in row] for row in zip_longest(*columns)])


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
