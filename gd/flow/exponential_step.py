"""One implicit step of a diagonal network of depth 2, exact in the weights for constant loss weights p.

While p is constant, g = Fᵀp (D,) is, and w₁′ = g ⊙ w₂, w₂′ = g ⊙ w₁ is linear: with s = w₁ + w₂ and d = w₁ − w₂,

    s(h) = s ⊙ e^{hg},   d(h) = d ⊙ e^{−hg},   b(h) = w₁ ⊙ w₂ = ¼ (s² ⊙ e^{2hg} − d² ⊙ e^{−2hg}).              (1)

The linearly implicit Euler step holds the Jacobian instead, so that ‖w‖ grows at most by a fixed factor in a step. Late
in a flow that is the only thing that keeps the step short: a coefficient that has shrunk to e^{−1000} and grows back
takes ln‖w‖ of many thousands, at constant p. Here p is taken at the end of (1),

    p_n ∝ φ(μ_n/T),     μ = F b(h) / ‖w(h)‖²,                                                                    (2)

and (2) is solved by Newton's method with ∂μ/∂p ≈ h F diag(½ (s² e^{2hg} + d² e^{−2hg})) Fᵀ / ‖w(h)‖². What is
neglected is the derivative of ‖w(h)‖², which shifts all tied margins alike and so leaves p where it is.

Reference: Woodworth et al. (2020), "Kernel and rich regimes in overparametrized models", appendix, for (1).
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from gd.flow.implicit_weights import SMALLEST, newton_step, updated_weights
from gd.flow.loss_weights import FlowWeights
from solvers.arrays import Array

LARGEST_CHANGE = 1.0  # of h·g in one Newton iteration, for coefficients that are not negligible: e is a mild factor
CONVERGED = 1e-11  # on max|Δp|, as for the linearly implicit step
ROUNDING = 1e-15  # relative, of h·g: over T it is how well p is defined
ITERATIONS = 60


def exponential_step(
    F: Array, w: Array, h: float, T: float, guess: Array, loss: FlowWeights
) -> tuple[Array, Array, float, bool]:
    """The weights after a step of length h of one network, with p taken at its end.

    Args:
        F: rows y_n x_n, shape (N, D).
        w: both layers, shape (2, D).
        h: length of the step in τ.
        T: temperature of weights of norm one, at the end of the step.
        guess: p of a neighbouring solve, shape (N,), positive.
        loss: φ.

    Returns:
        p (N,); the weights (2, D) of norm one; ln‖w(h)‖; and whether Newton's method converged.
    """
    sign_s, sign_d = np.sign(w[0] + w[1]), np.sign(w[0] - w[1])
    log_s, log_d = (np.log(np.maximum(np.abs(part), 1e-300)) for part in (w[0] + w[1], w[0] - w[1]))
    p, g = guess, F.T @ guess
    for _ in range(ITERATIONS):
        top = max(float((log_s + h * g).max()), float((log_d - h * g).max()))
        s, d = sign_s * np.exp(log_s + h * g - top), sign_d * np.exp(log_d - h * g - top)
        square = 0.5 * float(s @ s + d @ d)
        speed = 0.5 * (s**2 + d**2) / square
        mu = F @ (0.25 * (s**2 - d**2)) / square
        at = loss.linearized(mu[None], p[None], np.array([T]))
        try:
            u, _ = newton_step(partial(_columns, h * F * speed, F), p[None], np.array([T]), at)
        except np.linalg.LinAlgError:
            break
        new = updated_weights(p[None], u)[0]
        moved = h * (F.T @ (new - p))
        if not np.isfinite(moved).all():
            break
        largest = float(np.abs(moved[speed > 1e-12 * speed.max()]).max())
        share = min(1.0, LARGEST_CHANGE / max(largest, 1e-300))
        new = np.maximum(p + share * (new - p), SMALLEST)
        change = float(np.abs(new - p).max())
        noise = ROUNDING * max(float(np.abs(mu).max()), float(np.abs(h * g).max()) * float(np.abs(mu).max())) / T
        p, g = new, F.T @ new
        if share == 1.0 and change < max(CONVERGED, noise) and float(u.max()) < 1e-2:
            length = np.sqrt(square)
            ended = np.stack([s + d, s - d]) / (2.0 * length)
            return p, ended, top + float(np.log(length)), True
    return p, w, 0.0, False


def _columns(left: Array, right: Array, kept: NDArray[np.intp]) -> Array:
    return (left @ right[kept].T)[None]
