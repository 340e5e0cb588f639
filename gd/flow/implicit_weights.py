"""One implicit step's weights p: where all the stiffness of the terminal phase is, and it is only N-dimensional.

With the Jacobian J held over a step of length h, the margins at its end are μ = m + hKp, K = J Jᵀ, if p are the
weights *at the end*:

    p_n = φ(μ_n/T) / Σ_k φ(μ_k/T),     μ = m + hKp,     φ(s) = e^{−s} or another of `gd.flow.loss_weights`.   (1)

For the exponential loss this is the optimality condition of a strictly convex problem on the simplex,

    min_p  T Σ p_n ln p_n + ⟨m, p⟩ + (h/2) pᵀKp,

whose limit T → 0 is the quadratic program of the sliding motion along ties of the smallest margins; so one Newton
method serves from the kernel regime down to T = 10^{−9}. Its equations, for u = dp/p, are in `gd.flow.loss_weights`.

Updates are p(1 + u) where p grows (Newton in p) and p e^u where it shrinks (Newton in ln p): the first cannot
overshoot, the second cannot leave p > 0. Constraints that become active rise from negligible weights in a few
iterations, and are never lost: they are kept at ln p ≥ −690.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gd.flow.loss_weights import FlowWeights, Linearized
from solvers.arrays import Array

SMALLEST = 1e-300
NEGLIGIBLE = 1e-14
CONVERGED = 1e-11  # on max|Δp|, p summing to one
RISING = 1e-2  # largest relative change of a weight that counts as settled: one still rising changes nothing yet
SMALL_CHANGE = 0.1  # relative changes below it are taken linearly: where K is singular, rounding then cancels in Jᵀp
SILENT = 1e6  # a margin, where the others are of order one: its weight e^{−SILENT/T} is zero
LARGEST_RATIO = 100.0  # ln of a weight next to the others; more holds no better
ROUNDING = 1e-15
"""Relative to the terms that a margin is the sum of (`rounding`): less than that is no residual of (1). Where the data
are nearly separable, or one column is large, hKp is the small sum of large terms, and p is then defined no better."""


def squares_of(gram: Array) -> Array:
    """The squared lengths of the margins' gradients, (B, N), from their scalar products (B, N, N)."""
    return np.diagonal(gram, axis1=1, axis2=2)


def forceful(margins: Array, squares: Array) -> Array:
    """The margins (B, N), those without gradient moved so far up that they get no weight.

    A sample on which every unit is dead exerts no force. Its weight only slows the clock, down to nothing while the
    other samples' losses vanish, and the sample may yet wake.
    """
    silent = (squares == 0) & (squares > 0).any(axis=1, keepdims=True)
    return np.where(silent, SILENT, margins)


def holding_weights(margins: Array, gram: Array, p: Array, h: Array, T: Array, loss: FlowWeights) -> Array:
    """p (B, N) with the weights that samples without force have in truth, next to the others' sum of one.

    Such a sample moves nothing along the kinks that the flow slides on, but it is what holds the flow there.
    """
    silent = forceful(margins, squares_of(gram)) != margins
    mu = margins + h[:, None] * (gram @ p[:, :, None])[:, :, 0]
    log_phi = loss.log_phi(mu, T)
    row, top = np.arange(len(p)), p.argmax(axis=1)
    log_sum = (log_phi[row, top] - np.log(p[row, top]))[:, None]
    return np.where(silent, np.exp(np.clip(log_phi - log_sum, -LARGEST_RATIO, LARGEST_RATIO)), p)


def explicit_weights(margins: Array, T: Array, loss: FlowWeights) -> Array:
    """p ∝ φ(m/T), normalized to sum one: the weights of the flow at a given θ."""
    log_phi = loss.log_phi(margins, T)
    p = np.exp(log_phi - log_phi.max(axis=1, keepdims=True))
    return np.asarray(np.maximum(p / p.sum(axis=1, keepdims=True), SMALLEST))


def implicit_weights(
    margins: Array,
    gram: Array,
    h: Array,
    T: Array,
    guess: Array,
    loss: FlowWeights,
    iterations: int | NDArray[np.intp] = 60,
) -> tuple[Array, NDArray[np.bool_]]:
    """Solve (1) for a batch: p (B, N), and whether Newton's method converged (B,).

    Args:
        margins: m, shape (B, N), at the start of the step.
        gram: K = J Jᵀ, shape (B, N, N).
        h, T: step and temperature, shape (B,).
        guess: p of a neighbouring solve, shape (B, N), positive.
        loss: φ.
        iterations: of Newton's method at most; of each row, (B,), or of all.
    """
    converged, most = np.zeros(len(margins), dtype=bool), np.zeros(len(margins), dtype=int) + iterations
    solution = p = np.maximum(guess, SMALLEST)
    m, Q, todo = margins, h[:, None, None] * gram, np.arange(len(p))
    lengths = np.sqrt(np.abs(squares_of(gram)))  # of implicit steps, K is indefinite
    for count in range(1, int(most.max()) + 1):
        mu = m + (Q @ p[:, :, None])[:, :, 0]
        u, left = newton_step(partial(_columns, Q), p, T, loss.linearized(mu, p, T))
        failed = np.isnan(u[:, 0])  # T is lost in the rounding of a singular hK: a shorter step is wanted
        if failed.any():
            u[failed] = 0.0
        new = updated_weights(p, u)
        done = is_solved(p, new, u, left, rounding(m, lengths, h, p), T) & ~failed
        solution[todo], p, converged[todo] = new, new, done
        ended = done | failed | (most[todo] <= count)
        if ended.any():
            if ended.all():
                break
            left_over = ~ended
            p, m, Q, lengths = p[left_over], m[left_over], Q[left_over], lengths[left_over]
            h, T, todo = h[left_over], T[left_over], todo[left_over]
    return solution, converged


