"""ℓ_p max margin, 1 < p < ∞: Newton's method on the dual.

    min ‖β‖_p   s.t.  A β ≥ r            dual:  min ½‖Aᵀα‖_q² − rᵀα  s.t.  α ≥ 0,   1/p + 1/q = 1

With z = Aᵀα the gradient of ½‖z‖_q² is β(z) = ‖z‖_q^{2−q} |z|^{q−1} sign z. It is 1-homogeneous, so the optimality
conditions read A β(z) ≥ r, α ≥ 0, complementary, at any scale of the data. For p > 2 the curvature is infinite at
z_d = 0. So |z_d| is replaced by r_d = √(z_d² + μ²), and with S = ‖r‖_q gradient and Hessian of ½S² are

    β = S^{2−q} r^{q−2} z,        H = S^{2−q} diag(r^{q−2} (1 + (q − 2) z²/r²)) + (2 − q) β βᵀ/S².

Each step minimizes the quadratic model over α ≥ 0, a nonnegative least-squares problem in N variables, and halves the
step until the dual falls. p = 2 is the closest-point problem of the hull. From there p < 2 goes to its value in stages.
For p > 2 first μ = 0 is tried; then μ falls in stages until Newton's method on the optimality conditions in β and α,
from the β at hand, closes the gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import nnls

from solvers.algorithms.active_set import newton_on_support
from solvers.algorithms.least_distance import least_distance
from solvers.arrays import Array
from solvers.extended_precision import extended_product
from solvers.problem import MarginProblem, raised
from solvers.regularizers.exponent import conjugate, power_norm
from solvers.separability import raise_if_not_resolved
from solvers.solution import Candidate

LARGEST_STAGE = 1.5
"""From one stage to the next q − 1 grows by at most this factor, for p < 2."""

SMALLEST_SMOOTHING = 1e-16
"""The last μ for p > 2, relative to ‖z‖_q; from 1 it falls by √10 a stage."""


ENOUGH = 1e-13
"""The relative gap at which it ends: rounding of α is seen in it only in square."""


NEAR = 1e-4
"""From this gap on Newton's method in β and α together is tried."""


def power_max_margin(problem: MarginProblem, p: float) -> Candidate:
    """β and multipliers. Raises NotSeparableError or IllConditionedError for data without a margin."""
    raise_if_not_resolved(problem.A, problem.label_shape)
    unit = problem.equilibrated
    rows, right, share = unit.rows, raised(unit.share), unit.share
    alpha, distance = least_distance(rows / right[:, None])
    start = alpha / right / distance**2
    q, steps, best = conjugate(p), 0, (np.inf, np.zeros(rows.shape[1]), start)
    if p < 2:
        count = int(np.ceil(np.log(q - 1.0) / np.log(LARGEST_STAGE)))
        stages = [(1.0 + (q - 1.0) ** (k / count), 0.0) for k in range(1, count)] + [(q, 0.0)]
    else:
        smoothings = [10.0 ** (-0.5 * k) for k in range(int(-2 * np.log10(SMALLEST_SMOOTHING)) + 1)]
        stages = [(q, mu) for mu in [0.0, *smoothings]]
    for exponent, smoothing in stages:
        mu = smoothing * power_norm(np.abs(start @ rows), exponent)
        alpha, beta, taken = _newton(
            rows, right, start, exponent, mu, enough=1e-16 if smoothing else 1e-24 if exponent == q else 1e-6
        )
        steps += taken
        start = alpha if smoothing or p < 2 else start
        gap = _gap(rows, share, alpha, beta, q)
        if exponent == q and gap < best[0]:
            best = (
                (gap, beta, alpha)
                if gap <= ENOUGH or gap > NEAR
                else _polished(rows, right, share, p, gap, beta, alpha)
            )
            if best[0] <= ENOUGH:
                break
    return _candidate(problem, best[1], best[2], {"method": "Newton on the dual", "iterations": steps})


def _candidate(problem: MarginProblem, beta: Array, alpha: Array, stats: Mapping[str, object]) -> Candidate:
    """Of β and α for the equilibrated rows."""
    unit = problem.equilibrated
    margin = float((extended_product(unit.rows, beta) / unit.share).min())
    beta = beta / margin if margin > 0 else beta
    return Candidate((beta / unit.scale).reshape(problem.shape), alpha * unit.share, stats)


def polished_power_margin(
    problem: MarginProblem, p: float, others: Iterable[Candidate], tol: float
) -> Candidate | None:
    """The best of what other methods found and of what Newton's method in β and α leads to from there.

    The first of a gap well below `tol` is taken; None where there is none at all.
    """
    best: tuple[float, Candidate | None] = np.inf, None
    for found in others:
        best = min(best, _from_other(problem, p, found), key=lambda pair: pair[0])
        if best[0] <= 0.1 * tol:
            break
    return best[1]


