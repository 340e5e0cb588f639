"""ℓ2 max margin in the inner products of the rows: Newton's method on an augmented Lagrangian.

    min_α ½ αᵀGα − 1ᵀα   s.t.  α ≥ 0,            G = AAᵀ,  β = Aᵀα,  margins Gα

One step of the augmented Lagrangian with penalty C minimizes a piecewise quadratic function of β,

    ½‖β‖² + (C/2) Σ_n (1 + α_n/C − ⟨a_n, β⟩)₊²,       then  α_n ← C (1 + α_n/C − ⟨a_n, β⟩)₊.

Newton's method finds that minimum exactly after finitely many steps. A step solves (G_JJ + I/C) α_J = 1 + α_J/C on the
rows J where the bracket is positive, so many rows enter and leave at once. The term I/C keeps dependent rows apart. A
few steps of the augmented Lagrangian close the duality gap to rounding.

Reference: Keerthi, DeCoste (2005), for the Newton steps; Li, Sun, Toh (2018) for both together.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dposv

from solvers.arrays import Array

LARGE_PREDICTOR = 1e3
"""Up to this ‖β‖ (points of norm at most one) inner products of the points leave digits enough."""

_LARGEST_PENALTY = 1e11
"""1/C is then still above the rounding of G."""

FEW = 100
"""Rows up to which a step costs less than its Python calls: a large first penalty saves outer steps there."""


def dual_newton(G: Array, start: Array, tol: float) -> tuple[Array, float]:
    """α from α = `start`, and the relative duality gap it reaches; inf when ‖β‖ exceeds `LARGE_PREDICTOR`.

    G has a diagonal of at most one. Rows that do not separate end that way too: there ‖β‖ grows with C.
    """
    alpha, penalty, gap = start, 1e5 if start.size <= FEW else 1e3, np.inf
    square = float(start @ G @ start)
    if square > 0.0:
        alpha = start * (float(start.sum()) / square)
    elif start.any():  # Σ α_n a_n = 0 to rounding: ‖β‖ is too large for inner products
        return alpha, gap
    while penalty <= _LARGEST_PENALTY:
        found = _minimum(G, alpha, 1.0 + alpha / penalty, penalty)
        if found is None:
            break
        alpha, before = found, gap
        margins = G @ alpha
        square = float(alpha @ margins)
        if not 0.0 < square <= LARGE_PREDICTOR**2:
            return alpha, np.inf
        # of β/margin and of α scaled to ‖Aᵀα‖ = 1
        gap = 1.0 - float(margins.min()) * float(alpha.sum()) / square
        if gap <= tol:
            break
        if gap > 1e-2 * before:
            penalty *= 10.0
    return alpha, gap


def _minimum(G: Array, alpha: Array, goal: Array, penalty: float, max_steps: int = 100) -> Array | None:
    """argmin ½‖β‖² + (C/2) Σ (goal − ⟨a_n, β⟩)₊² as the α ≥ 0 of β = Aᵀα, from β = Aᵀ`alpha`; None if not found."""
    coefficients, margins = alpha, G @ alpha
    for _ in range(max_steps):
        active = margins < goal
        rows = active.nonzero()[0]
        if rows.size == 0:  # only rounding can say so
            return None
        system = G[rows[:, None], rows]
        system.flat[:: rows.size + 1] += 1.0 / penalty
        _, solution, info = dposv(system.T, goal[rows], lower=1, overwrite_a=1)
        if info != 0:
            return None
        newton = np.zeros(alpha.size)
        newton[rows] = solution
        reached = G @ newton
        if ((reached < goal) == active).all():
            return np.maximum(newton, 0.0)
        step, change = newton - coefficients, reached - margins
        length = _line_minimum(float(margins @ step), float(step @ change), goal - margins, change, penalty)
        if not length > 0.0:  # rounding denies the descent
            return None
        coefficients, margins = coefficients + length * step, margins + length * change
    return None


def _line_minimum(first: float, second: float, slack: Array, change: Array, penalty: float) -> float:
    """The t in [0, 1] that minimizes first·t + second·t²/2 + (C/2) Σ (slack − t·change)₊².

    The derivative is increasing and linear between the t where a term begins or ends.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        bend = slack / change
    crossing = ((bend > 0.0) & (bend < 1.0)).nonzero()[0]
    crossing = crossing[bend[crossing].argsort()]
    bend, on = bend[crossing], change * (slack > 0.0)
    moved = change[crossing]
    begins = -penalty * abs(moved)
    constant, slope = np.empty(crossing.size + 1), np.empty(crossing.size + 1)
    constant[0], slope[0] = first - penalty * float(slack @ on), second + penalty * float(change @ on)
    constant[1:] = constant[0] - (begins * slack[crossing]).cumsum()
    slope[1:] = slope[0] + (begins * moved).cumsum()
    rising = (constant[:-1] + slope[:-1] * bend >= 0.0).nonzero()[0]
    piece = int(rising[0]) if rising.size else crossing.size
    return float(min(max(-constant[piece] / slope[piece], 0.0), 1.0))
