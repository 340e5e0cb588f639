"""Gradient flow of the squared loss on linear networks, integrated in the weights to its end.

    w′ = −∇_w ½‖Xβ(w) − y‖²,      β = P(w),      from the model's own weights, however small

From small weights the flow waits near zero, grows exponentially, and is stiff at the end: coefficients that stay small
have a share of the tangent kernel as small as they are. LSODA changes between Adams' and Gear's methods with it. Its
Jacobian is the Hessian of the loss, by automatic differentiation: with differences in its place depth 3 from α = 0.001
takes 13,000 steps and does not arrive, and 1,240 with it. Tolerances are relative to the weights at the start, for it
is the logarithm of small weights that decides where the flow ends.

Networks of more than `LARGEST` weights go through the exponential integrator of `gd.squared.squared_flow`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import LSODA
from torch import Tensor, nn

from gd.descent.objective import Objective, pulled
from gd.losses import Squared
from gd.networks.linear_network import LinearNetwork
from gd.squared.regression_limit import RegressionLimit
from gd.squared.squared_limit import SquaredLimit
from gd.status import SquaredStatus
from solvers.arrays import Array
from solvers.interpolation.min_norm import Interpolation, min_norm
from solvers.interpolation.row_space import InconsistentDataError

LARGEST = 1000
"""Weights up to which a Hessian is cheap."""
TOLERANCE = 1e-9
"""LSODA's relative tolerance. Measured on diagonal networks: β is then within 1e-9 of its limit."""
COARSER = 100.0
"""Times that, for the run that tells how much it matters."""
LOOK = 4
"""Steps from one look at the residual to the next."""
SMALLEST = 1e-6
"""Weights below this part of the largest at the start are followed to fewer digits."""
SLOW = 1e-8
"""The flow may be at rest where at its pace no more than this part of the weights would have moved by now. (Where it
waits near zero, weights grow by themselves in that time.)"""
STUCK = 1e-13
"""The flow is at rest where ‖Jᵀr‖ ≤ STUCK·‖J‖‖r‖: rounding."""
LATE = 1e30
"""Longest time; LSODA's steps grow without end where the flow is at rest."""


@dataclass(frozen=True)
class _Run:
    weights: Array
    before: Array
    """Weights when the residual was ten times what it had to be."""
    residual: float
    status: SquaredStatus
    steps: int


def linear_flow_limit(
    models: Sequence[nn.Module],
    networks: Sequence[LinearNetwork],
    X: Tensor,
    y: Tensor,
    *,
    tol: float,
    max_steps: int,
    progress: Callable[[int, int], None] | None,
    deadline: float = math.inf,
) -> RegressionLimit:
    """The limits of linear networks, one after the other, each with its prediction."""
    began = time.perf_counter()
    runs, coarse = [], []
    for k, model in enumerate(models):
        objective = Objective([model], X, y, Squared())
        runs.append(_integrate(objective, TOLERANCE, tol, max_steps, deadline))
        coarse.append(_integrate(objective, COARSER * TOLERANCE, tol, max_steps, deadline))
        if progress is not None:
            progress(sum(run.steps for run in runs), len(models) - k - 1)
    shared = Objective(models, X, y, Squared())
    ends, others, before = (
        torch.from_numpy(np.stack(part))
        for part in ([r.weights for r in runs], [r.weights for r in coarse], [r.before for r in runs])
    )
    with torch.no_grad():
        outputs = shared.outputs(ends).flatten(1).numpy()
    plain = SquaredLimit(
        weights=dict(shared.parameters(ends)),
        residual=np.array([run.residual for run in runs]),
        status=tuple(run.status for run in runs),
        steps=np.array([run.steps for run in runs]),
        rejected=np.zeros(len(runs), dtype=np.int64),
        movement=torch.linalg.vector_norm(ends - shared.start, dim=1).numpy(),
        error=(torch.linalg.vector_norm(ends - others, dim=1) / torch.linalg.vector_norm(ends - shared.start, dim=1))
        .nan_to_num()
        .numpy(),
        times=np.array([np.inf]),
        outputs=outputs[:, None],
        grid_outputs=np.zeros((len(runs), 1, 0)),
        seconds=time.perf_counter() - began,
    )
    β, β_coarse, β_before = (shared.predictors(W).numpy() for W in (ends, others, before))
    return with_predictions(plain, networks, X, y, β, _relative(β, β_coarse) + _relative(β, β_before))


