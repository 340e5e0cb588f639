"""How a value reads: numbers with their units, angles in degrees, verdicts in words, hostile text made harmless.

The terminal and the page print through this file, so that they say the same. Files for machines (JSON, CSV) do not:
they hold the numbers as they are.

>>> number(2.0e-7, ".2g")
'2·10⁻⁷'
>>> measurement(0.5, "rad", ".3f")
'28.648°'
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable

from compare.reports.findings import Column, Value
from compare.reports.verdict import Verdict

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
DEGREES_PER_RADIAN = 180.0 / math.pi
DEFAULT_FORMAT = ".3g"
SMALLEST_POWER, LARGEST_POWER = -4, 4
"""Numbers of these powers of ten are written out, whatever format they have. A convention, Python's own for g."""
ROUNDING = 1e-15
"""An error that is smaller reads < 10⁻¹⁵: doubles cannot tell it from 0. A convention: about five units of rounding."""
ERRORS = re.compile(r"\+?\.([12]g|\de)")
"""The formats of columns that hold errors: two digits at most, or a power of ten. Other columns hold sizes, which may
be as small as the data make them."""


def clean(text: str) -> str:
    """The text without control characters, which could repaint a terminal or break the page's SVG.

    Text direction overrides (Unicode Cf) go as well: they can make a file name read backwards.
    """
    unwanted = [c for c in set(text) - {"\n", "\t"} if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn")]
    return text.translate(dict.fromkeys(map(ord, unwanted))) if unwanted else text


def one_line(error: BaseException, most: int = 200) -> str:
    """An exception as one line: its type and message, shortened.

    >>> one_line(ValueError("no\\n  such thing"))
    'ValueError: no such thing'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())[:most]}".removesuffix(": ")


def counted(count: int, noun: str) -> str:
    """A number of things, one of them in the singular.

    >>> counted(1, "network"), counted(0, "network")
    ('1 network', '0 networks')
    """
    return f"{count} {noun}" + "s" * (count != 1)


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers in order, three neighbours or more as a range.

    >>> ranges([0, 1, 2, 3, 8, 9, 7, 12, 13])
    '0 to 3, 7 to 9, 12, 13'
    """
    runs: list[list[int]] = []
    for value in sorted(numbers):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def number(value: float, format: str = "", floor: float = 0.0) -> str:
    """A number as a person reads it: 2·10⁻⁷ rather than 2e-07, ∞, and "not a number"; "<" if it is below the floor.

    >>> number(-0.0379, ".1e"), number(1596.0, ".2g"), number(3e-17, floor=1e-15)
    ('−0.038', '1600', '< 10⁻¹⁵')
    """
    if 0 < abs(value) < floor:
        return f"< {number(floor)}"
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"  # without the digits and exponent that a format would give it
    text = f"{value:{format or DEFAULT_FORMAT}}".replace("%", " %")
    mantissa, _, exponent = text.partition("e")
    if exponent and SMALLEST_POWER <= int(exponent) <= LARGEST_POWER:
        digits = sum(c.isdigit() for c in mantissa)
        mantissa, exponent = f"{float(text):.{max(digits - 1 - int(exponent), 0)}f}", ""
    mantissa = mantissa.replace("-", "−")
    if not exponent:
        return mantissa
    return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPTS)}".replace("1·", "", mantissa in ("1", "−1"))


def measurement(value: float | None, unit: str, format: str = "", floor: float = 0.0) -> str:
    """A number with its unit; radians are shown in degrees, None as a dash, one thing in the singular.

    `floor` is in the unit that is shown.

    >>> measurement(1, "claims refuted"), measurement(2, "claims refuted")
    ('1 claim refuted', '2 claims refuted')
    """
    if value is None:
        return "–"
    shown = shown_in_unit(value, unit)
    if unit == "rad":
        return number(shown, format, floor) + ("°" if math.isfinite(shown) else "")
    text = number(shown, format, floor)
    things, space, rest = unit.partition(" ")
    if text == "1" and things.endswith("s") and things != "s":
        unit = things[:-1] + space + rest
    return f"{text}{unit}" if unit == "×" else f"{text} {unit}".rstrip()


def shown_in_unit(value: float, unit: str) -> float:
    """The value in the unit that people are shown: degrees for radians, else unchanged."""
    return value * DEGREES_PER_RADIAN if unit == "rad" else value


def header(column: Column) -> str:
    """A column's label with the unit its printed numbers are in."""
    unit = "°" if column.unit == "rad" else column.unit
    return clean(f"{column.label} [{unit}]" if unit else column.label)


def cell(value: Value, column: Column) -> str:
    """One cell of a table, in the unit its header names; errors below rounding read so.

    >>> cell(3e-17, Column("gap", "gap", format=".1e")), cell(3e-17, Column("size", "‖w‖", format=".4g"))
    ('< 10⁻¹⁵', '3·10⁻¹⁷')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Verdict):
        return value.value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int) and not column.format:
        return str(value)
    floor = ROUNDING if ERRORS.fullmatch(column.format) else 0.0
    return number(shown_in_unit(float(value), column.unit), column.format, floor)
