"""Fourier ℓ1 max margin: the bias of a two-layer full-width convolutional network.

    min ‖β̂‖₁   s.t.  A β ≥ 1            dual:  max 1ᵀα  s.t.  α ≥ 0, |(Aᵀα)^[k]| ≤ 1 for every frequency k

(unitary DFT over all axes of β). A real β has conjugate-symmetric β̂, so one frequency of each conjugate pair is kept,
with real and imaginary part as a group of two real coordinates; a frequency that is its own conjugate has no imaginary
part. That is a group-norm problem with half as many cones, which `group_norm` solves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from solvers.margin.group_norm import group_max_margin
from solvers.problem import power_of_two

Array = NDArray[np.float64]


def half_spectrum(shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Flat indices of one frequency per conjugate pair, and which of them are their own conjugates."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    conjugate = index
    for axis in range(len(shape)):
        conjugate = np.roll(np.flip(conjugate, axis), 1, axis)
    flat, mirror = index.reshape(-1), conjugate.reshape(-1)
    kept = np.flatnonzero(flat <= mirror)
    return kept, flat[kept] == mirror[kept]


def fourier_blocks(A: Array, shape: tuple[int, ...]) -> tuple[Array, NDArray[np.intp], NDArray[np.bool_]]:
    """B (N, G, 2) with Bᵀα = (Re, Im) of (Aᵀα)^ on the half spectrum; and that half spectrum's description."""
    kept, real = half_spectrum(shape)
    spectrum = np.fft.fftn(A.reshape(-1, *shape), axes=tuple(range(1, 1 + len(shape))), norm="ortho")
    half = np.ascontiguousarray(spectrum.reshape(A.shape[0], -1)[:, kept])  # indexing leaves it in column order
    return np.stack([half.real, np.where(real, 0.0, half.imag)], axis=-1), kept, real


def from_half(b: Array, shape: tuple[int, ...], kept: NDArray[np.intp], real: NDArray[np.bool_]) -> Array:
    """β whose coordinates are b: ⟨a, β⟩ = Σ_g B_g b_g, so β̂ = b on self-conjugate frequencies and b/2 on pairs."""
    half = np.where(real, 1.0, 0.5) * (b[:, 0] + 1j * b[:, 1])
    spectrum = np.zeros(int(np.prod(shape)), dtype=np.complex128)
    spectrum[kept] = half
    full = spectrum.reshape(shape)
    mirrored = full
    for axis in range(len(shape)):
        mirrored = np.roll(np.flip(mirrored, axis), 1, axis)
    pairs = np.zeros(full.size, dtype=bool)
    pairs[kept] = ~real
    full = full + np.where(_mirror_mask(pairs, shape), np.conj(mirrored), 0.0)
    return np.asarray(np.fft.ifftn(full, norm="ortho").real)


def _mirror_mask(pairs: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = pairs.reshape(shape)
    for axis in range(len(shape)):
        mask = np.roll(np.flip(mask, axis), 1, axis)
    return mask


def fourier_l1_max_margin(A: Array, shape: tuple[int, ...], tol: float) -> tuple[Array, Array, dict[str, object]]:
    """β in `shape`, multipliers α (N,) and statistics, for separable rows A (N, D)."""
    scale = power_of_two(float(np.linalg.norm(A, axis=1).max()))
    blocks, kept, real = fourier_blocks(A / scale, shape)
    found = group_max_margin(blocks, tol)
    stats: dict[str, object] = {
        "method": "group-norm interior point + Newton on the active set",
        "iterations": found.iterations,
        "polished": found.polished,
    }
    return from_half(found.b, shape, kept, real) / scale, found.dual / scale, stats
