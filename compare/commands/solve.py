"""`implicitbias solve`: the explicit problems, each answer with its certificate."""

from __future__ import annotations

import click

from compare.command_line import PROBLEMS, LazyGroup


class Problems(LazyGroup):
    """The explicit problems by name."""

    rows = PROBLEMS


@click.group(cls=Problems, name="solve")
def command() -> None:
    """Solve an explicit problem and print the answer's certificate."""
