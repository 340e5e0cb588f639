"""CSV and TSV as numbers and labels, every line accounted for.

Read by the csv module and not by pandas: that one takes a first column for an index when rows are longer than the
header, reads class names such as NA as missing, and rounds the last digit. The work is linear in the number of cells.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from compare.data.dataset import DataError, Dataset, finite_table
from compare.data.labels import SAY_WHICH, label_column, named_label, remarks_on, signs, usual_label
from compare.reports.wording import clean, counted

WORDS = {"true": 1.0, "false": 0.0, **dict.fromkeys(("", "na", "n/a", "nan", "null", "none", "?"), math.nan)}
"""What stands for a number, and for one that is not there. As a label only the empty text is missing."""


def read_text(path: Path, label: str | None = None) -> Dataset:
    """The table in a CSV or TSV file. Raises DataError for one that is not as `compare.data.files` describes."""
    rows = rows_of(path)
    top, first = next(rows, (0, []))
    check_shape(path, first)
    numbered = is_numbered(path, first, label)
    names = [str(i + 1) for i in range(len(first))] if numbered else trimmed(path, first)
    at = label_column(names, where(path), label)
    lines, numbers, labels = array("L"), array("d"), list[str]()
    if numbered:
        rows = chain([(top, list(first))], rows)
    for line, row in rows:
        if len(row) == len(names) + 1 and not row[-1]:  # a comma at the end of a line
            del row[-1]
        if len(row) != len(names):
            raise DataError(f"{where(path)}: line {line} has {counted(len(row), 'cell')}, the first one {len(names)}")
        labels.append(row.pop(at))
        lines.append(line)
        numbers.extend(numbers_of(path, line, row, names[:at] + names[at + 1 :]) if unusual(row) else map(float, row))
    X = np.frombuffer(numbers, dtype=np.float64).reshape(len(lines), len(names) - 1)
    if numbered and is_counting(path, first, labels):
        X, lines, labels = X[1:], lines[1:], labels[1:]
    if not labels:
        raise DataError(f"{where(path)} has no rows")
    features = names[:at] + names[at + 1 :]
    X = finite_table(X.copy(), lambda row, column: f"{where(path)}: line {lines[row]}, column {features[column]!r}")
    y, classes = signs(labels, f"{where(path)}: {named_label(names, at, label)}")
    return Dataset(str(path), X, y, classes, remarks=remarks_on(names, at, X))


def where(path: Path) -> str:
    """The file in a message."""
    return repr(str(path))


def rows_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every line that is not blank."""
    text = decoded(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    head, _, rest = text.partition("\n")
    skipped = head.strip().lower().startswith("sep=")  # as Excel writes it
    if skipped and head.strip()[4:] != delimiter:
        raise DataError(
            semicolons(path) if ";" in head else f"{where(path)} says {head.strip()!r}; wanted {delimiter!r}"
        )
    reader = csv.reader(io.StringIO(rest if skipped else text, newline=""), delimiter=delimiter, skipinitialspace=True)
    for row in reader:
        if row and row != [""]:
            yield reader.line_num + skipped, [cell.strip() for cell in row]


def decoded(path: Path) -> str:
    """The file's text, from UTF-8 or from UTF-16 with a byte order mark."""
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where(path)} is no {encoding.upper().removesuffix('-SIG')} text; save it as UTF-8"
        ) from error
    if "\0" in text:
        raise DataError(f"{where(path)} holds zero bytes: it is no text, or UTF-16 without a mark; save it as UTF-8")
    return text


