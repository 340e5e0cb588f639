"""Sweeps through the real pool of processes: what is stored, what survives, what fails alone."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner
from joblib.externals.loky.process_executor import ProcessPoolExecutor
from rich.console import Console

from compare import load_sweep, run_sweep
from compare.command_line import cli
from compare.commands.sweep import as_text, exit_code
from compare.sweep import batch
from compare.sweep.driver import Driver
from compare.sweep.measure import data_of, measure_cell
from compare.sweep.plan import plan_of
from compare.sweep.progress import SweepProgress
from compare.sweep.store import Outcome, Store
from compare.sweep.store_file import FILE, SweepBusyError
from solvers import NotSeparableError


def plan(cells, **grid):
    """That many cells; what they do is the test's `measure`."""
    axes = {"data": "synthetic:3,4,0", "network": "diagonal", "seed": {"from": 0, "to": cells - 1}, **grid}
    return plan_of({"grid": axes})


def recorder(folder, seconds):
    """A cell that writes down that it ran, and where, then returns a number that only it has.

    A closure, so that it travels to the workers by value.
    """
    folder.mkdir(exist_ok=True)
    log = str(folder)

    def measure(cell):
        with open(f"{log}/{os.getpid()}", "a") as file:
            file.write(f"{cell.seed}\n")
        time.sleep(seconds)
        return {"value": cell.seed * cell.seed + 0.5}

    return measure


def runs(folder):
    """Every time that a cell was begun, by seed."""
    return [int(line) for file in folder.iterdir() for line in file.read_text().split()]


def check_whole(folder, cells):
    frame = load_sweep(folder)
    assert sorted(frame.seed) == list(range(cells))
    assert frame.key.is_unique
    assert (frame.status == "done").all()
    assert (frame.value == frame.seed.astype(float) ** 2 + 0.5).all()
    return frame


