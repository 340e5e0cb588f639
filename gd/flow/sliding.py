"""Gradient flow along the kinks of a ReLU network: Filippov sliding, solved together with the weights p.

At a kink z_k(θ) = 0 of sample n with sensitivity δ_k = ∂m_n/∂relu_k < 0 both sides push towards it: where the unit is
on, sample n turns it off, and the others turn it on again. The flow stays on z_k = 0 with a gate c_k ∈ [0, 1] between
the two, which is the Clarke multiplier of the limit's KKT conditions. With the gates of the sliding set K set to zero,
an implicit step of length h is

    v = h Jᵀp − Zᵀκ,    z_K + Z v = 0,    p = weights of m + J v,                 κ_k = h c_k p_n |δ_k|,

so eliminating κ leaves the step of `gd.flow.implicit_weights` with J projected onto the tangent space of K:
J → J (I − Zᵀ(ZZᵀ)^{−1}Z), m → m − J Zᵀ(ZZᵀ)^{−1} z_K. The set is found as in an active-set method: c_k < 0 leaves to
the off side, c_k > 1 to the on side, and an attracting kink that the step would cross joins. (Where δ_k > 0 the kink
repels, and the flow crosses it at most.) Without this the integrator, like gradient descent, chatters across hundreds
of kinks and its force never becomes parallel to the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.implicit_weights import forceful, implicit_weights
from gd.flow.margin_map import Local, Step
from gd.flow.module_map import ModuleMap
from gd.flow.relu_gates import GatedModule
from gd.flow.weight_polish import LARGEST_DENSE, HeldProblem, hessian
from solvers.arrays import Array

ROUNDS = 12
RIDGE = 1e-13  # relative to the trace of ZZᵀ: samples may be duplicated, and a unit pinned on D samples is zero
ON_THE_KINK = 1e-7  # of the largest |z|: below it the side a unit is on is what the last step decided


@dataclass(frozen=True)
class Gates:
    """The state of every (sample, unit): sliding, or on, or off."""

    sliding: Tensor
    on: Tensor

    @property
    def open(self) -> Tensor:
        """γ in {0, 1} as floats: on and not sliding."""
        return (self.on & ~self.sliding).to(torch.float64)


@dataclass(frozen=True)
class Tangent:
    """Rows of J projected onto the tangent space of the sliding kinks, for one network."""

    gates: Gates
    margins: Tensor
    z: Tensor
    delta: Tensor
    J: Tensor
    Z: Tensor


@dataclass(frozen=True)
class Metric:
    """M = (1 + hλ)I − hA of a fully implicit step, and its drift −hλM^{−1}θ; the identity and zero of a plain one."""

    factor: Tensor | None
    drift: Tensor
    growth: float
    """hλ: the part of the growth of ln‖w‖ that is not left in the length of θ."""

    def solve(self, columns: Tensor) -> Tensor:
        return columns if self.factor is None else torch.cholesky_solve(columns, self.factor)


@dataclass(frozen=True)
class Projection:
    """The step's linear algebra for one sliding set: everything projected along the kinks in the metric M."""

    J_moves: Tensor
    """M^{−1}Jᵀ projected, (P, N)."""
    Z_moves: Tensor
    """M^{−1}Zᵀ (P, K)."""
    factor: Tensor
    """Cholesky factor of Z M^{−1}Zᵀ."""

    @classmethod
    def of(cls, tangent: Tangent, metric: Metric) -> Projection:
        both = metric.solve(torch.cat([tangent.J, tangent.Z]).T)
        J_moves, Z_moves = both[:, : tangent.J.shape[0]], both[:, tangent.J.shape[0] :]
        S = tangent.Z @ Z_moves
        S = (S + S.T) / 2
        S.diagonal().add_(RIDGE * torch.trace(S) + 1e-300)
        factor = torch.linalg.cholesky(S)
        return cls(J_moves - Z_moves @ torch.cholesky_solve(tangent.Z @ J_moves, factor), Z_moves, factor)

    def multipliers(self, residual: Tensor) -> Tensor:
        """κ with Z M^{−1}Zᵀ κ = residual."""
        return torch.cholesky_solve(residual[:, None], self.factor)[:, 0]


