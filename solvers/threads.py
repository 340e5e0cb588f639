"""BLAS threads: one for small problems, where waiting for each other costs threads more than they save.

On a busy machine of two cores, two threads take 2 to 30 times as long as one on problems of milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

SMALL = 1e9
"""Operations of a method's matrix products up to which one thread is used: about 0.1 s."""


@cache
def _libraries() -> ThreadpoolController:
    """The BLAS libraries loaded so far; looking for them takes milliseconds."""
    return ThreadpoolController()


@contextmanager
def threads_for(operations: float) -> Iterator[None]:
    """One BLAS thread where a method's largest product takes at most `SMALL` operations, else those there are.

    >>> with threads_for(1e6):
    ...     counts = {library["num_threads"] for library in _libraries().select(user_api="blas").info()}
    >>> counts
    {1}
    """
    if operations > SMALL:
        yield
        return
    with _libraries().limit(limits=1, user_api="blas"):
        yield
