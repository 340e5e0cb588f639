"""Stopping early is filtering, and what an untrained network makes of it: the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from compare.generators.denoising_bands import band_section
from compare.generators.denoising_filter import image_section, width_section
from compare.generators.denoising_images import PUBLISHED_TRAINING, DecoderTraining, photograph_section
from compare.generators.denoising_labels import label_section
from compare.generators.denoising_rates import rate_section
from compare.generators.denoising_stopping import stopping_section
from compare.generators.image_sources import Image, choose, shipped
from compare.reports.progress import run_parts
from compare.reports.report import Report, Section

if TYPE_CHECKING:
    from compare.experiments.denoising import DenoisingComparison

WIDE_ENOUGH = 1024
"""Channels for the rates, at most: what a finite width adds to the error is known there to a tenth."""


def denoising_report(asked: DenoisingComparison) -> Report:
    """The sections asked for; Ctrl-C keeps those that are finished."""
    full, widths, size = asked.full, asked.widths or (), asked.size or 0
    photographs: tuple[Image, ...] = ()
    note = ""
    if "photographs" in asked.questions:
        photographs, note = choose(asked.images or (), size, colour=True)
    grey = shipped("camera", 32)
    training = PUBLISHED_TRAINING if full else DecoderTraining.for_size(size)
    training = replace(training, level=asked.noise / 255, same_noise=asked.same_noise)
    seeds = tuple(asked.seeds)
    sections: dict[str, tuple[str, Callable[[], Section]]] = {
        "filter": (
            "filter against network",
            lambda: width_section(widths=widths, seeds=seeds, steps=asked.filter_steps),
        ),
        "stopping": (
            "best stopping time",
            lambda: stopping_section(k=widths[-1] // 2, seeds=seeds[: max(len(seeds) // 4, 1)]),
        ),
        "rates": ("rates", lambda: rate_section(k=min(widths[-1], WIDE_ENOUGH), seeds=seeds)),
        "image": ("filters on an image", lambda: image_section(grey, k=2048 if full else 256)),
        "photographs": ("photographs", lambda: photograph_section(photographs, training)),
        "frequencies": ("frequencies", lambda: band_section(grey, steps=asked.band_steps)),
        "labels": (
            "corrupted labels",
            lambda: label_section(count=350, steps=20_000, k=1000) if full else label_section(),
        ),
    }
    done = run_parts([sections[name] for name in asked.questions], "Denoising", show=asked.progress)
    used = [image.used for image in photographs]
    used += [grey.used] if {"image", "frequencies"} & set(asked.questions) else []
    return asked.report(done.results, done, used=used, seeds=seeds, notes=(note, size_note(photographs)))


def size_note(photographs: tuple[Image, ...]) -> str:
    """How the photographs differ from the published ones."""
    if not photographs or min(photographs[0].pixels.shape[1:]) >= 512:
        return ""
    height, width = photographs[0].pixels.shape[1:]
    shown = f"Photographs are {height} × {width}, not the published 512 × 512"
    return f"{shown}: PSNRs are lower and compare among themselves."
