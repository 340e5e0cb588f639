"""What a worker process does: run a batch of cells, one after the other, and bring back how each ended.

A cell that raises is an outcome like any other. Only the death of the process loses anything, and then no more than
the batch it was running.
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

from compare.reports.findings import Value, unwrap
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
    machine: Provenance
    """Of the worker."""


def run_batch(cells: Sequence[Cell], measure: Measure) -> BatchResult:
    """Run each cell; never raises for what a cell does."""
    worker = f"{platform.node()}:{os.getpid()}"
    return BatchResult(tuple(run_cell(cell, measure, worker) for cell in cells), worker, this_machine())


def run_cell(cell: Cell, measure: Measure, worker: str) -> Outcome:
    """One cell, timed, its error caught."""
    began = time.perf_counter()
    numbers: dict[str, Value] = {}
    kind = message = None
    try:
        numbers = {name: flat(name, value) for name, value in measure(cell).items()}
    except (Exception, SystemExit) as error:  # recorded, whatever it is
        kind = type(error).__name__
        message = " ".join(str(error).split())[:LONGEST_MESSAGE].encode("utf-8", "backslashreplace").decode()
    return Outcome(cell.key, cell.parameters, time.perf_counter() - began, worker, numbers, kind, message)


def flat(name: str, value: Any) -> Value:
    """A column's value as JSON holds it. Raises TypeError for arrays and objects: a cell has flat columns."""
    value = unwrap(value)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    raise TypeError(f"column {name!r} must be a number, text, truth value or None; got {type(value).__name__}")


this_machine = cache(Provenance.collect)
"""Machine and versions; looking them up takes longer than a small cell."""


def become_worker(driver: int) -> None:
    """Make this process a worker of `driver`, which alone answers Ctrl-C, and with which the worker ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="sweep-watch").start()
