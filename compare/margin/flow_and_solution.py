"""Explicit solution and gradient descent for one family of networks, and the numbers between them.

Nothing is decided here; `compare.margin.margin_predictions` knows what theory predicts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from compare.margin.families import Family
from compare.measures import angle, margin_gap
from gd.data import check_data
from gd.descent.descend import descend
from gd.descent.trajectory import Trajectory
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.flow.map_choice import margin_map
from gd.flow.two_layer_map import TwoLayerMap
from gd.losses import find_loss
from solvers.arrays import Array
from solvers.conic import ConicSolverError
from solvers.max_margin import certify, max_margin
from solvers.solution import Certificate, NoSolverError, Solution
from solvers.stationary_points import BridgeSolution

if TYPE_CHECKING:
    from compare.experiments.margin import MarginComparison


FOLLOWED_ON = 0.5
"""Relative change of the margin from look to look. Where units die slowly a limit is known as soon as a second look
finds the flow closer to it, but a figure is judged by how it moves over the looks after that."""
ARRIVED = 1e-7
"""The same for two-layer networks of a user's own, whose late steps are of any length (`gd.flow.unit_step`). Measured
on 22 of them: residuals of 8e-10 to 8e-7 in 1.4 times the time; with 1e-6 half of them decided nothing."""


@dataclass(frozen=True)
class EndPoint:
    """Where flow or descent of one network ended, and the explicit solution. None: not defined for this network."""

    predictor: Array | None = field(repr=False)
    """β."""
    angle: float | None = None
    """∠(β, β*) in radians."""
    margin_gap: float | None = None
    """1 − γ(β)/γ(β*)."""
    certificate: Certificate | None = None
    """Of β, under the network's own regularizer."""


@dataclass(frozen=True)
class FlowAndSolution:
    """One network: the explicit solution, the flow's limit, plain gradient descent."""

    family: Family
    index: int
    """Which of the family's seeds."""
    y: Array = field(repr=False)
    solution: Solution | None
    """The explicit solution β*. For p < 1 the stationary point that the solver reaches from the flow's limit. None
    where R has no closed form, or nothing was reached."""
    best: Solution | None
    """The cheapest solution known: β* where R is a norm; for p < 1 the best of the stationary points found."""
    limit: Limit
    """Where gradient flow ends."""
    flow: EndPoint
    """The flow's limit, compared with the solution."""
    trajectory: Trajectory = field(repr=False)
    """Plain gradient descent of the whole family; this run is number `index`."""
    descent: EndPoint
    """Where plain gradient descent had got to."""

    @property
    def seed(self) -> int:
        """The seed of the initial weights."""
        return self.family.seeds[self.index]

    @property
    def label(self) -> str:
        """ "convolutional, L=2, seed 0"."""
        return f"{self.family.label}, seed {self.seed}" if self.family.row.build else self.family.label

    @property
    def convex(self) -> bool:
        """Whether the induced regularizer is known and a norm, so that β* does not depend on the network's start."""
        return self.family.regularizer is not None and self.family.regularizer.is_norm

    @property
    def excess(self) -> float | None:
        """R(β)/R(best) − 1 for the flow's limit β at unit margin: what a better stationary point would save."""
        β, regularizer = self.limit.predictor, self.family.regularizer
        if β is None or regularizer is None or self.best is None:
            return None
        return regularizer.value(β) / self.best.objective - 1.0

    @property
    def angle(self) -> float | None:
        """∠(β integrated, β*) in radians, before any polish."""
        β = self.limit.integrated.predictor
        return None if β is None or self.solution is None else angle(β, self.solution.beta)

    @property
    def polish(self) -> float | None:
        """∠(β integrated, β polished) in radians."""
        before, after = self.limit.integrated.predictor, self.limit.predictor
        return None if before is None or after is None else angle(before, after)

    @property
    def target(self) -> Array | None:
        """What paths are drawn towards: β*, or the flow's own limit where there is no β* (p < 1); None without an R."""
        if self.family.regularizer is None:
            return None
        return self.limit.predictor if self.solution is None else self.solution.beta

    def angles(self, predictors: Array | None) -> Array:
        """∠(β, target) in radians along a path of predictors (K, *shape of β); NaN where there is no target."""
        return self.along(predictors, angle)

    def margins(self, predictors: Array | None) -> Array:
        """γ(β)/γ(target) along a path, 1 at the predicted limit; NaN where there is nothing to compare."""
        regularizer = self.family.regularizer
        if regularizer is None:
            return np.full(0 if predictors is None else len(predictors), np.nan)
        return self.along(predictors, lambda β, best: 1.0 - margin_gap(self.family.X, self.y, β, best, regularizer))

    def along(self, predictors: Array | None, measure: Callable[[Array, Array], float]) -> Array:
        """A measure of (β, target) along a path."""
        target = self.target
        if predictors is None or target is None:
            return np.full(0 if predictors is None else len(predictors), np.nan)
        return np.array([measure(β, target) if np.isfinite(β).all() and β.any() else np.nan for β in predictors])


