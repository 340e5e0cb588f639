"""Newton's method on the optimality conditions of Σ σ_i(β)^p among the matrices of one rank, active constraints given.

    Uᵀ Z V = diag(p σ^{p−1}),   Z V = U(…),  Uᵀ Z = (…)Vᵀ,      A_J β = r_J,        Z = A_Jᵀα,

β = U diag(σ) Vᵀ of rank ρ, 0 < p ≤ 1. Matrices of rank ρ near β are, with (K, P, Q) of sizes ρ × ρ, (M − ρ) × ρ and
(D − ρ) × ρ,

    (U(Σ + K) + U⊥P) (Σ + K)⁻¹ ((Σ + K)Vᵀ + QᵀV⊥ᵀ)  =  β + UKVᵀ + U⊥PVᵀ + UQᵀV⊥ᵀ + U⊥PΣ⁻¹QᵀV⊥ᵀ + …

So the second derivative of the Lagrangian is that of Σσ^p in K, g_i/σ_i in P and Q with g = pσ^{p−1}, and between P and
Q the curvature of the rank, −⟨U⊥ᵀZV⊥, PΣ⁻¹Qᵀ⟩. The caller certifies the result.

Reference: Lewis, Sendov (2001), "Twice differentiable spectral functions", for the second derivative in K.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from solvers.arrays import Array

LENGTHS = 4.0 ** np.arange(-5, 6)
"""Of a step that may be too long, as the tangents bend, or far too short, as the true curvature is often negative."""


def newton_on_rank(
    rows: Array, right: Array, p: float, beta: Array, rank: int, *, max_steps: int = 40
) -> tuple[Array, Array] | None:
    """From β (M, D), the nearby stationary point of this rank, A β = r for all `rows` (n, M, D), with its multipliers.

    None when the method breaks down: a singular value collapses, or steps stay long.
    """
    settled = 0
    alpha: Array | None = None
    for _ in range(max_steps):
        U, sigma, Vt = np.linalg.svd(beta)
        V, S = Vt.T, sigma[:rank]
        if not (np.isfinite(S).all() and S[-1] > 1e-12 * S[0]):
            return None
        rotated = np.einsum("ji,njl,lm->nim", U, rows, V)
        gradient, J = _gradient(S, p, beta.shape), _tangent(rotated, rank)
        if alpha is None:
            alpha = np.asarray(np.linalg.lstsq(J.T, gradient, rcond=None)[0], dtype=np.float64)
        H = _hessian(S, p, np.tensordot(alpha, rotated, axes=1))
        missing = right - np.einsum("nml,ml->n", rows, beta)
        system = np.block([[H, -J.T], [-J, np.zeros((len(J), len(J)))]])
        balance = 1.0 / np.sqrt(np.abs(system).max(axis=1).clip(1e-300))
        try:
            solution = np.linalg.lstsq(
                balance[:, None] * system * balance, -balance * np.concatenate([gradient, missing]), rcond=1e-13
            )[0]
        except np.linalg.LinAlgError:
            return None
        step, alpha = (balance * solution)[: gradient.size], (balance * solution)[gradient.size :]
        K, P, Q = _parts(step, beta.shape, rank)
        turn = K / np.sqrt(S[:, None] * S)  # in units of each singular value: they differ by many orders
        largest = max(float(np.abs(part).max(initial=0.0)) for part in (turn, P / S, Q / S))
        length = min(1.0, 0.5 / max(float(np.linalg.norm(turn, 2)), 1e-300))
        beta = _moved(U, S, V, length * K, length * P, length * Q)
        settled += length == 1.0 and largest <= 1e-9
        if settled > 2 or (settled and largest <= 1e-15):
            return beta, alpha
    return None


def descend_on_rank(
    rows: Array, right: Array, p: float, beta: Array, rank: int, *, max_steps: int = 60
) -> tuple[Array, Array] | None:
    """From β of this rank, a β of smaller ‖σ(β)‖_p at margin one, and multipliers of all `rows`: a start for Newton.

    Each round minimizes a quadratic model, whose curvature g_i/σ_i is that of the tangent of a concave function of ββᵀ
    or βᵀβ, with the constraints linear in (K, P, Q). So unlike reweighting it turns both spaces of β, and unlike
    Newton's method it finds out which constraints are active. On these Newton's step is tried as well, with the
    absolute values of the curvatures. Of both, and several `LENGTHS`, the best for ‖σ(β)‖_p / margin is taken.

    None where the model has no feasible point.
    """

    def cost(beta: Array) -> float:
        margin = float((np.einsum("nml,ml->n", rows, beta) / right).min())
        return float((np.linalg.svd(beta / margin, compute_uv=False)[:rank] ** p).sum()) if margin > 0 else np.inf

    U, sigma, Vt = np.linalg.svd(beta)
    beta, alpha = (U[:, :rank] * sigma[:rank]) @ Vt[:rank], np.zeros(len(rows))
    for _ in range(max_steps):
        U, sigma, Vt = np.linalg.svd(beta)
        V, S = Vt.T, sigma[:rank]
        if not (np.isfinite(S).all() and S[-1] > 1e-12 * S[0]):
            break  # the rank has fallen
        root = _roots(S, p, beta.shape)
        rotated = np.einsum("ji,njl,lm->nim", U, rows, V)
        gradient, J = _gradient(S, p, beta.shape) / root, _tangent(rotated, rank) / root
        missing = right - np.einsum("nml,ml->n", rows, beta)
        found = _least_norm(J, missing + J @ gradient)
        if found is None:
            break
        alpha, before = found[1], cost(beta)
        H = _hessian(S, p, np.tensordot(alpha, rotated, axes=1)) / root[:, None] / root
        active = alpha > 1e-9 * alpha.max(initial=0.0)
        steps = found[0] - gradient, _downhill(H, gradient, J[active], missing[active])
        parts = [_parts(step / root, beta.shape, rank) for step in steps]
        trials = [_moved(U, S, V, *(length * part for part in some)) for some in parts for length in LENGTHS]
        costs = [cost(trial) for trial in trials]
        if not min(costs) < (1.0 - 1e-12) * before:
            break
        beta = trials[int(np.argmin(costs))]
    return (beta, alpha) if alpha.any() else None


def _roots(S: Array, p: float, shape: tuple[int, ...]) -> Array:
    """√ of the curvatures pσ^{p−2} in (K, P, Q)."""
    curvature, rank = p * S ** (p - 2.0), S.size
    sides = [np.broadcast_to(curvature, (side - rank, rank)) for side in shape]
    return np.asarray(
        np.sqrt(np.concatenate([part.reshape(-1) for part in (0.5 * (curvature[:, None] + curvature), *sides)]))
    )


def _downhill(H: Array, g: Array, J: Array, d: Array) -> Array:
    """Newton's step for ⟨g, s⟩ + ½⟨s, Hs⟩ s.t. Js = d, with the curvatures along the constraints made positive."""
    _, sigma, basis = np.linalg.svd(J)
    rank = int((sigma > 1e-12 * sigma.max(initial=0.0)).sum())
    normal, Z = np.linalg.lstsq(J, d, rcond=1e-12)[0], basis[rank:].T
    values, vectors = np.linalg.eigh(Z.T @ H @ Z)
    along = vectors.T @ (Z.T @ (g + H @ normal)) / np.abs(values).clip(1e-6)
    return np.asarray(normal - Z @ (vectors @ along))


def _least_norm(J: Array, d: Array) -> tuple[Array, Array] | None:
    """argmin ½‖t‖² s.t. Jt ≥ d with its multipliers; None where there is no such t (Lawson, Hanson)."""
    system, size = np.vstack([J.T, d]), np.linalg.norm(np.column_stack([J, d]), axis=1).clip(1e-300)
    try:
        u = nnls(system / size, np.append(np.zeros(J.shape[1]), 1.0), maxiter=30 * len(d))[0] / size
    except RuntimeError:  # too many steps
        return None
    left = 1.0 - float(d @ u)
    return (J.T @ u / left, u / left) if left > 1e-14 else None


def _moved(U: Array, S: Array, V: Array, K: Array, P: Array, Q: Array) -> Array:
    """The matrix of the same rank that these K, P and Q lead to."""
    rank = S.size
    middle = np.diag(S) + K
    left = U[:, :rank] @ middle + U[:, rank:] @ P
    return np.asarray(left @ np.linalg.solve(middle, middle @ V[:, :rank].T + Q.T @ V[:, rank:].T))


def _parts(step: Array, shape: tuple[int, ...], rank: int) -> tuple[Array, Array, Array]:
    """K, P and Q."""
    ends = np.cumsum([rank * rank, (shape[0] - rank) * rank])
    K, P, Q = np.split(step, ends)
    return K.reshape(rank, rank), P.reshape(-1, rank), Q.reshape(-1, rank)


def _gradient(S: Array, p: float, shape: tuple[int, ...]) -> Array:
    """Of Σσ^p, in (K, P, Q): p σ^{p−1} on the diagonal of K."""
    rank = S.size
    rest = np.zeros((shape[0] + shape[1] - 2 * rank) * rank)
    return np.concatenate([np.diag(p * S ** (p - 1.0)).reshape(-1), rest])


def _tangent(rotated: Array, rank: int) -> Array:
    """The rows UᵀAV in the coordinates (K, P, Q)."""
    n = len(rotated)
    parts = rotated[:, :rank, :rank], rotated[:, rank:, :rank], rotated[:, :rank, rank:].swapaxes(1, 2)
    return np.concatenate([part.reshape(n, -1) for part in parts], axis=1)


def _hessian(S: Array, p: float, Z: Array) -> Array:
    """The second derivative of the Lagrangian in (K, P, Q); Z = UᵀA_JᵀαV."""
    rank, (M, D) = S.size, Z.shape
    g = p * S ** (p - 1.0)
    difference = S[:, None] - S[None, :]
    near = np.abs(difference) <= 1e-8 * (S[:, None] + S[None, :])
    mean = 0.5 * (S[:, None] + S[None, :])
    slope = np.where(near, p * (p - 1.0) * mean ** (p - 2.0), (g[:, None] - g) / np.where(near, 1.0, difference))
    turn = (g[:, None] + g) / (S[:, None] + S)
    of_K = np.zeros((rank, rank, rank, rank))
    for i in range(rank):
        for j in range(rank):
            if i == j:
                of_K[i, i, i, i] = slope[i, i]
            else:
                of_K[i, j, i, j] = 0.5 * (slope[i, j] + turn[i, j])
                of_K[i, j, j, i] = 0.5 * (slope[i, j] - turn[i, j])
    of_P, of_Q = (np.kron(np.eye(side - rank), np.diag(g / S)) for side in (M, D))
    bend = -np.einsum("ab,ij->aibj", Z[rank:, rank:], np.diag(1.0 / S)).reshape((M - rank) * rank, (D - rank) * rank)
    first = rank * rank
    H = np.zeros((first + (M + D - 2 * rank) * rank,) * 2)
    H[:first, :first] = of_K.reshape(first, first)
    H[first:, first:] = np.block([[of_P, bend], [bend.T, of_Q]])
    return H
