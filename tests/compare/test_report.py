import csv
import io
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import sem

from compare.reports.provenance import DataUsed, Provenance
from compare.reports.records import slug, to_json
from compare.reports.report import Check, Column, Report, Section
from compare.reports.terminal import comparison
from compare.reports.verdict import Evidence, Verdict
from compare.reports.wording import cell, clean, header, measurement, number
from solvers.storage import encoded
from solvers.whole_files import locked, write_text


def printed(report, width=200):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    report.print(console)
    return console.file.getvalue()


def at(measured, tolerance=1e-6):
    return Check.at_most("s", measured, tolerance)


@pytest.mark.parametrize(
    ("measured", "passed"),
    [(0.0, True), (1e-6, True), (1.0000001e-6, False), (math.inf, False), (math.nan, False), (-math.inf, True)],
)
def test_a_check_holds_up_to_its_tolerance_and_never_for_nan(measured, passed):
    assert at(measured).verdict is (Verdict.CONFIRMED if passed else Verdict.REFUTED)
    assert at(measured).verdict == ("confirmed" if passed else "refuted")


@pytest.mark.parametrize(
    ("figure", "uncertainty", "verdict"),
    [
        (4e-7, 5e-7, Verdict.CONFIRMED),  # what is left cannot be told from 0
        (4e-7, 7e-7, Verdict.NOT_REACHED),  # it may still rise above the resolution
        (3.0, 2.0, Verdict.REFUTED),  # it cannot fall to the resolution
        (3.0, 3.0, Verdict.NOT_REACHED),
        (0.0, math.inf, Verdict.NOT_REACHED),  # a network that is still moving decides nothing, however close it is
        (9.0, math.inf, Verdict.NOT_REACHED),
        (math.inf, math.inf, Verdict.NOT_REACHED),
        (math.inf, 0.0, Verdict.REFUTED),
        (math.nan, 0.0, Verdict.REFUTED),
        (math.nan, math.inf, Verdict.REFUTED),
        (0.0, math.nan, Verdict.NOT_REACHED),
    ],
)
def test_evidence_decides_as_far_as_it_may_still_change(figure, uncertainty, verdict):
    check = Check.of("s", Evidence(figure, uncertainty), 1e-6, reason="r", reference="ref")
    assert check.verdict is verdict
    np.testing.assert_equal((check.measured, check.uncertainty), (figure, uncertainty))
    assert (check.tolerance, check.reason, check.reference) == (1e-6, "r", "ref")


@pytest.mark.parametrize(
    ("ratio", "uncertainty", "verdict", "shown"),
    [
        (10.5, 0.0, Verdict.CONFIRMED, "10.5× ≥ 10×"),
        (10.0, 0.0, Verdict.CONFIRMED, "10× ≥ 10×"),
        (9.5, 0.0, Verdict.REFUTED, "9.5× < 10×"),
        (9.5, 1.0, Verdict.NOT_REACHED, "9.5× ± 1× against 10×"),
        (10.5, 1.0, Verdict.NOT_REACHED, "10.5× ± 1× against 10×"),
        (9.5, math.inf, Verdict.NOT_REACHED, "9.5× (still moving) against 10×"),
        (math.nan, 0.0, Verdict.REFUTED, "not a number < 10×"),
    ],
)
def test_ratios_from_a_threshold_upwards(ratio, uncertainty, verdict, shown):
    check = Check.at_least("s", Evidence(ratio, uncertainty), 10.0, unit="×")
    assert check.verdict is verdict
    assert comparison(check).replace("number×", "number") == shown


def test_the_check_that_decides_is_the_most_serious_and_the_furthest_off():
    moving = Check.of("s", Evidence(9.0, math.inf), 1.0)
    assert Check.worst([at(0.0), at(2.0), at(3.0), moving]) == at(3.0)
    assert Check.worst([at(0.0), moving]) is moving
    ratios = [Check.at_least("s", Evidence(ratio), 10.0) for ratio in (11.0, 12.0)]
    assert Check.worst(ratios) is ratios[0]


