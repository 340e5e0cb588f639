"""Polishing a multi-channel linear CNN: Newton's method in kernels and multipliers only.

At a KKT point v̂_c = conj(û_c)·ẑ, so what is
left of the conditions, for the constraints S that hold with equality, is

    U = U T(z),        A_S P(U) z = 1,        z = A_Sᵀλ,                                                     (1)

C·K·R + |S| equations, solved by Newton's method. Rotations among the channels leave (1) as it is; steps are least-norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvers.arrays import Array, ComplexArray
from solvers.conv_kernel.lags import KernelLags
from solvers.regularizers.conv_kernel import lag_geometry

if TYPE_CHECKING:
    from gd.flow.multi_channel_map import MultiChannelMap

NEWTON_STEPS = 30
FLAT = 1e-10  # relative singular values below this belong to the rotations among channels


@dataclass(frozen=True)
class PolishedChannels:
    """A solution of (1) as weights of unit margin."""

    theta: Tensor
    """U and V flattened, ‖θ‖² the value at unit margin."""
    multipliers: Array
    """λ, (N,), zero off S; nonnegative."""
    stable: bool
    """Whether the value min over V, as a function of the kernels, has no negative curvature there."""
    residual: float
    """Largest residual of (1), relative."""


def polish_channels(mapping: MultiChannelMap, theta: Tensor, p: Array, threshold: float) -> PolishedChannels | None:
    """Solve (1) from θ with the constraints whose weight p exceeds `threshold` times the largest; else None."""
    active = np.asarray(p > threshold * p.max())
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
    # the multipliers maximize: eliminating them leaves the curvature of the value in the kernels
    H, bend, gram = system[: U.size, : U.size], system[: U.size, U.size :], -system[U.size :, U.size :]
    reduced = H + bend @ np.linalg.lstsq(gram, bend.T, rcond=1e-12)[0]
    stable = bool(np.linalg.eigvalsh(0.5 * (reduced + reduced.T))[0] > -1e-7)
    return _with_outer_weights(mapping, U, lam, active, stable, new)


def _system(geometry: KernelLags, rows: ComplexArray, U: Array, lam: Array) -> tuple[Array, Array]:
    """Newton's matrix for (1) in (U, λ), symmetric, and minus the residuals: U − U T and 1 − A P z, in units of one."""
    z = np.tensordot(lam, rows, 1)
    T = geometry.matrix(geometry.lags_of(z))
    gram = geometry.gram(rows, geometry.spectrum(geometry.lags(U.T @ U)))
    tau = geometry.cross_lags(rows, z)
    bend = 2.0 * np.stack([(U @ geometry.matrix(t)).reshape(-1) for t in tau], axis=1)  # ∂(U T)/∂λ
    H = np.kron(np.eye(U.shape[0]), np.eye(geometry.n) - T)
    right = np.concatenate([-(U - U @ T).reshape(-1), gram @ lam - 1.0])
    return np.block([[H, -bend], [-bend.T, -gram]]), right


def _with_outer_weights(
    mapping: MultiChannelMap, U: Array, lam: Array, active: NDArray[np.bool_], stable: bool, residual: float
) -> PolishedChannels:
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
    return PolishedChannels(theta, full, stable, residual)
