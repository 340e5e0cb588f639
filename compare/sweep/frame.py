"""The results of a sweep as one DataFrame."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from compare.sweep.store_file import FILE, contents_of

if TYPE_CHECKING:
    import pandas as pd

COUNTS = {"depth", "width", "seed", "steps", "points", "dimension", "support_size", "iterations", "session"}
"""Columns of whole numbers."""
LAST = ("seconds", "error_type", "error", "output", "worker", "session", "finished", "key")
"""The last columns of a sweep's frame."""

PARTS = ("parameters", "numbers")
"""The entries of a cell's row whose own entries are columns."""


def load_sweep(folder: str | Path) -> pd.DataFrame:
    """The results of a sweep as one DataFrame, one row per finished or failed cell; also while the sweep runs.

    Rows that are damaged on the disk are left out, with a warning that names them; the same sweep runs them again.

    Args:
        folder: where `run_sweep` stores its results.

    Returns:
        Columns: the cell's parameters (data, sha256, network, depth, width, seed, scale, loss, method, steps, tol),
        `status` ("done" or "failed"), what was measured (see `compare.sweep.measure`; angles in radians, times in
        seconds), `error_type`, `error`, `output` (the end of what the cell printed), `worker`, `session`, `finished`
        (UTC), `key`. `frame.attrs["sessions"]` and `frame.attrs["workers"]` are lists of dictionaries: plan, versions,
        machines; `frame.attrs["damage"]` is a list of what was left out.

    Raises:
        OSError: the folder holds no sweep, or a file that is none.

    >>> import tempfile
    >>> from compare import run_sweep
    >>> plan = {"grid": {"data": "synthetic:4,6,0", "network": "diagonal", "seed": [0, 5]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = run_sweep(plan, folder, jobs=1, measure=lambda cell: {"doubled": 2 * cell.seed})
    ...     frame = load_sweep(folder)
    >>> frame[["network", "seed", "status", "doubled"]].values.tolist()
    [['diagonal', 0, 'done', 0], ['diagonal', 5, 'done', 10]]
    """
    import pandas as pd

    path = Path(folder) / FILE
    found = contents_of(path)
    cells = found.of("cell")
    parameters, numbers = (dict.fromkeys(name for cell in cells for name in cell[part]) for part in PARTS)
    records = [{**c["numbers"], **c["parameters"], **c, "finished": c["written"]} for c in cells]
    frame = pd.DataFrame.from_records(records, columns=list(dict.fromkeys((*parameters, "status", *numbers, *LAST))))
    for name in COUNTS & set(frame.columns):  # where some are missing pandas would make floats of them
        with suppress(TypeError, ValueError, OverflowError):  # a measure of one's own may hold anything there
            frame[name] = pd.array([record.get(name) for record in records], dtype="Int64")
    hidden = ("kind", "key", "written")
    for kind, name in (("session", "id"), ("worker", "worker")):
        rows = found.of(kind)
        frame.attrs[f"{kind}s"] = [{name: row["key"], **{n: row[n] for n in row if n not in hidden}} for row in rows]
    frame.attrs["damage"] = found.damage
    if found.damage:
        named = "; ".join(found.damage[:5]) + (f"; and {len(found.damage) - 5} more" if len(found.damage) > 5 else "")
        warnings.warn(
            f"{str(path)!r} is damaged ({named}): {len(cells)} cells were read from it, the same sweep runs the others "
            "again",
            stacklevel=2,
        )
    return frame
