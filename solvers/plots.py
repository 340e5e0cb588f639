"""Pictures of results, drawn by matplotlib, which is imported when one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from solvers.arrays import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def axes_for(axes: Any) -> Any:
    """The axes given, or those of a new figure of pyplot's, which notebooks and `pyplot.show` display."""
    if axes is not None:
        return axes
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(5.2, 3.6), layout="constrained")[1]


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers, for what is counted."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def plot_predictor(beta: Array, title: str, axes: Axes | None) -> Axes:
    """The coefficients as stems; of an image, or of several outputs, as a picture whose colours are symmetric.

    The images of several outputs stand side by side.
    """
    chosen: Axes = axes_for(axes)
    if beta.ndim > 1:
        several = beta.ndim > 2
        picture = np.concatenate(list(beta.reshape(-1, *beta.shape[-2:])), axis=1) if several else beta
        largest = float(np.abs(beta).max()) or 1.0
        drawn = chosen.imshow(
            picture, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest"
        )
        chosen.figure.colorbar(drawn, ax=chosen, label="β [1/unit of x]")
        chosen.set(xlabel="column" + ", of each output in turn" * several, ylabel="row", title=title)
        for k in range(1, picture.shape[1] // beta.shape[-1]):
            chosen.axvline(k * beta.shape[-1] - 0.5, color="C7", linewidth=1)
        chosen.grid(False)
        whole_numbers(chosen.xaxis)
        whole_numbers(chosen.yaxis)
        return chosen
    flat = beta.reshape(-1)
    chosen.stem(np.arange(flat.size), flat, basefmt="C7-", markerfmt="C0o" if flat.size <= 64 else "C0,")
    chosen.set(xlabel="coefficient d", ylabel="β_d [1/unit of x]", title=title)
    whole_numbers(chosen.xaxis)
    return chosen


def plot_function(
    g: Callable[[Array], Array], knots: Array, title: str, axes: Axes | None, *, data: Array | None = None
) -> Axes:
    """A function of one input over the range of its knots and a tenth more on both sides, and its data at the knots."""
    chosen: Axes = axes_for(axes)
    left, right = float(knots[0]), float(knots[-1])
    more = 0.1 * (right - left) or 1.0
    x = np.union1d(np.linspace(left - more, right + more, 801), knots)
    chosen.plot(x, g(x), "C0-", label="g")
    if data is not None:
        chosen.plot(knots, data, "C1o", label="data")
    chosen.set(xlabel="x [units of x]", ylabel="g(x) [units of y]", title=title)
    legend_below(chosen)
    return chosen


def plot_surface(g: Callable[[Array], Array], points: Array, title: str, axes: Axes | None) -> Axes:
    """A function of two inputs in colours over the range of the points and a tenth more, and its data there."""
    chosen: Axes = axes_for(axes)
    low, high = points.min(axis=0), points.max(axis=0)
    more = np.where(high > low, 0.1 * (high - low), 1.0)
    across, upwards = (np.linspace(a - m, b + m, 101) for a, b, m in zip(low, high, more, strict=True))
    values = g(np.stack(np.meshgrid(across, upwards), axis=-1))
    drawn = chosen.pcolormesh(across, upwards, values, cmap="viridis", shading="gouraud")
    chosen.figure.colorbar(drawn, ax=chosen, label="g(x) [units of y]")
    chosen.plot(points[:, 0], points[:, 1], "o", color="w", markeredgecolor="k", label="data")
    chosen.set(xlabel="x₁ [units of x]", ylabel="x₂ [units of x]", title=title)
    chosen.grid(False)
    legend_below(chosen)
    return chosen


def legend_below(axes: Any) -> None:
    """A legend that covers nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)


def many_decades(axes: Any, values: Array) -> None:
    """An axis across, linear around 0 and logarithmic far out: ticks at 0 and at powers of ten of the signs there."""
    from matplotlib.ticker import FixedLocator, FuncFormatter

    axes.set_xscale("asinh")
    powers = 10.0 ** np.arange(1 + np.ceil(np.log10(max(1.0, float(np.abs(values).max())))))
    left = list(-powers[::-1]) if values.min() < 0 else []
    axes.xaxis.set_major_locator(FixedLocator([*left, 0.0, *powers]))
    axes.autoscale(axis="x")  # the room beside the data is that of this scale
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
