"""Polishing a direction of the flow in weight space: Newton's method on the KKT system, for any homogeneous network.

At a limit direction, scaled to unit margin, the weights solve

    min ½‖w‖²   s.t.   m_n(w; γ) = 1, n ∈ A,     z_k(w; γ) = 0, k ∈ K,                          (1)

with A the tied margins, K the kinks the flow slides along, and the other ReLUs' gates γ held: a smooth problem. Newton
steps are taken in the null space of the constraints' Jacobian, with multipliers by least squares, so that dependent
constraints (duplicated samples, a unit that is zero on every sample) do no harm; directions without curvature (the
rotations between linear layers) are left alone. A solution of (1) is a KKT point of the network's own problem
min ½‖w‖² s.t. m_n(w) ≥ 1 if multipliers

    λ ≥ 0,   0 ≤ μ_k ≤ b_k,     w = Σ_n λ_n ∇m_n(w; γ) − Σ_k μ_k ∇z_k(w; γ),
    b_k = −∂(Σ_n λ_n m_n − Σ_l μ_l z_l)/∂relu_k = Σ_n λ_n|δ_kn| + Σ_l μ_l ∂z_l/∂relu_k            (2)

exist: μ_k/b_k is the Clarke gate of that kink. (A kink l of a deeper layer, with gate zero in γ, passes on to the units
before it what its own gate lets through: μ_l.) They are found by bounded least squares, and what is left of
(2) is the ε that is reported.

Reference: Lyu, Li (2020), Definition C.4; Nocedal, Wright (2006), section 18.1 and algorithm 18.1 for (1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from solvers.arrays import Array

LARGEST_DENSE = 3000  # weights: the Hessian of the Lagrangian is formed
FLAT = 1e-8  # added to the reduced Hessian (identity = 1): directions without curvature then stay where they are
NEUTRAL = 1e-6  # negative curvature above this (identity = 1) is a saddle
INDEPENDENT = 1e-10  # relative singular value of the constraints' gradients that Newton's method can solve for
HOLDS = 1e-6  # and that holds a direction: along a smaller one the curvature takes over after a step of 1e-6
NEWTON_STEPS = 12
CHUNK = 256  # rows of a Jacobian or Hessian at a time


@dataclass(frozen=True)
class HeldProblem:
    """(1) for one network: the functions with gates held, and which constraints are equalities."""

    both: Callable[[Tensor], tuple[Tensor, Tensor]]
    """w ↦ m (N,) and z at the kinks K (K,), differentiable."""
    active: NDArray[np.bool_]
    """(N,)."""
    rows: Callable[[Tensor], Tensor]
    """w ↦ ∇m, then ∇z, (N + K, P)."""
    bends: Callable[[Tensor], Array]
    """w ↦ |δ_kn| and ∂z_l/∂relu_k, (K, N + K): how much kink k bends margin n, and a kink l behind it; zero where it does
    not push towards the kink."""


@dataclass(frozen=True)
class PolishedWeights:
    """A solution of (1) with multipliers (2)."""

    w: Tensor
    lam: Array
    """(N,), zero off the active set."""
    mu: Array
    residual: float
    """‖w − Σ λ∇m + Σ μ∇z‖ / ‖w‖ with admissible multipliers."""


def polish_weights(problem: HeldProblem, w: Tensor) -> PolishedWeights | None:
    """Newton's method for (1) from w at unit margin.

    None when it does not converge, ends at a saddle, or there are too many weights.
    """
    if w.numel() > LARGEST_DENSE:
        return None
    start, size = w, float(torch.linalg.vector_norm(w))
    active = torch.as_tensor(problem.active, device=w.device)
    identity = torch.eye(w.numel(), dtype=w.dtype, device=w.device)
    for _ in range(NEWTON_STEPS):
        rows, values = _constraints(problem, w, active)
        lam_mu = _least_norm(rows.T, w)
        gradient = w - rows.T @ lam_mu
        if float(torch.linalg.vector_norm(gradient)) < 1e-12 * size and float(values.abs().max()) < 1e-12:
            break
        H = identity - _curvature(problem, w, active, lam_mu)
        reduced, V = _along(rows, H, INDEPENDENT)
        towards = _least_norm(rows, -values)
        side = -gradient - H @ towards
        move = torch.linalg.solve(reduced + FLAT * identity, side - V.T @ (V @ side))
        w = w + towards + move - V.T @ (V @ move)
        if not torch.isfinite(w).all() or float(torch.linalg.vector_norm(w - start)) > 0.5 * size:
            return None
    else:
        return None
    lam, mu, residual = clarke_multipliers(rows.cpu().numpy(), w.cpu().numpy(), problem.active, problem.bends(w))
    # with the multipliers that are reported: nearly dependent constraints have others, of both signs and any size
    lam_mu = torch.as_tensor(np.concatenate([lam, mu]), device=w.device)
    reduced, _ = _along(rows, identity - _curvature(problem, w, active, lam_mu), HOLDS)
    if int(torch.linalg.cholesky_ex(reduced + (FLAT + NEUTRAL) * identity)[1]):
        return None  # negative curvature along the constraints: a saddle, which the flow leaves
    full = np.zeros(problem.active.size)
    full[problem.active] = lam
    return PolishedWeights(w, full, mu, residual)


def _along(rows: Tensor, H: Tensor, rcond: float) -> tuple[Tensor, Tensor]:
    """H along the constraints, completed by the identity across them, and an orthonormal basis V of their rows."""
    _, singular, V = torch.linalg.svd(rows, full_matrices=False)
    V = V[: int((singular > rcond * singular[0]).sum())]
    VH = V @ H  # with Π = I − VᵀV the projection along the constraints, ΠHΠ in thin products
    return H - V.T @ VH - VH.T @ V + V.T @ (VH @ V.T) @ V + V.T @ V, V


def _constraints(problem: HeldProblem, w: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """Rows ∇m_A and −∇z_K, and the values m_A − 1, −z_K."""

    with torch.no_grad():
        m, z = problem.both(w)
    rows, n = problem.rows(w), m.shape[0]
    return torch.cat([rows[:n][active], -rows[n:]]), torch.cat([m[active] - 1.0, -z])


def _least_norm(matrix: Tensor, side: Tensor) -> Tensor:
    solution = torch.linalg.lstsq(matrix.cpu(), side[:, None].cpu(), driver="gelsd", rcond=1e-11).solution
    found: Tensor = solution[:, 0].to(side)
    return found


def _curvature(problem: HeldProblem, w: Tensor, active: Tensor, lam_mu: Tensor) -> Tensor:
    """Σ λ ∇²m − Σ μ ∇²z."""

    def bent(t: Tensor) -> Tensor:
        m, z = problem.both(t)
        return lam_mu @ torch.cat([m[active], -z])

    return hessian(bent, w)


def gradients(function: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """The Jacobian (C, P) of a function with values (C,)."""
    with torch.enable_grad():
        w = w.detach().requires_grad_()
        return _rows_of(function(w), w)


def hessian(function: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """The Hessian of a scalar function."""
    with torch.enable_grad():
        w = w.detach().requires_grad_()
        (slope,) = torch.autograd.grad(function(w), w, create_graph=True, materialize_grads=True)
        return _rows_of(slope, w)


def _rows_of(values: Tensor, w: Tensor) -> Tensor:
    if values.numel() == 0 or not values.requires_grad:
        return torch.zeros(values.numel(), w.numel(), dtype=w.dtype, device=w.device)
    basis = torch.eye(values.numel(), dtype=w.dtype, device=w.device)
    parts = [
        torch.autograd.grad(values, w, part, retain_graph=True, is_grads_batched=True, materialize_grads=True)[0]
        for part in torch.split(basis, CHUNK)
    ]
    return torch.cat(parts).detach()


def clarke_multipliers(rows: Array, w: Array, active: NDArray[np.bool_], bends: Array) -> tuple[Array, Array, float]:
    """min ‖w − rowsᵀ(λ, μ)‖ over λ ≥ 0, 0 ≤ μ_k ≤ b_k, relative to ‖w‖; rows are ∇m_A and −∇z_K.

    Solved as nonnegative least squares in (λ, μ, ν), the equations μ_k + ν_k = b_k weighted heavily, and then made
    exactly admissible, so that the residual returned is that of admissible multipliers.

    Args:
        rows: (|A| + K, P).
        w: (P,).
        active: A as a mask, (N,).
        bends: b as a matrix, (K, N + K): |δ_kn|, and ∂z_l/∂relu_k.
    """
    n_active, n_kinks = int(active.sum()), bends.shape[0]
    usable = np.flatnonzero(bends.any(axis=1))  # else μ = 0
    behind = bends[np.ix_(usable, active.size + usable)]
    bends = bends[usable][:, : active.size][:, active]
    columns = np.concatenate([rows[:n_active], rows[n_active:][usable]]).T
    # the problem is compressed to its column space: columns = QR
    Q, R = np.linalg.qr(columns)
    coupling = np.hstack([bends, behind - np.eye(usable.size), -np.eye(usable.size)])
    heavy = 1e3 * max(float(np.abs(R).max(initial=0.0)), 1.0)
    stacked = np.vstack([np.hstack([R, np.zeros((R.shape[0], usable.size))]), heavy * coupling])
    side = np.concatenate([Q.T @ w, np.zeros(usable.size)])
    solution, _ = nnls(stacked, side, maxiter=50 * stacked.shape[1] + 100)
    lam = solution[:n_active]
    mu = np.zeros(n_kinks)
    admissible = solution[n_active : R.shape[1]]
    while True:  # a kink only depends on deeper ones, so that this ends
        cut = np.clip(admissible, 0.0, np.maximum(bends @ lam + behind @ admissible, 0.0))
        if (cut == admissible).all():
            break
        admissible = cut
    mu[usable] = admissible
    left = w - columns @ np.concatenate([lam, admissible])
    return lam, mu, float(np.linalg.norm(left) / np.linalg.norm(w))
