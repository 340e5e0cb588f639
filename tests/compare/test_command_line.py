import csv
import errno
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from compare import command_line
from compare.command_line import COMMANDS, PROBLEMS, cli
from compare.commands.compare import Experiments
from compare.experiments.protocol import Experiment
from compare.experiments.table import APART, EXPERIMENTS
from compare.experiments.values import integers
from compare.reports.progress import run_parts
from compare.reports.provenance import Provenance
from compare.reports.report import Check, Evidence, Report, Section


def run(*arguments):
    return CliRunner().invoke(cli, arguments, prog_name="implicitbias")


def console(*arguments, **options):
    command = [sys.executable, "-m", "compare.command_line", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 120}
    return subprocess.run(command, **(streams | options))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Reports go to the working directory, which is not the repository."""
    monkeypatch.chdir(tmp_path)


CONFIRMED, REFUTED = Check.at_most("agree", 0.0, 0.5), Check.at_most("differ", 1.0, 0.5)
MOVING = Check.of("still moves", Evidence(0.1, uncertainty=1.0), 0.5)
FINDING = Check.no_prediction("a finding", 1.0, why="no theorem")


def report_of(*checks, complete=True, title="t"):
    return Report(title, (Section(f"section {title}", checks=checks),), Provenance.collect(), complete=complete)


@pytest.fixture
def fake(monkeypatch):
    """Replaces the experiments by functions () -> Report, by name."""

    def install(**experiments):
        rows = {name: SimpleNamespace(load=lambda run=run: stub(run)) for name, run in experiments.items()}
        monkeypatch.setattr("compare.commands.compare.EXPERIMENTS", rows)

    return install


def stub(run):
    """What a row of the table leads to: a function with its experiment, here one that calls `run`."""

    @dataclass(frozen=True)
    class Stub(Experiment):
        topic = "stub"

        def run(self):
            return run()

        @classmethod
        def quick(cls):
            return (cls(),)

    return SimpleNamespace(experiment=Stub)


def test_help_imports_nothing_heavy_and_answers_at_once():
    code = (
        "import sys; from compare.command_line import cli\n"
        "try: cli(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'cvxpy', 'sympy', 'matplotlib', 'rich', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    for name, row in COMMANDS.items():
        assert name in done.stdout
        assert row.help in done.stdout
    assert seconds < 3.0  # 0.1 s on an idle machine; what it must not do is import torch (2 s), checked above


NO_TORCH = """
import sys
from compare.command_line import cli
for line in {lines!r}:
    try:
        cli.main(line, standalone_mode=False)
    except Exception as error:
        print(line, type(error).__name__, {{"torch", "cvxpy"}} & set(sys.modules) or "")
    else:
        print(line, "was accepted")
