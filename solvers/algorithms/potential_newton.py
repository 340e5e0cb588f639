"""Least separable potential of an interpolating predictor: Newton's method, followed along growing targets.

    min Σ_d R_d(β_d)   s.t.   Qβ = b,     with multipliers μ:   R_d′(β_d) = z_d,   z = Qᵀμ

β_d and z_d are functions of a parameter x_d. A Newton step linearizes both: with c = dβ/dz at x,

    (Q diag(c) Qᵀ) μ = b − Q(β − c z),      x ← x + (Qᵀμ − z)/z′.

Where R is close to ℓ1, c spans as many decades as β, and Newton's method from afar fails. So the targets grow from
b₀ = Qβ₀, where μ = 0, to b:  b(t) = b₀ + t (b − b₀). A step in ln t is as long as Newton's method from its tangent,
dμ/d ln t = (Q diag(c) Qᵀ)⁻¹ t (b − b₀), converges at once. For u² − v² started at α this is the continuation in ln α:
R of α at t·b is t·R of α/√t at b.

From a start with β₀ ≠ 0 and tiny curvatures at β = 0 a coefficient that must change its sign would do so within a tiny
part of that path. Then another is taken, e^{−s} b₀ + e^{s−S} b: down to nothing, and up again, in logarithms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from solvers.arrays import Array
from solvers.extended_precision import extended_product
from solvers.interpolation.row_space import Interpolated, RowSpace
from solvers.regularizers.potential import Curve, SeparablePotential

LARGEST_CHANGE = 2.0
"""A Newton step that changes some curvature by more than this factor's exponential is none: the step in t is halved."""
SETTLED = 0.5
"""A step that changes them by less ends Newton's method on the way: the tangent is good enough to go on."""
GRADED = 1e-6
"""Smallest pivot of Q diag(c) Qᵀ, relative to the largest, that squares of c leave digits for."""
SHORTEST = 1e-4
"""A shorter step in ln t means that there is no way on: the multipliers go to infinity."""
LENGTHS = (30.0, 90.0, 200.0)
"""S: all coefficients are then as small as e^{−S/2} in between."""
MOST = 500
"""Newton steps on a path. Measured: 5 to 60 for u² − v² at α from 10⁶ to 1e-12."""


@dataclass
class _State:
    x: Array
    mu: Array
    curve: Curve
    factor: Array


class _Newton:
    def __init__(self, rows: RowSpace, potential: SeparablePotential) -> None:
        self.Q, self.live, self.potential, self.steps = rows.Q, rows.live, potential, 0

    def state(self, x: Array, mu: Array) -> _State | None:
        """β, z and the factored matrix at x; None where they are not finite numbers or not definite."""
        self.steps += 1
        curve = self.potential.along(x)
        matrix = (self.Q * curve.curvature) @ self.Q.T
        if not all(np.isfinite(part).all() for part in (curve.beta, curve.z, matrix)):
            return None
        factor, failed = dpotrf(matrix, lower=1)
        pivots = np.abs(np.diag(factor))
        if failed or pivots.min(initial=np.inf) < GRADED * pivots.max(initial=0.0):
            # the same factor without squaring: by QR of the rows √c_d q_d, largest first
            order = np.argsort(-curve.curvature)
            scaled = (np.sqrt(curve.curvature) * self.Q)[:, order].T
            factor = np.asarray(np.linalg.qr(scaled, mode="r")).T
            failed = not np.diag(factor).all()
        return None if failed else _State(x, mu, curve, np.asfortranarray(factor))

    def step(self, at: _State, b: Array) -> _State | None:
        """One Newton step towards Qβ = b."""
        curve = at.curve
        change = (self.Q @ (curve.curvature * (at.mu @ self.Q - curve.z) + curve.beta)) - b
        mu = at.mu - dpotrs(at.factor, change, lower=1)[0]
        return self.state(at.x + (mu @ self.Q - curve.z) / curve.z_slope, mu)

    def change(self, before: _State, after: _State) -> float:
        """The largest |ln| of the ratio of two curvatures."""
        ratio = after.curve.curvature[self.live] / before.curve.curvature[self.live]
        return float(np.abs(np.log(ratio)).max(initial=0.0))

    def settle(self, at: _State, b: Array) -> _State | None:
        """Newton's method until a step hardly changes the curvatures; None where it does not get there soon."""
        for _ in range(4):
            after = self.step(at, b)
            if after is None:
                return None
            changed = self.change(at, after)
            if changed > LARGEST_CHANGE:
                return None
            if changed < SETTLED:
                return after
            at = after
        return None

    def finish(self, at: _State, b: Array) -> _State:
        """Newton's method until rounding stops it."""
        before = np.inf
        for _ in range(30):
            after = self.step(at, b)
            if after is None:
                return at
            changed = self.change(at, after)
            at = after
            if changed == 0.0 or (changed >= 0.5 * before and before < 1e-6):
                return at
            before = changed
        return at


