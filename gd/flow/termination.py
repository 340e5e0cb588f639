"""When a flow that is still on its way is known to end at a point: one termination test.

As a row of the flow settles, its map offers KKT points near its direction (`MarginMap.polished`). A point is taken for
the limit if all three hold; otherwise the flow goes on, for weights that must still grow are growing, however small.

1. **It is stationary**: the relative KKT residual of min ½‖w‖² s.t. margins ≥ 1 is at most `tol`.
2. **It is a minimum**: where the induced problem is convex, its duality gap is at most `tol`, which no saddle passes.
   Where it is not, the point has no negative curvature along its active constraints (gates of ReLUs held), and the
   coefficients that it sets to zero are shrinking.
3. **The flow leads to it**, for one of the reasons that `Reached` names.

Where R is a norm, a direction of the flow whose own loss weights close the duality gap is an answer without any point:
it is stationary and minimal by the certificate, and it is where the flow is. So no status rests on whether Newton's
method converged, which on a degenerate optimal set is a matter of rounding.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

NEAR = 1e-3
"""Largest distance, between unit vectors of weights, at which the flow counts as being at a point. Measured: on random
data the flow passes no other stationary point this closely;"""
NEAR_LATE = 1e-2
"""and after `LATE` steps, or where directions settle slowly: on degenerate data (ties, orthogonal points) the last part
of the way is logarithmic."""
NEAR_APPROACHING = 0.2
"""The same for a flow that was seen three times, each time closer to the same point: units of a two-layer network die
like ‖w‖^{−δ} with small δ, long after nothing else moves."""
SAME_POINT = 0.1  # of the distance to the flow: points this close to one another are one point
LATE = 1000
"""Steps. Flows on data in general position end within some hundreds (tests of `gd`)."""
MARGIN = 1e-3
"""Relative distance between the flow's normalized margin and a proved global optimum's, after `LATE` steps. Where dual
constraints are nearly tied, coefficients drift to their places over ln‖w‖ of many thousands."""
CELL_MARGIN = 1e-2
"""Relative distance between the flow's normalized margin and that of the best point of its cell, which is seen twice.
Measured on two-layer ReLU networks: 1e-3 to 8e-3 at ln‖w‖ of 20 to 60, where all that is left are units that die like
‖w‖^{−δ}; the points found were those of ln‖w‖ in the hundreds."""
SAME_MARGIN = 1e-6  # relative: two optima of cells are one
CLOSER = 0.9  # of the gap at the look before, at ln‖w‖ a fifth less; what falls like 1/ln‖w‖ is at 0.8
SETTLING = 1e-2  # residual (radians) above which no point is looked for
CERTIFIABLE = 1e-4
"""Residual (radians) above which the flow's own gap is not computed: at 1e-5 it was 1e-9 on the data of the tests."""


class Reached(Enum):
    """What ties the flow to the limit that is reported. The value is the sentence to read."""

    BY_CERTIFICATE = "The flow's own direction and loss weights close the duality gap; no equation was solved for it."
    AT_THE_POINT = "The flow's direction was within 0.001 of the polished point (0.01 where it settles slowly)."
    APPROACHING = (
        "The flow was within 0.2 of the polished point, and three times closer to it each time. What still separates "
        "them are slow directions: units that die (`Limit.dying_units` of two-layer networks), or parallel ones."
    )
    BY_MARGIN = (
        "The polished point is proved to be the global optimum, alone on its support, and the flow's normalized margin "
        "was within 0.1 % of its margin. The smoothed margin never falls, so the flow ends no further away; that it "
        "goes all the way is the theorem's statement and is not measured."
    )
    IN_THE_CELL = (
        "The polished point has the largest margin of all networks with its on/off pattern. The flow has that pattern "
        "but for kinks that it slides along and kinks of points without weight, and was twice found with a margin "
        "within 1 % below; the smoothed margin never falls. In directions the rest of the way is slow where units die "
        "or are parallel."
    )
    CLOSING_IN = (
        "The polished point has no direction of smaller norm along its ties and kinks. The flow was three times found "
        "with a margin within 1 % below the margin of such a point, the same each time, and each time a tenth closer. "
        "The smoothed margin never falls. In directions the rest of the way is slow where units die or are parallel."
    )
    NOT = "No limit was found; what is reported is the flow's last direction."

    def __str__(self) -> str:
        return self.value


class Termination:
    """Part 3 of the test for the rows of one batch; remembers which points each row was near.

    Reference: Lyu, Li (2020), Theorem 4.1, that the smoothed margin does not decrease.
    """

    def __init__(self) -> None:
        self._seen: dict[int, list[tuple[Tensor, float]]] = {}
        self._cell_margins: dict[int, float] = {}
        self._gaps: dict[int, tuple[float, list[float]]] = {}

    def reached(
        self, row: int, theta: Tensor, point: Tensor, *, steps: int, settles_slowly: bool, missing_margin: float
    ) -> Reached:
        """What ties the direction `theta` of a row to a stationary point.

        Args:
            row: the number of the row in the batch.
            theta: the flow's direction, of norm one.
            point: the point's direction, of norm one.
            steps: accepted steps of the row.
            settles_slowly: whether some directions of this network settle slowly (`MarginMap.settles_slowly`).
            missing_margin: relative distance of the flow's smoothed margin from the point's, inf unless the point is
                proved to be global and alone on its support.
        """
        distance = float(torch.linalg.vector_norm(point - theta))
        late = steps >= LATE
        seen = self._seen.setdefault(row, [])
        distances = [before for _, before in seen[-2:]] + [distance]
        same = all(float(torch.linalg.vector_norm(point - other)) < SAME_POINT * distance for other, _ in seen[-2:])
        seen.append((point, distance))
        if distance <= (NEAR_LATE if late or settles_slowly else NEAR):
            return Reached.AT_THE_POINT
        closing = len(distances) == 3 and distances[0] > distances[1] > distances[2]
        if settles_slowly and same and closing and distance <= NEAR_APPROACHING:
            return Reached.APPROACHING
        return Reached.BY_MARGIN if late and missing_margin <= MARGIN else Reached.NOT

    def in_the_cell(self, row: int, margin: float, point_margin: float) -> bool:
        """Whether the best point of the flow's cell was found twice, each time with the flow's margin just below.

        Args:
            row: the number of the row in the batch.
            margin: the flow's smallest normalized margin.
            point_margin: the point's.
        """
        before = self._cell_margins.get(row)
        if not -SAME_MARGIN <= 1.0 - margin / point_margin <= CELL_MARGIN:
            return False
        self._cell_margins[row] = point_margin
        return before is not None and abs(before / point_margin - 1.0) <= SAME_MARGIN

    def closing_in(self, row: int, margin: float, point_margin: float) -> bool:
        """Whether a local minimum of one margin was found three times, and each time the flow's margin was well closer.

        The smoothed margin never falls, so a flow at rest comes closer too: by less than `CLOSER` from look to look.

        The points need not be the same: parallel units share a point's weights in many ways.

        Args:
            row: the number of the row in the batch.
            margin: the flow's smallest normalized margin.
            point_margin: the point's.
        """
        gap = 1.0 - margin / point_margin
        before, gaps = self._gaps.get(row, (point_margin, []))
        same = abs(before / point_margin - 1.0) <= SAME_MARGIN
        gaps = [*(gaps if same else []), gap]
        self._gaps[row] = (point_margin, gaps)
        last = gaps[-3:]
        closer = len(last) == 3 and last[1] <= CLOSER * last[0] and last[2] <= CLOSER * last[1]
        return closer and last[0] <= CELL_MARGIN and last[2] > 0
