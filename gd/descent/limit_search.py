"""From an optimizer's run to its limit: which points are tried, and what makes one the limit.

A point is tried from the run's direction with means of its loss weights. Where the problem is convex, a closed duality
gap makes it the limit, if the value lies between the bounds that the run proved by itself. If none of them closes the
gap although these bounds are close, the multipliers of the explicit solver's optimum are tried, and then that optimum;
`by_solver` says so. Elsewhere a small KKT residual near the run's direction makes it a stationary point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.data import check_data, check_models
from gd.descent.bounds import Bounds
from gd.descent.kkt_system import KKTPoint, KKTSystem
from gd.descent.objective import Objective
from gd.descent.optimal_face import OptimalFace, nearest_optimum, optimal_face
from gd.descent.trajectory import Trajectory
from gd.forward_pass import check_fixed_function, check_forward_pass
from gd.losses import Loss
from gd.optimizers.optimizer import Optimizer
from gd.status import OptimizerStatus
from solvers.arrays import Array
from solvers.card import Card
from solvers.certificate import certified
from solvers.max_margin import max_margin
from solvers.plots import axes_for, legend_below, many_decades
from solvers.problem import MarginProblem
from solvers.regularizers import Regularizer
from solvers.separability import raise_if_not_separable
from solvers.solution import Candidate, Certificate, Solution, Uniqueness
from solvers.validation import check_problem, check_regularizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CUTS = (0.0, 1e-3, 1e-2, 5e-2)
"""Loss weights below this part of the largest are taken for zero, in the order they are tried: the weight of a point
that is no support vector falls like e^{−slack·‖w‖}, and is not zero yet when the bounds are a few percent apart."""
NEAR = 0.05
"""Largest distance between the run's direction and a stationary point, relative and in the optimizer's norm, at which
the run counts as being there, where no certificate says that there is no better one."""


@dataclass(frozen=True, repr=False)
class OptimizerLimit(Card):
    """Where an optimizer's run ends, with the certificate and the run itself.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), *Characterizing implicit bias in terms of optimization geometry*,
    Theorem 5: the margin converges; the direction only where the optimum is unique.
    """

    status: OptimizerStatus
    """What is known about the limit; prints as a sentence."""
    weights: Mapping[str, Array] = field(repr=False)
    """Parameters by name, at unit margin."""
    predictor: Array | None = field(repr=False)
    """β at unit margin; None where the network has none."""
    norm: float
    """‖w‖ at unit margin in the optimizer's norm; inf where no margin is positive."""
    stationarity: float
    """The relative KKT residual 1 − LΣα/(‖w‖‖Σα∇m‖°) of min ‖w‖ s.t. margins ≥ 1."""
    dual: Array = field(repr=False)
    """α ≥ 0, the shape of y."""
    certificate: Certificate | None
    """Of β in the norm of predictors that the optimizer prefers on this network, where that is known or was given."""
    unique: Uniqueness
    """Whether the optimum is the only one, where the problem is convex."""
    face: OptimalFace | None
    """The optima around the point reached, where there are more than one and the problem is convex."""
    distance: float
    """From the run's direction to the limit, both at unit margin, in the optimizer's norm of the weights and relative;
    0 where nothing was solved, inf where a margin is not positive."""
    by_solver: bool
    """Whether the KKT system had to be started from the optimum of the explicit solver: the run's own loss weights did
    not identify the active set. Its bounds still enclose the optimum."""
    regularizer: Regularizer | None
    """R of `certificate`."""
    trajectory: Trajectory = field(repr=False)
    """The run."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """(lower, upper) that the run proves about the optimal value; None where β is not bounded by weak duality."""
        found = self._bounds_on_the_way()
        return None if found is None else (float(found.lower[0, -1]), float(found.upper[0].min()))

    def _bounds_on_the_way(self) -> Bounds | None:
        """Of every snapshot."""
        proved = self.regularizer is not None and self.regularizer.has_dual_norm
        return self.trajectory.gap(self.regularizer) if proved else None

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the bounds of the optimal value that the run proves, and the limit's; its margin where it has none.

        Args:
            axes: of matplotlib, to draw into; a new figure of pyplot's unless given.

        Returns:
            The axes: steps across, R(β) at unit margin in its own units upwards.
        """
        found, steps = self._bounds_on_the_way(), self.trajectory.steps
        if found is None or self.certificate is None:
            return self.trajectory.plot(axes)
        chosen: Axes = axes_for(axes)
        chosen.plot(steps, found.upper[0], "C0.-", label="the run, at unit margin")
        chosen.plot(steps, found.lower[0], "C2.-", label="proved lower bound")
        chosen.axhline(self.certificate.objective, color="C1", linestyle="--", label="the limit")
        title = f"{self.trajectory.optimizer}, {self.status.name.lower()}"
        chosen.set(xlabel="steps", ylabel=f"{self.regularizer} of β [units of R]", title=title, yscale="log")
        many_decades(chosen, steps.astype(np.float64))
        legend_below(chosen)
        return chosen


