"""Results in a file: arrays as NPZ, everything else as JSON beside them. Nothing is ever unpickled.

A file is a zip archive as `numpy.savez` writes it. Its array `record` holds the bytes of a JSON object, UTF-8:

    {"format": "implicitbias result", "version": 1, "result": VALUE}

    VALUE     is  null, true, false, a string, a finite number, a list of VALUEs, or one of
    {"number": "nan"}                                 also "inf" and "-inf"
    {"array": "certificate.dual"}                     the array of that name in the archive
    {"tuple": [VALUE, …]}
    {"mapping": {"steps": VALUE, …}}
    {"enum": "Status", "name": "OPTIMAL"}
    {"object": "Certificate", "fields": {"objective": VALUE, …}}

Reading checks format, version, that the object is of the class asked for, that only its own parts occur, that each has
exactly its fields, and that every array is there and holds numbers, truth values or text. Another version is refused.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

FORMAT, VERSION = "implicitbias result", 1
LARGEST = 2**34
"""Bytes that the arrays of a file may unpack to: a file of a megabyte can claim a thousand times as much."""
KINDS = "biufcU"
"""Of numpy's dtypes, those of the arrays in a file: numbers, truth values, text."""
Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")


class Stored:
    """A dataclass that can be saved and loaded. `parts` are the classes of what it holds."""

    parts: ClassVar[tuple[type, ...]] = ()

    def save(self, path: str | Path) -> Path:
        """Write it to a file, whole or not at all, and return the file's path.

        Args:
            path: of the file; `.npz` suits it. What is there is replaced.

        Raises:
            OSError: the file cannot be written.
            TypeError: it holds something that is no number, text, array, or part of a result.

        >>> import tempfile
        >>> from solvers import Solution, max_margin
        >>> solution = max_margin([[2.0, 1.0], [-1.0, 0.0]], ["yes", "no"], "l1")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = Solution.load(solution.save(folder + "/solution.npz"))
        >>> again.beta.tolist() == solution.beta.tolist(), again.status.name, again.predict([[1.0, 1.0]]).tolist()
        (True, 'OPTIMAL', ['yes'])
        """
        return save_result(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote. Nothing in the file is run.

        Raises:
            OSError: there is no such file.
            ValueError: it is no such file, damaged, of another version, or of another kind of result.
        """
        return load_result(cls, path)


def save_result(result: Any, path: str | Path) -> Path:
    """Write a dataclass whose class has `parts`; see `Stored.save`."""
    arrays: Arrays = {}
    known = _by_name(type(result))
    record = {"format": FORMAT, "version": VERSION, "result": _encoded(result, "", arrays, known)}
    arrays["record"] = np.frombuffer(json.dumps(record, ensure_ascii=False, allow_nan=False).encode(), np.uint8)
    place = Path(path)
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=place.name, delete=False) as file:
        try:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.close()
            os.replace(file.name, place)
        except BaseException:
            file.close()
            os.unlink(file.name)
            raise
    return place


def load_result(cls: type[T], path: str | Path) -> T:
    """Read what `save_result` wrote; see `Stored.load`."""
    record, arrays = _read(Path(path))
    if record.get("version") != VERSION:
        raise ValueError(
            f"{str(path)!r} is of version {record.get('version')!r} of the format, and this release reads version "
            f"{VERSION}; load it with the release that wrote it, or compute it again"
        )
    try:
        result = _decoded(record["result"], arrays, _by_name(cls))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is damaged, or no result of this release ({error})") from error
    if not isinstance(result, cls):
        raise ValueError(f"{str(path)!r} holds a {type(result).__name__}, not a {cls.__name__}")
    return result


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """The record of a file, and its arrays."""
    what = f"{str(path)!r} is no result that `save` wrote"
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(what)
        try:
            with np.load(file, allow_pickle=False) as archive:
                if sum(entry.file_size for entry in archive.zip.infolist()) > LARGEST:
                    raise ValueError(f"it unpacks to more than {LARGEST} bytes")
                arrays = {name: archive[name] for name in archive.files}
            if any(array.dtype.kind not in KINDS for array in arrays.values()):
                raise ValueError("it holds an array of neither numbers, nor truth values, nor text")
            record = json.loads(arrays.pop("record").tobytes().decode())
        except Exception as error:  # damaged bytes make the parsers beneath raise nearly anything
            raise ValueError(f"{what} ({error})") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(what)
    return record, arrays


def _by_name(cls: type) -> dict[str, type]:
    """The classes that may occur in a result: itself and what it derives from, its subclasses, its parts and theirs."""
    found = dict[str, type]()
    waiting: list[type] = [one for one in cls.__mro__ if vars(one).get("parts")] or [cls]
    while waiting:
        one = waiting.pop()
        if one.__name__ not in found:
            found[one.__name__] = one
            waiting += [*one.__subclasses__(), *getattr(one, "parts", ())]
    return found


def _stored(cls: Any) -> list[str]:
    """The fields of a dataclass that are in files: all but those whose metadata says "stored": False."""
    return [f.name for f in fields(cls) if f.metadata.get("stored", True)]


def _encoded(value: Any, name: str, arrays: Arrays, known: Mapping[str, type]) -> Any:
    """A value as JSON, its arrays put under their dotted names."""

    def within(part: str) -> str:
        return f"{name}.{part}" if name else part

    if isinstance(value, Enum):
        return {"enum": type(value).__name__, "name": value.name}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": str(value)}
    if isinstance(value, np.ndarray) and value.dtype.kind in KINDS:
        arrays[name] = value
        return {"array": name}
    if isinstance(value, list | tuple):
        items = [_encoded(item, within(str(i)), arrays, known) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping):
        return {"mapping": {str(key): _encoded(item, within(str(key)), arrays, known) for key, item in value.items()}}
    if is_dataclass(value) and type(value).__name__ in known:
        own = {name: _encoded(getattr(value, name), within(name), arrays, known) for name in _stored(type(value))}
        return {"object": type(value).__name__, "fields": own}
    raise TypeError(f"{name} is a {type(value).__name__}, which cannot be saved")


def _decoded(value: Any, arrays: Arrays, known: Mapping[str, type]) -> Any:
    """The inverse. Raises KeyError, TypeError or ValueError for what is not as the module says."""
    if isinstance(value, list):
        return [_decoded(item, arrays, known) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"number"}:
        return float(value["number"])
    if value.keys() == {"array"}:
        return arrays[value["array"]]
    if value.keys() == {"tuple"}:
        return tuple(_decoded(item, arrays, known) for item in value["tuple"])
    if value.keys() == {"mapping"}:
        return {key: _decoded(item, arrays, known) for key, item in value["mapping"].items()}
    if value.keys() == {"enum", "name"}:
        return cast("type[Enum]", known[value["enum"]])[value["name"]]
    cls, given = known[value["object"]], value["fields"]
    wanted = set(_stored(cls))
    if given.keys() != wanted:
        raise KeyError(f"{cls.__name__} has fields {sorted(wanted ^ given.keys())} too few or too many")
    return cls(**{key: _decoded(item, arrays, known) for key, item in given.items()})
