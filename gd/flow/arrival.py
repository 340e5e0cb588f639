"""Arrival: when a flow that is still on its way is known to end at a point, and which one.

A `Run` integrates a batch and, as each row settles, solves the KKT system that its surviving margins and weights
identify (`polish` in the coefficients of β, `tighten_weights` in the weights). A solution is believed to be the
flow's limit only if

- the flow leads to it, in one of three ways that `Limit.stats["arrival"]` names. "beside": its own direction is within
  `BESIDE` of the solution in weight space (`BESIDE_LATE` after `PATIENCE` steps, and where Newton runs in the weights).
  "approaching": it is within `NEAR` and was seen three times, each closer to the same solution (networks without
  coefficients, whose dying units take for ever). "margin": after `PATIENCE` steps, the optimum is proved to be global
  and isolated on its support, and the flow's normalized margin is within `TRAPPED` of it. The smoothed margin never
  falls (Lyu & Li, Theorem 4.1), so such a flow ends no further from the optimum's margin; that it goes all the way is
  the theorem's statement and is not measured,
- the KKT residual of min ½‖w‖² s.t. margins ≥ 1 is below the tolerance (`kkt`), and
- where the induced problem is convex, its duality gap is closed, which no saddle passes; where it is not, there is no
  negative curvature along the active constraints (gates of ReLUs held), and the coefficients it sets to zero are
  shrinking.

Otherwise the flow goes on, for the weights that must still grow are growing, however small they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.integration import SMALLEST_STEP, Flow
from gd.flow.kkt import KKT, kkt, kkt_of_force
from gd.flow.limit import FlowStatus, Limit
from gd.flow.margin_map import MarginMap, ProductMap
from gd.flow.multi_channel_map import MultiChannelMap
from gd.flow.recorder import Recorder
from gd.flow.sliding import held_problem
from gd.flow.tighten_weights import tighten_weights
from gd.networks.linear_network import LinearNetwork
from solvers.algorithms.active_set import polish
from solvers.certificate import certificate_of
from solvers.problem import MarginProblem
from solvers.solution import Certificate

Array = NDArray[np.float64]

BESIDE = 1e-3
"""Largest distance, between unit vectors of weights, at which the flow counts as having arrived beside a solution;"""
BESIDE_LATE = 1e-2
"""and after `PATIENCE` steps: on degenerate data (ties, orthogonal points) the last part of the way is logarithmic."""
TRAPPED = 1e-3
"""Relative distance of the normalized margin from a proved global optimum's at which the flow counts as arrived, after
`PATIENCE` steps: where dual prices are nearly tied, coefficients drift to their places over ln‖w‖ of many thousands."""
PATIENCE = 1000
NEAR = 0.2
"""The same, where the flow was seen to approach the same solution three times."""
THRESHOLDS = (1e-2, 1e-3, 1e-4, 1e-6, 1e-9)  # of the largest coefficient: which ones may be taken to vanish
LARGEST_LOG_NORM = 1e5
ENDLESS = 1e15  # first steps (of 10^{−3} of |θ|) after which a margin that is not positive yet is given up


@dataclass
class _Candidate:
    theta: Tensor
    p: Array
    kkt: KKT
    status: FlowStatus
    certificate: Certificate | None
    beside: float
    arrival: str


class Run:
    """One batch on its way; a row leaves when its limit is found or its steps are spent."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        mapping: MarginMap,
        problem: MarginProblem | None,
        labels: Tensor,
        tol: float,
        density: int,
    ) -> None:
        self.models, self.mapping, self.problem, self.tol = models, mapping, problem, tol
        self.label_shape = tuple(labels.shape)
        self.coefficients = mapping.coefficient_problem()
        self.recorder = Recorder(mapping, len(models), density)
        self.seen: dict[int, list[tuple[Tensor, float]]] = {}

    def to_the_end(self, flow: Flow, max_steps: int, progress: Callable[[int, float], None] | None) -> list[Limit]:
        rows = np.arange(len(self.models))
        next_try = np.full(rows.size, -np.inf)
        first_step = flow.step.copy()
        self.began = time.perf_counter()
        limits: dict[int, Limit] = {}
        self.recorder.keep(flow, rows, np.ones(rows.size, dtype=bool))
        for attempt in range(max_steps):
            accepted = flow.advance()
            self.recorder.keep(flow, rows, accepted)
            finished = []
            due = accepted & (flow.log_norm >= next_try[rows]) & (flow.margins.min(axis=1) > 0)
            for i in map(int, np.flatnonzero(due)):
                next_try[rows[i]] = max(1.25 * flow.log_norm[i], flow.log_norm[i] + 0.5)
                if (found := self._solve_beside(flow, i, int(rows[i]))) is not None:
                    limits[int(rows[i])] = self._limit(flow, i, int(rows[i]), found)
                    finished.append(i)
            spent = (flow.step < SMALLEST_STEP * flow.tau) | (flow.log_norm > LARGEST_LOG_NORM)
            # a sample on which every unit is dead has no gradient: its margin stays, and time runs out
            spent |= (flow.tau > ENDLESS * first_step[rows]) & (flow.margins.min(axis=1) <= 0)
            for i in map(int, np.flatnonzero(spent | (attempt == max_steps - 1))):
                if i not in finished:
                    limits[int(rows[i])] = self._limit(flow, i, int(rows[i]), self._unresolved(flow, i))
                    finished.append(i)
            if finished:
                staying = np.setdiff1d(np.arange(rows.size), finished)
                if staying.size == 0:
                    break
                flow, rows = flow.restrict(staying), rows[staying]
            if progress is not None and attempt % 50 == 49:
                progress(attempt + 1, rows.size)
        return [limits[row] for row in range(len(self.models))]

    def _solve_beside(self, flow: Flow, i: int, row: int) -> _Candidate | None:
        """A point that solves the identified KKT system, with everything that makes it believable; else None."""
        if self.coefficients is None:
            return self._solve_weights(flow, i, row)
        if flow.residual()[i] > BESIDE_LATE:
            return None
        theta = flow.theta[i]
        c = self.mapping.real_coefficients(theta)
        seen = set()
        for threshold in THRESHOLDS:
            support = int((np.abs(c) > threshold * np.abs(c).max()).sum())
            if support in seen:
                continue
            seen.add(support)
            locked = isinstance(model := self.models[row], LinearNetwork) and model.sign_locked is not None
            solved = polish(self.coefficients, c, flow.weights[i], threshold, grow=not locked)
            if solved is None:
                continue
            lifted = self.mapping.lift(solved.c, theta)
            lifted = lifted / torch.linalg.vector_norm(lifted)
            beside = float(torch.linalg.vector_norm(lifted - theta))
            residual = kkt(self.mapping, lifted, solved.alpha)
            certificate = self._judge(lifted, solved.alpha)
            late = flow.steps[i] >= PATIENCE
            arrived = beside <= (BESIDE_LATE if late else BESIDE)
            trapped = late and solved.isolated and self._trapped(flow, i, residual, certificate)
            if residual.relative > self.tol or not (arrived or trapped):
                continue
            status = self._verdict(flow, i, certificate, solved.stable, lifted, locked)
            if status is not None:
                arrival = "beside" if arrived else "margin"
                return _Candidate(lifted, solved.alpha, residual, status, certificate, beside, arrival)
        return None

    def _trapped(self, flow: Flow, i: int, solution: KKT, certificate: Certificate | None) -> bool:
        """Whether the flow's smoothed margin, which never falls, is within `TRAPPED` of a proved global optimum.

        The smoothed margin −ln(loss)/‖w‖^L is at least min_n m_n − ‖w‖^{−L} ln N.
        """
        gap = None if certificate is None else certificate.direction_gap
        proved = gap is not None and gap <= self.tol
        softening = np.exp(-self.mapping.degree * flow.log_norm[i]) * np.log(flow.margins.shape[1])
        return proved and float(flow.margins[i].min() - softening) >= (1.0 - TRAPPED) * solution.margin

    def _verdict(
        self, flow: Flow, i: int, certificate: Certificate | None, stable: bool, theta: Tensor, locked: bool
    ) -> FlowStatus | None:
        if certificate is not None and certificate.direction_gap is not None:
            if certificate.direction_gap <= self.tol:
                return FlowStatus.OPTIMAL
            arrived = float(torch.linalg.vector_norm(theta - flow.theta[i])) < 1e-5
            return FlowStatus.LOCKED if locked and arrived else None
        return FlowStatus.STATIONARY if stable and self._zeros_shrink(flow, i, theta) else None

    def _zeros_shrink(self, flow: Flow, i: int, theta: Tensor) -> bool:
        """Whether every product of weights that the candidate sets to zero shrinks relative to the others.

        d ln|b_d|/dτ = Σ_l Re(force_l[d] / w_l[d]) must be below d ln ‖θ‖^L/dτ = L⟨θ, force⟩.
        """
        if not isinstance(self.mapping, ProductMap):
            return True
        force = flow.force()[i]
        growth = self.mapping.degree * float((flow.theta[i].conj() * force).real.sum())
        w = self.mapping.layers(flow.theta[i])
        rates = (self.mapping.layers(force) * w.conj()).real / torch.clamp((w.conj() * w).real, min=1e-300)
        zero = self.mapping.coefficients(theta).abs() == 0
        return bool((rates.sum(0)[zero] < growth).all())

    def _solve_weights(self, flow: Flow, i: int, row: int) -> _Candidate | None:
        """Newton in weight space, for networks whose price has no closed form in the predictor."""
        if flow.residual()[i] > 1e-2:
            return None
        if isinstance(self.mapping, MultiChannelMap):
            return self._solve_channels(flow, i, self.mapping)
        theta = flow.theta[i]
        active = flow.weights[i] > 1e-7 * flow.weights[i].max()
        problem, deltas = held_problem(self.mapping, theta, flow.carried[i] if flow.carried else None, active)
        unit = float(flow.margins[i].min()) ** (-1.0 / self.mapping.degree)
        solved = tighten_weights(problem, unit * theta, deltas)
        if solved is None or solved.residual > self.tol:
            return None
        norm = float(torch.linalg.vector_norm(solved.w))
        margins = self.mapping.margins(solved.w[None])[0].cpu().numpy()
        beside = float(torch.linalg.vector_norm(solved.w / norm - theta))
        if abs(margins.min() - 1.0) > self.tol or not self._arriving(row, solved.w / norm, beside):
            return None
        delta = float((solved.lam * (margins - 1.0)).max())
        residual = KKT(solved.residual * norm, delta, norm, norm**-self.mapping.degree)
        certificate = self._judge(solved.w, solved.lam)
        status = self._verdict(flow, i, certificate, True, solved.w / norm, False)
        if status is None:
            return None
        arrival = "beside" if beside <= BESIDE_LATE else "approaching"
        return _Candidate(solved.w / norm, solved.lam, residual, status, certificate, beside, arrival)

    def _arriving(self, row: int, theta: Tensor, beside: float) -> bool:
        """Whether the flow is beside θ, or near it and was seen twice before to be coming closer to the same point.

        Units that die of a two-layer network do so like ‖w‖^{−δ} with small δ, long after nothing else moves.
        """
        seen = self.seen.setdefault(row, [])
        same = all(float(torch.linalg.vector_norm(theta - other)) < 0.1 * beside for other, _ in seen[-2:])
        closing = [distance for _, distance in seen[-2:]] + [beside]
        seen.append((theta, beside))
        coming = len(closing) == 3 and same and closing[0] > closing[1] > closing[2]
        return beside <= BESIDE_LATE or (beside <= NEAR and coming)

    def _solve_channels(self, flow: Flow, i: int, mapping: MultiChannelMap) -> _Candidate | None:
        """Newton in kernels and multipliers (`multi_channel_map`), judged by the convex problem of many channels."""
        theta = flow.theta[i]
        for threshold in (1e-2, 1e-4, 1e-7):
            solved = mapping.tighten(theta, flow.weights[i], threshold)
            if solved is None or not solved.stable:
                continue
            unit = solved.theta / torch.linalg.vector_norm(solved.theta)
            beside = float(torch.linalg.vector_norm(unit - theta))
            if beside > BESIDE_LATE or abs(float(mapping.margins(solved.theta[None]).min()) - 1.0) > self.tol:
                continue
            residual = kkt(mapping, unit, solved.multipliers)
            certificate = self._judge(unit, solved.multipliers)
            price = float(solved.theta @ solved.theta)  # ‖w̃‖² bounds the price of its predictor without another solve
            closed = certificate is not None and 1.0 - certificate.lower_bound / price <= self.tol
            if residual.relative > self.tol or (mapping.convex and not closed):
                continue
            status = FlowStatus.OPTIMAL if closed else FlowStatus.STATIONARY
            return _Candidate(unit, solved.multipliers, residual, status, certificate, beside, "beside")
        return None

    def _judge(self, theta: Tensor, alpha: Array) -> Certificate | None:
        if self.problem is None or self.mapping.regularizer is None:
            return None
        beta = self.mapping.predictors(theta[None])
        if beta is None:
            return None
        margin = float(self.problem.margins(beta[0]).min())
        scaled = beta[0] / margin if margin > 0 else beta[0]
        return certificate_of(self.problem, scaled.reshape(self.problem.shape), self.mapping.regularizer, alpha)

    def _unresolved(self, flow: Flow, i: int) -> _Candidate:
        theta, p = flow.theta[i], flow.weights[i]
        residual = kkt_of_force(theta, flow.force()[i], flow.margins[i], p, self.mapping.degree)
        certificate = self._judge(theta, p)
        gap = None if certificate is None else certificate.direction_gap
        open_gap = gap is not None and gap > self.tol
        if residual.margin <= 0:
            status = FlowStatus.NOT_SEPARATED
        elif open_gap and residual.relative < 1e-5:
            status = FlowStatus.SADDLE
        else:
            status = FlowStatus.UNFINISHED
        return _Candidate(theta, p, residual, status, certificate, 0.0, "none")

    def _limit(self, flow: Flow, i: int, row: int, found: _Candidate) -> Limit:
        margins = self.mapping.margins(found.theta[None])[0].cpu().numpy()
        beta = self.mapping.predictors(found.theta[None])
        margin = found.kkt.margin
        return Limit(
            weights=self.mapping.weights(found.theta),
            predictor=beta[0] / margin if beta is not None and margin > 1e-290 else None,  # below, it overflows
            log_norm=float(flow.log_norm[i]),
            log_log_loss=float(flow.log_log_loss()[i]),
            kkt_epsilon=found.kkt.epsilon,
            kkt_delta=found.kkt.delta,
            norm_at_unit_margin=found.kkt.norm,
            margin=margin,
            active=(margins <= margin + 1e-7 * abs(margin)).reshape(self.label_shape),
            dual=(found.p / found.p.sum()).reshape(self.label_shape),
            path=self.recorder.path(row),
            status=found.status,
            certificate=found.certificate,
            stats={
                "steps": int(flow.steps[i]),
                "rejected": int(flow.rejected[i]),
                "tau": float(flow.tau[i]),
                "degree": self.mapping.degree,
                "tightened": found.arrival != "none",
                "arrival": found.arrival,
                "tightening_angle": 2.0 * float(np.arcsin(min(found.beside / 2.0, 1.0))),
                "flow_residual": float(flow.residual()[i]),
                "seconds": time.perf_counter() - self.began,
                "kinks": int(flow.carried[i].sliding.sum()) if flow.carried is not None else 0,
                "device": str(flow.theta.device),
            },
        )
