"""The table of architectures that are compared by default: one line each.

A new architecture is one regularizer, one network that names it by `regularizer` and its proof by `theorem`, one line
here, one test. A module of a user's own needs no line: `row_of` makes one from its `.regularizer`, where it has that;
else only the KKT conditions of its own weight-space problem are predicted.

torch is imported when a network is built, so that an unknown name is refused before it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from solvers.regularizers import Regularizer

Build = Callable[[tuple[int, ...], int, float, int], "nn.Module"]
BuildClasses = Callable[[tuple[int, ...], int, float, int, int], "nn.Module"]


@dataclass(frozen=True)
class Architecture:
    """One row: a family of networks, indexed by depth L. The networks say R and its theorem."""

    name: str
    build: Build | None
    """(input shape, depth, scale of the initial weights, seed) → network; None for a user's own module."""
    images: bool = False
    """Whether its inputs are images (H, W) rather than signals (D,)."""
    own: nn.Module | None = None
    """The user's own module."""
    claimed: Regularizer | None = None
    """R that is claimed in place of the network's own word: for predictions that should be refuted."""
    build_classes: BuildClasses | None = None
    """(input shape, depth, scale, seed, K) → network of K outputs, one a class; None where there is no such network."""
    outputs: int = 1
    """K for K ≥ 3 classes."""

    def build_one(self, shape: tuple[int, ...], depth: int, scale: float, seed: int) -> nn.Module:
        """One network of the row. Raises ValueError where it builds none."""
        if self.outputs > 1 and self.build_classes is not None:
            return self.build_classes(shape, depth, scale, seed, self.outputs)
        if self.build is None or self.outputs > 1:
            raise ValueError(f"{self.name}: the row builds no network with {self.outputs} outputs")
        return self.build(shape, depth, scale, seed)

    def network(self, depth: int) -> nn.Module:
        """The smallest network of this depth, which says what holds for all sizes; a user's own module is itself."""
        if self.own is not None:
            return self.own
        return self.build_one((2, 2) if self.images else (2,), depth, 1.0, 0)

    def regularizer(self, depth: int) -> Regularizer | None:
        """R with min‖w‖² = L·R^{2/L}; None where no closed form is known."""
        from gd.networks.declaration import declared

        return self.claimed or declared(self.network(depth)).regularizer

    def formula(self, depth: int) -> str:
        """R as a formula to read."""
        found = self.regularizer(depth)
        return "‖w‖₂ (weight space)" if found is None else found.formula

    def conjectured(self, depth: int) -> bool:
        """Whether no theorem says that the flow of the row's own networks with several outputs minimizes R."""
        mine = self.own is None and self.claimed is None
        return mine and self.outputs > 1 and not getattr(self.network(depth), "theorem", "")

    def reference(self, depth: int) -> str:
        """Where the prediction is proved."""
        said = getattr(self.network(depth), "theorem", "")
        if said:
            return str(said)
        return "induced regularizer" if self.regularizer(depth) else "Lyu and Li (2020), Theorem 4.4"


def linear(network: str) -> Callable[..., Any]:
    """The class of this name in `gd.networks.linear`, imported now."""
    found: Callable[..., Any] = getattr(import_module("gd.networks.linear"), network)
    return found


def of_signals(network: str) -> Build:
    """How a linear network on D values is built, whatever the shape of the inputs."""
    return lambda shape, depth, scale, seed: linear(network)(math.prod(shape), depth, scale=scale, seed=seed)


def several_of_signals(network: str) -> BuildClasses:
    """The same with one output a class."""
    return lambda shape, depth, scale, seed, outputs: linear(network)(
        math.prod(shape), depth, scale=scale, seed=seed, outputs=outputs
    )


def _images(shape: tuple[int, ...], depth: int, scale: float, seed: int, outputs: int = 1) -> nn.Module:
    built: nn.Module = linear("Convolutional")((shape[0], shape[1]), depth, scale=scale, seed=seed, outputs=outputs)
    return built


ARCHITECTURES: dict[str, Architecture] = {
    row.name: row
    for row in (
        *(
            Architecture(name, of_signals(network), build_classes=several_of_signals(network))
            for name, network in (
                ("fully connected", "FullyConnected"),
                ("diagonal", "Diagonal"),
                ("convolutional", "Convolutional"),
            )
        ),
        Architecture("convolutional 2-D", _images, images=True, build_classes=_images),
    )
}


def architectures(names: Sequence[str] | None = None, *, images: bool = False, outputs: int = 1) -> list[Architecture]:
    """The rows of these names; by default all that fit the data (2-D networks only where there are images).

    With several outputs they are those of as many classes.

    Raises ValueError for an unknown name, or a network on images without images.
    """
    if names is None:
        fitting = [row for row in ARCHITECTURES.values() if images or not row.images]
        return [replace(row, outputs=outputs) for row in fitting if outputs == 1 or row.build_classes is not None]
    unknown = [name for name in names if name not in ARCHITECTURES]
    if unknown:
        raise ValueError(f"there is no architecture {unknown[0]!r}; known are {', '.join(ARCHITECTURES)}")
    rows = [ARCHITECTURES[name] for name in names]
    if not images and any(row.images for row in rows):
        raise ValueError("a 2-D network needs rows that are images (H, W), and these data hold none")
    return [replace(row, outputs=outputs) for row in rows]


def row_of(model: nn.Module, name: str = "") -> Architecture:
    """A row for a module of a user's own, from its `.regularizer` and its `.theorem` where it has them.

    >>> from gd import Diagonal
    >>> row_of(Diagonal(4, 2)).regularizer(2)
    Bridge(p=1.0)
    """
    return Architecture(name or type(model).__name__, None, own=model)
