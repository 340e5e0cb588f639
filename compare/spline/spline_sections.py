"""The sections of the spline report, each built from a finished study: what was measured, and what theory says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from compare.function_distance import uniform_distance
from compare.reports.curves import Curve, curve_plot
from compare.reports.records import slug
from compare.reports.report import Check, Column, Evidence, Section, Value
from compare.reports.wording import counted, number
from compare.spline.exponents import exponent_check, fitted_slope, slope_in_words
from compare.spline.smoothing_trajectory import TrajectoryStudy
from compare.spline.spline_cases import AUTHORS_RMS, BUILTIN, SplineCase
from compare.spline.width_rates import FITTED_FROM, WidthStudy, quantiles
from gd.descent.weight_decay import DecayedNetwork
from gd.networks.wide_relu import LinearPieces
from solvers.splines.initial_distributions import InitialDistribution
from solvers.splines.kernel_interpolant import kernel_interpolant
from solvers.splines.rich_regime import RichInterpolant
from solvers.splines.weighted_spline import WeightedSpline

SOLVED = 12
"""Digits of u, in units of the data's slope, that the linear system of the kernel interpolant determines."""
PAPER = "Jin and Montúfar (2023), Theorem 1"


def rate_section(name: str, study: WidthStudy, case: SplineCase) -> Section:
    """Error against width, with the verdict on the fitted slope."""
    median = study.median()
    low, high = quantiles(study.sup, 0.25), quantiles(study.sup, 0.75)
    runs = (~np.isnan(study.rms)).sum(axis=1)
    mean_rms = np.where(runs > 0, np.nansum(study.rms, axis=1) / np.maximum(runs, 1), np.nan)
    numbers = {"median": median, "low": low, "high": high, "rms": mean_rms}
    rows = tuple(
        {"width": n, "fitted": bool(study.fitted[k]), "runs": int(runs[k])}
        | {key: float(values[k]) if runs[k] else None for key, values in numbers.items()}
        for k, n in enumerate(study.widths)
    )
    statement = f"{name}: the sup distance to the weighted spline falls like width^(−1/2)"
    fitted = [n for n in study.widths if n >= FITTED_FROM], study.sup[study.fitted]
    checks = [exponent_check(statement, *fitted, -0.5, PAPER, exact=True)]
    if case is BUILTIN and name in AUTHORS_RMS and 640 in study.widths:
        front, power = AUTHORS_RMS[name]
        at = study.rms[study.widths.index(640)]
        mean, theirs = Evidence.of_sample(at[~np.isnan(at)]), front * 640**power
        claim = f"{name}: mean RMS distance at width 640 is no larger than the authors' fit {front}·n^{power}"
        checks.append(Check.of(claim, mean, theirs, unit="y", reference="Jin and Montúfar (2023), figures"))

    widths = np.asarray(study.widths)
    curves = [
        Curve("median, quartiles", widths, median, "o-", 0, ("width", "median sup distance (y)")),
        Curve("", widths, low, "-", 0, ("width", "quartile 1 (y)"), {"alpha": 0.3}),
        Curve("", widths, high, "-", 0, ("width", "quartile 3 (y)"), {"alpha": 0.3}),
    ]
    used = study.fitted & ~np.isnan(median)
    if used.any():  # through the middle of the fitted medians
        constant = np.exp(np.mean(np.log(median[used] * np.sqrt(widths[used]))))
        curves.append(Curve("theory: slope −1/2", widths, constant / np.sqrt(widths), "--", 1))
    low_end, high_end = case.interval
    slope = slope_in_words(*fitted_slope(*fitted))
    caption = f"{name}: largest distance on [{number(low_end)}, {number(high_end)}] against width, log axes; {slope}."
    labels = ("width n (units of one half)", "max |network − spline|  (units of y)")
    figure = curve_plot(f"rate-{slug(name)}", caption, curves, labels, log="xy")
    text = (
        "Each network is trained by gradient flow to residual 10⁻¹⁰ on data corrected by the line (u, v) of problem "
        "(21); on the data as they are the limit is another function (problem (18)), and the error would stop falling. "
        f"Distances are true maxima, pieces against spline. Widths below {FITTED_FROM} are shown and not fitted: there "
        "the kernel of the data is often nearly singular."
    )
    if study.unfitted:
        text += f" Left out, not fitted in the steps allowed: {counted(study.unfitted, 'network')}."
    columns = (
        Column("width", "width n", about="units of one of the two mirrored halves; 2n in all"),
        Column("median", "median sup distance", "y", ".4g"),
        Column("low", "lower quartile", "y", ".4g"),
        Column("high", "upper quartile", "y", ".4g"),
        Column("rms", "mean RMS distance", "y", ".4g"),
        Column("fitted", "in the fit"),
        Column("runs", "networks"),
    )
    return Section(f"Error against width, {name}", text, columns, rows, checks, (figure,))


