"""Mean and standard deviation of the loss curves over many images, and over their noise (Heckel & Hand, Figure 3).

The images are read, fitted and let go in batches whose layers fit the memory; what stays is one curve for each image
and one for its pixels in random order. So a folder may hold more than the memory does, and an interrupted run keeps
the curves of the batches that are finished.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compare.experiments.generators import PHOTOGRAPHS
from compare.generators.fit_pairs import batches, image_generator, unstable
from compare.generators.fitting_speed import astray
from compare.generators.generator_figures import mean_figure
from compare.generators.image_sources import Folder, Image, folder_of, image_files, load_images, read_files, scrambled
from compare.reports.provenance import DataUsed
from compare.reports.report import Check, Column, Evidence, Section
from compare.reports.tables import table
from gd.images.descend_image import descend_image
from solvers.arrays import Array

if TYPE_CHECKING:
    from compare.experiments.generators import GeneratorComparison

FACTOR = 4.0
"""Parameters per output number of the deep decoder that is fitted."""
LEVEL = 0.1
"""Share of the variance at which iterations of images and noise are compared."""
SEVERAL_ORDERS = 100.0
"""Several orders of magnitude: two at the least."""
FIGURE_3 = "Heckel & Hand (2019), Figure 3"
Read = Callable[[], Folder]
"""Reads the images of one batch."""


@dataclass(frozen=True)
class ManyCurves:
    """The relative errors along the fits of one batch."""

    images: Array = field(repr=False)
    """mse / variance of each image, (T + 1, B)."""
    noise: Array = field(repr=False)
    """The same of its pixels in random order."""
    used: tuple[DataUsed, ...]
    """The images, B of them."""
    skipped: tuple[tuple[str, str], ...]
    """Files that could not be used, with the reason."""
    overparameterization: float
    """Parameters per output number."""


def many_batches(plan: GeneratorComparison) -> list[tuple[range, Read]]:
    """The seeds of each batch and what reads it: some of the folder's files, `plan.most` by chance, or of the names."""
    shape = plan.many_shape
    network = image_generator("bilinear", FACTOR, shape, plan, (0,))
    numbers = network.channels * math.prod(shape[1:])
    size, colour = shape[1], shape[0] == 3
    folder = folder_of(plan.images or ())
    if folder is not None and plan.many is None:
        files = image_files(folder)
        if len(files) > plan.most:
            files = sorted(np.random.default_rng(0).choice(np.array(files, dtype=object), plan.most, replace=False))
        runs = batches(len(files), numbers)
        return [(at, partial(_read, folder, [files[i] for i in at], size, colour)) for at in runs]
    names = tuple(PHOTOGRAPHS if plan.many is None else plan.many)
    return [(at, partial(_named, [names[i] for i in at], size, colour)) for at in batches(len(names), numbers)]


def _read(folder: Path, files: Sequence[Path], size: int, colour: bool) -> Folder:
    return read_files(folder, files, size, colour=colour)


def _named(names: Sequence[str | Image], size: int, colour: bool) -> Folder:
    return Folder(load_images(names, size, colour=colour), ())


def fit_batch(seeds: range, read: Read, plan: GeneratorComparison) -> ManyCurves:
    """Fit every image of a batch, and its pixels in random order, by kind i; each from a seed of its own."""
    folder = read()
    images = folder.images
    steps = plan.many_steps
    if not images:
        empty = np.zeros((steps + 1, 0))
        return ManyCurves(empty, empty, (), folder.skipped, FACTOR)
    net = image_generator("bilinear", FACTOR, images[0].pixels.shape, plan, seeds[: len(images)])

    def curves(targets: Sequence[Array]) -> Array:
        path = descend_image(
            net, np.stack(targets), steps=steps, step=plan.step_size, optimizer=plan.optimizer, snapshots=2
        )
        return np.asarray(path.mse / np.array([image.variance for image in images]))

    natural = curves([image.pixels for image in images])
    noise = curves([scrambled(image, seed) for seed, image in zip(seeds, images, strict=False)])
    used = tuple(image.used for image in images)
    return ManyCurves(natural, noise, used, folder.skipped, net.overparameterization)


