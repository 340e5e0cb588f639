"""The Schatten norms of a matrix of several outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from solvers.algorithms.ball_newton import Ball
from solvers.algorithms.graded_svd import graded_svd
from solvers.algorithms.nuclear_norm import LARGEST, nuclear_max_margin
from solvers.algorithms.signed_rows import dense
from solvers.algorithms.spectral_ball import NuclearBall, SpectralBall
from solvers.algorithms.spectral_norm import spectral_max_margin, spectral_unique
from solvers.arrays import Array
from solvers.conic import cvxpy_library
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.margin import best_end
from solvers.extended_precision import powers_of_two, row_norms
from solvers.problem import raised
from solvers.regularizers.exponent import check_exponent, conjugate, power_norm, shrinkage, subscript
from solvers.regularizers.l2 import (
    euclidean_ball,
    frobenius_norm,
    least_norm,
    least_norm_of_wide_rows,
    least_norm_that_fits,
    scaled_to_ball,
)
from solvers.regularizers.regularizer import Regularizer
from solvers.schatten_points import SpectrumSearch
from solvers.solution import Candidate, Uniqueness
from solvers.stationary_points import stationary_points

if TYPE_CHECKING:
    from solvers.interpolation.problem import InterpolationProblem
    from solvers.interpolation.row_space import Found
    from solvers.problem import MarginProblem
    from solvers.search import Search
    from solvers.solution import Solution

LARGEST_STEP = 5e9
"""Multiplications of a step of the spectral norm's interior point up to which it takes about half a second."""


def singular_values(matrix: Array) -> Array:
    """σ(β), largest first."""
    return np.asarray(np.linalg.svd(matrix, compute_uv=False), dtype=np.float64)


def numerical_rank(matrix: Array, sigma: Array) -> int:
    """The number of singular values that are more than rounding; for p < 1 even small ones count."""
    return int((sigma > max(matrix.shape) * np.finfo(np.float64).eps * sigma[0]).sum())


