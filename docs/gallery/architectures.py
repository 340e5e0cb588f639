"""One data set, three architectures, three predictors.

Lines: decision boundaries where gradient flow ends, for a fully connected, a diagonal and a convolutional linear
network of depth 2, followed to the limit from small random weights. Dots on them: the certified minimum of ‖β‖₂, ‖β‖₁
and ‖β̂‖₁ under y_n⟨x_n, β⟩ ≥ 1, which knows nothing of networks. Axes in units of the data.
"""

import numpy as np

from gd import Convolutional, Diagonal, FullyConnected, flow_limit
from solvers import max_margin


def draw(canvas):
    X = np.array([[2.0, 1.0], [3.1, 2.2], [2.3, 3.2], [-2.8, -1.9], [-3.3, -0.6], [-2.2, -2.9]])
    y = np.array([1.0, 1, 1, -1, -1, -1])
    axes = canvas.subplots()
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
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
