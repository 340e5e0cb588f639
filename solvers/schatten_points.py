"""Stationary points of a Schatten quasi-norm from many starts, each with its multipliers.

    min Σ_i σ_i(β)^p   s.t.  Aβ ≥ 1,       p = 2/L < 1

Each start is a β with positive margins, the ℓ2 max margin in a metric W on the columns of β,

    min tr βᵀWβ   s.t.  Aβ ≥ 1.

From it the central path (`solvers.algorithms.rank_path`) leads to a stationary point of some rank, and Newton's method
on the matrices of that rank (`solvers.algorithms.fixed_rank`) ends there to rounding. The certificate decides what came
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from solvers.algorithms.fixed_rank import newton_on_rank
from solvers.algorithms.least_distance import l2_max_margin
from solvers.algorithms.rank_path import central_path
from solvers.algorithms.reweighting import ACCURACY
from solvers.algorithms.signed_rows import dense
from solvers.arrays import Array
from solvers.certificate import certified, nearest_multipliers
from solvers.problem import MarginProblem, raised
from solvers.solution import Candidate, Solution, Status
from solvers.stationary_points import best_certified

if TYPE_CHECKING:
    from solvers.regularizers.schatten import Schatten

THRESHOLDS = (1e-2, 1e-1, 1e-4, 1e-6, 1e-9)
"""Singular values above this part of the largest may count, in the order they are tried."""

NEAR, FAR = 1e-2, 1.0
"""The first μ of a path that stays near its start, and of one that forgets it: each finds points that the other misses
(of 20 Gaussian problems at p = 0.2 the far ones were up to 47 % lower, of 20 at p = 2/3 the near ones 38 %)."""

TRIED, NEXT = 1e-4, 1e-3
"""At this complementarity Newton's method is tried from the path, and again each time it has fallen by this factor."""


