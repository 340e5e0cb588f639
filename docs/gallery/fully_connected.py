r"""Depth changes the speed, not the limit
======================================

Angle in degrees between gradient descent's predictor and the :math:`\ell_2` max-margin predictor, against steps of a
line search (10 Gaussian points in 20 dimensions). Stars at the right, side by side: where `gd.flow_limit` ends, drawn
at 1e-7 degrees when below.
"""

import matplotlib.pyplot as plt
import numpy as np

from compare import angle
from gd import FullyConnected, descend, flow_limit
from solvers import L2, max_margin

rng = np.random.default_rng(0)
X, y = rng.standard_normal((10, 20)), np.where(rng.random(10) < 0.5, -1.0, 1.0)
best = max_margin(X, y, L2()).beta
figure, axes = plt.subplots(layout="constrained")
for depth in (1, 2, 3):
    model = FullyConnected(20, depth, seed=0)
    path = descend(model, X, y, steps=1000)
    degrees = [np.degrees(angle(beta, best)) for beta in path.predictors[0]]
    axes.loglog(path.steps[1:], degrees[1:], f"C{depth - 1}", label=f"depth {depth}")
    end = np.degrees(angle(flow_limit(model, X, y).predictor, best))
    axes.plot(1e3 * 1.5**depth, max(end, 1e-7), f"C{depth - 1}*", ms=9)
axes.set(xlabel="steps", ylabel="angle to ℓ2 max margin [°]", ylim=(5e-8, None))
axes.legend(loc="center left")
plt.show()
