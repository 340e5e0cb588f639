"""Data for regression: inputs X and real targets y, by name or as arrays."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from compare.data.dataset import DataError
from compare.reports.provenance import DataUsed
from solvers.arrays import Array
from solvers.validation import finite_array


@dataclass(frozen=True)
class RegressionData:
    """N points in D dimensions with real targets, N < D so that many predictors fit."""

    name: str
    X: Array = field(repr=False)
    """Shape (N, D)."""
    y: Array = field(repr=False)
    """Shape (N,)."""

    @property
    def used(self) -> DataUsed:
        """For a report's provenance."""
        return DataUsed(self.name, hashlib.sha256(self.X.tobytes() + self.y.tobytes()).hexdigest())


def regression_data(data: Any, y: ArrayLike | None) -> RegressionData:
    """`data` itself, or the data of that name, or points X with targets y.

    "sparse:N,D,K,seed" are N Gaussian points in D dimensions, y = Xβ with K entries ±1 in β.

    Raises DataError for a name that is none, ValueError for arrays that do not fit each other.
    """
    if isinstance(data, RegressionData):
        return data
    if isinstance(data, str):
        found = re.fullmatch(r"sparse:(\d+),(\d+),(\d+),(\d+)", data.strip())
        if found is None or not 1 <= int(found[3]) <= int(found[2]) or int(found[1]) < 1:
            raise DataError(
                f"no regression data are called {data!r}: write sparse:N,D,K,seed, such as sparse:10,20,2,0"
            )
        return several_fit(sparse(*map(int, found.groups())))
    if y is None:
        raise ValueError("points need their targets: give X and y, or the name of data as a string")
    X, targets = finite_array("X", data), finite_array("y", y)
    if X.ndim != 2 or targets.shape != X.shape[:1] or 0 in X.shape:
        raise ValueError(f"X must have shape (N, D) and y shape (N,); got {X.shape} and {targets.shape}")
    return several_fit(RegressionData("data", X, targets))


def several_fit(data: RegressionData) -> RegressionData:
    """The data themselves. Raises ValueError where X has full column rank: then one predictor at most fits them."""
    N, D = data.X.shape
    if N >= D and np.linalg.matrix_rank(data.X) == D:
        raise ValueError(f"{N} points in {D} dimensions: at most one predictor fits, from any start; give N < D points")
    return data


def sparse(N: int, D: int, K: int, seed: int) -> RegressionData:
    """Gaussian X, and y = Xβ with β_d = ±1 in the first K entries."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D))
    return RegressionData(f"sparse:{N},{D},{K},{seed}", X, X[:, :K] @ rng.choice([-1.0, 1.0], K))
