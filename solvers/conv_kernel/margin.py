"""Max margin with R_{K,C}: the predictor that a two-layer multi-channel linear CNN is biased to.

    min_β R_{K,C}(β)  s.t.  A β ≥ 1          dual:  max 1ᵀα  s.t.  α ≥ 0,  ½√λ_max(T(Aᵀα)) ≤ 1

The convex value follows the central path in α and X (`solvers.conv_kernel.path`, problem (2)); a finite C below the
convex range is a local search over kernels whose lower bound is the convex one. The answer is a network, kernels and
output weights, and the objective is its ‖U‖² + ‖V‖².
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from solvers import fourier
from solvers.arrays import Array, ComplexArray
from solvers.conv_kernel.factors import fewer_kernels_for_margin, weighted_margin
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.margin_path import solve_margin
from solvers.conv_kernel.network import TwoLayerNetwork, least_output_weights, shaped_kernels
from solvers.conv_kernel.value import factor_second_moment
from solvers.problem import MarginProblem
from solvers.search import Search
from solvers.separability import raise_if_ill_conditioned, raise_if_not_separable, relative_margin
from solvers.solution import Candidate, IllConditionedError, Solution


@dataclass(frozen=True)
class ConvKernelSolution(TwoLayerNetwork, Solution):
    """A predictor with the network that computes it: ‖U‖² = ‖V‖² = objective/2.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021): R_{K,C} is the least ‖U‖² + ‖V‖² of a two-layer network.

    >>> from solvers import ConvKernel, max_margin
    >>> found = max_margin([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], [1, -1], ConvKernel(2))
    >>> norms = float((found.kernels**2).sum()), float((found.output_weights**2).sum())
    >>> [round(norm / found.objective, 6) for norm in norms]
    [0.5, 0.5]
    """

    kernels: Array = field(default_factory=lambda: np.empty(0), repr=False)
    output_weights: Array = field(default_factory=lambda: np.empty(0), repr=False)
    rank: int = 0
    """Numerical rank of the optimal second moment X found (relative 1e-6): channels the convex solution uses."""


@dataclass(frozen=True)
class NetworkCandidate(Candidate):
    """A predictor with the network that computes it."""

    kernels: Array = field(default_factory=lambda: np.empty(0))
    output_weights: Array = field(default_factory=lambda: np.empty(0))
    rank: int = 0

    def completed(self, solution: Solution) -> ConvKernelSolution:
        return ConvKernelSolution(
            **vars(solution), kernels=self.kernels, output_weights=self.output_weights, rank=self.rank
        )


def kernel_max_margin(
    problem: MarginProblem, geometry: KernelLags, out_channels: int | None, search: Search
) -> NetworkCandidate | None:
    """min ‖U‖² + ‖V‖² over networks with C channels and y_n f(x_n) ≥ 1; None where the central path found no predictor.

    Raises:
        NotSeparableError, IllConditionedError: the path did not converge, because of the data.
    """
    rows, right, _ = problem.equilibrated
    end = solve_margin(geometry, rows, right, 0.5 * search.tol)
    if end.multipliers is None or end.beta is None or not end.gap <= search.tol:
        raise_if_not_separable(problem.A, problem.label_shape)
        raise_if_ill_conditioned(problem.A, end.gap)
    if end.multipliers is None or end.beta is None:
        return None
    U, rank = factor_second_moment(geometry, end.X, search.tol)
    beta, stats = end.beta, {"method": "central path", "iterations": end.iterations}
    if out_channels is not None and U.shape[0] > out_channels:
        A = problem.A / problem.largest_norm
        U = fewer_kernels_for_margin(geometry, A, U, out_channels, search.n_starts, search.seed)
        stats["method"] = f"local search over {out_channels} channels, {search.n_starts} seeded starts"
        beta, _ = weighted_margin(geometry, geometry.fourier(A), geometry.spectrum(geometry.lags(U.T @ U)))
    return network_candidate(problem, geometry, U, beta, end.multipliers * right, rank, stats)


def network_candidate(
    problem: MarginProblem,
    geometry: KernelLags,
    U: Array,
    beta_hat: ComplexArray,
    alpha: Array,
    rank: int,
    stats: dict[str, object],
) -> NetworkCandidate:
    """The network for the predictor; β and its margins are measured on what the network computes."""
    U, V, hat = least_output_weights(geometry, U, beta_hat)
    computed = np.einsum("crh,ch->rh", hat, fourier.to_half(V, geometry.grid))
    beta = geometry.inverse(computed).reshape(problem.shape)
    smallest = float(problem.careful_margins(beta).min())
    if smallest <= 0:
        raise_if_not_separable(problem.A, problem.label_shape)
        raise IllConditionedError(relative_margin(problem.A), "the network found has no positive margin")
    U, V = U / np.sqrt(smallest), V / np.sqrt(smallest)
    return NetworkCandidate(
        beta / smallest,
        alpha,
        stats,
        objective=float(np.vdot(U, U) + np.vdot(V, V)),
        kernels=shaped_kernels(geometry, U),
        output_weights=V.reshape(-1, *geometry.grid),
        rank=rank,
    )
