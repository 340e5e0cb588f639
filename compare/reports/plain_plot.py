"""A figure drawn from its numbers alone, as of a report that was loaded from a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # solvers imports scipy, which the help of a command need not wait for
    from solvers.arrays import Array

DECADES = 3
"""Positive numbers that span more are drawn on a logarithmic axis. A convention."""
DOTS = 60
"""Numbers of a line that are marked; more would hide it. A convention."""


def draw_columns(data: Mapping[str, Any], canvas: Any) -> None:
    """The first column across, and those that are called as it up to a colon or comma ("steps: a", "steps: b").

    Every other column is a line against the last of these before it that is as long.
    """
    columns = {name: np.asarray(values) for name, values in data.items()}
    numbers = {name: values for name, values in columns.items() if values.dtype.kind in "biuf" and values.ndim == 1}
    if not numbers:
        canvas.text(0.5, 0.5, "a picture, which is not saved", ha="center")
        return
    axes = canvas.subplots()
    across = subject(next(iter(numbers)))
    places: list[Array] = []
    for name, values in numbers.items():
        if subject(name) == across:
            places.append(values)
        elif (place := next((x for x in reversed(places) if x.shape == values.shape), None)) is not None:
            axes.plot(place, values, ".-" if values.size <= DOTS else "-", label=name)
    axes.set(xlabel=across)
    if axes.lines:
        axes.legend()
        axes.set_xscale(scale_of([line.get_xdata() for line in axes.lines]))
        axes.set_yscale(scale_of([line.get_ydata() for line in axes.lines]))


def subject(name: str) -> str:
    """What a column holds, without whose.

    >>> subject("ln(-ln loss), flow: diagonal, L=2"), subject("K")
    ('ln(-ln loss)', 'K')
    """
    return re.split(r"[:,]", name)[0]


def scale_of(drawn: list[Any]) -> str:
    """Of an axis for these numbers."""
    values = np.concatenate([np.asarray(each, dtype=np.float64) for each in drawn])
    values = values[np.isfinite(values)]
    wide = values.size and values.min() > 0 and values.max() > 10.0**DECADES * values.min()
    return "log" if wide else "linear"
