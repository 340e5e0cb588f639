"""What a report says, before anything is drawn: tables, checks, plots as numbers, and where they come from.

    Findings ─┬─ Section ─┬─ columns, rows     the table of what was measured
              │           ├─ Check             one claim of theory and the number that was measured
              │           └─ Figure            a plot, and the numbers in it
              └─ Provenance                    data hashes, seeds, versions, machine, command: how to get it again

The renderers (`compare.reports.terminal`, `compare.reports.webpage`, `compare.reports.records`) import this file and
know nothing else; `Report` is a `Findings` that can call them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.reports.plain_plot import draw_columns
from compare.reports.provenance import Provenance
from compare.reports.verdict import Evidence, Verdict, decide

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from solvers.agreements import Agreements
else:
    Canvas = Any  # whoever reads a saved report asks for the types of its fields

Value = str | int | float | bool | None
"""What a cell of a table may hold. None is an empty cell."""

CONJECTURED = "conjectured"
"""How the reason of a check begins whose statement is a conjecture: it is measured, and neither confirmed nor refuted.
"""


@dataclass(frozen=True)
class Column:
    """One column of a table: where its values are found in a row, and how they read.

    Args:
        key: the entry of a row that stands in this column.
        label: its heading.
        unit: "rad" is printed in degrees; "" is a pure number or a word.
        format: a format specification such as ".3g", or "" for words and integers; "verdict" marks a column of
            `Verdict`s. Booleans print as yes and no.
        about: one line shown under the table.

    >>> Column("angle", "angle to the solution", unit="rad", format=".2g").label
    'angle to the solution'
    """

    key: str
    label: str
    unit: str = ""
    format: str = ""
    about: str = ""


@dataclass(frozen=True)
class Check:
    """One prediction and its measurement. Made by `Check.of`, `Check.at_most`, `Check.not_reached`, `no_prediction`.

    >>> check = Check.at_most("the limit direction is the ℓ1 max margin", 2e-7, 1e-6, unit="rad")
    >>> check.verdict.name
    'CONFIRMED'
    """

    statement: str
    """What theory says, as a sentence: "the limit direction is the Fourier ℓ1 max margin (depth 2, seed 0)"."""
    measured: float | None
    """The number that decides, in `unit` (angles in radians)."""
    unit: str
    """Of the number; "rad" is printed in degrees, "" is a pure number."""
    tolerance: float | None
    """The largest `measured` for which the statement holds; None where nothing is tested."""
    verdict: Verdict
    """What the measurement says about the prediction."""
    reference: str = ""
    """Author (year), theorem or equation."""
    reason: str = ""
    """Why nothing is tested, or what is known about a failure."""
    uncertainty: float = 0.0
    """How much `measured` may still change on the way to the limit, in its unit; inf where that is not known."""
    upwards: bool = False
    """Whether the statement holds from `tolerance` upwards, as a ratio "at least 10×" does."""

    def agreements(self) -> Agreements:
        """What holds between its fields."""
        if self.measured is not None and self.tolerance is not None:
            below = (self.tolerance - self.measured, 0.0) if self.upwards else (self.measured, self.tolerance)
            verdict = decide(Evidence(below[0], self.uncertainty), below[1])
            yield self.verdict is verdict, f"verdict is {verdict.value!r}, by measured, tolerance and uncertainty"

    @property
    def predicts(self) -> bool:
        """Whether theory predicts something here."""
        return self.verdict is not Verdict.NO_PREDICTION

    @property
    def conjectured(self) -> bool:
        """Whether it is a measurement of what is conjectured: no prediction, with a reason that begins so."""
        return not self.predicts and self.reason.startswith(CONJECTURED)

    @classmethod
    def of(
        cls,
        statement: str,
        evidence: Evidence,
        resolution: float,
        *,
        unit: str = "",
        reference: str = "",
        reason: str = "",
    ) -> Check:
        """A prediction that a figure is 0, decided by `compare.reports.verdict.decide`.

        >>> Check.of("the directions agree", Evidence(0.3, uncertainty=0.5), 1e-6, unit="rad").verdict.name
        'NOT_REACHED'
        """
        figure, uncertainty = float(evidence.figure), float(evidence.uncertainty)
        verdict = decide(Evidence(figure, uncertainty), float(resolution))
        return cls(statement, figure, unit, float(resolution), verdict, reference, reason, uncertainty)

    @classmethod
    def at_most(
        cls, statement: str, measured: float, tolerance: float, *, unit: str = "", reference: str = "", reason: str = ""
    ) -> Check:
        """A prediction about a finished measurement, which holds when measured ≤ tolerance. NaN fails.

        >>> Check.at_most("the directions agree", 2e-7, 1e-6, unit="rad").verdict.value
        'confirmed'
        """
        return cls.of(statement, Evidence(measured), tolerance, unit=unit, reference=reference, reason=reason)

    @classmethod
    def at_least(
        cls,
        statement: str,
        evidence: Evidence,
        threshold: float,
        *,
        unit: str = "",
        reference: str = "",
        reason: str = "",
    ) -> Check:
        """A prediction that a figure, such as a ratio, is `threshold` or more. NaN fails.

        >>> Check.at_least("noise takes ten times as long", Evidence(10.5), 10.0, unit="×").verdict.value
        'confirmed'
        """
        figure, uncertainty = float(evidence.figure), float(evidence.uncertainty)
        verdict = decide(Evidence(float(threshold) - figure, uncertainty), 0.0)
        return cls(statement, figure, unit, float(threshold), verdict, reference, reason, uncertainty, upwards=True)

    @classmethod
    def worst(cls, checks: Iterable[Check]) -> Check:
        """The one of several checks of one statement that decides: of the most serious verdict, furthest off.

        >>> Check.worst([Check.at_most("s", 0.1, 1.0), Check.at_most("s", 2.0, 1.0)]).measured
        2.0
        """
        found = list(checks)
        verdict = Verdict.of_all(check.verdict for check in found)
        return max((c for c in found if c.verdict is verdict), key=lambda c: (c.measured or 0.0) * (-1) ** c.upwards)

    @classmethod
    def no_prediction(
        cls, statement: str, measured: float | None, *, why: str, unit: str = "", reference: str = ""
    ) -> Check:
        """A measurement for which theory has no number; `why` says which hypothesis is missing."""
        number = None if measured is None else float(measured)
        return cls(statement, number, unit, None, Verdict.NO_PREDICTION, reference, why)

    @classmethod
    def not_reached(
        cls, statement: str, measured: float | None, *, why: str, unit: str = "", reference: str = ""
    ) -> Check:
        """A prediction that is not tested, because the network was not followed far enough; `why` says how far."""
        number = None if measured is None else float(measured)
        return cls(statement, number, unit, None, Verdict.NOT_REACHED, reference, why)


def _from_data(canvas: Canvas) -> None:
    """Stands for lines of a figure's own data."""


