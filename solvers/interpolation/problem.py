"""The constraints of an interpolation problem, and what a method finds for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from solvers.arrays import Array
from solvers.interpolation.row_space import RowSpace
from solvers.problem import MarginProblem
from solvers.validation import check_points, finite_array

if TYPE_CHECKING:
    from solvers.interpolation.min_norm import Interpolating


@dataclass(frozen=True, eq=False)
class InterpolationProblem:
    """⟨x_n, β⟩ = y_n, or ⟨x_n, β_m⟩ = y_{nm} for M outputs."""

    inputs: MarginProblem
    """The points x_n as an operator, every label one: `margins(beta)` is Xβ and `combine(nu)` is Xᵀν."""
    targets: Array
    """y, shape (N,) or (N, M)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of β."""
        return self.inputs.shape

    @property
    def columns(self) -> Array:
        """y as (N, M), one column an output."""
        return self.targets.reshape(self.targets.shape[0], -1)

    @cached_property
    def row_spaces(self) -> list[RowSpace]:
        """The constraints of each output in an orthonormal basis. Raises InconsistentDataError."""
        live = np.ones(self.shape if self.targets.ndim == 1 else self.shape[1:], dtype=bool)
        return [RowSpace.of(self.inputs.points, y, live) for y in self.columns.T]

    def missing(self, beta: Array) -> Array:
        """y − Xβ, of y's shape."""
        return self.targets - self.inputs.margins(beta).reshape(self.targets.shape)


def check_interpolation(X: ArrayLike, y: ArrayLike, regularizer: Interpolating) -> InterpolationProblem:
    """Validate data for min R(β) s.t. Xβ = y. Raises ValueError as `solvers.min_norm` says."""
    points, targets = check_points(X), finite_array("y", y)
    points = np.asarray(points.toarray()) if hasattr(points, "toarray") else points
    if points.ndim < 2 or 0 in points.shape:
        raise ValueError(
            f"X must have shape (N, D), one row per point (or (N, H, W) for images), at least one of each; got shape "
            f"{points.shape}. For a single point use X[None, :], for a single feature X[:, None]."
        )
    if targets.ndim not in (1, 2) or targets.shape[0] != points.shape[0] or (targets.ndim == 2 and points.ndim != 2):
        raise ValueError(
            f"y must have one target per row of X: shape ({points.shape[0]},), or ({points.shape[0]}, M) for M outputs "
            f"of points (N, D); got shapes {targets.shape} and {points.shape}"
        )
    if targets.ndim == 2 and not regularizer.several_outputs:
        raise ValueError(f"{regularizer} is defined for one output: y must have shape (N,), got {targets.shape}")
    shape = points.shape[1:] if targets.ndim == 1 else (targets.shape[1], points.shape[1])
    regularizer.check_shape(shape)
    for name, array in (("X", points), ("y", targets)):
        largest = float(np.abs(array).max())
        if largest != 0 and not 1e-100 < largest < 1e100:
            raise ValueError(f"the largest entry of {name} is {largest:.1e}: squares leave float64's range; rescale it")
    flat = np.ascontiguousarray(points.reshape(points.shape[0], -1))
    return InterpolationProblem(MarginProblem(flat, np.ones(targets.shape), shape), targets)
