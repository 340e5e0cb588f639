"""Convolutional linear networks with one channel, 1-D and 2-D: full or narrow kernels, circular or zero padded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.margin_map import MarginMap
from gd.flow.multi_channel_map import MultiChannelMap
from gd.flow.product_map import ProductMap
from gd.networks.linear_network import (
    Initialization,
    LinearNetwork,
    check_architecture,
    copies,
    gaussian,
    initial_weights,
    signal,
    spectrum,
    tied_at_smallest,
)
from gd.targets import ClassTargets, Targets
from solvers.regularizers import L2, FourierBridge, Regularizer
from solvers.regularizers.conv_kernel import ConvKernel


class Convolutional(LinearNetwork):
    """A convolutional linear network with one channel: L−1 convolutions and a linear layer w_L over all D values,

        h_0 = x,   h_l = h_{l−1} ⋆ w_l (l < L),   f(x) = ⟨h_{L−1}, w_L⟩,
        (h ⋆ w)[d] = D^{−1/2} Σ_k w[k] h[(d + k) mod D],    in 2-D over both axes, D = H·W.

    ⋆ is a correlation and carries 1/√D, so with the unitary DFT the full-width network computes exactly

        β̂ = ŵ_1 ⊙ ŵ_2 ⊙ ⋯ ⊙ ŵ_L        (no conjugates, no powers of D),

    with representation cost min ‖w‖² = L‖β̂‖_{2/L}^{2/L}.

    Narrow kernels (`kernel` < D): w_1 … w_{L−1} are supported on the first `kernel` offsets, w_L stays full. With zero
    padding h is continued by zeros instead of periodically, and offsets are centred as usual for "same" padding:
    h[d + k − ⌊(kernel − 1)/2⌋]. A circular network needs no centring, it would only shift the weights.
    `regularizer` is then None, no closed form being known, except for narrow kernels in a circular network of depth 2
    (`ConvKernel` of one output channel; for images it is no norm) and for kernel 1, which is a scalar times β:
    L D^{(L−1)/L}‖β‖₂^{2/L}, with the minimizers of L2. With one narrow kernel the flow need not end at the optimum of
    R_{K,1}: there are strict local minima above it, at which some runs end; of `MultiChannelCNN` with two channels, of
    the same R, none did.

    Args:
        shape: D, or (H, W).
        depth: L ≥ 1.
        kernel: K ≤ D, or (K_H, K_W) in 2-D (an int means both); full width unless given.
        padding: "circular" or "zero".
        outputs: M networks side by side that share no weights, every layer with M in front of its shape: one for each
            class. β has shape (D,) or (H, W) for M = 1, else (M, D) or (M, H, W). Full-width circular networks only.
        scale: standard deviation of the weights.
        seed: of the initial weights.
        initialization: "gaussian", "unbiased", or, for the full-width circular network only, "balanced":
            |ŵ_1| = … = |ŵ_L| per frequency, the layers being signed circular shifts of one another.

    Raises:
        ValueError: a size is not a positive integer, a kernel is wider than the input, or "balanced" is asked of a
            network whose layers have no frequency-wise conserved differences.

    Reference: Gunasekar et al. (2018), Lemmas 3 and 7, Theorems 2 and 2a. Without 1/√D, as their eq. (2) is printed,
    β̂ = D^{(L−1)/2} ŵ_1 ⊙ ⋯ ⊙ ŵ_L: same directions, other values.

    >>> network = Convolutional((4, 6), 3, scale=0.1, seed=0)
    >>> network.regularizer
    FourierBridge(p=0.6666666666666666)
    >>> product = np.prod([np.fft.fftn(w.detach(), norm="ortho") for w in network.weights], axis=0)
    >>> bool(np.abs(np.fft.fftn(network.predictor, norm="ortho") - product).max() < 1e-15)
    True
    """

    coefficient_name = "frequencies"

    def __init__(
        self,
        shape: int | tuple[int, int],
        depth: int,
        *,
        kernel: int | tuple[int, int] | None = None,
        padding: Literal["circular", "zero"] = "circular",
        outputs: int = 1,
        scale: float = 0.1,
        seed: int = 0,
        initialization: Initialization = "gaussian",
    ) -> None:
        size = shape if isinstance(shape, tuple) else (shape,)
        given = {"shape": shape, "depth": depth, "outputs": outputs}
        check_architecture("Convolutional", given, depth, scale, initialization)
        if len(size) > 2:
            raise ValueError(f"Convolutional: inputs are signals D or images (H, W), got shape {size}")
        if padding not in ("circular", "zero"):
            raise ValueError(f"Convolutional: padding must be 'circular' or 'zero', got {padding!r}")
        window = size if kernel is None else kernel if isinstance(kernel, tuple) else (kernel,) * len(size)
        if len(window) != len(size) or any(not 1 <= k <= d for k, d in zip(window, size, strict=True)):
            raise ValueError(f"Convolutional: kernel {kernel!r} must have one size from 1 to D per axis of {size}")
        if outputs > 1 and depth > 1 and (window != size or padding != "circular"):
            raise ValueError(
                "Convolutional: several outputs are full-width circular networks side by side; narrow kernels and zero "
                "padding have one output"
            )
        sizes = [copies(window, outputs)] * (depth - 1) + [copies(size, outputs)]
        if initialization == "balanced" and (window != size or padding != "circular"):
            raise ValueError(
                "Convolutional: initialization='balanced' is defined per frequency and needs the full-width "
                "circular network; use 'gaussian' or 'unbiased' for narrow kernels and zero padding"
            )

        def balanced(generator: torch.Generator) -> list[Tensor]:
            first = gaussian(sizes, scale, generator)[0]
            return [_signed_shift(first, generator, len(size)) for _ in sizes]

        super().__init__(initial_weights(sizes, scale, seed, initialization, balanced))
        self.shape = size
        self.outputs = outputs
        self.kernel = window
        self.padding = padding

    @property
    def full_width(self) -> bool:
        """Whether the network is the circular one with kernels as wide as the input (depth 1 always is)."""
        return self.depth == 1 or (self.padding == "circular" and self.kernel == self.shape)

    def P(self, weights: Sequence[Tensor]) -> Tensor:
        if self.depth == 1:
            return weights[0]
        if self.padding == "zero":
            return self._zero_padded(weights)
        return signal(reduce(torch.mul, [spectrum(w, self.shape) for w in reversed(weights)]), self.shape)

    def _zero_padded(self, weights: Sequence[Tensor]) -> Tensor:
        """Adjoint of x ↦ f(x): from w_L back, β[p] = D^{−1/2} Σ_k w_l[k] v[p − k + offset], v zero outside."""
        axes = tuple(range(-len(self.shape), 0))
        long = [d + k - 1 for d, k in zip(self.shape, self.kernel, strict=True)]
        window = [slice((k - 1) // 2, (k - 1) // 2 + d) for d, k in zip(self.shape, self.kernel, strict=True)]
        beta = weights[-1]
        for layer in reversed(weights[:-1]):
            product = torch.fft.rfftn(beta, s=long, dim=axes) * torch.fft.rfftn(layer, s=long, dim=axes)
            linear = torch.fft.irfftn(product, s=long, dim=axes)
            beta = linear[(..., *window)] / math.sqrt(math.prod(self.shape))
        return beta

    def margin_map(self, X: Tensor, y: Tensor) -> MarginMap | None:
        R = self.kernel_norm
        if R is not None:
            return MultiChannelMap(self.shape, self.kernel, (1, 1), R, X, y, [self.kernel, self.shape])
        return self._product_map(X, Targets(y))

    def class_margin_map(self, X: Tensor, targets: ClassTargets) -> ProductMap | None:
        return self._product_map(X, targets)

    def _product_map(self, X: Tensor, targets: Targets) -> ProductMap | None:
        R = self.regularizer
        if not self.full_width or R is None:
            return None
        spectral, samples, rows = self.depth > 1, (X, targets), targets.rows(X)
        return ProductMap(self.shape, self.depth, R, rows, fourier=spectral, outputs=self.outputs, samples=samples)

    def operator_norms(self, weights: Sequence[Tensor]) -> Tensor:
        """‖ŵ_l‖_∞ of circular layers; with zero padding Young's inequality, D^{−1/2}‖w_l‖₁, and ‖w_L‖₂."""
        if self.depth > 1 and self.padding == "zero":
            scale = math.prod(self.shape) ** -0.5
            norms = [scale * torch.linalg.vector_norm(w.flatten(1), ord=1, dim=1) for w in weights[:-1]]
            return torch.stack([*norms, torch.linalg.vector_norm(weights[-1].flatten(1), dim=1)], dim=1)
        return torch.stack([spectrum(w, self.shape).abs().flatten(1).amax(dim=1) for w in weights], dim=1)

    @property
    def regularizer(self) -> Regularizer | None:
        if self.depth == 1 or all(k == 1 for k in self.kernel):
            return L2()
        if self.full_width:
            return FourierBridge(2.0 / self.depth, rows=self.outputs > 1)
        return self.kernel_norm

    @property
    def kernel_norm(self) -> ConvKernel | None:
        """R_{K,1} of a circular network of depth 2 with narrow kernels of more than one tap; None for any other."""
        narrow = not self.full_width and any(k > 1 for k in self.kernel)
        if not narrow or self.padding != "circular" or self.depth != 2:
            return None
        return ConvKernel(self.kernel[0] if len(self.shape) == 1 else self.kernel, out_channels=1)

    @property
    def theorem(self) -> str:
        number = "2" if self.depth <= 2 else "2a"
        return f"Gunasekar et al. (2018), Theorem {number} and Lemma 7" if self.full_width else ""

    @property
    def locked_signs(self) -> NDArray[np.bool_]:
        """Real frequencies (0 and D/2 per axis) whose smallest |ŵ_l| is attained by two layers or more.

        A complex coefficient turns its phase without passing through zero, so it is never locked.
        """
        if not self.full_width:
            return np.zeros(self.shape, dtype=bool)
        axes = tuple(range(-len(self.shape), 0))
        spectra = np.stack([np.fft.fftn(w.detach().cpu().numpy(), axes=axes, norm="ortho") for w in self.weights])
        own_conjugate = [(2 * np.arange(d)) % d == 0 for d in self.shape]
        return np.asarray(tied_at_smallest(np.abs(spectra)) & reduce(np.logical_and.outer, own_conjugate))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, kernel={self.kernel}, padding={self.padding!r}"


def _signed_shift(w: Tensor, generator: torch.Generator, n_axes: int) -> Tensor:
    axes = tuple(range(-n_axes, 0))
    shifts = tuple(int(torch.randint(w.shape[axis], (), generator=generator)) for axis in axes)
    sign = 1.0 if torch.rand((), generator=generator) < 0.5 else -1.0
    return sign * torch.roll(w, shifts, axes)
