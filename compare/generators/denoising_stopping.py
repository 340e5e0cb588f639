"""When to stop a two-layer generator: signal first, noise later, and the best time between.

Trained on the signal alone and on noise of the same norm alone, the network halves the signal's error many times
sooner. On their sum the error ‖G(C_t) − x‖² splits into signal not yet learned and noise learned; its minimum is the
time to stop, predicted from their spectra and measured on the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from compare.generators.denoising_filter import REFERENCE, Width, example_signal, noisy_copies, train_widths
from compare.generators.generator_figures import thinned
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Evidence, Figure, Section
from compare.reports.tables import table
from gd.images.descend_image import descend_image
from gd.images.stopping_rules import NoiseLevel
from gd.images.two_layer_generator import TwoLayerGenerator
from solvers.arrays import Array
from solvers.filters.dual_kernel import DualKernel, dual_kernel, gaussian_kernel
from solvers.filters.early_stopping_error import best_stopping_time, predicted_error

FITTED = 0.1
"""Share of its power to which a target is fitted."""
DOTS = 40
"""Of a measured curve, so that the curve under them is seen."""
SOONER = 10.0
"""How many times longer noise takes than the signal, at the least: an order of magnitude."""


def stopping_section(
    *,
    n: int = 128,
    kernel_width: float = 0.1,
    level: float = 0.2,
    k: int = 2048,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 160,
    share: float = 0.2,
) -> Section:
    """The best time to stop: predicted from the signal and noise spectra, and measured on the trained network."""
    x = example_signal(n)
    ys = noisy_copies(x, level, seeds)
    kernel, step, _, (width,) = train_widths(x, ys, kernel_width, (k,), seeds, steps, share)
    assert width.path.clean_mse is not None
    expected = best_stopping_time(kernel, x, level, step, longest=steps)
    lines, times = [], []
    for i, seed in enumerate(seeds):
        told = best_stopping_time(kernel, x, ys[i] - x, step, longest=steps)
        measured = int(width.path.clean_mse[:, i].argmin())
        times.append((told.step, measured))
        errors = told.error / n, width.path.clean_mse[measured, i]
        lines.append((seed, told.step, measured, expected.step, *errors))
    columns = (
        Column("seed", "seed"),
        Column("predicted", "predicted best t", "steps", "", "For the noise at hand."),
        Column("measured", "measured best t", "steps"),
        Column("expected", "in expectation", "steps", "", "For the noise level alone."),
        Column("predicted_error", "predicted error", "mean square", ".5f"),
        Column("measured_error", "measured error", "mean square", ".5f"),
    )
    checks = (first_check(*steps_to_fit(x, kernel_width, k, seeds, share)), stopping_check(times, steps))
    text = (
        "The error ‖G(C_t) − x‖² splits into signal not yet learned, falling in t, and noise learned, rising; its "
        f"minimum is the time to stop. Signal first: counted are the steps to {100 * FITTED:g} % of the power of a "
        "target that is the signal alone, or noise of its norm alone."
    )
    figure = split_plot(kernel, x, ys[0] - x, step, width)
    return Section("The best time to stop", text, *table(columns, lines), checks, (figure,))


def steps_to_fit(x: Array, width: float, k: int, seeds: Sequence[int], share: float) -> tuple[Array, Array, int]:
    """Steps to a tenth of the power of x, and of noise of the same norm, (seeds,); and how many noise was given."""
    u = gaussian_kernel(x.size, width)
    length = float(np.linalg.norm(x))
    noise = np.stack([np.random.default_rng([seed, 9]).standard_normal(x.size) for seed in seeds])
    noise *= length / np.linalg.norm(noise, axis=1, keepdims=True)

    def fitted(targets: Array, steps: int) -> Array:
        net = TwoLayerGenerator(x.size, k, u, seeds=seeds, scale=length)
        step = share / dual_kernel(u).largest
        level = float(FITTED * np.mean(x**2))
        rules = [NoiseLevel(math.sqrt(level), name="fitted")]
        path = descend_image(net, targets, steps=steps, step=step, reduction="half_sum", rules=rules, snapshots=2)
        return path.iterations_to(level)

    signal = fitted(x, 200)
    longest = int(SOONER * np.where(np.isfinite(signal), signal, 1.0).max()) + 1
    return signal, fitted(noise, longest), longest


def first_check(signal: Array, noise: Array, longest: int) -> Check:
    """Steps for noise over steps for the signal, the worst seed; a lower bound where noise was not fitted."""
    claim = "noise takes at least ten times as many steps as the signal, the structured part is fitted first"
    if not np.isfinite(signal).all():
        return Check.not_reached(claim, None, why="the signal was not fitted in 200 steps", reference=REFERENCE)
    stopped = np.isinf(noise)
    reason = "measured: worst seed" + f"; noise was stopped after {longest} steps, a lower bound" * bool(stopped.any())
    ratios = np.minimum(noise, longest) / signal
    return Check.worst(
        Check.at_least(
            claim,
            Evidence(ratio, np.inf if bound and ratio < SOONER else 0.0),
            SOONER,
            unit="×",
            reference=REFERENCE,
            reason=reason,
        )
        for ratio, bound in zip(ratios, stopped, strict=True)
    )


def stopping_check(times: Sequence[tuple[int, int]], steps: int) -> Check:
    """(predicted, measured) best times of every seed; a best time at the last step is not known to be one."""
    claim = "the predicted best stopping time is within 10 % of the measured one, every seed"
    ended = any(measured == steps for _, measured in times)
    off = max(abs(told - measured) / max(measured, 1) for told, measured in times)
    reason = f"an error was still falling after {steps} steps" if ended else ""
    return Check.of(claim, Evidence(off, np.inf if ended else 0.0), 0.1, reference=REFERENCE, reason=reason)


def split_plot(kernel: DualKernel, x: Array, e: Array, step: float, width: Width) -> Figure:
    """Predicted signal and noise parts of the error, and the measured error."""
    assert width.path.clean_mse is not None
    t = np.arange(len(width.error))
    split = predicted_error(kernel, x, e, step, t)
    shown = {
        "signal not learned": (split.signal / x.size, "-", {}),
        "noise learned": (split.noise / x.size, "-", {}),
        "predicted error": (split.total / x.size, "--", {}),
        "measured error": (width.path.clean_mse[:, 0], ".", {"markersize": 4, "markevery": thinned(len(t), DOTS)}),
    }
    curves = [Curve(name, t, y, style, None, ("step", name), look) for name, (y, style, look) in shown.items()]
    caption = f"The error of the early-stopped network and its parts, one seed, k = {width.k}."

    def adjust(axes: Any) -> None:
        axes.set_ylim(float(split.total.min()) / x.size / 30, None)

    return curve_plot("error-split", caption, curves, ("step t", "mean square"), log="xy", adjust=adjust)
