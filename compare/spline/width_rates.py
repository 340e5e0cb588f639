"""How fast wide networks approach the weighted spline: sup-norm error against width, with a fitted slope.

For every width n and seed a network is trained, by gradient flow to residual 1e-10, on data corrected by the (u, v) of
the kernel interpolant with a free line; its true largest distance on [min x, max x] to the spline of these data is
measured. Theory: it falls like n^{−1/2}. The slope is fitted over n ≥ 160 (`compare.spline.exponents`): below
80 units the 5 × 5 kernel is often nearly singular, and from 80 to 160 the error still falls faster, like n^{−0.7}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compare.function_distance import l2_distance, uniform_distance
from compare.spline.spline_cases import SplineCase
from gd.networks.wide_relu import Train, WideReLU
from gd.squared.squared_flow import squared_flow_limit
from gd.status import SquaredStatus
from solvers.arrays import Array
from solvers.splines.initial_distributions import InitialDistribution
from solvers.splines.kernel_interpolant import kernel_interpolant
from solvers.splines.weighted_spline import WeightedSpline, weighted_spline

FITTED_FROM = 160
NARROW = 80  # units below which no more than 20 networks are trained
ACCURACY = 1e-2
"""Of the flow: at widths from 80 on its error in functions is below 1e-3 of the distances measured here."""
MAX_STEPS = 3000
"""Narrow networks take hundreds of them: data sit on kinks, and the flow follows each in short steps."""
ELEMENTS = 4_000_000
"""Runs × points × units handled as one batch: 32 MB an array."""


@dataclass(frozen=True)
class WidthStudy:
    """Distances between trained networks and the spline, in units of y."""

    widths: tuple[int, ...]
    sup: Array = field(repr=False)
    """max over the interval of |network − spline|, shape (W, S); NaN where a network could not fit the data."""
    rms: Array = field(repr=False)
    """Root mean square over the interval, shape (W, S)."""

    @property
    def fitted(self) -> NDArray[np.bool_]:
        """Which widths are in the fit, (W,)."""
        return np.asarray(self.widths) >= FITTED_FROM

    @property
    def unfitted(self) -> int:
        """Networks that did not fit the data within the steps allowed, left out; of narrow widths 20 are asked for."""
        asked = [self.sup.shape[1] if n >= NARROW else min(self.sup.shape[1], 20) for n in self.widths]
        return int(sum(asked) - (~np.isnan(self.sup)).sum())

    def median(self) -> Array:
        """Median sup distance of each width, shape (W,)."""
        return quantiles(self.sup, 0.5)


def quantiles(rows: Array, q: float) -> Array:
    """The q-quantile of every row without its NaN; NaN where a row holds nothing else.

    >>> quantiles(np.array([[1.0, np.nan, 3.0], [np.nan] * 3]), 0.5)
    array([ 2., nan])
    """
    kept = [row[~np.isnan(row)] for row in rows]
    return np.array([np.quantile(row, q) if row.size else np.nan for row in kept])


def corrected_problem(case: SplineCase, init: InitialDistribution) -> tuple[Array, WeightedSpline]:
    """The data less the line (u, v) of problem (21), and their weighted spline."""
    y = kernel_interpolant(case.x, case.y, init).corrected(case.x, case.y)
    return y, weighted_spline(case.x, y, init)


def train_batch(
    case: SplineCase,
    y: Array,
    init: InitialDistribution,
    width: int,
    seeds: Sequence[int],
    train: Train = "all",
    accuracy: float = ACCURACY,
) -> list[WideReLU | None]:
    """Trained networks of one width, one per seed; None where the network did not fit the data."""
    size = max(1, ELEMENTS // (2 * width * case.x.size))
    trained: list[WideReLU | None] = []
    for first in range(0, len(seeds), size):
        nets = [WideReLU(width, init, train=train, seed=seed) for seed in seeds[first : first + size]]
        limit = squared_flow_limit(nets, case.x[:, None], y, accuracy=accuracy, max_steps=MAX_STEPS)
        for run, net in enumerate(nets):
            limit.load(net, run)
            trained.append(net if limit.status[run] is SquaredStatus.FITTED else None)
    return trained


def seeds_at(width: int, seeds: Sequence[int]) -> list[int]:
    """Others at every width, or errors of neighbouring widths would be correlated.

    >>> seeds_at(10, (0, 1)), seeds_at(11, (0, 1))
    ([20, 21], [22, 23])
    """
    return [(max(seeds) + 1) * width + seed for seed in seeds]


def width_study(case: SplineCase, init: InitialDistribution, widths: Sequence[int], seeds: Sequence[int]) -> WidthStudy:
    """Train a network of every width and seed (the first 20 seeds below 80 units) and measure."""
    y, spline = corrected_problem(case, init)
    sup, rms = np.full((2, len(widths), len(seeds)), np.nan)
    for k, width in enumerate(widths):
        each = seeds_at(width, seeds)[: None if width >= NARROW else 20]
        for s, net in enumerate(train_batch(case, y, init, width, each)):
            if net is not None:
                pieces = net.pieces()
                sup[k, s] = uniform_distance(pieces, spline, case.interval)
                rms[k, s] = l2_distance(pieces, spline, case.interval)
    return WidthStudy(tuple(widths), sup, rms)
