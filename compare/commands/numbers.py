"""Numbers in a range, as options of commands that no experiment describes."""

from __future__ import annotations

import click


class Number(click.FloatRange):
    """As click's, but called a number in help and errors."""

    name = "number"


class Integer(click.IntRange):
    """As click's, but called an integer."""

    name = "integer"
