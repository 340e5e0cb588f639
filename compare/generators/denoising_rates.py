"""How the error of denoising scales: with the noise, with the dimension of the signal, and with its length.

For a signal in the span of the p lowest frequencies and noise of standard deviation ς, early-stopped gradient descent
of the two-layer generator ends with a mean squared error of the order of

    ς² p/n,

the noise that falls on p of n dimensions, as the estimator that knows the p frequencies has it: exponents 2, 1 and −1.
The interpolation kernel is as wide as the signal is smooth, width ∝ 1/p, and the network is stopped at the time that is
best for the filter in expectation over the noise, known before anything is trained. What should be measured then:

    filter      E‖x̂_t − x‖²/n at that time is c(ς, p, n) ς² p/n, exactly. c grows with ln(1/ς), for the smaller the
                noise the later the best time; so the filter's exponent in ς is a little below 2 at any level.
    width       finite k adds E‖δ_t‖²/n to it, ∝ 1/k (`compare.generators.denoising_filter`), most where the noise is
                least, which flattens the slope.
    sampling    the error of one noise is a sum of few squares. The filter's on the same noise has the same
                fluctuation, so that ln(network/filter) is free of it; its slopes, one for each seed, have an interval.

An exponent is that of the filter in expectation, plus the slope of ln(network/filter) on the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from compare.generators.denoising_filter import INTERVAL, REFERENCE, exponent_weights, fluctuations
from compare.generators.recovery_transition import structured_signal
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Evidence, Figure, Section
from compare.reports.tables import table_of
from compare.reports.wording import counted, number
from gd.images.descend_image import descend_image
from gd.images.two_layer_generator import TwoLayerGenerator
from solvers.arrays import Array
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
from solvers.filters.early_stopping import early_stopping_filter
from solvers.filters.early_stopping_error import best_stopping_time

RESOLUTION = 0.1
"""To which an exponent has to be known: theories differ by a half (a norm for its square) or more, five times that."""
KERNEL = 0.5
"""Width of the interpolation kernel times p, of the signal's length."""
SHARE = 0.5
"""Step size times σ²_max."""
TINY = (1e-6, 1e-7)
"""Levels of noise at which the filter's exponent is nearer to 2."""
DRAWS = 50
"""Of channels, other ones for every seed, for the variance that finite width adds: known to a seventh for each seed, to
a twenty-fifth for 16."""


@dataclass(frozen=True)
class Rate:
    """Denoising at one length, dimension, and noise level."""

    n: int
    p: int
    level: float
    network: Array = field(repr=False)
    """Mean squared error of the trained network at the filter's best time, (seeds,)."""
    filtered: Array = field(repr=False)
    """That of the filter on the same noise, (seeds,)."""
    width: Array = field(repr=False)
    """E‖δ_t‖²/n, what finite width adds, (seeds,)."""
    expected: float
    """That of the filter in expectation over noise, mean over the seeds' signals."""

    @property
    def unit(self) -> float:
        """ς² p/n."""
        return self.level**2 * self.p / self.n

    @property
    def against_filter(self) -> Array:
        """ln(network / filter) on the same noise, (seeds,)."""
        return np.asarray(np.log(self.network / self.filtered))

    @property
    def unexplained(self) -> Array:
        """The same less what finite width adds, (seeds,)."""
        return np.asarray(self.against_filter - np.log1p(self.width / self.filtered))


def denoise(n: int, p: int, level: float, *, k: int, seeds: Sequence[int], longest: int = 200) -> Rate:
    """Train from every seed, each with a signal and noise of its own."""
    x = np.stack([structured_signal(n, p, np.random.default_rng([seed, p])) for seed in seeds])
    y = x + level * np.stack([np.random.default_rng([seed, n, 3]).standard_normal(n) for seed in seeds])
    u = gaussian_kernel(n, KERNEL / p)
    kernel = dual_kernel(u)
    step = SHARE / kernel.largest
    best = [best_stopping_time(kernel, one, level, step, longest=longest) for one in x]
    times = [time.step for time in best]
    net = TwoLayerGenerator(n, k, u, seeds=seeds, scale=float(np.sqrt(n)))
    path = descend_image(net, y, steps=max(times), step=step, reduction="half_sum", snapshots=2, clean=x)
    assert path.clean_mse is not None
    outputs = early_stopping_filter(kernel, step, times)(y)
    away = [fluctuations(u, kernel, y[i], step, k, times[i], DRAWS, seed)[times[i]] for i, seed in enumerate(seeds)]
    return Rate(
        n,
        p,
        level,
        network=path.clean_mse[times, range(len(times))],
        filtered=np.mean((outputs - x) ** 2, axis=1),
        width=np.square(away) * np.mean(y**2, axis=1),
        expected=float(np.mean([time.error for time in best])) / n,
    )


def filter_exponent(across: Sequence[float], found: Sequence[Rate]) -> float:
    """The exponent of the filter's error in `across`."""
    return float(exponent_weights(across) @ np.log([rate.expected for rate in found]))


def exponent_check(claim: str, predicted: float, across: Sequence[float], found: Sequence[Rate]) -> Check:
    """The exponent of the error in `across`, against a predicted one with what finite width adds."""
    weights, filtered = exponent_weights(across), filter_exponent(across, found)
    slopes = Evidence.of_sample(weights @ [rate.against_filter for rate in found])
    unexplained = Evidence.of_sample(weights @ [rate.unexplained for rate in found])
    measured = f"{filtered + slopes.figure:.3f} ± {slopes.uncertainty:.3f}"
    reason = f"measured: |exponent − predicted|, {INTERVAL}; fitted {measured}, the filter's {filtered:.3f}"
    evidence = Evidence(abs(filtered + unexplained.figure - predicted), unexplained.uncertainty)
    return Check.of(claim, evidence, RESOLUTION, reference=REFERENCE, reason=reason)


