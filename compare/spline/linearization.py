"""All weights against the output layer, and the network against its linearization, along the whole trajectory.

Two statements of the paper are about a supremum over all times t of training, at the same start and rate:

    sup_t |fₗᵢₙ(x, ω_t) − fₗᵢₙ(x, ω̃_t)| = O(1/n)          ω̃: the output layer alone is trained          (12)
    sup_t |fₗᵢₙ(x, ω_t) − f(x, θ_t)| = O(n^(−1/2))          Lee et al. (2019), Theorem H.1                 (7)

All three networks are followed in continuous time. The supremum is taken over log-spaced times from a hundredth of the
fastest mode's to a hundred of the slowest one's, with the end, and over points of the data's interval; the three are
smooth in t, and the maximum is broad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Column, Section
from compare.reports.tables import table
from compare.spline.exponents import exponent_check
from compare.spline.spline_cases import SplineCase
from compare.spline.width_rates import corrected_problem, quantiles, seeds_at
from gd.networks.wide_relu import Train, WideReLU
from gd.squared.squared_flow import squared_flow_limit
from gd.status import SquaredStatus
from solvers.arrays import Array
from solvers.splines.initial_distributions import InitialDistribution

ACCURACY = 1e-2
"""Of the flow of all weights. Against 1e-3 its medians are off by 0.5 % at most."""
TIMES = 24
POINTS = 129
PAPER = "Jin and Montúfar (2020)"


@dataclass(frozen=True)
class TrajectoryGaps:
    """Largest differences over t and x, in units of y; (W, S), NaN where a network did not fit the data."""

    widths: tuple[int, ...]
    output: Array = field(repr=False)
    """All weights of the linearized network against its output layer alone."""
    linearized: Array = field(repr=False)
    """The network against its linearization, all weights."""
    at_end: Array = field(repr=False)
    """The first difference at t = ∞ alone."""


def trajectory_gaps(
    case: SplineCase, init: InitialDistribution, widths: Sequence[int], seeds: Sequence[int]
) -> TrajectoryGaps:
    """Train the three from the same starts, on corrected data."""
    output, linearized, at_end = np.full((3, len(widths), len(seeds)), np.nan)
    for k, width in enumerate(widths):
        lin, out, full = trajectories(case, init, width, seeds)
        output[k], linearized[k] = largest(lin - out), largest(lin - full)
        at_end[k] = largest((lin - out)[:, -1:])
    return TrajectoryGaps(tuple(widths), output, linearized, at_end)


def trajectories(case: SplineCase, init: InitialDistribution, width: int, seeds: Sequence[int]) -> list[Array]:
    """Functions (S, T, points) of networks with all weights linearized, output weights alone, all weights."""
    y, _ = corrected_problem(case, init)
    grid = np.linspace(*case.interval, POINTS)
    modes = np.linalg.eigvalsh(init.kernel(case.x[:, None], case.x))
    times = np.geomspace(0.01 / modes[-1], 100.0 / max(modes[0], 1e-6 * modes[-1]), TIMES)
    trained: tuple[Train, ...] = ("linearized", "output", "all")
    paths = []
    for train in trained:
        nets = [WideReLU(width, init, train=train, seed=seed) for seed in seeds_at(width, seeds)]
        flow = squared_flow_limit(
            nets, case.x[:, None], y, times=times / width, grid=grid[:, None], accuracy=ACCURACY, max_steps=3000
        )
        fitted = np.array([status is SquaredStatus.FITTED for status in flow.status])
        paths.append(np.where(fitted[:, None, None], flow.grid_outputs, np.nan))
    return paths


def largest(difference: Array) -> Array:
    """Over t and x, (S,); NaN where a network did not fit."""
    return np.asarray(np.abs(difference).max(axis=(1, 2)))


def linearization_section(name: str, gaps: TrajectoryGaps) -> Section:
    """The two suprema against width, each with its exponent."""
    output, linearized = (quantiles(each, 0.5) for each in (gaps.output, gaps.linearized))
    made = (
        exponent_check(
            f"{name}: sup over t and x of |fₗᵢₙ, all weights − fₗᵢₙ, output layer only| is O(1/n)",
            gaps.widths,
            gaps.output,
            -1.0,
            f"{PAPER}, eq. (12)",
        ),
        exponent_check(
            f"{name}: sup over t and x of |fₗᵢₙ − f| is O(n^(−1/2))",
            gaps.widths,
            gaps.linearized,
            -0.5,
            f"{PAPER}, eq. (7)",
        ),
    )
    widths = np.asarray(gaps.widths)
    curves = [
        Curve("all − output only", widths, output, "o-", 2, ("width", "all − output only, median (y)")),
        Curve("slope −1", widths, output[-1] * (widths / widths[-1]) ** -1.0, "--", 2, look={"alpha": 0.5}),
        Curve("f − fₗᵢₙ", widths, linearized, "s-", 0, ("width", "f − fₗᵢₙ, median (y)")),
        Curve("slope −1/2", widths, linearized[-1] * (widths / widths[-1]) ** -0.5, "--", 0, look={"alpha": 0.5}),
    ]
    labels = ("width n (units of one half)", "sup over t and x  (y)")
    figure = curve_plot("training", f"{name}: largest differences along training.", curves, labels, log="xy")
    lines = zip(gaps.widths, output, quantiles(gaps.at_end, 0.5), linearized, strict=True)
    columns = (
        Column("width", "width n"),
        Column("median", "sup |all − output only|", "y", ".3g", "Over t and x; median of the networks."),
        Column("end", "the same at t = ∞", "y", ".3g"),
        Column("linear", "sup |fₗᵢₙ − f|", "y", ".3g"),
    )
    text = (
        f"Same start, same data, followed from t = 0 to residual 10⁻¹⁰; {TIMES} times and the end, {POINTS} points. "
        "The first layer's share of the tangent kernel is O(1), the output layer's O(n)."
    )
    title = "All weights, the output layer, and the linearized network along training"
    return Section(title, text, *table(columns, lines), made, (figure,))
