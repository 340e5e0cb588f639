"""Untrained convolutional generators: an image as a function of weights alone, with a fixed random input.

A generator of depth d maps a fixed random tensor B₀ to an image through

    B_{i+1} = norm(ReLU(U_i B_i C_i)),  i = 0 … d−1,      G(C) = out(B_d C_d),

with U_i fixed or absent, C_i learned, `norm` the channel normalization and `out` the identity or a sigmoid. What U_i
is, and how far C_i reaches in space, makes the paper's four kinds:

    kind             U_i                                 C_i                       sizes
    "bilinear"       bilinear upsampling ×2              1×1 convolution           doubling, d − 1 times
    "fixed"          4×4 kernel [1 3 3 1]⊗[1 3 3 1]/16   1×1 convolution           all equal to the output's
    "learned"        none                                4×4 convolution           all equal to the output's
    "deconvolution"  none                                4×4 transposed, stride 2  doubling, d times

("bilinear" is the deep decoder.) In one dimension: linear upsampling, [1 3 3 1]/4, and kernels of length 4.
Upsampling targets the exact size of the next layer (halved and rounded up from the output's), so odd and non-square
shapes work; a transposed convolution that overshoots an odd size is cropped by one.

**The border of the 4×4 kernels.** An even kernel needs one pixel more before than after. As in the authors' code for
the fixed kernel (its learned ones are 3×3, and have no such border), one pixel is reflected before the first, and then
one zero is put on every side. Reflection alone would not do for "fixed":
with x₂ x₁ | x₀ x₁ … the first two outputs of [1 3 3 1] are both 3x₀ + 4x₁ + x₂, so the first two rows, and columns, of
every image would be the same, whatever the weights, and neither noise nor a sharp image could be fitted there.

**Many networks at once.** One module holds one independent network per seed, in a leading axis of every weight; its
output is (seeds, channels, *shape). The layers of all networks run as one grouped convolution or one batched product.

**What reproduces what.** The text of Heckel & Soltanolkotabi (2020) has the normalization before the ReLU, a linear
output and plain gradient descent: `ConvGenerator(…, normalization="before_relu", output="linear")` with
`descend(…, optimizer="gd")`. The figure that was published was made by code with the normalization after the ReLU, a
sigmoid output and momentum 0.9: these are the defaults here. That code's learned convolutions are 3×3; its depths are
in `PUBLISHED_DEPTH`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal, Self, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from gd.data import check_choice
from gd.images.generator import ConvolutionalGenerator

Kind = Literal["bilinear", "fixed", "learned", "deconvolution"]
Normalization = Literal["after_relu", "before_relu", "none"]
Output = Literal["sigmoid", "linear"]

PUBLISHED_DEPTH: dict[Kind, int] = {"bilinear": 5, "fixed": 4, "learned": 5, "deconvolution": 3}
"""The number of hidden layers of each kind in the published figure."""
_WIDTH = 4  # of the fixed, learned and transposed kernels


class ConvGenerator(ConvolutionalGenerator):
    """An untrained convolutional generator G(C) of an image or a signal, one independent network per seed.

    Args:
        kind: "bilinear", "fixed", "learned" or "deconvolution"; see the module's table.
        channels: k ≥ 1, the number of channels of every hidden layer.
        depth: d ≥ 1, the number of hidden layers.
        out_channels: channels of the image (1 grey, 3 colour).
        output_shape: (H, W), or (n,) for a signal; any sizes, except that "fixed" and "learned" need sizes ≥ 2 (they
            reflect a pixel at the border).
        seeds: one network for each; a seed fixes its input, uniform on [0, 0.1], and its start, uniform on
            ±1/√fan_in.
        normalization: each channel is centred, divided by √(variance + eps) over its pixels, scaled by a learned γ
            and shifted by a learned β: after the ReLU, before it, or not at all.
        output: "sigmoid" (values in (0, 1)) or "linear".
        eps: ε of the normalization, in squared units of activations.
        dtype: of weights and output.

    The output has shape (seeds, out_channels, *output_shape).

    Raises:
        ValueError: an unknown kind, sizes or counts below 1, or a shape of more than two axes; the argument is named.
            So is a depth at which a normalized layer has a single pixel.

    Reference: Heckel & Hand (2019), "Deep decoder"; Heckel & Soltanolkotabi (2020), Section 2, architectures i–iv.

    >>> net = ConvGenerator("bilinear", channels=8, depth=3, out_channels=1, output_shape=(9, 14), seeds=(0, 1))
    >>> tuple(net().shape)
    (2, 1, 9, 14)
    >>> net.parameters_per_network, round(net.overparameterization, 3)
    (248, 1.968)
    """

    stencil: Tensor

    def __init__(
        self,
        kind: Kind,
        channels: int,
        depth: int,
        out_channels: int,
        output_shape: Sequence[int],
        *,
        seeds: Sequence[int] = (0,),
        normalization: Normalization = "after_relu",
        output: Output = "sigmoid",
        eps: float = 1e-5,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.shape = tuple(int(s) for s in output_shape)
        _check(kind, channels, depth, out_channels, self.shape, seeds, normalization, output)
        self.kind, self.channels, self.depth, self.out_channels = kind, channels, depth, out_channels
        self.normalization, self.output, self.eps = normalization, output, eps
        self.sizes = layer_sizes(kind, depth, self.shape)
        single = sum(math.prod(sizes) == 1 for sizes in self.sizes[1:])
        if single and normalization != "none":
            raise ValueError(
                f"{depth} layers that halve {self.shape} leave {single} of one pixel, which the normalization makes "
                f"constant; take a depth of at most {depth - single}, a larger output, or normalization 'none'"
            )
        dimensions = len(self.shape)
        spatial = {"bilinear": 1, "fixed": 1}.get(kind, _WIDTH)
        hidden = (channels, channels) + (spatial,) * dimensions
        shapes = [hidden] * depth + [(out_channels, channels) + (1,) * dimensions]
        affine = depth if normalization != "none" else 0
        self.draw(seeds, (channels, *self.sizes[0]), shapes, affine, dtype)
        if kind == "fixed":
            line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=dtype) / 4
            stencil = line if dimensions == 1 else torch.outer(line, line)
            self.register_buffer("stencil", stencil.expand(len(seeds) * channels, 1, *stencil.shape).contiguous())

    @classmethod
    def with_overparameterization(
        cls,
        kind: Kind,
        factor: float,
        *,
        depth: int,
        out_channels: int,
        output_shape: Sequence[int],
        max_channels: int | None = None,
        seeds: Sequence[int] = (0,),
        normalization: Normalization = "after_relu",
        output: Output = "sigmoid",
        eps: float = 1e-5,
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """The generator with the fewest channels whose overparameterization is at least `factor`.

        Rounding is up, so the factor reached is ≥ the one asked for; read it from `overparameterization`.

        Raises ValueError unless factor > 0, and when more than `max_channels` channels would be needed.

        >>> make = ConvGenerator.with_overparameterization
        >>> net = make("bilinear", 4, depth=5, out_channels=1, output_shape=(64, 64))
        >>> net.channels, round(net.overparameterization, 3)
        (57, 4.119)
        """
        normalized = normalization != "none"
        channels = channels_for(kind, factor, depth, out_channels, output_shape, normalized, max_channels)
        return cls(
            kind,
            channels,
            depth,
            out_channels,
            output_shape,
            seeds=seeds,
            normalization=normalization,
            output=output,
            eps=eps,
            dtype=dtype,
        )

    @property
    def parameters_per_network(self) -> int:
        """Trainable numbers of one network: Σ‖C_i‖₀ and the γ, β of the normalization."""
        return sum(p.numel() for p in self.parameters()) // len(self.seeds)

    @property
    def overparameterization(self) -> float:
        """Trainable parameters of one network divided by the numbers in its output."""
        return self.parameters_per_network / (self.out_channels * math.prod(self.shape))

    def forward(self) -> Tensor:
        """G(C), shape (seeds, out_channels, *output_shape)."""
        x = self.input
        for i in range(self.depth):
            x = self._linear(x, self.weights[i], i)
            if self.normalization == "before_relu":
                x = F.relu(self.normalize(x, i, self.eps))
            elif self.normalization == "after_relu":
                x = self.normalize(F.relu(x), i, self.eps)
            else:
                x = F.relu(x)
        image = self._mix(x, self.weights[-1])
        image = image.view(len(self.seeds), self.out_channels, *self.shape)
        return torch.sigmoid(image) if self.output == "sigmoid" else image

    def _linear(self, x: Tensor, weight: Tensor, i: int) -> Tensor:
        """U_i B_i C_i. Fixed and 1×1 convolutions commute, so the 1×1 runs where there are fewer pixels."""
        if self.kind == "bilinear":
            x = self._mix(x, weight)
            if self.sizes[i + 1] == self.sizes[i] or i == self.depth - 1:
                return x
            mode = "linear" if len(self.shape) == 1 else "bilinear"
            return F.interpolate(x, size=self.sizes[i + 1], mode=mode, align_corners=False)
        if self.kind == "deconvolution":
            transposed = F.conv_transpose1d if len(self.shape) == 1 else F.conv_transpose2d
            x = transposed(x, weight.flatten(0, 1), stride=2, padding=1, groups=len(self.seeds))
            cropped: Tensor = x[(..., *(slice(s) for s in self.sizes[i + 1]))]  # type: ignore[index]
            return cropped
        convolve = F.conv1d if len(self.shape) == 1 else F.conv2d
        x = F.pad(x, (1, 0) * len(self.shape), mode="reflect")  # and one zero around: see the module
        if self.kind == "fixed":
            return self._mix(convolve(x, self.stencil, padding=1, groups=x.shape[1]), weight)
        return convolve(x, weight.flatten(0, 1), padding=1, groups=len(self.seeds))

    def _mix(self, x: Tensor, weight: Tensor) -> Tensor:
        """B C, the 1×1 convolution: torch's for one network, else a batched product, which is faster than groups."""
        seeds, out, channels = weight.shape[:3]
        if seeds == 1:
            return (F.conv1d if len(self.shape) == 1 else F.conv2d)(x, weight[0])
        pixels = x.shape[2:]
        return torch.matmul(weight.view(seeds, out, channels), x.view(seeds, channels, -1)).view(1, -1, *pixels)

    def extra_repr(self) -> str:
        return (
            f"{self.kind}, channels={self.channels}, depth={self.depth}, output={self.out_channels}×{self.shape}, "
            f"seeds={len(self.seeds)}, overparameterization={self.overparameterization:.3g}"
        )


