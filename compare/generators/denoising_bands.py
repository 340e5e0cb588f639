"""The order in which frequencies are learned: band by band, for networks and for the filter that predicts one of them.

The error of an output in a band of radial frequency is

    e_band(t) = Σ_{d in band} |F(G_t − y)|²[d] / Σ_{d in band} |F y|²[d],

1 for nothing learned (of a zero start), 0 for all. A band counts as learned at the first step with e_band ≤ ½. For the
two-layer generator the filter predicts e_band(t) = Σ (1 − ησ²_d)^{2t} |ŷ_d|² / Σ |ŷ_d|², so its whole curve is known
before training.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.generators.denoising_filter import REFERENCE as FILTER_REFERENCE
from compare.generators.image_sources import Image
from compare.reports.curves import Curve, curve_plot
from compare.reports.records import slug
from compare.reports.report import Check, Column, Evidence, Figure, Section
from compare.reports.tables import table
from gd.images.conv_generator import ConvGenerator
from gd.images.descend_image import descend_image
from gd.images.encoder_decoder import EncoderDecoder
from gd.images.generator import Generator
from gd.images.two_layer_generator import TwoLayerGenerator
from solvers.arrays import Array
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
from solvers.filters.early_stopping import early_stopping_filter

REFERENCE = 'Chakrabarty & Maji (2019), "The spectral bias of the deep image prior"'
BANDS = ((0.0, 0.05), (0.05, 0.125), (0.125, 0.25), (0.25, 0.5))
"""Edges of the radial frequency bands, in cycles per pixel; corners beyond 1/2 are in none, and nor is the mean, which
a sigmoid has at the start."""
SHARE = 0.1
"""Step size times σ²_max of the two-layer generator: with 1 its lower bands are all learned in the first step."""


WIDTH = 256
"""Channels k of the two-layer generator."""


def band_power(signals: Array) -> Array:
    """Σ_{d in band} |F s|²[d] of signals (…, H, W) under the unitary DFT: (…, bands)."""
    height, width = signals.shape[-2:]
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    power = np.abs(np.fft.fft2(signals, norm="ortho")) ** 2
    inside = [(radius > 0) & (radius >= low) & (radius < high) for low, high in BANDS]
    return np.stack([power[..., band].sum(axis=-1) for band in inside], axis=-1)


def band_errors(outputs: Array, y: Array) -> Array:
    """e_band of outputs (T, H, W) against y (H, W): shape (T, bands)."""
    return band_power(outputs - y) / band_power(y)


def learned(errors: Array, steps: NDArray[np.int64]) -> Array:
    """The first step at which each band's error is at most ½ and stays there at the next snapshot; inf if never."""
    below = errors <= 0.5
    below[:-1] &= below[1:]
    return np.where(below.any(axis=0), steps[below.argmax(axis=0)].astype(np.float64), np.inf)


def trajectories(image: Image, level: float, steps: int) -> tuple[Array, dict[str, tuple[NDArray[np.int64], Array]]]:
    """y, and per model (snapshot steps, band errors)."""
    x = image.pixels[0]
    y = np.clip(x + level * np.random.default_rng(0).standard_normal(x.shape), 0, 1)
    networks: Mapping[str, Generator] = {
        "deep decoder": ConvGenerator("bilinear", 32, 4, 1, x.shape),
        "encoder–decoder": EncoderDecoder(24, 3, 1, x.shape),
    }
    found = {}
    for name, net in networks.items():
        path = descend_image(net, y[None], steps=steps, step=0.01, optimizer="adam", snapshots=60)
        found[name] = path.steps, band_errors(path.outputs[:, 0, 0].astype(np.float64), y)
    found |= two_layer_errors(y, steps)
    return y, found


def two_layer_errors(y: Array, steps: int) -> dict[str, tuple[NDArray[np.int64], Array]]:
    """Snapshot steps and band errors of the two-layer generator and of the filter, on y without its mean."""
    kernel = dual_kernel(u := gaussian_kernel(y.shape, 0.05))
    centred = y - y.mean()
    net = TwoLayerGenerator(y.shape, WIDTH, u, scale=float(np.linalg.norm(centred)))
    step = SHARE / kernel.largest
    path = descend_image(net, centred, steps=steps, step=step, reduction="half_sum", snapshots=60)
    predicted = early_stopping_filter(kernel, step, path.steps)(centred)
    return {
        "two-layer generator": (path.steps, band_errors(path.outputs[:, 0], centred)),
        "filter (prediction)": (path.steps, band_errors(predicted, centred)),
    }


