"""What every generator here is: an image as a function of weights alone, several independent networks in one module."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn


class Generator(nn.Module):
    """A module whose `forward()` takes nothing and returns the images of all its networks, seeds first."""

    seeds: tuple[int, ...]
    """One independent network for each; the leading axis of every parameter and of the output."""

    has_inputs = False
    """What `gd.networks.declaration` asks of a module to know that its output is a function of the weights alone."""

    @property
    @abstractmethod
    def coefficients(self) -> list[Tensor]:
        """The weights C, layer by layer, each (seeds, …), whose distance from the start is measured."""

    @abstractmethod
    def forward(self) -> Tensor:
        """G(C), shape (seeds, …)."""
