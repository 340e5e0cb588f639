"""Wrong statements about convolutional generators: other rates, times, trajectories, orders; exchanged roles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from compare.experiments.generators import PHOTOGRAPHS, GeneratorComparison
from compare.generators.denoising_bands import band_gap, learned, order_check, power_check, two_layer_errors
from compare.generators.denoising_filter import (
    example_signal,
    noisy_copies,
    psnr,
    train_widths,
    width_exponent_check,
)
from compare.generators.denoising_images import (
    DecoderTraining,
    baselines,
    decoder_estimates,
    noisy_images,
    photograph_checks,
)
from compare.generators.denoising_labels import corrupted_run, early_check, label_curves, memorizing_check, two_digits
from compare.generators.denoising_rates import exponent_check, filter_exponent, rate_series
from compare.generators.denoising_stopping import first_check, steps_to_fit, stopping_check
from compare.generators.fit_pairs import fit_pair
from compare.generators.fitting_speed import falling_effect, order_of_magnitude, smaller_effect, vanished_effect
from compare.generators.image_sources import Image, load_images, shipped
from compare.generators.layer_distances import distance_check
from compare.generators.many_images import SEVERAL_ORDERS, apart_check, fit_batch, many_batches, orders_check
from compare.generators.recovery_sections import follow_line, trajectory_check, trajectory_gap
from compare.generators.recovery_transition import (
    TRIED_WITHOUT,
    explicit_draws,
    located,
    proportional_check,
    recover,
    transition_checks,
)
from compare.generators.toy_model import ALMOST, PUBLISHED, fit_toy, toy_check
from compare.mutants.trial import Mutant, Trial
from compare.reports.report import Check
from solvers.arrays import Array
from solvers.filters.compressive_sensing import gaussian_measurement
from solvers.filters.dual_kernel import DualKernel, dual_kernel, gaussian_kernel
from solvers.filters.early_stopping_error import best_stopping_time

SEEDS = tuple(range(12))


def trial(row: str, data: str, right: list[tuple[str, Check]], wrong: list[tuple[str, Check, float]]) -> Trial:
    """The right statements, then the wrong ones with how far they are from the right ones."""
    said = [Mutant(claim, check) for claim, check in right]
    return Trial(row, data, (*said, *(Mutant(claim, check, apart) for claim, check, apart in wrong)))


def rate_trial() -> Trial:
    """The exponents of the error of denoising, and those of its root, and of noise that is not averaged."""
    right, wrong = [], []
    for name, (across, found) in rate_series(512, SEEDS, (0.1, 0.2, 0.4), (3, 7, 15), (32, 64, 128)).items():
        filtered = filter_exponent(across, found)
        short = name.split(",")[0]
        right.append((f"the filter's exponent in {short}", exponent_check(short, filtered, across, found)))
        for claim, factor in (("the error's root", 0.5), ("the error's square", 2.0), ("no dependence", 0.0)):
            check = exponent_check(f"{claim}, in {short}", factor * filtered, across, found)
            wrong.append((f"{claim}, in {short}", check, abs((factor - 1.0) * filtered)))
    return trial("rates of denoising", "lowest frequencies", right, wrong)


def stopping_trial() -> Trial:
    """The best time to stop, and that of other noise, kernels and steps; what is fitted first."""
    x, width, share, steps = example_signal(128), 0.1, 0.2, 120
    seeds = SEEDS[:3]
    ys = noisy_copies(x, 0.2, seeds)
    kernel, step, _, (trained,) = train_widths(x, ys, width, (512,), seeds, steps, share)
    assert trained.path.clean_mse is not None
    measured = [int(t) for t in trained.path.clean_mse.argmin(axis=0)]
    other = dual_kernel(gaussian_kernel(x.size, 2.0 * width))

    def times(noise: float, of: float, by: DualKernel = kernel) -> list[int]:
        return [best_stopping_time(by, x, noise * (y - x), of * step, longest=1000).step for y in ys]

    told = times(1.0, 1.0)
    claims = {
        "half the noise": times(0.5, 1.0),
        "twice the noise": times(2.0, 1.0),
        "twice the step": times(1.0, 2.0),
        "a kernel of twice the width": times(1.0, 1.0, other),
    }

    def check(predicted: list[int]) -> Check:
        return stopping_check(list(zip(predicted, measured, strict=True)), steps)

    signal, noise, longest = steps_to_fit(x, width, 512, seeds, share)
    wrong = [
        (f"the best time of {claim}", check(found), max(abs(a / b - 1.0) for a, b in zip(found, told, strict=True)))
        for claim, found in claims.items()
    ]
    wrong.append(("another signal takes ten times as long", first_check(signal, signal, longest), 10.0))
    right = [("the best time", check(told)), ("noise takes ten times as long", first_check(signal, noise, longest))]
    return trial("when to stop", "three low frequencies", right, wrong)


def width_trial() -> Trial:
    """The distance to the filter falls like k^(−1/2), neither like 1/k nor not at all."""
    x = example_signal(128)
    _, _, _, found = train_widths(x, noisy_copies(x, 0.2, SEEDS), 0.1, (64, 256, 1024), SEEDS, 3, 1.0)
    right = [("k^(−1/2)", width_exponent_check("k^(−1/2)", -0.5, found))]
    wrong = [(claim, width_exponent_check(claim, -power, found), abs(power - 0.5)) for claim, power in
             (("1/k", 1.0), ("no approach", 0.0), ("k^(−3/2)", 1.5))]  # fmt: skip
    return trial("width", "three low frequencies", right, wrong)


def recovery_trial() -> Trial:
    """The explicit trajectory of few measurements, other kernels and steps."""
    x, u, k = example_signal(64), gaussian_kernel(64, 0.1), 512
    A = gaussian_measurement(12, (64,), seed=1)
    path, step = follow_line(x, u, A, k, 60)
    others = {
        "the trajectory without interpolation": (dual_kernel(np.eye(1, 64).ravel()), step),
        "that of a kernel of half the width": (dual_kernel(gaussian_kernel(64, 0.05)), step),
        "that of an eighth of the step": (dual_kernel(u), step / 8),
    }
    gap = trajectory_gap(x, path, dual_kernel(u), A, step)
    right = [("the explicit trajectory", trajectory_check("the explicit trajectory", gap, k))]
    wrong = []
    for claim, (kernel, at) in others.items():
        gap = trajectory_gap(x, path, kernel, A, at)
        wrong.append((claim, trajectory_check(claim, gap, k), gap))
    return trial("few measurements", "three low frequencies", right, wrong)


def transition_trial() -> Trial:
    """Where networks end that are trained to convergence, from how many measurements, and how m* grows with p."""
    p, counts, channels, draws = 3, (4, 6, 9, 13, 19), 128, 8
    network = [recover(p, m, seed, channels) for m in counts for seed in range(draws)]
    ends = located(network, "trained")
    without = located([recover(p, m, seed, None) for m in TRIED_WITHOUT for seed in range(draws)], "unfiltered")
    halved = [replace(d, limit=recover(p, d.count // 2, i % draws, None).limit) for i, d in enumerate(network)]
    elsewhere = [replace(d, gap=d.other) for d in network]
    end, same, fewer, _ = transition_checks(network, ends, without, p, channels)
    largest_other = max(d.other - d.gap for d in network if d.other is not None and d.gap is not None)
    right = [("the end is the explicit limit", end), ("m* is its m*", same), ("m* is less than half", fewer)]
    no_filter = transition_checks(elsewhere, ends, without, p, channels)[0]
    shifted = transition_checks(halved, ends, without, p, channels)[1]
    alike = transition_checks(network, without, without, p, channels)[2]
    wrong = [
        ("the end is the limit without interpolation", no_filter, largest_other),
        ("m* is that of half as many measurements", shifted, math.log(2.0)),
        ("without filters, too, m* is less than half", alike, 1.0),
    ]
    dimensions = (3, 9, 15)
    stars = [located(explicit_draws(each, 20), "limit") for each in dimensions]
    right.append(("m* ∝ p", proportional_check(dimensions, stars)))
    for claim, power in (("m* ∝ √p", 0.5), ("m* ∝ p²", 2.0), ("m* does not depend on p", 0.0)):
        wrong.append((claim, proportional_check(dimensions, stars, power), abs(power - 1.0)))
    return trial("how few measurements", "lowest frequencies", right, wrong)


def toy_trial() -> Trial:
    """The toy model: almost an order of magnitude between a step and noise, not the other way round."""
    fit = fit_toy(PUBLISHED, 3000)
    swapped = replace(fit, step=np.minimum(fit.noise, fit.steps), noise=fit.step)
    alone = replace(fit, noise=fit.step)
    right = [("almost an order of magnitude", toy_check(fit, "almost an order of magnitude", ALMOST))]
    wrong = [
        ("noise before the step", toy_check(swapped, "noise before the step", ALMOST), 2.0 * ALMOST),
        ("a step before itself", toy_check(alone, "a step before itself", ALMOST), ALMOST),
    ]
    return trial("toy model", "a step and noise", right, wrong)


def many_trial() -> Trial:
    """Many images: bands of images and noise, orders of magnitude; images for noise, and the two exchanged."""
    x = np.linspace(-2, 2, 16)
    hills = [
        Image(f"hill {i}", np.exp(-np.add.outer((x - at) ** 2, x**2))[None]) for i, at in enumerate((-0.5, 0, 0.5))
    ]
    plan = GeneratorComparison(many=hills, many_steps=150, size=16)
    (batch,) = (fit_batch(seeds, read, plan) for seeds, read in many_batches(plan))
    curves = {"images": batch.images, "noise": batch.noise}
    swapped = {"images": batch.noise, "noise": batch.images}
    alone = {"images": batch.images, "noise": batch.images}
    right = [("bands apart", apart_check(curves, (), plan))]
    wrong = [
        ("bands apart, noise below the images", apart_check(swapped, (), plan), 1.0),
        ("bands apart, images for noise", apart_check(alone, (), plan), 1.0),
        ("several orders, images for noise", orders_check(alone, (), plan), SEVERAL_ORDERS),
    ]
    return trial("many images", "three hills", right, wrong)


def photograph_trial() -> Trial:
    """Denoising photographs: the decoder stopped in time, before its first step, and exchanged with the noisy image."""
    training = DecoderTraining(channels=24, depth=3, steps=150, window=20, max_stale_steps=60)
    images = load_images(PHOTOGRAPHS, 32)
    x = np.stack([image.pixels for image in images])
    y = noisy_images(images, training)
    decoded, path = decoder_estimates(x, y, training)
    others = [baselines(*pair, training.level) for pair in zip(x, y, strict=True)]
    found = {"noisy": y, **decoded, **{name: np.stack([each[name] for each in others]) for name in others[0]}}
    in_time, early = found["deep decoder, running variance"], path.outputs[0].astype(np.float64)

    def checks(noisy: Array, stopped: Array) -> list[Check]:
        taken = found | {"noisy": noisy, "deep decoder, running variance": stopped, "deep decoder, best step": stopped}
        scores = {name: [psnr(*pair) for pair in zip(x, each, strict=True)] for name, each in taken.items()}
        return photograph_checks(scores)[:3]

    removes, *_ = checks(y, in_time)
    adds, *_ = checks(in_time, y)
    at_once, *better = checks(y, early)
    right = [("noise is removed", removes)]
    wrong = [
        ("the decoder is noisier than the noisy image", adds, 1.0),
        ("noise is removed before any step", at_once, 1.0),
        ("before any step the decoder is as good as total variation", better[0], 1.0),
        ("before any step the decoder is as good as wavelets", better[1], 1.0),
    ]
    return trial("photographs", "six, 32 × 32", right, wrong)


def image_trial() -> Trial:
    """Image against noise: roles exchanged, noise in place of the image, an architecture without fixed filters."""
    plan = GeneratorComparison(longest_image=100, fraction=0.2, reach=60.0)
    smooth = np.exp(-np.add.outer(np.linspace(-2, 2, 16) ** 2, np.linspace(-2, 2, 16) ** 2))[None]
    hill = Image("hill", smooth)
    fixed, free = (fit_pair(kind, 4.0, hill, plan) for kind in ("bilinear", "deconvolution"))
    assert fixed.noise_path is not None
    swapped = replace(fixed, image_path=fixed.noise_path, noise_path=fixed.image_path)
    ratio, other = float(np.median(fixed.ratios)), float(np.median(free.ratios))
    right = [
        ("an order of magnitude for i", order_of_magnitude(fixed, "i", plan)),
        ("a smaller effect for iv", smaller_effect(free, fixed, plan)),
        ("the weights move less for the image", distance_check(fixed)),
        ("the effect vanishes for iv", vanished_effect(free, plan)),
        ("the effect falls from i to iv", falling_effect([fixed, free], plan)),
    ]
    exchanged = smaller_effect(replace(fixed, kind="deconvolution"), replace(free, kind="bilinear"), plan)
    again = replace(fixed, noise_steps=fixed.image_steps, noise_path=fixed.image_path)
    wrong = [
        ("an order of magnitude for another image", order_of_magnitude(again, "image for noise", plan), ratio),
        ("an order of magnitude for iv", order_of_magnitude(free, "iv", plan), ratio),
        ("a smaller effect for i than for iv", exchanged, ratio / other),
        ("the weights move less for noise", distance_check(swapped), 1.0),
        ("the effect vanishes for i", vanished_effect(fixed, plan), ratio),
        ("the effect falls from iv to i", falling_effect([free, fixed], plan), ratio / other),
    ]
    return trial("image and noise", hill.name, right, wrong)


def order_trial() -> Trial:
    """Low frequencies first, and the filter in each band: high ones first, another step."""
    x = shipped("camera", 32).pixels[0]
    y = np.clip(x + 0.1 * np.random.default_rng(0).standard_normal(x.shape), 0, 1)
    found = two_layer_errors(y, 160)
    (steps, network), (_, predicted) = found.values()
    times = learned(network, steps)
    others = (
        ("the filter before any step", np.broadcast_to(predicted[0], network.shape)),
        ("the filter at the end", np.broadcast_to(predicted[-1], network.shape)),
    )
    right = [("low first", order_check("two-layer", times, steps)), ("the filter", power_check(y, network, predicted))]
    wrong = [
        ("high first", order_check("two-layer, high frequencies first", times[::-1], steps), float(np.ptp(times))),
        *((claim, power_check(y, network, other), float(band_gap(y, predicted, other))) for claim, other in others),
    ]
    return trial("frequencies", "camera, 32 × 32", right, wrong)


def label_trial() -> Trial:
    """Corrupted labels: the true ones exchanged for those given, the order in time reversed."""
    X, truth = two_digits(60)
    _, flipped, path = corrupted_run(X, truth, 0.2, (0, 1, 2), 400, 60)
    curves = label_curves(path, truth, flipped)
    best = int(curves["true labels"].argmax())
    late = len(path.steps) - 1
    right = [
        ("the true labels are learned first", early_check(path, truth, best, 0.2)),
        ("memorizing needs a larger distance", memorizing_check(curves, best, 0.2)),
    ]
    back = curves | {"relative distance": 1.0 - curves["relative distance"]}
    wrong = [
        ("at the end, too, few are wrong", early_check(path, truth, late, 0.2), 1.0),
        ("memorizing needs a smaller distance", memorizing_check(back, best, 0.2), 1.0),
    ]
    return trial("corrupted labels", "digits 3 and 8", right, wrong)


TRIALS: dict[str, Callable[[], Trial]] = {
    "rates": rate_trial,
    "width": width_trial,
    "stopping": stopping_trial,
    "recovery": recovery_trial,
    "transition": transition_trial,
    "images": image_trial,
    "many": many_trial,
    "toy": toy_trial,
    "photographs": photograph_trial,
    "frequencies": order_trial,
    "labels": label_trial,
}
"""By name for the progress bar."""
