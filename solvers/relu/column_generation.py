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

import numpy as np
from scipy.optimize import linprog

from solvers.arrays import Array
from solvers.relu.faces import polished
from solvers.relu.largest_unit import activation, largest_unit, local_maxima

FIRST_PENALTY, LARGEST_PENALTY = 10.0, 1e12
"""M at the start, for points of norm about one, and where the search gives up."""


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

    def __init__(self, points: Array, labels: Array, slope: float, starts: Array) -> None:
        self.points, self.labels, self.slope, self.starts = points, labels, slope, starts
        self.neurons, self.signs = np.zeros((0, points.shape[1])), np.zeros(0)
        self.value, self.best = np.inf, (self.neurons, self.signs)
        self.bound, self.dual = 0.0, np.ones(points.shape[0])

    def offer_network(self, neurons: Array, outputs: Array) -> None:
        """Keep a network, scaled to margin one, if its value is the smallest so far."""
        margin = float((self.labels * (activation(self.points @ neurons.T, self.slope) @ outputs)).min())
        value = float(np.abs(outputs).sum()) / margin if margin > 0 else np.inf
        if value < self.value:
            self.value, self.best = value, (neurons, outputs / margin)

    def enter(self, neurons: Array, signs: Array) -> int:
        """Add units to the linear program; how many were new."""
        if not neurons.size:
            return 0
        together = np.column_stack([np.concatenate([self.neurons, neurons]), np.concatenate([self.signs, signs])])
        _, first = np.unique(together.round(13), axis=0, return_index=True)
        before = self.signs.size
        together = together[np.sort(first)]
        self.neurons, self.signs = together[:, :-1], together[:, -1]
        return self.signs.size - before

    def add_violated(self, dual: Array, tol: float, *, exact: bool) -> int:
        """Let the units enter whose responses at these multipliers exceed 1; keep the multipliers if they prove more.

        By local search from the units at hand, then from all starts, then, where `exact`, in all cells.
        """
        if not dual.any():
            return 0
        weights = self.labels * dual
        tried = [self.neurons] if self.neurons.size else []
        for starts in [*tried, self.starts]:
            units, responses = local_maxima(self.points, weights, self.slope, starts)
            if np.abs(responses).max(initial=0.0) > 1.0 + tol:
                break
        largest = float(np.abs(responses).max(initial=0.0))
        if exact and largest <= 1.0 + tol:
            found = largest_unit(self.points, weights, self.slope)
            if found.response > max(1.0 + tol, largest):
                sign = np.sign(activation(self.points @ found.unit, self.slope) @ weights)
                units, responses = np.vstack([found.unit, units]), np.append(sign * found.response, responses)
            largest = max(largest, found.response)
        if largest > 0 and float(dual.sum()) / largest > self.bound:
            self.bound, self.dual = float(dual.sum()) / largest, dual / largest
        entering = np.abs(responses) > 1.0 + tol
        return self.enter(units[entering], np.sign(responses[entering]))

    def solve(self, penalty: float) -> tuple[Array, Array, float]:
        """The linear program: weights c of the units, multipliers α, and the largest slack."""
        features = self.labels[:, None] * activation(self.points @ self.neurons.T, self.slope) * self.signs
        n = self.labels.size
        answer = linprog(
            np.append(np.ones(self.signs.size), np.full(n, penalty)),
            A_ub=-np.hstack([features, np.eye(n)]),
            b_ub=-np.ones(n),
            bounds=(0, None),
            method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        c, slack = answer.x[: self.signs.size], answer.x[self.signs.size :]
        return c, -answer.ineqlin.marginals, float(slack.max())


def column_generation(
    points: Array, labels: Array, slope: float, *, tol: float, starts: Array, max_steps: int
) -> Network:
    """The network of least norm on points z (N, k) of norm about one, k their rank."""
    search = _Search(points, labels, slope, starts)
    penalty, rounds = FIRST_PENALTY, 0
    search.add_violated(penalty * search.dual, tol, exact=False)
    for rounds in range(1, max_steps + 1):
        c, alpha, slack = search.solve(penalty)
        used = c > 1e-12 * c.max(initial=0.0)
        search.offer_network(search.neurons[used], (search.signs * c)[used])
        new = 0
        if slack <= 1e-9 and used.any():
            found = polished(points, labels, search.neurons[used], search.signs[used], slope, tol)
            if found is not None:
                b, signs, dual = found
                size = np.linalg.norm(b, axis=1)
                kept = size > 1e-13 * size.max()
                units, signs = b[kept] / size[kept, None], signs[kept]
                search.offer_network(units, signs * size[kept])
                new += search.enter(units, signs)
                new += search.add_violated(dual, tol / 10, exact=True)
        if np.isfinite(search.value) and search.bound >= (1.0 - tol) * search.value:
            break
        new += search.add_violated(alpha, tol / 10, exact=slack <= 1e-9)
        if new == 0:
            if slack <= 1e-9 or penalty > LARGEST_PENALTY:
                break
            penalty *= 100.0
    return Network(*search.best, search.dual, rounds)
