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

The table has one row for each cell, each session (a run of the driver: plan, versions, machine, command, times) and
each worker process (versions, machine):

    records   kind (cell | session | worker), key, sealed

`sealed` is one line of JSON behind its SHA-256, with the row's kind and key inside. A row whose text does not have
that sum is damaged: it is named and left out, never read. Because a row is one self-checking line, rows are also found
in the bytes of a file that SQLite itself can no longer read (`salvaged`). When a driver opens a damaged file, it sets
that file aside and goes on with a new one that holds all rows that are whole; cells that were lost run again.

Cells are never changed, but that a failed one that runs again gives way to its next outcome.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import platform
import re
import sqlite3
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from compare.reports.findings import Value
from compare.reports.provenance import Provenance
from compare.reports.wording import clean

if TYPE_CHECKING:
    import pandas as pd

FILE = "sweep.sqlite"
FORMAT = 3
"""Of the table below; kept in SQLite's user_version."""

SCHEMA = """
CREATE TABLE records (
    kind TEXT NOT NULL, key TEXT NOT NULL, sealed TEXT NOT NULL, PRIMARY KEY (kind, key)
) STRICT
"""
PAGE = 16_384
"""Bytes of a page. A row that fits in one lies whole in the file, where `salvaged` looks for it; a cell has 1,000."""
DIGEST = 64
"""Hexadecimal digits of SHA-256, before the JSON of every row."""
SEALED = re.compile(rb"(?=([0-9a-f]{64}\{[\x20-\x7e]*\}\n))")
COUNTS = {"depth", "width", "seed", "steps", "points", "dimension", "support_size", "iterations", "session"}
"""Columns of whole numbers."""
LAST = ("seconds", "error_type", "error", "output", "worker", "session", "finished", "key")
"""The last columns of a sweep's frame."""

PARTS = ("parameters", "numbers")
"""The entries of a cell's row whose own entries are columns."""

BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What a damaged file makes sqlite3 raise; the second where SQLite's own message quotes a damaged name."""

Record = dict[str, Any]


class SweepBusyError(OSError):
    """Another driver is writing to this folder."""


class StoreError(OSError):
    """The folder holds no results, or a file that is not ours, or the store could not be read or written."""


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


@dataclass
class Contents:
    """What a store's file holds."""

    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    """Every row that is whole, by kind and key, in the order in which they were written."""
    damage: list[str] = field(default_factory=list)
    """What is not whole, in words."""

    def of(self, kind: str) -> list[Record]:
        """The rows of one kind."""
        return [record for (known, _), record in self.records.items() if known == kind]


