"""A user's own table, from CSV, TSV, NPZ or Parquet. Nothing is ever unpickled.

**CSV, TSV, Parquet**: one row per example. The label is the column called `y` or `label` (any case), else the last one;
all other columns are numbers. The first line of a CSV is a header when it holds the name `y` or `label`, or a word
anywhere but in its last cell.
**NPZ**: arrays `X`, of shape (N, D) or (N, H, W) for images, and `y`, of shape (N,).

The label takes two values, numbers or words; the smaller (or alphabetically first) becomes −1, the other +1.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.data.dataset import DataError, Dataset, finite_table
from compare.reports.wording import one_line
from solvers.arrays import Array

LABEL_NAMES = ("y", "label")


def read_file(path: Path) -> Dataset:
    """The data in a file, by its suffix, as the module describes.

    Raises DataError when the file is missing or damaged, or is not a table of finite numbers and a two-valued label.
    """
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}" + (" (it is a folder)" if path.is_dir() else ""))
    try:
        return READERS[path.suffix.lower()](path)
    except DataError:
        raise
    except Exception as error:  # damaged bytes make the parsers beneath raise nearly anything
        raise DataError(f"{str(path)!r} could not be read ({one_line(error)})") from error


def read_text(path: Path) -> Dataset:
    """CSV and TSV."""
    import pandas as pd

    separator, separators = ("\t", "tabs") if path.suffix.lower() == ".tsv" else (",", "commas")
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = next(csv.reader(file, delimiter=separator), None)
    if first is None:
        raise DataError(f"{str(path)!r} is empty")
    if separator == "," and any(";" in cell for cell in first):
        raise DataError(
            f"{str(path)!r} is separated by semicolons; separate the values by commas, with decimal points "
            "(pandas: read_csv(…, sep=';', decimal=',') and then to_csv(…, index=False))"
        )
    if len(first) < 2:
        raise DataError(
            f"{str(path)!r} has one column in its first line; write one row per example, values and label separated by "
            f"{separators}"
        )
    headed = is_label(first[-1]) or not all(map(is_number, first[:-1]))
    names = [name.strip() for name in first]
    if headed and "" in names:
        raise DataError(
            f"{str(path)!r}: column {names.index('') + 1} has no name in the header; if it is a row index, leave it "
            "out (pandas: index=False), else name it"
        )
    frame = pd.read_csv(path, sep=separator, header=0 if headed else None, encoding="utf-8-sig", skipinitialspace=True)
    return from_frame(frame, path, first_line=2 if headed else 1)


def read_parquet(path: Path) -> Dataset:
    """Parquet, through pandas and pyarrow."""
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(f"reading {str(path)!r} needs pyarrow: pip install pyarrow") from error
    return from_frame(frame, path, first_line=1)


def from_frame(frame: Any, path: Path, first_line: int) -> Dataset:
    """A pandas table to numbers and labels."""
    if len(frame) == 0:
        raise DataError(f"{str(path)!r} has no rows")
    names = [str(name) for name in frame.columns]
    at = next((i for i, name in enumerate(names) if is_label(name)), len(names) - 1)
    label, target = names.pop(at), frame.iloc[:, at]
    if not names:
        raise DataError(f"{str(path)!r} has no column but the label {label!r}")
    table = frame.iloc[:, [i for i in range(len(frame.columns)) if i != at]]
    for i, name in enumerate(names):
        if table.dtypes.iloc[i].kind not in "biuf":
            raise DataError(
                f"{str(path)!r}: column {name!r} holds {first_word(table.iloc[:, i])!r}, which is not a number; "
                "encode or remove it (the label is the column called y or label, else the last one)"
            )
    X = finite_table(
        np.ascontiguousarray(table.to_numpy(dtype=np.float64, na_value=np.nan)),
        lambda row, column: f"{str(path)!r}: line {row + first_line}, column {names[column]!r}",
    )
    y, classes = signs(target.to_numpy(), f"{str(path)!r}: the label column {label!r}")
    return Dataset(str(path), X, y, classes)


def read_npz(path: Path) -> Dataset:
    """NPZ; pickled objects are refused by numpy."""
    if not zipfile.is_zipfile(path):  # np.load would take it for a pickle, and advise to trust it
        raise DataError(f"{str(path)!r} is no NPZ file (they are zip archives, as numpy.savez writes them)")
    # opened here: given a path, numpy leaves it open when the archive is damaged
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        if not {"X", "y"} <= set(arrays.files):
            raise DataError(f"{str(path)!r} holds {sorted(arrays.files)}; it must hold X (examples) and y (labels)")
        X, y = np.asarray(arrays["X"]), np.asarray(arrays["y"])
    if X.ndim not in (2, 3) or y.shape != X.shape[:1] or 0 in X.shape:
        raise DataError(
            f"{str(path)!r}: X has shape {X.shape} and y {y.shape}; "
            "wanted (N, D), or (N, H, W) for images, and (N,), none of them empty"
        )
    if X.dtype.kind not in "biuf":
        raise DataError(f"{str(path)!r}: X holds {X.dtype}; wanted real numbers")
    flat = np.ascontiguousarray(X.reshape(len(X), -1), dtype=np.float64)
    finite_table(flat, lambda row, column: f"{str(path)!r}: X[{row}] entry {column}")
    labels, classes = signs(y, f"{str(path)!r}: y")
    return Dataset(str(path), flat, labels, classes, (X.shape[1], X.shape[2]) if X.ndim == 3 else None)


def signs(labels: NDArray[Any], where: str) -> tuple[Array, tuple[str, str]]:
    """Two label values as −1 and +1, the smaller first."""
    import pandas as pd

    missing = int(pd.isna(labels).sum())
    if missing:
        raise DataError(f"{where} is empty in {missing} rows; remove or fill them first")
    values = labels if labels.dtype.kind in "biuf" else labels.astype(str)
    distinct = np.unique(values)
    if len(distinct) != 2:
        shown = ", ".join(map(str, distinct[:6])) + (", …" if len(distinct) > 6 else "")
        raise DataError(f"{where} takes {len(distinct)} values ({shown}); a binary problem has two")
    return np.where(values == distinct[1], 1.0, -1.0), (str(distinct[0]), str(distinct[1]))


def first_word(column: Any) -> str:
    """The first entry of a column that is no number, shortened."""
    entries = map(str, column)
    return next((entry for entry in entries if not is_number(entry)), str(column.iloc[0]))[:40]


def is_label(name: str) -> bool:
    """Whether a column of this name is the label."""
    return name.strip().lower() in LABEL_NAMES


def is_number(text: str) -> bool:
    """Whether Python reads the text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


Reader = Callable[[Path], Dataset]
READERS: dict[str, Reader] = {".csv": read_text, ".tsv": read_text, ".npz": read_npz, ".parquet": read_parquet}
"""What reads a file, by its suffix."""