def potential_newton(rows: RowSpace, potential: SeparablePotential) -> Interpolated:
    """β and μ, from μ = 0. Ends at the last place that it reached where b is out of reach."""
    newton = _Newton(rows, potential)
    first = newton.state(potential.first((rows.live.size,)), np.zeros(rows.b.size))
    if first is None:  # curvatures of more than 300 decades
        x = potential.first((rows.live.size,))
        return Interpolated(potential.along(x).beta, np.zeros(rows.b.size), 1)
    start = rows.Q @ first.curve.beta
    if not (rows.b - start).any():
        return Interpolated(first.curve.beta, first.mu, 1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        at, reached = _grown(newton, first, start, rows.b)
        for length in LENGTHS if start.any() and not reached else ():
            at, reached = _through_zero(newton, first, start, rows.b, length)
            if reached:
                break
        at = newton.finish(at, rows.b) if reached else at
    beta = at.curve.beta
    for _ in range(2 if reached else 0):  # onto Qβ = b to the last digit, by the change that costs R least
        missing = rows.b - extended_product(rows.Q, beta)
        beta = beta + at.curve.curvature * (dpotrs(at.factor, missing, lower=1)[0] @ rows.Q)
    return Interpolated(beta, at.mu, newton.steps)


def _grown(newton: _Newton, first: _State, start: Array, end: Array) -> tuple[_State, bool]:
    """The path b₀ + t (b − b₀), from where the tangent at μ = 0 moves no x by more than one, or a 4^{−k} of that."""
    tangent = dpotrs(first.factor, end - start, lower=1)[0] @ newton.Q / first.curve.z_slope
    t = min(1.0, 1.0 / max(float(np.abs(tangent).max()), 1e-300))
    at = newton.settle(first, start + t * (end - start))
    while at is None and t > 1e-300:
        t /= 4.0
        at = newton.settle(first, start + t * (end - start))
    if at is None:
        return first, False

    def path(s: float) -> tuple[Array, Array]:
        return start + np.exp(s) * (end - start), np.exp(s) * (end - start)

    return _followed(newton, at, path, float(np.log(t)), 0.0)


def _through_zero(newton: _Newton, first: _State, start: Array, end: Array, length: float) -> tuple[_State, bool]:
    """The path e^{−s} b₀ + e^{s−S} b, 0 ≤ s ≤ S."""

    def path(s: float) -> tuple[Array, Array]:
        falling, rising = np.exp(-s) * start, np.exp(s - length) * end
        return falling + rising, rising - falling

    at = newton.settle(first, path(0.0)[0])
    return (first, False) if at is None else _followed(newton, at, path, 0.0, length)


def _followed(
    newton: _Newton, at: _State, path: Callable[[float], tuple[Array, Array]], s: float, end: float
) -> tuple[_State, bool]:
    """The state at the end of a path b(s), given with b′(s), by tangents and Newton's method; or where it got stuck."""
    length, most = 1.0, newton.steps + MOST
    while s < end and length > SHORTEST and newton.steps < most:
        taken = min(length, end - s)
        tangent = dpotrs(at.factor, path(s)[1], lower=1)[0]
        mu = at.mu + taken * tangent
        predicted = newton.state(at.x + (mu @ newton.Q - at.curve.z) / at.curve.z_slope, mu)
        after = None if predicted is None else newton.settle(predicted, path(s + taken)[0])
        if after is None:
            length /= 3.0
            continue
        at, s, length = after, (end if taken == end - s else s + taken), 2.0 * length
    return at, s >= end