def alive(pid):
    """Whether the process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition, seconds=100.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_real_cells_of_every_method(tmp_path):
    """What a sweep stores is what the methods themselves return."""
    axes = {"data": "synthetic:4,6,1", "network": ["diagonal", "fully connected"], "width": 8, "depth": [2, 3]}
    both = {"grid": {**axes, "method": ["flow", "max_margin", "descend:armijo"]}, "options": {"steps": 50}}
    result = run_sweep(both, tmp_path, jobs=1)  # each process would import torch, which is most of the time
    assert (result.done, result.failed, result.complete) == (12, 0, True)
    frame = load_sweep(tmp_path).set_index(["network", "depth", "method"])
    from compare.data.load import load
    from gd.descent.descend import descend
    from gd.networks.linear import Diagonal, FullyConnected
    from solvers import Bridge, max_margin

    data = load("synthetic:4,6,1")
    solution = max_margin(data.X, data.y, Bridge(1.0))
    explicit, flow = frame.loc["diagonal", 2, "max_margin"], frame.loc["diagonal", 2, "flow"]
    assert explicit.objective == solution.objective
    assert explicit.support_size == solution.certificate.support_size
    assert flow.angle < 1e-8  # both are the vertex of an LP, identified and solved for
    assert flow.best_objective == solution.objective
    assert abs(flow.excess) < 1e-9
    path = descend(Diagonal(6, 2, scale=0.1, seed=0), data.X, data.y, steps=50)
    stepped = frame.loc["diagonal", 2, "descend:armijo"]
    assert stepped.log_loss == path.hypotheses().log_loss
    assert stepped.angle > 1e-3
    path = descend(FullyConnected(6, 3, width=8, scale=0.1, seed=0), data.X, data.y, steps=50)
    assert frame.loc["fully connected", 3, "descend:armijo"].log_loss == path.hypotheses().log_loss
    assert frame.loc["diagonal", 3, "flow"].outcome == "STATIONARY"
    assert frame.loc["diagonal", 3, "flow"].excess > -1e-9
    session = frame.attrs["sessions"][0]
    assert session["versions"]["numpy"]
    assert json.loads(session["plan"])["options"] == {"steps": 50}
    assert {row["worker"] for row in frame.attrs["workers"]} == set(frame.worker)
    again = run_sweep(both, tmp_path, jobs=1)
    assert (again.found, again.done, again.complete) == (12, 0, True)


def test_workers_killed_at_random_lose_nothing_and_double_nothing(tmp_path):
    cells, log = 150, tmp_path / "log"
    measure = recorder(log, 0.02)
    rng = random.Random(0)
    killed, stop = set(), threading.Event()

    def kill():
        while not stop.wait(rng.uniform(0.1, 0.4)):
            victims = [int(f.name) for f in log.iterdir() if int(f.name) not in killed and alive(f.name)]
            if victims and len(killed) < 5:
                victim = rng.choice(victims)
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = run_sweep(plan(cells), tmp_path / "out", jobs=2, measure=measure)
    finally:
        stop.set()
        killer.join()
    assert len(killed) >= 3
    assert (result.done + result.failed, result.complete) == (cells, True)
    if result.failed:  # the kills met one cell twice while it ran alone: a plain run tries it again
        again = run_sweep(plan(cells), tmp_path / "out", jobs=2, measure=measure)
        assert (again.done, again.failed, again.complete) == (result.failed, 0, True)
    check_whole(tmp_path / "out", cells)
    # a kill loses one batch, 0.25 s of 0.02 s cells
    assert len(runs(log)) - cells <= len(killed) * (0.25 / 0.02 + 1)
    until(lambda: not any(alive(file.name) for file in log.iterdir()))


DRIVER = """
import sys, time, os
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_sweep import plan, recorder
from compare import run_sweep
log, out = Path(sys.argv[2]), sys.argv[3]
run_sweep(plan(200), out, jobs=2, measure=recorder(log, 0.02))
"""


def drive(tmp_path):
    """A driver in a process of its own."""
    here = os.path.dirname(__file__)
    arguments = [sys.executable, "-c", DRIVER, here, str(tmp_path / "log"), str(tmp_path / "out")]
    (tmp_path / "log").mkdir()
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)


def stored(folder):
    try:
        return len(load_sweep(folder))
    except OSError:
        return 0


def test_a_killed_driver_loses_a_batch_a_worker_and_the_plan_resumes(tmp_path):
    driver = drive(tmp_path)
    until(lambda: stored(tmp_path / "out") >= 40)
    with pytest.raises(SweepBusyError, match=rf"another sweep is writing.*process {driver.pid} on"):
        run_sweep(plan(200), tmp_path / "out", jobs=1)
    driver.kill()
    driver.communicate()
    before = stored(tmp_path / "out")
    assert 40 <= before < 200
    begun = runs(tmp_path / "log")
    assert len(begun) - before <= 2 * (0.25 / 0.02 + 1)  # two workers, a batch each
    until(lambda: not any(alive(file.name) for file in (tmp_path / "log").iterdir()))  # no orphan works on
    result = run_sweep(plan(200), tmp_path / "out", jobs=2, measure=recorder(tmp_path / "log2", 0.0))
    assert (result.found, result.done, result.complete) == (before, 200 - before, True)
    frame = check_whole(tmp_path / "out", 200)
    assert sorted(runs(tmp_path / "log2")) == sorted(frame[frame.session == 2].seed)
    assert frame.attrs["sessions"][0]["ended"] is None
    assert frame.attrs["sessions"][1]["ended"] is not None


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    def interrupt():
        until(lambda: stored(tmp_path / "out") >= 20)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    result = run_sweep(plan(400), tmp_path / "out", jobs=2, measure=recorder(tmp_path / "log", 0.02))
    thread.join()
    assert not result.complete
    assert "Interrupted" in result.note
    assert 20 <= result.done < 400
    assert len(load_sweep(tmp_path / "out")) == result.done
    assert not any(alive(file.name) for file in (tmp_path / "log").iterdir())


def test_the_time_limit_keeps_what_is_finished(tmp_path):
    def slow(cell):
        time.sleep(0.02 if cell.seed < 20 else 30.0)
        return {"value": cell.seed * cell.seed + 0.5}

    began = time.monotonic()
    result = run_sweep(plan(22), tmp_path / "out", jobs=2, measure=slow, time_limit=8.0)
    assert time.monotonic() - began < 25.0
    assert (result.complete, result.late, result.done) == (False, True, 20)
    assert "The time limit came" in as_text(result)
    assert exit_code(result) == 3
    again = run_sweep(plan(22), tmp_path / "out", jobs=2, measure=recorder(tmp_path / "log", 0.0), time_limit=1e6)
    assert (again.complete, again.late, again.found, again.done) == (True, False, 20, 2)
    assert exit_code(again) == 0
    assert sorted(runs(tmp_path / "log")) == [20, 21]
    check_whole(tmp_path / "out", 22)


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_a_bad_time_limit_is_refused_before_anything_is_written(tmp_path, limit):
    with pytest.raises(ValueError, match="time_limit is in seconds and must be positive"):
        run_sweep(plan(1), tmp_path / "out", time_limit=limit)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_while_a_batch_is_being_handed_out_leaves_no_worker(tmp_path, monkeypatch):
    submit, calls = ProcessPoolExecutor.submit, []

    def interrupted(*arguments, **options):
        future = submit(*arguments, **options)
        calls.append(future)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return future

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    result = run_sweep(plan(40), tmp_path / "out", jobs=2, measure=recorder(tmp_path / "log", 0.02))
    assert not result.complete
    assert not any(alive(file.name) for file in (tmp_path / "log").iterdir())


class Stuck(str):
    """Text that cannot be sent anywhere."""

    __slots__ = ()

    def __reduce__(self):
        raise RuntimeError


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # this process has threads, and the child none
def test_whatever_a_cell_does_its_outcome_is_plain(monkeypatch, tmp_path):
    """Anything else would end the whole sweep on its way from the worker to the store."""

    class Unspeakable(type):
        @property
        def __name__(cls):
            raise RuntimeError

    class Nameless(BaseException, metaclass=Unspeakable):
        def __str__(self):
            raise SystemExit

    def raises(cell):
        raise Nameless

    def forks(cell):
        if not (child := os.fork()):
            return {"value": -1.0}  # this is the child
        os.waitpid(child, 0)
        return {"value": 1.0}

    def replaces_output(cell):
        monkeypatch.setattr(sys, "stdout", object())
        return {"value": 1.0}

    cell = plan_of({"grid": {"data": "synthetic:3,4,0", "network": "diagonal"}}).cells[0]
    (tmp_path / "own").write_text("a file of the cell's, which has the number of the one that it closed")
    with (tmp_path / "own").open("r+") as own:
        monkeypatch.setattr(batch, "OUTPUT", [own.fileno(), 0, 0])
        for measure, ended in (
            (raises, (batch.NO_TEXT, batch.NO_TEXT)),
            (lambda cell: {Stuck("value"): Stuck("text")}, (None, None)),
            (forks, (None, None)),
            (replaces_output, (None, None)),
        ):
            found = batch.run_cell(cell, measure, "host:1")
            assert (found.error_type, found.error) == ended
            assert {type(item) for pair in found.numbers.items() for item in pair} <= {str, float}
    assert (tmp_path / "own").stat().st_size > 0


def test_failing_cells_are_recorded_and_do_not_stop_the_rest(tmp_path):
    class Panic(BaseException):
        """As Rust's in Python: no Exception."""

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def measure(cell):
        if cell.seed == 6:
            raise Panic("index out of bounds")
        if cell.seed == 7:
            raise Mute
        if cell.seed == 8:
            raise KeyboardInterrupt
        if cell.seed == 9:
            return {"value": 1, "seed": 3}
        if cell.seed == 10:
            return {"value": 10**5000}
        if cell.seed == 1:
            raise KeyError("no\nsuch \ud800 thing")
        if cell.seed == 2:
            sys.exit("leaving")
        if cell.seed == 3:
            return {"beta": [1.0, 2.0]}
        if cell.seed == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        if cell.seed == 5:
            raise MemoryError
        return {"value": float("nan"), "other": -float("inf"), "ok": True, "word": "x" * 10}

    result = run_sweep(plan(12), tmp_path, jobs=2, measure=measure)
    assert (result.done, result.failed, result.complete) == (2, 10, True)
    frame = load_sweep(tmp_path).set_index("seed")
    assert list(frame.loc[range(1, 11), "error_type"]) == [
        "KeyError", "SystemExit", "TypeError", "WorkerDied", "MemoryError",
        "Panic", "Mute", "KeyboardInterrupt", "TypeError", "ValueError",
    ]  # fmt: skip
    assert frame.loc[6, "error"] == "index out of bounds"
    assert frame.loc[7, "error"] == "(its text cannot be had)"
    assert "cannot be called 'seed'" in frame.loc[9, "error"]
    assert frame.loc[1, "error"] == "'no\\nsuch \\ud800 thing'"
    assert "'beta' must be a number" in frame.loc[3, "error"]
    assert "3 worker processes died" in frame.loc[4, "error"]
    good = frame[frame.status == "done"]
    assert good.value.isna().all()
    assert (good.other == -float("inf")).all()
    again = run_sweep(plan(12), tmp_path, jobs=2, measure=measure)
    assert (again.found, again.done, again.failed) == (11, 0, 10)  # the one whose workers died is tried again
    mended = run_sweep(plan(12), tmp_path, jobs=2, retry_failed=True, measure=lambda cell: {"value": 1.0})
    assert (mended.found, mended.done, mended.failed) == (2, 10, 0)
    assert len(load_sweep(tmp_path)) == 12


