"""Between two norms: what kernels of size K pay.

R_K(β) of a two-layer linear CNN for a Gaussian β with D = 64, against the kernel size K, each value with its duality
gap closed. K = 1 is 2√D‖β‖₂ and K = D is 2‖β̂‖₁ (dashed). Units of β.
"""

import numpy as np

from solvers import FourierBridge, induced_regularizer


def draw(canvas):
    beta = np.random.default_rng(0).standard_normal(64)
    sizes = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
    axes = canvas.subplots()
    axes.semilogx(sizes, [induced_regularizer(beta, K).value for K in sizes], "C0o-", base=2, label="R_K(β)")
    axes.axhline(2 * 8 * np.linalg.norm(beta), color="C1", ls="--", lw=1, label="2√D ‖β‖₂")
    axes.axhline(2 * FourierBridge(1).value(beta), color="C2", ls="--", lw=1, label="2 ‖β̂‖₁")
    axes.set(xlabel="kernel size K", ylabel="price ‖U‖² + ‖V‖²")
    axes.legend()
