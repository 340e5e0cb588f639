"""The options that choose the data: --data, --scale, --offset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

SOURCE_HELP = (
    "digits:AvB, wine:AvB, iris:AvB, breast_cancer, synthetic:N,D,seed, or a file: .csv .tsv .parquet (label in the "
    "column y or label, else the last one) or .npz (arrays X, y)."
)


def data_options(default: str) -> Callable[[F], F]:
    """The options; the command receives `data: str`, `scale: str`, `offset: bool | None`, as `load` takes them."""

    def decorate(command: F) -> F:
        for option in (
            click.option(
                "--offset/--no-offset",
                default=None,
                help="Whether to append a column of ones to the data; only breast_cancer has one by default.",
            ),
            click.option(
                "--scale",
                type=click.Choice(["auto", "none", "standard"]),
                default="auto",
                show_default=True,
                help="standard: each column to mean 0 and standard deviation 1; auto: for tables.",
            ),
            click.option("--data", default=default, show_default=True, metavar="SOURCE", help=SOURCE_HELP),
        ):
            command = option(command)
        return command

    return decorate