def measure_family(family: Family, y: Array, asked: MarginComparison) -> tuple[FlowAndSolution, ...]:
    """Solve, flow, descend, and certify every member of one family.

    Raises NotSeparableError when no predictor separates the data.
    """
    limits = flow_limit(family.models, family.X, y, loss=asked.loss, settle=follow_on(family, y, asked.loss))
    trajectory = descend(family.models, family.X, y, loss=asked.loss, steps=asked.steps, schedule=asked.schedule)
    R = family.regularizer
    convex = R is not None and R.is_norm
    shared = solution_of(family, y, asked.tol)
    runs = []
    for index, limit in enumerate(limits):
        solution, best = shared, shared
        if not convex:
            solution, best = stationary_points(limit, family, y, tol=asked.tol, n_starts=asked.n_starts)
        reached = None if trajectory.predictor is None else trajectory.predictor[index]
        # gradient descent at a finite time has no multipliers of its own worth having; with the solver's, its duality
        # gap is exactly its margin gap
        multipliers = limit.dual if solution is None else solution.dual
        descent = end_at(reached, family, y, solution, multipliers if convex else None)
        flow = end_at(limit.predictor, family, y, solution, limit.dual if convex else None)
        runs.append(FlowAndSolution(family, index, y, solution, best, limit, flow, trajectory, descent))
    return tuple(runs)


def follow_on(family: Family, y: Array, loss: str) -> float:
    """How far the flows are followed on: until they arrive, where that is no matter of thousands of steps."""
    if family.row.build is not None:
        return FOLLOWED_ON
    inputs, targets = check_data(family.models[0], family.X, y, find_loss(loss))
    mapping = margin_map(family.models[0], inputs, targets.values, targets=targets)
    return ARRIVED if isinstance(mapping, TwoLayerMap) else FOLLOWED_ON


def solution_of(family: Family, y: Array, tol: float) -> Solution | None:
    """The explicit problem of a norm; None where R is none, or is a user's own without a solver."""
    if family.regularizer is None or not family.regularizer.is_norm:
        return None
    try:
        return max_margin(family.X, y, family.regularizer, tol=tol)
    except (NoSolverError, ConicSolverError):
        return None


def stationary_points(
    limit: Limit, family: Family, y: Array, *, tol: float, n_starts: int = 8
) -> tuple[Solution | None, Solution | None]:
    """For p < 1: the stationary point that the solver reaches from the flow's limit, and the best one it finds."""
    R = family.regularizer
    if R is None or R.is_norm or limit.predictor is None or "start" not in R.search_options:
        return None, None
    found = max_margin(family.X, y, R, tol=tol, n_starts=n_starts, start=limit.predictor)
    return (found.from_start, found) if isinstance(found, BridgeSolution) else (None, found)


def end_at(beta: Array | None, family: Family, y: Array, solution: Solution | None, dual: Array | None) -> EndPoint:
    """β, its certificate by the multipliers `dual` (None: the certifier finds its own), and the solution."""
    regularizer = family.regularizer
    if beta is None or regularizer is None or not np.isfinite(beta).all() or not beta.any():
        return EndPoint(beta)
    certificate = certify(family.X, y, beta, regularizer, dual=dual)
    if solution is None:
        return EndPoint(beta, certificate=certificate)
    gap = margin_gap(family.X, y, beta, solution.beta, regularizer)
    return EndPoint(beta, angle(beta, solution.beta), gap, certificate)
