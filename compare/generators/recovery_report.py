"""Recovery of signals from few measurements: the report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from compare.generators.image_sources import load_images
from compare.generators.recovery_sections import image_section, line_section
from compare.generators.recovery_transition import transition_section
from compare.reports.progress import run_parts
from compare.reports.report import Report, Section

if TYPE_CHECKING:
    from compare.experiments.recovery import RecoveryComparison


def recovery_report(asked: RecoveryComparison) -> Report:
    """The line, and every image with Gaussian and with Fourier measurements; Ctrl-C keeps what is finished."""
    images = load_images(asked.images, asked.size or 0)
    line = partial(line_section, k=asked.line_channels, counts=asked.line_counts, steps=asked.line_steps)
    parts: list[tuple[str, Callable[[], Section]]] = [("one dimension", line)]
    if asked.transition:
        parts.append(
            ("transition", partial(transition_section, trained=asked.trained, channels=asked.line_channels // 2))
        )
    parts += [
        (f"{image.name}, {kind}", partial(image_section, image, kind, asked))
        for image in images
        for kind in ("Gaussian", "Fourier")
    ]
    done = run_parts(parts, "Recovery", show=asked.progress)
    return asked.report(done.results, done, used=[i.used for i in images], seeds=(asked.seed,))
