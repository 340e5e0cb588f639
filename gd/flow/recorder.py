"""The path of a batch of flows, kept at log-spaced τ and no denser, so that long runs stay small."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gd.flow.integration import Flow
from gd.flow.limit import FlowPath
from gd.flow.margin_map import MarginMap

Array = NDArray[np.float64]


@dataclass
class _Row:
    next_tau: float = 0.0
    scalars: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    margins: list[Array] = field(default_factory=list)
    predictors: list[Array] = field(default_factory=list)


class Recorder:
    """Keeps a row's state when its τ has grown by a factor 10^{1/density} since the last one kept."""

    def __init__(self, mapping: MarginMap, rows: int, density: int) -> None:
        self._mapping = mapping
        self._rows = [_Row() for _ in range(rows)]
        self._factor = 10.0 ** (1.0 / density)
        self._began = time.perf_counter()

    def keep(self, flow: Flow, rows: NDArray[np.intp], accepted: NDArray[np.bool_]) -> None:
        """Record those of the flow's rows (numbered `rows` in the whole batch) that are due."""
        due = [i for i, row in enumerate(rows) if accepted[i] and flow.tau[i] >= self._rows[row].next_tau]
        if not due:
            return
        margins, residual, log_loss = flow.margins, flow.residual(), flow.log_loss()
        beta = self._mapping.predictors(flow.theta)
        for i in due:
            row = self._rows[rows[i]]
            row.next_tau = float(flow.tau[i]) * self._factor
            row.scalars.append((
                float(flow.tau[i]), time.perf_counter() - self._began,
                float(flow.log_norm[i]), float(log_loss[i]), float(residual[i]),
            ))  # fmt: skip
            row.margins.append(margins[i].copy())
            if beta is not None:
                row.predictors.append(beta[i].copy())

    def path(self, row: int) -> FlowPath:
        """What was kept of one row."""
        kept = self._rows[row]
        tau, elapsed, log_norm, log_loss, residual = (np.array(column) for column in zip(*kept.scalars, strict=True))
        predictors = np.array(kept.predictors) if kept.predictors else None
        return FlowPath(tau, elapsed, log_norm, log_loss, np.array(kept.margins), residual, predictors)
