"""The ℓ2 norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from solvers.algorithms.ball_newton import Ball, GroupBall
from solvers.algorithms.interior_point import group_max_margin
from solvers.algorithms.least_distance import l2_max_margin
from solvers.arrays import Array
from solvers.conic import cvxpy_library
from solvers.interpolation.row_space import Found
from solvers.regularizers.exponent import in_range
from solvers.regularizers.regularizer import Norm
from solvers.solution import Candidate, Uniqueness

if TYPE_CHECKING:
    from solvers.interpolation.problem import InterpolationProblem
    from solvers.problem import MarginProblem
    from solvers.search import Search
    from solvers.solution import Solution


SMALL = 100_000
"""Entries of rows for which the interior point takes a fraction of a second."""


def euclidean_norm(x: Array) -> float:
    """‖x‖₂, for entries of any size."""
    return in_range(lambda x: float(np.linalg.norm(x)), x)


def least_norm(problem: MarginProblem) -> Candidate:
    """min ‖β‖₂ s.t. Aβ ≥ 1; for several outputs the problem of each output by itself."""
    parts = [l2_max_margin(rows) for rows in problem.independent_rows]
    beta = np.stack([part[0] for part in parts]).reshape(problem.shape)
    return Candidate(beta, np.stack([part[1] for part in parts], axis=1), parts[0][2])


def least_norm_of_wide_rows(problem: MarginProblem, tol: float) -> Candidate | None:
    """The same by the interior point for group norms, with one group; None for many rows of comparable norms.

    Of rows over many decades β must meet the largest with a margin that its own rounding exceeds, so that they are
    scaled together with their right sides. Rows that depend on each other to rounding, as those of cycles with an
    intercept do, mislead an active set, and not an interior point.
    """
    unit = problem.equilibrated
    if unit.share.min() > 1e-1 and unit.rows.size > SMALL:
        return None
    found = group_max_margin(unit.rows, unit.right, lambda part: part[:, None, :], 0.5 * tol)
    beta, dual = found.b.reshape(problem.shape) / unit.scale, found.dual * unit.share
    how: dict[str, object] = {"method": "interior point", "iterations": found.iterations}
    return Candidate(np.asarray(beta, dtype=np.float64), np.asarray(dual, dtype=np.float64), how)


def least_norm_that_fits(problem: InterpolationProblem) -> Found:
    """min ‖β‖₂ s.t. Xβ = y: β = Qᵀb, in the span of the rows."""
    spaces = problem.row_spaces
    beta = np.stack([rows.b @ rows.Q for rows in spaces]).reshape(problem.shape)
    return Found(beta, np.stack([rows.multipliers(rows.b) for rows in spaces], axis=1), {"method": "QR"})


def frobenius_norm(beta: Any) -> Any:
    """‖β‖₂ as a cvxpy expression, β of any shape."""
    cp = cvxpy_library()
    return cp.norm2(cp.vec(beta, order="C"))


def scaled_to_ball(beta: Array, radius: float) -> Array:
    """The nearest point of the ℓ2 ball."""
    return np.asarray(beta * min(1.0, radius / max(float(np.linalg.norm(beta)), 1e-300)))


def euclidean_ball(rows: Array, shape: tuple[int, ...], radius: float) -> Ball:
    """The ball of ℓ2, one group of coordinates."""
    return Ball(GroupBall((1, rows.shape[1]), radius), rows, lambda b: b.reshape(shape))


@dataclass(frozen=True)
class L2(Norm):
    """R(β) = ‖β‖₂: a linear predictor, or a fully connected linear network of any depth.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorem 1 and Lemma 5: R_w = L‖β‖₂^{2/L}.

    >>> L2().value(np.array([3.0, 4.0]))
    5.0
    """

    @property
    def formula(self) -> str:
        return "‖β‖₂"

    def value(self, beta: Array) -> float:
        return euclidean_norm(beta)

    def dual_norm(self, z: Array) -> float:
        return euclidean_norm(z)

    def conic(self, beta: Any) -> Any:
        return frobenius_norm(beta)

    @property
    def by_products(self) -> bool:
        return True

    def minimize(self, problem: MarginProblem, search: Search) -> Candidate:
        return least_norm(problem)

    def last_resort(self, problem: MarginProblem, search: Search, worst: float) -> Candidate | None:
        return least_norm_of_wide_rows(problem, search.tol)

    def unique(self, problem: MarginProblem, solution: Solution) -> Uniqueness:
        return Uniqueness.UNIQUE  # strictly convex along every feasible segment

    @property
    def strictly_convex(self) -> bool:
        return True

    def interpolate(self, problem: InterpolationProblem) -> Found:
        return least_norm_that_fits(problem)

    def project(self, beta: Array, radius: float) -> Array:
        return scaled_to_ball(beta, radius)

    def ball(self, rows: Array, shape: tuple[int, ...], radius: float) -> Ball:
        return euclidean_ball(rows, shape, radius)
