"""Where batches run: processes of this machine, or a Dask cluster. One interface, so that the driver knows neither.

**Here**: joblib's process executor (loky), one executor of one process for each of the `jobs` workers. A pool shared
by all of them, as `joblib.Parallel` keeps it, is terminated whole when one of its processes dies, and does not say
which cell that one was running: all other batches would be lost with it, and a cell that kills its process could not be
told from them. With an executor each, a death costs the batch of that worker and names it.

**Dask**: the batches are submitted to the scheduler, which moves a dead worker's batches to another one; after
`distributed.scheduler.allowed-failures` deaths (3 unless configured) it gives up on a batch. As that batch may only
have been queued where another one killed the workers, the driver tries its cells again with nothing else in flight.
A process of the cluster is not this sweep's alone, so a plan that limits its cells is refused here.
"""

from __future__ import annotations

import math
import os
import time
from abc import ABC, abstractmethod
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import suppress
from enum import StrEnum
from importlib import import_module
from queue import Empty
from typing import Any

from compare.reports.wording import one_line
from compare.sweep.batch import TIME_IS_UP, BatchResult, Measure, become_worker, run_batch
from compare.sweep.cell import Cell, Limits

Batch = tuple[Cell, ...]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

CONNECT = 30.0
"""Seconds that a scheduler may take to answer."""


class WorkersLostError(OSError):
    """The cluster is gone."""


class Lost(StrEnum):
    """Why a batch brings nothing back."""

    WORKER_DIED = "The process that ran it died (out of memory, killed?)."
    TIME_IS_UP = "One of its cells took longer than it may."


class Workers(ABC):
    """Batches in, finished or lost batches out."""

    slots: int
    """How many batches should be in flight."""
    exclusive: bool
    """Whether a lost batch was the only one on the worker that died."""
    deaths_per_loss: int
    """How many workers have died when a batch is reported lost."""

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self.running: dict[Future[BatchResult], tuple[Batch, float]] = {}
        """Each with when it was handed out."""

    def submit(self, batch: Batch) -> None:
        """Start a batch."""
        self.running[self._start(batch)] = batch, time.monotonic()

    def finished(self, timeout: float) -> list[tuple[Batch, BatchResult | Lost]]:
        """The batches that ended, with their results; waits at most `timeout` seconds for the first.

        Raises:
            WorkersLostError: the cluster is gone.
            ValueError: the work cannot be sent to the workers.
        """
        found: list[tuple[Batch, BatchResult | Lost]] = []
        for future in wait(self.running, timeout=timeout, return_when=FIRST_COMPLETED).done:
            batch, _ = self.running.pop(future)
            error = CancelledError() if future.cancelled() else future.exception()
            found.append((batch, self._ended(future, error) or future.result()))
        return found

    @abstractmethod
    def _start(self, batch: Batch) -> Future[BatchResult]:
        """Hand a batch to a worker."""

    @abstractmethod
    def _ended(self, future: Future[BatchResult], error: BaseException | None) -> Lost | None:
        """How a batch was lost, None where it was not. Raises, as `finished` does, for any other error."""

    @abstractmethod
    def close(self) -> None:
        """End everything at once, batches in flight included."""


