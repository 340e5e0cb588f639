"""Wide networks with several inputs, and deep ones, against the kernel's explicit solution.

One hidden layer, W·x + B with an isotropic law: on data corrected by the affine function u·x + v of problem (21), the
network ends at least norm in the kernel of the law, O(n^(−1/2)) away; for W on the sphere and B uniform that is the
polyharmonic spline of r³, computed here by scipy's `RBFInterpolator`, which knows nothing of networks. On the data as
they are it ends at problem (18), the affine function penalized.

Deep networks in the kernel regime: the tangent kernel moves less and less as the width grows, and the function ends at
the interpolant of the infinitely wide network's kernel. Both are measured on trained networks, at two sizes of y. The
kernel of a ReLU network moves as units switch on or off: with small y few do, and its change is a matter of chance.
With larger y the moving kernel brings narrow networks nearer to the interpolant, by 23 % at 80 units and 16 % at 160,
which flattens the slope of the distance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.interpolate import RBFInterpolator
from torch import nn

from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Section
from compare.reports.tables import table
from compare.spline.exponents import exponent_check, fitted_slope
from compare.spline.width_rates import quantiles
from gd.networks.mirrored_relu import DeepReLU, WideReLUVectors
from gd.squared.squared_flow import squared_flow_limit
from gd.squared.tangent import tangent_bundle
from gd.status import SquaredStatus
from solvers.arrays import Array
from solvers.splines.vector_kernels import DeepReLUKernel, GaussianInputs, InputLaw, SphereInputs, vector_interpolant

PAPER = "Jin and Montúfar (2020), future work: multidimensional inputs"
DEEP = "Jacot, Gabriel, Hongler (2018); Lee et al. (2019)"
WIDTHS = (160, 640, 2560)
DEEP_WIDTHS = (80, 160, 320)
NARROWER = (40, 80, 160)
"""For how far the kernel moves."""
DEPTH = 3
MOVING, STAYING = 0.25, 0.02
"""Factors on y for deep networks: the kernel moves by 3 % at 80 units, and by half a percent."""
DEEP_ACCURACY = 3e-2
"""Of their flow. Against 1e-2 distances are off by 1 % at most."""
AT_ONCE = 16
"""Networks that are trained in one batch: sixty deep ones would take four gigabytes."""
SPREAD = 4
"""Times as many networks with Gaussian weights: with as many as on the sphere the interval decides nothing."""


@dataclass(frozen=True)
class Gaps:
    """Networks against one explicit function."""

    name: str
    widths: tuple[int, ...]
    distance: Array = field(repr=False)
    """max over the grid of |network − explicit|, (W, S), in units of y; NaN where a network did not fit."""
    change: Array = field(repr=False)
    """‖Θ(∞) − Θ(0)‖/‖Θ(0)‖ of the tangent kernel, (W, S)."""


def scattered(d: int, points: int = 8, seed: int = 0) -> tuple[Array, Array, Array]:
    """X (N, d) in the unit ball, values of a smooth function, and a grid inside their bounding box."""
    generator = np.random.default_rng([seed, d])
    X = generator.standard_normal((points, d))
    X *= (generator.uniform(0, 1, points) ** (1 / d) / np.linalg.norm(X, axis=1))[:, None]
    y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2
    grid = generator.uniform(X.min(axis=0), X.max(axis=0), (150, d))
    return X, y, grid


def train(
    models: Sequence[nn.Module], X: Array, y: Array, grid: Array, explicit: Array, accuracy: float
) -> tuple[Array, Array]:
    """Distances on the grid to the explicit function's values, and how far the tangent kernels have moved."""
    limit = squared_flow_limit(models, X, y, grid=grid, accuracy=accuracy, max_steps=1000)
    fitted = np.array([status is SquaredStatus.FITTED for status in limit.status])
    inputs, targets = torch.as_tensor(X), torch.as_tensor(y)
    with torch.no_grad():
        before = tangent_bundle(models, inputs, targets, torch.device("cpu"))
        start = before.at(before.start).kernel
        for run, model in enumerate(models):
            limit.load(model, run)
        after = tangent_bundle(models, inputs, targets, torch.device("cpu"))
        moved = torch.linalg.matrix_norm(after.at(after.start).kernel - start) / torch.linalg.matrix_norm(start)
    distance = np.abs(limit.grid_outputs[:, -1] - explicit).max(axis=1)
    return np.where(fitted, distance, np.nan), np.where(fitted, moved.numpy(), np.nan)


def study(
    name: str,
    build: Callable[[int, int], nn.Module],
    widths: Sequence[int],
    seeds: int,
    data: tuple[Array, Array, Array],
    explicit: Array,
    accuracy: float = 1e-2,
) -> Gaps:
    """Networks `build(width, seed)` of every width, trained on (X, y, grid), `AT_ONCE` of them in a batch."""
    distance, change = np.full((2, len(widths), seeds), np.nan)
    for k, width in enumerate(widths):
        for first in range(0, seeds, AT_ONCE):
            batch = slice(first, min(first + AT_ONCE, seeds))
            models = [build(width, seeds * width + s) for s in range(batch.start, batch.stop)]
            distance[k, batch], change[k, batch] = train(models, *data, explicit, accuracy)
    return Gaps(name, tuple(widths), distance, change)


