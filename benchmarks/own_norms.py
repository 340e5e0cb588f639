"""Norms of a user's own, said by value, dual norm and conic form: only a cone solver minimizes them.

Value and dual norm work in any floating format, so that the judge of `random_margins` can use numpy's longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from solvers import L2, Bridge, LargestLayer, Norm, Schatten

Array = np.ndarray
Rng = np.random.Generator


def euclidean(v: Array) -> Any:
    return np.sqrt((v * v).sum())


@dataclass(frozen=True)
class Groups(Norm):
    """Σ_g ‖β_g‖₂ over groups of neighbours; dual max_g ‖z_g‖₂."""

    size: int

    def _parts(self, v: Any, length: int) -> list[Any]:
        return [v[k : k + self.size] for k in range(0, length, self.size)]

    def value(self, beta: Array) -> Any:
        return sum(euclidean(part) for part in self._parts(beta, beta.size))

    def dual_norm(self, z: Array) -> Any:
        return max(euclidean(part) for part in self._parts(z, z.size))

    def conic(self, beta: Any) -> Any:
        return sum(cp.norm2(part) for part in self._parts(beta, beta.size))


@dataclass(frozen=True)
class WeightedMaximum(Norm):
    """max_d w_d|β_d|, w_d = 1 + d/4; dual Σ|z_d|/w_d."""

    def _weights(self, v: Any) -> Array:
        return 1.0 + np.arange(v.size) / 4.0

    def value(self, beta: Array) -> Any:
        return (self._weights(beta) * np.abs(beta)).max()

    def dual_norm(self, z: Array) -> Any:
        return (np.abs(z) / self._weights(z)).sum()

    def conic(self, beta: Any) -> Any:
        return cp.norm_inf(cp.multiply(self._weights(beta), beta))


@dataclass(frozen=True)
class Largest(Norm):
    """The sum of the k largest |β_d|; dual max(‖z‖∞, ‖z‖₁/k)."""

    k: int

    def value(self, beta: Array) -> Any:
        return np.sort(np.abs(beta))[::-1][: self.k].sum()

    def dual_norm(self, z: Array) -> Any:
        return max(np.abs(z).max(), np.abs(z).sum() / min(self.k, z.size))

    def conic(self, beta: Any) -> Any:
        return cp.sum_largest(cp.abs(beta), min(self.k, beta.size))


@dataclass(frozen=True)
class Differences(Norm):
    """|β_1| + Σ|β_{d+1} − β_d|; dual the largest |sum of z from d on|."""

    def value(self, beta: Array) -> Any:
        return np.abs(np.diff(beta, prepend=beta[:1] * 0)).sum()

    def dual_norm(self, z: Array) -> Any:
        return np.abs(np.cumsum(z[::-1])).max()

    def conic(self, beta: Any) -> Any:
        return cp.abs(beta[0]) + (cp.norm1(cp.diff(beta)) if beta.size > 1 else 0)


@dataclass(frozen=True)
class Halves(Norm):
    """‖first half‖₂ + 2‖the rest‖∞; dual max(‖·‖₂, ‖·‖₁/2)."""

    def value(self, beta: Array) -> Any:
        half = (beta.size + 1) // 2
        return euclidean(beta[:half]) + 2 * np.abs(beta[half:]).max(initial=0)

    def dual_norm(self, z: Array) -> Any:
        half = (z.size + 1) // 2
        return max(euclidean(z[:half]), np.abs(z[half:]).sum() / 2)

    def conic(self, beta: Any) -> Any:
        half = (beta.size + 1) // 2
        return cp.norm2(beta[:half]) + (2 * cp.norm_inf(beta[half:]) if half < beta.size else 0)


@dataclass(frozen=True)
class Cubes(Norm):
    """‖β‖₃, by power cones; dual ‖z‖_{3/2}."""

    def value(self, beta: Array) -> Any:
        largest = np.abs(beta).max()
        return largest * np.cbrt(((np.abs(beta) / largest) ** 3).sum()) if largest > 0 else largest

    def dual_norm(self, z: Array) -> Any:
        largest, u = np.abs(z).max(), np.abs(z)
        return largest * np.cbrt(((u / largest) * np.sqrt(u / largest)).sum()) ** 2 if largest > 0 else largest

    def conic(self, beta: Any) -> Any:
        return cp.pnorm(beta, 3)


def own_norm(rng: Rng, d: int) -> Norm:
    """A norm of vectors of d entries."""
    half = (d + 1) // 2
    layers = [(L2(), (half,)), (Bridge(np.inf), (d - half,))] if d > 1 else [(L2(), (1,))]
    square = int(np.sqrt(d))
    spectral = [(Schatten(np.inf), (square, square))] + ([(Bridge(1.0), (d - square**2,))] if d > square**2 else [])
    choices = [
        Groups(int(rng.integers(2, 5))),
        WeightedMaximum(),
        Largest(int(rng.integers(1, d + 1))),
        Differences(),
        Halves(),
        Cubes(),
        LargestLayer(layers, 10.0 ** rng.uniform(-1, 1, len(layers))),
        LargestLayer(spectral, 10.0 ** rng.uniform(-1, 1, len(spectral))),
    ]
    return choices[int(rng.integers(len(choices)))]
