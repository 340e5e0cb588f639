"""Reports read back from disk, and two of them side by side."""

import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from compare.command_line import cli
from compare.reports.difference import changed, difference
from compare.reports.findings import Figure
from compare.reports.provenance import DataUsed, Provenance
from compare.reports.records import contents, from_contents, to_json
from compare.reports.report import Check, Column, Report, Section
from compare.reports.time_limit import late_section

COLUMNS = [
    Column("network", "network"),
    Column("angle", "angle", "rad", ".2g"),
    Column("theory", "theory", format="verdict"),
]


def report(angle: float = 1e-9, networks: tuple[str, ...] = ("a", "b"), **options: object) -> Report:
    checks = [Check.at_most(f"{name} ends there", angle, 1e-6, unit="rad") for name in networks]
    rows = [{"network": c.statement[0], "angle": c.measured, "theory": c.verdict} for c in checks]
    figure = Figure("f", "caption", lambda canvas: None, {"x": [1.0, math.inf]})
    source = Provenance.collect([DataUsed("d", "0" * 64)], seeds=[0, 1], command="again", parameters={"init": 0.1})
    return replace(Report("t", (Section("s", "text", COLUMNS, rows, checks, [figure], group="g"),), source), **options)


@pytest.mark.parametrize("angle", [1e-9, 0.3, math.inf, math.nan])
def test_a_report_read_back_says_the_same(tmp_path, angle):
    written = report(angle, notes=("n",), complete=False)
    written.write(tmp_path)
    for place in (tmp_path, tmp_path / "report.json"):
        assert to_json(Report.load(place)) == to_json(written)


def test_the_same_report_twice_has_the_same_verdicts():
    both = difference(report(), report())
    assert changed(both) == 0
    assert both.conclusion == "No verdict differs, of 2 predictions in both reports."
    assert [c.key for c in both.sections[2].columns] == ["network", "angle", "theory"]  # nothing stands twice


def test_a_prediction_is_the_same_whatever_its_seeds():
    def of(statement: str) -> Report:
        check = Check.at_most(statement, 1e-9, 1e-6)
        return replace(report(), sections=(Section("s", "text", COLUMNS, (), (check,)),))

    several = of("diagonal L=2, 2 seeds: ends there (worst: seed 1)")
    for other in ("diagonal L=2, seed 0: ends there", "diagonal L=2, 5 seeds: ends there (worst: seed 3)"):
        assert difference(several, of(other)).conclusion == "No verdict differs, of 1 prediction in both reports."
    assert "only in A" in difference(several, of("diagonal L=3, seed 0: ends there")).conclusion


def test_what_differs_stands_side_by_side():
    both = difference(report(), report(0.3, networks=("b", "c")))
    assert changed(both) == 1  # b, confirmed and then refuted
    assert both.conclusion == "1 verdict differs. 1 prediction only in A. 1 prediction only in B."
    (differing,), alone, _, measured = (section.rows for section in both.sections)
    assert [differing[f"verdict {side}"] for side in "AB"] == ["confirmed", "refuted"]
    verdicts = {row["statement"][0]: (row["verdict A"], row["verdict B"]) for row in alone}
    assert verdicts == {"a": ("confirmed", None), "c": (None, "refuted")}
    table = {row["network"]: (row["angle A"], row["angle B"]) for row in measured}
    assert table == {"a": (1e-9, None), "b": (1e-9, 0.3), "c": (None, 0.3)}
    assert "1 verdict differs" in both.to_html()
    assert [(check.measured, check.verdict.name) for check in both.checks] == [(1.0, "REFUTED")]
    assert not both.passed
    assert "None: " not in both.sections[0].text
    assert difference(report(), report()).sections[0].text.startswith("None: ")


def test_what_a_time_limit_left_out_is_no_prediction_of_its_own():
    """In the middle of an experiment, and before another one began."""
    whole = Report.merge([report(), replace(report(), sections=(replace(report().sections[0], group="h"),))], "all")
    begun = replace(report(networks=("a",)).sections[0])
    late = replace(whole, sections=(begun, replace(late_section(["b"]), group="g"), late_section(["the other"])))
    for reports, side, other in (((whole, late), "A", "B"), ((late, whole), "B", "A")):
        both = difference(*reports)
        left = f"3 predictions left out by the time limit of {other}."
        assert both.conclusion == f"No verdict differs, of 1 prediction in both reports. {left}"
        (found,) = (section for section in both.sections if section.title.startswith("Left out"))
        assert [(row[f"verdict {side}"], row[f"verdict {other}"]) for row in found.rows] == [("confirmed", None)] * 3
        assert "all of" not in both.to_json()
    assert difference(late, late).conclusion == "No verdict differs, of 1 prediction in both reports."
    missing = difference(whole, replace(late, sections=(begun,)))
    assert missing.conclusion.endswith("3 predictions only in A.")


def test_rows_of_one_name_are_paired_in_order_and_sections_may_be_missing():
    twice = report(networks=("a", "a"))
    assert len(difference(twice, twice).sections[2].rows) == 2
    alone = difference(report(), replace(report(), sections=()))
    assert alone.sections[2].text == "Only in A."
    assert (changed(alone), alone.conclusion[:33]) == (0, "No prediction is in both reports.")
    assert (alone.passed, difference(twice, twice).passed) == (False, True)


def test_numbers_that_are_none_are_equal_to_themselves():
    both = difference(report(math.nan), report(math.nan))
    assert [c.key for c in both.sections[2].columns] == ["network", "angle", "theory"]


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report().write("one")
    report(0.3).write("two")
    same = CliRunner().invoke(cli, ["report", "diff", "one", "one/report.json"])
    assert (same.exit_code, "No verdict differs" in same.output) == (0, True)
    other = CliRunner().invoke(cli, ["report", "diff", "one", "two"])
    assert (other.exit_code, "2 verdicts differ." in other.output) == (1, True)
    assert "confirmed: 5.73·10⁻⁸° ≤ 5.73·10⁻⁵°   refuted: 17.2° > 5.73·10⁻⁵°" in other.output  # A next to B
    assert (tmp_path / "implicitbias-report-diff" / "report.html").is_file()
    report(networks=("c",)).write("three")
    assert CliRunner().invoke(cli, ["report", "diff", "one", "three"]).exit_code == 3
    report(networks=tuple(map(str, range(25)))).write("many")
    report(0.3, networks=tuple(map(str, range(25)))).write("more")
    assert "and 5 more that differ: in the report" in CliRunner().invoke(cli, ["report", "diff", "many", "more"]).output
    shown = CliRunner().invoke(cli, ["report", "diff", "one", "two", "--json", "--out", "third"])
    assert json.loads(shown.stdout)["sections"][0]["rows"][0]["verdict B"] == "refuted"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "other/1"}', '{"schema": "implicitbias/2"}', "[" * 10**5, "\\0\\x80"]
)
def test_what_is_no_report_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    done = CliRunner().invoke(cli, ["report", "diff", str(tmp_path), str(tmp_path)])
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert done.output.startswith("Error: ")


@given(st.data())
def test_any_change_of_a_record_is_read_or_refused(data):
    record = json.loads(json.dumps(contents(report())))
    place, key = record, None
    while isinstance(place, (dict, list)) and place and (key is None or data.draw(st.booleans())):
        parent, key = place, data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        place = parent[key]
    parent[key] = data.draw(st.sampled_from([None, 0, -1.5, "word", "nan", [], [1], {}, {"a": 1}, True]))
    try:
        found = from_contents(Report, record)
    except (ValueError, KeyError, TypeError):
        return
    assert difference(found, found).to_html()
