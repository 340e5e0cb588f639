"""One cell of a sweep: a network, data and a road come in, flat numbers go out. Runs in a worker process.

Columns that `measure_cell` fills, those that its road has no number for left out. Angles in radians, R in the
1-homogeneous form of `solvers.regularizers`, certificates as in `solvers.solution.Certificate`:

    outcome                 name of the road's own status: OPTIMAL, STATIONARY, FINISHED, …
    points, dimension       N, D
    angle, margin_gap       ∠(β, β*) and 1 − γ(β)/γ(β*), β* the explicit solution (for p < 1 the stationary point that
                            the solver reaches from the flow's limit)
    objective               R(β) at margin one; best_objective: of the best solution known; excess: their ratio − 1
    gap                     (R(β) − 1ᵀα)/R(β) at margin one, where R is a norm: how far the direction is from optimal
    stationarity, complementarity, support_size
    kkt_epsilon, kkt_delta  of the weights, relative to their norm and absolute (flow)
    log_norm, log_log_loss  ln‖w‖, ln(−ln loss) that the flow reached; log_loss, weight_norm: of descend
    margin                  min_n y_n f(x_n; w)/‖w‖^L of the weights (flow, descend)
    direction_change, gradient_change  radians since the snapshot before (descend)
    iterations              steps taken; unique: whether the explicit solution is the only one
    sign_locked             whether the initialization keeps coefficients of β from changing sign
    road_seconds            wall-clock of the road itself, without the explicit solution beside it
"""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from compare.data.load import Dataset
from compare.margin.networks import ARCHITECTURES
from compare.sweep.cell import Cell, Options
from compare.sweep.plan import opened
from solvers.max_margin import max_margin
from solvers.regularizers import Regularizer
from solvers.solution import Certificate, Solution

if TYPE_CHECKING:
    from compare.margin.families import Family
    from gd.networks.linear_network import LinearNetwork

T = TypeVar("T")
Number = float | int | str | bool | None


def measure_cell(cell: Cell) -> dict[str, Number]:
    """Run one cell and return its columns. Whatever the roads raise passes through.

    >>> from compare.sweep.plan import plan_of
    >>> plan = plan_of({"grid": {"data": "synthetic:4,6,0", "network": "diagonal"}})
    >>> columns = measure_cell(plan.cells[0])
    >>> columns["outcome"], columns["angle"] < 1e-8
    ('OPTIMAL', True)
    """
    dataset = data_of(cell.source, cell.options, cell.sha256)
    road = explicit_cell if cell.road == "max_margin" else flow_cell if cell.road == "flow" else descent_cell
    return {"points": dataset.X.shape[0], "dimension": dataset.X.shape[1], **road(cell, dataset)}


@lru_cache(maxsize=8)
def data_of(source: str, options: Options, sha256: str) -> Dataset:
    """The data of a cell, loaded by this process. Raises ValueError when they are not the numbers the plan was made
    with: a file that changed, or another version of scikit-learn on a cluster's machine."""
    dataset = opened(source, options)
    if dataset.sha256 != sha256:
        raise ValueError(
            f"{source!r} holds other numbers here than where the plan was read (sha256 {dataset.sha256[:12]}… instead "
            f"of {sha256[:12]}…): the file changed, or the machines have different versions"
        )
    return dataset


def shaped(cell: Cell, dataset: Dataset) -> np.ndarray[Any, Any]:
    """X as the cell's network takes it."""
    return dataset.X if cell.image_shape is None else dataset.X.reshape(-1, *cell.image_shape)


def regularizer_of(cell: Cell) -> Regularizer:
    """R of the cell's network."""
    regularizer = ARCHITECTURES[cell.network].regularizer(cell.depth)
    if regularizer is None:
        raise ValueError(f"no induced regularizer is known for {cell.network!r}")
    return regularizer


@lru_cache(maxsize=8)
def shared_solution(source: str, options: Options, sha256: str, shape: tuple[int, ...], R: Regularizer) -> Solution:
    """The explicit solution where R is a norm: the same for every seed, scale and loss, so solved once a process."""
    dataset = data_of(source, options, sha256)
    return max_margin(dataset.X.reshape(shape), dataset.y, R, tol=options.tol)


def explicit_cell(cell: Cell, dataset: Dataset) -> dict[str, Number]:
    """road = "max_margin"."""
    X, R = shaped(cell, dataset), regularizer_of(cell)
    seed: dict[str, Any] = {} if cell.seed is None else {"seed": cell.seed}
    began = time.perf_counter()
    solution = max_margin(X, dataset.y, R, tol=cell.tol, **seed)
    seconds = time.perf_counter() - began
    return {
        "outcome": solution.status.name,
        "objective": solution.objective,
        "best_objective": solution.objective,
        **certificate_columns(solution.certificate),
        "unique": solution.unique.known,
        "iterations": whole(solution.stats.get("iterations")),
        "road_seconds": seconds,
    }


