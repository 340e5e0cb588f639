"""Where a sweep's results are kept: one SQLite file in the sweep's folder.

Why SQLite. A finished cell must survive the driver, and ten thousand of them must load in a second. A file per cell is
safe by atomic rename, but costs an inode and a directory scan per cell and has no uniqueness; Parquet and CSV have no
transactions, so that a killed writer leaves a torn file. SQLite is in Python itself, and gives

- durability: rollback journal, `synchronous=EXTRA`: a committed cell is on the disk, whatever dies next. What was being
  written when the machine went is rolled back when the file is next opened.
- uniqueness: a cell's key is in the PRIMARY KEY and cells enter by plain INSERT, so no cell is stored twice.
- readers while the sweep runs: `load_sweep` from another process sees every finished cell.
- the lock: the driver keeps a write transaction open from its start to its end, and begins the next one as soon as one
  is committed. SQLite lets readers pass and refuses a second writer, and the operating system ends the transaction
  however the driver ends. There is no lock file that somebody could remove.

What is in the file is checked row by row, and mended where it is damaged: `compare.sweep.store_file`.

Cells are never changed, but that a failed one that runs again gives way to its next outcome.
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from compare.reports.findings import Value
from compare.reports.provenance import Provenance
from compare.sweep.sealed_rows import Record, now
from compare.sweep.store_file import FILE, StoreError, contents_of, identity, insert, opened, refusing, set_aside


@dataclass(frozen=True)
class Outcome:
    """How one cell ended."""

    key: str
    parameters: dict[str, Any]
    seconds: float
    """Wall-clock time of the cell on its worker."""
    worker: str
    """host:process."""
    numbers: dict[str, Value] = field(default_factory=dict)
    """What was measured, by column name."""
    error_type: str | None = None
    """None: the cell is done."""
    error: str | None = None
    output: str | None = None
    """The end of what the cell printed."""
    given_up: int = 0
    """How many sessions gave the cell up because its workers died."""

    @property
    def failed(self) -> bool:
        """Whether the cell raised, or its workers died."""
        return self.error_type is not None


class Store:
    """The writer's side, a context manager. Opening takes the lock, leaving gives it back.

    Raises:
        SweepBusyError: another driver holds the folder.
        StoreError: the file in it is not ours, cannot be written, is no longer there when a cell is stored, or has
            lost a cell at the end.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.session = folder / FILE, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._database, contents = opened(self.path)
        self.damage = tuple(contents.damage)
        """What was found damaged and was set aside."""
        if self.damage:
            set_aside(self.path, contents)
            self._database.close()
            self._database, contents = opened(self.path)
        self._database.execute("PRAGMA busy_timeout = 30000")  # for readers, which a commit waits for
        self._identity = identity(self.path)
        cells = contents.of("cell")
        self._sessions = {int(row["key"]) for row in contents.of("session")} | {cell["session"] for cell in cells}
        self.done = {cell["key"] for cell in cells if cell["status"] == "done"}
        """Keys of the cells that are done."""
        self.failed = {cell["key"]: cell for cell in cells if cell["status"] == "failed"}
        """The rows of the cells that failed, by key."""

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with closing(self._database), suppress(*([StoreError] if error else [])):
            if self.session:
                self._write(replacing=[("session", str(self.session), {**self._begun, "ended": now()})])
                self._check_contents()

    def begin(self, name: str, plan: str, command: str) -> None:
        """A row for this run of the driver."""
        driver = {**machine_columns(Provenance.collect()), "host": platform.node(), "pid": os.getpid()}
        self._begun = {"started": now(), "ended": None, "name": name, "plan": plan, "command": command, **driver}
        self.session = max(self._sessions, default=0) + 1
        self._write([("session", str(self.session), self._begun)])

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Store finished cells, all of them durable on return. Raises StoreError for a cell that is stored as done."""
        new: list[tuple[str, str, Record]] = []
        again: list[tuple[str, str, Record]] = []
        for outcome in outcomes:
            status = "failed" if outcome.failed else "done"
            record = {**vars(outcome), "session": self.session, "status": status}
            del record["key"]
            (again if outcome.key in self.failed else new).append(("cell", outcome.key, record))
        self._write(new, replacing=again)
        for _, key, record in (*new, *again):
            self.failed.pop(key, None)
            if record["status"] == "done":
                self.done.add(key)
            else:
                self.failed[key] = record

    def add_worker(self, worker: str, machine: Provenance) -> None:
        """Remember what a worker process runs."""
        self._write(replacing=[("worker", worker, machine_columns(machine))])

    def errors(self, keys: set[str]) -> list[tuple[str, str, int]]:
        """(type, message, how often) of these failed cells, the most frequent first."""
        found = Counter((row["error_type"], row["error"]) for key, row in self.failed.items() if key in keys)
        return [(*what, count) for what, count in found.most_common()]

    def _write(
        self, new: Iterable[tuple[str, str, Record]] = (), *, replacing: Iterable[tuple[str, str, Record]] = ()
    ) -> None:
        """One transaction, and the begin of the next. Raises StoreError when it fails; nothing of it is kept then."""
        self._check_in_place()
        with refusing(self.path, "written"):
            try:
                for statement, rows in (("INSERT", new), ("REPLACE", replacing)):
                    insert(self._database, statement, rows)
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                self._database.execute("BEGIN IMMEDIATE")
        self._check_in_place()

    def _check_contents(self) -> None:
        """Raises StoreError where a cell that was stored is not in the file as a reader finds it."""
        found = {cell["key"] for cell in contents_of(self.path).of("cell")}
        lost = len((self.done | self.failed.keys()) - found)
        if lost:
            raise StoreError(
                f"{str(self.path)!r} was damaged while the sweep ran: {lost} of the cells that were stored are no "
                "longer in it; the same command runs them again"
            )

    def _check_in_place(self) -> None:
        """Raises StoreError where the file that is written to is no longer the one that a reader would open."""
        if identity(self.path) != self._identity:
            raise StoreError(
                f"{str(self.path)!r} was removed, renamed or replaced while the sweep ran: what was stored is in the "
                "file that was there; put it back, and the same command goes on from it"
            )


def machine_columns(here: Provenance) -> Record:
    """What is kept about a process's machine."""
    return {"machine": here.machine, "versions": dict(here.versions)}
