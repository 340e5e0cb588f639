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
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf, dpotrs

from solvers.arrays import Array
from solvers.extended_precision import extended_product
from solvers.interpolation.row_space import Interpolated, RowSpace
from solvers.regularizers.potential import Curve, SeparablePotential

EPS = float(np.finfo(np.float64).eps)
NOISE = 64.0
"""ε that are rounding: of b, and of Qᵀμ."""
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
    """L, lower triangular, LLᵀ = Q diag(c) Qᵀ + δ."""
    basis: Array | None
    """√c Qᵀ L⁻ᵀ, (D, rank), where it was needed."""


class _Newton:
    def __init__(self, rows: RowSpace, potential: SeparablePotential) -> None:
        self.Q, self.live, self.potential, self.steps = rows.Q, rows.live.reshape(-1), potential, 0
        self.shape, self.slack = rows.live.shape, 0.0

    def allow(self, mu: Array, b: Array) -> None:
        """Let targets be missed by what rounding does to them: δμ, with ‖δμ‖ = 64ε‖b‖."""
        size = float(np.linalg.norm(mu))
        self.slack = NOISE * EPS * float(np.linalg.norm(b)) / size if size > 0 else 0.0

    def curve(self, x: Array) -> Curve:
        """β and z at x, flat."""
        curve = self.potential.along(x.reshape(self.shape))
        return Curve(*(part.reshape(-1) for part in (curve.beta, curve.z, curve.beta_slope, curve.z_slope)))

    def state(self, x: Array, mu: Array) -> _State | None:
        """β, z and the factored matrix at x; None where they are not finite numbers or not definite."""
        self.steps += 1
        curve = self.curve(x)
        matrix = (self.Q * curve.curvature) @ self.Q.T
        matrix.flat[:: len(matrix) + 1] += self.slack
        if not all(np.isfinite(part).all() for part in (curve.beta, curve.z, matrix)):
            return None
        factor, failed = dpotrf(matrix, lower=1)
        pivots, basis = np.abs(np.diag(factor)), None
        if failed or pivots.min(initial=np.inf) < GRADED * pivots.max(initial=0.0):
            # the same factor without squaring: by QR of the rows √c_d q_d, largest first
            order = np.argsort(-curve.curvature)
            scaled = (np.sqrt(curve.curvature) * self.Q)[:, order].T
            extra = np.sqrt(self.slack) * np.eye(len(matrix))
            columns, triangle = np.linalg.qr(np.vstack([scaled, extra]))
            factor, basis = np.asarray(triangle).T, np.empty_like(scaled)
            basis[order] = columns[: order.size]
            failed = not np.diag(factor).all()
        return None if failed else _State(x, mu, curve, np.asfortranarray(factor), basis)

    def step(self, at: _State, b: Array) -> _State | None:
        """One Newton step towards Qβ = b."""
        return self.moved(at, b - self.Q @ at.curve.beta - self.slack * at.mu)

    def moved(self, at: _State, change: Array) -> _State | None:
        """The state at which Qβ + δμ has changed by this much, to first order, and z is Qᵀμ.

        Where z is at the end of its range, Qᵀμ − z is rounding, and what is small of a change of it has no digits. Then
        the change of β is taken: from the orthogonal factor, in which it is the largest.
        """
        curve, c = at.curve, at.curve.curvature
        off = at.mu @ self.Q - curve.z
        off = np.where(np.abs(off) > NOISE * EPS * np.abs(curve.z).max(initial=0.0), off, 0.0)
        half = solve_triangular(at.factor, change - self.Q @ (c * off), lower=True)
        turn = solve_triangular(at.factor, half, lower=True, trans="T")
        step = (turn @ self.Q + off) / curve.z_slope
        if at.basis is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                root = np.sqrt(c)
                other = (c * off + root * (at.basis @ half)) / curve.beta_slope
                better = np.linalg.norm(half) * root * np.abs(curve.z_slope) < np.linalg.norm(turn) * np.abs(
                    curve.beta_slope
                )
            step = np.where(self.live & better, other, step)
        return self.state(at.x + step, at.mu + turn)

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
    x = potential.first(rows.live.shape).reshape(-1)
    first = newton.state(x, np.zeros(rows.b.size))
    if first is None:  # curvatures of more than 300 decades
        return Interpolated(newton.curve(x).beta, np.zeros(rows.b.size), 1)
    start = rows.Q @ first.curve.beta
    if not (rows.b - start).any():
        return Interpolated(first.curve.beta, first.mu, 1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        at, reached = _grown(newton, first, start, rows.b)
        for length in LENGTHS if start.any() and not reached else ():
            at, reached = _through_zero(newton, first, start, rows.b, length)
            if reached:
                break
        newton.allow(at.mu, rows.b)
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
        newton.allow(at.mu, path(s)[0])
        taken = min(length, end - s)
        predicted = newton.moved(at, taken * path(s)[1])
        after = None if predicted is None else newton.settle(predicted, path(s + taken)[0])
        if after is None:
            length /= 3.0
            continue
        at, s, length = after, (end if taken == end - s else s + taken), 2.0 * length
    return at, s >= end