def test_a_mean_comes_with_its_standard_error():
    values = np.random.default_rng(0).standard_normal(50)
    mean = Evidence.of_mean(values)
    assert mean.figure == pytest.approx(values.mean())
    assert mean.uncertainty == pytest.approx(sem(values))
    assert Evidence.of_mean([0.3]) == Evidence(0.3, math.inf)  # one alone has none


def test_one_verdict_of_several_is_the_most_serious_one():
    order = [Verdict.REFUTED, Verdict.NOT_REACHED, Verdict.CONFIRMED, Verdict.NO_PREDICTION]
    for first, verdict in enumerate(order):
        assert Verdict.of_all(reversed(order[first:])) is verdict
        assert Verdict.of_all(order[first:]) is verdict
    assert Verdict.of_all(()) is Verdict.NO_PREDICTION
    assert [verdict for verdict in Verdict if verdict.tested] == [Verdict.CONFIRMED, Verdict.REFUTED]


def test_no_prediction_is_neither():
    check = Check.no_prediction("s", 3.0, why="the loss did not go to 0")
    assert check.verdict is Verdict.NO_PREDICTION
    assert check.tolerance is None
    assert check.verdict == "no prediction"


def test_a_report_passes_where_all_that_is_predicted_is_confirmed_and_something_is():
    def of(*checks):
        return Report("t", (Section("s", checks=checks),), Provenance())

    none = Check.no_prediction("s", 1.0, why="w")
    late = Check.not_reached("s", 1.0, why="w")
    assert not of().passed
    assert not of(none).passed
    assert not of(none, late).passed
    assert not of(at(0.0), late).passed
    assert not replace(of(at(0.0)), complete=False).passed
    assert of(at(0.0), none).passed
    assert not of(at(0.0), at(1.0)).passed
    assert of(at(0.0), at(1.0)).failures == (at(1.0),)
    assert of(at(0), at(1), at(0), late, none).summary == (
        "confirmed 2 of 4, refuted 1, not reached 1; 1 measurement without a prediction"
    )
    assert of().summary == "confirmed 0 of 0, refuted 0, not reached 0; 0 measurements without a prediction"
    assert [of(at(0), at(1), at(0), late, none).count(verdict) for verdict in Verdict] == [2, 1, 1, 1]


def test_values_are_frozen_and_lists_become_tuples(report):
    with pytest.raises(FrozenInstanceError):
        report.title = "x"
    section = Section("s", columns=[Column("a", "a")], rows=[{"a": 1}], checks=[at(0.0)])
    assert isinstance(section.columns, tuple)
    assert isinstance(section.rows, tuple)


def test_a_row_without_a_column_is_an_error():
    with pytest.raises(ValueError, match=r"'s'.*\['b'\].*columns are \['a'\]"):
        Section("s", columns=(Column("a", "a"),), rows=({"b": 1},))


def test_adding_reports_keeps_everything(report):
    other = replace(report, title="Other", provenance=Provenance((DataUsed("wine", "cd"),), (1, 2), time="9999"))
    both = report + other
    assert both.title == f"{report.title}; Other"
    assert both.sections == report.sections + other.sections
    assert both.notes == report.notes * 2
    assert [d.name for d in both.provenance.data] == ["digits:3v8", "wine"]
    assert both.provenance.seeds == (0, 1, 2)
    assert both.provenance.time == "9999"
    assert (report + report).title == report.title
    merged = Report.merge([report, other, replace(report, complete=False)], "All", notes=("n",))
    assert merged.title == "All"
    assert len(merged.sections) == 3 * len(report.sections)
    assert merged.notes[-1] == "n"
    assert not merged.complete
    with pytest.raises(ValueError, match="at least one"):
        Report.merge([], "none")


