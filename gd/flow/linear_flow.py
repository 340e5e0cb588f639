"""`linear_flow`: gradient flow of a linear predictor in the variable ln t, on data that separate or not.

    dw/dt = −∇L(w),   L(w) = Σ_n ℓ(⟨a_n, w⟩),        so with  s = ln(1 + t)        dw/ds = e^s Σ_n a_n p_n,   p_n = −ℓ′.

As s grows some margins stay bounded, those of the rows C that balance each other, and the others grow like s. In the
span V of the rows of C the flow is stiff like e^s, and across V it moves at a speed of order one. There a rounding error
of Σ_C a_n p_n counts e^s times: at t = e^40 it is larger than what moves. So the flow finds out itself which rows are
balanced, from how their margins grew at an earlier time, and goes on in coordinates of V and of its complement, in which
the rows of C have no part. No linear program and no equation of the limit is solved for that; it can be held to the split
of `solvers.logistic_limit`.

Both stages are integrated by an implicit Runge–Kutta method of order five, with the exact Jacobian.

Reference: Hairer, Wanner (1996), section IV.8, for the method (Radau IIA, as in scipy).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

from gd.status import LinearFlowStatus
from solvers.arrays import Array
from solvers.margin_losses import ExponentialLoss, LogisticLoss, Loss, MarginLoss, check_loss
from solvers.problem import MarginProblem
from solvers.regularizers import L2
from solvers.validation import check_problem, finite_array

FIRST, BETWEEN = 12.0, 2.0
"""The first time s at which margins are told apart, and how far back they are compared."""
NOISE = 1e-3
"""Rounding errors of a margin's growth up to which margins are told apart."""
BOUNDED, GROWN = 0.01, 0.5
"""Growth dm/ds of balanced rows at most, and of the others at least: it tends to 0, and to 1 or more."""
DEPENDENT = 1e-12
"""Singular values of rows of norm one below this part of the largest are rounding."""
LATEST = 600.0
"""The last time s: e^s has to be representable, with a square root of its inverse to spare."""


@dataclass(frozen=True)
class LinearFlow:
    """Gradient flow of a linear predictor at T times."""

    log_times: Array
    """ln t, shape (T,), increasing."""
    predictors: Array = field(repr=False)
    """w, shape (T, *shape of a predictor); NaN after a flow that was given up."""
    margins: Array = field(repr=False)
    """⟨a_n, w⟩ of every constraint, shape (T, number of constraints)."""
    log_loss: Array = field(repr=False)
    """ln L(w), in nats, shape (T,)."""
    growing: NDArray[np.bool_] = field(repr=False)
    """Which margins were found to grow like ln t, in the shape of y ((N, K − 1) for K classes)."""
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
    loss: Loss = "logistic",
    start: ArrayLike | None = None,
    tol: float = 1e-9,
) -> LinearFlow:
    """Follow gradient flow of a linear predictor to times such as t = e^40,

        dw/dt = −∇ Σ_n ℓ(y_n⟨x_n, w⟩),      w(0) = start,

    whether a predictor separates the data or not. Gradient descent with step η is near it at t = η · steps.

    Args:
        X: points, shape (N, D), or images (N, H, W); no offset is added.
        y: labels ±1, shape (N,), or (N, M) for M tasks of their own; three classes or more, where `max_margin` takes
            them: the loss is then the cross entropy, or e^{−m} of every difference.
        log_times: ln t, shape (T,) or a scalar, at most 600; any order (sorted in the result).
        loss: "logistic" or "exponential".
        start: w(0), in the shape of a predictor; zero unless given.
        tol: relative and absolute error of one step.

    Returns:
        LinearFlow. Read `status`: where margins that grow cannot be told from margins that do not before rounding
        errors count, the flow ends there.

    Raises:
        ValueError: data that are not finite numbers of matching shapes, unknown labels or loss, times beyond 600.

    Reference: Ji, Telgarsky (2019), Theorem 1.1, for where it goes; `solvers.logistic_limit` computes that.

    >>> flow = linear_flow([[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0]], [1, 1, 1], [10.0, 40.0], loss="exponential")
    >>> flow.growing.tolist(), np.round(flow.predictors[1], 6).tolist()
    ([False, False, True], [-0.231049, 40.0])
    """
    check_loss(loss)
    problem = check_problem(X, y, L2())
    times = np.sort(np.atleast_1d(finite_array("log_times", log_times)))
    if times.ndim != 1 or times.size == 0 or times[-1] > LATEST:
        raise ValueError(f"log_times must be values of ln t up to {LATEST:g}; got {log_times!r}")
    origin = np.zeros(problem.shape) if start is None else finite_array("start", start)
    if origin.shape != problem.shape:
        raise ValueError(f"start must have the shape of one predictor, {problem.shape}; got {origin.shape}")
    margin_loss = LogisticLoss(problem.alternatives) if loss == "logistic" else ExponentialLoss()
    return _Flow(problem, margin_loss, origin.reshape(-1), tol).at(times)


