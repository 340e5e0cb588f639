"""Max margin with R_{K,C}: the predictor that a two-layer multi-channel linear CNN is biased to.

    min_β R_{K,C}(β)  s.t.  A β ≥ 1          dual:  max 1ᵀα  s.t.  α ≥ 0,  ½√λ_max(T(Aᵀα)) ≤ 1

The convex value follows the central path in α and X (`conv_kernel_path`, problem (2)); full-width kernels with one
input channel are Fourier ℓ1 and go that road; a finite C below the convex range is a local search over kernels whose
lower bound is the convex one. The answer is a network, kernels and read-outs, and the objective is its ‖U‖² + ‖V‖².
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from solvers.certificate import scaled_to_the_dual
from solvers.conv_kernel.factors import fewer_kernels_for_margin, weighted_margin
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.margin_path import solve_margin
from solvers.conv_kernel.network import full_width_kernel, read_outs
from solvers.conv_kernel.price import ConvKernelSolution, factor_second_moment, judged
from solvers.conv_kernel.regularizer import ConvKernel
from solvers.margin.fourier import fourier_l1_max_margin
from solvers.problem import MarginProblem
from solvers.separability import raise_if_ill_conditioned, raise_if_not_separable, relative_margin
from solvers.solution import Certificate, IllConditionedError

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

LARGEST_PROGRAM = 150
"""Order of the semidefinite program up to which it stands in for a jammed central path (seconds)."""


def conv_kernel_max_margin(
    problem: MarginProblem, regularizer: ConvKernel, tol: float = 1e-9, *, restarts: int = 8, seed: int = 0
) -> ConvKernelSolution:
    """min ‖U‖² + ‖V‖² over networks with C channels and y_n f(x_n) ≥ 1, certified against the convex dual.

    Args:
        problem: the checked constraints; predictors of shape (D,), (H, W), (R, D) or (R, H, W).
        regularizer: `ConvKernel`.
        tol: relative duality gap asked for.
        restarts, seed: of the local search, for a finite C below the convex range.

    Returns:
        ConvKernelSolution; OPTIMAL when the gap is at most `tol`, BOUNDED for a finite C whose bounds differ,
        INACCURATE when the convex solver stopped above `tol`.

    Raises:
        NotSeparableError: no predictor classifies all points.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021). MNIST 0 against 1, 128 digits, K = 28 is 2‖β̂‖₁, K = 1 is
    2·28·‖β‖₂.

    >>> from solvers.problem import check_problem
    >>> X, y = np.eye(4)[:2], np.array([1.0, -1.0])
    >>> answer = conv_kernel_max_margin(check_problem(X, y, ConvKernel(1)), ConvKernel(1))
    >>> round(answer.objective / (2 * 4**0.5), 9)  # K = 1 is 2√D times ‖β‖₂ = √2
    1.414213562
    """
    geometry = regularizer.geometry(problem.shape)
    scale = float(np.linalg.norm(problem.A, axis=1).max())
    A = problem.A / scale
    if geometry.channels == 1 and geometry.full_width:
        raise_if_not_separable(problem.A, problem.label_shape)
        beta, alpha, stats = fourier_l1_max_margin(A, problem.shape, tol)
        hat = geometry.fourier(beta)[0]
        return _assemble(problem, regularizer, geometry, full_width_kernel(geometry, hat), hat, alpha, tol, 1, stats)
    end = solve_margin(geometry, A, 0.5 * tol)
    if end.alpha is None or end.beta is None or not end.gap <= tol:
        raise_if_not_separable(problem.A, problem.label_shape)
        raise_if_ill_conditioned(problem.A, end.gap)
    if end.alpha is None or end.beta is None:  # nearly inseparable data can jam the path; the full program still solves
        if geometry.n + geometry.D > LARGEST_PROGRAM:
            raise IllConditionedError(
                relative_margin(problem.A), "the central path found no predictor of positive margin"
            )
        U, beta_hat, alpha, rank, stats = _semidefinite(problem, regularizer, geometry)
    else:
        U, rank = factor_second_moment(geometry, end.X, tol)
        stats = {"method": "central path", "iterations": end.iterations}
        beta_hat, alpha = end.beta, end.alpha
    C = regularizer.out_channels
    if C is not None and U.shape[0] > C:
        U = fewer_kernels_for_margin(geometry, A, U, C, restarts, seed)
        stats["method"] = f"local search over {C} channels, {restarts} seeded starts"
        P = geometry.spectrum(geometry.lags(U.T @ U))
        beta_hat, _ = weighted_margin(geometry, geometry.fourier(A), P)
    return _assemble(problem, regularizer, geometry, U, beta_hat, alpha, tol, rank, stats)


def conic_conv_kernel(problem: MarginProblem, regularizer: ConvKernel, tol: float = 1e-9) -> ConvKernelSolution:
    """The same by the full semidefinite program through cvxpy; the network is the cheapest for the program's β.

    Raises ConicSolverError when no solver answers.
    """
    geometry = regularizer.geometry(problem.shape)
    U, beta_hat, alpha, rank, stats = _semidefinite(problem, regularizer, geometry)
    return _assemble(problem, regularizer, geometry, U, beta_hat, alpha, tol, rank, stats)


def _semidefinite(
    problem: MarginProblem, regularizer: ConvKernel, geometry: KernelLags
) -> tuple[Array, ComplexArray, Array, int, dict[str, object]]:
    """Kernels, β̂, multipliers, rank and stats from the program of order K·R + D."""
    from solvers.conv_kernel.conic import conic_conv_kernel_max_margin

    convex = replace(regularizer, out_channels=None)
    beta, alpha, stats = conic_conv_kernel_max_margin(problem, convex)
    network = convex.price(beta)
    kernels = network.kernels.reshape(-1, geometry.channels, *geometry.kernel)
    U = np.ascontiguousarray(np.moveaxis(kernels, 1, -1)).reshape(kernels.shape[0], -1)
    return U, geometry.fourier(beta[None])[0], alpha, network.rank, stats


def _assemble(
    problem: MarginProblem,
    regularizer: ConvKernel,
    geometry: KernelLags,
    U: Array,
    beta_hat: ComplexArray,
    alpha: Array,
    tol: float,
    rank: int,
    stats: dict[str, object],
) -> ConvKernelSolution:
    """The network for the predictor, everything measured on what the network computes."""
    U, V, hat = read_outs(geometry, U, beta_hat)
    axes = tuple(range(1, 1 + len(geometry.grid)))
    hat_V = np.fft.rfftn(V, axes=axes, norm="ortho").reshape(V.shape[0], -1)
    beta = geometry.inverse(np.einsum("crh,ch->rh", hat, hat_V)).reshape(problem.shape)
    margins = problem.margins(beta)
    smallest = float(margins.min())
    if smallest <= 0:
        raise ArithmeticError("the network found has no positive margin; please report the data")
    beta, margins = beta / smallest, margins / smallest
    U, V = U / np.sqrt(smallest), V / np.sqrt(smallest)
    objective = float(np.vdot(U, U) + np.vdot(V, V))
    alpha, z, proved = scaled_to_the_dual(problem, regularizer, alpha)
    lower = min(proved, objective)
    gap = 1.0 - lower / objective
    certificate = Certificate(
        objective=objective,
        lower_bound=lower,
        margin=float(problem.margins(beta).min()),
        primal=max(0.0, 1.0 - float(problem.margins(beta).min())),
        gap=gap,
        direction_gap=gap,
        stationarity=max(0.0, 1.0 - float(np.vdot(z, beta)) / objective),
        complementarity=float(alpha @ np.abs(margins - 1.0)) / float(alpha.sum()),
        support_size=None,
        dual=alpha.reshape(problem.label_shape),
    )
    inner = (geometry.channels, *geometry.kernel) if geometry.channels > 1 else geometry.kernel
    kernels = np.moveaxis(U.reshape(-1, *geometry.kernel, geometry.channels), -1, 1).reshape(-1, *inner)
    return ConvKernelSolution(
        beta=beta,
        dual=alpha.reshape(problem.label_shape),
        objective=objective,
        lower_bound=lower,
        status=judged(gap, tol, regularizer.convex),
        unique=None,
        certificate=certificate,
        stats=stats,
        kernels=np.ascontiguousarray(kernels),
        weights=V.reshape(-1, *geometry.grid),
        rank=rank,
    )
