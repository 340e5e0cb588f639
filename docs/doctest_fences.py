"""Doctests in docstrings, as code: without this, Markdown would read `>>>` as three nested quotations.

An extension of griffe, which reads the docstrings for the API reference.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?P=indent)\S.*|\n(?P=indent) +\S.*)*", re.MULTILINE)


def fenced(docstring: str) -> str:
    """Each doctest, up to the next empty line, in a fence.

    >>> fenced(">>> 1 + 1").splitlines()
    ['```pycon', '>>> 1 + 1', '```']
    """
    return DOCTEST.sub(lambda found: f"{found['indent']}```pycon\n{found[0]}\n{found['indent']}```", docstring)


class DoctestFences(griffe.Extension):
    """Fence the doctests of everything that is documented."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """griffe: an object has been read from its source."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
