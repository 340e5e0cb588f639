"""Input validation of gd: what a model's forward pass gives on the data, and whether it is one fixed function."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def check_forward_pass(model: nn.Module, X: Tensor) -> Tensor:
    """The outputs of the model on X (N, …), in float64 on the CPU, without a gradient.

    Raises ValueError where the forward pass is compiled, does not take X, or gives anything but one tensor of finite
    numbers with a row for each point.
    """
    name = type(model).__name__
    if any(isinstance(part, torch.jit.ScriptModule) for part in model.modules()):
        raise ValueError(
            f"{name} is compiled by torch.jit, and a compiled forward pass cannot be run with other weights; give the "
            "module that it was compiled from"
        )
    try:
        outputs = _outputs(model, X)
    except Exception as error:
        raise ValueError(
            f"{name} does not take X of shape {tuple(X.shape)}: {error}. Points are the rows of X, here of shape "
            f"{tuple(X.shape[1:])}; reshape X, or build the network for that shape"
        ) from error
    if not isinstance(outputs, Tensor):
        raise ValueError(
            f"the forward pass of {name} returns a {type(outputs).__name__}; training needs one tensor of outputs. "
            "Wrap the module in one whose forward pass returns that tensor alone"
        )
    if outputs.ndim == 0 or outputs.shape[0] != X.shape[0]:
        raise ValueError(
            f"the forward pass of {name} gives outputs of shape {tuple(outputs.shape)} for {X.shape[0]} points; it "
            "must give one row of outputs for each point"
        )
    if not torch.isfinite(outputs).all():
        raise ValueError(
            f"the outputs of {name} on X are not all finite numbers: rescale X, or start from other weights"
        )
    return outputs


def check_one_label_each(outputs: Tensor, y: Tensor) -> None:
    """Raise ValueError unless every output f_m(x_n) has a label: y (N,) for one output, (N, M) for M."""
    if outputs.numel() != y.numel():
        raise ValueError(
            f"the network gives outputs of shape {tuple(outputs.shape)} and y has shape {tuple(y.shape)}; give one "
            f"label ±1 for each output, y of shape {tuple(outputs.shape)}, or a network with one output for each label"
        )


def check_fixed_function(model: nn.Module, X: Tensor) -> None:
    """Raise ValueError where a layer in training mode is another function in evaluation mode.

    Such are dropout, which draws random numbers, and batch normalization, by which the points of a batch depend on one
    another. They are found by their outputs.
    """
    training = [(name, part) for name, part in model.named_modules() if part.training]
    try:
        for _, part in training:
            part.training = False
        evaluated = _outputs(model, X)

        def differs(*parts: nn.Module) -> bool:
            for part in parts:
                part.training = True
            try:
                return not torch.equal(_outputs(model, X), evaluated)
            finally:
                for part in parts:
                    part.training = False

        if not training or not differs(*(part for _, part in training)):
            return
        found = [f"{name or 'the module itself'} ({type(part).__name__})" for name, part in training if differs(part)]
    finally:
        for _, part in training:
            part.training = True
    raise ValueError(
        f"the model is in training mode, where {', '.join(found) or 'its layers together'} computes something else "
        "than in evaluation mode; gradient flow follows one fixed function of the weights. Call model.eval() first"
    )


def _outputs(model: nn.Module, X: Tensor) -> Tensor:
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    double = {
        name: t.detach().to("cpu", torch.float64 if t.is_floating_point() else t.dtype, copy=True)
        for name, t in state.items()
    }
    with torch.no_grad():
        found: Tensor = torch.func.functional_call(model, double, (X.cpu().clone(),))
    return found
