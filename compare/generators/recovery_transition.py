"""How few measurements suffice, with the network trained to convergence: the transition, and the fitted m*.

A signal of dimension p (a random combination of the p lowest cosines and sines) is measured by m Gaussian rows and
recovered by a two-layer generator, without regularization and without stopping early. Recovered means a relative error
of at most a tenth. The share of draws that are recovered rises from 0 to 1 as m grows,

    P(recovered | m) = 1 / (1 + exp(−(ln m − ln m*)/s)),

and m*, where it is a half, is fitted by maximum likelihood. p is the least number of measurements that any method could
do with; measured besides is whether m* is in proportion to it. The network is followed to the end of gradient flow on
½‖A G(C) − y‖², to a residual of 1e-6: plain descent does not get there in any affordable number of steps, for AΣAᵀ is
ill-conditioned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

from compare.generators.denoising_filter import exponent_weights
from compare.generators.recovery_sections import REFERENCE, relative
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Evidence, Figure, Section
from compare.reports.tables import table
from gd.images.two_layer_generator import TwoLayerGenerator
from gd.squared.squared_flow import squared_flow_limit
from gd.status import SquaredStatus
from solvers.arrays import Array
from solvers.filters.compressive_sensing import gaussian_measurement, kernel_recovery
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel

PIXELS = 64
RECOVERED = 0.1
"""Relative error of a recovered signal."""
PROPORTIONAL = 0.1
"""To which the exponent of m* in p has to be known: log factors apart, others differ from 1 by a half or more."""
TRIED = (1.4, 1.8, 2.2, 2.6, 3.0, 3.4, 4.0)
"""Numbers of measurements tried, over the dimension p: a logistic curve needs them on both sides of m* for every p."""
TRIED_WITHOUT = (40, 48, 56, 60, 62, 63, 64)
"""Numbers tried without interpolation."""
STANDARD_ERRORS = 2.02
"""Of a 95 % interval whose standard error is that of 40 values: Student's t."""
SMOOTH = 0.5
"""Width of the Gaussian interpolation kernel times p, of the signal's length: as wide as the signal is smooth."""
ACCURACY = 0.1
"""Of the flow. Against 1e-2 the ends differ by 0.002 of the signal at most, a hundredth of the tolerance; it is four
times as fast."""


class Measured(nn.Module):
    """A generator seen through measurements: input (m, n), rows of A; output A G(C)."""

    def __init__(self, generator: TwoLayerGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, A: Tensor) -> Tensor:
        return torch.mv(A, self.generator().squeeze(0))


@dataclass(frozen=True)
class Draw:
    """One signal, measured and recovered."""

    dimension: int
    count: int
    """m."""
    limit: float
    """Relative error of the explicit limit."""
    unfiltered: float
    """That of the limit without interpolation, u a single pixel."""
    trained: float | None = None
    """That of the network trained to convergence; None where it was not trained."""
    gap: float | None = None
    """‖network − explicit limit‖₂ / ‖x‖₂."""
    converged: bool = True
    """Whether the network fits the measurements."""
    other: float | None = None
    """‖network − explicit limit without interpolation‖₂ / ‖x‖₂."""


def structured_signal(n: int, p: int, generator: np.random.Generator) -> Array:
    """A combination of the p lowest of 1, cos, sin, cos 2, …, with Gaussian coefficients; root mean square 1."""
    t = 2 * np.pi * np.arange(n) / n
    waves = [np.ones(n)]
    for frequency in range(1, p):
        waves += [np.cos(frequency * t), np.sin(frequency * t)]
    x = generator.standard_normal(p) @ np.stack(waves[:p])
    return np.asarray(x / np.sqrt(np.mean(x**2)))


def recover(p: int, m: int, seed: int, channels: int | None) -> Draw:
    """Draw a signal and its measurements; the explicit limits, and the network's where `channels` are given."""
    generator = np.random.default_rng([p, m, seed])
    x = structured_signal(PIXELS, p, generator)
    A = gaussian_measurement(m, (PIXELS,), seed=int(generator.integers(2**31)))
    y = A.forward(x)
    u = gaussian_kernel(PIXELS, SMOOTH / p)
    limit = kernel_recovery(dual_kernel(u), A, y).signal
    unfiltered = kernel_recovery(dual_kernel(np.eye(1, PIXELS).ravel()), A, y).signal
    errors = relative(x, limit), relative(x, unfiltered)
    if channels is None:
        return Draw(p, m, *errors)
    net = Measured(TwoLayerGenerator(PIXELS, channels, u, seeds=(seed,), scale=float(np.linalg.norm(x))))
    found = squared_flow_limit(net, A.matrix, y, tol=1e-6, accuracy=ACCURACY, max_steps=500)
    with torch.no_grad():
        signal = found.load(net).generator().squeeze(0).numpy()  # type: ignore[operator]
    fitted = found.status[0] is SquaredStatus.FITTED
    gap, other = (relative(x, x + signal - end) for end in (limit, unfiltered))
    return Draw(p, m, *errors, relative(x, signal), gap, fitted, other)