def test_json_is_standard_and_holds_the_numbers(report):
    record = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert record["schema"] == "implicitbias/2"
    assert record["passed"] is True
    assert record["complete"] is True
    assert record["summary"] == "confirmed 1 of 1, refuted 0, not reached 0; 1 measurement without a prediction"
    assert record["counts"] == {"confirmed": 1, "refuted": 0, "not reached": 0, "no prediction": 1}
    first = record["sections"][0]
    assert [c["key"] for c in first["columns"]] == ["network", "seed", "angle", "gap", "time", "theory"]
    assert first["rows"][1]["seed"] == 1
    assert first["rows"][0]["angle"] == 1e-7  # radians, as in the API
    assert [float(row["gap"]) for row in first["rows"][1:]] == [math.inf, -math.inf]
    assert math.isnan(float(first["rows"][0]["gap"]))
    assert first["checks"][0] == {
        "statement": "limit of digits:3v8", "measured": 2e-7, "unit": "rad", "tolerance": 1e-6,
        "reference": "Theorem digits:3v8", "reason": "", "verdict": "confirmed", "uncertainty": 0.0,
        "upwards": False,
    }  # fmt: skip
    assert first["checks"][1]["verdict"] == "no prediction"
    assert first["figures"][0]["data"]["steps"] == [1, 10, 100]
    assert record["provenance"]["data"] == [{"name": "digits:3v8", "sha256": "ab" * 32}]
    assert record["provenance"]["versions"]["numpy"] == np.__version__
    assert to_json(report) == report.to_json()


@given(st.floats(), st.text())
def test_json_gives_every_float_and_text_back(value, text):
    record = json.loads(json.dumps(encoded({"v": np.float64(value), "t": text, "z": 1j * value}), allow_nan=False))
    assert record["t"] == text
    back = float(record["v"])
    assert back == value or (math.isnan(back) and math.isnan(value))


def test_json_refuses_what_it_cannot_say():
    with pytest.raises(TypeError, match="is a object"):
        encoded({"a": object()})


def test_csv_holds_every_table_with_units(report):
    files = report.to_csv()
    assert sorted(files) == ["01-figure-angle-digits-3v8.csv", "01-first-digits-3v8.csv", "checks.csv"]
    rows = list(csv.DictReader(io.StringIO(files["01-first-digits-3v8.csv"])))
    assert float(rows[1]["angle [rad]"]) == 0.5
    assert rows[2]["angle [rad]"] == ""
    assert rows[0]["gap"] == "nan"
    assert list(rows[0]) == ["network", "seed", "angle [rad]", "gap", "time [s]", "theory"]
    checks = list(csv.DictReader(io.StringIO(files["checks.csv"])))
    assert [check["verdict"] for check in checks] == ["confirmed", "no prediction"]
    assert [check["uncertainty"] for check in checks] == ["0.0", "0.0"]
    figure = list(csv.reader(io.StringIO(files["01-figure-angle-digits-3v8.csv"])))
    assert figure[3] == ["100", ""]


def test_csv_survives_hostile_text(hostile, hostile_text):
    rows = list(csv.DictReader(io.StringIO(hostile.to_csv()[f"01-{slug('First ' + hostile_text)}.csv"])))
    assert rows[0]["network"] == clean(hostile_text)


def test_file_names_cannot_leave_the_folder():
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("…") == "table"
    assert len(slug("x" * 1000)) == 60


