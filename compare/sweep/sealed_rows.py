"""A row of a sweep's store: one line of JSON behind its SHA-256, with the row's kind and key inside.

A row whose text does not have that sum is damaged, and is never read. Because a row is one self-checking line, rows are
also found in the bytes of a file that SQLite itself can no longer read (`salvaged`).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DIGEST = 64
"""Hexadecimal digits of SHA-256, before the JSON of every row."""
SEALED = re.compile(rb"(?=([0-9a-f]{64}\{[\x20-\x7e]*\}\n))")

Record = dict[str, Any]


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


def salvaged(files: Iterable[Path]) -> dict[tuple[str, str], Record]:
    """The rows that can be found in the bytes of these files, of each the one written last."""
    found: dict[tuple[str, str], Record] = {}
    for file in files:
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


def now() -> str:
    """UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
