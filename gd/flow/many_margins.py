"""One implicit step where constraints are too many for their Gram matrix: ten classes of a table of thousands of rows.

The equations are those of `gd.flow.implicit_weights`. Here K = J Jᵀ is known by its products K p, its diagonal and
small blocks. Late in a flow few samples matter: those left out of Newton's matrix,

    T δ_{nk} + √p_n (a_nk + hK_nk) √p_k,        a_nk = a for margins of one sample, else 0 (`gd.flow.loss_weights`),

have hK_max Σ p ≤ `NEGLECTED`·T together, which slows Newton's method down by about that factor; the equations
themselves hold for all of them. Early, when most samples matter, the temperature is high and the flow mildly stiff.
There

    dP/dτ = p((m + K P)/T),    P(0) = 0,                                                                        (1)

is followed for the time h by an explicit method of many stages: of first order like the implicit step, and stable for
h·λ ≤ 0.6 s², λ the largest eigenvalue of K (diag p − ppᵀ)/T, with s products K p. The weights of the step are P(h)/h.

Reference: van der Houwen, Sommeijer (1980), "On the internal stability of explicit, m-stage Runge–Kutta methods for
large m-values", for (1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from torch import Tensor

from gd.flow.implicit_weights import (
    CONVERGED,
    NEGLIGIBLE,
    ROUNDING,
    SMALLEST,
    constrained_change,
    explicit_weights,
    updated_weights,
)
from gd.flow.loss_weights import FlowWeights, Linearized
from gd.flow.margin_map import Local
from solvers.arrays import Array

NEGLECTED = 0.05
LARGEST_BLOCK = 1000
"""Order of a matrix up to which it is factorized: some 20 ms."""
MOST_STAGES = 200
"""More are asked for where the step is too long for (1)."""
DAMPED = 5.0
"""ε of the stability polynomial: |R| ≤ 1/cosh √(2ε) = 0.085 for stiff modes. (The extrapolation of two steps and one
triples |R|, so that near 1 they would grow.)"""
SPARE = 1.5
"""λ is taken for this much larger than at the start of the step."""
MANY = 2000
"""Constraints from which on this is faster than `gd.flow.implicit_weights`."""


@dataclass(frozen=True)
class Gram:
    """K = J Jᵀ of one network."""

    times: Callable[[Array], Array]
    """p ↦ K p, (N,)."""
    block: Callable[[NDArray[np.intp]], Array]
    """The rows and columns of these constraints, (k, k)."""
    diagonal: Array
    """(N,)."""


class ManyMargins(Local):
    """As `Local`, with the Gram matrices known by products and blocks; `grams` makes that of each row of the batch."""

    def __init__(
        self,
        margins: Tensor,
        squares: Tensor,
        grams: Callable[[int], Gram],
        pull: Callable[[Tensor], Tensor],
        theta: Tensor,
        degree: float,
    ) -> None:
        super().__init__(margins, squares.new_zeros(0), pull, theta, degree)
        self._squares, self._grams = squares.cpu().numpy(), grams

    @property
    def squares(self) -> Array:
        return np.asarray(self._squares)

    def weights_ahead(
        self, ahead: Array, h: Array, T: Array, guess: Array, loss: FlowWeights
    ) -> tuple[Array, NDArray[np.bool_]]:
        found = [
            weights_of_many(ahead[b], self._grams(b), float(h[b]), float(T[b]), guess[b], loss)
            for b in range(len(ahead))
        ]
        return np.stack([p for p, _ in found]), np.array([ok for _, ok in found])


def weights_of_many(
    margins: Array, gram: Gram, h: float, T: float, guess: Array, loss: FlowWeights, iterations: int = 60
) -> tuple[Array, bool]:
    """p (N,) with p ∝ φ((m + hKp)/T), and whether Newton's method converged, from a guess."""
    p, temperature = np.maximum(guess, SMALLEST), np.array([T])
    neglected = NEGLECTED * T / max(h * float(gram.diagonal.max()), 1e-300)
    at = loss.linearized((margins + h * gram.times(p))[None], p[None], temperature)
    if _coupled(p, at.group, neglected)[2].size > LARGEST_BLOCK:
        return _weights_by_stages(margins, gram, h, T, loss)
    for _ in range(iterations):
        mu = margins + h * gram.times(p)
        at = loss.linearized(mu[None], p[None], temperature)
        coupled = _coupled(p, at.group, neglected)
        if coupled[2].size > LARGEST_BLOCK:  # Newton's method is leaving: a shorter step is wanted
            return p, False
        try:
            change, nu = _newton_change(gram, p, at, h, T, coupled)
        except LinAlgError:  # T is lost in the rounding of a singular hK: the same
            return p, False
        rest = at.centred(p[None])[0] + nu * at.t[0] + h * gram.times(change) + (at.a * at.sums(change[None]))[0]
        u = -rest / (T + at.a[0] * p)
        kept = change != 0.0
        u[kept] = change[kept] / p[kept]
        new = updated_weights(p[None], u[None])[0]
        moved = float(np.abs(new - p).max())
        p = new
        noise = ROUNDING * float(np.where(p > NEGLIGIBLE, np.abs(mu), 0.0).max()) / T
        if moved < max(CONVERGED, noise) and float(u.max()) < 1e-2:
            return p, True
    return p, False


