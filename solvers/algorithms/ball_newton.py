"""The least loss in a ball of a norm by Newton's method on a barrier, for data on which gradient steps get stuck.

    min_b L(Bb)   s.t.   Σ_g ‖b_g‖₂ ≤ c        or        max_i |b_i| ≤ c

The first is the ball of ℓ2 (one group), of ℓ1 (groups of one) and of Fourier ℓ1 (one group a frequency); those of
singular values are in `solvers.algorithms.spectral_ball`. Its barrier has a bound t_g of every group's norm,

    φ(b, t) = −Σ_g ln(t_g² − ‖b_g‖₂²) − ln(c − Σ_g t_g),

and with t eliminated Newton's system in b is that of the loss plus blocks (2/q)(I − 2bbᵀ/(t² + ‖b‖²)), q = t² − ‖b‖²,
and a matrix of rank one. The second has −Σ ln(c² − b_i²). For growing τ the minimizers of τL + φ tend to the answer,
L being at most (number of barrier terms)/τ too large. Newton's method does not see how columns are scaled.

Reference: Boyd, Vandenberghe (2004), sections 11.3 and 11.6.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from solvers.arrays import Array
from solvers.margin_losses import MarginLoss

GROWTH = 20.0
"""Of τ from one stage to the next: about six Newton steps each."""
ROUNDING = 1e-15
"""Of a value, relative."""
CENTRED = 1e-3
"""Newton decrement, squared, at which a stage ends."""
BEYOND = 1e4
"""Where the barrier's own part of the gap is below the tolerance by this factor, rounding is what is left."""
MOST = 100
"""Newton steps of one stage: 15 are many, but the softmax of a large ball on separable data is nearly a maximum."""
LARGEST = 2000
"""Coefficients up to which a Newton step takes a second at most."""


class Barrier(ABC):
    """The interior of a ball, with coordinates b (P,) and, where it has them, further unknowns t."""

    terms: int
    """The number of logarithms in φ."""

    @abstractmethod
    def value(self, b: Array, t: Array) -> float:
        """φ, inf outside."""

    @abstractmethod
    def gradient(self, b: Array, t: Array) -> tuple[Array, Array]:
        """∂φ/∂b and ∂φ/∂t."""

    @abstractmethod
    def step(self, b: Array, t: Array, root: Array, slope: tuple[Array, Array]) -> tuple[Array, Array]:
        """Newton's step for φ plus a function of b with the second derivative rootᵀroot; `slope` is of both."""

    @abstractmethod
    def start(self) -> tuple[Array, Array]:
        """A point well inside."""


@dataclass(frozen=True)
class GroupBall(Barrier):
    """Σ_g ‖b_g‖₂ ≤ c for G groups of m coordinates."""

    shape: tuple[int, int]
    """(G, m)."""
    radius: float
    """c."""

    @property
    def terms(self) -> int:  # type: ignore[override]
        return 2 * self.shape[0] + 1

    def start(self) -> tuple[Array, Array]:
        G, m = self.shape
        return np.zeros(G * m), np.full(G, self.radius / (G + 1))

    def _slacks(self, b: Array, t: Array) -> tuple[Array, Array, float]:
        """‖b_g‖, t_g² − ‖b_g‖² and c − Σt."""
        norms = np.linalg.norm(b.reshape(self.shape), axis=1)
        return norms, (t - norms) * (t + norms), self.radius - float(t.sum())

    def value(self, b: Array, t: Array) -> float:
        norms, q, left = self._slacks(b, t)
        if not (left > 0 and (t > norms).all()):
            return np.inf
        return -float(np.log(q).sum() + np.log(left))

    def gradient(self, b: Array, t: Array) -> tuple[Array, Array]:
        _, q, left = self._slacks(b, t)
        return (2.0 * b.reshape(self.shape) / q[:, None]).reshape(-1), -2.0 * t / q + 1.0 / left

    def step(self, b: Array, t: Array, root: Array, slope: tuple[Array, Array]) -> tuple[Array, Array]:
        norms, q, left = self._slacks(b, t)
        table, both = b.reshape(self.shape), t**2 + norms**2
        own = 2.0 * both / q**2  # ∂²φ/∂t², but for the ones of 1/left²
        cross = -4.0 * (t / q**2)[:, None] * table
        total = left**2 + float((1.0 / own).sum())

        def over_t(v: Array) -> Array:
            """(∂²φ/∂t²)⁻¹ v."""
            return np.asarray(v / own - (1.0 / own) * float((v / own).sum()) / total)

        blocks = (2.0 / q)[:, None, None] * (
            np.eye(self.shape[1]) - 2.0 * table[:, :, None] * table[:, None, :] / both[:, None, None]
        )
        curvature = root.T @ root
        system = curvature.reshape(*self.shape, *self.shape)
        groups = np.arange(self.shape[0])
        system[groups, :, groups, :] += blocks
        u = (cross / own[:, None]).reshape(-1)
        curvature += np.outer(u, u) / total
        right = -slope[0] + (cross * over_t(slope[1])[:, None]).reshape(-1)
        db = _solve(curvature, right)
        return db, over_t(-slope[1] - (cross * db.reshape(self.shape)).sum(axis=1))


