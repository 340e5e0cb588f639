"""A table from its columns and the values of its lines, in the columns' order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from compare.reports.findings import Column, Value

T = TypeVar("T")
Table = tuple[tuple[Column, ...], tuple[dict[str, Value], ...]]
"""The columns and the rows of a `Section`: `Section(title, text, *table)`."""


def table(columns: Iterable[Column], lines: Iterable[Sequence[Any]]) -> Table:
    """The columns and rows of lines that hold one value for each column.

    Raises ValueError for a line that is too short or too long.

    >>> table([Column("k", "width"), Column("gap", "gap", "", ".1e")], [(1, 0.5), (2, 0.25)])[1]
    ({'k': 1, 'gap': 0.5}, {'k': 2, 'gap': 0.25})
    """
    columns = tuple(columns)
    keys = [column.key for column in columns]
    return columns, tuple(dict(zip(keys, line, strict=True)) for line in lines)


def table_of(items: Iterable[T], *declared: tuple[Column, Callable[[T], Any]]) -> Table:
    """A table with a row for each item: a column is declared once, with the function that computes its value.

    >>> table_of([3, 4], (Column("n", "n"), lambda n: n), (Column("square", "n²"), lambda n: n * n))[1]
    ({'n': 3, 'square': 9}, {'n': 4, 'square': 16})
    """
    return table([column for column, _ in declared], ([value(item) for _, value in declared] for item in items))
