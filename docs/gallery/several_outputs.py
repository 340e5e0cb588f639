r"""Two layers and several outputs: lower rank
==========================================

Singular values of the limit :math:`\beta` (4 outputs, 12 dimensions, 6 points, a constraint for every point and
output), each over the largest. Circles: the certified optimum of the Frobenius norm (depth 1) and of the nuclear norm
(depth 2). Crosses: where gradient flow on the network ends. Values below 1e-8 are drawn there.
"""

import matplotlib.pyplot as plt
import numpy as np

from gd import FullyConnected, flow_limit
from solvers import Schatten, max_margin

rng = np.random.default_rng(3)
X, rows, columns = rng.standard_normal((6, 12)), rng.standard_normal((2, 12)), rng.standard_normal((4, 2))
Y = np.where(X @ (columns @ rows).T > 0, 1.0, -1.0)  # labels of a predictor of rank two
figure, axes = plt.subplots(layout="constrained")
for number, depth in enumerate((1, 2)):
    model = FullyConnected(12, depth, outputs=4, seed=0)
    circles = (max_margin(X, Y, Schatten(2 / depth), tol=1e-6).beta, {"marker": "o", "mfc": "none", "ms": 9})
    crosses = (flow_limit(model, X, Y).predictor, {"marker": "x"})
    for (beta, style), side in ((circles, "solver"), (crosses, "network")):
        style["label"] = f"depth {depth}, {side}"
        sigma = np.linalg.svd(beta, compute_uv=False)
        axes.semilogy([1, 2, 3, 4], np.maximum(sigma / sigma[0], 1e-8), ls="", color=f"C{number}", **style)
axes.set(xlabel="singular value", ylabel="σ / σ₁", xticks=[1, 2, 3, 4])
axes.legend()
plt.show()