def test_angles_are_radians_inside_and_degrees_in_print():
    column = Column("a", "angle", unit="rad", format=".3f")
    assert header(column) == "angle [°]"
    assert cell(math.pi, column) == "180.000"
    assert measurement(math.pi, "rad", ".4g") == "180°"
    assert measurement(0.25, "s") == "0.25 s"
    assert measurement(10.5, "×") == "10.5×"
    assert measurement(0.25, "") == "0.25"
    assert measurement(None, "s") == "–"
    assert measurement(math.inf, "rad") == "∞"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5e-7, "1.5·10⁻⁷"), (1e12, "10¹²"), (-1e-9, "−10⁻⁹"), (-2e-9, "−2·10⁻⁹"), (0.0, "0"), (12.5, "12.5"),
        (math.nan, "not a number"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_numbers_as_people_read_them(value, text):
    assert number(value) == text


def test_cells():
    assert cell(True, Column("a", "a")) == "yes"
    assert str(cell(Verdict.CONFIRMED, Column("a", "a", format="verdict"))) == "confirmed"  # and not its sentence
    assert cell(Verdict.NO_PREDICTION, Column("a", "a", format="verdict")) == "no prediction"
    assert cell(None, Column("a", "a")) == "–"
    assert cell(1000000, Column("a", "a")) == "1000000"


@pytest.mark.parametrize("form", [".1g", ".2g", ".1e", ".2e", "+.2g"])
def test_an_error_below_rounding_does_not_read_as_measured(form):
    column = Column("a", "a", format=form)
    assert cell(3e-17, column) == cell(-9e-16, column) == "< 10⁻¹⁵"
    assert cell(0.0, column) == "0"
    assert "<" not in cell(-2e-15, column)
    assert cell(3e-17, replace(column, unit="rad")).endswith("·10⁻¹⁵")  # of a degree


def test_a_size_may_be_as_small_as_the_data_make_it():
    for form in ("", "g", ".3g", ".4g", ".9g"):
        assert cell(3e-17, Column("a", "a", format=form)) == "3·10⁻¹⁷"


@pytest.mark.parametrize(
    ("measured", "uncertainty", "tolerance", "shown"),
    [
        (3e-17, 0.0, 1e-9, "< 10⁻¹⁵ ≤ 10⁻⁹"),
        (-3e-17, 2e-16, 1e-9, "< 10⁻¹⁵ ≤ 10⁻⁹"),
        (3e-17, 8e-8, 1e-5, "0 ± 8·10⁻⁸ ≤ 10⁻⁵"),
        (3e-17, math.inf, 1e-5, "< 10⁻¹⁵ (still moving) against 10⁻⁵"),
        (0.0, 0.0, 0.0, "0 ≤ 0"),
        (3e-17, 0.0, 0.0, "3·10⁻¹⁷ > 0"),  # where rounding decides, it is shown
        (3e-17, 0.0, 1e-16, "3·10⁻¹⁷ ≤ 10⁻¹⁶"),
    ],
)
def test_a_measurement_below_rounding_reads_so_beside_its_tolerance(measured, uncertainty, tolerance, shown):
    assert comparison(Check.of("s", Evidence(measured, uncertainty), tolerance)) == shown


def test_terminal_says_what_was_compared_and_what_is_refuted(report, failing):
    text = printed(failing)
    assert "Report on digits:3v8" in text
    assert "A prediction is refuted. Confirmed 0 of 1, refuted 1, not reached 0" in text
    assert "refuted: limit of digits:3v8: 57.3° > 5.73·10⁻⁵°" in text
    assert "sha256 abababab" in text
    assert "All that is predicted is confirmed. Confirmed 1 of 1, refuted 0, not reached 0" in printed(report)
    nothing = Report("t", (), Provenance())
    assert "Nothing was predicted" in printed(nothing)


def test_terminal_claims_nothing_of_an_unfinished_run(report):
    text = printed(replace(report, complete=False))
    assert "All that is predicted is confirmed" not in text
    assert "Interrupted. Nothing is refuted so far. Confirmed 1 of 1, refuted 0, not reached 0" in text
    assert 'class="ib-verdict ib-state-holds"' in report.to_html()
    assert 'class="ib-verdict ib-state-holds"' not in replace(report, complete=False).to_html()


def test_terminal_prints_what_an_interrupted_run_refuted(failing):
    text = printed(replace(failing, complete=False))
    assert "Interrupted. A prediction is refuted. Confirmed 0 of 1, refuted 1, not reached 0" in text
    assert "refuted: limit of digits:3v8: 57.3° > 5.73·10⁻⁵°" in text


def test_terminal_shows_how_much_a_measurement_may_still_change():
    moving = Check.of("moving", Evidence(0.5, math.inf), 1e-3, unit="rad")
    settling = Check.of("settling", Evidence(2e-4, 9e-4), 1e-3)
    report = Report("t", (Section("s", checks=(moving, settling, at(0.0))),), Provenance())
    text = printed(report)
    assert "28.6° (still moving) against 0.0573°" in text
    assert "0.0002 ± 0.0009 against 0.001" in text
    assert "Nothing is refuted, not all was reached. Confirmed 1 of 3, refuted 0, not reached 2" in text
    assert 'class="ib-verdict ib-state-none"' in report.to_html()
    assert report.to_html().count('<td class="ib-late"') == 2
    assert '<span class="ib-late">2 not reached</span>' in report.to_html()


def test_terminal_says_what_the_columns_mean():
    column = Column("a", "angle", unit="rad", about="From the limit.")
    assert "angle: From the limit." in printed(Report("t", (Section("s", "", (column,), ({"a": 1.0},)),), Provenance()))


def test_terminal_is_not_painted_by_labels(hostile):
    text = printed(hostile)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script>" in text  # as text


def test_clean_keeps_mathematics():
    assert clean("‖β̂‖₁ ≤ 10⁻⁹ · ∞ é 漢字\n\t") == "‖β̂‖₁ ≤ 10⁻⁹ · ∞ é 漢字\n\t"


def test_write_leaves_whole_files_only(report, tmp_path):
    page = report.write(tmp_path / "deep" / "folder")
    names = sorted(p.name for p in page.parent.iterdir())
    assert names == sorted([*report.to_csv(), "report.html", "report.json"])
    assert page.read_text(encoding="utf-8") == report.to_html()
    assert (page.parent / "report.json").read_text(encoding="utf-8") == report.to_json()
    report.write(tmp_path / "deep" / "folder")  # again, over itself
    assert sorted(p.name for p in page.parent.iterdir()) == names


def test_a_report_takes_the_place_of_an_earlier_one_and_of_nothing_else(report, tmp_path):
    report.write(tmp_path)
    for name in ("own.csv", "99-own.txt"):
        (tmp_path / name).write_text("x")
    shorter = Report(report.title, (), report.provenance)
    shorter.write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [*shorter.to_csv(), "report.html", "report.json", "own.csv", "99-own.txt"]
    )


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", "no JSON", '{"schema": "other/2"}'])
def test_another_program_s_record_stays(report, tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(FileExistsError, match="is of no report of implicitbias and stays"):
        report.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text() == text


def test_another_program_s_tables_and_page_stay(report, tmp_path):
    """Alone, or beside a report of ours that was written without such a table."""
    shorter = Report(report.title, (), report.provenance)
    for k, name in enumerate([*report.to_csv(), "report.html"]):
        for before in (None, shorter) if name not in {*shorter.to_csv(), "report.html"} else (None,):
            folder = tmp_path / f"{k}{before is None}"
            folder.mkdir()
            if before is not None:
                before.write(folder)
            (folder / name).write_text("theirs")
            there = {path.name for path in folder.iterdir()}
            with pytest.raises(FileExistsError, match=f"{name}' is of no report of implicitbias and stays"):
                report.write(folder)
            assert {path.name for path in folder.iterdir()} == there
            assert (folder / name).read_text() == "theirs"


def test_a_page_is_no_record_and_its_error_says_where_that_is(report, tmp_path):
    page = report.write(tmp_path)
    with pytest.raises(ValueError, match="is the page of a report; give its folder"):
        Report.load(page)


def test_notes_name_their_report_once(report):
    noted = replace(report, title="Max margin on wine", notes=("late",))
    joined = Report.merge([Report.merge([noted], "Max margin")], "all")
    assert joined.notes == ("Max margin on wine: late",)


@pytest.mark.parametrize("tables", ['["../victim.csv"]', '["report.html"]', "[1]", "3", "null"])
def test_a_damaged_or_hostile_record_removes_nothing(report, tmp_path, tables):
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "victim.csv").write_text("x")
    (folder / "report.json").write_text(f'{{"schema": "implicitbias/2", "tables": {tables}}}')
    report.write(folder)
    assert (tmp_path / "victim.csv").exists()
    assert (folder / "report.html").exists()


