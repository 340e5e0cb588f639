"""The constraints of a margin problem whose intercept is free, as certificates and methods need them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array, hstack, issparse

from solvers.algorithms.least_distance import l2_max_margin
from solvers.algorithms.signed_rows import SignedRows, dense
from solvers.arrays import Array
from solvers.cycles import best_intercepts
from solvers.problem import MarginProblem
from solvers.separability import farkas_certificate
from solvers.solution import NotSeparableError

UNBALANCED = 1e-12
"""|Σ α_n y_n|, relative to Σ α, that rounding leaves of multipliers that balance."""


@dataclass(frozen=True, eq=False)
class InterceptProblem(MarginProblem):
    """The constraints on β with the best intercepts for it, as a certificate needs them."""

    inner: MarginProblem = field(kw_only=True)
    """The same without intercept. Its points are those given: centred ones are rounded, and what is proved of them need
    not hold of these."""

    @classmethod
    def of(cls, problem: MarginProblem) -> InterceptProblem:
        """Of checked data."""
        return cls(problem.points, problem.labels, problem.shape, names=problem.names, inner=problem)

    @property
    def label_shape(self) -> tuple[int, ...]:
        return self.inner.label_shape

    def careful_margins(self, beta: Array) -> Array:
        arcs, margins = self.inner.arcs, self.inner.careful_margins(beta)
        return margins + arcs.differences(best_intercepts(arcs.smallest(margins)[0])[1])

    def careful_combine(self, dual: Array) -> Array:
        return self.inner.careful_combine(dual)

    def intercept(self, beta: Array) -> float | Array:
        """The b that makes the smallest margin largest: a number; (M,) for M outputs; (K,) of sum zero for classes."""
        arcs = self.inner.arcs
        b = best_intercepts(arcs.smallest(self.inner.careful_margins(beta))[0])[1]
        return self.inner.from_potentials(b)

    def raise_unless_balanced(self, dual: Array) -> None:
        """Raise ValueError for multipliers that b would make the dual value unbounded with."""
        arcs, alpha = self.inner.arcs, np.maximum(dual.reshape(-1), 0.0)  # as the certificate takes them
        balance = np.zeros((arcs.graphs, arcs.classes))
        np.add.at(balance, (arcs.graph, arcs.tails), alpha)
        np.subtract.at(balance, (arcs.graph, arcs.heads), alpha)
        if np.abs(balance).max() > UNBALANCED * alpha.sum():
            raise ValueError(
                "with fit_intercept=True multipliers must balance: Σ α_n y_n = 0 (for K classes, as much out of each "
                f"as into it); the largest excess is {np.abs(balance).max():.1e} of a sum of {alpha.sum():.1e}"
            )

    @cached_property
    def lifted_rows(self) -> SignedRows:
        """The rows of (β, b): of points with ones appended, of ten times the largest entry."""
        points = self.inner.points
        ones = np.full((points.shape[0], 1), 10.0 * abs(points).max() or 1.0)
        joined = csr_array(hstack([points, csr_array(ones)])) if issparse(points) else np.hstack([points, ones])
        shape = (*self.inner.shape[:-1], points.shape[1] + 1) if self.inner.matrix else (points.shape[1] + 1,)
        return replace(self.inner, points=joined, shape=shape).signed_rows

    @cached_property
    def l2(self) -> tuple[Array, Array]:
        """The ℓ2 solution with an intercept that is penalized a little: β (outputs, size of x), and multipliers."""
        lifted, dual, _ = l2_max_margin(self.lifted_rows)
        return np.ascontiguousarray(lifted.reshape(-1, self.inner.points.shape[1] + 1)[:, :-1]), dual

    @property
    def l2_margins(self) -> Array:
        """Its margins without b."""
        return self.inner.margins(self.l2[0])

    @property
    def halfway(self) -> Array:
        """A point of its hyperplane of two classes, between the points that its multipliers weigh."""
        (beta,), dual, labels = *self.l2, self.inner.labels
        sides = [dual * (labels == sign) for sign in (1.0, -1.0)]
        c = 0.5 * sum((side @ self.inner.points) / side.sum() for side in sides)
        scores = self.inner.points @ beta
        middle = 0.5 * (scores[labels > 0].min() + scores[labels < 0].max())
        return np.asarray(c - beta * ((c @ beta - middle) / (beta @ beta)))

    def about(self, c: Array) -> MarginProblem:
        """The constraints without intercept, of points less c."""
        return replace(self.inner, points=dense(self.inner.points) - c)

    @property
    def seems_not_separable(self) -> bool:
        """Whether points lifted by ones are not separable to rounding, which is coarse where sizes differ much."""
        return farkas_certificate(self.lifted_rows) is not None

    def not_separable(self, alpha: Array) -> NotSeparableError:
        """The error with these Farkas multipliers of the constraints."""
        largest = self.inner.largest_norm or 1.0
        residual = float(np.linalg.norm(self.inner.combine(alpha)) / largest)
        return NotSeparableError(alpha.reshape(self.label_shape), residual, self.lifted_rows, intercept=True)
