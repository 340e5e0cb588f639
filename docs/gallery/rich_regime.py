"""Kernel regime and rich regime through the same points.

The weighted spline (first layer hardly moves), and the two extreme minimizers of ∫|g″| (weights decay, first layer
moves): between the bounds, shaded, every minimizer lies; the one with fewest bends is drawn.
"""

import numpy as np

from solvers import GaussianInit, rich_interpolant, weighted_spline


def draw(canvas):
    x, y = np.array([-2.0, -1, 0, 1, 2, 3]), np.array([2.0, 0.4, 0.0, 0.1, 1.6, 1.8])
    grid = np.linspace(-2, 3, 501)
    rich = rich_interpolant(x, y)
    axes = canvas.subplots()
    between = {"color": "C1", "alpha": 0.3, "lw": 0, "label": "all minimizers of ∫|g″|"}
    axes.fill_between(grid, rich.lower(grid), rich.upper(grid), **between)
    axes.plot(grid, rich.sparsest(grid), "C1", label="the one of fewest bends")
    axes.plot(grid, weighted_spline(x, y, GaussianInit(1, 1))(grid), "C0", label="weighted spline")
    axes.plot(x, y, "o", color="C7")
    axes.set(xlabel="x", ylabel="g(x)")
    axes.legend()