@dataclass(frozen=True)
class Search:
    """What a network's runs are searched for."""

    system: KKTSystem
    problem: MarginProblem | None
    """In β, where R of it is known."""
    regularizer: Regularizer | None
    X: Array
    y: Any
    """Labels ±1 or classes, as given."""
    tol: float
    bound: float
    """Relative distance of the run's own bounds below which they are close."""

    def is_close(self, run: Trajectory) -> bool:
        """Whether the run's own bounds are close; True where it has none."""
        R = self.regularizer
        return R is None or not R.has_dual_norm or float(run.gap(R).relative[0, -1]) <= self.bound

    def settled(self, limit: OptimizerLimit) -> bool:
        """Whether a longer run could change nothing: a unique optimum is the limit wherever the run is on its way."""
        return limit.status.converged and (limit.unique is Uniqueness.UNIQUE or self.is_close(limit.trajectory))

    def limit(self, run: Trajectory) -> OptimizerLimit:
        """The first point tried that is a limit; else the run's own end."""
        theta = torch.cat([torch.as_tensor(part[0]).flatten() for part in run.parameters.values()])
        theta = theta.to(self.system.labels)
        if not float(run.raw_margin[0, -1]) > 0:
            return self._limit(self.system.measured(theta, self._mean(run, 0.5)), theta, run, False)
        for point, by_solver in self._points(theta, run):
            limit = self._limit(point, theta, run, by_solver)
            if limit.status.converged:
                return self._nearest(limit, theta, run)
        return self._limit(self.system.measured(theta, self._mean(run, 0.5)), theta, run, False)

    def _nearest(self, limit: OptimizerLimit, theta: Tensor, run: Trajectory) -> OptimizerLimit:
        """Of several optima the one next to the run's direction."""
        several = limit.unique is Uniqueness.NOT_UNIQUE and self.system.objective.is_predictor
        if not several or limit.certificate is None or self.problem is None or self.regularizer is None:
            return limit
        beta = self.system.measured(theta, limit.dual.reshape(-1)).theta.numpy().reshape(self.problem.shape)
        found = nearest_optimum(self.problem, self.regularizer, limit.certificate.objective, beta)
        start = None if found is None else torch.as_tensor(found).flatten().to(theta)
        point = None if start is None else self.system.polished(start, limit.dual.reshape(-1))
        other = limit if point is None else self._limit(point, theta, run, limit.by_solver)
        return other if other.status.converged and other.distance < limit.distance else limit

    def _mean(self, run: Trajectory, part: float) -> Array:
        """The mean loss weights of the steps after this part of all, (N,)."""
        assert run.loss_weights is not None  # the loss is a margin loss
        first = int(np.searchsorted(run.steps, part * run.steps[-1]))
        return run.loss_weights.mean(0, min(first, len(run.steps) - 2), -1).reshape(-1)

    def _points(self, theta: Tensor, run: Trajectory) -> Iterator[tuple[KKTPoint, bool]]:
        for part in (0.5, 0.9):
            p = self._mean(run, part)
            for cut in CUTS:
                point = self.system.solved(theta, np.where(p >= cut * p.max(), p, 0.0))
                if point is not None:
                    yield point, False
        alone = self.problem is not None and self.regularizer is not None and self.system.objective.is_predictor
        if not alone or not self.is_close(run):
            return
        assert self.problem is not None
        assert self.regularizer is not None
        solution = max_margin(self.X, self.y, self.regularizer, tol=self.tol)
        optimum, dual = torch.as_tensor(solution.beta).flatten().to(theta), solution.dual.reshape(-1)
        for start in (theta, optimum):  # from the run's direction it is the optimum next to it
            point = self.system.solved(start, dual)
            if point is not None:
                yield point, True
        yield self.system.measured(optimum, dual), True

    def _limit(self, point: KKTPoint, theta: Tensor, run: Trajectory, by_solver: bool) -> OptimizerLimit:
        objective = self.system.objective
        beta = objective.predictors(point.theta[None])[0].cpu().numpy() if objective.predicts else None
        solution = None if beta is None else self._certified(beta, point)
        distance = self._distance(point, theta)
        status = self._status(point, distance, solution, run)
        optimal = solution is not None and status is OptimizerStatus.OPTIMAL
        unique, face = self._others(solution, point) if optimal and solution else (Uniqueness.UNKNOWN, None)
        return OptimizerLimit(
            status=status,
            weights={name: part[0] for name, part in objective.parameters(point.theta[None]).items()},
            predictor=beta,
            norm=float(self.system.norm.value(point.theta[None], objective.layers)),
            stationarity=point.residual,
            dual=point.multipliers.reshape(objective.y.shape),
            certificate=None if solution is None else solution.certificate,
            unique=unique,
            face=face,
            distance=distance,
            by_solver=by_solver,
            regularizer=self.regularizer,
            trajectory=run,
        )

    def _certified(self, beta: Array, point: KKTPoint) -> Solution | None:
        if self.problem is None or self.regularizer is None or not beta.any():
            return None
        return certified(self.problem, self.regularizer, Candidate(beta, point.multipliers), tol=self.tol)

    def _distance(self, point: KKTPoint, theta: Tensor) -> float:
        """From the direction θ to the point, both at unit margin, relative and in the optimizer's norm."""
        margin = float(self.system.margins(theta).min())
        if not (margin > 0 and np.isfinite(point.residual)):
            return np.inf
        apart = torch.stack([theta * margin ** (-1.0 / self.system.degree) - point.theta, point.theta])
        values = self.system.norm.value(apart, self.system.objective.layers)
        return float(values[0] / values[1])

    def _status(self, point: KKTPoint, distance: float, solution: Solution | None, run: Trajectory) -> OptimizerStatus:
        if not np.isfinite(distance):
            return OptimizerStatus.NOT_SEPARATED
        if solution is not None and self.regularizer is not None and self.regularizer.has_dual_norm:
            found, objective = run.gap(self.regularizer), solution.objective
            enclosed = found.lower[0, -1] <= objective * (1 + 1e-9) and objective <= found.upper[0].min() * (1 + 1e-9)
            closed = solution.certificate.worst <= self.tol and enclosed
            return OptimizerStatus.OPTIMAL if closed else OptimizerStatus.UNFINISHED
        near = point.residual <= self.tol and distance <= NEAR
        return OptimizerStatus.STATIONARY if near else OptimizerStatus.UNFINISHED

    def _others(self, solution: Solution, point: KKTPoint) -> tuple[Uniqueness, OptimalFace | None]:
        """Whether a proved optimum is the only one, and the others around it."""
        assert self.problem is not None
        assert self.regularizer is not None
        unique = self.regularizer.unique(self.problem, solution)
        if point.free is None or not self.system.objective.is_predictor or unique is Uniqueness.UNIQUE:
            return unique, None
        face = optimal_face(self.problem, self.regularizer, solution.beta, point.free)
        if face is not None:
            return Uniqueness.NOT_UNIQUE, face
        # an isolated solution of the KKT equations is the only one: optima are a convex set
        return Uniqueness.UNIQUE if len(point.free) == 0 and unique is Uniqueness.UNKNOWN else unique, None


