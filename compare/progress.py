"""Long work in named parts: a progress bar on standard error, and Ctrl-C that keeps what is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from compare.wording import clean

T = TypeVar("T")


@dataclass(frozen=True)
class Done(Generic[T]):
    """What `run_parts` finished."""

    results: tuple[T, ...]
    """The results of the parts that finished, in order."""
    note: str = ""
    """For a report's notes when the rest was interrupted, else empty."""

    @property
    def complete(self) -> bool:
        """Whether every part finished."""
        return not self.note


def run_parts(parts: Sequence[tuple[str, Callable[[], T]]], title: str, *, show: bool = True) -> Done[T]:
    """Run each (name, function) in turn. KeyboardInterrupt ends the run and keeps the results so far.

    `show` draws the bar on standard error, where that is a terminal. Any other exception of a part passes through.

    >>> run_parts([("one", lambda: 1), ("two", lambda: 2)], "Counting", show=False).results
    (1, 2)
    """
    results: list[T] = []
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal)) as bar:
        task = bar.add_task(clean(title), total=len(parts))
        for name, run in parts:
            bar.update(task, description=f"{clean(title)}: {clean(name)}")
            try:
                results.append(run())
            except KeyboardInterrupt:
                note = f"Interrupted during {name!r}: {len(results)} of {len(parts)} parts of {title!r} are finished."
                return Done(tuple(results), note)
            bar.advance(task)
    return Done(tuple(results))
