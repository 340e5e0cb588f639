"""The bridge penalty ‖β‖_p on the entries of a predictor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from solvers.algorithms.active_set import newton_on_support
from solvers.algorithms.ball_newton import Ball, Box, GroupBall
from solvers.algorithms.column_generation import group_max_margin_by_columns
from solvers.algorithms.group_rows import GroupSolution
from solvers.algorithms.linear_program import l1_max_margin
from solvers.algorithms.linf_margin import linf_max_margin, linf_unique
from solvers.algorithms.optimal_face import unique_on_face
from solvers.algorithms.power_margin import polished_power_margin, power_max_margin
from solvers.arrays import Array
from solvers.conic import ConicSolverError, cvxpy_library
from solvers.extended_precision import BLOCK
from solvers.interpolation.row_space import Found
from solvers.regularizers.careful_rounding import LARGE, rounded_with_care
from solvers.regularizers.exponent import conjugate, in_range, is_exponent, power_norm, shrinkage, subscript
from solvers.regularizers.l2 import (
    euclidean_ball,
    euclidean_norm,
    least_norm,
    least_norm_of_wide_rows,
    least_norm_that_fits,
    scaled_to_ball,
)
from solvers.regularizers.regularizer import LARGEST_PROGRAM, Regularizer
from solvers.solution import Candidate, Uniqueness
from solvers.stationary_points import GroupProblem, stationary_points

if TYPE_CHECKING:
    from solvers.interpolation.problem import InterpolationProblem
    from solvers.problem import MarginProblem
    from solvers.search import Search
    from solvers.solution import Solution

ZERO = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)
"""Below one of these parts of the largest, what a cone solver leaves of a group is zero."""
GROUP_METHOD = "group-norm interior point + Newton on the active set"
PROGRAM_METHOD = "linear program (HiGHS)"
TINY = 2_000
"""Entries of X up to which HiGHS, in C, is faster than the interior point."""


@dataclass(frozen=True)
class Bridge(Regularizer):
    """R(β) = ‖β‖_p = (Σ_d |β_d|^p)^{1/p}, max_d |β_d| for p = ∞, of any p > 0.

    With p = 2/L it is the cost of a diagonal linear network of depth L under gradient descent. Steepest descent in ℓ_p
    on a linear predictor prefers ‖β‖_p: coordinate descent p = 1, sign descent p = ∞. For p ≥ 1 this is a norm; for
    0 < p < 1 it is a nonconvex quasi-norm, of which only stationary points are promised, both by the theorem and by any
    solver.

    Raises:
        ValueError: unless p > 0.

    Reference: Gunasekar et al. (2018), Lemma 6: R_w = L‖β‖_{2/L}^{2/L}; eq. (13) for its stationary points. Gunasekar,
    Lee, Soudry, Srebro, "Characterizing implicit bias in terms of optimization geometry" (2018), Theorem 5, for
    steepest descent.

    >>> Bridge(1).value(np.array([3.0, -4.0]))
    7.0
    """

    p: float
    """The exponent, in (0, ∞]."""

    def __post_init__(self) -> None:
        if not is_exponent(self.p):
            raise ValueError(
                f"Bridge(p={self.p!r}): p must be a number with 0 < p ≤ inf; p = 2/L is the exponent of a diagonal "
                "network of depth L, 2/3 at depth 3, and inf is ℓ∞"
            )

    @property
    def is_norm(self) -> bool:
        return self.p >= 1

    @property
    def search_options(self) -> tuple[str, ...]:
        return () if self.is_norm else ("n_starts", "seed", "start")

    @property
    def formula(self) -> str:
        return f"‖β‖{subscript(self.p)}"

    # ---- coefficients, complex or real ---------------------------------------------------------------------------

    def coefficients(self, beta: Array) -> NDArray[Any]:
        """The coefficients whose magnitudes are penalized; an isometry of β. Here β itself."""
        return beta

    def from_coefficients(self, coefficients: NDArray[Any]) -> Array:
        """The inverse, and by isometry the adjoint, of `coefficients`."""
        return np.asarray(coefficients)

    resolution: ClassVar[float] = 0.0
    """Coefficients below this part of their ℓ2 norm are rounding errors of `coefficients`."""

    def support(self, beta: Array) -> NDArray[np.bool_]:
        """Which coefficients count as nonzero: for a norm those above 1e-9 of the largest.

        For p < 1 all that are more than rounding: |c|^p is not small when |c| is, and |c|^{p−1} is large.
        """
        magnitudes = np.abs(self.coefficients(beta))
        largest = float(magnitudes.max(initial=0.0))
        if self.is_norm or largest == 0.0 or not np.isfinite(largest):
            return np.asarray(~(magnitudes <= 1e-9 * largest))  # NaN counts
        return np.asarray(magnitudes / largest > self.resolution * np.linalg.norm(magnitudes / largest))

    def support_size(self, beta: Array) -> int:
        return int(self.support(beta).sum())

    # ---- real coordinates in groups: ‖β‖_p^p = Σ_g ω_g ‖b_g‖₂^p, ⟨a, β⟩ = Σ_g ⟨B_g, b_g⟩ ------------------

    def blocks(self, rows: Array) -> Array:
        """B (N, G, m) of vectors a_n (N, *shape of β)."""
        return rows.reshape(rows.shape[0], -1, 1)

    def group_weights(self, shape: tuple[int, ...]) -> Array:
        """ω (G,)."""
        return np.ones(int(np.prod(shape)))

    def to_groups(self, beta: Array) -> Array:
        """b (G, m)."""
        return beta.reshape(-1, 1)

    def from_groups(self, b: Array, shape: tuple[int, ...]) -> Array:
        """β."""
        return b.reshape(shape)

    # ---- the norm or quasi-norm -----------------------------------------------------------------------------------

    def value(self, beta: Array) -> float:
        return in_range(self._value, beta)

    def _value(self, beta: Array) -> float:
        magnitudes = np.abs(self.coefficients(beta))
        return power_norm(magnitudes if self.is_norm else np.where(self.support(beta), magnitudes, 0.0), self.p)

    def dual_norm(self, z: Array) -> float:
        if not self.is_norm:
            return super().dual_norm(z)
        if self.p == 2:
            return euclidean_norm(z)
        return in_range(lambda z: power_norm(np.abs(self.coefficients(z)), conjugate(self.p)), z)

    def conic(self, beta: Any) -> Any:
        if not self.is_norm:
            return super().conic(beta)
        cp = cvxpy_library()
        return cp.pnorm(cp.vec(beta, order="C"), self.p)

    def gradient_on_support(self, beta: Array, support: NDArray[np.bool_]) -> NDArray[Any]:
        """∇‖·‖_p^p on the support, p|c|^{p−1} c/|c| with c the coefficients (eq. 13); zero elsewhere.

        Eq. (13) is the gradient of ‖·‖_p^p, not of ‖·‖_p; the two differ by a positive factor.
        """
        c = self.coefficients(beta)
        gradient = np.zeros_like(c)
        magnitude = np.abs(c[support])
        gradient[support] = self.p * magnitude ** (self.p - 1.0) * (c[support] / magnitude)
        return gradient

    def support_system(self, beta: Array, z: Array) -> tuple[Array, Array]:
        if self.is_norm:
            return super().support_system(beta, z)
        support = self.support(beta)
        gradient = self.gradient_on_support(beta, support)[support]
        ratios = np.stack([self.coefficients(row)[support] / gradient for row in z], axis=1)
        if not np.iscomplexobj(ratios):
            return ratios, np.ones(gradient.size)
        target = np.concatenate([np.ones(gradient.size), np.zeros(gradient.size)])
        return np.concatenate([ratios.real, ratios.imag]), target

    def minimize(self, problem: MarginProblem, search: Search) -> Candidate:
        if self.p == 2:  # the coefficients are an isometry
            return least_norm(problem)
        if self.p == 1:
            return self._minimize_l1(problem, search)
        if self.p == np.inf:
            return linf_max_margin(problem)
        if self.p > 1:
            return power_max_margin(problem, self.p)
        convex = replace(self, p=1.0)
        return stationary_points(problem, GroupProblem(problem, self, search.tol), convex, search)

    def _minimize_l1(self, problem: MarginProblem, search: Search) -> Candidate:
        rows, right = problem.equilibrated.rows, problem.equilibrated.right
        # a vertex has the digits that rounding takes from an inner point; HiGHS takes minutes on larger problems
        enough = (1e-2 if rows.size <= 100_000 else 1.0) * search.tol
        program = l1_max_margin(rows, right) if rows.size <= TINY else None
        if program is not None and abs(program.gap) <= enough:
            return self._candidate(problem, program, PROGRAM_METHOD)
        found = group_max_margin_by_columns(rows, right, lambda r: r[:, :, None], 0.5 * search.tol)
        if abs(found.gap) <= enough:
            return self._candidate(problem, found, GROUP_METHOD)
        program = l1_max_margin(rows, right) if rows.size > TINY else program
        if program is not None and (abs(program.gap) <= search.tol or not abs(program.gap) >= abs(found.gap)):
            return self._candidate(problem, program, PROGRAM_METHOD)
        return self._candidate(problem, found, GROUP_METHOD)

    def _candidate(self, problem: MarginProblem, found: GroupSolution, method: str) -> Candidate:
        """The predictor of a solution in the equilibrated rows, with its multipliers, rounded to float64."""
        unit = problem.equilibrated
        stats: dict[str, object] = {"method": method, "iterations": found.iterations, "polished": found.polished}
        beta = np.asarray(self.from_groups(found.b, problem.shape), dtype=np.float64)
        dual = np.asarray(found.dual, dtype=np.float64)
        beta, dual = beta / unit.scale, dual * unit.share
        rough = np.linalg.norm(beta) * unit.scale >= LARGE * unit.right[dual > 0].min(initial=np.inf)
        if rough and found.polished and unit.rows.size <= BLOCK:
            beta, dual = rounded_with_care(problem, self, found, beta, dual)
        return Candidate(beta, dual, stats)

    @property
    def strictly_convex(self) -> bool:
        return 1 < self.p < np.inf

    def interpolate(self, problem: InterpolationProblem) -> Found:
        if self.p == 2:  # the coefficients are an isometry
            return least_norm_that_fits(problem)
        found = super().interpolate(problem)
        return self._polished(problem, found) if self.p == 1 and problem.targets.ndim == 1 else found

    def _polished(self, problem: InterpolationProblem, found: Found) -> Found:
        """The best of what a cone solver found and of Newton's method from there, on the groups that are not zero.

        Which those are is guessed at several sizes.
        """
        (rows,) = problem.row_spaces
        b = self.to_groups(found.beta)
        sizes = np.linalg.norm(b, axis=1)
        dual = np.asarray(rows.Q @ problem.inputs.combine(found.dual).reshape(-1), dtype=np.float64)
        best, guesses = (
            (self._open(problem, found), found),
            dict.fromkeys(int((sizes > c * sizes.max()).sum()) for c in ZERO),
        )
        for count in guesses if sizes.any() else ():
            groups = np.sort(np.argsort(-sizes, kind="stable")[:count])
            B, omega = self.blocks(rows.Q.reshape(rows.b.size, *problem.shape)), self.group_weights(problem.shape)
            newton = newton_on_support(B, omega, 1.0, b, dual, groups, np.arange(rows.b.size), right=rows.b)
            if newton is None:
                continue
            beta = self.from_groups(newton[0], problem.shape)
            beta = beta + ((rows.b - rows.Q @ beta.reshape(-1)) @ rows.Q).reshape(problem.shape)
            other = Found(beta, rows.multipliers(newton[1]), {**found.stats, "polished": True})
            best = min(best, (self._open(problem, other), other), key=lambda pair: pair[0])
        return best[1]

    def _open(self, problem: InterpolationProblem, found: Found) -> float:
        """R(β) less the lower bound that the multipliers prove."""
        value = self.value(found.beta)
        return value - self.interpolation_bound(problem, found.dual, value)[1]

    def last_resort(self, problem: MarginProblem, search: Search, worst: float) -> Candidate | None:
        if self.p == 2:  # the coefficients are an isometry
            return least_norm_of_wide_rows(problem, search.tol)
        if not 1 < self.p < np.inf or int(np.prod(problem.shape)) > LARGEST_PROGRAM:
            return super().last_resort(problem, search, worst)
        return polished_power_margin(problem, self.p, self._by_cones(problem), search.tol)

    def _by_cones(self, problem: MarginProblem) -> Iterator[Candidate]:
        """What the cone solver finds, with one set of options after the other."""
        with suppress(ConicSolverError):
            yield self.minimize_conic(problem)
        yield from self.minimize_conic_again(problem)

    def unique(self, problem: MarginProblem, solution: Solution) -> Uniqueness:
        if 1 < self.p < np.inf:
            return Uniqueness.UNIQUE  # strictly convex along every feasible segment
        if self.p < 1:
            return Uniqueness.UNKNOWN
        if self.p == np.inf:
            return linf_unique(problem.A, solution.beta.reshape(-1), solution.dual.reshape(-1))
        rows = (problem.A / abs(problem.points).max()).reshape(-1, *problem.shape)
        return unique_on_face(self.blocks(rows), solution.dual.reshape(-1))

    def project(self, beta: Array, radius: float) -> Array | None:
        if self.p == 2:
            return scaled_to_ball(beta, radius)
        if self.p == np.inf:
            return np.clip(beta, -radius, radius)
        c = self.coefficients(beta)
        return self.from_coefficients(c * shrinkage(np.abs(c), radius)) if self.p == 1 else None

    def ball(self, rows: Array, shape: tuple[int, ...], radius: float) -> Ball | None:
        if self.p == 2:
            return euclidean_ball(rows, shape, radius)
        if self.p == np.inf:
            return Ball(Box(rows.shape[1], radius), rows, lambda b: b.reshape(shape))
        if self.p != 1:
            return None
        blocks = self.blocks(rows.reshape(-1, *shape))
        groups = blocks.shape[1:]
        return Ball(
            GroupBall((groups[0], groups[1]), radius),
            blocks.reshape(len(rows), -1),
            lambda b: self.from_groups(b.reshape(groups), shape),
        )
