"""The trained two-layer generator and the spectral filter that predicts it, step by step.

The prediction is for k → ∞. At finite k the Jacobian's Gram matrix J Jᵀ at the start differs from its mean Σ by an
average over k/2 independent draws (the channels come in antisymmetric pairs). To first order in k^(−1/2) that puts the
output of step t away from the filter's by the mean of k/2 independent copies of δ_t,

    δ_{t+1} = (I − ηΣ) δ_t + η (M − Σ)(I − ηΣ)^t y,   δ_0 = 0,     M = (s sᵀ) ⊙ U Uᵀ,  s = 1[U c > 0],  c ~ N(0, I),

whose root mean square √(2/k) √E‖δ_t‖₂² is known before anything is trained. That of the first step, the kernel's
fluctuation, is the scale that the uniform distance is held against. The start has standard deviation ‖y‖₂: then the
weights that fit y stay close to it, and signs of U C rarely change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.generators.generator_figures import strip
from compare.generators.image_sources import Image
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Evidence, Figure, Section
from compare.reports.tables import table, table_of
from compare.reports.verdict import CONFIDENCE
from gd.images.descend_image import ImageTrajectory, descend_image
from gd.images.two_layer_generator import TwoLayerGenerator
from solvers.arrays import Array
from solvers.filters.dual_kernel import DualKernel, dual_kernel, gaussian_kernel
from solvers.filters.early_stopping import early_stopping_filter, tikhonov_filter, truncated_filter
from solvers.filters.early_stopping_error import best_stopping_time

REFERENCE = "Heckel & Soltanolkotabi (2020), Theorem 1"
FLUCTUATIONS = 2.0
"""A maximum over the trajectory and a mean over a few seeds stay within this many root mean squares."""
NEARER = 0.25
"""Of an exponent −1/2 in k: nearer to it than to 0, no approach at all, and to −1, no fluctuation of the kernel."""
INTERVAL = f"with half its {100 * CONFIDENCE:g} % interval"


@dataclass(frozen=True)
class Width:
    """One width k: the distances of every seed, and the trajectories behind them."""

    k: int
    distance: Array
    """max_t ‖G(C_t) − Ĝ_t‖₂ / ‖y‖₂, (seeds,)."""
    later: Array
    """The same over t ≥ 10."""
    fluctuation: float
    path: ImageTrajectory = field(repr=False)
    error: Array = field(repr=False)
    """‖G(C_t) − Ĝ_t‖₂ / ‖y‖₂ at every t, (T + 1, seeds)."""


def example_signal(n: int) -> Array:
    """Three low frequencies, of unit root mean square."""
    t = 2 * np.pi * np.arange(n) / n
    x = np.sin(t) + 0.5 * np.sin(2 * t + 1) + 0.3 * np.cos(3 * t)
    return np.asarray(x / np.sqrt(np.mean(x**2)))


def noisy_copies(x: Array, level: float, seeds: Sequence[int]) -> Array:
    """x plus Gaussian noise of standard deviation `level`, one copy per seed."""
    return np.stack([x + level * np.random.default_rng([seed, 3]).standard_normal(x.shape) for seed in seeds])


def fluctuations(
    u: Array, kernel: DualKernel, y: Array, step: float, k: int, steps: int = 1, draws: int = 4000, seed: int = 0
) -> Array:
    """√E‖δ_t‖₂² / ‖y‖₂ for t = 0 … `steps`, by Monte Carlo over single channels; of 4000, it is known to 3 %."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(u)

    def through(z: Array, power: NDArray[Any]) -> Array:
        return np.asarray(np.fft.irfft(np.fft.rfft(z, axis=-1) * power, n=u.size, axis=-1))

    active = through(rng.standard_normal((draws, u.size)), spectrum) > 0
    away, residual = np.zeros((draws, u.size)), y
    found = [0.0]
    for _ in range(steps):
        one = active * through(active * residual, np.abs(spectrum) ** 2) - kernel.apply(residual)
        away = away + step * (one - kernel.apply(away))
        residual = residual - step * kernel.apply(residual)
        found.append(float(np.mean(np.sum(away**2, axis=1))))
    return np.asarray(np.sqrt(2.0 / k * np.array(found)) / np.linalg.norm(y))


def exponent_weights(across: Sequence[float]) -> Array:
    """w with w·ln f = the exponent of f in `across`, by least squares in logarithms.

    >>> float((exponent_weights([1, 2, 8]) @ np.log([3, 12, 192])).round(12))
    2.0
    """
    logs = np.log(across) - np.mean(np.log(across))
    return np.asarray(logs / (logs @ logs))


