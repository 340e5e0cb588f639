"""The norm √(βᵀQβ), the geometry of preconditioned descent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from solvers.algorithms.least_distance import l2_max_margin
from solvers.arrays import Array, real_array
from solvers.conic import cvxpy_library
from solvers.problem import MarginProblem
from solvers.regularizers.exponent import in_range
from solvers.regularizers.l2 import least_norm_of_wide_rows, least_norm_that_fits
from solvers.regularizers.regularizer import Norm
from solvers.solution import Candidate, Uniqueness

if TYPE_CHECKING:
    from solvers.interpolation.problem import InterpolationProblem
    from solvers.interpolation.row_space import Found
    from solvers.search import Search
    from solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class Mahalanobis(Norm):
    """R(β) = √(βᵀQβ), Q symmetric positive definite: a linear predictor under descent preconditioned by Q⁻¹.

    With Q = LLᵀ it is ‖Lᵀβ‖₂, so the max margin is the l2 max margin of the points L⁻¹x_n. The dual norm is
    √(zᵀQ⁻¹z). For an optimizer that adapts its preconditioner (AdaGrad) Q is known only after the run: then this checks
    the run and predicts nothing.

    Args:
        Q: symmetric positive definite, shape (D, D), or its diagonal, shape (D,). D is the number of entries of β.

    Raises:
        ValueError: Q is not symmetric, or not positive definite.

    Reference: Gunasekar, Lee, Soudry, Srebro, "Characterizing implicit bias in terms of optimization geometry" (2018),
    Theorem 5, with the norm of the preconditioner.

    >>> Mahalanobis(np.array([4.0, 1.0])).value(np.array([1.0, 0.0]))
    2.0
    """

    Q: Array = field(repr=False)
    """Q, shape (D, D)."""

    def __post_init__(self) -> None:
        matrix = real_array("Q", self.Q)
        if not np.isfinite(matrix).all():
            raise ValueError("Q must be finite; it holds nan, infinity or masked entries")
        matrix = np.diag(matrix) if matrix.ndim == 1 else matrix
        if (
            matrix.ndim != 2
            or matrix.shape[0] != matrix.shape[1]
            or not np.allclose(matrix, matrix.T, rtol=1e-12, atol=0.0)
        ):
            raise ValueError(f"Q must be a symmetric matrix (D, D), or its diagonal (D,); got shape {matrix.shape}")
        try:
            factor = cholesky(matrix, lower=True)
        except (LinAlgError, ValueError) as cause:
            raise ValueError(f"Q must be positive definite ({cause})") from None
        object.__setattr__(self, "Q", matrix)
        object.__setattr__(self, "_factor", factor)

    @property
    def formula(self) -> str:
        return "√(βᵀQβ)"

    def _lift(self, rows: Array) -> Array:
        """L⁻¹ times each row."""
        factor: Array = vars(self)["_factor"]
        return np.asarray(solve_triangular(factor, rows.T, lower=True).T)

    def value(self, beta: Array) -> float:
        factor: Array = vars(self)["_factor"]
        return in_range(lambda x: float(np.linalg.norm(factor.T @ x)), beta.reshape(-1))

    def dual_norm(self, z: Array) -> float:
        return in_range(lambda x: float(np.linalg.norm(self._lift(x))), z.reshape(1, -1))

    def conic(self, beta: Any) -> Any:
        cp = cvxpy_library()
        return cp.norm2(vars(self)["_factor"].T @ cp.vec(beta, order="C"))

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if int(np.prod(shape)) != self.Q.shape[0]:
            raise ValueError(f"Q is {self.Q.shape[0]} × {self.Q.shape[0]}, but predictors have the shape {shape}")

    def minimize(self, problem: MarginProblem, search: Search) -> Candidate:
        lifted, dual, stats = l2_max_margin(self._lift(problem.A))
        beta = solve_triangular(vars(self)["_factor"], lifted, lower=True, trans="T")
        return Candidate(beta.reshape(problem.shape), dual, stats)

    def last_resort(self, problem: MarginProblem, search: Search, worst: float) -> Candidate | None:
        size = self.Q.shape[0]
        lifted = MarginProblem(self._lift(problem.A), np.ones(problem.n_constraints), (size,))
        found = least_norm_of_wide_rows(lifted, search.tol)
        if found is None:
            return super().last_resort(problem, search, worst)
        beta = solve_triangular(vars(self)["_factor"], found.beta, lower=True, trans="T")
        return replace(found, beta=beta.reshape(problem.shape))

    @property
    def strictly_convex(self) -> bool:
        return True

    def interpolate(self, problem: InterpolationProblem) -> Found:
        inputs = replace(problem.inputs, points=self._lift(problem.inputs.points))
        found = least_norm_that_fits(replace(problem, inputs=inputs))
        beta = solve_triangular(vars(self)["_factor"], found.beta.reshape(-1), lower=True, trans="T")
        return replace(found, beta=beta.reshape(problem.shape))

    def unique(self, problem: MarginProblem, solution: Solution) -> Uniqueness:
        return Uniqueness.UNIQUE  # strictly convex along every feasible segment
