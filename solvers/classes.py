"""Several classes: labels of three values and more, and the constraints that they are.

With classes 1 … K a predictor is a matrix W, one row w_k a class, and a point belongs to the class of largest ⟨w_k, x⟩.
Point n has the K − 1 constraints

    ⟨w_{y_n} − w_k, x_n⟩ ≥ 1     for every k ≠ y_n,

numbered (n, j), j = 0 … K − 2 counting the other classes in order. That is another problem than K tasks with labels ±1
of their own (labels of shape (N, K)), in which each row of W has to separate its class from zero.

Reference: Crammer, Singer (2001), for the constraints; Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018),
that gradient descent on the cross entropy maximizes this margin; Ravi, Scott, Soudry, Wang (2024), for other losses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from solvers.algorithms.matrix_rows import MatrixRows, PlainRows
from solvers.algorithms.signed_rows import SignedRows, dense
from solvers.arrays import Array
from solvers.cycles import Arcs
from solvers.extended_precision import BLOCK, in_row_blocks, row_norms
from solvers.labels import distinct_labels
from solvers.problem import MarginProblem

if TYPE_CHECKING:
    from solvers.regularizers.regularizer import Regularizer


@dataclass(frozen=True, eq=False)
class Classes:
    """Which class each point has."""

    names: NDArray[Any] = field(repr=False)
    """The K classes, sorted; row k of a predictor belongs to `names[k]`."""
    index: NDArray[np.intp] = field(repr=False)
    """y_n as a number from 0 to K − 1, shape (N,)."""

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K − 1): one constraint for every point and every other class."""
        return self.index.size, self.names.size - 1

    @cached_property
    def others(self) -> NDArray[np.intp]:
        """The classes k ≠ y_n of each point in order, (N, K − 1)."""
        j = np.arange(self.names.size - 1)
        return np.asarray(j + (j >= self.index[:, None]))

    def differences(self, outputs: Array) -> Array:
        """f_{y_n} − f_k for outputs f (N, K): shape (N, K − 1)."""
        n = np.arange(self.index.size)
        return np.asarray(outputs[n, self.index][:, None] - outputs[n[:, None], self.others])

    def sums(self, outputs: Array) -> Array:
        """f_{y_n} + f_k likewise."""
        n = np.arange(self.index.size)
        return np.asarray(outputs[n, self.index][:, None] + outputs[n[:, None], self.others])

    def spread(self, weights: Array) -> Array:
        """The adjoint of `differences`: (N, K − 1) → (N, K)."""
        n = np.arange(self.index.size)
        spread = np.zeros((n.size, self.names.size), dtype=weights.dtype)
        spread[n[:, None], self.others] = -weights
        spread[n, self.index] = weights.sum(axis=1)
        return spread


def find_classes(y: Any) -> Classes | None:
    """The classes of labels (N,): integers or strings of three values or more; None for other numbers.

    Raises ValueError for one or two strings: two classes are −1 and +1.

    >>> find_classes(["b", "a", "c", "a"]).index.tolist(), find_classes([1, -1, 1]) is None
    ([1, 0, 2, 0], True)
    """
    found = distinct_labels(y)
    return None if found is None or found[0].size < 3 else Classes(*found)


@dataclass(frozen=True, eq=False)
class DifferenceRows(SignedRows):
    """The rows f_{nk} (e_{y_n} − e_k) ⊗ x_n, with their columns scaled: a few at a time; X is not copied."""

    classes: Classes = field(kw_only=True)

    @property
    def shape(self) -> tuple[int, int]:
        return self.factors.size, self.classes.names.size * int(self.points.shape[1])

    @property
    def _column_table(self) -> Array:
        """c, (K, D)."""
        K, D = self.classes.names.size, self.points.shape[1]
        return np.ones((K, D)) if self.columns is None else self.columns.reshape(K, D)

    def __getitem__(self, index: NDArray[np.intp] | slice) -> Any:
        chosen = np.arange(self.factors.size)[index]
        n, j = np.unravel_index(chosen, self.classes.shape)
        own, other = self.classes.index[n], self.classes.others[n, j]
        some, D = self.points[n], self.points.shape[1]
        if isinstance(some, np.ndarray):
            rows = np.zeros((chosen.size, self.classes.names.size, D))
            some = some * self.factors[chosen, None]
            rows[np.arange(chosen.size), own], rows[np.arange(chosen.size), other] = some, -some
            flat = rows.reshape(chosen.size, self.shape[1])
            return flat if self.columns is None else flat * self.columns
        entries = some.multiply(self.factors[chosen, None]).tocoo()
        where, (column, values) = entries.coords[0], (entries.coords[1], entries.data)
        columns = np.concatenate([column + D * own[where], column + D * other[where]])
        both = csr_array(
            (np.concatenate([values, -values]), (np.tile(where, 2), columns)), (chosen.size, self.shape[1])
        )
        return both if self.columns is None else both.multiply(self.columns[None]).tocsr()

    def products(self, beta: Array) -> Array:
        table = self._column_table * beta.reshape(self.classes.names.size, -1)
        return np.asarray(self.factors * self.classes.differences(self.points @ table.T).reshape(-1))

    def combination(self, alpha: Array) -> Array:
        weights = self.classes.spread((self.factors * alpha).reshape(self.classes.shape))
        z = np.asarray((self.points.T @ weights).T)
        return (z * self._column_table).reshape(-1)

    def norms(self) -> Array:
        sizes = np.stack([row_norms(self.points, None if self.columns is None else c) for c in self._column_table])
        n = np.arange(self.classes.index.size)
        own, other = sizes[self.classes.index, n], sizes[self.classes.others, n[:, None]]
        return np.asarray(np.abs(self.factors) * np.hypot(own[:, None], other).reshape(-1))

    def largest_in_rows(self) -> Array:
        sizes = np.stack(
            [SignedRows(self.points, np.ones(self.points.shape[0]), c).largest_in_rows() for c in self._column_table]
        )
        n = np.arange(self.classes.index.size)
        own, other = sizes[self.classes.index, n], sizes[self.classes.others, n[:, None]]
        return np.asarray(np.abs(self.factors) * np.maximum(own[:, None], other).reshape(-1))

    def largest_in_columns(self) -> Array:
        f, n = np.abs(self.factors).reshape(self.classes.shape), np.arange(self.classes.index.size)
        weights = np.zeros((n.size, self.classes.names.size))
        weights[n[:, None], self.classes.others] = f
        weights[n, self.classes.index] = f.max(axis=1)
        largest = np.stack([SignedRows(self.points, w).largest_in_columns() for w in weights.T])
        return np.asarray((largest * self._column_table).reshape(-1))