@dataclass(frozen=True)
class _Flow:
    """The flow's data: rows of A, the loss, and w(0)."""

    problem: MarginProblem
    loss: MarginLoss
    origin: Array
    tol: float

    def at(self, times: Array) -> LinearFlow:
        """Both stages, and the predictors at ln t."""
        rows, stops = self.problem.A, np.logaddexp(0.0, times)
        early = _Stage(rows, self.loss, rows @ self.origin, self.tol)
        turn, found = self._split(early, rows)
        x, used = early.follow(np.zeros(self.origin.size), 0.0, turn, np.append(stops[stops < turn], turn))
        predictors = np.full((times.size, self.origin.size), np.nan)
        predictors[stops < turn] = self.origin + x[:-1]
        growing = np.ones(len(rows), dtype=bool)
        late = stops >= turn
        if found is not None:
            growing, basis, rank = found
            if late.any():
                turned = rows @ basis
                turned[~growing, rank:] = 0.0
                stage = _Stage(turned, self.loss, rows @ self.origin, self.tol, rank, max(turn, _noisy(rows)))
                z, more = stage.follow(basis.T @ x[-1], turn, float(stops[-1]), stops[late])
                predictors[late] = self.origin + z @ basis.T
                used += more
        margins = predictors @ rows.T
        lost = found is None and bool(late.any())
        return LinearFlow(
            log_times=times,
            predictors=predictors.reshape(-1, *self.problem.shape),
            margins=margins,
            log_loss=np.array([np.nan if np.isnan(m).any() else self.loss.log_value(m) for m in margins]),
            growing=growing.reshape(self.problem.label_shape),
            status=LinearFlowStatus.UNRESOLVED if lost else LinearFlowStatus.FOLLOWED,
            evaluations=used,
        )

    def _split(self, early: _Stage, rows: Array) -> tuple[float, tuple[NDArray[np.bool_], Array, int] | None]:
        """When the margins are told apart, with which grow, a basis with V first, and the dimension of V."""
        looks = np.arange(FIRST - BETWEEN, max(_noisy(rows), FIRST) + 0.5 * BETWEEN, BETWEEN)
        x, _ = early.follow(np.zeros(rows.shape[1]), 0.0, float(looks[-1]), looks)
        for before, after, s in zip(x[:-1], x[1:], looks[1:], strict=True):
            growth = rows @ (after - before) / BETWEEN
            grows = growth > GROWN
            if (np.abs(growth[~grows]) > BOUNDED).any():
                continue
            basis, rank = _coordinates(rows[~grows])
            across = np.linalg.norm(rows[grows] @ basis[:, rank:], axis=1)
            if (across > 1e-6 * np.linalg.norm(rows[grows], axis=1)).all():
                return float(s), (grows, basis, rank)
        return float(looks[-1]), None


def _noisy(rows: Array) -> float:
    """The s at which rounding errors of e^s Aᵀp move margins at the speed NOISE."""
    return float(np.log(NOISE / (np.finfo(np.float64).eps * max(float(np.vdot(rows, rows)), 1e-300))))


def _coordinates(rows: Array) -> tuple[Array, int]:
    """An orthonormal basis, by columns, whose first ones span the rows; and how many those are."""
    norms = np.linalg.norm(rows, axis=1)
    _, sigma, basis = np.linalg.svd(rows[norms > 0] / norms[norms > 0, None], full_matrices=True)
    return np.ascontiguousarray(basis.T), int((sigma > DEPENDENT * sigma.max(initial=0.0)).sum())


@dataclass(frozen=True)
class _Stage:
    """dz/ds = e^s Bᵀ p(m₀ + Bz); in the first `rank` coordinates, those of V, e^{min(s, cap)} in place of e^s.

    There the flow follows its equilibrium at a distance of order e^{−s}, and with the cap at one of e^{−cap}.
    """

    rows: Array
    loss: MarginLoss
    offset: Array
    tol: float
    rank: int = 0
    cap: float = np.inf

    def speed(self, s: float, z: Array) -> Array:
        """The factor of each coordinate relative to e^s."""
        return np.where(np.arange(z.size) < self.rank, np.exp(min(self.cap - s, 0.0)), 1.0)

    def slope(self, s: float, z: Array) -> Array:
        """The right-hand side; e^s enters the weights before the sum, so that small ones keep their digits."""
        log_weights = self.loss.log_weights(self.offset + self.rows @ z)
        slow = self.rows[:, : self.rank].T @ np.exp(min(s, self.cap) + log_weights)
        # the rows of C have no part in the other coordinates, where their weights would overflow
        rest = self.rows[:, self.rank :]
        grows = rest.any(axis=1)
        return np.concatenate([slow, rest[grows].T @ np.exp(s + log_weights[grows])])

    def jacobian(self, s: float, z: Array) -> Array:
        """Its derivative by z, −e^s Bᵀ ∇²L B."""
        root = np.exp(0.5 * s) * self.loss.curvature_rows(self.offset + self.rows @ z, self.rows)
        return -self.speed(s, z)[:, None] * (root.T @ root)

    def follow(self, z: Array, begin: float, end: float, stops: Array) -> tuple[Array, int]:
        """z at the stops, (T, size), from z at `begin`; and the evaluations that took."""
        if end <= begin:
            return np.tile(z, (stops.size, 1)), 0
        found = solve_ivp(self.slope, (begin, end), z, "Radau", stops, jac=self.jacobian, rtol=self.tol, atol=self.tol)
        if found.status != 0:
            raise ArithmeticError(f"the integration of the flow failed at s = {found.t[-1]:g}: {found.message}")
        return np.ascontiguousarray(found.y.T), int(found.nfev)