"""


def test_bad_input_is_noticed_before_torch_is_imported(tmp_path):
    (tmp_path / "three.csv").write_text("a,b,y\n1,2,x\n3,4,z\n5,6,w\n")
    lines = [
        ["compare", "margin", "--data", "nosuch.csv"],
        ["compare", "margin", "--architectures", "nosuch"],
        ["compare", "margin", "--data", "three.csv", "--label", "nosuch"],
        ["compare", "depth", "--data", "three.csv"],
        ["compare", "generators", "--images", "nosuch"],
        ["compare", "denoising", "--images", "nosuch"],
        ["compare", "recovery", "--images", "nosuch"],
        ["compare", "spline", "--data", "nosuch.csv"],
        ["compare", "spline", "--init", "nosuch"],
        ["compare", "kernel-rich", "--data", "nosuch"],
        ["compare", "channels", "--data", "nosuch"],
        ["solve", "margin", "--data", "nosuch.csv"],
    ]
    script = NO_TORCH.format(lines=lines)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    said = done.stdout.splitlines()
    assert len(said) == len(lines), done.stderr
    assert all(line.endswith(("Error ", "Refusal ", "BadParameter ")) for line in said), said


@pytest.mark.parametrize("table", [COMMANDS, EXPERIMENTS, APART, PROBLEMS])
def test_every_row_leads_to_a_command(table):
    for name, row in table.items():
        experiment = table in (EXPERIMENTS, APART)
        command = Experiments(name="x").get_command(None, name) if experiment else row.load()
        assert command.name == name
        assert row.help.endswith(".")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_a_quick_form(name):
    experiment = EXPERIMENTS[name].load().experiment
    presets = experiment.quick()
    assert presets
    assert all(isinstance(preset, experiment) for preset in presets)


def test_version():
    from importlib.metadata import version

    assert run("--version").output.strip() == f"implicitbias, version {version('implicitbias')}"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["compair"], "did you mean 'compare'"),
        (["compare", "margins"], "did you mean 'margin'"),
        (["compare", "--out", "x", "margin"], "after the experiment's name"),
        (["compare", "margin", "--data", "digit:3v8"], "did you mean 'digits'"),
        (["compare", "margin", "--data", "absent.csv"], "no file"),
        (["compare", "margin", "--depths", "1,two"], "write integers"),
        (["compare", "margin", "--depths", "0"], "must be integers ≥ 1"),
        (["compare", "margin", "--architectures", "resnet"], "no architecture 'resnet'"),
        (["compare", "margin", "--data", "wine:0v1", "--architectures", "convolutional 2-D"], "hold none"),
        (["compare", "margin", "--loss", "hinge"], "hinge"),
        (["solve", "margin", "--regularizer", "l3"], "write l2, l1"),
        (["solve", "margin", "--out", "solution.npz"], "--save"),
        (["solve", "margin", "--regularizer", "fourier:1.5"], "0 < P ≤ 1, or 2; 2/L"),
        (["solve", "margin", "--data", "synthetic:1"], "synthetic:N,D,seed"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(arguments, complaint):
    done = run(*arguments)
    assert done.exit_code == 2
    assert complaint in done.output
    assert "Traceback" not in done.output
    assert not os.listdir()  # nothing was written


def test_data_that_do_not_separate_are_refused(tmp_path):
    (tmp_path / "xor.csv").write_text("1,1,0\n-1,-1,0\n1,-1,1\n-1,1,1\n")
    for command in (["solve", "margin"], ["compare", "margin", "--depths", "1"]):
        done = run(*command, "--data", "xor.csv")
        assert done.exit_code == 2
        assert "not linearly separable" in done.output


def test_data_too_close_to_contradiction_are_one_line_and_not_a_traceback(tmp_path):
    (tmp_path / "thin.csv").write_text("a,b,y\n1e8,1e-8,1\n-1e8,1e-8,1\n1e8,-1,0\n")
    result = run("solve", "margin", "--data", str(tmp_path / "thin.csv"), "--regularizer", "l1")
    assert result.exit_code == 2
    assert result.output.startswith("Error: the data separate only by a relative margin")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [("compare", "margin", "--out", "file/below"), ("compare", "--out", "file/below"),
     ("solve", "margin", "--save", "missing/x.npz")],
)  # fmt: skip
def test_a_place_that_cannot_be_written_is_refused_before_the_work(arguments, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("compare.data.load.load", pytest.fail)
    monkeypatch.setattr("compare.commands.compare.every_experiment", pytest.fail)
    result = run(*arguments)
    assert result.exit_code == 2
    assert "cannot be written" in result.output or "there is no folder" in result.output


@pytest.mark.parametrize("text", ["kernel:x", "kernel:-1", "bridge:1/0", "bridge:1e-3x", "fourier:", "bridge:nan"])
def test_regularizers_are_asked_for_in_our_words(text):
    result = run("solve", "margin", "--regularizer", text)
    assert result.exit_code == 2
    kind, _, given = text.partition(":")
    assert re.search(rf"in {kind}:(P, P|K, K) is a (whole )?number\b.*; got '{re.escape(given)}'", result.output)


def test_traceback_when_asked_for():
    done = run("--traceback", "compare", "margin", "--data", "absent.csv")
    assert done.exit_code == 2
    assert "Traceback (most recent call last)" in done.stderr
    assert "DataError" in done.stderr


def test_doctor_says_what_is_there_and_fails_when_something_needed_is_not(monkeypatch):
    facts = {fact["what"]: fact for fact in json.loads(run("doctor", "--json").stdout)}
    assert facts["numpy"]["good"] is True
    assert facts["conic solver"]["found"].split()[0] in ("MOSEK", "CLARABEL", "SCS")
    assert run("doctor").exit_code == 0
    monkeypatch.setattr("compare.commands.doctor.NEEDED", ("a-package-nobody-has",))
    done = run("doctor")
    assert done.exit_code == 1
    assert "pip install a-package-nobody-has" in done.output


def test_doctor_survives_a_panic(monkeypatch):
    class Panic(BaseException):
        """As Rust's in Python: no Exception."""

    def panics(*arguments, **options):
        raise Panic("index out of bounds")

    # the package's name of the function hides the module of that name
    monkeypatch.setattr(importlib.import_module("solvers.max_margin"), "max_margin", panics)
    done = run("doctor")
    assert done.exit_code == 1
    assert "Panic: index out of bounds" in done.output


