"""`linear_flow`: gradient flow of a linear predictor in the variable ln t, on data that separate or not.

    dw/dt = −∇L(w),   L(w) = Σ_n ℓ(⟨a_n, w⟩),        so with  s = ln(1 + t)        dw/ds = e^s Σ_n a_n p_n,   p_n = −ℓ′.

As s grows some margins stay bounded, those of the rows C that balance each other, and the others grow like s. In the
span V of the rows of C the flow is stiff like e^s, and across V it moves at a speed of order one. There a rounding
error of Σ_C a_n p_n counts e^s times: at t = e^40 it is larger than what moves. So the flow finds out itself which rows
are balanced, from how their margins grew at an earlier time, and goes on in coordinates of V and of its complement, in
which the rows of C have no part. No linear program and no equation of the limit is solved for that; it can be held to
the split of `solvers.logistic_limit`.

Both stages are integrated by an implicit Runge–Kutta method of order five, with the exact Jacobian.

Reference: Hairer, Wanner (1996), section IV.8, for the method (Radau IIA, as in scipy).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

from gd.status import LinearFlowStatus
from solvers.arrays import Array
from solvers.card import Card
from solvers.margin_losses import Loss, MarginLoss, loss_of
from solvers.problem import MarginProblem
from solvers.regularizers import L2
from solvers.validation import check_problem, finite_array

FIRST, LAST, BETWEEN = 12.0, 36.0, 2.0
"""Times s at which margins are told apart, as far as rounding allows, and how far back they are compared."""
COARSEST = 1e3  # times the tolerance asked for, in the first stage
BOUNDED, GROWN = 0.01, 0.5
"""Growth dm/ds of balanced rows at most, and of the others at least: it tends to 0, and to 1 or more."""
ACROSS = 1e-6
"""The part of a growing row that has to lie outside V."""
CAP = 30.0
"""From this s on the stiff part moves no faster: it is at its equilibrium to e^{−30}."""
EPS = float(np.finfo(np.float64).eps)
DEPENDENT = 1e-12
"""Singular values of rows of norm one below this part of the largest are rounding."""
LATEST = 600.0
"""The last time s: e^s has to be representable, with a square root of its inverse to spare."""


@dataclass(frozen=True, repr=False)
class LinearFlow(Card):
    """Gradient flow of a linear predictor at T times."""

    log_times: Array
    """ln t, shape (T,), increasing."""
    predictors: Array = field(repr=False)
    """w, shape (T, *shape of a predictor); NaN after a flow that was given up."""
    margins: Array = field(repr=False)
    """⟨a_n, w⟩ of every constraint, shape (T, number of constraints)."""
    log_loss: Array = field(repr=False)
    """ln L(w), in nats, shape (T,)."""
    growing: NDArray[np.bool_] | None = field(repr=False)
    """Which margins were found to grow like ln t, in the shape of y ((N, K − 1) for K classes); None where the flow
    ended before that was clear."""
    status: LinearFlowStatus
    """Whether the flow was followed to the last time."""
    evaluations: int
    """Of the right-hand side."""

    def per_log_time(self) -> Array:
        """w / ln t at each time, the shape of `predictors`; ln t ≠ 0."""
        return np.asarray(self.predictors / self.log_times.reshape(-1, *[1] * (self.predictors.ndim - 1)))


def linear_flow(
    X: ArrayLike,
    y: ArrayLike,
    log_times: ArrayLike,
    *,
    loss: Loss | None = None,
    start: ArrayLike | None = None,
    tol: float = 1e-9,
) -> LinearFlow:
    """Follow gradient flow of a linear predictor to times such as t = e^40,

        dw/dt = −∇ Σ_n ℓ(y_n⟨x_n, w⟩),      w(0) = start,

    whether a predictor separates the data or not. Gradient descent with step η is near it at t = η · steps.

    Args:
        X: points, shape (N, D), or images (N, H, W); no offset is added.
        y: labels ±1, shape (N,), or (N, M) for M tasks of their own; or three classes and more, shape (N,).
        log_times: ln t, shape (T,) or a scalar, at most 600; any order (sorted in the result).
        loss: "logistic", "exponential", or "cross entropy" of classes, as in `solvers.regularization_path`. Unless
            given, the logistic loss, and of classes the cross entropy.
        start: w(0), in the shape of a predictor; zero unless given.
        tol: relative and absolute error of one step; before the margins are told apart also the rounding errors of the
            gradient, where these are larger.

    Returns:
        LinearFlow. Read `status`: where margins that grow cannot be told from margins that do not before rounding
        errors count, the flow ends there.

    Raises:
        ValueError: data that are not finite numbers of matching shapes, unknown labels or loss, times beyond 600.

    Reference: Ji, Telgarsky (2019), main theorem, for where it goes; `solvers.logistic_limit` computes that.

    >>> flow = linear_flow([[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0]], [1, 1, 1], [10.0, 40.0], loss="exponential")
    >>> flow.growing.tolist(), np.round(flow.predictors[1], 6).tolist()
    ([False, False, True], [-0.231049, 40.0])
    """
    problem = check_problem(X, y, L2())
    times = np.sort(np.atleast_1d(finite_array("log_times", log_times)))
    if times.ndim != 1 or times.size == 0 or times[-1] > LATEST:
        raise ValueError(f"log_times must be values of ln t up to {LATEST:g}; got {log_times!r}")
    origin = np.zeros(problem.shape) if start is None else finite_array("start", start)
    if origin.shape != problem.shape:
        raise ValueError(f"start must have the shape of one predictor, {problem.shape}; got {origin.shape}")
    return _Flow(problem, loss_of(loss, problem), origin.reshape(-1), tol).at(times)


@dataclass(frozen=True)
class _Flow:
    """The flow's data: rows of A, the loss, and w(0)."""

    problem: MarginProblem
    loss: MarginLoss
    origin: Array
    tol: float

    def at(self, times: Array) -> LinearFlow:
        """Both stages, and the predictors at ln t."""
        problem, stops = self.problem, np.logaddexp(0.0, times)
        offset, sizes = problem.margins(self.origin), abs(problem.points)
        predictors = np.full((times.size, self.origin.size), np.nan)
        x, s, used, parts = np.zeros(self.origin.size), 0.0, 0, None
        for look in np.arange(FIRST - BETWEEN, LAST + 0.5 * BETWEEN, BETWEEN):
            with np.errstate(over="ignore", invalid="ignore"):
                p = self.loss.weights(offset + problem.margins(x))
                pull = float(np.linalg.norm(sizes.T @ np.abs(problem.spread(p))))
            noise = float(np.exp(look)) * EPS * pull
            # a start that is far on the wrong side has gradients of e^{|m|}, whose rounding the first stage would take
            if not noise * float(sizes.max()) <= (BOUNDED if s > 0 else COARSEST * self.tol):
                break
            stage = _Stage(problem, self.loss, offset, max(self.tol, noise))
            within = (stops >= s) & (stops < look)
            path, evaluations = stage.follow(x, s, look, np.append(stops[within], look))
            predictors[within], used = self.origin + path[:-1], used + evaluations
            parts = None if s == 0 else _told_apart(problem, (path[-1] - x) / BETWEEN)
            x, s = path[-1], float(look)
            if parts is not None or s >= stops[-1]:
                break
        late = stops >= s
        growing = None if parts is None else parts[0]
        if parts is not None and late.any():
            predictors[late], evaluations = self._later(parts, offset, x, s, stops[late])
            used += evaluations
        margins = np.stack([problem.margins(w) for w in predictors])
        followed = parts is not None or not late.any()
        return LinearFlow(
            log_times=times,
            predictors=predictors.reshape(-1, *problem.shape),
            margins=margins,
            log_loss=np.array([np.nan if np.isnan(m).any() else self.loss.log_value(m) for m in margins]),
            growing=None if growing is None else growing.reshape(problem.label_shape),
            status=LinearFlowStatus.FOLLOWED if followed else LinearFlowStatus.UNRESOLVED,
            evaluations=used,
        )

    def _later(self, parts: _Parts, offset: Array, x: Array, s: float, stops: Array) -> tuple[Array, int]:
        """w at the stops, in coordinates of V and its complement; where every margin grows there is no V."""
        grows, basis, rank = parts
        if grows.all():
            path, evaluations = _Stage(self.problem, self.loss, offset, self.tol).follow(x, s, float(stops[-1]), stops)
            return self.origin + path, evaluations
        turned = self.problem.A @ basis
        turned[~grows, rank:] = 0.0
        stage = _TurnedStage(self.problem, self.loss, offset, self.tol, turned, rank, grows)
        path, evaluations = stage.follow(basis.T @ x, s, float(stops[-1]), stops)
        return self.origin + path @ basis.T, evaluations


