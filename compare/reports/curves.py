"""Plots of curves: every one is a list of `Curve`s, the labels of the axes, and their scales."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compare.reports.findings import Figure
from compare.reports.wording import number

FEWEST = 3
"""Points that are joined by a line: two of them would show a straight line that nobody measured. A convention."""
MARKERS = "os^Dv<>P"
"""Of the curves of one plot, where their points lie close."""


@dataclass(frozen=True)
class Curve:
    """One line, or one set of points."""

    label: str
    """For the legend; empty: not in it."""
    x: Any = field(repr=False)
    y: Any = field(repr=False)
    style: str = "-"
    """A format of matplotlib's `plot`: "o-", "--", "."."""
    colour: int | None = None
    """Of the cycle "C0", "C1", …; None: the next one."""
    names: tuple[str, str] | None = None
    """How x and y are called in the figure's data, with units; None: they are not in it."""
    look: dict[str, Any] = field(default_factory=dict, repr=False)
    """Further arguments of matplotlib's `plot`."""


def curve_plot(
    name: str,
    caption: str,
    curves: Sequence[Curve],
    labels: tuple[str, str],
    *,
    log: str = "",
    degrees: bool = False,
    level: float | None = None,
    floor: float | None = None,
    adjust: Callable[[Any], object] = lambda axes: None,
    columns: int = 1,
    size: tuple[float, float] = (5.2, 3.6),
) -> Figure:
    """The figure of these curves.

    Args:
        name: as in `Figure`.
        caption: as in `Figure`.
        curves: drawn in order; their named numbers are the figure's data.
        labels: of the two axes, with units.
        log: the axes with a logarithmic scale: "", "x", "y" or "xy". Values that are not positive are then left out.
        degrees: whether y holds radians, to be drawn in degrees.
        level: where to draw a dotted horizontal line.
        floor: of a logarithmic y axis: what is smaller, 0 too, is drawn on it as a triangle, and the caption says so.
        adjust: called with the axes at the end, for limits and scales.
        columns: of the legend.
        size: in inches.
    """
    below = [
        np.asarray(c.y, np.float64) < floor if floor is not None else np.zeros(np.shape(c.y), bool) for c in curves
    ]
    if any(each.any() for each in below):
        caption += f" Triangles: at most {number(floor or 0.0, '.1g')}, which is rounding."
    data = {key: values for c in curves if c.names for key, values in zip(c.names, (c.x, c.y), strict=True)}

    def draw(canvas: Any) -> None:
        from compare.reports.drawing import literal

        axes = canvas.subplots()
        for curve, low in zip(curves, below, strict=True):
            colour = {} if curve.colour is None else {"color": f"C{curve.colour}"}
            label = literal(curve.label) if curve.label else None
            across = drawn(curve.x, log="x" in log)
            up = drawn(np.where(low, floor, curve.y), log="y" in log) * (180.0 / np.pi if degrees else 1.0)
            joined = np.isfinite(up).sum() >= FEWEST or curve.style[0] not in MARKERS
            style = curve.style if joined else curve.style[0]
            (line,) = axes.plot(across, up, style, label=label, **colour, **curve.look)
            if low.any():
                line.set_markevery(list(np.flatnonzero(~low)))
                axes.plot(across[low], up[low], "v", color=line.get_color(), fillstyle="none")
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.set_xscale("log" if "x" in log else "linear")
        axes.set_yscale("log" if "y" in log else "linear")
        if level is not None:
            axes.axhline(level, color="C7", linewidth=0.8, linestyle=":")
        adjust(axes)
        if any(curve.label for curve in curves):
            axes.legend(ncols=columns)

    return Figure(name, caption, draw, data, size)


def drawn(values: Iterable[Any], *, log: bool) -> Any:
    """The values as floats; NaN, which is not drawn, where a logarithmic axis has no place for them."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(numbers > 0, numbers, np.nan) if log else numbers
