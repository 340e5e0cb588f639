"""One network under one optimizer, step by step, and how far it is from the certified optimum of any norm.

**Evidence.** A margin converges slowly: R(β_t)/min margin is above its limit by about ln N/‖θ_t‖, whatever the
schedule. So the clock is ‖θ‖ in the optimizer's norm, and the line e + c/‖θ‖ is fitted to a figure by least squares,
once since ‖θ‖ was half of what it is, and once in the doubling before. What is reported is

    |e| ± ( 3·|e − e of the doubling before| + largest residual of the fit ).

A figure that has another law, or has not come to it, is extrapolated differently by the two; three times the
difference holds the limit of every power ‖θ‖^{−a}, a ≥ log₂(4/3). Where ‖θ‖ has not doubled
twice with positive margins nothing is decided: raw gradients that vanish move weights by ln t, and their run of a
million steps is still at its beginning. Measured: shortfalls whose limit is 0 are extrapolated to 1e-6 to 1e-3 after
4,000 steps, where they are themselves 1e-3 to 1e-2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from compare.optimizers.predictions import Prediction, prediction
from compare.reports.verdict import Evidence
from gd.descent.armijo import ArmijoLineSearch
from gd.descent.descend import descend
from gd.descent.limit_search import OptimizerLimit, search_of
from gd.descent.schedule import DecayingStep, LossNormalized, Schedule
from gd.descent.trajectory import Trajectory
from gd.losses import find_loss
from gd.networks.linear import Diagonal, FullyConnected
from gd.networks.linear_network import LinearNetwork
from gd.optimizers.adam import Adam
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.table import OPTIMIZERS
from solvers.arrays import Array
from solvers.max_margin import max_margin
from solvers.regularizers import Regularizer
from solvers.solution import Solution
from solvers.validation import check_problem

LEFT = 3.0  # of the difference of two extrapolations: see the module
BOLD = 10.0
"""The first step in units of the largest dual norm of a point. Measured on Gaussian data: from 5 to 30 the gap after
3,000 steps is within a factor 3 of its best for sign, coordinate and spectral descent."""


@dataclass(frozen=True)
class Way:
    """How an optimizer is run in the comparison."""

    family: str
    """Of `compare.optimizers.predictions.FAMILIES`."""
    optimizer: Optimizer
    rescaled: bool = False
    slow: float = 1.0
    """What the first step is divided by: with momentum μ a gradient counts 1/(1 − μ) times."""

    def schedule(self, unit: float, depth: int) -> Schedule:
        """η_t = c·t^{1/(2L)−1}, so that ‖θ‖^L and with it the margins grow like √t, and oscillate less and less.

        Gradient descent has step sizes of its own.
        """
        if self.optimizer.is_gradient:
            return LossNormalized() if depth == 1 else ArmijoLineSearch()
        first = (2.0 * BOLD * unit / self.slow) ** (1.0 / depth) / (2.0 * depth)
        return DecayingStep(first, exponent=1.0 - 0.5 / depth)


WAYS: dict[str, Way] = {
    "gradient": Way("gradient", OPTIMIZERS["gradient"]),
    "sign": Way("sign", OPTIMIZERS["sign"]),
    "signum": Way("sign", OPTIMIZERS["signum"], slow=10.0),
    "adam": Way("sign", Adam(beta1=0.9, beta2=0.95), rescaled=True),
    "coordinate": Way("coordinate", OPTIMIZERS["coordinate"]),
    "spectral": Way("spectral", OPTIMIZERS["spectral"]),
    "muon": Way("spectral", OPTIMIZERS["muon"], slow=20.0),
}
"""By the names that `compare optimizers` takes."""


@dataclass(frozen=True)
class Run:
    """One network under one optimizer."""

    architecture: str
    depth: int
    optimizer: str
    """Its name in `WAYS`, or what it is called here."""
    family: str
    trajectory: Trajectory = field(repr=False)
    X: Array = field(repr=False)
    y: Array = field(repr=False)
    optima: dict[Regularizer, Solution] = field(repr=False)
    """Certified optima, shared by the runs on the same data."""
    model: LinearNetwork = field(repr=False)
    """The network before training."""
    way: Way = field(repr=False)

    @property
    def label(self) -> str:
        where = self.architecture if self.depth == 1 else f"{self.architecture}, L={self.depth}"
        return f"{self.optimizer} on a {where}"

    @property
    def several(self) -> bool:
        """Whether there are several outputs."""
        return self.y.ndim == 2

    @property
    def line(self) -> Prediction | None:
        """The table's line."""
        several = ", several outputs" if self.several and self.architecture == "fully connected" else ""
        return prediction(self.architecture + several, self.family)

    @property
    def regularizer(self) -> Regularizer | None:
        """R of the table's line at this depth."""
        return None if self.line is None else self.line.regularizer(self.depth, several=self.several)

    def optimum(self, regularizer: Regularizer) -> Solution:
        """min R(β) s.t. margins ≥ 1, certified."""
        if regularizer not in self.optima:
            self.optima[regularizer] = max_margin(self.X, self.y, regularizer)
        return self.optima[regularizer]

    @cached_property
    def reached(self) -> int:
        """How many snapshots the run has."""
        return int((~np.isnan(self.trajectory.log_loss[0])).sum())

    def excess(self, regularizer: Regularizer) -> Array:
        """R(β_t)/min margin over the certified optimum, less 1, at every snapshot; inf without a positive margin."""
        assert self.trajectory.predictors is not None
        path = self.trajectory.predictors[0, : self.reached]
        values = np.array([regularizer.value(β) for β in path])
        margins = self.trajectory.raw_margin[0, : self.reached]
        found = np.full(values.size, np.inf)
        np.divide(values, margins, out=found, where=margins > 0)
        return found / self.optimum(regularizer).objective - 1.0

    def evidence(self, figures: Array) -> Evidence:
        """Figures at the snapshots, as evidence that their limit is 0."""
        θ = np.asarray(self.trajectory.norm if self.trajectory.norm is not None else self.trajectory.weight_norm)[0]
        θ, last = θ[: self.reached], self.reached - 1
        half, quarter = (int(np.flatnonzero(θ <= part * θ[last])[-1:].sum()) for part in (0.5, 0.25))
        if quarter == 0 or min(half - quarter, last - half) < 3 or not np.isfinite(figures[quarter:]).all():
            return Evidence(abs(float(figures[last])), math.inf)
        limit, residual = _extrapolated(θ[half:], figures[half:])
        before, _ = _extrapolated(θ[quarter : half + 1], figures[quarter : half + 1])
        return Evidence(abs(limit), LEFT * abs(limit - before) + residual)

    def of_optimum(self, regularizer: Regularizer) -> Evidence:
        """How far the margin in R is below the largest one, relatively."""
        return self.evidence(self.excess(regularizer))

    @cached_property
    def limit(self) -> OptimizerLimit:
        """What the KKT system in the optimizer's norm makes of the run's end: a certified limit, or none.

        Equations have been solved from the iterate, so it decides no prediction.
        """
        loss, R = find_loss(self.trajectory.loss), self.regularizer
        search = search_of(self.model, self.X, self.y, self.way.optimizer, loss, R, 1e-9, 0.03)
        return search.limit(self.trajectory)

    def of_stationarity(self) -> Evidence | None:
        """How far the weights are from a KKT point of min ‖θ‖; None where the optimizer's norm is not known."""
        found = self.trajectory.stationarity
        return None if found is None else self.evidence(found[0, : self.reached])


