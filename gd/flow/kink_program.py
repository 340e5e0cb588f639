"""The states of many kinks in one implicit step, as a convex program in the weights p and the kinks' multipliers.

With the gates of kinks K at zero, and κ = h u, the equations of `gd.flow.sliding` are, for kinks that attract,

    v = h (Jᵀp − Zᵀu),    p ∝ e^{−m′/T},    m′_n = m_n + (Jv)_n + Σ_k δ_kn (z′_k)₊,    z′ = z + Zv (and alike for z),
    0 ≤ u ≤ b = Bp + Du,    u_k = 0 where z′_k < 0,    u_k = b_k where z′_k > 0,

with B = −δ, D = ∂z_l/∂relu_k. They are the optimality conditions of

    min_{p, u}  T Σ p_n ln p_n + ⟨m, p⟩ − ⟨z, u⟩ + (h/2) ‖Jᵀp − Zᵀu‖²   s.t.  Σ p_n = 1,  p ≥ 0,  0 ≤ u ≤ Bp + Du,  (1)

whose multipliers of u ≥ 0 and u ≤ b are −z′ and z′ on either side. Where dozens of kinks are moved by the same weights,
changing states a few at a time leads in circles; (1) has one answer in p and v. An interior point says which kinks
slide, and which are on; the step is then computed for these states, and checked, as for any others
(`gd.flow.kink_states`).

Reference: Nocedal, Wright (2006), algorithm 16.4; Brézis (1973), section II, for implicit steps as convex programs.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from solvers.arrays import Array

ITERATIONS = 50
COMPLEMENTARY = 1e-12  # mean product of a slack and its multiplier, relative to the margins: states are clear by then
RESIDUAL = 1e-7  # of the other conditions
FORCEFUL = 1e-4
"""Of the largest bound, in units of what p = 1 makes: kinks with less are on their side, and hold nothing."""
SMOOTH = 1e-6  # added to p in the entropy, whose slope is infinite at p = 0; such weights move nothing
BACK = 0.99  # of the way to the boundary
INSIDE = 0.1  # of the start's p is uniform, and of its b is u
FAINT = 1e-9  # of the largest p: samples with less take no part

Mask = NDArray[np.bool_]


def states_of_step(
    gram: Array, bends: Array, m: Array, z: Array, h: float, T: float, p: Array
) -> tuple[Mask, Mask, Array] | None:
    """Which kinks slide, which are on, and u, (K,) each; None where no solution of (1) is found.

    Args:
        gram: scalar products of the rows of J, then Z, (N + K, N + K).
        bends: B, then D, (K, N + K).
        m: (N,), ahead of the step but for what p and u move.
        z: (K,), the same.
        h: the step.
        T: the temperature.
        p: weights near those of the step, (N,).
    """
    samples = p > FAINT * p.max()
    while True:
        kept = np.concatenate([samples, np.ones(z.size, dtype=bool)])
        found = _states_of_step(gram[np.ix_(kept, kept)], bends[:, kept], m[samples], z, h, T, p[samples])
        if found is None:
            return None
        sliding, on, x = found
        ahead = m + h * gram[: m.size, kept] @ x
        late = ~samples & (ahead < ahead[samples].min() - T * np.log(FAINT))
        if not late.any():
            return sliding, on, -x[samples.sum() :]
        samples |= late


def _states_of_step(
    gram: Array, bends: Array, m: Array, z: Array, h: float, T: float, p: Array
) -> tuple[Mask, Mask, Array] | None:
    """The same with all samples, and what moves the weights: p, then −u."""
    N, K = m.size, z.size
    scale = _passed_on(np.abs(bends[:, :N]).max(axis=1), np.abs(bends[:, N:]))  # u in units of it
    sign, z = np.concatenate([np.ones(N), -scale]), scale * z
    bends = bends / scale[:, None] * np.concatenate([np.ones(N), scale])
    unit = float(np.abs(m).max() + h * np.abs(np.diagonal(gram)[:N]).max())
    H, c = h / unit * gram * np.outer(sign, sign), np.concatenate([m, -z]) / unit
    T = T / unit
    A = np.hstack([-bends[:, :N], np.eye(K) - bends[:, N:]])
    e = np.concatenate([np.ones(N), np.zeros(K)])
    p = (1.0 - INSIDE) * p / p.sum() + INSIDE / N
    b = np.maximum(bends[:, :N] @ p, 1e-8)
    x, w = np.concatenate([p, INSIDE * b]), (1.0 - INSIDE) * b
    y, eta, nu, diagonal = np.full(N + K, INSIDE), np.full(K, INSIDE), 0.0, np.arange(N + K)
    for _ in range(ITERATIONS):
        entropy = np.concatenate([T * np.log(x[:N] + SMOOTH), np.zeros(K)])
        dual, primal, rest = c + entropy + H @ x + nu * e - y + A.T @ eta, A @ x + w, e @ x - 1.0
        products = float(x @ y + w @ eta) / (N + 2 * K)
        if products <= COMPLEMENTARY and max(np.abs(dual).max(), np.abs(primal).max(), abs(rest)) <= RESIDUAL:
            break
        curved = H + A.T @ (A * (eta / w)[:, None])
        curved[diagonal, diagonal] += y / x + np.concatenate([T / (x[:N] + SMOOTH), np.zeros(K)])
        factor, failed = lapack.dpotrf(curved, lower=1)
        if failed:
            return None
        change = partial(_change, factor, A, e, rest, (x, w, y, eta, dual, primal))
        dx, dw, dy, deta, _ = change(-x * y, -w * eta)
        length = min(_most(x, dx), _most(w, dw), _most(y, dy), _most(eta, deta), 1.0)
        affine = float((x + length * dx) @ (y + length * dy) + (w + length * dw) @ (eta + length * deta)) / (N + 2 * K)
        target = (max(affine, 0.0) / products) ** 3 * products
        dx, dw, dy, deta, dnu = change(target - x * y - dx * dy, target - w * eta - dw * deta)
        if not (np.isfinite(dx).all() and np.isfinite(dy).all() and np.isfinite(deta).all()):
            return None
        length = min(1.0, BACK * min(_most(x, dx), _most(w, dw), _most(y, dy), _most(eta, deta)))
        x, w, y, eta, nu = x + length * dx, w + length * dw, y + length * dy, eta + length * deta, nu + length * dnu
    else:
        return None
    # of each z, and of what the step or a kink before it does to it: it may begin at 0, and slide on
    size = _passed_on(np.maximum(np.abs(z) / unit, np.abs(H[N:]) @ x), np.abs(bends[:, N:]).T)
    sliding, on = _states(x[N:], w, y[N:] / size, eta / size, (c + H @ x)[N:] < 0)
    return sliding, on, sign * x


def _passed_on(own: Array, links: Array) -> Array:
    """Sizes (K,): a kink's own, or the largest that comes to k from l, `links[k, l]` times that of l."""
    size = own
    while ((larger := np.maximum(own, (links * size).max(axis=1))) != size).any():
        size = larger  # links lead from layer to layer, so that this ends
    return np.where(size > 0, size, 1.0)


