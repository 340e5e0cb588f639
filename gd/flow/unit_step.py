"""One step of a two-layer network, exact in the weights for constant loss weights p, gates and walls.

With the force on unit j along its walls, g_j = P_j Σ_n p_n y_n s_jn x_n (`gd.flow.two_layer_tangent`), the flow is

    w_j′ = a_j g_j,   a_j′ = ⟨g_j, w_j⟩.

It is linear, and moves the part of w_j along e_j = g_j/|g_j| alone: u_j = ⟨e_j, w_j⟩ and a_j have

    u_j + a_j → (u_j + a_j) e^{h|g_j|},     u_j − a_j → (u_j − a_j) e^{−h|g_j|}.                                  (1)

So a unit with |g_j| a little below the others' dies like ‖w‖^{−δ}, and a step over ln‖w‖ of hundreds is as exact as a
short one. As in `gd.flow.exponential_step`, p is that of the end of the step,

    p_n ∝ φ(μ_n/T),   μ_n = y_n Σ_j s_jn a_j ⟨w_j, x_n⟩ / ‖θ(h)‖²,                                                (2)

solved by Newton's method. There a_j w_j answers g_j by h(u_j² + a_j²) along e_j, and across it, where a change of g_j
turns it, by a_j(u_j(h) − u_j(0))/|g_j|. Gates and walls are those of the start; a step after which they would be others
is not taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gd.flow.implicit_weights import SMALLEST, newton_step, updated_weights
from gd.flow.loss_weights import FlowWeights
from gd.flow.two_layer_tangent import UnitTangent
from solvers.arrays import Array

LARGEST_CHANGE = 1.0  # of h·g in one Newton iteration, for units that are not negligible
CONVERGED = 1e-11  # on max|Δp|, as for the linearly implicit step
ROUNDING = 1e-15  # relative, of h·g: over T it is how well p is defined
ITERATIONS = 60
HELD = 1e-6
"""Of its size: a unit that shrinks further in one step is held there. Next to what it was the rest would be rounding,
and its direction and signs with it."""


@dataclass(frozen=True)
class Ended:
    """(1) at the end of a step, divided by ‖θ(h)‖."""

    W: Array
    """(H, r)."""
    a: Array
    """(H,)."""
    growth: float
    """ln‖θ(h)‖."""
    e: Array
    """e_j, (H, r)."""
    along: Array
    """How a_j w_j answers g_j along e_j, (H,)."""
    across: Array
    """And across it."""

    @classmethod
    def of(cls, tangent: UnitTangent, W: Array, g: Array, h: float) -> Ended:
        """From units at W along the walls, with forces g (H, r)."""
        a, size = tangent.at.a[0], np.linalg.norm(g, axis=1)
        pulled = np.maximum(size, SMALLEST)
        e = g / pulled[:, None]
        u = (W * e).sum(1)
        sums, turn = np.stack([u + a, u - a]), h * size
        log = np.log(np.maximum(np.abs(sums), SMALLEST)) + np.stack([turn, -turn])
        top = max(float(log.max()), 0.0)  # what does not move stays
        s, d = np.sign(sums) * np.exp(log - top)
        left = np.exp(-top)
        rest = (W - u[:, None] * e) * left
        W_end, a_end = rest + (0.5 * (s + d))[:, None] * e, 0.5 * (s - d)
        square = float((W_end**2).sum() + a_end @ a_end)
        along = 0.5 * h * (s**2 + d**2) / square
        across = a_end * (0.5 * (s + d) - u * left) / pulled / square
        length = np.sqrt(square)
        least = HELD * np.hypot(np.linalg.norm(W, axis=1), a)
        now = np.hypot(np.linalg.norm(W_end, axis=1), a_end) / length
        held = np.where((now < least) & (now > 0), least / np.maximum(now, SMALLEST), 1.0) / length
        growth = top + float(np.log(length))
        return cls(W_end * held[:, None], a_end * held, growth, e, along, np.clip(across, 0.0, along))

    def columns(self, tangent: UnitTangent, S: Array) -> Callable[[NDArray[np.intp]], Array]:
        """Columns of ∂μ/∂p, (1, N, k)."""
        turned = S * (self.e @ tangent.data.X.T) * np.sqrt(self.along - self.across)[:, None]
        K = tangent.walls.gram(S * np.sqrt(self.across)[:, None], turned, tangent.data.XX)
        return lambda kept: K[None, :, kept]


def unit_step(tangent: UnitTangent, h: float, T: float, guess: Array, loss: FlowWeights) -> tuple[Array, Ended] | None:
    """p (N,) and where a step of length h leads; None where Newton's method does not converge.

    Args:
        tangent: at the start, of one network, its units of joint norm one.
        h: length of the step in τ.
        T: temperature of weights of norm one, at the end of the step.
        guess: p of a neighbouring solve, shape (N,), positive.
        loss: φ.
    """
    data, S = tangent.data, tangent.slopes[0]
    W, p = tangent.walls.along(tangent.at.W[0]), guess

    def forces(weights: Array) -> Array:
        return tangent.walls.along((S * weights) @ data.X)

    g = forces(p)
    for _ in range(ITERATIONS):
        ended = Ended.of(tangent, W, g, h)
        mu = ended.a @ (S * (ended.W @ data.X.T))
        linearized = loss.linearized(mu[None], p[None], np.array([T]))
        u, _ = newton_step(ended.columns(tangent, S), p[None], np.array([T]), linearized)
        new = updated_weights(p[None], u)[0]
        moved = h * np.linalg.norm(forces(new - p), axis=1)
        if not np.isfinite(moved).all():
            return None
        largest = float(moved[ended.along > 1e-12 * ended.along.max()].max())
        share = min(1.0, LARGEST_CHANGE / max(largest, 1e-300))
        new = np.maximum(p + share * (new - p), SMALLEST)
        change = float(np.abs(new - p).max())
        noise = ROUNDING * float(np.abs(mu).max()) * max(1.0, h * float(np.linalg.norm(g, axis=1).max())) / T
        p, g = new, forces(new)
        if share == 1.0 and change < max(CONVERGED, noise) and float(u.max()) < 1e-2:
            return p, ended
    return None