Series = dict[str, tuple[Sequence[float], list[Rate]]]
"""What is varied, in words: its values, and the rates at them."""


def rate_series(
    k: int, seeds: Sequence[int], levels: Sequence[float], dimensions: Sequence[int], lengths: Sequence[int]
) -> Series:
    """Rates at several noise levels, dimensions and lengths, each around the middle of all three."""
    level, p, n = levels[len(levels) // 2], dimensions[len(dimensions) // 2], lengths[len(lengths) // 2]
    centre = denoise(n, p, level, k=k, seeds=seeds)

    def at(n: int, p: int, level: float) -> Rate:
        return centre if (n, p, level) == (centre.n, centre.p, centre.level) else denoise(n, p, level, k=k, seeds=seeds)

    return {
        "the noise ς, exponent 2 up to logarithms,": (levels, [at(n, p, one) for one in levels]),
        "the dimension p, exponent 1,": (dimensions, [at(n, one, level) for one in dimensions]),
        "the length n, exponent −1,": (lengths, [at(one, p, level) for one in lengths]),
    }


def rate_section(
    *,
    k: int = 1024,
    seeds: Sequence[int] = tuple(range(16)),
    levels: Sequence[float] = (0.1, 0.2, 0.4),
    dimensions: Sequence[int] = (3, 8, 21),
    lengths: Sequence[int] = (64, 128, 256),
) -> Section:
    """The exponents of the error in the noise, the dimension and the length."""
    series = rate_series(k, seeds, levels, dimensions, lengths)
    rates = list({id(rate): rate for _, found in series.values() for rate in found}.values())
    made = []
    for name, (across, found) in series.items():
        claim = f"the mean squared error scales with {name} as the filter predicts"
        made.append(exponent_check(claim, filter_exponent(across, found), across, found))
    constants = [rate.expected / rate.unit for rate in rates]
    made.append(
        Check.no_prediction(
            f"the filter's mean squared error over ς² p/n, at most (at least {min(constants):.2f})",
            max(constants),
            unit="×",
            reference=REFERENCE,
            why="our text of the theorem, an abstract, has neither rate nor constant",
        )
    )
    small = asymptotic_exponent(rates[0].n, rates[0].p, seeds)
    same = "Geometric mean over the seeds, with half its 95 % interval."
    columns = (
        (Column("n", "length n"), lambda r: r.n),
        (Column("p", "dimension p"), lambda r: r.p),
        (Column("level", "noise ς", "", "g"), lambda r: r.level),
        (Column("expected", "filter", "mean square", ".3e", "In expectation over the noise."), lambda r: r.expected),
        (Column("share", "filter / (ς² p/n)", "", ".3g"), lambda r: r.expected / r.unit),
        (Column("ratio", "network / filter, same noise", "", "", same), ratio_in_words),
        (Column("width", "width predicts", "", ".3g"), lambda r: np.exp(np.mean(r.against_filter - r.unexplained))),
    )
    text = (
        "Signals that are combinations of the p lowest frequencies plus noise, two-layer generators with "
        f"k = {k} stopped at the filter's best time, {counted(len(seeds), 'seed')}. "
        "An estimator that knows the p frequencies has "
        "ς² p/n. The filter's error is that times a factor that grows with ln(1/ς), so its exponents are 2, 1 and −1 "
        f"up to logarithms; at ς = {number(TINY[0])} its exponent in ς is {small:.3f}. The network's are held against "
        "the filter's on the same noise and the variance that finite width adds, both known before training."
    )
    return Section("Rates of denoising", text, *table_of(rates, *columns), made, (rate_figure(series, rates),))


def asymptotic_exponent(n: int, p: int, seeds: Sequence[int]) -> float:
    """The filter's exponent in ς where the noise is tiny."""
    kernel = dual_kernel(gaussian_kernel(n, KERNEL / p))
    signals = [structured_signal(n, p, np.random.default_rng([seed, p])) for seed in seeds]
    errors = [
        np.mean([best_stopping_time(kernel, x, level, SHARE / kernel.largest, longest=10**4).error for x in signals])
        for level in TINY
    ]
    return float(exponent_weights(TINY) @ np.log(errors))


def ratio_in_words(rate: Rate) -> str:
    """The network's error over the filter's on the same noise, with its interval."""
    mean = Evidence.of_sample(rate.against_filter)
    return f"{np.exp(mean.figure):.3f} ± {np.exp(mean.figure) * np.expm1(mean.uncertainty):.3f}"


def rate_figure(series: Series, rates: Sequence[Rate]) -> Figure:
    """Errors of network and filter against ς² p/n."""
    units = np.array(sorted({rate.unit for rate in rates}))
    curves = []
    for colour, (words, (_, found)) in enumerate(series.items()):
        name = words.split(",")[0]
        x = [r.unit for r in found]
        trained = [r.expected * np.exp(r.against_filter.mean()) for r in found]
        names = (f"ς² p/n: {name}", f"mean squared error: {name}")
        curves.append(Curve(f"network: {name}", x, trained, "o", colour, names))
        curves.append(Curve("" if colour else "filter", x, [r.expected for r in found], "x", 7))
    curves.append(Curve("ς² p/n", units, units, "--", 7))
    caption = (
        "Error of denoising at the best stopping time: the filter's in expectation, and that times network / filter "
        "on the same noise. Dashed: an estimator that knows the frequencies."
    )
    return curve_plot("denoising-rates", caption, curves, ("ς² p/n", "mean squared error"), log="xy", size=(5.6, 4.2))
