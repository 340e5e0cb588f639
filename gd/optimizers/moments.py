"""Moving averages of gradients whose scale is e^{log L}: kept as a mantissa and a common exponent of each run.

    m ← decay · m + weight · g,    m = e^{scale} · value,    g = e^{log_scale} · direction.

The exponent follows whichever of the two terms is larger, so no mantissa over- or underflows as a whole, however small
the loss. Entries 10^308 below their run's largest count as zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def fold_factors(scale: Tensor | None, log_scale: Tensor, decay: float) -> tuple[Tensor, Tensor, Tensor]:
    """The new exponent, and e^{old − new}, e^{log_scale − new} to multiply the old mantissa and the gradient by.

    All (B,). `scale` is None before the first gradient; `decay` is the slowest of the averages that share the exponent.
    """
    if scale is None or decay == 0:
        return log_scale, torch.zeros_like(log_scale), torch.ones_like(log_scale)
    new = torch.maximum(scale + math.log(decay), log_scale)
    return new, torch.exp(scale - new), torch.exp(log_scale - new)


def momentum(
    state: tuple[Tensor, Tensor] | None, direction: Tensor, log_scale: Tensor, decay: float
) -> tuple[Tensor, Tensor]:
    """m ← decay·m + g as (value, scale), from the state before (None: m = 0)."""
    if state is None or decay == 0:
        return direction, log_scale
    scale, old, new = fold_factors(state[1], log_scale, decay)
    return decay * old.unsqueeze(1) * state[0] + new.unsqueeze(1) * direction, scale
