"""What is known of one flow on its way: how its direction and margin move from look to look, and the limit found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gd.flow.kkt import KKT
from gd.flow.termination import Reached
from gd.status import FlowStatus
from solvers.arrays import Array
from solvers.solution import Certificate

PATIENT = (1.0, 200)
"""Steps that may follow after the limit was found, until the direction is final: of those before, and at least."""
PATIENCE = dict.fromkeys((Reached.IN_THE_CELL, Reached.CLOSING_IN), (0.5, 50))
"""The same where units that die keep the direction from becoming final: the flow is watched for as long."""
OVERDUE = 1.1  # times the ln‖w‖ of the next look: as long is waited for a step after which a limit can be looked for


@dataclass(frozen=True)
class Direction:
    """A direction of norm one with multipliers, and what they prove."""

    theta: Tensor
    multipliers: Array
    kkt: KKT
    certificate: Certificate | None
    gap: float | None
    """The relative duality gap, where R is a norm."""


@dataclass(frozen=True)
class Found:
    """A limit, what is known about it, and what ties the flow to it."""

    direction: Direction
    status: FlowStatus
    reached: Reached


class Course:
    """How one row is getting on."""

    def __init__(self) -> None:
        self.next_look = -np.inf  # at the ln‖w‖ of this
        self.turned = np.inf  # radians, since the look before
        self.changed = np.inf  # of the smallest margin, relatively, since the look before
        self.gap = np.inf  # at the look before
        self.found: Found | None = None
        self.last_step = 0  # after it a row whose limit was found is reported as it is
        self._theta: Tensor | None = None
        self._margin = np.nan

    @property
    def watched(self) -> bool:
        """Whether a limit was found that the next look may find to be none."""
        return self.found is not None and self.found.reached in PATIENCE

    def due(self, log_norm: float, ends: bool, settling: Callable[[], bool]) -> bool:
        """Whether to look now.

        A step that meets a kink can leave weights p that hold nothing. A look after it tells nothing of a limit that
        was found before, so it waits for the next steps.

        Args:
            log_norm: ln‖w‖.
            ends: whether all steps are taken that were to follow a limit.
            settling: whether a limit can be looked for.
        """
        if not (log_norm >= self.next_look or (ends and self.watched)):
            return False
        return not self.watched or log_norm >= OVERDUE * self.next_look or settling()

    def look(self, theta: Tensor, log_norm: float, margin: float) -> None:
        """Measure how far direction and margin have moved since the last look; say when to look again."""
        if self._theta is not None:
            self.turned = float(torch.linalg.vector_norm(theta - self._theta))
            self.changed = abs(margin / self._margin - 1.0)
        self._theta, self._margin, self.next_look = theta, margin, max(1.25 * log_norm, log_norm + 0.5)

    def settled(self, settle: float | None, log_norm: float) -> bool:
        """Whether margin and direction move by no more than that from look to look; yes where none is asked for."""
        return settle is None or max(self.changed, self.turned / max(log_norm, 1.0)) <= settle