def layer_sizes(kind: Kind, depth: int, output_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The spatial sizes of B_0 … B_d: halved, rounding up, from the output's for the kinds that upsample.

    >>> layer_sizes("bilinear", 3, (9, 14))
    [(3, 4), (5, 7), (9, 14), (9, 14)]
    """
    if kind in ("fixed", "learned"):
        return [output_shape] * (depth + 1)
    sizes = [output_shape]
    for _ in range(depth - 1 if kind == "bilinear" else depth):
        sizes.insert(0, tuple(-(-s // 2) for s in sizes[0]))
    return [*sizes, output_shape] if kind == "bilinear" else sizes


def parameter_count(kind: Kind, channels: int, depth: int, out_channels: int, dimensions: int, normalized: bool) -> int:
    """The trainable numbers of one network: d k² K + k c + 2 d k [if normalized], K = 1, or 4^dimensions."""
    taps = 1 if kind in ("bilinear", "fixed") else _WIDTH**dimensions
    return depth * channels**2 * taps + channels * out_channels + (2 * depth * channels if normalized else 0)


def channels_for(
    kind: Kind,
    factor: float,
    depth: int,
    out_channels: int,
    output_shape: Sequence[int],
    normalized: bool = True,
    max_channels: int | None = None,
) -> int:
    """The smallest k with parameters(k) ≥ factor · (numbers in the output).

    Raises:
        ValueError: unless factor > 0, and when k would exceed `max_channels`.

    >>> channels_for("fixed", 1.0, depth=4, out_channels=3, output_shape=(32, 32))
    27
    """
    _check(kind, 1, depth, out_channels, tuple(output_shape), (0,), "none", "linear")
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"the overparameterization must be a positive number, got {factor!r}")
    wanted = factor * out_channels * math.prod(output_shape)

    def count(k: int) -> int:
        return parameter_count(kind, k, depth, out_channels, len(output_shape), normalized)

    # k² parameters and more, so √wanted channels are enough
    high = 1 + bisect_left(range(1, math.ceil(math.sqrt(wanted)) + 1), wanted, key=count)
    if max_channels is not None and high > max_channels:
        reached = count(max_channels) / (out_channels * math.prod(output_shape))
        raise ValueError(
            f"{max_channels} channels reach an overparameterization of only {reached:.3g}, less than the "
            f"{factor:g} asked for; {high} channels are needed"
        )
    return high


def _check(
    kind: str,
    channels: int,
    depth: int,
    out_channels: int,
    shape: tuple[int, ...],
    seeds: Sequence[int],
    normalization: str,
    output: str,
) -> None:
    """Raise ValueError naming the first argument that has no meaning."""
    check_choice("kind", kind, get_args(Kind))
    check_choice("output", output, get_args(Output))
    check_choice("normalization", normalization, get_args(Normalization))
    for name, count in (("channels", channels), ("depth", depth), ("out_channels", out_channels)):
        if int(count) != count or count < 1:
            raise ValueError(f"{name} must be a whole number ≥ 1, got {count!r}")
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise ValueError(f"output_shape must be (n,) or (H, W) with sizes ≥ 1, got {shape}")
    if kind in ("fixed", "learned") and min(shape) < 2:
        raise ValueError(f"kind {kind!r} reflects a pixel at the border, so it needs sizes ≥ 2, got {shape}")
    if len(seeds) < 1:
        raise ValueError("seeds is empty: give at least one, for example seeds=(0,)")