def test_support_vectors_are_points_not_constraints():
    """Of three classes a point has two multipliers, and counts once."""
    record = json.loads(run("solve", "margin", "--data", "wine", "--regularizer", "l2", "--json").stdout)
    heavy = np.array(record["dual"])
    heavy = heavy > 1e-9 * heavy.max()
    assert heavy.shape == (178, 2)
    assert record["support_vectors"] == heavy.any(axis=1).sum() < heavy.sum()


def test_solve_prints_a_certificate_anyone_can_check(tmp_path):

    from compare.data.load import load as load_data
    from solvers import Solution

    done = run(
        "solve", "margin", "--data", "wine:0v1", "--regularizer", "l1", "--json", "--save", "s.npz", "--out", "b.csv"
    )
    assert done.exit_code == 0
    record = json.loads(done.stdout)
    page = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")
    documented = page.partition("`implicitbias solve margin --json` prints")[2].partition("`status` is")[0]
    assert set(record) == set(re.findall("`([a-z_0-9]+)`", documented))
    assert record["status"] == "OPTIMAL"
    assert record["classes"] == {"-1": "0", "1": "1"}
    assert record["margin"] * record["objective"] == pytest.approx(1)
    assert record["support_vectors"] == record["support_size"] == 10  # a vertex: as many active points as coefficients
    written = list(csv.DictReader(Path("b.csv").read_text().splitlines()))
    np.testing.assert_array_equal([float(row["beta"]) for row in written], record["beta"])
    assert {(row["class"], row["data"]) for row in written} == {("1", "wine:0v1, standardized")}
    data = load_data("wine:0v1")
    beta, dual = np.array(record["beta"]), np.array(record["dual"])
    assert (data.y * (data.X @ beta)).min() >= 1 - 1e-9
    assert (dual >= 0).all()
    # weak duality by hand: ‖Aᵀα‖_∞ ≤ 1 and 1ᵀα = ‖β‖₁
    assert np.abs(data.X.T @ (dual * data.y)).max() <= 1 + 1e-9
    assert np.abs(beta).sum() == pytest.approx(dual.sum(), rel=1e-8)
    assert record["objective"] == pytest.approx(np.abs(beta).sum(), rel=1e-12)
    assert record["sha256"] == data.sha256
    np.testing.assert_array_equal(Solution.load("s.npz").beta, beta)
    text = run("solve", "margin", "--data", "wine:0v1", "--regularizer", "l1").output
    assert "Optimal" in text
    assert "relative gap" in text


def test_solve_treats_images_as_images():
    flat = json.loads(run("solve", "margin", "--regularizer", "fourier", "--json", "--data", "synthetic:5,12,0").stdout)
    assert len(flat["beta"]) == 12
    image = json.loads(run("solve", "margin", "--regularizer", "fourier", "--json").stdout)
    assert (len(image["beta"]), len(image["beta"][0])) == (8, 8)


@pytest.mark.parametrize(("text", "expected"), [("1,2", (1, 2)), ("0-3", (0, 1, 2, 3)), ("3,1-2,2", (3, 1, 2))])
def test_lists_of_integers(text, expected):
    assert integers(text) == expected


@pytest.mark.parametrize("text", ["0-100000000000000000000000", "²", "1-2-3", "-1", "", "1,,2"])
def test_what_is_no_list_of_integers_is_refused_in_its_own_words(text):
    with pytest.raises(ValueError, match=f"{re.escape(repr(text))}.* integers"):
        integers(text)


@pytest.mark.parametrize(
    ("checks", "complete", "code"),
    [
        ((CONFIRMED, FINDING), True, 0),
        ((CONFIRMED, REFUTED, MOVING), True, 1),
        ((REFUTED,), True, 1),
        ((CONFIRMED, MOVING), True, 3),
        ((MOVING,), True, 3),
        ((FINDING,), True, 3),
        ((), True, 3),
        ((CONFIRMED,), False, 130),
        ((REFUTED,), False, 130),
        ((), False, 130),
    ],
)
def test_the_exit_code_says_how_a_comparison_came_out(fake, checks, complete, code):
    fake(one=lambda: report_of(*checks, complete=complete))
    done = run("compare", "--json")
    assert done.exit_code == code
    record = json.loads(done.stdout)
    assert record["passed"] is (code == 0)
    assert record["counts"] == {
        word: sum(check.verdict == word for check in checks)
        for word in ("confirmed", "refuted", "not reached", "no prediction")
    }


