"""Two layers and several outputs: low rank.

Singular values of the limit β (3 outputs, 8 dimensions, 6 points, a constraint for every point and output). Circles:
certified optimum of the Frobenius norm (depth 1) and of the nuclear norm (depth 2). Crosses: where gradient flow on the
network ends. Each over its largest singular value.
"""

import numpy as np

from gd import FullyConnected, flow_limit
from solvers import max_margin


def draw(canvas):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((6, 8))
    Y = np.where(X @ np.outer(rng.standard_normal(8), [1.0, -1.0, 1.0]) + 0.6 * rng.standard_normal((6, 3)) > 0, 1.0, -1.0)
    axes = canvas.subplots()
    for number, depth in enumerate((1, 2)):
        model = FullyConnected(8, depth, outputs=3, seed=0)
        limit = flow_limit(model, X, Y)
        for beta, style in (
            (max_margin(X, Y, _price(depth)).beta, {"marker": "o", "mfc": "none", "ms": 9, "label": f"depth {depth}, solver"}),
            (limit.predictor, {"marker": "x", "label": f"depth {depth}, network"}),
        ):
            sigma = np.linalg.svd(beta, compute_uv=False)
            axes.semilogy([1, 2, 3], np.maximum(sigma / sigma[0], 1e-12), ls="", color=f"C{number}", **style)
    axes.set(xlabel="singular value", ylabel="σ / σ₁ (below 1e-12 drawn there)", xticks=[1, 2, 3])
    axes.legend()


def _price(depth):
    from solvers import Schatten

    return Schatten(2 / depth)