def test_a_cell_whose_workers_died_is_tried_by_three_more_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("compare.sweep.driver.DEATHS", 1)
    runs = []
    for _ in range(5):
        result = run_sweep(plan(1), tmp_path, jobs=1, measure=lambda cell: os.kill(os.getpid(), signal.SIGKILL))
        assert (result.done, result.failed, result.complete) == (0, 1, True)
        runs.append(1 - result.found)
    assert runs == [1, 1, 1, 1, 0]
    frame = load_sweep(tmp_path)
    assert list(frame.error_type) == ["WorkerDied"]
    assert list(frame.session) == [4]
    healthy = run_sweep(plan(1), tmp_path, jobs=1, measure=lambda cell: {"value": 1}, retry_failed=True)
    assert (healthy.done, healthy.failed) == (1, 0)


def test_a_cell_that_takes_too_long_or_too_much_fails_alone(tmp_path):
    def measure(cell):
        if cell.seed == 1:
            time.sleep(60)  # in C, where no exception of ours would reach it
        if cell.seed == 2:
            bytearray(2**32)
        return {"value": cell.seed}

    limited = plan_of({"grid": {"data": "synthetic:3,4,0", "network": "diagonal", "seed": [0, 1, 2, 3]},
                       "options": {"cell_seconds": 0.5, "cell_memory": 2}})  # fmt: skip
    assert [cell.key for cell in limited.cells] == [cell.key for cell in plan(4).cells]  # limits change no number
    result = run_sweep(limited, tmp_path, jobs=2, measure=measure)
    assert (result.done, result.failed, result.complete) == (2, 2, True)
    frame = load_sweep(tmp_path).set_index("seed")
    assert list(frame.error_type[[1, 2]]) == ["CellTimeout", "MemoryError"]
    assert "cell_seconds" in frame.loc[1, "error"]
    assert run_sweep(limited, tmp_path, jobs=1, measure=measure).found == 4
    with pytest.raises(ValueError, match="leave them out of the plan"):
        run_sweep(limited, tmp_path / "b", scheduler="tcp://127.0.0.1:1", measure=measure)