class SlidingMap(ModuleMap):
    """A homogeneous module with ReLUs and one output per sample, with Clarke gates at its attracting kinks."""

    def __init__(self, model: nn.Module, X: Tensor, y: Tensor, seed: int = 0) -> None:
        super().__init__(model, X, y, seed)
        self.gated = GatedModule(self._margins, X.shape[0])
        start = self.start([model])[0]
        self.n_units = self.gated.units(start)
        self.can_be_implicit = start.numel() <= LARGEST_DENSE

    def held_problem(self, theta: Tensor, carried: Gates | None, active: NDArray[np.bool_]) -> HeldProblem:
        """The smooth problem at θ with the gates held and the sliding kinks as equations."""
        if carried is None:
            return super().held_problem(theta, carried, active)
        opened = carried.open
        kinks = torch.nonzero(carried.sliding, as_tuple=True)

        def both(t: Tensor) -> tuple[Tensor, Tensor]:
            m, z = self.gated.gated(t, opened)
            return m, z[kinks]

        def deltas(t: Tensor) -> Array:
            return np.asarray(np.maximum(-self.gated.sensitivity(t, opened)[kinks].detach().cpu().numpy(), 0.0))

        return HeldProblem(both, active, kinks[0].cpu().numpy(), deltas)

    def begin_gates(self, theta: Tensor) -> Gates:
        """Signs of z, nothing sliding."""
        z = self.gated.plain(theta)[1]
        return Gates(torch.zeros_like(z, dtype=torch.bool), z > 0)

    def tangent(self, theta: Tensor, gates: Gates) -> Tangent:
        """Everything a step from θ needs for these gates."""
        opened = gates.open
        kinks = torch.nonzero(gates.sliding, as_tuple=True)
        J, Z = self.gated.rows(theta, opened, (kinks[0], kinks[1]))
        with torch.no_grad():
            m, z = self.gated.gated(theta, opened)
        delta = self.gated.sensitivity(theta, opened).detach()
        return Tangent(gates, m, z, delta, J, Z)

    def metric(self, theta: Tensor, tangent: Tangent, p: Tensor, h: float, implicit: bool) -> Metric | None:
        """M for a step of length h with weights near p; None when it is not positive definite (h too long)."""
        if not implicit:
            return Metric(None, torch.zeros_like(theta), 0.0)
        growth = h * self.degree * float(p @ tangent.margins)
        kinks = torch.nonzero(tangent.gates.sliding, as_tuple=True)
        plain = Metric(None, torch.zeros_like(theta), 0.0)
        q = Projection.of(tangent, plain).multipliers(tangent.Z @ (tangent.J.T @ p))
        opened = tangent.gates.open

        def force(t: Tensor) -> Tensor:
            m, z = self.gated.gated(t, opened)
            return p @ m - q @ z[kinks]

        A = hessian(force, theta)
        M = (1.0 + growth) * torch.eye(theta.numel(), dtype=theta.dtype, device=theta.device) - h * A
        factor, failed = torch.linalg.cholesky_ex((M + M.T) / 2)
        if int(failed):
            return None
        return Metric(factor, -growth * torch.cholesky_solve(theta[:, None], factor)[:, 0], growth)

    def at(self, theta: Tensor, carried: Sequence[Gates] | None = None) -> SlidingLocal:
        rows = []
        for b, row in enumerate(theta):
            gates = self.begin_gates(row) if carried is None else self.refreshed(row, carried[b])
            rows.append(self.tangent(row, gates))
        return SlidingLocal(self, theta, rows)

    def refreshed(self, theta: Tensor, gates: Gates) -> Gates:
        """Gates carried to a new θ: sides by the sign of z away from the kinks, as decided before on them."""
        z = self.gated.plain(theta)[1]
        return Gates(gates.sliding, torch.where(z.abs() > ON_THE_KINK * z.abs().max(), z > 0, gates.on))


