"""How far a direction is from a KKT point of a network with kinks, from the network's forward pass and weights alone.

At a kink that the flow slides along ∇f is not defined. The gates of all kinks within `AT_THE_KINK` of the weights are
free in [0, 1], as in Clarke's subdifferential, and

    min ‖w − c Σ_n p_n g_n‖ / ‖w‖   over c ≥ 0,  g_n ∈ ∂m_n(w),                                             (1)

is solved by nonnegative least squares (`gd.flow.weight_polish`). Nothing of the flow is asked but w and p: not its
gates, and not which kinks it slid along.

Reference: Lyu, Li (2020), Definition C.4; Clarke (1983), "Optimization and Nonsmooth Analysis", section 2.6.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from gd.flow.module_map import ModuleMap
from gd.flow.weight_polish import clarke_multipliers
from gd.piecewise.rows import Rows
from gd.targets import Targets
from solvers.arrays import Array

AT_THE_KINK = 1e-6
"""Of ‖w‖: the distance to a kink, |z|/‖∇z‖, up to which w is taken to lie on it. (Measured: flows that slide are within
1e-9, and what a unit of this size does is of this size.)"""
CONCERNED = 1e-3  # of the largest |z|: gradients of other kinks are not taken


def subgradient_residual(
    model: nn.Module, weights: Mapping[str, Array], X: torch.Tensor, targets: Targets, p: Array
) -> float:
    """(1), 1 where no subgradient points outwards.

    Args:
        model: a module of the parameters' shapes, in their order.
        weights: w, by name.
        X: inputs, float64.
        targets: what the outputs are held against.
        p: weights of the margins, nonnegative.
    """
    pieces = ModuleMap(model, X, targets.values, targets=targets).pieces
    w = torch.cat([torch.as_tensor(part).flatten() for part in weights.values()])
    z = pieces.plain(w)[1]
    largest = float(z.abs().max()) if z.numel() else 0.0
    near = torch.nonzero(z.abs() <= CONCERNED * largest)[:, 0]
    opened = (z > 0).to(w.dtype)
    lengths = torch.sqrt(pieces.derivatives(w, opened, near).rows.squares()[p.size :])
    near = near[z[near].abs() <= AT_THE_KINK * lengths]
    while True:
        gates = opened.clone()
        gates[near] = 0.0
        found = pieces.derivatives(w, gates, near)
        bends = pieces.bends(found, near).cpu().numpy()
        attracts = bends[:, : p.size] @ p >= 0.0
        if attracts.all():
            break
        near = near[torch.as_tensor(attracts)]  # one that pushes the flow away counts on the side where w is
    rows, of_kinks = found.rows, torch.zeros(near.numel(), dtype=w.dtype)
    force = rows.combine(torch.cat([torch.as_tensor(p), of_kinks]))
    joined = Rows([torch.cat([force[None], -rows.select(slice(p.size, None)).dense])])
    bent = np.hstack([bends[:, : p.size] @ p[:, None], bends[:, p.size :]])
    return clarke_multipliers(joined, w, np.ones(1, dtype=bool), bent)[2]
