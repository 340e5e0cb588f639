"""The path of a batch of flows, kept log-spaced in τ and in ln‖w‖ and no denser, so that long runs stay small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gd.flow.conservation import ConservationLaws
from gd.flow.integration import Flow
from gd.flow.limit import FlowPath
from gd.flow.margin_map import MarginMap
from gd.recording import Record

STRETCH = 0.25  # of ln‖w‖, in which a state is kept at the least


class Recorder:
    """Keeps a row's state when its τ or its ln‖w‖ has grown by a factor 10^{1/density} since the last one kept."""

    def __init__(self, mapping: MarginMap, rows: int, density: int) -> None:
        self._mapping = mapping
        self._records = [Record() for _ in range(rows)]
        self._next_tau = np.zeros(rows)
        self._next_log_norm = np.full(rows, -np.inf)
        self._factor = 10.0 ** (1.0 / density)

    def begin(self, flow: Flow) -> None:
        """Watch a flow that has not taken a step yet."""
        self.laws = ConservationLaws(flow)

    def keep(self, flow: Flow, rows: NDArray[np.intp], accepted: NDArray[np.bool_]) -> None:
        """Record those of the flow's rows (numbered `rows` in the whole batch) that are due."""
        self.laws.watch(flow, rows)
        late = (flow.tau >= self._next_tau[rows]) | (flow.log_norm >= self._next_log_norm[rows])
        due = np.flatnonzero(accepted & late)
        if due.size == 0:
            return
        margins, residual, log_loss = flow.margins, flow.residual(), flow.log_loss()
        beta = self._mapping.predictors(flow.theta)
        self._next_tau[rows[due]] = flow.tau[due] * self._factor
        # after a long plateau all of the growth of ‖w‖ is within one factor of τ
        self._next_log_norm[rows[due]] = np.maximum(flow.log_norm[due] * self._factor, flow.log_norm[due] + STRETCH)
        for i in due:
            self._records[rows[i]].take(
                tau=flow.tau[i],
                log_norm=flow.log_norm[i],
                log_loss=log_loss[i],
                margins=margins[i],
                residual=residual[i],
                predictors=None if beta is None else beta[i],
            )

    def path(self, row: int) -> FlowPath:
        """What was kept of one row."""
        record = self._records[row]
        return FlowPath(
            **{name: record.floats(name) for name in ("tau", "elapsed", "log_norm", "log_loss", "margins", "residual")},
            predictors=record.column("predictors"),
        )
