"""Polishing a direction of a piecewise smooth network: tied margins and the states of kinks, by an active set.

The flow shows both, but for what is still to happen: units that die like a small power of 1/‖w‖ leave their samples'
margins to the others, and on the way to the limit some kinks are crossed. So (1) of `gd.flow.weight_polish` is solved
for the flow's states, and states that its solution contradicts are changed, as far as that leads: a kink beyond which
the solution lies slides where both sides push towards it, and is crossed elsewhere; margins below one join. What then
leaves is decided by the admissible multipliers nearest to w, a bounded least squares problem that degenerate vertices
do no harm: its residual is a direction of descent, and the ties and kinks that it moves away from are let go, all at
once. Newton's method on too many ties finds nothing; then the same is asked at w itself. Whether the flow goes to the
point that is found is for `gd.flow.termination` to say.

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
    constraints,
    is_saddle,
    solve_held,
    with_multipliers,
)
from gd.piecewise.module import PiecewiseMargins
from gd.piecewise.rows import Rows

CORRECTIONS = 20  # of the states; 1 to 6 were seen to be needed on networks of 160 to 620 weights
BEYOND = 1e-9  # of the largest |z|, and of a margin: what is violated by less is rounding
NEGATIVE = 1e-8  # of the largest multiplier: the same for multipliers
LEAVES = 1e-6  # cosine between a gradient and the descent that leaves its constraint


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
        if solved is not None:
            w = solved.w
            if float(torch.linalg.vector_norm(w - start)) > furthest:
                return None
            m, z = pieces.plain(w)
            beyond = ~gates.sliding & ((z > 0) != gates.on) & (z.abs() > BEYOND * z.abs().max())
            short = ~active & (m < 1.0 - BEYOND).cpu().numpy()
            if beyond.any() or short.any():
                gates = _moved(pieces, solved, gates, active, beyond)
                active = active | short
                continue
        rows = constraints(problem, w)[0] if solved is None else solved.rows
        point = with_multipliers(problem, w, rows)
        if solved is not None and point.residual <= tol:
            return None if is_saddle(problem, point, rows) else point
        changed = _released(problem, rows, point, gates, active)
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
    problem: HeldProblem, rows: Rows, point: PolishedWeights, gates: Gates, active: NDArray[np.bool_]
) -> tuple[Gates, NDArray[np.bool_]] | None:
    """The states without the ties and kinks that the steepest descent leaves; None where it leaves none.

    With the admissible multipliers nearest to w, what is left of (2) is a direction of descent, −d. It stays on ties
    and kinks whose multipliers are inside their intervals, and leaves others to the side that these allow.
    """
    count, device = int(active.sum()), point.w.device
    lam, mu = point.lam[active], point.mu
    left = point.w - rows.combine(torch.as_tensor(np.concatenate([lam, mu]), device=device))
    along = -rows.dot(left)
    along /= torch.linalg.vector_norm(left) * rows.gram().diagonal().sqrt() + 1e-300
    cosine = along.cpu().numpy()
    bound = problem.bends(point.w) @ np.concatenate([point.lam, mu])
    loose = (lam == 0) & (cosine[:count] > LEAVES)
    to_off = (mu == 0) & (cosine[count:] > LEAVES)  # the rows of kinks are −∇z
    to_on = ~to_off & (mu >= (1.0 - BEYOND) * bound) & (cosine[count:] < -LEAVES)
    if not (loose.any() or to_off.any() or to_on.any()):
        return None
    on, sliding, kept = gates.on.clone(), gates.sliding.clone(), active.copy()
    leaving = gates.kinks[torch.as_tensor(to_off | to_on, device=device)]
    sliding[leaving] = False
    on[leaving] = torch.as_tensor(to_on[to_off | to_on], device=device)
    kept[np.flatnonzero(active)[loose]] = False
    return Gates(sliding, on), kept