class SpectrumSearch:
    """The problem in rows of unit scale, with the smaller side of β first."""

    def __init__(self, problem: MarginProblem, regularizer: Schatten, tol: float) -> None:
        self.problem, self.regularizer, self.tol = problem, regularizer, tol
        self.unit = problem.equilibrated
        self.right = raised(self.unit.share, 4.0)
        rows = self.unit.rows.reshape(-1, *problem.shape)
        self.basis = None
        if problem.points.shape[0] < problem.shape[1]:  # in the span of the points no singular value is larger
            self.basis = np.linalg.qr(dense(problem.points).T)[0]
            rows = rows @ self.basis
        self.turned = rows.shape[1] > rows.shape[2]
        self.rows = np.ascontiguousarray(rows.swapaxes(1, 2)) if self.turned else rows

    def reached(self, index: int, relaxed: Array, rng: np.random.Generator) -> Solution:
        """See `solvers.stationary_points.LocalSearch`."""
        M = self.rows.shape[1]
        if index == 0 and relaxed.any():
            root = self._root(self._inside(relaxed), 1e-2)
        elif index <= 1:
            root = np.eye(M)
        else:
            turn = np.linalg.qr(rng.standard_normal((M, M)))[0]
            root = (turn * np.exp((1.0 if index % 2 else 2.0) * rng.standard_normal(M))) @ turn.T
        return self._followed(root, FAR if index % 2 else NEAR, {"method": "central path", "start": index})

    def from_start(self, beta: Array) -> Solution:
        """The stationary point next to β: by Newton at β itself, or by the central path from β's own metric."""
        stats: dict[str, object] = {"method": "Newton on the rank of start", "start": "given"}
        margin = float(self.problem.careful_margins(beta).min())
        if margin > 0:
            unit = beta / margin
            multipliers = nearest_multipliers(self.problem, unit, self.regularizer, 1e-3).reshape(-1) / self.unit.share
            near = self._stationary_point(self._inside(unit), multipliers, stats)
            if near.status is Status.STATIONARY and np.linalg.norm(near.beta - unit) <= 1e-2 * np.linalg.norm(unit):
                return near
        root = self._root(self._inside(beta), 1e-3)
        return self._followed(root, NEAR, stats | {"method": "central path from start"})

    def _inside(self, beta: Array) -> Array:
        """β in the scale and the orientation of `rows`."""
        beta = beta if self.basis is None else beta @ self.basis
        return (beta.T if self.turned else beta) * self.unit.scale

    def _outside(self, b: Array) -> Array:
        b = b.T if self.turned else b
        return (b if self.basis is None else b @ self.basis.T) / self.unit.scale

    def _root(self, b: Array, epsilon: float) -> Array:
        """W^{−1/2} at b, with W = (ββᵀ/σ_1² + ε²)^{p/2−1}."""
        P, sigma, _ = np.linalg.svd(b, full_matrices=True)
        squares = np.zeros(len(b))
        squares[: sigma.size] = (sigma / sigma[0]) ** 2
        return np.asarray((P * (squares + epsilon**2) ** (0.5 - self.regularizer.p / 4.0)) @ P.T)

    def _interior(self, root: Array) -> Array:
        """argmin tr βᵀWβ with all rows of norm one at margins of two or more."""
        lifted = np.einsum("ij,njd->nid", root, self.rows)
        flat = l2_max_margin(lifted.reshape(len(lifted), -1), None, ACCURACY)[0]
        b = root @ flat.reshape(self.rows.shape[1:])
        return np.asarray(b * (2.0 / float(self._margins(b).min())))

    def _margins(self, b: Array) -> Array:
        return np.asarray(np.einsum("nmd,md->n", self.rows, b))

    def _followed(self, root: Array, first: float, stats: dict[str, object]) -> Solution:
        """What the central path from the start with W^{−1/2} leads to."""
        start = self._interior(root)
        return self._best_of(self._ends(start, first), start, stats)

    def _ends(self, start: Array, first: float) -> Iterator[tuple[Array, Array]]:
        """Points on the way to the end of the central path from which Newton's method converges, and the end."""
        path = central_path(self.rows, self.right, self.regularizer.p, start, first=first, accuracy=0.1 * self.tol)
        tried = TRIED
        for point, dual, gap in path:
            if gap > tried:
                continue
            tried *= NEXT
            active = np.flatnonzero(dual > self._margins(point.beta) - self.right).tolist()
            found = self._newton(point.beta, active, point.rank, max_changes=3)
            if found is not None:
                yield self._outside(found[0]), found[1]
        yield self._outside(point.beta), dual

    def _certified(self, beta: Array, dual: Array | None, stats: dict[str, object]) -> Solution:
        """The solution of β, scaled to margin one, and multipliers of the rows of unit scale; None: the nearest."""
        alpha = nearest_multipliers(self.problem, beta, self.regularizer) if dual is None else dual * self.unit.share
        return certified(self.problem, self.regularizer, Candidate(beta, alpha, stats), tol=self.tol)

    def _newton(self, b: Array, active: list[int], rank: int, max_changes: int = 20) -> tuple[Array, Array] | None:
        """Newton's method on a rank; constraints change one at a time until signs and margins are right."""
        for _ in range(max_changes):
            found = newton_on_rank(self.rows[active], self.right[active], self.regularizer.p, b, rank)
            if found is None:
                return None
            b, multipliers = found
            margins = self._margins(b) / self.right
            worst = int(margins.argmin())
            if multipliers.min() < -1e-12 * multipliers.max():
                del active[int(multipliers.argmin())]
            elif margins[worst] < 1.0 - 1e-10 and worst not in active:
                active.append(worst)
            else:
                alpha = np.zeros(len(self.rows))
                alpha[active] = multipliers
                return b, alpha
            if not active:
                break
        return None

    def _stationary_point(self, b: Array, dual: Array, stats: dict[str, object]) -> Solution:
        """The rank whose Newton solution has the best certificate."""
        active = np.flatnonzero(dual > 1e-9 * dual.max(initial=0.0)).tolist()

        def candidates() -> Iterator[tuple[Array, Array]]:
            for rank in _ranks(b):
                found = self._newton(b, list(active), rank)
                if found is not None:
                    yield self._outside(found[0]), found[1]

        return self._best_of(candidates(), b, stats)

    def _best_of(self, candidates: Iterable[tuple[Array, Array]], b: Array, stats: dict[str, object]) -> Solution:
        """See `best_certified`."""
        return best_certified(
            candidates, self._outside(b), self.problem, lambda beta, alpha: self._certified(beta, alpha, stats)
        )


def _ranks(b: Array) -> list[int]:
    """The ranks that a matrix may have."""
    sigma = np.linalg.svd(b, compute_uv=False)
    return list(dict.fromkeys(int((sigma > threshold * sigma[0]).sum()) for threshold in THRESHOLDS))