class Store:
    """The writer's side, a context manager. Opening takes the lock, leaving gives it back.

    Raises:
        SweepBusyError: another driver holds the folder.
        StoreError: the file in it is not ours, cannot be written, or is no longer there when a cell is stored.
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

    def _check_in_place(self) -> None:
        """Raises StoreError where the file that is written to is no longer the one that a reader would open."""
        if identity(self.path) != self._identity:
            raise StoreError(
                f"{str(self.path)!r} was removed, renamed or replaced while the sweep ran: what was stored is in the "
                "file that was there; put it back, and the same command goes on from it"
            )


def insert(database: sqlite3.Connection, statement: str, rows: Iterable[tuple[str, str, Record]]) -> None:
    """Rows into the table, sealed."""
    sealed = ((kind, key, seal(kind, key, record)) for kind, key, record in rows)
    database.executemany(f"{statement} INTO records (kind, key, sealed) VALUES (?, ?, ?)", sealed)


def seal(kind: str, key: str, record: Record) -> str:
    """A row as one line of ASCII behind its SHA-256."""
    text = json.dumps({"kind": kind, "key": key, "written": now(), **record})
    return f"{hashlib.sha256(text.encode()).hexdigest()}{text}\n"


def unsealed(sealed: object) -> Record | None:
    """The row, or None where it is not what was written.

    >>> text = seal("cell", "k", {"value": 0.5}).encode()
    >>> unsealed(text)["value"], unsealed(text.replace(b"0.5", b"0.7"))
    (0.5, None)
    """
    if not isinstance(sealed, bytes):
        return None
    text = sealed[DIGEST:-1]
    if hashlib.sha256(text).hexdigest().encode() != sealed[:DIGEST]:
        return None
    record: Record = json.loads(text)
    return record


def read_rows(database: sqlite3.Connection) -> Contents:
    """Every row, checked. Raises sqlite3.OperationalError where another process holds the file."""
    found = Contents()
    try:
        if database.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
            found.damage.append("it was written by another version of this package, or by another program")
        problems = [shown(problem) for (problem,) in database.execute("PRAGMA integrity_check(3)")]
        found.damage += [problem for problem in problems if problem != "ok"]
        for kind, key, sealed in database.execute("SELECT kind, key, sealed FROM records ORDER BY rowid"):
            record = unsealed(sealed)
            if record is None or (record["kind"].encode(), record["key"].encode()) != (kind, key):
                found.damage.append(f"{shown(kind)} {shown(key)}")
            else:
                found.records[record["kind"], record["key"]] = record
    except BROKEN as error:
        if is_busy(error):
            raise
        found.damage.append(shown(error))
    return found


def is_busy(error: Exception) -> bool:
    """Whether another process holds the file."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def shown(value: object) -> str:
    """What SQLite gave, as text that can be printed."""
    return clean(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


def salvaged(path: Path) -> dict[tuple[str, str], Record]:
    """The rows that can be found in the bytes of a store and its journal, of each the one written last."""
    found: dict[tuple[str, str], Record] = {}
    for file in (path, path.with_name(f"{FILE}-journal")):
        if not file.is_file() or not file.stat().st_size:
            continue
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for match in SEALED.finditer(content):
                record = unsealed(match[1])
                if record is None:
                    continue
                name = record["kind"], record["key"]
                if name not in found or found[name]["written"] < record["written"]:
                    found[name] = record
    return found


def contents_of(path: Path) -> Contents:
    """What the file of a sweep holds, also while a driver writes to it.

    Raises:
        StoreError: there is no such file, it is not ours, or a driver holds it for longer than 30 seconds.
    """
    if not path.is_file():
        raise StoreError(
            f"{str(path.parent)!r} holds no sweep (no {FILE}); `implicitbias sweep PLAN --out DIR` makes one"
        )
    with refusing(path, "read"), closing(connected(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as database:
        return mended(path, read_rows(database))


def mended(path: Path, found: Contents) -> Contents:
    """The contents, with what is still in the bytes of a damaged file. Raises StoreError where that is nothing."""
    if not found.damage:
        return found
    records = {**salvaged(path), **found.records}
    if not records:
        raise StoreError(f"{str(path)!r} cannot be used as a sweep's store: {'; '.join(found.damage)}")
    return Contents(dict(sorted(records.items(), key=lambda item: item[1]["written"])), found.damage)


def opened(path: Path) -> tuple[sqlite3.Connection, Contents]:
    """The file with a write transaction begun, made when it is not there, and its contents."""
    with refusing(path, "used as a sweep's store"):
        database = connected(path, timeout=0.0)
        try:
            return database, mended(path, begun(database))
        except sqlite3.OperationalError as error:
            database.close()
            if not is_busy(error):
                raise
            raise SweepBusyError(
                f"another sweep is writing to {str(path.parent)!r}{holder(path)}; wait for it, or choose another folder"
            ) from error
        except BaseException:
            database.close()
            raise


def begun(database: sqlite3.Connection) -> Contents:
    """Begin the driver's transaction, make the table in an empty file, and read what is there."""
    try:
        for pragma in (f"page_size={PAGE}", "journal_mode=DELETE", "synchronous=EXTRA", "secure_delete=ON"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("BEGIN IMMEDIATE")
        if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in (SCHEMA, f"PRAGMA user_version = {FORMAT}", "COMMIT", "BEGIN IMMEDIATE"):
                database.execute(statement)
    except BROKEN as error:
        if is_busy(error):
            raise
        return Contents(damage=[shown(error)])
    return read_rows(database)


def set_aside(path: Path, found: Contents) -> None:
    """Put a new file with the rows that are whole in the place of a damaged one, which is kept under another name."""
    fresh = path.with_name(f"{FILE}.new")
    stamp = now().replace(":", "").replace("+0000", "")
    with refusing(fresh, "written"):
        for suffix in ("", "-journal"):
            fresh.with_name(f"{fresh.name}{suffix}").unlink(missing_ok=True)
        with closing(opened(fresh)[0]) as database:
            insert(database, "INSERT", ((*name, record) for name, record in found.records.items()))
            database.execute("COMMIT")
    for suffix in ("-journal", "-wal", "-shm", ""):  # a journal left behind would be played into the new file
        with suppress(FileNotFoundError):
            os.replace(path.with_name(f"{FILE}{suffix}"), path.with_name(f"{FILE}.damaged-{stamp}{suffix}"))
    os.replace(fresh, path)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file this is on which disk; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def connected(address: str | Path, *, timeout: float = 30.0, uri: bool = False) -> sqlite3.Connection:
    """A connection that begins no transaction of its own, and gives text as bytes, whatever damage is in it."""
    database = sqlite3.connect(address, timeout=timeout, uri=uri, isolation_level=None)
    database.text_factory = bytes
    return database


@contextmanager
def refusing(path: Path, what: str) -> Iterator[None]:
    """Turns SQLite's errors into StoreError."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise StoreError(f"{str(path)!r} holds one of these cells already") from error
    except BROKEN as error:
        raise StoreError(f"{str(path)!r} could not be {what}: {error}") from error


def holder(path: Path) -> str:
    """Who started the latest session, as far as it can be read."""
    try:
        session = contents_of(path).of("session")[-1]
    except (StoreError, IndexError):
        return ""
    return f" (process {session['pid']} on {session['host']}, since {session['started']})"


def machine_columns(here: Provenance) -> Record:
    """What is kept about a process's machine."""
    return {"machine": here.machine, "versions": dict(here.versions)}


def load_sweep(folder: str | Path) -> pd.DataFrame:
    """The results of a sweep as one DataFrame, one row per finished or failed cell; also while the sweep runs.

    Rows that are damaged on the disk are left out, with a warning that names them; the same sweep runs them again.

    Args:
        folder: where `run_sweep` stores its results.

    Returns:
        Columns: the cell's parameters (data, sha256, network, depth, width, seed, scale, loss, method, steps, tol),
        `status` ("done" or "failed"), what was measured (see `compare.sweep.measure`; angles in radians, times in
        seconds), `error_type`, `error`, `output` (the end of what the cell printed), `worker`, `session`, `finished`
        (UTC), `key`. `frame.attrs["sessions"]` and `frame.attrs["workers"]` are lists of dictionaries: plan, versions,
        machines; `frame.attrs["damage"]` is a list of what was left out.

    Raises:
        OSError: the folder holds no sweep, or a file that is none.

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

    path = Path(folder) / FILE
    found = contents_of(path)
    cells = found.of("cell")
    parameters, numbers = (dict.fromkeys(name for cell in cells for name in cell[part]) for part in PARTS)
    records = [{**c["numbers"], **c["parameters"], **c, "finished": c["written"]} for c in cells]
    frame = pd.DataFrame.from_records(records, columns=list(dict.fromkeys((*parameters, "status", *numbers, *LAST))))
    for name in COUNTS & set(frame.columns):  # where some are missing pandas would make floats of them
        with suppress(TypeError, ValueError, OverflowError):  # a measure of one's own may hold anything there
            frame[name] = pd.array([record.get(name) for record in records], dtype="Int64")
    hidden = ("kind", "key", "written")
    for kind, name in (("session", "id"), ("worker", "worker")):
        rows = found.of(kind)
        frame.attrs[f"{kind}s"] = [{name: row["key"], **{n: row[n] for n in row if n not in hidden}} for row in rows]
    frame.attrs["damage"] = found.damage
    if found.damage:
        named = "; ".join(found.damage[:5]) + (f"; and {len(found.damage) - 5} more" if len(found.damage) > 5 else "")
        warnings.warn(
            f"{str(path)!r} is damaged ({named}): {len(cells)} cells were read from it, the same sweep runs the others "
            "again",
            stacklevel=2,
        )
    return frame


def now() -> str:
    """UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
