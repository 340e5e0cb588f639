"""What a worker process does: run a batch of cells, one after the other, and bring back how each ended.

A cell that raises is an outcome like any other. Only the death of the process loses anything, and then no more than
the batch it was running. What a cell prints, from Python or from a library, is kept with it and reaches no terminal.

A cell's limits are the process's. Memory: the operating system refuses to give more, which Python raises as
MemoryError. Time: the process ends itself with the exit code `TIME_IS_UP`, because a thread cannot be stopped while it
is inside of a compiled library.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from typing import Any

from compare.reports.findings import Value, unwrap
from compare.reports.provenance import Provenance
from compare.sweep.cell import Cell
from compare.sweep.frame import LAST
from compare.sweep.store import Outcome
from solvers import worker_processes

Measure = Callable[[Cell], Mapping[str, Any]]
LONGEST_MESSAGE = 2000
"""Characters of an error that are kept, and of what a cell printed."""
NO_TEXT = "(its text cannot be had)"
TIME_IS_UP = 79
"""Exit code of a worker whose cell took longer than it may; no signal and no shell uses it."""
RESERVED = {"status", *LAST, *(field.name for field in fields(Cell)), "sha256"}
"""Columns that say what a cell is and how it ended."""


@dataclass(frozen=True)
class BatchResult:
    """A finished batch."""

    outcomes: tuple[Outcome, ...]
    worker: str
    """host:process."""
    machine: Provenance
    """Of the worker."""


def run_batch(cells: Sequence[Cell], measure: Measure, seconds: float | None = None) -> BatchResult:
    """Run each cell, in at most `seconds` each; never raises for what a cell does."""
    worker = f"{platform.node()}:{os.getpid()}"
    return BatchResult(tuple(run_cell(cell, measure, worker, seconds) for cell in cells), worker, this_machine())


def run_cell(cell: Cell, measure: Measure, worker: str, seconds: float | None = None) -> Outcome:
    """One cell, timed, its error caught and its output kept."""
    began, process = time.perf_counter(), os.getpid()
    numbers: dict[str, Value] = {}
    kind = message = None
    try:
        with ended_after(seconds):
            numbers = {name: flat(name, value) for name, value in measure(cell).items()}
        numbers = json.loads(json.dumps(numbers))  # what cannot be stored fails here, and not in the driver
    except BaseException as error:  # recorded, whatever it is: a panic in Rust is no Exception
        numbers, (kind, message) = {}, described(error)
    if os.getpid() != process:  # a child that the cell has forked: it is no worker, and its outcome is not the cell's
        os._exit(0)
    return Outcome(
        cell.key, cell.parameters, time.perf_counter() - began, worker, numbers, kind, message, printed_since_last()
    )


def described(error: BaseException) -> tuple[str, str]:
    """The name of an error's class, and its text."""
    return line_of(lambda: type(error).__name__), line_of(lambda: error)


def line_of(found: Callable[[], object]) -> str:
    """The text of what is found, in one line, also where there is none that can be had."""
    try:
        text = " ".join(str(found()).split())
    except BaseException:  # of a class that somebody wrote for itself, anything
        text = NO_TEXT
    return text[:LONGEST_MESSAGE].encode("utf-8", "backslashreplace").decode()


@contextmanager
def ended_after(seconds: float | None) -> Iterator[None]:
    """End the process unless the body ends in this time."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, os._exit, (TIME_IS_UP,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def flat(name: str, value: Any) -> Value:
    """A column's value as JSON holds it. Raises TypeError for arrays and objects: a cell has flat columns."""
    if not isinstance(name, str) or name in RESERVED:
        raise TypeError(f"a measured column cannot be called {name!r}; these are taken: {', '.join(sorted(RESERVED))}")
    value = unwrap(value)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    raise TypeError(f"column {name!r} must be a number, text, truth value or None; got {type(value).__name__}")


this_machine = cache(Provenance.collect)
"""Machine and versions; looking them up takes longer than a small cell."""


OUTPUT: list[int] = []
"""The file descriptor that a worker's output goes to, and the file's device and inode; empty in any other process."""


def become_worker(driver: int, memory: float | None = None) -> None:
    """Make this process a worker of `driver`, which alone answers Ctrl-C, and with which the worker ends.

    What it prints goes to a file without a name, and it may hold `memory` GiB.
    """
    worker_processes.become_worker(driver)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with tempfile.TemporaryFile() as file:
        OUTPUT[:] = [os.dup(file.fileno()), *place_of(file.fileno())]
    for standard in (1, 2):
        os.dup2(OUTPUT[0], standard)
    if memory is not None:
        with suppress(ImportError):  # Windows has no such limits
            import resource

            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            most = int(memory * 2**30)
            resource.setrlimit(
                resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
            )


def place_of(descriptor: int) -> list[int]:
    """Which file this is on which disk; empty where a cell has closed it."""
    with suppress(OSError):
        status = os.fstat(descriptor)
        return [status.st_dev, status.st_ino]
    return []


def printed_since_last() -> str | None:
    """The end of what this worker printed since the last call, None where it printed nothing."""
    if not OUTPUT or place_of(OUTPUT[0]) != OUTPUT[1:]:
        return None
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a cell may have closed it, or put anything in its place
            stream.flush()
    with suppress(OSError, TypeError, AttributeError):  # what C libraries still hold; Windows gives no such handle
        ctypes.CDLL(None).fflush(None)
    length = os.lseek(OUTPUT[0], 0, os.SEEK_END)
    os.lseek(OUTPUT[0], max(0, length - LONGEST_MESSAGE), os.SEEK_SET)
    text = os.read(OUTPUT[0], LONGEST_MESSAGE).decode("utf-8", "replace")
    os.ftruncate(OUTPUT[0], 0)
    os.lseek(OUTPUT[0], 0, os.SEEK_SET)
    return text or None
