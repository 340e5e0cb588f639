"""The report: what was compared, what theory says about it, and whether it holds.

Every experiment returns a `Report`, a value that knows nothing about screens and files:

    Report ─┬─ Section ─┬─ columns, rows     the table of what was measured
            │           ├─ Check             one claim of theory beside the number that was measured
            │           └─ Figure            a plot, and the numbers in it
            └─ Provenance                    data hashes, seeds, versions, machine, command: how to get it again

Three rules. A number carries its unit: angles are radians in rows, checks, JSON and CSV, and are printed in
degrees. A check passes or fails only where theory predicts a limit; otherwise its `passed` is None, it reads
"no prediction" and says why. A report is a value: `+` joins two, and nothing in it changes.

How it looks is elsewhere: `compare.terminal` (rich), `compare.webpage` (HTML), `compare.records` (JSON, CSV).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.provenance import Provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas
    from rich.console import Console

Value = str | int | float | bool | None
"""What a cell of a table may hold. None is an empty cell."""


@dataclass(frozen=True)
class Column:
    """One column of a table: where its values are found in a row, and how they read.

    `unit` "rad" is printed in degrees; "" is a pure number or a word. `format` is a format specification such as
    ".3g", or "" for words and integers; booleans print as yes/no, and `format="verdict"` prints True, False, None
    as "holds", "fails", "no prediction". `about` is one line shown under the table.
    """

    key: str
    label: str
    unit: str = ""
    format: str = ""
    about: str = ""


@dataclass(frozen=True)
class Check:
    """One prediction beside its measurement. Made by `Check.at_most` or `Check.no_prediction`."""

    statement: str
    """What theory says, as a sentence: "the limit direction is the Fourier ℓ1 max margin (depth 2, seed 0)"."""
    measured: float | None
    """The number that decides, in `unit` (angles in radians)."""
    unit: str
    tolerance: float | None
    """The largest `measured` for which the statement holds; None where nothing is predicted."""
    passed: bool | None
    """None: theory predicts nothing here."""
    reference: str = ""
    """Author (year), theorem or equation."""
    reason: str = ""
    """Why there is no prediction, or what is known about a failure."""

    @classmethod
    def at_most(
        cls, statement: str, measured: float, tolerance: float, *, unit: str = "", reference: str = "", reason: str = ""
    ) -> Check:
        """A prediction that holds when measured ≤ tolerance. NaN fails.

        >>> Check.at_most("the directions agree", 2e-7, 1e-6, unit="rad").passed
        True
        """
        passed = bool(measured <= tolerance)
        return cls(statement, float(measured), unit, float(tolerance), passed, reference, reason)

    @classmethod
    def no_prediction(
        cls, statement: str, measured: float | None, *, why: str, unit: str = "", reference: str = ""
    ) -> Check:
        """A measurement beside which theory has no number; `why` says which hypothesis is missing."""
        return cls(statement, None if measured is None else float(measured), unit, None, None, reference, why)

    @property
    def verdict(self) -> str:
        """One of "holds", "fails", "no prediction"."""
        return verdict(self.passed)


def verdict(passed: bool | None) -> str:
    """The word for True, False, None."""
    return "no prediction" if passed is None else "holds" if passed else "fails"


@dataclass(frozen=True)
class Figure:
    """One plot. `draw` receives an empty matplotlib Figure (no pyplot, style already set) and fills it.

    One panel per Figure: the page sets them side by side or, on a phone, under one another. Do not set text or
    background colours (they follow the reader's dark or light scheme); take line colours from the cycle "C0", "C1", ….
    `data` holds the plotted numbers as named columns, of equal or different length, units in the names.
    """

    name: str
    """A file-name-like word, unique in its report: "angle-depth-2"."""
    caption: str
    draw: Callable[[Canvas], None] = field(repr=False, compare=False)
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    size: tuple[float, float] = (5.2, 3.6)
    """Width and height in inches."""


@dataclass(frozen=True)
class Section:
    """One experiment, or one question within it."""

    title: str
    text: str = ""
    """Plain text, paragraphs separated by an empty line: what is compared. One indented by four spaces is a formula."""
    columns: tuple[Column, ...] = ()
    rows: tuple[Mapping[str, Value], ...] = ()
    checks: tuple[Check, ...] = ()
    figures: tuple[Figure, ...] = ()

    def __post_init__(self) -> None:
        for name in ("columns", "rows", "checks", "figures"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "rows", tuple({key: unwrap(v) for key, v in row.items()} for row in self.rows))
        known = {column.key for column in self.columns}
        for row in self.rows:
            if unknown := set(row) - known:
                raise ValueError(
                    f"section {self.title!r}: a row has entries {sorted(unknown)} without a Column; "
                    f"the columns are {[column.key for column in self.columns]}"
                )


@dataclass(frozen=True)
class Report:
    """What was compared, and whether theory holds.

    >>> check = Check.at_most("the directions agree", 2e-7, 1e-6, unit="rad", reference="Theorem 1")
    >>> report = Report("Linear networks", (Section("Depth 2", checks=(check,)),), Provenance.collect())
    >>> report.passed
    True
    >>> report.summary
    '1 prediction: 1 holds, 0 fail; 0 measurements without a prediction'
    """

    title: str
    sections: tuple[Section, ...]
    provenance: Provenance
    notes: tuple[str, ...] = ()
    """Sentences to read first: what was left out, what was interrupted, which part raised which error."""
    complete: bool = True
    """False when the run was interrupted and the report holds what was finished."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sections", tuple(self.sections))
        object.__setattr__(self, "notes", tuple(self.notes))

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks of all sections, in order."""
        return tuple(check for section in self.sections for check in section.checks)

    @property
    def passed(self) -> bool:
        """No prediction fails. True as well where theory predicts nothing: ask `checks` for how many there are."""
        return all(check.passed is not False for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The predictions that fail."""
        return tuple(check for check in self.checks if check.passed is False)

    @property
    def summary(self) -> str:
        """One line: how many predictions, how many hold and fail, how many measurements have none."""
        passed = [check.passed for check in self.checks]
        hold, fail, none = passed.count(True), passed.count(False), passed.count(None)
        return (
            f"{hold + fail} prediction{'s' * (hold + fail != 1)}: {hold} hold{'s' * (hold == 1)}, "
            f"{fail} fail{'s' * (fail == 1)}; {none} measurement{'s' * (none != 1)} without a prediction"
        )

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
        """One report of many, under one title. Raises ValueError when there is none."""
        parts = tuple(reports)
        if not parts:
            raise ValueError("a merged report needs at least one report")
        joined = reduce(add, parts)
        return replace(joined, title=title, notes=joined.notes + tuple(notes))

    def print(self, console: Console | None = None) -> None:
        """Print it as tables, to standard output unless a rich Console is given."""
        from compare.terminal import print_report

        print_report(self, console)

    def _repr_html_(self) -> str:
        from compare.webpage import notebook_fragment

        return notebook_fragment(self)

    def to_json(self) -> str:
        """Everything but the pictures, as JSON. Non-finite numbers are the strings "nan", "inf", "-inf"."""
        from compare.records import to_json

        return to_json(self)

    def to_csv(self) -> dict[str, str]:
        """One CSV text per table, by file name: checks.csv, one per section, one per figure's data."""
        from compare.records import to_csv

        return to_csv(self)

    def to_html(self) -> str:
        """One self-contained page: no network, dark and light, plots inline."""
        from compare.webpage import to_html

        return to_html(self)

    def write(self, folder: str | Path) -> Path:
        """Write report.json, report.html and the CSV files into `folder` and return the page's path.

        Each file is written beside its place and renamed into it, so a reader, or a crash, never meets half a file.

        Raises OSError when the folder cannot be written.
        """
        from compare.records import write

        return write(self, Path(folder))


def unwrap(value: Any) -> Value:
    """A cell's value as one of Python's own, so that 1 and numpy's 1 are one and the same everywhere."""
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain
