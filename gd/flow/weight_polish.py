"""Polishing a direction of the flow in weight space: Newton's method on the KKT system, for any homogeneous network.

At a limit direction, scaled to unit margin, the weights solve

    min ½‖w‖²   s.t.   m_n(w; γ) = 1, n ∈ A,     z_k(w; γ) = 0, k ∈ K,                          (1)

with A the tied margins, K the kinks the flow slides along, and the other ReLUs' gates γ held: a smooth problem. Newton
steps are taken in the null space of the constraints' Jacobian, with multipliers by least squares, so that dependent
constraints (duplicated samples, a unit that is zero on every sample) do no harm. No matrix has the weights on both
sides: a step is found by MINRES from products of the Hessian of the Lagrangian. Directions without curvature (the
rotations between linear layers) are left alone. A solution of (1) is a KKT point of the network's own problem
min ½‖w‖² s.t. m_n(w) ≥ 1 if multipliers

    λ ≥ 0,   0 ≤ μ_k ≤ b_k,     w = Σ_n λ_n ∇m_n(w; γ) − Σ_k μ_k ∇z_k(w; γ),
    b_k = −∂(Σ_n λ_n m_n − Σ_l μ_l z_l)/∂relu_k = Σ_n λ_n|δ_kn| + Σ_l μ_l ∂z_l/∂relu_k            (2)

exist: μ_k/b_k is the Clarke gate of that kink. (A kink l of a deeper layer, with gate zero in γ, passes on to the units
before it what its own gate lets through: μ_l.) They are found by bounded least squares, and what is left of
(2) is the ε that is reported.

Reference: Lyu, Li (2020), Definition C.4; Nocedal, Wright (2006), section 18.1 and algorithm 18.1 for (1); Paige,
Saunders (1975), "Solution of sparse indefinite systems of linear equations", for the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, minres
from torch import Tensor

from gd.flow.row_space import RowSpace, compressed
from gd.piecewise.rows import Rows
from solvers.arrays import Array

SMALLEST_KRYLOV = 200  # weights from which on eigenvalues are found by Lanczos's method
NEUTRAL = 1e-6  # negative curvature above this (identity = 1) is a saddle
HOLDS = 1e-6  # and that holds a direction: along a smaller one the curvature takes over after a step of 1e-6
NEWTON_STEPS = 30  # steps cut to `RADIUS` come first; 3 to 18 were seen
RADIUS = 0.1  # of ‖w‖: the longest step along the constraints
FURTHEST = 0.5  # of ‖w‖: how far a solution may be from the start
SOLVED = 1e-11  # relative size of gradient and constraints at a solution
LEAST_ACCURATE = 1e-2  # of a Newton step, relative to its right side
PRODUCTS = 400  # of the Hessian in one Newton step
SUPPORT = 1e-10  # relative singular value from which on multipliers count as independent
CHUNK = 256  # rows of a Jacobian or Hessian at a time


@dataclass(frozen=True)
class HeldProblem:
    """(1) for one network: the functions with gates held, and which constraints are equalities."""

    both: Callable[[Tensor], tuple[Tensor, Tensor]]
    """w ↦ m (N,) and z at the kinks K (K,), differentiable."""
    active: NDArray[np.bool_]
    """(N,)."""
    rows: Callable[[Tensor], Rows]
    """w ↦ ∇m, then ∇z, (N + K, P)."""
    bends: Callable[[Tensor], Array]
    """w ↦ |δ_kn| and ∂z_l/∂relu_k, (K, N + K): how much kink k bends margin n, and a kink l behind it; zero where it
    does not push towards the kink."""


@dataclass(frozen=True)
class HeldSolution:
    """A solution of (1), with multipliers of any sign."""

    w: Tensor
    rows: Rows
    """∇m_A and −∇z_K, (|A| + K, P)."""
    multipliers: Array
    """λ_A and μ, by least squares."""


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
    """Newton's method for (1) from w at unit margin; None when it does not converge, or ends at a saddle."""
    solved = solve_held(problem, w)
    if solved is None:
        return None
    polished = with_multipliers(problem, solved.w, solved.rows)
    return None if is_saddle(problem, polished, solved.rows) else polished


def solve_held(problem: HeldProblem, w: Tensor) -> HeldSolution | None:
    """Newton's method for (1) from w near unit margin; None when it does not converge."""
    start, size = w, float(torch.linalg.vector_norm(w))
    for _ in range(NEWTON_STEPS):
        rows, values = constraints(problem, w)
        space = RowSpace(rows, w.numel())
        multipliers = space.multipliers(w)
        gradient = w - rows.combine(multipliers)
        left = max(float(torch.linalg.vector_norm(gradient)) / size, float(values.abs().max()))
        if left < SOLVED:
            return HeldSolution(w, rows, multipliers.cpu().numpy())
        product = _curvature(problem, w, multipliers)
        towards = space.least_norm(-values)
        side = space.across(product(towards) - towards - gradient)
        rest = float(torch.linalg.vector_norm(side))
        if rest > 0.1 * SOLVED * size:
            accuracy = max(min(LEAST_ACCURATE, left), 0.1 * SOLVED * size / rest)
            w = w + _newton_move(partial(_reduced, space, product), side, accuracy, RADIUS * size)
        w = w + towards
        if not torch.isfinite(w).all() or float(torch.linalg.vector_norm(w - start)) > FURTHEST * size:
            return None
    return None


def _reduced(space: RowSpace, product: Callable[[Tensor], Tensor], v: Tensor) -> Tensor:
    """The Hessian of the Lagrangian, along the constraints."""
    return space.across(v - product(v))


def with_multipliers(problem: HeldProblem, w: Tensor, rows: Rows) -> PolishedWeights:
    """w with multipliers of its rows that are admissible in (2), and what is left of (2)."""
    lam, mu, residual = clarke_multipliers(rows, w, problem.active, problem.bends(w))
    full = np.zeros(problem.active.size)
    full[problem.active] = lam
    return PolishedWeights(w, full, mu, residual)


def is_saddle(problem: HeldProblem, point: PolishedWeights, rows: Rows) -> bool:
    """Whether there is negative curvature along the constraints, a direction in which the flow leaves.

    True as well where the least eigenvalue is not found: only what is known to be a minimum is taken for one. With the
    multipliers that are reported: nearly dependent constraints have others, of both signs and any size.
    """
    w = point.w
    space = RowSpace(rows, w.numel(), HOLDS)
    admissible = torch.as_tensor(np.concatenate([point.lam[problem.active], point.mu]), device=w.device)
    product = _curvature(problem, w, admissible)

    def along(v: Array) -> Array:
        direction = space.across(torch.as_tensor(v, device=w.device))
        return np.asarray(space.across(direction + product(direction)).cpu().numpy())

    P = w.numel()
    if P <= SMALLEST_KRYLOV:
        return bool(np.linalg.eigvalsh(np.stack([along(e) for e in np.eye(P)]))[-1] > 2.0 + NEUTRAL)
    # eigenvalues 2 − h of the Hessian's h, relative to which rounding is small where h is zero
    start = np.random.default_rng(0).standard_normal(P)
    operator = LinearOperator((P, P), along, dtype=float)
    try:
        largest = eigsh(operator, 1, which="LA", v0=start, tol=1e-7, maxiter=100, return_eigenvectors=False)
    except ArpackNoConvergence:
        return True
    return bool(largest[0] > 2.0 + NEUTRAL)


def _newton_move(product: Callable[[Tensor], Tensor], side: Tensor, accuracy: float, longest: float) -> Tensor:
    """The solution of product(x) = side, symmetric and not definite, to a relative accuracy, cut to a length.

    A unit on its way to zero has curvature of either sign around zero; its equations are nearly linear, and the step
    that solves them sets it to zero.
    """

    def of_arrays(v: Array) -> Array:
        return np.asarray(product(torch.as_tensor(v).to(side)).cpu().numpy())

    b = side.cpu().numpy()
    operator = LinearOperator((b.size, b.size), of_arrays, dtype=float)
    # scipy's accuracy is relative to ‖A‖‖x‖, which flat directions make much larger than ‖b‖
    x = torch.as_tensor(minres(operator, b, rtol=1e-4 * accuracy, maxiter=PRODUCTS)[0]).to(side)
    return x * min(1.0, longest / max(float(torch.linalg.vector_norm(x)), 1e-300))