def _coupled(p: Array, group: int, neglected: float) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The constraints that are not negligible, each one's sample, and which of them stay coupled by hK."""
    some = np.flatnonzero(p > NEGLIGIBLE)
    _, groups = np.unique(some // group, return_inverse=True)
    mass = np.bincount(groups, p[some])
    order = np.argsort(mass)
    uncoupled = np.zeros(mass.size, dtype=bool)
    uncoupled[order[: int(np.searchsorted(np.cumsum(mass[order]), neglected))]] = True
    return some, groups, np.flatnonzero(~uncoupled[groups])


def _newton_change(
    gram: Gram,
    p: Array,
    at: Linearized,
    h: float,
    T: float,
    coupled: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]],
) -> tuple[Array, float]:
    """Δp of all constraints that are not negligible, zero for the others, and ν."""
    some, groups, kept = coupled
    root, a = np.sqrt(p[some]), at.a[0, some]
    right = root[:, None] * np.stack([at.centred(p[None])[0, some], at.t[0, some]], axis=1)
    v = _of_samples(T, a, root, groups)(right)
    if kept.size:
        matrix = h * gram.block(some[kept]) + np.where(groups[kept, None] == groups[kept], a[kept], 0.0)
        matrix *= root[kept] * root[kept, None]
        matrix[np.diag_indices(kept.size)] += T
        v[kept] = cho_solve(cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False), right[kept])
    found, nu = constrained_change(p[None], root[None], v[None])
    change = np.zeros_like(p)
    change[some] = found[0]
    return change, float(nu[0])


def _of_samples(T: float, a: Array, root: Array, groups: NDArray[np.intp]) -> Callable[[Array], Array]:
    """x ↦ (T + a √p√pᵀ)⁻¹ x of every sample's own constraints, by Sherman and Morrison; x (k, 2)."""
    along = root * a / (T + a * np.bincount(groups, root**2)[groups])

    def solve(x: Array) -> Array:
        scaled = x / T
        sums = np.stack([np.bincount(groups, root * column) for column in scaled.T], axis=1)
        return np.asarray(scaled - along[:, None] * sums[groups])

    return solve


def _weights_by_stages(margins: Array, gram: Gram, h: float, T: float, loss: FlowWeights) -> tuple[Array, bool]:
    """P(h)/h of (1), and whether the stages allowed are enough."""
    temperature = np.array([T])

    def force(P: Array) -> Array:
        return np.asarray(explicit_weights((margins + gram.times(P))[None], temperature, loss)[0])

    first = force(np.zeros_like(margins))
    stages = max(2, int(np.ceil(np.sqrt(SPARE * h * _stiffness(gram, first, T) * np.sqrt(0.5 * DAMPED)))))
    if stages > MOST_STAGES:
        return first, False
    w0 = 1.0 + DAMPED / stages**2
    b, w1 = _chebyshev(stages, w0)
    before, P = np.zeros_like(margins), (w1 / w0) * h * first
    for j in range(2, stages + 1):
        mu, nu = 2.0 * w0 * b[j] / b[j - 1], -b[j] / b[j - 2]
        before, P = P, mu * P + nu * before + 2.0 * w1 * b[j] / b[j - 1] * h * force(P)
    return np.maximum(P / h, SMALLEST), True


def _chebyshev(s: int, w0: float) -> tuple[Array, float]:
    """1/T_j(w₀) for j = 0 … s, and T_s(w₀)/T_s′(w₀)."""
    T, slope = [1.0, w0], [0.0, 1.0]
    for _ in range(2, s + 1):
        slope.append(2.0 * T[-1] + 2.0 * w0 * slope[-1] - slope[-2])
        T.append(2.0 * w0 * T[-1] - T[-2])
    return 1.0 / np.array(T), T[s] / slope[s]


def _stiffness(gram: Gram, p: Array, T: float, products: int = 12) -> float:
    """The largest eigenvalue of K (diag p − ppᵀ)/T, by power iteration on its symmetric form."""
    root = np.sqrt(p)
    x, size = np.random.default_rng(0).standard_normal(p.size), 0.0
    for _ in range(products):
        x = x - root * float(root @ x)
        x = x / max(float(np.linalg.norm(x)), 1e-300)
        y = root * gram.times(root * x)
        size, x = float(x @ y), y
    return size / T
