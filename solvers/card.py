"""How results print: the class, then one short line for each field. Arrays show their shape and first entries."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

import numpy as np

ENTRIES = 4
"""Entries of an array or a mapping that are shown. A convention."""
WIDTH = 100
"""Columns of a printed card; longer lines are wrapped."""


class Card:
    """A dataclass that prints as a card, and as a table in a notebook. Declare it with `@dataclass(repr=False)`.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, repr=False)
    ... class Fit(Card):
    ...     beta: np.ndarray
    ...     gap: float
    >>> Fit(np.arange(6.0), 1 / 3)
    Fit
      beta  (6,)  0, 1, 2, 3, …
      gap   0.333333
    """

    def in_short(self) -> str:
        """The line that stands for this value inside another card."""
        return type(self).__name__

    def in_card(self, name: str) -> str:
        """The line of one field on this card."""
        return in_words(getattr(self, name))

    def __repr__(self) -> str:
        lines = card_of(self)
        width = max(len(name) for name in lines)
        shown = [
            textwrap.fill(text, WIDTH, initial_indent=f"  {name:{width}}  ", subsequent_indent=" " * (width + 4))
            for name, text in lines.items()
        ]
        return "\n".join([type(self).__name__, *shown])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in card_of(self).items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"


def card_of(result: Any) -> dict[str, str]:
    """A dataclass's public fields by name, each on one line."""
    return {field.name: result.in_card(field.name) for field in fields(result) if field.name[0] != "_"}


def in_words(value: Any) -> str:
    """A value on one line.

    >>> in_words(np.eye(3)), in_words({"a": np.zeros(2), "steps": 12}), in_words(None)
    ('(3, 3)  1, 0, 0, 0, …', 'a: (2,)  0, 0; steps: 12', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, Card):
        return value.in_short()
    if isinstance(value, Enum):
        return f"{value.name}: {value}"
    if isinstance(value, np.ndarray):
        more = ", …" if value.size > ENTRIES else ""
        return f"{value.shape}  " + ", ".join(in_words(entry) for entry in value.flat[:ENTRIES].tolist()) + more
    if isinstance(value, tuple) and value and all(isinstance(entry, Card) for entry in value):
        return f"{len(value)}: " + "; ".join(entry.in_short() for entry in value[:ENTRIES])
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        shown = [f"{name}: {in_words(entry)}" for name, entry in list(value.items())[:ENTRIES]]
        return "; ".join(shown) + ("; …" if len(value) > ENTRIES else "")
    if isinstance(value, tuple | list):
        more = ", …" if len(value) > ENTRIES else ""
        return ", ".join(in_words(entry) for entry in value[:ENTRIES]) + more or "none"
    return type(value).__name__ if " at 0x" in str(value) else str(value)