def network_of(cell: Cell, X: np.ndarray[Any, Any]) -> tuple[LinearNetwork, Family]:
    """The cell's network with its initial weights, and its family of one."""
    from compare.margin.families import Family
    from gd.networks.linear import FullyConnected

    seed, scale = known(cell.seed), known(cell.scale)
    row = ARCHITECTURES[cell.network]
    if cell.width is not None:
        model: Any = FullyConnected(X.shape[1], cell.depth, width=cell.width, scale=scale, seed=seed)
    else:
        assert row.build is not None  # every row of the table builds
        model = row.build(X.shape[1:], cell.depth, scale, seed)
    return model, Family(row, cell.depth, (seed,), (model,), X)


def flow_cell(cell: Cell, dataset: Dataset) -> dict[str, Number]:
    """road = "flow": the limit of gradient flow, beside the explicit solution."""
    from compare.margin.measure import Plan, end_at, stationary_points
    from gd.flow.flow_limit import flow_limit

    X, R = shaped(cell, dataset), regularizer_of(cell)
    model, family = network_of(cell, X)
    loss, steps = known(cell.loss), known(cell.steps)
    began = time.perf_counter()
    limit = flow_limit(model, X, dataset.y, loss=loss, tol=cell.tol, max_steps=steps, device="cpu")
    seconds = time.perf_counter() - began
    if R.is_norm:
        solution = best = shared_solution(cell.source, cell.options, cell.sha256, X.shape, R)
    else:
        solution, best = stationary_points(limit, family, dataset.y, Plan(tol=cell.tol))  # type: ignore[assignment]
    end = end_at(limit.predictor, family, dataset.y, solution, limit.dual if R.is_norm else None)
    objective = None if limit.predictor is None else R.value(limit.predictor)
    return {
        "outcome": limit.status.name,
        "angle": end.angle,
        "margin_gap": end.margin_gap,
        "objective": objective,
        "best_objective": None if best is None else best.objective,
        "excess": None if best is None or objective is None else objective / best.objective - 1.0,
        **(certificate_columns(end.certificate) if end.certificate else {}),
        "kkt_epsilon": limit.kkt_epsilon / limit.norm_at_unit_margin,
        "kkt_delta": limit.kkt_delta,
        "log_norm": limit.log_norm,
        "log_log_loss": limit.log_log_loss,
        "margin": limit.margin,
        "iterations": whole(limit.stats.get("steps")),
        "sign_locked": model.sign_locked is not None,
        "road_seconds": seconds,
    }


def descent_cell(cell: Cell, dataset: Dataset) -> dict[str, Number]:
    """road = "descend:…": gradient descent after its last step, beside the explicit solution (where R is a norm)."""
    from compare.margin.measure import end_at
    from gd.descent.descend import descend

    X, R = shaped(cell, dataset), regularizer_of(cell)
    model, family = network_of(cell, X)
    loss, steps = known(cell.loss), known(cell.steps)
    schedule = cell.road.partition(":")[2]
    began = time.perf_counter()
    path = descend(model, X, dataset.y, loss=loss, steps=steps, schedule=schedule, device="cpu")
    seconds = time.perf_counter() - began
    solution = shared_solution(cell.source, cell.options, cell.sha256, X.shape, R) if R.is_norm else None
    assert path.predictor is not None  # every network of the table is a linear predictor
    end = end_at(path.predictor[0], family, dataset.y, solution, None if solution is None else solution.dual)
    measured = path.hypotheses()
    certificate = end.certificate
    objective = certificate.objective / certificate.margin if certificate and certificate.margin > 0 else None
    best = None if solution is None else solution.objective
    return {
        "outcome": path.status[0].name,
        "angle": end.angle,
        "margin_gap": end.margin_gap,
        "objective": objective,
        "best_objective": best,
        "excess": None if best is None or objective is None else objective / best - 1.0,
        **(certificate_columns(certificate) if certificate else {}),
        "log_loss": measured.log_loss,
        "weight_norm": float(path.weight_norm[0, np.flatnonzero(~np.isnan(path.log_loss[0]))[-1]]),
        "margin": measured.margin,
        "direction_change": measured.direction_change,
        "gradient_change": measured.gradient_change,
        "iterations": int(path.last_step[0]),
        "sign_locked": measured.sign_locked is not None,
        "road_seconds": seconds,
    }


def certificate_columns(certificate: Certificate) -> dict[str, Number]:
    """What a certificate says of the direction of β."""
    return {
        "gap": certificate.direction_gap,
        "stationarity": certificate.stationarity,
        "complementarity": certificate.complementarity,
        "support_size": certificate.support_size,
    }


def known(value: T | None) -> T:
    """A parameter that this road needs; `compare.sweep.plan` gives it to every cell of the road."""
    if value is None:
        raise ValueError("the cell lacks a parameter that its road needs; make cells by compare.sweep.plan")
    return value


def whole(value: Any) -> int | None:
    """A count, or None where there is none."""
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else None
