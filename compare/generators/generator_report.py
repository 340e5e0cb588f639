"""Untrained convolutional generators fit images fast and noise slowly: the report.

Four questions: how many iterations an image takes and how many noise, and how far each layer moves meanwhile; a
checkerboard in place of noise; the same averaged over many images; and the smallest model that shows it, in one
dimension. Each runs in parts, and Ctrl-C keeps the parts that are finished.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from joblib import cpu_count

from compare.generators.fit_pairs import Fit, fit_pair, middle
from compare.generators.fitting_speed import board_section, steps_section
from compare.generators.image_sources import Image, choose
from compare.generators.layer_distances import distance_section
from compare.generators.many_images import fit_batch, many_batches, many_section, skipped_note
from compare.generators.toy_model import PUBLISHED, SETTINGS, fit_toy, toy_section
from compare.reports.progress import Done, run_parts
from compare.reports.provenance import DataUsed
from compare.reports.report import Report, Section

if TYPE_CHECKING:
    from compare.experiments.generators import GeneratorComparison


@dataclass(frozen=True)
class Answer:
    """What one question adds to the report."""

    done: Done[Any] = field(repr=False)
    sections: Sequence[Section] = ()
    used: Sequence[DataUsed] = ()
    notes: Sequence[str] = ()


def generator_report(asked: GeneratorComparison) -> Report:
    """The questions asked. Raises ValueError for constant images and for images of different sizes."""
    questions: dict[str, Callable[[GeneratorComparison], Answer]] = {
        "noise": against_noise,
        "checkerboard": against_checkerboard,
        "many": over_many_images,
        "toy": with_the_toy,
    }
    answers: list[Answer] = []
    for question in asked.questions:
        answers.append(questions[question](asked))
        if not answers[-1].done.complete:
            break
    return asked.report(
        [section for answer in answers for section in answer.sections],
        replace(answers[-1].done, late=tuple(name for answer in answers for name in answer.done.late)),
        used=[used for answer in answers for used in answer.used],
        seeds=asked.seeds,
        notes=dict.fromkeys(note for answer in answers for note in answer.notes),
    )


def against_noise(asked: GeneratorComparison) -> Answer:
    """Every architecture and overparameterization, each image and its pixels in random order."""
    images, note = chosen_images(asked)
    parts = [
        (f"{kind}, {factor:g}×, {image.name}", partial(fit_pair, kind, factor, image, asked))
        for kind in asked.kinds
        for factor in asked.factors
        for image in images
    ]
    done: Done[Fit] = run_parts(parts, "Generators", show=asked.progress, jobs=jobs(asked))
    sections = [steps_section(done.results, asked)] if done.results else []
    shown = [f for f in done.results if f.kind == "bilinear" and f.noise_path is not None and not f.unstable_on]
    if shown:
        sections.append(distance_section(shown))
    return Answer(done, sections, [image.used for image in images], (note, size_note(images, asked)))


def against_checkerboard(asked: GeneratorComparison) -> Answer:
    """The architectures of fixed filters at the middle overparameterization, each image and the checkerboard."""
    images, note = chosen_images(asked)
    factor = middle(asked.factors)
    parts = [
        (f"{kind}, {image.name} and checkerboard", partial(fit_pair, kind, factor, image, asked, "checkerboard"))
        for kind in asked.kinds
        if kind in ("bilinear", "fixed")
        for image in images
    ]
    done: Done[Fit] = run_parts(parts, "Checkerboard", show=asked.progress, jobs=jobs(asked))
    sections = [board_section(done.results, asked)] if done.results else []
    return Answer(done, sections, [image.used for image in images], (note, size_note(images, asked)))


def over_many_images(asked: GeneratorComparison) -> Answer:
    """Figure 3: curves of kind i over many images, in batches."""
    batches = many_batches(asked)
    parts = [(f"images from {seeds[0] + 1}", partial(fit_batch, seeds, read, asked)) for seeds, read in batches]
    done = run_parts(parts, "Many images", show=asked.progress, jobs=jobs(asked))
    used = [used for curves in done.results for used in curves.used]
    sections = [many_section(done.results, asked)] if len(used) > 1 else []
    return Answer(done, sections, used, (skipped_note(done.results),))


def with_the_toy(asked: GeneratorComparison) -> Answer:
    """Figure 4: the toy model in every setting searched."""
    settings = SETTINGS if asked.toy_search else (PUBLISHED,)
    parts = [(setting.name, partial(fit_toy, setting)) for setting in settings]
    done = run_parts(parts, "Toy model", show=asked.progress, jobs=jobs(asked))
    return Answer(done, [toy_section(done.results)] if done.results else [])


def jobs(asked: GeneratorComparison) -> int:
    """Processes that share the parts."""
    return asked.jobs or (1 if torch.cuda.is_available() else int(cpu_count()))


def chosen_images(asked: GeneratorComparison) -> tuple[tuple[Image, ...], str]:
    """The images and a note on skipped files. Raises ValueError for images of different sizes."""
    images, note = choose(asked.images or (), asked.pixels, colour=asked.colour)
    if len({image.pixels.shape for image in images}) != 1:
        raise ValueError(
            "the images must share one size and number of channels; got "
            + ", ".join(f"{i.name} {i.pixels.shape}" for i in images)
        )
    return images, note


def size_note(images: Sequence[Image], plan: GeneratorComparison) -> str:
    """How these sizes differ from the published ones."""
    height, width = images[0].pixels.shape[1:]
    return (
        f"Images are {height} × {width}; the published figure is at 256 × 256 (--full). The smaller a photograph, "
        "the less smooth it is from pixel to pixel, and the smaller the ratio. Depths are the published ones "
        f"except where the input would have fewer than 4 pixels on a side. Step {plan.step_size:g}, "
        f"{plan.optimizer}, normalization {plan.normalization.replace('_', ' the ')}, {plan.output} output."
    )
