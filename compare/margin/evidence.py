"""What the network itself says about its limit, before any equation of the explicit side is solved from it.

Every figure is measured at the direction where the integration of the flow ended (`Limit.integrated`), and once more
where ln‖w‖ was a fifth less:

    figure ± 10·(|figure now − figure then| + turned/ln‖w‖),

`turned` being the angle by which the direction turned while ln‖w‖ grew by its last quarter. A direction that settles
like 1/ln‖w‖, or like e^{−c ln‖w‖} with c·ln‖w‖ ≥ 1/2, has less before it than ten times its last change. Slower ones
still turn: at a rate δ per unit of ln‖w‖ their figure is at most of the order of δ from its limit's, which the second
term is for. The uncertainty is inf, so nothing is decided, while a direction still grows out of the flow's own
(`gd.flow.growth`: a saddle that it has not left), or while no such place with positive margins is on record.

The polished point is no evidence. Tables show it in columns of its own: how far the polish moved, and what it proves.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from compare.measures import angle
from compare.reports.report import Check
from compare.reports.verdict import Evidence
from gd.data import check_data
from gd.flow.kink_residual import subgradient_residual
from gd.flow.limit import Limit
from gd.losses import find_loss
from solvers.arrays import Array
from solvers.problem import MarginProblem
from solvers.regularizers import Regularizer
from solvers.solution import Solution

ANGLE_RESOLUTION = math.radians(0.01)
"""Angles up to this count as 0. Measured: settled flows are at 1e-8° to 1e-4° from a unique solution."""
RESOLUTION = 1e-5
"""Relative figures up to this count as 0: excess of R, stationarity, KKT residual. Measured: 1e-9 to 3e-6, of the order
of the lowest temperature."""
GROWING = 1e-5
"""Largest growth of a small weight, relative to ‖w‖, at a direction that counts as final. (At a stationary direction
whose dual constraints are violated by no more, R is at most this above its minimum, relatively.)"""
TRACE = 1e-9
"""Coefficients below this part of the largest are on their way to 0 and count as 0. Measured: in settled flows of depth
3 and 4 they are below 1e-20."""
LEFT = 10.0  # times the last change: see the module


def evidence(limit: Limit, now: float | None, then: float | None) -> Evidence:
    """A figure at the integrated direction with its uncertainty; NaN figures and missing ones decide nothing."""
    if now is None or math.isnan(now):
        return Evidence(math.inf, math.inf)
    if then is None or math.isnan(then) or grows(limit):
        return Evidence(now, math.inf)
    turning = limit.integrated.turned / max(limit.log_norm, 1.0)
    return Evidence(now, LEFT * (abs(now - then) + turning))


def grows(limit: Limit) -> bool:
    """Whether a small weight still grows out of the direction, or whether that is not known."""
    return not limit.integrated.growth <= GROWING


def place_before(limit: Limit) -> int | None:
    """The latest snapshot of the path whose ln‖w‖ was a fifth less than at the end, with every margin positive."""
    path, last = limit.path, limit.log_norm
    earlier = np.flatnonzero(path.log_norm <= min(last / 1.25, last - 0.5))
    if earlier.size == 0 or not path.margins[earlier[-1]].min() > 0:
        return None
    return int(earlier[-1])


def of_predictor(limit: Limit, measure: Callable[[Array], float]) -> Evidence:
    """The evidence of a figure of β, such as its angle to a solution."""
    β, at = limit.integrated.predictor, place_before(limit)
    if β is None or not np.isfinite(β).all():
        return Evidence(math.inf, math.inf)
    before = None
    if at is not None and limit.path.predictors is not None and np.isfinite(limit.path.predictors[at]).all():
        before = measure(limit.path.predictors[at])
    return evidence(limit, measure(β), before)


def of_optimum(limit: Limit, problem: MarginProblem, solution: Solution, regularizer: Regularizer) -> Evidence:
    """How far the network is from a certified optimum of a norm R, relatively: |R(β)/R* − 1| at margin one.

    No predictor is below a certified optimum by more than the certificate's gap, so one that is refutes as well.
    """

    def excess(β: Array) -> float:
        margin = float(problem.margins(β).min())
        return abs(regularizer.value(β) / margin / solution.objective - 1.0) if margin > 0 else math.inf

    return of_predictor(limit, excess)


def of_own_gap(limit: Limit, problem: MarginProblem, regularizer: Regularizer) -> Evidence:
    """The duality gap of a norm R, relative, that the flow's own weights p prove of its β: 1 − min m Σp/(R(β) R°(Aᵀp)).

    No predictor is below R(β) by more, whatever a solver would say.
    """
    p = limit.integrated.dual.ravel()
    dual = regularizer.dual_norm(problem.combine(p))

    def gap(β: Array) -> float:
        return 1.0 - float(problem.margins(β).min()) * float(p.sum()) / (regularizer.value(β) * dual)

    return of_predictor(limit, gap)


def of_angle(limit: Limit, solution: Solution, excess: Evidence) -> Evidence:
    """The angle to the only optimum of a norm.

    It refutes only where R is above the optimum as well: what R cannot tell from the optimum may still turn.
    """
    found = of_predictor(limit, lambda β: angle(β, solution.beta))
    apart = excess.figure - excess.uncertainty > RESOLUTION
    settled = apart or found.figure + found.uncertainty <= ANGLE_RESOLUTION
    return found if settled else Evidence(found.figure, math.inf)


def of_stationarity(limit: Limit, problem: MarginProblem, regularizer: Regularizer) -> Evidence:
    """For p < 1: how far Aᵀp, p the flow's own weights, is from a subgradient of R at β."""
    z = problem.combine(limit.integrated.dual.ravel())

    def residual(β: Array) -> float:
        c = regularizer.coefficients(β)
        kept = np.where(np.abs(c) > TRACE * np.abs(c).max(), c, 0.0)
        return regularizer.stationarity(regularizer.from_coefficients(kept), z.reshape(β.shape))

    return of_predictor(limit, residual)


