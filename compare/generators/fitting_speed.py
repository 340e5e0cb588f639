"""Untrained convolutional generators fit images fast and noise slowly: the report.

Four questions, one section each: how many iterations an image and noise of the same mean and variance take, for four
architectures and several overparameterizations; how far each layer moves meanwhile; the same averaged over many
images; and the smallest model that shows it, in one dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from joblib import cpu_count

from compare.experiments.generators import ORDER_OF_MAGNITUDE, PHOTOGRAPHS
from compare.generators.fit_pairs import NUMERAL, Fit, batches, fit_pair, fitting_depth, unstable
from compare.generators.generator_figures import curve_figure, distance_figure, gallery, mean_figure, toy_figure
from compare.generators.image_sources import Image, choose, scrambled
from compare.reports.progress import run_parts
from compare.reports.report import Check, Column, Evidence, Report, Section, Value
from gd.images.conv_generator import ConvGenerator
from gd.images.descend_image import ImageTrajectory, descend_image
from gd.images.two_layer_generator import ToyGenerator
from solvers.arrays import Array

if TYPE_CHECKING:
    from compare.experiments.generators import GeneratorComparison


REFERENCE = "Heckel & Soltanolkotabi (2020), Section 2"
LESS = 0.99
"""What counts as a shorter distance: a hundredth, well above what interpolation between snapshots can make."""
STRUCTURED = ("i", "ii")
"""The kinds for which the order of magnitude is claimed."""

COLUMNS = (
    Column("kind", "kind"),
    Column("factor", "parameters / pixels", "", ".2f", "The overparameterization reached."),
    Column("channels", "channels"),
    Column("depth", "layers"),
    Column("image", "image"),
    Column("image_steps", "image", "iterations", "", "First iteration at the level: median of seeds (least–largest)."),
    Column("noise_steps", "noise", "iterations", "", "The same for noise of the image's mean and variance."),
    Column("ratio", "noise / image", "", "", "Per seed: median (least–largest); ≥ where noise was stopped before."),
)


def generator_report(asked: GeneratorComparison) -> Report:
    """The full report. Raises ValueError for constant images and for images of different sizes."""
    images, note = choose(asked.images, asked.folder, asked.pixels, colour=asked.colour)
    if len({image.pixels.shape for image in images}) != 1:
        raise ValueError(
            "the images must share one size and number of channels; got "
            + ", ".join(f"{i.name} {i.pixels.shape}" for i in images)
        )
    many = images
    if asked.folder is None:
        many, _ = choose(PHOTOGRAPHS if asked.many is None else asked.many, None, asked.pixels, colour=asked.colour)
    parts = [
        (f"{kind}, {factor:g}×, {image.name}", partial(fit_pair, kind, factor, image, asked))
        for kind in asked.kinds
        for factor in asked.factors
        for image in images
    ]
    jobs = asked.jobs or (1 if torch.cuda.is_available() else int(cpu_count()))
    done = run_parts(parts, "Generators", show=asked.progress, jobs=jobs)
    fits = list(done.results)
    sections = [steps_section(fits, asked)] if fits else []
    shown = [f for f in fits if f.kind == "bilinear" and f.noise_path is not None and not f.unstable_on]
    if shown:
        sections.append(distance_section(shown))
    if done.complete and len(many) > 1:
        sections.append(many_section(many, asked))
    if done.complete and asked.toy:
        sections.append(toy_section())
    used = [i.used for i in (*images, *many)]
    return asked.report(sections, done, used=used, seeds=asked.starts, notes=(note, size_note(images, asked)))


def size_note(images: Sequence[Image], plan: GeneratorComparison) -> str:
    """How these sizes differ from the published ones."""
    height, width = images[0].pixels.shape[1:]
    return (
        f"Images are {height} × {width}; the published figure is at 256 × 256 (--full). The smaller a photograph, "
        "the less smooth it is from pixel to pixel, and the smaller the ratio. Depths are the published ones "
        f"except where the input would have fewer than 4 pixels on a side. Step {plan.step_size:g}, "
        f"{plan.optimizer}, normalization {plan.normalization.replace('_relu', ' the ReLU')}, {plan.output} output."
    )


def steps_section(fits: Sequence[Fit], plan: GeneratorComparison) -> Section:
    """Iterations for the image and for noise, the ratio, and what is predicted of it."""
    text = (
        "Each generator is fitted to an image and to noise of the same mean and variance (its pixels in random order), "
        "from the same starts. Counted is the first iteration whose mean squared error is at most "
        f"{100 * plan.fraction:g}% of the target's variance.\n\n"
        "Predicted: an order of magnitude and more for i (bilinear upsampling) and ii (fixed interpolation), whose "
        "smooth fixed filters favour smooth images. For iii (learned convolutions) and iv (deconvolutions) no number "
        "is predicted; published are little or none."
    )
    figures = [curve_figure(fits, factor, plan.fraction) for factor in dict.fromkeys(f.asked for f in fits)]
    figures += [gallery(f) for f in fits if f.asked == middle(fits) and f.noise_path is not None]
    return Section(
        "Iterations to fit an image and to fit noise",
        text,
        COLUMNS,
        tuple(row(f) for f in fits),
        tuple(checks(fits, plan)),
        figures,
    )


def middle(fits: Sequence[Fit]) -> float:
    """The overparameterization whose pictures are shown: the middle one."""
    factors = sorted({f.asked for f in fits})
    return factors[len(factors) // 2]


def span(values: Array, form: str = ".0f", prefix: str = "") -> str:
    """Median (least–largest), in words where a seed never got there."""
    if np.isinf(values).all():
        return "not reached"
    if np.isinf(values).any():
        return f"{np.isinf(values).sum()} of {values.size} seeds not reached"
    if np.isnan(values).any():
        return ""
    if values.size == 1:
        return f"{prefix}{values[0]:{form}}"
    return f"{prefix}{np.median(values):{form}} ({values.min():{form}}–{values.max():{form}})"


def row(fit: Fit) -> dict[str, Value]:
    """One line of the table."""
    noise = "" if fit.noise_steps is None else span(fit.noise_steps)
    if fit.noise_steps is not None and np.isinf(fit.noise_steps).all():
        noise = f"> {fit.noise_limit}"
    return {
        "kind": f"{NUMERAL[fit.kind]} {fit.kind}",
        "factor": fit.reached,
        "channels": fit.channels,
        "depth": fit.depth,
        "image": fit.image.name,
        "image_steps": "unstable" if "image" in fit.unstable_on else span(fit.image_steps),
        "noise_steps": "unstable" if "noise" in fit.unstable_on else noise,
        "ratio": "" if fit.unstable_on else span(fit.ratios, ".3g", "≥ " if fit.bound_only else ""),
    }


def checks(fits: Sequence[Fit], plan: GeneratorComparison) -> list[Check]:
    """i and ii: every seed's ratio at least 10. Of iii and iv nothing is predicted; their ratios are in the table."""
    return [
        order_of_magnitude(fit, f"{NUMERAL[fit.kind]} {fit.kind}, {fit.asked:g}×, {fit.image.name}", plan)
        for fit in fits
        if NUMERAL[fit.kind] in STRUCTURED
    ]


