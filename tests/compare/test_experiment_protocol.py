"""A new experiment is one class and one line of a table: this file is the guide, and the test that it works."""

import inspect
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import KW_ONLY, FrozenInstanceError, dataclass, replace
from types import ModuleType

import pytest
from click.testing import CliRunner

import compare
from compare.command_line import cli
from compare.commands.compare import attempt
from compare.experiments.protocol import Experiment, function_of, parameter, quick_report
from compare.experiments.table import APART, EXPERIMENTS, Row
from compare.experiments.values import COUNT, INTEGERS, POSITIVE, Interval, integers, names, numbers, sizes
from compare.reports.time_limit import TOO_LATE
from compare.reports.verdict import Verdict

ROWS = EXPERIMENTS | APART

# --- what a user writes, in a file of its own ---------------------------------------------------------------------


@dataclass(frozen=True)
class SumComparison(Experiment):
    """Sums of odd numbers and squares.

    The first n odd numbers add up to

        1 + 3 + … + (2n − 1) = n².

    Returns:
        A report with a check for each n.
    """

    topic = "Sums"
    terms: Sequence[int] = parameter((1, 2, 3), "Numbers of terms.", kind=INTEGERS, within=COUNT)
    _: KW_ONLY
    tolerance: float = parameter(0.5, "How far apart they may be.", option="--within", within=POSITIVE)
    mode: str = parameter("odd", "Which numbers.", choices=("odd", "even"))
    loud: bool = parameter(False, "Add a note.")

    def studied(self):
        from compare.reports.progress import run_parts
        from compare.reports.report import Check, Column, Section
        from compare.reports.wording import counted

        def check(n):
            total = sum(range(1 if self.mode == "odd" else 2, 2 * n + 1, 2))
            statement = f"the sum of {counted(n, 'number')} is a square"
            return Check.at_most(statement, abs(total - n * n), self.tolerance)

        done = run_parts([(str(n), lambda n=n: check(n)) for n in self.terms], "Sums", show=self.progress)
        rows = [{"n": n} for n in self.terms]
        section = Section("Squares", "", (Column("n", "n"),), rows, done.results)
        return self.report([section], done, notes=["LOUD"] if self.loud else [])

    @classmethod
    def quick(cls):
        return (cls((1,)), cls((2,)))


compare_sums = function_of(SumComparison, "compare_sums")

# --- and the one line ----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def registered(monkeypatch, tmp_path):
    module = ModuleType("own_experiment")
    module.compare_sums = compare_sums
    monkeypatch.setitem(sys.modules, "own_experiment", module)
    monkeypatch.setitem(EXPERIMENTS, "sums", Row("own_experiment:compare_sums", "Sums of odd numbers."))
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    return CliRunner().invoke(cli, arguments, prog_name="implicitbias")


