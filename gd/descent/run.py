"""The loop of gradient descent, and what it records of each run of a batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.descent.bounds import LossWeights
from gd.descent.objective import Gradient, Objective
from gd.descent.schedule import Schedule
from gd.optimizers.optimizer import Optimizer, column
from gd.optimizers.weight_norm import WeightNorm
from gd.recording import Record
from gd.status import RunStatus


@dataclass(frozen=True)
class Training:
    """How the weights of a run are moved."""

    optimizer: Optimizer
    schedule: Schedule
    rescaled: bool
    """Whether the optimizer sees ∇ log L for ∇L."""
    batch_size: int | None
    seed: int
    """Of the minibatches."""


def iterate(
    objective: Objective,
    training: Training,
    steps: int,
    recorder: Recorder,
    progress: Callable[[int, int], None] | None,
    deadline: float = math.inf,
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.bool_], Any]:
    """The weights at the end, the steps they belong to, which runs stayed finite, and the optimizer's last state.

    Without a synchronization between snapshots, so that a GPU is kept busy. On a CPU runs are only told apart (`whole`)
    from the first that stops. No step is taken from `deadline`, a time of `time.monotonic`, on.
    """
    optimizer, schedule = training.optimizer, training.schedule
    W = kept = objective.start
    memory, state = optimizer.start(objective, W), schedule.start(objective, W)
    batches = minibatches(objective.y.shape[0], training.batch_size, training.seed)
    running = torch.ones(W.shape[0], dtype=torch.bool, device=W.device)
    last_step = torch.full((W.shape[0],), steps, device=W.device)
    whole = W.device.type == "cpu"
    for t in range(steps + 1):
        drawn = next(batches)
        rows = None if drawn is None else drawn.to(W.device)
        gradient = objective.gradient(W, rows)
        # a sum is finite only where its terms are, and an infinite loss has no finite gradient
        whole = whole and math.isfinite(float(gradient.direction.sum()))
        if not whole or t == 0:
            finite = torch.isfinite(gradient.direction).all(dim=1) & (gradient.log_loss < float("inf"))
            if t == 0 and not bool(finite.all()):
                raise ValueError(
                    "the loss or its gradient is not finite at the initial weights of run "
                    f"{int((~finite).nonzero()[0])}; use a smaller initial scale, or rescale X"
                )
            last_step = torch.where(running & ~finite, t - 1, last_step)
            running = running & finite
            W = torch.where(column(running), W, kept)
        recorder.add(gradient, rows)
        last = t == steps or time.monotonic() >= deadline
        if last or t in recorder.wanted:
            recorder.take(t, W, gradient if rows is None else objective.gradient(W), running)
            if progress is not None:
                progress(t, steps)
            if not bool(running.any()):
                break
        if last:
            last_step = torch.where(running, t, last_step)
            recorder.cut_short = t < steps
            break
        kept = W
        if training.rescaled:
            gradient = replace(gradient, log_scale=torch.zeros_like(gradient.log_scale))
        update, memory = optimizer.update(objective, t, W, gradient, memory)
        trial, state = schedule.step(objective, t, update, state)
        W = trial if whole else torch.where(column(running), trial, W)
        if recorder.effective_start is not None:
            recorder.effective_start.add(kept, W)
    return W, last_step.cpu().numpy(), running.cpu().numpy(), memory


def minibatches(count: int, size: int | None, seed: int) -> Iterator[Tensor | None]:
    """Indices of the points of each step: a new random order in every epoch, cut into parts; None is all points."""
    if size is None:
        while True:
            yield None
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.split(torch.randperm(count, generator=generator), size)


def _angles(a: Tensor, b: Tensor) -> Tensor:
    """Radians between the rows of a and b, accurate near 0 (Kahan): 2 atan2(‖u − v‖, ‖u + v‖) for unit u, v."""
    u = a / torch.linalg.vector_norm(a, dim=1, keepdim=True)
    v = b / torch.linalg.vector_norm(b, dim=1, keepdim=True)
    return 2.0 * torch.atan2(torch.linalg.vector_norm(u - v, dim=1), torch.linalg.vector_norm(u + v, dim=1))


class Recorder:
    """Collects the snapshots, on the CPU."""

    def __init__(
        self, objective: Objective, steps: NDArray[np.int64], keep_outputs: bool, norm: WeightNorm | None
    ) -> None:
        self.objective, self.keep_outputs, self.norm = objective, keep_outputs, norm
        self._slopes = torch.zeros((objective.start.shape[0], *objective.targets.output_shape)).to(objective.y)
        """Σ of the slopes of the steps so far."""
        self._slopes_before = torch.zeros_like(self._slopes)
        self.effective_start = objective.effective_start()
        self.wanted = set(steps.tolist())
        self._record = Record()
        self._before: tuple[Tensor, Tensor] | None = None
        self._unmoved = np.zeros(objective.start.shape[0], dtype=bool)
        self.cut_short = False
        """Whether the runs ended at the time limit."""

    def add(self, gradient: Gradient, rows: Tensor | None) -> None:
        """Take one step's loss weights into the sums."""
        if self.objective.loss.margin:
            if rows is None:
                self._slopes += gradient.slope
            else:
                self._slopes.index_add_(1, rows, gradient.slope)

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
        raw_margin = margin
        if objective.loss.margin:
            raw_margin = objective.targets.margins(gradient.outputs).flatten(1).amin(dim=1)
            margin = margin if objective.degree is None else raw_margin / norm**objective.degree
        taken: dict[str, Tensor] = {
            "log_loss": gradient.log_loss,
            "weight_norm": norm,
            "margin": margin,
            "raw_margin": raw_margin,
            "direction_change": turned,
            "gradient_change": turned_slope,
        }
        if objective.predicts:
            taken["predictors"] = objective.predictors(W)
        if objective.loss.margin:
            taken |= self._dual(W, gradient, raw_margin, beta_gradient)
        if self.keep_outputs:
            taken["outputs"] = gradient.outputs
        ended = ~running
        masked = {
            name: value.masked_fill(ended.view(-1, *[1] * (value.ndim - 1)), float("nan")).double()
            for name, value in taken.items()
        }
        self._record.take(steps=t, **masked)

    def _dual(self, W: Tensor, gradient: Gradient, raw_margin: Tensor, image: Tensor | None) -> dict[str, Tensor]:
        """What weak duality and the KKT conditions say here."""
        objective = self.objective
        taken: dict[str, Tensor] = {}
        weights = objective.targets.weights
        taken |= {"current": weights(gradient.slope), "total": weights(self._slopes)}
        if image is not None:
            shape = (W.shape[0], *objective.predictors(W).shape[1:])
            total = objective.predictor_gradient(self._slopes)
            assert total is not None  # `image` says so
            taken |= {"current_image": -image.view(shape), "total_image": -total.view(shape)}
        if self.norm is not None:
            taken["norm"] = self.norm.value(W, objective.layers)
        if self.norm is not None and objective.degree is not None:
            mean = self._slopes - self._slopes_before
            self._slopes_before = self._slopes.clone()
            sides = [(gradient.slope, gradient.direction), (mean, objective.pull(W, mean))]
            taken["stationarity"] = torch.stack(
                [self._residual(slope, force, raw_margin, taken["norm"]) for slope, force in sides]
            ).amin(dim=0)
        return taken

    def _residual(self, slope: Tensor, force: Tensor, raw_margin: Tensor, norm: Tensor) -> Tensor:
        assert self.norm is not None
        mass = self.objective.targets.weights(slope).flatten(1).sum(dim=1)
        pulled = (self.objective.degree or 1) * raw_margin * mass
        return 1.0 - pulled / (norm * self.norm.dual(force, self.objective.layers))

    def statuses(self, finite: NDArray[np.bool_]) -> tuple[RunStatus, ...]:
        """How each run ended; `finite` says which never left the finite numbers."""
        end = RunStatus.OUT_OF_TIME if self.cut_short else RunStatus.FINISHED
        return tuple(
            RunStatus.NONFINITE if not finite[b] else RunStatus.STALLED if still else end
            for b, still in enumerate(self._unmoved)
        )

    def columns(self) -> dict[str, Any]:
        """The fields of `Trajectory` that are recorded."""
        names = (
            "log_loss", "weight_norm", "margin", "raw_margin", "direction_change", "gradient_change", "predictors",
            "outputs", "norm", "stationarity",
        )  # fmt: skip
        times = {name: self._record.column(name) for name in ("steps", "elapsed")}
        return times | {name: self._record.column(name, axis=1) for name in names}

    def loss_weights(self) -> LossWeights | None:
        """The p_t and their sums; None where there are no labels."""
        current, total, *images = [
            self._record.column(name, axis=1) for name in ("current", "total", "current_image", "total_image")
        ]
        if current is None:
            return None
        X = self.objective.X
        largest = X.abs().amax(dim=0).cpu().numpy().astype(np.float64)
        return LossWeights(current, total, images[0], images[1], largest, float(torch.finfo(X.dtype).eps))
