r"""A convolutional network finds few frequencies
=============================================

:math:`|\hat\beta_d|` over its largest against frequency (cycles per signal length), for depths 1, 2 and 3, on the same
8 Gaussian points in 24 dimensions. Circles: the explicit solution (:math:`\ell_2`; Fourier :math:`\ell_1`; for depth 3
the stationary point of :math:`\|\hat\beta\|_{2/3}` that the solver reaches from the flow's limit). Crosses: where
gradient flow on the network ends. Values below 1e-6 are left out.
"""

import matplotlib.pyplot as plt
import numpy as np

from gd import Convolutional, flow_limit
from solvers import max_margin

rng = np.random.default_rng(3)
X, y = rng.standard_normal((8, 24)), np.where(rng.random(8) < 0.5, -1.0, 1.0)
figure, panels = plt.subplots(3, sharex=True, figsize=(5.6, 4.4), layout="constrained")
for panel, depth in zip(panels, (1, 2, 3), strict=True):
    model = Convolutional(24, depth, seed=0)
    limit = flow_limit(model, X, y).predictor
    solution = max_margin(X, y, model.regularizer, **({"start": limit} if depth > 2 else {}))
    explicit = solution.from_start.beta if depth > 2 else solution.beta
    for beta, style in ((explicit, {"marker": "o", "mfc": "none", "ms": 8}), (limit, {"marker": "x", "ms": 5})):
        height = np.abs(np.fft.rfft(beta))
        height /= height.max()
        shown = height > 1e-6
        panel.plot(np.flatnonzero(shown), height[shown], ls="", color=f"C{depth - 1}", **style)
    panel.set(ylabel=f"|β̂|, depth {depth}", ylim=(0, 1.15))
panels[-1].set_xlabel("frequency d")
plt.show()
