r"""Three architectures, three predictors
=====================================

One data set with two input coordinates, three linear networks of depth 2. Lines: decision boundaries of the networks
where gradient flow ends, started from small random weights. Dots on the lines: the certified minimum of
:math:`\|\beta\|_2`, :math:`\|\beta\|_1` and :math:`\|\hat\beta\|_1` subject to
:math:`y_n \langle x_n, \beta \rangle \ge 1`, computed without any network. Axes in units of the data.
"""

import matplotlib.pyplot as plt
import numpy as np

from gd import Convolutional, Diagonal, FullyConnected, flow_limit
from solvers import max_margin

X = np.array([[2.0, 1.0], [3.1, 2.2], [2.3, 3.2], [-2.8, -1.9], [-3.3, -0.6], [-2.2, -2.9]])
y = np.array([1.0, 1, 1, -1, -1, -1])
figure, axes = plt.subplots(figsize=(6.6, 4.2), layout="compressed")
axes.scatter(*X[y > 0].T, marker="o", color="C7", label="y = +1")
axes.scatter(*X[y < 0].T, marker="x", color="C7", label="y = −1")
named = {"fully connected, ‖β‖₂": FullyConnected, "diagonal, ‖β‖₁": Diagonal, "convolutional, ‖β̂‖₁": Convolutional}
for number, (name, network) in enumerate(named.items()):
    model = network(2, 2, seed=0)
    line = (flow_limit(model, X, y).predictor, {"ls": "-", "label": name})
    dots = (max_margin(X, y, model.regularizer).beta, {"ls": "", "marker": ".", "ms": 9})
    for beta, style in (line, dots):
        along = np.array([-beta[1], beta[0]]) / np.linalg.norm(beta)
        axes.plot(*np.outer(along, np.linspace(-3.6, 3.6, 9)), color=f"C{number}", **style)
axes.set(xlim=(-3.8, 3.8), ylim=(-3.8, 3.8), xlabel="x₁", ylabel="x₂", aspect="equal")
figure.legend(loc="outside right center")
plt.show()