class LocalWorkers(Workers):
    """`jobs` processes of this machine."""

    exclusive = True
    deaths_per_loss = 1

    def __init__(self, jobs: int, measure: Measure, limits: Limits) -> None:
        super().__init__(measure)
        self.slots, self.limits = jobs, limits
        self._idle: list[Any] = []
        self._busy: dict[Future[BatchResult], Any] = {}
        self._open: list[Any] = []  # every executor: Ctrl-C can fall while one is in neither of the above

    def _start(self, batch: Batch) -> Future[BatchResult]:
        from joblib.externals.loky.process_executor import ProcessPoolExecutor

        if not self._idle:
            asked = os.getpid(), self.limits.memory
            executor = ProcessPoolExecutor(1, initializer=become_worker, initargs=asked, env=ONE_THREAD)
            self._idle.append(executor)
            self._open.append(executor)
        executor = self._idle.pop()
        try:
            future: Future[BatchResult] = executor.submit(run_batch, batch, self.measure, self.limits.seconds)
        except Exception as error:
            if not is_worker_death(error):
                raise
            self._stop(executor)  # it died while idle, with nothing to lose: another one takes the batch
            return self._start(batch)
        self._busy[future] = executor
        return future

    def _ended(self, future: Future[BatchResult], error: BaseException | None) -> Lost | None:
        executor = self._busy.pop(future)
        if error is None:
            self._idle.append(executor)
            return None
        self._stop(executor)
        if not is_worker_death(error):
            raise unsendable(error, "worker processes") from error
        return Lost.TIME_IS_UP if f"EXIT({TIME_IS_UP})" in str(error) else Lost.WORKER_DIED

    def close(self) -> None:
        while self._open:
            self._stop(self._open[-1], wait=True)

    def _stop(self, executor: Any, wait: bool = False) -> None:
        with suppress(Empty):  # killed, loky forgets the calls in this queue, but its thread still looks them up
            while True:
                executor._work_ids.get_nowait()
        executor.shutdown(wait=wait, kill_workers=True)
        self._open.remove(executor)


def is_worker_death(error: BaseException) -> bool:
    """Whether loky means that the process is gone, and not that the work could not be sent to it."""
    from joblib.externals.loky.process_executor import ShutdownExecutorError, TerminatedWorkerError

    return isinstance(error, TerminatedWorkerError | ShutdownExecutorError)


def unsendable(error: BaseException, where: str) -> ValueError:
    """For cells that never began: what the workers lack."""
    return ValueError(
        f"cells cannot be run by {where} ({one_line(error)}); workers need the same version of this package, and a "
        "`measure` of your own must be picklable"
    )


class DaskWorkers(Workers):
    """The workers of a Dask scheduler, as many as there are at the time."""

    exclusive = False
    deaths_per_loss = 3

    def __init__(self, scheduler: str, measure: Measure) -> None:
        super().__init__(measure)
        try:
            self._dask: Any = import_module("distributed")
        except ImportError as error:
            raise ValueError("--scheduler needs Dask: pip install 'implicitbias[cluster]'") from error
        try:
            self._client = self._dask.Client(scheduler, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"no Dask scheduler answers at {scheduler!r}: {one_line(error)}") from error
        self.scheduler, self._executor = scheduler, self._client.get_executor(pure=False)
        self._threads, self._counted = 0, -math.inf

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Two batches a thread, so that none waits for the network; workers come and go."""
        if time.monotonic() - self._counted > 2.0:
            self._threads, self._counted = sum(self._client.nthreads().values()), time.monotonic()
        return 2 * max(1, self._threads)

    def _start(self, batch: Batch) -> Future[BatchResult]:
        future: Future[BatchResult] = self._executor.submit(run_batch, batch, self.measure)
        return future

    def _ended(self, future: Future[BatchResult], error: BaseException | None) -> Lost | None:
        if isinstance(error, OSError | TimeoutError | CancelledError):
            raise WorkersLostError(f"the Dask scheduler at {self.scheduler!r} is gone ({one_line(error)})") from error
        if error is not None and not isinstance(error, self._dask.KilledWorker):
            raise unsendable(error, f"the workers of {self.scheduler}") from error
        return Lost.WORKER_DIED if error else None

    def close(self) -> None:
        if self._client.status == "running":
            self._executor.shutdown(wait=False)
        self._client.close()


def open_workers(jobs: int | None, scheduler: str | None, measure: Measure, limits: Limits) -> Workers:
    """The workers asked for: a cluster where `scheduler` is given, else `jobs` processes (all cores by default)."""
    if scheduler is not None:
        if limits != Limits():
            raise ValueError(
                "cell_seconds and cell_memory are for processes of this machine; leave them out of the plan, and give "
                "the cluster's workers a --memory-limit"
            )
        return DaskWorkers(scheduler, measure)
    if jobs is None:
        from joblib import cpu_count

        jobs = int(cpu_count())
    return LocalWorkers(jobs, measure, limits)