def train_widths(
    x: Array, ys: Array, kernel_width: float, widths: Sequence[int], seeds: Sequence[int], steps: int, share: float
) -> tuple[DualKernel, float, Array, list[Width]]:
    """Train every width on the same noisy signals with η = share/σ²_max; the filter's outputs (T + 1, seeds, n)."""
    u = gaussian_kernel(x.size, kernel_width)
    kernel = dual_kernel(u)
    step = share / kernel.largest
    predicted = early_stopping_filter(kernel, step, np.arange(steps + 1)[:, None] * np.ones(len(seeds)))(ys)
    lengths = np.linalg.norm(ys, axis=1)
    one = float(np.mean([fluctuations(u, kernel, y, step, 1)[1] for y in ys]))
    found = []
    for k in widths:
        net = TwoLayerGenerator(x.size, k, u, seeds=seeds, scale=float(lengths.mean()))
        path = descend_image(net, ys, steps=steps, step=step, reduction="half_sum", snapshots=range(steps + 1), clean=x)
        error = np.linalg.norm(path.outputs - predicted, axis=2) / lengths
        found.append(Width(k, error.max(axis=0), error[min(10, steps) :].max(axis=0), one / np.sqrt(k), path, error))
    return kernel, step, predicted, found


def width_section(
    *,
    n: int = 128,
    kernel_width: float = 0.1,
    level: float = 0.2,
    widths: Sequence[int] = (256, 1024, 4096),
    seeds: Sequence[int] = tuple(range(16)),
    steps: int = 20,
) -> Section:
    """Filter against trained network along the whole trajectory, for growing k, at η = 1/σ²_max."""
    x = example_signal(n)
    ys = noisy_copies(x, level, seeds)
    _, _, predicted, found = train_widths(x, ys, kernel_width, widths, seeds, steps, 1.0)
    made = width_checks(found)
    unit, largest = "‖·‖₂ / ‖y‖₂", f"Largest over t ≤ {steps}, mean of seeds."
    known = "Known before training; see the text."
    measured = table_of(
        found,
        (Column("k", "channels k"), lambda w: w.k),
        (Column("mean", "uniform distance", unit, ".4f", largest), lambda w: w.distance.mean()),
        (Column("worst", "worst seed", unit, ".4f"), lambda w: w.distance.max()),
        (Column("later", "from t = 10 on", unit, ".4f"), lambda w: w.later.mean()),
        (Column("fluctuation", "kernel fluctuation", unit, ".4f", known), lambda w: w.fluctuation),
    )
    text = (
        f"G(C) = ReLU(UC)v with n = {n}, a Gaussian kernel of width {kernel_width:g}, an antisymmetric start, trained "
        f"by gradient descent on ½‖G − y‖² with η = 1/σ²_max, y a smooth signal of unit root mean square plus noise of "
        f"standard deviation {level:g}. The filter is 1 − (1 − ησ²)^t on the eigenvectors of the dual kernel, no "
        "parameter fitted. A finite k alone puts the first step a known fluctuation away from it, "
        "η‖(JJᵀ − Σ)y‖/‖y‖ ∝ k^(−1/2)."
    )
    figures = distance_plot(found), outputs_plot(x, ys[0], found[-1], predicted[:, 0])
    return Section("The filter against the trained network", text, *measured, made, figures)


def width_checks(found: Sequence[Width]) -> list[Check]:
    """The distance of every width in its own fluctuations, and how it falls with the width."""
    made = []
    for w in found:
        claim = f"at k = {w.k} the trajectory stays within {FLUCTUATIONS:g} kernel fluctuations of the filter"
        reason = f"measured: mean of seeds, {INTERVAL}"
        share = Evidence.of_sample(w.distance / w.fluctuation)
        made.append(Check.of(claim, share, FLUCTUATIONS, unit="×", reference=REFERENCE, reason=reason))
    if len(found) > 1:
        made.append(width_exponent_check("the distance falls like k^(−1/2)", -0.5, found))
    return made


def width_exponent_check(claim: str, predicted: float, found: Sequence[Width]) -> Check:
    """The exponent of the distance in k, a fit for each seed."""
    exponent = Evidence.of_sample(exponent_weights([w.k for w in found]) @ np.log([w.distance for w in found]))
    reason = f"measured: |exponent − predicted|, {INTERVAL}; fitted {exponent.figure:.3f}"
    off = Evidence(abs(exponent.figure - predicted), exponent.uncertainty)
    return Check.of(claim, off, NEARER, reference=REFERENCE, reason=reason)


def distance_plot(found: Sequence[Width]) -> Figure:
    """‖G(C_t) − Ĝ_t‖/‖y‖ over t, every width, mean over seeds."""
    steps = np.arange(1, len(found[0].error))
    curves = [
        Curve(f"k = {w.k}", steps, w.error.mean(axis=1)[1:], colour=c, names=("step", f"relative distance: k = {w.k}"))
        for c, w in enumerate(found)
    ]
    ends = steps[[0, -1]]
    curves += [Curve("", ends, [w.fluctuation] * 2, ":", c, look={"linewidth": 0.8}) for c, w in enumerate(found)]
    caption = (
        "Distance between the trained network and the filter, which is 0 at t = 0; dotted, the kernel's fluctuation at "
        "that width."
    )
    return curve_plot("filter-distance", caption, curves, ("step t", "‖G(Cₜ) − filter‖₂ / ‖y‖₂"), log="y")


