"""The nearest known name to one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NEAR = 0.7
"""Share of letters in common, as difflib counts them, from which a name is taken for a misspelling. A convention: a
letter too few or too many in four passes, "inf" for "wine" does not."""


def nearest(name: str, known: Iterable[str]) -> str:
    """ "did you mean …? " where something known is near the name, else nothing.

    >>> nearest("digit", ["digits", "wine"]), nearest("inf", ["digits", "wine"])
    ("did you mean 'digits'? ", '')
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=NEAR)
    return f"did you mean {near[0]!r}? " if near else ""
