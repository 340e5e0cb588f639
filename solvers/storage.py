"""Results in files: one form for all of them, JSON with the arrays beside it. Nothing is ever unpickled.

The form is a JSON object, the **record**, of the fields of a dataclass:

    {"schema": "implicitbias/2", "run": "9c1f…", "kind": "Solution", "beta": {"array": "beta"}, "objective": 1.5, …}

A value is written as the type of its field asks:

    text, truth value, whole number    itself
    floating-point number              itself, to the last bit; one that is not finite is "nan", "inf" or "-inf"
    enum                               the name of the member; of a `StrEnum` its text
    list, tuple, mapping               a list, an object
    dataclass                          an object of its fields, with its "kind" where that may be a subclass's
    array                              {"array": NAME}, or a list of lists where there is no archive

Where there are arrays, the file is a zip archive of `record.json` and one NAME.npy for each, which `numpy.load` opens.
A report has none, and its file is the record alone (`compare.reports.records`).

`run` is a checksum of all the rest, arrays included: a file that is damaged or edited anywhere is refused. Reading
checks besides the schema, whose number changes when a field changes its meaning, that every part has exactly the fields
of its class, each of its type, and that these agree with each other (`solvers.agreements`). What a field of any type
holds, as `stats`, comes back as lists, mappings, numbers and text.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Self, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from solvers.whole_files import replacing

SCHEMA = "implicitbias/2"
RECORD = "record.json"
KINDS = "biufcU"
"""Of numpy's dtypes, those of the arrays in a file: numbers, truth values, text."""
WORDS = ("nan", "inf", "-inf")
"""Numbers that JSON has no word for."""
Arrays = dict[str, NDArray[Any]]


class Stored:
    """A dataclass that can be saved and loaded."""

    def save(self, path: str | Path) -> Path:
        """Write it to a file, whole or not at all, and return the file's path.

        Args:
            path: of the file; `.npz` suits it. What is there is replaced.

        Raises:
            OSError: the file cannot be written.
            TypeError: it holds something that is no number, text or array, or that its field is not declared to hold.
            ValueError: its fields contradict each other.

        >>> import tempfile
        >>> from solvers import Solution, max_margin
        >>> solution = max_margin([[2.0, 1.0], [-1.0, 0.0]], ["yes", "no"], "l1")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = Solution.load(solution.save(folder + "/solution.npz"))
        >>> again.beta.tolist() == solution.beta.tolist(), again.status.name, again.predict([[1.0, 1.0]]).tolist()
        (True, 'OPTIMAL', ['yes'])
        """
        arrays: Arrays = {}
        record = encoded(self, arrays)
        decoded(record, type(self), arrays)  # what would be refused is not written
        with replacing(Path(path)) as place, zipfile.ZipFile(place, "w") as archive:
            archive.writestr(zipfile.ZipInfo(RECORD), json.dumps(headed(record, arrays), allow_nan=False))
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote. Nothing in the file is run.

        Raises:
            OSError: there is no such file.
            ValueError: it is no such file, damaged, of another version, of another kind of result, or its fields
                contradict each other.
        """
        with regular(Path(path)).open("rb") as file:
            try:
                record, arrays = _unpacked(file)
                return cast("Self", decoded(fields_of(record, arrays), cls, arrays))
            except Exception as error:  # damaged bytes make the parsers beneath raise nearly anything
                raise ValueError(
                    f"{str(path)!r} is no {cls.__name__} that `save` wrote, or damaged: {error}"
                ) from error


def regular(path: Path) -> Path:
    """The path itself. Raises ValueError for a pipe or a device, whose bytes may never come, or never end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{str(path)!r} is no regular file; give a file")
    return path