def test_an_interrupted_run_prints_what_it_refuted(fake):
    fake(one=lambda: report_of(REFUTED, complete=False), two=lambda: pytest.fail("not after an interrupt"))
    done = run("compare")
    assert done.exit_code == 130
    assert "Interrupted. A prediction is refuted. Confirmed 0 of 1, refuted 1, not reached 0" in done.output
    assert "refuted: differ: 1 > 0.5" in done.output


@pytest.mark.parametrize(
    ("first", "complete", "code"), [(CONFIRMED, True, 0), (REFUTED, True, 1), (CONFIRMED, False, 130)]
)
def test_bare_compare_writes_and_prints_the_report_of_everything(fake, first, complete, code):
    fake(one=lambda: report_of(first), two=lambda: report_of(CONFIRMED, title="two", complete=complete))
    done = run("compare", "--out", "here", "--json")
    assert done.exit_code == code
    record = json.loads(done.stdout)
    assert [section["title"] for section in record["sections"]] == ["section t", "section two"]
    assert record["complete"] is complete
    assert json.loads(Path("here/report.json").read_text()) == record
    assert "<!doctype html>" in Path("here/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("margin --depths 999999999999", "integers ≥ 1 and ≤ 100"),
        ("margin --depths 0-999999999999", "names more than 100000 integers"),
        ("margin --steps 99999999999999999999", "an integer ≥ 1 and ≤ 10⁹"),
        ("margin --init 1e300", "a number > 0 and ≤ 10¹⁰⁰"),
        ("margin --tol 2", "a number > 0 and < 1"),
        ("margin --time-limit abc", "'abc' is no number"),
        ("generators --size x", "'x' is no integer"),
        ("relu --widths 99999999999", "integers ≥ 1 and ≤ 10⁶"),
        ("kernel-rich --data sparse:10,5,2,0", "at most one predictor fits, from any start; give N < D points"),
    ],
)
def test_numbers_out_of_their_range_are_refused_at_once(arguments, why):
    done = run("compare", *arguments.split())
    assert done.exit_code == 2
    assert why in done.stderr


def test_the_first_thing_said_is_how_much_there_is_to_do(fake):
    fake(one=lambda: report_of(CONFIRMED), two=lambda: report_of(CONFIRMED))
    assert run("compare").stderr.startswith("2 experiments; a line when each is finished\none, 0 s: ")


def test_the_time_limit_counts_from_the_start_of_the_program(fake, monkeypatch):
    fake(one=lambda: pytest.fail("the time is up"))
    monkeypatch.setattr("compare.commands.experiment.BEGAN", [time.monotonic() - 10.0])
    done = run("compare", "--time-limit", "9")
    assert done.exit_code == 3
    assert "not reached: all of 'one': the time limit came first" in done.stdout
    assert "The time limit came before 'one' was finished: it is the only part." in done.stdout
    assert "<title>The explicit solution and the limit of gradient descent" in Path(
        "implicitbias-report/report.html"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["report.json", "report.html", "checks.csv"])
def test_a_folder_with_another_program_s_files_is_refused_before_the_work(fake, name):
    fake(one=lambda: pytest.fail("not before the folder was looked at"))
    Path("theirs").mkdir()
    Path("theirs", name).write_text("{}")
    done = run("compare", "--out", "theirs")
    assert done.exit_code == 2
    assert f"'theirs/{name}' is of no report of implicitbias; name another folder, or move it away" in done.stderr
    assert Path("theirs", name).read_text() == "{}"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the output could not be written: No space left on device"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Cannot allocate memory"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x.csv"), "[Errno 2] No such file: 'x.csv'"),
        (OSError("of our own words"), "of our own words"),
    ],
)
def test_an_error_of_the_system_is_told_as_what_it_is(fake, monkeypatch, error, said):
    def broken(*arguments, **options):
        raise error

    monkeypatch.setattr("compare.commands.compare.every_experiment", broken)
    done = run("compare")
    assert (done.exit_code, done.stderr) == (2, f"Error: {said}\n")


def test_an_experiment_that_raises_does_not_stop_the_others(fake):
    def broken():
        raise RuntimeError("no luck")

    fake(one=broken, two=lambda: report_of(CONFIRMED, title="two"))
    done = run("compare")
    assert done.exit_code == 3  # what did not run is no refutation of a theorem
    assert "Confirmed 1 of 2, refuted 0, not reached 1" in done.output
    assert "RuntimeError: no luck" in done.output
    assert "section two" in done.output


