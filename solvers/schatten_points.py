"""Stationary points of a Schatten quasi-norm from many starts, each with its multipliers.

    min Σ_i σ_i(β)^p   s.t.  Aβ ≥ 1,       p = 2/L < 1

Each start goes three steps, as in `solvers.stationary_points`. With β = PΣQᵀ the concave function tr(ββᵀ + ε²)^{p/2}
of ββᵀ lies below its tangent, so minimizing the tangent, an ℓ2 max margin,

    min tr βᵀWβ   s.t.  Aβ ≥ 1,       W = P diag((σ² + ε²)^{p/2−1}) Pᵀ,

decreases the smoothed value; ε falls in stages. Then the rank is decided, and Newton's method on the matrices of that
rank (`solvers.algorithms.fixed_rank`) ends at a stationary point, to rounding. The certificate decides what came out.

Reference: Mohan, Fazel (2012), "Iterative reweighted algorithms for matrix rank minimization".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from solvers.algorithms.fixed_rank import descend_on_rank, newton_on_rank
from solvers.algorithms.least_distance import l2_max_margin
from solvers.algorithms.reweighting import ACCURACY
from solvers.arrays import Array
from solvers.certificate import certified, nearest_multipliers
from solvers.problem import MarginProblem, raised
from solvers.solution import Candidate, Solution, Status
from solvers.stationary_points import best_certified

if TYPE_CHECKING:
    from solvers.regularizers.schatten import Schatten

THRESHOLDS = (1e-2, 1e-1, 1e-4, 1e-6, 1e-9)
"""Singular values above this part of the largest may count, in the order they are tried."""

VANISHING = 1e-3
"""Of a singular value that descent makes this much smaller, zero is tried."""

SMALLEST = 1e-6
"""The last ε, relative to the largest singular value."""


class SpectrumSearch:
    """The problem in rows of unit scale, with the smaller side of β first."""

    def __init__(self, problem: MarginProblem, regularizer: Schatten, tol: float) -> None:
        self.problem, self.regularizer, self.tol = problem, regularizer, tol
        self.unit = problem.equilibrated
        self.right = raised(self.unit.share)
        rows = self.unit.rows.reshape(-1, *problem.shape)
        self.turned = problem.shape[0] > problem.shape[1]
        self.rows = np.ascontiguousarray(rows.swapaxes(1, 2)) if self.turned else rows

    def reached(self, index: int, relaxed: Array, rng: np.random.Generator) -> Solution:
        """See `solvers.stationary_points.LocalSearch`."""
        M = self.rows.shape[1]
        if index == 0 and relaxed.any():
            first, W = 1e-2, self._weights(self._inside(relaxed), 1e-2)
        elif index <= 1:
            first, W = 1.0, np.eye(M)
        else:
            turn = np.linalg.qr(rng.standard_normal((M, M)))[0]
            first, W = 1e-3, (turn * np.exp((2.0 if index % 2 else 4.0) * rng.standard_normal(M))) @ turn.T
        return self._followed(W, first, {"method": "reweighted l2 + Newton on the rank", "start": index})

    def from_start(self, beta: Array) -> Solution:
        """The stationary point next to β: by Newton at β itself, or after reweighting from β's own singular values."""
        stats: dict[str, object] = {"method": "Newton on the rank of start", "start": "given"}
        margin = float(self.problem.careful_margins(beta).min())
        if margin > 0:
            unit = beta / margin
            multipliers = nearest_multipliers(self.problem, unit, self.regularizer, 1e-3).reshape(-1) / self.unit.share
            near = self._stationary_point(self._inside(unit), multipliers, stats)
            if near.status is Status.STATIONARY and np.linalg.norm(near.beta - unit) <= 1e-2 * np.linalg.norm(unit):
                return near
        W = self._weights(self._inside(beta), 1e-3)
        return self._followed(W, 1e-3, stats | {"method": "reweighted from start + Newton on the rank"})

    def _inside(self, beta: Array) -> Array:
        """β in the scale and the orientation of `rows`."""
        return (beta.T if self.turned else beta) * self.unit.scale

    def _outside(self, b: Array) -> Array:
        return (b.T if self.turned else b) / self.unit.scale

    def _weights(self, b: Array, epsilon: float) -> Array:
        """W at b scaled to a largest singular value of one."""
        P, sigma, _ = np.linalg.svd(b, full_matrices=True)
        squares = np.zeros(len(b))
        squares[: sigma.size] = (sigma / sigma[0]) ** 2
        return np.asarray((P * (squares + epsilon**2) ** (self.regularizer.p / 2.0 - 1.0)) @ P.T)

    def _weighted(self, W: Array, start: Array | None) -> tuple[Array, Array]:
        """argmin tr βᵀWβ s.t. Aβ ≥ r, and its multipliers."""
        values, vectors = np.linalg.eigh(W)
        root = (vectors / np.sqrt(values.clip(1e-300))) @ vectors.T
        lifted = np.einsum("ij,njd->nid", root, self.rows) / self.right[:, None, None]
        flat, dual, _ = l2_max_margin(lifted.reshape(len(lifted), -1), start, ACCURACY)
        return root @ flat.reshape(self.rows.shape[1:]), dual

    def _followed(self, W: Array, first: float, stats: dict[str, object]) -> Solution:
        """Reweighting from W, ε falling tenfold from `first`, until Newton's method finds a stationary point.

        It is tried early: as ε falls the space of β's columns freezes, with more active margins than β has freedom.
        """
        b, dual = self._weighted(W, None)
        best, epsilon = self._stationary_point(b, dual / self.right, stats), first
        while best.status is not Status.STATIONARY and epsilon >= SMALLEST:
            for _ in range(30):
                previous = b
                b, dual = self._weighted(self._weights(b, epsilon), dual)
                if np.linalg.norm(b - previous) <= 1e-2 * epsilon * np.linalg.norm(b):
                    break
            found = self._stationary_point(b, dual / self.right, stats)
            best = found if found.certificate.worst < best.certificate.worst else best
            epsilon /= 10.0
        if best.status is Status.STATIONARY:
            return best
        found = self._best_of(chain(*(self._descended(b, rank) for rank in _ranks(b))), b, stats)
        return found if found.certificate.worst < best.certificate.worst else best

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
            margins = np.einsum("nmd,md->n", self.rows, b) / self.right
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

    def _descended(self, b: Array, rank: int) -> Iterator[tuple[Array, Array]]:
        """Descent on a rank, and Newton's method from there; where a singular value vanishes, on the next rank."""
        near = descend_on_rank(self.rows, self.right, self.regularizer.p, b, rank)
        if near is None:
            return
        yield self._outside(near[0]), near[1]
        found = self._newton(near[0], np.flatnonzero(near[1] > 1e-9 * near[1].max(initial=0.0)).tolist(), rank)
        if found is not None:
            yield self._outside(found[0]), found[1]
        before, after = (np.linalg.svd(each, compute_uv=False)[rank - 1] for each in (b, near[0]))
        if rank > 1 and after < VANISHING * before:
            yield from self._descended(near[0], rank - 1)

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
