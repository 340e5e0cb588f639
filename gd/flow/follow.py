"""Following a batch of flows to their limits: integrate, look for a limit as each row settles, report what was found.

`gd.flow.termination` says when a point is taken for the limit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.course import PATIENCE, PATIENT, Course, Direction, Found
from gd.flow.growth import growth
from gd.flow.integration import SMALLEST_STEP, Flow
from gd.flow.kkt import KKT, StationaryPoint, kkt_of_force
from gd.flow.limit import Integrated, Limit
from gd.flow.margin_map import MarginMap
from gd.flow.recorder import Recorder
from gd.flow.second_order import STATIONARY, WeightSpacePoint
from gd.flow.termination import CERTIFIABLE, Reached, Termination
from gd.networks.declaration import declared
from gd.status import FlowStatus
from solvers.arrays import Array
from solvers.certificate import certificate_of
from solvers.problem import MarginProblem

LARGEST_LOG_NORM = 1e8  # steps exact in the weights pass e^{10⁶} on the way of a slow coefficient
ENDLESS = 1e15  # first steps (of 10^{−3} of |θ|) after which a margin that is not positive yet is given up
RESTING = 1e6
"""First steps after which a flow at rest (`Flow.at_rest`), whose margin is not positive, is given up. From a saddle a
difference of 1e-16 would have grown to one by then, at any rate above 0.04 of the first force."""
GIVEN_UP = 100.0
"""Growth of ln‖w‖, from 0 on, after which a margin that is not positive yet is given up: a sample that wakes later has
inputs of e^{−100}."""
HELD_OPEN = 10.0
"""A gap of at most this many times its complementarity part, which is of the order of the temperature, is held open by
the temperature alone. (Measured: 1.1 to 7 where nothing else does; 1000 and more while a coefficient regrows.)"""
DRIFTING = 1e-4
"""Radians turned while ln‖w‖ grew by a quarter, above which a coefficient is on its way: colder, shorter steps do not
get it there."""
GROWING = 1e-6  # relative: a dual constraint violated by more is no rounding of the polished multipliers (1e-12)
ABSENT = 1e-9  # of the largest coefficient, as in certificates: below, a coefficient is not in the support
LOCKED = 1e-5  # distance from a point at which a sign-locked flow counts as being there for good
SETTLED = 1e-6
"""Radians turned while ln‖w‖ grew by a quarter, below which the integrated direction is final. (Measured: the rounding
of p at the lowest temperature, 1e-16/1e-8, leaves 1e-8 of it.)"""
TOLD = 1.0  # seconds between calls of `progress`, at most
OPEN_GAP = 1e-5  # above it a gap is no matter of temperature or rounding: R is not what this network minimizes


class Run:
    """One batch on its way; a row leaves when its limit is found and its direction final, or its steps are spent."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        mapping: MarginMap,
        problem: MarginProblem | None,
        labels: Tensor,
        tol: float,
        settle: float | None,
        density: int,
        classes: NDArray[Any],
    ) -> None:
        self.mapping, self.problem, self.tol, self.settle = mapping, problem, tol, settle
        self.locked = [declared(model).locked_signs for model in models]
        self.label_shape, self.classes = tuple(labels.shape), classes
        self.recorder = Recorder(mapping, len(models), density)
        self.termination = Termination()
        self.began = time.perf_counter()

    def to_the_end(
        self, flow: Flow, max_steps: int, deadline: float, progress: Callable[[int, int], None] | None
    ) -> list[Limit]:
        """The limits of all rows of a flow that has not taken a step yet; `deadline` is a time of `time.monotonic`."""
        rows = np.arange(len(self.locked))
        courses = [Course() for _ in rows]
        first_step, given_up = flow.step * flow.slowest, GIVEN_UP + np.maximum(flow.log_norm, 0.0)
        limits: dict[int, Limit] = {}
        self.recorder.begin(flow)
        self.recorder.keep(flow, rows, np.ones(rows.size, dtype=bool))
        told = time.monotonic()
        for attempt in range(max_steps):
            accepted = flow.advance()
            self.recorder.keep(flow, rows, accepted)
            separated = flow.separated
            due = accepted & separated & [self._due(flow, i, courses[row]) for i, row in enumerate(map(int, rows))]
            ended = [i for i in map(int, np.flatnonzero(due)) if self._ends(flow, i, int(rows[i]), courses[rows[i]])]
            spent = (flow.step < SMALLEST_STEP * flow.tau) | (flow.log_norm > LARGEST_LOG_NORM)
            # a sample on which every unit is dead has no gradient: its margin stays, and time runs out
            spent |= ((flow.tau > ENDLESS * first_step[rows]) | (flow.log_norm > given_up[rows])) & ~separated
            idle = (flow.tau > RESTING * first_step[rows]) & ~separated
            if self.problem is None and idle.any():  # else the data are known to be separable
                spent |= idle & flow.at_rest
            last = attempt == max_steps - 1 or time.monotonic() >= deadline
            finished = np.union1d(ended, np.flatnonzero(spent | last)).astype(int)
            for i in map(int, finished):
                limits[int(rows[i])] = self._report(flow, i, int(rows[i]), courses[rows[i]], given_up=bool(spent[i]))
            if finished.size:
                staying = np.setdiff1d(np.arange(rows.size), finished)
                if staying.size == 0:
                    break
                flow, rows = flow.restrict(staying), rows[staying]
            if progress is not None and (attempt % 50 == 49 or time.monotonic() >= told + TOLD):
                progress(attempt + 1, rows.size)
                told = time.monotonic()
        return [limits[row] for row in range(len(self.locked))]

    def _due(self, flow: Flow, i: int, course: Course) -> bool:
        """Whether row i is to be looked at now."""
        ends = self.settle is None and flow.steps[i] >= course.last_step
        return course.due(float(flow.log_norm[i]), ends, lambda: self._settling(flow, i))

    def _settling(self, flow: Flow, i: int) -> bool:
        """Whether a limit is worth looking for."""
        return bool(flow.residual()[i] <= self.mapping.settling)

    def _ends(self, flow: Flow, i: int, row: int, course: Course) -> bool:
        """Look at row i: whether its limit is found and its direction is final."""
        log_norm, steps = float(flow.log_norm[i]), int(flow.steps[i])
        course.look(flow.theta[i], log_norm, float(flow.margins[i].min()))
        before, again = course.found, (Reached.BY_CERTIFICATE, *PATIENCE)
        if before is None or before.reached in again:  # the later, the more accurate
            found = self._limit_of(flow, i, row, course)
            # a certificate holds for good; a cell holds while the flow is in it
            course.found = found or (before if before and before.reached is Reached.BY_CERTIFICATE else None)
            if before is None and found is not None:
                part, least = PATIENCE.get(found.reached, PATIENT)
                course.last_step = steps + max(int(part * steps), least)
        slow = course.closes_in_slowly()
        if course.found is None:
            return False
        # in a cell the distance to one of many optima says little; without kinks no unit dies
        slow &= self.settle is None and flow.carried is not None and course.found.reached is not Reached.IN_THE_CELL
        final = course.settled(self.settle, log_norm) and steps >= course.last_step
        return course.turned <= SETTLED or slow or final

    def _limit_of(self, flow: Flow, i: int, row: int, course: Course) -> Found | None:
        """The limit of row i, if the termination test is passed: at a polished point, else by the flow's own gap."""
        if not self._settling(flow, i):
            return None
        carried = None if flow.carried is None else flow.carried[i]
        points = self.mapping.polished(
            flow.theta[i], flow.weights[i], carried=carried, may_grow=not self.locked[row].any(), tol=self.tol
        )
        for point in points:
            if (
                point.kkt.relative <= self.tol
                and (found := self._accepted(flow, i, row, point, course.turned)) is not None
            ):
                return found
        if not self.mapping.convex or flow.residual()[i] > CERTIFIABLE:
            return None
        own = self._own(flow, i)
        if own.gap is not None and own.gap <= self.tol:
            return Found(own, FlowStatus.OPTIMAL, Reached.BY_CERTIFICATE)
        if own.gap is not None and own.certificate is not None:
            softening = float(flow.temperature[i] * np.log(flow.margins.shape[1]) / flow.margins[i].min())
            if self._held_open(own.gap, min(own.certificate.complementarity, softening), course):
                flow.cool(i)
        return None

    @staticmethod
    def _held_open(gap: float, complementarity: float, course: Course) -> bool:
        """Whether the temperature alone holds a gap open: it is of its order, or small and did not fall since.

        On the path Σp_n m_n − min m ≤ T ln N. A complementarity above that is the error of long steps.
        """
        before, course.gap = course.gap, gap
        small = gap <= HELD_OPEN * complementarity or (gap <= OPEN_GAP and gap > 0.9 * before)
        return small and course.turned <= DRIFTING

    def _accepted(self, flow: Flow, i: int, row: int, point: StationaryPoint, turned: float) -> Found | None:
        """Parts 2 and 3 of the test for a stationary point."""
        theta = flow.theta[i]
        there = self._direction(point.theta, point.multipliers, point.kkt)
        proved = there.gap is not None and there.gap <= self.tol
        # the smoothed margin −ln(loss)/‖w‖^L, which never falls, is at least min_n m_n − ‖w‖^{−L} ln N
        softening = flow.loss_temperature[i] * np.log(flow.margins.shape[1])
        smoothed = float(flow.margins[i].min() - softening)
        reached = self.termination.reached(
            row,
            theta,
            point.theta,
            steps=int(flow.steps[i]),
            settles_slowly=self.mapping.settles_slowly,
            missing_margin=1.0 - smoothed / point.kkt.margin if proved and point.isolated else np.inf,
        )
        if reached is not Reached.AT_THE_POINT and point.best_of_its_cell:
            found = self.termination.in_the_cell(row, float(flow.margins[i].min()), point.kkt.margin)
            reached = Reached.IN_THE_CELL if found else Reached.NOT
        elif reached is Reached.NOT and point.stable and flow.carried is not None:  # kinks: units may die
            found = self.termination.closing_in(row, float(flow.margins[i].min()), point.kkt.margin)
            reached = Reached.CLOSING_IN if found else Reached.NOT
        if reached is Reached.NOT:
            return None
        if proved:
            return Found(there, FlowStatus.OPTIMAL, reached)
        if self.mapping.convex and there.gap is not None:
            there_for_good = float(torch.linalg.vector_norm(point.theta - theta)) < LOCKED
            if there_for_good and self._kept_by_locks(row, there):
                return Found(there, FlowStatus.LOCKED, reached)
            # no such point is the limit if R is what it is said to be: if it is not, the network itself must show it
            if turned > SETTLED or there.gap <= OPEN_GAP or self._growth(flow, i) > OPEN_GAP:
                return None
        minimal = point.stable and self.mapping.zeros_shrink(theta, flow.force()[i], point.theta)
        return Found(there, FlowStatus.STATIONARY, reached) if minimal else None

    def _growth(self, flow: Flow, i: int) -> float:
        """How fast the fastest small weight of row i would grow, relative to ‖w‖, less one."""
        carried = None if flow.carried is None else [flow.carried[i]]
        local = self.mapping.at(flow.theta[i][None], carried)
        held = carried and carried[0]
        return growth(self.mapping, flow.theta[i], local, flow.weights[i], float(flow.temperature[i]), held)

    def _kept_by_locks(self, row: int, there: Direction) -> bool:
        """Whether every coefficient that would lower R by growing is one whose sign the initialization locks."""
        locked, regularizer, beta = self.locked[row], self.mapping.regularizer, self._predictor(there)
        if not locked.any() or self.problem is None or regularizer is None or beta is None or not there.certificate:
            return False
        size = np.abs(regularizer.coefficients(beta.reshape(locked.shape)))
        dual = np.abs(regularizer.coefficients(self.problem.combine(there.certificate.dual).reshape(locked.shape)))
        growing = dual > (1.0 + GROWING) * dual[size > ABSENT * size.max()].max()
        return bool(locked[growing].all())

    def _direction(self, theta: Tensor, multipliers: Array, at: KKT) -> Direction:
        regularizer, beta = self.mapping.regularizer, self.mapping.predictors(theta[None])
        if self.problem is None or regularizer is None or beta is None:
            return Direction(theta, multipliers, at, None, None)
        margin = float(self.problem.margins(beta[0]).min())
        scaled = beta[0] / margin if margin > 0 else beta[0]
        certificate = certificate_of(self.problem, scaled.reshape(self.problem.shape), regularizer, multipliers)
        return Direction(theta, multipliers, at, certificate, self.mapping.duality_gap(certificate, at))

    def _own(self, flow: Flow, i: int) -> Direction:
        """The flow's own direction and loss weights, before any polish."""
        theta, p = flow.theta[i], flow.weights[i]
        return self._direction(theta, p, kkt_of_force(theta, flow.force()[i], flow.margins[i], p, self.mapping.degree))

    def _not_found(self, flow: Flow, i: int, own: Direction, growth: float, *, given_up: bool) -> Found:
        if not flow.separated[i]:
            status = FlowStatus.NOT_SEPARATED if given_up else FlowStatus.UNFINISHED
        elif own.gap is not None and own.gap > self.tol and own.kkt.relative < STATIONARY and growth > OPEN_GAP:
            status = FlowStatus.SADDLE
        else:
            status = FlowStatus.UNFINISHED
        return Found(own, status, Reached.NOT)

    def _predictor(self, direction: Direction) -> Array | None:
        """β scaled to unit margin; None where it would overflow, or where there is none."""
        beta = self.mapping.predictors(direction.theta[None])
        return beta[0] / direction.kkt.margin if beta is not None and direction.kkt.margin > 1e-290 else None

    def _report(self, flow: Flow, i: int, row: int, course: Course, *, given_up: bool) -> Limit:
        own, growth = self._own(flow, i), self._growth(flow, i)
        found = course.found or self._not_found(flow, i, own, growth, given_up=given_up)
        there = found.direction
        margins = self.mapping.margins(there.theta[None])[0].cpu().numpy()
        margin = there.kkt.margin
        distance = float(torch.linalg.vector_norm(there.theta - own.theta))
        return Limit(
            weights=self.mapping.weights(there.theta),
            predictor=self._predictor(there),
            log_norm=float(flow.log_norm[i]),
            log_log_loss=float(flow.log_log_loss()[i]),
            kkt_epsilon=there.kkt.epsilon,
            kkt_delta=there.kkt.delta,
            norm_at_unit_margin=there.kkt.norm,
            margin=margin,
            active=(margins <= margin + 1e-7 * abs(margin)).reshape(self.label_shape),
            dual=(there.multipliers / there.multipliers.sum()).reshape(self.label_shape),
            path=self.recorder.path(row),
            status=found.status,
            reached=found.reached,
            polish_angle=0.0 if found.reached is Reached.BY_CERTIFICATE else 2.0 * math.asin(min(distance / 2.0, 1.0)),
            certificate=there.certificate,
            regularizer=self.mapping.regularizer,
            conservation_drift=self.recorder.laws.drift(row),
            two_layers=self.mapping.two_layers(there.theta),
            point=WeightSpacePoint(
                *self.mapping.whole(there.theta), there.multipliers, there.kkt.relative, found.status
            ),
            integrated=Integrated(
                weights=self.mapping.weights(own.theta),
                predictor=self._predictor(own),
                dual=(own.multipliers / own.multipliers.sum()).reshape(self.label_shape),
                margin=own.kkt.margin,
                residual=float(flow.residual()[i]),
                turned=course.turned,
                growth=growth,
                duality_gap=own.gap,
                certificate=own.certificate,
            ),
            stats={
                "steps": int(flow.steps[i]),
                "rejected": int(flow.rejected[i]),
                "tau": float(flow.tau[i]),
                "degree": self.mapping.degree,
                "seconds": time.perf_counter() - self.began,
                "kinks": int(flow.carried[i].sliding.sum()) if flow.carried is not None else 0,
                "device": str(flow.theta.device),
            },
            classes=self.classes,
        )
