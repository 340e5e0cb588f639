"""What gradient descent did: a record at log-spaced steps, and the hypotheses of the theorems as measured on it.

The theorems on separable data assume three things of a run: that the loss goes to zero, that the weights converge in
direction to a positive margin, and that the gradients ∇_β L converge in direction. No finite run shows a limit, but
each leaves a number: log L, and the angles by which the two directions still turned from one snapshot to the next.
Snapshots are log-spaced, so a direction that converges like 1/log t keeps turning visibly and one that has converged
does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gd.status import RunStatus
from solvers.arrays import Array


@dataclass(frozen=True)
class Hypotheses:
    """The theorems' hypotheses, measured at the last snapshot of one run.

    Reference: Gunasekar et al. (2018), the assumptions of Theorems 1 and 2.

    >>> from gd import Diagonal, descend
    >>> run = descend(Diagonal(2, 2, seed=0), [[2.0, 1.0], [-1.0, -3.0]], [1.0, -1.0], steps=100)
    >>> run.hypotheses().margin > 0
    True
    """

    log_loss: float
    """log L, in nats; → −∞ is assumed."""
    margin: float
    """min_n y_n f(x_n; w)/‖w‖^L; > 0 is assumed. NaN where the network is not homogeneous or there are no labels."""
    direction_change: float
    """Angle in radians by which w/‖w‖ turned since the snapshot before; → 0 is assumed."""
    gradient_change: float
    """The same for ∇_β L (∇_w L where the network has no linear predictor); → 0 is assumed."""
    sign_locked: str | None
    """Which coefficients of β the initialization keeps from changing sign, in words; None where none is."""


@dataclass(frozen=True)
class Trajectory:
    """B runs of gradient descent on one architecture, at S log-spaced steps. NaN after a run has stopped.

    The run axis B comes first everywhere, also when one network was given.
    """

    steps: NDArray[np.int64]
    """Step counts of the snapshots, shape (S,); the first is 0."""
    elapsed: Array
    """Wall-clock seconds at the snapshots, of all runs together, snapshots included, shape (S,)."""
    log_loss: Array
    """log L, nats, shape (B, S)."""
    weight_norm: Array
    """‖w‖₂, shape (B, S)."""
    margin: Array
    """Normalized margin min_n y_n f(x_n; w)/‖w‖^L, shape (B, S)."""
    direction_change: Array
    """Radians between w and w at the snapshot before, shape (B, S); NaN at the first."""
    gradient_change: Array
    """Radians between ∇_β L (or ∇_w L) and itself at the snapshot before, shape (B, S); NaN at the first."""
    predictors: Array | None = field(repr=False)
    """β at every snapshot, shape (B, S, *shape of β); None for networks without one."""
    predictor: Array | None = field(repr=False)
    """β of the weights at the end, shape (B, *shape of β)."""
    outputs: Array | None = field(repr=False)
    """f(X; w) at every snapshot, shape (B, S, N, …), where recording them was asked for."""
    parameters: Mapping[str, Array] = field(repr=False)
    """Weights at the end, by parameter name, each of shape (B, …)."""
    status: tuple[RunStatus, ...]
    """How each run ended, B of them."""
    last_step: NDArray[np.int64]
    """The step that the weights at the end belong to, shape (B,)."""
    degree: int | None
    """L with f(x; c·w) = c^L f(x; w); None where the network is not homogeneous."""
    loss: str
    """The name of the loss."""
    schedule: str
    """The schedule, with the rate proved for it here or the word heuristic."""
    heuristic: bool
    """Whether no theorem covers this schedule on this network."""
    sign_locked: tuple[str | None, ...] = field(repr=False)
    """Which coefficients of β each initialization keeps from changing sign, in words; None where none is."""
    seconds: float
    """Wall-clock time of all runs together, in seconds."""

    @property
    def runs(self) -> int:
        """B."""
        return len(self.status)

    def hypotheses(self, run: int = 0) -> Hypotheses:
        """The theorems' hypotheses as measured at the last snapshot that this run reached."""
        reached = np.flatnonzero(~np.isnan(self.log_loss[run]))
        last = int(reached[-1])
        return Hypotheses(
            log_loss=float(self.log_loss[run, last]),
            margin=float(self.margin[run, last]),
            direction_change=float(self.direction_change[run, last]),
            gradient_change=float(self.gradient_change[run, last]),
            sign_locked=self.sign_locked[run],
        )

    def load(self, model: nn.Module, run: int = 0) -> nn.Module:
        """Copy the weights at the end of one run into a module of the same architecture, and return it."""
        with torch.no_grad():
            for name, values in self.parameters.items():
                model.get_parameter(name).copy_(torch.from_numpy(values[run]))
        return model
