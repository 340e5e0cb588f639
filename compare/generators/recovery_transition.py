"""How few measurements suffice, with the network trained to convergence: the transition, and the fitted m*.

A signal of dimension p (a random combination of the p lowest cosines and sines) is measured by m Gaussian rows and
recovered by a two-layer generator, without regularization and without stopping early. Recovered means a relative error
of at most a tenth. The share of draws that are recovered rises from 0 to 1 as m grows,

    P(recovered | m) = 1 / (1 + exp(−(ln m − ln m*)/s)),

and m*, where it is a half, is fitted by maximum likelihood. p is the least number of measurements that any method could
do with. The network is followed to the end of gradient flow on ½‖A G(C) − y‖², to a residual of 1e-6: plain descent
does not get there in any affordable number of steps, for AΣAᵀ is ill-conditioned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

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
PROPORTIONAL = 0.25
"""How far from 1 the fitted exponent of m* in p may be."""
SMOOTH = 0.5
"""Width of the Gaussian interpolation kernel times p, of the signal's length: as wide as the signal is smooth."""


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
    found = squared_flow_limit(net, A.matrix, y, tol=1e-6, accuracy=1e-2, max_steps=500)
    with torch.no_grad():
        signal = found.load(net).generator().squeeze(0).numpy()  # type: ignore[operator]
    fitted = found.status[0] is SquaredStatus.FITTED
    return Draw(p, m, *errors, relative(x, signal), relative(x, x + signal - limit), fitted)


def transition(counts: Sequence[int], recovered: Sequence[bool]) -> float:
    """m* of the logistic curve in ln m, by maximum likelihood; inf (0) where nothing (all) is recovered.

    A curve as steep as data that separate would make it is held to s ≥ 0.02, two in a hundred of m.

    >>> round(transition([4, 8, 16, 32], [False, False, True, True]), 1)
    11.3
    """
    m, success = np.log(np.asarray(counts, dtype=np.float64)), np.asarray(recovered, dtype=bool)
    if success.all() or not success.any():
        return 0.0 if success.all() else math.inf
    sign = np.where(success, -1.0, 1.0)

    def loss(at: NDArray[np.float64]) -> float:
        return float(np.logaddexp(0.0, sign * (m - at[0]) / at[1]).sum())

    bounds = [(m.min(), m.max()), (0.02, 2.0)]
    starts = [[middle, 0.2] for middle in np.linspace(m.min(), m.max(), 5)]
    found = [minimize(loss, start, bounds=bounds, method="L-BFGS-B") for start in starts]
    return float(np.exp(min(found, key=lambda one: float(one.fun)).x[0]))


def located(draws: Sequence[tuple[int, bool]], resamples: int = 40) -> Evidence:
    """m* and its standard error, the deviation over draws taken again with replacement, each m by itself."""
    counts = sorted({m for m, _ in draws})
    groups = [np.array([success for count, success in draws if count == m]) for m in counts]
    sizes = [m for m, group in zip(counts, groups, strict=True) for _ in group]
    generator = np.random.default_rng(0)
    again = [
        transition(sizes, np.concatenate([generator.choice(group, group.size) for group in groups]).tolist())
        for _ in range(resamples)
    ]
    best = transition(sizes, np.concatenate(groups).tolist())
    return Evidence(best, float(np.std(again)) if np.isfinite([best, *again]).all() else math.inf)