def outputs_plot(x: Array, y: Array, width: Width, predicted: Array) -> Figure:
    """Outputs at three steps, network and filter."""
    position = np.arange(x.size)
    curves = [
        Curve("y", position, y, ".", 7, ("position", "noisy"), {"markersize": 3}),
        Curve("x", position, x, "-", 7, ("position", "signal"), {"linewidth": 1}),
    ]
    for c, t in enumerate((1, 5, len(predicted) - 1)):
        network, names = width.path.outputs[t, 0], ("position", f"filter, t = {t}")
        curves.append(Curve(f"t = {t}", position, network, "-", c, ("position", f"network, t = {t}")))
        curves.append(Curve("", position, predicted[t], "--", c, names, {"linewidth": 2.2, "alpha": 0.6}))
    caption = f"Network (k = {width.k}, solid) and filter (dashed) at three steps; noisy y and clean x in grey."
    return curve_plot("filter-outputs", caption, curves, ("position", "value"), columns=3, size=(6.2, 3.6))


def image_section(
    image: Image, *, level: float = 25 / 255, kernel_width: float = 0.05, k: int = 256, steps: int = 400
) -> Section:
    """The same on an image: early stopping, Tikhonov, truncated SVD and the trained generator, each at its best."""
    x = image.pixels[0]
    y = x + level * np.random.default_rng(0).standard_normal(x.shape)
    u = gaussian_kernel(x.shape, kernel_width)
    kernel = dual_kernel(u)
    step = 1 / kernel.largest
    best = best_stopping_time(kernel, x, y - x, step, longest=steps)
    net = TwoLayerGenerator(x.shape, k, u, scale=float(np.linalg.norm(y)))
    path = descend_image(net, y, steps=steps, step=step, reduction="half_sum", snapshots=[best.step], clean=x)
    assert path.clean_mse is not None
    measured = int(path.clean_mse[:, 0].argmin())
    at = path.outputs[path.steps.tolist().index(best.step), 0]
    ridges, ranks = np.geomspace(1e-4, 1, 49) * kernel.largest, np.geomspace(1, x.size, 60).astype(int)
    outputs: Mapping[str, Array] = {
        "noisy": y,
        f"early stopping, t = {best.step}": early_stopping_filter(kernel, step, best.step)(y),
        "trained network, same t": at,
        "Tikhonov, best ridge": closest(x, [tikhonov_filter(kernel, r)(y) for r in ridges]),
        "truncated SVD, best rank": closest(x, [truncated_filter(kernel, r)(y) for r in ranks]),
    }
    filtered = outputs[f"early stopping, t = {best.step}"]
    distance = float(np.linalg.norm(at - filtered) / np.linalg.norm(y))
    claim = "on the image, too, the trained network is close to the filter at the best time"
    late = "measured minus predicted best time, in steps"
    flat = "the minimum is flat in two dimensions; read the PSNRs"
    checks = (
        Check.at_most(claim, distance, 3 / np.sqrt(k), reference=REFERENCE, reason=f"k = {k}; ‖·‖₂ / ‖y‖₂"),
        Check.no_prediction(late, measured - best.step, why=flat),
    )
    columns = (Column("method", "method"), Column("psnr", "PSNR", "dB", ".2f"))
    lines = [(name, psnr(x, out)) for name, out in outputs.items()]
    pictures = [("clean", x[None]), *((name.split(",")[0], out[None]) for name, out in outputs.items())]
    noise = f"noise of standard deviation {level:.3f}"
    caption = f"{image.name}, {noise}: the linear filters and the trained two-layer generator."
    figure = strip([("", pictures)], "filters-on-an-image", caption)
    text = (
        f"{image.name} ({x.shape[0]} × {x.shape[1]}), Gaussian noise of standard deviation {level:.3f}, "
        f"two-layer generator with k = {k} and a Gaussian kernel of width {kernel_width:g}. Stopping time, ridge "
        "and rank are the best for this image and noise."
    )
    title = "Early stopping, Tikhonov and truncated SVD on an image"
    return Section(title, text, *table(columns, lines), checks, (figure,))


def psnr(x: Array, estimate: Array) -> float:
    """10 log₁₀(1 / mean squared error), in dB, for images in [0, 1]; infinite for a perfect estimate."""
    error = float(np.mean((np.asarray(x) - np.asarray(estimate)) ** 2))
    return float("inf") if error == 0 else -10.0 * float(np.log10(error))


def closest(x: Array, candidates: Sequence[Array]) -> Array:
    """The candidate with the least mean squared error to x."""
    return min(candidates, key=lambda c: float(np.mean((c - x) ** 2)))
