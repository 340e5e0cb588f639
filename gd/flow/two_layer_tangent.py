"""One implicit step of a two-layer network f(x) = Σ_j a_j φ(w_j·x), in closed form.

With slopes s_nj = φ′(w_j·x_n) of held gates, A_nj = y_n s_nj a_j and F_nj = y_n s_nj w_j·x_n, the gradients of margin n
are A_nj x_n by w_j and F_nj by a_j, and those of a kink x_n by its own w_j alone. So kinks of different units are
orthogonal, and

    m = F a,     J P Jᵀ = Σ_j A_nj A_mj ⟨x_n, P_j x_m⟩ + F Fᵀ,     w_j + v_j = P_j (w_j + h Σ_n p_n A_nj x_n)     (1)

with the projections P_j of `gd.flow.unit_walls`, which depend on the sliding sets alone. Inputs are taken in the N
coordinates of their span where that is smaller. All arrays are numpy's: they are small, and a step takes hundreds of
operations, which are those of all networks of a batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.implicit_weights import squares_of
from gd.flow.kink_states import Mask, States, Trial
from gd.flow.unit_walls import UnitWalls, Walls
from gd.piecewise.two_layers import TwoLayers
from solvers.arrays import Array

PINNED = 1e-13  # of its gradient's square: what rounding leaves along the kinks of a gradient that is across them
SPANNED = 1e-6  # of its length: what is left of a point that other points span


@dataclass(frozen=True)
class Units:
    """Weights of B networks in coordinates of the data's span."""

    W: Array
    """(B, H, r)."""
    a: Array
    """(B, H)."""


@dataclass(frozen=True)
class Data:
    """The points, and where the weights are in θ."""

    X: Array
    """(N, r)."""
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
        X = points if basis is None else points @ basis
        return cls(X, y.flatten().cpu().numpy(), basis, np.argsort(order), net.above, net.below, X @ X.T)

    def units(self, theta: Tensor) -> Units:
        """θ (B, P) as units."""
        flat = theta.cpu().numpy()[:, self.places]
        H = self.n_units
        W = flat[:, :-H].reshape(len(flat), H, -1)
        return Units(W if self.basis is None else W @ self.basis, flat[:, -H:])

    def theta(self, units: Units, like: Tensor) -> Tensor:
        """A direction in θ (B, P): W in the span of the data."""
        W = units.W if self.basis is None else units.W @ self.basis.T
        flat = np.empty((len(W), self.places.size))
        flat[:, self.places] = np.concatenate([W.reshape(len(W), -1), units.a], axis=1)
        return torch.from_numpy(flat).to(like)

    @property
    def n_units(self) -> int:
        """H."""
        width = self.X.shape[1] if self.basis is None else len(self.basis)
        return self.places.size // (1 + width)


def span(net: TwoLayers) -> Array:
    """An orthonormal basis (D, r) of the data's span."""
    X = net.X.cpu().numpy()
    return np.linalg.qr(X.T)[0] if X.shape[0] < X.shape[1] else np.eye(X.shape[1])


