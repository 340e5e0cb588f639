"""One cell of a sweep: a network, data and a method come in, flat numbers go out. Runs in a worker process.

Columns that `measure_cell` fills, those that its method has no number for left out. Angles in radians, R in the
1-homogeneous form of `solvers.regularizers`, certificates as in `solvers.solution`:

    outcome                 name of the method's own status: OPTIMAL, STATIONARY, FINISHED, …
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
    method_seconds          wall-clock of the method itself, without the explicit solution that it is compared with
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from compare.data.load import Dataset, load
from compare.margin.architectures import ARCHITECTURES
from compare.reports.findings import Value
from compare.sweep.cell import Cell, Source
from solvers.arrays import Array
from solvers.max_margin import max_margin
from solvers.regularizers import Regularizer
from solvers.solution import Certificate, Solution

if TYPE_CHECKING:
    from compare.margin.families import Family
    from compare.margin.flow_and_solution import EndPoint

T = TypeVar("T")


def measure_cell(cell: Cell) -> dict[str, Value]:
    """Run one cell and return its columns. What the methods raise passes through.

    >>> from compare.sweep.plan import plan_of
    >>> plan = plan_of({"grid": {"data": "synthetic:4,6,0", "network": "diagonal"}})
    >>> columns = measure_cell(plan.cells[0])
    >>> columns["outcome"], columns["angle"] < 1e-8
    ('OPTIMAL', True)
    """
    data = data_of(cell.data)
    X = data.X if cell.image_shape is None else data.X.reshape(-1, *cell.image_shape)
    R = ARCHITECTURES[cell.network].regularizer(cell.depth)
    if R is None:
        raise ValueError(f"no induced regularizer is known for {cell.network!r}")
    method = METHODS[cell.method.partition(":")[0]]
    return {"points": data.X.shape[0], "dimension": data.X.shape[1], **method(cell, X, data.y, R)}


@lru_cache(maxsize=8)
def data_of(source: Source) -> Dataset:
    """The data of a cell, loaded by this process. Raises ValueError when they are not the numbers the plan was made
    with: a file that changed, or another version of scikit-learn on a cluster's machine."""
    data = load(source.location, scale=source.scale, offset=source.offset, several=False)
    if data.sha256 != source.sha256:
        raise ValueError(
            f"{source.location!r} holds other numbers here than where the plan was read (sha256 {data.sha256[:12]}… "
            f"instead of {source.sha256[:12]}…): the file changed, or the machines have different versions"
        )
    return data


def explicit(cell: Cell, X: Array, y: Array, R: Regularizer) -> dict[str, Value]:
    """method = "max_margin"."""
    seed: dict[str, Any] = {} if cell.seed is None else {"seed": cell.seed}
    began = time.perf_counter()
    solution = max_margin(X, y, R, tol=cell.tol, **seed)
    return {
        "method_seconds": time.perf_counter() - began,
        "outcome": solution.status.name,
        "objective": solution.objective,
        "best_objective": solution.objective,
        **certificate_columns(solution.certificate),
        "unique": solution.unique.known,
        "iterations": solution.stats.get("iterations"),
    }


def flow(cell: Cell, X: Array, y: Array, R: Regularizer) -> dict[str, Value]:
    """method = "flow": the limit of gradient flow, compared with the explicit solution."""
    from compare.margin.flow_and_solution import end_at, stationary_points
    from gd.flow.flow_limit import flow_limit

    family, loss, steps = family_of(cell, X), known(cell.loss), known(cell.steps)
    began = time.perf_counter()
    limit = flow_limit(family.models[0], X, y, loss=loss, tol=cell.tol, max_steps=steps, device="cpu")
    seconds = time.perf_counter() - began
    if R.is_norm:
        solution: Solution | None = shared_solution(cell.data, X.shape, R, cell.tol)
        best = solution
    else:
        solution, best = stationary_points(limit, family, y, tol=cell.tol)
    return {
        "method_seconds": seconds,
        "outcome": limit.status.name,
        **end_columns(end_at(limit.predictor, family, y, solution, limit.dual if R.is_norm else None), best),
        "kkt_epsilon": limit.kkt_epsilon / limit.norm_at_unit_margin,
        **columns(limit, "kkt_delta", "log_norm", "log_log_loss", "margin"),
        "iterations": limit.stats.get("steps"),
        "sign_locked": family.models[0].sign_locked is not None,
    }


