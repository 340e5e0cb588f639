"""Where batches run: processes of this machine, or a Dask cluster. One interface, so that the driver knows neither.

**Here**: joblib's process executor (loky), one executor of one process for each of the `jobs` lanes. A pool shared by
all lanes, as `joblib.Parallel` keeps it, is terminated whole when one of its processes dies, and does not say which
cell that one was running: every neighbour would lose its work, and a cell that kills its process could not be told
from them. With a lane each, a death costs the batch in that lane and names it.

**Dask**: the batches are submitted to the scheduler, which moves a dead worker's batches to another one; after
`distributed.scheduler.allowed-failures` deaths (3 unless configured) it gives up on a batch. As that batch may only
have been queued where another one killed the workers, the driver tries its cells again with nothing else in flight.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any

from compare.sweep.batch import BatchResult, Measure, run_batch, settle
from compare.sweep.cell import Cell

Batch = tuple[Cell, ...]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

CONNECT = 30.0
"""Seconds that a scheduler may take to answer."""


class WorkersLostError(OSError):
    """The cluster is gone."""


class Workers(ABC):
    """Batches in, finished or lost batches out."""

    exclusive: bool
    """Whether a lost batch was the only one on the worker that died."""
    deaths_per_loss: int
    """How many workers have died when a batch is reported lost."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many batches should be in flight."""

    @abstractmethod
    def submit(self, batch: Batch) -> None:
        """Start a batch."""

    @abstractmethod
    def finished(self, patience: float) -> list[tuple[Batch, BatchResult | None]]:
        """The batches that ended, None for one whose worker died; waits at most `patience` seconds for the first.
        Raises WorkersLostError."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything at once, batches in flight included."""


class LocalWorkers(Workers):
    """`jobs` processes of this machine."""

    exclusive = True
    deaths_per_loss = 1

    def __init__(self, jobs: int, measure: Measure) -> None:
        self.measure = measure
        self._idle: list[Any] = [None] * jobs  # None: a lane whose process is not started
        self._running: dict[Future[BatchResult], tuple[Batch, Any]] = {}
        self._open: list[Any] = []  # every lane: Ctrl-C can fall while one is in neither of the above

    @property
    def slots(self) -> int:
        return len(self._idle) + len(self._running)

    def submit(self, batch: Batch) -> None:
        lane = self._idle.pop() or self._new_lane()
        try:
            future = lane.submit(run_batch, batch, self.measure)
        except Exception as error:  # the process died while idle; the next one has done nothing yet
            if not is_worker_death(error):
                raise
            self._kill(lane)
            lane = self._new_lane()
            future = lane.submit(run_batch, batch, self.measure)
        self._running[future] = batch, lane

    def finished(self, patience: float) -> list[tuple[Batch, BatchResult | None]]:
        ended = wait(self._running, timeout=patience, return_when=FIRST_COMPLETED).done
        found: list[tuple[Batch, BatchResult | None]] = []
        for future in ended:
            batch, lane = self._running.pop(future)
            error = future.exception()
            if error is None:
                self._idle.append(lane)
                found.append((batch, future.result()))
                continue
            self._kill(lane)
            self._idle.insert(0, None)
            if not is_worker_death(error):
                raise unsendable(error, "worker processes") from error
            found.append((batch, None))
        return found

    def close(self) -> None:
        while self._open:
            self._open[-1].shutdown(wait=True, kill_workers=True)
            self._open.pop()
        self._running.clear()
        self._idle = [None] * len(self._idle)

    def _new_lane(self) -> Any:
        """An executor of one process, which starts with its first batch."""
        from joblib.externals.loky.process_executor import ProcessPoolExecutor

        lane = ProcessPoolExecutor(max_workers=1, initializer=settle, initargs=(os.getpid(),), env=ONE_THREAD)
        self._open.append(lane)
        return lane

    def _kill(self, lane: Any) -> None:
        lane.shutdown(wait=False, kill_workers=True)
        self._open.remove(lane)


def is_worker_death(error: BaseException) -> bool:
    """Whether loky means that the process is gone, and not that the work could not be sent to it."""
    from joblib.externals.loky.process_executor import ShutdownExecutorError, TerminatedWorkerError

    return isinstance(error, TerminatedWorkerError | ShutdownExecutorError)


def unsendable(error: BaseException, where: str) -> ValueError:
    """For cells that never began: what the workers lack."""
    reason = " ".join(str(error).split())[:200]
    return ValueError(
        f"cells cannot be run by {where} ({type(error).__name__}: {reason}); workers need the same version of this "
        "package, and a `measure` of your own must be picklable"
    )


class DaskWorkers(Workers):
    """The workers of a Dask scheduler, as many as there are at the time."""

    exclusive = False
    deaths_per_loss = 3

    def __init__(self, scheduler: str, measure: Measure) -> None:
        try:
            self._dask: Any = import_module("distributed")
        except ImportError as error:
            raise ValueError("--scheduler needs Dask: pip install 'implicitbias[cluster]'") from error
        try:
            self._client = self._dask.Client(scheduler, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"no Dask scheduler answers at {scheduler!r}: {reason}") from error
        self.scheduler, self.measure = scheduler, measure
        self._running: dict[Any, Batch] = {}
        self._ended: SimpleQueue[Any] = SimpleQueue()
        self._threads, self._asked = 1, -1e9

    @property
    def slots(self) -> int:
        """Two batches a thread, so that none waits for the network."""
        if time.monotonic() - self._asked > 2.0:
            self._threads, self._asked = max(1, sum(self._client.nthreads().values())), time.monotonic()
        return 2 * self._threads

    def submit(self, batch: Batch) -> None:
        future = self._client.submit(run_batch, batch, self.measure, pure=False)
        self._running[future] = batch
        future.add_done_callback(self._ended.put)

    def finished(self, patience: float) -> list[tuple[Batch, BatchResult | None]]:
        ended = []
        with suppress(Empty):
            ended.append(self._ended.get(timeout=patience))
            while True:
                ended.append(self._ended.get_nowait())
        return [(self._running.pop(future), self._result(future)) for future in ended]

    def _result(self, future: Any) -> BatchResult | None:
        try:
            result: BatchResult = future.result(timeout=60.0)
        except self._dask.KilledWorker:
            return None
        except (OSError, TimeoutError) as error:
            raise self._gone(error) from error
        except Exception as error:
            if type(error).__name__ in ("CancelledError", "FutureCancelledError"):
                raise self._gone(error) from error
            raise unsendable(error, f"the workers of {self.scheduler}") from error
        return result

    def _gone(self, error: BaseException) -> WorkersLostError:
        reason = " ".join(str(error).split()).split(". ")[0][:200] or type(error).__name__
        return WorkersLostError(f"the Dask scheduler at {self.scheduler!r} is gone ({reason})")

    def close(self) -> None:
        if self._running and self._client.status == "running":
            self._client.cancel(list(self._running), force=True)
        self._running.clear()
        self._client.close()


def open_workers(jobs: int | None, scheduler: str | None, measure: Measure) -> Workers:
    """The workers asked for: a cluster where `scheduler` is given, else `jobs` processes (all cores by default)."""
    if scheduler is not None:
        return DaskWorkers(scheduler, measure)
    if jobs is None:
        from joblib import cpu_count

        jobs = int(cpu_count())
    return LocalWorkers(jobs, measure)
