"""Both roads for one family of networks: the explicit solution, the ends of gradient descent, and the numbers between.

Nothing is decided here; `compare.margin_tables` knows what theory predicts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compare.families import Family
from compare.measures import angle, margin_gap
from gd.descend import descend
from gd.flow_limit import flow_limit
from gd.limit import Limit
from gd.schedule import Schedule
from gd.trajectory import Trajectory
from solvers.max_margin import certify, max_margin
from solvers.solution import Certificate, Solution

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """How both roads are walked."""

    loss: str = "exponential"
    steps: int = 2000
    """Of plain gradient descent."""
    schedule: str | Schedule = "armijo"
    """Of plain gradient descent."""
    tol: float = 1e-9
    """Relative certificate violation that the solver may leave."""


@dataclass(frozen=True)
class End:
    """Where a road of one network ended, beside the explicit solution. None: not defined for this network."""

    predictor: Array | None = field(repr=False)
    """β."""
    angle: float | None = None
    """∠(β, β*) in radians."""
    margin_gap: float | None = None
    """1 − γ(β)/γ(β*)."""
    certificate: Certificate | None = None
    """β judged under the network's own regularizer."""


@dataclass(frozen=True)
class Run:
    """One network, both roads."""

    family: Family
    index: int
    """Which of the family's seeds."""
    y: Array = field(repr=False)
    solution: Solution | None
    """The explicit solution β*; None where R has no solver or no closed form."""
    limit: Limit
    """Where gradient flow ends."""
    flow: End
    """The flow's limit beside the solution."""
    trajectory: Trajectory = field(repr=False)
    """Plain gradient descent of the whole family; this run is number `index`."""
    descent: End
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
    def target(self) -> Array | None:
        """What paths are drawn towards: β*, or the flow's own limit where there is no β* (p < 1)."""
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


def measure_family(family: Family, y: Array, plan: Plan) -> tuple[Run, ...]:
    """Solve, flow, descend, and judge every member of one family.

    Raises NotSeparableError when no predictor separates the data.
    """
    limits = flow_limit(family.models, family.X, y, loss=plan.loss)
    trajectory = descend(family.models, family.X, y, loss=plan.loss, steps=plan.steps, schedule=plan.schedule)
    solved = solve(family, y, plan)
    runs = []
    for index, limit in enumerate(limits):
        reached = None if trajectory.predictor is None else trajectory.predictor[index]
        # gradient descent at a finite time has no multipliers of its own worth having; with the solver's, its duality
        # gap is exactly its margin gap
        descent = end_at(reached, family, y, solved, None if solved is None else solved.dual)
        convex = family.regularizer is not None and family.regularizer.convex
        flow = end_at(limit.predictor, family, y, solved, limit.dual if convex else None)
        runs.append(Run(family, index, y, solved, limit, flow, trajectory, descent))
    return tuple(runs)


def solve(family: Family, y: Array, plan: Plan) -> Solution | None:
    """The family's explicit problem; None where R is unknown or not convex."""
    regularizer = family.regularizer
    if regularizer is None or not regularizer.convex:
        return None
    return max_margin(family.X, y, regularizer, tol=plan.tol)


def end_at(beta: Array | None, family: Family, y: Array, solution: Solution | None, dual: Array | None) -> End:
    """β beside the solution, and judged by itself with the multipliers `dual` (None: the certifier finds its own)."""
    regularizer = family.regularizer
    if beta is None or regularizer is None or not np.isfinite(beta).all() or not beta.any():
        return End(beta)
    certificate = certify(family.X, y, beta, regularizer, dual=dual)
    if solution is None:
        return End(beta, certificate=certificate)
    gap = margin_gap(family.X, y, beta, solution.beta, regularizer)
    return End(beta, angle(beta, solution.beta), gap, certificate)
