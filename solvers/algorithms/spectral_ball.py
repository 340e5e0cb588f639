"""Barriers of the balls of the nuclear and the spectral norm, functions of the singular values.

They are for `solvers.algorithms.ball_newton`.

    nuclear    φ(σ) = min_t −Σ_i ln(t_i² − σ_i²) − ln(c − Σ_i t_i)          Σ_i σ_i ≤ c
    spectral   φ(σ) = −Σ_i ln(c² − σ_i²)                                    max_i σ_i ≤ c

The first is the barrier of the ℓ1 ball with its bounds t eliminated: with s = c − Σ_i t_i they are
t_i = s + √(s² + σ_i²), and s is the root of an increasing convex function. In the singular bases of b, with
φ_i = ∂φ/∂σ_i, the second derivative of φ(σ(b)) couples the entries (i, j) and (j, i) only,

    (φ_i − φ_j)/(σ_i − σ_j) on their symmetric part,     (φ_i + φ_j)/(σ_i + σ_j) on the other,

and on the diagonal it is ∂²φ. In T_i = s φ_i (nuclear) and σ_i (spectral) both quotients are products:

    nuclear    (1 − T_i²)(1 − T_j²)/(2s²(1 ± T_i T_j)),      spectral   2(c² ± σ_i σ_j)/((c² − σ_i²)(c² − σ_j²)).

Reference: Lewis, Sendov (2001), Theorem 3.3, for second derivatives of functions of singular values.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, qr, solve_triangular

from solvers.algorithms.ball_newton import Barrier
from solvers.arrays import Array


@dataclass(frozen=True)
class SpectralBarrier(Barrier):
    """A barrier φ of the singular values of b, a matrix M × D by rows. There are no further unknowns t."""

    shape: tuple[int, int]
    """(M, D)."""
    radius: float
    """c."""

    @abstractmethod
    def of(self, sigma: Array) -> float:
        """φ, inf outside."""

    @abstractmethod
    def slopes(self, sigma: Array) -> Array:
        """∂φ/∂σ_i."""

    @abstractmethod
    def quotients(self, rows: Array, columns: Array, sign: float, sigma: Array) -> Array:
        """(φ_i ∓ φ_j)/(σ_i ∓ σ_j), the upper sign for `sign` 1, for σ_i in `rows` and σ_j in `columns`."""

    @abstractmethod
    def rank_one(self, sigma: Array) -> Array:
        """u with ∂²φ = diag of the quotients at σ_i = σ_j, plus uuᵀ."""

    def start(self) -> tuple[Array, Array]:
        return np.zeros(self.shape[0] * self.shape[1]), np.zeros(0)

    def value(self, b: Array, t: Array) -> float:
        del t
        return self.of(np.asarray(np.linalg.svd(b.reshape(self.shape), compute_uv=False), dtype=np.float64))

    def gradient(self, b: Array, t: Array) -> tuple[Array, Array]:
        u, sigma, vt = np.linalg.svd(b.reshape(self.shape), full_matrices=False)
        return np.asarray((u * self.slopes(sigma)) @ vt).reshape(-1), t

    def step(self, b: Array, t: Array, root: Array, slope: tuple[Array, Array]) -> tuple[Array, Array]:
        u, sigma, vt = np.linalg.svd(b.reshape(self.shape), full_matrices=True)
        turned = np.asarray(u.T @ root.reshape(-1, *self.shape) @ vt.T).reshape(len(root), -1)
        # by an orthogonal factorization, largest rows first: turning mixes columns of different units
        rows = np.vstack([turned, self._root(sigma)])
        if not np.isfinite(rows).all():
            raise LinAlgError("curvatures outside float64's range")
        order = np.argsort(-np.abs(rows).max(axis=1), kind="stable")
        factor = qr(rows[order], mode="r", overwrite_a=True)[0][: rows.shape[1]]
        right = -(u.T @ slope[0].reshape(self.shape) @ vt.T).reshape(-1)
        found = solve_triangular(factor, solve_triangular(factor, right, trans="T"))
        return np.asarray(u @ found.reshape(self.shape) @ vt).reshape(-1), t

    def _root(self, sigma: Array) -> Array:
        """Rows whose squares add up to φ's second derivative in the singular bases."""
        (M, D), k = self.shape, min(self.shape)
        own, other = np.zeros(M), np.zeros(D)
        own[:k] = other[:k] = sigma
        even = np.sqrt(self.quotients(own[:, None], other, 1.0, sigma)).reshape(-1)
        odd = np.sqrt(self.quotients(own[:, None], other, -1.0, sigma)).reshape(-1)
        i, j = np.indices(self.shape).reshape(2, -1)
        rows = np.diag(even)
        upper = np.flatnonzero((i < j) & (j < k))
        lower = j[upper] * D + i[upper]
        rows[upper, upper] = rows[upper, lower] = np.sqrt(0.5) * even[upper]
        rows[lower, upper], rows[lower, lower] = np.sqrt(0.5) * odd[upper], -np.sqrt(0.5) * odd[upper]
        last = np.zeros((1, M * D))
        last[0, np.arange(k) * (D + 1)] = self.rank_one(sigma)
        return np.vstack([rows, last])


