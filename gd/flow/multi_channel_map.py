"""The margins of a multi-channel linear CNN, in closed form, at image size.

With a_n = y_n x_n, β̂_r = Σ_c û_{c,r} v̂_c and z = Σ_n p_n a_n the force on the weights is two correlations,

    ∂/∂v_c = Σ_r corr(z_r, u_{c,r}),        ∂/∂u_{c,r} = corr(z_r, v_c) at the K lags,                       (1)

and the N × N Gram matrix of the gradients is A P Aᵀ, with the kernels' spectrum P = Σ_c û_c û_c*, plus the Gram matrix
of (a_n correlated with V) at K lags: neither needs the N × C(KR + D) Jacobian of the network. With D = 784 and
C = 8 that is the difference between a matrix of a million entries an evaluation and one of 16 thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gd.flow.channel_polish import polish_channels
from gd.flow.kkt import KKT, StationaryPoint, kkt
from gd.flow.margin_map import Local, MarginMap
from solvers.arrays import Array
from solvers.regularizers.conv_kernel import ConvKernel, lag_geometry
from solvers.solution import Certificate

THRESHOLDS = (1e-2, 1e-4, 1e-7)  # of the largest weight p: which constraints are taken to be active


class MultiChannelMap(MarginMap):
    """m_n = y_n⟨x_n, β⟩ for `MultiChannelCNN`, and for two circular layers of `Convolutional`, which are R = C = 1.

    θ is U and V flattened, in this order.
    """

    def __init__(
        self,
        grid: tuple[int, ...],
        kernel: tuple[int, ...],
        channels: tuple[int, int],
        regularizer: ConvKernel,
        X: Tensor,
        y: Tensor,
        parameter_shapes: Sequence[tuple[int, ...]] | None = None,
    ) -> None:
        """`channels` are (R, C), `regularizer` is R_{K,C} of the network; `parameter_shapes` are U's and V's in it."""
        self.degree = 2
        self.grid, self.kernel = grid, kernel
        self.R, self.C = channels
        self.shape = grid if self.R == 1 else (self.R, *grid)
        self.n_constraints = X.shape[0]
        # the convex value, whatever C is: a lower bound on the network's, and the only one whose gap can close
        self.regularizer = ConvKernel(kernel if len(kernel) > 1 else kernel[0], self.R)
        self._convex = regularizer.is_norm
        self._axes = tuple(range(-len(self.grid), 0))
        self.rows = (X.flatten(1) * y.reshape(-1, 1)).contiguous()
        self.hat = torch.fft.rfftn(self.rows.reshape(-1, self.R, *self.grid), dim=self._axes, norm="ortho")
        geometry = lag_geometry(self.grid, self.kernel, self.R)
        half = self.hat.shape[2:]
        self.multiplicity = torch.as_tensor(geometry.multiplicity, dtype=X.dtype, device=X.device).reshape(half)
        self._sizes = [(self.C, self.R, *kernel), (self.C, *grid)]
        self._split_at = [int(np.prod(size)) for size in self._sizes]
        self._parameter_shapes = parameter_shapes or self._sizes

    @property
    def convex(self) -> bool:
        return self._convex

    def start(self, models: Sequence[nn.Module]) -> Tensor:
        flat = [torch.cat([w.detach().flatten() for w in model.weights]) for model in models]  # type: ignore[union-attr]
        return torch.stack(flat).to(self.rows)

    def layers(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """U (…, C, R, *kernel) and V (…, C, *grid)."""
        U, V = torch.split(theta, self._split_at, dim=-1)
        lead = theta.shape[:-1]
        return U.reshape(*lead, *self._sizes[0]), V.reshape(*lead, *self._sizes[1])

    def conserved(self, theta: Tensor) -> Tensor:
        U, V = (part.flatten(2) for part in self.layers(theta))
        return (V @ V.mT - U @ U.mT).flatten(1)

    def symmetries(self, theta: Tensor) -> Tensor:
        """Rotations of the channels, of U and V alike."""
        parts, found = [part.flatten(1) for part in self.layers(theta)], []
        for first, second in combinations(range(self.C), 2):
            turned = [torch.zeros_like(part) for part in parts]
            for new, part in zip(turned, parts, strict=True):
                new[first], new[second] = part[second], -part[first]
            found.append(torch.cat([new.flatten() for new in turned]))
        return torch.stack(found) if found else super().symmetries(theta)

    def _spectra(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        U, V = self.layers(theta)
        kernels = torch.fft.rfftn(U, s=self.grid, dim=self._axes, norm="ortho")
        return kernels, torch.fft.rfftn(V, dim=self._axes, norm="ortho")

    def predictors_tensor(self, theta: Tensor) -> Tensor:
        """β, (B, R·D)."""
        kernels, outer = self._spectra(theta)
        over = -len(self.grid) - 2
        spectrum = (kernels * outer.unsqueeze(over + 1)).sum(over)
        beta: Tensor = torch.fft.irfftn(spectrum, s=self.grid, dim=self._axes, norm="ortho")
        return beta.flatten(1)

    def margins(self, theta: Tensor) -> Tensor:
        return self.predictors_tensor(theta) @ self.rows.T

    def predictors(self, theta: Tensor) -> Array:
        return np.asarray(self.predictors_tensor(theta).reshape(-1, *self.shape).cpu().numpy())

    def weights(self, theta: Tensor) -> dict[str, Array]:
        shaped = zip(self.layers(theta), self._parameter_shapes, strict=True)
        return {f"weights.{i}": w.cpu().numpy().reshape(shape) for i, (w, shape) in enumerate(shaped)}

    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        del carried
        kernels, outer = self._spectra(theta)
        gram = torch.stack([self._gram(k, v) for k, v in zip(kernels, outer, strict=True)])

        def pull(p: Tensor) -> Tensor:
            z = torch.fft.rfftn((p @ self.rows).reshape(-1, self.R, *self.grid), dim=self._axes, norm="ortho")
            over = -len(self.grid) - 1
            on_V = (kernels.conj() * z.unsqueeze(1)).sum(over)
            on_U = outer.conj().unsqueeze(over) * z.unsqueeze(1)
            force_V = torch.fft.irfftn(on_V, s=self.grid, dim=self._axes, norm="ortho")
            force_U = self._at_lags(torch.fft.irfftn(on_U, s=self.grid, dim=self._axes, norm="ortho"))
            return torch.cat([force_U.flatten(1), force_V.flatten(1)], -1)

        return Local(self.margins(theta), gram, pull, theta, self.degree)

    def _at_lags(self, values: Tensor) -> Tensor:
        for axis, k in zip(self._axes, self.kernel, strict=True):
            values = values.narrow(axis, 0, k)
        return values

    def _gram(self, kernels: Tensor, outer: Tensor) -> Tensor:
        """J Jᵀ for one network: A P Aᵀ from the output weights, correlations at K lags from the kernels."""
        if self.R == 1:
            P = (kernels.abs() ** 2).sum((0, 1))
            weighted = (self.hat[:, 0] * torch.sqrt(P * self.multiplicity)).flatten(1)
        else:  # Σ_r conj(û_{c,r}) â_{n,r} for every channel
            along = torch.einsum("cr...,nr...->nc...", kernels.conj(), self.hat)
            weighted = (along * torch.sqrt(self.multiplicity)).flatten(1)
        gram: Tensor = weighted.real @ weighted.real.T + weighted.imag @ weighted.imag.T
        for v in outer:  # one channel at a time bounds the memory
            moved = torch.fft.irfftn(v.conj() * self.hat, s=self.grid, dim=self._axes, norm="ortho")
            lags = self._at_lags(moved).flatten(1)
            gram = gram + lags @ lags.T
        return gram

    def duality_gap(self, certificate: Certificate, at: KKT) -> float | None:
        """With ‖w̃‖² in place of R(β): it bounds R(β) from above, and closes only where the weights are cheapest too."""
        return 1.0 - certificate.lower_bound / at.norm**2 if np.isfinite(at.norm) else np.inf

    def polished(
        self, theta: Tensor, p: Array, *, carried: Any, may_grow: bool, tol: float
    ) -> Iterator[StationaryPoint]:
        """By Newton's method in kernels and multipliers (`gd.flow.channel_polish`)."""
        del carried, may_grow
        for threshold in THRESHOLDS:
            solved = polish_channels(self, theta, p, threshold)
            if solved is None or abs(float(self.margins(solved.theta[None]).min()) - 1.0) > tol:
                continue
            unit = solved.theta / torch.linalg.vector_norm(solved.theta)
            at = kkt(self, unit, solved.multipliers)
            yield StationaryPoint(unit, solved.multipliers, at, stable=solved.stable, isolated=False)