def check_shape(path: Path, first: Sequence[str]) -> None:
    """Raises DataError for a first line that is not one of this format."""
    separators = "tabs" if path.suffix.lower() == ".tsv" else "commas"
    if not first:
        raise DataError(f"{where(path)} is empty")
    if separators == "commas" and any(";" in cell for cell in first):
        raise DataError(semicolons(path))
    if len(first) < 2:
        found = {
            "#": "a comment in its first line; remove it",
            "\t": "tabs between its values; name it .tsv",
            "|": "bars between its values",
            ",": "commas between its values; name it .csv",
            " ": "blanks between its values (numpy: savetxt(…, delimiter=','))",
        }
        what = next((text for sign, text in found.items() if sign in first[0]), "one column in its first line")
        raise DataError(
            f"{where(path)} has {what}; write one row per example, values and label separated by {separators}"
        )


def semicolons(path: Path) -> str:
    """What to do about a file of another country's spreadsheet."""
    return (
        f"{where(path)} is separated by semicolons; separate the values by commas, with decimal points "
        "(pandas: read_csv(…, sep=';', decimal=',') and then to_csv(…, index=False))"
    )


def trimmed(path: Path, header: list[str]) -> list[str]:
    """The names in a header, without the empty one that a comma at its end makes. Raises DataError for another."""
    names = header[:-1] if header[-1] == "" else list(header)
    names[0] = names[0].removeprefix("#").lstrip()  # as numpy writes a header
    if "" in names or len(names) < 2:
        raise DataError(
            f"{where(path)}: column {header.index('') + 1} has no name in the header; if it is a row index, leave it "
            "out (pandas: index=False), else name it"
        )
    return names


def unusual(row: Sequence[str]) -> bool:
    """Whether some cell is no plain number, and `numbers_of` has to look at each."""
    try:
        for cell in row:
            float(cell)
    except ValueError:
        return True
    return "_" in "".join(row)  # which Python reads as a separator of digits


def numbers_of(path: Path, line: int, row: Sequence[str], names: Sequence[str]) -> list[float]:
    """The cells as numbers, NaN for a missing one. Raises DataError naming the first that is none."""
    for cell, name in zip(row, names, strict=True):
        if not is_number(cell):
            raise DataError(
                f"{where(path)}: line {line}, column {name!r} holds {clean(cell)[:40]!r}, which is not a number; "
                f"encode or remove it, or {SAY_WHICH}"
            )
    return [WORDS[cell.lower()] if cell.lower() in WORDS else float(cell) for cell in row]


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, a truth value, or a word for a number that is missing."""
    if cell.lower() in WORDS:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def is_numbered(path: Path, first: Sequence[str], label: str | None) -> bool:
    """Whether the columns of a file have numbers, from 1, instead of names: no name is in its first line.

    Raises DataError for a first line that counts from 0, where the label is asked for by a number.
    """
    asked = int(label) if label is not None and label.strip().isdecimal() else 0
    at = asked - 1 if 0 < asked <= len(first) and label not in first else len(first) - 1
    if not all(is_number(cell) for i, cell in enumerate(first) if i != at):
        return False
    if label is None:
        return usual_label(first, where(path)) is None
    if not is_number(label.strip()):
        return label.strip() not in first
    if list(first) == [str(i) for i in range(len(first))]:
        raise DataError(f"{where(path)}: the first line counts from 0 and columns are numbered from 1; name them")
    return True


def is_counting(path: Path, first: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether a first line of numbers is a header that counts the columns, as pandas and numpy write it.

    It is where it counts from 0 or 1 and its last number is no label of the rows below. Raises DataError where it could
    be either: one of the two holds, and the numbers are distinct integers.
    """
    counts = [str(i + start) for start in (0, 1) for i in range(len(first))]
    counting = list(first) in (counts[: len(first)], counts[len(first) :])
    integers = all(cell.isdecimal() for cell in first) and len(set(first)) == len(first)
    new = labels[0] not in labels[1:]
    if len(set(labels[1:])) < 2 or not (counting or (integers and new)):
        return False
    if not (counting and new):
        raise DataError(
            f"{where(path)}: the first line {','.join(first[:4])}{',…' if len(first) > 4 else ''} may be a header that "
            "numbers the columns, or an example; name the columns (the label y), or put such an example elsewhere"
        )
    return True