_Parts = tuple[NDArray[np.bool_], Array, int]


def _told_apart(problem: MarginProblem, speed: Array) -> _Parts | None:
    """Which margins grow, a basis with V first, and the dimension of V; None where that is not clear yet.

    `speed` is dw/ds. Margins that do not grow have to stay where they are, and no row that grows may lie in V.
    """
    growth = problem.margins(speed)
    grows = growth > GROWN
    if (np.abs(growth[~grows]) > BOUNDED).any():
        return None
    if grows.all():
        return grows, np.zeros((speed.size, 0)), 0
    rows = problem.A
    basis, rank = _coordinates(rows[~grows])
    across = np.linalg.norm(rows[grows] @ basis[:, rank:], axis=1)
    clear = (across > ACROSS * np.linalg.norm(rows[grows], axis=1)).all()
    return (grows, basis, rank) if clear else None


def _coordinates(rows: Array) -> tuple[Array, int]:
    """An orthonormal basis, by columns, whose first ones span the rows; and how many those are."""
    norms = np.linalg.norm(rows, axis=1)
    _, sigma, basis = np.linalg.svd(rows[norms > 0] / norms[norms > 0, None], full_matrices=True)
    return np.ascontiguousarray(basis.T), int((sigma > DEPENDENT * sigma.max(initial=0.0)).sum())


