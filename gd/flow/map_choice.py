"""The margin map that suits a model: its own closed form where it has one, else by the trace of its forward pass."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from gd.flow.margin_map import MarginMap
from gd.flow.module_map import ModuleMap
from gd.flow.sliding import SlidingMap
from gd.flow.two_layer_map import TwoLayerMap
from gd.targets import Targets

SAME_MARGINS = 1e-9  # relative: a closed form that differs by more from the forward pass is another network's


def margin_map(model: nn.Module, X: Tensor, y: Tensor, seed: int = 0, targets: Targets | None = None) -> MarginMap:
    """The margin map of a model: its own closed form where it has one, else by the trace of its forward pass.

    A closed form is used only if it computes the same margins as the forward pass: a subclass may have inherited it
    from a network with another map from weights to predictors.
    """
    targets = Targets(y) if targets is None else targets
    if all(p.requires_grad for p in model.parameters()):
        mapping = targets.closed_form(model, X)
        if mapping is not None and _computes_the_forward_pass(mapping, model, X, targets, seed):
            return mapping
    mapping = ModuleMap(model, X, y, seed, targets)
    if not mapping.pieces.n_kinks:
        return mapping
    two_layers = mapping.pieces.two_layers(mapping.start([model])[0]) is not None
    return mapping.taken_as(TwoLayerMap if two_layers else SlidingMap)


def _computes_the_forward_pass(mapping: MarginMap, model: nn.Module, X: Tensor, targets: Targets, seed: int) -> bool:
    """Whether the margins of a copy with random parameters are those of its forward pass."""
    other = copy.deepcopy(model).to(X.device, X.dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=X.dtype))
        forward = targets.margins(other(X).reshape(targets.output_shape)).flatten()
        margins = mapping.margins(mapping.start([other]))[0]
    return float((margins - forward).abs().max()) <= SAME_MARGINS * float(forward.abs().max())
