"""The polish: Newton's method on the optimality conditions of a group penalty, on an active set that is corrected.

    min Σ_g ω_g ‖c_g‖₂^p   s.t.  G c ≥ 1,       0 < p ≤ 2,                                                      (1)

in real coordinates c, each owned by one group g: an entry of β, or real and imaginary part of a frequency. With the
support S (groups that are nonzero) and the active constraints A both known, the solution solves equations:

    p ω_g ‖c_g‖^{p−2} c_g = (Gᵀα)_g,  g ∈ S,        (G c)_n = 1,  n ∈ A.                                        (2)

At p = 1 these are the conditions c_g/‖c_g‖ = z_g of the group norm; for p < 1 they are eq. (13) of Gunasekar, Lee,
Soudry, Srebro (2018). Newton's matrix is scaled by ‖c_g‖, so tiny coefficients are as exact, relatively, as large ones.
Where it is singular (duplicated points, flat optimal faces) the least-norm step is taken.

`newton_on_support` solves (2) for sets that its caller knows. `polish` starts from a direction near the solution, such
as gradient flow's, and corrects the sets a few times: a negative multiplier leaves A, a violated margin joins it, a
group whose dual constraint is violated joins S (p = 1). The caller decides whether to believe the answer: by the
certificate, and by its distance from where it started.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array
from solvers.extended_precision import extended_product

MAX_CORRECTIONS = 40
NEWTON_STEPS = 30
COLLAPSED = 1e-2  # of its start: a group that Newton's method shrinks this far is not in the support
SINGULAR = 1e-12  # singular values below this, relative, are treated as zero


@dataclass(frozen=True)
class CoefficientProblem:
    """Problem (1)."""

    G: Array
    """(N, columns): real rows of the constraints."""
    owner: NDArray[np.intp]
    """(columns,): the group each column belongs to."""
    omega: Array
    """(groups,)."""
    p: float

    def magnitudes(self, c: Array) -> Array:
        return np.sqrt(np.bincount(self.owner, c**2, minlength=self.omega.size))


@dataclass(frozen=True)
class Polished:
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


def polish(problem: CoefficientProblem, c: Array, p_dual: Array, threshold: float, grow: bool) -> Polished | None:
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
        solved = _identified(problem, start, support, active)
        if solved is None:
            # more coefficients than constraints: the flow is still drifting along an edge of the linear program
            slid = _slide(problem, start, support, active) if problem.p == 1.0 and grow else None
            if slid is None:
                return None
            start = slid
            continue
        if solved.collapsed.any():
            support = support & ~solved.collapsed
            continue
        c, alpha, residual = solved.c, solved.alpha, solved.residual
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
            curvature = _least_curvature(problem, c, support, active)
            return Polished(c, np.maximum(alpha, 0.0), residual, curvature >= -1e-7, curvature > 1e-9)
        if not active.any():
            return None
    return None


def _dual_violation(problem: CoefficientProblem, alpha: Array, support: NDArray[np.bool_]) -> int | None:
    """The coefficient off the support with the largest |Σ α F| / ω above 1; None when there is none."""
    size = problem.magnitudes(problem.G.T @ alpha) / problem.omega
    size[support] = 0.0
    worst = int(np.argmax(size))
    return worst if size[worst] > 1.0 + 1e-9 else None


def _slide(
    problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]
) -> Array | None:
    """Downhill along the active constraints to the next one, or the next zero coefficient; updates the sets.

    For real coefficients (p = 1), where the penalty is linear until one changes sign. None where there is no way down.
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
    """c with coefficient d, which the flow may hold at e^{−300}, started along its dual vector Σ α F."""
    magnitude = problem.magnitudes(c)
    mine = problem.owner == d
    direction = np.where(mine, problem.G.T @ alpha, 0.0)
    seed = max(1e-3 * float(magnitude.max()), float(magnitude[d]))
    return np.asarray(np.where(mine, seed * direction / np.linalg.norm(direction), c))


@dataclass(frozen=True)
class _System:
    """Newton's system for (2) in the relative changes of c: H scaled by ‖c_g‖ twice, G by ‖c_g‖ once."""

    size: Array
    gradient: Array
    hessian: Array
    rows: Array

    @classmethod
    def at(cls, problem: CoefficientProblem, c: Array, columns: NDArray[np.intp], active: NDArray[np.bool_]) -> _System:
        owner = problem.owner[columns]
        size = problem.magnitudes(c)[owner]
        unit = c[columns] / size
        weight = problem.p * problem.omega[owner] * size**problem.p
        same = owner[:, None] == owner[None, :]
        hessian = np.where(same, (problem.p - 2.0) * np.outer(weight * unit, unit), 0.0)
        hessian[np.diag_indices_from(hessian)] += weight
        return cls(size, weight * unit, hessian, problem.G[np.ix_(active, columns)] * size)


@dataclass(frozen=True)
class _NewtonEnd:
    c: Array
    alpha: Array
    residual: float
    collapsed: NDArray[np.bool_]
    """Groups that shrank below `COLLAPSED` of their start: Newton drives them to zero."""


