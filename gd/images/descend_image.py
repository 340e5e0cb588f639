"""Fitting a generator to an image: gradient descent with a fixed step, momentum or Adam, many images and seeds at once.

    min_C  L(C),   L(C) = mean (A G(C) − y)²   or   Σ (A G(C) − y)²   or   ½ Σ (A G(C) − y)²,

A the identity unless a measurement is given. The sum over the networks of a module is minimized, so each network
descends on its own loss. "mean" is what image codes use (its step is 2/(number of pixels) of the half sum's);
"half_sum" is the theory's, for which the early-stopping filter is 1 − (1 − ησ²)^t.

The loop adds to the network's own forward and backward pass: one mean per step for the loss curve and what the
stopping rules ask for. Nothing synchronizes with a GPU except at snapshots and every 64 steps.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gd.data import check_choice, choose_device
from gd.gradient_mode import with_gradients
from gd.images.generator import Generator
from gd.images.stopping_rules import Stop, StoppingRule
from gd.recording import Record, snapshot_steps
from solvers.card import Card
from solvers.search import deadline_after

Array = NDArray[Any]
Optimizer = Literal["gd", "momentum", "adam"]
Reduction = Literal["mean", "sum", "half_sum"]
_ASK_EVERY = 64


@dataclass(frozen=True, repr=False)
class ImageTrajectory(Card):
    """B generators fitted to images, step by step. Step t is the state after t updates; t = 0 is the start."""

    loss: Array = field(repr=False)
    """L at every step taken, (T + 1, B), in the reduction asked for."""
    mse: Array = field(repr=False)
    """mean (A G(C_t) − y)², (T + 1, B): the squared units of the image."""
    clean_mse: Array | None = field(repr=False)
    """mean (G(C_t) − clean)², (T + 1, B), where a clean image was given."""
    steps: NDArray[np.int64] = field(repr=False)
    """The steps of the snapshots, (S,), log-spaced, with the first and the last."""
    outputs: Array = field(repr=False)
    """G(C) at the snapshots, (S, B, …)."""
    distances: Array = field(repr=False)
    """‖C_i − C_i⁰‖_F / (‖C_i‖_F + ‖C_i⁰‖_F) at the snapshots, (S, layers, B); between 0 and 1, dimensionless."""
    stops: Mapping[str, Stop] = field(repr=False)
    """Where each stopping rule stopped, by its name."""
    diverged: NDArray[np.bool_]
    """(B,): the loss became infinite or NaN. A sigmoid output saturates and stays finite: there, look at `mse`."""
    model: Generator = field(repr=False)
    """The trained generators."""
    seconds_per_step: float
    """Wall time of the loop divided by the steps taken."""
    device: str
    """Where it ran, in words."""

    @property
    def taken(self) -> int:
        """T, the steps taken; fewer than asked when every rule had decided."""
        return len(self.loss) - 1

    @property
    def output(self) -> Array:
        """G(C_T), (B, …)."""
        return np.asarray(self.outputs[-1])

    def iterations_to(self, level: ArrayLike) -> Array:
        """The first step with mse ≤ level (one number or one per network), (B,); infinity where it was not reached.

        Raises ValueError for levels that are not positive.
        """
        levels = np.asarray(level, dtype=np.float64)
        if not (levels > 0).all():
            raise ValueError(f"levels must be positive mean squared errors, got {level!r}")
        reached = self.mse <= levels
        return np.where(reached.any(axis=0), reached.argmax(axis=0).astype(np.float64), np.inf)


@with_gradients
def descend_image(
    model: Generator,
    target: ArrayLike | Tensor,
    *,
    steps: int,
    step: float,
    optimizer: Optimizer = "gd",
    momentum: float = 0.9,
    reduction: Reduction = "mean",
    measurement: Callable[[Tensor], Tensor] | None = None,
    rules: Sequence[StoppingRule] = (),
    clean: ArrayLike | Tensor | None = None,
    snapshots: int | Sequence[int] = 20,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    progress: Callable[[int, int], None] | None = None,
    time_limit: float = math.inf,
) -> ImageTrajectory:
    """Fit every network of a generator to its target by gradient descent, and record the way.

        "gd"        C_{t+1} = C_t − η ∇L(C_t)
        "momentum"  M_{t+1} = μ M_t + ∇L(C_t),  C_{t+1} = C_t − η M_{t+1}     (heavy ball, μ = `momentum`)
        "adam"      Adam with step η and torch's default moments

    Args:
        model: a generator; it starts from its own weights and is not modified.
        target: y: the shape of one network's output (all fit the same) or of the whole output (one each).
        steps: at most this many; fewer when every rule has decided.
        step: η, for the loss in its reduction.
        optimizer: "gd", "momentum" or "adam", as above.
        momentum: μ in [0, 1), of "momentum".
        reduction: "mean", "sum" or "half_sum"; see the module.
        measurement: A, a differentiable map on outputs (B, …) → (B, …); then the target is y = A x, and may not be an
            image.
        rules: stopping rules, all watched at once; the run ends early when all of them have decided. They watch
            mse(A G(C), y), and keep images G(C).
        clean: the image x that `clean_mse` is measured against, of the shape of the target's images.
        snapshots: about how many log-spaced steps to keep outputs and weight distances at, or those steps themselves.
        device: CUDA where there is one and weights times pixels are 10⁶ (below, the CPU is faster), else the CPU,
            unless given.
        dtype: float32 or float64; the model's own unless given.
        progress: called with (t, steps) at snapshots.
        time_limit: seconds after which no step is taken.

    Returns:
        An ImageTrajectory. A diverged network is marked, and the others go on.

    Raises:
        ValueError: the target has NaN or infinities, does not fit the output's shape, or lies outside [0, 1] while
            the output is a sigmoid; or steps or options have no meaning.

    Reference: Heckel & Soltanolkotabi (2020), Section 2; Ulyanov, Vedaldi, Lempitsky (2018) for the fit itself.

    >>> from gd.images.conv_generator import ConvGenerator
    >>> net = ConvGenerator("bilinear", channels=8, depth=3, out_channels=1, output_shape=(8, 8), seeds=(0, 1))
    >>> ramp = np.add.outer(np.arange(8), np.arange(8))[None] / 14
    >>> path = descend_image(net, ramp, steps=50, step=0.5)
    >>> path.output.shape, bool((path.mse[-1] < 0.2 * path.mse[0]).all())
    ((2, 1, 8, 8), True)
    """
    _check_options(steps, step, optimizer, momentum, reduction)
    where = choose_device(device, [model], int(np.prod(np.shape(target))))
    precision = dtype or next(model.parameters()).dtype
    trained = copy.deepcopy(model).to(where, precision)
    forward = measurement or (lambda image: image)
    with torch.no_grad():
        first = trained()
        measured = forward(first)
    y = _as_targets(target, measured, "target")
    if getattr(model, "output", None) == "sigmoid" and measurement is None and bool(((y < 0) | (y > 1)).any()):
        raise ValueError(
            f"the generator's sigmoid reaches (0, 1) only, but the target's values go from "
            f"{float(y.min()):.4g} to {float(y.max()):.4g}; scale it, or use output='linear'"
        )
    truth = None if clean is None else _as_targets(clean, first, "clean image")
    record = _Recorder(trained, frozenset(snapshot_steps(steps, snapshots).tolist()), y.shape[0], steps, truth)
    pixels = y[0].numel()
    weight = {"mean": 1.0, "sum": float(pixels), "half_sum": 0.5 * pixels}[reduction]
    watches = {rule.name: rule.watch(first if measurement is not None else y) for rule in rules}
    if len(watches) < len(rules):
        raise ValueError(f"the rules need different names, got {[rule.name for rule in rules]}")
    update = _optimizer(trained, optimizer, step, momentum)
    began, deadline = time.perf_counter(), deadline_after(time_limit)
    t = 0
    for t in range(steps + 1):
        image = trained()
        mse = (forward(image) - y).square().flatten(1).mean(dim=1)
        kept, error = image.detach(), mse.detach()
        record.note(t, kept, error)
        for watch in watches.values():
            watch.observe(t, kept, error)
        last = (
            t == steps
            or time.monotonic() >= deadline
            or (bool(watches) and t % _ASK_EVERY == 0 and all(w.finished for w in watches.values()))
        )
        if last or t in record.wanted:
            record.snapshot(t, kept)
            if progress is not None:
                progress(t, steps)
        if last:
            break
        update.zero_grad(set_to_none=True)
        (weight * mse).sum().backward()  # type: ignore[no-untyped-call]
        update.step()
    seconds = (time.perf_counter() - began) / max(t, 1)
    update.zero_grad(set_to_none=True)
    stops = {name: watch.stop() for name, watch in watches.items()}
    return ImageTrajectory(
        **record.columns(t, weight), stops=stops, model=trained, seconds_per_step=seconds, device=_device_name(where)
    )


def _optimizer(model: Generator, optimizer: Optimizer, step: float, momentum: float) -> torch.optim.Optimizer:
    if optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=step)
    return torch.optim.SGD(model.parameters(), lr=step, momentum=momentum if optimizer == "momentum" else 0.0)


def _check_options(steps: int, step: float, optimizer: str, momentum: float, reduction: str) -> None:
    if int(steps) != steps or steps < 1:
        raise ValueError(f"steps must be a whole number ≥ 1, got {steps!r}")
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"the step size must be a positive number, got {step!r}")
    check_choice("optimizer", optimizer, get_args(Optimizer))
    check_choice("reduction", reduction, get_args(Reduction))
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must lie in [0, 1), got {momentum!r}")


def _as_targets(value: ArrayLike | Tensor, like: Tensor, what: str) -> Tensor:
    """`value` broadcast to the shape of `like`, (B, …), on its device; finite."""
    tensor = value.detach() if isinstance(value, Tensor) else torch.as_tensor(np.array(value, dtype=np.float64))
    bad = int((~torch.isfinite(tensor)).sum())
    if bad:
        raise ValueError(f"the {what} must be finite; {bad} of its {tensor.numel()} entries are NaN or infinite")
    if tuple(tensor.shape) not in (tuple(like.shape), tuple(like.shape[1:])):
        raise ValueError(
            f"the {what} has shape {tuple(tensor.shape)}, but each network's output has shape "
            f"{tuple(like.shape[1:])}; give that shape, or {tuple(like.shape)} for one per network"
        )
    return tensor.to(like.device, like.dtype).expand_as(like)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


class _Recorder:
    """Curves stay on the device until the end; snapshots go to the CPU as they come."""

    def __init__(self, model: Generator, wanted: frozenset[int], count: int, steps: int, truth: Tensor | None) -> None:
        self.model, self.wanted, self.truth = model, wanted, truth
        self.start = [c.detach().clone() for c in model.coefficients]
        example = self.start[0]
        self.mse = torch.empty((steps + 1, count), dtype=example.dtype, device=example.device)
        self.clean = torch.empty_like(self.mse) if truth is not None else None
        self._record = Record()

    def note(self, t: int, image: Tensor, mse: Tensor) -> None:
        self.mse[t] = mse
        if self.clean is not None and self.truth is not None:
            self.clean[t] = (image - self.truth).square().flatten(1).mean(dim=1)

    def snapshot(self, t: int, image: Tensor) -> None:
        rows = []
        for now, start in zip(self.model.coefficients, self.start, strict=True):
            flat, origin = now.detach().flatten(1), start.flatten(1)
            rows.append((flat - origin).norm(dim=1) / (flat.norm(dim=1) + origin.norm(dim=1)))
        self._record.take(steps=t, outputs=image, distances=torch.stack(rows))

    def columns(self, taken: int, weight: float) -> dict[str, Any]:
        """The recorded fields of `ImageTrajectory`."""
        mse = self.mse[: taken + 1].cpu().numpy()
        return {
            "loss": weight * mse,
            "mse": mse,
            "clean_mse": None if self.clean is None else self.clean[: taken + 1].cpu().numpy(),
            "diverged": ~np.isfinite(mse).all(axis=0),
            **{name: self._record.column(name) for name in ("steps", "outputs", "distances")},
        }
