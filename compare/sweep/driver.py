"""The driver of a sweep: the queue, what is handed to workers, and what comes back.

It hands batches to workers (`compare.sweep.workers`) and writes what comes back to the store (`compare.sweep.store`),
each batch durable before the next is handed out.

**What can be lost.** Small cells travel in batches, to pay the way to the worker and the disk once: a batch holds one
cell, or as many as are expected to take `BATCH` seconds together, at most `LARGEST_BATCH`; a kind of cell never timed
before goes alone. The death of a worker loses the batch that it was running, nothing else, and its cells are run again,
each alone. The death of the driver or of the machine loses one batch for each worker process (on a cluster two for each
thread), also nothing else. So with cells above a quarter of a second no more is lost than the cells in flight, and with
smaller ones no more than `BATCH` seconds of each worker's work, up to the error of that expectation.

**What fails.** A cell that raises is stored as failed with its error, one that takes longer than the plan allows with
error type "CellTimeout". A cell that `DEATHS` workers died of while they ran it alone is stored as failed with error
type "WorkerDied". As that may be the machine's doing, the next `RESUMES` runs of the sweep try it again. `retry_failed`
runs all failed cells again.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

from compare.sweep.cell import Cell
from compare.sweep.progress import SweepProgress, duration
from compare.sweep.store import Outcome, Store
from compare.sweep.workers import Batch, Lost, Workers, WorkersLostError

BATCH = 0.25
"""Seconds that the cells of one batch are expected to take together."""
LARGEST_BATCH = 100
"""Cells."""
DEATHS = 3
"""Workers that may die with a cell before it is given up."""
SLOW = 60.0
"""Seconds after which a cell that still runs is named, and again whenever that time has doubled."""

TIME_IS_UP = "The time limit came: every finished cell is stored; the same plan goes on from here."
"""Why a run stopped early."""


class Driver:
    """The queue, and what is known about how long cells take."""

    def __init__(self, store: Store, todo: Iterable[Cell], progress: SweepProgress) -> None:
        self.store, self.progress = store, progress
        self.queues: dict[Any, deque[Cell]] = defaultdict(deque)
        for cell in todo:
            self.queues[cell.kind].append(cell)
        # the first cell of every kind goes before the rest, so that the time left is an estimate and not a guess
        self.untimed = deque(self.queues)
        self.alone: deque[Cell] = deque()
        """Cells whose worker died, to be run alone."""
        self.lost_once: set[str] = set()
        """The keys of all cells that were ever in `alone`."""
        self.deaths: Counter[str] = Counter()
        self.pace: dict[Any, float] = {}
        """Seconds a cell of this kind takes, a moving mean."""
        self.in_flight: Counter[Any] = Counter()
        """Cells at work, by kind."""
        self.batches = 0
        """At work."""
        self.name_after: dict[Batch, float] = {}
        """Seconds after which a batch at work is named."""
        self.workers_seen: set[str] = set()
        self.stored = self.done = 0
        self.worked = 0.0

    @property
    def waiting(self) -> int:
        """Cells that were not handed out yet."""
        return sum(map(len, self.queues.values()))

    def run(self, workers: Workers, deadline: float = math.inf) -> str:
        """Run everything up to a time of `time.monotonic`; returns why it stopped early, or an empty string."""
        with self.progress:
            try:
                while self.hand_out(workers):
                    if (left := deadline - time.monotonic()) <= 0:
                        return TIME_IS_UP
                    self.take_back(workers, min(left, 1.0))
                    if self.progress.due():
                        self.progress.update(self.stored, self.time_left(workers), self.batches)
            except KeyboardInterrupt:
                return "Interrupted: every finished cell is stored; the same command goes on from here."
            except WorkersLostError as error:
                return f"{error}. Every finished cell is stored; the same command goes on from here."
            finally:
                workers.close()
        return ""

    def hand_out(self, workers: Workers) -> int:
        """Fill the workers' slots; how many batches are at work then."""
        while self.batches < workers.slots and (batch := self.next_batch(workers)):
            workers.submit(batch)
            self.in_flight[batch[0].kind] += len(batch)
            self.batches += 1
        return self.batches

    def take_back(self, workers: Workers, timeout: float) -> None:
        """Wait at most so many seconds for batches that end, and store them."""
        for batch, result in workers.finished(timeout):
            self.batches -= 1
            self.in_flight[batch[0].kind] -= len(batch)
            self.name_after.pop(batch, None)
            if isinstance(result, Lost):
                self.lose(batch, workers, result)
                continue
            if result.worker not in self.workers_seen:
                self.workers_seen.add(result.worker)
                self.store.add_worker(result.worker, result.machine)
            self.keep(batch, result.outcomes)
        self.name_slow(workers)

    def name_slow(self, workers: Workers) -> None:
        """Say which cells take long."""
        for batch, since in workers.running.values():
            seconds = time.monotonic() - since
            if seconds >= self.name_after.get(batch, SLOW):
                self.name_after[batch] = 2 * seconds
                others = f" (or one of the {len(batch) - 1} that go with it)" if len(batch) > 1 else ""
                self.progress.say(f"at work for {duration(seconds)}: {batch[0]}{others}")

    def next_batch(self, workers: Workers) -> Batch:
        """The next cells to hand out, empty when there are none now."""
        if self.alone and (workers.exclusive or not (self.batches or self.queues)):
            return (self.alone.popleft(),)
        if self.untimed:
            return self.taken(self.untimed.popleft(), 1)
        for kind, pace in self.pace.items():
            if kind in self.queues:
                share = math.ceil(self.waiting / (2 * workers.slots))  # so that the last batches end together
                return self.taken(kind, max(1, min(int(BATCH / max(pace, 1e-9)), share, LARGEST_BATCH)))
        # the kinds that are left are being timed for the first time
        return self.taken(next(iter(self.queues)), 1) if self.queues else ()

    def taken(self, kind: Any, count: int) -> Batch:
        """The first `count` cells of a kind, or what is left."""
        queue = self.queues[kind]
        batch = tuple(queue.popleft() for _ in range(min(count, len(queue))))
        if not queue:
            del self.queues[kind]
        return batch

    def keep(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Store a finished batch."""
        self.store.add(outcomes)
        failed = sum(outcome.failed for outcome in outcomes)
        seconds = sum(outcome.seconds for outcome in outcomes)
        self.stored += len(outcomes)
        self.done += len(outcomes) - failed
        self.progress.failed += failed
        self.worked += seconds
        # quick to forget: the first cell of a process imports its modules
        kind, mean = batch[0].kind, seconds / len(outcomes)
        self.pace[kind] = 0.5 * (self.pace.get(kind, mean) + mean)

    def lose(self, batch: Batch, workers: Workers, why: Lost) -> None:
        """A worker ended with this batch: its cells run again alone, or the one that was alone is given up.

        Only deaths that are certainly a cell's own are counted against it, so that a cell is not given up for having
        travelled with another one, or for machines that come and go.
        """
        cell = batch[0]
        if why is Lost.TIME_IS_UP and len(batch) == 1:
            self.give_up(cell, "CellTimeout", "it took longer than the plan's cell_seconds")
            return
        if len(batch) == 1 and (workers.exclusive or cell.key in self.lost_once):
            self.deaths[cell.key] += workers.deaths_per_loss
        if self.deaths[cell.key] >= DEATHS:
            message = f"{self.deaths[cell.key]} worker processes died while they ran this cell (out of memory, killed?)"
            before = self.store.failed.get(cell.key, {}).get("given_up", 0)
            self.give_up(cell, "WorkerDied", message, before + 1)
            return
        self.alone.extend(batch)
        self.lost_once.update(cell.key for cell in batch)

    def give_up(self, cell: Cell, kind: str, message: str, given_up: int = 0) -> None:
        """Store a cell that brought nothing back as failed."""
        self.keep((cell,), [Outcome(cell.key, cell.parameters, 0.0, "", {}, kind, message, given_up=given_up)])

    def time_left(self, workers: Workers) -> float | None:
        """Seconds to the end by the pace of each kind; None before anything is known."""
        if not self.pace:
            return None
        usual = sum(self.pace.values()) / len(self.pace)
        remaining = Counter({kind: len(queue) for kind, queue in self.queues.items()})
        remaining += self.in_flight
        remaining.update(cell.kind for cell in self.alone)
        return sum(self.pace.get(kind, usual) * count for kind, count in remaining.items()) / workers.slots
