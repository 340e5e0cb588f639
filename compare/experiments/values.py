"""How parameters are written as text: numbers, lists, ranges, sizes, and the intervals they must lie in.

>>> integers("0-3,7")
(0, 1, 2, 3, 7)
>>> 0.5 in Interval(0.0, low_open=True), str(Interval(0.0, low_open=True))
(True, '> 0')
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What sort of value a parameter holds, and how it is read from text. Readers raise ValueError."""

    noun: str
    read: Callable[[str], Any]
    several: bool = False
    """Whether the value is a tuple."""


@dataclass(frozen=True)
class Interval:
    """Finite numbers from `low` to `high`; the open ends are excluded."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    infinite: bool = False
    """Whether inf is among them."""

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, Real) or math.isnan(value) or (math.isinf(value) and not self.infinite):
            return False
        value = float(value)
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)

    def __str__(self) -> str:
        low = f"{'>' if self.low_open else '≥'} {bound(self.low)}"
        high = f"{'<' if self.high_open else '≤'} {bound(self.high)}"
        return (low if math.isinf(self.high) else f"{low} and {high}") + (", or inf" if self.infinite else "")


def bound(value: float) -> str:
    """An end of an interval: a large power of ten as one.

    >>> bound(0.0), bound(1024), bound(1e6)
    ('0', '1024', '10⁶')
    """
    power = round(math.log10(value)) if value >= 1e4 and math.isfinite(value) else 0
    if power and value == 10.0**power:
        return "10" + str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{value:g}"


@dataclass(frozen=True)
class Wanted:
    """What a value has to be, and how it is read from text."""

    kind: Kind
    within: Interval | None = None
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.choices:
            return f"among {', '.join(self.choices)}"
        return self.kind.noun if self.within is None else f"{self.kind.noun} {self.within}"

    def read(self, text: str) -> Any:
        """The value that the text says. Raises ValueError, saying what is wanted, where it says none."""
        try:
            return self.kind.read(text)
        except ValueError as error:
            raise ValueError(str(error) if self.within is None else f"{error}; wanted {self}") from None

    def check(self, name: str, value: Any) -> None:
        """Raise ValueError where the value is not what is wanted; None is always allowed."""
        if value is None or (self.within is None and not self.choices):
            return
        if self.kind.several and not isinstance(value, str | tuple):
            raise ValueError(f"{name} must be {self}, several of them such as ({value!r},); got {value!r}")
        values = value if isinstance(value, tuple) else (value,)
        if not values:
            raise ValueError(f"{name} must be {self}, at least one; got none")
        for wrong in (v for v in values if not self.allows(v)):
            raise ValueError(f"{name} must be {self}; got {wrong!r}")

    def allows(self, value: Any) -> bool:
        """Whether one value is among the choices and in the interval, and an integer where that is asked for."""
        if self.choices and isinstance(value, str):
            return value in self.choices
        whole = self.kind not in (INTEGER, INTEGERS, SIZES) or isinstance(value, Integral)
        return self.within is None or (whole and value in self.within)


MOST_INTEGERS = 10**5
"""Of one range."""


def integer(text: str) -> int:
    """ "3"."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no integer") from None


def number(text: str) -> float:
    """ "0.01" or "inf"."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def integers(text: str) -> tuple[int, ...]:
    """ "1,2,4" or "0-9" or both; each once."""
    numbers: list[int] = []
    for part in text.split(","):
        ends = [end.strip() for end in part.split("-")]
        if len(ends) > 2 or not all(end.isdecimal() and end.isascii() for end in ends):
            raise ValueError(f"{text!r}: write integers such as 1,2,4 or a range such as 0-9")
        first, last = int(ends[0]), int(ends[-1])
        if last - first >= MOST_INTEGERS:
            raise ValueError(f"{text!r} names more than {MOST_INTEGERS} integers")
        numbers += range(first, last + 1)
    if not numbers:
        raise ValueError(f"{text!r} names no integer")
    return tuple(dict.fromkeys(numbers))


def numbers(text: str) -> tuple[float, ...]:
    """ "0.01,1,10"."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r}: write numbers such as 0.01,1,10") from None


def names(text: str) -> tuple[str, ...]:
    """ "diagonal, convolutional"."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ValueError(f"{text!r}: write names, with commas between them")
    return found


def sizes(text: str) -> tuple[int, ...]:
    """ "8" or "4x4"."""
    parts = text.lower().replace("×", "x").split("x")
    if not 1 <= len(parts) <= 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"{text!r}: write a length such as 8 or an image size such as 4x4")
    return tuple(int(part) for part in parts)


def refuse_unsorted(name: str, values: Sequence[float]) -> None:
    """Raise ValueError for values that do not increase."""
    if list(values) != sorted(set(values)):
        listed = ",".join(f"{value:g}" for value in sorted(set(values)))
        raise ValueError(f"{name} must increase, as in {listed}; got {','.join(f'{value:g}' for value in values)}")


FLAG = Kind("true or false", bool)
SWITCH = Kind("true, false or None", bool)
INTEGER = Kind("an integer", integer)
NUMBER = Kind("a number", number)
SECONDS = Kind("a number of seconds", number)
TEXT = Kind("text", str)
INTEGERS = Kind("integers", integers, several=True)
NUMBERS = Kind("numbers", numbers, several=True)
NAMES = Kind("names", names, several=True)
TEXTS = Kind("texts", str, several=True)
"""Given by repeating the option."""
SIZES = Kind("sizes", sizes, several=True)
FILE = Kind("a file", Path)
FOLDER = Kind("a folder", Path)

COUNT = Interval(1, 10**9)
TOLERANCE = Interval(0.0, 1.0, low_open=True, high_open=True)
DEPTH = Interval(1, 100)
WIDTH = Interval(1, 10**6)
SCALE = Interval(0.0, 1e100, low_open=True)
POSITIVE = Interval(0.0, low_open=True)
NOT_NEGATIVE = Interval(0)
SEED = Interval(0, 10**18)
DURATION = Interval(0.0, low_open=True, infinite=True)
"""inf is no limit."""
