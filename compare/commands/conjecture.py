"""`implicitbias compare conjecture`."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.outcome import deliver, report_options


def sizes(ctx: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    """ "8" or "4x4"."""
    parts = text.lower().replace("×", "x").split("x")
    if not 1 <= len(parts) <= 2 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{text!r}: write a length such as 8 or an image size such as 4x4", ctx, option)
    return tuple(int(part) for part in parts)


@click.command(name="conjecture")
@click.option("--size", "grid", default="8", show_default=True, callback=sizes, help="Of a signal, or HxW of an image.")
@click.option("--kernel", default="2", show_default=True, callback=sizes, help="K, or KxK for an image.")
@click.option("--channels-in", default=2, show_default=True, type=click.IntRange(1), help="Input channels R.")
@click.option("--channels-out", type=click.IntRange(1), help="Output channels C. [default: R, as conjectured]")
@click.option("--generations", default=5, show_default=True, type=click.IntRange(1))
@click.option("--batch", default=20, show_default=True, type=click.IntRange(1), help="Instances of a generation.")
@click.option("--restarts", default=8, show_default=True, type=click.IntRange(1), help="Local searches of an instance.")
@click.option("--climbs", default=6, show_default=True, type=click.IntRange(0), help="Steps up the gap.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--device", help="cpu or cuda. [default: cuda where there is one]")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that keeps the hunt and its best instance; an existing one is gone on with.",
)
@report_options("implicitbias-report-conjecture")
def command(
    grid: tuple[int, ...],
    kernel: tuple[int, ...],
    channels_in: int,
    channels_out: int | None,
    generations: int,
    batch: int,
    restarts: int,
    climbs: int,
    seed: int,
    device: str | None,
    state: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Hunt for a predictor that few channels pay more for than many."""
    from compare.channels.conjecture import report, run_hunt
    from gd.multi_channel_search import HuntPlan

    if len(kernel) != len(grid) or any(k > d for k, d in zip(kernel, grid, strict=True)):
        raise click.UsageError(f"--kernel {kernel} needs one size from 1 to D along each axis of --size {grid}")
    plan = HuntPlan(grid, kernel, channels_in, channels_out or channels_in, batch, restarts, climbs)
    hunt, note = run_hunt(plan, seed, generations, path=state, device=device, progress=True)
    deliver(report(hunt, note), out=out, as_json=as_json)


def quick() -> object:
    """The part of bare `implicitbias compare`."""
    from compare.channels.conjecture import quick

    return quick()
