"""The encoder–decoder generator: the hourglass of the deep image prior, without skip connections.

    B_{i+1} = ReLU(norm(B_i ∗ E_i)) ↓2      i = 1 … levels   (3×3 convolutions, stride 2)
    B_{i+1} = ReLU(norm((↑2 B_i) ∗ D_i))    i = 1 … levels   (bilinear upsampling, 3×3 convolutions)
    G(C) = sigmoid(B C_out)

from a fixed random input of full size. Sizes are halved rounding up and restored exactly. As everywhere here, one
module holds one independent network per seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from gd.images.generator import ConvolutionalGenerator


class EncoderDecoder(ConvolutionalGenerator):
    """An untrained encoder–decoder with a fixed input; its output is (seeds, out_channels, H, W), in (0, 1).

    Args:
        channels: k ≥ 1, of every hidden layer and of the input.
        levels: how often the size is halved and doubled, ≥ 1; the smallest size must stay ≥ 2.
        out_channels: 1 grey, 3 colour.
        output_shape: (H, W).
        seeds: one network each: input uniform on [0, 0.1], weights uniform on ±1/√fan_in.
        dtype: of weights and output.

    Raises:
        ValueError: a count is below 1 or the image is too small for that many levels.

    Reference: Ulyanov, Vedaldi, Lempitsky (2018), "Deep image prior", with its skip connections left out.

    >>> tuple(EncoderDecoder(6, 2, 1, (9, 12), seeds=(0, 1))().shape)
    (2, 1, 9, 12)
    """

    def __init__(
        self,
        channels: int,
        levels: int,
        out_channels: int,
        output_shape: Sequence[int],
        *,
        seeds: Sequence[int] = (0,),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        shape = tuple(int(s) for s in output_shape)
        if min(channels, levels, out_channels) < 1 or len(shape) != 2 or not seeds:
            raise ValueError(
                "channels, levels and out_channels must be ≥ 1, output_shape (H, W) and seeds not empty; "
                f"got {channels}, {levels}, {out_channels}, {shape}, {tuple(seeds)}"
            )
        self.sizes = [shape]
        for _ in range(levels):
            self.sizes.append((-(-self.sizes[-1][0] // 2), -(-self.sizes[-1][1] // 2)))
        if min(self.sizes[-1]) < 2:
            raise ValueError(f"{levels} levels leave {self.sizes[-1]} pixels of {shape}; use fewer levels")
        self.channels, self.levels, self.out_channels = channels, levels, out_channels
        self.shape, self.output = shape, "sigmoid"
        hidden = (channels, channels, 3, 3)
        shapes = [hidden] * (2 * levels) + [(out_channels, channels, 1, 1)]
        self.draw(seeds, (channels, *shape), shapes, 2 * levels, dtype)

    def forward(self) -> Tensor:
        """G(C), shape (seeds, out_channels, H, W)."""
        x = self.input
        for i in range(2 * self.levels):
            if i >= self.levels:
                x = F.interpolate(x, size=self.sizes[2 * self.levels - 1 - i], mode="bilinear", align_corners=False)
            stride = 2 if i < self.levels else 1
            x = F.pad(x, (1, 1, 1, 1), mode="reflect")
            x = F.conv2d(x, self.weights[i].flatten(0, 1), stride=stride, groups=len(self.seeds))
            x = F.relu(self.normalize(x, i))
        image = F.conv2d(x, self.weights[-1].flatten(0, 1), groups=len(self.seeds))
        return torch.sigmoid(image.view(len(self.seeds), self.out_channels, *self.shape))
