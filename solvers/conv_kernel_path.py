"""Following the central path of R_K: a primal-dual interior-point method in the kernel's own dimension.

Both problems of this room are saddle points of the same Lagrangian, with the kernels' second moment X ⪰ 0 (KR × KR,
its spectrum P(X) as in `conv_kernel_lags`) on one side and half the dual vector, ẑ, on the other:

    price of a predictor β       min_X max_z   tr X + 2⟨z, β⟩ − Σ_d ẑ_d* P_d ẑ_d                              (1)
    max margin, A β ≥ 1          min_X max_{α≥0} the same with 2·1ᵀα for 2⟨z, β⟩ and z = Aᵀα                   (2)

since min_β {Σ β̂* P^{-1} β̂ − 2⟨z, β⟩} = −Σ ẑ* P ẑ at β̂ = P ẑ. By Σ ẑ* P ẑ = tr(X T(z)), minimizing over X ⪰ 0 leaves
the dual constraint F = I − T(z) ⪰ 0: the K shifts of 2z have operator norm at most 2. The path is X F = μI.

Two choices make it robust. z is a variable of its own, tied to β by the bilinear equation P ẑ = β̂: eliminating
ẑ = P^{-1}β̂ looks simpler, but then a Newton step sees nothing of the pole that a small β̂_d hides at P_d = 0. And F is
always *computed* from z, so every iterate is strictly dual feasible and carries both bounds: 2√(tr X · S) above, with S
of the β at hand, and the dual value divided by √λ_max(T) below. Search directions are Helmberg–Rendl–Vanderbei–
Wolkowicz/Kojima–Shindoh–Hara/Monteiro (HKM) with Mehrotra's predictor and corrector; the Newton systems have q ≈ K unknowns in (1) and
N in (2), so the cost per iteration is a few FFTs of length D and one dense solve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import lu_factor, lu_solve
from scipy.linalg.lapack import dpotrs, dtrtrs
from scipy.sparse.linalg import LinearOperator, eigsh

from solvers.conv_kernel_lags import KernelLags

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_MOST_ITERATIONS = 60
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
    start = np.ones(geometry.n)
    operator = LinearOperator(T.shape, matvec=lambda v: T @ v, dtype=np.float64)
    return float(eigsh(operator, k=1, which="LA", v0=start, tol=1e-13, return_eigenvectors=False)[0])


def _symmetric(M: Array) -> Array:
    return 0.5 * (M + M.T)


def _forward(L: Array, b: Array) -> Array:
    """L^{-1} b. LAPACK itself: at K ≈ 10 the checks around it would cost more than the solve."""
    return np.asarray(dtrtrs(L, b, lower=1)[0])


def _cholesky_solve(L: Array, b: Array) -> Array:
    """(LLᵀ)^{-1} b."""
    return np.asarray(dpotrs(L, b, lower=1)[0])


def _longest_step(L: Array, direction: Array) -> float:
    """The largest a with LLᵀ + a·direction ⪰ 0."""
    whole = _forward(L, _forward(L, direction).T)
    smallest = float(np.linalg.eigvalsh(_symmetric(whole))[0])
    return np.inf if smallest >= 0 else -1.0 / smallest


def _longest_positive(x: Array, direction: Array) -> float:
    falling = direction < 0
    return float(np.min(-x[falling] / direction[falling])) if falling.any() else np.inf


class _Iterate:
    """One point (X, F) of the path with everything that both problems' Newton systems need."""

    def __init__(self, geometry: KernelLags, X: Array, t: Array) -> None:
        self.geometry, self.X = geometry, X
        self.F = np.eye(geometry.n) - geometry.matrix(t)
        self.L_X = np.linalg.cholesky(X)
        self.L_F = np.linalg.cholesky(self.F)
        self.Q = _symmetric(_cholesky_solve(self.L_F, np.eye(geometry.n)))
        self.M = geometry.product(X, self.Q)

    def target(self, mu: float, correction: Array | float) -> Array:
        """μF^{-1} − X − (second-order term): the constant part of ΔX."""
        return np.asarray(mu * self.Q - self.X - correction)

    def move(self, target: Array, dF: Array) -> Array:
        """ΔX of the HKM direction."""
        return np.asarray(target - _symmetric(self.X @ dF @ self.Q))

    def second_order(self, dX: Array, dF: Array) -> Array:
        return _symmetric(dX @ dF @ self.Q)

    def longest(self, dX: Array, dF: Array) -> float:
        return min(_longest_step(self.L_X, dX), _longest_step(self.L_F, dF))


