"""Sphinx: docstrings are plain text with Google's sections, in which mathematics stands as mathematics.

reStructuredText would read |β| as a substitution, * as emphasis and x_ as a link. So these signs are escaped outside
of backticks and doctests, and an indented paragraph, which shows a formula or a program, is kept as it stands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SIGNS = re.compile(r"(``.*?``|`[^`]*`)|([\\*|])|(?<=\w)(_)(?!\w)|(\^_|__)")
COLON = "\ue000"  # a private character, which no docstring has
ALIAS = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")
OBJECT = re.compile(r"(= ?)<[^<>]*(?:<[^<>]*>[^<>]*)*>")  # a default without a literal, as `repr` writes it
SECTIONS = ("Args:", "Attributes:", "Returns:", "Raises:", "Yields:", "Reference:", "References:", "Example:", "Note:")


def indent(line: str) -> int:
    """The number of spaces in front."""
    return len(line) - len(line.lstrip())


def escaped(line: str) -> str:
    """The line with the signs escaped that reStructuredText gives a meaning.

    >>> print(escaped("|β_k|² of `x_*`"))
    \\|β_k\\|² of `x_*`
    """

    def rewritten(found: re.Match[str]) -> str:
        plural = line[found.end() : found.end() + 1].isalnum()  # `Image`s: markup must end before the letter
        return found[1] + "\\ " * plural if found[1] else "\\" + found[0]

    return SIGNS.sub(rewritten, line)


def process(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Sphinx: a docstring has been read. Runs before napoleon reads its sections."""
    result: list[str] = []
    outer, doctest, shown = 0, False, False  # the indent of the text around; whether within a doctest; within a display
    for number, line in enumerate(lines):
        first = number == 0 or not lines[number - 1].strip()
        if not line.strip():
            result.append(line)
            doctest = False
            continue
        if first and not line.lstrip().startswith(">>>"):
            starts = result and indent(line) >= outer + 4 and not shown
            if starts:
                result += [" " * outer + ".. code-block:: none", " " * outer + "   :class: formula", ""]
            shown = bool(starts) or (shown and indent(line) >= outer + 4)
        doctest = doctest or line.lstrip().startswith(">>>")
        if not shown:
            outer = indent(line) + 4 * (line.strip() in SECTIONS)
        result.append(line if doctest or shown else escaped(line))
    if what in ("property", "attribute"):  # napoleon would read "first words: the rest" as a type and a description
        result = [line.replace(":", COLON) for line in result]
    lines[:] = result


def restore(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Sphinx: runs after napoleon."""
    lines[:] = [line.replace(COLON, ":") for line in lines]


def plain_types(
    app: Sphinx, what: str, name: str, thing: object, options: object, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Sphinx: a signature has been read. An alias within another type is written as its name."""
    arguments, returns = (part and ALIAS.sub(r"\1", part) for part in (arguments, returns))
    return arguments and parsable(arguments), returns


def parsable(arguments: str) -> str:
    """The arguments as Python can read them: what it cannot read Sphinx prints without a layout, and with raw names.

    >>> parsable("(shape: ~numpy.Shape = (1,), data: dict = <factory>)")
    '(shape: ~numpy.Shape = (1,), data: dict = ...)'
    """
    return OBJECT.sub(r"\1...", arguments)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx: called once. Priority: napoleon has the default, 500."""
    app.connect("autodoc-process-signature", plain_types)
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
