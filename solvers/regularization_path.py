"""The regularization path: the least loss within a ball of the induced regularizer, as the ball grows.

    β(c) = argmin { L(β) : R(β) ≤ c },      L = ln Σ_n e^{−m_n}  (exponential)  or  Σ_n ln(1 + e^{−m_n})  (logistic),

m_n = y_n⟨x_n, β⟩. With several classes the margins are m_{nk} = ⟨w_{y_n} − w_k, x_n⟩, k ≠ y_n, and there is a third
loss, Σ_n ln(1 + Σ_k e^{−m_{nk}}) (cross entropy). On separable data β(c)/R(β(c)) tends to a max-margin solution as
c → ∞; on data that no predictor separates it is the answer that exists. (ln Σ e^{−m} has the minimizers of Σ e^{−m} and stays representable.)

Accelerated projected gradient with restarts, each radius started from the one before; where the regularizer has no
projection, the conic formulation through cvxpy. The stopping rule is a proof: by
convexity and the definition of the dual norm,

    L(β) − L(β(c)) ≤ ⟨∇L(β), β⟩ + c R°(∇L(β)),                                                        (gap)

the Frank–Wolfe gap.

Reference: Rosset, Zhu, Hastie (2004), Theorem 3, for the limit; Jaggi (2013) for the gap; O'Donoghue, Candès (2015) for
the restarts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logsumexp

from solvers.arrays import Array, real_array
from solvers.conic import loss_program, solve_conic
from solvers.problem import MarginProblem
from solvers.regularizers.regularizer import Regularizer
from solvers.validation import check_problem

Loss = Literal["exponential", "logistic", "cross entropy"]


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
    """Gradient evaluations for each radius, shape (K,); 0 where a cone solver found the answer."""


def _loss(margins: Array, loss: Loss) -> tuple[float, Array]:
    """L and the weights −∂L/∂m ≥ 0, of the shape of the margins: (N,), (N, M), or (N, K − 1) for K classes."""
    if loss == "exponential":
        total = float(logsumexp(-margins))
        return total, np.exp(-margins - total)
    if loss == "logistic":
        return float(np.logaddexp(0.0, -margins).sum()), np.asarray(expit(-margins))
    grouped = -margins.reshape(len(margins), -1)
    each = np.logaddexp(0.0, logsumexp(grouped, axis=1))
    return float(each.sum()), np.exp(grouped - each[:, None]).reshape(margins.shape)


def regularization_path(
    X: ArrayLike,
    y: ArrayLike,
    radii: ArrayLike,
    regularizer: Regularizer,
    *,
    loss: Loss = "logistic",
    tol: float = 1e-6,
    max_steps: int = 20_000,
) -> RegularizationPath:
    """min L(β) s.t. R(β) ≤ c for every c in `radii`, each started from the one before.

    Args:
        X: as in `max_margin`; the data need not be separable.
        y: as in `max_margin`.
        radii: c > 0, shape (T,) or a scalar, in units of R; any order (sorted in the result).
        regularizer: a norm: L2(), Bridge(1), FourierBridge(1), Schatten(1), ConvKernel(…), or a `Norm` of your own.
        loss: "exponential", "logistic", or "cross entropy" for labels of three classes and more (the logistic loss for
            ±1), where the others are sums over every m_{nk}.
        tol: the gap to stop at, relative to max(L, 1e-3·N), N the number of margins; absolute for ln Σ e^{−m}.
        max_steps: for each radius; where they run out, `gaps` says how far it got.

    Returns:
        RegularizationPath, radii increasing.

    Raises:
        TypeError: `regularizer` is none.
        ValueError: invalid data or radii; a regularizer that is not a norm (p < 1).

    Reference: Rosset, Zhu, Hastie (2004), Theorem 3.

    >>> from solvers.regularizers import L2
    >>> path = regularization_path([[1.0, 0.0], [0.0, 1.0]], [1, -1], [1.0, 10.0], L2())
    >>> np.round(path.predictors[1] / 10.0, 3).tolist()
    [0.707, -0.707]
    """
    problem = check_problem(X, y, regularizer)
    regularizer = problem.suited(regularizer)
    if not regularizer.is_norm:
        raise ValueError(
            f"{regularizer} is not a norm (p < 1): its ball is not convex and has no regularization path here"
        )
    if loss not in get_args(Loss):
        raise ValueError(f"loss must be one of {', '.join(map(repr, get_args(Loss)))}; got {loss!r}")
    if loss == "cross entropy" and problem.labels.ndim > 1:
        raise ValueError('labels (N, M) are M tasks of their own; "cross entropy" is a loss of classes, labels (N,)')
    c = np.sort(np.atleast_1d(real_array("radii", radii)))
    if c.ndim != 1 or c.size == 0 or not (np.isfinite(c).all() and c[0] > 0):
        raise ValueError(f"radii must be positive finite numbers; got {radii!r}")
    beta = np.zeros(problem.shape)
    least_loss = _by_cones if regularizer.project(beta, 1.0) is None else _by_projection
    rows: list[tuple[Array, float, float, int]] = []
    for radius in c:
        beta, value, gap, iterations = least_loss(problem, regularizer, beta, float(radius), loss, tol, max_steps)
        rows.append((beta, value, gap, iterations))
    return RegularizationPath(
        radii=c,
        predictors=np.stack([row[0] for row in rows]),
        losses=np.array([row[1] for row in rows]),
        gaps=np.array([row[2] for row in rows]),
        iterations=np.array([row[3] for row in rows], dtype=np.int64),
    )


def _gap(regularizer: Regularizer, beta: Array, gradient: Array, radius: float) -> float:
    """The Frank–Wolfe gap (gap)."""
    return float(np.vdot(gradient, beta)) + radius * regularizer.dual_norm(gradient)


def _projection(regularizer: Regularizer, beta: Array, radius: float) -> Array:
    nearest = regularizer.project(beta, radius)
    if nearest is None:
        raise TypeError(f"{regularizer} has a projection for some radii only")
    return nearest


def _by_cones(
    problem: MarginProblem,
    regularizer: Regularizer,
    start: Array,
    radius: float,
    loss: Loss,
    tol: float,
    max_steps: int,
) -> tuple[Array, float, float, int]:
    """One radius through cvxpy, with exponential cones; the gap is computed here, as for the other method."""
    del start, tol, max_steps
    program, beta = loss_program(problem, regularizer.conic, radius, loss)
    solve_conic(program)
    found: Array = np.asarray(beta.value, dtype=np.float64).reshape(problem.shape)
    found = found * min(1.0, radius / max(regularizer.value(found), 1e-300))
    value, weights = _loss(problem.margins(found).reshape(problem.label_shape), loss)
    return found, value, _gap(regularizer, found, -problem.combine(weights), radius), 0


def _by_projection(
    problem: MarginProblem,
    regularizer: Regularizer,
    start: Array,
    radius: float,
    loss: Loss,
    tol: float,
    max_steps: int,
) -> tuple[Array, float, float, int]:
    """FISTA with backtracking and function-value restarts, until the Frank–Wolfe gap closes."""

    def measured(beta: Array) -> tuple[float, Array]:
        return _loss(problem.margins(beta).reshape(problem.label_shape), loss)

    step = 1.0 / max(problem.largest_norm**2, 1e-300)
    beta = previous = _projection(regularizer, start, radius)
    momentum = 1.0
    value, _ = measured(beta)
    gap = np.inf
    for iteration in range(1, max_steps + 1):
        next_momentum = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = beta + (momentum - 1.0) / next_momentum * (beta - previous)
        ahead_value, weights = measured(ahead)
        gradient = -problem.combine(weights)
        while True:
            trial = _projection(regularizer, ahead - step * gradient, radius)
            trial_value, trial_weights = measured(trial)
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
        gap = _gap(regularizer, beta, gradient, radius)
        if gap <= tol * (max(value, 1e-3 * trial_weights.size) if loss != "exponential" else 1.0):
            return beta, value, gap, iteration
    return beta, value, gap, max_steps
