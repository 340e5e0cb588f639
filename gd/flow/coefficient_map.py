"""Margin maps of networks whose induced regularizer is a sum over coefficients of β: entries, or frequencies.

For these the KKT point near a direction of the flow is found in the coefficients (`gd.flow.coefficient_polish`), and
lifted to the cheapest weights that compute it, which is exact where a weight of the flow is e^{−300}.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gd.flow.coefficient_polish import CoefficientProblem, polish_coefficients
from gd.flow.kkt import StationaryPoint, kkt
from gd.flow.margin_map import MarginMap
from solvers.arrays import Array

THRESHOLDS = (1e-2, 1e-3, 1e-4, 1e-6, 1e-9)
"""Of the largest coefficient: below it one is taken to vanish. Several are tried, for how far the flow has come decides
which is right; a wrong one gives no consistent active set, or a point that the termination test rejects."""


class CoefficientMap(MarginMap):
    """A margin map with the induced problem in coefficients c of β: min Σ ω_d|c_d|^p s.t. m(c) ≥ 1."""

    settles_slowly = False

    @abstractmethod
    def coefficient_problem(self) -> CoefficientProblem:
        """The induced problem, each coefficient as a vector of real coordinates."""

    @abstractmethod
    def real_coefficients(self, theta: Tensor) -> Array:
        """The coefficients of one row of θ in these coordinates, (coefficients, m)."""

    @abstractmethod
    def lift(self, c: Array, theta: Tensor) -> Tensor:
        """The cheapest weights that compute c, in the gauge (signs, phases, rotations between layers) of θ."""

    def polished(
        self, theta: Tensor, p: Array, *, carried: Any, may_grow: bool, tol: float
    ) -> Iterator[StationaryPoint]:
        del carried, tol
        problem, c = self.coefficient_problem(), self.real_coefficients(theta)
        magnitudes = np.linalg.norm(c, axis=1)
        sizes = set()
        for threshold in THRESHOLDS:
            size = int((magnitudes > threshold * magnitudes.max()).sum())
            if size in sizes:
                continue
            sizes.add(size)
            solved = polish_coefficients(problem, c, p, threshold, may_grow=may_grow)
            if solved is None:
                continue
            lifted = self.lift(solved.c, theta)
            lifted = lifted / torch.linalg.vector_norm(lifted)
            yield StationaryPoint(
                lifted, solved.alpha, kkt(self, lifted, solved.alpha), stable=solved.stable, isolated=solved.isolated
            )
            if problem.p == 1.0 and may_grow and solved.isolated:
                return  # with no dual constraint violated it is the optimum, and other thresholds lead to no other