class NuclearBall(SpectralBarrier):
    """Σ_i σ_i ≤ c."""

    @property
    def terms(self) -> int:  # type: ignore[override]
        return 2 * min(self.shape) + 1

    def _slack(self, sigma: Array) -> float:
        """s, by Newton's method from above, where it is monotone; 0 outside."""
        left, count = self.radius - float(sigma.sum()), sigma.size + 1
        if not left > 0:
            return 0.0
        s = left / count
        for _ in range(60):
            root = np.hypot(s, sigma)
            off = count * s + float((s * (s / (root + sigma))).sum()) - left
            after = s - off / (count + float((s / root).sum()))
            if not 0 < after < s:
                break
            s = after
        return s

    def of(self, sigma: Array) -> float:
        s = self._slack(sigma)
        if s == 0:
            return np.inf
        return -float(np.log(2.0 * s * (s + np.hypot(s, sigma))).sum() + np.log(s))

    def _units(self, sigma: Array, s: float) -> Array:
        """T_i = s φ_i = σ_i/t_i, in [0, 1)."""
        return np.asarray(sigma / (s + np.hypot(s, sigma)))

    def slopes(self, sigma: Array) -> Array:
        s = self._slack(sigma)
        return self._units(sigma, s) / s

    def quotients(self, rows: Array, columns: Array, sign: float, sigma: Array) -> Array:
        s = self._slack(sigma)
        left = 2.0 / (s + np.hypot(s, rows)), 2.0 / (s + np.hypot(s, columns))  # (1 − T²)/s
        product = self._units(rows, s) * self._units(columns, s)
        # 1 − T_i T_j from the small numbers 1 − T
        rest = 1.0 + product if sign > 0 else _one_less(self._units(rows, s), self._units(columns, s), s, left)
        return np.asarray(0.5 * left[0] * left[1] / rest)

    def rank_one(self, sigma: Array) -> Array:
        s = self._slack(sigma)
        t = s + np.hypot(s, sigma)
        both = t**2 + sigma**2
        total = s**2 + float((2.0 * (t * s) ** 2 / both).sum())
        return np.asarray(2.0 * t * sigma / both / np.sqrt(total))


def _one_less(rows: Array, columns: Array, s: float, left: tuple[Array, Array]) -> Array:
    """1 − T_i T_j = (1 − T_i) + T_i (1 − T_j), with 1 − T = (1 − T²)/(1 + T)."""
    return np.asarray(s * left[0] / (1.0 + rows) + rows * (s * left[1] / (1.0 + columns)))


class SpectralBall(SpectralBarrier):
    """max_i σ_i ≤ c."""

    @property
    def terms(self) -> int:  # type: ignore[override]
        return 2 * min(self.shape)

    def _left(self, sigma: Array) -> Array:
        """c² − σ_i²."""
        return np.asarray((self.radius - sigma) * (self.radius + sigma))

    def of(self, sigma: Array) -> float:
        return np.inf if not sigma.max() < self.radius else -float(np.log(self._left(sigma)).sum())

    def slopes(self, sigma: Array) -> Array:
        return 2.0 * sigma / self._left(sigma)

    def quotients(self, rows: Array, columns: Array, sign: float, sigma: Array) -> Array:
        del sigma
        left, right = self._left(rows), self._left(columns)
        # c² − σ_i σ_j from the small numbers
        both = self.radius**2 + rows * columns if sign > 0 else left + rows * (rows - columns)
        return np.asarray(2.0 * both / (left * right))

    def rank_one(self, sigma: Array) -> Array:
        return np.zeros_like(sigma)
