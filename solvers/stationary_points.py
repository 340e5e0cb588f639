"""Stationary points of a nonconvex bridge penalty from many starts, each with its multipliers.

    min Σ_g ω_g ‖b_g‖₂^p   s.t.  Σ_g B_g b_g ≥ 1,       p = 2/L < 1

over real coordinates b of β in groups, as `Bridge` and `FourierBridge` say them. Each start goes three steps:

1. reweighted ℓ2 (`solvers.algorithms.reweighting`), from the start's own weights;
2. decide the support and the active constraints;
3. Newton's method on the stationarity equations (`solvers.algorithms.active_set`), to rounding.

The certificate decides what came out. A start that does not reach a stationary point is counted, not returned.

Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorem 2a and eq. (13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from solvers.algorithms.active_set import newton_on_support
from solvers.algorithms.group_rows import GroupRows
from solvers.algorithms.interior_point import group_max_margin
from solvers.algorithms.reweighting import reweighted, weights_at
from solvers.arrays import Array
from solvers.certificate import certified, nearest_multipliers
from solvers.conic import ConicSolverError
from solvers.extended_precision import powers_of_two
from solvers.problem import MarginProblem
from solvers.regularizers.l2 import least_norm
from solvers.search import Search
from solvers.separability import raise_if_ill_conditioned, raise_if_not_resolved, raise_if_not_separable
from solvers.solution import Candidate, Solution, Status

if TYPE_CHECKING:
    from solvers.regularizers.bridge import Bridge
    from solvers.regularizers.regularizer import Regularizer

THRESHOLDS = (1e-4, 1e-6, 1e-2, 1e-8)
"""Sizes relative to the largest above which a coefficient may be in the support, in the order they are tried."""

DESCENTS = 30
"""Max margins of a reweighted norm; each ends in a vertex, and there are few on the way."""

USEFUL = 1e-6  # largest relative gap of these max margins
ROUNDING = 1e-12  # relative, of values: one of them that rises by more has not done what it is for

COLLAPSED = 1e-6
"""A coefficient that Newton's method has shrunk to this part of its start is not in the support."""


def best_certified(
    candidates: Iterable[tuple[Array, Array]],
    rough: Array,
    problem: MarginProblem,
    examine: Callable[[Array, Array | None], Solution],
) -> Solution:
    """The first stationary one of pairs (β, α) that separate, else the best certified of them and of `rough`."""
    best: Solution | None = None
    for beta, alpha in candidates:
        margin = float(problem.careful_margins(beta).min())
        if margin <= 0:
            continue
        # where rows depend on each other Newton's multipliers are some, and may be negative
        for multipliers in (alpha, None):
            solution = examine(beta / margin, multipliers)
            if best is None or solution.certificate.worst < best.certificate.worst:
                best = solution
            if best.status is Status.STATIONARY:
                return best
    last = examine(rough / float(problem.careful_margins(rough).min()), None)
    return last if best is None or last.certificate.worst < best.certificate.worst else best


@dataclass(frozen=True, repr=False)
class BridgeSolution(Solution):
    """The best stationary point found, and the others."""

    stationary_points: tuple[Solution, ...] = ()
    """The distinct ones found, smallest value first: found, not all there are. The first is this solution."""
    from_start: Solution | None = None
    """The stationary point reached from `start`; None when no start was given or none was reached from it."""

    def each(self, change: Callable[[Solution], Solution]) -> BridgeSolution:
        """With the points that are stationary once changed."""
        points = tuple(change(point) for point in self.stationary_points)
        best: BridgeSolution = change(self)  # type: ignore[assignment]  # it replaces fields
        return replace(
            best,
            stationary_points=tuple(point for point in points if point.status is Status.STATIONARY),
            from_start=None if self.from_start is None else change(self.from_start),
        )


@dataclass(frozen=True)
class BridgeCandidate(Candidate):
    """The best stationary point with the others."""

    points: tuple[Solution, ...] = ()
    from_start: Solution | None = None

    def completed(self, solution: Solution) -> BridgeSolution:
        return BridgeSolution(**vars(solution), stationary_points=self.points, from_start=self.from_start)