def search_of(
    model: nn.Module,
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    optimizer: Optimizer,
    loss: Loss,
    regularizer: Regularizer | str | None,
    tol: float,
    bound: float,
) -> Search:
    """The problem that the runs approach. Raises ValueError where there is none."""
    (one,) = check_models(model)
    if not loss.margin:
        raise ValueError(f"the {loss.name} loss has no margin to maximize; use 'exponential' or 'logistic'")
    if optimizer.weight_norm is None:
        raise ValueError(
            f"no norm is known for {optimizer.name}, so there is no problem to finish on; follow it by descend(…) and "
            "certify what it reaches in a norm of your choice with Trajectory.gap(regularizer)"
        )
    if optimizer.decay:
        raise ValueError(
            f"{optimizer.name} with weight decay ends inside a ball and not at a margin; follow it by descend(…), "
            "whose trajectory has its norm and boundary"
        )
    inputs, targets = check_data(one, X, y, loss)
    check_forward_pass(one, inputs)
    check_fixed_function(one, inputs)
    objective = Objective([one], inputs, targets.values, loss, targets=targets)
    if objective.degree is None:
        raise ValueError(
            f"{type(one).__name__} is not homogeneous in its parameters (it has biases, or layers that do not scale), "
            "so its direction has no limit to find"
        )
    if regularizer is not None:
        regularizer = check_regularizer(regularizer)
    elif objective.is_predictor:
        regularizer = optimizer.norm(tuple(objective.predictors(objective.start).shape[1:]))
    problem = None
    if objective.predicts and regularizer is not None:
        problem = check_problem(inputs.numpy(), _labels(y), regularizer)
        raise_if_not_separable(problem.signed_rows, problem.label_shape)
    system = KKTSystem(objective, optimizer.weight_norm, objective.degree)
    return Search(system, problem, regularizer, inputs.numpy(), _labels(y), tol, bound)


def _labels(y: ArrayLike | Tensor) -> Any:
    return y.detach().cpu().numpy() if isinstance(y, Tensor) else y
