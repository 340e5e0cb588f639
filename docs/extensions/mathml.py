"""Sphinx: formulas as MathML, which every browser sets without a script, a font or a network.

`html_math_renderer = "mathml"` makes Sphinx call the two functions below for inline and for displayed formulas.
"""

from __future__ import annotations

import re
from typing import Literal

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator


def mathml(node: nodes.math | nodes.math_block, display: Literal["inline", "block"]) -> str:
    """The formula; a warning where the converter left a command or an alignment sign as it stood."""
    result: str = convert(node.astext(), display=display)
    if re.search(r"\\|>&(amp;|#x00026;)?<", result):
        getLogger(__name__).warning("not understood as a formula: %s", node.astext(), location=node)
    return result


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """A formula within a line."""
    self.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def displayed(self: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on lines of its own, scrolled sideways where the screen is narrow."""
    self.body.append(f'<div class="formula">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx: called once."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
