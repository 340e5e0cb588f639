"""The options that choose the networks: --depths, --seeds, --init."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def integers(ctx: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    """ "1,2,4" or "0-9" or both."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not (first.strip().isdigit() and (not last or last.strip().isdigit())):
            raise click.BadParameter(f"{text!r}: write integers such as 1,2,4 or a range such as 0-9", ctx, option)
        numbers += range(int(first), int(last or first) + 1)
    if not numbers:
        raise click.BadParameter(f"{text!r} names no integer", ctx, option)
    return tuple(dict.fromkeys(numbers))


def network_options(
    *, depths: str | None, seeds: str = "0,1", depths_help: str = "Numbers of layers L."
) -> Callable[[F], F]:
    """The options with these defaults; the command receives `depths` and `seeds` as integers and `init: float`.

    depths=None leaves --depths out, for networks whose depth is given.
    """

    def decorate(command: F) -> F:
        command = click.option(
            "--init", default=0.1, show_default=True, help="Standard deviation of the initial weights."
        )(command)
        command = click.option(
            "--seeds", default=seeds, show_default=True, callback=integers, help="Seeds of the initial weights."
        )(command)
        if depths is None:
            return command
        return click.option("--depths", default=depths, show_default=True, callback=integers, help=depths_help)(command)

    return decorate
