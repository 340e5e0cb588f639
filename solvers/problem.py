"""The constraints of a margin problem, with the data as a linear operator β ↦ (y_n⟨x_n, β⟩)_n."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from solvers.algorithms.matrix_rows import MatrixRows, OutputRows
from solvers.algorithms.signed_rows import SignedRows, dense
from solvers.arrays import Array
from solvers.cycles import Arcs
from solvers.extended_precision import BLOCK, careful_margins, extended_product, in_row_blocks, powers_of_two, row_norms

if TYPE_CHECKING:
    from solvers.regularizers.regularizer import Regularizer


def raised(right: Array, by: float = 8.0) -> Array:
    """Right sides of rows of norm one, small ones raised: rounding β, of norm 1/2 or more, misses them by ε."""
    return np.where(right < 1e-2, right + by * np.finfo(np.float64).eps, right)


@dataclass(frozen=True, eq=False)
class EquilibratedRows:
    """Aβ ≥ 1 as Â(σβ) ≥ r: rows are scaled together with their right sides, by powers of two: nothing is rounded."""

    rows: Array
    """Â: norms in [1, 2)."""
    share: Array
    """r, the largest is 1; multipliers α̂ of these rows are α = r α̂ of A."""
    scale: float
    """σ."""

    @property
    def right(self) -> Array:
        """r, but at least ε/2: less is lost when σβ, of norm 1/2 at least, is rounded."""
        return np.maximum(self.share, 0.5 * np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class MarginProblem:
    """The constraints ⟨a_m, β⟩ ≥ 1, a_m = y_n x_n.

    With labels of shape (N,) constraint n is y_n⟨x_n, β⟩ ≥ 1 and β has the shape of one x. With labels of shape (N, M)
    (M outputs) constraint nM + m is y_{nm}⟨x_n, β_m⟩ ≥ 1 and β has shape (M, D).
    """

    points: Any
    """x_n, flattened: shape (N, size of x), float64; a C-contiguous array, or a scipy sparse array in CSR format; or
    `Float32Points`, where R is minimized by products with X and few of its rows."""
    labels: Array
    """y, entries ±1, shape (N,) or (N, M)."""
    shape: tuple[int, ...]
    """Shape of β."""
    names: NDArray[Any] = field(default_factory=lambda: np.array([-1.0, 1.0]), kw_only=True)
    """What the labels −1 and +1 stand for; of K classes all of them, in order."""

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of y, and of the multipliers."""
        return self.labels.shape

    @property
    def matrix(self) -> bool:
        """Whether β has one row for each of several outputs."""
        return self.labels.ndim == 2

    @cached_property
    def arcs(self) -> Arcs:
        """The constraints as arcs between two classes, −1 and +1, in one graph for every output."""
        positive = (self.labels.reshape(-1) > 0).astype(np.intp)
        outputs = self.labels.size // self.labels.shape[0]
        return Arcs(np.arange(positive.size) % outputs, positive, 1 - positive, 2)

    def from_potentials(self, b: Array) -> float | Array:
        """The intercepts, from b (graphs, classes)."""
        found = b[:, 1] - b[:, 0]
        return found if self.matrix else float(found[0])

    @property
    def n_constraints(self) -> int:
        """The number of rows a_m."""
        return int(np.prod(self.label_shape))

    @property
    def alternatives(self) -> int:
        """How many constraints in a row share one term ln(1 + Σ e^{−m}) of the cross entropy: one."""
        return 1

    @cached_property
    def A(self) -> Array:
        """The rows a_m, shape (number of constraints, size of β): for methods that work on a dense matrix."""
        return self.rows(np.arange(self.n_constraints))

    @cached_property
    def largest_norm(self) -> float:
        """max_m ‖a_m‖₂, here max_n ‖x_n‖₂."""
        return float(row_norms(self.points).max())

    @property
    def has_zero_row(self) -> bool:
        """Whether some x_n is the origin: its margin is zero, whatever β."""
        return not in_row_blocks(lambda rows: np.asarray(abs(rows).sum(axis=1)), self.points).all()

    @cached_property
    def signed_rows(self) -> SignedRows:
        """The rows a_m for methods that ask for a few at a time; with one output X is not copied."""
        return SignedRows(self.points, self.labels) if self.labels.ndim == 1 else SignedRows.of(self.A)

    @property
    def independent_rows(self) -> list[SignedRows]:
        """The rows of each part of β that no constraint ties to another: of every output by itself."""
        labels = self.labels.reshape(self.points.shape[0], -1)
        return [SignedRows(self.points, y) for y in labels.T]

    def matrix_rows(self, sizes: Array) -> MatrixRows:
        """The constraints on a matrix β (M, D), the points divided by their `sizes` (N,)."""
        points = dense(self.points) / sizes[:, None]
        return OutputRows(points, self.labels.reshape(sizes.size, -1))

    def suited(self, regularizer: Regularizer) -> Regularizer:
        """The regularizer of predictors of this shape: itself, except where the rows of β are to be told apart."""
        return regularizer

    @cached_property
    def equilibrated(self) -> EquilibratedRows:
        """The constraints with rows of norm one, nearly. No row is zero."""
        sizes = powers_of_two(np.linalg.norm(self.A, axis=1))
        return EquilibratedRows(self.A / sizes[:, None], float(sizes.min()) / sizes, float(sizes.min()))

    def rows(self, index: NDArray[np.intp]) -> Array:
        """The rows a_m with these indices, flattened: shape (k, size of β)."""
        if self.labels.ndim == 1:
            return dense(self.signed_rows[index])
        n, m = np.unravel_index(index, self.label_shape)
        rows = np.zeros((index.size, *self.shape))
        rows[np.arange(index.size), m] = self.labels[n, m][:, None] * dense(self.points[n])
        return rows.reshape(index.size, -1)

    def compared(self, outputs: Any) -> Any:
        """Margins in the shape of the labels, from ⟨x_n, β_m⟩ (N, M) for M outputs."""
        return self.labels * outputs.reshape(self.label_shape)

    def spread(self, dual: Array) -> Array:
        """The adjoint of `compared`: from multipliers the weights of x_n in each output, (N, M)."""
        return np.asarray(self.labels * dual.reshape(self.label_shape)).reshape(self.points.shape[0], -1)

    def conic_margins(self, cp: Any, flat: Any) -> Any:
        """The margins in the shape of the labels, as an expression of the library `cp` (cvxpy) of β, flat."""
        columns = flat if self.labels.ndim == 1 else cp.reshape(flat, self.shape, order="C").T
        return cp.multiply(self.labels, self.points @ columns)

    def margins(self, beta: Array) -> Array:
        """⟨a_m, β⟩ for every constraint, shape (number of constraints,)."""
        return np.asarray(self.compared(self.points @ beta.reshape(-1, self.points.shape[1]).T)).reshape(-1)

    def combine(self, dual: Array) -> Array:
        """Aᵀα = Σ_m α_m a_m, in the shape of β."""
        return np.asarray((self.points.T @ self.spread(dual)).T).reshape(self.shape)

    def curvature(self, blocks: Array) -> Array:
        """AᵀHA, (size of β, size of β), H with these blocks on its diagonal (`MarginLoss.curvature_blocks`)."""
        rows = self.A.reshape(len(blocks), -1, self.A.shape[1])
        return np.asarray(np.tensordot(blocks @ rows, rows, axes=((0, 1), (0, 1))))

    def careful_margins(self, beta: Array) -> Array:
        """`margins` for a certificate: the smallest ones are accumulated in the machine's longest format."""
        labels = self.labels.reshape(self.points.shape[0], -1)
        outputs = beta.reshape(labels.shape[1], -1)
        margins = [careful_margins(self.points, y, b) for y, b in zip(labels.T, outputs, strict=True)]
        return np.stack(margins, axis=1).reshape(-1)

    def careful_combine(self, dual: Array) -> Array:
        """`combine` for a certificate: in the longest format, where few enough α are nonzero."""
        columns = []
        for weights in self.spread(dual).T:
            active = np.flatnonzero(weights)
            exact = active.size <= max(2 * self.points.shape[1], BLOCK // self.points.shape[1])
            columns.append(
                extended_product(self.points[active].T, weights[active]) if exact else self.points.T @ weights
            )
        return np.stack(columns).reshape(self.shape)