def _newton(
    problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_], smallest: float
) -> _NewtonEnd | None:
    """Newton's method for (2) from c; it ends early when a group shrinks below `smallest` of its start."""
    columns = np.flatnonzero(support[problem.owner])
    n = columns.size
    c = np.where(support[problem.owner], c, 0.0)
    before = problem.magnitudes(c)
    alpha = np.zeros(active.size)
    residual, settled = np.inf, 0
    for _ in range(NEWTON_STEPS):
        magnitude = problem.magnitudes(c)
        collapsed = support & (magnitude <= smallest * before)
        if collapsed.any():
            return _NewtonEnd(c, alpha, residual, collapsed)
        at = _System.at(problem, c, columns, active)
        stationarity = extended_product(at.rows.T, alpha[active]) - at.gradient
        feasibility = 1.0 - extended_product(at.rows, c[columns] / at.size)
        residual = float(max(np.abs(stationarity).max() / np.abs(at.gradient).max(), np.abs(feasibility).max()))
        kkt = np.block([[at.hessian, -at.rows.T], [-at.rows, np.zeros((at.rows.shape[0],) * 2)]])
        step = _equilibrated_solve(kkt, np.concatenate([stationarity, -feasibility]))
        if not np.isfinite(step).all():
            return None
        move = np.zeros_like(c)
        move[columns] = step[:n]
        change = float(problem.magnitudes(move).max())
        length = min(1.0, 0.5 / change) if change > 0 else 1.0  # no group changes by more than half its size
        c[columns] += length * at.size * step[:n]
        alpha[active] += length * step[n:]
        # convergence is quadratic: two steps after 1e-9 only rounding is left
        settled += length == 1.0 and change <= 1e-9
        if settled > 2 or (settled and change <= 1e-15):
            break
    return _NewtonEnd(c, alpha, residual, np.zeros_like(support))


def _identified(
    problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]
) -> _NewtonEnd | None:
    """The solution of (2), or the groups that collapse; None where Newton's method does not converge."""
    found = _newton(problem, c, support, active, COLLAPSED)
    if found is None or not (support & ~found.collapsed).any():
        return None
    return found if found.collapsed.any() or found.residual <= 1e-8 else None


def _least_curvature(
    problem: CoefficientProblem, c: Array, support: NDArray[np.bool_], active: NDArray[np.bool_]
) -> float:
    """The least eigenvalue of the Lagrangian's Hessian along the active constraints, relative; inf at a vertex."""
    at = _System.at(problem, c, np.flatnonzero(support[problem.owner]), active)
    _, singular, V = np.linalg.svd(at.rows, full_matrices=True)
    free = V[np.count_nonzero(singular > 1e-9 * singular[0]) :]
    if not free.size:
        return np.inf
    largest = float((problem.p * problem.omega[support] * problem.magnitudes(c)[support] ** problem.p).max())
    return float(np.linalg.eigvalsh(free @ at.hessian @ free.T)[0] / largest)


def newton_on_support(
    B: Array, omega: Array, p: float, b: Array, dual: Array, groups: NDArray[np.intp], rows: NDArray[np.intp]
) -> tuple[Array, Array] | None:
    """From b (G, m), the nearby solution supported on `groups` and `rows` with multipliers; None when it breaks down.

    B has shape (N, G, m). A coordinate whose column is zero (the imaginary part of a real frequency) stays zero.
    """
    flat = B[:, groups].reshape(B.shape[0], -1)
    used = np.flatnonzero(flat.any(axis=0))
    owner = np.repeat(np.arange(groups.size), B.shape[2])[used]
    problem = CoefficientProblem(flat[np.ix_(rows, used)], owner, omega[groups], p)
    everything = np.ones(groups.size, dtype=bool), np.ones(rows.size, dtype=bool)
    found = _newton(problem, b[groups].reshape(-1)[used], *everything, 0.0)
    if found is None or found.collapsed.any():
        return None
    inside = np.zeros(flat.shape[1])
    inside[used] = found.c
    result, multipliers = np.zeros_like(b), np.zeros_like(dual)
    result[groups], multipliers[rows] = inside.reshape(groups.size, -1), found.alpha
    return result, multipliers


def _equilibrated_solve(matrix: Array, right: Array) -> Array:
    """Solve a symmetric system whose entries differ by many orders: curvature grows like ‖b‖^{p−2} as b shrinks.

    Dependent rows (duplicated points) make it singular; the least-norm step is then the one to take.
    """
    balance = 1.0 / np.sqrt(np.abs(matrix).max(axis=1).clip(1e-300))
    balanced, target = balance[:, None] * matrix * balance, balance * right
    try:
        step = np.linalg.solve(balanced, target)
        size = float(np.linalg.norm(target))
        # a huge step is a step along the null space of a matrix that is singular but for rounding
        regular = np.linalg.norm(balanced @ step - target) <= 1e-10 * size and np.linalg.norm(step) < 1e6 * max(
            1.0, size
        )
    except np.linalg.LinAlgError:
        regular = False
    if not regular:
        step = np.linalg.lstsq(balanced, target, rcond=SINGULAR)[0]
    return np.asarray(balance * step)
