"""`implicitbias compare denoising`: stopping early is filtering, and what an untrained network makes of it.

The two-layer generator beside the filter that predicts it, the best time to stop, the same on an image; photographs
beside total variation and wavelets; the order in which frequencies are learned; and corrupted labels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compare.generators.denoising_bands import band_section
from compare.generators.denoising_filter import image_section, stopping_section, width_section
from compare.generators.denoising_images import DecoderPlan, photograph_section
from compare.generators.denoising_labels import label_section
from compare.generators.images import Image, choose, shipped
from compare.reports.progress import run_parts
from compare.reports.provenance import Provenance
from compare.reports.report import Report, Section

COLOUR_PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
TITLE = "Early stopping of generators is a spectral filter"


def compare_denoising(
    photographs: tuple[Image, ...],
    plan: DecoderPlan,
    grey: Image,
    *,
    full: bool = False,
    note: str = "",
    progress: bool = False,
) -> Report:
    """All sections; Ctrl-C keeps those that are finished."""
    widths = (256, 1024, 4096, 16_384) if full else (256, 1024, 4096)
    parts: list[tuple[str, Callable[[], Section]]] = [
        ("filter against network", lambda: width_section(widths=widths)),
        ("best stopping time", lambda: stopping_section(k=8192 if full else 2048)),
        ("filters on an image", lambda: image_section(grey, k=2048 if full else 256)),
        ("photographs", lambda: photograph_section(photographs, plan)),
        ("frequencies", lambda: band_section(grey, steps=4000 if full else 400)),
        ("corrupted labels", lambda: label_section(count=350, steps=20_000, k=1000) if full else label_section()),
    ]
    done = run_parts(parts, "Denoising", show=progress)
    size = photographs[0].pixels.shape
    sizes = (
        f"Photographs are {size[1]} × {size[2]}, not the published 512 × 512: PSNRs are lower and compare among "
        "themselves."
        if min(size[1:]) < 512
        else ""
    )
    used = [image.used for image in (*photographs, grey)]
    return Report(
        TITLE,
        done.results,
        Provenance.collect(used, seeds=(plan.seed,)),
        tuple(n for n in (note, done.note, sizes) if n),
        complete=done.complete,
    )


def compare_named(
    names: tuple[str, ...],
    folder: Path | None,
    size: int,
    plan: DecoderPlan,
    *,
    full: bool = False,
    progress: bool = False,
) -> Report:
    """What the command line runs. Raises DataError for unknown names and folders without images."""
    images, note = choose(names, folder, size, colour=True)
    return compare_denoising(images, plan, shipped("camera", 32), full=full, note=note, progress=progress)


def quick() -> Report:
    """The filter against two widths, and the best stopping time: a few seconds."""
    sections = (width_section(widths=(256, 1024), seeds=(0, 1, 2), steps=30), stopping_section(k=512, seeds=(0,)))
    return Report(TITLE, sections, Provenance.collect(seeds=(0, 1, 2)))
