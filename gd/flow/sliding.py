"""Gradient flow along the kinks of a piecewise smooth network: Filippov sliding, solved together with the weights p.

At a kink z_k(θ) = 0 where the margins, weighted by p, fall with the output of its rectifier, Σ_c p_c δ_ck < 0,
δ_ck = ∂m_c/∂relu_k, both sides push towards it: where the unit is on, its sample turns it off, and the others turn it
on again. The flow stays on z_k = 0 with a gate c_k ∈ [0, 1] between the two, which is the Clarke multiplier of the
limit's KKT conditions. With the gates of the sliding set K set to zero, an implicit step of length h is

    v = h Jᵀp − Zᵀκ,    z_K + Z v = 0,    p = weights of m + J v,                 κ_k = h c_k b_k,
    b_k = −Σ_c p_c ∂m_c/∂relu_k + Σ_l (κ_l/h) ∂z_l/∂relu_k,         l ∈ K of later layers,

so eliminating κ leaves the step of `gd.flow.implicit_weights` with J projected onto the tangent space of K:
J → J (I − Zᵀ(ZZᵀ)^{−1}Z), m → m − J Zᵀ(ZZᵀ)^{−1} z_K. Everything is computed in the scalar products of the rows of J
and Z, so no matrix has as many columns as there are weights. As in `gd.flow.margin_map`, the step's stretch a of θ is
exact: m is ahead (1 + a)^{L−1} ((1 − (L−1)a) m + J v), and z_k is a multiple of (1 + a) z_k + ∇z_k (v − aθ). The set K
is found as in an active-set method (`gd.flow.kink_states`). Without it the integrator, like gradient descent, chatters
across hundreds of kinks and its force never becomes parallel to the weights.

Reference: Filippov (1988), Differential Equations with Discontinuous Righthand Sides, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.explicit_step import GRADIENTS
from gd.flow.gate_polish import polish_gates
from gd.flow.implicit_weights import forceful, holding_weights, implicit_weights, squares_of
from gd.flow.kink_program import states_of_step
from gd.flow.kink_states import ROUNDS, States, Trial, corrected, module_trial
from gd.flow.kink_tangent import Gates, Tangent
from gd.flow.kkt import ACTIVE, StationaryPoint
from gd.flow.loss_weights import FlowWeights
from gd.flow.margin_map import Local, Step
from gd.flow.module_map import ModuleMap
from gd.flow.weight_polish import HeldProblem
from gd.piecewise.rows import Rows
from solvers.arrays import Array

LARGEST_PROGRAM = 600
"""Kinks met in a step, up to which a convex program decides on their states; with more, they are changed in rounds."""
SAME_MOVE = 1e-6
"""Of a step's length: multipliers that move the weights alike to this are two sets for one step."""
ON_THE_KINK = 1e-7  # of the largest |z|: below it the side a unit is on is what the last step decided


