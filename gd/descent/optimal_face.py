"""The optima around one: those of min R(β) s.t. Aβ ≥ 1 are a convex set, a point where the optimum is unique."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import nnls

from solvers.arrays import Array
from solvers.card import Card
from solvers.problem import MarginProblem
from solvers.regularizers import Regularizer

OPTIMAL = 1e-9
"""Relative: a predictor with this much less margin and this much more norm is still called optimal."""
POINT = 1e-4
"""Relative extent below which a direction leads nowhere: R may grow like the square of the distance, and then `OPTIMAL`
is reached at its square root."""


@dataclass(frozen=True, repr=False)
class OptimalFace(Card):
    """Directions in which an optimal β can move and stay optimal.

    Reference: Mangasarian (1979), *Uniqueness of solution in linear programming*.
    """

    directions: Array = field(repr=False)
    """An orthonormal basis, shape (k, *shape of β)."""
    extent: Array
    """How far β may move along each of them alone, shape (k, 2), first ≤ 0 ≤ second; in units of β."""


def optimal_face(problem: MarginProblem, R: Regularizer, beta: Array, directions: Array) -> OptimalFace | None:
    """The face around an optimal β of unit margin, from candidate directions (k, size of β); None: it is β alone."""
    value, kept, extents = R.value(beta), [], []

    def optimal(moved: Array) -> bool:
        return R.value(moved) <= value * (1.0 + OPTIMAL) and problem.margins(moved).min() >= 1.0 - OPTIMAL

    for direction in directions.reshape(-1, *beta.shape):
        # farther than this even −β's side is left: R(β + sd) ≥ sR(d) − R(β)
        reach = 2.1 * value / R.value(direction)
        extent = [-_farthest(optimal, beta, -direction, reach), _farthest(optimal, beta, direction, reach)]
        if max(-extent[0], extent[1]) > POINT * float(np.linalg.norm(beta)):
            kept.append(direction)
            extents.append(extent)
    return OptimalFace(np.stack(kept), np.array(extents)) if kept else None


def nearest_optimum(
    problem: MarginProblem, R: Regularizer, value: float, beta: Array, sweeps: int = 500
) -> Array | None:
    """The optimum next to β, { Aβ ≥ 1, R(β) ≤ value }, to a few digits; None where R's ball has no projection here.

    By Dykstra's alternating projections; onto the half-spaces by nonnegative least squares.
    """
    A, point = problem.A, beta
    of_ball = np.zeros_like(beta)
    of_rows = np.zeros_like(beta)
    for _ in range(sweeps):
        before = point
        on_ball = R.project(point + of_ball, value)
        if on_ball is None:
            return None
        of_ball = point + of_ball - on_ball
        given = on_ball + of_rows
        # the projection is given + Aᵀν with the ν ≥ 0 of least ½‖Aᵀν‖² − νᵀ(1 − A given)
        point = given + _rows_multipliers(A, 1.0 - problem.margins(given), given.shape)
        of_rows = given - point
        if np.linalg.norm(point - before) <= 1e-10 * np.linalg.norm(point):
            break
    return point


def _rows_multipliers(A: Array, missing: Array, shape: tuple[int, ...]) -> Array:
    """Aᵀν of the projection onto Aβ ≥ 1 from where margins miss 1 by `missing` (a least-distance problem)."""
    if missing.max() <= 0:
        return np.zeros(shape)
    system = np.vstack([A.T, missing[None]])
    target = np.append(np.zeros(A.shape[1]), 1.0)
    residual = system @ nnls(system, target)[0] - target
    return np.asarray(-residual[:-1] / residual[-1]).reshape(shape)


def _farthest(optimal: Callable[[Array], bool], beta: Array, direction: Array, reach: float) -> float:
    """The largest s in [0, reach] with β + s·direction optimal, by bisection: the optimal set is convex."""
    low, high = 0.0, reach
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if optimal(beta + middle * direction) else (low, middle)
    return low
