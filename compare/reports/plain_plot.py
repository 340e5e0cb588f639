"""A figure drawn from its numbers alone, as of a report that was loaded from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def draw_columns(data: Mapping[str, Any], canvas: Any) -> None:
    """The first column across, the others of its length as lines."""
    axes = canvas.subplots()
    columns = {name: np.asarray(values) for name, values in data.items()}
    numbers = {name: values for name, values in columns.items() if values.dtype.kind in "biuf" and values.ndim == 1}
    if not numbers:
        return
    (across, x), *others = numbers.items()
    for name, values in others:
        if values.shape == x.shape:
            axes.plot(x, values, ".-", label=name)
    axes.set(xlabel=across)
    if axes.lines:
        axes.legend()
