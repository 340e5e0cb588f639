"""Which intercepts make the smallest margin largest: shortest paths and cycles on a graph of the classes.

A constraint with an intercept is an arc from the class t of its point to the class h it is held against, with margin

    m + b_t − b_h ≥ μ,        m = ⟨a, β⟩.

For two classes the arcs go from one to the other and back, and b = b_+ − b_−. Some b satisfies all arcs exactly when
the mean of m along every cycle of arcs is at least μ (add up the inequalities; conversely lengths of shortest paths for
the weights m − μ are such a b). So the largest μ is the smallest mean of a cycle, and the cycles are what is left of
the constraints when the intercepts are eliminated.

Reference: Karp (1978), for the smallest mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array

Cycle = tuple[int, ...]
"""The numbers of its constraints."""


@dataclass(frozen=True, eq=False)
class Arcs:
    """The constraints as arcs, in one graph or in several that have nothing to do with each other."""

    graph: NDArray[np.intp]
    """Which graph each constraint is in: one for every output that has an intercept of its own."""
    tails: NDArray[np.intp]
    """t of each constraint."""
    heads: NDArray[np.intp]
    """h of each constraint."""
    classes: int
    """Vertices of a graph."""

    @cached_property
    def graphs(self) -> int:
        """How many there are."""
        return int(self.graph.max()) + 1

    def differences(self, b: Array) -> Array:
        """b_t − b_h of each constraint, for b (graphs, classes)."""
        return np.asarray(b[self.graph, self.tails] - b[self.graph, self.heads])

    def smallest(self, margins: Array) -> tuple[Array, NDArray[np.intp]]:
        """The smallest margin of the arcs from t to h, (graphs, classes, classes), inf for none; and whose."""
        shape = (self.graphs, self.classes, self.classes)
        least, whose = np.full(shape, np.inf), np.full(shape, -1)
        order = np.argsort(-margins, kind="stable")  # of an index that is assigned repeatedly the last one stays
        place = self.graph[order], self.tails[order], self.heads[order]
        least[place], whose[place] = margins[order], order
        return least, whose


def smallest_means(least: Array) -> Array:
    """The smallest mean of a cycle in each graph, (graphs,); inf where there is no cycle."""
    n = least.shape[1]
    walks = [np.zeros(least.shape[:2])]
    for _ in range(n):
        walks.append((walks[-1][:, :, None] + least).min(axis=1))
    ends = np.isfinite(walks[n])
    means = [np.where(ends, walks[n] - np.where(ends, walk, 0.0), np.inf) / (n - j) for j, walk in enumerate(walks[:n])]
    return np.asarray(np.max(means, axis=0).min(axis=1))


def best_intercepts(least: Array) -> tuple[Array, Array]:
    """μ, the smallest mean of each graph, and b (graphs, classes) with m + b_t − b_h ≥ μ on every arc.

    In a graph without a cycle every μ can be had; one is taken.
    """
    mu = smallest_means(least)
    weights = least - np.where(np.isfinite(mu), mu, 1.0)[:, None, None]
    b = np.zeros(least.shape[:2])
    for _ in range(least.shape[1] - 1):
        b = np.minimum(b, (b[:, :, None] + weights).min(axis=1))
    return mu, b


def cycles_through(arcs: Arcs, margins: Array, at_most: int, below: float) -> list[Cycle]:
    """For each constraint the cycle through it of nearly the smallest mean: those of mean below `below`, ascending."""
    least, whose = arcs.smallest(margins)
    mu = smallest_means(least)
    length = least - np.where(np.isfinite(mu), mu, 0.0)[:, None, None]
    n = arcs.classes
    following = np.broadcast_to(np.arange(n), length.shape).copy()
    arcs_in = np.ones(length.shape)
    rounding = 1e-12 * max(float(np.abs(length[np.isfinite(length)]).max()), 1e-300)
    for k in range(n):
        through = length[:, :, k, None] + length[:, k, None, :]
        shorter = through < length - rounding
        length = np.where(shorter, through, length)
        following = np.where(shorter, following[:, :, k, None], following)
        arcs_in = np.where(shorter, arcs_in[:, :, k, None] + arcs_in[:, k, None, :], arcs_in)
    back = arcs.graph, arcs.heads, arcs.tails
    own = mu[arcs.graph]
    with np.errstate(invalid="ignore"):  # of graphs without a cycle
        means = own + (margins - own + length[back]) / (1.0 + arcs_in[back])
    chosen = [int(r) for r in np.argsort(means, kind="stable")[:at_most] if means[r] < below]
    return [_closed(arcs, whose, following, r) for r in chosen]


def _closed(arcs: Arcs, whose: NDArray[np.intp], following: NDArray[np.intp], r: int) -> Cycle:
    """Constraint r, and the shortest way back from its head to its tail."""
    graph, at, end = int(arcs.graph[r]), int(arcs.heads[r]), int(arcs.tails[r])
    cycle = [r]
    while at != end and len(cycle) <= arcs.classes:
        step = int(following[graph, at, end])
        cycle.append(int(whose[graph, at, step]))
        at = step
    return tuple(cycle)
