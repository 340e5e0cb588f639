"""Bridge max margin, p = 2/L < 1: stationary points of a nonconvex price, each with its multipliers.

    min Σ_g ω_g ‖b_g‖₂^p   s.t.  Σ_g B_g b_g ≥ 1

over real coefficients (Bridge: groups of one, ω = 1) or frequencies (FourierBridge: one group (Re, Im) for each
conjugate pair, with b = 2β̂ and ω = 2^{1−p}, since the pair counts twice). Each start goes three steps:

1. reweighted ℓ2 (`reweighting`), from the start's own weights;
2. decide the support and the active constraints;
3. Newton's method on the stationarity equations (`group_newton`), to rounding.

What comes out is judged by the certificate; a start that does not reach a stationary point is counted, not returned.

Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorem 2a and eq. (13).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.certificate import certified, nearest_multipliers
from solvers.margin.fourier import fourier_blocks, fourier_l1_max_margin, from_half, half_spectrum
from solvers.margin.group_newton import newton_on_support
from solvers.margin.l1 import l1_max_margin
from solvers.margin.reweighting import reweighted, weights_at
from solvers.problem import MarginProblem, check_beta
from solvers.regularizers import Bridge, FourierBridge
from solvers.separability import raise_if_ill_conditioned, raise_if_not_separable
from solvers.solution import Solution, Status

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BridgeSolution(Solution):
    """The best stationary point found, and the others."""

    stationary_points: tuple[Solution, ...] = ()
    """The distinct ones found, cheapest first: found, not all there are. The first is this solution."""
    from_start: Solution | None = None
    """The stationary point reached from `start`; None when no start was given or none was reached from it."""


@dataclass(frozen=True)
class _Groups:
    """The problem in groups: blocks B (N, G, m) of unit scale and weights ω (G,)."""

    problem: MarginProblem
    regularizer: Bridge
    blocks: Array
    omega: Array
    scale: float

    @classmethod
    def of(cls, problem: MarginProblem, regularizer: Bridge) -> _Groups:
        scale = float(np.linalg.norm(problem.A, axis=1).max())
        if not isinstance(regularizer, FourierBridge):
            blocks = problem.A[:, :, None] / scale
            return cls(problem, regularizer, blocks, np.ones(blocks.shape[1]), scale)
        blocks, _, real = fourier_blocks(problem.A / scale, problem.shape)
        return cls(problem, regularizer, blocks, np.where(real, 1.0, 2.0 ** (1.0 - regularizer.p)), scale)

    def predictor(self, b: Array) -> Array:
        if not isinstance(self.regularizer, FourierBridge):
            return b[:, 0].reshape(self.problem.shape) / self.scale
        kept, real = half_spectrum(self.problem.shape)
        return from_half(b, self.problem.shape, kept, real) / self.scale

    def coordinates(self, beta: Array) -> Array:
        """The inverse of `predictor`."""
        if not isinstance(self.regularizer, FourierBridge):
            return beta.reshape(-1, 1) * self.scale
        b, _, real = fourier_blocks(beta.reshape(1, -1) * self.scale, self.problem.shape)
        return np.asarray(b[0] * np.where(real, 1.0, 2.0)[:, None])

    def weights_at(self, b: Array, epsilon: float) -> Array:
        return weights_at(b, self.omega, self.regularizer.p, epsilon)

    def reweighted(self, weights: Array, first: float) -> tuple[Array, Array]:
        return reweighted(self.blocks, self.omega, self.regularizer.p, weights, first)


def _stationary_point(groups: _Groups, b: Array, dual: Array, tol: float, stats: dict[str, object]) -> Solution:
    """Steps 2 and 3: the support threshold whose Newton solution has the best certificate."""
    best: Solution | None = None
    for threshold in (1e-4, 1e-6, 1e-2, 1e-8):
        size = np.linalg.norm(b, axis=1)
        support = np.flatnonzero(size > threshold * size.max())
        rows = np.flatnonzero(dual > 1e-9 * dual.max())
        found = newton_on_support(groups.blocks, groups.omega, groups.regularizer.p, b, dual, support, rows)
        if found is None or not found[0].any():
            continue
        beta = groups.predictor(found[0])
        margin = float(groups.problem.margins(beta).min())
        if margin <= 0:
            continue
        solution = certified(
            groups.problem, beta / margin, groups.regularizer, found[1], tol=tol, unique=None, stats=stats
        )
        if best is None or solution.certificate.worst < best.certificate.worst:
            best = solution
        if best.status is Status.STATIONARY:
            return best
    if best is None or best.certificate.worst > tol:
        beta = groups.predictor(b)
        beta = beta / float(groups.problem.margins(beta).min())
        multipliers = nearest_multipliers(groups.problem, beta, groups.regularizer)
        rough = certified(groups.problem, beta, groups.regularizer, multipliers, tol=tol, unique=None, stats=stats)
        if best is None or rough.certificate.worst < best.certificate.worst:
            best = rough
    return best


def _distinct(points: list[Solution], tolerance: float = 1e-6) -> tuple[Solution, ...]:
    kept: list[Solution] = []
    for point in sorted(points, key=lambda s: s.objective):
        size = float(np.linalg.norm(point.beta))
        if all(float(np.linalg.norm(point.beta - other.beta)) > tolerance * size for other in kept):
            kept.append(point)
    return tuple(kept)


def bridge_max_margin(
    problem: MarginProblem,
    regularizer: Bridge,
    tol: float,
    *,
    n_starts: int = 8,
    seed: int = 0,
    start: ArrayLike | None = None,
) -> BridgeSolution:
    """Stationary points of min ‖β‖_p (or ‖β̂‖_p) s.t. Aβ ≥ 1, p < 1, from several starts; the best is returned.

    Args:
        problem: the constraints.
        regularizer: Bridge(p) or FourierBridge(p), p < 1.
        tol: largest allowed violation in the certificate.
        n_starts: number of starts of our own: the ℓ1 solution, the ℓ2 solution, then random weights.
        seed: of the random weights.
        start: a predictor, such as the limit of gradient descent, to start one more run from; what is reached from it
            without passing through a smoother problem is in `from_start`.

    Returns:
        BridgeSolution with status STATIONARY, or INACCURATE when no start reached a stationary point to `tol`.
        `lower_bound` is the ℓ1 optimum, which bounds ‖β‖_p from below because ‖β‖_p ≥ ‖β‖₁.

    Raises:
        NotSeparableError, ValueError.
    """
    if n_starts < 1:
        raise ValueError(f"n_starts must be at least 1; got {n_starts}")
    raise_if_not_separable(problem.A, problem.label_shape)
    groups = _Groups.of(problem, regularizer)
    rng = np.random.default_rng(seed)
    count = groups.omega.size
    convex = _convex_start(problem, regularizer, tol)
    reached: list[Solution] = []
    for index in range(n_starts):
        stats: dict[str, object] = {"method": "reweighted l2 + Newton on the support", "start": index}
        if index == 0 and convex is not None and convex[0].any():
            first, weights = 1e-2, groups.weights_at(groups.coordinates(convex[0]), 1e-2)
        elif index <= 1:
            first, weights = 1.0, np.ones(count)
        else:
            # a small first ε, or the smoothed problem forgets where it started and all starts end at the same point
            first, weights = 1e-3, np.exp((2.0 if index % 2 else 4.0) * rng.standard_normal(count))
        b, dual = groups.reweighted(weights, first)
        reached.append(_stationary_point(groups, b, dual, tol, stats))
    from_start = None
    if start is not None:
        from_start = _from_start(groups, check_beta(start, problem), tol)
        reached.append(from_start)
    points = _distinct([s for s in reached if s.status is Status.STATIONARY])
    best = points[0] if points else min(reached, key=lambda s: s.certificate.worst)
    if not points:
        raise_if_ill_conditioned(problem.A, best.certificate.worst)
    bound = -np.inf if convex is None else convex[1]
    fields: dict[str, Any] = {name: getattr(best, name) for name in best.__dataclass_fields__}
    fields["lower_bound"] = bound
    fields["stats"] = dict(best.stats) | {
        "starts": len(reached),
        "stationary": sum(s.status is Status.STATIONARY for s in reached),
    }
    return BridgeSolution(**fields, stationary_points=points, from_start=from_start)


def _convex_start(problem: MarginProblem, regularizer: Bridge, tol: float) -> tuple[Array, float] | None:
    """The ℓ1 (Fourier ℓ1) solution and its dual value, a lower bound for every p < 1."""
    found = (
        fourier_l1_max_margin(problem.A, problem.shape, tol)
        if isinstance(regularizer, FourierBridge)
        else l1_max_margin(problem.A)
    )
    if found is None:
        return None
    norm = replace(regularizer, p=1.0)
    beta = found[0].reshape(problem.shape)
    return beta, certified(problem, beta, norm, found[1], tol=tol, unique=None, stats={}).lower_bound


def _from_start(groups: _Groups, beta: Array, tol: float) -> Solution:
    """The stationary point next to β: Newton at β itself, or after reweighting that starts at β's own coefficients."""
    stats: dict[str, object] = {"method": "Newton on the support of start", "start": "given"}
    margin = float(groups.problem.margins(beta).min())
    if margin > 0:
        b = groups.coordinates(beta / margin)
        multipliers = nearest_multipliers(groups.problem, beta / margin, groups.regularizer, active_tolerance=1e-3)
        if multipliers.any():
            near = _stationary_point(groups, b, multipliers, tol, stats)
            if near.status is Status.STATIONARY and float(np.linalg.norm(near.beta - beta / margin)) <= 1e-2 * float(
                np.linalg.norm(near.beta)
            ):
                return near
    b, dual = groups.reweighted(groups.weights_at(groups.coordinates(beta), 1e-6), 1e-6)
    return _stationary_point(groups, b, dual, tol, stats | {"method": "reweighted from start + Newton on the support"})