def polyharmonic_study(d: int, widths: Sequence[int], seeds: int) -> Gaps:
    """W on the sphere, B uniform, on corrected data, against scipy's spline of r³ less the affine function."""
    X, y, grid = scattered(d)
    law = SphereInputs(1.5)
    affine = vector_interpolant(X, y, law)
    explicit = affine.corrected(grid, RBFInterpolator(X, y, kernel="cubic", degree=1)(grid))
    data = X, affine.corrected(X, y), grid
    name = f"d = {d}, W on the sphere, corrected data: the polyharmonic spline of r³"
    return study(name, lambda n, seed: WideReLUVectors(n, d, law, seed=seed), widths, seeds, data, explicit)


def raw_study(d: int, law: InputLaw, widths: Sequence[int], seeds: int) -> Gaps:
    """Any law, on the data as they are, against the interpolant with the affine function penalized."""
    X, y, grid = scattered(d)
    explicit = vector_interpolant(X, y, law, "penalized")(grid)
    name = f"d = {d}, {law}, data as they are: the kernel interpolant"
    return study(name, lambda n, seed: WideReLUVectors(n, d, law, seed=seed), widths, seeds, (X, y, grid), explicit)


def deep_study(depth: int, widths: Sequence[int], seeds: int, amplitude: float) -> Gaps:
    """Deep networks against the interpolant in the infinitely wide network's tangent kernel, values amplitude·y."""
    X, y, grid = scattered(2)
    data = X, amplitude * y, grid
    explicit = vector_interpolant(*data[:2], DeepReLUKernel(depth), "penalized")(grid)
    name = f"depth {depth}, d = 2, y of {amplitude:g} times the size: the interpolant of the limiting tangent kernel"

    def build(width: int, seed: int) -> DeepReLU:
        return DeepReLU(width, 2, depth, seed=seed)

    return study(name, build, widths, seeds, data, explicit, DEEP_ACCURACY)


def inputs_section(*, widths: Sequence[int] = WIDTHS, seeds: int = 24) -> Section:
    """Networks with two and three inputs."""
    found = [
        polyharmonic_study(2, widths, seeds),
        polyharmonic_study(3, widths, seeds),
        raw_study(2, SphereInputs(1.5), widths, seeds),
        raw_study(2, GaussianInputs(), widths, SPREAD * seeds),
    ]
    text = (
        "Eight scattered points, networks of two mirrored halves, all weights trained by gradient flow to residual "
        "1e-10. The kernels are closed forms: arc-cosine for Gaussian weights; for weights on the sphere and uniform "
        "biases an affine function plus a multiple of |x − x′|³."
    )
    made = [distance_check(gaps, PAPER) for gaps in found]
    return gaps_section("Several inputs", text, found, made, "inputs")


def deep_section(*, seeds: int = 64) -> Section:
    """Networks of depth three in the kernel regime."""
    moving, staying = (
        deep_study(DEPTH, widths, seeds, amplitude)
        for widths, amplitude in ((NARROWER, MOVING), (DEEP_WIDTHS, STAYING))
    )
    text = (
        f"ReLU networks of depth {DEPTH} in the parametrization of the tangent kernel, squared loss, two inputs, eight "
        "points. How far Θ moves in training says whether this is the kernel regime; it is measured with y of "
        f"{MOVING} times the size it has above. The distance to the kernel's interpolant is measured with {STAYING} "
        "times, where the kernel hardly moves: with larger y its motion brings narrow networks nearer, and the slope "
        "is not that of the kernel at the start."
    )
    claim = f"depth {DEPTH}: the tangent kernel's relative change in training is O(m^(−1/2))"
    kept = exponent_check(claim, moving.widths, moving.change, -0.5, DEEP)
    made = [kept, distance_check(staying, DEEP)]
    return gaps_section("Deep networks in the kernel regime", text, [moving, staying], made, "deep")


def distance_check(gaps: Gaps, reference: str) -> Check:
    """The networks approach the explicit function."""
    claim = f"{gaps.name}, sup distance O(n^(−1/2))"
    return exponent_check(claim, gaps.widths, gaps.distance, -0.5, reference)


def gaps_section(title: str, text: str, found: Sequence[Gaps], made: Sequence[Check], name: str) -> Section:
    """Medians at every width, and the fitted exponents."""
    lines, curves = [], []
    for colour, gaps in enumerate(found):
        median, change = quantiles(gaps.distance, 0.5), quantiles(gaps.change, 0.5)
        slope = fitted_slope(gaps.widths, gaps.distance)[0]
        fitted = (~np.isnan(gaps.distance)).sum(axis=1)
        lines += [
            (gaps.name, n, int(fitted[k]), median[k], change[k], slope if n == gaps.widths[-1] else None)
            for k, n in enumerate(gaps.widths)
        ]
        names = ("width", f"median sup distance (y): {gaps.name}")
        curves.append(Curve(gaps.name, np.asarray(gaps.widths), median, "o-", colour, names))
    columns = (
        Column("what", "networks and explicit function"),
        Column("width", "width"),
        Column("runs", "networks that fit"),
        Column("distance", "median sup distance", "y", ".3g"),
        Column("change", "‖Θ(∞) − Θ(0)‖/‖Θ(0)‖", "", ".3g", "Median; Frobenius norms of the tangent kernel."),
        Column("slope", "slope of the distance", "", ".3f"),
    )
    labels = ("width", "max |network − explicit|  (y)")
    figure = curve_plot(name, "Distance to the explicit function against width.", curves, labels, log="xy")
    return Section(title, text, *table(columns, lines), made, (figure,))
