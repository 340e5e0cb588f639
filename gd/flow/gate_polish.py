"""Polishing a direction of a piecewise smooth network: tied margins and the states of kinks, by an active set.

The flow shows both, but for what is still to happen: units that die like a small power of 1/‖w‖ leave their samples'
margins to the others, and on the way to the limit some kinks are crossed. So (1) of `gd.flow.weight_polish` is solved
for the flow's states, and states that its solution contradicts are changed, as far as that leads: a kink beyond which
the solution lies slides where both sides push towards it, and is crossed elsewhere; a kink whose multiplier is outside
Clarke's interval [0, b] leaves to the side where it belongs; margins below one join, those with λ < 0 leave. Whether
the flow goes to the point that is found is for `gd.flow.termination` to say.

Reference: Nocedal, Wright (2006), section 16.5, for active sets; Clarke (1990), section 2.3, for gates in [0, 1].
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.kink_tangent import Gates
from gd.flow.weight_polish import (
    HeldProblem,
    HeldSolution,
    PolishedWeights,
    is_saddle,
    solve_held,
    with_multipliers,
)
from gd.piecewise.module import PiecewiseMargins

CORRECTIONS = 20  # of the states; 1 to 6 were seen to be needed on networks of 160 to 620 weights
BEYOND = 1e-9  # of the largest |z|, and of a margin: what is violated by less is rounding
NEGATIVE = 1e-8  # of the largest multiplier: the same for multipliers


class Held(Protocol):
    """θ, gates, active margins ↦ (1)."""

    def __call__(self, theta: Tensor, carried: Gates, active: NDArray[np.bool_]) -> HeldProblem: ...


def polish_gates(
    pieces: PiecewiseMargins, held: Held, w: Tensor, gates: Gates, active: NDArray[np.bool_], tol: float
) -> PolishedWeights | None:
    """The KKT point near w, of margins near one, from the states of the flow; None where none is found.

    Args:
        pieces: the network.
        held: the smooth problem of given states.
        w: (P,).
        gates: the states of all kinks.
        active: which margins are tied, (N,).
        tol: of the KKT residual.
    """
    start, furthest = w, 0.5 * float(torch.linalg.vector_norm(w))
    for _ in range(CORRECTIONS):
        problem = held(w, gates, active)
        solved = solve_held(problem, w)
        if solved is None or float(torch.linalg.vector_norm(solved.w - start)) > furthest:
            return None
        w = solved.w
        m, z = pieces.plain(w)
        beyond = ~gates.sliding & ((z > 0) != gates.on) & (z.abs() > BEYOND * z.abs().max())
        short = ~active & (m < 1.0 - BEYOND).cpu().numpy()
        if beyond.any() or short.any():
            gates = _moved(pieces, solved, gates, active, beyond)
            active = active | short
            continue
        point = with_multipliers(problem, solved)
        if point.residual <= tol:
            return None if is_saddle(problem, point, solved.rows) else point
        changed = _released(problem, solved, gates, active)
        if changed is None:
            return None
        gates, active = changed
    return None


def _moved(
    pieces: PiecewiseMargins, solved: HeldSolution, gates: Gates, active: NDArray[np.bool_], beyond: Tensor
) -> Gates:
    """Gates with the kinks `beyond` which w lies sliding where they attract, else crossed."""
    found = pieces.derivatives(solved.w, gates.open, gates.kinks)
    multipliers = solved.w.new_zeros(found.margins.shape[0] + gates.kinks.numel())
    count = int(active.sum())
    own = torch.as_tensor(solved.multipliers, device=solved.w.device)
    multipliers[: found.margins.shape[0]][torch.as_tensor(active, device=solved.w.device)] = own[:count]
    multipliers[found.margins.shape[0] :] = own[count:]
    attracts = pieces.bounds(found, multipliers) > NEGATIVE * float(own.abs().max())
    return Gates(gates.sliding | (beyond & attracts), gates.on ^ (beyond & ~attracts))


def _released(
    problem: HeldProblem, solved: HeldSolution, gates: Gates, active: NDArray[np.bool_]
) -> tuple[Gates, NDArray[np.bool_]] | None:
    """The states without those whose multipliers have the wrong sign or size; None where there are none."""
    count = int(active.sum())
    lam, mu = solved.multipliers[:count], solved.multipliers[count:]
    every = np.zeros(active.size + mu.size)
    every[: active.size][active], every[active.size :] = lam, mu
    slack = NEGATIVE * float(np.abs(solved.multipliers).max())
    to_off, to_on = mu < -slack, mu > problem.bends(solved.w) @ every + slack
    negative = lam < -slack
    if not (to_off.any() or to_on.any() or negative.any()):
        return None
    kinks = gates.kinks
    on, sliding = gates.on.clone(), gates.sliding.clone()
    leaving = torch.as_tensor(to_off | to_on, device=kinks.device)
    sliding[kinks[leaving]] = False
    on[kinks[leaving]] = torch.as_tensor(~to_off[to_off | to_on], device=kinks.device)
    kept = active.copy()
    if negative.any():
        kept[np.flatnonzero(active)[np.argmin(lam)]] = False
    return Gates(sliding, on), kept