def test_ctrl_c_keeps_what_is_finished(fake):
    def interrupted():
        raise KeyboardInterrupt

    fake(one=lambda: report_of(title="one"), two=interrupted, three=lambda: report_of(title="three"))
    done = run("compare", "--json")
    assert done.exit_code == 130
    record = json.loads(done.stdout)
    assert [section["title"] for section in record["sections"]] == ["section one"]
    assert not record["complete"]
    assert "Interrupted during 'two': 1 of 3" in record["notes"][0]
    assert Path("implicitbias-report/report.html").exists()


def test_the_time_limit_keeps_what_is_finished(fake):
    fake(
        one=lambda: report_of(CONFIRMED, title="one"),
        two=lambda: time.sleep(0.6) or report_of(CONFIRMED, title="two"),
        three=lambda: pytest.fail("not after the limit"),
    )
    done = run("compare", "--json", "--time-limit", "0.5")  # the part at work ends by itself: pytest has the alarm
    assert done.exit_code == 3
    record = json.loads(done.stdout)
    assert [section["title"] for section in record["sections"]] == [
        "section one", "section two", "Not reached: the time limit",
    ]  # fmt: skip
    assert record["complete"]
    assert (record["counts"]["confirmed"], record["counts"]["not reached"]) == (2, 1)
    assert record["notes"] == ["The time limit came before 'three' was finished: 2 of 3 parts are finished."]


def test_a_refutation_counts_more_than_the_time_limit(fake):
    fake(one=lambda: time.sleep(0.2) or report_of(REFUTED), two=lambda: report_of(CONFIRMED))
    assert run("compare", "--time-limit", "0.1").exit_code == 1


def test_ctrl_c_before_anything_is_finished(fake):
    def interrupted():
        raise KeyboardInterrupt

    fake(one=interrupted)
    done = run("compare")
    assert done.exit_code == 130
    assert "Interrupted. Nothing was predicted here." in done.output


def test_parts_after_an_interrupt_are_not_run():
    ran = []

    def part(name):
        ran.append(name)
        if name == "b":
            raise KeyboardInterrupt
        return name

    done = run_parts([(n, lambda n=n: part(n)) for n in "abc"], "Letters", show=False)
    assert (done.results, ran, done.complete) == (("a",), ["a", "b"], False)
    with pytest.raises(ZeroDivisionError):
        run_parts([("x", lambda: 1 / 0)], "Errors", show=False)


def test_a_folder_that_cannot_be_written_is_one_line(fake, tmp_path):
    (tmp_path / "file").write_text("")
    fake(one=report_of)
    done = run("compare", "--out", "file/folder")
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_the_report_says_how_to_get_it_again(fake, monkeypatch):
    fake(one=report_of)
    monkeypatch.setattr(sys, "argv", ["implicitbias", "compare", "--out", "a folder"])
    record = json.loads(run("compare", "--json").stdout)
    assert record["provenance"]["commands"] == ["implicitbias compare --out 'a folder'"]
    assert command_line.INTERRUPTED == 128 + signal.SIGINT


def test_the_console_command_itself():
    done = console("solve", "margin", "--data", "synthetic:6,4,0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"].startswith("OPTIMAL")
    done = console("solve", "margin", "--data", "nowhere:1")
    assert done.returncode == 2
    assert done.stderr.strip().startswith("Error: there is no data called 'nowhere:1'")
    assert len(done.stderr.strip().splitlines()) == 1


