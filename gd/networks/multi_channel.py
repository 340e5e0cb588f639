"""Two-layer convolutional networks with several channels and narrow kernels, linear and ReLU.

One hidden layer of C channels, each a circular correlation of all R input channels with a kernel of its own, and one
linear output layer over all C·D values. The linear network's predictors cost R_{K,C} (`solvers.ConvKernel`): more
channels than the theory asks for change nothing, narrower kernels change everything. `MultiChannelReLU` has the same
weights and a rectifier in between; it is homogeneous of the same degree and no induced regularizer of it is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gd.flow.multi_channel_map import MultiChannelMap
from gd.networks.linear_network import (
    Initialization,
    LinearNetwork,
    check_architecture,
    gaussian,
    initial_weights,
    signal,
    spectrum,
)
from solvers.regularizers.conv_kernel import ConvKernel


class TwoLayers(nn.Module):
    """The weights that `MultiChannelCNN` and `MultiChannelReLU` have in common, and how they are drawn."""

    def __init__(
        self,
        shape: int | tuple[int, ...],
        kernel_size: int | tuple[int, ...],
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        scale: float = 0.1,
        seed: int = 0,
        initialization: Initialization = "gaussian",
    ) -> None:
        nn.Module.__init__(self)
        grid, kernel = _grid_and_kernel(type(self).__name__, shape, kernel_size)
        channels = {"in_channels": in_channels, "out_channels": out_channels}
        check_architecture(type(self).__name__, channels, 2, scale, initialization)
        sizes = [(out_channels, in_channels, *kernel), (out_channels, *grid)]

        def balanced(generator: torch.Generator) -> list[Tensor]:
            columns = [math.prod(size[1:]) for size in sizes]
            rank = min(out_channels, *columns)
            drawn = gaussian([(rows, rank) for rows in (out_channels, *columns)], 1.0, generator)
            mix, *frames = (torch.linalg.qr(frame)[0] for frame in drawn)
            return [scale * (mix @ frame.T).reshape(size) for frame, size in zip(frames, sizes, strict=True)]

        weights = initial_weights(sizes, scale, seed, initialization, balanced)
        self.weights, self.depth = nn.ParameterList([nn.Parameter(w) for w in weights]), 2
        self.grid, self.kernel = grid, kernel
        self.in_channels, self.out_channels = in_channels, out_channels
        self.shape = grid if in_channels == 1 else (in_channels, *grid)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, kernel={self.kernel}, channels={self.in_channels}→{self.out_channels}"


class MultiChannelCNN(TwoLayers, LinearNetwork):
    """A two-layer linear CNN with R input and C output channels and circular kernels of size K,

        f(x) = Σ_c ⟨v_c, Σ_r x_r ⋆ u_{c,r}⟩,      (h ⋆ u)[d] = D^{−1/2} Σ_k u[k] h[(d + k) mod D],

    in 2-D over both axes, D = H·W. In the unitary DFT β̂_r = Σ_c û_{c,r} ⊙ v̂_c, with representation cost

        min ‖w‖² = min ‖U‖² + ‖V‖² = R_{K,C}(β)      (the value of `ConvKernel` itself, not its square or double).

    Parameters: `weights.0` = U, shape (C, R, K) or (C, R, K_H, K_W); `weights.1` = V, shape (C, D) or (C, H, W).

    Args:
        shape: D, or (H, W), of one input channel. x has shape (D,) or (H, W), with R in front for R > 1.
        kernel_size: K ≤ D, or (K_H, K_W); an int means both axes.
        in_channels: R.
        out_channels: C.
        scale: standard deviation of the weights ("balanced": their common singular value).
        seed: of the initial weights.
        initialization: "gaussian", "unbiased" (V = 0), or "balanced": U Uᵀ = V Vᵀ (C × C), which gradient flow
            conserves; min(C, K·R, D) singular values, all equal to `scale`, along random directions.

    Raises:
        ValueError: a size is not a positive integer or the kernel is wider than the input.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), *Inductive bias of multi-channel linear convolutional
    networks with bounded weight norm*.

    >>> network = MultiChannelCNN((6, 6), 3, 1, 2, seed=0)
    >>> network.regularizer
    ConvKernel(kernel_size=(3, 3), in_channels=1, out_channels=2)
    >>> network(torch.ones(5, 6, 6, dtype=torch.float64)).shape, network.predictor.shape
    (torch.Size([5]), (6, 6))
    """

    def P(self, weights: Sequence[Tensor]) -> Tensor:
        U, V = weights
        outer = spectrum(V, self.grid).unsqueeze(-len(self.grid) - 1)
        beta = signal((spectrum(U, self.grid) * outer).sum(-len(self.grid) - 2), self.grid)
        return beta.squeeze(-len(self.grid) - 1) if self.in_channels == 1 else beta

    def margin_map(self, X: Tensor, y: Tensor) -> MultiChannelMap:
        return MultiChannelMap(self.grid, self.kernel, (self.in_channels, self.out_channels), self.regularizer, X, y)

    @property
    def regularizer(self) -> ConvKernel:
        kernel = self.kernel[0] if len(self.kernel) == 1 else self.kernel
        return ConvKernel(kernel, self.in_channels, self.out_channels)


def _grid_and_kernel(name: str, shape: Any, kernel_size: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    grid = shape if isinstance(shape, tuple) else (shape,)
    kernel = kernel_size if isinstance(kernel_size, tuple) else (kernel_size,) * len(grid)
    check_architecture(name, {"shape": shape, "kernel_size": kernel_size}, 2, 1.0, "gaussian")
    if not 1 <= len(grid) <= 2 or len(kernel) != len(grid) or any(k > d for k, d in zip(kernel, grid, strict=True)):
        raise ValueError(
            f"{name}: shape must be D or (H, W) and kernel_size one size from 1 to D per axis of it, "
            f"got shape={shape!r}, kernel_size={kernel_size!r}"
        )
    return tuple(int(d) for d in grid), tuple(int(k) for k in kernel)


class MultiChannelReLU(TwoLayers):
    """The same network with a rectifier between its layers,

        f(x) = Σ_c ⟨v_c, max(0, Σ_r x_r ⋆ u_{c,r})⟩,

    homogeneous of degree 2. The parameters are those of `MultiChannelCNN`; `regularizer` is None, none being known, and
    it is not a linear predictor, so `predictor` is None too.

    Args:
        shape: D, or (H, W), of one input channel.
        kernel_size: K ≤ D, or (K_H, K_W); an int means both axes.
        in_channels: R.
        out_channels: C.
        scale: standard deviation of the weights.
        seed: of the initial weights.
        initialization: "gaussian", "unbiased" or "balanced", as for `MultiChannelCNN`.

    Reference: Lyu, Li (2020), for homogeneous networks.

    >>> network = MultiChannelReLU(8, 3, 2, 4, seed=0)
    >>> network(torch.ones(5, 2, 8, dtype=torch.float64)).shape
    torch.Size([5])
    """

    degree = 2
    """The degree of homogeneity: f(x; c·w) = c² f(x; w) for c > 0."""
    regularizer = None
    """No induced regularizer is known."""
    predictor = None
    """The function is not linear in x."""

    def hidden(self, X: Tensor) -> Tensor:
        """Σ_r x_r ⋆ u_{c,r} before the rectifier, shape (N, C, *grid)."""
        inputs = spectrum(X.reshape(-1, 1, self.in_channels, *self.grid), self.grid)
        return signal((inputs * spectrum(self.weights[0], self.grid).conj()).sum(2), self.grid)

    def forward(self, X: Tensor) -> Tensor:
        """f(x_n), shape (N,)."""
        values: Tensor = (torch.relu(self.hidden(X)) * self.weights[1]).flatten(1).sum(1)
        return values
