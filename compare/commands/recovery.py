"""`implicitbias compare recovery`."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.generators import numbers
from compare.commands.outcome import deliver, report_options


@click.command(name="recovery")
@click.option(
    "--images", default="shepp_logan_phantom", show_default=True, help="Images in scikit-image, comma-separated."
)
@click.option("--size", type=click.Choice(["16", "32", "64"]), help="Pixels on a side. [default: 32; 64 with --full]")
@click.option(
    "--shares",
    default="0.1,0.25,0.5",
    show_default=True,
    callback=numbers,
    help="Numbers of measurements, as shares of the pixels.",
)
@click.option("--full", is_flag=True, help="64 × 64 and a longer training; for a GPU and patience.")
@report_options("implicitbias-report-recovery")
def command(images: str, size: str | None, shares: tuple[float, ...], full: bool, out: Path, as_json: bool) -> None:
    """Signals from few measurements: generators, their explicit limit, total variation and wavelets."""
    from compare.generators.recovery import RecoveryPlan, compare_named

    if max(shares) > 1:
        raise click.UsageError(f"--shares: more measurements than pixels ({max(shares):g}); give numbers up to 1")
    plan = RecoveryPlan(shares, channels=64, steps=6000) if full else RecoveryPlan(shares)
    report = compare_named(
        [name.strip() for name in images.split(",")], int(size or (64 if full else 32)), plan, progress=True
    )
    deliver(report, out=out, as_json=as_json)


def quick() -> object:
    """The part of bare `implicitbias compare`."""
    from compare.generators.recovery import quick

    return quick()
