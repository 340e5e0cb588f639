"""The least loss of margins in a ball of a norm: one radius of the regularization path.

    min L(Aβ)   s.t.   R(β) ≤ c

Data and radius are scaled together, so that c lies in [1, 2): then L(Aβ) is the same function of every size of c.
Accelerated projected gradient with restarts comes first. Columns of different units stop its progress, so after some
hundred steps Newton's method on a barrier of the ball takes over (`solvers.algorithms.ball_newton`), which does not see
units; where the regularizer has no barrier, the conic formulation through cvxpy. Far out, c‖a_n‖ ≫ 1, all of them run
out of digits, and the limit c → ∞ is the answer (`solvers.far_out`). For c → 0 it is c · argmax ⟨−∇L(0), u⟩, R(u) ≤ 1.

Reference: Jaggi (2013) for the gap; O'Donoghue, Candès (2015) for the restarts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from solvers.algorithms.ball_newton import LARGEST, least_loss_in_ball
from solvers.arrays import Array
from solvers.conic import ConicSolverError, loss_program, solve_conic, support_program
from solvers.extended_precision import power_of_two
from solvers.far_out import FarOut
from solvers.margin_losses import MarginLoss
from solvers.problem import MarginProblem
from solvers.regularizers.regularizer import LARGEST_PROGRAM, Regularizer

FEW_STEPS = 500
"""Gradient steps after which a method of second order takes over. Well-scaled data need 20 to 200."""
LINEAR, TINY = 1e-7, 1e-20
"""c max‖a_n‖ below which L is linear in the ball: to within the square of it."""
FAR, FARTHEST = 1e4, 1e60
"""c max‖a_n‖ from which the limit c → ∞ is tried, and from which squares overflow and nothing else is."""


@dataclass(frozen=True)
class LossPoint:
    """A predictor in a ball, with what is proved about it."""

    beta: Array
    value: float
    """L."""
    gap: float
    """Proved bound on L less the least loss in the ball."""
    iterations: int = 0


@dataclass(frozen=True)
class BallProblem:
    """min L(Aβ) s.t. R(β) ≤ c."""

    problem: MarginProblem
    regularizer: Regularizer
    loss: MarginLoss
    radius: float
    """c."""
    tol: float
    """The gap to stop at, in units of the loss's `resolution`."""
    max_steps: int
    deadline: float = math.inf
    """The time of `time.monotonic` from which on no further step is taken."""

    @property
    def reach(self) -> float:
        """c max‖a_n‖₂: the size of margins in the ball, up to how R compares to ‖·‖₂."""
        return self.radius * self.problem.largest_norm

    def at(self, beta: Array, steps: int = 0) -> LossPoint:
        """β with L, and the Frank–Wolfe gap ⟨∇L, β⟩ + c R°(∇L), or what is left of L above its infimum."""
        margins = self.problem.margins(beta)
        gradient = -self.problem.combine(self.loss.weights(margins))
        value = self.loss.value(margins)
        gap = float(np.vdot(gradient, beta)) + self.radius * self.regularizer.dual_norm(gradient)
        return LossPoint(beta, value, min(gap, value - self.loss.infimum) if np.isfinite(gap) else np.inf, steps)

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.deadline

    def relative_gap(self, point: LossPoint) -> float:
        """The gap in the units of the tolerance: of what the loss can change in a ball that is small."""
        return point.gap / (self.loss.resolution(point.value, self.problem.n_constraints) * min(1.0, self.reach))

    def scaled(self, factor: float) -> BallProblem:
        """The problem of β/factor; `factor` a power of two, so that nothing is rounded."""
        points = self.problem.points * factor
        return replace(self, problem=replace(self.problem, points=points), radius=self.radius / factor)

    def solve(self, start: Array, limit: Callable[[], FarOut | None]) -> LossPoint:
        """The least loss; `limit` is what is known of c → ∞, found out where it is asked for."""
        factor = power_of_two(self.radius)
        if self.problem.largest_norm == 0:  # no predictor changes a margin
            return self.at(start * 0.0)
        if self.reach < TINY:  # the same direction where squares do not underflow
            unit = self.scaled(factor).scaled(power_of_two(TINY / self.reach))
            beta = unit._best(start * 0.0, lambda: None).beta
            return self.at(beta * (self.radius / max(unit.radius, self.regularizer.value(beta))), 1)

        @cache
        def far() -> LossPoint | None:
            return None if self.reach <= FAR else self._far(limit())

        if self.reach > FARTHEST:
            return far() or self.at(start * 0.0)
        found = self.scaled(factor)._best(
            start / factor, lambda: None if (point := far()) is None else replace(point, beta=point.beta / factor)
        )
        return replace(found, beta=found.beta * factor)

    def _far(self, limit: FarOut | None) -> LossPoint | None:
        beta, least = (None, 0.0) if limit is None else limit.least_loss(self.radius)
        if beta is None:
            return None
        point = self.at(beta)
        return replace(point, gap=min(point.gap, point.value - least))

    def _best(self, start: Array, far: Callable[[], LossPoint | None]) -> LossPoint:
        """The first that closes the gap, else the best of what all methods find."""
        best = self.at(np.zeros(self.problem.shape))
        for found in self._attempts(start, far):
            best = found if found.gap < best.gap or best.iterations == 0 else replace(best, iterations=found.iterations)
            if self.relative_gap(best) <= self.tol or best.iterations >= self.max_steps or self.out_of_time:
                break
        return best

    def _attempts(self, start: Array, far: Callable[[], LossPoint | None]) -> Iterator[LossPoint]:
        """What each method finds, `iterations` of all so far."""
        size, steps = int(np.prod(self.problem.shape)), 0
        patient = size > LARGEST
        projects = self.regularizer.project(start, self.radius) is not None
        if projects:
            found = self._by_projection(start, self.max_steps if patient else min(self.max_steps, FEW_STEPS))
            steps, start = found.iterations, found.beta
            yield found
        ball = None if patient else self.regularizer.ball(self.problem.A, self.problem.shape, self.radius)
        if ball is not None:
            beta, taken = least_loss_in_ball(
                ball, self.loss, lambda b: self.relative_gap(self.at(b)), self.tol, self.max_steps - steps
            )
            steps += taken
            yield self.at(beta, steps)
        if (limit := far()) is not None:
            yield replace(limit, iterations=steps)
        if not projects or (ball is None and size <= LARGEST_PROGRAM):
            try:
                yield self.at(self._by_cones(), steps)
            except ConicSolverError:
                if self.reach <= FAR:
                    raise
        elif ball is None:
            yield replace(
                found := self._by_projection(start, self.max_steps - steps), iterations=steps + found.iterations
            )

    def _by_cones(self) -> Array:
        """Through cvxpy, with exponential cones; where L is linear in the ball, its support function."""
        if self.reach < LINEAR:
            p = self.loss.weights(np.zeros(self.problem.n_constraints))
            slope = self.problem.combine(p)
            program, beta = support_program(self.problem.shape, self.regularizer.conic, slope)
        else:
            program, beta = loss_program(self.problem, self.regularizer.conic, self.radius, self.loss)
        solve_conic(program)
        found: Array = np.asarray(beta.value, dtype=np.float64).reshape(self.problem.shape)
        size = self.regularizer.value(found)
        wanted = size if self.reach < LINEAR else max(size, self.radius)
        return found * (self.radius / max(wanted, 1e-300))

    def _projection(self, beta: Array) -> Array:
        nearest = self.regularizer.project(beta, self.radius)
        if nearest is None:
            raise TypeError(f"{self.regularizer} has a projection for some radii only")
        return nearest

    def _by_projection(self, start: Array, max_steps: int) -> LossPoint:
        """FISTA with backtracking and function-value restarts, until the gap closes."""
        problem, loss = self.problem, self.loss
        step = 1.0 / max(problem.largest_norm**2, 1e-300)
        beta = previous = self._projection(start)
        momentum = 1.0
        point = self.at(beta)
        for iteration in range(1, max_steps + 1):
            next_momentum = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
            ahead = beta + (momentum - 1.0) / next_momentum * (beta - previous)
            margins = problem.margins(ahead)
            ahead_value, gradient = loss.value(margins), -problem.combine(loss.weights(margins))
            while True:
                trial = self._projection(ahead - step * gradient)
                move = trial - ahead
                model = ahead_value + float(np.vdot(gradient, move)) + float(np.vdot(move, move)) / (2.0 * step)
                if loss.value(problem.margins(trial)) <= model + 1e-14 * max(1.0, abs(model)) or step < 1e-300:
                    break
                step /= 2.0
            last, point = point, self.at(trial, iteration)
            restart = point.value > last.value and momentum > 1.0
            previous, beta = trial if restart else beta, trial
            momentum = 1.0 if restart else next_momentum
            step *= 1.05
            if self.relative_gap(point) <= self.tol or self.out_of_time:
                break
        return point
