"""What a regularizer is: one class that says its value, its dual norm, and how it is minimized.

A network with weights w computes the linear predictor β = P(w). Its **induced regularizer** is the representation cost

    R_w(β) = min { ‖w‖₂² : P(w) = β },

and gradient descent on separable data converges in direction to a minimizer of R_w(β) s.t. y_n⟨x_n, β⟩ ≥ 1. `value` is
always the 1-homogeneous form (a norm, or a quasi-norm for p < 1). For a network of depth L the cost is
L·value(β)^{2/L}, which has the same minimizers. `ConvKernel` alone is printed in the literature as the cost itself,
‖U‖² + ‖V‖². At depth 2 the cost is already 1-homogeneous, so there it is value(β), without the factor 2.

To add a norm, write a subclass of `Norm` with three methods, `value`, `dual_norm` and `conic`. `max_margin`, `certify`,
`regularization_path` and `MaxMarginClassifier` then work with it: a cone solver minimizes it and the dual norm
certifies the answer. Whatever a subclass adds (`minimize`, `project`, `unique`) replaces the general method by its own.

Conventions: the Fourier transform is unitary, x̂[d] = D^{-1/2} Σ_p x[p] e^{-2πi pd/D}, taken over all axes of β.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array, array_methods
from solvers.conic import conic_candidate, conic_interpolation
from solvers.norm_program import conic_candidates
from solvers.solution import NoSolverError, Uniqueness

if TYPE_CHECKING:
    from solvers.algorithms.ball_newton import Ball
    from solvers.interpolation.problem import InterpolationProblem
    from solvers.interpolation.row_space import Found
    from solvers.problem import MarginProblem
    from solvers.search import Search
    from solvers.solution import Candidate, Solution

LARGEST_PROGRAM = 150
"""Coefficients up to which the conic formulation stands in for another method (seconds)."""


@array_methods(
    value=1, dual_norm=1, stationarity=2, support_system=2, coefficients=1, support=1, support_size=1, project=1
)
class Regularizer(ABC):
    """A 1-homogeneous representation cost R(β) ≥ 0 of a predictor β.

    Subclass `Norm` or `QuasiNorm`. A class that is one or the other by its parameters subclasses `Regularizer` and
    says which in `is_norm`.
    """

    def __repr__(self) -> str:
        """The class's name, in reports and messages, where it says nothing better: an address would change."""
        return f"{type(self).__name__}()"

    @property
    @abstractmethod
    def is_norm(self) -> bool:
        """Whether R is a norm, so that the problem is convex and a duality gap can close."""

    @property
    def has_dual_norm(self) -> bool:
        """Whether `dual_norm` bounds R from below: R(β) ≥ ⟨z, β⟩/R°(z). So for norms; a few others have one too."""
        return self.is_norm

    @property
    def of_neighbours(self) -> bool:
        """Whether R depends on which coefficients lie next to each other, so that images must keep their shape."""
        return False

    @property
    def several_outputs(self) -> bool:
        """Whether β may be a matrix (M, D) of M outputs, for labels (N, M)."""
        return True

    @property
    def by_products(self) -> bool:
        """Whether `minimize` only multiplies X and asks for few of its rows: float32 is then not copied."""
        return False

    def of_rows(self) -> Regularizer:
        """This regularizer of a matrix with one row a class: itself, where β may be a matrix.

        Raises ValueError where R is defined for one output.
        """
        if not self.several_outputs:
            raise ValueError(f"{self} is defined for one output: labels must be −1 or +1, not three classes or more")
        return self

    @property
    def search_options(self) -> tuple[str, ...]:
        """Which of "n_starts", "seed" and "start" `minimize` uses; `max_margin` refuses the others."""
        return ()

    @property
    def formula(self) -> str:
        """R(β) as it is printed in reports."""
        return str(self)

    @abstractmethod
    def value(self, beta: Array) -> float:
        """R(β), 1-homogeneous."""

    def dual_norm(self, z: Array) -> float:
        """R°(z) = max { ⟨z, β⟩ : R(β) ≤ 1 }.

        That is all a certificate needs: any α ≥ 0 with R°(Aᵀα) ≤ 1 proves R(β) ≥ 1ᵀα for every feasible β.

        Raises TypeError where R is not a norm, NotImplementedError where a norm leaves it out.
        """
        if self.is_norm:
            raise NotImplementedError(f"{self} leaves out `dual_norm`, without which nothing is certified in it")
        raise TypeError(f"{self} is not a norm (p < 1 is nonconvex), so it has no dual norm; see `stationarity`")

    def conic(self, beta: Any) -> Any:
        """R(β) as a convex cvxpy expression of β, an affine cvxpy expression of a predictor's shape.

        Raises ValueError where R has none, NotImplementedError where a norm leaves it out.
        """
        del beta
        if self.is_norm:
            raise NotImplementedError("it leaves out `conic`")
        raise ValueError(f'{self} is not a norm (p < 1), so it has no conic form; use method="auto"')

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError when predictors of this shape have no meaning for this regularizer. Any shape by default."""
        del shape

    def stationarity(self, beta: Array, z: Array) -> float:
        """How far z is, up to a positive factor, from a subgradient of R at β. Zero exactly when it is one.

        For a norm this is the relative slack in ⟨z, β⟩ ≤ R(β)·R°(z), the Fenchel equality that characterizes ∂R:

            1 − ⟨z, β⟩ / (R(β) R°(z)).

        For p < 1 it is the largest residual of the equations in `support_system`, after the best positive factor on z.
        Off the support nothing is required when p < 1, so a sparse point passes easily. Read it together with the
        support size and the objective.
        """
        if self.has_dual_norm:
            scale = self.value(beta) * self.dual_norm(z)
            return 1.0 - float(np.vdot(z, beta)) / scale if scale > 0 else 1.0
        columns, target = self.support_system(beta, z[None])
        inner = float(columns[:, 0] @ target)
        if inner <= 0:
            return 1.0
        return float(np.abs(columns[:, 0] * (float(target @ target) / inner) - target).max())

    def support_system(self, beta: Array, z: Array) -> tuple[Array, Array]:
        """For p < 1: what stationarity at β asks of z, one equation for each nonzero coefficient of β.

        With g = ∇R^p on the support (eq. 13), the equations are ẑ_d / g_d = 1. Each is relative to its own |g_d|,
        because |g| grows without bound as a coefficient shrinks and would dominate the others in any norm.

        Args:
            beta: the predictor.
            z: shape (k, *beta.shape), k vectors.

        Returns:
            columns, shape (equations, k): the left sides for each z; target, shape (equations,).

        Raises:
            TypeError: R is a norm.
            NotImplementedError: R is none, and leaves it out.
        """
        del beta, z
        if not self.is_norm:
            raise NotImplementedError(f"{self} leaves out `support_system`, without which nothing is certified in it")
        raise TypeError(f"{self} is a norm: its subgradients are characterized by the dual norm, not on a support")

    def coefficients(self, beta: Array) -> NDArray[Any]:
        """The coefficients whose sizes R measures: β itself, where nothing else is said."""
        return beta

    def from_coefficients(self, coefficients: NDArray[Any]) -> Array:
        """The inverse of `coefficients`: the predictor that has them."""
        return np.asarray(coefficients)

    def support_size(self, beta: Array) -> int | None:
        """Number of nonzero coefficients of β, where R counts coefficients; else None."""
        del beta
        return None

    def minimize(self, problem: MarginProblem, search: Search) -> Candidate:
        """A minimizer of R(β) s.t. Aβ ≥ 1 with multipliers, by this regularizer's own method.

        The default is the conic formulation. Nothing is believed here: the certificate decides.
        """
        del search
        if not self.is_norm:
            raise NoSolverError(self, "is nonconvex and has no solver here")
        return self.minimize_conic(problem)

    def minimize_conic(self, problem: MarginProblem) -> Candidate:
        """The same by a cone solver through cvxpy. Raises ValueError where R has no conic form."""
        return conic_candidate(problem, self.conic)

    def minimize_conic_again(self, problem: MarginProblem) -> Iterator[Candidate]:
        """What the cone solver finds with other options, for sizes at which that takes seconds at most."""
        if int(np.prod(problem.shape)) <= LARGEST_PROGRAM:
            yield from conic_candidates(problem, self.conic)

    def last_resort(self, problem: MarginProblem, search: Search, worst: float) -> Candidate | None:
        """What another method finds, where the answer of `minimize` left a violation `worst` above the tolerance.

        The default is the conic formulation, where the answer is useless and a cone solver takes seconds at most.
        """
        del search
        small = int(np.prod(problem.shape)) <= LARGEST_PROGRAM
        return self.minimize_conic(problem) if self.is_norm and small and worst > 1e-3 else None

    def unique(self, problem: MarginProblem, solution: Solution) -> Uniqueness:
        """Whether a certified solution is the only minimizer."""
        del problem, solution
        return Uniqueness.UNKNOWN

    @property
    def strictly_convex(self) -> bool:
        """Whether R is strictly convex but for its homogeneity: one minimizer over every affine set of predictors."""
        return False

    def interpolate(self, problem: InterpolationProblem) -> Found:
        """A minimizer of R(β) s.t. Xβ = y with multipliers. The default is the conic formulation.

        Raises InconsistentDataError where no β fits, ValueError where R is no norm.
        """
        if not self.is_norm:
            raise ValueError(f"{self} is no norm (nonconvex): min_norm takes norms and potentials")
        return conic_interpolation(problem, self.conic)

    def interpolate_again(self, problem: InterpolationProblem) -> Iterator[Found]:
        """What other methods find where the gap of `interpolate` is open. None here."""
        del problem
        yield from ()

    def interpolation_bound(self, problem: InterpolationProblem, dual: Array, objective: float) -> tuple[Array, float]:
        """ν scaled to R°(Xᵀν) = 1, and the ⟨ν, y⟩ that it proves the objective R(β) to be at least."""
        del objective
        scale = self.dual_norm(problem.inputs.careful_combine(dual.reshape(-1)))
        dual = dual / scale if scale > 0 else np.zeros_like(dual)
        return dual, float(np.vdot(dual, problem.targets))

    def raise_if_infeasible(self, problem: InterpolationProblem) -> None:  # noqa: B027
        """Nothing: `interpolate` has found every β allowed."""

    def project(self, beta: Array, radius: float) -> Array | None:
        """The Euclidean projection of β onto {R ≤ radius}; None where there is no closed form."""
        del beta, radius
        return None

    def ball(self, rows: Array, shape: tuple[int, ...], radius: float) -> Ball | None:
        """{R ≤ radius} in coordinates in which it has a barrier, with rows (N, size of β) in them; None: it has none.

        For `regularization_path` where projected gradient steps get stuck.
        """
        del rows, shape, radius
        return None


class Norm(Regularizer):
    """A regularizer that is a norm: `value`, `dual_norm` and `conic` define it, everything else has a default."""

    @property
    def is_norm(self) -> bool:
        return True

    @abstractmethod
    def dual_norm(self, z: Array) -> float:
        """R°(z) = max { ⟨z, β⟩ : R(β) ≤ 1 }."""

    @abstractmethod
    def conic(self, beta: Any) -> Any:
        """R(β) as a convex cvxpy expression of β, an affine cvxpy expression of a predictor's shape."""


class QuasiNorm(Regularizer):
    """A nonconvex regularizer, such as ‖·‖_p with p < 1: `value` and `support_system` define it."""

    @property
    def is_norm(self) -> bool:
        return False

    @abstractmethod
    def support_system(self, beta: Array, z: Array) -> tuple[Array, Array]:
        """What stationarity at β asks of z; see `Regularizer.support_system`."""
