"""The loop of gradient descent, and what it records of each run of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.descent.objective import Gradient, Objective
from gd.descent.schedule import Schedule, column
from gd.recording import Record
from gd.status import RunStatus


def iterate(
    objective: Objective,
    schedule: Schedule,
    steps: int,
    recorder: Recorder,
    progress: Callable[[int, int], None] | None,
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.bool_]]:
    """The weights at the end, the steps they belong to, and which runs stayed finite.

    Without a synchronization between snapshots, so that a GPU is kept busy.
    """
    W = kept = objective.start
    state = schedule.start(objective, W)
    running = torch.ones(W.shape[0], dtype=torch.bool, device=W.device)
    last_step = torch.full((W.shape[0],), steps, device=W.device)
    for t in range(steps + 1):
        gradient = objective.gradient(W)
        finite = torch.isfinite(gradient.direction).all(dim=1) & (gradient.log_loss < float("inf"))
        if t == 0 and not bool(finite.all()):
            raise ValueError(
                f"the loss or its gradient is not finite at the initial weights of run {int((~finite).nonzero()[0])}; "
                "use a smaller initial scale, or rescale X"
            )
        last_step = torch.where(running & ~finite, t - 1, last_step)
        running = running & finite
        W = torch.where(column(running), W, kept)
        if t in recorder.wanted:
            recorder.take(t, W, gradient, running)
            if progress is not None:
                progress(t, steps)
            if not bool(running.any()):
                break
        if t == steps:
            break
        kept = W
        trial, state = schedule.step(objective, t, W, gradient, state)
        W = torch.where(column(running), trial, W)
    return W, last_step.cpu().numpy(), running.cpu().numpy()


def _angles(a: Tensor, b: Tensor) -> Tensor:
    """Radians between the rows of a and b, accurate near 0 (Kahan): 2 atan2(‖u − v‖, ‖u + v‖) for unit u, v."""
    u = a / torch.linalg.vector_norm(a, dim=1, keepdim=True)
    v = b / torch.linalg.vector_norm(b, dim=1, keepdim=True)
    return 2.0 * torch.atan2(torch.linalg.vector_norm(u - v, dim=1), torch.linalg.vector_norm(u + v, dim=1))


class Recorder:
    """Collects the snapshots, on the CPU."""

    def __init__(self, objective: Objective, steps: NDArray[np.int64], keep_outputs: bool) -> None:
        self.objective, self.keep_outputs = objective, keep_outputs
        self.wanted = set(steps.tolist())
        self._record = Record()
        self._before: tuple[Tensor, Tensor] | None = None
        self._unmoved = np.zeros(objective.start.shape[0], dtype=bool)

    def take(self, t: int, W: Tensor, gradient: Gradient, running: Tensor) -> None:
        objective = self.objective
        norm = torch.linalg.vector_norm(W, dim=1)
        beta_gradient = objective.predictor_gradient(gradient.slope)
        slope = gradient.direction if beta_gradient is None else beta_gradient
        turned = turned_slope = torch.full_like(norm, float("nan"))
        if self._before is not None:
            turned, turned_slope = _angles(W, self._before[0]), _angles(slope, self._before[1])
            self._unmoved = torch.eq(W, self._before[0]).all(dim=1).cpu().numpy()
        self._before = (W, slope)
        margin = torch.full_like(norm, float("nan"))
        if objective.loss.margin and objective.degree is not None:
            margin = objective.targets.margins(gradient.outputs).flatten(1).amin(dim=1) / norm**objective.degree
        taken: dict[str, Tensor] = {
            "log_loss": gradient.log_loss,
            "weight_norm": norm,
            "margin": margin,
            "direction_change": turned,
            "gradient_change": turned_slope,
        }
        if objective.predicts:
            taken["predictors"] = objective.predictors(W)
        if self.keep_outputs:
            taken["outputs"] = gradient.outputs
        ended = ~running
        masked = {
            name: value.masked_fill(ended.view(-1, *[1] * (value.ndim - 1)), float("nan")).double()
            for name, value in taken.items()
        }
        self._record.take(steps=t, **masked)

    def statuses(self, finite: NDArray[np.bool_]) -> tuple[RunStatus, ...]:
        """How each run ended; `finite` says which never left the finite numbers."""
        return tuple(
            RunStatus.NONFINITE if not finite[b] else RunStatus.STALLED if still else RunStatus.FINISHED
            for b, still in enumerate(self._unmoved)
        )

    def columns(self) -> dict[str, Any]:
        """The fields of `Trajectory` that are recorded."""
        names = ("log_loss", "weight_norm", "margin", "direction_change", "gradient_change", "predictors", "outputs")
        times = {name: self._record.column(name) for name in ("steps", "elapsed")}
        return times | {name: self._record.column(name, axis=1) for name in names}
