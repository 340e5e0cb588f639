r"""Kernel regime and rich regime through the same points
=====================================================

The weighted spline, to which a network converges whose first layer hardly moves, and the minimizers of
:math:`\int |g''|`, which weight decay prefers when the first layer moves. Every such minimizer lies between the bounds
(shaded); the one with fewest bends is drawn.
"""

import matplotlib.pyplot as plt
import numpy as np

from solvers import GaussianInit, rich_interpolant, weighted_spline

x, y = np.array([-2.0, -1, 0, 1, 2, 3]), np.array([2.0, 0.4, 0.0, 0.1, 1.6, 1.8])
grid = np.linspace(-2, 3, 501)
rich = rich_interpolant(x, y)
figure, axes = plt.subplots(layout="constrained")
between = {"color": "C1", "alpha": 0.3, "lw": 0, "label": "all minimizers of ∫|g″|"}
axes.fill_between(grid, rich.lower(grid), rich.upper(grid), **between)
axes.plot(grid, rich.sparsest(grid), "C1", label="the one of fewest bends")
axes.plot(grid, weighted_spline(x, y, GaussianInit(1, 1))(grid), "C0", label="weighted spline")
axes.plot(x, y, "o", color="C7")
axes.set(xlabel="x", ylabel="g(x)")
axes.legend()
plt.show()
