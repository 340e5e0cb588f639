"""Both roads for one family of networks: the explicit solution, the ends of gradient descent, and the numbers between.

Nothing is decided here; `compare.margin_tables` knows what theory predicts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compare.families import Family
from compare.measures import angle, margin_gap, normalized_margin
from gd.descend import descend
from gd.trajectory import Trajectory
from solvers.regularizers import Regularizer
from solvers.solution import Certificate, Solution

Array = NDArray[np.float64]


@dataclass(frozen=True)
class End:
    """Where one road of one network ended, beside the explicit solution. None: not defined for this network."""

    predictor: Array | None = field(repr=False)
    """β."""
    angle: float | None
    """∠(β, β*) in radians."""
    margin_gap: float | None
    """1 − γ(β)/γ(β*)."""
    certificate: Certificate | None
    """β judged under the network's own regularizer."""


@dataclass(frozen=True)
class Run:
    """One network, both roads."""

    family: Family
    index: int
    """Which of the family's seeds."""
    solution: Solution | None
    """The explicit solution β*; None where R has no solver or no closed form."""
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

    def path_angles(self) -> Array:
        """∠(β(t), β*) in radians at the trajectory's snapshots; NaN where there is nothing to compare."""
        return self.along(lambda β, best: angle(β, best))

    def path_margins(self) -> Array:
        """γ(β(t))/γ(β*) at the snapshots, 1 at the predicted limit; NaN where there is nothing to compare."""
        return self.along(lambda β, best: 1.0 - margin_gap(self.family.X, self.labels, β, best, self.regularizer))

    def along(self, measure: Callable[[Array, Array], float]) -> Array:
        """A measure of (β(t), β*) at every snapshot."""
        path = self.trajectory.predictors
        if path is None or self.solution is None:
            return np.full(len(self.trajectory.steps), np.nan)
        best = self.solution.beta
        return np.array([measure(β, best) if np.isfinite(β).all() and β.any() else np.nan for β in path[self.index]])


def solve(family: Family, y: Array, tol: float) -> Solution | None:
    """The family's explicit problem; None where R is unknown or not convex."""
    regularizer = family.regularizer
    if regularizer is None or not regularizer.convex:
        return None
    return max_margin(family.X, y, regularizer, tol=tol)


def end_at(beta: Array | None, family: Family, y: Array, solution: Solution | None, dual: Array | None = None) -> End:
    """β beside the solution, and judged by itself with the multipliers `dual` (else the certifier finds its own)."""
    regularizer = family.regularizer
    if beta is None or regularizer is None or not np.isfinite(beta).all() or not beta.any():
        return End(beta, None, None, None)
    certificate = certify(family.X, y, beta, regularizer, dual=dual)
    if solution is None:
        return End(beta, None, None, certificate)
    gap = margin_gap(family.X, y, beta, solution.beta, regularizer)
    return End(beta, angle(beta, solution.beta), gap, certificate)
