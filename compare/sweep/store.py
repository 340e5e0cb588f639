"""Where a sweep's results are kept: one SQLite file in the sweep's folder.

Why SQLite. A finished cell must survive the driver, and ten thousand of them must load in a second. A file per cell is
safe by atomic rename, but costs an inode and a directory scan per cell and has no uniqueness; Parquet and CSV have no
transactions, so that a killed writer leaves a torn file. SQLite is in Python itself, and gives

- durability: write-ahead log, `synchronous=FULL`: a committed cell is on the disk, whatever dies next. What was being
  written when the machine went is rolled back when the file is next opened.
- uniqueness: the cell's key is the PRIMARY KEY and cells enter by plain INSERT, so no cell is stored twice.
- readers while the sweep runs: `load_sweep` from another process sees every finished cell.

Only the driver writes. It holds `writer.lock`, a SQLite file locked for as long as the driver lives, which the
operating system releases however it ends; a second driver is refused. Like any SQLite file with a write-ahead log, the
folder must lie on a disk of the driver's machine, not on a network file system; workers never touch it.

    cells     key, session, worker, finished, seconds, status (done | failed), parameters, numbers (JSON), error
    sessions  one row per run of the driver: plan, versions, machine, command, times
    workers   one row per worker process: versions and machine

Cells are never changed, but that a failed one, run again at the user's wish, gives way to its next outcome.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from compare.reports.findings import Value
from compare.reports.provenance import Provenance

if TYPE_CHECKING:
    import pandas as pd

FILE = "sweep.sqlite"
LOCK = "writer.lock"
FORMAT = 2
"""Of the tables below; kept in SQLite's user_version."""

SCHEMA = """
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, ended TEXT, name TEXT NOT NULL, plan TEXT NOT NULL,
    command TEXT NOT NULL, machine TEXT NOT NULL, versions TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL
) STRICT;
CREATE TABLE workers (worker TEXT PRIMARY KEY, machine TEXT NOT NULL, versions TEXT NOT NULL) STRICT;
CREATE TABLE cells (
    key TEXT PRIMARY KEY, session INTEGER NOT NULL REFERENCES sessions(id), worker TEXT NOT NULL,
    finished TEXT NOT NULL, seconds REAL NOT NULL, status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
    parameters TEXT NOT NULL, numbers TEXT NOT NULL, error_type TEXT, error TEXT
) STRICT;
"""
COUNTS = {"depth", "width", "seed", "steps", "points", "dimension", "support_size", "iterations", "session"}
"""Columns of whole numbers."""


class SweepBusyError(OSError):
    """Another driver is writing to this folder."""


class StoreError(OSError):
    """The folder holds no results, or a file that is not ours."""


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

    @property
    def failed(self) -> bool:
        """Whether the cell raised, or its workers died."""
        return self.error_type is not None


class Store:
    """The writer's side, a context manager. Opening takes the lock, leaving gives it back.

    Raises SweepBusyError when another driver holds the folder, StoreError when the file in it is not ours.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.session = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = locked(folder)
        try:
            self._database = opened_for_writing(folder / FILE)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with closing(self._lock), closing(self._database), self._database:
            self._database.execute("UPDATE sessions SET ended = ? WHERE id = ?", (now(), self.session))

    def begin(self, name: str, plan: str, command: str) -> None:
        """A row for this run of the driver."""
        driver = {**machine_columns(Provenance.collect()), "host": platform.node(), "pid": os.getpid()}
        with self._writing():
            self.session = self._insert("sessions", started=now(), name=name, plan=plan, command=command, **driver)

    def statuses(self) -> dict[str, str]:
        """Key to status of every stored cell."""
        return dict(self._database.execute("SELECT key, status FROM cells"))

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Store finished cells, all of them durable on return. Raises sqlite3.IntegrityError for a cell stored before,
        unless that one failed."""
        with self._writing():
            for outcome in outcomes:
                self._database.execute("DELETE FROM cells WHERE key = ? AND status = 'failed'", (outcome.key,))
                status = "failed" if outcome.failed else "done"
                texts = {name: json.dumps(getattr(outcome, name)) for name in ("parameters", "numbers")}
                row = {**vars(outcome), **texts, "session": self.session, "finished": now(), "status": status}
                self._insert("cells", **row)

    def add_worker(self, worker: str, machine: Provenance) -> None:
        """Remember what a worker process runs."""
        with self._writing():
            self._database.execute("DELETE FROM workers WHERE worker = ?", (worker,))
            self._insert("workers", worker=worker, **machine_columns(machine))

    def _insert(self, table: str, **row: Any) -> int:
        """One row, by the names of its columns; its number."""
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        return int(self._database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row).lastrowid or 0)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction. Raises StoreError when the disk is full or gone; nothing of the transaction is kept then."""
        try:
            with self._database:
                yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{str(self.folder / FILE)!r} could not be written: {error}") from error

    def errors(self, keys: set[str]) -> list[tuple[str, str, int]]:
        """(type, message, how often) of these failed cells, the most frequent first."""
        rows = self._database.execute("SELECT key, error_type, error FROM cells WHERE status = 'failed'")
        found = Counter((kind, message) for key, kind, message in rows if key in keys)
        return [(*what, count) for what, count in found.most_common()]


def machine_columns(here: Provenance) -> dict[str, str]:
    """What is kept about a process's machine."""
    return {"machine": here.machine, "versions": json.dumps(dict(here.versions))}


