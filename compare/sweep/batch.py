"""What a worker process does: run a batch of cells, one after the other, and bring back how each ended.

A cell that raises is an outcome like any other. Only the death of the process loses anything, and then no more than
the batch it was running; a batch of several cells holds no more than they are expected to run `BATCH`
seconds together.
"""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import Any

from compare.reports.provenance import Provenance
from compare.sweep.cell import Cell
from compare.sweep.store import Outcome

Measure = Callable[[Cell], Mapping[str, Any]]
LONGEST_MESSAGE = 2000
"""Characters of an error that are kept."""


@dataclass(frozen=True)
class BatchResult:
    """A finished batch."""

    outcomes: tuple[Outcome, ...]
    worker: str
    """host:process."""
    machine: str
    versions: Mapping[str, str]


def run_batch(cells: Sequence[Cell], measure: Measure) -> BatchResult:
    """Run each cell; never raises for what a cell does."""
    worker, machine, versions = identity(os.getpid())
    return BatchResult(tuple(run_cell(cell, measure, worker) for cell in cells), worker, machine, versions)


def run_cell(cell: Cell, measure: Measure, worker: str) -> Outcome:
    """One cell, timed, its error caught."""
    began = time.perf_counter()
    try:
        numbers = {name: plain(name, value) for name, value in measure(cell).items()}
    except (Exception, SystemExit) as error:  # the cell's own affair, to be recorded, whatever it is
        message = " ".join(str(error).split())[:LONGEST_MESSAGE].encode("utf-8", "backslashreplace").decode()
        seconds = time.perf_counter() - began
        return Outcome(cell.key, cell.parameters, seconds, worker, {}, type(error).__name__, message)
    return Outcome(cell.key, cell.parameters, time.perf_counter() - began, worker, numbers)


def plain(name: str, value: Any) -> Any:
    """A column's value as JSON holds it. Raises TypeError for arrays and objects: a cell has flat columns."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if type(value).__name__ == "bool":  # numpy's
        return bool(value)
    raise TypeError(f"column {name!r} must be a number, text, truth value or None; got {type(value).__name__}")


@cache
def identity(pid: int) -> tuple[str, str, dict[str, str]]:
    """This process, its machine and versions."""
    here = Provenance.collect()
    return f"{platform.node()}:{pid}", here.machine, dict(here.versions)


def settle(driver: int) -> None:
    """Make this process a worker of `driver`: Ctrl-C is the driver's business, and its end is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="sweep-watch").start()
