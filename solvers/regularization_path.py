"""The regularization path: the least loss within a ball of the induced regularizer, as the ball grows.

    β(c) = argmin { L(β) : R(β) ≤ c },      L = ln Σ_n e^{−m_n}  (exponential)  or  Σ_n ln(1 + e^{−m_n})  (logistic),

m_n = y_n⟨x_n, β⟩. With several classes the margins are m_{nk} = ⟨w_{y_n} − w_k, x_n⟩, k ≠ y_n, and there is a third
loss, Σ_n ln(1 + Σ_k e^{−m_{nk}}) (cross entropy). On separable data β(c)/R(β(c)) tends to a max-margin solution as
c → ∞; on data that no predictor separates it is the answer that exists. (ln Σ e^{−m} has the minimizers of Σ e^{−m} and
stays representable.)

Accelerated projected gradient with restarts, each radius started from the one before. Columns of different units stop
its progress, so after some hundred steps Newton's method on a barrier of the ball takes over
(`solvers.algorithms.ball_newton`), which does not see units. Where the regularizer has no projection, or no barrier, it
is the conic formulation through cvxpy. The stopping rule is a proof: by convexity and the definition of the dual norm,

    L(β) − L(β(c)) ≤ ⟨∇L(β), β⟩ + c R°(∇L(β)),                                                        (gap)

the Frank–Wolfe gap.

Reference: Rosset, Zhu, Hastie (2004), Theorem 3, for the limit; Jaggi (2013) for the gap; O'Donoghue, Candès (2015) for
the restarts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.algorithms.ball_newton import LARGEST, least_loss_in_ball
from solvers.arrays import Array, real_array
from solvers.card import Card
from solvers.conic import loss_program, solve_conic
from solvers.margin_losses import LogExponentialLoss, Loss, MarginLoss, loss_of
from solvers.problem import MarginProblem
from solvers.regularizers.regularizer import LARGEST_PROGRAM, Regularizer
from solvers.validation import check_problem, check_regularizer

FEW_STEPS = 500
"""Gradient steps after which a method of second order takes over. Well-scaled data need 20 to 200."""


@dataclass(frozen=True, repr=False)
class RegularizationPath(Card):
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
    """Steps for each radius, shape (K,): of the gradient, and of Newton's method; none where a cone solver alone
    found the answer."""


def regularization_path(
    X: ArrayLike,
    y: ArrayLike,
    radii: ArrayLike,
    regularizer: Regularizer | str,
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
        regularizer: a norm: L2(), Bridge(1), FourierBridge(1), Schatten(1), ConvKernel(…), a `Norm` of your own, or its
            name, such as "l1".
        loss: "exponential", "logistic", or "cross entropy" for labels of three classes and more (the logistic loss for
            ±1), where the others are sums over every m_{nk}.
        tol: the gap to stop at, relative to max(L, 1e-3·N), N the number of margins; absolute for ln Σ e^{−m}.
        max_steps: for each radius; where they run out, `gaps` says how far it got.

    Returns:
        RegularizationPath, radii increasing.

    Raises:
        TypeError: `regularizer` is none.
        ValueError: invalid data, radii or loss; a regularizer that is not a norm (p < 1); "cross entropy" with labels
            (N, M), which are tasks of their own.

    Reference: Rosset, Zhu, Hastie (2004), Theorem 3.

    >>> from solvers.regularizers import L2
    >>> path = regularization_path([[1.0, 0.0], [0.0, 1.0]], [1, -1], [1.0, 10.0], L2())
    >>> np.round(path.predictors[1] / 10.0, 3).tolist()
    [0.707, -0.707]
    """
    regularizer = check_regularizer(regularizer)
    problem = check_problem(X, y, regularizer)
    regularizer = problem.suited(regularizer)
    if not regularizer.is_norm:
        raise ValueError(
            f"{regularizer} is not a norm (p < 1): its ball is not convex and has no regularization path here"
        )
    c = np.sort(np.atleast_1d(real_array("radii", radii)))
    if c.ndim != 1 or c.size == 0 or not (np.isfinite(c).all() and c[0] > 0):
        raise ValueError(f"radii must be positive finite numbers; got {radii!r}")
    margin_loss = LogExponentialLoss() if loss == "exponential" else loss_of(loss, problem)
    points = [_Point.at(problem, regularizer, margin_loss, np.zeros(problem.shape), 0.0, 0)]
    for radius in c:
        points.append(_least_loss(problem, regularizer, margin_loss, points[-1].beta, float(radius), tol, max_steps))
    rows = points[1:]
    return RegularizationPath(
        radii=c,
        predictors=np.stack([row.beta for row in rows]),
        losses=np.array([row.value for row in rows]),
        gaps=np.array([row.gap for row in rows]),
        iterations=np.array([row.iterations for row in rows], dtype=np.int64),
    )


