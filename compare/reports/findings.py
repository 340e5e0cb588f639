"""What a report says, before anything is drawn: tables, checks, plots as numbers, and where they come from.

    Findings ─┬─ Section ─┬─ columns, rows     the table of what was measured
              │           ├─ Check             one claim of theory beside the number that was measured
              │           └─ Figure            a plot, and the numbers in it
              └─ Provenance                    data hashes, seeds, versions, machine, command: how to get it again

The renderers in this room (`terminal`, `webpage`, `records`) import this file and know nothing else; `Report` is a
`Findings` that can call them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.reports.provenance import Provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

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
class Findings:
    """What was compared, and whether theory holds: all that a renderer reads."""

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


def unwrap(value: Any) -> Value:
    """A cell's value as one of Python's own, so that 1 and numpy's 1 are one and the same everywhere."""
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain
