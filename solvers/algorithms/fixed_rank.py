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

from solvers.arrays import Array


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
        solution = np.linalg.lstsq(
            balance[:, None] * system * balance, -balance * np.concatenate([gradient, missing]), rcond=1e-13
        )[0]
        step, alpha = (balance * solution)[: gradient.size], (balance * solution)[gradient.size :]
        K, P, Q = _parts(step, beta.shape, rank)
        largest = float(np.abs(step).max(initial=0.0)) / S[0]
        length = min(1.0, 0.5 * S[-1] / max(float(np.linalg.norm(K, 2)), 1e-300))
        middle = np.diag(S) + length * K
        left = U[:, :rank] @ middle + length * (U[:, rank:] @ P)
        beta = left @ np.linalg.solve(middle, middle @ V[:, :rank].T + length * (Q.T @ V[:, rank:].T))
        settled += length == 1.0 and largest <= 1e-9
        if settled > 2 or (settled and largest <= 1e-15):
            return beta, alpha
    return None


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
