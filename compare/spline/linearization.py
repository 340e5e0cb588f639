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
from compare.reports.report import Check, Column, Evidence, Section
from compare.reports.tables import table
from compare.spline.spline_cases import SplineCase
from compare.spline.spline_sections import slope_in_words
from compare.spline.width_rates import corrected_problem, fitted_slope, quantiles
from gd.networks.wide_relu import Train, WideReLU
from gd.squared.squared_flow import squared_flow_limit
from gd.status import SquaredStatus
from solvers.arrays import Array
from solvers.splines.initial_distributions import InitialDistribution

ACCURACY = 1e-3
"""Of the flow of all weights: its error in functions is some 1e-6, below what is measured."""
TIMES = 24
POINTS = 129
UPPER = 0.1
"""How far above the theory's exponent a fitted one may be. O(·) is an upper bound: a faster fall is no refutation."""
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


def trajectory_gaps(case: SplineCase, init: InitialDistribution, widths: Sequence[int], seeds: int) -> TrajectoryGaps:
    """Train the three from the same starts, on corrected data."""
    y, _ = corrected_problem(case, init)
    grid = np.linspace(*case.interval, POINTS)
    modes = np.linalg.eigvalsh(init.kernel(case.x[:, None], case.x))
    times = np.geomspace(0.01 / modes[-1], 100.0 / max(modes[0], 1e-6 * modes[-1]), TIMES)
    output, linearized, at_end = np.full((3, len(widths), seeds), np.nan)
    for k, width in enumerate(widths):
        each = [seeds * width + seed for seed in range(seeds)]
        paths, fitted = [], np.ones(seeds, dtype=bool)
        trained: tuple[Train, ...] = ("linearized", "output", "all")
        for train in trained:
            nets = [WideReLU(width, init, train=train, seed=seed) for seed in each]
            flow = squared_flow_limit(
                nets, case.x[:, None], y, times=times / width, grid=grid[:, None], accuracy=ACCURACY, max_steps=3000
            )
            paths.append(flow.grid_outputs)
            fitted &= [status is SquaredStatus.FITTED for status in flow.status]
        lin, out, full = paths
        output[k] = np.where(fitted, np.abs(lin - out).max(axis=(1, 2)), np.nan)
        linearized[k] = np.where(fitted, np.abs(lin - full).max(axis=(1, 2)), np.nan)
        at_end[k] = np.where(fitted, np.abs(lin - out)[:, -1].max(axis=1), np.nan)
    return TrajectoryGaps(tuple(widths), output, linearized, at_end)


def linearization_section(name: str, gaps: TrajectoryGaps, *, enough: bool) -> Section:
    """The two suprema against width, each with its exponent."""
    output, linearized = (quantiles(each, 0.5) for each in (gaps.output, gaps.linearized))
    made = (
        exponent_check(
            f"{name}: sup over t and x of |fₗᵢₙ, all weights − fₗᵢₙ, output layer only| is O(1/n)",
            gaps.widths,
            gaps.output,
            -1.0,
            f"{PAPER}, eq. (12)",
            enough=enough,
        ),
        exponent_check(
            f"{name}: sup over t and x of |fₗᵢₙ − f| is O(n^(−1/2))",
            gaps.widths,
            gaps.linearized,
            -0.5,
            f"{PAPER}, eq. (7)",
            enough=enough,
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


def exponent_check(
    claim: str, widths: Sequence[int], gaps: Array, exponent: float, reference: str, *, enough: bool
) -> Check:
    """The fitted exponent is at most the theory's; only one above it by more than the fit's own error refutes."""
    slope, low, high = fitted_slope(np.asarray(widths), gaps)
    reason = f"{slope_in_words(slope, low, high)}; O(·) is an upper bound"
    if enough and not np.isnan(slope):
        excess = Evidence(slope - exponent, (high - low) / 4)
        return Check.of(claim, excess, UPPER, reference=reference, reason=reason)
    measured = None if np.isnan(slope) else slope - exponent
    return Check.not_reached(claim, measured, why=f"{reason}; too few seeds or widths to test it", reference=reference)