def _centering(after: float, before: float, floor: float) -> float:
    """Mehrotra's σ = (μ_after/μ)³, bounded; 1 once μ is as small as the tolerance needs."""
    if before <= floor:
        return 1.0
    return float(np.clip((after / before) ** 3, max(1e-4, floor / before), 0.9))


def _damped(longest: float, reach: float) -> float:
    return min(1.0, (0.9 + 0.09 * min(1.0, reach)) * longest)


def _dual_feasible_step(geometry: KernelLags, step: float, at: Callable[[float], Array]) -> float:
    """Shorten `step` until I − T stays positive definite (T is quadratic in the step; F was only linearized)."""
    identity = np.eye(geometry.n)
    for _ in range(40):
        try:
            np.linalg.cholesky(identity - geometry.matrix(at(step)))
            return step
        except LinAlgError:
            step *= 0.7
    return 0.0


# ---- (1): the price of one predictor -----------------------------------------------------------------------------------


def follow_price_path(geometry: KernelLags, beta: ComplexArray, tol: float) -> PathEnd:
    """Solve (1) for coefficients β̂ (R, H) ≠ 0 until the relative gap is `tol` or rounding stops the progress.

    For R = 1 only the magnitudes |β̂_d| matter; pass them (real) and z comes back as magnitudes too.
    """
    X, z, P = _price_start(geometry, beta)
    best = PathEnd(X, z, np.inf, 0.0, 0)
    for iteration in range(_MOST_ITERATIONS):
        t = geometry.lags_of(z)
        trace, value = float(np.trace(X)), geometry.inner(beta, z)
        S = geometry.inner(beta, geometry.divide(P, beta))
        upper = 2.0 * np.sqrt(trace * S)
        lower = 2.0 * value / np.sqrt(largest_eigenvalue(geometry, t))
        best = PathEnd(
            X if upper < best.upper else best.X,
            z if lower > best.lower else best.z,
            min(upper, best.upper),
            max(lower, best.lower),
            iteration,
        )
        if best.gap <= tol:
            break
        try:
            X, z, step = _price_step(geometry, beta, X, z, P, t, 0.02 * tol * trace / geometry.n)
        except LinAlgError:
            break
        if step < 1e-3:
            break
        P = geometry.spectrum(geometry.lags(X))
    return best


def _price_start(geometry: KernelLags, beta: ComplexArray) -> tuple[Array, ComplexArray, NDArray[Any]]:
    """X = x·I and ẑ = P^{-1}β̂ with λ_max(T(z)) = 1/2: feasible on both sides, all equations but X F = μI met."""
    X = np.eye(geometry.n)
    P = geometry.spectrum(geometry.lags(X))
    z = geometry.divide(P, beta)
    factor = np.sqrt(0.5 / largest_eigenvalue(geometry, geometry.lags_of(z)))
    return X / factor, z * factor, P / factor