class GroupProblem:
    """The problem in groups: blocks B (N, G, m) with rows and columns of unit scale, right sides r and weights ω.

    A column divided by c multiplies its coefficient by c and ω by c^{−p}.
    """

    def __init__(self, problem: MarginProblem, regularizer: Bridge, tol: float) -> None:
        self.problem, self.regularizer, self.tol = problem, regularizer, tol
        self.rows = problem.equilibrated
        self.right, self.scale = self.rows.right, self.rows.scale
        blocks = regularizer.blocks(self.rows.rows.reshape(-1, *problem.shape))
        sizes = np.sqrt(np.einsum("ngi,ngi->g", blocks, blocks))
        self.columns = powers_of_two(np.where(sizes > 0, sizes, 1.0))
        self.blocks = blocks / self.columns[:, None]
        self.omega = regularizer.group_weights(problem.shape) / self.columns**regularizer.p

    def predictor(self, b: Array) -> Array:
        return self.regularizer.from_groups(b / self.columns[:, None], self.problem.shape) / self.scale

    def coordinates(self, beta: Array) -> Array:
        """The inverse of `predictor`."""
        return self.regularizer.to_groups(beta * self.scale) * self.columns[:, None]

    def weights_at(self, b: Array, epsilon: float) -> Array:
        return weights_at(b, self.omega, self.regularizer.p, epsilon)

    def reweighted(self, weights: Array, first: float) -> tuple[Array, Array]:
        scaled = self.blocks / self.right[:, None, None]
        b, dual = reweighted(scaled, self.omega, self.regularizer.p, weights, first)
        return b, dual / self.right

    def descended(self, b: Array) -> tuple[Array, Array] | None:
        """b and its multipliers by group-norm max margins that do not raise the value, until it no longer falls.

        ‖b_g‖^p is concave in ‖b_g‖ and lies below its tangent, so that min Σ_g ω_g p ‖b_g‖^{p−1} ‖b′_g‖ over the same
        constraints and support lowers the value. Where p is near 1, or inputs are integers, many sets of rows are
        nearly active, and this decides between them; None where the first of these max margins is not found.
        """
        p, m, found = self.regularizer.p, b.shape[1], None
        size = np.linalg.norm(b, axis=1)
        for _ in range(DESCENTS):
            support = np.flatnonzero(size > THRESHOLDS[-1] * size.max())
            rate = p * self.omega[support] * size[support] ** (p - 1.0)
            unit = float(rate.min())
            columns = (self.blocks[:, support] * (unit / rate)[:, None]).reshape(len(self.blocks), -1)
            part = group_max_margin(columns, self.right, lambda rows: rows.reshape(len(rows), -1, m), 1e-14)
            b, before = np.zeros_like(b), float((self.omega * size**p).sum())
            b[support] = part.b * (unit / rate)[:, None]
            size = np.linalg.norm(b, axis=1)
            value = float((self.omega * size**p).sum())
            if not (part.gap <= USEFUL and value <= (1.0 + ROUNDING) * before):
                break
            found = b, np.asarray(part.dual * unit, dtype=np.float64)
            if value >= before * (1.0 - 1e-15):
                break
        return found

    def certified(self, beta: Array, dual: Array | None, stats: dict[str, object]) -> Solution:
        """The solution of β, scaled to margin one, and multipliers of the equilibrated rows; None: the nearest."""
        alpha = nearest_multipliers(self.problem, beta, self.regularizer) if dual is None else dual * self.rows.share
        return certified(self.problem, self.regularizer, Candidate(beta, alpha, stats), tol=self.tol)

    def newton(self, b: Array, dual: Array, support: NDArray[np.intp]) -> tuple[Array, Array] | None:
        """Newton's method on a support, and again without the coefficients that collapse; None when it breaks down.

        A coefficient that should vanish never arrives, and however small it is, |b|^{p−1} counts in the equations and
        |b|^p in the value.
        """
        rows = np.flatnonzero(dual > 1e-9 * dual.max())

        def solve(b: Array, right: Array) -> tuple[Array, Array] | None:
            p = self.regularizer.p
            return newton_on_support(
                self.blocks, self.omega, p, b, dual, support, rows, right=right, collapsed=COLLAPSED
            )

        found = solve(b, self.right)
        while found is not None:
            before, after = np.linalg.norm(b, axis=1), np.linalg.norm(found[0], axis=1)
            kept = support[((after > COLLAPSED * before) & (after > 1e-9 * after.max()))[support]]
            if kept.size == support.size:
                raised = GroupRows(self.blocks, self.right).representable(found[0]).right
                return found if (raised <= self.right).all() else solve(found[0], raised)
            b, support = np.where(np.isin(np.arange(len(b)), kept)[:, None], found[0], 0.0), kept
            found = solve(b, self.right) if kept.size else None
        return None

    def stationary_point(
        self, b: Array, dual: Array, stats: dict[str, object], thresholds: tuple[float, ...] = THRESHOLDS
    ) -> Solution:
        """Steps 2 and 3: the support threshold whose Newton solution has the best certificate."""

        def candidates() -> Iterator[tuple[Array, Array]]:
            for threshold in thresholds:
                size = np.linalg.norm(b, axis=1)
                found = self.newton(b, dual, np.flatnonzero(size > threshold * size.max()))
                if found is not None and found[0].any():
                    yield self.predictor(found[0]), found[1]

        return best_certified(
            candidates(), self.predictor(b), self.problem, lambda beta, alpha: self.certified(beta, alpha, stats)
        )

    def reached(self, index: int, relaxed: Array, rng: np.random.Generator) -> Solution:
        """See `LocalSearch`."""
        if index == 0 and relaxed.any():
            first, weights = 1e-2, self.weights_at(self.coordinates(relaxed), 1e-2)
        elif index <= 1:
            first, weights = 1.0, 1.0 / self.columns**2
        else:
            # a small first ε, or the smoothed problem forgets where it started and all starts end at the same point
            first, weights = 1e-3, np.exp((2.0 if index % 2 else 4.0) * rng.standard_normal(self.omega.size))
        b, dual = self.reweighted(weights, first)
        found = self.stationary_point(b, dual, {"method": "reweighted l2 + Newton on the support", "start": index})
        if found.status is Status.STATIONARY or (corner := self.descended(self.coordinates(found.beta))) is None:
            return found
        stats: dict[str, object] = {"method": "reweighted norm + Newton on the support", "start": index}
        other = self.stationary_point(*corner, stats, THRESHOLDS[-1:])
        return min(found, other, key=lambda solution: solution.certificate.worst)

    def from_start(self, beta: Array) -> Solution:
        """The stationary point next to β: by Newton at β itself, or after reweighting from β's own coefficients."""
        stats: dict[str, object] = {"method": "Newton on the support of start", "start": "given"}
        margin = float(self.problem.careful_margins(beta).min())
        if margin > 0:
            unit, ends = beta / margin, []
            b = self.coordinates(unit)
            sizes = np.linalg.norm(b, axis=1, keepdims=True)
            for threshold in THRESHOLDS:  # what is small in a start is noise, and would rule the fit of multipliers
                cut = np.where(sizes > threshold * sizes.max(), b, 0.0)
                multipliers = nearest_multipliers(self.problem, self.predictor(cut), self.regularizer, 1e-3)
                if multipliers.any():
                    ends.append(self.stationary_point(cut, multipliers / self.rows.share, stats, (threshold,)))
            near = [end for end in ends if end.status is Status.STATIONARY]
            nearest = min(near, key=lambda end: float(np.linalg.norm(end.beta - unit)), default=None)
            if nearest and np.linalg.norm(nearest.beta - unit) <= 1e-2 * np.linalg.norm(nearest.beta):
                return nearest
        b, dual = self.reweighted(self.weights_at(self.coordinates(beta), 1e-6), 1e-6)
        return self.stationary_point(b, dual, stats | {"method": "reweighted from start + Newton on the support"})