def _from_other(problem: MarginProblem, p: float, found: Candidate) -> tuple[float, Candidate]:
    """Another method's answer, or the better pair that Newton's method leads to from there, with its gap."""
    unit, q = problem.equilibrated, conjugate(p)
    rows, right, share = unit.rows, raised(unit.share), unit.share
    beta, alpha = found.beta.reshape(-1) * unit.scale, np.maximum(found.dual.reshape(-1), 0.0) / unit.share
    alpha = alpha * float(right @ alpha) / power_norm(np.abs(extended_product(rows.T, alpha)), q) ** 2
    before = _gap(rows, share, alpha, beta, q)
    gap, beta, alpha = _polished(rows, right, share, p, before, beta, alpha)
    if not gap < before:
        return before, found
    return gap, _candidate(problem, beta, alpha, {**found.stats, "polished": True})


def _polished(
    A: Array, right: Array, share: Array, p: float, gap: float, beta: Array, alpha: Array
) -> tuple[float, Array, Array]:
    """Newton's method in β and α together, on the rows with weight; the better of start and result.

    Its curvature (p − 1)|β_d|^{p−2} is bounded where that of the dual is not.
    """
    size = power_norm(np.abs(beta), p)
    tight = np.flatnonzero(alpha > 1e-9 * alpha.max())
    everything = np.arange(beta.size)
    scaled = (beta / size)[:, None], p * alpha / size**2
    found = newton_on_support(size * A[:, :, None], np.ones(beta.size), p, *scaled, everything, tight, right=right)
    if found is None or found[1].min() < 0:
        return gap, beta, alpha
    other, multipliers = found[0][:, 0] * size, found[1] * size**2 / p
    better = _gap(A, share, multipliers, other, conjugate(p))
    return (better, other, multipliers) if better < gap else (gap, beta, alpha)


def _newton(
    A: Array, right: Array, alpha: Array, q: float, mu: float, *, enough: float, max_steps: int = 50
) -> tuple[Array, Array, int]:
    """Minimize ½S² − rᵀα over α ≥ 0: α, β and the steps taken; `enough` is a relative decrease."""
    n, steps = alpha.size, 0

    def dual(alpha: Array) -> float:
        return 0.5 * power_norm(np.hypot(alpha @ A, mu), q) ** 2 - float(right @ alpha)

    def gradient(alpha: Array) -> tuple[Array, Array, float]:
        z = extended_product(A.T, alpha)
        r = np.hypot(z, mu)
        S = power_norm(r, q)
        # in powers of r/S, which neither over- nor underflow
        weights = (r / S).clip(1e-150) ** (q - 2.0)
        return weights * z, weights * (1.0 + (q - 2.0) * (z / r.clip(1e-300)) ** 2), S

    while steps < max_steps:
        steps += 1
        alpha = alpha * float(right @ alpha) / power_norm(np.hypot(alpha @ A, mu), q) ** 2  # the best scale
        beta, weights, S = gradient(alpha)
        margins = extended_product(A, beta)
        hessian = (A * weights.clip(max=1e14)) @ A.T + (2.0 - q) * np.outer(margins, margins) / S**2
        units = 1.0 / np.sqrt(hessian.diagonal().clip(1e-300))  # of α, of rows that matter very differently
        hessian *= units[:, None] * units
        hessian[np.diag_indices(n)] += 1e-14 * n
        try:
            factor = cholesky(hessian, lower=True)
        except (LinAlgError, ValueError):
            break
        target = factor.T @ (alpha / units) - solve_triangular(factor, units * (margins - right), lower=True)
        step = units * nnls(factor.T, target, maxiter=100 * n)[0] - alpha
        descent = float((margins - right) @ step)
        length, before = 1.0, dual(alpha)
        resolved = abs(descent) > 1e-15 * abs(before)
        while resolved and length > 1e-10 and dual(alpha + length * step) > before + 0.1 * length * descent:
            length *= 0.5
        if not resolved or length <= 1e-10:  # rounding hides the descent: the gap says if the full step is the better
            after = np.maximum(alpha + step, 0.0)
            shorter = _gap(A, right, after, gradient(after)[0], q) < _gap(A, right, alpha, beta, q)
            alpha = after if shorter else alpha
            if not shorter or abs(descent) <= enough * abs(before):
                break
            continue
        alpha = np.maximum(alpha + length * step, 0.0)
        if abs(descent) <= enough * abs(before):
            break
    return alpha, gradient(alpha)[0], steps


def _gap(A: Array, share: Array, alpha: Array, beta: Array, q: float) -> float:
    """The relative duality gap of α and β, both scaled to feasibility."""
    margin = float((extended_product(A, beta) / share).min())
    product = power_norm(np.abs(extended_product(A.T, alpha)), q) * power_norm(np.abs(beta), conjugate(q))
    return abs(1.0 - float(share @ alpha) * margin / product) if margin > 0 else np.inf
