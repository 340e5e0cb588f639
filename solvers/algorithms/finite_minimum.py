"""The least loss of margins where it is attained: Newton's method, and the weights that prove it.

    min_c L(Bc + m₀),      B (M, r) of full column rank, and some p > 0 with Bᵀp = 0.

Newton's method with a line search, in coordinates in which the columns of B are orthonormal: it does not see how they
are scaled. The weights p = −L′ at the end are corrected by relative amounts to Bᵀp = 0, so they stay positive, and
bound L from below.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lstsq, qr, solve_triangular

from solvers.arrays import Array
from solvers.margin_losses import MarginLoss

BALANCED = 1e-13
"""‖Bᵀp‖ up to this is zero, relative to ‖p‖, in coordinates in which the columns of B are orthonormal."""


@dataclass(frozen=True)
class FiniteMinimum:
    """Where the loss is least."""

    c: Array
    """The minimizer, shape (r,)."""
    weights: Array
    """p > 0, shape (M,), zero where m₀ is inf; Bᵀp = 0 up to rounding at a minimum."""
    value: float
    """L(Bc + m₀)."""
    gap: float
    """The value less the lower bound E(p), to rounding; inf where Bᵀp is not zero and bounds nothing."""
    iterations: int
    """Newton steps."""


def finite_minimum(
    B: Array, loss: MarginLoss, offset: Array | None = None, max_steps: int = 500, deadline: float = math.inf
) -> FiniteMinimum:
    """Minimize until no step is an improvement. `offset` is m₀, entries 0 or inf; rows of B at inf are zero.

    No step begins after `deadline`, of `time.monotonic`, but the first.
    """
    start = np.zeros(len(B)) if offset is None else offset
    if B.shape[1] == 0:
        p, value = loss.weights(start), loss.value(start)
        return FiniteMinimum(np.zeros(0), p, value, value - loss.entropy(p), 0)
    q, triangle = qr(B, mode="economic")
    z, steps = _newton_steps(q, loss, start, max_steps, deadline)
    margins = q @ z + start
    p, value = _corrected(loss.weights(margins), q), loss.value(margins)
    balanced = float(np.linalg.norm(q.T @ p)) <= BALANCED * float(np.linalg.norm(p))
    gap = value - loss.entropy(p) if balanced else np.inf
    return FiniteMinimum(solve_triangular(triangle, z), p, value, gap, steps)


def _newton_steps(q: Array, loss: MarginLoss, start: Array, max_steps: int, deadline: float) -> tuple[Array, int]:
    """The minimizer of L(qz + m₀), and how many steps it took."""
    z = np.zeros(q.shape[1])
    for steps in range(max_steps):
        if steps and time.monotonic() >= deadline:
            return z, steps
        margins = q @ z + start
        value, gradient = loss.value(margins), q.T @ loss.weights(margins)  # downhill
        move = _newton(qr(loss.curvature_rows(margins, q), mode="r")[0][: z.size], gradient)
        decrease, length = float(gradient @ move), 1.0
        while length > 1e-12 and not loss.value(q @ (z + length * move) + start) <= value - 1e-4 * length * decrease:
            length /= 2.0
        if length > 1e-12 and decrease > 1e-15 * abs(value):
            z = z + length * move
            continue
        # the value has no digits left: the last step is taken for the gradient's sake
        after = q.T @ loss.weights(q @ (z + move) + start)
        return (z + move if np.linalg.norm(after) < np.linalg.norm(gradient) else z), steps + 1
    return z, max_steps


def _newton(root: Array, gradient: Array) -> Array:
    """(rootᵀroot)⁻¹ gradient."""
    half = lstsq(root.T, gradient, cond=1e-14)[0]
    return np.asarray(lstsq(root, half, cond=1e-14)[0])


def _corrected(p: Array, q: Array) -> Array:
    """p(1 − qc) with qᵀ of it zero: twice, for the digits."""
    for _ in range(2):
        root = np.sqrt(p)
        c = lstsq(root[:, None] * q, root, cond=1e-14)[0]
        change = q @ c
        if np.abs(change).max() >= 0.5:
            break
        p = p * (1.0 - change)
    return np.asarray(p)
