"""Two-layer generators, small enough for a theory: the one the spectral filter predicts, and the 1-D toy.

    TwoLayerGenerator    G(C) = ReLU(U C) v                     U circulant, v = ±1/√k fixed, C trained
    ToyGenerator         G(C₁, c₂) = ReLU(T(u) U B₁ C₁) c₂      U upsampling, T(u) Toeplitz, B₁ random; C₁, c₂ trained

Like `ConvGenerator`, one module holds one independent network per seed, in a leading axis of its weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.data import check_choice
from gd.images.generator import Generator

InputLaw = Literal["normal", "uniform"]
"""How the fixed input of a toy model is drawn."""
_DENSE_LENGTH = 512
"""Up to this length a product with the circulant matrix beats an FFT on every machine tried."""


def _kernel_array(kernel: ArrayLike, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The interpolation kernel, checked against the signal's shape."""
    u = np.asarray(kernel, dtype=np.float64)
    if u.shape != shape or not np.isfinite(u).all() or not u.any():
        raise ValueError(
            f"the kernel must be a finite, nonzero array of shape {shape} (that of the output), "
            f"got shape {u.shape} with {int((~np.isfinite(u)).sum())} NaN or infinite entries; "
            "solvers.gaussian_kernel and solvers.triangle_kernel make such kernels"
        )
    return u