def one_size(limit: Limit, regularizer: Regularizer) -> bool:
    """Whether all nonzero coefficients of the integrated β have one size: it is then stationary for every p or none."""
    β = limit.integrated.predictor
    if β is None or not np.isfinite(β).all():
        return False
    sizes = np.abs(regularizer.coefficients(β)).ravel()
    kept = sizes[sizes > TRACE * sizes.max()]
    return bool(kept.max() - kept.min() <= RESOLUTION * kept.max())


def of_kkt(limit: Limit, model: nn.Module, X: ArrayLike, y: ArrayLike) -> Evidence:
    """How far the direction is from a KKT point of min ‖w‖ s.t. y_n f(x_n; w) ≥ 1, for the module f itself.

    The sine of the angle between w and Σ p_n ∇_w y_n f(x_n; w), by the forward pass and automatic differentiation. For
    a flow that slides along kinks, where ∇f is not defined, the least over the subgradients of f there
    (`gd.flow.kink_residual`). Of the flow, w and p are taken, and not what it took for their subgradients.
    """
    at, own = place_before(limit), limit.integrated.residual
    if at is None or grows(limit):
        return Evidence(own, math.inf)
    figure = force_residual(limit, model, X, y)
    # the flow's own residual is the rate at which it still turns: what is of its order is no rest elsewhere
    moving = figure > RESOLUTION and figure <= LEFT * own
    return Evidence(figure, math.inf if moving else LEFT * abs(own - float(limit.path.residual[at])))


def kkt_check(statement: str, limit: Limit, model: nn.Module, X: ArrayLike, y: ArrayLike, reference: str) -> Check:
    """That the flow ends at a KKT point; where that is not reached, what is still moving."""
    reason = "" if limit.status.converged else str(limit.status)
    check = Check.of(statement, of_kkt(limit, model, X, y), RESOLUTION, reference=reference, reason=reason)
    return check if check.verdict.tested or reason else replace(check, reason=unsettled(limit))


def unsettled(limit: Limit) -> str:
    """What is still moving where the integration ended."""
    if grows(limit):
        rate = limit.integrated.growth
        return f"small weights still grow, by {rate:.2g} for each unit of ln‖w‖: a saddle that the flow has not left"
    at, own = place_before(limit), limit.integrated.residual
    if at is None:
        return f"the integration to ln‖w‖ = {limit.log_norm:.0f} is too short to tell what still moves"
    return (
        f"the direction still turns: its residual was {limit.path.residual[at]:.1g} at ln‖w‖ = "
        f"{limit.path.log_norm[at]:.0f} and is {own:.1g} at {limit.log_norm:.0f}"
    )


def force_residual(limit: Limit, model: nn.Module, X: ArrayLike, y: ArrayLike) -> float:
    """Sine of the angle between the integrated direction w and Σ p_n ∇_w y_n f(x_n; w); 1 where it points inwards.

    `model` has parameters of the shapes, in the order, of the network that was trained.
    """
    other = copy.deepcopy(model).to("cpu", torch.float64)
    inputs, targets = check_data(other, X, y, find_loss("exponential"))
    if limit.stats["kinks"]:
        return subgradient_residual(other, limit.integrated.weights, inputs, targets, limit.integrated.dual.ravel())
    trained = [parameter for parameter in other.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter, weights in zip(trained, limit.integrated.weights.values(), strict=True):
            parameter.copy_(torch.as_tensor(weights))
    margins = targets.margins(other(inputs).reshape(targets.output_shape))
    weighted = (torch.as_tensor(limit.integrated.dual) * margins).sum()
    force = np.concatenate([g.numpy().ravel() for g in torch.autograd.grad(weighted, trained)])
    w = np.concatenate([p.detach().numpy().ravel() for p in trained])
    if not force.any() or force @ w <= 0:
        return 1.0
    return math.sin(angle(force, w))
