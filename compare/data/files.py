"""A user's own table, from CSV, TSV, NPZ or Parquet. Nothing is ever unpickled.

**CSV, TSV, Parquet**: one row per example. The label is the column that is asked for by name (by number from 1, where a
file has no header); else the one called `y` or `label` (any case), else the last one. It has to be asked for where
another column is called `target`, `class` or the like. All other columns are numbers. The first line of a CSV is a
header when it holds the name `y` or `label`, or a word anywhere but in its last cell, or counts the columns from 0 or 1
and ends in a number that is no label.
**NPZ**: arrays `X`, of shape (N, D), or (N, H, W) or (N, R, H, W) for images, and `y`, or the one asked for, of shape
(N,).

The label takes two values, numbers or words; the smaller (or alphabetically first) becomes −1, the other +1. Three and
more, integers or words, are classes 0 … K − 1, which `compare margin` and `solve margin` take. Nothing is standardized
unless it is asked for.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from compare.data.dataset import DataError, Dataset, finite_table
from compare.data.labels import SAY_WHICH, label_column, named_label, remarks_on, signs
from compare.data.text import read_text
from compare.reports.wording import one_line
from solvers.arrays import plain_array

LARGEST = 2**30
"""Bytes that compressed arrays may unpack to: a file of a megabyte can claim a thousand times as much."""


def read_file(path: Path, label: str | None = None) -> Dataset:
    """The data in a file, by its suffix, as the module describes.

    Raises DataError when the file is missing or damaged, or is not a table of finite numbers and a label.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is no regular file" if path.exists() else ""
        raise DataError(f"{str(path)!r} {what}; give a file" if what else f"there is no file {str(path)!r}")
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"{str(path)!r} is none of {' '.join(READERS)}; {OTHERS.get(path.suffix.lower(), 'convert it')}"
        )
    try:
        return READERS[path.suffix.lower()](path, label)
    except DataError:
        raise
    except Exception as error:  # damaged bytes make the parsers beneath raise nearly anything
        raise DataError(f"{str(path)!r} could not be read ({one_line(error)})") from error


def read_parquet(path: Path, label: str | None = None) -> Dataset:
    """Parquet, through pandas and pyarrow."""
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(f"reading {str(path)!r} needs pyarrow: pip install pyarrow") from error
    return from_frame(frame, str(path), label)


def from_frame(frame: Any, name: str, label: str | None = None) -> Dataset:
    """A pandas table to numbers and labels. Raises DataError for one that is not as the module describes."""
    import pandas as pd

    where = name if name == "the DataFrame" else repr(name)
    if len(frame) == 0:
        raise DataError(f"{where} has no rows")
    names = [str(column) for column in frame.columns]
    if len(names) < 2:
        raise DataError(f"{where} has no column but the label {names[0]!r}" if names else f"{where} has no column")
    at = label_column(names, where, label)
    kept = [i for i in range(len(names)) if i != at]
    for i, dtype in enumerate(frame.dtypes):
        wrong = None if i == at or dtype.kind in "biuf" else frame.iloc[:, i].dropna().map(no_number).dropna()
        if wrong is not None and (len(wrong) or dtype.kind != "O" or isinstance(dtype, pd.CategoricalDtype)):
            first = wrong.iloc[0] if len(wrong) else frame.iloc[0, i]
            raise DataError(
                f"{where}: column {names[i]!r} holds {str(first)[:40]!r} ({dtype}), which is not a number; "
                f"encode or remove it, or {SAY_WHICH}"
            )
    X = finite_table(
        np.ascontiguousarray(frame.iloc[:, kept].to_numpy(dtype=np.float64, na_value=np.nan)),
        lambda row, column: f"{where}: row {row + 1}, column {names[kept[column]]!r}",
    )
    target = frame.iloc[:, at]
    asked = f"{where}: {named_label(names, at, label)}"
    y, classes = signs(target.astype(object).where(target.notna(), None), asked)
    return Dataset(name, X, y, classes, remarks=remarks_on(names, at, X))


def no_number(value: Any) -> Any:
    """None for a real number, of any type such as `Decimal`; the value itself for anything else."""
    return None if isinstance(value, Real | Decimal) else value


