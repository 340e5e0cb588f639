"""How a sweep's progress shows: a bar on a terminal, a line every half minute elsewhere, both on standard error."""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import TextColumn

from compare.reports.progress import bar
from compare.reports.wording import clean

LINE_EVERY = 30.0
"""Seconds between lines where standard error is no terminal."""


class SweepProgress:
    """A context manager; `update` as often as you like."""

    def __init__(self, name: str, cells: int, todo: int, *, show: bool, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.show, self.cells, self.found, self.failed = show, cells, cells - todo, 0
        self.bar = bar(self.console, TextColumn("{task.fields[left]}", markup=False), show=show)
        self.task = self.bar.add_task(clean(name), total=cells, completed=self.found, left="")
        self._spoke = time.monotonic()
        self._updated = 0.0

    def __enter__(self) -> SweepProgress:
        self.bar.start()
        if self.found:
            self.say(f"{self.found} of {self.cells} cells are stored already")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()

    def say(self, line: str) -> None:
        """One line, where anything is to be shown."""
        if self.show:
            self.console.print(clean(line), highlight=False, markup=False, soft_wrap=True)

    def due(self) -> bool:
        """Whether a fifth of a second has passed since the last update; an estimate costs more than a cell."""
        return time.monotonic() - self._updated >= 0.2

    def update(self, stored: int, left: float | None, in_flight: int) -> None:
        """`stored` cells of this run are safe; about `left` seconds to go (None: unknown)."""
        self._updated = time.monotonic()
        text = "estimating" if left is None else f"about {duration(left)} left"
        text += f", {self.failed} failed" if self.failed else ""
        self.bar.update(self.task, completed=self.found + stored, left=text)
        if not self.console.is_terminal and self._updated - self._spoke >= LINE_EVERY:
            self._spoke = self._updated
            self.say(f"{self.found + stored} of {self.cells} cells, {text}, {in_flight} batches in flight")


def duration(seconds: float) -> str:
    """A span of time as a person says it.

    >>> duration(0.4), duration(75), duration(3 * 3600 + 60), duration(3 * 86400)
    ('1 s', '1 min 15 s', '3 h 1 min', '3 d 0 h')
    """
    whole = max(1, math.ceil(seconds))
    for size, unit, small, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small} {smaller}"
    return f"{whole} s"