@dataclass(frozen=True)
class _Stage:
    """dx/ds = e^s Aᵀ p(m₀ + Ax), by products with A."""

    problem: MarginProblem
    loss: MarginLoss
    offset: Array
    tol: float

    def slope(self, s: float, z: Array) -> Array:
        """The right-hand side; e^s enters the weights before the sum, so that small ones keep their digits."""
        log_weights = self.loss.log_weights(self.offset + self.problem.margins(z))
        return self.problem.combine(np.exp(s + log_weights)).reshape(-1)

    def jacobian(self, s: float, z: Array) -> Array:
        """Its derivative by z, −e^s Aᵀ ∇²L A."""
        blocks = self.loss.curvature_blocks(self.offset + self.problem.margins(z))
        return -self.problem.curvature(np.exp(s) * blocks)

    def follow(self, z: Array, begin: float, end: float, stops: Array) -> tuple[Array, int]:
        """z at the stops, (T, size), from z at `begin`; and the evaluations that took."""
        if end <= begin:
            return np.tile(z, (stops.size, 1)), 0
        found = solve_ivp(self.slope, (begin, end), z, "Radau", stops, jac=self.jacobian, rtol=self.tol, atol=self.tol)
        if found.status != 0:
            raise ArithmeticError(f"the integration of the flow failed at s = {found.t[-1]:g}: {found.message}")
        return np.ascontiguousarray(found.y.T), int(found.nfev)


@dataclass(frozen=True)
class _TurnedStage(_Stage):
    """dz/ds = e^s Bᵀ p(m₀ + Bz); in the first `rank` coordinates, those of V, e^{min(s, CAP)} in place of e^s.

    There the flow follows its equilibrium at a distance of order e^{−s}, and with the cap at one of e^{−CAP}.
    """

    rows: Array
    """B."""
    rank: int
    grows: NDArray[np.bool_]
    """The rows of C have no part in the other coordinates, where their weights would overflow."""

    @cached_property
    def _across(self) -> Array:
        return np.ascontiguousarray(self.rows[self.grows, self.rank :])

    def slope(self, s: float, z: Array) -> Array:
        log_weights = self.loss.log_weights(self.offset + self.rows @ z)
        slow = self.rows[:, : self.rank].T @ np.exp(min(s, CAP) + log_weights)
        return np.concatenate([slow, self._across.T @ np.exp(s + log_weights[self.grows])])

    def jacobian(self, s: float, z: Array) -> Array:
        speed = np.where(np.arange(z.size) < self.rank, np.exp(min(CAP - s, 0.0)), 1.0)
        root = np.exp(0.5 * s) * self.loss.curvature_rows(self.offset + self.rows @ z, self.rows)
        return np.asarray(-speed[:, None] * (root.T @ root))
