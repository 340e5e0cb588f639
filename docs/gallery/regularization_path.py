r"""Gradient descent and the regularization path
============================================

Angle in degrees to the :math:`\ell_2` max-margin predictor against :math:`\|\beta\|_2`, for the logistic loss and 10
separable Gaussian points in 20 dimensions. One line is gradient descent on the linear predictor from random weights of
size 0.001. The other is the least loss in the ball of radius :math:`\|\beta\|_2`, solved at each radius with a proved
gap.
"""

import matplotlib.pyplot as plt
import numpy as np

from compare import angle
from gd import FullyConnected, descend
from solvers import L2, max_margin, regularization_path

rng = np.random.default_rng(0)
X, y = rng.standard_normal((10, 20)), np.where(rng.random(10) < 0.5, -1.0, 1.0)
best = max_margin(X, y, L2()).beta
descent = descend(FullyConnected(20, 1, scale=1e-3, seed=0), X, y, loss="logistic", steps=1000).predictors[0]
explicit = regularization_path(X, y, np.geomspace(0.05, 50, 30), L2()).predictors
figure, axes = plt.subplots(layout="constrained")
for name, betas in {"gradient descent": descent[1:], "regularization path": explicit}.items():
    size = np.linalg.norm(betas, axis=1)
    axes.loglog(size, [np.degrees(angle(beta, best)) for beta in betas], label=name)
axes.set(xlabel="‖β‖₂ [1/units of x]", ylabel="angle to the limit [°]", xlim=(0.03, 100))
axes.legend()
plt.show()
