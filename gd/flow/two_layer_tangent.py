"""One implicit step of a two-layer network f(x) = Σ_j a_j φ(w_j·x), in closed form.

With slopes s_nj = φ′(w_j·x_n) of held gates, A_nj = y_n s_nj a_j and F_nj = y_n s_nj w_j·x_n, the gradients of margin n
are A_nj x_n by w_j and F_nj by a_j, and those of a kink x_n by its own w_j alone. So kinks of different units are
orthogonal, and

    m = F a,     J P Jᵀ = Σ_j A_nj A_mj ⟨x_n, P_j x_m⟩ + F Fᵀ,     w_j + v_j = P_j (w_j + h Σ_n p_n A_nj x_n)     (1)

with the projections P_j of `gd.flow.unit_walls`, which depend on the sliding sets alone. Inputs are taken in the N
coordinates of their span where that is smaller. All arrays are numpy's: they are small, and a step takes hundreds of
operations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.kink_states import Mask, States, Trial
from gd.flow.unit_walls import UnitWalls, Walls
from gd.piecewise.stack import TwoLayers
from solvers.arrays import Array

PINNED = 1e-13  # of its gradient's square: what rounding leaves along the kinks of a gradient that is across them
SPANNED = 1e-6  # of its length: what is left of a point that other points span


@dataclass(frozen=True)
class Units:
    """Weights in coordinates of the data's span."""

    W: Array
    """(H, r)."""
    a: Array
    """(H,)."""


@dataclass(frozen=True)
class Data:
    """The points, and where the weights are in θ; kinks' z are w_j·x_n."""

    X: Array
    """(N, r), with the sign that makes kinks' z of them."""
    y: Array
    basis: Array | None
    """(D, r), orthonormal; None for the identity."""
    places: NDArray[np.intp]
    """Of W (H, D), row by row, and of a, in θ."""
    above: float
    below: float
    """φ′ for z > 0, and elsewhere."""
    XX: Array

    @classmethod
    def of(cls, net: TwoLayers, y: Tensor) -> Data:
        """Of a network in these forms."""
        H, D = net.W.shape
        numbers = torch.arange(H * D + H)
        order = net.theta(numbers[: H * D].view(H, D), numbers[H * D :]).numpy()
        basis = span(net) if net.X.shape[0] < D else None
        points = net.X.cpu().numpy()
        X = (points if basis is None else points @ basis) * (-1.0 if net.flipped else 1.0)
        above, below = (-net.below, -net.above) if net.flipped else (net.above, net.below)
        return cls(X, y.flatten().cpu().numpy(), basis, np.argsort(order), above, below, X @ X.T)

    def units(self, theta: Tensor) -> Units:
        """θ (P,) as units."""
        flat = theta.cpu().numpy()[self.places]
        H = flat.size // (1 + self._width)
        W = flat[:-H].reshape(H, -1)
        return Units(W if self.basis is None else W @ self.basis, flat[-H:])

    def theta(self, units: Units, like: Tensor) -> Tensor:
        """A direction in θ (P,): W in the span of the data."""
        W = units.W if self.basis is None else units.W @ self.basis.T
        flat = np.empty(self.places.size)
        flat[self.places] = np.concatenate([W.ravel(), units.a])
        return torch.from_numpy(flat).to(like)

    @property
    def _width(self) -> int:
        return int((self.X.T if self.basis is None else self.basis).shape[0])


def span(net: TwoLayers) -> Array:
    """An orthonormal basis (D, r) of the data's span."""
    X = net.X.cpu().numpy()
    return np.linalg.qr(X.T)[0] if X.shape[0] < X.shape[1] else np.eye(X.shape[1])