def order_of_magnitude(fit: Fit, where: str, plan: GeneratorComparison) -> Check:
    """Noise iterations over image iterations at least 10, for the worst seed.

    Where noise was stopped its ratio is a lower bound: below 10 that decides nothing.
    """
    statement = f"noise takes at least {ORDER_OF_MAGNITUDE:g} times as many iterations as the image ({where})"
    if fit.unstable_on:
        return Check.not_reached(statement, None, why=astray(fit.unstable_on, plan), reference=REFERENCE)
    if fit.noise_steps is None or np.isnan(fit.ratios).any():
        why = (
            f"the image was not fitted to {100 * plan.fraction:g}% of its variance within {plan.longest_image} "
            "iterations: too few parameters, or too few iterations"
        )
        return Check.not_reached(statement, None, why=why, reference=REFERENCE)
    if fit.image.name == "checkerboard":
        why = "its edges are high frequencies: the claim is about natural images"
        return Check.no_prediction(statement, float(fit.ratios.min()), unit="×", why=why, reference=REFERENCE)
    stopped = np.isinf(fit.noise_steps)
    reason = "measured: noise iterations / image iterations, worst seed" + "; a lower bound" * bool(stopped.any())
    about = {"unit": "×", "reference": REFERENCE, "reason": reason}
    return Check.worst(
        Check.at_least(
            statement,
            Evidence(ratio, math.inf if bound and ratio < ORDER_OF_MAGNITUDE else 0.0),
            ORDER_OF_MAGNITUDE,
            **about,
        )
        for ratio, bound in zip(fit.ratios, stopped, strict=True)
    )


