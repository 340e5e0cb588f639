"""A two-layer network as a margin map: steps along kinks in closed form, and the best network of the flow's cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.cell import Cell, CellOptimum
from gd.flow.cell_program import cell_optimum
from gd.flow.implicit_weights import forceful, holding_weights, implicit_weights, squares_of
from gd.flow.kink_states import ONE_BY_ONE, ROUNDS, corrected
from gd.flow.kink_tangent import Gates
from gd.flow.kkt import StationaryPoint
from gd.flow.loss_weights import FlowWeights
from gd.flow.margin_map import Local, Step
from gd.flow.sliding import ON_THE_KINK, SlidingMap
from gd.flow.two_layer_tangent import Data, Units, UnitTangent, span
from gd.flow.unit_walls import UnitWalls
from gd.piecewise.stack import TwoLayers
from solvers.arrays import Array

ROUGH, EXACT = 1, 60
"""Iterations for p: one while states of kinks still change, and as many as it takes once they agree with p. (Measured:
40 % less time on 569 points, with the same steps to twelve digits.)"""
NEARLY = 1e-4  # of a change of p: the next iteration's may be rounding, which saves a round of states
SETTLING_IN_A_CELL = 3e-2
"""Residual (radians) below which the best point of a two-layer network's cell is looked for: the program is convex, so
it does not matter from where it is solved, and the residual of sliding flows falls slowly (0.05 at ln‖w‖ = 8)."""


LONGEST_STRETCH = 20.0
"""Of |θ| in one step. Late in a flow all that is left are units that die, by a part of their size in each step that
grows with the stretch. (Measured on N = 100 with 200 units: the same limits after two thirds of the steps.)"""


class TwoLayerMap(SlidingMap):
    """A two-layer (leaky) ReLU network, however it is written."""

    settling = SETTLING_IN_A_CELL
    largest_stretch = LONGEST_STRETCH

    def prepare(self, start: Tensor) -> None:
        net = self.pieces.two_layers(start)
        if net is None:
            raise ValueError("the module is no two-layer network with one output")
        self.data = Data.of(net, self.y)
        self.known = UnitWalls(self.data.X, net.W.shape[0])
        self.largest_product = float(self.data.X.size * net.W.shape[0] * len(self.data.X))

    def polished(
        self, theta: Tensor, p: Array, *, carried: Any, may_grow: bool, tol: float
    ) -> Iterator[StationaryPoint]:
        """The best point of the flow's cell; by Newton's method in the weights where none is found."""
        net = self.pieces.two_layers(theta)
        best = None if net is None else self._best_of_the_cell(net, theta, p, carried)
        if net is None or best is None:
            yield from super().polished(theta, p, carried=carried, may_grow=may_grow, tol=tol)
        elif not best.refused().any():
            (W, a), at = best.weights(), best.kkt()
            found = net.theta(*(torch.as_tensor(part).to(theta) for part in (W @ span(net).T, a)))
            yield StationaryPoint(found / at.norm, best.lam, at, stable=True, isolated=False, best_of_its_cell=True)

    def _best_of_the_cell(self, net: TwoLayers, theta: Tensor, p: Array, carried: Gates | None) -> CellOptimum | None:
        """The optimum of the cell where the flow is; walls that it slides along may be crossed."""
        gates = self.begin_gates(theta) if carried is None else carried
        X, W, a = (part.cpu().numpy() for part in (net.X, net.W, net.a))
        basis, y = span(net), self.y.flatten().cpu().numpy()
        on, sliding = (part.view(len(y), -1).cpu().numpy() for part in (gates.on ^ net.flipped, gates.sliding))
        cell = Cell(X @ basis, y, np.where(a >= 0, 1.0, -1.0), on, net.above, net.below)
        return cell_optimum(cell, np.abs(a)[:, None] * (W @ basis), p, sliding)

    def at(self, theta: Tensor, carried: Sequence[Gates] | None = None) -> Local:
        tangents = []
        for b, row in enumerate(theta):
            units = self.data.units(row)
            z = self.data.X @ units.W.T
            sliding, on = np.zeros(z.shape, dtype=bool), z > 0
            if carried is not None:
                sliding, before = (part.view(z.shape).cpu().numpy() for part in (carried[b].sliding, carried[b].on))
                on = np.where(np.abs(z) > ON_THE_KINK * np.abs(z).max(), on, before)
            tangents.append(UnitTangent.of(self.data, self.known, units, z, sliding, on))
        return TwoLayerLocal(self, theta, tangents)


class TwoLayerLocal(Local):
    """As `Local`, for a batch of networks each with its own sliding set."""

    def __init__(self, mapping: TwoLayerMap, theta: Tensor, tangents: list[UnitTangent]) -> None:
        self._mapping, self._theta, self._tangents = mapping, theta, tangents
        super().__init__(
            torch.stack([torch.from_numpy(t.F @ t.at.a) for t in tangents]).to(theta),
            torch.stack([torch.from_numpy(t.gram) for t in tangents]).to(theta),
            self._pull,
            theta,
            mapping.degree,
        )

    def _pull(self, p: Tensor) -> Tensor:
        rows = []
        for tangent, weights in zip(self._tangents, p.cpu().numpy(), strict=True):
            force = tangent.pull(weights)
            rows.append(self._mapping.data.theta(replace(force, W=tangent.walls.along(force.W)), self._theta))
        return torch.stack(rows)

    def along_kinks(self, v: Tensor) -> Tensor:
        data, walls = self._mapping.data, self._tangents[0].walls
        units = data.units(v)
        return v + data.theta(Units(walls.along(units.W) - units.W, np.zeros_like(units.a)), v)

    def kink_multipliers(self, p: Tensor) -> Tensor:
        tangent = self._tangents[0]
        walls, q = tangent.walls, np.zeros_like(tangent.z)
        q[walls.kink_point, walls.kink_unit] = walls.multipliers(tangent.pull(p.cpu().numpy()).W)
        return torch.from_numpy(q[tangent.sliding]).to(self._theta)

    def solve(self, h: Array, T: Array, guess: Array, loss: FlowWeights, implicit: NDArray[np.bool_]) -> Step:
        del implicit
        solved = [
            self._solve_row(b, float(h[b]), T[b : b + 1], guess[b : b + 1], loss) for b in range(len(self._tangents))
        ]
        p, moves, converged, gates = zip(*solved, strict=True)
        return Step(np.concatenate(p), torch.stack(moves), np.zeros_like(h), np.array(converged), list(gates))

    def _solve_row(self, b: int, h: float, T: Array, p: Array, loss: FlowWeights) -> tuple[Array, Tensor, bool, Gates]:
        mapping, tangent, theta = self._mapping, self._tangents[b], self._theta[b]
        at, others = tangent.at, mapping.degree - 1.0
        stretch = h * mapping.degree * float(p[0] @ (tangent.F @ at.a))
        a = float(np.clip(stretch / float(theta @ theta), 0.0, mapping.largest_stretch))
        longer, tried, exact = (1.0 + a) ** others, np.zeros(tangent.on.size, dtype=bool), False
        for attempt in range(ROUNDS):
            exact |= attempt >= ONE_BY_ONE
            gram, m = tangent.gram[None], longer * tangent.ahead(a, others)[None]
            squares = squares_of(gram)
            iterations = EXACT if exact else ROUGH
            system, guess = (forceful(m, squares), gram, np.array([longer * h]), T), p
            p, ok = implicit_weights(*system, guess, loss, iterations)
            if not (exact or ok[0]) and np.abs(p - guess).max() < NEARLY:
                p, ok = implicit_weights(*system, p, loss, ROUGH)
            force = tangent.pull(h * p[0])
            before = at.W + force.W
            moved = tangent.walls.along(before)
            if exact and not ok[0]:
                break
            holding = p if squares.all() else holding_weights(m, gram, p, longer * h, T, loss)
            change = corrected(tangent.trial(holding[0], h, moved, before, tried), attempt)
            if change is None:
                if ok[0]:
                    break
                exact = True
                continue
            tried = change.tried
            sliding, on = (part.reshape(tangent.z.shape) for part in (change.sliding, change.on))
            tangent = tangent.changed(mapping.known, sliding, on)
        gates = Gates(*(torch.from_numpy(part.ravel()).to(theta.device) for part in (tangent.sliding, tangent.on)))
        return p, mapping.data.theta(Units(moved - at.W, force.a), theta), bool(ok[0]), gates
