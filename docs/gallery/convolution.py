"""A convolutional network finds few frequencies.

|β̂_d| over its largest against frequency (cycles per signal length), depths 1, 2 and 3, the same 8 Gaussian points in
24 dimensions. Circles: the explicit solution (ℓ2; Fourier ℓ1; for depth 3 the stationary point of ‖β̂‖_{2/3} that the
solver reaches from the flow's limit). Crosses: where gradient flow on the network ends. Below 1e-6 is left out.
"""

import numpy as np

from gd import Convolutional, flow_limit
from solvers import max_margin

SIZE = (5.6, 4.4)


def draw(canvas):
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((8, 24)), np.where(rng.random(8) < 0.5, -1.0, 1.0)
    panels = canvas.subplots(3, sharex=True)
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
