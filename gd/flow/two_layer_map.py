"""A two-layer network as a margin map: steps along kinks in closed form, and the best network of the flow's cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.cell import Cell, CellOptimum
from gd.flow.cell_program import cell_optimum
from gd.flow.implicit_weights import forceful, holding_weights, implicit_weights, squares_of
from gd.flow.kink_states import ONE_BY_ONE, ROUNDS, Mask, corrected
from gd.flow.kink_tangent import Gates
from gd.flow.kkt import StationaryPoint
from gd.flow.loss_weights import FlowWeights
from gd.flow.margin_map import Local, Step
from gd.flow.module_map import ModuleMap
from gd.flow.sliding import ON_THE_KINK, SlidingMap
from gd.flow.step_rows import joined
from gd.flow.two_layer_tangent import Data, Units, UnitTangent, span
from gd.flow.unit_step import unit_step
from gd.flow.unit_walls import UnitWalls
from gd.piecewise.two_layers import TwoLayers
from solvers.arrays import Array

ROUGH, EXACT = 1, 60
"""Iterations for p: one while states of kinks still change, and as many as it takes once they agree with p. (Measured:
40 % less time on 569 points, with the same steps to twelve digits.)"""
NEARLY = 1e-4  # of a change of p: the next iteration's may be rounding, which saves a round of states
SETTLING_IN_A_CELL = 3e-2
"""Residual (radians) below which the best point of a two-layer network's cell is looked for: the program is convex, so
it does not matter from where it is solved, and the residual of sliding flows falls slowly (0.05 at ln‖w‖ = 8)."""

LARGEST_BATCH = 50_000
"""Kinks of a batch. (Measured per network, on one core, in batches of 1, 4 and 16: with 60 kinks each 0.78, 0.16 and
0.07 s, with 2,500 0.60, 0.33 and 0.28 s; with 20,000 2.1 s in any.)"""
LONGEST_STRETCH = 20.0
"""Of |θ| in one step. Late in a flow all that is left are units that die, by a part of their size in each step that
grows with the stretch. (Measured on N = 100 with 200 units: the same limits after two thirds of the steps.)"""
SMALLEST_UNIT = 1e-140  # of |θ|: products of two such sizes are still above the smallest float64


class TwoLayerMap(SlidingMap):
    """A two-layer (leaky) ReLU network, however it is written."""

    settling = SETTLING_IN_A_CELL
    largest_stretch = LONGEST_STRETCH
    exact_in_weights = True

    def prepare(self, start: Tensor) -> None:
        net = self.pieces.two_layers(start)
        if net is None:
            raise ValueError("the module is no two-layer network with one output")
        self.data = Data.of(net, self.y)
        self.known = UnitWalls(self.data.X)
        self.largest_product = float(self.data.X.size * net.W.shape[0] * len(self.data.X))

    def at_once(self, models: Sequence[nn.Module]) -> int:
        """As many as `LARGEST_BATCH` allows, where all are traced to the same function of their parameters."""
        alike = all(self._is_that_of(model) for model in models[1:])
        return max(LARGEST_BATCH // (self.data.n_units * self.n_constraints), 1) if alike else 1

    def _is_that_of(self, model: nn.Module) -> bool:
        """Whether another network is the same function of its parameters."""
        other = ModuleMap(model, self.X, self.y, targets=self.targets)
        own, its = (one.pieces.two_layers(one.start([model])[0]) for one in (self, other))
        return own is not None and its is not None and own.same_form(its)

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
        on, sliding = (part.view(len(y), -1).cpu().numpy() for part in (gates.on, gates.sliding))
        cell = Cell(X @ basis, y, np.where(a >= 0, 1.0, -1.0), on, net.above, net.below)
        return cell_optimum(cell, np.abs(a)[:, None] * (W @ basis), p, sliding)

    def conserved(self, theta: Tensor) -> Tensor:
        """a_j² − ‖w_j‖² of every unit, (B, H)."""
        squares = theta[:, torch.as_tensor(self.data.places, device=theta.device)] ** 2
        H = self.data.n_units
        return squares[:, -H:] - squares[:, :-H].reshape(len(theta), H, -1).sum(2)

    def above_underflow(self, theta: Tensor) -> Tensor:
        """Units that are all but gone, held where they may come back from, if sooner; see `ProductMap`."""
        units = self.data.units(theta)
        size = np.hypot(np.linalg.norm(units.W, axis=2), units.a)
        tiny = (size < SMALLEST_UNIT) & (size > 0)
        if not tiny.any():
            return theta
        larger = np.where(tiny, SMALLEST_UNIT / np.where(tiny, size, 1.0), 1.0) - 1.0
        return theta + self.data.theta(Units(units.W * larger[:, :, None], units.a * larger), theta)

    def at(self, theta: Tensor, carried: Sequence[Gates] | None = None) -> Local:
        units = self.data.units(theta)
        z = units.W @ self.data.X.T
        sliding, on = np.zeros(z.shape, dtype=bool), z > 0
        if carried is not None:
            N = z.shape[2]
            sliding, before = (
                np.stack([part.view(N, -1).cpu().numpy().T for part in parts])
                for parts in zip(*((gates.sliding, gates.on) for gates in carried), strict=True)
            )
            on = np.where(np.abs(z) > ON_THE_KINK * np.abs(z).max(axis=(1, 2), keepdims=True), on, before)
        return TwoLayerLocal(self, theta, UnitTangent.of(self.data, self.known, units, z, sliding, on))


class TwoLayerLocal(Local):
    """As `Local`, for a batch of networks each with its own sliding set."""

    def __init__(self, mapping: TwoLayerMap, theta: Tensor, tangent: UnitTangent) -> None:
        self._mapping, self._theta, self._tangent = mapping, theta, tangent
        margins, gram = (torch.from_numpy(part).to(theta) for part in (tangent.margins, tangent.gram))
        super().__init__(margins, gram, self._pull, theta, mapping.degree)

    def _pull(self, p: Tensor) -> Tensor:
        force = self._tangent.pull(p.cpu().numpy())
        return self._mapping.data.theta(replace(force, W=self._tangent.along(force.W)), self._theta)

    def along_kinks(self, v: Tensor) -> Tensor:
        data = self._mapping.data
        units = data.units(v[None])
        across = self._tangent.along(units.W) - units.W
        return v + data.theta(Units(across, np.zeros_like(units.a)), v)[0]

    def kink_multipliers(self, p: Tensor) -> Tensor:
        kappa = self._tangent.multipliers(self._tangent.pull(p[None].cpu().numpy()).W)[0].T
        return torch.from_numpy(kappa[self._tangent.sliding[0].T]).to(self._theta)

    def solve(self, h: Array, T: Array, guess: Array, loss: FlowWeights, implicit: NDArray[np.bool_]) -> Step:
        exact = [self._exactly(b, h, T, guess, loss) if implicit[b] else None for b in range(len(h))]
        left = np.array([one is None for one in exact])
        if left.all():
            return self._linearly(self._tangent, self._theta, h, T, guess, loss)
        steps, order = [one for one in exact if one is not None], np.argsort(left, kind="stable")
        if left.any():
            rest = self._tangent.restricted(left), self._theta[torch.as_tensor(left, device=self._theta.device)]
            steps.append(self._linearly(*rest, h[left], T[left], guess[left], loss))
        return joined(steps, np.argsort(order))

    def _exactly(self, b: int, h: Array, T: Array, p: Array, loss: FlowWeights) -> Step | None:
        """A step of row b that is exact in the weights; None where that is not solved, or gates would change."""
        row = np.arange(len(h)) == b
        tangent, data, theta = self._tangent.restricted(row), self._mapping.data, self._theta[b : b + 1]
        found = unit_step(tangent, float(h[b]), float(T[b]), p[b], loss)
        if found is None:
            return None
        weights, ended = found[0][None], found[1]
        crossed = tangent.at.W + tangent.pull(h[row, None] * weights).W
        none = np.zeros((1, tangent.z[0].size), dtype=bool)
        if corrected(tangent.trial(weights, h[row], ended.W[None], crossed, none), 0) is not None:
            return None
        unmoved = theta - data.theta(data.units(theta), theta)  # across the data's span
        there = data.theta(Units(ended.W[None], ended.a[None]), theta)
        move = there + np.exp(-ended.growth) * unmoved - theta
        gates = self._gates(tangent.sliding, tangent.on)
        return Step(weights, move, np.array([ended.growth]), np.ones(1, dtype=bool), gates)

    def _linearly(
        self, tangent: UnitTangent, theta: Tensor, h: Array, T: Array, guess: Array, loss: FlowWeights
    ) -> Step:
        """A step of these rows with the Jacobian held."""
        mapping, rows = self._mapping, np.arange(len(h))
        stretch = h * mapping.degree * (guess * tangent.margins).sum(1) / (theta**2).sum(1).cpu().numpy()
        stretch = np.clip(stretch, 0.0, mapping.largest_stretch)
        p, sliding, on = guess.copy(), tangent.sliding.copy(), tangent.on.copy()
        move = Units(np.empty_like(tangent.at.W), np.empty_like(tangent.at.a))
        converged, exact, tried = *np.zeros((2, len(h)), dtype=bool), np.zeros((len(h), tangent.z[0].size), dtype=bool)
        for attempt in range(ROUNDS):
            exact |= attempt >= ONE_BY_ONE
            found, holding, solved = self._weights(tangent, h[rows], T[rows], stretch[rows], p[rows], loss, exact[rows])
            force = tangent.pull(h[rows, None] * found)
            before = tangent.at.W + force.W
            after = tangent.along(before)
            p[rows], converged[rows] = found, solved
            move.W[rows], move.a[rows] = after - tangent.at.W, force.a
            trial = tangent.trial(holding, h[rows], after, before, tried[rows])
            # a row is done when its states hold and p is solved for; or p is not found, with all its iterations
            change, rough = corrected(trial, attempt), ~exact[rows]
            if change is None:
                same, going = np.ones_like(rough), rough & ~solved
            else:
                same, tried[rows] = change.same(trial.states), change.tried
                going = np.where(same, rough & ~solved, rough | solved)
            if not going.any():
                break
            exact[rows], rows = ~rough | same, rows[going]
            tangent = tangent.restricted(going)
            if change is not None:
                tangent = tangent.changed(mapping.known, change.sliding[going], change.on[going])
                sliding[rows], on[rows] = tangent.sliding, tangent.on
        return Step(p, mapping.data.theta(move, theta), np.zeros_like(h), converged, self._gates(sliding, on))

    def _gates(self, sliding: Mask, on: Mask) -> list[Gates]:
        """Of states (B, H, N), kinks point by point."""
        states = (torch.from_numpy(part.swapaxes(1, 2).reshape(len(part), -1)) for part in (sliding, on))
        return [Gates(*(part.to(self._theta.device) for part in pair)) for pair in zip(*states, strict=True)]

    def _weights(
        self, tangent: UnitTangent, h: Array, T: Array, stretch: Array, guess: Array, loss: FlowWeights, exact: Mask
    ) -> tuple[Array, Array, Mask]:
        """p (B, N) of these steps, the weights that hold kinks, and which p solve the equations."""
        others = self._mapping.degree - 1.0
        longer, squares = (1.0 + stretch) ** others, squares_of(tangent.gram)
        m = longer[:, None] * tangent.ahead(stretch, others)
        system = (forceful(m, squares), tangent.gram, longer * h, T)
        p, solved = implicit_weights(*system, guess, loss, np.where(exact, EXACT, ROUGH))
        again = ~(exact | solved) & (np.abs(p - guess).max(axis=1) < NEARLY)
        if again.any():
            margins, gram, lengths, temperature = (part[again] for part in system)
            found = implicit_weights(margins, gram, lengths, temperature, p[again], loss, ROUGH)
            p[again], solved[again] = found
        holding = p if squares.all() else holding_weights(m, tangent.gram, p, longer * h, T, loss)
        return p, holding, solved