@dataclass(frozen=True)
class Figure:
    """One plot. `draw` receives an empty matplotlib Figure (no pyplot, style already set) and fills it.

    One panel per Figure: the page sets them side by side or, on a phone, under one another. Do not set text or
    background colours (they follow the reader's dark or light scheme); take line colours from the cycle "C0", "C1", ….
    `data` holds the plotted numbers as named columns, of equal or different length, units in the names.

    >>> figure = Figure(
    ...     "angles", "Angle against steps.", lambda canvas: None, {"steps": [1, 2], "angle_rad": [0.1, 0.0]}
    ... )
    >>> figure.size
    (5.2, 3.6)
    """

    name: str
    """A file-name-like word, unique in its report: "angle-depth-2"."""
    caption: str
    """What is drawn, with units."""
    draw: Callable[[Canvas], None] = field(default=_from_data, repr=False, compare=False, metadata={"stored": False})
    """Fills an empty matplotlib Figure; plain lines of `data` unless given."""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The numbers that are drawn."""
    size: tuple[float, float] = (5.2, 3.6)
    """Width and height in inches."""

    def __post_init__(self) -> None:
        if self.draw is _from_data:
            object.__setattr__(self, "draw", partial(draw_columns, self.data))


@dataclass(frozen=True)
class Section:
    """One experiment, or one question within it.

    Raises:
        ValueError: a row has an entry that no column shows.

    >>> section = Section("Depth 2", columns=[Column("gap", "gap", format=".1e")], rows=[{"gap": 1e-9}])
    >>> section.rows
    ({'gap': 1e-09},)
    """

    title: str
    """The heading."""
    text: str = ""
    """Plain text, paragraphs separated by an empty line: what is compared. One indented by four spaces is a formula,
    or code where it begins as a Python session does."""
    columns: Sequence[Column] = ()
    """Of the table."""
    rows: Sequence[Mapping[str, Value]] = ()
    """Of the table, each an entry for the keys of the columns."""
    checks: Sequence[Check] = ()
    """The predictions, each with its measurement."""
    figures: Sequence[Figure] = ()
    """The plots."""
    in_summary: bool = False
    """Whether the whole table belongs to the summary of one screen."""
    group: str = ""
    """The experiment that the section is of: a heading over its sections."""

    def __repr__(self) -> str:
        parts = {"row": self.rows, "check": self.checks, "figure": self.figures}
        return f"Section {self.title!r}: " + ", ".join(f"{len(p)} {n}{'s' * (len(p) != 1)}" for n, p in parts.items())

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
    """The heading of the report."""
    sections: tuple[Section, ...]
    """The experiments, in order."""
    provenance: Provenance
    """Where the numbers come from."""
    notes: tuple[str, ...] = ()
    """Sentences to read first: what was left out, what was interrupted, which part raised which error."""
    complete: bool = True
    """False when the run was interrupted and the report holds what was finished."""
    conclusion: str = ""
    """The sentence to read first, in place of how many predictions are confirmed, where it is about something else."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sections", tuple(self.sections))
        object.__setattr__(self, "notes", tuple(self.notes))

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks of all sections, in order."""
        return tuple(check for section in self.sections for check in section.checks)

    def count(self, verdict: Verdict) -> int:
        """How many checks have this verdict."""
        return sum(check.verdict is verdict for check in self.checks)

    @property
    def groups(self) -> list[tuple[str, list[tuple[int, Section]]]]:
        """The sections with their numbers from 1, neighbours of one group together."""
        numbered = groupby(enumerate(self.sections, 1), key=lambda one: one[1].group)
        return [(group, list(sections)) for group, sections in numbered]

    @property
    def passed(self) -> bool:
        """Whether the report is complete, and all that is predicted is confirmed, at least one prediction."""
        return self.complete and Verdict.of_all(check.verdict for check in self.checks) is Verdict.CONFIRMED

    @property
    def failures(self) -> tuple[Check, ...]:
        """The predictions that are refuted."""
        return tuple(check for check in self.checks if check.verdict is Verdict.REFUTED)

    @property
    def summary(self) -> str:
        """One line: how many predictions are confirmed, refuted, not reached; how many measurements have none."""
        confirmed, refuted, late, none = (self.count(verdict) for verdict in Verdict)
        return (
            f"confirmed {confirmed} of {confirmed + refuted + late}, refuted {refuted}, not reached {late}; "
            f"{none} measurement{'s' * (none != 1)} without a prediction"
        )


def unwrap(value: Any) -> Value:
    """A cell's value as one of Python's own, so that 1 and numpy's 1 are one and the same everywhere."""
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain
