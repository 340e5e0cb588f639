"""The report: what was compared, what theory says about it, and whether it holds.

Every experiment returns a `Report`, a value that knows nothing about screens and files. Its parts (`Section`, `Column`,
`Check`, `Figure`) are in the file `findings`, and are found here as well, since whoever makes a report needs both.

Three rules. A number carries its unit: angles are radians in rows, checks, JSON and CSV, and are printed in
degrees. A check is CONFIRMED or REFUTED only where theory predicts something and the network was followed to it;
otherwise its verdict is NO_PREDICTION or NOT_REACHED and it says why. A report is a value: `+` joins two, and nothing
in it changes.

How it looks is elsewhere in `compare.reports`: terminal (rich), webpage (HTML), records (JSON, CSV). They are
imported when they are called, because rich, jinja2 and matplotlib cost a second that an experiment need not wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

from compare.reports.findings import Check, Column, Figure, Findings, Section, Value
from compare.reports.verdict import Evidence, Verdict
from solvers.whole_files import write_files, write_text

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

__all__ = ["Check", "Column", "Evidence", "Figure", "Report", "Section", "Value", "Verdict"]


@dataclass(frozen=True)
class Report(Findings):
    """What was compared, and whether theory holds.

    >>> from compare.reports.provenance import Provenance
    >>> check = Check.at_most("the directions agree", 2e-7, 1e-6, unit="rad", reference="Theorem 1")
    >>> report = Report("Linear networks", (Section("Depth 2", checks=(check,)),), Provenance.collect())
    >>> report.passed
    True
    >>> report.summary
    'confirmed 1 of 1, refuted 0, not reached 0; 0 measurements without a prediction'
    """

    def __add__(self, other: Report) -> Report:
        if not isinstance(other, Report):
            return NotImplemented
        return Report(
            self.title if self.title == other.title else f"{self.title}; {other.title}",
            self.sections + other.sections,
            self.provenance + other.provenance,
            self.notes + other.notes,
            self.complete and other.complete,
        )

    @classmethod
    def merge(cls, reports: Iterable[Report], title: str, *, notes: Iterable[str] = ()) -> Report:
        """One report of many, under one title; each note names its report. Raises ValueError when there is none."""
        parts = [replace(part, notes=tuple(_named(note, part.title) for note in part.notes)) for part in reports]
        if not parts:
            raise ValueError("a merged report needs at least one report")
        joined = reduce(add, parts)
        return replace(joined, title=title, notes=joined.notes + tuple(notes))

    def __repr__(self) -> str:
        said = self.conclusion or self.summary
        return f"Report: {self.title}\n  {said}\n  `print()` shows it, `to_frame()` its checks"

    def print(self, console: Console | None = None, *, verbose: bool = True) -> None:
        """Print it as tables, to standard output unless a rich Console is given; without `verbose`, on one screen."""
        from compare.reports.terminal import print_report

        print_report(self, console, verbose=verbose)

    def _repr_html_(self) -> str:
        from compare.reports.webpage import notebook_fragment

        return notebook_fragment(self)

    def to_frame(self) -> DataFrame:
        """All checks as a pandas DataFrame, one row each, in order.

        Returns:
            Columns `section`, `statement`, `verdict` (the word), `measured`, `uncertainty` and `tolerance` in `unit`
            (angles in radians), `reference` and `reason`.

        >>> from compare.reports.provenance import Provenance
        >>> check = Check.at_most("the directions agree", 2e-7, 1e-6, unit="rad")
        >>> report = Report("Linear networks", (Section("Depth 2", checks=(check,)),), Provenance.collect())
        >>> report.to_frame()[["section", "verdict", "measured"]].values.tolist()
        [['Depth 2', 'confirmed', 2e-07]]
        """
        import pandas as pd

        names = ("statement", "verdict", "measured", "uncertainty", "tolerance", "unit", "reference", "reason")
        rows = [
            {"section": section.title, **{name: getattr(check, name) for name in names}, "verdict": check.verdict.value}
            for section in self.sections
            for check in section.checks
        ]
        return pd.DataFrame(rows, columns=["section", *names])

    def save(self, path: str | Path) -> Path:
        """Write the report to one file, as `to_json` says it, whole or not at all, and return its path.

        Of figures the numbers are kept and not the drawing: a loaded report draws them as plain lines. Raises OSError
        where the file cannot be written.
        """
        write_text(Path(path), self.to_json())
        return Path(path)

    @classmethod
    def load(cls, place: str | Path) -> Report:
        """The report in a file that `save` wrote, in a folder that `write` wrote, or in its report.json.

        Raises OSError where there is none, ValueError where it is another file, damaged, or of another version.

        >>> Report.load("nowhere")
        Traceback (most recent call last):
            ...
        FileNotFoundError: there is no report at 'nowhere'; give the folder that --out named, or its report.json
        """
        from compare.reports.records import from_json

        return from_json(cls, place)

    def to_json(self) -> str:
        """Everything but the pictures, as JSON. Non-finite numbers are the strings "nan", "inf", "-inf"."""
        from compare.reports.records import to_json

        return to_json(self)

    def to_csv(self) -> dict[str, str]:
        """One CSV text per table, by file name: checks.csv, one per section, one per figure's data."""
        from compare.reports.records import to_csv

        return to_csv(self)

    def to_html(self) -> str:
        """One self-contained page: no network, dark and light, plots inline."""
        from compare.reports.webpage import to_html

        return to_html(self)

    def write(self, folder: str | Path) -> Path:
        """Write report.json, report.html and the CSV files into `folder` and return the page's path.

        A report takes the place of an earlier one: CSV files that an earlier report.json names, and this one does not,
        are removed at the end. Other files in the folder are left alone.

        The files are written elsewhere and then renamed together, so that no reader meets half a file, and a process
        that is killed leaves the earlier report. Page and JSON say which run they are of.

        Raises OSError when the folder cannot be written, or a file of such a name in it is no report's.
        """
        from compare.reports.records import FILE, PAGE, files_of, foreign_file

        place, tables = Path(folder), self.to_csv()
        kept = foreign_file(place, tables)
        if kept is not None:
            raise FileExistsError(f"{str(kept)!r} is of no report of implicitbias and stays; name another folder")
        place.mkdir(parents=True, exist_ok=True)
        texts = {PAGE: self.to_html(), FILE: self.to_json(), **tables}
        write_files(place, texts, obsolete=lambda: files_of(place / FILE) or ())
        return place / PAGE


def _named(note: str, title: str) -> str:
    """The note with the title before it, unless it names a report already: of that experiment, on its data."""
    return note if note.startswith(title) else f"{title}: {note}"
