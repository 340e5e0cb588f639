"""A right prediction and wrong ones, decided by the very code that decides every comparison.

A mutant is a prediction of the package with one thing in it wrong: another norm, another depth's exponent, a kernel of
another size. It is worth something only where it says something else: `apart` is how far its certified answer is from
the right one, and a mutant that is not further away than the comparison resolves is equivalent, and is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compare.reports.report import Check, Column, Section, Verdict
from compare.reports.tables import table_of


@dataclass(frozen=True)
class Mutant:
    """One prediction and how the network was found to stand to it."""

    claim: str
    """What is predicted: "ℓ1 max margin"."""
    check: Check
    """The comparison's own check of it."""
    apart: float | None = None
    """How far its certified answer is from the right one, in the unit of the check; None for the right one."""
    noise: float = 0.0
    """Of a figure that is a mean over networks: what it cannot tell apart besides the check's resolution."""

    @property
    def resolved(self) -> float:
        """What the check cannot tell from 0; a figure that is to be large enough has a threshold instead."""
        return 0.0 if self.check.upwards else self.check.tolerance or 0.0

    @property
    def equivalent(self) -> bool:
        """Whether it says the same as the right prediction, as far as the comparison resolves."""
        return self.apart is not None and self.apart <= self.resolved + self.noise

    def caught(self, where: str) -> Check:
        """The check that this mutant is refuted, or that the right prediction is confirmed; `where` is said first."""
        right = self.apart is None
        wanted = Verdict.CONFIRMED if right else Verdict.REFUTED
        statement = f"{where}: the {'right' if right else 'wrong'} prediction, {self.claim}, is {wanted.value}"
        found = self.check.verdict
        if self.equivalent and found is not Verdict.REFUTED:
            why = "equivalent here: its certified answer is the right one's, as far as the comparison resolves"
            return Check.no_prediction(statement, self.check.measured, why=why, unit=self.check.unit)
        verdict = Verdict.CONFIRMED if found is wanted else Verdict.REFUTED if found.tested else Verdict.NOT_REACHED
        if self.apart is not None and self.apart <= self.resolved:
            verdict = Verdict.REFUTED  # it was refuted, though it says what the right one says
        reason = "" if verdict is Verdict.CONFIRMED else f"the comparison says: {found.value}"
        return Check(statement, self.check.measured, self.check.unit, None, verdict, self.check.reference, reason)


@dataclass(frozen=True)
class Trial:
    """One row of a table on one data set: the right prediction first."""

    row: str
    data: str
    mutants: tuple[Mutant, ...]


def section(title: str, text: str, trials: Sequence[Trial]) -> Section:
    """The table and its checks."""
    lines = [(trial, mutant) for trial in trials for mutant in trial.mutants]
    return Section(
        title,
        text,
        *table_of(
            lines,
            (Column("row", "row"), lambda line: line[0].row),
            (Column("data", "data"), lambda line: line[0].data),
            (Column("claim", "prediction"), lambda line: line[1].claim),
            (Column("apart", "apart", format=".2g", about=APART), lambda line: line[1].apart),
            (Column("measured", "measured", format=".2g", about=MEASURED), lambda line: line[1].check.measured),
            (Column("resolution", "resolved", format=".2g"), lambda line: line[1].check.tolerance),
            (Column("verdict", "verdict", format="verdict"), lambda line: line[1].check.verdict),
        ),
        checks=[mutant.caught(f"{trial.row}, {trial.data}") for trial, mutant in lines],
    )


APART = (
    "Of wrong predictions: how far its certified answer is from the right one, in the unit of “measured”; 1 where it "
    "is another one by construction, at no known distance. The right prediction has none."
)
MEASURED = "The figure of the network that the prediction says is 0 (angles in radians)."
