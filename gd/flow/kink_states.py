"""The states of kinks in one implicit step: on, off or sliding, changed until the step contradicts none of them.

Where both sides push towards a kink, b_k > 0 in `gd.flow.sliding`, the states of a step are those of a complementarity
problem: off where z_k < 0 at its end, on where z_k > 0, sliding with z_k = 0 and a gate c_k in [0, 1] between the two.
It is solved by changing states. A sliding kink with c_k < 0 leaves to the off side, with c_k > 1 to the on side. One
that the step would cross is taken for crossed, since most are; where the step then comes back, it slides. Of many that
the step would cross, those are changed that it meets first: the others are often met because the first were not seen
(filters of a convolution, with hundreds of kinks and a few weights each). Where b_k < 0 the kink repels, and the flow
crosses it at most; one that is off and lies where sliding kinks meet opens beyond them, so that a gate with c_k = 0 may
still let the flow through.

Reference: Filippov (1988), Differential Equations with Discontinuous Righthand Sides, section 4; Cottle, Pang, Stone
(1992), The Linear Complementarity Problem, chapter 4, for changes of several states at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gd.flow.kink_tangent import Gates, Metric, Tangent
from gd.piecewise.module import PiecewiseMargins

ROUNDS = 30  # changes in one step; where they lead in circles it is taken as it is, and its error decides
ONE_BY_ONE = 20  # rounds after which one state is changed at a time: changes of several may lead in circles
FEW, SHARE = 4, 0.5
"""Of the kinks that the step would cross, this share is changed in a round, and at least so many. (Measured on a
convolution with 17,000 kinks: all at once, 18 crossings became 360 and steps a third as long.)"""
AT_ZERO = 1e-13  # |z| for unit weights: rounding
FORCEFUL = 1e-9  # of the largest |bound|: units that have died pull nothing


@dataclass(frozen=True)
class Trial:
    """A step with the states of `tangent`, and what was tried before."""

    tangent: Tangent
    multipliers: Tensor
    """The weights that hold kinks, and q = κ/h of the sliding ones, (C + K,)."""
    theta: Tensor
    move: Tensor
    a: float
    """The stretch of θ."""
    tried: Tensor
    """Kinks that were changed before in this step."""

    @property
    def gates(self) -> Gates:
        return self.tangent.gates

    @property
    def q(self) -> Tensor:
        return self.multipliers[self.tangent.C :]


def corrected(pieces: PiecewiseMargins, trial: Trial, attempt: int) -> tuple[Gates, Tensor] | None:
    """The gates with wrong states changed, and all that were tried; None when every state is consistent."""
    gates, q = trial.gates, trial.q
    bound = pieces.bounds(trial.tangent.local, trial.multipliers)  # c_k = 1; negative where the kink repels
    slack = 1e-9 * float(q.abs().max()) if q.numel() else 0.0
    every = torch.zeros_like(bound)
    every[gates.kinks] = q
    to_off = gates.sliding & (every < -slack)
    to_on = gates.sliding & (every > bound + slack) & ~to_off
    z, change = pieces.change(trial.theta, gates.open, trial.move - trial.a * trial.theta)
    after = (1.0 + trial.a) * z + change
    wrong = ~gates.sliding & (bound > 0) & ((after > 0) != gates.on) & (after.abs() > AT_ZERO)
    if not (to_off | to_on | wrong).any():
        to_off, opening = _through(pieces, trial, bound, after)
        if not opening.any():
            return None
        return Gates(gates.sliding & ~to_off, (gates.on | opening) & ~to_off), trial.tried | to_off
    if attempt >= ONE_BY_ONE:
        last = torch.zeros_like(wrong)
        last[torch.nonzero(to_off | to_on | wrong)[-1]] = True
        to_off, to_on, wrong = to_off & last, to_on & last, wrong & last
    wrong = _met_first(wrong, z, after)
    sliding = (gates.sliding & ~(to_off | to_on)) | (wrong & trial.tried)
    on = ((gates.on ^ (wrong & ~trial.tried)) | to_on) & ~to_off
    return Gates(sliding, on), trial.tried | wrong | to_off | to_on


def _met_first(wrong: Tensor, z: Tensor, after: Tensor) -> Tensor:
    """Those kinks that the way from z to `after` crosses first."""
    numbers = torch.nonzero(wrong)[:, 0]
    if numbers.numel() <= FEW:
        return wrong
    way = z[numbers] / (z[numbers] - after[numbers])
    first = torch.zeros_like(wrong)
    first[numbers[torch.argsort(way, stable=True)[: max(FEW, int(SHARE * numbers.numel()))]]] = True
    return first


def _through(pieces: PiecewiseMargins, trial: Trial, bound: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """The sliding kinks that the flow crosses because another one opens behind them, and those that open, (K,).

    A kink l that is off and repels, with ∇z_l = Σ a_lk ∇z_k over the sliding set, stays at zero while those slide.
    Beyond a kink k with a_lk < 0 it is on, with the force −b_l ∇z_l of its bound b_l < 0. The multiplier there is
    q_k − Σ_l b_l a_lk; where it is negative the far side leads away from k, and the flow does not slide but
    crosses. Samples x and −x of opposite labels are the plain case: as one turns off, the other turns on.
    """
    tangent, q, gates, C = trial.tangent, trial.q, trial.gates, trial.tangent.C
    to_off, opening = torch.zeros_like(gates.sliding), torch.zeros_like(gates.sliding)
    held = ~gates.sliding & ~gates.on & (after.abs() <= AT_ZERO) & (bound < -FORCEFUL * bound.abs().max())
    if not (gates.sliding.any() and held.any()):
        return to_off, opening
    plain, numbers = Tangent.of(gates, tangent.local, Metric()), torch.nonzero(held)[:, 0]
    behind = pieces.derivatives(trial.theta, gates.open, numbers).rows.dense[C:]
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