def descent(cell: Cell, X: Array, y: Array, R: Regularizer) -> dict[str, Value]:
    """method = "descend:…": gradient descent after its last step, compared with the explicit solution of a norm."""
    from compare.margin.flow_and_solution import end_at
    from gd.descent.descend import descend

    family, loss, steps = family_of(cell, X), known(cell.loss), known(cell.steps)
    schedule = cell.method.partition(":")[2]
    began = time.perf_counter()
    path = descend(family.models[0], X, y, loss=loss, steps=steps, schedule=schedule, device="cpu")
    seconds = time.perf_counter() - began
    solution = shared_solution(cell.data, X.shape, R, cell.tol) if R.is_norm else None
    dual = None if solution is None else solution.dual
    measured = path.hypotheses()
    return {
        "method_seconds": seconds,
        "outcome": path.status[0].name,
        **end_columns(end_at(known(path.predictor)[0], family, y, solution, dual), solution),
        **columns(measured, "log_loss", "margin", "direction_change", "gradient_change"),
        "weight_norm": path.weight_norm[0, np.flatnonzero(~np.isnan(path.log_loss[0]))[-1]],
        "iterations": path.last_step[0],
        "sign_locked": measured.sign_locked is not None,
    }


METHODS: dict[str, Callable[[Cell, Array, Array, Regularizer], dict[str, Value]]] = {
    "max_margin": explicit,
    "flow": flow,
    "descend": descent,
}


def family_of(cell: Cell, X: Array) -> Family:
    """The cell's network with its initial weights, as a family of one."""
    from compare.margin.families import Family
    from gd.networks.linear import FullyConnected

    row, seed, scale = ARCHITECTURES[cell.network], known(cell.seed), known(cell.scale)
    if cell.width is not None:
        model: Any = FullyConnected(X.shape[1], cell.depth, width=cell.width, scale=scale, seed=seed)
    else:
        model = known(row.build)(X.shape[1:], cell.depth, scale, seed)
    return Family(row, cell.depth, (seed,), (model,), X)


@lru_cache(maxsize=8)
def shared_solution(source: Source, shape: tuple[int, ...], R: Regularizer, tol: float) -> Solution:
    """The explicit solution where R is a norm: the same for every seed, scale and loss, so solved once a process."""
    data = data_of(source)
    return max_margin(data.X.reshape(shape), data.y, R, tol=tol)


def end_columns(end: EndPoint, best: Solution | None) -> dict[str, Value]:
    """Where a network ended, compared with the explicit solution and with the best one known."""
    certificate = end.certificate
    objective = certificate.objective / certificate.margin if certificate and certificate.margin > 0 else None
    return {
        "angle": end.angle,
        "margin_gap": end.margin_gap,
        "objective": objective,
        "best_objective": None if best is None else best.objective,
        "excess": None if best is None or objective is None else objective / best.objective - 1.0,
        **(certificate_columns(certificate) if certificate else {}),
    }


def certificate_columns(certificate: Certificate) -> dict[str, Value]:
    """What a certificate says of the direction of β."""
    return {"gap": certificate.direction_gap, **columns(certificate, "stationarity", "complementarity", "support_size")}


def columns(source: Any, *names: str) -> dict[str, Value]:
    """These attributes as columns of the same names."""
    return {name: getattr(source, name) for name in names}


def known(value: T | None) -> T:
    """A parameter that the method needs; `compare.sweep.plan` gives it to every cell of the method."""
    if value is None:
        raise ValueError("the cell lacks a parameter that its method needs; make cells by compare.sweep.plan")
    return value
