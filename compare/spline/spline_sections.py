"""The sections of the spline report, each built from a finished study: what was measured, and what theory says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compare.function_distance import uniform_distance
from compare.reports.report import Check, Column, Figure, Section, Value
from compare.spline.smoothing_trajectory import TrajectoryStudy
from compare.spline.spline_cases import AUTHORS_RMS, BUILTIN, SplineCase
from compare.spline.width_rates import FITTED_FROM, WidthStudy, fitted_slope, quantiles
from gd.networks.wide_relu import LinearPieces
from gd.squared_loss.weight_decay import DecayedNetwork
from solvers.splines.initial_distributions import InitialDistribution
from solvers.splines.rich_regime import RichInterpolant
from solvers.splines.weighted_spline import WeightedSpline

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Array = NDArray[np.float64]
PAPER = "Jin and Montúfar (2023), Theorem 1"
SLOPE_TOLERANCE = 0.05


def rate_section(name: str, study: WidthStudy, case: SplineCase, *, enough: bool) -> Section:
    """Error against width. The slope is tested only when there are `enough` seeds and widths to know it to 0.05."""
    median = study.median()
    low, high = quantiles(study.sup, 0.25), quantiles(study.sup, 0.75)
    runs = (~np.isnan(study.rms)).sum(axis=1)
    mean_rms = np.where(runs > 0, np.nansum(study.rms, axis=1) / np.maximum(runs, 1), np.nan)
    numbers = {"median": median, "low": low, "high": high, "rms": mean_rms}
    rows = tuple(
        {"width": n, "fitted": n >= FITTED_FROM, "runs": int(runs[k])}
        | {key: float(values[k]) if runs[k] else None for key, values in numbers.items()}
        for k, n in enumerate(study.widths)
    )
    statement = f"{name}: the median sup distance to the weighted spline falls like width^(−1/2)"
    off = abs(study.slope + 0.5)
    interval = slope_in_words(study.slope, *study.interval)
    if enough:
        checks = [Check.at_most(statement, off, SLOPE_TOLERANCE, reference=PAPER, reason=interval)]
    else:
        why = f"{interval}; too few seeds or widths to know the slope to {SLOPE_TOLERANCE}"
        checks = [Check.no_prediction(statement, None if np.isnan(off) else off, why=why, reference=PAPER)]
    if case is BUILTIN and name in AUTHORS_RMS and 640 in study.widths:
        front, power = AUTHORS_RMS[name]
        measured, theirs = float(mean_rms[study.widths.index(640)]), front * 640**power
        claim = f"{name}: mean RMS distance at width 640 is no larger than the authors' fit {front}·n^{power}"
        checks.append(
            Check.at_most(claim, measured, theirs, unit="y", reference="Jin and Montúfar (2023), figures")
            if enough
            else Check.no_prediction(claim, measured, why="too few seeds for a mean", unit="y")
        )

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.fill_between(study.widths, low, high, color="C0", alpha=0.2, linewidth=0)
        axes.loglog(study.widths, median, "o-", color="C0", label="median, quartiles")
        widths = np.asarray(study.widths)
        fitted = (widths >= FITTED_FROM) & ~np.isnan(median)
        if fitted.any():  # through the middle of the fitted medians
            constant = np.exp(np.mean(np.log(median[fitted] * np.sqrt(widths[fitted]))))
            axes.loglog(widths, constant / np.sqrt(widths), "--", color="C1", label="theory: slope −1/2")
        axes.set_xlabel("width n (units of one half)")
        axes.set_ylabel("max |network − spline|  (units of y)")
        axes.legend()

    figure = Figure(
        f"rate-{name.replace(':', '-').replace(',', '-')}",
        f"{name}: largest distance on [{case.x[0]:g}, {case.x[-1]:g}] against width, log axes; {interval}.",
        draw,
        {"width": study.widths, "median sup distance (y)": median, "quartile 1 (y)": low, "quartile 3 (y)": high},
    )
    text = (
        "Each network is trained by gradient flow to residual 1e-10 on data corrected by the line (u, v) of problem "
        "(21); on the data as they are the limit is another function (problem (18)), and the error would stop falling. "
        "Distances are true maxima, pieces against spline. Widths below 80 are shown and not fitted: their kernel is "
        f"often nearly singular. {study.unfitted} network(s) did not reach the residual in the steps allowed and are "
        "left out."
    )
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
    rows: tuple[dict[str, Value], ...] = tuple(
        {"init": name, "energy": spline.energy, "certificate": spline.certificate.worst,
         "distance": uniform_distance(pieces, spline, case.interval)}
        for name, (_, spline, pieces) in solutions.items()
    )  # fmt: skip
    grid = np.linspace(*case.interval, 801)

    def draw_functions(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for k, (name, (_, spline, pieces)) in enumerate(solutions.items()):
            line = case.y[0] - spline.values[0], case.y[-1] - spline.values[-1]
            back = np.interp(grid, case.interval, line)  # the line u x + v taken off the data
            axes.plot(grid, spline(grid) + back, color=f"C{k}", label=name)
            axes.plot(grid, pieces(grid) + back, ":", color=f"C{k}")
        axes.plot(case.x, case.y, "o", color="C7", markersize=4)
        axes.set_xlabel("x")
        axes.set_ylabel("y")
        axes.legend()

    def draw_weights(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for k, (name, (init, _, _)) in enumerate(solutions.items()):
            axes.plot(grid, init.zeta(grid), color=f"C{k}", label=name)
        axes.set_xlabel("x")
        axes.set_ylabel("ζ(x)")
        axes.legend()

    functions = {"x": grid} | {f"spline {name} (y)": spline(grid) for name, (_, spline, _) in solutions.items()}
    weights = {"x": grid} | {f"zeta {name}": init.zeta(grid) for name, (init, _, _) in solutions.items()}
    checks = tuple(
        Check.at_most(f"{name}: the spline satisfies its Euler–Lagrange conditions", spline.certificate.worst, 1e-10,
                      reason="relative, by a quadrature the solver did not use")
        for name, (_, spline, _) in solutions.items()
    )  # fmt: skip
    return Section(
        "What ζ does to the shape",
        "min ∫ g″²/ζ: where ζ is small, bending costs much and the solution straightens. Solid: the spline; dotted: "
        "one wide network trained on corrected data, its line added back.",
        (Column("init", "initialization"), Column("energy", "∫ g″²/ζ", "", ".8g"),
         Column("certificate", "worst residual of the spline", "", ".1e"),
         Column("distance", "sup distance of the network", "y", ".3g")),
        rows, checks,
        (Figure("solutions", "Splines (solid), wide networks (dotted), data (dots).", draw_functions, functions),
         Figure("zeta", "ζ: how cheaply the network bends at x.", draw_weights, weights)),
    )  # fmt: skip


def slope_in_words(slope: float, low: float, high: float) -> str:
    """The fitted slope and its interval, or that there is none."""
    if np.isnan(slope):
        return f"no slope: it takes two widths of {FITTED_FROM} or more"
    return f"slope {slope:.3f}, 95 % bootstrap interval [{low:.3f}, {high:.3f}]"


def training_section(name: str, widths: tuple[int, ...], gaps: Array, *, enough: bool) -> Section:
    """Training all weights (linearized) against the output layer only."""
    median = quantiles(gaps, 0.5)
    slope, low, high = fitted_slope(np.asarray(widths), gaps)
    claim = f"{name}: training all weights of the linearized network and training the output layer differ by O(1/n)"
    reason = f"{slope_in_words(slope, low, high)}; O(1/n) is an upper bound"
    # an upper bound: only a slope above −1 by more than the fit's own error speaks against it
    check = (
        Check.at_most(claim, slope + 1.0, 0.1, reference="Jin and Montúfar (2023), linearization", reason=reason)
        if enough
        else Check.no_prediction(
            claim, None if np.isnan(slope) else slope + 1.0, why=f"{reason}; too few seeds to test it"
        )
    )

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.loglog(widths, median, "o-", color="C2", label="median")
        axes.loglog(widths, median[-1] * (np.asarray(widths) / widths[-1]) ** -1.0, "--", color="C1", label="slope −1")
        axes.set_xlabel("width n (units of one half)")
        axes.set_ylabel("max |all − output only|  (y)")
        axes.legend()

    rows = tuple({"width": n, "median": median[k]} for k, n in enumerate(widths))
    return Section(
        "All weights against the output layer",
        "Same start, same data, both to residual 1e-10. The first layer's share of the tangent kernel is O(1), "
        "the output layer's O(n).",
        (Column("width", "width n"), Column("median", "median sup gap", "y", ".3g")),
        rows, (check,),
        (Figure("training", f"{name}: sup gap against width; {reason}.", draw,
                {"width": widths, "median sup gap (y)": median}),),
    )  # fmt: skip


def trajectory_section(name: str, study: TrajectoryStudy) -> Section:
    """Training and smoothing splines: an approximation, measured."""
    direct, nearest = study.distance(study.at_inverse_time), study.distance(study.nearest)
    rows = tuple(
        {"time": t, "direct": direct[k], "nearest": nearest[k], "smoothing": study.smoothing[k]}
        for k, t in enumerate(study.times)
    )

    def draw_distance(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.loglog(study.times, direct, "o-", label="λ = 1/(n t)")
        axes.loglog(study.times, nearest, "s-", label="nearest λ")
        axes.set_xlabel("n t")
        axes.set_ylabel("max |network − smoothing spline|  (y)")
        axes.legend()

    def draw_functions(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for colour, k in enumerate(np.linspace(0, study.times.size - 1, 4).round().astype(int)):
            axes.plot(study.grid, study.network[k], color=f"C{colour}", label=f"n t = {study.times[k]:.2g}")
            axes.plot(study.grid, study.nearest[k], ":", color=f"C{colour}")
        axes.set_xlabel("x")
        axes.set_ylabel("y (corrected)")
        axes.legend()

    why = "e^{−tΘ} is not λ(Θ + λ)⁻¹: smoothing splines approximate the trajectory and no rate is claimed between them"
    check = Check.no_prediction(
        f"{name}: largest distance, over time, to the nearest smoothing spline", float(nearest.max()), why=why, unit="y"
    )
    return Section(
        "The trajectory and smoothing splines",
        "f_t of one wide network and min Σ(g(x_i) − y_i)² + λ∫g″²/ζ. The spline's line is free and the network's is "
        "learnt like everything else, so early in training they are furthest apart.",
        (Column("time", "n t", "", ".3g"), Column("direct", "distance at λ = 1/(n t)", "y", ".3g"),
         Column("nearest", "distance at the nearest λ", "y", ".3g"), Column("smoothing", "nearest λ", "", ".3g")),
        rows, (check,),
        (Figure("trajectory-distance", f"{name}: distance along training.", draw_distance,
                {"n t": study.times, "at 1/(n t) (y)": direct, "at nearest (y)": nearest}),
         Figure("trajectory", f"{name}: the network (solid) and its nearest smoothing spline (dotted).", draw_functions,
                {"x": study.grid} | {f"network at nt={t:.3g} (y)": f
                                     for t, f in zip(study.times, study.network, strict=True)})),
    )  # fmt: skip


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
    checks = [
        Check.at_most("weight decay ends at the least max(∫|g″|, |g′(−∞) + g′(+∞)|) of all interpolants",
                      cost / exact.value - 1.0, 1e-2, reference="Savarese et al. (2019), Theorem 3.1",
                      reason="relative; the training problem is nonconvex, L-BFGS may end in another stationary point")
        if fitted
        else Check.no_prediction("weight decay ends at the least cost", cost,
                                 why="the network did not fit the data: a stationary point of the nonconvex problem")
    ]  # fmt: skip
    set_claim = "the trained function lies in the set of exact minimizers (distance outside their bounds)"
    if fitted and reached and exact.value > 0:
        checks.append(Check.at_most(set_claim, max(outside, 0.0), 1e-2 * spread, unit="y",
                                    reference="Debarre et al. (2022)"))  # fmt: skip

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.fill_between(grid, low, high, color="C1", alpha=0.25, linewidth=0, label="all minimizers of ∫|g″|")
        axes.plot(grid, exact.sparsest(grid), "--", color="C1", label="fewest bends")
        axes.plot(grid, values, color="C2", label="network, weight decay")
        axes.plot(grid, spline(grid), color="C0", label=f"kernel regime, {name}")
        axes.plot(case.x, case.y, "o", color="C7", markersize=4)
        axes.set_xlabel("x")
        axes.set_ylabel("y")
        axes.legend()

    unique = "is unique" if exact.unique else "is not unique: between the bounds, whatever keeps the slopes monotone"
    rows: tuple[dict[str, Value], ...] = (
        {"what": "exact minimum", "cost": exact.value, "residual": 0.0},
        {"what": "network, weight decay", "cost": cost, "residual": net.residual},
        {"what": f"weighted spline, {name}", "cost": spline_cost(spline), "residual": 0.0},
    )
    return Section(
        "The rich regime",
        f"With weight decay μ → 0 the first layer moves and the cost is ∫|g″| instead. Its minimizer {unique}.",
        (Column("what", "function"), Column("cost", "max(∫|g″|, |g′(−∞) + g′(+∞)|)", "y/x", ".6g"),
         Column("residual", "largest residual", "y", ".1e")),
        rows, checks,
        (Figure("rich", "Kernel and rich regime on the same data.", draw,
                {"x": grid, "lower bound (y)": low, "upper bound (y)": high, "network (y)": values,
                 "weighted spline (y)": spline(grid)}),),
    )  # fmt: skip


def spline_cost(spline: WeightedSpline) -> float:
    """R(g) of a weighted spline: its slope is monotone between the sign changes of ℓ, so by differences of slopes."""
    p, q = spline.density[:-1], spline.density[1:]
    turning = p * q < 0
    zeros = spline.knots[:-1] + np.diff(spline.knots) * np.divide(p, p - q, out=np.zeros_like(p), where=turning)
    slopes = spline.derivative(1)(np.sort(np.concatenate([spline.knots, zeros[turning]])))
    return max(float(np.abs(np.diff(slopes)).sum()), abs(float(slopes[0] + slopes[-1])))
