"""Max margin with R_{K,C}: the predictor that a two-layer multi-channel linear CNN is biased to.

    min_β R_{K,C}(β)  s.t.  A β ≥ 1          dual:  max 1ᵀα  s.t.  α ≥ 0,  ½√λ_max(T(Aᵀα)) ≤ 1

The convex value follows the central path in α and X (`solvers.conv_kernel.path`, problem (2)); a finite C below the
convex range is a local search over kernels whose lower bound is the convex one. The answer is a network, kernels and
output weights, and the objective is its ‖U‖² + ‖V‖².
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from solvers import fourier
from solvers.agreements import Agreements
from solvers.algorithms.interior_point import LONG_UP_TO
from solvers.algorithms.least_distance import l2_max_margin
from solvers.arrays import Array, ComplexArray
from solvers.conv_kernel.factors import fewer_kernels_for_margin, weighted_margin
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.margin_path import WORKING_SET, solve_margin
from solvers.conv_kernel.network import TwoLayerNetwork, flat_kernels, least_output_weights, shaped_kernels
from solvers.conv_kernel.path import PathEnd
from solvers.conv_kernel.value import attained, factor_second_moment
from solvers.problem import MarginProblem
from solvers.search import Search
from solvers.separability import raise_if_not_separable, relative_margin
from solvers.solution import Candidate, IllConditionedError, Solution

ROUNDING = 1e-6
"""Relative: how far a network's cost may be from the value of its predictor in a file. A convention."""


@dataclass(frozen=True, repr=False)
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

    def agreements(self) -> Agreements:
        """What holds between its fields: those of every solution, and the value is the network's cost."""
        yield from super().agreements()
        for weights, name in ((self.kernels, "kernels"), (self.output_weights, "output_weights")):
            half = float((weights**2).sum())
            yield abs(half - 0.5 * self.objective) <= ROUNDING * self.objective, f"{name} have half of objective"


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
) -> NetworkCandidate:
    """min ‖U‖² + ‖V‖² over networks with C channels and y_n f(x_n) ≥ 1.

    Where the central path finds no predictor, or one whose network, once rounded, separates nothing, the answer is the
    ℓ2 max margin's, with the path's lower bound.

    Raises:
        NotSeparableError: the path found no predictor because there is none.
        IllConditionedError: the network of the ℓ2 max margin, once rounded, separates nothing either.
    """
    unit = problem.equilibrated
    end = best_end(geometry, unit.rows, unit.right, search.tol)
    dual = None if end.multipliers is None else end.multipliers * unit.share
    if dual is None or end.beta is None:
        return _of_l2_margin(problem, geometry, dual)
    U, rank = factor_second_moment(geometry, end.X, search.tol)
    beta, stats = end.beta, {"method": "central path", "iterations": end.iterations}
    if out_channels is not None and U.shape[0] > out_channels:
        A = problem.A / problem.largest_norm
        U = fewer_kernels_for_margin(geometry, A, U, out_channels, search)
        stats["method"] = f"local search over {out_channels} channels, {search.n_starts} seeded starts"
        beta, _ = weighted_margin(geometry, geometry.fourier(A), geometry.spectrum(geometry.lags(U.T @ U)))
    try:
        return network_candidate(problem, geometry, U, beta, dual, rank, stats)
    except IllConditionedError:
        return _of_l2_margin(problem, geometry, dual)


def _of_l2_margin(problem: MarginProblem, geometry: KernelLags, dual: Array | None) -> NetworkCandidate:
    """The ℓ2 max margin's network, with these multipliers if they are any."""
    raise_if_not_separable(problem.A, problem.label_shape)
    beta, own, _ = l2_max_margin(problem.A)
    stats: dict[str, object] = {"method": "l2 max margin, as the central path found no predictor"}
    return network_of(problem, geometry, beta.reshape(problem.shape), own if dual is None else dual, stats)


def best_end(geometry: KernelLags, rows: Array, right: Array, tol: float) -> PathEnd:
    """Problem (2), once more with larger right sides where rounding β to float64 could violate a small one."""
    end = _attempts(geometry, rows, right, tol)
    beta = l2_max_margin(rows / right[:, None])[0] if end.beta is None else geometry.inverse(end.beta)
    size = float(np.linalg.norm(beta))
    rounding = np.finfo(np.float64).eps * size * np.linalg.norm(rows, axis=1)
    raised = right + np.where(rounding > 1e-9 * right, 8.0 * rounding, 0.0)
    return _attempts(geometry, rows, raised, tol) if (raised > right).any() else end


def _attempts(geometry: KernelLags, rows: Array, right: Array, tol: float) -> PathEnd:
    """In float64; where the gap stays open from a start near the first end; and so on in the longest format.

    That is careful, and only where it takes seconds at most.
    """
    end = solve_margin(geometry, rows, right, 0.5 * tol)
    columns = 2 * geometry.channels * geometry.multiplicity.size + geometry.n**2
    small = min(len(rows), WORKING_SET) ** 2 * columns <= LONG_UP_TO
    attempts = [(np.float64, True), (np.longdouble, True), (np.longdouble, False), (np.longdouble, True)]
    for format, start_near in attempts[: 4 if small else 1]:
        if end.gap <= tol:
            break
        # away from the singular X of the end, whose α would leave the rest of the spectrum alone
        near = end.X / np.trace(end.X) + 0.1 / geometry.n * np.eye(geometry.n) if start_near else None
        careful = format is np.longdouble
        again = solve_margin(geometry, rows.astype(format), right.astype(format), 0.5 * tol, near, careful)
        end = again if again.gap < end.gap or not np.isfinite(end.upper) else end
    return replace(
        end,
        X=end.X.astype(np.float64),
        multipliers=None if end.multipliers is None else end.multipliers.astype(np.float64),
        beta=None if end.beta is None else end.beta.astype(np.complex128),
    )


def network_of(
    problem: MarginProblem, geometry: KernelLags, beta: Array, dual: Array, stats: dict[str, object]
) -> NetworkCandidate:
    """The least network for a predictor that another method found."""
    network = attained(beta, geometry, None, Search(1e-9))
    U = flat_kernels(geometry, network.kernels)
    return network_candidate(problem, geometry, U, geometry.fourier(beta)[0], dual, network.rank, stats)


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