@dataclass(frozen=True)
class UnitTangent:
    """Everything a step from the units of B networks needs for one set of states."""

    data: Data
    at: Units
    z: Array
    """(B, H, N)."""
    sliding: Mask
    on: Mask
    walls: Walls
    """Of all B·H units."""
    A: Array
    F: Array
    whole_gram: Array
    """JJᵀ along the walls, with what rounding leaves of gradients that are across them, (B, N, N)."""
    off: Array
    """The part of the units that is across their walls, (B, H, r)."""

    @classmethod
    def of(cls, data: Data, known: UnitWalls, at: Units, z: Array, sliding: Mask, on: Mask) -> UnitTangent:
        """For these states (B, H, N)."""
        walls, A, F = known.of(_by_unit(sliding)), *_gradients(data, at, z, sliding, on)
        rows = (walls.gram(_by_unit(A), _by_unit(F), data.XX, _units_of(b, z)) for b in range(len(z)))
        off = at.W - walls.along(_by_unit(at.W)).reshape(at.W.shape)
        return cls(data, at, z, sliding, on, walls, A, F, np.stack(list(rows)), off)

    def changed(self, known: UnitWalls, sliding: Mask, on: Mask) -> UnitTangent:
        """For other states, by kinks (B, H·N), by what changes of the units whose states do."""
        sliding, on = sliding.reshape(self.z.shape), on.reshape(self.z.shape)
        walls = known.changed(self.walls, _by_unit(sliding))
        A, F = _gradients(self.data, self.at, self.z, sliding, on)
        others = ((sliding != self.sliding) | (on != self.on)).any(axis=2)
        gram, off, H = self.whole_gram.copy(), self.off.copy(), others.shape[1]
        for b in np.flatnonzero(others.any(axis=1)):
            units = b * H + np.flatnonzero(others[b])
            less = self.walls.gram(_by_unit(self.A), _by_unit(self.F), self.data.XX, units)
            gram[b] += walls.gram(_by_unit(A), _by_unit(F), self.data.XX, units) - less
        off[others] = self.at.W[others] - walls.along(self.at.W[others], np.flatnonzero(others))
        return replace(self, sliding=sliding, on=on, walls=walls, A=A, F=F, whole_gram=gram, off=off)

    def restricted(self, rows: Mask) -> UnitTangent:
        """Of these networks alone."""
        if rows.all():
            return self
        some = {name: getattr(self, name)[rows] for name in ("z", "sliding", "on", "A", "F", "whole_gram", "off")}
        walls = self.walls.restricted(np.flatnonzero(np.repeat(rows, self.z.shape[1])))
        return replace(self, at=Units(self.at.W[rows], self.at.a[rows]), walls=walls, **some)

    @cached_property
    def margins(self) -> Array:
        """(B, N)."""
        return np.asarray((self.at.a[:, None, :] @ self.F)[:, 0])

    @cached_property
    def gram(self) -> Array:
        """Along the walls, (B, N, N); zero for a point whose gradient is across them but for rounding."""
        full = (self.A**2).sum(1) * self.data.XX.diagonal() + (self.F**2).sum(1)
        pinned = squares_of(self.whole_gram) <= PINNED * full
        if not pinned.any():
            return self.whole_gram
        return np.where(pinned[:, :, None] | pinned[:, None, :], 0.0, self.whole_gram)

    @property
    def slopes(self) -> Array:
        """y_n s_jn (B, H, N)."""
        return _slopes(self.data, self.sliding, self.on)

    def pull(self, p: Array) -> Units:
        """Jᵀp without walls, for p (B, N)."""
        return Units((self.A * p[:, None, :]) @ self.data.X, (self.F @ p[:, :, None])[:, :, 0])

    def along(self, W: Array) -> Array:
        """W (B, H, r) projected onto the walls."""
        return self.walls.along(_by_unit(W)).reshape(W.shape)

    def ahead(self, a: Array, others: float) -> Array:
        """The margins of steps with the stretches a (B,), less what p adds, (B, N)."""
        margins = (1.0 - others * a)[:, None] * self.margins
        if self.sliding.any():
            margins -= (self.A * (self.off @ self.data.X.T)).sum(1)
        return np.asarray(margins)

    def multipliers(self, W: Array) -> Array:
        """κ (B, H, N) with W − Σ κ_n x_n along the walls, for W (B, H, r); zero where nothing slides."""
        kappa = np.zeros_like(self.z)
        _by_unit(kappa)[self.walls.kinks] = self.walls.multipliers(_by_unit(W))
        return kappa

    def trial(self, p: Array, h: Array, moved: Array, before: Array, tried: Mask) -> Trial:
        """The states that steps show, kinks unit by unit, (B, H·N).

        Args:
            p: the weights that hold kinks, (B, N).
            h: lengths of the steps, (B,).
            moved: W at the end of the step.
            before: W + h Jᵀp, across the walls too.
            tried: kinks that were changed before.
        """
        (B, H, N), walls, lengths = self.z.shape, self.walls, self.data.XX.diagonal()
        multipliers = self.multipliers(before) / h[:, None, None]
        bounds = -(p * self.data.y)[:, None, :] * (self.at.a * (self.data.above - self.data.below))[:, :, None]
        after = moved @ self.data.X.T
        slack = 1e-9 * np.abs(multipliers).max(axis=(1, 2))

        def through(held: Mask) -> tuple[Mask, Mask]:
            crossed, opening = np.zeros_like(self.sliding), np.zeros_like(self.sliding)
            held = held.reshape(B, H, N)
            for b, j in zip(*np.nonzero(held.any(2) & self.sliding.any(2)), strict=True):
                one = self._through(b * H + j, held[b, j], multipliers[b, j], bounds[b, j], slack[b])
                crossed[b, j], opening[b, j] = one
            return crossed.reshape(B, -1), opening.reshape(B, -1)

        def turns_back(kinks: NDArray[np.intp]) -> Mask:
            """Whether the flow that crosses them is brought back by the force on the far side."""
            units, points = np.divmod(kinks, N)
            change = h[units // H] * _by_unit(bounds)[units, points] * walls.squares(units, points, lengths)
            on = _by_unit(self.on)[units, points]
            return np.asarray((_by_unit(after)[units, points] + np.where(on, change, -change) > 0) == on)

        shape = B, H * N
        states = States(self.sliding.reshape(shape), self.on.reshape(shape), tried)
        q, bound, z, end = (part.reshape(shape) for part in (multipliers, bounds, self.z, after))
        return Trial(states, q, bound, z, end, through, turns_back, N)

    def _through(self, unit: int, held: Mask, q: Array, bound: Array, slack: float) -> tuple[Mask, Mask]:
        """See `gd.flow.kink_states.Trial`; only kinks of one unit meet."""
        X, (points, inverse), behind = self.data.X, self.walls.of_unit(unit), np.flatnonzero(held)
        crossed, opening = np.zeros_like(held), np.zeros_like(held)
        a = X[behind] @ inverse.T
        left = np.linalg.norm(X[behind] - a @ X[points], axis=1)
        spanned = left <= SPANNED * np.linalg.norm(X[behind], axis=1)
        a = np.where(spanned[:, None], np.minimum(a, 0.0), 0.0)
        passed = q[points] - bound[behind] @ a < -slack
        crossed[points[passed]] = True
        opening[behind[(a[:, passed] < -1e-9).any(1)]] = True
        return crossed, opening


def _gradients(data: Data, at: Units, z: Array, sliding: Mask, on: Mask) -> tuple[Array, Array]:
    """A and F (B, H, N)."""
    slopes = _slopes(data, sliding, on)
    return slopes * at.a[:, :, None], slopes * z


def _slopes(data: Data, sliding: Mask, on: Mask) -> Array:
    """y_n s_jn (B, H, N)."""
    return np.where(on & ~sliding, data.above, data.below) * data.y


def _by_unit(x: NDArray[Any]) -> NDArray[Any]:
    """(B, H, ·) as (B·H, ·)."""
    return x.reshape(-1, x.shape[2])


def _units_of(b: int, z: Array) -> slice:
    """The units of network b among those of all."""
    return slice(b * z.shape[1], (b + 1) * z.shape[1])