def astray(targets: Sequence[str], plan: GeneratorComparison) -> str:
    """Why an unstable fit says nothing."""
    return (
        f"gradient descent was unstable on the {' and the '.join(targets)} with step {plan.step_size:g} (the error "
        "came back, or stayed above that of a constant); take a smaller one (--step)"
    )


def distance_section(fits: Sequence[Fit]) -> Section:
    """How far each layer has moved for the image and for noise when both have the same error."""
    text = (
        "Relative distance ‖C − C⁰‖ / (‖C‖ + ‖C⁰‖) of every layer's coefficients from their start, dimensionless, "
        "over the iterations, for the deep decoder (kind i). To the same error, fitting noise moves the weights "
        "further. The error at which they are compared is the least that both reached."
    )
    columns = (
        Column("image", "image"),
        Column("factor", "parameters / pixels", "", ".2f"),
        Column("error", "at the error", "share of variance", ".3f", "Median of seeds."),
        Column("layer", "layer"),
        Column("for_image", "fitting the image", "", ".3f", "Median of seeds, at that error."),
        Column("for_noise", "fitting noise", "", ".3f"),
    )
    rows: list[dict[str, Value]] = []
    made = []
    for fit in fits:
        assert fit.noise_path is not None
        error, ours, noise = distances_at_one_error(fit.image_path, fit.noise_path)
        rows += [
            {
                "image": fit.image.name,
                "factor": fit.reached,
                "error": error / fit.image.variance,
                "layer": i + 1,
                "for_image": float(a),
                "for_noise": float(b),
            }
            for i, (a, b) in enumerate(zip(ours, noise, strict=True))
        ]
        made.append(
            Check.at_most(
                f"to the same error, the weights move less for {fit.image.name} than for noise ({fit.asked:g}×)",
                float(ours.mean() / noise.mean()),
                LESS,
                reference="Heckel & Soltanolkotabi (2020)",
                reason="measured: mean over layers, image / noise; at least a hundredth less",
            )
        )
    return Section(
        "How far the layers move",
        text,
        columns,
        rows,
        made,
        tuple(distance_figure(f) for f in fits if f.asked == middle(fits)),
    )


def distances_at_one_error(first: ImageTrajectory, second: ImageTrajectory) -> tuple[float, Array, Array]:
    """The least mean squared error that both runs reached, and each layer's relative distance where each first had it.

    Distances are known at the snapshots and linear in ln(1 + t) between them. Medians over the seeds.
    """
    level = np.maximum(first.mse.min(axis=0), second.mse.min(axis=0))
    medians = []
    for path in (first, second):
        at = np.log1p((path.mse <= level).argmax(axis=0))
        known = np.log1p(path.steps)
        found = [
            [np.interp(t, known, path.distances[:, layer, b]) for b, t in enumerate(at)]
            for layer in range(path.distances.shape[1])
        ]
        medians.append(np.median(found, axis=1))
    return float(np.median(level)), medians[0], medians[1]


