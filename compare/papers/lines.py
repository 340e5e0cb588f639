"""One statement of a paper, and how it is decided: by proofs, by an experiment, or not here.

    Line(place, says) ─┬─ proved     claims of `proofs`: refuted where a claim is, as some are as printed
                       ├─ measured   an experiment of `compare`, and which of its predictions are this line's
                       └─ elsewhere  where the statement lives, or why it is not run

A line with several is as good as the worst of them (`Verdict.of_all`). Experiments decide their predictions by the gate
of `compare.reports.verdict`; a claim that is refuted, or not proved, is one that should have been. An experiment that
several lines share runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from compare.reports.report import Check, Report, Section
from compare.reports.time_limit import TOO_LATE
from compare.reports.verdict import Verdict
from compare.reports.wording import counted, one_line

if TYPE_CHECKING:
    from compare.experiments.protocol import Experiment

Chosen = Callable[[Check], bool]


def about(*words: str) -> Chosen:
    """The predictions whose statement holds all of these words."""
    return lambda check: all(word in check.statement for word in words)


LEFT_OUT = "no prediction of this form of the experiment is about it"
NOT_RUN = "a definition, or a statement that is not run"


@dataclass(frozen=True)
class Measured:
    """An experiment in full and its quick form, and which of its predictions belong to a line."""

    full: Experiment
    quick: Experiment | None
    """None where there is no quick form that decides."""
    of_line: Chosen = field(default=lambda check: True)
    needs: str = ""
    """Where there is no quick form: what the full one takes."""

    def experiment(self, quick: bool) -> Experiment | None:
        """The one that is asked for."""
        return self.quick if quick else self.full


@dataclass(frozen=True)
class Line:
    """A statement of a paper."""

    place: str
    """Its number or place: "Theorem 1, eq. (8)"."""
    says: str
    """What it states, in our words."""
    proved: Sequence[str] = ()
    """Names of claims."""
    measured: Sequence[Measured] = ()
    """Experiments."""
    elsewhere: str = ""
    """Where it lives in the package, or why it is not run."""


@dataclass(frozen=True)
class Outcome:
    """What became of a line."""

    line: Line
    checks: tuple[Check, ...]
    """One for its claims, and those of its experiments."""
    verdict: Verdict
    by: str
    """What decided it."""

    @property
    def check(self) -> Check:
        """The line as one prediction: the worst of its checks."""
        if not self.checks:
            return Check.no_prediction(f"{self.line.place}: {self.line.says}", None, why=self.line.elsewhere or NOT_RUN)

        return replace(Check.worst(self.checks), statement=f"{self.line.place}: {self.line.says}")


class Runs:
    """The experiments of a paper, each run when its first line asks for it."""

    def __init__(self, *, quick: bool, progress: bool = False) -> None:
        self.quick, self.progress = quick, progress
        self.reports: dict[str, Report] = {}

    def report(self, asked: Experiment) -> Report:
        """Its report; KeyboardInterrupt where it was not finished."""

        experiment = replace(asked, progress=self.progress)
        if experiment.call not in self.reports:
            self.reports[experiment.call] = experiment.run()
        if not self.reports[experiment.call].complete:
            raise KeyboardInterrupt
        return self.reports[experiment.call]

    def outcome(self, line: Line) -> Outcome:
        """Decide a line. An experiment that raises leaves it not reached."""
        checks = [of_claims(line)] if line.proved else []
        how = [", ".join(line.proved)] if line.proved else []
        for measured in line.measured:
            experiment = measured.experiment(self.quick)
            if experiment is None:
                why = f"only without --quick: {measured.needs}"
                checks.append(Check.not_reached(line.says, None, why=why))
                how.append(f"{measured.full.topic}, {why}")
                continue
            try:
                checked = self.report(experiment).checks
                found = [check for check in checked if measured.of_line(check) or check.reason == TOO_LATE]
            except Exception as error:
                found = [Check.not_reached(line.says, None, why=one_line(error))]
            checks += found or [Check.not_reached(line.says, None, why=LEFT_OUT)]
            tested = sum(check.verdict is not Verdict.NO_PREDICTION for check in found)
            how.append(f"{experiment.topic}: {counted(tested, 'prediction')}")
        verdict = Verdict.of_all(check.verdict for check in checks)
        return Outcome(line, tuple(checks), verdict, "; ".join(how) or line.elsewhere or NOT_RUN)

    @property
    def sections(self) -> list[Section]:
        """The experiments' own sections, with their tables and figures, in the order in which they were run."""
        return [
            replace(section, group=f"{k}. {section.group or report.title}")
            for k, report in enumerate(self.reports.values(), 1)
            for section in report.sections
        ]


def of_claims(line: Line) -> Check:
    """The line's claims as one check: how many of them are refuted."""
    from proofs import Kind, verify

    verdicts = [verdict for _, verdict in verify(list(line.proved))]
    refuted = [verdict.claim for verdict in verdicts if verdict.kind is Kind.REFUTED]
    open_ = [verdict.claim for verdict in verdicts if verdict.kind is Kind.NOT_PROVED]
    kinds = "; ".join(f"{verdict.claim}: {verdict.kind}, {verdict.scope}" for verdict in verdicts)
    if open_ and not refuted:
        return Check.not_reached(line.says, None, why=f"not proved: {', '.join(open_)}")
    return Check.at_most(line.says, float(len(refuted)), 0.0, unit="claims refuted", reason=kinds)