def constraints(problem: HeldProblem, w: Tensor) -> tuple[Rows, Tensor]:
    """Rows ∇m_A and −∇z_K, and the values m_A − 1, −z_K."""
    with torch.no_grad():
        m, z = problem.both(w)
    active = torch.as_tensor(problem.active, device=w.device)
    kept = torch.cat([active, torch.ones_like(z, dtype=torch.bool)])
    signs = torch.cat([torch.ones_like(m[active]), -torch.ones_like(z)])
    return problem.rows(w).select(kept).scaled(signs), torch.cat([m[active] - 1.0, -z])


def _curvature(problem: HeldProblem, w: Tensor, multipliers: Tensor) -> Callable[[Tensor], Tensor]:
    """v ↦ (Σ λ ∇²m − Σ μ ∇²z) v."""
    active = torch.as_tensor(problem.active, device=w.device)
    with torch.enable_grad():  # one graph of the gradient serves every product
        t = w.detach().requires_grad_()
        m, z = problem.both(t)
        (slope,) = torch.autograd.grad(multipliers @ torch.cat([m[active], -z]), t, create_graph=True)
    if slope.grad_fn is None:
        return torch.zeros_like

    def product(v: Tensor) -> Tensor:
        # of a scalar: torch imports sympy, a second, to check the shapes of vectors
        with torch.enable_grad():
            (image,) = torch.autograd.grad((slope * v).sum(), t, retain_graph=True, materialize_grads=True)
        return image.detach()

    return product


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


def clarke_multipliers(rows: Rows, w: Tensor, active: NDArray[np.bool_], bends: Array) -> tuple[Array, Array, float]:
    """min ‖w − rowsᵀ(λ, μ)‖ over λ ≥ 0, 0 ≤ μ_k ≤ b_k, relative to ‖w‖; rows are ∇m_A and −∇z_K.

    Solved as nonnegative least squares in (λ, μ, ν), the equations μ_k + ν_k = b_k weighted heavily; refined on its
    support, for the weights cost half the digits; and then made exactly admissible, so that the residual returned is
    that of admissible multipliers.

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
    rows = rows.select(torch.as_tensor(np.concatenate([np.arange(n_active), n_active + usable]), device=w.device))
    R, within = compressed(rows, w)
    coupling = np.hstack([bends, behind - np.eye(usable.size), -np.eye(usable.size)])
    heavy = 1e3 * max(float(np.abs(R).max(initial=0.0)), 1.0)
    stacked = np.vstack([np.hstack([R, np.zeros((R.shape[0], usable.size))]), heavy * coupling])
    side = np.concatenate([within, np.zeros(usable.size)])
    solution, _ = nnls(stacked, side, maxiter=50 * stacked.shape[1] + 100)
    size = R.shape[1]
    refined = _refined(R, within, solution[:size], solution[size:], np.hstack([bends, behind]))
    lam, admissible = np.maximum(refined[:n_active], 0.0), refined[n_active:]
    mu = np.zeros(n_kinks)
    while True:  # a kink only depends on deeper ones, so that this ends
        cut = np.clip(admissible, 0.0, np.maximum(bends @ lam + behind @ admissible, 0.0))
        if (cut == admissible).all():
            break
        admissible = cut
    mu[usable] = admissible
    left = w - rows.combine(torch.as_tensor(np.concatenate([lam, admissible]), device=w.device))
    return lam, mu, float(torch.linalg.vector_norm(left) / torch.linalg.vector_norm(w))


def _refined(R: Array, within: Array, x: Array, rest: Array, bound: Array) -> Array:
    """x = (λ, μ) with Rx nearest to `within` among those with the same zeros and the same μ_k = b_k, near x.

    Args:
        R, within: of the least squares problem.
        x: (λ, μ), nonnegative.
        rest: b − μ, nonnegative.
        bound: b = `bound` x.
    """
    first = x.size - rest.size
    full = np.concatenate([np.zeros(first, dtype=bool), rest == 0])
    free = (x > 0) & ~full
    C = bound[rest == 0]
    follows = np.linalg.solve(np.eye(len(C)) - C[:, full], C[:, free])  # μ at their bounds, by what is free
    columns = R[:, free] + R[:, full] @ follows
    found = np.zeros_like(x)
    found[free] = x[free] + np.linalg.lstsq(columns, within - columns @ x[free], rcond=SUPPORT)[0]
    found[full] = follows @ found[free]
    return found
