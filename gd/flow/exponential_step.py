"""One implicit step of a product network of depth 2, exact in the weights for constant loss weights p.

While p is constant, g = Fᵀp (D,) is, and w₁′ = g ⊙ w̄₂, w₂′ = g ⊙ w̄₁ is linear: with e = g/|g|, s = w₁ + e ⊙ w̄₂ and
d = w₁ − e ⊙ w̄₂,

    s(h) = s ⊙ e^{h|g|},     d(h) = d ⊙ e^{−h|g|},     b(h) = w₁ ⊙ w₂ = ¼ e ⊙ (s + d) ⊙ conj(s − d).             (1)

Entries of a diagonal network are real, and e is a sign; frequencies of a convolution are complex.

The linearly implicit Euler step holds the Jacobian instead, so that ‖w‖ grows at most by a fixed factor in a step. Late
in a flow that is the only thing that keeps the step short: a coefficient that has shrunk to e^{−1000} and grows back
takes ln‖w‖ of many thousands, at constant p. Here p is taken at the end of (1),

    p_n ∝ φ(μ_n/T),     μ = Re F̄ b(h) / ‖w(h)‖²,                                                                 (2)

and (2) is solved by Newton's method with ∂b/∂g ≈ ½h (|s|² + |d|²) along e, and (β(h) − β(0))/|g| with
β = ¼(|s|² − |d|²) across it, where a change of g turns b. What is neglected is the part of b that all g leave alone,
and the derivative of ‖w(h)‖², which shifts all tied margins alike and so leaves p where it is.

Reference: Woodworth et al. (2020), "Kernel and rich regimes in overparametrized models", appendix, for (1) in reals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gd.flow.implicit_weights import SMALLEST, newton_step, updated_weights
from gd.flow.loss_weights import FlowWeights
from solvers.arrays import Array

LARGEST_CHANGE = 1.0  # of h·g in one Newton iteration, for coefficients that are not negligible: e is a mild factor
CONVERGED = 1e-11  # on max|Δp|, as for the linearly implicit step
ROUNDING = 1e-15  # relative, of h·g: over T it is how well p is defined
ITERATIONS = 60
SMALL_TURN = 1e-4  # of h·|g|: below it b changes alike in all directions, and the difference is rounding


def exponential_step(
    F: Array, w: Array, h: float, T: float, guess: Array, loss: FlowWeights
) -> tuple[Array, Array, float, bool]:
    """The weights after a step of length h of one network, with p taken at its end.

    Args:
        F: gradients of the margins by w₁ ⊙ w₂, shape (N, D), real or complex.
        w: both layers, shape (2, D).
        h: length of the step in τ.
        T: temperature of weights of norm one, at the end of the step.
        guess: p of a neighbouring solve, shape (N,), positive.
        loss: φ.

    Returns:
        p (N,); the weights (2, D) of norm one; ln‖w(h)‖; and whether Newton's method converged.
    """
    p, g = guess, guess @ F
    for _ in range(ITERATIONS):
        at_end = _Ended.of(w, g, h)
        mu = np.asarray((F.conj() @ at_end.b).real)
        linearized = loss.linearized(mu[None], p[None], np.array([T]))
        u, _ = newton_step(at_end.columns(F), p[None], np.array([T]), linearized)
        new = updated_weights(p[None], u)[0]
        moved = h * np.abs((new - p) @ F)
        if not np.isfinite(moved).all():
            break
        largest = float(moved[at_end.along > 1e-12 * at_end.along.max()].max())
        share = min(1.0, LARGEST_CHANGE / max(largest, 1e-300))
        new = np.maximum(p + share * (new - p), SMALLEST)
        change = float(np.abs(new - p).max())
        noise = ROUNDING * float(np.abs(mu).max()) * max(1.0, h * float(np.abs(g).max())) / T
        p, g = new, new @ F
        if share == 1.0 and change < max(CONVERGED, noise) and float(u.max()) < 1e-2:
            return p, at_end.w, at_end.growth, True
    return p, w, 0.0, False


@dataclass(frozen=True)
class _Ended:
    """(1) at the end of a step, divided by ‖w(h)‖."""

    w: Array
    growth: float
    """ln‖w(h)‖."""
    e: Array
    """The phases of g."""
    along: Array
    """∂b/∂g along e, (D,)."""
    across: Array
    """And across it."""

    @classmethod
    def of(cls, w: Array, g: Array, h: float) -> _Ended:
        size = np.abs(g)
        e = np.where(size > 0, g, 1.0) / np.where(size > 0, size, 1.0)
        start, turn = np.stack([w[0] + e * w[1].conj(), w[0] - e * w[1].conj()]), h * size
        log = np.log(np.maximum(np.abs(start), 1e-300)) + np.stack([turn, -turn])
        top = float(log.max())
        s, d = start / np.maximum(np.abs(start), 1e-300) * np.exp(log - top)
        S, D, before = np.abs(s) ** 2, np.abs(d) ** 2, (start * start.conj()).real * np.exp(-2.0 * top)
        square = 0.5 * float((S + D).sum())
        along = 0.5 * h * (S + D)
        change = 0.25 * (S - D - before[0] + before[1])
        across = np.where(turn > SMALL_TURN, change / np.where(size > 0, size, 1.0), along)
        length = np.sqrt(square)
        ended = np.stack([s + d, e * (s - d).conj()]) / (2.0 * length)
        return cls(ended, top + float(np.log(length)), e, along / square, across / square)

    @property
    def b(self) -> Array:
        return np.asarray(self.w[0] * self.w[1])

    def columns(self, F: Array) -> Callable[[NDArray[np.intp]], Array]:
        """Columns of F (∂b/∂g) Fᵀ, (1, N, k)."""
        turned = F * self.e.conj()
        if np.iscomplexobj(F):
            rows = np.hstack([turned.real, turned.imag])
            slopes = np.concatenate([self.along, self.across])
        else:
            rows, slopes = turned, self.along
        left = rows * slopes
        return lambda kept: (left @ rows[kept].T)[None]
