"""The discrete Fourier transform of real signals, without its redundancy.

All transforms are unitary: x̂[k] = D^{-1/2} Σ_p x[p] e^{−2πi k·p/D}, over all axes of a grid (D,) or (H, W). A real x
has x̂[−k] = conj x̂[k], so two descriptions of half the spectrum are in use:

- `HalfSpectrum`: one frequency of each pair {k, −k}, as real coordinates (Re, Im);
- `to_half`, `from_half`: the frequencies of `numpy.fft.rfftn`, each counted `multiplicity` (1 or 2) times in a sum
  over all frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array, ComplexArray

Grid = tuple[int, ...]


def reversal(grid: Grid) -> NDArray[np.intp]:
    """The flat index of −k (mod the grid) for every flat index k.

    >>> reversal((4,)).tolist()
    [0, 3, 2, 1]
    """
    index = np.arange(int(np.prod(grid))).reshape(grid)
    return np.asarray(index[np.ix_(*[-np.arange(d) % d for d in grid])]).reshape(-1)


def conjugate_pairs(grid: Grid) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat indices (k, −k) of one frequency from each conjugate pair; equal at the real frequencies.

    >>> conjugate_pairs((4,))
    (array([0, 1, 2]), array([0, 3, 2]))
    """
    mirror = reversal(grid)
    own = np.flatnonzero(np.arange(mirror.size) <= mirror)
    return own, mirror[own]


def transform(x: Array, grid: Grid) -> ComplexArray:
    """x̂ over the last axes of x, which are the grid; same shape as x."""
    return np.asarray(np.fft.fftn(x, axes=tuple(range(-len(grid), 0)), norm="ortho"))


def inverse(hat: ComplexArray, grid: Grid) -> Array:
    """The real signal whose `transform` is `hat`."""
    return np.asarray(np.fft.ifftn(hat, axes=tuple(range(-len(grid), 0)), norm="ortho").real)


def half_shape(grid: Grid) -> Grid:
    """The shape of `numpy.fft.rfftn` on the grid."""
    return (*grid[:-1], grid[-1] // 2 + 1)


def multiplicity(grid: Grid) -> Array:
    """How many frequencies of the full spectrum each one of `to_half` stands for, shape (H,): 1 or 2."""
    counts = np.full(half_shape(grid), 2.0)
    counts[..., 0] = 1.0
    if grid[-1] % 2 == 0:
        counts[..., -1] = 1.0
    return counts.reshape(-1)


def to_half(x: Array, grid: Grid) -> ComplexArray:
    """x̂ at the frequencies of `rfftn`, flattened: (..., *grid) → (..., H)."""
    hat = np.fft.rfftn(x, axes=tuple(range(-len(grid), 0)), norm="ortho")
    return np.asarray(hat.reshape(*x.shape[: x.ndim - len(grid)], -1))


def from_half(hat: ComplexArray, grid: Grid) -> Array:
    """The real signal with these coefficients: (..., H) → (..., *grid)."""
    full = hat.reshape(*hat.shape[:-1], *half_shape(grid))
    return np.asarray(np.fft.irfftn(full, grid, tuple(range(-len(grid), 0)), norm="ortho"))


@dataclass(frozen=True, eq=False)
class HalfSpectrum:
    """One frequency of each conjugate pair of a grid, as real coordinates (Re, Im) of shape (G, 2)."""

    grid: Grid
    own: NDArray[np.intp]
    """Flat indices of the frequencies kept, shape (G,)."""
    partner: NDArray[np.intp]
    """Those of their conjugates, shape (G,); equal to `own` where the frequency is real."""

    @property
    def counts(self) -> Array:
        """1 at a real frequency, 2 where it stands for a pair, shape (G,)."""
        return np.where(self.own == self.partner, 1.0, 2.0)

    def coordinates(self, x: Array) -> Array:
        """(Re x̂, Im x̂) of real signals (..., *grid): shape (..., G, 2). The imaginary part of a real one is zero."""
        if len(self.grid) == 1:
            half = np.fft.rfft(x, norm="ortho")
        else:
            hat = transform(x, self.grid).reshape(*x.shape[: x.ndim - len(self.grid)], -1)
            half = np.ascontiguousarray(hat[..., self.own])  # indexing leaves it in column order
        return np.stack([half.real, np.where(self.own == self.partner, 0.0, half.imag)], axis=-1)

    def signal(self, coordinates: Array) -> Array:
        """The inverse: (G, 2) → grid."""
        hat = np.zeros(int(np.prod(self.grid)), dtype=np.result_type(coordinates, np.complex64))
        half = coordinates[:, 0] + 1j * coordinates[:, 1]
        hat[self.partner] = half.conj()
        hat[self.own] = half
        return inverse(hat.reshape(self.grid), self.grid)


@lru_cache(maxsize=32)
def half_spectrum(grid: Grid) -> HalfSpectrum:
    """The half spectrum of a grid, kept for the next call."""
    return HalfSpectrum(grid, *conjugate_pairs(grid))
