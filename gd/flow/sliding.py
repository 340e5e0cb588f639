"""Gradient flow along the kinks of a piecewise smooth network: Filippov sliding, solved together with the weights p.

At a kink z_k(θ) = 0 where the margins, weighted by p, fall with the output of its rectifier, Σ_c p_c δ_ck < 0,
δ_ck = ∂m_c/∂relu_k, both sides push towards it: where the unit is on, its sample turns it off, and the others turn it
on again. The flow stays on z_k = 0 with a gate c_k ∈ [0, 1] between the two, which is the Clarke multiplier of the
limit's KKT conditions. With the gates of the sliding set K set to zero, an implicit step of length h is

    v = h Jᵀp − Zᵀκ,    z_K + Z v = 0,    p = weights of m + J v,                 κ_k = −h c_k Σ_c p_c δ_ck,

so eliminating κ leaves the step of `gd.flow.implicit_weights` with J projected onto the tangent space of K:
J → J (I − Zᵀ(ZZᵀ)^{−1}Z), m → m − J Zᵀ(ZZᵀ)^{−1} z_K. Everything is computed in the scalar products of the rows of J
and Z, so no matrix has as many columns as there are weights. The set is found as in an active-set method: c_k < 0
leaves to the off side, c_k > 1 to the on side, and an attracting kink that the step would cross joins. Where the sum
is positive the kink repels, and the flow crosses it at most; one that is off and lies where kinks of K meet opens
beyond them, so that a gate of K with c_k = 0 may still let the flow through (`_through`). Without this the integrator,
like gradient descent, chatters across hundreds of kinks and its force never becomes parallel to the weights.

Reference: Filippov (1988), Differential Equations with Discontinuous Righthand Sides, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.cell import Cell, CellOptimum
from gd.flow.cell_program import cell_optimum
from gd.flow.implicit_weights import forceful, holding_weights, implicit_weights, squares_of
from gd.flow.kink_tangent import Gates, Metric, Tangent
from gd.flow.kkt import StationaryPoint
from gd.flow.loss_weights import FlowWeights
from gd.flow.margin_map import Local, Step
from gd.flow.module_map import ModuleMap
from gd.flow.weight_polish import LARGEST_DENSE, HeldProblem, hessian
from gd.piecewise.module import TwoLayers
from gd.targets import Targets
from solvers.arrays import Array

ROUNDS = 12
SETTLING_IN_A_CELL = 3e-2
"""Residual (radians) below which the best point of a two-layer network's cell is looked for: the program is convex, so
it does not matter from where it is solved, and the residual of sliding flows falls slowly (0.05 at ln‖w‖ = 8)."""
AT_ZERO = 1e-13  # |z| for unit weights: rounding
FORCEFUL = 1e-9  # of the largest |bound|: units that have died pull nothing
ON_THE_KINK = 1e-7  # of the largest |z|: below it the side a unit is on is what the last step decided


class SlidingMap(ModuleMap):
    """A homogeneous module with kinks, with Clarke gates at those that attract the flow."""

    smooth = False

    def __init__(self, model: nn.Module, X: Tensor, y: Tensor, seed: int = 0, targets: Targets | None = None) -> None:
        super().__init__(model, X, y, seed, targets)
        start = self.start([model])
        if self.pieces.two_layers(start[0]) is None:
            self.can_be_implicit = start.numel() <= LARGEST_DENSE
        else:  # the best point of the cell does not wait for the last digits of the direction
            self.settling = SETTLING_IN_A_CELL

    def held_problem(self, theta: Tensor, carried: Gates | None, active: NDArray[np.bool_]) -> HeldProblem:
        """The smooth problem at θ with the gates held and the sliding kinks as equations."""
        gates = self.begin_gates(theta) if carried is None else carried
        opened, kinks = gates.open, gates.kinks

        def both(t: Tensor) -> tuple[Tensor, Tensor]:
            m, z = self.pieces.gated(t, opened)
            return m, z[kinks]

        def rows(t: Tensor) -> Tensor:
            return self.pieces.derivatives(t, opened, kinks).rows.dense

        def bends(t: Tensor) -> Array:
            sensitivity = self.pieces.derivatives(t, opened, kinks).sensitivity
            found = self.pieces.bends(sensitivity, kinks).cpu().numpy()
            return np.where((found > 0).any(axis=1, keepdims=True), found, 0.0)

        return HeldProblem(both, active, rows, bends)

    def polished(
        self, theta: Tensor, p: Array, *, carried: Any, may_grow: bool, tol: float
    ) -> Iterator[StationaryPoint]:
        """The best point of the flow's cell, for two layers; otherwise by Newton's method in the weights."""
        net = self.pieces.two_layers(theta)
        best = None if net is None else self._best_of_the_cell(net, theta, p, carried)
        if net is None or best is None:
            yield from super().polished(theta, p, carried=carried, may_grow=may_grow, tol=tol)
        elif not best.refused().any():
            (W, a), at = best.weights(), best.kkt()
            found = net.theta(*(torch.as_tensor(part).to(theta) for part in (W @ self._basis(net).T, a)))
            yield StationaryPoint(found / at.norm, best.lam, at, stable=True, isolated=False, best_of_its_cell=True)

    def _best_of_the_cell(self, net: TwoLayers, theta: Tensor, p: Array, carried: Gates | None) -> CellOptimum | None:
        """The optimum of the cell where the flow is; walls that it slides along may be crossed."""
        gates = self.begin_gates(theta) if carried is None else carried
        X, W, a = (part.cpu().numpy() for part in (net.X, net.W, net.a))
        basis, y = self._basis(net), self.y.flatten().cpu().numpy()
        on, sliding = (part.view(len(y), -1).cpu().numpy() for part in (gates.on ^ net.flipped, gates.sliding))
        cell = Cell(X @ basis, y, np.where(a >= 0, 1.0, -1.0), on, net.above, net.below)
        return cell_optimum(cell, np.abs(a)[:, None] * (W @ basis), p, sliding)

    @staticmethod
    def _basis(net: TwoLayers) -> Array:
        """An orthonormal basis (D, r) of the data's span."""
        X = net.X.cpu().numpy()
        return np.linalg.qr(X.T)[0] if X.shape[0] < X.shape[1] else np.eye(X.shape[1])

    def begin_gates(self, theta: Tensor) -> Gates:
        """Signs of z, nothing sliding."""
        z = self.pieces.plain(theta)[1]
        return Gates(torch.zeros_like(z, dtype=torch.bool), z > 0)

    def tangent(self, theta: Tensor, gates: Gates, metric: Metric) -> Tangent:
        """Everything a step from θ needs for these gates."""
        return Tangent.of(gates, self.pieces.derivatives(theta, gates.open, gates.kinks), metric)

    def metric(self, theta: Tensor, tangent: Tangent, p: Tensor, h: float) -> Metric | None:
        """M for a step of length h with weights near p; None when it is not positive definite (h too long)."""
        growth = h * self.degree * float(p @ tangent.local.margins)
        q = tangent.along_kinks(p[:, None])[:, 0]
        kinks, opened = tangent.gates.kinks, tangent.gates.open

        def force(t: Tensor) -> Tensor:
            m, z = self.pieces.gated(t, opened)
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
            rows.append(self.tangent(row, gates, Metric()))
        return SlidingLocal(self, theta, rows)

    def refreshed(self, theta: Tensor, gates: Gates) -> Gates:
        """Gates carried to a new θ: sides by the sign of z away from the kinks, as decided before on them."""
        z = self.pieces.plain(theta)[1]
        return Gates(gates.sliding, torch.where(z.abs() > ON_THE_KINK * z.abs().max(), z > 0, gates.on))


