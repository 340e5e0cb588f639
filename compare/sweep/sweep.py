"""`run_sweep`: every cell of a plan once, on all cores or a cluster, whatever dies on the way.

What is stored is never run again, so the same plan resumes by being run again. `compare.sweep.driver` says what can be
lost, and what fails.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.sweep.batch import Measure
from compare.sweep.cell import Cell
from compare.sweep.driver import TIME_IS_UP, Driver
from compare.sweep.frame import load_sweep
from compare.sweep.plan import SweepPlan, plan_of, read_plan
from compare.sweep.progress import SweepProgress
from compare.sweep.store import Store
from compare.sweep.workers import open_workers
from solvers.search import deadline_after

RESUMES = 3
"""Later runs of the driver that try a cell again whose workers died."""


@dataclass(frozen=True)
class SweepResult:
    """How one run of the driver ended."""

    folder: Path
    """Where the store is; `load_sweep(folder)` has the numbers."""
    cells: int
    """Of the plan."""
    found: int
    """Of them, stored before."""
    done: int
    """Cells finished in this run."""
    failed: int
    """Of the plan's cells, stored as failed, in this run or before."""
    errors: tuple[tuple[str, str, int], ...]
    """(type, message, how often) of the failed cells, the most frequent first."""
    seconds: float
    """Wall-clock of this run."""
    worked: float
    """Seconds that this run's cells took on their workers, all together."""
    complete: bool
    """Whether every cell of the plan is stored; False after the time limit, Ctrl-C or the loss of the cluster."""
    note: str = ""
    """Why it is not complete."""
    damage: tuple[str, ...] = ()
    """What was found damaged in the store and set aside; cells among it ran again."""

    @property
    def late(self) -> bool:
        """Whether the time limit ended it."""
        return self.note == TIME_IS_UP

    def frame(self) -> Any:
        """The results as one DataFrame, see `load_sweep`."""
        return load_sweep(self.folder)


def run_sweep(
    plan: SweepPlan | Mapping[str, Any] | str | Path,
    folder: str | Path,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    retry_failed: bool = False,
    measure: Measure | None = None,
    time_limit: float = math.inf,
    progress: bool = False,
    command: str = "compare.run_sweep(plan, folder)",
) -> SweepResult:
    """Run every cell of a plan that the folder does not hold yet.

    Args:
        plan: a TOML file, a dictionary of the same shape, or a checked plan; see `compare.sweep.plan`.
        folder: where results are stored, made when it is not there; the same folder resumes.
        jobs: worker processes on this machine; one for each core by default.
        scheduler: address of a Dask scheduler, such as "tcp://10.0.0.1:8786", whose workers then run the cells. They
            need this package, and files of data at the same paths (their contents are checked).
        retry_failed: run again all cells that are stored as failed; else only those whose workers died, three times.
        measure: what a cell does, Cell → {column: number}; `compare.sweep.measure.measure_cell` by default. It is not
            part of a cell's key: give another function another folder.
        time_limit: seconds after which nothing more begins and the cells at work are given up, to run next time.
        progress: whether to draw a bar with an estimate of the time left on standard error.
        command: what the store says to type to get the sweep again.

    Returns:
        What ran and what failed. Interrupted by Ctrl-C or ended by `time_limit`, what is finished is stored and
        `complete` is False.

    Raises:
        PlanError, DataError: the plan cannot be run as written (nothing has run then).
        SweepBusyError: another driver is writing to the folder.
        ValueError: jobs < 1, time_limit ≤ 0, no scheduler at that address, or workers that lack this package.
        StoreError: the disk is full, or the store was removed or renamed; what was stored stays.

    >>> import tempfile
    >>> plan = {"grid": {"data": "synthetic:4,6,0", "method": "max_margin", "network": ["diagonal", "convolutional"]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = run_sweep(plan, folder, jobs=1)
    ...     frame = load_sweep(folder)
    >>> result.done, result.complete, list(frame.outcome)
    (2, True, ['OPTIMAL', 'OPTIMAL'])
    """
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise ValueError(f"jobs must be an integer of at least 1, got {jobs!r}")
    deadline = deadline_after(time_limit)
    if isinstance(plan, str | Path):
        plan = read_plan(plan)
    elif not isinstance(plan, SweepPlan):
        plan = plan_of(plan)
    if measure is None:
        from compare.sweep.measure import measure_cell

        measure = measure_cell
    with Store(Path(folder)) as store:
        todo = [cell for cell in plan.cells if is_wanted(store, cell, retry_failed)]
        store.begin(plan.name, plan.text, command)
        driver = Driver(store, todo, SweepProgress(plan.name, len(plan.cells), len(todo), show=progress))
        began = time.perf_counter()
        note = driver.run(open_workers(jobs, scheduler, measure, plan.limits), deadline) if todo else ""
        errors = tuple(store.errors({cell.key for cell in plan.cells}))
    return SweepResult(
        folder=Path(folder),
        cells=len(plan.cells),
        found=len(plan.cells) - len(todo),
        done=driver.done,
        failed=sum(count for _, _, count in errors),
        errors=errors,
        seconds=time.perf_counter() - began,
        worked=driver.worked,
        complete=driver.stored == len(todo),
        note=note,
        damage=store.damage,
    )


def is_wanted(store: Store, cell: Cell, retry_failed: bool) -> bool:
    """Whether the cell is to run."""
    if cell.key in store.done:
        return False
    failed = store.failed.get(cell.key)
    return failed is None or retry_failed or 0 < failed["given_up"] <= RESUMES