@pytest.mark.parametrize("name", ["=cmd()", "+1+1|calc", "-2+3", "@sum", " =1", "＝1", "\x1b[31m=x\u202e"])
def test_text_cells_are_neither_formulas_nor_repaint(report, name):
    column, row = Column(name, name), {name: name}
    checks = (replace(at(0.0), statement=name, reference=name, reason=name),)
    section = replace(report.sections[0], title=name, columns=(column,), rows=(row,), checks=checks)
    hostile = replace(report, sections=(section,))
    for text in hostile.to_csv().values():
        for cell_text in [c for line in csv.reader(io.StringIO(text)) for c in line]:
            assert not cell_text.strip().startswith(("=", "+", "@", "＝"))
            assert not cell_text.startswith("-") or math.isfinite(float(cell_text))
            assert clean(cell_text) == cell_text
    assert clean(hostile.to_json()) == hostile.to_json()
    assert json.loads(hostile.to_json())["sections"][0]["title"] == name  # escaped, not changed


def test_numbers_stay_numbers_in_csv(report):
    section = replace(report.sections[0], columns=(Column("a", "a"),),
                      rows=[{"a": v} for v in (-1.5, -math.inf, math.nan, "-1.5", "+3", True, None)])  # fmt: skip
    text = replace(report, sections=(section,)).to_csv()["01-first-digits-3v8.csv"]
    assert text.split() == ["a", "-1.5", "-inf", "nan", "-1.5", "+3", "True", '""']


