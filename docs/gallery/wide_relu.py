r"""A wide ReLU network and its spline
==================================

Networks of 2n hidden units (mirrored halves, Gaussian initialization with
:math:`\sigma_w = \sigma_b = 1`, all weights trained) at the end of gradient flow on the squared loss. The data are
corrected by the line of problem (21), and the line is added back. As n grows, the networks approach the weighted
spline.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from gd import WideReLU, squared_flow_limit
from solvers import GaussianInit, kernel_interpolant, weighted_spline

x, y = np.array([-2.0, -1, 0, 1, 2]), np.array([1.5, 0.5, 1.5, 0.5, 1.5])
init, grid = GaussianInit(1.0, 1.0), np.linspace(-2, 2, 401)
kernel = kernel_interpolant(x, y, init)
corrected, line = kernel.corrected(x, y), kernel.line[0] * grid + kernel.line[1]
figure, axes = plt.subplots(layout="constrained")
for number, width in enumerate((40, 400, 4000)):
    network = WideReLU(width, init, seed=1)
    trained = squared_flow_limit(network, x[:, None], corrected).load(network)
    with torch.no_grad():
        fitted = trained(torch.tensor(grid[:, None])).numpy() + line
    axes.plot(grid, fitted, f"C{number}", lw=1, label=f"n = {width}")
axes.plot(grid, weighted_spline(x, y, init)(grid), "C7--", lw=2, label="weighted spline")
axes.plot(x, y, "ko", mfc="C7", mec="C7", label="data")
axes.set(xlabel="x", ylabel="g(x)")
axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
plt.show()
