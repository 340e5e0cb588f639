"""`implicitbias compare denoising`."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.outcome import deliver, report_options

PHOTOGRAPHS = "astronaut,coffee,chelsea,rocket"


@click.command(name="denoising")
@click.option("--images", help=f"Colour photographs in scikit-image, comma-separated. [default: {PHOTOGRAPHS}]")
@click.option("--folder", type=click.Path(path_type=Path), help="Your own photographs instead, also in subfolders.")
@click.option("--size", type=click.IntRange(16, 1024), help="Pixels on a side. [default: 64; 512 with --full]")
@click.option("--noise", default=25.0, show_default=True, help="Noise standard deviation, of 255.")
@click.option("--same-noise", is_flag=True, help="One noise for all channels, as in the published table.")
@click.option("--full", is_flag=True, help="The published network and size; for a GPU.")
@report_options("implicitbias-report-denoising")
def command(
    images: str | None,
    folder: Path | None,
    size: int | None,
    noise: float,
    same_noise: bool,
    full: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Early stopping as a filter; deep decoder denoising beside total variation and wavelets."""
    from dataclasses import replace

    from compare.generators.denoising import compare_named
    from compare.generators.denoising_images import FULL, DecoderPlan

    if not 0 < noise <= 255:
        raise click.UsageError(f"--noise is a standard deviation on the scale 0 to 255; got {noise}")
    pixels = size or (512 if full else 64)
    plan = replace(FULL if full else DecoderPlan.for_size(pixels), level=noise / 255, same_noise=same_noise)
    if images is not None and folder is not None:
        raise click.UsageError("give --images or --folder, not both")
    names = tuple(name.strip() for name in (images or PHOTOGRAPHS).split(","))
    report = compare_named(names, folder, pixels, plan, full=full, progress=True)
    deliver(report, out=out, as_json=as_json)


def quick() -> object:
    """The part of bare `implicitbias compare`."""
    from compare.generators.denoising import quick

    return quick()