def transition_section(
    *,
    dimensions: Sequence[int] = (3, 5, 7),
    counts: Sequence[int] = (3, 4, 5, 6, 8, 10, 12, 14, 17, 20, 24, 32, 48, 60, 64),
    draws: int = 40,
    trained: int = 5,
    trained_counts: Sequence[int] = (4, 6, 8, 10, 12, 14, 17, 20),
    channels: int = 512,
) -> Section:
    """m* of the explicit limit for every dimension, and of trained networks for the middle one."""
    middle = dimensions[len(dimensions) // 2]
    explicit = [recover(p, m, seed, None) for p in dimensions for m in counts for seed in range(draws)]
    network = [recover(middle, m, seed, channels) for m in trained_counts for seed in range(trained)]
    rows = []
    for p in dimensions:
        own = [d for d in explicit if d.dimension == p]
        rows.append((f"explicit limit, p = {p}", p, located([(d.count, d.limit <= RECOVERED) for d in own])))
    known = [d for d in network if d.trained is not None and d.converged]
    ends = located([(d.count, d.trained <= RECOVERED) for d in known if d.trained is not None])
    same = located([(d.count, d.limit <= RECOVERED) for d in known])
    own = [d for d in explicit if d.dimension == middle]
    without = located([(d.count, d.unfiltered <= RECOVERED) for d in own])
    rows += [
        (f"trained network, p = {middle}", middle, ends),
        ("the explicit limit on the same draws", middle, same),
        ("explicit limit without interpolation", middle, without),
    ]
    columns = (
        Column("what", "recovered by"),
        Column("p", "dimension p"),
        Column("star", "m*", "measurements", ".3g", f"Half of the draws have a relative error of {RECOVERED:g} there."),
        Column("error", "its standard error", "measurements", ".2g"),
        Column("share", "m*/p", "", ".3g"),
    )
    lines = [(what, p, m.figure, m.uncertainty, m.figure / p) for what, p, m in rows]
    text = (
        f"Signals of length {PIXELS} that are combinations of the p lowest frequencies, Gaussian measurements, a "
        f"two-layer generator with a Gaussian kernel of width {SMOOTH:g}/p. Networks (k = {channels}) are trained to "
        f"convergence, no early stopping; {len(known)} of {len(network)} fitted the measurements to 1e-6."
    )
    figure = error_figure(explicit, network, middle)
    made = transition_checks(network, ends, same, without, middle, channels)
    made.append(proportional_check(dimensions, [m for _, _, m in rows[: len(dimensions)]]))
    return Section("How few measurements suffice", text, *table(columns, lines), made, (figure,))


def transition_checks(
    network: Sequence[Draw], ends: Evidence, same: Evidence, without: Evidence, p: int, channels: int
) -> list[Check]:
    """The network ends at the explicit limit, has its m*, and how near the least possible that is."""
    gaps = [d.gap for d in network if d.converged and d.gap is not None]
    late = sum(not d.converged for d in network)
    reached = Evidence(max(gaps, default=math.nan), math.inf if late else 0.0)
    reason = f"k = {channels}; the tolerance is 4/√k" + f"; {late} networks did not fit the measurements" * bool(late)
    claim = "trained to convergence, the network ends at the explicit limit"
    far = Evidence(abs(ends.figure - same.figure) / same.figure, (ends.uncertainty + same.uncertainty) / same.figure)
    error = ends.uncertainty / ends.figure + without.uncertainty / without.figure
    fewer = Evidence(ends.figure / without.figure, error * ends.figure / without.figure)
    return [
        Check.of(claim, reached, 4 / math.sqrt(channels), reference=REFERENCE, reason=reason),
        Check.of("the network's m* is that of the explicit limit", far, 0.25, reference=REFERENCE, reason="relative"),
        Check.of(
            "fewer measurements suffice than without interpolating filters: m* over that m*",
            fewer,
            1.0,
            reference=REFERENCE,
        ),
        Check.no_prediction(
            f"how near the least possible: m*/p, p = {p}",
            ends.figure / p if math.isfinite(ends.figure) else None,
            why="the abstract says a near-minimal number, and no number",
            reference=REFERENCE,
        ),
    ]


def proportional_check(dimensions: Sequence[int], stars: Sequence[Evidence]) -> Check:
    """The exponent of p in m*, fitted in logarithms, is 1."""
    claim = "m* grows in proportion to the dimension p, with filters as wide as 1/p (explicit limit)"
    if not np.isfinite([star.figure + star.uncertainty for star in stars]).all():
        return Check.not_reached(claim, None, why="some m* lies outside the numbers tried", reference=REFERENCE)
    logs = np.log(dimensions) - np.mean(np.log(dimensions))
    weights = logs / (logs @ logs)
    slope = float(weights @ np.log([star.figure for star in stars]))
    error = float(np.linalg.norm(weights * [star.uncertainty / star.figure for star in stars]))
    reason = f"measured: |exponent − 1| with its standard error; fitted {slope:.3f}"
    return Check.of(claim, Evidence(abs(slope - 1.0), error), PROPORTIONAL, reference=REFERENCE, reason=reason)


def error_figure(explicit: Sequence[Draw], network: Sequence[Draw], middle: int) -> Figure:
    """Median relative error against m."""

    def median(draws: Sequence[Draw], of: str) -> tuple[list[int], list[float]]:
        counts = sorted({d.count for d in draws})
        return counts, [float(np.median([getattr(d, of) for d in draws if d.count == m])) for m in counts]

    curves = []
    for colour, p in enumerate(sorted({d.dimension for d in explicit})):
        own = [d for d in explicit if d.dimension == p]
        curves.append(
            Curve(f"explicit limit, p = {p}", *median(own, "limit"), "-", colour, ("measurements", f"p = {p}"))
        )
        if p == middle:
            names = ("measurements", "no interpolation")
            curves.append(Curve("no interpolation", *median(own, "unfiltered"), "--", colour, names))
    names = ("measurements (trained)", "trained network")
    curves.append(Curve(f"trained network, p = {middle}", *median(network, "trained"), "o", 7, names))
    caption = "Median relative error against the number of measurements. Dotted: what counts as recovered."
    labels = ("measurements m", "‖x̂ − x‖₂ / ‖x‖₂")
    return curve_plot("transition", caption, curves, labels, log="xy", level=RECOVERED)
