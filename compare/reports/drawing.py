"""A `Figure` as inline SVG: the same bytes every time, and colours that follow the reader's scheme.

Text, axes and grid are drawn in one marker colour, which becomes `currentColor` in the SVG, so a plot is dark on a
light page and light on a dark one; line colours are mid-tones with a contrast above 3:1 on both. No pyplot: nothing
global is touched, and importing it would take two seconds.
"""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any

from cycler import cycler
from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from compare.reports.findings import Figure
from compare.reports.wording import clean

INK = "#010203"
"""Stands for the page's text colour; no plot uses it otherwise."""

COLOURS = ("#3b82c4", "#d9702a", "#2f9b6c", "#b05fc0", "#c9485b", "#1b95a8", "#9a7d2e", "#7a7f87")

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.titlesize": 10.0,
    "legend.fontsize": 8.5,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.formatter.use_mathtext": False,
    "text.parse_math": True,
}


def literal(text: str) -> str:
    """Text for a label of a plot, from a user's file: control characters gone, $ not read as mathematics."""
    return clean(text).replace("$", r"\$")


def classed(drawing: str) -> str:
    """Style attributes as classes in the drawing's <style>: attributes have no hash that a page's policy could allow.

    A class is named after what it says, so that drawings in one page may share it. Only tags are looked at; the text
    between them is a user's.
    """
    rules: dict[str, str] = {}

    def named(tag: re.Match[str]) -> str:
        def rule(style: re.Match[str]) -> str:
            name = f"ib-{hashlib.sha256(style[1].encode()).hexdigest()[:8]}"
            rules[name] = style[1]
            return f' class="{name}"'

        return re.sub(r' style="([^"&]*)"', rule, tag[0])

    drawing = re.sub(r"<[a-z][^<>]*>", named, drawing)
    return drawing.replace("</style>", "".join(f" .{name}{{{rule}}}" for name, rule in rules.items()) + "</style>", 1)


def svg(figure: Figure) -> str:
    """The figure as an <svg> element to place inside a page: no prolog, no metadata, no ids that could clash."""
    style: Any = STYLE | {"svg.hashsalt": f"implicitbias {figure.name}"}
    with rc_context(style):
        canvas = Canvas(figsize=figure.size, layout="constrained")
        figure.draw(canvas)
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, count=1, flags=re.DOTALL)
    drawing = re.sub(r'(<g) id="[^"]*"', r"\1", drawing)  # what is referred to (clip paths, markers) is no <g>
    drawing = classed(drawing.replace(INK, "currentColor"))
    head, rest = drawing.split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", head).replace("<svg", '<svg role="img"', 1) + ">" + rest
