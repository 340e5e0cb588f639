"""Long work in parts: in order on one process and on several, and what an interruption or an error leaves."""

import math
import os
import time
from functools import partial

import pytest

from compare.commands.outcome import processor_seconds
from compare.reports.progress import run_parts


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
    assert done.note == "Interrupted during 'two': 1 of 3 parts of 'Counting' are finished."