class SlidingLocal(Local):
    """As `Local`, for a batch of networks each with its own sliding set."""

    def __init__(self, mapping: SlidingMap, theta: Tensor, rows: list[Tangent]) -> None:
        self._mapping, self._theta, self.rows = mapping, theta, rows
        plain = Metric(None, torch.zeros_like(theta[0]), 0.0)
        moves = [Projection.of(row, plain).J_moves for row in rows]
        super().__init__(
            torch.stack([row.margins for row in rows]),
            torch.stack([row.J @ move for row, move in zip(rows, moves, strict=True)]),
            lambda p: torch.stack([move @ weights for move, weights in zip(moves, p, strict=True)]),
            theta,
            mapping.degree,
        )

    def solve(self, h: Array, T: Array, guess: Array, logistic: bool, implicit: NDArray[np.bool_]) -> Step:
        solved = [
            self._solve_row(b, float(h[b]), T[b : b + 1], guess[b : b + 1], logistic, bool(implicit[b]))
            for b in range(len(self.rows))
        ]
        p, moves, growth, converged, gates = zip(*solved, strict=True)
        return Step(np.concatenate(p), torch.stack(moves), np.array(growth), np.array(converged), list(gates))

    def _solve_row(
        self, b: int, h: float, T: Array, p: Array, logistic: bool, implicit: bool
    ) -> tuple[Array, Tensor, float, bool, Gates]:
        mapping, theta, tangent = self._mapping, self._theta[b], self.rows[b]
        metric = mapping.metric(theta, tangent, torch.as_tensor(p[0], device=theta.device), h, implicit)
        if metric is None:
            return p, torch.zeros_like(theta), 0.0, False, tangent.gates
        move, gates = torch.zeros_like(theta), tangent.gates
        for _ in range(ROUNDS):
            projection = Projection.of(tangent, metric)
            z_K = tangent.z[tangent.gates.sliding] + tangent.Z @ metric.drift
            back = metric.drift - projection.Z_moves @ projection.multipliers(z_K)
            m = (tangent.margins + tangent.J @ back).cpu().numpy()
            gram = (tangent.J @ projection.J_moves).cpu().numpy()
            p, ok = implicit_weights(
                forceful(m[None], gram[None]), (gram + gram.T)[None] / 2, np.array([h]), T, p, logistic
            )
            weights = torch.as_tensor(p[0], device=theta.device)
            move = h * (projection.J_moves @ weights) + back
            if not ok[0]:
                return p, move, metric.growth, False, tangent.gates
            free = h * (metric.solve((tangent.J.T @ weights)[:, None])[:, 0])
            c_bound = projection.multipliers(z_K + tangent.Z @ free) / h
            corrected = self._corrected(tangent, weights, c_bound, move, theta)
            if corrected is None:
                return p, move, metric.growth, True, tangent.gates
            gates = corrected
            tangent = mapping.tangent(theta, gates)
        return p, move, metric.growth, True, gates

    def _corrected(self, tangent: Tangent, p: Tensor, q: Tensor, move: Tensor, theta: Tensor) -> Gates | None:
        """The gates with wrong states changed, or None when every state is consistent with the step.

        q are the multipliers c_k p_n |δ_k| of the sliding kinks.
        """
        gates = tangent.gates
        bound = -(p[:, None] * tangent.delta)  # c_k = 1; negative where the kink repels
        slack = 1e-9 * float(bound.abs().max())
        every = torch.zeros_like(bound)
        every[gates.sliding] = q
        to_off = gates.sliding & (every < -slack)
        to_on = gates.sliding & (every > bound + slack) & ~to_off
        after = tangent.z + self._mapping.gated.push_z(theta, gates.open, move)
        crossing = ~gates.sliding & (bound > 0) & ((after > 0) != gates.on) & (after.abs() > 1e-13)
        if not (to_off | to_on | crossing).any():
            return None
        return Gates((gates.sliding & ~(to_off | to_on)) | crossing, (gates.on | to_on) & ~to_off)
