"""`implicitbias prove lemma`: the polynomial convolution lemma for kernels of the user's own."""

from __future__ import annotations

import json
import math
import os
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from compare.command_line import NOT_REACHED
from compare.commands.experiment import from_the_start, time_limit_option
from compare.commands.outcome import writable
from compare.commands.written import Place, written
from compare.experiments.values import COUNT, INTEGER, Wanted

PICTURES = (".svg", ".png", ".pdf")

_DIGITS = 30
"""How many digits of an interval are printed: its ends are rounded outwards, so it still holds c."""


def drawable(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """The path itself, if a picture can be written there; asked before the work."""
    if path is not None and path.suffix.lower() not in PICTURES:
        raise click.BadParameter(f"{path.name!r} must end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}", ctx, option)
    return writable(ctx, option, path)


@click.command("lemma", short_help="c with a⋆a + b⋆b = c⋆c for your own kernels.")
@click.option("--a", "a", metavar="KERNEL", help="The first kernel: 1,2,0 or a file.")
@click.option("--b", "b", metavar="KERNEL", help="The second kernel.")
@click.option("--more", multiple=True, metavar="KERNEL", help="A further kernel; may be given several times.")
@click.option("--kernels", "rows", metavar="FILE", help="A file with one vector a row, any number of them.")
@written("--dim", wanted=Wanted(INTEGER, COUNT), shown="every D ≥ K", help="D, the length of the circle, at least K.")
@click.option("--exact", is_flag=True, help="Read decimals as fractions and factor exactly, at any K.")
@click.option("--channels", is_flag=True, help="The rows of a matrix are input channels, not those of an image.")
@click.option(
    "--picture",
    type=Place(dir_okay=False),
    callback=drawable,
    help="Draw roots and spectra: FILE.svg, .png or .pdf.",
)
@time_limit_option
@click.option("--json", "as_json", is_flag=True, help="Print verdict, c, its intervals and every step as JSON.")
def command(
    a: str | None,
    b: str | None,
    more: tuple[str, ...],
    rows: str | None,
    dim: int | None,
    exact: bool,
    channels: bool,
    picture: Path | None,
    time_limit: float,
    as_json: bool,
) -> None:
    """Find c with a⋆a + b⋆b = c⋆c (⋆ is autocorrelation), and prove it.

    A KERNEL is numbers with commas, a matrix has its rows between semicolons ("1,1;0,0"); or it is a file: .npy, or
    text with one row a line. Integers and fractions such as 1/3 are taken exactly, decimals as doubles unless --exact.
    For matrices the lemma fails in general; the verdict is then REFUTED, with the obstruction. The exit code is 1 when
    the machine could not decide, 3 when the time limit came first.
    """
    kernels = [read_kernel(text, exact) for text in (a, b, *more) if text is not None]
    if rows is not None:
        vectors = read_kernel(rows, exact)
        kernels += vectors if isinstance(vectors[0], list) else [vectors]
    if len(kernels) < 2:
        raise ValueError(f"the lemma adds two kernels or more, got {len(kernels)}; give --a and --b, or --kernels FILE")
    from compare.reports.time_limit import TOO_LATE, TimeIsUp, alarm
    from proofs.lemma import verify_lemma

    try:
        with from_the_start(time_limit), alarm():
            verdict = verify_lemma(*kernels, dim=dim, exact=exact or None, channels=channels)
    except TimeIsUp:
        click.echo(f"Not decided: {TOO_LATE}.", err=True)
        click.get_current_context().exit(NOT_REACHED)
    if as_json:
        click.echo(json.dumps(record(verdict), ensure_ascii=False, indent=1))
    else:
        _print(verdict)
    if picture is not None:
        from solvers.whole_files import replacing

        with replacing(picture) as place:
            verdict.figure().savefig(place)
        click.echo(f"picture: {picture}", err=True)
    if not verdict.as_expected:
        click.get_current_context().exit(1)


def read_kernel(text: str, exact: bool) -> list[Any]:
    """A vector or a matrix from numbers, or from a file.

    Raises:
        ValueError: when an entry of a text is no finite number, or there is none.
    """
    is_file = os.path.isfile(text)
    if is_file and text.endswith(".npy"):
        import numpy as np

        loaded = np.load(text, allow_pickle=False)
        if not (loaded.ndim and loaded.size):
            raise ValueError(f"the kernel {text!r} must be a vector or a matrix; the array has shape {loaded.shape}")
        entries: list[Any] = loaded.tolist()
        return entries
    lines = Path(text).read_text(encoding="utf-8").splitlines() if is_file else text.split(";")
    words = [line.replace(",", " ").split() for line in lines if line.strip()]
    if not words:
        raise ValueError(f"the kernel {text!r} has no entries")
    try:
        rows = [[_number(word, exact) for word in line] for line in words]
    except ValueError as error:
        no_file = "" if is_file or "," in text else f", and there is no file {text!r}"
        raise ValueError(f"the kernel {text!r}: {error}{no_file}") from None
    return rows if len(rows) > 1 else rows[0]


def _number(word: str, exact: bool) -> Fraction | float:
    try:
        read = Fraction(word) if exact or not set(word) & set(".eE") else float(word)
        if math.isfinite(read):
            return read
    except (ValueError, ZeroDivisionError):
        pass
    raise ValueError(f"{word!r} is no finite number such as 2, 1/3 or 0.5")


def record(verdict: Any) -> dict[str, Any]:
    """What `--json` prints."""
    from proofs.page import record as steps_and_verdict

    found = verdict.c is not None
    own = {
        "kernels": [kernel.tolist() for kernel in verdict.kernels],
        "dim": verdict.dim,
        "c": verdict.c.tolist() if found else None,
        "intervals": [[_decimal(low, ROUND_FLOOR), _decimal(high, ROUND_CEILING)] for low, high in verdict.intervals],
        "minimal_polynomials": list(verdict.minimal_polynomials),
    }
    return steps_and_verdict(verdict.stated, verdict) | own


def _decimal(value: Fraction, rounding: str) -> str:
    context = Context(prec=_DIGITS, rounding=rounding)
    return str(context.divide(value.numerator, value.denominator))


def _print(verdict: Any) -> None:
    from rich.text import Text

    from compare.commands.proof_text import COLOURS, console, print_steps

    out = console()
    print_steps(verdict.stated, verdict, out)
    kind = str(verdict.kind)
    out.print(Text.assemble("\n", (kind, f"bold {COLOURS.get(kind, 'green')}"), f" for {verdict.scope}"))
    if verdict.c is None:
        return
    for k, (low, high) in enumerate(verdict.intervals):
        index = k if verdict.c.ndim == 1 else tuple(divmod(k, verdict.c.shape[1]))
        polynomial = f"  root of {verdict.minimal_polynomials[k]}" if verdict.minimal_polynomials else ""
        ends = _decimal(low, ROUND_FLOOR), _decimal(high, ROUND_CEILING)
        out.print(Text(f"c[{index}] ∈ [{ends[0]}, {ends[1]}]{polynomial}"), soft_wrap=True)