def transition(counts: Sequence[int], recovered: Sequence[bool]) -> float:
    """m* of the logistic curve in ln m, by maximum likelihood; inf (0) where nothing (all) is recovered.

    A curve as steep as data that separate would make it is held to s ≥ 0.05, five in a hundred of m.

    >>> round(transition([4, 8, 16, 32], [False, False, True, True]), 1)
    11.3
    """
    m, success = np.log(np.asarray(counts, dtype=np.float64)), np.asarray(recovered, dtype=bool)
    if success.all() or not success.any():
        return 0.0 if success.all() else math.inf
    sign = np.where(success, -1.0, 1.0)

    def loss(at: NDArray[np.float64]) -> float:  # convex in (ln m*)/s and 1/s
        return float(np.logaddexp(0.0, sign * (at[1] * m - at[0])).sum())

    start = np.array([5.0 * np.mean(m), 5.0])
    found = minimize(loss, start, bounds=[(None, None), (0.5, 20.0)], method="L-BFGS-B").x
    return float(np.exp(found[0] / found[1]))


def resampled(draws: Sequence[Draw], resamples: int = 40) -> list[list[Draw]]:
    """The draws, and draws taken from them again with replacement, each m by itself.

    Of n draws n − 1 are taken: their means vary then as those of n independent ones do (of n, by (n − 1)/n less).
    """
    groups = [[d for d in draws if d.count == m] for m in sorted({d.count for d in draws})]
    generator = np.random.default_rng(0)
    again = [[group[i] for group in groups for i in generator.integers(len(group), size=max(len(group) - 1, 1))]
             for _ in range(resamples)]  # fmt: skip
    return [list(draws), *again]


def star(draws: Sequence[Draw], of: str) -> float:
    """m* of the estimates of one kind, "limit", "unfiltered" or "trained"; NaN outside the numbers tried."""
    found = transition([d.count for d in draws], [getattr(d, of) <= RECOVERED for d in draws])
    return found if 0.0 < found < math.inf else math.nan


def estimated(values: Sequence[float]) -> Evidence:
    """A figure, and half its 95 % interval, from its values on the draws and on draws taken again; inf where one is
    not known."""
    spread = STANDARD_ERRORS * float(np.std(values[1:], ddof=1))
    return Evidence(values[0], spread if np.isfinite(values).all() else math.inf)


def located(draws: Sequence[Draw], of: str) -> Evidence:
    """m* and half its 95 % interval."""
    return estimated([star(some, of) for some in resampled(draws)])


def explicit_draws(p: int, draws: int) -> list[Draw]:
    """Signals of dimension p, recovered by the explicit limit from every number of measurements tried."""
    return [recover(p, round(share * p), seed, None) for share in TRIED for seed in range(draws)]


def transition_section(
    *,
    dimensions: Sequence[int] = (3, 5, 9, 15),
    draws: int = 40,
    trained: int = 5,
    channels: int = 512,
) -> Section:
    """m* of the explicit limit for every dimension, and of trained networks for the second."""
    middle = dimensions[1]
    explicit = [d for p in dimensions for d in explicit_draws(p, draws)]
    unfiltered = [recover(middle, m, seed, None) for m in TRIED_WITHOUT for seed in range(draws)]
    network = [recover(middle, round(share * middle), seed, channels) for share in TRIED for seed in range(trained)]
    known = [d for d in network if d.converged]
    stars = [located([d for d in explicit if d.dimension == p], "limit") for p in dimensions]
    ends, without = located(known, "trained"), located(unfiltered, "unfiltered")
    rows = [
        *((f"explicit limit, p = {p}", p, found) for p, found in zip(dimensions, stars, strict=True)),
        (f"trained network, p = {middle}", middle, ends),
        ("the explicit limit on the same draws", middle, located(known, "limit")),
        ("explicit limit without interpolation", middle, without),
    ]
    columns = (
        Column("what", "recovered by"),
        Column("p", "dimension p"),
        Column("star", "m*", "measurements", ".3g", f"Half of the draws have a relative error of {RECOVERED:g} there."),
        Column("error", "half its 95 % interval", "measurements", ".2g"),
        Column("share", "m*/p", "", ".3g"),
    )
    lines = [(what, p, m.figure, m.uncertainty, m.figure / p) for what, p, m in rows]
    text = (
        f"Signals of length {PIXELS} that are combinations of the p lowest frequencies, Gaussian measurements, a "
        f"two-layer generator with a Gaussian kernel of width {SMOOTH:g}/p. Networks (k = {channels}) are trained to "
        f"convergence, no early stopping; {len(known)} of {len(network)} fitted the measurements to 10⁻⁶. No method "
        "does with fewer than p measurements."
    )
    figure = error_figure(explicit, unfiltered, network, middle)
    made = transition_checks(network, ends, without, middle, channels)
    made.append(proportional_check(dimensions, stars))
    return Section("How few measurements suffice", text, *table(columns, lines), made, (figure,))


