"""A time limit of work in parts: what is finished by then is kept, and what is not is said to be not reached.

`within` sets it for everything in a block, `compare.reports.progress.run_parts` keeps to it. No part begins after it.
The part at work is ended by an alarm of the system, as by Ctrl-C; there is none on Windows and outside of the main
thread, and none where the program has an alarm of its own: there that part ends by itself.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from compare.reports.findings import Check, Findings, Section

TOO_LATE = "the time limit came first"
"""The reason of a check that was not reached for it."""

LATE = "Not reached: the time limit"
"""The title of a section on parts that were not finished in time."""

AGAIN = 0.1
"""Seconds after which an alarm rings again that did not end the part."""

_DEADLINE: ContextVar[float] = ContextVar("deadline", default=math.inf)


class TimeIsUp(KeyboardInterrupt):
    """The time limit came. What keeps the finished parts at Ctrl-C keeps them here too."""


def deadline() -> float:
    """The time of `time.monotonic` from which on nothing begins any more; inf without a limit."""
    return _DEADLINE.get()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """A limit of so many seconds for what runs in this block, or the one that is there already if that ends sooner."""
    token = _DEADLINE.set(min(deadline(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _DEADLINE.reset(token)


@contextmanager
def alarm() -> Iterator[None]:
    """Raise TimeIsUp in this block when the time is up, where there is an alarm to be had.

    It is off after the block, in a block around it too: what a part makes of its own finished parts is not interrupted.
    """
    if deadline() == math.inf or not has_alarm():
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, max(deadline() - time.monotonic(), 1e-6))
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:  # once more: it may have rung just before it was off
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def has_alarm() -> bool:
    """Whether this thread may set the system's alarm, and nobody else has."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGALRM) is _ring or signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


def _ring(number: int, frame: FrameType | None) -> None:
    """Raise, and ring again soon, for it may be dropped; not where it would do harm."""
    del number
    signal.setitimer(signal.ITIMER_REAL, AGAIN)
    if not any(map(_is_closed, _frames(frame))):
        raise TimeIsUp


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and its callers."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_closed(frame: FrameType) -> bool:
    """Whether it clears an object away, where Python drops what is raised, or imports a module, half of which would
    stay."""
    code = frame.f_code
    clears = code.co_name == "__del__" or frame.f_globals.get("__name__") == "weakref"
    return clears or code.co_filename.startswith("<frozen importlib")


def late_section(parts: Iterable[str]) -> Section:
    """What a report says of parts that were not finished in time."""
    text = (
        "These parts were not finished, or not begun, when the time limit came. A longer one (--time-limit) has them."
    )
    checks = [Check.not_reached(f"all of {part!r}", None, why=TOO_LATE) for part in parts]
    return Section(LATE, text, checks=checks)


def left_out(report: Findings, section: Section) -> bool:
    """Whether the time limit of a report came before what a section of another report is about, which it has not.

    >>> from compare.reports.provenance import Provenance
    >>> from compare.reports.report import Report
    >>> late = Report("all", (late_section(["depth"]), Section("wine", group="margin")), Provenance.collect())
    >>> left_out(late, Section("digits", group="margin")), left_out(late, Section("digits", group="depth"))
    (False, True)
    """
    late = {one.group for one in report.sections if one.title == LATE}
    begun = {one.group for one in report.sections}
    return section.group in late or ("" in late and section.group not in begun)