WRITERS = """
import os, sys
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
from conftest import sample
from compare.reports import records, report
report.Report.to_html = lambda self: f"<p>{self.title}</p>" * 3000
first = sample()
for line in sys.stdin:
    folder, name, started = line.split()
    if not (process := os.fork()):
        for i in range(10_000):
            replace(first, title=f"{name} {i}").write(folder)
            if not i:
                open(started, "w").close()
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class Writer:
    """A process that writes report after report, the first of which is there; forked, as importing takes a second."""

    def __init__(self, forks, folder, name):
        self.forks, started = forks, folder / f"{name} started".replace(" ", "-")
        print(folder, name, started, file=forks.stdin, flush=True)
        self.number = int(forks.stdout.readline())
        while not started.exists():
            time.sleep(0.001)
        started.unlink()

    def end(self, signal_number):
        """How it ended."""
        os.kill(self.number, signal_number)
        return int(self.forks.stdout.readline())


@pytest.fixture(scope="module")
def forks():
    """Two processes that start writers, one after another each."""
    command = [sys.executable, "-W", "ignore", "-c", WRITERS, str(Path(__file__).parent)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    yield running
    for process in running:
        process.communicate()


def of_one_run(folder):
    """Whether page and JSON are of one run, once whoever renames has ended."""
    with locked(folder):
        pass
    title = json.loads((folder / "report.json").read_text())["title"]
    return (folder / "report.html").read_text() == f"<p>{title}</p>" * 3000


def test_a_killed_writer_mixes_no_runs_and_the_next_one_clears_up(report, forks, tmp_path):
    rng = random.Random(0)
    for i in range(8):
        writer = Writer(forks[0], tmp_path, str(i))
        time.sleep(rng.uniform(0.0, 0.05))
        assert writer.end(signal.SIGKILL) == -signal.SIGKILL  # it did not end by an error before
        assert of_one_run(tmp_path)
    report.write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*report.to_csv(), "report.html", "report.json"])


def test_two_writers_mix_no_runs_and_leave_each_others_work_alone(forks, tmp_path):
    for i in range(4):
        writers = [Writer(each, tmp_path, f"{i}{name}") for each, name in zip(forks, "ab", strict=True)]
        time.sleep(0.1)
        assert [writer.end(signal.SIGTERM) for writer in writers] == [-signal.SIGTERM] * 2
        assert of_one_run(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_written_files_are_readable_by_others_as_the_umask_says(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_the_documented_format_is_the_one_that_is_written(report):
    """docs/experiments.md lists every key of report.json, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `([^`]+)` \| (.*) \|$", page.partition("## report.json")[2], re.MULTILINE)
    record = json.loads(report.to_json())
    section = record["sections"][0]
    keys = set(record) - {"sections"} | {f"sections[].{key}" for key in section}
    listed = {key.removesuffix("[]"): text for key, text in table}
    assert set(listed) == keys
    for part in ("columns", "checks", "figures"):
        assert set(re.findall("`([a-z]+)`", listed[f"sections[].{part}"])) - {"key"} == set(section[part][0]) - {"key"}
    assert set(re.findall("`([a-z]+)`", listed["provenance"])) == set(record["provenance"])
