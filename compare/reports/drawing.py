"""A `Figure` as inline SVG: the same bytes every time, and colours that follow the reader's scheme.

Text, axes and grid are drawn in one marker colour, which becomes `currentColor` in the SVG, so a plot is dark on a
light page and light on a dark one; line colours are mid-tones with a contrast above 3:1 on both. No pyplot: nothing
global is touched, and importing it would take two seconds.

A legend that would cover a line stands above its axes. What the page's script needs to say the numbers under the
pointer is in the attribute `data-axes`: where the axes are in the drawing, their scales, and the names of their lines,
whose groups carry `data-line`.
"""

from __future__ import annotations

import hashlib
import html
import io
import math
import re
from typing import Any

import numpy as np
from cycler import cycler
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, LogFormatter, MaxNLocator, NullFormatter

from compare.reports.findings import Figure
from compare.reports.records import json_text
from compare.reports.wording import LARGEST_POWER, SMALLEST_POWER, SUPERSCRIPTS, clean, number

INK = "#010203"
"""Stands for the page's text colour; no plot uses it otherwise."""

TAG = re.compile(r"<[a-z][^<>]*>")
POINTS_PER_INCH = 72
DIGITS = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 6, 8))
"""Of each decade on a logarithmic axis: the first of these of which three numbers are in sight. A convention."""
MOST_FEW = 3
SAMPLES = 257
"""Values that describe an axis that is neither linear nor logarithmic."""

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

    drawing = re.sub(TAG, named, drawing)
    return drawing.replace("</style>", "".join(f" .{name}{{{rule}}}" for name, rule in rules.items()) + "</style>", 1)


def label_logs(canvas: Canvas) -> None:
    """Three labels or more on every logarithmic axis, none over another, written as the tables write numbers.

    Powers of ten where three fit in; else 1, 3; 1, 2, 5 and so on of each decade; else round numbers.
    """
    for axes in canvas.axes:
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            if axis.get_scale() != "log" or not isinstance(axis.get_major_formatter(), LogFormatter):
                continue
            low, high = sorted(ends)
            if high / low < 10.0**3:
                digits = next((d for d in DIGITS if len(of_decades(d, low, high)) >= MOST_FEW), None)
                places = of_decades(digits, low, high) if digits else MaxNLocator(4).tick_values(low, high)
                axis.set_major_locator(FixedLocator([place for place in places if low <= place <= high]))
                axis.set_minor_formatter(NullFormatter())
            plain = low >= 10.0**SMALLEST_POWER and high < 10.0 ** (LARGEST_POWER + 1)
            axis.set_major_formatter(FuncFormatter(plain_label if plain else power_label))


def of_decades(digits: tuple[int, ...], low: float, high: float) -> list[float]:
    """These digits of every decade, between two ends."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [place for power in powers for digit in digits if low <= (place := digit * 10.0**power) <= high]


def plain_label(value: float, position: object) -> str:
    """A number written out."""
    return number(value, ".4g")


def power_label(value: float, position: object) -> str:
    """A number as a digit and a power of ten; as plain text, which costs a hundredth of parsing mathematics."""
    power = math.floor(math.log10(value) + 1e-9)
    digit = f"{value / 10.0**power:.3g}"
    return f"{'' if digit == '1' else digit + '·'}10{str(power).translate(SUPERSCRIPTS)}"


def lay_out(canvas: Canvas) -> None:
    """Place the axes for good, each legend that covers a part of a line above its axes where it is no wider than they.

    Matplotlib would place them again before each of its two drawings, which takes longer than to draw.
    """
    layout: Any = canvas.get_layout_engine()
    layout.execute(canvas)
    moved = False
    for axes in canvas.axes:
        legend = axes.get_legend()
        if legend is None:
            continue
        box, columns = legend.get_window_extent(), int(axes.bbox.width // legend.get_window_extent().width)
        lines = [line for line in axes.lines if line.get_transform() == axes.transData]
        if columns and any(
            line.get_path().transformed(axes.transData).intersects_bbox(box, filled=False) for line in lines
        ):
            legend.set_loc("lower left")
            legend.set_bbox_to_anchor((0.0, 1.0))
            legend.set_ncols(columns)
            moved = True
    if moved:
        layout.execute(canvas)
    canvas.set_layout_engine(None)


def name_lines(canvas: Canvas) -> list[list[str]]:
    """Mark the lines of data with ids that the drawing keeps; the names of each axes' lines, empty for one without."""
    names = []
    for i, axes in enumerate(canvas.axes):
        lines = [line for line in axes.lines if line.get_transform() == axes.transData]
        for k, line in enumerate(lines):
            line.set_gid(f"line-{i}-{k}")
        labels = [str(line.get_label()) for line in lines]
        names.append([clean("" if text.startswith("_") else text.replace(r"\$", "$")) for text in labels])
    return names


def scales(canvas: Canvas, names: list[list[str]]) -> str:
    """What `data-axes` holds, as JSON: for each axes with lines its box in the drawing, its two scales, and the names.

    A scale is "linear" or "log" with its two ends, or the values at equal distances where it is neither.
    """
    width, height = canvas.get_size_inches() * POINTS_PER_INCH
    found: list[Any] = []
    for axes, lines in zip(canvas.axes, names, strict=True):
        box = axes.get_position()
        place = [box.x0 * width, height - box.y1 * height, box.x1 * width, height - box.y0 * height]
        across = [axes.get_xlabel(), *scale(axes.get_xscale(), axes.get_xlim(), axes.xaxis.get_transform())]
        up = [axes.get_ylabel(), *scale(axes.get_yscale(), axes.get_ylim(), axes.yaxis.get_transform())]
        found.append([[round(each, 2) for each in place], across, up, lines] if lines else None)
    return json_text(found) if any(found) else ""


def scale(kind: str, ends: tuple[float, float], transform: Any) -> tuple[str, list[float]]:
    """One axis: its kind and its values, from its low end to its high end."""
    if kind in ("linear", "log"):
        return kind, [float(end) for end in ends]
    low, high = transform.transform(np.asarray(ends))
    values = transform.inverted().transform(np.linspace(low, high, SAMPLES))
    return "sampled", [float(f"{value:.4g}") for value in values]


def svg(figure: Figure, prefix: str = "") -> str:
    """The figure as an <svg> element to place inside a page: no prolog, no metadata, `prefix` before each id."""
    style: Any = STYLE | {"svg.hashsalt": f"implicitbias {figure.name}"}
    with rc_context(style):
        canvas = Canvas(figsize=figure.size, layout="constrained")
        FigureCanvasSVG(canvas)  # so texts are measured as they are drawn
        figure.draw(canvas)
        label_logs(canvas)
        lay_out(canvas)
        names = name_lines(canvas)
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        axes = scales(canvas, names)
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, count=1, flags=re.DOTALL)
    drawing = re.sub(r'(<g) id="line-(\d+)-(\d+)"', r'\1 data-line="\2 \3"', drawing)
    drawing = re.sub(r'(<g) id="[^"]*"', r"\1", drawing)  # what is referred to (clip paths, markers) is no <g>
    drawing = re.sub(TAG, lambda tag: re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}", tag[0]), drawing)
    drawing = classed(drawing.replace(INK, "currentColor"))
    head, rest = drawing.split(">", 1)
    about = f'<svg role="img" aria-label="{html.escape(clean(figure.caption))}"'
    about += f' data-axes="{html.escape(axes)}"' if axes else ""
    return re.sub(r' (width|height)="[^"]*"', "", head).replace("<svg", about, 1) + ">" + rest