def identity(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> str:
    """The first 16 hex digits of the SHA-256 of a record and its arrays."""
    digest = hashlib.sha256(json.dumps(record).encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode() + array.tobytes())
    return digest.hexdigest()[:16]


def headed(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> dict[str, Any]:
    """A record with its schema, and with its identity as `run`."""
    return {"schema": SCHEMA, "run": identity(record, arrays), **record}


def fields_of(record: Any, arrays: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> dict[str, Any]:
    """The inverse of `headed`. Raises ValueError where the schema is not this release's, or anything was changed."""
    found: dict[str, Any] = dict(record) if isinstance(record, dict) else {}
    schema, run = found.pop("schema", None), found.pop("run", None)
    again = "load it with the release that wrote it, or compute it again"
    if schema != SCHEMA:
        raise ValueError(f"its schema is {str(schema)[:40]!r}, and this release reads {SCHEMA!r}; {again}")
    if run is None:
        raise ValueError(f"it has no checksum, so that nobody can tell whether it is whole; {again}")
    if run != identity(found, arrays):
        raise ValueError("it was changed after it was written: its `run` is the checksum of something else")
    return found


def _unpacked(file: Any) -> tuple[Any, Arrays]:
    """The record of an archive, and its arrays; every byte of them has passed its checksum."""
    arrays: Arrays = {}
    with zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > file.seek(0, io.SEEK_END):
            raise ValueError("it unpacks to more bytes than it has, and `save` does not compress")
        record = json.loads(archive.read(RECORD))
        for name in set(archive.namelist()) - {RECORD}:
            content = io.BytesIO(archive.read(name))
            array = np.lib.format.read_array(content, allow_pickle=False)
            if content.read(1) or array.dtype.kind not in KINDS:
                raise ValueError(f"{name} is longer than its array, or holds neither numbers, truth values nor text")
            arrays[name.removesuffix(".npy")] = array
    return record, arrays


@cache
def types_of(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields that are in files: all but those whose metadata says "stored": False."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cast("Any", cls)) if f.metadata.get("stored", True)}


def encoded(value: Any, arrays: Arrays | None = None, name: str = "") -> Any:
    """A value in JSON's types; its arrays are put into `arrays` under their dotted names, or written as lists.

    Complex numbers are [real, imaginary]. Raises TypeError for what has no such form.

    >>> encoded({"a": np.arange(2), "b": (1.5, math.inf)})
    {'a': [0, 1], 'b': [1.5, 'inf']}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Enum):
        return value.value if isinstance(value, str) else value.name
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, complex):
        return [encoded(value.real), encoded(value.imag)]
    if isinstance(value, np.ndarray) and value.dtype.kind in KINDS:
        if arrays is None:
            return encoded(value.tolist())
        while name in arrays:
            name += "'"
        arrays[name] = value
        return {"array": name}
    at = f"{name}." if name else ""
    if isinstance(value, Mapping):
        return {str(key): encoded(item, arrays, f"{at}{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item, arrays, f"{at}{i}") for i, item in enumerate(value)]
    if is_dataclass(value):
        own = {field: encoded(getattr(value, field), arrays, at + field) for field in types_of(value.__class__)}
        return {"kind": type(value).__name__, **own} if isinstance(value, Stored) else own
    raise TypeError(f"{name or 'this'} is a {type(value).__name__}, {value!r}; use numbers, text, lists or arrays")


def decoded(value: Any, wanted: Any, arrays: Arrays | None = None, name: str = "") -> Any:
    """The inverse: the value of type `wanted` that is written so.

    Raises TypeError or ValueError, which say where, for what is not of this type.

    >>> decoded([1, "inf"], tuple[float, ...])
    (1.0, inf)
    >>> decoded("1", float, name="objective")
    Traceback (most recent call last):
        ...
    TypeError: objective is a str, and a float is wanted
    """
    origin, inside = get_origin(wanted) or wanted, get_args(wanted)
    at = f"{name}." if name else ""
    if origin in (Union, UnionType):
        return _first_of(value, inside, arrays, name)
    if wanted is Any:
        return _of_any_type(value, arrays)
    if origin in (np.ndarray, NDArray) and isinstance(value, dict) and arrays is not None:
        array, scalar = arrays[value["array"]], inside[-1]
        if get_origin(scalar) is np.dtype:  # NDArray[…] is short for ndarray[…, dtype[…]], or an alias of its own
            scalar = get_args(scalar)[0]
        if scalar is Any or np.issubdtype(array.dtype, scalar):
            return array
        raise TypeError(f"{name} is an array of {array.dtype}")
    if isinstance(value, dict) and is_dataclass(origin):
        return _object(value, origin, arrays, at)
    if isinstance(value, dict) and origin is Mapping:
        return {key: decoded(item, inside[1], arrays, at + key) for key, item in value.items()}
    if isinstance(value, list) and origin in (tuple, Sequence):
        each = inside if origin is tuple and ... not in inside else (inside[0],) * len(value)
        return tuple(decoded(v, t, arrays, f"{at}{i}") for i, (v, t) in enumerate(zip(value, each, strict=True)))
    if wanted is float and (type(value) in (int, float) or value in WORDS):
        return float(value)
    if isinstance(origin, type) and issubclass(origin, Enum) and isinstance(value, str):
        return origin(value) if issubclass(origin, str) else origin[value]
    if type(value) is wanted:
        return value
    raise TypeError(
        f"{name or 'this'} is a {type(value).__name__}, and a {getattr(wanted, '__name__', wanted)} is wanted"
    )


def _first_of(value: Any, types: tuple[Any, ...], arrays: Arrays | None, name: str) -> Any:
    """The value as the first of several types that it is of; a word for a number is a number."""
    types = tuple(one for one in types if (one is NoneType) == (value is None)) or types  # whose error says most
    for one in sorted(types, key=lambda one: one is not float) if value in WORDS else types:
        try:
            return decoded(value, one, arrays, name)
        except (TypeError, ValueError, KeyError) as error:
            last = error
    raise last


def _of_any_type(value: Any, arrays: Arrays | None) -> Any:
    """A value whose field is declared to hold anything; a word for a number is a number."""
    if isinstance(value, list):
        return [_of_any_type(item, arrays) for item in value]
    if isinstance(value, dict):
        if arrays is not None and value.keys() == {"array"}:
            return arrays[value["array"]]
        return {key: _of_any_type(item, arrays) for key, item in value.items()}
    return float(value) if value in WORDS else value


def _object(record: dict[str, Any], cls: Any, arrays: Arrays | None, at: str) -> Any:
    """The dataclass, or its subclass that "kind" names, of a record of its fields."""
    if issubclass(cls, Stored):
        kinds, kind = _family(cls), record.get("kind")
        if kind not in kinds:
            raise TypeError(f"it holds a {kind}, not a {cls.__name__}")
        cls = kinds[kind]
        record = {key: item for key, item in record.items() if key != "kind"}
    wanted = types_of(cls)
    if record.keys() != wanted.keys():
        raise ValueError(
            f"of {at}{cls.__name__}'s fields {sorted(wanted.keys() ^ record.keys())} are too few or too many"
        )
    made = cls(**{key: decoded(item, wanted[key], arrays, at + key) for key, item in record.items()})
    for holds, what in getattr(made, "agreements", tuple)():
        if not holds:
            raise ValueError(f"its fields contradict each other, since it should be that {at}{what}")
    return made


def _family(cls: Any) -> dict[str, Any]:
    """A class and its subclasses, by name."""
    return {cls.__name__: cls} | {name: one for sub in cls.__subclasses__() for name, one in _family(sub).items()}
