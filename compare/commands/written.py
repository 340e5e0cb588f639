"""Options whose value is read from text, and refused in words that say what is wanted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compare.experiments.values import Wanted

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # which takes no type before click 8.3


class Written(ParamType):
    """A value as text: read, and checked."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.name = wanted.kind.noun.removeprefix("an ").removeprefix("a ").removeprefix("number of ")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value; one that is no text is a default."""
        if not isinstance(value, str):
            return value
        try:
            read = self.wanted.read(value)
            self.wanted.check("it", read)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return read


class Place(click.Path):
    """A path that is not empty: "" would stand for the working directory."""

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if not str(value):
            self.fail("a path is wanted, got nothing", param, ctx)
        return super().convert(value, param, ctx)


def written(*names: str, wanted: Wanted, default: Any = None, shown: str = "", help: str) -> Callable[[F], F]:
    """A click option of such a value; the help says its range and its default, `shown` where that is given."""
    text = listed(default) if isinstance(default, tuple) else default
    return click.option(*names, type=Written(wanted), default=text, help=described(help, wanted, default, shown))


def described(help: str, wanted: Wanted, default: Any = None, shown: str = "") -> str:
    """The help text with the range and the default; a list has spaces, at which a line can be broken.

    >>> from compare.experiments.values import INTEGERS, Interval
    >>> described("Depths L.", Wanted(INTEGERS, Interval(1, 100)), "1,2,3")
    'Depths L.  [≥\xa01 and ≤\xa0100; default: 1, 2, 3]'
    """
    if not shown and default not in (None, (), ""):
        shown = listed(default) if isinstance(default, tuple) else f"{default}"
    if wanted.kind.several:
        shown = re.sub(", *", ", ", shown)
    parts = [re.sub("([<≤>≥]) ", "\\1\N{NO-BREAK SPACE}", str(wanted.within))] if wanted.within is not None else []
    parts += [f"default: {shown}"] if shown else []
    return f"{help}  [{'; '.join(parts)}]" if parts else help


def listed(values: tuple[Any, ...]) -> str:
    """Values as they are written on the command line."""
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
