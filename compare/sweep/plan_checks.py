"""The checks of a sweep's plan: each value as it is used, or one line that says where and what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import UnionType
from typing import Any

from compare.data.load import nearest

Check = Callable[[Any, str], Any]
"""(value, where it stands in the plan) → the value as it is used. Raises PlanError."""


class PlanError(ValueError):
    """The plan cannot be run as written; the message is one line that says where and what to write instead."""


def a(kind: type | UnionType, wanted: str, holds: Callable[[Any], bool] = lambda value: True) -> Check:
    """A check: a value of this kind (a truth value is no number) of which something holds."""

    def check(value: Any, where: str) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or not holds(value):
            raise PlanError(f"{where}: wanted {wanted}, got {value!r}")
        return value

    return check


def whole(least: int, most: int) -> Check:
    """A check: an integer between two bounds."""
    return a(int, f"an integer from {least} to {most}", lambda value: least <= value <= most)


def positive(below: float) -> Check:
    """A check: a number above zero, which becomes a float."""
    check = a(int | float, f"a positive number below {below:g}", lambda value: 0 < value < below)
    return lambda value, where: float(check(value, where))


def one_of(what: str, known: Sequence[str]) -> Check:
    """A check: one of the known names."""

    def check(value: Any, where: str) -> Any:
        if text(value, where) not in known:
            hint = nearest(value, known)
            raise PlanError(f"{where}: there is no {what} {value!r}; {hint}known are {', '.join(known)}")
        return value

    return check


text = a(str, "text")


def known_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse any other key, with the nearest known one."""
    for key in table:
        if key not in (names := tuple(known)):
            raise PlanError(f"{where} has no key {key!r}; {nearest(str(key), names)}known are {', '.join(names)}")
