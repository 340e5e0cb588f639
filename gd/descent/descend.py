"""`descend`: gradient descent as it is run, step by step, many seeds at once, on labelled data or on an image."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from gd.data import check_data
from gd.descent.acceleration import DualAcceleration
from gd.descent.armijo import ArmijoLineSearch
from gd.descent.objective import Gradient, Objective
from gd.descent.rescaling import ProgressiveRescaling
from gd.descent.schedule import ConstantStep, LossNormalized, Schedule, column
from gd.descent.trajectory import RunStatus, Trajectory
from gd.generators.descend_image import ImageTrajectory, descend_image
from gd.generators.generator import Generator
from gd.losses import Loss, find_loss
from gd.networks.linear_network import LinearNetwork

SCHEDULES: dict[str, Schedule] = {
    "constant": ConstantStep(),
    "normalized": LossNormalized(),
    "armijo": ArmijoLineSearch(),
    "accelerated": DualAcceleration(),
    "rescaled": ProgressiveRescaling(),
}


@overload
def descend(model: Generator, X: ArrayLike | Tensor, *, steps: int, step: float, **options: Any) -> ImageTrajectory: ...


@overload
def descend(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: str | Loss = "exponential",
    steps: int = 1000,
    schedule: str | Schedule = "armijo",
    seed: int = 0,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float64,
    snapshots: int = 60,
    record_outputs: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Trajectory: ...


def descend(
    model: nn.Module | Sequence[nn.Module], X: ArrayLike | Tensor, y: ArrayLike | Tensor | None = None, **options: Any
) -> Trajectory | ImageTrajectory:
    """Minimize by gradient steps, and record the way:

        w_{t+1} = w_t − η_t ∇L(w_t),    L(w) = Σ_n ℓ(f(x_n; w), y_n),    t = 0 … steps − 1,

    with η_t, and momentum or projections where it has them, from the schedule.

    A generator (`ConvGenerator`, `TwoLayerGenerator`, …) has no inputs: `descend(generator, image, steps=…, step=…)`
    fits it to the image, with the options, stopping rules and record of `gd.descend_image`.

    Args:
        model: a network, or several of one architecture (other seeds, other scales), which then run as one batch. Any
            module will do; it starts from its own weights and is not modified.
        X: inputs, shape (N, …); float64 on the way in whatever they were.
        y: labels ±1, shape (N,) or (N, M) for M outputs; for the squared loss targets of the shape of the outputs.
        loss: "exponential", "logistic", "squared", or a `gd.losses.Loss`.
        steps: how many.
        schedule: "constant", "normalized", "armijo", "accelerated", "rescaled", or a `Schedule` with its own step.
            The line search needs no step size and suits any module. Without a step size the others have a safe default
            for linear networks, documented at their classes and slow on deep ones.
        seed: of randomness inside a module's forward pass, if it has any; the networks here have none.
        device: CUDA where there is one, else the CPU, unless given.
        dtype: of all computation.
        snapshots: about how many log-spaced steps to record, the first and the last included.
        record_outputs: keep f(X; w) at every snapshot.
        progress: called with (steps done, steps) at every snapshot.

    Returns:
        The trajectory. A run whose weights or loss turn non-finite stops at its last finite weights and says so in
        `status`; the other runs of the batch go on.

    Raises ValueError when the data are not finite, shapes or labels do not fit, the initial loss is not finite, or a
    schedule is asked for a step size or a loss that it has no theory for.

    >>> from gd.networks.linear import Diagonal
    >>> X, y = np.array([[2.0, 1.0], [-1.0, -3.0]]), np.array([1.0, -1.0])
    >>> path = descend([Diagonal(2, 2, seed=s) for s in range(3)], X, y, steps=200)
    >>> path.predictor.shape, bool(path.log_loss[:, -1].max() < -100), path.status[0].name
    ((3, 2), True, 'FINISHED')
    """
    if isinstance(model, Generator):
        if y is not None:
            raise ValueError(
                f"{type(model).__name__} has no inputs X: it is fitted to one image (or one per seed), as in "
                "descend(generator, image, steps=1000, step=0.1)"
            )
        return descend_image(model, X, **options)
    if y is None:
        raise ValueError("labels or targets y are missing: descend(model, X, y)")
    return _descend_on_data(model, X, y, **options)


def _descend_on_data(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: str | Loss = "exponential",
    steps: int = 1000,
    schedule: str | Schedule = "armijo",
    seed: int = 0,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float64,
    snapshots: int = 60,
    record_outputs: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Trajectory:
    """`descend` with inputs and labels."""
    models = [model] if isinstance(model, nn.Module) else list(model)
    if not models:
        raise ValueError("descend needs at least one network; got an empty list")
    if steps < 1 or snapshots < 2:
        raise ValueError(f"steps must be at least 1 and snapshots at least 2, got steps={steps}, snapshots={snapshots}")
    chosen_loss, chosen_schedule = find_loss(loss), _find_schedule(schedule)
    if chosen_schedule.margin_loss_only and not chosen_loss.margin:
        raise ValueError(
            f"the schedule '{chosen_schedule.name}' is defined through the gradient of log L of a margin loss; for the "
            f"{chosen_loss.name} loss use ConstantStep or ArmijoLineSearch"
        )
    inputs, targets = check_data(models[0], X, y, chosen_loss)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    began = time.perf_counter()
    devices = [torch.cuda.current_device()] if where.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        objective = Objective(models, inputs, targets, chosen_loss, where, dtype)
        record = _Record(objective, snapshot_steps(steps, snapshots), record_outputs)
        W, last_step, stopped = _iterate(objective, chosen_schedule, steps, record, progress)
    status = _status(record, last_step, stopped)
    return Trajectory(
        **record.arrays(),
        predictor=_numpy(objective.predictors(W)) if objective.predicts else None,
        parameters=objective.parameters(W),
        status=status,
        last_step=last_step,
        degree=objective.degree,
        loss=chosen_loss.name,
        schedule=chosen_schedule.label(objective.degree),
        heuristic=chosen_schedule.heuristic(objective.degree),
        sign_locked=tuple(m.sign_locked if isinstance(m, LinearNetwork) else None for m in models),
        seconds=time.perf_counter() - began,
    )


def snapshot_steps(steps: int, snapshots: int) -> NDArray[np.int64]:
    """About `snapshots` log-spaced step counts from 0 to steps, both included.

    >>> snapshot_steps(1000, 8)
    array([   0,    1,    3,   10,   32,  100,  316, 1000])
    """
    spaced = np.geomspace(1, steps, snapshots - 1).round().astype(np.int64)
    return np.unique(np.concatenate([[0], spaced, [steps]]))


def _find_schedule(schedule: str | Schedule) -> Schedule:
    if isinstance(schedule, Schedule):
        return schedule
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(map(repr, SCHEDULES))}, or a Schedule; got {schedule!r}")
    return SCHEDULES[schedule]


def _iterate(
    objective: Objective,
    schedule: Schedule,
    steps: int,
    record: _Record,
    progress: Callable[[int, int], None] | None,
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.bool_]]:
    """The loop. Without a synchronization between snapshots, so that a GPU is kept busy."""
    W = kept = objective.start
    state = schedule.start(objective, W)
    alive = torch.ones(W.shape[0], dtype=torch.bool, device=W.device)
    last_step = torch.full((W.shape[0],), steps, device=W.device)
    for t in range(steps + 1):
        gradient = objective.gradient(W)
        finite = torch.isfinite(gradient.direction).all(dim=1) & (gradient.log_loss < float("inf"))
        if t == 0 and not bool(finite.all()):
            raise ValueError(
                f"the loss or its gradient is not finite at the initial weights of run {int((~finite).nonzero()[0])}; "
                "use a smaller initial scale, or rescale X"
            )
        last_step = torch.where(alive & ~finite, t - 1, last_step)
        alive = alive & finite
        W = torch.where(column(alive), W, kept)
        if t in record.wanted:
            record.take(t, W, gradient, alive)
            if progress is not None:
                progress(t, steps)
            if not bool(alive.any()):
                break
        if t == steps:
            break
        kept = W
        trial, state = schedule.step(objective, t, W, gradient, state)
        W = torch.where(column(alive), trial, W)
    return W, last_step.cpu().numpy(), (~alive).cpu().numpy()


def _status(record: _Record, last_step: NDArray[np.int64], stopped: NDArray[np.bool_]) -> tuple[RunStatus, ...]:
    still = record.unmoved
    return tuple(
        RunStatus.NONFINITE if stopped[b] else RunStatus.STALLED if still[b] else RunStatus.FINISHED
        for b in range(len(last_step))
    )


def _numpy(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _angles(a: Tensor, b: Tensor) -> Tensor:
    """Radians between the rows of a and b, accurate near 0 (Kahan): 2 atan2(‖u − v‖, ‖u + v‖) for unit u, v."""
    u = a / torch.linalg.vector_norm(a, dim=1, keepdim=True)
    v = b / torch.linalg.vector_norm(b, dim=1, keepdim=True)
    return 2.0 * torch.atan2(torch.linalg.vector_norm(u - v, dim=1), torch.linalg.vector_norm(u + v, dim=1))


class _Record:
    """Collects the snapshots, on the CPU."""

    def __init__(self, objective: Objective, steps: NDArray[np.int64], keep_outputs: bool) -> None:
        self.objective, self.keep_outputs = objective, keep_outputs
        self.wanted = set(steps.tolist())
        self.steps: list[int] = []
        self.elapsed: list[float] = []
        self._began = time.perf_counter()
        self.rows: dict[str, list[NDArray[np.float64]]] = {}
        self._before: tuple[Tensor, Tensor] | None = None
        self.unmoved = np.zeros(objective.start.shape[0], dtype=bool)

    def take(self, t: int, W: Tensor, gradient: Gradient, alive: Tensor) -> None:
        objective = self.objective
        norm = torch.linalg.vector_norm(W, dim=1)
        beta_gradient = objective.predictor_gradient(gradient.slope)
        slope = gradient.direction if beta_gradient is None else beta_gradient
        turned = turned_slope = torch.full_like(norm, float("nan"))
        if self._before is not None:
            turned, turned_slope = _angles(W, self._before[0]), _angles(slope, self._before[1])
            self.unmoved = torch.eq(W, self._before[0]).all(dim=1).cpu().numpy()
        self._before = (W, slope)
        margin = torch.full_like(norm, float("nan"))
        if objective.loss.margin and objective.degree is not None:
            margin = (gradient.outputs * objective.y).flatten(1).amin(dim=1) / norm**objective.degree
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
        self.steps.append(t)
        self.elapsed.append(time.perf_counter() - self._began)
        for name, value in taken.items():
            mask = alive.view(-1, *[1] * (value.ndim - 1))
            self.rows.setdefault(name, []).append(_numpy(torch.where(mask, value, float("nan"))))

    def arrays(self) -> dict[str, Any]:
        """The fields of `Trajectory` that are recorded."""
        stacked: dict[str, Any] = {name: np.stack(rows, axis=1) for name, rows in self.rows.items()}
        times = {"steps": np.array(self.steps), "elapsed": np.array(self.elapsed)}
        return {"predictors": None, "outputs": None, **times, **stacked}
