"""How the error of denoising scales: with the noise, and with the dimension of the signal over its length.

For a signal in the span of the p lowest frequencies and noise of standard deviation ς, early-stopped gradient descent
of the two-layer generator ends with a mean squared error of the order of

    ς² p/n,

the noise that falls on p of n dimensions, as the estimator that knows the p frequencies has it. The interpolation
kernel is as wide as the signal is smooth, width ∝ 1/p, and the network is stopped at the time that is best for the
filter in expectation over the noise, known before anything is trained. Slopes in logarithms are fitted for every seed,
and their mean has a standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from compare.generators.denoising_filter import REFERENCE
from compare.generators.recovery_transition import structured_signal
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Evidence, Figure, Section
from compare.reports.tables import table
from gd.images.descend_image import descend_image
from gd.images.two_layer_generator import TwoLayerGenerator
from solvers.arrays import Array
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
from solvers.filters.early_stopping_error import best_stopping_time

SLOPES = 0.25
"""How far from the theory's a fitted slope may be: the stopping time follows the noise and takes up to 0.1 of the
filter's own slope, and a finite number of channels about as much."""
KERNEL = 0.5
"""Width of the interpolation kernel times p, of the signal's length."""
SHARE = 0.5
"""Step size times σ²_max."""


@dataclass(frozen=True)
class Rate:
    """Denoising at one length, dimension, and noise level."""

    n: int
    p: int
    level: float
    measured: Array = field(repr=False)
    """Mean squared error of the trained network at the filter's best time, (seeds,)."""
    predicted: float
    """That of the filter, mean over the seeds' signals, in expectation over noise."""

    @property
    def unit(self) -> float:
        """ς² p/n."""
        return self.level**2 * self.p / self.n


def denoise(n: int, p: int, level: float, *, k: int, seeds: Sequence[int], longest: int = 200) -> Rate:
    """Train from every seed, each with a signal and noise of its own."""
    x = np.stack([structured_signal(n, p, np.random.default_rng([seed, p])) for seed in seeds])
    y = x + level * np.stack([np.random.default_rng([seed, n, 3]).standard_normal(n) for seed in seeds])
    u = gaussian_kernel(n, KERNEL / p)
    kernel = dual_kernel(u)
    step = SHARE / kernel.largest
    best = [best_stopping_time(kernel, one, level, step, longest=longest) for one in x]
    steps = max(time.step for time in best)
    net = TwoLayerGenerator(n, k, u, seeds=seeds, scale=float(np.sqrt(n)))
    path = descend_image(net, y, steps=steps, step=step, reduction="half_sum", snapshots=2, clean=x)
    assert path.clean_mse is not None
    measured = np.array([path.clean_mse[time.step, i] for i, time in enumerate(best)])
    return Rate(n, p, level, measured, float(np.mean([time.error for time in best])) / n)


def slope_check(claim: str, across: Sequence[float], found: Sequence[Rate], theory: float) -> Check:
    """The fitted slope of ln error in ln `across`, every seed by itself, against the theory's."""
    logs = np.log(across) - np.mean(np.log(across))
    slopes = logs @ np.log([rate.measured for rate in found]) / (logs @ logs)
    mean = Evidence.of_mean(slopes)
    predicted = logs @ np.log([rate.predicted for rate in found]) / (logs @ logs)
    reason = f"measured: |slope − {theory:g}| with its standard error; fitted {mean.figure:.3f}, filter {predicted:.3f}"
    evidence = Evidence(abs(mean.figure - theory), mean.uncertainty)
    return Check.of(claim, evidence, SLOPES, reference=REFERENCE, reason=reason)


def rate_section(
    *,
    k: int = 4096,
    seeds: Sequence[int] = (0, 1, 2, 3, 4, 5),
    levels: Sequence[float] = (0.1, 0.2, 0.4),
    sizes: Sequence[tuple[int, int]] = ((256, 3), (256, 5), (128, 5), (128, 9), (128, 15)),
) -> Section:
    """Errors at several noise levels, lengths and dimensions, and their slopes."""
    n, p, middle = 128, 5, levels[len(levels) // 2]
    by_level = [denoise(n, p, level, k=k, seeds=seeds) for level in levels]
    by_size = [denoise(*size, middle, k=k, seeds=seeds) for size in sizes]
    shares = [rate.p / rate.n for rate in by_size]
    columns = (
        Column("n", "length n"),
        Column("p", "dimension p"),
        Column("level", "noise ς", "", ".2g"),
        Column("measured", "network, the filter's best time", "mean square", ".3e", "Mean of seeds."),
        Column("predicted", "filter", "mean square", ".3e", "In expectation over the noise."),
        Column("share", "network / (ς² p/n)", "", ".3g"),
    )
    lines = [
        (r.n, r.p, r.level, r.measured.mean(), r.predicted, r.measured.mean() / r.unit) for r in (*by_level, *by_size)
    ]
    made = (
        slope_check("the mean squared error falls like ς²", levels, by_level, 2.0),
        slope_check("the mean squared error falls like p/n", shares, by_size, 1.0),
    )
    text = (
        "Signals that are combinations of the p lowest frequencies plus noise, two-layer generators with "
        f"k = {k} stopped at the filter's best time. Theory: an error of the order of ς² p/n, which is 1 in the last "
        "column for an estimator that knows the p frequencies. How the trained network approaches the filter as k "
        "grows is measured in the section on the filter, slope −1/2."
    )
    return Section("Rates of denoising", text, *table(columns, lines), made, (rate_figure(by_level, by_size),))


def rate_figure(by_level: Sequence[Rate], by_size: Sequence[Rate]) -> Figure:
    """Measured and predicted errors against ς² p/n."""
    units = np.array(sorted(rate.unit for rate in (*by_level, *by_size)))
    curves = []
    for colour, (name, found) in enumerate((("noise level", by_level), ("p/n", by_size))):
        x, names = [r.unit for r in found], ("ς² p/n", f"mean squared error: {name}")
        curves.append(Curve(f"by {name}", x, [r.measured.mean() for r in found], "o", colour, names))
        curves.append(Curve(f"filter, by {name}", x, [r.predicted for r in found], "x", colour))
    curves.append(Curve("ς² p/n", units, units, "--", 7))
    caption = "Error of denoising at the best stopping time. Dashed: an estimator that knows the frequencies."
    return curve_plot("denoising-rates", caption, curves, ("ς² p/n", "mean squared error"), log="xy")
