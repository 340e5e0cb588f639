r"""Between two norms: kernels of size K
====================================

:math:`R_K(\beta)` of a two-layer linear CNN for a Gaussian :math:`\beta` with D = 64, against the kernel size K. The
duality gap of each value is closed. At K = 1 it is :math:`2\sqrt{D}\|\beta\|_2`, at K = D it is
:math:`2\|\hat\beta\|_1` (dashed). Units of :math:`\beta`.
"""

import matplotlib.pyplot as plt
import numpy as np

from solvers import FourierBridge, induced_regularizer

beta = np.random.default_rng(0).standard_normal(64)
sizes = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
figure, axes = plt.subplots(layout="constrained")
axes.semilogx(sizes, [induced_regularizer(beta, K).value for K in sizes], "C0o-", base=2, label="R_K(β)")
axes.axhline(2 * 8 * np.linalg.norm(beta), color="C1", ls="--", lw=1, label="2√D ‖β‖₂")
axes.axhline(2 * FourierBridge(1).value(beta), color="C2", ls="--", lw=1, label="2 ‖β̂‖₁")
axes.set(xlabel="kernel size K", ylabel="‖U‖² + ‖V‖²")
axes.legend()
plt.show()
