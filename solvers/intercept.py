"""Max margin with an intercept that is not penalized: the intercept is eliminated, and R stays as it is.

    min_{β, b} R(β)   s.t.   y_n (⟨x_n, β⟩ + b) ≥ 1,                                                  (two classes)
    min_{W, b} R(W)   s.t.   ⟨w_{y_n} − w_k, x_n⟩ + b_{y_n} − b_k ≥ 1   for every k ≠ y_n.            (K classes)

Some b satisfies the constraints exactly when the mean margin along every cycle of classes is at least one
(`solvers.cycles`); with two classes that is ⟨x_i − x_j, β⟩/2 ≥ 1 for every i of the one and j of the other. So it is a
max-margin problem without intercept whose rows are means of rows, and every regularizer solves it, norm or not. There
are many cycles, so they are added as they are violated. Multipliers π of cycles are multipliers α of constraints,

    α_n = Σ_{cycles c through n} π_c/|c|,       and so      Σ_n α_n y_n = 0,

the constraint that b adds to the dual: any α ≥ 0 with it and R°(Aᵀα) ≤ 1 proves R(β) ≥ 1ᵀα for every feasible (β, b).
The certificate is computed from these α and from all margins, with the b that makes the smallest one largest.

Reference: Bennett, Bredensteiner (2000), for two classes in ℓ2: half the distance between the convex hulls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from solvers.algorithms.matrix_rows import MatrixRows, PlainRows
from solvers.arrays import Array
from solvers.certificate import certificate_of, nearest_multipliers, status_of
from solvers.cycles import Cycle, cycles_through
from solvers.intercept_line import Solve, by_lines
from solvers.intercept_problem import InterceptProblem
from solvers.problem import MarginProblem
from solvers.regularizers.regularizer import Regularizer
from solvers.search import Search
from solvers.solution import Certificate, NotSeparableError, Solution, Uniqueness

ALL, ALL_OF_NO_NORM = 400, 2000
"""Pairs of two classes up to which all are taken at once: then uniqueness can be decided, and the points that are found
of no norm are those of the whole problem. More rows that depend on each other are slow for most methods."""
PER_ROUND, NEAREST, LARGEST_SIDE = 100, 10, 60
"""Cycles that a round adds, at most, where there are more; and of two classes all pairs of the points with multipliers
and the nearest of each class, so many at most. (N = 2000 in 50 dimensions: 5 rounds, instead of 25 without pairs.)"""
MAX_ROUNDS = 200
COARSE, FINER = 1e-3, 1e-2
"""The first round's tolerance, and that of the next ones, relative to how much the cycles left out are violated."""


@dataclass(frozen=True, eq=False)
class CycleProblem(MarginProblem):
    """The constraint that the mean margin of each of some cycles is at least one."""

    def matrix_rows(self, sizes: Array) -> MatrixRows:
        return PlainRows(self.signed_rows.scaled(1.0 / sizes), self.shape[0])


class Cycles:
    """The cycles so far."""

    def __init__(self, problem: InterceptProblem, at_once: int) -> None:
        self.problem, self.arcs = problem, problem.inner.arcs
        self.complete = self.arcs.classes == 2 and self._pairs() <= at_once
        self.cycles: dict[Cycle, None] = dict.fromkeys(self._all_pairs() if self.complete else ())
        if not self.complete:
            margins = problem.l2_margins
            self.add(margins, np.inf)
            self.add_pairs(margins, np.zeros(margins.size))

    def _pairs(self) -> float:
        """How many of two classes there are."""
        counts = np.zeros((self.arcs.graphs, self.arcs.classes))
        np.add.at(counts, (self.arcs.graph, self.arcs.tails), 1.0)
        return float((counts[:, 0] * counts[:, 1]).sum())

    def _all_pairs(self) -> list[Cycle]:
        out = self.arcs.tails == 1
        sides = [(out & (self.arcs.graph == g), ~out & (self.arcs.graph == g)) for g in range(self.arcs.graphs)]
        return [pair for side in sides for pair in product(*(np.flatnonzero(part).tolist() for part in side))]

    def add(self, margins: Array, below: float) -> bool:
        """Add cycles of mean margin less than `below`. Whether there was a new one."""
        before = len(self.cycles)
        self.cycles.update(dict.fromkeys(cycles_through(self.arcs, margins, PER_ROUND, below)))
        return len(self.cycles) > before

    def add_pairs(self, margins: Array, dual: Array) -> None:
        """Of two classes, add all pairs of points with multipliers or small margins."""
        heavy = dual > 1e-9 * dual.max()
        for graph in range(self.arcs.graphs if self.arcs.classes == 2 else 0):
            sides = []
            for side in (1, 0):
                own = np.flatnonzero((self.arcs.tails == side) & (self.arcs.graph == graph))
                near = own[np.argsort(margins[own], kind="stable")]
                first = np.flatnonzero(heavy[near] | (np.arange(near.size) < NEAREST))
                sides.append(near[first[:LARGEST_SIDE]].tolist())
            self.cycles.update(dict.fromkeys(product(*sides)))

    @property
    def weights(self) -> csr_array:
        """Which part each constraint has in each cycle, (cycles, constraints); rows of sum one."""
        lengths = np.array([len(cycle) for cycle in self.cycles])
        columns = np.concatenate([np.array(cycle) for cycle in self.cycles])
        data = np.repeat(1.0 / lengths, lengths)
        return csr_array((data, columns, np.concatenate([[0], np.cumsum(lengths)])), (lengths.size, self.size))

    @property
    def size(self) -> int:
        """Constraints."""
        return self.problem.inner.n_constraints

    def relaxed(self, weights: csr_array) -> CycleProblem:
        """The problem of these cycles alone."""
        used: NDArray[np.intp] = np.unique(weights.indices).astype(np.intp)
        rows = np.ascontiguousarray(weights[:, used] @ self.problem.inner.rows(used))
        return CycleProblem(rows, np.ones(len(rows)), self.problem.shape)