def with_predictions(
    limit: SquaredLimit, networks: Sequence[LinearNetwork], X: Tensor, y: Tensor, predictor: Array, error: Array
) -> RegressionLimit:
    """The limit with the predictors that were reached, and the predicted ones beside them."""
    predicted = tuple(prediction(network, X.numpy(), y.numpy()) for network in networks)
    return RegressionLimit(**vars(limit), predictor=predictor, predictor_error=error, prediction=predicted)


def prediction(network: LinearNetwork, X: Array, y: Array) -> Interpolation | None:
    """The least potential of the network's weights that fits; None where it has none, or nothing fits."""
    potential = network.potential
    if potential is None:
        return None
    try:
        return min_norm(X, y, potential)
    except InconsistentDataError:
        return None


def _relative(one: Array, other: Array) -> Array:
    """‖one − other‖₂/‖one‖₂ of each run; 0 where both are 0."""
    axes = tuple(range(1, one.ndim))
    size = np.sqrt((one**2).sum(axis=axes))
    return np.asarray(np.sqrt(((one - other) ** 2).sum(axis=axes)) / np.where(size > 0, size, 1.0))


def _integrate(objective: Objective, rtol: float, tol: float, max_steps: int, deadline: float) -> _Run:
    """One network to its end."""
    start = objective.start[0].numpy().copy()
    scale = float(objective.y.abs().max()) or 1.0
    goal = tol * scale

    def velocity(t: float, w: Array) -> Array:
        W = torch.from_numpy(w).unsqueeze(0).requires_grad_(True)
        outputs = objective.outputs(W)
        return -pulled(outputs, W, outputs.detach() - objective.y)[0].numpy()

    def jacobian(t: float, w: Array) -> Array:
        # row d of the Hessian is the derivative of ∂loss/∂w_d: one copy of the network for each d, all at once
        W = torch.from_numpy(w).repeat(w.size, 1).requires_grad_(True)
        loss = 0.5 * (objective.outputs(W) - objective.y).square().sum()
        (gradient,) = torch.autograd.grad(loss, W, create_graph=True)
        (rows,) = torch.autograd.grad(gradient.diagonal().sum(), W, materialize_grads=True)
        return -rows.numpy()

    def residual(w: Array) -> float:
        with torch.no_grad():
            return float((objective.outputs(torch.from_numpy(w).unsqueeze(0))[0] - objective.y).abs().max())

    worst, before, steps = residual(start), start, 0
    if worst <= goal or not velocity(0.0, start).any():
        return _Run(start, start, worst, SquaredStatus.FITTED if worst <= goal else SquaredStatus.DEGENERATE, 0)
    sizes = np.abs(start)
    atol = 1e-2 * rtol * max(float(sizes[sizes > 0].min()), SMALLEST * float(sizes.max()))
    solver = LSODA(velocity, 0.0, start, LATE, rtol=rtol, atol=atol, jac=jacobian)
    status = SquaredStatus.UNFINISHED
    while steps < max_steps and solver.status == "running" and time.monotonic() < deadline:
        solver.step()
        steps += 1
        if steps % LOOK and solver.status == "running":
            continue
        worst = residual(solver.y)
        if worst <= goal:
            status = SquaredStatus.FITTED
            break
        if worst > 10.0 * goal:
            before = solver.y
        slow = float(np.linalg.norm(velocity(solver.t, solver.y))) * solver.t <= SLOW * float(np.linalg.norm(solver.y))
        if slow and _at_rest(objective, solver.y):
            status = SquaredStatus.DEGENERATE
            break
    worst = worst if status is SquaredStatus.FITTED else residual(solver.y)
    return _Run(solver.y, before, worst, status, steps)


def _at_rest(objective: Objective, w: Array) -> bool:
    """Whether what is left of the residual moves no weight."""
    at = torch.from_numpy(w)
    J = torch.func.jacrev(lambda v: objective.outputs(v.unsqueeze(0)).flatten())(at).detach()
    r = (objective.outputs(at.unsqueeze(0))[0] - objective.y).flatten().detach()
    return bool(torch.linalg.vector_norm(r @ J) <= STUCK * torch.linalg.matrix_norm(J) * torch.linalg.vector_norm(r))
