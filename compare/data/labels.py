"""Labels of any two values as −1 and +1, of more as class numbers, and which column holds them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from compare.data.dataset import DataError
from compare.reports.wording import clean, counted
from solvers.arrays import Array

LABEL_NAMES = ("y", "label")
LIKE_LABELS = ("labels", "target", "targets", "class", "classes", "outcome", "diagnosis", "species")
"""Names of columns that may well hold the label, and are not taken for it unasked."""
FEW_ROWS = 5
"""Rows that a feature may number by chance. A convention."""
SAY_WHICH = "say which column is the label: load(…, label='NAME'), on the command line --label NAME"


def label_column(names: Sequence[str], where: str, label: str | None = None) -> int:
    """Which column holds the label: the one called `label`; where none is asked for, y or label, else the last.

    Raises DataError where no column has the name asked for; where two have a label's name, for one of them would become
    a column of numbers that gives the label away; for a row index that has become a column; and for two columns of one
    name, such as a join of two tables leaves.
    """
    unnamed = next((name for name in names if re.fullmatch(r"(Unnamed: \d+|__index_level_\d+__)", name)), None)
    if unnamed is not None:
        raise DataError(
            f"{where}: the column {unnamed!r} looks like a row index; leave it out, or give it another name"
        )
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        places = ", ".join(str(i) for i, name in enumerate(names, 1) if name == twice)
        raise DataError(f"{where}: the columns {places} have one name, {clean(twice)!r}; rename or remove all but one")
    if label is None:
        found = usual_label(names, where)
        at = len(names) - 1 if found is None else found
        other = next((n for i, n in enumerate(names) if i != at and n.strip().lower() in LIKE_LABELS), None)
        if other is not None:
            raise DataError(f"{where}: the label may be in the column {names[at]!r} or {other!r}; {SAY_WHICH}")
        return at
    if label.strip() not in names:
        shown = ", ".join(map(repr, names[:20])) + (", …" if len(names) > 20 else "")
        raise DataError(f"{where} has no column called {label!r} to take as the label; its columns are {shown}")
    return list(names).index(label.strip())


def named_label(names: Sequence[str], at: int, label: str | None) -> str:
    """The label column in a message: how it was found, where nobody asked for it and it has no label's name."""
    unasked = label is None and names[at].strip().lower() not in (*LABEL_NAMES, *LIKE_LABELS)
    return f"the label column {clean(names[at])!r}" + f" (the last one; if it is another, {SAY_WHICH})" * unasked


def remarks_on(names: Sequence[str], at: int, X: Array) -> tuple[str, ...]:
    """What to know of the features: which may be a label by its name, though another column is, and which may be no
    feature at all because it counts the rows."""
    features = [clean(name) for i, name in enumerate(names) if i != at]
    alike = [name for name in features if name.strip().lower() in (*LABEL_NAMES, *LIKE_LABELS)]
    counting = [name for name, column in zip(features, X.T, strict=True) if counts_rows(column)]
    label = clean(names[at])
    return (
        *(f"The column {n!r} is a feature beside the label {label!r}; remove it if it gives it away." for n in alike),
        *(f"The column {n!r} counts the rows, and is a feature; remove it if it is an index." for n in counting),
    )


def counts_rows(column: Array) -> bool:
    """Whether the entries are consecutive integers in the order of the rows; of few rows that says nothing."""
    N = len(column)
    return N >= FEW_ROWS and float(column[0]).is_integer() and bool((column == column[0] + np.arange(N)).all())


def usual_label(names: Sequence[str], where: str) -> int | None:
    """Which of the columns is called y or label, in any case. Raises DataError where two are."""
    found = [i for i, name in enumerate(names) if name.strip().lower() in LABEL_NAMES]
    if len(found) > 1:
        both = " and ".join(repr(names[i]) for i in found)
        raise DataError(f"{where} has several label columns, {both}; rename or remove all but one")
    return found[0] if found else None


def signs(labels: ArrayLike, where: str) -> tuple[Array, tuple[str, ...]]:
    """Two label values as −1 and +1, the smaller number or the word that comes first in the alphabet as −1.

    Three and more, integers or words, are classes in the same order: numbers from 0. Numbers may come as text. A label
    is missing where it is an empty text, None or NaN.

    Raises DataError when some are missing, or they are all of one value, or real numbers of more than two.

    >>> signs(["10", "9", "10"], "y")[0].tolist(), signs(["NA", "None"], "y")[1]
    ([1.0, -1.0, 1.0], ('NA', 'None'))
    >>> signs(["b", "a", "c"], "y")
    (array([1., 0., 2.]), ('a', 'b', 'c'))
    """
    values = [value.decode(errors="replace") if isinstance(value, bytes) else value
              for value in np.asarray(labels).ravel().tolist()]  # fmt: skip
    values = [value.strip() if isinstance(value, str) else value for value in values]
    missing = sum(value is None or value == "" or value != value for value in values)
    if missing:
        raise DataError(f"{where} is empty in {counted(missing, 'row')}; remove or fill them first")
    keys = [as_number(value) for value in values]
    if None in keys:
        keys = [str(value) for value in values]
    distinct = sorted(set(keys))
    if distinct in ([-1], [1]):
        return np.array(keys, dtype=np.float64), ("-1", "1")
    words = isinstance(distinct[0], str)
    if len(distinct) < 2 or (len(distinct) > 2 and not words and any(value != round(value) for value in distinct)):
        shown = ", ".join(clean(str(value))[:40] for value in distinct[:6]) + (", …" if len(distinct) > 6 else "")
        raise DataError(
            f"{where} takes {counted(len(distinct), 'value')} ({shown}); labels are of two values, or of "
            "three and more that are integers or words"
        )
    named = dict(zip(reversed(keys), reversed([written(v) for v in values]), strict=True))  # as the first of each is
    numbers = {key: float(i) for i, key in enumerate(distinct)}
    if len(distinct) == 2:
        numbers = {distinct[0]: -1.0, distinct[1]: 1.0}
    return np.array([numbers[key] for key in keys]), tuple(named[key] for key in distinct)


def written(value: Any) -> str:
    """A label's name: a word or digits as they stand, another number in its shortest form.

    >>> written(2.0), written("1.000e+00"), written("007"), written("0.5")
    ('2', '1', '007', '0.5')
    """
    number = as_number(value)
    if number is None or isinstance(number, bool) or not isinstance(number, float):
        return str(value)
    return str(int(number)) if number.is_integer() else repr(number)


def as_number(value: Any) -> Any:
    """What a label sorts by when it is a finite number, written or not; None for a word."""
    if isinstance(value, int | float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value, re.ASCII):
        return int(value) if len(value) < 1000 else None
    if isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", value, re.ASCII | re.IGNORECASE):
        return float(value)
    return None