class TwoLayerGenerator(Generator):
    """The two-layer convolutional generator G(C) = ReLU(U C) v = Σ_c v_c ReLU(u ⊛ C_c).

    Args:
        n: length of the signal, or (H, W).
        k: number of channels ≥ 2 (even when `antisymmetric`).
        kernel: u, the interpolation kernel, an array of the output's shape; U is circular convolution with u.
        seeds: one network for each.
        antisymmetric: channels come in pairs with equal C and opposite v, so that G(C⁰) = 0 (to rounding), which
            the spectral filter assumes; otherwise signs of v are random and G(C⁰) is of the order ‖u‖₂.
        scale: standard deviation of the entries of C⁰. Larger: closer to the linearized model (fewer sign changes on
            the way), with the same dual kernel.
        dtype: of weights and output.

    v = ±1/√k, so ‖v‖₂ = 1 and E[J Jᵀ] = `solvers.dual_kernel(u)`. Weights are stored as (seeds, k, *n).
    The output has shape (seeds, *n).

    Raises:
        ValueError: the kernel's shape is not the output's, and for k below 2 or odd with `antisymmetric`.

    Reference: Heckel & Soltanolkotabi (2020), Section 3.

    >>> import numpy as np
    >>> net = TwoLayerGenerator(8, k=6, kernel=np.eye(1, 8).ravel(), seeds=(0, 1))
    >>> tuple(net().shape), bool((net().abs() < 1e-14).all())
    ((2, 8), True)
    """

    U: Tensor
    v: Tensor

    def __init__(
        self,
        n: int | Sequence[int],
        k: int,
        kernel: ArrayLike,
        *,
        seeds: Sequence[int] = (0,),
        antisymmetric: bool = True,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.shape = (int(n),) if isinstance(n, int | np.integer) else tuple(int(s) for s in n)
        u = _kernel_array(kernel, self.shape)
        if int(k) != k or k < 2 or (antisymmetric and k % 2):
            raise ValueError(f"k must be {'an even' if antisymmetric else 'a'} whole number ≥ 2, got {k!r}")
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"the scale of the start must be a positive number, got {scale!r}")
        if not seeds:
            raise ValueError("seeds is empty: give at least one, for example seeds=(0,)")
        self.k, self.seeds = int(k), tuple(seeds)
        start, signs, copies = [], [], 2 if antisymmetric else 1
        for seed in self.seeds:
            rng = np.random.default_rng(seed)
            start.append(np.concatenate([rng.standard_normal((k // copies, *self.shape))] * copies))
            signs.append(np.repeat([1.0, -1.0], k // 2) if antisymmetric else rng.choice([1.0, -1.0], size=k))
        self.C = nn.Parameter(torch.as_tensor(scale * np.stack(start)).to(dtype))
        self.register_buffer("v", torch.as_tensor(np.stack(signs) / math.sqrt(k)).to(dtype))
        self._dense = len(self.shape) == 1 and self.shape[0] <= _DENSE_LENGTH
        if self._dense:  # (U C)[i] = Σ_j u[i − j] C[j]; stored transposed, for C on its left
            transposed = np.stack([np.roll(u, j) for j in range(u.size)])
            self.register_buffer("U", torch.as_tensor(transposed).to(dtype))
        else:
            # real and imaginary parts side by side: Module.to(float32) would drop the latter from a complex buffer
            self.register_buffer("U", torch.view_as_real(torch.fft.rfftn(torch.as_tensor(u))).to(dtype))

    @property
    def coefficients(self) -> list[Tensor]:
        """[C], (seeds, k, *n): the trained weights."""
        return [self.C]

    def forward(self) -> Tensor:
        """G(C), shape (seeds, *n)."""
        if self._dense:
            hidden = torch.relu(self.C @ self.U)
            return torch.matmul(self.v.unsqueeze(1), hidden).squeeze(1)
        axes = tuple(range(-len(self.shape), 0))
        spectrum = torch.fft.rfftn(self.C, dim=axes) * torch.view_as_complex(self.U)
        hidden = torch.relu(torch.fft.irfftn(spectrum, s=self.shape, dim=axes)).flatten(2)
        return torch.matmul(self.v.unsqueeze(1), hidden).view(len(self.seeds), *self.shape)


class ToyGenerator(Generator):
    """The toy 1-D model G(C₁, c₂) = ReLU(T(u) U B₁ C₁) c₂: one upsampling, one interpolation, two trained layers.

    Args:
        n: length of the signal.
        k: number of channels ≥ 1.
        kernel: u[−r … r], an odd number of taps; T(u) is the n × n Toeplitz matrix of u (zeros beyond the ends).
            [½, 1, ½] after zero insertion is linear interpolation.
        seeds: one network for each.
        inputs: the law of B₁'s independent entries: N(0, 1), or uniform on [0, 1].
        upsampling: s, by which U multiplies the length; n must be a multiple of it.
        dtype: of weights and output.

    B₁ (n/s × k) is fixed; U inserts s − 1 zeros after every entry; C₁ (k × k) and c₂ (k,) are trained from N(0, 1/k)
    starts. The output has shape (seeds, n).

    Raises:
        ValueError: n no multiple of s, k < 1, a kernel with an even number of taps or with NaN, or another law.

    Reference: Heckel & Soltanolkotabi (2020), the one-dimensional example of Section 3.

    >>> tuple(ToyGenerator(16, k=4, kernel=[0.5, 1.0, 0.5])().shape)
    (1, 16)
    """

    features: Tensor

    def __init__(
        self,
        n: int,
        k: int,
        kernel: ArrayLike = (0.5, 1.0, 0.5),
        *,
        seeds: Sequence[int] = (0,),
        inputs: InputLaw = "normal",
        upsampling: int = 2,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        u = np.asarray(kernel, dtype=np.float64)
        check_choice("inputs", inputs, get_args(InputLaw))
        if upsampling < 1 or n < upsampling or n % upsampling or k < 1:
            raise ValueError(
                f"n must be a multiple of upsampling ≥ 1, and k ≥ 1; got n={n!r}, upsampling={upsampling!r}, k={k!r}"
            )
        if u.ndim != 1 or u.size % 2 == 0 or not np.isfinite(u).all():
            raise ValueError(f"the kernel must be an odd number of finite taps u[−r … r], got {u!r}")
        lag = np.subtract.outer(np.arange(n), np.arange(n))
        reach = u.size // 2
        toeplitz = np.where(np.abs(lag) <= reach, u[np.clip(lag + reach, 0, u.size - 1)], 0.0)
        interpolate = toeplitz[:, ::upsampling]  # T(u) U
        size = (n // upsampling, k)
        features, first, second = [], [], []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            drawn = rng.standard_normal(size) if inputs == "normal" else rng.random(size)
            features.append(interpolate @ drawn)
            first.append(rng.standard_normal((k, k)) / math.sqrt(k))
            second.append(rng.standard_normal(k) / math.sqrt(k))
        self.shape, self.seeds = (int(n),), tuple(seeds)
        self.register_buffer("features", torch.as_tensor(np.stack(features)).to(dtype))
        self.C1 = nn.Parameter(torch.as_tensor(np.stack(first)).to(dtype))
        self.c2 = nn.Parameter(torch.as_tensor(np.stack(second)).to(dtype))

    @property
    def coefficients(self) -> list[Tensor]:
        """[C₁, c₂], each with the seed axis in front."""
        return [self.C1, self.c2]

    def forward(self) -> Tensor:
        """G(C₁, c₂), shape (seeds, n)."""
        return torch.matmul(torch.relu(self.features @ self.C1), self.c2.unsqueeze(-1)).squeeze(-1)