def many_section(found: Sequence[ManyCurves], plan: GeneratorComparison) -> Section:
    """Mean ± standard deviation, over the images, of the relative error along the fit."""
    curves = {
        "images": np.concatenate([batch.images for batch in found], axis=1),
        "noise": np.concatenate([batch.noise for batch in found], axis=1),
    }
    wild = [name for name, curve in curves.items() if unstable(curve, 1.0).any()]
    curves = {name: np.where(np.isfinite(curve), curve, np.nan) for name, curve in curves.items()}
    steps, count = plan.many_steps, curves["images"].shape[1]
    lines = [
        (name, curve[-1].mean(), curve[-1].std(ddof=1), reached(curve.mean(axis=1), LEVEL))
        for name, curve in curves.items()
    ]
    columns = (
        Column("what", f"{count} targets"),
        Column("mean", "mean", "share of variance", ".4f", f"Mean squared error after {steps} iterations."),
        Column("sd", "standard deviation", "share of variance", ".4f"),
        Column("reached", f"mean at {100 * LEVEL:g} %", "iterations", "", "Empty: not reached."),
    )
    made = (apart_check(curves, wild, plan), orders_check(curves, wild, plan))
    shape = " × ".join(map(str, plan.many_shape))
    text = (
        f"The deep decoder (kind i, {found[0].overparameterization:.2f} parameters per output number) fitted to each "
        f"of {count} images ({shape}) and to the same images with their pixels in random order: mean ± one standard "
        "deviation of the relative error over the targets."
    )
    return Section("The same over many images", text, *table(columns, lines), made, (mean_figure(curves),))


def reached(curve: Array, level: float) -> int | None:
    """The first iteration at which a curve is at the level."""
    at = np.flatnonzero(curve <= level)
    return int(at[0]) if at.size else None


def apart_check(curves: dict[str, Array], wild: Sequence[str], plan: GeneratorComparison) -> Check:
    """The bands of one standard deviation do not meet at the end."""
    statement = f"after {plan.many_steps} iterations the two bands, mean ± one standard deviation, are apart"
    if wild:
        return Check.not_reached(statement, None, why=astray(wild, plan), reference=FIGURE_3)
    (mean, sd), (noise_mean, noise_sd) = ((c[-1].mean(), c[-1].std(ddof=1)) for c in curves.values())
    gap = float((mean + sd) - (noise_mean - noise_sd))
    reason = "measured: upper edge of images − lower edge of noise"
    return Check.at_most(statement, gap, 0.0, unit="of the variance", reference=FIGURE_3, reason=reason)


def orders_check(curves: dict[str, Array], wild: Sequence[str], plan: GeneratorComparison) -> Check:
    """Iterations of the mean curves to a tenth of the variance: noise over images, at least two orders of magnitude."""
    statement = f"images are fitted several orders of magnitude faster than noise (mean curves, to {100 * LEVEL:g} %)"
    if wild:
        return Check.not_reached(statement, None, why=astray(wild, plan), reference=FIGURE_3)
    natural, noise = (reached(curve.mean(axis=1), LEVEL) for curve in curves.values())
    if natural is None:
        why = f"the images' mean error did not reach {100 * LEVEL:g} % in {plan.many_steps} iterations"
        return Check.not_reached(statement, None, why=why, reference=FIGURE_3)
    ratio = (plan.many_steps if noise is None else noise) / max(natural, 1)
    bound = noise is None and ratio < SEVERAL_ORDERS
    reason = f"{SEVERAL_ORDERS:g} times at the least"
    if noise is None:
        needed = math.ceil(SEVERAL_ORDERS * max(natural, 1))
        reason += f"; noise was stopped after {plan.many_steps} iterations, a lower bound"
        reason += f": {needed} decide it (--many-steps)" * bound
    evidence = Evidence(ratio, math.inf if bound else 0.0)
    return Check.at_least(statement, evidence, SEVERAL_ORDERS, unit="×", reference=FIGURE_3, reason=reason)


def skipped_note(found: Sequence[ManyCurves]) -> str:
    """A sentence on the files that were skipped; empty where there are none."""
    skipped = [f"{name} ({reason})" for batch in found for name, reason in batch.skipped]
    more = f"; and {len(skipped) - 8} more" if len(skipped) > 8 else ""
    return f"{len(skipped)} files were skipped: {'; '.join(skipped[:8])}{more}." if skipped else ""