def _columns(Q: Array, kept: NDArray[np.intp]) -> Array:
    return Q if kept.size == Q.shape[2] else Q[:, :, kept]


def rounding(margins: Array, lengths: Array, h: Array, p: Array) -> Array:
    """What rounding leaves of m + hKp, (B, N): the terms of (Kp)_n = Σ_k K_nk p_k are at most √(K_nn K_kk) p_k."""
    return np.asarray(ROUNDING * (np.abs(margins) + (h * (lengths * p).sum(axis=1))[:, None] * lengths))


def is_solved(p: Array, new: Array, u: Array, left: Array, noise: Array, T: Array) -> NDArray[np.bool_]:
    """Whether Newton's method for (1) is done, (B,): p no longer moves, or is exact for margins that rounding allows.

    In the second case p may still move, by at most a factor e: along directions that exert no force.

    Args:
        p, new: before and after the step, (B, N).
        u: the step, relative.
        left: the residual of (1) at p, in units of margins.
        noise: what rounding leaves of it.
        T: temperatures, (B,).
    """
    seen = new > NEGLIGIBLE
    still = np.abs(new - p).max(axis=1) < CONVERGED
    exact = (~seen | (np.abs(left) <= noise)).all(axis=1) & (np.where(seen, noise, 0.0).max(axis=1) <= T)
    settled = u < RISING + np.where(exact[:, None], noise / T[:, None], 0.0)
    return np.asarray((still | exact) & settled.all(axis=1))


def newton_step(
    columns: Callable[[NDArray[np.intp]], Array], p: Array, T: Array, at: Linearized
) -> tuple[Array, Array]:
    """u = dp/p of the linearized equations, and their residual at p, (B, N); `columns` gives columns of hK, (B, N, k).

    The matrix is formed for constraints whose weight is not negligible in at least one row of the batch: late in a flow
    these are few. A negligible p_k multiplies u_k out of every other equation, so the other u follow by substitution.
    """
    important, alone = np.flatnonzero((p > NEGLIGIBLE).any(axis=0)), not at.a.any()
    coupling = columns(important)
    kept = slice(None) if important.size == p.shape[1] else important  # of all, views
    weight, matrix, r = p[:, kept], coupling[:, kept], at.centred(p)
    root = np.asarray(np.sqrt(weight), dtype=np.float64)
    if not alone:
        groups = important // at.group
        matrix = matrix + np.where(groups[:, None] == groups, at.a[:, kept, None], 0.0)
    matrix = matrix * root[:, :, None]
    matrix *= root[:, None, :]  # positive definite after the next lines
    diagonal = np.arange(important.size)
    matrix[:, diagonal, diagonal] += T[:, None]
    right = np.empty((*root.shape, 2))
    right[:, :, 0], right[:, :, 1] = root * r[:, kept], root * at.t[:, kept]
    v = _solved(matrix, right)
    found, nu = constrained_change(p, root, v)
    left = r + nu[:, None] * at.t
    rest = left + (coupling @ found[:, :, None])[:, :, 0]
    if alone:
        u = -rest / T[:, None]
    else:
        change = np.zeros_like(p)
        change[:, kept] = found
        u = -(rest + at.a * at.sums(change)) / (T[:, None] + at.a * p)
    u[:, kept] = found / weight
    return np.asarray(u), np.asarray(left)


def _solved(matrix: Array, right: Array) -> Array:
    """The solutions for a batch of positive definite matrices; where rounding leaves one indefinite, by elimination.

    Of a singular one nan.
    """
    if len(matrix) == 1:
        _, v, failed = lapack.dposv(matrix[0].T, right[0])
        if not failed:
            return np.asarray(v)[None]
    try:
        return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)
    except np.linalg.LinAlgError:
        if len(matrix) == 1:
            return np.full(right.shape, np.nan)
        return np.concatenate([_solved(one[None], b[None]) for one, b in zip(matrix, right, strict=True)])


def constrained_change(p: Array, root: Array, v: Array) -> tuple[Array, Array]:
    """The change of the weights kept, after which they sum to one, and ν, from the two solutions v (B, k, 2)."""
    along = np.einsum("bn,bnk->bk", root, v)
    nu = (p.sum(axis=1) - 1.0 - along[:, 0]) / along[:, 1]
    return -root * (v[:, :, 0] + nu[:, None] * v[:, :, 1]), nu


def updated_weights(p: Array, u: Array) -> Array:
    """p after the relative change u: p(1 + u) where it grows or hardly moves, p e^u where it shrinks; of sum one."""
    grown = np.minimum(np.maximum(p * (1.0 + u), NEGLIGIBLE), np.maximum(4.0 * p, 1e-2))
    negligible = (u <= -SMALL_CHANGE) | (np.log(p) + u < np.log(NEGLIGIBLE))  # ln p is the better variable down there
    new = np.where(negligible, p * np.exp(np.where(negligible, u, 0.0)), grown)
    return np.asarray(np.maximum(new / new.sum(axis=1, keepdims=True), SMALLEST))
