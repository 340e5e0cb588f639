"""`flow_limit`: where gradient flow ends, with the evidence that it ends there.

Three steps, each in its own file: the normalized flow is integrated from the model's own parameters (`gd.flow`); as it
settles, the KKT system that its surviving margins and weights identify is solved by Newton's method (`gd.tighten`,
`gd.tighten_weights`); and the answer is believed only if

- the flow's own direction is beside it (within `BESIDE` in weight space), or, where the optimum is proved to be global,
  the flow's normalized margin, which never falls, is within `TRAPPED` of the optimum's,
- the KKT residual of min ½‖w‖² s.t. margins ≥ 1 is below the tolerance (`gd.kkt`), and
- where the induced problem is convex, its duality gap is closed, which no saddle passes; where it is not, the point is
  stable (second-order condition along the active constraints) and the weights it sets to zero are shrinking.

Otherwise the flow goes on, for the weights that must still grow are growing, however small they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from gd.data import check_data
from gd.flow import SMALLEST_STEP, Flow
from gd.flow_recorder import Recorder
from gd.kkt import KKT, kkt, kkt_of_force
from gd.limit import FlowStatus, Limit
from gd.linear_network import LinearNetwork
from gd.losses import find_loss
from gd.margin_map import FullyConnectedMap, MarginMap, ProductMap, same_architecture
from gd.module_map import ModuleMap
from gd.multi_channel import MultiChannelCNN
from gd.multi_channel_map import MultiChannelMap
from gd.networks import Convolutional, Diagonal, FullyConnected
from gd.sliding import SlidingMap, held_problem
from gd.tighten import tighten
from gd.tighten_weights import tighten_weights
from solvers.certificate import judge
from solvers.problem import MarginProblem, check_problem
from solvers.regularizers import L2
from solvers.separability import raise_if_not_separable
from solvers.solution import Certificate

Array = NDArray[np.float64]

BESIDE = 1e-2
"""Largest distance, between unit vectors of weights, at which the flow counts as having arrived beside a solution."""
TRAPPED = 1e-3
"""Relative distance of the normalized margin from a proved global optimum's at which the flow counts as arrived."""
NEAR = 0.2
"""The same, where the flow was seen to approach the same solution three times."""
THRESHOLDS = (1e-2, 1e-3, 1e-4, 1e-6, 1e-9)  # of the largest coefficient: which ones may be taken to vanish
LARGEST_LOG_NORM = 1e5
ENDLESS = 1e15  # first steps (of 10^{−3} of |θ|) after which a margin that is not positive yet is given up


@overload
def flow_limit(model: nn.Module, X: ArrayLike | Tensor, y: ArrayLike | Tensor, **options: Any) -> Limit: ...
@overload
def flow_limit(
    model: Sequence[nn.Module], X: ArrayLike | Tensor, y: ArrayLike | Tensor, **options: Any
) -> list[Limit]: ...


