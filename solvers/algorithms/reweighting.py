"""Reweighted ℓ2: a group penalty Σ_g ω_g ‖b_g‖₂^p, 0 < p ≤ 1, as a sequence of ℓ2 max margins.

(‖b‖² + ε²)^{p/2} is concave in ‖b‖², so it lies below its tangent there, and minimizing the tangent,

    min Σ_g w_g ‖b_g‖₂²   s.t.  Σ_g B_g b_g ≥ 1,       w_g = ω_g (‖b_g‖² + ε²)^{p/2 − 1} of the b before,

decreases the smoothed penalty. ε falls in stages until coefficients are either of order one or gone.

Reference: Chartrand, Yin (2008), "Iteratively reweighted algorithms for compressive sensing", for the lowering of ε.
"""

from __future__ import annotations

import numpy as np

from solvers.algorithms.least_distance import l2_max_margin
from solvers.algorithms.signed_rows import SignedRows
from solvers.arrays import Array

ACCURACY = 1e-10
"""Of each ℓ2 problem, relative: the steps between them are larger, and Newton's method comes after."""


def weighted_l2(B: Array, weights: Array, start: Array | None = None) -> tuple[Array, Array]:
    """argmin Σ_g w_g ‖b_g‖² s.t. Bb ≥ 1, shape (G, m), and its multipliers (N,), for B (N, G, m), from `start`."""
    root = np.repeat(1.0 / np.sqrt(weights), B.shape[2])
    rows = SignedRows(B.reshape(B.shape[0], -1), np.ones(B.shape[0]), root)
    flat, dual, _ = l2_max_margin(rows, start, ACCURACY)
    return (flat * root).reshape(weights.size, -1), dual


def weights_at(b: Array, omega: Array, p: float, epsilon: float) -> Array:
    """w of the tangent at b, with b scaled so that its largest group has norm one."""
    size = np.linalg.norm(b, axis=1)
    return np.asarray(omega * ((size / size.max()) ** 2 + epsilon**2) ** (p / 2.0 - 1.0))


def reweighted(
    B: Array, omega: Array, p: float, weights: Array, first: float, last: float = 1e-9
) -> tuple[Array, Array]:
    """b (G, m) and multipliers (N,) after reweighting from `weights`, ε falling tenfold from `first` to `last`."""
    b, dual = weighted_l2(B, weights)
    epsilon = first
    while epsilon >= last:
        for _ in range(10):
            previous = b
            b, dual = weighted_l2(B, weights_at(b, omega, p, epsilon), dual)
            if np.linalg.norm(b - previous) <= 1e-2 * epsilon * np.linalg.norm(b):
                break
        epsilon /= 10.0
    return b, dual
