"""The picture of the polynomial convolution lemma: roots in the plane, and spectra on the circle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from solvers.arrays import Array

_POINTS = 512


def draw(kernels: Sequence[Array], c: Array | None, verdict: str, dim: int | None, channels: bool) -> Figure:
    """Vectors: roots and spectra. Channels: kernels, and eigenvalues of the cross-spectrum. Images: maps of spectra."""
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    if kernels[0].ndim == 1:
        _roots(left, kernels, c)
        _spectra(right, kernels, c, dim)
    elif channels:
        _kernels(left, kernels, c)
        _eigenvalues(right, kernels)
    else:
        _map(left, np.sum([np.abs(np.fft.fft2(a, (64, 64))) ** 2 for a in kernels], axis=0), "Σ|â_i|²")
        _map(right, None if c is None else np.abs(np.fft.fft2(c, (64, 64))) ** 2, "|ĉ|²")
    figure.suptitle(f"a ⋆ a + b ⋆ b{' + …' if len(kernels) > 2 else ''} = c ⋆ c: {verdict}", fontsize=11)
    return figure


def names(count: int) -> list[str]:
    """a, b, and a_3, a_4, … for more kernels."""
    return ["a", "b", *(f"a_{i}" for i in range(3, count + 1))][:count]


def _roots(axes: Axes, kernels: Sequence[Array], c: Array | None) -> None:
    lags = np.sum([np.correlate(a, a, "full") for a in kernels], axis=0)
    circle = np.exp(2j * np.pi * np.linspace(0, 1, _POINTS))
    axes.plot(circle.real, circle.imag, color="0.6", linewidth=0.8)
    shown: list[tuple[Array, str, str, dict[str, Any]]] = [
        (lags, "o", "spectrum", {"markersize": 9, "fillstyle": "none", "color": "0.35"})
    ]
    if c is not None:
        shown.append((c, "o", "c takes", {"markersize": 5, "color": "#d9702a"}))
    shown += [
        (a, m, name, {"markersize": 6}) for a, m, name in zip(kernels, "x+*1234", names(len(kernels)), strict=False)
    ]
    farthest = 1.0
    for coefficients, marker, label, style in shown:
        roots = np.roots(np.trim_zeros(np.asarray(coefficients, dtype=float)[::-1]))
        axes.plot(roots.real, roots.imag, marker, label=label, linestyle="none", **style)
        farthest = max([farthest, *np.abs(roots)[np.abs(roots) < 4]])
    ends = (-1.1 * farthest, 1.1 * farthest)
    axes.set(aspect="equal", title="roots", xlabel="Re z", ylabel="Im z", xlim=ends, ylim=ends)
    axes.legend(fontsize=8)


def _spectra(axes: Axes, kernels: Sequence[Array], c: Array | None, dim: int | None) -> None:
    turn = np.linspace(0.0, 0.5, _POINTS)
    powers = [_power(a, turn) for a in kernels]
    for power, name in zip(powers, names(len(kernels)), strict=True):
        axes.plot(2 * turn, power, linewidth=1.2, label=f"|{name}|²")
    axes.plot(2 * turn, sum(powers), color="0.35", linewidth=4, alpha=0.5, label="sum")
    if c is not None:
        axes.plot(2 * turn, _power(c, turn), "--", color="#d9702a", linewidth=1.6, label="|c|²")
        if dim is not None and dim <= _POINTS:  # more dots would cover the line
            at = np.arange(dim // 2 + 1) / dim
            axes.plot(2 * at, _power(c, at), "o", color="#d9702a", markersize=4, label=f"D = {dim}")
    axes.set(title="spectra", xlabel="frequency / π", ylabel="power")
    axes.legend(fontsize=8)


def _power(a: Array, turn: Array) -> Array:
    """|Σ_k a_k e^{−2πik·turn}|²."""
    power: Array = np.abs(np.exp(-2j * np.pi * np.outer(turn, np.arange(a.shape[-1]))) @ a) ** 2
    return power


def _kernels(axes: Axes, kernels: Sequence[Array], c: Array | None) -> None:
    for a, name in zip([*kernels, *([] if c is None else [c])], [*names(len(kernels)), "c"], strict=False):
        for r, channel in enumerate(a):
            axes.plot(channel, "o-", markersize=4, linewidth=1.0, label=f"{name}, channel {r}")
    axes.set(title="kernels", xlabel="k", ylabel="entry")
    axes.legend(fontsize=8)


def _eigenvalues(axes: Axes, kernels: Sequence[Array]) -> None:
    """Of Σ_i â_i â_i^*: one kernel leaves all but the first at 0."""
    turn = np.linspace(0.0, 0.5, _POINTS)
    phases = np.exp(-2j * np.pi * np.outer(turn, np.arange(kernels[0].shape[1])))
    transforms = [phases @ a.T for a in kernels]
    spectrum = sum(np.einsum("tr,ts->trs", u, u.conj()) for u in transforms)
    for rank, values in enumerate(np.linalg.eigvalsh(spectrum).T[::-1], start=1):
        axes.plot(2 * turn, values, linewidth=1.6, label=f"eigenvalue {rank}")
    axes.set(title="cross-spectrum of the sum", xlabel="frequency / π", ylabel="eigenvalue")
    axes.legend(fontsize=8)


def _map(axes: Axes, power: Array | None, title: str) -> None:
    if power is None:
        axes.text(0.5, 0.5, "no c", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    logs = np.log10(np.maximum(np.fft.fftshift(power), 1e-12 * power.max()))
    axes.imshow(logs, extent=(-1, 1, -1, 1))
    axes.set(title=f"log₁₀ {title}", xlabel="frequency / π", ylabel="frequency / π")
