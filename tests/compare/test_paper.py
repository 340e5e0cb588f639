"""Papers line by line: every line names what exists, and every way of deciding one can fail."""

from dataclasses import dataclass

import numpy as np
import pytest
from click.testing import CliRunner

from compare import compare_paper
from compare.command_line import cli
from compare.experiments.paper import PAPERS
from compare.papers import reproduction
from compare.papers.lines import Line, Measured, Runs, about
from compare.reports.provenance import Provenance
from compare.reports.report import Check, Report, Section
from compare.reports.verdict import Verdict
from compare.spline.linearization import TrajectoryGaps, linearization_section
from proofs import claims

LINES = [pytest.param(line, id=f"{paper}: {line.place}") for paper in PAPERS for line in reproduction.lines_of(paper)]


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_decided_by_what_exists_or_says_where_it_lives(line):
    assert line.proved or line.measured or line.elsewhere
    assert set(line.proved) <= set(claims())
    for measured in line.measured:
        assert measured.full.call
        assert measured.needs if measured.quick is None else measured.quick.call


def test_equations_are_in_the_papers_order():
    places = [line.place for line in reproduction.lines_of("gunasekar")]
    order = ["eq. (1)", "eq. (3)", "eq. (6)", "Theorem 1, eq. (8)", "Theorem 2, eq. (9)", "Theorem 2a, eq. (10)",
             "eq. (12)", "Lemma 3", "eq. (15)", "Lemma 5", "Lemma 6", "Lemma 7"]  # fmt: skip
    assert [place for place in places if place in order] == order


def test_the_lines_on_linearization_find_their_predictions():
    gaps = TrajectoryGaps((160, 320), *np.ones((3, 2, 2)))
    checks = linearization_section("uniform:1,2", gaps).checks
    chosen = {line.place: [m.of_line for m in line.measured] for line in reproduction.lines_of("jin")}
    for place, its_check in zip(("eq. (12), theorem", "eq. (7)"), checks, strict=True):
        assert all([check for check in checks if of_line(check)] == [its_check] for of_line in chosen[place])


@dataclass
class Stub:
    """An experiment with a report of its own."""

    checks: tuple = ()
    error: Exception | None = None
    complete: bool = True
    progress: bool = False
    topic, call = "stub", "stub()"

    def run(self):
        if self.error is not None:
            raise self.error
        return Report("t", (Section("s", checks=self.checks),), Provenance.collect(), complete=self.complete)


def decide(line):
    return Runs(quick=True).outcome(line)


def measured(stub, *words):
    return Measured(stub, stub, about(*words))


GOOD, BAD = Check.at_most("agree, L=2", 0.0, 0.5), Check.at_most("differ, L=3", 1.0, 0.5)


def test_a_line_is_as_good_as_its_worst_prediction():
    both = Stub((GOOD, BAD))
    assert decide(Line("p", "s", measured=(measured(both),))).verdict is Verdict.REFUTED
    found = decide(Line("p", "s", measured=(measured(both, "agree"),)))
    assert found.verdict is Verdict.CONFIRMED
    assert found.check.statement == "p: s"
    assert decide(Line("p", "s", measured=(measured(both, "nothing"),))).verdict is Verdict.NOT_REACHED
    assert decide(Line("p", "s", measured=(measured(Stub(error=RuntimeError("no"))),))).verdict is Verdict.NOT_REACHED
    without = decide(Line("p", "s", measured=(Measured(both, None, needs="an hour"),)))
    assert (without.verdict, without.check.reason) == (Verdict.NOT_REACHED, "only without --quick: an hour")
    with pytest.raises(KeyboardInterrupt):
        decide(Line("p", "s", measured=(measured(Stub((GOOD,), complete=False)),)))


def test_claims_decide_a_line():
    assert decide(Line("p", "s", ("eq-13-as-printed",))).verdict is Verdict.REFUTED
    assert decide(Line("p", "s", ("eq-13",))).verdict is Verdict.CONFIRMED
    assert decide(Line("p", "s", ("eq-13",), (measured(Stub((BAD,))),))).verdict is Verdict.REFUTED
    nowhere = decide(Line("p", "s", elsewhere="gd.descend"))
    assert nowhere.verdict is Verdict.NO_PREDICTION
    assert nowhere.check.reason == "gd.descend"


def test_the_report_has_the_lines_first(monkeypatch):
    lines = (Line("eq. (13)", "as printed", ("eq-13-as-printed",)), Line("eq. (13), corrected", "right", ("eq-13",)))
    monkeypatch.setattr(reproduction, "lines_of", lambda paper: lines)
    report = compare_paper("gunasekar", quick_form=True)
    assert [row["verdict"] for row in report.sections[0].rows] == ["refuted", "confirmed"]
    assert [check.verdict for check in report.checks] == [Verdict.REFUTED, Verdict.CONFIRMED]


def test_the_command_takes_a_papers_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduction, "lines_of", lambda paper: (Line("eq. (13)", "right", ("eq-13",)),))
    done = CliRunner().invoke(cli, ["compare", "paper", "gunasekar", "--quick", "--out", "r"])
    assert done.exit_code == 0, done.output
    assert "line by line" in done.output
    assert CliRunner().invoke(cli, ["compare", "paper", "nobody"]).exit_code == 2
