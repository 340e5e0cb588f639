"""Input validation of gd: models, data and the device are checked once; data leave as float64 tensors on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.losses import Loss
from gd.networks.declaration import declared
from gd.targets import ClassTargets, Targets
from solvers.classes import find_classes
from solvers.validation import finite_array, read_labels

WORTH_A_DEVICE = 10**6
"""Entries of a Jacobian from which the work is given to a CUDA device that nobody asked for. A step launches some
hundred kernels and waits for some ten numbers, a millisecond together, in which a CPU core goes through about 10⁶
entries. (An estimate: not measured on a card.)"""


def choose_device(device: str | torch.device | None, models: Sequence[nn.Module], outputs: int) -> torch.device:
    """The device asked for; else CUDA where there is one and the Jacobian has `WORTH_A_DEVICE` entries; else the CPU.

    Args:
        device: as the user gave it.
        models: the networks of the batch.
        outputs: values that each computes, over all inputs.
    """
    if device is not None:
        return torch.device(device)
    weights = sum(p.numel() for model in models for p in model.parameters() if p.requires_grad)
    large = weights * outputs >= WORTH_A_DEVICE
    return torch.device("cuda" if large and torch.cuda.is_available() else "cpu")


def on_cpu(value: ArrayLike | Tensor) -> ArrayLike:
    """A tensor of any device as an array; anything else as it is."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless the value of the argument `name` is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def check_count(name: str, value: float) -> int:
    """The argument `name` as a whole number. Raises ValueError unless it is one, and at least 1."""
    if value != int(value) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def check_models(model: nn.Module | Sequence[nn.Module]) -> list[nn.Module]:
    """The models of one batch as a list.

    Raises ValueError unless there is at least one, all are of one type, print alike, and train the same parameters.
    """
    models = [model] if isinstance(model, nn.Module) or not isinstance(model, Iterable) else list(model)
    if strangers := [type(one).__name__ for one in models if not isinstance(one, nn.Module)]:
        raise TypeError(f"model must be a torch.nn.Module, or a list of them; got {', '.join(strangers)}")
    if not models:
        raise ValueError("model is an empty list; give at least one network, or several of one architecture")

    for one in models:
        tensors = [*one.named_parameters(), *one.named_buffers()]
        if names := [name for name, tensor in tensors if tensor.is_complex()]:
            raise ValueError(
                f"{type(one).__name__} has complex numbers in {', '.join(names)}; training is by gradients of real "
                "weights. Store real and imaginary parts as two real parameters"
            )

    def described(one: nn.Module) -> str:
        trained = {name: tuple(p.shape) for name, p in one.named_parameters() if p.requires_grad}
        return f"{type(one).__qualname__} training {trained}: {one}"

    kinds = sorted({described(one) for one in models})
    if len(kinds) > 1:
        raise ValueError(
            "the networks of a batch must be of one architecture; these differ, so make one call for each:\n"
            + "\n".join(kinds)
        )
    return models


def finite_tensor(name: str, value: ArrayLike | Tensor) -> Tensor:
    """A copy of `value` as a float64 CPU tensor. Raises ValueError when it is not real numbers, all finite."""
    return torch.from_numpy(finite_array(name, on_cpu(value)).copy())


def check_data(model: nn.Module, X: ArrayLike | Tensor, y: ArrayLike | Tensor, loss: Loss) -> tuple[Tensor, Targets]:
    """X and y as float64 tensors that suit the model and the loss.

    Args:
        model: a linear network says which input shape it takes; any other module is not asked.
        X: inputs, shape (N, …), N ≥ 1.
        y: labels of any two values, (N,), ±1 of shape (N, M), or K ≥ 3 classes, (N,), for a margin loss; targets of any
            shape (N, …) for the squared loss.

    Raises ValueError when something is not finite, no points are given, or shapes or labels do not fit.
    """
    inputs = finite_tensor("X", X)
    if inputs.ndim < 2 or inputs.numel() == 0:
        raise ValueError(
            f"X must have shape (N, …) with at least one point of at least one feature; got shape "
            f"{tuple(inputs.shape)}. For a single point use X[None], for a single feature X[:, None]"
        )
    linear = declared(model).linear_network
    if linear is not None and tuple(inputs.shape[1:]) != linear.shape:
        raise ValueError(
            f"X holds points of shape {tuple(inputs.shape[1:])}, but this {type(model).__name__} takes {linear.shape}; "
            "reshape X or build the network for that shape"
        )
    classes = find_classes(y) if loss.margin else None
    if classes is not None:
        if classes.index.size != inputs.shape[0]:
            raise ValueError(f"y must have one label per row of X, {inputs.shape[0]}; got {classes.index.size}")
        return inputs, ClassTargets.of(classes)
    targets = finite_tensor("y", read_labels(on_cpu(y), inputs.shape[0])[0] if loss.margin else y)
    if loss.margin:
        if loss.name == "cross entropy" and targets.ndim == 2:
            raise ValueError(
                "labels (N, M) are M tasks of their own, each with labels ±1; the cross entropy is a loss of classes, "
                "labels (N,). Give the classes, or loss='logistic'"
            )
    elif targets.ndim == 0 or targets.shape[0] != inputs.shape[0]:
        raise ValueError(f"y must have one target per row of X, {inputs.shape[0]}; got shape {tuple(targets.shape)}")
    return inputs, Targets(targets)