def code_when_nobody_reads(*arguments):
    """The exit code with a standard output whose other end is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = console(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert done.stderr == ""
    return done.returncode


@pytest.mark.parametrize("arguments", [
    ("solve", "margin", "--data", "synthetic:4,3,0"),  # through rich
    ("solve", "margin", "--data", "synthetic:4,3,0", "--json"),
    ("solve", "margin", "--data", "synthetic:90,99,0", "--json"),  # more than a buffer
    ("--help",),
])  # fmt: skip
def test_a_closed_output_is_no_failed_prediction(arguments):
    assert code_when_nobody_reads(*arguments) == 141


def test_the_program_ends_without_looking_through_all_its_objects():
    """With torch and cvxpy loaded that takes two seconds; what is registered to run at the end runs."""
    code = (
        "import atexit, gc, sys; from compare.command_line import main\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000, gc.get_count()[2]))\n"
        "sys.argv = ['implicitbias', '--version']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[1].split()[0]) == (0, "True")


def test_no_output_at_all_and_a_full_disk(tmp_path):
    here = [sys.executable, "-m", "compare.command_line", "solve", "margin", "--data", "synthetic:4,3,0"]
    command = " ".join(here)
    nowhere = subprocess.run(["sh", "-c", f"{command} >&- 2>&-"], timeout=60, check=False)
    assert nowhere.returncode == 0
    full = subprocess.run(["sh", "-c", f"{command} --json >/dev/full"], capture_output=True, text=True, timeout=60)
    assert full.returncode == 2
    assert full.stderr == "Error: the output could not be written: No space left on device\n"
    helped = f"{sys.executable} -m compare.command_line --help >/dev/full"
    assert subprocess.run(["sh", "-c", helped], capture_output=True, timeout=60).returncode == 2


def test_a_report_that_cannot_be_written_is_printed_whole(monkeypatch):
    from compare.reports.report import Report

    def full(report, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Report, "write", full)
    done = run("compare", "conjecture", "--generations", "1", "--batch", "2", "--ascents", "1")
    assert done.exit_code == 2
    assert "No space left on device" in done.output
    assert "all of it is printed instead" in done.output
    assert "generation" in done.stdout  # the section's table, which the summary leaves out


def test_the_summary_is_one_screen_and_names_every_network():
    done = run("compare", "losses", "--depths", "1,2", "--seeds", "0", "--data", "synthetic:5,3,0")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) <= 24
    assert all(text in done.stdout for text in ("linear predictor", "diagonal, L=2", "‖β‖₁", "confirmed", "[°]"))
    assert "s of processor time" in done.stderr
    assert "sha256" not in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_an_encoding_without_the_characters_loses_no_answer(encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    solve = ("solve", "margin", "--data", "synthetic:4,3,0")
    text = console(*solve, env=environment, encoding=encoding)
    assert (text.returncode, text.stderr) == (0, "")
    assert "R(\\u03b2)" in text.stdout
    # click itself writes UTF-8 where the encoding is ASCII
    record = console(*solve, "--json", env=environment, encoding="utf-8" if encoding == "ascii" else encoding)
    assert json.loads(record.stdout)["objective"] == pytest.approx(2.3046503636)


def test_file_names_neither_repaint_the_terminal_nor_turn_its_text(tmp_path):
    name = "=a\x1b[31m\u202e.csv"
    (tmp_path / name).write_text("a,y\n-1,0\n2,1\n")
    for more in ((), ("--json",)):
        done = run("solve", "margin", "--data", name, *more)
        assert done.exit_code == 0
        assert "\x1b" not in done.output
        assert "\u202e" not in done.output
    assert json.loads(done.stdout)["data"] == "=a[31m.csv"
    quoted = run("solve", "margin", name)  # click quotes what it has no use for
    assert quoted.exit_code == 2
    assert "=a�[31m�.csv" in quoted.output
    assert json.loads(done.stdout)["classes"] == {"-1": "0", "1": "1"}


@pytest.mark.parametrize(("measured", "refuted"), [(0.0, 0), (1.0, 1)])
def test_sigterm_ends_like_ctrl_c(tmp_path, measured, refuted):
    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, time\n"
        "from compare import command_line\n"
        "import compare.commands.compare as bare\n"
        "from compare.reports.provenance import Provenance\n"
        "from compare.reports.report import Check, Report, Section\n"
        f"checks = (Check.at_most('differ', {measured}, 0.5),)\n"
        "def slow():\n"
        "    print('started', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "quick = {'one': lambda: Report('one', (Section('finished', checks=checks),), Provenance()), 'two': slow}\n"
        "bare.EXPERIMENTS = dict.fromkeys(quick)\n"
        "bare.attempt = lambda name, row: quick[name]()\n"
        "sys.argv = ['implicitbias', 'compare', '--json']\n"
        "command_line.main()\n"
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "started" not in process.stderr.readline():
        assert process.poll() is None
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    record = json.loads(output)
    assert [section["title"] for section in record["sections"]] == ["finished"]
    assert (record["complete"], record["passed"]) == (False, False)
    assert record["counts"]["refuted"] == refuted
    assert command_line.PROBLEMS


def test_solve_keeps_images_where_neighbours_matter():
    digits = ("solve", "margin", "--data", "digits:0v1", "--json", "--regularizer")
    assert np.shape(json.loads(run(*digits, "kernel:8").stdout)["beta"]) == (8, 8)
    assert np.shape(json.loads(run(*digits, "l2").stdout)["beta"]) == (64,)