def solve_with_intercept(problem: MarginProblem, regularizer: Regularizer, search: Search, solve: Solve) -> Solution:
    """A solution with intercept, by `solve` on problems without one.

    All cycles of two classes are taken at once where they are few, or R is no norm: the points that `solve` finds are
    then those of the whole problem. Of more, a norm needs only the function of b alone.

    Raises:
        NotSeparableError: no (β, b) classifies all points.
        ValueError: all points are of one class, which b alone classifies.
    """
    whole = InterceptProblem.of(problem)
    cycles = Cycles(whole, ALL if regularizer.is_norm else ALL_OF_NO_NORM)
    if not cycles.cycles:
        raise ValueError("with fit_intercept=True there must be points of two classes: b alone classifies one")
    if not cycles.complete and whole.inner.arcs.classes == 2 and not whole.matrix and regularizer.is_norm:
        found = by_lines(whole, regularizer, search, solve)
        if found is not None:
            answer = _of_all(whole, regularizer, search.tol, -np.inf, *found)
            # what `solve` says is of one b
            proved = regularizer.strictly_convex and answer.certificate.worst <= search.tol
            return replace(answer, unique=Uniqueness.UNIQUE if proved else Uniqueness.UNKNOWN)
    return by_cycles(whole, cycles, regularizer, search, solve)


def by_cycles(
    whole: InterceptProblem, cycles: Cycles, regularizer: Regularizer, search: Search, solve: Solve
) -> Solution:
    """The solution on the cycles so far, and more of them, until none is violated."""
    inner = search if cycles.complete else replace(search, tol=max(search.tol, COARSE), progress=None)
    done = 0
    while search.goes_on(done, MAX_ROUNDS):
        weights = cycles.weights
        try:
            solution = solve(cycles.relaxed(weights), regularizer, inner)
        except NotSeparableError as error:
            raise whole.not_separable(weights.T @ error.farkas) from error
        found = solution.each(partial(_of_cycles, whole, regularizer, search.tol, weights))
        if cycles.complete or found.certificate.worst <= search.tol:
            break
        margins = whole.inner.careful_margins(solution.beta)
        if inner.tol <= search.tol and not cycles.add(margins, 1.0 - 0.1 * search.tol):
            break
        cycles.add(margins, 1.0 - inner.tol)
        cycles.add_pairs(margins, found.dual.reshape(-1))
        inner = replace(inner, tol=float(np.clip(FINER * found.certificate.primal, search.tol, COARSE)))
        done += 1
    # the only minimizer under some of the constraints is that under all of them; one of several need not be
    unsure = found.certificate.worst > search.tol or (found.unique is Uniqueness.NOT_UNIQUE and not cycles.complete)
    return replace(found, unique=Uniqueness.UNKNOWN) if unsure else found


def _of_cycles(
    whole: InterceptProblem, regularizer: Regularizer, tol: float, weights: csr_array, solution: Solution
) -> Solution:
    """An answer of some cycles as one of all constraints.

    They relax the problem, so their lower bound is one, but of rounded rows: multipliers of a norm prove their own.
    """
    bound = -np.inf if regularizer.is_norm else solution.lower_bound
    return _of_all(whole, regularizer, tol, bound, solution, weights.T @ solution.dual)


def _of_all(
    whole: InterceptProblem, regularizer: Regularizer, tol: float, bound: float, solution: Solution, alpha: Array
) -> Solution:
    """An answer of a part as one of all constraints, with the certificate that it earns with these multipliers.

    `bound` is a lower bound that the part has proved otherwise.
    """
    certificate = certificate_of(whole, solution.beta, regularizer, alpha, objective=solution.objective)
    return replace(
        solution,
        dual=certificate.dual,
        lower_bound=max(certificate.lower_bound, bound),
        status=status_of(regularizer, certificate.worst, tol),
        certificate=certificate,
        intercept=whole.intercept(solution.beta),
        classes=whole.names,
    )


def certify_with_intercept(
    problem: MarginProblem, beta: Array, regularizer: Regularizer, dual: Array | None
) -> Certificate:
    """The certificate of β with its best intercept; the multipliers, where none are given, are the nearest."""
    whole = InterceptProblem.of(problem)
    if dual is None:
        cycles = Cycles(whole, ALL_OF_NO_NORM)
        cycles.add(whole.inner.careful_margins(beta), np.inf)
        weights = cycles.weights
        dual = weights.T @ nearest_multipliers(cycles.relaxed(weights), beta, regularizer)
    else:
        whole.raise_unless_balanced(dual)
    return certificate_of(whole, beta, regularizer, dual)
