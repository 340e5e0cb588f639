"""Networks that start at a function f₀ ≠ 0: initialized as printed, eq. (3), without mirrored halves.

The theorem is about the change, g − f₀:

    min ∫ (g″ − f₀″)²/ζ  s.t.  g(x_i) = y_i − u x_i − v,        (u, v) of problem (21) with y − f₀ for y.

Each network has its own f₀, hence its own data. All of it is measured on the trained network: its largest distance to
f₀ + spline of (y − f₀ − u x − v) falls like n^(−1/2), and its distance to the spline that takes f₀ for zero falls no
further than f₀ bends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Evidence, Section
from compare.reports.tables import table
from compare.spline.exponents import exponent_check
from compare.spline.spline_cases import SplineCase
from compare.spline.width_rates import ACCURACY, MAX_STEPS, quantiles, seeds_at
from gd.networks.wide_relu import LinearPieces, WideReLU
from gd.squared.squared_flow import squared_flow_limit
from gd.status import SquaredStatus
from solvers.arrays import Array
from solvers.splines.initial_distributions import InitialDistribution
from solvers.splines.kernel_interpolant import kernel_interpolant
from solvers.splines.weighted_spline import weighted_spline

PAPER = "Jin and Montúfar (2020), main theorem, eq. (4)"
POINTS = 1001


@dataclass(frozen=True)
class StartStudy:
    """Networks initialized as printed; (W, S), in units of y, NaN where a network did not fit the data."""

    widths: tuple[int, ...]
    mirrored: Array = field(repr=False)
    """Two mirrored halves, f₀ = 0: largest distance to the spline."""
    with_start: Array = field(repr=False)
    """No halves, f₀ ≠ 0: largest distance to f₀ + the spline of y − f₀."""
    ignored: Array = field(repr=False)
    """The same networks: largest distance to the spline of the data, as if f₀ were 0."""
    lines: Array = field(repr=False)
    """(u, v) of every network of the second kind, (W, S, 2)."""


def start_study(case: SplineCase, init: InitialDistribution, widths: Sequence[int], seeds: Sequence[int]) -> StartStudy:
    """Train networks with output weights and bias from the law, mirrored and not."""
    shape = (len(widths), len(seeds))
    mirrored, with_start, ignored = np.full((3, *shape), np.nan)
    lines = np.full((*shape, 2), np.nan)
    grid = np.unique(np.concatenate([np.linspace(*case.interval, POINTS), case.x]))
    for k, width in enumerate(widths):
        for s, seed in enumerate(seeds_at(width, seeds)):
            mirrored[k, s] = train(case, WideReLU(width, init, output_start="law", seed=seed), grid).distance(1.0)
            found = train(case, printed_start(width, init, seed), grid)
            with_start[k, s], ignored[k, s], lines[k, s] = found.distance(1.0), found.distance(0.0), found.line
    return StartStudy(tuple(widths), mirrored, with_start, ignored, lines)


def printed_start(width: int, init: InitialDistribution, seed: int) -> WideReLU:
    """Eq. (3), without mirrored halves."""
    return WideReLU(width, init, anti_symmetric=False, output_start="law", seed=seed)


@dataclass(frozen=True)
class Trained:
    """One network, on data corrected by its own line."""

    case: SplineCase
    init: InitialDistribution
    grid: Array = field(repr=False)
    line: tuple[float, float]
    """(u, v)."""
    y: Array = field(repr=False)
    """The corrected data."""
    start: LinearPieces = field(repr=False)
    """f₀."""
    values: Array | None = field(repr=False)
    """On the grid; None where the network did not fit the data."""

    def predicted(self, share: float) -> Array:
        """c f₀ + the spline of y − c f₀ on the grid, c = 1 in the theorem."""
        spline = weighted_spline(self.case.x, self.y - share * self.start(self.case.x), self.init)
        return np.asarray(share * self.start(self.grid) + spline(self.grid))

    def distance(self, share: float) -> float:
        """To that; NaN where the network did not fit the data."""
        return np.nan if self.values is None else float(np.abs(self.values - self.predicted(share)).max())


def train(case: SplineCase, net: WideReLU, grid: Array) -> Trained:
    """Solve problem (21) with y − f₀ for the line, then train."""
    start = net.pieces()
    found = kernel_interpolant(case.x, case.y - start(case.x), net.init)
    y = found.corrected(case.x, case.y)
    limit = squared_flow_limit(net, case.x[:, None], y, accuracy=ACCURACY, max_steps=MAX_STEPS)
    limit.load(net)
    values = net.pieces()(grid) if limit.status[0] is SquaredStatus.FITTED else None
    return Trained(case, net.init, grid, found.line, y, start, values)


def start_section(name: str, study: StartStudy) -> Section:
    """The three distances against width, and what is predicted of two of them."""
    widths = np.asarray(study.widths)
    medians = {
        "mirrored, f₀ = 0": quantiles(study.mirrored, 0.5),
        "f₀ ≠ 0": quantiles(study.with_start, 0.5),
        "f₀ ≠ 0, ignored": quantiles(study.ignored, 0.5),
    }
    made = start_checks(name, study)
    u, v = study.lines[-1, :, 0], study.lines[-1, :, 1]
    lines = [(n, *(values[k] for values in medians.values())) for k, n in enumerate(study.widths)]
    columns = (
        Column("width", "width n", about="units of the network, or of one half"),
        Column("mirrored", "mirrored, f₀ = 0", "y", ".3g", "Median sup distance to the spline."),
        Column("with", "f₀ ≠ 0", "y", ".3g", "To f₀ + the spline of y − f₀."),
        Column("ignored", "f₀ ≠ 0, ignored", "y", ".3g", "The same networks, to the spline that takes f₀ for 0."),
    )
    text = (
        "Output weights and bias are drawn as printed in eq. (3): a = W/√n, d = B/√n, by the first layer's law. "
        "Without mirrored halves the network starts at a random function f₀, and u and v, found from problem (21) with "
        f"y − f₀, differ from network to network: at width {study.widths[-1]}, u = {u.mean():.3f} ± {u.std():.3f} and "
        f"v = {v.mean():.3f} ± {v.std():.3f} (mean ± standard deviation)."
    )
    curves = [
        Curve(what, widths, values, "o-", colour, ("width", f"{what}, median sup distance (y)"))
        for colour, (what, values) in enumerate(medians.items())
    ]
    labels = ("width n", "max |network − prediction|  (y)")
    figure = curve_plot("start", f"{name}: initialization as printed.", curves, labels, log="xy")
    return Section(f"Initialization as printed, {name}", text, *table(columns, lines), made, (figure,))


def start_checks(name: str, study: StartStudy) -> list[Check]:
    """O(n^(−1/2)) for both starts; and f₀ cannot be left out."""
    rows = (("mirrored, f₀ = 0", study.mirrored), ("f₀ ≠ 0", study.with_start))
    made = [
        exponent_check(f"{name}, as printed, {what}: O(n^(−1/2))", study.widths, gaps, -0.5, PAPER)
        for what, gaps in rows
    ]
    claim = f"{name}: the widest networks are nearer to the prediction with f₀ than to that without"
    return [*made, nearer_check(claim, study.with_start[-1], study.ignored[-1])]


def nearer_check(claim: str, distances: Array, others: Array) -> Check:
    """That networks are nearer to one function than to another, on the whole."""
    logs = np.log(distances / others)
    reason = "mean ln of the ratio of the distances, 95 % interval"
    return Check.of(claim, Evidence.of_sample(logs[~np.isnan(logs)]), 0.0, reference=PAPER, reason=reason)
