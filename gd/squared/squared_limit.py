"""What gradient flow of the squared loss ends at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gd.status import SquaredStatus
from solvers.arrays import Array
from solvers.card import Card


@dataclass(frozen=True, repr=False)
class SquaredLimit(Card):
    """Where gradient flow of the squared loss ends, for B runs (the axis comes first, also when B = 1)."""

    weights: Mapping[str, Array] = field(repr=False)
    """The parameters at the end, by name, each (B, …)."""
    residual: Array
    """max_n |f(x_n) − y_n|, shape (B,), in units of y."""
    status: tuple[SquaredStatus, ...]
    """How each run ended, B of them."""
    steps: NDArray[np.int64]
    """Accepted steps, shape (B,)."""
    rejected: NDArray[np.int64]
    """Steps taken back, shape (B,)."""
    movement: Array
    """‖w − w(0)‖₂, shape (B,)."""
    error: Array
    """Sum over steps of the error estimates ‖w* − w₁‖ / ‖w − w(0)‖: relative, pessimistic, shape (B,)."""
    times: Array
    """The snapshots' times, shape (S,)."""
    outputs: Array = field(repr=False)
    """f(X) at the snapshots, shape (B, S, N)."""
    grid_outputs: Array = field(repr=False)
    """f(grid) at the snapshots, shape (B, S, len(grid))."""
    seconds: float
    """Wall-clock time of all runs together."""

    def load(self, model: nn.Module, run: int = 0) -> nn.Module:
        """Copy the weights at the end of one run into a module of the same architecture, and return it."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.from_numpy(self.weights[name][run]).view_as(parameter))
        return model