def _price_step(
    geometry: KernelLags, beta: ComplexArray, X: Array, z: ComplexArray, P: NDArray[Any], t: Array, floor: float
) -> tuple[Array, ComplexArray, float]:
    at = _Iterate(geometry, X, t)
    mu = float(np.vdot(X, at.F)) / geometry.n
    H = geometry.curvature(P, z)
    solve = _price_solver(at.M, H)
    misfit = beta - geometry.apply(P, z)

    def direction(target: Array, misfit: ComplexArray, quadratic: Array | float) -> tuple[Any, ...]:
        # PΔẑ + ΔPẑ = misfit, so the lags of F move by ρ + HΔr; and Δr = lags(target) − M·(that)
        w = geometry.divide(P, misfit)
        rho = -2.0 * geometry.cross_lags(w[None], z)[0] - quadratic
        dr = solve(geometry.lags(target) - at.M @ rho)
        dF = geometry.matrix(rho + H @ dr)
        dP = geometry.spectrum(dr)
        return at.move(target, dF), dP, dF, w - geometry.divide(P, geometry.apply(dP, z))

    dX, dP, dF, dz = direction(at.target(0.0, 0.0), misfit, 0.0)
    reach = min(1.0, at.longest(dX, dF))
    after = float(np.vdot(X + reach * dX, at.F + reach * dF)) / geometry.n
    sigma = _centering(after, mu, floor)
    dX, dP, dF, dz = direction(
        at.target(sigma * mu, at.second_order(dX, dF)), misfit - geometry.apply(dP, dz), geometry.lags_of(dz)
    )
    step = _damped(at.longest(dX, dF), reach)
    step = _dual_feasible_step(geometry, step, lambda a: geometry.lags_of(z + a * dz))
    return _symmetric(X + step * dX), z + step * dz, step


def _price_solver(M: Array, H: Array) -> Callable[[Array], Array]:
    """b ↦ (I + M H)^{-1} b, M ≻ 0, H ⪰ 0, once refined: through LLᵀ = M while that exists in rounding, else LU."""
    identity = np.eye(M.shape[0])
    try:
        L = np.linalg.cholesky(M)
        factor = np.linalg.cholesky(identity + _symmetric(L.T @ H @ L))

        def once(b: Array) -> Array:
            return np.asarray(L @ _cholesky_solve(factor, _forward(L, b)))
    except LinAlgError:
        lu = lu_factor(identity + M @ H, check_finite=False)

        def once(b: Array) -> Array:
            return np.asarray(lu_solve(lu, b, check_finite=False))

    def solve(b: Array) -> Array:
        x = once(b)
        return x + once(b - x - M @ (H @ x))

    return solve


# ---- (2): max margin ---------------------------------------------------------------------------------------------------


def follow_margin_path(geometry: KernelLags, A: Array, tol: float) -> PathEnd:
    """Solve (2) for separable constraints A (N, R·D) until the relative gap is `tol` or rounding stops the progress."""
    rows = geometry.fourier(A)
    flat = rows.reshape(rows.shape[0], -1)
    X, alpha, slack = _margin_start(geometry, rows)
    N, n = alpha.size, geometry.n
    best = PathEnd(X, rows[0], np.inf, 0.0, 0)
    for iteration in range(_MOST_ITERATIONS):
        P = geometry.spectrum(geometry.lags(X))
        z = (alpha @ flat).reshape(rows.shape[1:])
        t = geometry.lags_of(z)
        gram = geometry.gram(rows, P)
        margins = gram @ alpha
        smallest = float(margins.min())
        trace = float(np.trace(X))
        upper = 2.0 * np.sqrt(trace * float(alpha @ margins)) / smallest if smallest > 0 else np.inf
        root = np.sqrt(largest_eigenvalue(geometry, t))
        lower = 2.0 * float(alpha.sum()) / root
        if upper < best.upper:
            best = PathEnd(X, best.z, upper, best.lower, iteration, best.alpha, geometry.apply(P, z) / smallest)
        if lower > best.lower:
            best = PathEnd(best.X, z, best.upper, lower, iteration, 2.0 * alpha / root, best.beta)
        best = PathEnd(best.X, best.z, best.upper, best.lower, iteration, best.alpha, best.beta)
        if best.gap <= tol:
            break
        try:
            X, alpha, slack, step = _margin_step(
                geometry, rows, X, alpha, slack, z, t, gram, 0.02 * tol * trace / (n + N)
            )
        except LinAlgError:
            break
        if step < 1e-3:
            break
    return best


