"""`implicitbias compare spline`: wide ReLU networks against the weighted spline."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.outcome import deliver, report_options
from compare.spline.cases import load_case
from compare.spline.spline import WIDTHS, compare_spline, quick

__all__ = ["command", "quick"]


@click.command("spline")
@click.option("--init", "inits", multiple=True, metavar="LAW",
              help="gaussian:SIGMA_W,SIGMA_B (deviations), uniform:A_W,A_B, binary:A_B; repeatable.")  # fmt: skip
@click.option("--data", default="builtin", show_default=True, metavar="FILE.csv|builtin",
              help="Two columns x, y, or the paper's five points.")  # fmt: skip
@click.option("--widths", default=",".join(map(str, WIDTHS)), show_default=True, metavar="N,N,…",
              help="Units of one of the two mirrored halves; the slope is fitted from 80 on.")  # fmt: skip
@click.option("--seeds", default=100, show_default=True, type=click.IntRange(min=1), help="Networks per width.")
@report_options("implicitbias-spline")
def command(inits: tuple[str, ...], data: str, widths: str, seeds: int, out: Path, as_json: bool) -> None:
    """Train wide one-input ReLU networks to the end of gradient flow and measure their distance to min ∫ g″²/ζ.

    Error against width with fitted slope (theory −1/2), the effect of ζ, training all weights or the output layer,
    the trajectory beside smoothing splines, and the rich regime (least ∫|g″|) beside it all.
    """
    try:
        chosen = sorted({int(text) for text in widths.split(",")})
    except ValueError:
        raise ValueError(f"--widths {widths!r}: write whole numbers with commas between, as 80,320,1280") from None
    report = compare_spline(load_case(data), inits, widths=chosen, seeds=seeds, show=True)
    deliver(report, out=out, as_json=as_json)
