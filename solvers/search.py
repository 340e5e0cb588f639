"""How a method is asked to look for a minimizer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from solvers.arrays import Array

Progress = Callable[[int, int], None]
"""Called with (parts done, how many at most)."""


def untold(done: int, at_most: int) -> None:
    """The `Progress` of a call that nobody asked to tell of it."""


def deadline_after(time_limit: float) -> float:
    """The time of `time.monotonic` after so many seconds. Raises ValueError unless they are positive."""
    if not time_limit > 0:
        raise ValueError(f"time_limit is in seconds and must be positive, got {time_limit!r}")
    return time.monotonic() + time_limit


@dataclass(frozen=True)
class Search:
    """The parameters of `Regularizer.minimize`, checked."""

    tol: float
    """Largest relative violation in the certificate that the answer should have."""
    n_starts: int = 8
    """Starts of a local search, where the problem is not convex."""
    seed: int = 0
    """Seed of the random starts."""
    start: Array | None = None
    """A predictor to start from as well, in the problem's shape."""
    deadline: float = math.inf
    """The time of `time.monotonic` from which on no further part of the search begins."""
    progress: Progress | None = None
    """Told of the parts done."""

    def goes_on(self, done: int, at_most: int) -> bool:
        """Whether another part of the search begins after `done`; tells `progress`."""
        if done and self.progress is not None:
            self.progress(done, at_most)
        return done < at_most and (done == 0 or time.monotonic() < self.deadline)