def _extrapolated(θ: Array, figures: Array) -> tuple[float, float]:
    """e of the line e + c/‖θ‖, by least squares, and the largest residual."""
    lines = np.column_stack([np.ones_like(θ), θ[0] / θ])
    found = np.linalg.lstsq(lines, figures, rcond=None)[0]
    return float(found[0]), float(np.abs(lines @ found - figures).max())


def network(architecture: str, D: int, depth: int, outputs: int, init: float, seed: int) -> LinearNetwork:
    """The network; a linear predictor starts at 0, where no direction is preferred."""
    if architecture == "diagonal":
        return Diagonal(D, depth, scale=init, seed=seed)
    return FullyConnected(D, depth, outputs=outputs, scale=1e-9 if depth == 1 else init, seed=seed)


def unit_step(X: Array, y: Array, optimizer: Optimizer) -> float:
    """1 over the largest dual norm of a signed point, in the norm of a linear predictor: its margin moves by 1."""
    shape = X.shape[1:] if y.ndim == 1 else (y.shape[1], X.shape[1])
    R = optimizer.norm(shape)
    assert R is not None
    rows = check_problem(X, y, R).A.reshape(-1, *shape)
    return 1.0 / max(R.dual_norm(row) for row in rows)


def run(
    X: Array,
    y: Array,
    architecture: str,
    depth: int,
    name: str,
    *,
    steps: int,
    init: float,
    seed: int,
    optima: dict[Regularizer, Solution],
    ways: Mapping[str, Way] = WAYS,
) -> Run:
    """Train it. `optima` is shared by the runs on the same data."""
    way = ways[name]
    outputs = 1 if y.ndim == 1 else y.shape[1]
    model = network(architecture, X.shape[1], depth, outputs, init, seed)
    trajectory = descend(
        model,
        X,
        y,
        steps=steps,
        optimizer=way.optimizer,
        schedule=way.schedule(unit_step(X, y, way.optimizer), depth),
        rescaled=way.rescaled,
        snapshots=100,
    )
    return Run(architecture, depth, name, way.family, trajectory, X, y, optima, model, way)
