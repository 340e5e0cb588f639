"""`descend`: gradient descent as it is run, step by step, many seeds at once, on labelled data or on an image."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from gd.data import check_count, check_data, check_models, choose_device, on_cpu
from gd.descent.acceleration import DualAcceleration
from gd.descent.armijo import ArmijoLineSearch
from gd.descent.objective import Objective
from gd.descent.rescaling import ProgressiveRescaling
from gd.descent.run import Recorder, Training, iterate
from gd.descent.schedule import ConstantStep, DecayingStep, LossNormalized, Schedule
from gd.descent.trajectory import Trajectory
from gd.forward_pass import check_forward_pass
from gd.gradient_mode import with_gradients
from gd.images.descend_image import ImageTrajectory, Reduction, descend_image
from gd.images.descend_image import Optimizer as ImageOptimizer
from gd.images.generator import Generator
from gd.images.stopping_rules import StoppingRule
from gd.losses import Loss, find_loss
from gd.networks.declaration import declared
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.table import find_optimizer
from gd.optimizers.torch_optimizer import Factory
from gd.recording import snapshot_steps
from solvers.labels import label_names
from solvers.regularizers import Regularizer
from solvers.search import deadline_after

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
    optimizer: ImageOptimizer = "gd",
    momentum: float = 0.9,
    reduction: Reduction = "mean",
    measurement: Callable[[Tensor], Tensor] | None = None,
    rules: Sequence[StoppingRule] = (),
    clean: ArrayLike | None = None,
    snapshots: int | Sequence[int] = 20,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
    time_limit: float = math.inf,
) -> ImageTrajectory: ...


@overload
def descend(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: str | Loss = "exponential",
    steps: int = 1000,
    optimizer: str | Optimizer | Factory = "gradient",
    schedule: str | Schedule | None = None,
    rescaled: bool = False,
    batch_size: int | None = None,
    seed: int = 0,
    snapshots: int | Sequence[int] = 60,
    record_outputs: bool = False,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float64,
    progress: Progress | None = None,
    time_limit: float = math.inf,
) -> Trajectory: ...


@with_gradients
def descend(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor | None = None,
    *,
    loss: str | Loss | None = None,
    steps: int = 1000,
    optimizer: str | Optimizer | Factory | None = None,
    schedule: str | Schedule | None = None,
    rescaled: bool | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    snapshots: int | Sequence[int] | None = None,
    record_outputs: bool | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
    time_limit: float = math.inf,
    step: float | None = None,
    momentum: float | None = None,
    reduction: Reduction | None = None,
    measurement: Callable[[Tensor], Tensor] | None = None,
    rules: Sequence[StoppingRule] | None = None,
    clean: ArrayLike | None = None,
) -> Trajectory | ImageTrajectory:
    """Minimize by gradient steps, and record the way:

        w_{t+1} = w_t − η_t u_t,    L(w) = Σ_n ℓ(f(x_n; w), y_n),    t = 0 … steps − 1,

    with u_t from the optimizer, ∇L(w_t) for gradient descent, and η_t from the schedule.

    A generator (`ConvGenerator`, `TwoLayerGenerator`, …) has no inputs: `descend(generator, image, steps=…, step=…)`
    fits it to the image, with the parameters and the result of `gd.descend_image`.

    Args:
        model: a network, or several of one architecture (other seeds, other scales), which then run as one batch. Any
            module will do; it starts from its own weights and is not modified.
        X: inputs, shape (N, …); float64 on the way in whatever they were.
        y: labels of any two values, shape (N,), or ±1, (N, M), for M tasks of their own; or K ≥ 3 classes, shape (N,),
            for a network of K outputs, one a class in their order; for the squared loss targets of the shape of the
            outputs.
        loss: "exponential", "logistic", "cross entropy", "squared", or a `gd.losses.Loss`. With classes the first two
            sum over the N(K − 1) margins f_{y_n} − f_k.
        steps: how many.
        optimizer: "gradient", "momentum", "sign", "signum", "coordinate", "spectral", "muon", "adam", "adagrad",
            "mirror", a `gd.Optimizer` with its own parameters, or a factory of torch optimizers, such as
            `lambda params: torch.optim.Adam(params, lr=1e-2)`, called once for each run.
        schedule: "constant", "normalized", "armijo", "accelerated", "rescaled", or a `Schedule` with its own step.
            For gradient descent the line search unless given, which needs no step size and suits any module; the
            others have a safe default for linear networks, documented at their classes and slow on deep ones. Other
            optimizers: `DecayingStep` unless given, with a step known for linear predictors only; the steps of a torch
            optimizer are multiplied by the schedule, and are its own unless one is given.
        rescaled: divide gradients by the loss, so that they do not underflow and an optimizer's ε, μ, β₁ and β₂ mean
            the same at every loss. Margin losses only.
        batch_size: points in a minibatch, drawn without replacement in every epoch; all unless given. Bounds use the
            minibatches' loss weights, and snapshots are of the whole data.
        seed: of the minibatches, and of randomness inside a module's forward pass, if it has any.
        device: CUDA where there is one and the Jacobian has 10⁶ entries (below, the CPU is faster), else the CPU,
            unless given.
        dtype: of all computation; float64 unless given.
        snapshots: about how many log-spaced steps to record, the first and the last included, or those steps
            themselves; 60 unless given.
        record_outputs: keep f(X; w) at every snapshot.
        progress: called with (steps done, steps) at every snapshot.
        time_limit: seconds after which no step is taken; the trajectory ends there, with status OUT_OF_TIME.
        step, momentum, reduction, measurement, rules, clean: for generators only, with shapes as in
            `gd.descend_image`.

    Returns:
        The trajectory. A run whose weights or loss turn non-finite stops at its last finite weights and says so in
        `status`; the other runs of the batch go on.

    Raises:
        ValueError: the data are not finite, shapes or labels do not fit, the initial loss is not finite, a schedule
            is asked for a step size, a loss or an optimizer that it has no theory for, or an optimizer is not defined
            for the network's parameters.
        TypeError: a parameter that only generators take, or, with a generator, one that only other networks take.

    Reference: Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018) and Gunasekar, Lee, Soudry, Srebro (2018) for the limit;
    each schedule names the source of its rate.

    >>> from gd.networks.linear import Diagonal
    >>> X, y = np.array([[2.0, 1.0], [-1.0, -3.0]]), np.array([1.0, -1.0])
    >>> path = descend([Diagonal(2, 2, seed=s) for s in range(3)], X, y, steps=200)
    >>> path.predictor.shape, bool(path.log_loss[:, -1].max() < -100), path.status[0].name
    ((3, 2), True, 'FINISHED')
    """
    deadline = deadline_after(time_limit)
    of_data = {"loss": loss, "schedule": schedule, "seed": seed, "record_outputs": record_outputs}
    of_data |= {"rescaled": rescaled, "batch_size": batch_size}
    of_images: dict[str, Any] = {"step": step, "momentum": momentum, "reduction": reduction}
    of_images |= {"measurement": measurement, "rules": rules, "clean": clean}
    if isinstance(model, nn.Module) and not declared(model).has_inputs:
        if y is not None:
            raise ValueError(
                f"{type(model).__name__} has no inputs X: it is fitted to one image (or one per seed), as in "
                "descend(generator, image, steps=1000, step=0.1)"
            )
        _refuse(of_data, "a generator")
        shared = {
            "snapshots": snapshots,
            "device": device,
            "dtype": dtype,
            "progress": progress,
            "time_limit": time_limit,
        }
        return descend_image(model, X, steps=steps, **_given(of_images | shared | {"optimizer": optimizer}))  # type: ignore[arg-type]
    if y is None:
        raise ValueError("labels or targets y are missing: descend(model, X, y)")
    _refuse(of_images, "inputs and labels")
    models = check_models(model)
    steps = check_count("steps", steps)
    chosen_loss = find_loss("exponential" if loss is None else loss)
    chosen = find_optimizer("gradient" if optimizer is None else optimizer)
    inputs, targets = check_data(models[0], X, y, chosen_loss)
    check_forward_pass(models[0], inputs)
    where = choose_device(device, models, targets.values.numel())
    began = time.perf_counter()
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        torch.manual_seed(seed or 0)
        objective = Objective(
            models, inputs, targets.values, chosen_loss, where, dtype or torch.float64, targets=targets
        )
        training = _training(objective, chosen, schedule, bool(rescaled), batch_size, seed or 0)
        wanted = snapshot_steps(steps, 60 if snapshots is None else snapshots)
        recorder = Recorder(objective, wanted, bool(record_outputs), chosen.weight_norm)
        W, last_step, finite, memory = iterate(objective, training, steps, recorder, progress, deadline)
    beta = objective.predictors(W).cpu().numpy().astype(np.float64) if objective.predicts else None
    history, taken = chosen.preconditioner(memory), training.schedule
    return Trajectory(
        **recorder.columns(),
        predictor=beta,
        parameters=objective.parameters(W),
        status=recorder.statuses(finite),
        last_step=last_step,
        degree=objective.degree,
        loss=chosen_loss.name,
        schedule=taken.label(objective.degree) if chosen.is_gradient else taken.name,
        heuristic=taken.heuristic(objective.degree) if chosen.is_gradient else True,
        sign_locked=tuple(declared(m).sign_locked for m in models),
        seconds=time.perf_counter() - began,
        optimizer=chosen.name,
        rescaled=training.rescaled,
        batch_size=batch_size,
        boundary=chosen.boundary,
        preconditioner=None if history is None else objective.parameters(history),
        loss_weights=recorder.loss_weights(),
        effective_growth=None if recorder.effective_start is None else recorder.effective_start.growth,
        effective_potential=None if recorder.effective_start is None else recorder.effective_start.potentials(),
        predictor_norm=_predictor_norm(objective, training, beta),
        classes=label_names(on_cpu(y)),
    )


def _predictor_norm(objective: Objective, training: Training, beta: NDArray[np.float64] | None) -> Regularizer | None:
    """The optimizer's norm of β where β is all there is to train."""
    alone = objective.is_predictor and beta is not None
    return training.optimizer.norm(beta.shape[1:]) if alone and beta is not None else None