def flow_limit(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: str = "exponential",
    seed: int = 0,
    tol: float = 1e-9,
    device: str | torch.device | None = None,
    path_tolerance: float = 1e-3,
    max_steps: int = 20_000,
    snapshots_per_decade: int = 40,
    progress: Callable[[int, float], None] | None = None,
    **options: Any,
) -> Limit | list[Limit]:
    """The limit direction of gradient flow on a margin loss,

        dw/dt = −∇_w Σ_n ℓ(y_n f(x_n; w)),    w(0) = the model's parameters,    w(t)/‖w(t)‖ → ?,

    for a network f homogeneous of degree L in its weights, ℓ(m) = e^{−m} or ln(1 + e^{−m}).

    Args:
        model: a network of this package or any `torch.nn.Module` without biases; or several of one architecture, which
            are integrated as one batch, each with its own steps. Models are not modified.
        X: inputs, shape (N, …).
        y: labels ±1, shape (N,), or (N, M) for M outputs (then every (n, m) is a constraint).
        loss: "exponential" or "logistic"; "squared" delegates to `gd.squared_flow.squared_flow_limit(model, X, y,
            **options)`.
        seed: of the random probes that measure homogeneity.
        tol: largest relative duality gap (convex) and relative KKT residual ε/‖w̃‖ of a limit called found.
        device: CUDA where there is one, else the CPU, unless given. Always float64.
        path_tolerance: angle in radians by which one step of the path may err.
        max_steps: attempted steps per model before giving up.
        snapshots_per_decade: density of the recorded path in τ.
        progress: called with (attempted steps, models still running) every 50 steps.

    Returns:
        A `Limit`, or a list of them in the order of the models. Read `status`: only OPTIMAL and STATIONARY say where
        the flow ends as the theorems predict it.

    Raises:
        NotHomogeneousError: the module has a bias or otherwise does not scale (with the measured deviation).
        NotSeparableError: linear networks, when no predictor separates the data (with its Farkas certificate).
        ValueError: data not finite or of wrong shape, labels not ±1, unknown loss, a mixed batch, zero weights.

    Reference: Lyu, Li (2020), Theorems 4.1 and 4.4; Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2, 2a.

    >>> from gd.networks import Diagonal
    >>> limit = flow_limit(Diagonal(3, 2, seed=0), [[2.0, 1.0, 1.0], [-1.0, -3.0, 1.0]], [1.0, -1.0])
    >>> limit.status.name, np.round(limit.predictor, 12) + 0.0
    ('OPTIMAL', array([0.4, 0.2, 0. ]))
    """
    if loss == "squared":
        from gd.squared_flow import squared_flow_limit

        return squared_flow_limit(model, X, y, **options)  # type: ignore[return-value, arg-type, unused-ignore]
    if options:
        raise TypeError(f"flow_limit does not take {', '.join(sorted(options))} with loss={loss!r}")
    if loss not in ("exponential", "logistic"):
        raise ValueError(f"loss must be 'exponential', 'logistic' or 'squared', got {loss!r}")
    if not (0 < tol < 1 and 0 < path_tolerance < 1):
        raise ValueError(f"tol and path_tolerance must lie in (0, 1), got {tol!r} and {path_tolerance!r}")
    models = [model] if isinstance(model, nn.Module) else list(model)
    if not models:
        raise ValueError("model is an empty list; give one network or several of one architecture")
    same_architecture(models)
    inputs, labels = check_data(models[0], X, y, find_loss(loss))
    problem = _induced_problem(models[0], inputs, labels)
    where = torch.device(device) if device is not None else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mapping = margin_map(models[0], inputs.to(where), labels.to(where), seed)
    start = mapping.start(models)
    if not (torch.isfinite(start).all() and bool((torch.linalg.vector_norm(start, dim=1) > 0).all())):
        raise ValueError("the parameters must be finite and not all zero: at w = 0 gradient flow has no direction")
    flow = Flow.begin(mapping, start, logistic=loss == "logistic", tolerance=path_tolerance)
    run = _Run(models, mapping, problem, labels, tol, snapshots_per_decade)
    limits = run.to_the_end(flow, max_steps, progress)
    return limits[0] if isinstance(model, nn.Module) else limits


def margin_map(model: nn.Module, X: Tensor, y: Tensor, seed: int = 0) -> MarginMap:
    """The margin map of a model: in closed form for the linear networks here, by `torch.func` for any other."""
    if type(model) is Diagonal or (type(model) is Convolutional and model.full_width):
        return ProductMap(model, X, y)
    if type(model) is FullyConnected:
        return FullyConnectedMap(model, X, y)
    if type(model) is MultiChannelCNN:
        return MultiChannelMap(model, X, y)
    if y.numel() == X.shape[0] and (sliding := SlidingMap(model, X, y, seed)).n_units:
        return sliding
    return ModuleMap(model, X, y, seed)


def _induced_problem(model: nn.Module, X: Tensor, y: Tensor) -> MarginProblem | None:
    """The constraints on β for a linear network, refused here when no β satisfies them."""
    if not isinstance(model, LinearNetwork):
        return None
    problem = check_problem(X.numpy(), y.numpy(), L2())
    raise_if_not_separable(problem.A, problem.label_shape)
    return problem


@dataclass
class _Candidate:
    theta: Tensor
    p: Array
    kkt: KKT
    status: FlowStatus
    certificate: Certificate | None
    beside: float
    tightened: bool


