"""Following the central path of R_K: a primal-dual interior-point method in the kernel's own dimension.

Both problems are saddle points of the same Lagrangian, with the kernels' second moment X ⪰ 0 (KR × KR,
its spectrum P(X) as in `solvers.conv_kernel.lags`) on one side and half the dual vector, ẑ, on the other:

    value of a predictor β       min_X max_z   tr X + 2⟨z, β⟩ − Σ_d ẑ_d* P_d ẑ_d                              (1)
    max margin, A β ≥ 1          min_X max_{α≥0} the same with 2·1ᵀα for 2⟨z, β⟩ and z = Aᵀα                   (2)

since min_β {Σ β̂* P^{-1} β̂ − 2⟨z, β⟩} = −Σ ẑ* P ẑ at β̂ = P ẑ. By Σ ẑ* P ẑ = tr(X T(z)), minimizing over X ⪰ 0 leaves
the dual constraint F = I − T(z) ⪰ 0: the K shifts of 2z have operator norm at most 2. The path is X F = μI.

Two choices make it robust. z is a variable of its own, tied to β by the bilinear equation P ẑ = β̂: eliminating
ẑ = P^{-1}β̂ looks simpler, but then a Newton step does not see the pole at P_d = 0, which a small β̂_d hides. And F is
always *computed* from z, so every iterate is strictly dual feasible and carries both bounds: 2√(tr X · S) above, with S
of the β at hand, and the dual value divided by √λ_max(T) below. Search directions are
those of Helmberg, Rendl, Vanderbei and Wolkowicz (1996), Kojima, Shindoh and Hara (1997) and Monteiro (1997) with
Mehrotra's predictor and corrector; the Newton systems have q ≈ K unknowns in (1) and N in (2), so an iteration costs a
few FFTs of length D and one dense solve. (1) is `solvers.conv_kernel.value_path`, (2) is
`solvers.conv_kernel.margin_path`; here is what they share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg.lapack import dpotrs, dtrtrs
from scipy.sparse.linalg import LinearOperator, eigsh

from solvers.arrays import Array, ComplexArray
from solvers.conv_kernel.lags import KernelLags

MOST_ITERATIONS = 60
_DENSE_UP_TO = 600  # order of the matrix beyond which its largest eigenvalue is found by Lanczos


@dataclass(frozen=True)
class PathEnd:
    """Where the path ended: X ⪰ 0, z (coefficients of half the dual vector), and the bounds they prove."""

    X: Array
    z: ComplexArray
    upper: float
    lower: float
    iterations: int
    alpha: Array | None = None
    """(2) only: multipliers, scaled so that 1ᵀα = lower and R°(Aᵀα) ≤ 1."""
    beta: ComplexArray | None = None
    """(2) only: coefficients of the predictor, with smallest margin 1."""

    @property
    def gap(self) -> float:
        return 1.0 - self.lower / self.upper


def largest_eigenvalue(geometry: KernelLags, t: Array) -> float:
    """λ_max(T) from the lags of T; by Lanczos when T is large. T = T(z) gives R_K°(2z) = √λ_max."""
    if geometry.n <= _DENSE_UP_TO:
        return float(np.linalg.eigvalsh(geometry.matrix(t))[-1])
    T = geometry.matrix(t)
    # eigenvectors of a Toeplitz matrix are even or odd, so a symmetric start would miss half of them
    start = np.random.default_rng(0).standard_normal(geometry.n)
    operator = LinearOperator(T.shape, matvec=lambda v: T @ v, dtype=np.float64)
    return float(eigsh(operator, k=1, which="LA", v0=start, tol=1e-13, return_eigenvectors=False)[0])


def proved_largest_eigenvalue(geometry: KernelLags, t: Array) -> float:
    """λ_max(T) for a certificate, within 1e-11: what Lanczos finds is a lower bound, which would prove too much.

    So λ(1 + 10^{−11})I − T must have a Cholesky factor; where it has none the dense eigenvalues are computed.
    """
    found = largest_eigenvalue(geometry, t)
    if geometry.n > _DENSE_UP_TO and found > 0:
        T = geometry.matrix(t)
        try:
            np.linalg.cholesky(found * (1.0 + 1e-11) * np.eye(geometry.n) - T)
        except LinAlgError:
            found = float(np.linalg.eigvalsh(T)[-1])
    return found


def kernel_dual_norm(geometry: KernelLags, z: Array) -> float:
    """R_K°(z) = ½√λ_max(T(z)) for z in the shape of a predictor: one FFT and one eigenvalue."""
    largest = float(np.abs(z).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    lags = geometry.lags_of(geometry.fourier(z / largest)[0])
    return 0.5 * largest * float(np.sqrt(max(proved_largest_eigenvalue(geometry, lags), 0.0)))


def symmetric(M: Array) -> Array:
    """(M + Mᵀ)/2."""
    return 0.5 * (M + M.T)


def forward(L: Array, b: Array) -> Array:
    """L^{-1} b. LAPACK itself: at K ≈ 10 the checks around it would cost more than the solve."""
    return np.asarray(dtrtrs(L, b, lower=1)[0])


def cholesky_solve(L: Array, b: Array) -> Array:
    """(LLᵀ)^{-1} b."""
    return np.asarray(dpotrs(L, b, lower=1)[0])


def cholesky(M: Array) -> Array:
    """L with LLᵀ = M. Raises LinAlgError when M is not positive definite in rounding."""
    return np.asarray(np.linalg.cholesky(M), dtype=np.float64)


def longest_step(L: Array, direction: Array) -> float:
    """The largest a with LLᵀ + a·direction ⪰ 0."""
    whole = forward(L, forward(L, direction).T)
    smallest = float(np.linalg.eigvalsh(symmetric(whole))[0])
    return np.inf if smallest >= 0 else -1.0 / smallest


def longest_positive(x: Array, direction: Array) -> float:
    """The largest a with x + a·direction ≥ 0."""
    falling = direction < 0
    return float(np.min(-x[falling] / direction[falling])) if falling.any() else np.inf


class Iterate:
    """One point (X, F) of the path with everything that both problems' Newton systems need."""

    def __init__(self, geometry: KernelLags, X: Array, t: Array) -> None:
        self.geometry, self.X = geometry, X
        self.F = np.eye(geometry.n) - geometry.matrix(t)
        self.L_X = cholesky(X)
        self.L_F = cholesky(self.F)
        self.Q = symmetric(cholesky_solve(self.L_F, np.eye(geometry.n)))
        self.M = geometry.product(X, self.Q)

    def target(self, mu: float, correction: Array | float) -> Array:
        """μF^{-1} − X − (second-order term): the constant part of ΔX."""
        return np.asarray(mu * self.Q - self.X - correction)

    def move(self, target: Array, dF: Array) -> Array:
        """ΔX of the HKM direction."""
        return np.asarray(target - symmetric(self.X @ dF @ self.Q))

    def second_order(self, dX: Array, dF: Array) -> Array:
        return symmetric(dX @ dF @ self.Q)

    def longest(self, dX: Array, dF: Array) -> float:
        return min(longest_step(self.L_X, dX), longest_step(self.L_F, dF))


def centering(after: float, before: float, floor: float) -> float:
    """Mehrotra's σ = (μ_after/μ)³, bounded; 1 once μ is as small as the tolerance needs."""
    if before <= floor:
        return 1.0
    return float(np.clip((after / before) ** 3, max(1e-4, floor / before), 0.9))


def damped(longest: float, reach: float) -> float:
    """How much of the longest step to take: 0.9 of it, up to 0.99 when the predictor went far."""
    return min(1.0, (0.9 + 0.09 * min(1.0, reach)) * longest)


def dual_feasible_step(geometry: KernelLags, step: float, at: Callable[[float], Array]) -> float:
    """Shorten `step` until I − T stays positive definite (T is quadratic in the step; F was only linearized)."""
    identity = np.eye(geometry.n)
    for _ in range(40):
        try:
            np.linalg.cholesky(identity - geometry.matrix(at(step)))
            return step
        except LinAlgError:
            step *= 0.9
    return 0.0