def _margin_start(geometry: KernelLags, rows: ComplexArray) -> tuple[Array, Array, Array]:
    """α constant with λ_max(T) = 1/2, X = x·I with margins around one, slacks positive."""
    N = rows.shape[0]
    X = np.eye(geometry.n)
    P = geometry.spectrum(geometry.lags(X))
    gram = geometry.gram(rows, P)
    alpha = np.full(N, 1.0)
    z = rows.sum(axis=0)
    largest = largest_eigenvalue(geometry, geometry.lags_of(z))
    alpha = alpha * np.sqrt(0.5 / largest) if largest > 0 else alpha
    margins = gram @ alpha
    x = 1.0 / max(float(np.mean(margins)), 1e-3 * float(np.abs(margins).max()))
    return X * x, alpha, np.maximum(2.0 * (x * margins - 1.0), 0.5)


def _margin_step(
    geometry: KernelLags,
    rows: ComplexArray,
    X: Array,
    alpha: Array,
    slack: Array,
    z: ComplexArray,
    t: Array,
    gram: Array,
    floor: float,
) -> tuple[Array, Array, Array, float]:
    at = _Iterate(geometry, X, t)
    order = geometry.n + alpha.size
    mu = (float(np.vdot(X, at.F)) + float(alpha @ slack)) / order
    tau = geometry.cross_lags(rows, z)
    tau_M = tau @ at.M
    system = 2.0 * gram + 4.0 * _symmetric(tau_M @ tau.T)
    system[np.diag_indices_from(system)] += slack / alpha
    factor = _cholesky_with_ridge(system)
    missing = 2.0 - 2.0 * (gram @ alpha)

    def direction(target: Array, centre: Array, excess: Array | float, quadratic: Array | float) -> tuple[Array, ...]:
        # Δr = lags(target) − M Δy, Δy = −2τᵀΔα − quadratic, Δs = centre/α − s − (s/α)Δα
        push = geometry.lags(target) + at.M @ np.broadcast_to(quadratic, t.shape)
        right = missing - excess + centre / alpha - 2.0 * (tau @ push)
        da = _cholesky_solve(factor, right)
        da = da + _cholesky_solve(factor, right - system @ da)
        dF = geometry.matrix(-2.0 * (da @ tau) - quadratic)
        return at.move(target, dF), da, centre / alpha - slack - (slack / alpha) * da, dF

    def longest(dX: Array, da: Array, ds: Array, dF: Array) -> float:
        return min(at.longest(dX, dF), _longest_positive(alpha, da), _longest_positive(slack, ds))

    dX, da, ds, dF = direction(at.target(0.0, 0.0), np.zeros_like(alpha), 0.0, 0.0)
    reach = min(1.0, longest(dX, da, ds, dF))
    after = float(np.vdot(X + reach * dX, at.F + reach * dF)) + float((alpha + reach * da) @ (slack + reach * ds))
    sigma = _centering(after / order, mu, floor)
    dz = np.tensordot(da, rows, 1)
    dP = geometry.spectrum(geometry.lags(dX))
    bilinear = 2.0 * _against(geometry, rows, geometry.apply(dP, dz))
    dX, da, ds, dF = direction(
        at.target(sigma * mu, at.second_order(dX, dF)), sigma * mu - da * ds, bilinear, geometry.lags_of(dz)
    )
    step = _damped(longest(dX, da, ds, dF), reach)
    dz = np.tensordot(da, rows, 1)
    step = _dual_feasible_step(geometry, step, lambda a: geometry.lags_of(z + a * dz))
    return _symmetric(X + step * dX), alpha + step * da, slack + step * ds, step


def _against(geometry: KernelLags, rows: ComplexArray, beta: ComplexArray) -> Array:
    """⟨a_n, β⟩ for every row."""
    weighted = (rows * geometry.multiplicity).reshape(rows.shape[0], -1)
    flat = beta.reshape(-1)
    return np.asarray(weighted.real @ flat.real + weighted.imag @ flat.imag)


def _cholesky_with_ridge(system: Array) -> Array:
    """A Cholesky factor of the matrix, ridged in proportion to its diagonal when rounding made it indefinite."""
    diagonal = np.diag(system)
    for ridge in (0.0, 1e-16, 1e-14, 1e-12):
        try:
            return np.linalg.cholesky(system + np.diag(ridge * diagonal))
        except LinAlgError:
            continue
    raise LinAlgError("the Newton system lost definiteness")
