"""What is known of one flow on its way: how its direction and margin move from look to look, and the limit found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gd.flow.kkt import KKT
from gd.flow.termination import CLOSER, SAME_MARGIN, Reached
from gd.status import FlowStatus
from solvers.arrays import Array
from solvers.solution import Certificate

PATIENT = (1.0, 200)
"""Steps that may follow after the limit was found, until the direction is final: of those before, and at least."""
PATIENCE = dict.fromkeys((Reached.IN_THE_CELL, Reached.CLOSING_IN), (0.5, 50))
"""The same where units that die keep the direction from becoming final: the flow is watched for as long."""
SLOWLY = 0.5
"""Of the distance to the point at the look before: what falls faster is final within a few looks. (Measured on
convolutions and three layers: 0.02 to 0.45 where no unit dies slowly, and final in a tenth to a fifth of the time;
0.5 to 0.86 where one does, and as many steps again.)"""
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
        self._settled = False
        self._theta: Tensor | None = None
        self._margin = np.nan
        self._distance = np.inf  # to the point found, at the last look
        self._point_margin = np.nan

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

    def closes_in_slowly(self) -> bool:
        """Whether the flow came closer to the point found, since the look before, but will not be there soon.

        To be asked once a look. While units die, like a small power of 1/‖w‖, each look shows that and nothing else.
        """
        before, margin_before = self._distance, self._point_margin
        if self.found is None or self._theta is None:
            self._distance = np.inf
            return False
        there = self.found.direction
        self._distance = float(torch.linalg.vector_norm(there.theta - self._theta))
        self._point_margin = there.kkt.margin
        same = abs(self._point_margin / margin_before - 1.0) <= SAME_MARGIN
        return same and SLOWLY * before <= self._distance <= CLOSER * before

    def settled(self, settle: float | None, log_norm: float) -> bool:
        """Whether margin and direction moved by no more than that over the last two looks; yes where none is asked for.

        To be asked once a look.
        """
        before = self._settled
        self._settled = settle is None or max(self.changed, self.turned / max(log_norm, 1.0)) <= settle
        return settle is None or (before and self._settled)