def band_section(image: Image, *, level: float = 25 / 255, steps: int = 400) -> Section:
    """When each band is learned, and whether low frequencies come first."""
    y, found = trajectories(image, level, steps)
    lines, made = [], []
    for name, (at, errors) in found.items():
        times = learned(errors, at)
        lines.append([name, *("not learned" if np.isinf(t) else str(int(t)) for t in times)])
        made.append(order_check(name, times, at))
    made.append(power_check(y, found["two-layer generator"][1], found["filter (prediction)"][1]))
    about = "Cycles per pixel; first iteration at which half of the band's power is fitted."
    columns = [Column("model", "model")]
    for i, (low, high) in enumerate(BANDS):
        columns.append(Column(f"band {i}", f"{low:g} to {high:g}", "iterations", "", about if i == 0 else ""))
    text = (
        f"{image.name} with noise of standard deviation {level:.3f}, fitted until the noise is fitted too. The "
        "error against the noisy target, by bands of radial frequency: structure first, noise last."
    )
    figures = [band_plot(name, at, errors) for name, (at, errors) in found.items()]
    return Section("Which frequencies are learned first", text, *table(columns, lines), made, figures)


def band_gap(y: Array, first: Array, second: Array) -> float:
    """The largest difference of errors in a band, (T, bands), as a share of the power of y without its mean."""
    return float((np.abs(first - second) * band_power(y)).max() / np.sum((y - y.mean()) ** 2))


def power_check(y: Array, network: Array, predicted: Array) -> Check:
    """The errors of the bands (T, bands), of network and prediction."""
    # | ‖a‖² − ‖b‖² | ≤ ‖a − b‖ (‖a‖ + ‖b‖) ≤ (2‖y‖/√k)(2‖y‖): residuals are no longer than y
    claim = "the filter predicts the power of the two-layer generator's error in every band"
    reason = f"measured: largest difference, share of the power of y; tolerance 4/√k, k = {WIDTH}"
    return Check.at_most(
        claim, band_gap(y, network, predicted), 4 / np.sqrt(WIDTH), reference=FILTER_REFERENCE, reason=reason
    )


def order_check(name: str, times: Array, steps: NDArray[np.int64]) -> Check:
    """Every band is learned before the next higher one.

    A time is known to lie after one snapshot (half a step or more) and not after the next, so two in one interval are
    not told apart. A band that is not learned yet is later than all that are; of two such bands nothing is known.
    """
    known = np.minimum(times, steps[-1])
    before = np.array([0.0, *steps[:-1]])[np.searchsorted(steps, known)] + 0.5
    half = np.where(np.isinf(times), 0.0, (known - before) / 2)
    pairs = [
        Evidence(low - high, np.inf if times[i] == times[i + 1] == np.inf else half[i] + half[i + 1])
        for i, (low, high) in enumerate(pairwise(known - half))
    ]
    claim = f"{name}: each band is learned before the next higher one"
    reason = "measured: steps by which the lower band is learned later, up to the distance of snapshots"
    about = {"unit": "steps", "reference": REFERENCE, "reason": reason}
    return Check.worst(Check.of(claim, pair, 0.0, **about) for pair in pairs)


def band_plot(name: str, steps: NDArray[np.int64], errors: Array) -> Figure:
    """Band errors over the iterations."""
    bands = [f"{low:g}–{high:g} cycles/pixel" for low, high in BANDS]
    curves = [
        Curve(label, steps, errors[:, i], colour=i, names=("iteration", f"relative error: {label}"))
        for i, label in enumerate(bands)
    ]
    caption = f"{name}: relative error by frequency band. Dotted: half learned."
    labels = ("iteration", "error / power, in the band")

    def adjust(axes: Any) -> None:
        axes.set(title=name, ylim=(1e-3, 3))

    return curve_plot(f"bands-{slug(name)}", caption, curves, labels, log="xy", level=0.5, adjust=adjust)