def locked(folder: Path) -> sqlite3.Connection:
    """The writer's lock, held as long as the connection is open."""
    try:
        return connection(
            folder / LOCK, lambda lock: lock.execute("BEGIN EXCLUSIVE"), timeout=0.0, isolation_level=None
        )
    except sqlite3.OperationalError as error:
        raise SweepBusyError(
            f"another sweep is writing to {str(folder)!r}{holder(folder)}; wait for it, or choose another folder"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{str(folder / LOCK)!r} is not a sweep's lock ({error}); remove it") from error


def holder(folder: Path) -> str:
    """Who started the latest session, as far as it can be read."""
    try:
        with closing(reader(folder)) as database:
            row = database.execute("SELECT host, pid, started FROM sessions ORDER BY id DESC LIMIT 1").fetchone()
    except (OSError, sqlite3.Error):
        return ""
    return f" (process {row[1]} on {row[0]}, since {row[2]})" if row else ""


def opened_for_writing(path: Path) -> sqlite3.Connection:
    """The database, made when it is not there."""

    def prepare(database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            database.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        check_format(database, path)

    try:
        return connection(path, prepare)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{str(path)!r} cannot be used as a sweep's store: {error}") from error


def reader(folder: Path) -> sqlite3.Connection:
    """The database of a folder, for reading; also where the folder cannot be written."""
    path = folder / FILE
    if not path.is_file():
        raise StoreError(f"{str(folder)!r} holds no sweep (no {FILE}); `implicitbias sweep PLAN --out DIR` makes one")
    for mode in ("mode=ro", "immutable=1"):  # a log can be read only where its index may be written next to it
        try:
            address = f"{path.resolve().as_uri()}?{mode}"
            return connection(address, lambda database: check_format(database, path), uri=True)
        except sqlite3.OperationalError:
            continue
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{str(path)!r} is not a sweep's store: {error}") from error
    raise StoreError(f"{str(path)!r} cannot be opened for reading")


def connection(
    address: str | Path, prepare: Callable[[sqlite3.Connection], object], *, timeout: float = 30.0, **options: Any
) -> sqlite3.Connection:
    """A connection; closed again when `prepare` raises."""
    database: sqlite3.Connection = sqlite3.connect(address, timeout=timeout, **options)
    try:
        prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def check_format(database: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError where the tables are not those of this file."""
    if database.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
        raise StoreError(f"{str(path)!r} was written by another version of this package, or by another program")


def load_sweep(folder: str | Path) -> pd.DataFrame:
    """The results of a sweep as one DataFrame, one row per finished or failed cell; also while the sweep runs.

    Args:
        folder: where `run_sweep` stores its results.

    Returns:
        Columns: the cell's parameters (data, sha256, network, depth, width, seed, scale, loss, method, steps, tol),
        `status` ("done" or "failed"), what was measured (see `compare.sweep.measure`; angles in radians, times in
        seconds), `error_type`, `error`, `worker`, `session`, `finished` (UTC), `key`. `frame.attrs["sessions"]` and
        `frame.attrs["workers"]` are lists of dictionaries: plan, versions, machines.

    Raises:
        OSError: the folder holds no sweep.

    >>> import tempfile
    >>> from compare import run_sweep
    >>> plan = {"grid": {"data": "synthetic:4,6,0", "network": "diagonal", "seed": [0, 5]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = run_sweep(plan, folder, jobs=1, measure=lambda cell: {"doubled": 2 * cell.seed})
    ...     frame = load_sweep(folder)
    >>> frame[["network", "seed", "status", "doubled"]].values.tolist()
    [['diagonal', 0, 'done', 0], ['diagonal', 5, 'done', 10]]
    """
    import pandas as pd

    with closing(reader(Path(folder))) as database:
        database.row_factory = sqlite3.Row
        rows, sessions, workers = (
            [dict(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY rowid")]
            for table in ("cells", "sessions", "workers")
        )
    for row in (*sessions, *workers):
        row["versions"] = json.loads(row["versions"])
    last = ("seconds", "error_type", "error", "worker", "session", "finished", "key")
    records = []
    for row in rows:
        parameters, numbers = json.loads(row["parameters"]), json.loads(row["numbers"])
        records.append({**parameters, "status": row["status"], **numbers, **{name: row[name] for name in last}})
    frame = pd.DataFrame.from_records(records)
    for name in COUNTS & set(frame.columns):  # where some are missing pandas would make floats of them
        frame[name] = pd.array([record.get(name) for record in records], dtype="Int64")
    frame = frame[[name for name in frame.columns if name not in last] + [name for name in last if name in frame]]
    frame.attrs["sessions"], frame.attrs["workers"] = sessions, workers
    return frame


def now() -> str:
    """UTC, ISO 8601, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