class SlidingLocal(Local):
    """As `Local`, for a batch of networks each with its own sliding set."""

    def __init__(self, mapping: SlidingMap, theta: Tensor, rows: list[Tangent]) -> None:
        self._mapping, self._theta, self.rows = mapping, theta, rows
        super().__init__(
            torch.stack([row.local.margins for row in rows]),
            torch.stack([row.projected_gram() for row in rows]),
            lambda p: torch.stack([row.pull(weights) for row, weights in zip(rows, p, strict=True)]),
            theta,
            mapping.degree,
        )

    def along_kinks(self, v: Tensor) -> Tensor:
        tangent = self.rows[0]
        rows, C = tangent.local.rows, tangent.C
        q = tangent.across.solve(rows.dot(v)[C:, None])[:, 0]
        return v - rows.combine(torch.cat([q.new_zeros(C), q]))

    def kink_multipliers(self, p: Tensor) -> Tensor:
        return self.rows[0].along_kinks(p[:, None])[:, 0]

    def solve(self, h: Array, T: Array, guess: Array, loss: FlowWeights, implicit: NDArray[np.bool_]) -> Step:
        solved = [
            self._solve_row(b, float(h[b]), T[b : b + 1], guess[b : b + 1], loss, bool(implicit[b]))
            for b in range(len(self.rows))
        ]
        p, moves, growth, converged, gates = zip(*solved, strict=True)
        return Step(np.concatenate(p), torch.stack(moves), np.array(growth), np.array(converged), list(gates))

    def _solve_row(
        self, b: int, h: float, T: Array, p: Array, loss: FlowWeights, implicit: bool
    ) -> tuple[Array, Tensor, float, bool, Gates]:
        mapping, theta, tangent = self._mapping, self._theta[b], self.rows[b]
        metric: Metric | None = Metric()
        if implicit:
            metric = mapping.metric(theta, tangent, torch.as_tensor(p[0], device=theta.device), h)
            if metric is None:
                return p, torch.zeros_like(theta), 0.0, False, tangent.gates
            tangent = Tangent.of(tangent.gates, tangent.local, metric)
        assert metric is not None
        move, gates, C = torch.zeros_like(theta), tangent.gates, tangent.C
        for _ in range(ROUNDS):
            drift = torch.zeros(len(tangent.local.rows), dtype=theta.dtype, device=theta.device)
            if metric.drift is not None:
                drift = tangent.local.rows.dot(metric.drift)
            z_K = tangent.local.z[tangent.gates.kinks] + drift[C:]
            back = tangent.across.solve(z_K[:, None])[:, 0]
            m = (tangent.local.margins + drift[:C] - tangent.cross.T @ back).cpu().numpy()
            gram = tangent.projected_gram().cpu().numpy()
            gram = (gram + gram.T)[None] / 2
            p, ok = implicit_weights(forceful(m[None], squares_of(gram)), gram, np.array([h]), T, p, loss)
            weights = torch.as_tensor(p[0], device=theta.device)
            kappa = back + h * tangent.along_kinks(weights[:, None])[:, 0]
            move = metric.combine(tangent.local.rows, torch.cat([h * weights, -kappa]))
            if not ok[0]:
                return p, move, metric.growth, False, tangent.gates
            holding = holding_weights(m[None], gram, p, h, T, loss)[0]
            corrected = self._corrected(tangent, torch.as_tensor(holding, device=theta.device), kappa / h, theta, move)
            if corrected is None:
                return p, move, metric.growth, True, tangent.gates
            gates = corrected
            tangent = mapping.tangent(theta, gates, metric)
        return p, move, metric.growth, True, gates

    def _corrected(self, tangent: Tangent, p: Tensor, q: Tensor, theta: Tensor, move: Tensor) -> Gates | None:
        """The gates with wrong states changed, or None when every state is consistent with the step.

        p are the weights that hold kinks, q the multipliers κ/h of the sliding ones.
        """
        gates, pieces = tangent.gates, self._mapping.pieces
        bound = pieces.bounds(p, tangent.local.sensitivity)  # c_k = 1; negative where the kink repels
        slack = 1e-9 * float(q.abs().max()) if q.numel() else 0.0
        every = torch.zeros_like(bound)
        every[gates.kinks] = q
        to_off = gates.sliding & (every < -slack)
        to_on = gates.sliding & (every > bound + slack) & ~to_off
        with torch.no_grad():
            after = pieces.gated(theta + move, gates.open)[1]
        crossing = ~gates.sliding & (bound > 0) & ((after > 0) != gates.on) & (after.abs() > AT_ZERO)
        opening = torch.zeros_like(to_off)
        if not (to_off | to_on | crossing).any():
            to_off, opening = self._through(tangent, q, bound, theta, after)
            if not opening.any():
                return None
        return Gates((gates.sliding & ~(to_off | to_on)) | crossing, (gates.on | to_on | opening) & ~to_off)

    def _through(
        self, tangent: Tangent, q: Tensor, bound: Tensor, theta: Tensor, after: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The sliding kinks that the flow crosses because another one opens behind them, and those that open, (K,).

        A kink l that is off and repels, with ∇z_l = Σ a_lk ∇z_k over the sliding set, stays at zero while those slide.
        Beyond a kink k with a_lk < 0 it is on, with the force −b_l ∇z_l of its bound b_l < 0. The multiplier there is
        q_k − Σ_l b_l a_lk; where it is negative the far side leads away from k, and the flow does not slide but
        crosses. Samples x and −x of opposite labels are the plain case: as one turns off, the other turns on.
        """
        gates, C = tangent.gates, tangent.C
        to_off, opening = torch.zeros_like(gates.sliding), torch.zeros_like(gates.sliding)
        held = ~gates.sliding & ~gates.on & (after.abs() <= AT_ZERO) & (bound < -FORCEFUL * bound.abs().max())
        if not (gates.sliding.any() and held.any()):
            return to_off, opening
        plain, numbers = Tangent.of(gates, tangent.local, Metric()), torch.nonzero(held)[:, 0]
        behind = self._mapping.pieces.derivatives(theta, gates.open, numbers).rows.dense[C:]
        along = torch.stack([plain.local.rows.dot(gradient)[C:] for gradient in behind])
        a = plain.across.solve(along.T).T
        none = torch.zeros(C).to(a)
        spanned = torch.stack([plain.local.rows.combine(torch.cat([none, row])) for row in a])
        held_here = (behind - spanned).norm(dim=1) <= 1e-6 * behind.norm(dim=1)
        a = torch.where(held_here[:, None], a.clamp(max=0.0), 0.0)
        crossed = q - bound[numbers] @ a < -1e-9 * q.abs().max()
        to_off[gates.kinks[crossed]] = True
        opening[numbers[(a[:, crossed] < -1e-9).any(dim=1)]] = True
        return to_off, opening
