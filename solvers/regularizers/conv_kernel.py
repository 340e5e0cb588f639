"""R_{K,C}: the cost of a predictor for a two-layer convolutional network with narrow kernels and several channels.

The network sends an input of R channels through C kernels of size K and D output weights for each,

    f(x) = Σ_c ⟨v_c, Σ_r x_r ⋆ u_{c,r}⟩,     β̂_r = Σ_c û_{c,r} ⊙ v̂_c      (unitary DFT of zero-padded kernels),

and R_{K,C}(β) = min {‖U‖² + ‖V‖² : the network computes β}. For C ≥ K·R it is a norm, the same for all such C; this
convex value is `out_channels=None`. With one input channel in one dimension it is the same for every C ≥ 1, because
one filter can have the autocorrelation of many (`solvers.spectral_factorization`); in two dimensions
and for R > 1 it is not.

    R_K(β) = min_U ‖U‖² + Σ_d β̂_d* P_d^{-1} β̂_d,  P_d = Σ_c û_c[d] û_c[d]*     R_K°(z) = ½√λ_max(T(z))

with T the K×K (block-)Toeplitz matrix of the circular autocorrelation of z. Limits: K = 1 is 2√D‖β‖₂ for R = 1 and
2√D‖β‖_* (nuclear norm of R×D) in general; K = D is 2‖β̂‖₁ and 2 Σ_d ‖β̂_d‖₂. Unlike the other regularizers this one is
the cost ‖w‖² itself, depth 2 included; that is how the literature prints it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from solvers.algorithms.ball_newton import LARGEST, Ball
from solvers.algorithms.spectral_ball import NuclearBall
from solvers.arrays import Array
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.margin import NetworkCandidate, kernel_max_margin, network_candidate, network_of
from solvers.conv_kernel.network import full_width_kernel, shaped_kernels
from solvers.conv_kernel.path import kernel_dual_norm
from solvers.conv_kernel.value import InducedRegularizer, attained
from solvers.regularizers.exponent import in_range
from solvers.regularizers.fourier_bridge import FourierBridge
from solvers.regularizers.l2 import least_norm, least_norm_of_wide_rows, least_norm_that_fits
from solvers.regularizers.regularizer import LARGEST_PROGRAM, Regularizer
from solvers.search import Search
from solvers.separability import raise_if_not_resolved, raise_if_not_separable

if TYPE_CHECKING:
    from solvers.interpolation.problem import InterpolationProblem
    from solvers.interpolation.row_space import Found
    from solvers.problem import MarginProblem
    from solvers.solution import Candidate


@lru_cache(maxsize=8)
def lag_geometry(grid: tuple[int, ...], kernel: tuple[int, ...], channels: int) -> KernelLags:
    """The index tables of one architecture, kept for the next call."""
    return KernelLags(grid, kernel, channels)


@dataclass(frozen=True)
class ConvKernel(Regularizer):
    """R_{K,C}(β) = min ‖U‖² + ‖V‖²: two-layer linear CNN, circular, kernel size K, C output and R input channels.

    β has shape (D,) or (H, W) for one input channel, (R, D) or (R, H, W) for several.

    Args:
        kernel_size: K, or (K_H, K_W) for images. An int with images means K × K.
        in_channels: R ≥ 1.
        out_channels: C, or None for the convex value, attained by every C ≥ K·R (K_H·K_W·R for images) and, for
            signals with R = 1, by every C ≥ 1.

    Raises ValueError when a size is not a positive integer. For images with a finite C the kernel must be written as
    a pair, since whether R_{K,C} is a norm depends on the dimension.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), *Inductive bias of multi-channel linear convolutional
    networks with bounded weight norm*; SDP form and independence of C for R = 1, 1-D.

    >>> ramp = np.arange(1.0, 9.0)
    >>> [round(ConvKernel(K).value(ramp), 5) for K in (1, 2, 3, 8)]
    [80.79604, 66.00711, 61.01355, 57.18928]
    """

    kernel_size: int | tuple[int, ...]
    in_channels: int = 1
    out_channels: int | None = None

    def __post_init__(self) -> None:
        sizes = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,)
        given = (*sizes, self.in_channels, *(() if self.out_channels is None else (self.out_channels,)))
        wrong = [s for s in given if isinstance(s, bool) or not isinstance(s, int | np.integer) or s < 1]
        if wrong or not 1 <= len(sizes) <= 2:
            raise ValueError(
                f"{self}: kernel_size must be a positive integer or a pair of them, in_channels a positive integer, "
                "out_channels a positive integer or None (the convex value)"
            )

    @property
    def is_norm(self) -> bool:
        """Whether R_{K,C} is known to be a norm: C = None, C ≥ K·R, or one-dimensional with R = 1."""
        if self.out_channels is None:
            return True
        sizes = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,)
        one_dimensional = len(sizes) == 1  # an int with a finite C is refused for images
        enough = int(np.prod(sizes)) * self.in_channels
        return (one_dimensional and self.in_channels == 1) or self.out_channels >= enough

    @property
    def of_neighbours(self) -> bool:
        return True

    def check_shape(self, shape: tuple[int, ...]) -> None:
        self.geometry(shape)

    def geometry(self, shape: tuple[int, ...]) -> KernelLags:
        """The lag structure for predictors of this shape. Raises ValueError when the shape does not fit."""
        grid = tuple(shape) if self.in_channels == 1 else tuple(shape[1:])
        if self.in_channels > 1 and (not shape or shape[0] != self.in_channels):
            raise ValueError(
                f"{self}: predictors must have shape ({self.in_channels}, D) or ({self.in_channels}, H, W), got {shape}"
            )
        if not 1 <= len(grid) <= 2:
            raise ValueError(f"{self}: predictors must be signals or images, channels first if several; got {shape}")
        if isinstance(self.kernel_size, tuple):
            kernel = self.kernel_size
        elif len(grid) == 2 and self.out_channels is not None:
            raise ValueError(
                f"{self}: for images of shape {grid} and a finite out_channels write the kernel as a pair, "
                f"kernel_size=({self.kernel_size}, {self.kernel_size})"
            )
        else:
            kernel = (self.kernel_size,) * len(grid)
        if len(kernel) != len(grid) or any(k > d for k, d in zip(kernel, grid, strict=True)):
            raise ValueError(f"{self}: the kernel {kernel} needs one size from 1 to D along each axis of {grid}")
        return lag_geometry(grid, kernel, self.in_channels)

    def value(self, beta: Array) -> float:
        """R_{K,C}(β) = min ‖U‖² + ‖V‖², the cost itself: L·value^{2/L} of the other regularizers does not apply.

        For a finite C below the convex range the best of a seeded local search, an upper bound.
        """
        beta = np.asarray(beta, dtype=np.float64)
        return in_range(lambda b: _value(self, b.shape, np.ascontiguousarray(b).tobytes()), beta)

    def attained(self, beta: Array, search: Search | None = None) -> InducedRegularizer:
        """R_{K,C}(β) with the network that attains it and the proof."""
        search = Search(1e-9) if search is None else search
        return attained(beta, self.geometry(beta.shape), self.out_channels, search, convex=self.is_norm)

    def dual_norm(self, z: Array) -> float:
        """½√λ_max(T(z)): one FFT and one K·R × K·R eigenvalue. The same for every C, since one kernel attains it."""
        z = np.asarray(z, dtype=np.float64)
        return kernel_dual_norm(self.geometry(z.shape), z)

    @property
    def has_dual_norm(self) -> bool:
        """Always: that of the convex value bounds R_{K,C} from below for every C."""
        return True

    @property
    def several_outputs(self) -> bool:
        return False

    @property
    def search_options(self) -> tuple[str, ...]:
        return ("n_starts", "seed")

    @property
    def formula(self) -> str:
        return "R_K(β)" if self.out_channels is None else "R_{K,C}(β)"

    def conic(self, beta: Any) -> Any:
        from solvers.expressions import conv_kernel_norm

        if not self.is_norm:
            raise ValueError(f'{self} is not a norm, so it has no conic form; use method="auto"')
        return conv_kernel_norm(beta, self.kernel_size, self.in_channels)

    def minimize(self, problem: MarginProblem, search: Search) -> NetworkCandidate:
        raise_if_not_resolved(problem.A, problem.label_shape)
        geometry = self.geometry(problem.shape)
        if geometry.n == 1:
            return self._scaled(problem, least_norm(problem))
        if geometry.channels == 1 and geometry.full_width:
            raise_if_not_separable(problem.A, problem.label_shape)
            wide = FourierBridge(1).minimize(problem, search)
            hat = geometry.fourier(wide.beta)[0]
            U = full_width_kernel(geometry, hat)
            return network_candidate(problem, geometry, U, hat, wide.dual, 1, dict(wide.stats))
        return kernel_max_margin(problem, geometry, self.out_channels, search)

    def last_resort(self, problem: MarginProblem, search: Search, worst: float) -> Candidate | None:
        geometry = self.geometry(problem.shape)
        if geometry.n == 1:
            plain = least_norm_of_wide_rows(problem, search.tol)
            return None if plain is None else self._scaled(problem, plain)
        if geometry.channels == 1 and geometry.full_width and geometry.D <= LARGEST_PROGRAM:
            # the path leaves room for the rounding of a network, which is more than that of β
            return kernel_max_margin(problem, geometry, self.out_channels, search)
        return super().last_resort(problem, search, worst)

    def _scaled(self, problem: MarginProblem, plain: Candidate) -> NetworkCandidate:
        """K = 1 and R = 1: the network scales the input, and the problem is that of ‖β‖₂."""
        geometry = self.geometry(problem.shape)
        length = float(np.linalg.norm(plain.beta))
        half = np.sqrt(geometry.D) * length
        return NetworkCandidate(
            plain.beta,
            plain.dual,
            dict(plain.stats),
            objective=2.0 * half,
            kernels=shaped_kernels(geometry, np.array([[np.sqrt(half)]])),
            output_weights=(plain.beta * (np.sqrt(half) / length)).reshape(-1, *geometry.grid),
            rank=1,
        )

    def interpolate(self, problem: InterpolationProblem) -> Found:
        geometry = self.geometry(problem.shape)
        if geometry.n == 1:
            return least_norm_that_fits(problem)
        if geometry.D > LARGEST_PROGRAM:
            raise ValueError(
                f"min_norm with {self} is a semidefinite program, for D ≤ {LARGEST_PROGRAM}; got D = {geometry.D}"
            )
        return super().interpolate(problem)

    def ball(self, rows: Array, shape: tuple[int, ...], radius: float) -> Ball | None:
        """In matrices M of one row a kernel entry: β_r = Σ_k (M_{kr} shifted by k), R_K = min 2√D‖M‖_*."""
        geometry = self.geometry(shape)
        if not self.is_norm or geometry.n * geometry.D > LARGEST:
            return None
        axes = tuple(range(-len(geometry.grid), 0))
        steps = list(np.ndindex(*geometry.kernel))
        points = rows.reshape(len(rows), geometry.channels, *geometry.grid)
        shifted = np.stack([np.roll(points, [-k for k in step], axes) for step in steps], axis=1)

        def predictor(b: Array) -> Array:
            parts = b.reshape(len(steps), geometry.channels, *geometry.grid)
            moved = (np.roll(part, step, axes) for part, step in zip(parts, steps, strict=True))
            return np.asarray(sum(moved)).reshape(shape)

        barrier = NuclearBall((geometry.n, geometry.D), radius / (2.0 * np.sqrt(geometry.D)))
        return Ball(barrier, shifted.reshape(len(rows), -1), predictor)

    def minimize_conic(self, problem: MarginProblem) -> NetworkCandidate:
        """By the full semidefinite program through cvxpy; the network is the least one for the program's β."""
        found = super().minimize_conic(problem)
        return network_of(problem, self.geometry(problem.shape), found.beta, found.dual, dict(found.stats))


@lru_cache(maxsize=16)
def _value(regularizer: ConvKernel, shape: tuple[int, ...], content: bytes) -> float:
    return regularizer.attained(np.frombuffer(content).reshape(shape)).value