def many_section(
    images: Sequence[Image], plan: GeneratorComparison, *, steps: int = 400, factor: float = 4.0
) -> Section:
    """Mean and standard deviation, over the images, of the relative error along the fit (kind i)."""
    shape = images[0].pixels.shape
    network = partial(
        ConvGenerator.with_overparameterization,
        "bilinear",
        factor,
        depth=fitting_depth("bilinear", min(shape[1:])),
        out_channels=shape[0],
        output_shape=shape[1:],
        normalization=plan.normalization,
        output=plan.output,
    )
    net = network()
    variance = np.array([image.variance for image in images])
    targets = {"images": [i.pixels for i in images], "noise": [scrambled(i, n) for n, i in enumerate(images)]}
    curves = {
        name: np.concatenate(
            [
                descend_image(
                    network(seeds=at),
                    np.stack([t[i] for i in at]),
                    steps=steps,
                    step=plan.step_size,
                    optimizer=plan.optimizer,
                    snapshots=2,
                ).mse
                for at in batches(len(images), net.channels * math.prod(shape[1:]))
            ],
            axis=1,
        )
        / variance
        for name, t in targets.items()
    }
    curves = {name: np.where(np.isfinite(curve), curve, np.nan) for name, curve in curves.items()}
    rows: list[dict[str, Value]] = [
        {"what": name, "mean": float(c[-1].mean()), "sd": float(c[-1].std(ddof=1))} for name, c in curves.items()
    ]
    columns = (
        Column("what", f"{len(images)} targets"),
        Column("mean", "mean", "share of variance", ".4f", f"Mean squared error after {steps} iterations."),
        Column("sd", "standard deviation", "share of variance", ".4f"),
    )
    (mean, sd), (noise_mean, noise_sd) = ((c[-1].mean(), c[-1].std(ddof=1)) for c in curves.values())
    statement = f"after {steps} iterations the two bands, mean ± one standard deviation, are apart"
    if wild := [name for name, curve in curves.items() if unstable(curve, 1.0).any()]:
        check = Check.not_reached(statement, None, why=astray(wild, plan), reference=REFERENCE)
    else:
        check = Check.at_most(
            statement,
            float((mean + sd) - (noise_mean - noise_sd)),
            0.0,
            unit="of the variance",
            reference=REFERENCE,
            reason="measured: upper edge of images − lower edge of noise",
        )
    text = (
        f"The deep decoder (kind i, {net.overparameterization:.2f} parameters per pixel) fitted to each of "
        f"{len(images)} images and to the same images with their pixels in random order: mean ± one standard "
        "deviation of the relative error over the targets."
    )
    return Section("The same over many images", text, columns, rows, (check,), (mean_figure(curves),))


def toy_section(*, n: int = 128, k: int = 64, steps: int = 1000) -> Section:
    """The toy model on a step and on noise, for three interpolation kernels of increasing width."""
    step = np.where(np.arange(n) < n // 2, 0.0, 1.0)
    noise = np.random.default_rng(0).permutation(step)
    kernels = {
        "none (zero insertion)": [1.0],
        "linear": [0.5, 1.0, 0.5],
        "Gaussian, 8 pixels": list(np.exp(-((np.arange(-16, 17) / 8.0) ** 2))),
    }
    rows: list[dict[str, Value]] = []
    curves: dict[str, tuple[Array, Array]] = {}
    for name, taps in kernels.items():
        kernel = np.array(taps) / np.linalg.norm(taps)
        net = ToyGenerator(n, k, kernel, seeds=(0, 1), dtype=torch.float64)
        path = descend_image(net, np.stack([step, noise]), steps=steps, step=0.2 / n, reduction="half_sum", snapshots=2)
        relative = path.mse / step.var()
        curves[name] = (relative[:, 0], relative[:, 1])
        reached = path.iterations_to(0.1 * step.var())
        rows.append(
            {
                "kernel": name,
                "step": span(reached[:1]),
                "noise": span(reached[1:]),
                "end_step": float(relative[-1, 0]),
                "end_noise": float(relative[-1, 1]),
            }
        )
    check = toy_check(*curves["Gaussian, 8 pixels"])
    columns = (
        Column("kernel", "interpolation kernel"),
        Column("step", "step", "iterations to 10%"),
        Column("noise", "noise", "iterations to 10%"),
        Column("end_step", f"step, error after {steps}", "share of variance", ".3g"),
        Column("end_noise", f"noise, error after {steps}", "share of variance", ".3g"),
    )
    text = (
        f"G = ReLU(T(u) U B₁ C₁) c₂ with n = {n}, k = {k}, trained by plain gradient descent on ½‖G − y‖², y a "
        "step or its values in random order. The wider the interpolation kernel u, the larger the difference."
    )
    figures = (toy_figure(curves),)
    return Section("The smallest model: a step against noise", text, columns, rows, (check,), figures)


def toy_check(step: Array, noise: Array) -> Check:
    """The errors (T + 1,) of a step and of noise at the end of a fit with a smooth kernel: noise is learned later."""
    claim = "with a smooth kernel the noise's error at the end is at least twice the step's"
    paper = "Heckel & Soltanolkotabi (2020), toy model"
    return Check.at_least(claim, Evidence(float(noise[-1] / step[-1])), 2.0, unit="×", reference=paper)