def _states(u: Array, w: Array, y: Array, eta: Array, after: Mask) -> tuple[Mask, Mask]:
    """Which kinks slide, and which are on: by what is smaller, a slack, of b, or its multiplier, of what |z| may be.

    `after` says which are on where b is too small to tell.
    """
    b = np.maximum(u + w, 1e-300)
    off, on = u / b < y, w / b < eta
    seen = b > FORCEFUL * b.max()
    return ~off & ~on & seen, np.where(seen, on, after)


def _change(
    factor: Array, A: Array, e: Array, rest: float, at: tuple[Array, ...], of_x: Array, of_w: Array
) -> tuple[Array, Array, Array, Array, float]:
    """The changes of x, w, y, η, ν with y dx + x dy = of_x, η dw + w dη = of_w and no residuals left."""
    x, w, y, eta, dual, primal = at
    side = -dual + of_x / x - A.T @ ((of_w + eta * primal) / w)
    both = lapack.dpotrs(factor, np.stack([side, e], axis=1), lower=1)[0]
    dnu = float((e @ both[:, 0] + rest) / (e @ both[:, 1]))
    dx = both[:, 0] - dnu * both[:, 1]
    dw = -primal - A @ dx
    return dx, dw, (of_x - y * dx) / x, (of_w - eta * dw) / w, dnu


def _most(value: Array, change: Array) -> float:
    """The largest step that keeps all values nonnegative, at most 1 / `BACK`."""
    falling = change < 0
    return min(1.0 / BACK, float((-value[falling] / change[falling]).min(initial=np.inf)))