@dataclass(frozen=True)
class _Point:
    """A predictor in a ball, with what is proved about it."""

    beta: Array
    value: float
    gap: float
    iterations: int

    @classmethod
    def at(
        cls, problem: MarginProblem, regularizer: Regularizer, loss: MarginLoss, beta: Array, radius: float, steps: int
    ) -> _Point:
        """L and the Frank–Wolfe gap (gap) of β."""
        margins = problem.margins(beta)
        gradient = -problem.combine(loss.weights(margins))
        gap = float(np.vdot(gradient, beta)) + radius * regularizer.dual_norm(gradient)
        return cls(beta, loss.value(margins), gap, steps)

    def relative_gap(self, loss: MarginLoss, problem: MarginProblem) -> float:
        """The gap in the units of the tolerance."""
        return self.gap / loss.resolution(self.value, problem.n_constraints)


def _least_loss(
    problem: MarginProblem,
    regularizer: Regularizer,
    loss: MarginLoss,
    start: Array,
    radius: float,
    tol: float,
    max_steps: int,
) -> _Point:
    """One radius: gradient steps, and a method of second order where they get stuck."""
    if regularizer.project(start, radius) is None:
        return _by_cones(problem, regularizer, loss, radius)
    size = int(np.prod(problem.shape))
    patient = size > LARGEST
    found = _by_projection(
        problem, regularizer, loss, start, radius, tol, max_steps if patient else min(max_steps, FEW_STEPS)
    )
    left = max_steps - found.iterations
    if patient or left <= 0 or found.relative_gap(loss, problem) <= tol:
        return found
    ball = regularizer.ball(problem.A, problem.shape, radius)
    if ball is not None:

        def gap(beta: Array) -> float:
            return _Point.at(problem, regularizer, loss, beta, radius, 0).relative_gap(loss, problem)

        beta, steps = least_loss_in_ball(ball, loss, gap, tol, left)
        better = _Point.at(problem, regularizer, loss, beta, radius, found.iterations + steps)
    elif size <= LARGEST_PROGRAM:
        better = replace(_by_cones(problem, regularizer, loss, radius), iterations=found.iterations)
    else:
        better = _by_projection(problem, regularizer, loss, found.beta, radius, tol, left)
    return better if better.gap < found.gap else found


def _projection(regularizer: Regularizer, beta: Array, radius: float) -> Array:
    nearest = regularizer.project(beta, radius)
    if nearest is None:
        raise TypeError(f"{regularizer} has a projection for some radii only")
    return nearest


def _by_cones(problem: MarginProblem, regularizer: Regularizer, loss: MarginLoss, radius: float) -> _Point:
    """One radius through cvxpy, with exponential cones; the gap is computed here, as for the other methods."""
    program, beta = loss_program(problem, regularizer.conic, radius, loss)
    solve_conic(program)
    found: Array = np.asarray(beta.value, dtype=np.float64).reshape(problem.shape)
    found = found * min(1.0, radius / max(regularizer.value(found), 1e-300))
    return _Point.at(problem, regularizer, loss, found, radius, 0)


def _by_projection(
    problem: MarginProblem,
    regularizer: Regularizer,
    loss: MarginLoss,
    start: Array,
    radius: float,
    tol: float,
    max_steps: int,
) -> _Point:
    """FISTA with backtracking and function-value restarts, until the Frank–Wolfe gap closes."""
    step = 1.0 / max(problem.largest_norm**2, 1e-300)
    beta = previous = _projection(regularizer, start, radius)
    momentum = 1.0
    point = _Point.at(problem, regularizer, loss, beta, radius, 0)
    for iteration in range(1, max_steps + 1):
        next_momentum = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = beta + (momentum - 1.0) / next_momentum * (beta - previous)
        margins = problem.margins(ahead)
        ahead_value, gradient = loss.value(margins), -problem.combine(loss.weights(margins))
        while True:
            trial = _projection(regularizer, ahead - step * gradient, radius)
            move = trial - ahead
            model = ahead_value + float(np.vdot(gradient, move)) + float(np.vdot(move, move)) / (2.0 * step)
            if loss.value(problem.margins(trial)) <= model + 1e-14 * max(1.0, abs(model)) or step < 1e-300:
                break
            step /= 2.0
        last, point = point, _Point.at(problem, regularizer, loss, trial, radius, iteration)
        restart = point.value > last.value and momentum > 1.0
        previous, beta = trial if restart else beta, trial
        momentum = 1.0 if restart else next_momentum
        step *= 1.05
        if point.relative_gap(loss, problem) <= tol:
            break
    return point
