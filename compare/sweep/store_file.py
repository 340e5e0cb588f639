"""The file of a sweep's store: opened, read, checked, and replaced by a new one where it is damaged.

The table has one row for each cell, each session (a run of the driver: plan, versions, machine, command, times) and
each worker process (versions, machine):

    records   kind (cell | session | worker), key, sealed (`compare.sweep.sealed_rows`)

A row that is not what was written is named and left out. When a driver opens a damaged file, it sets that file aside
and goes on with a new one that holds all rows that are whole; cells that were lost run again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from compare.reports.wording import clean
from compare.sweep.sealed_rows import Contents, Record, now, salvaged, seal, unsealed

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
BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What a damaged file makes sqlite3 raise; the second where SQLite's own message quotes a damaged name."""


class SweepBusyError(OSError):
    """Another driver is writing to this folder."""


class StoreError(OSError):
    """The folder holds no results, or a file that is not ours, or the store could not be read or written."""


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
    files = (path, path.with_name(f"{FILE}-journal"))
    records = {**salvaged(files), **found.records}
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


def insert(database: sqlite3.Connection, statement: str, rows: Iterable[tuple[str, str, Record]]) -> None:
    """Rows into the table, sealed."""
    sealed = ((kind, key, seal(kind, key, record)) for kind, key, record in rows)
    database.executemany(f"{statement} INTO records (kind, key, sealed) VALUES (?, ?, ?)", sealed)


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


def is_busy(error: Exception) -> bool:
    """Whether another process holds the file."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def shown(value: object) -> str:
    """What SQLite gave, as text that can be printed."""
    return clean(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))
