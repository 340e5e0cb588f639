"""Column generation for the two-layer ReLU network of least norm: the unit that violates the dual most enters.

Over finitely many units u_j with output signs s_j the problem is a linear program,

    min Σ_j c_j + M Σ_n r_n   s.t.   y_n Σ_j s_j c_j σ(z_n · u_j) + r_n ≥ 1,   c, r ≥ 0,

whose multipliers 0 ≤ α ≤ M say which units are missing: those with |Σ_n α_n y_n σ(z_n · u)| > 1. The slack r makes it
feasible from the start; M grows until r = 0. The linear program finds the faces on which the units lie, slowly their
exact place there, so each round also solves the problem with the gates held (`solvers.relu.faces`) and takes its units
in. Nothing here is believed: `solvers.relu.certificate` computes value and bound from the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from solvers.arrays import Array
from solvers.relu.faces import polished
from solvers.relu.largest_unit import activation, largest_unit, local_maxima
from solvers.search import Progress

FIRST_PENALTY, LARGEST_PENALTY = 10.0, 1e12
"""M at the start, for points of norm about one, and where the search gives up."""

MOST_COLUMNS = 10
"""With more columns than this for each point the linear program forgets the half of the largest reduced costs."""


@dataclass(frozen=True)
class Options:
    """How the network is searched for, checked; `solvers.relu_max_margin` says what each is."""

    slope: float
    tol: float
    max_rank: int
    n_starts: int
    seed: int
    max_steps: int
    deadline: float
    """The time of `time.monotonic` from which on no round begins."""
    progress: Progress | None


@dataclass(frozen=True)
class Network:
    """A network and multipliers, as they were found."""

    neurons: Array
    """Unit vectors (units, k)."""
    outputs: Array
    """a (units,), scaled so that the smallest margin is one."""
    dual: Array
    """α (N,), any scale."""
    rounds: int
    """Linear programs solved."""


class _Search:
    """The best network and the best multipliers so far, and the units of the linear program."""

    def __init__(self, points: Array, labels: Array, options: Options) -> None:
        self.points, self.labels, self.slope, self.options = points, labels, options.slope, options
        self.rng = np.random.default_rng(options.seed)
        self.neurons, self.signs = np.zeros((0, points.shape[1])), np.zeros(0)
        self.value, self.best = np.inf, (self.neurons, self.signs)
        self.bound, self.dual = 0.0, np.ones(points.shape[0])

    def offer_network(self, neurons: Array, outputs: Array) -> float:
        """The smallest margin of a network; it is kept, scaled to margin one, if its value is the smallest so far.

        Of two values that are equal to rounding the one of fewer units.
        """
        margin = float((self.labels * (activation(self.points @ neurons.T, self.slope) @ outputs)).min())
        value = float(np.abs(outputs).sum()) / margin if margin > 0 else np.inf
        rounding = 1e-13 * (1 if outputs.size < self.best[1].size else -1)
        if value < self.value * (1.0 + rounding):
            self.value, self.best = value, (neurons, outputs / margin)
        return margin

    def enter(self, neurons: Array, signs: Array) -> int:
        """Add units with output signs to the linear program; how many were new."""
        together = np.column_stack([np.concatenate([self.neurons, neurons]), np.concatenate([self.signs, signs])])
        _, first = np.unique(together.round(13), axis=0, return_index=True)
        before = self.signs.size
        together = together[np.sort(first)]
        self.neurons, self.signs = together[:, :-1], together[:, -1]
        return self.signs.size - before

    def violated(self, dual: Array, tol: float, *, exact: bool) -> tuple[Array, Array, int]:
        """Let the units enter whose responses at these multipliers exceed 1, and return them: u, signs, how many new.

        By local search from the units at hand, the points, and random starts, then, where `exact`, in all cells. Where
        nothing new is found the multipliers are kept, if they prove more than those at hand.
        """
        weights = self.labels * dual
        random = self.rng.standard_normal((self.options.n_starts, self.points.shape[1]))
        starts = np.concatenate([self.neurons, self.points, -self.points, random])
        units, responses = local_maxima(self.points, weights, self.slope, starts, self.options.deadline)
        entering = np.abs(responses) > 1.0 + tol
        units, signs = units[entering], np.sign(responses[entering])
        new = self.enter(units, signs)
        if new == 0 and exact:
            found = largest_unit(self.points, weights, self.slope, max_rank=self.options.max_rank)
            largest = max(1.0, found.response, float(np.abs(responses).max(initial=0.0)))
            if found.response > 1.0 + tol:
                units = np.vstack([found.unit, units])
                signs = np.append(np.sign(activation(self.points @ found.unit, self.slope) @ weights), signs)
                new = self.enter(units[:1], signs[:1])
            if new == 0 and float(dual.sum()) / largest > self.bound:
                self.bound, self.dual = float(dual.sum()) / largest, dual
        return units, signs, new

    def solve(self, penalty: float) -> tuple[Array, Array, float]:
        """The linear program: weights c of the units, multipliers α, and the largest slack."""
        features = self.labels[:, None] * activation(self.points @ self.neurons.T, self.slope) * self.signs
        n, columns = features.shape
        for accuracy in (1e-10, 1e-7):  # HiGHS gives up on some programs at the first
            answer = linprog(
                np.append(np.ones(columns), np.full(n, penalty)),
                A_ub=-np.hstack([features, np.eye(n)]),
                b_ub=-np.ones(n),
                bounds=(0, None),
                method="highs",
                options={"primal_feasibility_tolerance": accuracy, "dual_feasibility_tolerance": accuracy},
            )
            if answer.x is not None:
                break
        c, alpha = answer.x[:columns], -answer.ineqlin.marginals
        if columns > MOST_COLUMNS * n:
            cheapest = np.sort(np.argsort(1.0 - alpha @ features)[: columns // 2])
            kept = np.union1d(cheapest, np.flatnonzero(c))
            self.neurons, self.signs, c = self.neurons[kept], self.signs[kept], c[kept]
        return c, alpha, float(answer.x[columns:].max())

    def polish(self, used: NDArray[np.bool_], tol: float, max_steps: int = 10) -> int:
        """The problem with the gates of the used units held, and with those of the units that violate its dual."""
        neurons, signs, new = self.neurons[used], self.signs[used], 0
        for _ in range(max_steps):
            found = polished(self.points, self.labels, neurons, signs, self.slope, tol)
            if found is None:
                break
            b, sides, dual = found
            size = np.linalg.norm(b, axis=1)
            kept = size > 1e-13 * size.max()
            units = b[kept] / size[kept, None]
            margin = self.offer_network(units, sides[kept] * size[kept])
            new += self.enter(units, sides[kept])
            more, more_signs, entered = self.violated(dual, tol / 10, exact=True)
            new += entered
            if not more.size or margin < 1.0 - 1e-9 or self.bound >= (1.0 - tol) * self.value:
                break
            if monotonic() >= self.options.deadline:
                break
            neurons, signs = np.concatenate([neurons, more]), np.append(signs, more_signs)
        return new


def column_generation(points: Array, labels: Array, neurons: Array, signs: Array, options: Options) -> Network:
    """The network of least norm on points z (N, k) of norm about one, k their rank.

    `neurons` (units, k), unit vectors, and their output `signs` are in the linear program from the start.
    """
    tol = options.tol
    search = _Search(points, labels, options)
    search.enter(neurons, signs)
    penalty, rounds = FIRST_PENALTY, 0
    search.violated(np.full(labels.size, penalty), tol, exact=False)
    for rounds in range(1, options.max_steps + 1):
        if monotonic() > options.deadline:
            break
        if options.progress is not None:
            options.progress(rounds - 1, options.max_steps)
        c, alpha, slack = search.solve(penalty)
        if slack > 1e-9:
            if search.violated(alpha, tol, exact=True)[2] and rounds % 3:
                continue
            if penalty > LARGEST_PENALTY:
                break
            penalty *= 10.0
            continue
        used = c > 1e-12 * c.max()
        search.offer_network(search.neurons[used], (search.signs * c)[used])
        new = search.polish(used, tol)
        if search.bound >= (1.0 - tol) * search.value:
            break
        if new + search.violated(alpha, tol / 10, exact=True)[2] == 0:
            break
    if search.best[1].size > labels.size:  # a vertex of the program over the units found has at most N of them
        search.neurons, search.signs = search.best[0], np.sign(search.best[1])
        c, _, _ = search.solve(penalty)
        search.polish(c > 1e-9 * c.max(), tol)
    return Network(*search.best, search.dual, rounds)
