"""Wrong explicit functions: another initialization's ζ for wide ReLU networks, another filter for generators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from compare.function_distance import uniform_distance
from compare.generators.denoising_filter import FLUCTUATIONS, REFERENCE, noisy_copies, train_widths
from compare.generators.image_sources import shipped
from compare.mutants.trial import Mutant, Trial
from compare.reports.report import Check, Evidence
from compare.spline.spline_cases import SplineCase, parse_init
from compare.spline.spline_sections import PAPER
from compare.spline.width_rates import corrected_problem, train_batch
from solvers.arrays import Array
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
from solvers.filters.early_stopping import early_stopping_filter, tikhonov_filter, truncated_filter
from solvers.splines.weighted_spline import WeightedSpline, weighted_spline

STANDARD_ERRORS = 3.0
RESOLVED = 3.0
"""A mean of networks resolves this many of its uncertainties,"""
SHARE = 0.1
"""and at the least this share of the range of y, or it resolves nothing."""

Function = Callable[[Array], Array]


def diabetes() -> SplineCase:
    """Mean disease progression in six groups of equal size by body mass index (scikit-learn), x and y to scale one."""
    from sklearn.datasets import load_diabetes

    table = load_diabetes()
    groups = np.array_split(np.argsort(table.data[:, 2], kind="stable"), 6)
    x, y = (np.array([values[g].mean() for g in groups]) for values in (table.data[:, 2], table.target))
    return SplineCase("diabetes, six groups", 2.0 * x / np.abs(x).max(), (y - y.mean()) / y.std())


def spline_trial(case: SplineCase, init: str, width: int, seeds: int) -> Trial:
    """Wide networks of one initialization: their mean function against its own ζ's spline and against others'.

    The figure is the largest distance on the data's interval between the mean of the networks and the spline; its
    uncertainty is three standard errors of that mean.
    """
    law = parse_init(init)
    y, own = corrected_problem(case, law)
    trained = [net.pieces() for net in train_batch(case, y, law, width, range(seeds)) if net is not None]
    grid = np.linspace(*case.interval, 2001)
    values = np.stack([pieces(grid) for pieces in trained])
    uncertainty = STANDARD_ERRORS * float((values.std(axis=0, ddof=1) / np.sqrt(len(trained))).max())
    resolution = min(RESOLVED * uncertainty, SHARE * float(np.ptp(case.y)))

    def check(claim: str, spline: WeightedSpline) -> Check:
        far = float(np.abs(values.mean(axis=0) - spline(grid)).max())
        statement = f"width {width}, {init}, {case.name}: the mean network is {claim}"
        return Check.of(statement, Evidence(far, uncertainty), resolution, unit="y", reference=PAPER)

    right = f"the spline of {init}'s ζ"
    mutants = [Mutant(right, check(right, own))]
    others = ("gaussian:1,1", "gaussian:1,0.316228", "uniform:1,1", "uniform:1,2")
    wrong = {
        f"the spline of {name}'s ζ": weighted_spline(case.x, y, parse_init(name)) for name in others if name != init
    }
    wrong["the natural cubic spline, ζ = 1"] = weighted_spline(case.x, y)
    for claim, spline in wrong.items():
        apart = uniform_distance(own, spline, case.interval)
        mutants.append(Mutant(claim, check(claim, spline), apart, RESOLVED * uncertainty))
    return Trial(f"spline, {init}", case.name, tuple(mutants))


def scan_line() -> Array:
    """128 pixels, the middle row of scikit-image's camera man: mean 0, root mean square 1."""
    line = shipped("camera", 128).pixels[0, 64]
    return np.asarray((line - line.mean()) / line.std())


def filter_trial(name: str, x: Array, k: int, seeds: Sequence[int]) -> Trial:
    """A trained two-layer generator against its filter and against wrong ones, along the whole trajectory."""
    width, steps, share = 0.1, 40, 0.4
    ys = noisy_copies(x, 0.2, seeds)
    kernel, step, right, (trained,) = train_widths(x, ys, width, (k,), seeds, steps, share)
    t = np.arange(steps + 1)[:, None] * np.ones(len(seeds))
    lengths = np.linalg.norm(ys, axis=1)
    other = dual_kernel(gaussian_kernel(x.size, 2.0 * width))
    learned = [np.inf, *(1.0 / (step * n) for n in range(1, steps + 1))]
    ranks = [int((kernel.eigenvalues > ridge).sum()) for ridge in learned]

    def each(at: Callable[[int], Function]) -> Array:
        return np.stack([np.zeros_like(ys), *(at(n)(ys) for n in range(1, steps + 1))])

    claims: dict[str, Array] = {
        "twice the step": early_stopping_filter(kernel, 2.0 * step, t)(ys),
        "half the step (a loss without its ½)": early_stopping_filter(kernel, 0.5 * step, t)(ys),
        "a kernel of twice the width": early_stopping_filter(other, share / other.largest, t)(ys),
        "Tikhonov, λ = 1/(ηt)": each(lambda n: tikhonov_filter(kernel, learned[n])),
        "the truncated SVD at σ² = 1/(ηt)": each(lambda n: truncated_filter(kernel, max(ranks[n], 1))),
    }

    def check(claim: str, predicted: Array) -> Check:
        apart = (np.linalg.norm(trained.path.outputs - predicted, axis=2) / lengths).max(axis=0)
        error = STANDARD_ERRORS * float(apart.std(ddof=1)) / np.sqrt(apart.size)
        statement = f"generator with {k} channels, {name}: early stopping is {claim}"
        evidence = Evidence(float(apart.mean()), float(error))
        return Check.of(statement, evidence, FLUCTUATIONS * trained.fluctuation, reference=REFERENCE)

    mutants = [Mutant("1 − (1 − ησ²)^t", check("the filter 1 − (1 − ησ²)^t", right))]
    for claim, predicted in claims.items():
        apart = float((np.linalg.norm(predicted - right, axis=2) / lengths).max(axis=0).mean())
        mutants.append(Mutant(claim, check(claim, predicted), apart))
    return Trial("filter, two-layer generator", name, tuple(mutants))