def _training(
    objective: Objective,
    optimizer: Optimizer,
    schedule: str | Schedule | None,
    rescaled: bool,
    batch_size: int | None,
    seed: int,
) -> Training:
    """What was asked for, where the parts go together; the schedule that suits, where none was asked for."""
    if rescaled and not objective.loss.margin:
        raise ValueError(
            f"only gradients of a margin loss are divided by the loss; the {objective.loss.name} loss is none"
        )
    if batch_size is not None and not 1 <= batch_size <= objective.y.shape[0]:
        raise ValueError(f"batch_size must be from 1 to the {objective.y.shape[0]} points, got {batch_size}")
    if schedule is None:
        plain = optimizer.is_gradient and batch_size is None
        chosen: Schedule = ArmijoLineSearch() if plain else DecayingStep(*optimizer.first_step(objective))
    else:
        chosen = _find_schedule(schedule)
    if chosen.margin_loss_only and not objective.loss.margin:
        raise ValueError(
            f"the schedule '{chosen.name}' is defined through the gradient of log L of a margin loss; for the "
            f"{objective.loss.name} loss use ConstantStep or ArmijoLineSearch"
        )
    _check_together(chosen, optimizer, batch_size)
    return Training(optimizer, chosen, rescaled or (chosen.rescaled and objective.loss.margin), batch_size, seed)


def _check_together(schedule: Schedule, optimizer: Optimizer, batch_size: int | None) -> None:
    """Raise ValueError where a schedule has no meaning for an optimizer."""
    plain = optimizer.is_gradient and batch_size is None
    if schedule.gradient_only and not plain:
        raise ValueError(
            f"the schedule '{schedule.name}' is a full-batch gradient method of its own; give DecayingStep(c)"
        )
    if schedule.line_search and not (optimizer.descends and batch_size is None):
        raise ValueError(
            f"the line search needs a direction in which the whole loss falls, and {optimizer.name} does not promise "
            "one here; give a step size, as in DecayingStep(0.01)"
        )
    if schedule.needs_step and not plain:
        raise ValueError(
            f"the schedule '{schedule.name}' knows a step size for full-batch gradient descent only; for "
            f"{optimizer.name} give one, as in DecayingStep(0.01)"
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