def same_star(network: Sequence[Draw]) -> tuple[Evidence, float]:
    """ln(m* of the network / m* of the explicit limit) on the same draws, and the spacing of the numbers tried."""
    found = estimated([math.log(star(some, "trained") / star(some, "limit")) for some in resampled(network)])
    counts = sorted({d.count for d in network})
    return found, max(math.log(high / low) for low, high in pairwise(counts))


def transition_checks(network: Sequence[Draw], ends: Evidence, without: Evidence, p: int, channels: int) -> list[Check]:
    """The network ends at the explicit limit, has its m*, and how near the least possible that is."""
    known = [d for d in network if d.converged]
    gaps = [d.gap for d in known if d.gap is not None]
    late = len(network) - len(known)
    reached = Evidence(max(gaps, default=math.nan), math.inf if late else 0.0)
    reason = f"k = {channels}; the tolerance is 4/√k" + f"; {late} networks did not fit the measurements" * bool(late)
    claim = "trained to convergence, the network ends at the explicit limit"
    ratio, spacing = same_star(known)
    error = ends.uncertainty / ends.figure + without.uncertainty / without.figure
    fewer = Evidence(ends.figure / without.figure, error * ends.figure / without.figure)
    return [
        Check.of(claim, reached, 4 / math.sqrt(channels), reference=REFERENCE, reason=reason),
        Check.of(
            "the network's m* is that of the explicit limit",
            Evidence(abs(ratio.figure), ratio.uncertainty),
            spacing,
            reference=REFERENCE,
            reason="|ln(m*/m*)| on the same draws, with half its 95 % interval; to the spacing of the numbers tried",
        ),
        Check.of(
            "fewer than half as many measurements suffice as without interpolating filters: m* over that m*",
            fewer,
            0.5,
            reference=REFERENCE,
            reason="with half its 95 % interval",
        ),
        Check.no_prediction(
            f"how near the least possible: m*/p, p = {p}",
            ends.figure / p if math.isfinite(ends.figure) else None,
            why="the abstract says a near-minimal number, and no number",
            reference=REFERENCE,
        ),
    ]


def proportional_check(dimensions: Sequence[int], stars: Sequence[Evidence], predicted: float = 1.0) -> Check:
    """The exponent of p in m*, fitted in logarithms."""
    power = "in proportion to the dimension p" if predicted == 1.0 else f"like p^{predicted:g}"
    claim = f"m* grows {power}, with filters as wide as 1/p (explicit limit)"
    if not np.isfinite([star.figure + star.uncertainty for star in stars]).all():
        return Check.not_reached(claim, None, why="some m* lies outside the numbers tried", reference=REFERENCE)
    weights = exponent_weights(dimensions)
    slope = float(weights @ np.log([star.figure for star in stars]))
    error = float(np.linalg.norm(weights * [star.uncertainty / star.figure for star in stars]))
    reason = f"measured: |exponent − predicted| with half its 95 % interval; fitted {slope:.3f}"
    return Check.of(claim, Evidence(abs(slope - predicted), error), PROPORTIONAL, reference=REFERENCE, reason=reason)


def error_figure(explicit: Sequence[Draw], unfiltered: Sequence[Draw], network: Sequence[Draw], middle: int) -> Figure:
    """Median relative error against m."""

    def median(draws: Sequence[Draw], of: str) -> tuple[list[int], list[float]]:
        counts = sorted({d.count for d in draws})
        return counts, [float(np.median([getattr(d, of) for d in draws if d.count == m])) for m in counts]

    curves = []
    for colour, p in enumerate(sorted({d.dimension for d in explicit})):
        own = [d for d in explicit if d.dimension == p]
        curves.append(
            Curve(
                f"explicit limit, p = {p}", *median(own, "limit"), "-", colour, (f"measurements, p = {p}", f"p = {p}")
            )
        )
    names = ("measurements (no interpolation)", f"no interpolation, p = {middle}")
    curves.append(Curve(names[1], *median(unfiltered, "unfiltered"), "--", 6, names))
    names = ("measurements (trained)", "trained network")
    curves.append(Curve(f"trained network, p = {middle}", *median(network, "trained"), "o", 7, names))
    caption = "Median relative error against the number of measurements. Dotted: what counts as recovered."
    labels = ("measurements m", "‖x̂ − x‖₂ / ‖x‖₂")

    def adjust(axes: Any) -> None:
        axes.set(ylim=(0.002, 2.0))  # with as many measurements as pixels the error is that of rounding
        axes.set_xticks(ticks := [4, 8, 16, 32, 64], labels=[str(tick) for tick in ticks])
        axes.minorticks_off()

    return curve_plot("transition", caption, curves, labels, log="xy", level=RECOVERED, adjust=adjust)
