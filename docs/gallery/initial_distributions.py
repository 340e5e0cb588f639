r"""How the initialization bends the spline
=======================================

The function of least :math:`\int (g'')^2/\zeta` through five points, for three laws of the first layer's weights and
biases, and for a constant :math:`\zeta` (the natural cubic spline). A wide network whose initialization has the law on
the label approaches the curve of that label.
"""

import matplotlib.pyplot as plt
import numpy as np

from solvers import BinaryUniformInit, GaussianInit, UniformInit, weighted_spline

x, y = np.array([-2.0, -1, 0, 1, 2]), np.array([1.5, 0.5, 1.5, 0.5, 1.5])
laws = {
    "Gaussian $\\sigma_w = \\sigma_b = 1$": GaussianInit(1, 1),
    "Gaussian $\\sigma_w = 1, \\sigma_b = 0.3$": GaussianInit(1, 0.3),
    "uniform $a_w = a_b = 1$": UniformInit(1, 1),
    "w = ±1, $a_b = 3$: ζ constant": BinaryUniformInit(3),
}
grid = np.linspace(-2, 2, 401)
figure, axes = plt.subplots(layout="constrained")
for name, law in laws.items():
    axes.plot(grid, weighted_spline(x, y, law)(grid), label=name)
axes.plot(x, y, "o", color="C7")
axes.set(xlabel="x", ylabel="g(x)", ylim=(None, 2.3))
axes.legend(ncols=2, loc="upper center")
plt.show()
