"""What every generator here is: an image as a function of weights alone, several independent networks in one module."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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


class ConvolutionalGenerator(Generator):
    """A generator with a fixed random input, one weight a layer, and learned channel normalizations."""

    input: Tensor

    def draw(
        self,
        seeds: Sequence[int],
        input_shape: tuple[int, ...],
        shapes: Sequence[tuple[int, ...]],
        normalizations: int,
        dtype: torch.dtype,
    ) -> None:
        """Set `input`, `weights`, `scale` and `shift`.

        A seed fixes its network's input, uniform on [0, 0.1], and its weights, uniform on ±1/√fan_in.
        """
        self.seeds = tuple(seeds)
        start, inputs = [], []
        for seed in self.seeds:
            generator = torch.Generator().manual_seed(int(seed))
            # in float64, so that a seed means the same network in every precision
            uniform = [torch.rand(s, generator=generator, dtype=torch.float64) for s in (input_shape, *shapes)]
            inputs.append(0.1 * uniform[0])
            start.append([(2.0 * u - 1.0) / math.sqrt(u[0].numel()) for u in uniform[1:]])
        self.register_buffer("input", torch.cat(inputs).unsqueeze(0).to(dtype))
        self.weights = nn.ParameterList([nn.Parameter(torch.stack(w).to(dtype)) for w in zip(*start, strict=True)])
        ones = torch.ones(len(self.seeds), input_shape[0], dtype=dtype)
        self.scale = nn.ParameterList([nn.Parameter(ones.clone()) for _ in range(normalizations)])
        self.shift = nn.ParameterList([nn.Parameter(torch.zeros_like(ones)) for _ in range(normalizations)])

    @property
    def coefficients(self) -> list[Tensor]:
        """The weights of the layers, each (seeds, …), whose distance from the start is measured; γ and β left out."""
        return list(self.weights)

    def normalize(self, x: Tensor, i: int, eps: float = 1e-5) -> Tensor:
        """Per channel and network, over the pixels; a batch of one image makes batch normalization exactly this."""
        return F.batch_norm(x, None, None, self.scale[i].flatten(), self.shift[i].flatten(), training=True, eps=eps)