def test_it_is_a_function_of_the_package():
    report = compare.compare_sums([1, 4], tolerance=0.1)
    assert report.passed
    assert report.title == "Sums"
    assert not compare.compare_sums((3,), mode="even").passed
    assert inspect.signature(compare_sums).parameters["terms"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert inspect.signature(compare_sums).parameters["tolerance"].kind is inspect.Parameter.KEYWORD_ONLY
    lines = compare_sums.__doc__.splitlines()
    assert lines.index("Args:") < lines.index("    tolerance: How far apart they may be.") < lines.index("Returns:")


def test_it_is_a_command_with_an_option_for_each_parameter():
    assert "Sums of odd numbers." in run("compare", "--help").output
    text = run("compare", "sums", "--help").output
    for word in ("--terms", "1, 2, 3", "--within", "[odd|even]", "--loud", "--out", "1 + 3 + … + (2n − 1) = n²"):
        assert word in text
    done = run("compare", "sums", "--terms", "1-2,5", "--within", "0.25", "--loud", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert [row["n"] for row in record["sections"][0]["rows"]] == [1, 2, 5]
    assert record["notes"] == ["LOUD"]
    assert run("compare", "sums", "--mode", "even").exit_code == 1


def test_its_parameters_are_in_the_report():
    report = compare_sums((2,), loud=True)
    (recorded,) = report.provenance.parameters
    assert recorded == {
        "experiment": "SumComparison", "terms": [2], "tolerance": 0.5, "mode": "odd", "loud": True,
    }  # fmt: skip
    assert report.provenance.commands == ("compare.compare_sums(terms=[2], loud=True)",)
    assert json.loads(report.to_json())["provenance"]["parameters"] == [recorded]
    assert len((report + report).provenance.parameters) == 1
    assert len((report + compare_sums((3,))).provenance.parameters) == 2


def test_what_the_time_limit_left_out_is_not_reached_in_the_report(monkeypatch):
    ends = iter((math.inf, 0.0))  # asked before each part
    monkeypatch.setattr("compare.reports.progress.deadline", lambda: next(ends))
    report = compare_sums((1, 2, 5))
    assert [check.verdict for check in report.checks] == [Verdict.CONFIRMED, Verdict.NOT_REACHED, Verdict.NOT_REACHED]
    assert [check.reason for check in report.checks] == ["", TOO_LATE, TOO_LATE]
    assert report.sections[-1].title == "Not reached: the time limit"
    assert report.complete
    assert not report.passed


@pytest.mark.parametrize("name", ROWS)
def test_every_experiment_keeps_to_a_time_limit(name):
    """One that comes before anything: nothing raises, all is not reached, and the report is written all the same."""
    experiment = ROWS[name].load().experiment
    preset = experiment("jin") if name == "paper" else experiment.quick()[0]
    report = replace(preset, time_limit=1e-9).run()
    assert report.checks
    assert {(check.verdict, check.reason) for check in report.checks} == {(Verdict.NOT_REACHED, TOO_LATE)}
    assert report.complete
    assert "The time limit came before" in report.notes[-1]
    assert report.to_html()
    assert "time_limit" not in report.provenance.parameters[0]


@pytest.mark.parametrize("limit", [0, -1.0, math.nan, "1"])
def test_a_time_limit_is_a_positive_number(limit):
    with pytest.raises(ValueError, match="time_limit must be a number of seconds > 0"):
        compare_sums(time_limit=limit)


def test_the_commands_take_a_time_limit():
    assert "--time-limit" in run("compare", "--help").output
    late = run("compare", "sums", "--time-limit", "1e-9", "--json")
    assert late.exit_code == 3, late.output
    assert json.loads(late.stdout)["counts"]["not reached"] == 3
    assert run("compare", "sums", "--time-limit", "1000").exit_code == 0
    assert run("compare", "--time-limit", "5", "sums").exit_code == 2
    for bad in ("0", "-3", "nan", "soon"):
        assert run("compare", "sums", "--time-limit", bad).exit_code == 2


def test_its_quick_form_is_part_of_bare_compare():
    report = quick_report(SumComparison)
    assert len(report.checks) == 2
    assert report.title == "Sums"
    assert attempt("sums", EXPERIMENTS["sums"]).passed


@pytest.mark.parametrize(
    ("change", "words"),
    [({"terms": []}, "at least one"), ({"terms": [0]}, "integers ≥ 1"), ({"tolerance": 0.0}, "> 0"),
     ({"tolerance": float("nan")}, "> 0"), ({"mode": "prime"}, "among odd, even")],
)  # fmt: skip
def test_bad_parameters_are_refused_by_name(change, words):
    with pytest.raises(ValueError, match=words) as caught:
        compare_sums(**change)
    assert next(iter(change)) in str(caught.value)


def test_parameters_do_not_change():
    with pytest.raises(FrozenInstanceError):
        SumComparison().mode = "even"
    with pytest.raises(TypeError):
        SumComparison(unknown=1)


@pytest.mark.parametrize("name", [name for name in ROWS if name != "sums"])
def test_help_and_bad_parameters_need_no_heavy_import(name):
    code = (
        "import sys; from compare.command_line import cli\n"
        f"for rest in (['--help'], ['--seeds', 'x', '--images', '--size']):\n"
        f"    try: cli(['compare', {name!r}, *rest])\n"
        "    except SystemExit: pass\n"
        "heavy = {'torch', 'scipy', 'cvxpy', 'sklearn', 'sympy', 'matplotlib', 'rich', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in ROWS if name != "sums"])
def test_every_experiment_describes_every_parameter(name):
    function = ROWS[name].load()
    described = function.experiment.parameters()
    assert set(inspect.signature(function).parameters) == set(described)
    assert all(known.help.endswith(".") for known in described.values())
    assert function is getattr(compare, function.__name__)
    assert function.__name__ in compare.__all__
    for section in ("Args:", "Returns:", "Raises:", "Reference:", ">>> "):
        assert section in function.__doc__


@pytest.mark.parametrize(
    ("read", "good", "value", "bad"),
    [(integers, "3,1-2,2", (3, 1, 2), "1,-"), (numbers, "0.5,2", (0.5, 2.0), "a"), (sizes, "4×4", (4, 4), "4x4x4"),
     (names, "a, b c", ("a", "b c"), None)],
)  # fmt: skip
def test_values_are_read_from_text(read, good, value, bad):
    assert read(good) == value
    if bad is not None:
        with pytest.raises(ValueError, match="write"):
            read(bad)


def test_intervals():
    half = Interval(0, 1, low_open=True)
    assert [x in half for x in (0, 1e-9, 1, 1.1, "1", None)] == [False, True, True, False, False, False]
    assert str(half) == "> 0 and ≤ 1"
    assert str(Interval(2)) == "≥ 2"