@dataclass(frozen=True, eq=False)
class ClassProblem(MarginProblem):
    """The constraints ⟨w_{y_n} − w_k, x_n⟩ ≥ 1, as an operator on W: shape (K, *shape of x)."""

    classes: Classes = field(kw_only=True)

    @property
    def label_shape(self) -> tuple[int, ...]:
        """(N, K − 1), the shape of the multipliers."""
        return self.classes.shape

    @property
    def matrix(self) -> bool:
        return True

    @cached_property
    def arcs(self) -> Arcs:
        tails = np.repeat(self.classes.index, self.label_shape[1])
        return Arcs(np.zeros_like(tails), tails, self.classes.others.reshape(-1), self.classes.names.size)

    def from_potentials(self, b: Array) -> float | Array:
        return np.asarray(b[0] - b[0].mean())

    @property
    def alternatives(self) -> int:
        """K − 1: the cross entropy has one term ln(1 + Σ e^{−m}) a point."""
        return self.label_shape[1]

    @cached_property
    def largest_norm(self) -> float:
        return float(np.sqrt(2.0) * row_norms(self.points).max())

    @cached_property
    def signed_rows(self) -> SignedRows:
        return DifferenceRows(self.points, np.ones(self.n_constraints), classes=self.classes)

    @property
    def independent_rows(self) -> list[SignedRows]:
        return [self.signed_rows]

    def matrix_rows(self, sizes: Array) -> MatrixRows:
        rows = self.signed_rows.scaled(np.repeat(1.0 / sizes, self.label_shape[1]))
        return PlainRows(rows, self.classes.names.size)

    def suited(self, regularizer: Regularizer) -> Regularizer:
        return regularizer.of_rows()

    def rows(self, index: NDArray[np.intp]) -> Array:
        return dense(self.signed_rows[index])

    def compared(self, outputs: Any) -> Any:
        return self.classes.differences(outputs)

    def spread(self, dual: Array) -> Array:
        return self.classes.spread(dual.reshape(self.label_shape))

    def conic_margins(self, cp: Any, flat: Any) -> Any:
        rows = DifferenceRows(csr_array(self.points), np.ones(self.n_constraints), classes=self.classes)[:]
        return cp.reshape(rows @ flat, self.label_shape, order="C")

    def curvature(self, blocks: Array) -> Array:
        """As sums of x_n x_nᵀ for every two classes: a row a_m is a difference of unit vectors ⊗ x_n."""
        N, others = self.label_shape
        K, n, j = others + 1, np.arange(N)[:, None], np.arange(others)
        signs = np.zeros((N, others, K))
        signs[n, j, self.classes.index[:, None]], signs[n, j, self.classes.others] = 1.0, -1.0
        grouped = signs.reshape(len(blocks), -1, K)
        table = (grouped.swapaxes(1, 2) @ (blocks @ grouped)).reshape(N, -1, K, K).sum(axis=1)
        points = dense(self.points)
        system = np.empty((K, points.shape[1], K, points.shape[1]))
        for k in range(K):
            for other in range(k + 1):
                part = (points * table[:, k, other, None]).T @ points
                system[k, :, other], system[other, :, k] = part, part.T
        return system.reshape(K * points.shape[1], -1)

    def careful_margins(self, beta: Array) -> Array:
        table = beta.reshape(self.classes.names.size, -1)
        margins = self.margins(beta)
        terms = self.classes.sums(in_row_blocks(lambda rows: np.asarray(abs(rows) @ np.abs(table).T), self.points))
        noise = np.flatnonzero(terms.reshape(-1) >= 1e13 * np.abs(margins))
        margins[noise] = self._exact_margins(noise, table)
        near = np.flatnonzero(np.abs(margins - margins.min()) <= 1e-3 * abs(margins.min()))[: 2 * beta.size]
        margins[near] = self._exact_margins(near, table)
        return margins

    def _exact_margins(self, index: NDArray[np.intp], table: Array) -> Array:
        """These margins, with differences and sums in the machine's longest format."""
        n, j = np.unravel_index(index, self.label_shape)
        own, other = self.classes.index[n], self.classes.others[n, j]
        long, margins = table.astype(np.longdouble), np.empty(index.size)
        for i in range(0, index.size, step := max(1, BLOCK // table.shape[1])):
            part = slice(i, i + step)
            points = dense(self.points[n[part]]).astype(np.longdouble)
            margins[part] = np.einsum("nd,nd->n", points, long[own[part]] - long[other[part]])
        return margins
