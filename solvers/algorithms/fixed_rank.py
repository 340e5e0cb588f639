"""Matrices of one rank near a point, and Newton's method for Σ σ_i(β)^p among them, active constraints given.

    Uᵀ Z V = diag(p σ^{p−1}),   Z V = U(…),  Uᵀ Z = (…)Vᵀ,      A_J β = r_J,        Z = A_Jᵀα,

β = U diag(σ) Vᵀ of rank ρ, 0 < p ≤ 1. Matrices of rank ρ near β are, with (K, P, Q) of sizes ρ × ρ, (M − ρ) × ρ and
(D − ρ) × ρ,

    (U + U⊥PΣ⁻¹) (Σ + K) (V + V⊥QΣ⁻¹)ᵀ  =  β + UKVᵀ + U⊥PVᵀ + UQᵀV⊥ᵀ
                                              + U⊥PΣ⁻¹KVᵀ + UKΣ⁻¹QᵀV⊥ᵀ + U⊥PΣ⁻¹QᵀV⊥ᵀ + …

P and Q turn the spaces and K changes the matrix between them, so that a small singular value stays small when the
space of a large one turns. The second derivative of the Lagrangian is that of Σσ^p in K, g_i/σ_i in P and Q with
g = pσ^{p−1}, and −⟨Z, ·⟩ of the last line. β is kept as factors: as a matrix of numbers it has the space of a small
σ_i only to εσ_1/σ_i. The caller certifies the result.

Reference: Lewis, Sendov (2001), "Twice differentiable spectral functions", for the second derivative in K. Drmač,
Veselić (2008) for singular values with all their digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import lapack

from solvers.arrays import Array

COLLAPSED = 1e-12  # of the largest singular value
GRADED_ON_BOTH_SIDES = 2  # LAPACK's joba "F"; by default singular values below ε of the largest may be set to zero


@dataclass(frozen=True, eq=False)
class RankPoint:
    """β = U diag(σ) Vᵀ of rank ρ; a step is (K, P, Q), flat."""

    left: Array
    """(U, U⊥), shape (M, M)."""
    sigma: Array
    """σ, shape (ρ,)."""
    right: Array
    """(V, V⊥), shape (D, D)."""

    @classmethod
    def of(cls, beta: Array, rank: int | None = None) -> RankPoint:
        """β cut to a rank; unless given, to the singular values that are no rounding."""
        U, sigma, Vt = np.linalg.svd(beta)
        kept = int((sigma > COLLAPSED * sigma[0]).sum()) if rank is None else rank
        return cls(U, sigma[:kept], Vt.T)

    @property
    def rank(self) -> int:
        return self.sigma.size

    @cached_property
    def beta(self) -> Array:
        return np.asarray((self.left[:, : self.rank] * self.sigma) @ self.right[:, : self.rank].T)

    def cut(self) -> RankPoint:
        """Without the smallest singular value."""
        return RankPoint(self.left, self.sigma[:-1], self.right)

    def value(self, p: float) -> float:
        return float((self.sigma**p).sum())

    def parts(self, step: Array) -> tuple[Array, Array, Array]:
        """K, P and Q."""
        ends = np.cumsum([self.rank**2, (len(self.left) - self.rank) * self.rank])
        K, P, Q = np.split(step, ends)
        return K.reshape(self.rank, -1), P.reshape(-1, self.rank), Q.reshape(-1, self.rank)

    def _factors(self, step: Array) -> tuple[Array, Array, Array]:
        K, P, Q = self.parts(step)
        U, V, r = self.left, self.right, self.rank
        return U[:, :r] + U[:, r:] @ (P / self.sigma), np.diag(self.sigma) + K, V[:, :r] + V[:, r:] @ (Q / self.sigma)

    def matrix(self, step: Array) -> Array:
        """The matrix that a step leads to."""
        left, middle, right = self._factors(step)
        return np.asarray(left @ middle @ right.T)

    def moved(self, step: Array) -> RankPoint:
        """The point that a step leads to; its singular values have all their digits."""
        left, middle, right = self._factors(step)
        r = self.rank
        (U, RU), (V, RV) = (np.linalg.qr(side, mode="complete") for side in (left, right))
        values, turn, back, scales, *_ = lapack.dgejsv(RU[:r] @ middle @ RV[:r].T, joba=GRADED_ON_BOTH_SIDES)
        return RankPoint(
            np.hstack([U[:, :r] @ turn, U[:, r:]]),
            values * (scales[0] / scales[1]),
            np.hstack([V[:, :r] @ back, V[:, r:]]),
        )

    def size(self, step: Array) -> float:
        """The largest part of a step, relative to singular values: well below one where its linear model holds."""
        K, P, Q = self.parts(step)
        S = self.sigma
        turn = np.abs(K) / np.sqrt(S[:, None] * S)
        # diagonal scaling of K from both sides, as between rows and columns of β, changes no singular value's size
        largest = [float(np.abs(np.linalg.eigvals(turn)).max()), float((np.abs(K) / np.maximum(S[:, None], S)).max())]
        return max(*(2.0 * each for each in largest), *(float(np.abs(part / S).max(initial=0.0)) for part in (P, Q)))

    def curvatures(self, p: float) -> Array:
        """(g_i + g_j)/(σ_i + σ_j) in K, of turning two singular vectors into each other, and g_i/σ_i in P and Q."""
        S, g = self.sigma, p * self.sigma ** (p - 1.0)
        sides = [np.tile(g / S, len(side) - self.rank) for side in (self.left, self.right)]
        return np.concatenate([((g[:, None] + g) / (S[:, None] + S)).reshape(-1), *sides])

    def gradient(self, p: float) -> Array:
        """Of Σσ^p: p σ^{p−1} on the diagonal of K."""
        rest = (len(self.left) + len(self.right) - 2 * self.rank) * self.rank
        return np.concatenate([np.diag(p * self.sigma ** (p - 1.0)).reshape(-1), np.zeros(rest)])

    def rotated(self, rows: Array) -> Array:
        """UᵀAV of rows A (n, M, D), with the complements of U and V."""
        return np.asarray(self.left.T @ rows @ self.right)

    def tangent(self, rotated: Array) -> Array:
        """`rotated` rows as functions of a step, to first order: (n, size of a step)."""
        r, n = self.rank, len(rotated)
        parts = rotated[:, :r, :r], rotated[:, r:, :r], rotated[:, :r, r:].swapaxes(1, 2)
        return np.concatenate([part.reshape(n, -1) for part in parts], axis=1)

    def hessian(self, p: float, Z: Array) -> Array:
        """The second derivative of the Lagrangian; Z = UᵀA_JᵀαV."""
        S, r, M = self.sigma, self.rank, len(Z)
        H = np.diag(self.curvatures(p))
        of_K = _second_in_K(S, p)
        bend = -np.einsum("ab,ij->aibj", Z[r:, r:], np.diag(1.0 / S))
        K_P = -np.einsum("aj,ik->ijak", Z[r:, :r], np.diag(1.0 / S))
        K_Q = -np.einsum("ib,jk->ijbk", Z[:r, r:], np.diag(1.0 / S))
        K, P = slice(0, r * r), slice(r * r, M * r)
        Q = slice(M * r, None)
        H[K, K] = of_K
        for one, other, block in ((P, Q, bend), (K, P, K_P), (K, Q, K_Q)):
            H[one, other] = block.reshape(H[one, other].shape)
            H[other, one] = H[one, other].T
        return H


def _second_in_K(S: Array, p: float) -> Array:
    """The second derivative of Σσ^p in K."""
    rank, g = S.size, p * S ** (p - 1.0)
    difference, total = S[:, None] - S, S[:, None] + S
    near = np.abs(difference) <= 1e-8 * total
    slope = np.where(
        near, p * (p - 1.0) * (0.5 * total) ** (p - 2.0), (g[:, None] - g) / np.where(near, 1.0, difference)
    )
    turn = (g[:, None] + g) / total
    H = np.zeros((rank, rank, rank, rank))
    i, j = np.indices((rank, rank)).reshape(2, -1)
    H[i, j, i, j] += 0.5 * (slope + turn)[i, j]
    H[i, j, j, i] += 0.5 * (slope - turn)[i, j]
    return H.reshape(rank * rank, -1)


def newton_on_rank(
    rows: Array, right: Array, p: float, beta: Array, rank: int, *, max_steps: int = 40
) -> tuple[Array, Array] | None:
    """From β (M, D), the nearby stationary point of this rank, A β = r for all `rows` (n, M, D), with its multipliers.

    None when the method breaks down: a singular value collapses, or steps stay long.
    """
    settled, point = 0, RankPoint.of(beta, rank)
    alpha: Array | None = None
    for _ in range(max_steps):
        S = point.sigma
        if not (np.isfinite(S).all() and S[-1] > COLLAPSED * S[0]):
            return None
        rotated = point.rotated(rows)
        gradient, J = point.gradient(p), point.tangent(rotated)
        if alpha is None:
            alpha = np.asarray(np.linalg.lstsq(J.T, gradient, rcond=None)[0], dtype=np.float64)
        H = point.hessian(p, np.tensordot(alpha, rotated, axes=1))
        missing = right - np.einsum("nml,ml->n", rows, point.beta)
        system = np.block([[H, -J.T], [-J, np.zeros((len(J), len(J)))]])
        balance = 1.0 / np.sqrt(np.abs(system).max(axis=1).clip(1e-300))
        try:
            solution = np.linalg.lstsq(
                balance[:, None] * system * balance, -balance * np.concatenate([gradient, missing]), rcond=1e-13
            )[0]
        except np.linalg.LinAlgError:
            return None
        step, alpha = (balance * solution)[: gradient.size], (balance * solution)[gradient.size :]
        largest = point.size(step)
        point = point.moved(min(1.0, 1.0 / max(largest, 1e-300)) * step)
        settled += largest <= 1e-9
        if settled > 2 or (settled and largest <= 1e-15):
            return point.beta, alpha
    return None