def read_npz(path: Path, label: str | None = None) -> Dataset:
    """NPZ; pickled objects are refused by numpy."""
    if not zipfile.is_zipfile(path):  # np.load would take it for a pickle, and advise to trust it
        raise DataError(f"{str(path)!r} is no NPZ file (they are zip archives, as numpy.savez writes them)")
    # opened here: given a path, numpy leaves it open when the archive is damaged
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        packed = sum(entry.file_size for entry in arrays.zip.infolist() if entry.compress_type != zipfile.ZIP_STORED)
        if packed > LARGEST:
            raise DataError(
                f"{str(path)!r} unpacks to {packed} bytes, more than {LARGEST}; save it without compression"
            )
        name = label or "y"
        if not {"X", name} <= set(arrays.files):
            held = ", ".join(sorted(arrays.files)) or "no arrays"
            raise DataError(
                f"{str(path)!r} holds {held}; it must hold X and its labels {name}: numpy.savez(file, X=…, y=…)"
            )
        try:
            X, y = np.asarray(arrays["X"]), np.asarray(arrays[name])
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise
            raise DataError(
                f"{str(path)!r} holds Python objects, which are not read; save X.astype(float), words as y.astype(str)"
            ) from error
    return from_arrays(X, y, str(path), f"{str(path)!r}: ")


def from_arrays(X: Any, y: ArrayLike, name: str = "data", where: str = "") -> Dataset:
    """Points (N, D), or images (N, H, W) or (N, R, H, W), with labels. Raises DataError for anything else."""
    if hasattr(X, "index") and hasattr(y, "index") and misaligned(X.index, y.index):
        raise DataError(f"{where}the rows of X and of y have the same index in another order; sort one: y.loc[X.index]")
    X = X.toarray() if hasattr(X, "toarray") else X  # a sparse matrix
    try:
        points = plain_array(X.to_numpy(np.float64) if hasattr(X, "iloc") else X)
        labels = plain_array(y)
    except (ValueError, TypeError, RuntimeError) as error:  # words, ragged rows, tensors that are not on the CPU
        raise DataError(f"{where}X and y are no arrays of numbers ({one_line(error)})") from error
    if points.dtype.names:
        raise DataError(
            f"{where}X is a structured array; numpy.lib.recfunctions.structured_to_unstructured(X) is a table"
        )
    if labels.shape == (labels.size, 1):
        labels = labels[:, 0]
    if points.ndim not in (2, 3, 4) or labels.shape != points.shape[:1] or 0 in points.shape:
        hot = labels.ndim == 2 and labels.shape[:1] == points.shape[:1]
        raise DataError(
            f"{where}X has shape {points.shape} and y {labels.shape}; "
            "wanted (N, D), or (N, H, W) or (N, R, H, W) for images, and (N,), none of them empty"
            + "; of one column a class y.argmax(axis=1) is that"
            * hot
        )
    if points.dtype.kind not in "biuf":
        raise DataError(f"{where}X holds {points.dtype}; wanted real numbers")
    if labels.dtype.kind in "cmM":
        raise DataError(f"{where}y holds {labels.dtype}; wanted numbers or words")
    flat = np.array(points.reshape(len(points), -1), dtype=np.float64, order="C")
    finite_table(flat, lambda row, column: f"{where}X[{row}] entry {column}")
    signed, classes = signs(labels, f"{where}y")
    shape = (points.shape[-2], points.shape[-1]) if points.ndim > 2 else None
    return Dataset(name, flat, signed, classes, shape, points.shape[1] if points.ndim == 4 else 1)


def misaligned(one: Any, other: Any) -> bool:
    """Whether two pandas indices hold the same in another order. (A list's `index` is a method.)"""
    if not (hasattr(one, "equals") and hasattr(other, "equals")) or one.equals(other):
        return False
    return Counter(one) == Counter(other)  # sorting would fail for words among numbers


Reader = Callable[[Path, str | None], Dataset]
READERS: dict[str, Reader] = {".csv": read_text, ".tsv": read_text, ".npz": read_npz, ".parquet": read_parquet}
"""What reads a file, by its suffix."""
OTHERS = {
    ".npy": "one array has no labels: load(numpy.load(file), y)",
    ".gz": "unpack it first (gunzip)",
    ".zip": "unpack it first (unzip)",
    ".txt": "name it .csv where commas separate its values, .tsv where tabs do",
    ".xlsx": "export it as CSV",
    **dict.fromkeys((".json", ".feather", ".pkl", ".h5"), "read it with pandas, and give the DataFrame: load(frame)"),
}
"""What to do about other files."""
