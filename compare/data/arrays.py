"""A vector, an image or a matrix from a file: .npy, or text with one row a line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from compare.data.dataset import DataError
from compare.data.text import decoded
from compare.reports.wording import one_line
from solvers.arrays import Array


def read_array(path: Path) -> Array:
    """The numbers in a file, float64: (D,) for a single row or a single column of text, else as they stand.

    Raises DataError when the file is missing or damaged, or holds anything but finite real numbers in rows of one
    length. Nothing is ever unpickled.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Path(folder) / "w.csv"
    ...     _ = place.write_text("1, 2\\n3, 4\\n")
    ...     read_array(place)
    array([[1., 2.],
           [3., 4.]])
    """
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}")
    try:
        numbers = _from_npy(path) if path.suffix.lower() == ".npy" else _from_text(path)
    except DataError:
        raise
    except Exception as error:  # damaged bytes make the parsers beneath raise nearly anything
        raise DataError(f"{str(path)!r} could not be read ({one_line(error)})") from error
    if numbers.size == 0 or not np.isfinite(numbers).all():
        what = "no numbers" if numbers.size == 0 else "entries that are not finite"
        raise DataError(f"{str(path)!r} holds {what}; wanted a vector or a matrix of numbers")
    return numbers


def _from_npy(path: Path) -> Array:
    loaded = np.load(path, allow_pickle=False)
    if loaded.dtype.kind not in "biuf":
        raise DataError(f"{str(path)!r} holds {loaded.dtype}; wanted real numbers")
    return np.asarray(loaded, dtype=np.float64)


def _from_text(path: Path) -> Array:
    text = decoded(path)
    rows = (
        list(csv.reader(io.StringIO(text, newline=""))) if "," in text else [line.split() for line in text.split("\n")]
    )
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    rows = [row for row in rows if row]
    if rows and not any(map(_is_number, rows[0])):  # a header
        del rows[0]
    for row in rows:
        wrong = next((cell for cell in row if not _is_number(cell)), None)
        if wrong is not None or len(row) != len(rows[0]):
            why = f"{wrong[:40]!r} is no number" if wrong is not None else "its rows differ in length"
            raise DataError(f"{str(path)!r}: {why}; wanted numbers, one row a line, with commas or blanks between them")
    table = np.array(rows, dtype=np.float64)
    return table.reshape(-1) if 1 in table.shape else table


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