Solution = tuple[InitialDistribution, WeightedSpline, LinearPieces]


def shape_section(case: SplineCase, solutions: Mapping[str, Solution]) -> Section:
    """ζ of each initialization, the spline it leads to, and a wide network trained on corrected data."""
    rows: list[dict[str, Value]] = []
    functions, weights = [], []
    grid = np.linspace(*case.interval, 801)
    wide = grid + (grid - grid.mean())
    for k, (name, (init, spline, pieces)) in enumerate(solutions.items()):
        worst = spline.certificate.worst
        distance = uniform_distance(pieces, spline, case.interval)
        u, v = kernel_interpolant(case.x, case.y, init).line
        steepest = np.ptp(case.y) / np.ptp(case.x)
        u = round(u / steepest, SOLVED) * steepest if steepest else u
        rows.append({"init": name, "u": u, "v": v, "energy": spline.energy, "certificate": worst, "distance": distance})
        line = case.y[0] - spline.values[0], case.y[-1] - spline.values[-1]
        back = np.interp(grid, case.interval, line)  # the line u x + v taken off the data
        functions.append(Curve(name, grid, spline(grid) + back, "-", k, ("x", f"spline {name} (y)")))
        functions.append(Curve("", grid, pieces(grid) + back, ":", k))
        weights.append(Curve(name, wide, init.zeta(wide), "-", k, ("x", f"zeta {name}")))
    functions.append(Curve("", case.x, case.y, "o", 7, look={"markersize": 4}))
    caption = "Splines (solid), wide networks (dotted), data (dots)."
    figures = (
        curve_plot("solutions", caption, functions, ("x", "y")),
        curve_plot(
            "zeta",
            "ζ: how cheaply the network bends at x, on twice the interval of the data.",
            weights,
            ("x", "ζ(x)"),
            adjust=lambda axes: axes.set_ylim(bottom=0.0),
        ),
    )
    text = (
        "min ∫ g″²/ζ: where ζ is small, bending costs much and the solution straightens. Solid: the spline; dotted: "
        "one wide network trained on corrected data, its line u x + v added back. u and v are the line of problem "
        "(21), unknowns of the linear system of its kernel interpolant, next to the coefficients."
    )
    columns = (
        Column("init", "initialization"),
        Column("u", "u", "y/x", ".6g"),
        Column("v", "v", "y", ".6g", "The line taken off the data."),
        Column("energy", "∫ g″²/ζ", "", ".8g"),
        Column("certificate", "worst residual of the spline", "", ".1e", "Of its Euler–Lagrange conditions, relative."),
        Column("distance", "sup distance of the network", "y", ".3g"),
    )
    return Section("What ζ does to the shape", text, columns, rows, (), figures)


def trajectory_section(name: str, study: TrajectoryStudy) -> Section:
    """Training and smoothing splines: an approximation, measured."""
    direct, nearest = study.distance(study.at_inverse_time), study.distance(study.nearest)
    rows = [
        {"time": t, "direct": direct[k], "nearest": nearest[k], "smoothing": study.smoothing[k]}
        for k, t in enumerate(study.times)
    ]
    distances = [
        Curve("λ = 1/(n t)", study.times, direct, "o-", names=("n t", "at 1/(n t) (y)")),
        Curve("nearest λ", study.times, nearest, "s-", names=("n t", "at nearest (y)")),
    ]
    functions = []
    for colour, k in enumerate(np.linspace(0, study.times.size - 1, 4).round().astype(int)):
        functions.append(Curve(f"n t = {number(study.times[k], '.2g')}", study.grid, study.network[k], "-", colour))
        functions.append(Curve("", study.grid, study.nearest[k], ":", colour))
    networks = {f"network at nt={t:.3g} (y)": f for t, f in zip(study.times, study.network, strict=True)}
    why = "e^{−tΘ} is not λ(Θ + λ)⁻¹: smoothing splines approximate the trajectory and no rate is claimed between them"
    claim = f"{name}: largest distance, over time, to the nearest smoothing spline"
    check = Check.no_prediction(claim, float(nearest.max()), why=why, unit="y")
    text = (
        "f_t of one wide network and min Σ(g(x_i) − y_i)² + λ∫g″²/ζ. The spline's line is free and the network's is "
        "learnt like everything else, so early in training they are furthest apart."
    )
    columns = (
        Column("time", "n t", "", ".3g"),
        Column("direct", "distance at λ = 1/(n t)", "y", ".3g"),
        Column("nearest", "distance at the nearest λ", "y", ".3g"),
        Column("smoothing", "nearest λ", "", ".3g"),
    )
    labels = ("n t", "max |network − smoothing spline|  (y)")
    caption = f"{name}: the network (solid) and its nearest smoothing spline (dotted)."
    figures = (
        curve_plot("trajectory-distance", f"{name}: distance along training.", distances, labels, log="xy"),
        replace(
            curve_plot("trajectory", caption, functions, ("x", "y (corrected)")), data={"x": study.grid} | networks
        ),
    )
    return Section("The trajectory and smoothing splines", text, columns, rows, (check,), figures)


