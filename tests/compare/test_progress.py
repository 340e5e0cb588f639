"""Long work in parts: in order on one process and on several, and what an interruption or an error leaves."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from compare.commands.outcome import processor_seconds
from compare.reports.progress import run_parts
from compare.reports.time_limit import deadline, within


def busy(seconds: float) -> None:
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass


def test_the_processor_time_of_workers_is_counted():
    before = processor_seconds()
    run_parts([(str(n), partial(busy, 0.3)) for n in range(2)], "Busy", show=False, jobs=2)
    assert processor_seconds() - before >= 0.6


def interrupted():
    raise KeyboardInterrupt


def test_processes_give_the_same_results_in_the_same_order():
    parts = [(f"{n}!", partial(math.factorial, n)) for n in range(9)]
    assert run_parts(parts, "Factorials", show=False) == run_parts(parts, "Factorials", show=False, jobs=2)
    elsewhere = run_parts([("a", os.getpid), ("b", os.getpid)], "Processes", show=False, jobs=2)
    assert os.getpid() not in elsewhere.results


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_passes_through(jobs):
    with pytest.raises(ValueError, match="negative"):
        run_parts(
            [("1!", partial(math.factorial, 1)), ("(-1)!", partial(math.factorial, -1))],
            "Factorials",
            show=False,
            jobs=jobs,
        )


def test_an_interruption_keeps_what_is_finished():
    done = run_parts(
        [("one", partial(abs, -1)), ("two", interrupted), ("three", partial(abs, -3))], "Counting", show=False
    )
    assert done.results == (1,)
    assert not done.complete
    assert done.note == "Interrupted during 'two': 1 of 3 parts are finished."


@pytest.fixture
def alarm():
    """The system's alarm, which pytest's own time limit has otherwise."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0.0)
    yield
    signal.setitimer(signal.ITIMER_REAL, left)


def timed_out(parts, **options):
    """What `run_parts` hands back within a third of a second; nothing of the limit is left over."""
    began = time.monotonic()
    with within(0.3):
        done = run_parts(parts, "Counting", show=False, **options)
    assert deadline() == math.inf
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    return done, time.monotonic() - began


needs_alarm = pytest.mark.usefixtures("alarm")
ONE = ("one", partial(abs, -1))


@needs_alarm
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_time_limit_ends_the_part_at_work_and_keeps_what_is_finished(jobs):
    parts = [ONE, ("two", partial(time.sleep, 5)), ("three", partial(abs, -3))]
    if jobs == 2:  # or the workers' start takes the time
        run_parts([ONE, ONE], "Warm", show=False, jobs=2)
    done, seconds = timed_out(parts, jobs=jobs)
    assert (done.results, done.late, done.complete) == ((1,), ("two", "three"), True)
    assert done.note == "The time limit came before 'two' was finished: 1 of 3 parts are finished."
    assert seconds < 4


BUSY = """
import time
from functools import partial
from compare.reports.progress import run_parts
work = partial(exec, "import os, time; open(str(os.getpid()), 'w').close(); time.sleep(100)")
parts = [("one", work), ("two", work)]
if __name__ == "__main__":
    run_parts(parts, "Busy", show=False, jobs=2)
"""


def test_workers_end_with_a_process_that_was_killed(tmp_path):
    """As `implicitbias compare generators` runs them; a signal that cannot be caught leaves nobody to end them."""
    (tmp_path / "busy.py").write_text(BUSY)
    driver = subprocess.Popen([sys.executable, "busy.py"], cwd=tmp_path)
    try:
        within_time(lambda: len(list(tmp_path.glob("[0-9]*"))) == 2)
        workers = [path.name for path in tmp_path.glob("[0-9]*")]
        assert all(map(alive, workers))
    finally:
        driver.kill()
        driver.wait()
    within_time(lambda: not any(map(alive, workers)))


def within_time(condition):
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid):
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_time_limit_that_is_not_reached_changes_nothing():
    with within(60.0):
        assert run_parts([ONE], "Counting", show=False) == run_parts([ONE], "Counting", show=False)
    assert run_parts([ONE], "Counting", show=False).note == ""


@needs_alarm
def test_what_a_part_makes_of_its_own_finished_parts_is_not_interrupted():
    def outer():
        done = run_parts([ONE, ("sleep", partial(time.sleep, 5))], "Inner", show=False)
        busy(0.3)  # a report is written
        return done

    done, _ = timed_out([("outer", outer), ("late", partial(abs, -2))])
    assert [inner.late for inner in done.results] == [("sleep",)]
    assert done.late == ("late",)


class Cleared:
    """An object that takes long to be cleared away: Python drops what is raised meanwhile."""

    def __del__(self):
        busy(0.4)


class Key:
    """A key of a weak dictionary."""


def clearing(kind):
    if kind == "__del__":
        Cleared()
    else:
        weakref.WeakKeyDictionary()[Key()] = Cleared()
    time.sleep(5)


@needs_alarm
@pytest.mark.parametrize("kind", ["__del__", "weakref"])
def test_the_alarm_rings_again_where_python_drops_it(kind, capsys):
    done, seconds = timed_out([("clearing", partial(clearing, kind))])
    assert done.late == ("clearing",)
    assert seconds < 4
    assert capsys.readouterr().err == ""


@needs_alarm
def test_modules_are_imported_whole(tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(0.6)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    timed_out([("import", partial(import_module, "slow_module"))])
    assert import_module("slow_module").whole


@needs_alarm
def test_an_alarm_of_the_programs_own_is_left_alone():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.4)
        with within(0.1):
            done = run_parts([("busy", partial(busy, 0.5)), ONE], "Counting", show=False)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rung == [1]
    assert (len(done.results), done.late) == (1, ("one",))  # the part at work ended by itself


def test_on_another_thread_the_part_at_work_ends_by_itself():
    found = []

    def on_thread():
        with within(0.1):
            found.append(run_parts([("busy", partial(time.sleep, 0.3)), ONE], "Counting", show=False))

    thread = threading.Thread(target=on_thread)
    thread.start()
    thread.join()
    assert (len(found[0].results), found[0].late) == (1, ("one",))


def test_off_a_terminal_parts_are_named_and_the_parts_of_a_part_are_not(capsys):
    def inner():
        return run_parts([("inner", lambda: 1)], "Inner").results

    run_parts([("one", inner), ("two", lambda: 2)], "Outer")
    assert capsys.readouterr().err == "one, 0 s\ntwo, 0 s\n"