PRINTING = """
import os, sys, subprocess
from compare import run_sweep
def measure(cell):
    print("printed by", cell.seed)
    sys.stderr.write("error stream\\n")
    os.write(1, b"written by a library\\n")
    subprocess.run(["echo", "by a process"])
    return {"value": 1}
grid = {"data": "synthetic:3,4,0", "network": "diagonal", "seed": [0, 1]}
print(run_sweep({"grid": grid}, sys.argv[1], jobs=1, measure=measure).done)
"""


def test_what_cells_print_is_stored_and_reaches_no_terminal(tmp_path):
    done = subprocess.run([sys.executable, "-c", PRINTING, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("2\n", "")
    frame = load_sweep(tmp_path).set_index("seed")
    for seed in (0, 1):
        lines = frame.loc[seed, "output"].splitlines()
        assert sorted(lines) == ["by a process", "error stream", f"printed by {seed}", "written by a library"]


def test_slow_cells_are_named_while_they_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("compare.sweep.driver.SLOW", 0.3)
    run_sweep(plan(1), tmp_path, jobs=1, measure=lambda cell: time.sleep(3) or {"value": 1}, progress=True)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("at work for")]
    assert lines
    assert all(line.endswith(": diagonal, depth 2, seed 0, scale 0.1, loss exponential, flow on synthetic:3,4,0")
               for line in lines)  # fmt: skip
    assert len(lines) <= 4  # each twice as long as the one before


def test_a_damaged_store_is_mended_and_said(tmp_path):
    run_sweep(plan(3), tmp_path, jobs=1, measure=lambda cell: {"value": cell.seed})
    content = (tmp_path / FILE).read_bytes()
    at = content.index(b'"seed": 1')
    (tmp_path / FILE).write_bytes(content[: at + 8] + b"2" + content[at + 9 :])
    result = run_sweep(plan(3), tmp_path, jobs=1, measure=lambda cell: {"value": cell.seed})
    assert (result.found, result.done, result.complete) == (2, 1, True)
    assert len(result.damage) == 1
    assert (
        as_text(result).splitlines()[1].startswith("  the store was damaged and is mended, its old file is kept: cell ")
    )
    frame = load_sweep(tmp_path)
    assert sorted(zip(frame.seed, frame.value, strict=True)) == [(0, 0), (1, 1), (2, 2)]


def test_a_file_that_changed_since_the_plan_was_read_is_not_computed_with(tmp_path):
    (tmp_path / "data.csv").write_text("a,y\n1,0\n-1,0\n2,1\n")
    cell = plan_of({"grid": {"data": "data.csv", "method": "max_margin"}}, folder=tmp_path).cells[0]
    with pytest.raises(NotSeparableError):
        measure_cell(cell)
    data_of.cache_clear()
    (tmp_path / "data.csv").write_text("a,y\n1,0\n-1,1\n")
    with pytest.raises(ValueError, match="holds other numbers here"):
        measure_cell(cell)


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contrary.csv").write_text("a,y\n1,0\n-1,0\n2,1\n")
    text = """
        name = "small [red]x[/red]"
        [[grid]]
        data = "synthetic:3,4,{seed}"
        network = "diagonal"
        seed = {from = 0, to = 2}
        method = "max_margin"
        [[grid]]
        data = "contrary.csv"
        method = "max_margin"
        network = "diagonal"
    """
    (tmp_path / "p.toml").write_text(text)
    run = lambda *arguments: CliRunner().invoke(cli, ["sweep", *arguments])  # noqa: E731
    assert run("p.toml", "--check").output == "small [red]x[/red]: 4 cells\n"
    assert not (tmp_path / "p").exists()
    done = run("p.toml", "--jobs", "1")
    assert done.exit_code == 1, done.output
    assert "3 cells done" in done.output
    assert "1 × NotSeparableError: the data are not linearly separable" in done.output
    assert 'compare.load_sweep("p")' in done.output
    frame = load_sweep("p")
    assert sorted(frame.outcome.fillna("")) == ["", "OPTIMAL", "OPTIMAL", "OPTIMAL"]
    again = run("p.toml", "--jobs", "1", "--json")
    assert again.exit_code == 1
    summary = json.loads(again.stdout)
    assert (summary["found"], summary["done"], summary["failed"], summary["complete"]) == (4, 0, 1, True)
    assert summary["errors"][0]["type"] == "NotSeparableError"
    (tmp_path / "bad.toml").write_text("[grid]\ndatas = 'wine:0v1'\n")
    bad = run("bad.toml")
    assert bad.exit_code == 2
    assert "did you mean 'data'" in bad.output
    assert run("p.toml", "--jobs", "0").exit_code == 2
    assert run("p.toml", "--jobs", "1", "--scheduler", "tcp://x:1").exit_code == 2
    (tmp_path / "p" / FILE).write_text("no database")
    broken = run("p.toml", "--jobs", "1")
    assert broken.exit_code == 2
    assert broken.output.startswith("Error: ")
    assert broken.output.count("\n") == 1
    (tmp_path / "file").touch()
    assert "is a file" in run("p.toml", "--out", "file").output


def test_bad_jobs_are_refused_before_anything_is_written(tmp_path):
    for jobs in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="jobs must be"):
            run_sweep(plan(1), tmp_path / "out", jobs=jobs)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_sent_to_workers_is_one_error(tmp_path):
    lock = threading.Lock()
    with pytest.raises(ValueError, match="must be picklable"):
        run_sweep(plan(3), tmp_path, jobs=1, measure=lambda cell: {"value": lock.locked()})
    frame = load_sweep(tmp_path)
    assert frame.empty
    assert len(frame.attrs["sessions"]) == 1


