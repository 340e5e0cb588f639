"""The last step: from a direction beside the limit to the limit, by Newton's method on the identified KKT system.

A flow at temperature T is O(T ln 1/T) from its limit, and slower than that where a multiplier is small. But it shows
which margins tie (the weights p that stay positive) and which coefficients survive, and with both known the limit
solves equations. For networks whose price is a sum over coefficients c of β (entries or frequencies),

    min Σ_{d∈S} ω_d |c_d|^p   s.t.   m_n(c) = Re Σ_d conj(F_nd) c_d = 1, n ∈ A,        p = 2/L,

they are the stationarity p ω_d |c_d|^{p−2} c_d = Σ_n α_n F_nd (eq. 13 of Gunasekar et al. 2018) and the active
constraints. Newton's matrix is scaled by |c|, so tiny coefficients are as exact, relatively, as large ones; where it
is singular (duplicated points, flat optimal faces) the least-norm step is taken, which stays nearest to the flow.
Sets identified wrongly show as wrong signs and are corrected a few times: a negative multiplier leaves A, a violated
margin joins it, a coefficient whose dual constraint is violated joins S (p = 1). The caller decides whether to
believe the answer: by the certificate, and by its distance from the flow's direction.

Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2, 2a.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array

MAX_CORRECTIONS = 40
NEWTON_STEPS = 15
COLLAPSED = 1e-2  # of its start: a coefficient that Newton's method shrinks this far
SINGULAR = 1e-12  # singular values below this, relative, are treated as zero


@dataclass(frozen=True)
class CoefficientProblem:
    """min Σ_d ω_d |c_d|^p s.t. G c ≥ 1, in real coordinates: coefficient d owns columns 2d and 2d+1 (or only d)."""

    G: Array
    """(N, columns): real rows of the constraints."""
    owner: NDArray[np.intp]
    """(columns,): the coefficient each column belongs to."""
    omega: Array
    """(coefficients,): ω, 2^{1−p/2} where a frequency stands for a conjugate pair, else 1."""
    p: float

    def magnitudes(self, c: Array) -> Array:
        return np.sqrt(np.bincount(self.owner, c**2, minlength=self.omega.size))

    def gradient(self, c: Array, magnitude: Array) -> Array:
        """p ω |c|^{p−2} c per column (eq. 13); c nonzero."""
        factor: Array = self.p * self.omega * magnitude ** (self.p - 2.0)
        return factor[self.owner] * c


@dataclass(frozen=True)
class Tightened:
    """A stationary point of the coefficient problem with unit margin."""

    c: Array
    alpha: Array
    """Multipliers (N,), nonnegative."""
    residual: float
    """Relative residual of the last Newton system."""
    stable: bool
    """Whether the Lagrangian is positive semidefinite along the active constraints (a local minimum, no saddle)."""
    isolated: bool
    """Whether it is positive definite there, so that no other solution shares the support."""


def tighten(problem: CoefficientProblem, c: Array, p_dual: Array, threshold: float, grow: bool) -> Tightened | None:
    """Newton from the flow's c (any positive margin) and weights p; None when no consistent sets are found.

    Args:
        problem: the coefficient problem.
        c: the flow's coefficients (columns,).
        p_dual: the flow's weights p (N,).
        threshold: coefficients below `threshold` times the largest are taken to vanish.
        grow: whether a coefficient may join the support because its dual constraint is violated.
    """
    margins = problem.G @ c
    if not margins.min() > 0:
        return None
    c = c / margins.min()
    magnitude = problem.magnitudes(c)
    support = magnitude > threshold * magnitude.max()
    active = p_dual > 1e-7 * p_dual.max()
    start = c
    for _ in range(MAX_CORRECTIONS):
        solved = _newton(problem, start, support, active)
        if solved is None:
            # more coefficients than constraints: the flow is still drifting along an edge of the linear program
            slid = _slide(problem, start, support, active) if problem.p == 1.0 and grow else None
            if slid is None:
                return None
            start = slid
            continue
        if isinstance(solved, np.ndarray):  # Newton drives these coefficients to zero: they are not in the support
            support = support & ~solved
            continue
        c, alpha, residual, curvature = solved
        margins = problem.G @ c
        scale = alpha.max()
        negative = active & (alpha < -1e-10 * scale)
        violated = ~active & (margins < 1.0 - 1e-11)
        if negative.any():
            active[np.argmin(np.where(negative, alpha, np.inf))] = False
        elif violated.any():
            active[np.argmin(margins)] = True
        elif problem.p == 1.0 and grow and (new := _dual_violation(problem, alpha, support)) is not None:
            support[new] = True
            start = _seeded(problem, start, alpha, new)
        else:
            c = c / min(margins.min(), 1.0)
            return Tightened(c, np.maximum(alpha, 0.0), residual, curvature >= -1e-7, curvature > 1e-9)
        if not active.any():
            return None
    return None


def _dual_violation(problem: CoefficientProblem, alpha: Array, support: NDArray[np.bool_]) -> int | None:
    """The coefficient off the support with the largest |Σ α F| / ω above 1; None when there is none."""
    price = problem.magnitudes(problem.G.T @ alpha) / problem.omega
    price[support] = 0.0
    worst = int(np.argmax(price))
    return worst if price[worst] > 1.0 + 1e-9 else None


def _slide(
    problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]
) -> Array | None:
    """Downhill along the active constraints to the next one, or the next zero coefficient; updates the sets.

    For real coefficients (p = 1), where the price is linear until one changes sign. None where there is no way down.
    """
    if problem.owner.size != problem.omega.size:
        return None
    columns = np.flatnonzero(support)
    G = problem.G[:, columns]
    slope = np.sign(c[columns]) * problem.omega[columns]
    down = -(slope - G[active].T @ np.linalg.lstsq(G[active].T, slope, rcond=SINGULAR)[0])
    if np.linalg.norm(down) < 1e-9 * np.linalg.norm(slope):
        return None
    margins, change = G @ c[columns], G @ down
    with np.errstate(divide="ignore", invalid="ignore"):
        to_margin = np.where(~active & (change < 0), (margins - 1.0) / -change, np.inf)
        to_zero = np.where(c[columns] * down < 0, -c[columns] / down, np.inf)
    length = max(0.0, float(min(to_margin.min(), to_zero.min())))
    if not np.isfinite(length):
        return None
    moved = c.copy()
    moved[columns] += length * down
    if to_margin.min() <= to_zero.min():
        active[np.argmin(to_margin)] = True
    else:
        moved[columns[np.argmin(to_zero)]] = 0.0
        support[columns[np.argmin(to_zero)]] = False
    return moved


def _seeded(problem: CoefficientProblem, c: Array, alpha: Array, d: int) -> Array:
    """c with coefficient d, which the flow may hold at e^{−300}, started along its dual price Σ α F."""
    magnitude = problem.magnitudes(c)
    mine = problem.owner == d
    price = np.where(mine, problem.G.T @ alpha, 0.0)
    seed = max(1e-3 * float(magnitude.max()), float(magnitude[d]))
    return np.asarray(np.where(mine, seed * price / np.linalg.norm(price), c))


def _newton(
    problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]
) -> tuple[Array, Array, float, float] | NDArray[np.bool_] | None:
    """c, α, residual, least curvature; or the coefficients that collapse; or None when Newton gets nowhere."""
    columns = np.flatnonzero(support[problem.owner])
    owner, p = problem.owner[columns], problem.p
    G = problem.G[np.ix_(active, columns)]
    c_S = c[columns].copy()
    n_c, n_a = columns.size, G.shape[0]
    alpha_A = np.zeros(n_a)
    residual = np.inf
    before = problem.magnitudes(c)
    for _ in range(NEWTON_STEPS):
        full = np.zeros_like(c)
        full[columns] = c_S
        magnitude = problem.magnitudes(full)
        size = magnitude[owner]
        collapsed = support & (magnitude < COLLAPSED * before)
        if collapsed.any():
            return collapsed if (support & ~collapsed).any() else None
        unit = c_S / size
        weight = p * problem.omega[owner] * size**p  # |c|·(p ω |c|^{p−2})·|c|: the Hessian, scaled by |c| twice
        H = np.where(owner[:, None] == owner[None, :], (p - 2.0) * np.outer(weight * unit, unit), 0.0)
        H[np.arange(n_c), np.arange(n_c)] += weight
        scaled_G = G * size
        stationarity = weight * unit - scaled_G.T @ alpha_A
        feasibility = 1.0 - G @ c_S
        previous, residual = (
            residual,
            float(max(np.abs(stationarity).max() / np.abs(weight * unit).max(), np.abs(feasibility).max())),
        )
        if residual < 1e-13 or (residual < 1e-9 and residual > 0.5 * previous):
            break
        matrix = np.block([[H, -scaled_G.T], [scaled_G, np.zeros((n_a, n_a))]])
        step = _solve(matrix, np.concatenate([-stationarity, feasibility]))
        move = step[:n_c]
        fraction = min(1.0, 0.9 / max(float(np.abs(move).max()), 1e-300))  # no coefficient changes by its own size
        c_S = c_S + fraction * size * move
        alpha_A = alpha_A + (step[n_c:] if fraction == 1.0 else fraction * step[n_c:])
    if residual > 1e-8:
        return None
    alpha = np.zeros(active.size)
    alpha[active] = alpha_A
    _, singular, V = np.linalg.svd(scaled_G, full_matrices=True)
    free = V[np.count_nonzero(singular > 1e-9 * singular[0]) :]
    curvature = float(np.linalg.eigvalsh(free @ H @ free.T)[0] / weight.max()) if free.size else np.inf
    full = np.zeros_like(c)
    full[columns] = c_S
    return full, alpha, residual, curvature


def _solve(matrix: Array, side: Array) -> Array:
    """The solution, of least norm where the matrix is numerically singular."""
    try:
        x = np.linalg.solve(matrix, side)
        if (
            np.isfinite(x).all()
            and np.linalg.norm(matrix @ x - side) <= 1e-10 * np.linalg.norm(side)
            and (np.linalg.norm(x) < 1e6 * max(1.0, float(np.linalg.norm(side))))
        ):
            return np.asarray(x)
    except np.linalg.LinAlgError:
        pass
    return np.asarray(np.linalg.lstsq(matrix, side, rcond=SINGULAR)[0])