class _Run:
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
        if flow.residual()[i] > BESIDE:
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
            solved = tighten(self.coefficients, c, flow.weights[i], threshold, grow=not locked)
            if solved is None:
                continue
            lifted = self.mapping.lift(solved.c, theta)
            lifted = lifted / torch.linalg.vector_norm(lifted)
            beside = float(torch.linalg.vector_norm(lifted - theta))
            residual = kkt(self.mapping, lifted, solved.alpha)
            certificate = self._judge(lifted, solved.alpha)
            trapped = solved.isolated and self._trapped(flow, i, residual, certificate)
            if residual.relative > self.tol or (beside > BESIDE and not trapped):
                continue
            status = self._verdict(flow, i, certificate, solved.stable, lifted, locked)
            if status is not None:
                return _Candidate(lifted, solved.alpha, residual, status, certificate, beside, True)
        return None

    def _trapped(self, flow: Flow, i: int, solution: KKT, certificate: Certificate | None) -> bool:
        """Whether the flow's normalized margin, which never falls, is within `TRAPPED` of a proved global optimum.

        Where dual prices are nearly tied, coefficients drift to their places over ln‖w‖ of many thousands.
        """
        proved = certificate is not None and certificate.direction_gap is not None
        proved = proved and certificate is not None and (certificate.direction_gap or 0.0) <= self.tol
        return proved and float(flow.margins[i].min()) >= (1.0 - TRAPPED) * solution.margin

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
        return _Candidate(solved.w / norm, solved.lam, residual, status, certificate, beside, True)

    def _arriving(self, row: int, theta: Tensor, beside: float) -> bool:
        """Whether the flow is beside θ, or near it and was seen twice before to be coming closer to the same point.

        Units that die of a two-layer network do so like ‖w‖^{−δ} with small δ, long after nothing else moves.
        """
        seen = self.seen.setdefault(row, [])
        same = all(float(torch.linalg.vector_norm(theta - other)) < 0.1 * beside for other, _ in seen[-2:])
        closing = [distance for _, distance in seen[-2:]] + [beside]
        seen.append((theta, beside))
        coming = len(closing) == 3 and same and closing[0] > closing[1] > closing[2]
        return beside <= BESIDE or (beside <= NEAR and coming)

    def _solve_channels(self, flow: Flow, i: int, mapping: MultiChannelMap) -> _Candidate | None:
        """Newton in kernels and multipliers (`gd.multi_channel_map`), judged by the convex problem of many channels."""
        theta = flow.theta[i]
        for threshold in (1e-2, 1e-4, 1e-7):
            solved = mapping.tighten(theta, flow.weights[i], threshold)
            if solved is None or not solved.stable:
                continue
            unit = solved.theta / torch.linalg.vector_norm(solved.theta)
            beside = float(torch.linalg.vector_norm(unit - theta))
            if beside > BESIDE or abs(float(mapping.margins(solved.theta[None]).min()) - 1.0) > self.tol:
                continue
            residual = kkt(mapping, unit, solved.multipliers)
            certificate = self._judge(unit, solved.multipliers)
            price = float(solved.theta @ solved.theta)  # ‖w̃‖² bounds the price of its predictor without another solve
            closed = certificate is not None and 1.0 - certificate.lower_bound / price <= self.tol
            if residual.relative > self.tol or (mapping.convex and not closed):
                continue
            status = FlowStatus.OPTIMAL if closed else FlowStatus.STATIONARY
            return _Candidate(unit, solved.multipliers, residual, status, certificate, beside, True)
        return None

    def _judge(self, theta: Tensor, alpha: Array) -> Certificate | None:
        if self.problem is None or self.mapping.regularizer is None:
            return None
        beta = self.mapping.predictors(theta[None])
        if beta is None:
            return None
        margin = float(self.problem.margins(beta[0]).min())
        scaled = beta[0] / margin if margin > 0 else beta[0]
        return judge(self.problem, scaled.reshape(self.problem.shape), self.mapping.regularizer, alpha)

    def _unresolved(self, flow: Flow, i: int) -> _Candidate:
        theta, p = flow.theta[i], flow.weights[i]
        residual = kkt_of_force(theta, flow.force()[i], flow.margins[i], p, self.mapping.degree)
        certificate = self._judge(theta, p)
        open_gap = certificate is not None and certificate.direction_gap is not None
        if residual.margin <= 0:
            status = FlowStatus.NOT_SEPARATED
        elif open_gap and residual.relative < 1e-5:
            status = FlowStatus.SADDLE
        else:
            status = FlowStatus.UNFINISHED
        return _Candidate(theta, p, residual, status, certificate, 0.0, False)

    def _limit(self, flow: Flow, i: int, row: int, found: _Candidate) -> Limit:
        margins = self.mapping.margins(found.theta[None])[0].cpu().numpy()
        beta = self.mapping.predictors(found.theta[None])
        margin = found.kkt.margin
        return Limit(
            weights=self.mapping.weights(found.theta),
            predictor=beta[0] / margin if beta is not None and margin > 0 else None,
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
                "tightened": found.tightened,
                "tightening_angle": 2.0 * float(np.arcsin(min(found.beside / 2.0, 1.0))),
                "flow_residual": float(flow.residual()[i]),
                "seconds": time.perf_counter() - self.began,
                "kinks": int(flow.carried[i].sliding.sum()) if flow.carried is not None else 0,
                "device": str(flow.theta.device),
            },
        )
