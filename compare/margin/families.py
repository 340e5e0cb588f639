"""Which networks a margin comparison trains: families of one architecture and depth, one member per seed.

A family is trained as one batch and shares one explicit problem. At depth 1 every architecture is the same linear
predictor, so that appears once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from compare.data.dataset import Dataset
from compare.margin.architectures import ARCHITECTURES, Architecture, architectures, row_of
from solvers.arrays import Array
from solvers.regularizers import Regularizer


@dataclass(frozen=True)
class Family:
    """Networks of one architecture and depth that differ in their initial weights."""

    row: Architecture
    depth: int
    """L; for a user's own module its `depth` or `degree`, else 0 (unknown)."""
    seeds: tuple[int, ...]
    models: tuple[nn.Module, ...] = field(repr=False)
    X: Array = field(repr=False)
    """The data in the shape that these networks take: (N, D) or (N, H, W)."""

    @property
    def regularizer(self) -> Regularizer | None:
        """R; None where only the weight-space problem is known."""
        return self.row.regularizer(self.depth)

    @property
    def label(self) -> str:
        """ "convolutional, L=2"; "linear predictor" at depth 1."""
        if self.row.build is None:
            return self.row.name
        return "linear predictor" if self.depth == 1 else f"{self.row.name}, L={self.depth}"

    @property
    def formula(self) -> str:
        """R as a formula."""
        return self.row.formula(self.depth)


def families(
    dataset: Dataset,
    *,
    names: Sequence[str] | None = None,
    depths: Sequence[int] = (1, 2),
    seeds: Sequence[int] = (0,),
    scale: float = 0.1,
) -> list[Family]:
    """The families of the table's architectures that fit the data.

    Raises ValueError for an unknown architecture, or images of another size than the points.
    """
    X, image_shape = dataset.X, dataset.image_shape if dataset.channels == 1 else None
    depths, seeds = tuple(dict.fromkeys(depths)), tuple(dict.fromkeys(seeds))
    if image_shape is not None and math.prod(image_shape) != X.shape[1]:
        raise ValueError(f"images of {image_shape[0]}×{image_shape[1]} have not the {X.shape[1]} columns of X")
    found = []
    if 1 in depths:
        linear = replace(ARCHITECTURES["fully connected"], outputs=dataset.outputs)
        found.append(family(linear, 1, seeds, scale, X, None))
    for row in architectures(names, images=image_shape is not None, outputs=dataset.outputs):
        found += [family(row, depth, seeds, scale, X, image_shape) for depth in depths if depth > 1]
    return found


def family(
    row: Architecture, depth: int, seeds: tuple[int, ...], scale: float, X: Array, image_shape: tuple[int, int] | None
) -> Family:
    """One architecture at one depth, a network per seed."""
    if row.build is None:
        raise ValueError(f"{row.name} is a module of a user's own; there is nothing to build")
    shape = image_shape if row.images and image_shape is not None else (X.shape[1],)
    models = tuple(row.build_one(shape, depth, scale, seed) for seed in seeds)
    return Family(row, depth, seeds, models, X.reshape(-1, *shape))


def own_families(models: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module], dataset: Dataset) -> list[Family]:
    """One family per module of a user's own, trained from the weights it has; images stay images.

    A network whose regularizer is that of a row of the table is held to that row's theorem.
    """
    X = dataset.X if dataset.image_shape is None else dataset.images
    if isinstance(models, nn.Module):
        models = [models]
    named = (
        dict(models) if isinstance(models, Mapping) else {f"{type(m).__name__} {i}": m for i, m in enumerate(models)}
    )
    if not named:
        raise ValueError("models is empty: pass networks, or leave it out to compare the table's architectures")
    return [
        Family(
            row_of(model, name),
            own_depth(model),
            (0,),
            (model,),
            fitting(name, model, own_shape(model, X), dataset.outputs),
        )
        for name, model in named.items()
    ]


def own_depth(model: nn.Module) -> int:
    """The number of layers, where the module says it."""
    depth = getattr(model, "depth", getattr(model, "degree", 0))
    return depth if isinstance(depth, int) else 0


def own_shape(model: nn.Module, X: Array) -> Array:
    """The data in the shape that the module takes, where it says it."""
    shape = getattr(model, "shape", None)
    if isinstance(shape, tuple) and math.prod(shape) == math.prod(X.shape[1:]):
        return X.reshape(len(X), *shape)
    return X


def fitting(name: str, model: nn.Module, X: Array, wanted: int) -> Array:
    """X itself. Raises ValueError where the module does not take it, or gives another number of outputs."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"{name} is a {type(model).__name__}; models are torch modules, or names with torch modules")
    try:
        with torch.no_grad():
            outputs = copy.deepcopy(model).to("cpu", torch.float64)(torch.tensor(X))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"the network {name!r} does not take X of shape {X.shape}: {reason}") from error
    shape = tuple(getattr(outputs, "shape", ()))
    if wanted > 1 and shape != (len(X), wanted):
        raise ValueError(
            f"the network {name!r} must give {wanted} numbers for each of the {len(X)} points, one a class, shape "
            f"({len(X)}, {wanted}); it gives {shape or type(outputs).__name__}"
        )
    if wanted == 1 and shape not in ((len(X),), (len(X), 1)):
        raise ValueError(
            f"the network {name!r} must give one number for each of the {len(X)} points, shape ({len(X)},) or "
            f"({len(X)}, 1); it gives {shape or type(outputs).__name__}. For several outputs use gd.flow_limit with "
            "labels (N, M)"
        )
    return X
