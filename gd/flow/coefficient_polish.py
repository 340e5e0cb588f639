"""Polishing a direction of the flow in coefficients of β: an active-set method on the identified KKT system.

A flow at temperature T is O(T ln 1/T) from its limit, and slower than that where a multiplier is small. But it shows
which margins tie (the weights p that stay positive) and which coefficients survive, and with both known the limit
solves equations. For networks whose regularizer is a sum over coefficients c of β (entries or frequencies),

    min Σ_{d∈S} ω_d |c_d|^p   s.t.   m_n(c) = Σ_d ⟨B_nd, c_d⟩ = 1, n ∈ A,        p = 2/L,

they are the stationarity p ω_d |c_d|^{p−2} c_d = Σ_n α_n B_nd (eq. 13 of Gunasekar et al. 2018) and the active
constraints, solved by `solvers.algorithms.active_set`. Sets identified wrongly show as wrong signs and are corrected a
few times: a negative multiplier leaves A, a violated margin joins it, a coefficient whose dual constraint is violated
joins S (p = 1). The caller decides whether to take the answer: by the certificate, and by its distance from the flow's
direction.

Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2, 2a.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gd.flow.kkt import ACTIVE
from solvers.algorithms.active_set import newton_on_support
from solvers.arrays import Array

MAX_CORRECTIONS = 40
NEWTON_STEPS = 15  # from near the solution a handful converges; more only prolong a wrong identification
COLLAPSED = 1e-2  # of its start: a coefficient that Newton's method shrinks this far
SOLVED = 1e-8  # relative residual of the equations; Newton's method ends at 1e-12 or does not converge
SINGULAR = 1e-12  # singular values below this, relative, are treated as zero


@dataclass(frozen=True)
class CoefficientProblem:
    """min Σ_d ω_d |c_d|^p s.t. Σ_d ⟨B_nd, c_d⟩ ≥ 1; coefficient d is a vector of m real coordinates."""

    B: Array
    """(N, coefficients, m)."""
    omega: Array
    """(coefficients,): ω, 2^{1−p/2} where a frequency stands for a conjugate pair, else 1."""
    p: float

    def margins(self, c: Array) -> Array:
        """Σ_d ⟨B_nd, c_d⟩, (N,)."""
        return np.asarray(self.B.reshape(len(self.B), -1) @ c.ravel())

    def dual(self, alpha: Array) -> Array:
        """Σ_n α_n B_nd, (coefficients, m)."""
        return np.asarray(np.tensordot(alpha, self.B, 1))


@dataclass(frozen=True)
class PolishedCoefficients:
    """A stationary point of the coefficient problem with unit margin."""

    c: Array
    """(coefficients, m)."""
    alpha: Array
    """Multipliers (N,), nonnegative."""
    stable: bool
    """Whether the Lagrangian is positive semidefinite along the active constraints (a local minimum, no saddle)."""
    isolated: bool
    """Whether it is positive definite there, so that no other solution shares the support."""


def polish_coefficients(
    problem: CoefficientProblem, c: Array, weights: Array, threshold: float, *, may_grow: bool
) -> PolishedCoefficients | None:
    """The stationary point near the flow's c (any positive margin); None when no consistent sets are found.

    Args:
        problem: the coefficient problem.
        c: the flow's coefficients (coefficients, m).
        weights: the flow's weights p (N,).
        threshold: coefficients below `threshold` times the largest are taken to vanish.
        may_grow: whether a coefficient may join the support because its dual constraint is violated.
    """
    smallest = problem.margins(c).min()
    if not smallest > 0:
        return None
    start = c / smallest
    size = np.linalg.norm(start, axis=1)
    support, active = size > threshold * size.max(), weights > ACTIVE * weights.max()
    linear = problem.p == 1.0 and may_grow
    for _ in range(MAX_CORRECTIONS):
        if linear and c.shape[1] == 1:
            start = _to_a_vertex(problem, start, support, active)
        c, alpha = _solve(problem, start, support, active) or (start, np.zeros(active.size))
        collapsed = support & (np.linalg.norm(c, axis=1) < COLLAPSED * np.linalg.norm(start, axis=1))
        if collapsed.any():  # Newton's method drives these coefficients to zero: they are not in the support
            if not (support & ~collapsed).any():
                return None
            support = support & ~collapsed
            continue
        if not _residual(problem, c, alpha, support, active) <= SOLVED:
            # more coefficients than constraints: the flow is still drifting along an edge of the linear program
            slid = _slide(problem, start, support, active) if linear else None
            if slid is None:
                return None
            start = slid
            continue
        margins = problem.margins(c)
        negative = active & (alpha < -1e-10 * alpha.max())
        violated = ~active & (margins < 1.0 - 1e-11)
        if negative.any():
            active[np.argmin(np.where(negative, alpha, np.inf))] = False
        elif violated.any():
            active[np.argmin(margins)] = True
        elif linear and (new := _dual_violation(problem, alpha, support)) is not None:
            support[new] = True
            start = _seeded(problem, start, alpha, new)
        else:
            curvature = _least_curvature(problem, c, support, active)
            return PolishedCoefficients(
                c / min(margins.min(), 1.0), np.maximum(alpha, 0.0), curvature >= -1e-7, curvature > 1e-9
            )
        if not active.any():
            return None
    return None


def _solve(
    problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]
) -> tuple[Array, Array] | None:
    groups, rows = np.flatnonzero(support), np.flatnonzero(active)
    return newton_on_support(
        problem.B,
        problem.omega,
        problem.p,
        c,
        np.zeros(active.size),
        groups,
        rows,
        max_steps=NEWTON_STEPS,
        largest_change=0.9,
        collapsed=COLLAPSED,
    )


def _gradient(problem: CoefficientProblem, c: Array) -> Array:
    """p ω |c|^{p−2} c (eq. 13) of nonzero coefficients."""
    size = np.linalg.norm(c, axis=1, keepdims=True)
    return np.asarray(problem.p * problem.omega[:, None] * size ** (problem.p - 2.0) * c)


def _residual(
    problem: CoefficientProblem, c: Array, alpha: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]
) -> float:
    """Largest residual of the equations; that of a coefficient is relative to its own gradient, scaled by its size."""
    kept, inside = c[support], np.linalg.norm(c[support], axis=1, keepdims=True)
    gradient = _gradient(CoefficientProblem(problem.B, problem.omega[support], problem.p), kept) * inside
    stationarity = gradient - problem.dual(alpha)[support] * inside
    feasibility = problem.margins(c)[active] - 1.0
    return float(max(np.abs(stationarity).max() / np.abs(gradient).max(), np.abs(feasibility).max()))


def _least_curvature(
    problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]
) -> float:
    """The least eigenvalue of the Hessian along the active constraints, both scaled by |c|, relative; inf for none."""
    kept = c[support]
    groups, m = kept.shape
    size = np.linalg.norm(kept, axis=1)
    weight = problem.p * problem.omega[support] * size**problem.p
    unit = kept / size[:, None]
    H = np.zeros((groups, m, groups, m))
    index = np.arange(groups)
    H[index, :, index, :] = weight[:, None, None] * (
        np.eye(m) + (problem.p - 2.0) * unit[:, :, None] * unit[:, None, :]
    )
    columns = (problem.B[:, support] * size[:, None]).reshape(len(problem.B), -1)
    used = np.flatnonzero(columns.any(axis=0))  # not the imaginary part of a real frequency
    _, singular, V = np.linalg.svd(columns[np.ix_(active, used)], full_matrices=True)
    free = V[np.count_nonzero(singular > 1e-9 * singular[0]) :]
    flat = H.reshape(groups * m, -1)[np.ix_(used, used)]
    return float(np.linalg.eigvalsh(free @ flat @ free.T)[0] / weight.max()) if free.size else np.inf


def _dual_violation(problem: CoefficientProblem, alpha: Array, support: NDArray[np.bool_]) -> int | None:
    """The coefficient off the support with the largest |Σ α B| / ω above 1; None when there is none."""
    ratio = np.where(support, 0.0, np.linalg.norm(problem.dual(alpha), axis=1) / problem.omega)
    worst = int(np.argmax(ratio))
    return worst if ratio[worst] > 1.0 + 1e-9 else None


def _slide(
    problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]
) -> Array | None:
    """Downhill along the active constraints to the next one, or the next zero coefficient; updates the sets.

    For real coefficients (p = 1), where R is linear until one changes sign. None where there is no way down.
    """
    if c.shape[1] > 1:
        return None
    columns = np.flatnonzero(support)
    G, kept = problem.B[:, columns, 0], c[columns, 0]
    slope = np.sign(kept) * problem.omega[columns]
    down = -(slope - G[active].T @ np.linalg.lstsq(G[active].T, slope, rcond=SINGULAR)[0])
    if np.linalg.norm(down) < 1e-9 * np.linalg.norm(slope):
        return None
    margins, change = G @ kept, G @ down
    with np.errstate(divide="ignore", invalid="ignore"):
        to_margin = np.where(~active & (change < 0), (margins - 1.0) / -change, np.inf)
        to_zero = np.where(kept * down < 0, -kept / down, np.inf)
    length = max(0.0, float(min(to_margin.min(), to_zero.min())))
    if not np.isfinite(length):
        return None
    moved = c.copy()
    moved[columns, 0] += length * down
    if to_margin.min() <= to_zero.min():
        active[np.argmin(to_margin)] = True
    else:
        moved[columns[np.argmin(to_zero)]] = 0.0
        support[columns[np.argmin(to_zero)]] = False
    return moved


def _to_a_vertex(problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]) -> Array:
    """Real coefficients, slid down (`_slide`) while there are more of them than active constraints."""
    for _ in range(int(support.sum() - active.sum())):
        slid = _slide(problem, c, support, active)
        if slid is None:
            break
        c = slid
    return c


def _seeded(problem: CoefficientProblem, c: Array, alpha: Array, d: int) -> Array:
    """c with coefficient d, which the flow may hold at e^{−300}, started along its dual Σ α B."""
    size, dual = np.linalg.norm(c, axis=1), problem.dual(alpha)[d]
    seeded = c.copy()
    seeded[d] = max(1e-3 * float(size.max()), float(size[d])) * dual / np.linalg.norm(dual)
    return seeded
