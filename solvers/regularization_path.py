"""The regularization path: the least loss within a ball of the induced regularizer, as the ball grows.

    β(c) = argmin { L(β) : R(β) ≤ c },      L = ln Σ_n e^{−m_n}  (exponential)  or  Σ_n ln(1 + e^{−m_n})  (logistic),

m_n = y_n⟨x_n, β⟩. On separable data β(c)/R(β(c)) tends to a max-margin solution as c → ∞; on data that no predictor
separates it is the answer that exists. (ln Σ e^{−m} has the minimizers of Σ e^{−m} and stays representable.)

Accelerated projected gradient with restarts, each radius started from the one before. The stopping rule is a proof: by
convexity and the definition of the dual norm,

    L(β) − L(β(c)) ≤ ⟨∇L(β), β⟩ + c R°(∇L(β)),                                                        (gap)

the Frank–Wolfe gap.

Reference: Rosset, Zhu, Hastie (2004), Theorem 3, for the limit; Jaggi (2013) for the gap; O'Donoghue, Candès (2015) for
the restarts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logsumexp

from solvers.problem import MarginProblem, check_problem
from solvers.regularizers import L2, Bridge, Regularizer, Schatten

Array = NDArray[np.float64]
Loss = Literal["exponential", "logistic"]


@dataclass(frozen=True)
class RegularizationPath:
    """β(c) at each radius, with what is proved about it."""

    radii: Array
    """c, shape (K,), increasing, in units of R."""
    predictors: Array
    """β(c), shape (K, *shape of β)."""
    losses: Array
    """L(β(c)), shape (K,)."""
    gaps: Array
    """Proved bound on L(β(c)) − min L, shape (K,)."""
    iterations: NDArray[np.int64]
    """Gradient evaluations for each radius, shape (K,)."""


def project(regularizer: Regularizer, beta: Array, radius: float) -> Array:
    """The Euclidean projection of β onto {R ≤ radius}, R a norm."""
    if regularizer.value(beta) <= radius:
        return beta
    if isinstance(regularizer, L2) or getattr(regularizer, "p", None) == 2:
        return beta * (radius / float(np.linalg.norm(beta)))
    if isinstance(regularizer, Schatten):
        u, sigma, vt = np.linalg.svd(beta, full_matrices=False)
        return np.asarray((u * (sigma * _shrinkage(sigma, radius))) @ vt)
    if isinstance(regularizer, Bridge):
        c = regularizer.coefficients(beta)
        return regularizer.from_coefficients(c * _shrinkage(np.abs(c), radius))
    raise TypeError(f"no projection onto the ball of {regularizer}")


def _shrinkage(magnitudes: Array, radius: float) -> Array:
    """Factors (1 − τ/|c|)₊ with τ such that Σ (|c| − τ)₊ = radius."""
    falling = np.sort(magnitudes.reshape(-1))[::-1]
    excess = np.cumsum(falling) - radius
    count = np.flatnonzero(falling * np.arange(1, falling.size + 1) > excess)[-1] + 1
    tau = excess[count - 1] / count
    return np.asarray(np.maximum(1.0 - tau / np.maximum(magnitudes, 1e-300), 0.0))


def _loss(margins: Array, loss: Loss) -> tuple[float, Array]:
    """L and the weights −∂L/∂m_n ≥ 0."""
    if loss == "exponential":
        total = float(logsumexp(-margins))
        return total, np.exp(-margins - total)
    return float(np.logaddexp(0.0, -margins).sum()), np.asarray(expit(-margins))


def regularization_path(
    X: ArrayLike,
    y: ArrayLike,
    radii: ArrayLike,
    regularizer: Regularizer | None = None,
    *,
    loss: Loss = "logistic",
    tol: float = 1e-6,
    max_iterations: int = 20_000,
) -> RegularizationPath:
    """min L(β) s.t. R(β) ≤ c for every c in `radii`, each started from the one before.

    Args:
        X, y: as in `max_margin`; the data need not be separable.
        radii: positive, any order (sorted in the result).
        regularizer: a norm: L2() (default), Bridge(1), FourierBridge(1), Schatten(1).
        loss: "exponential" or "logistic".
        tol: the gap to stop at, relative to max(L, 1e-3·N) for the logistic loss, absolute for ln Σ e^{−m}.
        max_iterations: for each radius; where they run out, `gaps` says how far it got.

    Raises:
        ValueError: invalid data or radii; a regularizer that is not a norm (p < 1).

    >>> path = regularization_path([[1.0, 0.0], [0.0, 1.0]], [1, -1], [1.0, 10.0])
    >>> np.round(path.predictors[1] / 10.0, 3).tolist()
    [0.707, -0.707]
    """
    regularizer = L2() if regularizer is None else regularizer
    problem = check_problem(X, y, regularizer)
    if not regularizer.convex:
        raise ValueError(
            f"{regularizer} is not a norm (p < 1): its ball is not convex and has no regularization path here"
        )
    if loss not in ("exponential", "logistic"):
        raise ValueError(f'loss must be "exponential" or "logistic"; got {loss!r}')
    c = np.sort(np.atleast_1d(np.asarray(radii, dtype=np.float64)))
    if c.ndim != 1 or c.size == 0 or not (np.isfinite(c).all() and c[0] > 0):
        raise ValueError(f"radii must be positive finite numbers; got {radii!r}")
    beta = np.zeros(problem.shape)
    rows: list[tuple[Array, float, float, int]] = []
    for radius in c:
        beta, value, gap, iterations = _constrained(
            problem, regularizer, beta, float(radius), loss, tol, max_iterations
        )
        rows.append((beta, value, gap, iterations))
    return RegularizationPath(
        radii=c,
        predictors=np.stack([row[0] for row in rows]),
        losses=np.array([row[1] for row in rows]),
        gaps=np.array([row[2] for row in rows]),
        iterations=np.array([row[3] for row in rows], dtype=np.int64),
    )


def _constrained(
    problem: MarginProblem,
    regularizer: Regularizer,
    start: Array,
    radius: float,
    loss: Loss,
    tol: float,
    max_iterations: int,
) -> tuple[Array, float, float, int]:
    """FISTA with backtracking and function-value restarts, until the Frank–Wolfe gap closes."""
    step = 1.0 / max(float(np.linalg.norm(problem.A, axis=1).max()) ** 2, 1e-300)
    beta = previous = project(regularizer, start, radius)
    momentum = 1.0
    value, _ = _loss(problem.margins(beta), loss)
    gap = np.inf
    for iteration in range(1, max_iterations + 1):
        next_momentum = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = beta + (momentum - 1.0) / next_momentum * (beta - previous)
        ahead_value, weights = _loss(problem.margins(ahead), loss)
        gradient = -problem.combine(weights)
        while True:
            trial = project(regularizer, ahead - step * gradient, radius)
            trial_value, trial_weights = _loss(problem.margins(trial), loss)
            move = trial - ahead
            model = ahead_value + float(np.vdot(gradient, move)) + float(np.vdot(move, move)) / (2.0 * step)
            if trial_value <= model + 1e-14 * max(1.0, abs(model)) or step < 1e-300:
                break
            step /= 2.0
        restart = trial_value > value and momentum > 1.0
        previous, beta, value = beta, trial, trial_value
        momentum = 1.0 if restart else next_momentum
        if restart:
            previous = beta
        step *= 1.05
        gradient = -problem.combine(trial_weights)
        gap = float(np.vdot(gradient, beta)) + radius * regularizer.dual_norm(gradient)
        if gap <= tol * (max(value, 1e-3 * trial_weights.size) if loss == "logistic" else 1.0):
            return beta, value, gap, iteration
    return beta, value, gap, max_iterations
