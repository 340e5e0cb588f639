"""`implicitbias compare generators`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import click

from compare.commands.outcome import deliver, report_options

USUAL_IMAGES = "camera,shepp_logan_phantom"
KIND_NAMES = ("bilinear", "fixed", "learned", "deconvolution")


def numbers(ctx: click.Context, option: click.Parameter, text: str) -> tuple[float, ...]:
    """ "1,4,16" as positive numbers."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r}: write positive numbers such as 1,4,16", ctx, option) from None
    if not all(0 < number < float("inf") for number in found):
        raise click.BadParameter(f"{text!r}: every number must be positive and finite", ctx, option)
    return found


@click.command(name="generators")
@click.option("--images", help=f"Names in scikit-image, comma-separated; also checkerboard. [default: {USUAL_IMAGES}]")
@click.option("--folder", type=click.Path(path_type=Path), help="Your own images instead, also in subfolders.")
@click.option(
    "--size",
    type=click.IntRange(8, 1024),
    help="Pixels on a side. [default: 32, and 64 for images of your choice; 256 with --full]",
)
@click.option("--colour", is_flag=True, help="Three channels instead of grey.")
@click.option("--kinds", default=",".join(KIND_NAMES), show_default=True, help="Architectures, comma-separated.")
@click.option(
    "--factors",
    default="1,4,16",
    show_default=True,
    callback=numbers,
    help="Overparameterizations: parameters per output number.",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=2, show_default=True, help="How many starts.")
@click.option("--fraction", default=0.01, show_default=True, help="Error to reach, as a share of the variance.")
@click.option(
    "--text-version",
    is_flag=True,
    help="As the paper's text has it: normalization before the ReLU, linear output, plain gradient descent.",
)
@click.option(
    "--step",
    type=click.FloatRange(0, min_open=True),
    help="Step size for the mean squared error. [default: 0.5; 0.1 with --full or --text-version]",
)
@click.option("--full", is_flag=True, help="The published size, step and iterations; for a GPU.")
@report_options("implicitbias-report-generators")
def command(
    images: str | None,
    folder: Path | None,
    size: int | None,
    colour: bool,
    kinds: str,
    factors: tuple[float, ...],
    seeds: int,
    fraction: float,
    text_version: bool,
    step: float | None,
    full: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Convolutional generators: iterations to fit an image and to fit noise, four architectures.

    Photographs shrunk to 32 pixels are rough, and some are then fitted less than ten times faster than noise; at 64 an
    image takes minutes.
    """
    from compare.generators.generators import compare_named
    from compare.generators.measure import PUBLISHED_STEP, FitPlan
    from gd.images.conv_generator import Kind

    if images is not None and folder is not None:
        raise click.UsageError("give --images or --folder, not both")
    wanted = [name.strip() for name in kinds.split(",")]
    if unknown := set(wanted) - set(get_args(Kind)):
        raise click.UsageError(f"--kinds: {', '.join(sorted(unknown))} is none of {', '.join(get_args(Kind))}")
    if not 0 < fraction < 1:
        raise click.UsageError(f"--fraction is a share of the variance, between 0 and 1; got {fraction}")
    plan = FitPlan(tuple(range(seeds)), fraction)
    if text_version:
        plan = replace(plan, optimizer="gd", normalization="before_relu", output="linear", step=PUBLISHED_STEP)
    if full:
        plan = replace(plan, longest_image=20_000, step=PUBLISHED_STEP)
    if step is not None:
        plan = replace(plan, step=step)
    usual = images is None and folder is None
    pixels = size or (256 if full else 32 if usual else 64)
    report = compare_named(
        [name.strip() for name in (images or USUAL_IMAGES).split(",")],
        folder,
        pixels,
        colour=colour,
        progress=True,
        kinds=[kind for kind in get_args(Kind) if kind in wanted],
        factors=factors,
        plan=plan,
    )
    deliver(report, out=out, as_json=as_json)


def quick() -> object:
    """The part of bare `implicitbias compare`."""
    from compare.generators.generators import quick

    return quick()
