"""BLAS threads: one for small problems, where waiting for each other costs threads more than they save.

On a busy machine of two cores, two threads take 2 to 30 times as long as one on problems of milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import LibController, ThreadpoolController  # type: ignore[import-untyped]

SMALL = 1e9
"""Operations of a method's matrix products up to which one thread is used: about 0.1 s."""


@cache
def _libraries() -> list[LibController]:
    """The BLAS libraries loaded so far; looking for them takes milliseconds."""
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


@contextmanager
def threads_for(operations: float) -> Iterator[None]:
    """One BLAS thread where a method's largest product takes at most `SMALL` operations, else those there are.

    The libraries are asked and set directly: on the smallest problems threadpoolctl's own limit is a tenth of the time.

    >>> with threads_for(1e6):
    ...     counts = {library.get_num_threads() for library in _libraries()}
    >>> counts
    {1}
    """
    counts = [(library, library.get_num_threads()) for library in _libraries()] if operations <= SMALL else []
    several = [(library, count) for library, count in counts if count != 1]
    for library, _ in several:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, count in several:
            library.set_num_threads(count)
