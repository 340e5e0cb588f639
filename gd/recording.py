"""What every run records: at which steps, and the named quantities of each snapshot."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from solvers.arrays import Array


def snapshot_steps(steps: int, snapshots: int | Sequence[int]) -> NDArray[np.int64]:
    """Ascending step counts from 0 to `steps`, both included: about `snapshots` log-spaced ones, or those given.

    Raises ValueError when fewer than two snapshots are asked for, or a step given is not between 0 and `steps`.

    >>> snapshot_steps(1000, 8)
    array([   0,    1,    3,   10,   32,  100,  316, 1000])
    >>> snapshot_steps(1000, [500])
    array([   0,  500, 1000])
    """
    wanted: Any = snapshots
    if np.ndim(wanted) == 0:
        if wanted < 2:
            raise ValueError(f"snapshots must be at least 2 (the first and the last step), got {wanted}")
        wanted = np.geomspace(1, steps, int(wanted) - 1).round()
    wrong = [t for t in wanted if int(t) != t or not 0 <= t <= steps]
    if wrong:
        raise ValueError(f"snapshots must be whole numbers from 0 to {steps}, the steps asked for; got {wrong[0]!r}")
    return np.unique(np.array([0, *wanted, steps], dtype=np.int64))


class Record:
    """Named columns of numbers and arrays, one entry a snapshot, kept on the CPU."""

    def __init__(self) -> None:
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self._began = time.perf_counter()

    def take(self, **values: Any) -> None:
        """Append one snapshot; a value of None is not recorded. `elapsed` (seconds since the start) is added."""
        for name, value in (values | {"elapsed": time.perf_counter() - self._began}).items():
            if value is not None:
                array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
                self._columns.setdefault(name, []).append(array.copy())

    def column(self, name: str, axis: int = 0) -> Any:
        """All entries of one name, stacked along `axis`; None where nothing was recorded under it."""
        kept = self._columns.get(name)
        return None if kept is None else np.stack(kept, axis=axis)

    def floats(self, name: str) -> Array:
        """A column of plain numbers, shape (snapshots,)."""
        return np.asarray(self.column(name), dtype=np.float64)
