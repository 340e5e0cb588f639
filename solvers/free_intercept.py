"""The least loss in a ball with an intercept that is not penalized, as one without: (β, b) is the predictor.

    min_{β, b} L(y_n (⟨x_n, β⟩ + b))   s.t.   R(β) ≤ c

Without a bound on b no gradient that is zero only to rounding proves anything. But b is bounded at the optimum: with
L₀ = L(0), no margin there is below −L₀, and ⟨x_n, β⟩ ≤ c R°(x_n), so that

    |b| ≤ B = L₀ + c max_n R°(x_n)       (of K classes with Σ_k b_k = 0, x_n the rows of differences).

So the ball R(β) ≤ c, |b| ≤ B of the norm max(R(β), |b| c/B) contains the answer, and what is proved in it holds for all
b. The points are centred, which changes b alone, and their ones have the size of the points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from solvers.algorithms.ball_newton import Ball, Barrier
from solvers.algorithms.signed_rows import dense
from solvers.arrays import Array
from solvers.conic import cvxpy_library
from solvers.margin_losses import MarginLoss
from solvers.problem import MarginProblem
from solvers.regularizers.regularizer import Norm, Regularizer


@dataclass(frozen=True)
class WithIntercept(Norm):
    """max(R(β), ‖b‖_∞/ratio) of (β, b), shape (D + 1,) or (rows, D + 1): b is the last column."""

    regularizer: Regularizer
    shape: tuple[int, ...]
    """Of β."""
    ratio: float
    """B/c."""

    def _beta(self, both: Array) -> Array:
        return np.ascontiguousarray(both[..., :-1]).reshape(self.shape)

    def _both(self, beta: Array, b: Array) -> Array:
        return np.concatenate([beta.reshape(*b.shape, -1), b[..., None]], axis=-1)

    def value(self, beta: Array) -> float:
        return max(self.regularizer.value(self._beta(beta)), float(np.abs(beta[..., -1]).max()) / self.ratio)

    def dual_norm(self, z: Array) -> float:
        return self.regularizer.dual_norm(self._beta(z)) + self.ratio * float(np.abs(z[..., -1]).sum())

    def conic(self, beta: Any) -> Any:
        cp, matrix = cvxpy_library(), len(beta.shape) == 2
        inner, b = (beta[:, :-1], beta[:, -1]) if matrix else (beta[:-1], beta[-1])
        inner = inner if inner.shape == self.shape else cp.reshape(inner, self.shape, order="C")
        return cp.maximum(self.regularizer.conic(inner), cp.max(cp.abs(b)) / self.ratio)

    def project(self, beta: Array, radius: float) -> Array | None:
        inner, most = self.regularizer.project(self._beta(beta), radius), self.ratio * radius
        return None if inner is None else self._both(inner, np.clip(beta[..., -1], -most, most))

    def ball(self, rows: Array, shape: tuple[int, ...], radius: float) -> Ball | None:
        """That of R, with b free."""
        table = rows.reshape(len(rows), *shape)
        inner = self.regularizer.ball(np.ascontiguousarray(table[..., :-1]).reshape(len(rows), -1), self.shape, radius)
        if inner is None:
            return None
        of_b = table[..., -1].reshape(len(rows), -1)
        size = inner.rows.shape[1]

        def predictor(v: Array) -> Array:
            return self._both(inner.predictor(v[:size]), v[size:].reshape(shape[:-1]))

        return Ball(WithFree(inner.barrier, size, of_b.shape[1]), np.hstack([inner.rows, of_b]), predictor)


@dataclass(frozen=True)
class WithFree(Barrier):
    """A barrier on the first coordinates; the others are free, and eliminated from Newton's system."""

    inner: Barrier
    size: int
    """Coordinates of `inner`."""
    free: int

    @property
    def terms(self) -> int:  # type: ignore[override]
        return self.inner.terms

    def start(self) -> tuple[Array, Array]:
        b, t = self.inner.start()
        return np.concatenate([b, np.zeros(self.free)]), t

    def value(self, b: Array, t: Array) -> float:
        return self.inner.value(b[: self.size], t)

    def gradient(self, b: Array, t: Array) -> tuple[Array, Array]:
        by_b, by_t = self.inner.gradient(b[: self.size], t)
        return np.concatenate([by_b, np.zeros(self.free)]), by_t

    def step(self, b: Array, t: Array, root: Array, slope: tuple[Array, Array]) -> tuple[Array, Array]:
        own, other = root[:, : self.size], root[:, self.size :]
        u, sigma, vt = np.linalg.svd(other, full_matrices=False)
        kept = sigma > 1e-12 * sigma.max(initial=0.0)  # of K classes one shift of all b changes nothing
        u, inverse = u[:, kept], vt[kept].T / sigma[kept]
        along = u.T @ own
        pull = inverse.T @ slope[0][self.size :]
        db, dt = self.inner.step(b[: self.size], t, own - u @ along, (slope[0][: self.size] - along.T @ pull, slope[1]))
        return np.concatenate([db, -inverse @ (pull + along @ db)]), dt


def with_intercept(
    problem: MarginProblem, regularizer: Regularizer, loss: MarginLoss, radius: float
) -> tuple[MarginProblem, WithIntercept, Callable[[Array], tuple[Array, Array]]]:
    """The problem of (β, b), its norm for this radius, and how β and b are read from its predictors.

    Raises ValueError where all points of an output are of one class: then b alone makes the loss as small as one likes.
    """
    classes = np.zeros((problem.arcs.graphs, problem.arcs.classes), dtype=bool)
    classes[problem.arcs.graph, problem.arcs.tails] = True
    if not classes.all():
        raise ValueError("with fit_intercept=True there must be points of two classes: b alone classifies one")
    points = dense(problem.points)
    middle = points.mean(axis=0)
    centred = points - middle
    size = float(np.linalg.norm(centred, axis=1).max()) or 1.0
    joined = np.hstack([centred, np.full((len(points), 1), size)])
    lead = problem.shape[:1] if problem.matrix else ()
    lifted = replace(problem, points=joined, shape=(*lead, joined.shape[1]))
    rows = replace(problem, points=centred).rows(np.arange(problem.n_constraints)).reshape(-1, *problem.shape)
    farthest = max(regularizer.dual_norm(row) for row in rows)
    most = loss.value(np.zeros(problem.n_constraints)) + radius * farthest
    norm = WithIntercept(regularizer, problem.shape, most / size / radius)

    def parts(both: Array) -> tuple[Array, Array]:
        beta = np.ascontiguousarray(both[..., :-1])
        b = size * both[..., -1] - beta @ middle
        return beta.reshape(problem.shape), np.asarray(b - b.mean() if problem.arcs.classes > 2 else b)

    return lifted, norm, parts
