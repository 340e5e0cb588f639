"""Reports read back from their report.json: all that they say, without the pictures.

The file may come from anybody: what is not as `compare.reports.records` writes it is refused in one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compare.reports.findings import Check, Column, Figure, Findings, Section, Value
from compare.reports.provenance import DataUsed, Provenance
from compare.reports.records import SCHEMA
from compare.reports.verdict import Verdict

WORDS = {"nan", "inf", "-inf"}
"""Numbers that JSON has no word for, as the records write them."""


def read_report(place: str | Path) -> Findings:
    """The report in a folder that `Report.write` wrote, or in its report.json.

    Raises ValueError for a place that holds no report, or one of another version.

    >>> read_report("nowhere")
    Traceback (most recent call last):
        ...
    ValueError: there is no report at 'nowhere'; give the folder that --out named, or its report.json
    """
    path = Path(place) / "report.json" if Path(place).is_dir() else Path(place)
    if not path.is_file():
        raise ValueError(f"there is no report at {str(place)!r}; give the folder that --out named, or its report.json")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema = record["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is no report of `implicitbias compare`") from error
    if schema != SCHEMA:
        raise ValueError(f"{str(path)!r} is of version {str(schema)[:40]!r}; this program reads {SCHEMA!r}")
    try:
        return findings(record)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{str(path)!r} is damaged: it is not what this program writes") from error


def findings(record: Mapping[str, Any]) -> Findings:
    """The report of a record; what `compare.reports.records.contents` is made of."""
    source = record["provenance"]
    provenance = Provenance(
        data=tuple(DataUsed(str(used["name"]), str(used["sha256"])) for used in source["data"]),
        seeds=tuple(source["seeds"]),
        versions=dict(source["versions"]),
        machine=str(source["machine"]),
        commands=tuple(map(str, source["commands"])),
        parameters=tuple(source["parameters"]),
        time=str(source["time"]),
    )
    sections = tuple(section(each) for each in record["sections"])
    return Findings(str(record["title"]), sections, provenance, tuple(record["notes"]), bool(record["complete"]))


def section(record: Mapping[str, Any]) -> Section:
    """A section of a record; its figures keep their numbers."""
    columns = tuple(Column(**{name: str(text) for name, text in column.items()}) for column in record["columns"])
    rows = tuple({key: value(each) for key, each in row.items()} for row in record["rows"])
    checks = tuple(check(each) for each in record["checks"])
    figures = [Figure(f["name"], f["caption"], lambda canvas: None, f["data"]) for f in record["figures"]]
    return Section(
        str(record["title"]), str(record["text"]), columns, rows, checks, figures, group=str(record["group"])
    )


def check(record: Mapping[str, Any]) -> Check:
    """A check of a record."""
    found = {name: value(each) for name, each in record.items()}
    numbers = {name: None if found[name] is None else float(found[name] or 0.0) for name in ("measured", "tolerance")}
    verdicts = {verdict.value: verdict for verdict in Verdict}
    return Check(**{**found, **numbers, "verdict": verdicts[record["verdict"]]})  # type: ignore[arg-type]


def value(written: Any) -> Value:
    """A value of a table as it was before it was written."""
    if isinstance(written, str) and written in WORDS:
        return float(written)
    if written is None or isinstance(written, (str, int, float)):
        return written
    raise TypeError(f"a table holds no {type(written).__name__}")
