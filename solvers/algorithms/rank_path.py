"""The central path of min Σ σ_i(β)^p s.t. ⟨A_n, β⟩ ≥ r_n, 0 < p ≤ 1, over matrices whose rank may fall on the way.

    min Σ_i σ_i(β)^p − μ Σ_n log s_n,       s_n = ⟨A_n, β⟩ − r_n > 0,       μ → 0

among the matrices of one rank, of which one is left for the next lower rank where that lowers the function. With the
coordinates t of a step divided by the roots of their curvatures (`RankPoint.curvatures`), the primal-dual equations are

    (H + JᵀWJ) t = −∇(…),       W = diag(α/s),       α ← μ/s − WJt,

H the Lagrangian's second derivative, indefinite. W spans many orders, so the sum is never formed: with I + JᵀWJ = RᵀR,
from the QR factors of the stacked (√W J; I), sorted by rows, it is Rᵀ(I + R⁻ᵀ(H − I)R⁻¹)R, and the step takes the
absolute values of the eigenvalues of the matrix in between. On a long step the margins bend away from what is linear;
a correction in the same metric puts them back. At the end α_n s_n = μ: nothing decides which constraints are active,
of which there may be more than β has freedom.

Reference: Wächter, Biegler (2006), "On the implementation of an interior-point filter line-search algorithm", for
primal-dual multipliers and corrections; Dauphin et al. (2014) for absolute values of eigenvalues.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from solvers.algorithms.fixed_rank import RankPoint
from solvers.arrays import Array

SMALL = 1e-2
"""Singular values below this part of the largest may be dropped at once; larger ones shrink first."""

STEPS = 60
"""For one μ; where the path is not lost it takes two to twenty."""

SETTLED = 1e-7
"""Steps of this size (`RankPoint.size`) are taken whatever the function says: it has no digits left to tell."""

NOISE = 0.5 * np.finfo(np.float64).eps
"""Slacks below this part of β are rounding, and say nothing about multipliers: there the path ends."""


@dataclass(frozen=True, eq=False)
class _Step:
    """A step of Newton's method from a point of the path."""

    direction: Array
    """(K, P, Q)."""
    margins: Array
    """Jt: what it adds to the margins, to first order."""
    dual: Array
    """Multipliers after it."""
    slope: float
    """The function's derivative along it."""
    downhill: bool
    """Whether some curvature is negative: the quadratic model says nothing about the length then."""
    restoring: Array
    """(size of a step, n): the step that changes margins by given amounts, nearly, by how tight they are."""


