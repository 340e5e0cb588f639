"""`descend`: gradient descent as it is run, step by step, many seeds at once, on labelled data or on an image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.data import check_data, check_models, choose_device
from gd.descent.acceleration import DualAcceleration
from gd.descent.armijo import ArmijoLineSearch
from gd.descent.objective import Objective
from gd.descent.rescaling import ProgressiveRescaling
from gd.descent.run import Recorder, iterate
from gd.descent.schedule import ConstantStep, LossNormalized, Schedule
from gd.descent.trajectory import Trajectory
from gd.images.descend_image import ImageTrajectory, Optimizer, Reduction, descend_image
from gd.images.generator import Generator
from gd.images.stopping_rules import StoppingRule
from gd.losses import Loss, find_loss
from gd.networks.declaration import declared
from gd.recording import snapshot_steps

SCHEDULES: dict[str, Schedule] = {
    "constant": ConstantStep(),
    "normalized": LossNormalized(),
    "armijo": ArmijoLineSearch(),
    "accelerated": DualAcceleration(),
    "rescaled": ProgressiveRescaling(),
}
Progress = Callable[[int, int], None]


@overload
def descend(
    model: Generator,
    X: ArrayLike | Tensor,
    *,
    steps: int,
    step: float,
    optimizer: Optimizer = "gd",
    momentum: float = 0.9,
    reduction: Reduction = "mean",
    measurement: Callable[[Tensor], Tensor] | None = None,
    rules: Sequence[StoppingRule] = (),
    clean: ArrayLike | None = None,
    snapshots: int | Sequence[int] = 20,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> ImageTrajectory: ...


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
    snapshots: int | Sequence[int] = 60,
    record_outputs: bool = False,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float64,
    progress: Progress | None = None,
) -> Trajectory: ...


def descend(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor | None = None,
    *,
    loss: str | Loss | None = None,
    steps: int = 1000,
    schedule: str | Schedule | None = None,
    seed: int | None = None,
    snapshots: int | Sequence[int] | None = None,
    record_outputs: bool | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
    step: float | None = None,
    optimizer: Optimizer | None = None,
    momentum: float | None = None,
    reduction: Reduction | None = None,
    measurement: Callable[[Tensor], Tensor] | None = None,
    rules: Sequence[StoppingRule] | None = None,
    clean: ArrayLike | None = None,
) -> Trajectory | ImageTrajectory:
    """Minimize by gradient steps, and record the way:

        w_{t+1} = w_t − η_t ∇L(w_t),    L(w) = Σ_n ℓ(f(x_n; w), y_n),    t = 0 … steps − 1,

    with η_t, and momentum or projections where it has them, from the schedule.

    A generator (`ConvGenerator`, `TwoLayerGenerator`, …) has no inputs: `descend(generator, image, steps=…, step=…)`
    fits it to the image, with the parameters and the result of `gd.descend_image`.

    Args:
        model: a network, or several of one architecture (other seeds, other scales), which then run as one batch. Any
            module will do; it starts from its own weights and is not modified.
        X: inputs, shape (N, …); float64 on the way in whatever they were.
        y: labels ±1, shape (N,) or (N, M) for M tasks of their own; or K ≥ 3 classes, shape (N,), integers or strings,
            for a network of K outputs, one a class in their order; for the squared loss targets of the shape of the
            outputs.
        loss: "exponential", "logistic", "cross entropy", "squared", or a `gd.losses.Loss`. With classes the first two
            sum over the N(K − 1) margins f_{y_n} − f_k.
        steps: how many.
        schedule: "constant", "normalized", "armijo", "accelerated", "rescaled", or a `Schedule` with its own step.
            The line search needs no step size and suits any module. Without a step size the others have a safe default
            for linear networks, documented at their classes and slow on deep ones.
        seed: of randomness inside a module's forward pass, if it has any; the networks here have none.
        device: CUDA where there is one, else the CPU, unless given.
        dtype: of all computation; float64 unless given.
        snapshots: about how many log-spaced steps to record, the first and the last included, or those steps
            themselves; 60 unless given.
        record_outputs: keep f(X; w) at every snapshot.
        progress: called with (steps done, steps) at every snapshot.
        step, optimizer, momentum, reduction, measurement, rules, clean: for generators only, with shapes as in
            `gd.descend_image`.

    Returns:
        The trajectory. A run whose weights or loss turn non-finite stops at its last finite weights and says so in
        `status`; the other runs of the batch go on.

    Raises:
        ValueError: the data are not finite, shapes or labels do not fit, the initial loss is not finite, or a schedule
            is asked for a step size or a loss that it has no theory for.
        TypeError: a parameter that only generators take, or, with a generator, one that only other networks take.

    Reference: Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018) and Gunasekar, Lee, Soudry, Srebro (2018) for the limit;
    each schedule names the source of its rate.

    >>> from gd.networks.linear import Diagonal
    >>> X, y = np.array([[2.0, 1.0], [-1.0, -3.0]]), np.array([1.0, -1.0])
    >>> path = descend([Diagonal(2, 2, seed=s) for s in range(3)], X, y, steps=200)
    >>> path.predictor.shape, bool(path.log_loss[:, -1].max() < -100), path.status[0].name
    ((3, 2), True, 'FINISHED')
    """
    of_data = {"loss": loss, "schedule": schedule, "seed": seed, "record_outputs": record_outputs}
    of_images: dict[str, Any] = {"step": step, "optimizer": optimizer, "momentum": momentum, "reduction": reduction}
    of_images |= {"measurement": measurement, "rules": rules, "clean": clean}
    if isinstance(model, nn.Module) and not declared(model).has_inputs:
        if y is not None:
            raise ValueError(
                f"{type(model).__name__} has no inputs X: it is fitted to one image (or one per seed), as in "
                "descend(generator, image, steps=1000, step=0.1)"
            )
        _refuse(of_data, "a generator")
        shared = {"snapshots": snapshots, "device": device, "dtype": dtype, "progress": progress}
        return descend_image(model, X, steps=steps, **_given(of_images | shared))  # type: ignore[arg-type]
    if y is None:
        raise ValueError("labels or targets y are missing: descend(model, X, y)")
    _refuse(of_images, "inputs and labels")
    models = check_models(model)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got steps={steps}")
    chosen_loss = find_loss("exponential" if loss is None else loss)
    chosen_schedule = _find_schedule("armijo" if schedule is None else schedule)
    if chosen_schedule.margin_loss_only and not chosen_loss.margin:
        raise ValueError(
            f"the schedule '{chosen_schedule.name}' is defined through the gradient of log L of a margin loss; for the "
            f"{chosen_loss.name} loss use ConstantStep or ArmijoLineSearch"
        )
    inputs, targets = check_data(models[0], X, y, chosen_loss)
    where = choose_device(device)
    began = time.perf_counter()
    devices = [torch.cuda.current_device()] if where.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed or 0)
        objective = Objective(
            models, inputs, targets.values, chosen_loss, where, dtype or torch.float64, targets=targets
        )
        wanted = snapshot_steps(steps, 60 if snapshots is None else snapshots)
        recorder = Recorder(objective, wanted, bool(record_outputs))
        W, last_step, finite = iterate(objective, chosen_schedule, steps, recorder, progress)
    beta = objective.predictors(W).cpu().numpy().astype(np.float64) if objective.predicts else None
    return Trajectory(
        **recorder.columns(),
        predictor=beta,
        parameters=objective.parameters(W),
        status=recorder.statuses(finite),
        last_step=last_step,
        degree=objective.degree,
        loss=chosen_loss.name,
        schedule=chosen_schedule.label(objective.degree),
        heuristic=chosen_schedule.heuristic(objective.degree),
        sign_locked=tuple(declared(m).sign_locked for m in models),
        seconds=time.perf_counter() - began,
    )


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _refuse(options: Mapping[str, Any], what: str) -> None:
    if given := _given(options):
        raise TypeError(f"descend does not take {', '.join(given)} with {what}")


def _find_schedule(schedule: str | Schedule) -> Schedule:
    if isinstance(schedule, Schedule):
        return schedule
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(map(repr, SCHEDULES))}, or a Schedule; got {schedule!r}")
    return SCHEDULES[schedule]
