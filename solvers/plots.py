"""Pictures of results, drawn by matplotlib, which is imported when one is asked for."""

from __future__ import annotations

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


def plot_predictor(beta: Array, title: str, axes: Axes | None) -> Axes:
    """The coefficients as stems; of an image, or of several outputs, as a picture whose colours are symmetric."""
    chosen: Axes = axes_for(axes)
    if beta.ndim == 2:
        largest = float(np.abs(beta).max()) or 1.0
        drawn = chosen.imshow(beta, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
        chosen.figure.colorbar(drawn, ax=chosen, label="β [1/unit of x]")
        chosen.set(xlabel="column", ylabel="row", title=title)
        chosen.grid(False)
        return chosen
    flat = beta.reshape(-1)
    chosen.stem(np.arange(flat.size), flat, basefmt="C7-", markerfmt="C0o" if flat.size <= 64 else "C0,")
    chosen.set(xlabel="coefficient d", ylabel="β_d [1/unit of x]", title=title)
    return chosen