@dataclass(frozen=True, eq=False)
class _Path:
    rows: Array
    right: Array
    p: float

    def slack(self, beta: Array) -> Array:
        return np.asarray(np.einsum("nml,ml->n", self.rows, beta) - self.right)

    def merit(self, point: RankPoint, mu: float) -> float:
        slack = self.slack(point.beta)
        return point.value(self.p) - mu * float(np.log(slack).sum()) if slack.min() > 0 else np.inf

    def lowered(self, point: RankPoint, mu: float) -> RankPoint:
        """At the lowest rank that dropping small singular values reaches, with smaller merit each time."""
        while point.rank > 1 and point.sigma[-1] < SMALL * point.sigma[0]:
            below = point.cut()
            if not self.merit(below, mu) < self.merit(point, mu):
                break
            point = below
        return point

    def step(self, point: RankPoint, alpha: Array, mu: float) -> _Step:
        root = np.sqrt(point.curvatures(self.p))
        rotated, slack = point.rotated(self.rows), self.slack(point.beta)
        J, n = point.tangent(rotated) / root, len(self.rows)
        H = point.hessian(self.p, np.tensordot(alpha, rotated, axes=1)) / root[:, None] / root
        weight, one = np.sqrt(alpha / slack), np.eye(root.size)
        stacked = np.vstack([weight[:, None] * J, one])
        order = np.argsort(-np.abs(stacked).max(axis=1), kind="stable")
        factor = np.empty_like(stacked)
        factor[order], R = np.linalg.qr(stacked[order])
        back, tight = solve_triangular(R, one), factor[:n]
        values, vectors = np.linalg.eigh(one + back.T @ (H - one) @ back)
        uphill = back.T @ (point.gradient(self.p) / root - J.T @ alpha) + tight.T @ ((alpha - mu / slack) / weight)
        step = -vectors @ ((vectors.T @ uphill) / np.abs(values).clip(1e-8))
        return _Step(
            direction=back @ step / root,
            margins=tight @ step / weight,
            dual=mu / slack - weight * (tight @ step),
            slope=float(uphill @ step),
            downhill=bool(values[0] < 0),
            restoring=(back @ tight.T) * weight / root[:, None],
        )

    def at(self, point: RankPoint, step: _Step, length: float) -> RankPoint:
        """The point at a length of a step, its margins corrected twice where the step is long."""
        taken = length * step.direction
        if point.size(taken) > 1e-5:
            aim = self.slack(point.beta) + length * step.margins
            for _ in range(2):
                taken = taken - step.restoring @ (self.slack(point.matrix(taken)) - aim)
        return point.moved(taken)

    def advanced(self, point: RankPoint, step: _Step, mu: float) -> tuple[RankPoint, float] | None:
        """The next point and the length of the step to it; None where no length is right."""
        before, size = self.merit(point, mu), point.size(step.direction)
        if not np.isfinite(size):
            return None
        length = min(1.0, 1.0 / max(size, 1e-300))
        for _ in range(30):
            trial = self.at(point, step, length)
            after = self.merit(trial, mu)
            if after <= before + 1e-4 * length * step.slope or (after < np.inf and length * size < SETTLED):
                break
            length *= 0.5
        else:
            return None
        while step.downhill and length >= 1.0 and 2.0 * length * size < 1.0:
            longer = self.at(point, step, 2.0 * length)
            if not self.merit(longer, mu) < after:
                break
            trial, after, length = longer, self.merit(longer, mu), 2.0 * length
        return trial, length

    def centered(
        self, point: RankPoint, alpha: Array, mu: float, *, steps: int = STEPS, until: float = 0.1
    ) -> tuple[RankPoint, Array]:
        """The point of the path for this μ and its multipliers, or what so many steps reach."""
        for _ in range(steps):
            point = self.lowered(point, mu)
            middle = mu / self.slack(point.beta)
            alpha = np.clip(alpha, 0.1 * middle, 100.0 * middle)
            step = self.step(point, alpha, mu)
            found = self.advanced(point, step, mu)
            if found is None:
                break
            point, length = found
            alpha = alpha + min(length, 1.0) * (step.dual - alpha)
            if length >= 1.0 and abs(step.slope) < until * mu:
                break
        return point, alpha


def central_path(
    rows: Array, right: Array, p: float, beta: Array, *, first: float, accuracy: float
) -> Iterator[tuple[RankPoint, Array, float]]:
    """Points of the path from β (M, D), whose margins are above r: each with multipliers of all `rows` (n, M, D), and
    Σ_n α_n s_n relative to Σ_n α_n r_n; the last is at most `accuracy`, if rounding lets it.

    The first μ is `first` times that at which scaling β no longer lowers the function; from a small one the path ends
    nearer to β.
    """
    path, n = _Path(rows, right, p), len(rows)
    point = RankPoint.of(beta)
    mu = first * p * point.value(p) / n
    alpha, ends = mu / path.slack(beta), False
    while not ends:
        point, alpha = path.centered(point, alpha, mu)
        gap = n * mu / (p * point.value(p))
        ends = gap <= accuracy or path.slack(point.beta).min() <= NOISE * np.linalg.norm(point.sigma)
        if ends:  # steps that the function is too coarse for
            point, alpha = path.centered(point, alpha, mu, steps=3, until=0.0)
        yield point, np.maximum(alpha, 0.0), gap
        mu *= 0.1
