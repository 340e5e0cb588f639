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
few FFTs of length D and one dense solve. `follow` is the path; a `Constraint` gives the start, the bounds and the
Newton system: `solvers.conv_kernel.value_path` for (1), `solvers.conv_kernel.margin_path` for (2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from solvers.algorithms.factorizations import cholesky, cholesky_solve, eigenvalues, forward
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
    multipliers: Array | None = None
    """Those of z, scaled so that their value is `lower` and R°(z) ≤ 1: α in (2)."""
    beta: ComplexArray | None = None
    """Coefficients of the feasible predictor of cost `upper`: in (2) its smallest margin is 1."""

    @property
    def gap(self) -> float:
        return 1.0 - self.lower / self.upper


def largest_eigenvalue(geometry: KernelLags, t: Array) -> float:
    """λ_max(T) from the lags of T; by Lanczos when T is large. T = T(z) gives R_K°(2z) = √λ_max."""
    if geometry.n <= _DENSE_UP_TO:
        return float(eigenvalues(geometry.matrix(t).astype(np.float64))[-1])
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


def longest_step(L: Array, direction: Array) -> float:
    """The largest a with LLᵀ + a·direction ⪰ 0."""
    whole = forward(L, forward(L, direction).T)
    smallest = float(eigenvalues(symmetric(whole).astype(np.float64))[0])
    return np.inf if smallest >= 0 else -1.0 / smallest


def longest_positive(x: Array, direction: Array) -> float:
    """The largest a with x + a·direction ≥ 0."""
    falling = direction < 0
    return float(np.min(-x[falling] / direction[falling])) if falling.any() else np.inf


@dataclass(frozen=True)
class Point:
    """The unknowns of the path, or a direction: X, the multipliers of z, and the slacks of the constraints A β ≥ 1.

    Without inequalities there are no slacks, and the multipliers are free. With them they are positive like the slacks.
    """

    X: Array
    v: NDArray[Any]
    slack: Array

    @property
    def signed(self) -> Array:
        """The positive multipliers, in the order of the slacks: none without inequalities."""
        return np.asarray(self.v.real.reshape(-1)[: self.slack.size])

    def moved(self, step: float, by: Point) -> Point:
        return Point(symmetric(self.X + step * by.X), self.v + step * by.v, self.slack + step * by.slack)


@dataclass(frozen=True)
class Direction(Point):
    """A direction with what it implies."""

    F: Array
    z: ComplexArray
    P: NDArray[Any]


class Iterate:
    """One point of the path with everything that the Newton systems need."""

    def __init__(self, constraint: Constraint, point: Point, P: NDArray[Any], z: ComplexArray, t: Array) -> None:
        geometry = constraint.geometry
        self.point, self.X, self.P, self.z = point, point.X, P, z
        self.F = np.eye(geometry.n) - geometry.matrix(t)
        self.L_X = cholesky(self.X)
        self.L_F = cholesky(self.F)
        self.Q = symmetric(cholesky_solve(self.L_F, np.eye(geometry.n)))
        self.M = geometry.product(self.X, self.Q)

    def move(self, target: Array, dF: Array) -> Array:
        """ΔX of the HKM direction."""
        return np.asarray(target - symmetric(self.X @ dF @ self.Q))

    def longest(self, d: Direction) -> float:
        """The largest step in the direction that keeps X, F, and the slacks and their multipliers nonnegative."""
        pairs = longest_positive(self.point.signed, d.signed), longest_positive(self.point.slack, d.slack)
        return min(longest_step(self.L_X, d.X), longest_step(self.L_F, d.F), *pairs)

    def complementarity(self, step: float = 0.0, d: Direction | None = None) -> float:
        """μ: the mean of X F and of multiplier times slack, here or after a step."""
        at, F = self.point, self.F
        if d is not None:
            at, F = at.moved(step, d), F + step * d.F
        total = float(np.vdot(at.X, F)) + float(np.vdot(at.signed, at.slack))
        return total / (len(F) + at.slack.size)


Solve = Callable[[Array, Array, NDArray[Any], Array], Direction]
"""The direction for the constant part of ΔX, the centre of multiplier times slack, ΔP Δẑ and the lags of Δẑ."""


class Constraint(ABC):
    """What problems (1) and (2) differ in."""

    geometry: KernelLags

    @abstractmethod
    def start(self) -> Point:
        """A point with X ≻ 0, F ≻ 0 and positive slacks."""

    @abstractmethod
    def dual(self, v: NDArray[Any]) -> ComplexArray:
        """ẑ, (R, H), from its multipliers."""

    @abstractmethod
    def value(self, v: NDArray[Any]) -> float:
        """⟨z, β⟩ or 1ᵀα."""

    @abstractmethod
    def feasible(self, P: NDArray[Any], z: ComplexArray) -> tuple[ComplexArray, float]:
        """A feasible β̂ and its Σ β̂* P^{-1} β̂; inf where there is none. May raise LinAlgError for a singular P."""

    @abstractmethod
    def newton(self, at: Iterate) -> Solve:
        """The Newton system, factored. Raises LinAlgError when rounding made it indefinite."""


def follow(constraint: Constraint, tol: float) -> PathEnd:
    """The path until the relative gap is `tol`, or rounding stops the progress: the best bounds on the way."""
    geometry = constraint.geometry
    try:
        point = constraint.start()
    except LinAlgError:  # a start that rounding puts outside
        nothing = np.zeros((geometry.channels, geometry.multiplicity.size), dtype=np.complex128)
        return PathEnd(np.eye(geometry.n), nothing, np.inf, 0.0, 0)
    best, improved = PathEnd(point.X, constraint.dual(point.v), np.inf, 0.0, 0), 0
    for iteration in range(MOST_ITERATIONS):
        P, z = geometry.spectrum(geometry.lags(point.X)), constraint.dual(point.v)
        t = geometry.lags_of(z)
        trace, value = float(np.trace(point.X)), constraint.value(point.v)
        root = np.sqrt(max(largest_eigenvalue(geometry, t), 0.0))
        if root <= 1e-13 * value:  # Aᵀα = 0 with α ≥ 0: inseparable, for the caller to say
            break
        best, before = replace(best, iterations=iteration), best.gap
        try:
            beta, S = constraint.feasible(P, z)
            if 2.0 * np.sqrt(trace * S) < best.upper:
                best = replace(best, X=point.X, upper=2.0 * np.sqrt(trace * S), beta=beta)
        except LinAlgError:  # a singular P proves no upper bound
            pass
        if 2.0 * value / root > best.lower:
            best = replace(best, z=z, lower=2.0 * value / root, multipliers=2.0 * point.v / root)
        improved = iteration if best.gap < before or not np.isfinite(best.upper) else improved
        if best.gap <= tol or iteration - improved > 8:
            break
        try:
            at = Iterate(constraint, point, P, z, t)
            direction, step = _predict_and_correct(constraint, at, 0.02 * tol * trace)
        except LinAlgError:
            break
        step = _dual_feasible_step(geometry, step, z, direction.z)
        point = point.moved(step, direction)
        if step < 1e-3:
            break
    return best


def _predict_and_correct(constraint: Constraint, at: Iterate, floor: float) -> tuple[Direction, float]:
    """Mehrotra's direction and step; `floor` is the complementarity, summed, that the tolerance needs."""
    geometry, solve = constraint.geometry, constraint.newton(at)
    none, flat = np.zeros_like(at.point.slack), np.zeros(geometry.q)
    d = solve(-at.X, none, np.zeros_like(at.z), flat)
    reach = min(1.0, at.longest(d))
    mu = at.complementarity()
    goal = mu * _centering(at.complementarity(reach, d), mu, floor / (geometry.n + none.size))
    target = goal * at.Q - at.X - symmetric(d.X @ d.F @ at.Q)
    centre = goal - d.signed * d.slack
    d = solve(target, centre, geometry.apply(d.P, d.z), geometry.lags_of(d.z))
    return d, min(1.0, (0.9 + 0.09 * reach) * at.longest(d))  # up to 0.99 of the way when the predictor went far


def _centering(after: float, before: float, floor: float) -> float:
    """Mehrotra's σ = (μ_after/μ)³, bounded; 1 once μ is as small as the tolerance needs."""
    if before <= floor:
        return 1.0
    return float(np.clip((after / before) ** 3, max(1e-4, floor / before), 0.9))


def _dual_feasible_step(geometry: KernelLags, step: float, z: ComplexArray, dz: ComplexArray) -> float:
    """Shorten `step` until I − T stays positive definite (T is quadratic in the step; F was only linearized)."""
    identity = np.eye(geometry.n)
    for _ in range(40):
        try:
            cholesky(identity - geometry.matrix(geometry.lags_of(z + step * dz)))
            return step
        except LinAlgError:
            step *= 0.9
    return 0.0
