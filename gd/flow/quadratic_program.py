"""A small convex quadratic program by a primal-dual interior point,

    min ½ dᵀHd − 1ᵀd   s.t.   G d ≤ b,   d ≥ −λ,

whose multipliers are as accurate as its solution, whatever is degenerate (`gd.flow.cell_dual` asks for both).

Reference: Mehrotra (1992); Nocedal, Wright (2006), algorithm 16.4.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from solvers.arrays import Array

ITERATIONS = 60
COMPLEMENTARY = 1e-14
FEASIBLE = 1e-13
BACK = 0.99  # of the way to the boundary
START = 1e-2  # smallest slack of the start


def quadratic_program(H: Array, G: Array, b: Array, lam: Array) -> tuple[Array, Array] | None:
    """d (N,) and the multipliers of G d ≤ b, (k,); None where a step is not finite. H is positive definite."""
    k, N = G.shape
    unit = float(lam.max())
    H, G, b = H * unit, G * unit, np.concatenate([b, lam / unit])
    every = np.vstack([G, -np.eye(N)])
    d, s, z = np.zeros(N), np.maximum(b, START), np.full(k + N, 1.0 / max(k, 1))
    for _ in range(ITERATIONS):
        dual, primal = H @ d - 1.0 + every.T @ z, every @ d + s - b
        with np.errstate(over="ignore", divide="ignore"):
            K = np.block([[H + np.diag(z[k:] / s[k:]), G.T], [G, -np.diag(s[:k] / z[:k])]])
        if not np.isfinite(K).all():
            return None
        *factors, failed = lapack.dgetrf(K)
        if failed:
            return None
        change = _step(factors, every, k, dual, primal, s, z, -s * z)
        length = min(_most(s, change[1]), _most(z, change[2]))
        affine = float(((s + length * change[1]) * (z + length * change[2])).mean())
        mean = float((s * z).mean())
        target = (affine / mean) ** 3 * mean - s * z - change[1] * change[2]
        dd, ds, dz = _step(factors, every, k, dual, primal, s, z, target)
        if not (np.isfinite(dd).all() and np.isfinite(dz).all()):
            return None
        length = min(1.0, BACK * min(_most(s, ds), _most(z, dz)))
        d, s, z = d + length * dd, s + length * ds, z + length * dz
        if (s * z).max() <= COMPLEMENTARY * z.max() and np.abs(primal).max() <= FEASIBLE:
            break
    return unit * d, unit * z[:k]


def _step(
    factors: list[Array], every: Array, k: int, dual: Array, primal: Array, s: Array, z: Array, target: Array
) -> tuple[Array, Array, Array]:
    """The changes of d, s and z with z ds + s dz = target and no residuals left."""
    N = every.shape[1]
    top = -dual - every[k:].T @ ((z[k:] * primal[k:] + target[k:]) / s[k:])
    both = lapack.dgetrs(*factors, np.concatenate([top, -primal[:k] - target[:k] / z[:k]]))[0]
    ds = -primal - every @ both[:N]
    dz = (target - z * ds) / s
    dz[:k] = both[N:]
    return both[:N], ds, dz


def _most(value: Array, change: Array) -> float:
    """The largest step that keeps all values nonnegative, at most 1 / `BACK`."""
    falling = change < 0
    return min(1.0 / BACK, float((-value[falling] / change[falling]).min(initial=np.inf)))
