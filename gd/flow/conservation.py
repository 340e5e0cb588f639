"""What gradient flow conserves, watched along the integrated path: a check of the integration that uses no limit.

If a change of the weights w → w(s) leaves f as it is, gradient flow conserves a quadratic form of w, whatever the loss:

    diagonal and convolutional networks     |w_l|² − |w_{l+1}|² of every entry, or frequency,
    linear layers                           W_{l+1}ᵀ W_{l+1} − W_l W_lᵀ,
    the same with (leaky) ReLUs between     its diagonal, ‖outgoing weights‖² − ‖incoming weights‖² of every unit.

In directions θ = w/‖w‖ such a Q falls: Q(θ(t)) = Q(w(0))/‖w(t)‖². What the path has instead is an error of the
integration, an angle squared: reported is its largest entry along the path,

    max_t max_i |Q_i(θ(t)) − Q_i(w(0))/‖w(t)‖²|.                                                            (1)

Reference: Du, Hu, Lee (2018), "Algorithmic regularization in learning deep homogeneous models", Theorems 2.1 and 2.2;
Arora, Cohen, Hazan (2018), "On the optimization of deep networks", Theorem 1.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gd.flow.integration import Flow
from solvers.arrays import Array


class ConservationLaws:
    """The figure (1) of every row of a batch, from a flow that has not taken a step yet."""

    def __init__(self, flow: Flow) -> None:
        start = flow.mapping.conserved(flow.theta)
        self._start = None if start is None or start.shape[1] == 0 else start
        self._log_norm = flow.log_norm.copy()
        self._drift = np.zeros(flow.log_norm.size)

    def watch(self, flow: Flow, rows: NDArray[np.intp]) -> None:
        """Take the flow's state into account; its rows are numbered `rows` in the whole batch."""
        now = flow.mapping.conserved(flow.theta)
        if now is None or self._start is None:
            return
        start = self._start[torch.as_tensor(rows, device=now.device)]
        share = torch.as_tensor(np.exp(2.0 * (self._log_norm[rows] - flow.log_norm)), device=now.device)
        drift: Array = (now - share[:, None] * start).abs().amax(1).cpu().numpy()
        self._drift[rows] = np.maximum(self._drift[rows], drift)

    def drift(self, row: int) -> float | None:
        """(1) of one row; None where no law is known."""
        return None if self._start is None else float(self._drift[row])