def rich_section(
    case: SplineCase, exact: RichInterpolant, net: DecayedNetwork, spline: WeightedSpline, name: str
) -> Section:
    """The kernel regime and the rich one, on the data as they are."""
    pieces = net.pieces()
    cost = max(pieces.variation, abs(float(pieces.slopes[0] + pieces.slopes[-1])))
    grid = np.unique(np.concatenate([np.linspace(*case.interval, 801), case.x]))
    low, high, values = exact.lower(grid), exact.upper(grid), pieces(grid)
    outside = float(np.maximum(low - values, values - high).max())
    spread = float(np.ptp(case.y)) or 1.0
    reached = cost <= exact.value * 1.01
    fitted = net.residual < 1e-3 * spread  # a network that misses the data is cheap for no merit of the theory
    if fitted:
        claim = "weight decay ends at the least max(∫|g″|, |g′(−∞) + g′(+∞)|) of all interpolants"
        reason = "relative; the training problem is nonconvex, L-BFGS may end in another stationary point"
        paper = "Savarese et al. (2019), Theorem 3.1"
        checks = [Check.at_most(claim, abs(cost / exact.value - 1.0), 1e-2, reference=paper, reason=reason)]
    else:
        why = "the network did not fit the data: a stationary point of the nonconvex problem"
        checks = [Check.not_reached("weight decay ends at the least cost", cost, why=why)]
    if fitted and reached and exact.value > 0:
        claim = "the trained function lies in the set of exact minimizers (distance outside their bounds)"
        largest = 1e-2 * spread
        checks.append(Check.at_most(claim, max(outside, 0.0), largest, unit="y", reference="Debarre et al. (2022)"))
    curves = [
        Curve("network, weight decay", grid, values, "-", 2, ("x", "network (y)"), {"linewidth": 4.5, "alpha": 0.45}),
        Curve("all minimizers of ∫|g″|", grid, low, "-", 1, ("x", "lower bound (y)"), {"alpha": 0.5}),
        Curve("", grid, high, "-", 1, ("x", "upper bound (y)"), {"alpha": 0.5}),
        Curve("fewest bends", grid, exact.sparsest(grid), "--", 1),
        Curve(f"kernel regime, {name}", grid, spline(grid), "-", 0, ("x", "weighted spline (y)")),
        Curve("", case.x, case.y, "o", 7, look={"markersize": 4}),
    ]

    def between(axes: Any) -> None:
        axes.fill_between(grid, low, high, color="C1", alpha=0.25, linewidth=0)

    caption = "Kernel and rich regime on the same data."
    figure = curve_plot("rich", caption, curves, ("x", "y"), adjust=between)
    unique = "is unique" if exact.unique else "is not unique: between the bounds, whatever keeps the slopes monotone"
    rows: list[dict[str, Value]] = [
        {"what": "exact minimum", "cost": exact.value, "residual": 0.0},
        {"what": "network, weight decay", "cost": cost, "residual": net.residual},
        {"what": f"weighted spline, {name}", "cost": spline_cost(spline), "residual": 0.0},
    ]
    columns = (
        Column("what", "function"),
        Column("cost", "max(∫|g″|, |g′(−∞) + g′(+∞)|)", "y/x", ".6g"),
        Column("residual", "largest residual", "y", ".1e"),
    )
    text = f"With weight decay μ → 0 the first layer moves and the cost is ∫|g″| instead. Its minimizer {unique}."
    return Section("The rich regime", text, columns, rows, checks, (figure,))


def spline_cost(spline: WeightedSpline) -> float:
    """R(g) of a weighted spline: its slope is monotone between the sign changes of ℓ, so by differences of slopes."""
    p, q = spline.density[:-1], spline.density[1:]
    turning = p * q < 0
    zeros = spline.knots[:-1] + np.diff(spline.knots) * np.divide(p, p - q, out=np.zeros_like(p), where=turning)
    slopes = spline.derivative(1)(np.sort(np.concatenate([spline.knots, zeros[turning]])))
    return max(float(np.abs(np.diff(slopes)).sum()), abs(float(slopes[0] + slopes[-1])))
