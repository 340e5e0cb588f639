"""The margins of a multi-channel linear CNN, in closed form, at image size.

With a_n = y_n x_n, β̂_r = Σ_c û_{c,r} v̂_c and z = Σ_n p_n a_n the force on the weights is two correlations,

    ∂/∂v_c = Σ_r corr(z_r, u_{c,r}),        ∂/∂u_{c,r} = corr(z_r, v_c) at the K lags,                       (1)

and the N × N Gram matrix of the gradients is A P Aᵀ, with the kernels' spectrum P = Σ_c û_c û_c*, plus the Gram matrix
of (a_n correlated with V) at K lags: neither needs the N × C(KR + D) Jacobian of the read-outs. With D = 784 and C = 8
that is the difference between a matrix of a million entries an evaluation and one of 16 thousand.

The last step of `flow_limit` is here too, in kernels and multipliers only. At a KKT point v̂_c = conj(û_c)·ẑ, so what is
left of the conditions, for the constraints S that hold with equality, is

    U = U T(z),        A_S P(U) z = 1,        z = A_Sᵀλ,                                                     (2)

C·K·R + |S| equations, solved by Newton's method. Rotations among the channels leave (2) as it is; steps are least-norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.margin_map import Local, MarginMap
from gd.networks.multi_channel import MultiChannelCNN
from solvers.conv_kernel.lags import KernelLags
from solvers.regularizers.conv_kernel import ConvKernel, lag_geometry

Array = NDArray[np.float64]

NEWTON_STEPS = 30
FLAT = 1e-10  # relative singular values below this belong to the rotations among channels


class MultiChannelMap(MarginMap):
    """m_n = y_n⟨x_n, β⟩ for `MultiChannelCNN`; θ is U and V flattened, in this order."""

    def __init__(self, model: MultiChannelCNN, X: Tensor, y: Tensor) -> None:
        self.degree = 2
        self.grid, self.kernel = model.grid, model.kernel
        self.R, self.C = model.in_channels, model.out_channels
        self.shape = model.shape
        self.n_constraints = X.shape[0]
        kernel = self.kernel if len(self.kernel) > 1 else self.kernel[0]
        # the convex price, whatever C is: a lower bound on the network's, and the only one whose gap can close
        self.regularizer = ConvKernel(kernel, self.R)
        self.convex = model.regularizer.is_norm
        self._axes = tuple(range(-len(self.grid), 0))
        self._model = model
        self.rows = (X.flatten(1) * y.reshape(-1, 1)).contiguous()
        self.hat = torch.fft.rfftn(self.rows.reshape(-1, self.R, *self.grid), dim=self._axes, norm="ortho")
        geometry = lag_geometry(self.grid, self.kernel, self.R)
        half = self.hat.shape[2:]
        self.multiplicity = torch.as_tensor(geometry.multiplicity, dtype=X.dtype, device=X.device).reshape(half)
        self._sizes = [tuple(w.shape) for w in model.weights]
        self._split_at = [int(np.prod(size)) for size in self._sizes]

    def start(self, models: Sequence[nn.Module]) -> Tensor:
        flat = [torch.cat([w.detach().flatten() for w in model.weights]) for model in models]  # type: ignore[union-attr]
        return torch.stack(flat).to(self.rows)

    def layers(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """U (…, C, R, *kernel) and V (…, C, *grid)."""
        U, V = torch.split(theta, self._split_at, dim=-1)
        lead = theta.shape[:-1]
        return U.reshape(*lead, *self._sizes[0]), V.reshape(*lead, *self._sizes[1])

    def _spectra(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        U, V = self.layers(theta)
        kernels = torch.fft.rfftn(U, s=self.grid, dim=self._axes, norm="ortho")
        return kernels, torch.fft.rfftn(V, dim=self._axes, norm="ortho")

    def predictors_tensor(self, theta: Tensor) -> Tensor:
        """β, (B, R·D)."""
        kernels, read_outs = self._spectra(theta)
        over = -len(self.grid) - 2
        spectrum = (kernels * read_outs.unsqueeze(over + 1)).sum(over)
        beta: Tensor = torch.fft.irfftn(spectrum, s=self.grid, dim=self._axes, norm="ortho")
        return beta.flatten(1)

    def margins(self, theta: Tensor) -> Tensor:
        return self.predictors_tensor(theta) @ self.rows.T

    def predictors(self, theta: Tensor) -> Array:
        return np.asarray(self.predictors_tensor(theta).reshape(-1, *self.shape).cpu().numpy())

    def weights(self, theta: Tensor) -> dict[str, Array]:
        return {f"weights.{i}": w.cpu().numpy() for i, w in enumerate(self.layers(theta))}

    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        del carried
        kernels, read_outs = self._spectra(theta)
        gram = torch.stack([self._gram(k, v) for k, v in zip(kernels, read_outs, strict=True)])

        def pull(p: Tensor) -> Tensor:
            z = torch.fft.rfftn((p @ self.rows).reshape(-1, self.R, *self.grid), dim=self._axes, norm="ortho")
            over = -len(self.grid) - 1
            on_V = (kernels.conj() * z.unsqueeze(1)).sum(over)
            on_U = read_outs.conj().unsqueeze(over) * z.unsqueeze(1)
            force_V = torch.fft.irfftn(on_V, s=self.grid, dim=self._axes, norm="ortho")
            force_U = self._at_lags(torch.fft.irfftn(on_U, s=self.grid, dim=self._axes, norm="ortho"))
            return torch.cat([force_U.flatten(1), force_V.flatten(1)], -1)

        return Local(self.margins(theta), gram, pull)

    def _at_lags(self, values: Tensor) -> Tensor:
        for axis, k in zip(self._axes, self.kernel, strict=True):
            values = values.narrow(axis, 0, k)
        return values

    def _gram(self, kernels: Tensor, read_outs: Tensor) -> Tensor:
        """J Jᵀ for one network: A P Aᵀ from the read-outs, correlations at K lags from the kernels."""
        if self.R == 1:
            P = (kernels.abs() ** 2).sum((0, 1))
            weighted = (self.hat[:, 0] * torch.sqrt(P * self.multiplicity)).flatten(1)
        else:  # Σ_r conj(û_{c,r}) â_{n,r} for every channel
            along = torch.einsum("cr...,nr...->nc...", kernels.conj(), self.hat)
            weighted = (along * torch.sqrt(self.multiplicity)).flatten(1)
        gram: Tensor = weighted.real @ weighted.real.T + weighted.imag @ weighted.imag.T
        for v in read_outs:  # one channel at a time bounds the memory
            moved = torch.fft.irfftn(v.conj() * self.hat, s=self.grid, dim=self._axes, norm="ortho")
            lags = self._at_lags(moved).flatten(1)
            gram = gram + lags @ lags.T
        return gram

    def tighten(self, theta: Tensor, p: Array, threshold: float) -> TightNetwork | None:
        """Solve (2) from θ with the constraints whose weight p exceeds `threshold` times the largest; else None."""
        return _newton(self, theta, p, np.asarray(p > threshold * p.max()))


@dataclass(frozen=True)
class TightNetwork:
    """A solution of (2) as weights of unit margin."""

    theta: Tensor
    """U and V flattened, ‖θ‖² the price at unit margin."""
    multipliers: Array
    """λ, (N,), zero off S; nonnegative."""
    stable: bool
    """Whether the price min over V, as a function of the kernels, has no negative curvature there."""
    residual: float
    """Largest misfit of (2), relative."""


def _newton(mapping: MultiChannelMap, theta: Tensor, p: Array, active: NDArray[np.bool_]) -> TightNetwork | None:
    geometry = lag_geometry(mapping.grid, mapping.kernel, mapping.R)
    smallest = float(mapping.margins(theta[None]).min())
    if smallest <= 0:
        return None
    U_torch, _ = mapping.layers(theta / smallest**0.5)
    U = np.moveaxis(U_torch.cpu().numpy(), 1, -1).reshape(mapping.C, geometry.n)
    A = mapping.rows.cpu().numpy()
    rows = geometry.fourier(A[active])
    P = geometry.spectrum(geometry.lags(U.T @ U))
    gram = geometry.gram(rows, P)
    lam = np.asarray(np.linalg.lstsq(gram, np.ones(rows.shape[0]), rcond=1e-12)[0], dtype=np.float64)
    residual = np.inf
    for _ in range(NEWTON_STEPS):
        system, right = _system(geometry, rows, U, lam)
        new = float(np.abs(right).max())
        if new < 1e-13 or (new < 1e-11 and new > 0.5 * residual):
            break
        residual = new
        step = np.linalg.lstsq(system, right, rcond=FLAT)[0]
        if not np.isfinite(step).all() or np.linalg.norm(step[: U.size]) > np.linalg.norm(U):
            return None
        U = U + step[: U.size].reshape(U.shape)
        lam = lam + step[U.size :]
    if new > 1e-9 or lam.min() < 0:
        return None
    # the multipliers maximize: eliminating them leaves the curvature of the price in the kernels
    H, bend, gram = system[: U.size, : U.size], system[: U.size, U.size :], -system[U.size :, U.size :]
    reduced = H + bend @ np.linalg.lstsq(gram, bend.T, rcond=1e-12)[0]
    stable = bool(np.linalg.eigvalsh(0.5 * (reduced + reduced.T))[0] > -1e-7)
    return _with_read_outs(mapping, U, lam, active, stable, new)


def _system(geometry: KernelLags, rows: NDArray[np.complex128], U: Array, lam: Array) -> tuple[Array, Array]:
    """Newton's matrix for (2) in (U, λ), symmetric, and minus the misfits: U − U T and 1 − A P z, in units of one."""
    z = np.tensordot(lam, rows, 1)
    T = geometry.matrix(geometry.lags_of(z))
    gram = geometry.gram(rows, geometry.spectrum(geometry.lags(U.T @ U)))
    tau = geometry.cross_lags(rows, z)
    bend = 2.0 * np.stack([(U @ geometry.matrix(t)).reshape(-1) for t in tau], axis=1)  # ∂(U T)/∂λ
    H = np.kron(np.eye(U.shape[0]), np.eye(geometry.n) - T)
    right = np.concatenate([-(U - U @ T).reshape(-1), gram @ lam - 1.0])
    return np.block([[H, -bend], [-bend.T, -gram]]), right


def _with_read_outs(
    mapping: MultiChannelMap, U: Array, lam: Array, active: NDArray[np.bool_], stable: bool, residual: float
) -> TightNetwork:
    """θ with v̂_c = Σ_r conj(û_{c,r}) ẑ_r."""
    full = np.zeros(mapping.n_constraints)
    full[active] = lam
    shaped = np.moveaxis(U.reshape(mapping.C, *mapping.kernel, mapping.R), -1, 1)
    kernels = torch.as_tensor(np.ascontiguousarray(shaped)).to(mapping.rows)
    z = (torch.as_tensor(full).to(mapping.rows) @ mapping.rows).reshape(mapping.R, *mapping.grid)
    axes = tuple(range(-len(mapping.grid), 0))
    spectra = torch.fft.rfftn(kernels, s=mapping.grid, dim=axes, norm="ortho")
    on_V = (spectra.conj() * torch.fft.rfftn(z, dim=axes, norm="ortho")).sum(1)
    V = torch.fft.irfftn(on_V, s=mapping.grid, dim=axes, norm="ortho")
    theta = torch.cat([kernels.flatten(), V.flatten()])
    return TightNetwork(theta, full, stable, residual)