def _distinct(points: list[Solution], tolerance: float = 1e-6) -> tuple[Solution, ...]:
    kept: list[Solution] = []
    for point in sorted(points, key=lambda s: s.objective):
        size = float(np.linalg.norm(point.beta))
        if all(float(np.linalg.norm(point.beta - other.beta)) > tolerance * size for other in kept):
            kept.append(point)
    return tuple(kept)


class LocalSearch(Protocol):
    """How one nonconvex problem is searched from a start."""

    def reached(self, index: int, relaxed: Array, rng: np.random.Generator) -> Solution:
        """What start number `index` leads to: 0 is the convex relaxation's solution, 1 the ℓ2 one, then random ones."""

    def from_start(self, beta: Array) -> Solution:
        """The stationary point next to β."""


def stationary_points(
    problem: MarginProblem, local: LocalSearch, convex: Regularizer, search: Search
) -> BridgeCandidate:
    """Stationary points of min R(β) s.t. Aβ ≥ 1, R with p < 1, from several starts; the best comes first.

    The starts are the solution at p = 1, the ℓ2 solution, then random weights, and `search.start` if given. What is
    reached from that one, without passing through a smoother problem, is in `from_start`. `convex` is the same
    regularizer at p = 1: its optimum is a lower bound.

    Raises:
        NotSeparableError, IllConditionedError.
    """
    raise_if_not_resolved(problem.A, problem.label_shape)
    raise_if_not_separable(problem.A, problem.label_shape)
    rng = np.random.default_rng(search.seed)
    try:
        candidate = convex.minimize(problem, search)
    except ConicSolverError:
        candidate = least_norm(problem)
    relaxed = certified(problem, convex, candidate, tol=search.tol)
    reached: list[Solution] = []
    while search.goes_on(len(reached), search.n_starts):
        reached.append(local.reached(len(reached), relaxed.beta, rng))
    from_start = None if search.start is None else local.from_start(search.start)
    reached += [] if from_start is None else [from_start]
    points = _distinct([s for s in reached if s.status is Status.STATIONARY])
    best = points[0] if points else min(reached, key=lambda s: s.certificate.worst)
    if not points:
        raise_if_ill_conditioned(problem.A, best.certificate.worst)
    counts = {"starts": len(reached), "stationary": sum(s.status is Status.STATIONARY for s in reached)}
    return BridgeCandidate(
        best.beta,
        best.dual,
        dict(best.stats) | counts,
        lower_bound=relaxed.lower_bound,
        points=points,
        from_start=from_start,
    )
