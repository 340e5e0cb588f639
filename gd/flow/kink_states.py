"""The states of kinks in one implicit step: on, off or sliding, changed until the step contradicts none of them.

Where both sides push towards a kink, b_k > 0 in `gd.flow.sliding`, the states of a step are those of a complementarity
problem: off where z_k < 0 at its end, on where z_k > 0, sliding with z_k = 0 and a gate c_k in [0, 1] between the two.
It is solved by changing states. A sliding kink with c_k < 0 leaves to the off side, with c_k > 1 to the on side. One
that the step would cross slides if the force on the far side alone would bring it back, which is the same problem in
one dimension; else it is taken for crossed, and where the step then comes back, it slides. (Measured on two layers with
200 units and 100 points: a third of the rounds.) Of many that the step would cross, those are changed that it meets
first: the others are often met because the first were not seen (filters of a convolution, with hundreds of kinks and a
few weights each). Where b_k < 0 the kink repels, and the flow crosses it at most; one that is off and lies where
sliding kinks meet opens beyond them, so that a gate with c_k = 0 may still let the flow through.

Reference: Filippov (1988), Differential Equations with Discontinuous Righthand Sides, section 4; Cottle, Pang, Stone
(1992), The Linear Complementarity Problem, chapter 4, for changes of several states at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.kink_tangent import Tangent
from gd.piecewise.module import PiecewiseMargins
from solvers.arrays import Array

Mask = NDArray[np.bool_]

ROUNDS = 30  # changes in one step; where they lead in circles it is taken as it is, and its error decides
ONE_BY_ONE = 20  # rounds after which one state is changed at a time: changes of several may lead in circles
FEW, SHARE = 4, 0.5
"""Of a group's kinks that the step would cross, this share is changed in a round, and at least so many. (Measured on a
convolution with 17,000 kinks: all at once, 18 crossings became 360 and steps a third as long.)"""
AT_ZERO = 1e-13  # |z| for unit weights: rounding
FORCEFUL = 1e-9  # of the largest |bound|: units that have died pull nothing


@dataclass(frozen=True)
class States:
    """The state of every kink, and which were changed before in this step, (K,) each; of several networks (B, K)."""

    sliding: Mask
    on: Mask
    tried: Mask

    def same(self, other: States) -> Mask:
        """Whether every kink is in one state; of several networks (B,)."""
        return np.asarray(((self.sliding == other.sliding) & (self.on == other.on)).all(axis=-1))


@dataclass(frozen=True)
class Trial:
    """A step with these states, by kinks (K,); of several networks (B, K)."""

    states: States
    q: Array
    """κ/h of the sliding kinks, zero elsewhere."""
    bound: Array
    """q where c_k = 1; negative where the kink repels."""
    z: Array
    """Before the step."""
    after: Array
    """At its end."""
    through: Callable[[Mask], tuple[Mask, Mask]]
    """Of kinks that are off, repel and lie where others slide: which sliding ones the flow crosses because one of these
    opens behind them, and which open."""
    turns_back: Callable[[NDArray[np.intp]], Mask] | None = None
    """Of kinks that the step would cross, by number: whether the force on the far side alone would bring it back."""
    group: int | None = None
    """So many kinks after one another are moved by the same weights, those of others meet in p alone; None for all."""

    @property
    def wrong(self) -> Mask:
        """Which kinks end on the other side than their state says."""
        states = self.states
        there = (self.bound > 0) & (np.abs(self.after) > AT_ZERO)
        return np.asarray(there & ~states.sliding & ((self.after > 0) != states.on))


def corrected(trial: Trial, attempt: int) -> States | None:
    """The states with wrong ones changed; None when every state is consistent."""
    sliding, on, tried = trial.states.sliding, trial.states.on, trial.states.tried
    slack = 1e-9 * np.abs(trial.q).max(axis=-1, keepdims=True, initial=0.0)
    to_off = sliding & (trial.q < -slack)
    to_on = sliding & (trial.q > trial.bound + slack) & ~to_off
    wrong = trial.wrong
    contradicted = to_off | to_on | wrong
    consistent = ~contradicted.any(axis=-1, keepdims=True)
    opened = _opened(trial, consistent)
    if opened is None and consistent.all():
        return None
    crossed, opening = np.zeros((2, *sliding.shape), dtype=bool) if opened is None else opened
    if attempt >= ONE_BY_ONE:
        last = contradicted & (np.cumsum(contradicted[..., ::-1], axis=-1)[..., ::-1] == 1)
        to_off, to_on, wrong = to_off & last, to_on & last, wrong & last
    wrong = _met_first(wrong, trial)
    slides = wrong & tried
    fresh = np.flatnonzero(wrong & ~tried)
    if trial.turns_back is not None and fresh.size:
        slides.reshape(-1)[fresh] = trial.turns_back(fresh)
    return States(
        (sliding & ~(to_off | to_on | crossed)) | slides,
        ((on ^ (wrong & ~slides)) | to_on | opening) & ~(to_off | crossed),
        tried | wrong | to_off | to_on | crossed,
    )


def _met_first(wrong: Mask, trial: Trial) -> Mask:
    """Those kinks of each group that the way from z to its end crosses first."""
    numbers = np.flatnonzero(wrong)
    if numbers.size <= FEW:
        return wrong
    z, groups = trial.z.reshape(-1)[numbers], numbers // (trial.group or wrong.size)
    with np.errstate(divide="ignore"):  # z at the end is z: met last
        way = z / (z - trial.after.reshape(-1)[numbers])
    order = np.lexsort((way, groups))
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    place = np.arange(numbers.size) - np.repeat(starts, counts)
    allowed = np.maximum(FEW, (SHARE * counts).astype(int))
    first = np.zeros_like(wrong)
    first.reshape(-1)[numbers[order[place < np.repeat(allowed, counts)]]] = True
    return first


def _opened(trial: Trial, rows: Mask) -> tuple[Mask, Mask] | None:
    """Which sliding kinks the flow goes through because others open behind them, and which others; None without any.

    In these rows alone.

    A kink l that is off and repels, with ∇z_l = Σ a_lk ∇z_k over the sliding set, stays at zero while those slide.
    Beyond a kink k with a_lk < 0 it is on, with the force −b_l ∇z_l of its bound b_l < 0. The multiplier there is
    q_k − Σ_l b_l a_lk; where it is negative the far side leads away from k, and the flow does not slide but
    crosses. Samples x and −x of opposite labels are the plain case: as one turns off, the other turns on.
    """
    sliding, on = trial.states.sliding, trial.states.on
    if not (rows.any() and sliding.any()):
        return None
    held = rows & ~sliding & ~on & (np.abs(trial.after) <= AT_ZERO)
    held &= trial.bound < -FORCEFUL * np.abs(trial.bound).max(axis=-1, keepdims=True, initial=0.0)
    if not held.any():
        return None
    crossed, opening = trial.through(held)
    some = opening.any(axis=-1, keepdims=True)
    return (crossed & some, opening) if some.any() else None


def module_trial(
    pieces: PiecewiseMargins, tangent: Tangent, multipliers: Tensor, theta: Tensor, move: Tensor, a: float, tried: Mask
) -> Trial:
    """The step of a traced module.

    Args:
        pieces: the module.
        tangent: with the states that the step was computed for.
        multipliers: the weights that hold kinks, and q = κ/h of the sliding ones, (C + K,).
        theta: (P,).
        move: the step of θ.
        a: the stretch of θ.
        tried: kinks whose states were changed before in this step.
    """
    gates = tangent.gates
    bound = pieces.bounds(tangent.local, multipliers)
    q = torch.zeros_like(bound)
    q[gates.kinks] = multipliers[tangent.C :]
    z, change = pieces.change(theta, gates.open, move - a * theta)

    def through(held: Mask) -> tuple[Mask, Mask]:
        return _through(pieces, tangent, multipliers[tangent.C :], theta, bound, torch.as_tensor(held).to(theta.device))

    states = States(gates.sliding.cpu().numpy(), gates.on.cpu().numpy(), tried)
    after = (1.0 + a) * z + change
    values = q.cpu().numpy(), bound.cpu().numpy(), z.cpu().numpy(), after.cpu().numpy()
    return Trial(states, *values, through)


def _through(
    pieces: PiecewiseMargins, tangent: Tangent, q: Tensor, theta: Tensor, bound: Tensor, held: Tensor
) -> tuple[Mask, Mask]:
    """See `Trial.through`."""
    gates, C = tangent.gates, tangent.C
    to_off, opening = torch.zeros_like(gates.sliding), torch.zeros_like(gates.sliding)
    numbers = torch.nonzero(held)[:, 0]
    behind = pieces.derivatives(theta, gates.open, numbers).rows.dense[C:]
    along = torch.stack([tangent.local.rows.dot(gradient)[C:] for gradient in behind])
    a = tangent.across.solve(along.T).T
    none = torch.zeros(C).to(a)
    spanned = torch.stack([tangent.local.rows.combine(torch.cat([none, row])) for row in a])
    held_here = (behind - spanned).norm(dim=1) <= 1e-6 * behind.norm(dim=1)
    a = torch.where(held_here[:, None], a.clamp(max=0.0), 0.0)
    crossed = q - bound[numbers] @ a < -1e-9 * q.abs().max()
    to_off[gates.kinks[crossed]] = True
    opening[numbers[(a[:, crossed] < -1e-9).any(dim=1)]] = True
    return to_off.cpu().numpy(), opening.cpu().numpy()