@dataclass(frozen=True)
class Schatten(Regularizer):
    """R(β) = ‖σ(β)‖_p, σ the singular values of the matrix β, shape (outputs, D), p = 2/L.

    A fully connected linear network of depth L with several outputs. p = 2 is the Frobenius norm, p = 1 the nuclear
    norm; p < 1 is a nonconvex quasi-norm, of which stationary points are found. The theorem of the one-output case is
    only conjectured to carry over. β in float64 has the singular vectors of σ_i to about 1e-17 σ_1/σ_i: answers with a
    σ_i below 1e-8 σ_1, as of points whose norms range over many orders, may be INACCURATE by that. p = ∞ is the
    spectral norm, which spectral descent (Muon) prefers; it is dual to the nuclear norm.

    Raises:
        ValueError: unless 0 < p ≤ 1, p = 2 or p = ∞.

    Reference: Gunasekar et al. (2018), discussion; R_w = L‖β‖_{S_{2/L}}^{2/L}. Fan, Schmidt, Thrampoulidis (2025),
    for spectral descent on a linear predictor of several classes.

    >>> round(Schatten(1).value(np.array([[3.0, 0.0], [0.0, 4.0]])), 12)
    7.0
    """

    p: float
    """The exponent, 2/L for depth L: 2, or in (0, 1]; inf for the spectral norm."""

    def __post_init__(self) -> None:
        check_exponent("Schatten", self.p, "for the spectral norm")

    @property
    def is_norm(self) -> bool:
        return self.p >= 1

    @property
    def search_options(self) -> tuple[str, ...]:
        return () if self.is_norm else ("n_starts", "seed", "start")

    @property
    def formula(self) -> str:
        return f"‖σ(β)‖{subscript(self.p)}"

    def value(self, beta: Array) -> float:
        sigma = singular_values(beta)
        return power_norm(sigma if self.is_norm else sigma[: numerical_rank(beta, sigma)], self.p)

    def dual_norm(self, z: Array) -> float:
        return power_norm(singular_values(z), conjugate(self.p)) if self.is_norm else super().dual_norm(z)

    def conic(self, beta: Any) -> Any:
        if self.p == 2:
            return frobenius_norm(beta)
        if self.p == np.inf:
            return cvxpy_library().sigma_max(beta)
        return cvxpy_library().normNuc(beta) if self.p == 1 else super().conic(beta)

    def support_system(self, beta: Array, z: Array) -> tuple[Array, Array]:
        """With β = U diag(σ) Vᵀ of rank r: UᵀzV = diag(pσ^{p−1}), and zero in the rest of U's rows and V's columns."""
        if self.is_norm:
            return super().support_system(beta, z)
        u, sigma, vt = graded_svd(beta)
        rank = numerical_rank(beta, sigma)
        root = np.sqrt(self.p * sigma[:rank] ** (self.p - 1.0))
        left, right = np.full(u.shape[0], root.max()), np.full(vt.shape[0], root.max())
        left[:rank] = right[:rank] = root
        rotated = np.einsum("ji,kjl,ml->kim", u, z, vt) / (left[:, None] * right[None, :])
        tangent = np.ones((u.shape[0], vt.shape[0]), dtype=bool)
        tangent[rank:, rank:] = False
        return np.ascontiguousarray(rotated[:, tangent].T), np.eye(u.shape[0], vt.shape[0])[tangent]

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise ValueError(
                f"{self} is defined for matrices β of shape (outputs, D): give labels of shape (N, outputs); "
                f"got predictors of shape {shape}"
            )

    @property
    def strictly_convex(self) -> bool:
        return self.p == 2

    def interpolate(self, problem: InterpolationProblem) -> Found:
        return least_norm_that_fits(problem) if self.p == 2 else super().interpolate(problem)

    def minimize(self, problem: MarginProblem, search: Search) -> Candidate:
        if self.p == 2 or 1 in problem.shape:  # one row or column: ‖β‖₂ for every p
            return least_norm(problem)
        if self.p < 1:
            return stationary_points(problem, SpectrumSearch(problem, self, search.tol), replace(self, p=1.0), search)
        own = self._minimize_nuclear if self.p == 1 else self._minimize_spectral if self.p == np.inf else None
        found = None if own is None else own(problem, search)
        return super().minimize(problem, search) if found is None else found

    def _minimize_spectral(self, problem: MarginProblem, search: Search) -> Candidate | None:
        """By an interior point of its own, in the span of the points: projected onto it no singular value grows.

        None for sizes at which a step would take more than a second.
        """
        unit, (M, D) = problem.equilibrated, problem.shape
        rows, basis = unit.rows.reshape(-1, M, D), np.eye(D)
        if problem.points.shape[0] < D:
            basis = np.linalg.qr(dense(problem.points).T)[0]
            rows = rows @ basis
        turned = rows.shape[1] > rows.shape[2]
        rows = rows.swapaxes(1, 2) if turned else rows
        order = rows[0].size
        if order**2 * (len(rows) + order) > LARGEST_STEP:
            return None
        shape, flat = (rows.shape[1], rows.shape[2]), np.ascontiguousarray(rows).reshape(len(rows), -1)
        found = spectral_max_margin(flat, unit.right, shape, 1e-11, careful=False)
        if found.gap > 0.5 * min(search.tol, 1e-9):
            again = spectral_max_margin(flat, unit.right, shape, 1e-11, careful=True)
            found = again if again.gap < found.gap else found
        beta = (found.beta.T if turned else found.beta) @ basis.T / unit.scale
        stats: dict[str, object] = {"method": "interior point", "iterations": found.iterations}
        return Candidate(beta, found.dual * unit.share, stats)

    def _minimize_nuclear(self, problem: MarginProblem, search: Search) -> Candidate | None:
        """By an interior point of its own, and where that leaves the gap open by the central path of R_K."""
        unknowns, own, gap = int(np.prod(problem.shape)), None, np.inf
        if max(unknowns, min(problem.n_constraints, 4 * unknowns)) <= LARGEST:
            scale = powers_of_two(row_norms(problem.points))
            smallest = float(scale.min())
            share = np.repeat(smallest / scale, problem.n_constraints // scale.size)
            found = nuclear_max_margin(problem.matrix_rows(scale), raised(share), 0.5 * min(search.tol, 1e-9))
            stats: dict[str, object] = {"method": "interior point", "iterations": found.iterations}
            if np.isfinite(found.gap):
                own, gap = Candidate(found.beta / smallest, found.dual * share, stats), found.gap
        return own if gap <= search.tol else self._by_central_path(problem, search, gap) or own

    def _by_central_path(self, problem: MarginProblem, search: Search, gap: float) -> Candidate | None:
        """By the central path of R_K: with kernels of size 1 it is 2√D times the nuclear norm of channels × D.

        The smaller side of β takes the part of the channels. None where the path finds no predictor of a smaller gap.
        """
        unit, (outputs, features) = problem.equilibrated, problem.shape
        turned = outputs > features
        rows = unit.rows.reshape(-1, outputs, features).swapaxes(1, 2) if turned else unit.rows
        channels, length = (features, outputs) if turned else (outputs, features)
        geometry = KernelLags((length,), (1,), channels)
        end = best_end(geometry, np.ascontiguousarray(rows).reshape(len(rows), -1), unit.right, search.tol)
        if end.beta is None or end.multipliers is None or end.gap >= gap:
            return None
        beta = geometry.inverse(end.beta) / unit.scale
        how: dict[str, object] = {"method": "central path", "iterations": end.iterations}
        return Candidate(beta.T if turned else beta, end.multipliers * unit.share, how)

    def last_resort(self, problem: MarginProblem, search: Search, worst: float) -> Candidate | None:
        isometric = self.p == 2
        return (
            least_norm_of_wide_rows(problem, search.tol) if isometric else super().last_resort(problem, search, worst)
        )

    def unique(self, problem: MarginProblem, solution: Solution) -> Uniqueness:
        if self.p == 2 or 1 in problem.shape:
            return Uniqueness.UNIQUE
        return (
            spectral_unique(problem.A, solution.beta, solution.dual.reshape(-1))
            if self.p == np.inf
            else Uniqueness.UNKNOWN
        )

    def project(self, beta: Array, radius: float) -> Array | None:
        if self.p == 2:
            return scaled_to_ball(beta, radius)
        if self.p < 1:
            return None
        u, sigma, vt = np.linalg.svd(beta, full_matrices=False)
        kept = np.minimum(sigma, radius) if self.p == np.inf else sigma * shrinkage(sigma, radius)
        return np.asarray((u * kept) @ vt)

    def ball(self, rows: Array, shape: tuple[int, ...], radius: float) -> Ball | None:
        if self.p == 2:
            return euclidean_ball(rows, shape, radius)
        if self.p < 1:
            return None
        sides = (shape[0], shape[1])
        barrier = NuclearBall(sides, radius) if self.p == 1 else SpectralBall(sides, radius)
        return Ball(barrier, rows, lambda b: b.reshape(shape))