@dataclass(frozen=True)
class Box(Barrier):
    """max_i |b_i| ≤ c for P coordinates; no further unknowns."""

    size: int
    """P."""
    radius: float
    """c."""

    @property
    def terms(self) -> int:  # type: ignore[override]
        return 2 * self.size

    def start(self) -> tuple[Array, Array]:
        return np.zeros(self.size), np.zeros(0)

    def value(self, b: Array, t: Array) -> float:
        left, right = self.radius - b, self.radius + b
        return np.inf if min(left.min(), right.min()) <= 0 else -float(np.log(left).sum() + np.log(right).sum())

    def gradient(self, b: Array, t: Array) -> tuple[Array, Array]:
        return 1.0 / (self.radius - b) - 1.0 / (self.radius + b), t

    def step(self, b: Array, t: Array, root: Array, slope: tuple[Array, Array]) -> tuple[Array, Array]:
        curvature = root.T @ root
        curvature.flat[:: self.size + 1] += (self.radius - b) ** -2.0 + (self.radius + b) ** -2.0
        return _solve(curvature, -slope[0]), t


@dataclass(frozen=True)
class Ball:
    """{ R(β) ≤ c } in coordinates b in which it has a barrier."""

    barrier: Barrier
    """Of the ball of b."""
    rows: Array
    """B (N, P) with Bb = Aβ."""
    predictor: Callable[[Array], Array]
    """β of b, in a predictor's shape."""


def _solve(system: Array, right: Array) -> Array:
    """A positive definite system, its diagonal scaled to one. Raises LinAlgError where rounding denies that it is."""
    scale = 1.0 / np.sqrt(np.diagonal(system))
    if not (np.isfinite(scale).all() and np.isfinite(system).all()):
        raise LinAlgError("curvatures outside float64's range")
    return np.asarray(scale * cho_solve(cho_factor(system * scale * scale[:, None], overwrite_a=True), scale * right))


def least_loss_in_ball(
    ball: Ball, loss: MarginLoss, gap: Callable[[Array], float], tol: float, max_steps: int
) -> tuple[Array, int]:
    """β with gap(β) ≤ tol, else the one of least gap that rounding allows; and the number of Newton steps.

    `gap` is a proved bound on the loss less the least one, in units that suit the tolerance.
    """
    rows, barrier = ball.rows, ball.barrier
    b, t = barrier.start()
    best = ball.predictor(b)
    least = gap(best)
    strength = barrier.terms / max(least, 1e-300)
    steps = idle = 0
    while steps < max_steps and (idle < 3 or strength < BEYOND * barrier.terms / tol):
        try:
            b, t, taken = _centred(rows, loss, barrier, strength, (b, t), max_steps - steps)
        except LinAlgError:
            break
        steps += taken
        reached = gap(beta := ball.predictor(b))
        idle = 0 if reached < 0.5 * least else idle + 1
        if reached < least:
            best, least = beta, reached
        if least <= tol or taken == 0:
            break
        strength *= GROWTH
    return best, steps


def _centred(
    rows: Array, loss: MarginLoss, barrier: Barrier, strength: float, point: tuple[Array, Array], most: int
) -> tuple[Array, Array, int]:
    """The minimizer of τL + φ by damped Newton steps, and how many. None are taken where rounding allows none."""
    b, t = point
    for taken in range(min(most, MOST)):
        margins = rows @ b
        by_b, by_t = barrier.gradient(b, t)
        slope = strength * -(rows.T @ loss.weights(margins)) + by_b, by_t
        root = loss.curvature_rows(margins, rows)
        db, dt = barrier.step(b, t, np.sqrt(strength) * root, slope)
        decrement = -float(slope[0] @ db + slope[1] @ dt)
        value = strength * loss.value(margins) + barrier.value(b, t)
        length = 1.0
        while length > 1e-10:
            inside = barrier.value(b + length * db, t + length * dt)
            if inside < np.inf:
                trial = strength * loss.value(rows @ (b + length * db)) + inside
                if trial <= value - 0.1 * length * decrement + ROUNDING * abs(value):
                    break
            length /= 2.0
        if length <= 1e-10:
            return b, t, taken
        b, t = b + length * db, t + length * dt
        if decrement <= CENTRED:
            return b, t, taken + 1
    return b, t, min(most, MOST)
