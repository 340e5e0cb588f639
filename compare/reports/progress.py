"""Long work in named parts: a progress bar on standard error; Ctrl-C and a time limit keep what is finished."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from compare.reports.time_limit import TimeIsUp, alarm, deadline
from compare.reports.wording import clean

T = TypeVar("T")


_AT_WORK: ContextVar[bool] = ContextVar("at work", default=False)
"""Whether a part is being run."""


@contextmanager
def at_work() -> Iterator[None]:
    """For a part: what it does in parts is not told."""
    token = _AT_WORK.set(True)
    try:
        yield
    finally:
        _AT_WORK.reset(token)


@dataclass(frozen=True)
class Done(Generic[T]):
    """What `run_parts` finished."""

    results: tuple[T, ...]
    """The results of the parts that finished, in order."""
    note: str = ""
    """For a report's notes when the rest was interrupted or came too late, else empty."""
    late: tuple[str, ...] = ()
    """The names of the parts that the time limit left unfinished."""

    @property
    def complete(self) -> bool:
        """Whether nothing was interrupted; what came too late is named in `late`."""
        return not self.note or bool(self.late)


class Bar(Progress):
    """As rich's, but that before its version 15 ends also a bar that is not drawn by an empty line."""

    def stop(self) -> None:
        if not self.disable:
            super().stop()


def bar(console: Console, left: ProgressColumn, *, show: bool) -> Bar:
    """A bar that `console` draws where it is a terminal: what is done, and in the column `left` how long the rest
    takes."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Bar(*columns, left, console=console, transient=True, disable=not (show and console.is_terminal))


def run_parts(
    parts: Sequence[tuple[str, Callable[[], T]]],
    title: str,
    *,
    show: bool = True,
    jobs: int = 1,
    line: Callable[[T], str] | None = None,
) -> Done[T]:
    """Run each (name, function) in turn. KeyboardInterrupt ends the run and keeps the results so far, and so does the
    time limit of `compare.reports.time_limit.within`.

    `show` draws the bar on standard error; where that is no terminal, each part is named when it is finished, but for
    parts of a part. `line` says of a result what is printed there, terminal or not, as soon as its part is finished.
    With `jobs` > 1 that many processes share the parts, whose functions and results must then be picklable; results
    come in order all the same. Any other exception of a part passes through.

    >>> run_parts([("one", lambda: 1), ("two", lambda: 2)], "Counting", show=False).results
    (1, 2)
    """
    results: list[T] = []
    console = Console(stderr=True)
    named = show and not console.is_terminal and line is None and not _AT_WORK.get()
    with bar(console, TimeRemainingColumn(), show=show) as drawn:
        task = drawn.add_task(clean(title), total=len(parts))
        running = _running([run for _, run in parts], jobs)
        for name, _ in parts:
            drawn.update(task, description=f"{clean(title)}: {clean(name)}")
            began = time.perf_counter()
            try:
                if time.monotonic() >= deadline():
                    raise TimeIsUp
                with alarm(), at_work():
                    results.append(next(running))
            except TimeIsUp:
                break
            except KeyboardInterrupt:
                return Done(tuple(results), f"Interrupted during {name!r}: {finished(len(results), len(parts))}.")
            drawn.advance(task)
            if line is not None or named:
                said = f": {clean(line(results[-1]))}" if line is not None else ""
                console.print(Text(f"{clean(name)}, {time.perf_counter() - began:.0f} s{said}"), soft_wrap=True)
    late = tuple(name for name, _ in parts[len(results) :])
    count = finished(len(results), len(parts))
    return Done(tuple(results), f"The time limit came before {late[0]!r} was finished: {count}." if late else "", late)


def finished(done: int, parts: int) -> str:
    """How many parts are.

    >>> finished(2, 17), finished(0, 17), finished(0, 1)
    ('2 of 17 parts are finished', 'none of 17 parts is finished', 'it is the only part')
    """
    if done:
        return f"{done} of {parts} parts are finished"
    return f"none of {parts} parts is finished" if parts > 1 else "it is the only part"


def _running(functions: Sequence[Callable[[], T]], jobs: int) -> Iterator[T]:
    """Their results, in order."""
    if jobs == 1:
        return (run() for run in functions)
    from joblib import Parallel, delayed

    from solvers.worker_processes import become_worker

    workers = {"initializer": become_worker, "initargs": (os.getpid(),)}
    return iter(Parallel(n_jobs=jobs, return_as="generator", **workers)(delayed(run)() for run in functions))