@dataclass(frozen=True)
class UnitTangent:
    """Everything a step from some units needs for one set of states."""

    data: Data
    at: Units
    z: Array
    """(N, H)."""
    sliding: Mask
    on: Mask
    walls: Walls
    A: Array
    F: Array
    whole_gram: Array
    """JJᵀ along the walls, with what rounding leaves of gradients that are across them, (N, N)."""
    off: Array
    """The part of the units that is across their walls, (H, r)."""

    @classmethod
    def of(cls, data: Data, known: UnitWalls, at: Units, z: Array, sliding: Mask, on: Mask) -> UnitTangent:
        """For these states (N, H)."""
        walls, A, F = known.of(sliding), *_gradients(data, at, z, sliding, on)
        return cls(data, at, z, sliding, on, walls, A, F, walls.gram(A, F, data.XX), at.W - walls.along(at.W))

    def changed(self, known: UnitWalls, sliding: Mask, on: Mask) -> UnitTangent:
        """For other states (N, H), by what changes of the units whose states do."""
        walls, A, F = known.of(sliding), *_gradients(self.data, self.at, self.z, sliding, on)
        units = np.flatnonzero(((sliding != self.sliding) | (on != self.on)).any(axis=0))
        less, more = self.walls.gram(self.A, self.F, self.data.XX, units), walls.gram(A, F, self.data.XX, units)
        off = self.off.copy()
        off[units] = self.at.W[units] - walls.along(self.at.W[units], units)
        gram = self.whole_gram + (more - less)
        return replace(self, sliding=sliding, on=on, walls=walls, A=A, F=F, whole_gram=gram, off=off)

    @cached_property
    def gram(self) -> Array:
        """Along the walls, (N, N); zero for a point whose gradient is across them but for rounding."""
        full = (self.A**2).sum(1) * self.data.XX.diagonal() + (self.F**2).sum(1)
        pinned = self.whole_gram.diagonal() <= PINNED * full
        if not pinned.any():
            return self.whole_gram
        gram = self.whole_gram.copy()
        gram[pinned], gram[:, pinned] = 0.0, 0.0
        return gram

    def pull(self, p: Array) -> Units:
        """Jᵀp without walls."""
        return Units((self.A * p[:, None]).T @ self.data.X, self.F.T @ p)

    def ahead(self, a: float, others: float) -> Array:
        """The margins of a step with the stretch a, less what p adds, (N,)."""
        margins = (1.0 - others * a) * (self.F @ self.at.a)
        if self.walls.kink_unit.size:
            margins -= (self.A * (self.data.X @ self.off.T)).sum(1)
        return np.asarray(margins)

    def trial(self, p: Array, h: float, moved: Array, before: Array, tried: Mask) -> Trial:
        """The states that a step shows.

        Args:
            p: the weights that hold kinks, (N,).
            h: length of the step.
            moved: W at the end of the step.
            before: W + h Jᵀp, across the walls too.
            tried: kinks that were changed before.
        """
        walls = self.walls
        q = np.zeros_like(self.z)
        q[walls.kink_point, walls.kink_unit] = walls.multipliers(before) / h
        bound = -(p * self.data.y)[:, None] * (self.at.a * (self.data.above - self.data.below))
        states = States(self.sliding.ravel(), self.on.ravel(), tried)

        def through(held: Mask) -> tuple[Mask, Mask]:
            return self._through(held.reshape(bound.shape), q, bound)

        after, n_units = self.data.X @ moved.T, self.z.shape[1]

        def turns_back(kinks: NDArray[np.intp]) -> Mask:
            """Whether the flow that crosses them is brought back by the force on the far side."""
            points, units = np.divmod(kinks, n_units)
            change = h * bound[points, units] * walls.squares(points, units, self.data.XX.diagonal())
            on = self.on[points, units]
            return np.asarray((after[points, units] + np.where(on, change, -change) > 0) == on)

        values = q.ravel(), bound.ravel(), self.z.ravel(), after.ravel()
        return Trial(states, *values, through, turns_back, n_units)

    def _through(self, held: Mask, q: Array, bound: Array) -> tuple[Mask, Mask]:
        """See `gd.flow.kink_states.Trial`; only kinks of one unit meet."""
        X, walls = self.data.X, self.walls
        crossed, opening = np.zeros_like(held), np.zeros_like(held)
        slack = 1e-9 * float(np.abs(q).max(initial=0.0))
        for j in np.flatnonzero(held.any(0) & self.sliding.any(0)):
            (points, inverse), behind = walls.of_unit(int(j)), np.flatnonzero(held[:, j])
            a = X[behind] @ inverse.T
            left = np.linalg.norm(X[behind] - a @ X[points], axis=1)
            spanned = left <= SPANNED * np.linalg.norm(X[behind], axis=1)
            a = np.where(spanned[:, None], np.minimum(a, 0.0), 0.0)
            passed = q[points, j] - bound[behind, j] @ a < -slack
            crossed[points[passed], j] = True
            opening[behind[(a[:, passed] < -1e-9).any(1)], j] = True
        return crossed.ravel(), opening.ravel()


def _gradients(data: Data, at: Units, z: Array, sliding: Mask, on: Mask) -> tuple[Array, Array]:
    """A and F (N, H)."""
    slopes = np.where(on & ~sliding, data.above, data.below) * data.y[:, None]
    return slopes * at.a, slopes * z