class SlidingMap(ModuleMap):
    """A homogeneous module with kinks, with Clarke gates at those that attract the flow."""

    smooth = False

    def prepare(self, start: Tensor) -> None:
        self.kinks_one_by_one = 0 if self.pieces.stacked else self.pieces.n_kinks
        self.explicit_gradients = min(self.pieces.n_kinks, GRADIENTS)

    def held_problem(self, theta: Tensor, carried: Gates | None, active: NDArray[np.bool_]) -> HeldProblem:
        """The smooth problem at θ with the gates held and the sliding kinks as equations."""
        gates = self.begin_gates(theta) if carried is None else carried
        opened, kinks = gates.open, gates.kinks

        def both(t: Tensor) -> tuple[Tensor, Tensor]:
            m, z = self.pieces.gated(t, opened)
            return m, z[kinks]

        def rows(t: Tensor) -> Rows:
            return self.pieces.derivatives(t, opened, kinks).rows

        def bends(t: Tensor) -> Array:
            found = self.pieces.bends(self.pieces.derivatives(t, opened, kinks), kinks).cpu().numpy()
            return np.where((found > 0).any(axis=1, keepdims=True), found, 0.0)

        return HeldProblem(both, active, rows, bends)

    def polished(
        self, theta: Tensor, p: Array, *, carried: Any, may_grow: bool, tol: float
    ) -> Iterator[StationaryPoint]:
        """By Newton's method in the weights, with the states of kinks corrected."""
        del may_grow
        smallest = float(self.margins(theta[None]).min())
        if smallest <= 0:  # positive with the gates held, of size rounding
            return
        unit = smallest ** (-1.0 / self.degree)
        gates = self.begin_gates(theta) if carried is None else carried
        solved = polish_gates(self.pieces, self.held_problem, unit * theta, gates, p > ACTIVE * p.max(), tol)
        yield from self.as_points(solved, tol)

    def begin_gates(self, theta: Tensor) -> Gates:
        """Signs of z, nothing sliding."""
        z = self.pieces.plain(theta)[1]
        return Gates(torch.zeros_like(z, dtype=torch.bool), z > 0)

    def tangent(self, theta: Tensor, gates: Gates) -> Tangent:
        """Everything a step from θ needs for these gates."""
        return Tangent.of(gates, self.pieces.derivatives(theta, gates.open, gates.kinks))

    def at(self, theta: Tensor, carried: Sequence[Gates] | None = None) -> Local:
        rows = []
        for b, row in enumerate(theta):
            gates = self.begin_gates(row) if carried is None else self.refreshed(row, carried[b])
            rows.append(self.tangent(row, gates))
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
        del implicit
        solved = [self._solve_row(b, float(h[b]), T[b : b + 1], guess[b : b + 1], loss) for b in range(len(self.rows))]
        p, moves, converged, gates = zip(*solved, strict=True)
        return Step(np.concatenate(p), torch.stack(moves), np.zeros_like(h), np.array(converged), list(gates))

    def _solve_row(self, b: int, h: float, T: Array, p: Array, loss: FlowWeights) -> tuple[Array, Tensor, bool, Gates]:
        mapping, theta, tangent = self._mapping, self._theta[b], self.rows[b]
        stretch = h * mapping.degree * float(p[0] @ tangent.local.margins.cpu().numpy())
        a = float(np.clip(stretch / float(theta @ theta), 0.0, mapping.largest_stretch))
        move, tried = torch.zeros_like(theta), np.zeros(tangent.gates.on.numel(), dtype=bool)
        by_program, u = True, None
        for attempt in range(ROUNDS):
            p, holding, kappa, ok = self._weights(tangent, theta, h, a, T, p, loss)
            if not ok:
                return p, move, False, tangent.gates
            move = tangent.local.rows.combine(torch.cat([h * torch.as_tensor(p[0]).to(theta), -kappa]))
            trial = module_trial(mapping.pieces, tangent, torch.cat([holding, kappa / h]), theta, move, a, tried)
            if u is not None:  # where kinks depend on each other, some multipliers are admissible, and others are not
                q = np.where(trial.states.sliding, np.clip(u, 0.0, trial.bound), 0.0)
                other = torch.as_tensor((q - trial.q)[trial.states.sliding]).to(theta)
                other = tangent.local.rows.combine(torch.cat([torch.zeros(tangent.C).to(theta), other]))
                if h * float(torch.linalg.vector_norm(other)) <= SAME_MOVE * float(torch.linalg.vector_norm(move)):
                    trial = replace(trial, q=q)
            change = corrected(trial, attempt)
            if change is None:
                break
            found = self._by_program(trial, change, theta, h, a, T, p) if by_program else None
            by_program, u = found is not None, None
            if found is not None:
                if found[0].same(trial.states):
                    if not trial.wrong.any():
                        break  # what is left are multipliers of kinks that depend on others
                    by_program = False  # it would say the same again
                else:
                    change, u = found
            tried = change.tried
            gates = Gates(*(torch.as_tensor(part, device=theta.device) for part in (change.sliding, change.on)))
            tangent = mapping.tangent(theta, gates)
        return p, move, True, tangent.gates

    def _by_program(
        self, trial: Trial, change: States, theta: Tensor, h: float, a: float, T: Array, p: Array
    ) -> tuple[States, Array] | None:
        """The states with those of the kinks met so far as the program of this step says, and its u."""
        met = change.tried | trial.states.sliding | ((trial.after > 0) != trial.states.on)
        met &= trial.bound > 0
        if not 0 < met.sum() <= LARGEST_PROGRAM:  # none where all kinks repel
            return None
        pieces, others = self._mapping.pieces, self._mapping.degree - 1.0
        gates = Gates(*(torch.as_tensor(part, device=theta.device) for part in (met, change.on)))
        found = pieces.derivatives(theta, gates.open, gates.kinks)
        gram, C = found.rows.gram().cpu().numpy(), found.margins.shape[0]
        if not np.diagonal(gram)[:C].all():  # a sample without force
            return None
        z = (1.0 + a) * found.z[gates.kinks] - a * found.rows.dot(theta)[C:]
        bends, m = pieces.bends(found, gates.kinks).cpu().numpy(), (1.0 - others * a) * found.margins.cpu().numpy()
        with np.errstate(all="ignore"):  # a path may end in numbers that are not finite, which it looks for
            states = states_of_step(gram, bends, m, z.cpu().numpy(), h, float(T[0]) / (1.0 + a) ** others, p[0])
        if states is None:
            return None
        sliding, on, u = np.zeros_like(met), change.on.copy(), np.zeros(met.size)
        sliding[met], on[met], u[met] = states
        return States(sliding, on, change.tried | met), u

    def _weights(
        self, tangent: Tangent, theta: Tensor, h: float, a: float, T: Array, p: Array, loss: FlowWeights
    ) -> tuple[Array, Tensor, Tensor, bool]:
        """p of the step with these gates (1, N), the weights that hold kinks, κ, and whether p was found."""
        rows, C, others = tangent.local.rows, tangent.C, self._mapping.degree - 1.0
        z_K = (1.0 + a) * tangent.local.z[tangent.gates.kinks] - a * rows.dot(theta)[C:]
        back = tangent.across.solve(z_K[:, None])[:, 0]
        along = (1.0 - others * a) * tangent.local.margins - tangent.cross.T @ back
        gram = tangent.projected_gram().cpu().numpy()
        gram, longer = (gram + gram.T)[None] / 2, (1.0 + a) ** others
        m = longer * along.cpu().numpy()[None]
        p, ok = implicit_weights(forceful(m, np.abs(squares_of(gram))), gram, np.array([longer * h]), T, p, loss)
        holding = holding_weights(m, gram, p, np.array([longer * h]), T, loss)[0]
        weights, held = (torch.as_tensor(part).to(theta) for part in (p[0], holding))
        return p, held, back + h * tangent.along_kinks(weights[:, None])[:, 0], bool(ok[0])