def test_time_left_is_by_the_pace_of_each_kind(tmp_path):
    class Two:
        slots = 2

    cells = plan_of({"grid": {"data": "synthetic:3,4,0", "network": "diagonal", "depth": [2, 3],
                              "seed": {"from": 0, "to": 9}}}).cells  # fmt: skip
    with Store(tmp_path) as store:
        driver = Driver(store, cells, SweepProgress("n", 20, 20, show=False))
        assert driver.time_left(Two()) is None
        store.begin("n", "p", "c")
        for kind, seconds in ((cells[0].kind, 4.0), (cells[10].kind, 1.0)):
            cell = driver.taken(kind, 1)[0]
            driver.keep((cell,), (Outcome(cell.key, cell.parameters, seconds, "w"),))
        assert driver.time_left(Two()) == (9 * 4.0 + 9 * 1.0) / 2
        assert (driver.stored, driver.worked) == (2, 5.0)


def test_progress_says_how_far_and_how_long(monkeypatch):
    monkeypatch.setattr("compare.sweep.progress.LINE_EVERY", 0.0)
    text = io.StringIO()
    with SweepProgress("[red]n", 10, 8, show=True, console=Console(file=text, width=200)) as progress:
        progress.failed = 1
        progress.update(3, 75.0, 2)
    assert text.getvalue().splitlines() == [
        "2 of 10 cells are stored already", "5 of 10 cells, about 1 min 15 s left, 1 failed, 2 batches in flight",
    ]  # fmt: skip
    drawn = io.StringIO()
    with SweepProgress("[red]n", 10, 8, show=True, console=Console(file=drawn, force_terminal=True)) as progress:
        progress.update(3, None, 2)
        progress.bar.refresh()
    assert "[red]n" in drawn.getvalue()
    assert "5/10" in drawn.getvalue()
    quiet = io.StringIO()
    with SweepProgress("n", 10, 8, show=False, console=Console(file=quiet)) as progress:
        progress.update(3, 1.0, 2)
    assert quiet.getvalue() == ""


@pytest.mark.slow
def test_overhead_of_small_cells(tmp_path):
    """Ten thousand. The goal of 5 ms a cell is the bound, with the workers' start in it; 0.15 ms were measured."""
    result = run_sweep(plan(10_000), tmp_path, jobs=2, measure=lambda cell: {"value": cell.seed**2 + 0.5})
    assert result.done == 10_000
    check_whole(tmp_path, 10_000)
    assert (result.seconds - result.worked / 2) / 10_000 < 5e-3
