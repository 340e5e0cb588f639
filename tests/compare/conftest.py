import math
import re
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

from compare.experiments.protocol import Experiment
from compare.reports.provenance import DataUsed, Provenance
from compare.reports.report import Check, Column, Figure, Report, Section, Verdict

HOSTILE = "<script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>\x1b[31m$\\frac{\"&\u202e'"
"""A label as an enemy would write it: markup, a remote image, a terminal escape, TeX, quotes, a direction override."""


def draw(canvas):
    axes = canvas.subplots()
    axes.loglog([1, 10, 100], [1e-1, 1e-2, 1e-5], label="depth 2")
    axes.set_xlabel("steps")
    axes.set_ylabel("angle [°]")
    axes.legend()


def sample(label="digits:3v8", *, passed=True):
    """A report with every kind of content, `label` wherever a user's text can be."""
    columns = (
        Column("network", f"network {label}"),
        Column("seed", "seed"),
        Column("angle", "angle", unit="rad", format=".3g", about=f"to {label}"),
        Column("gap", "gap"),
        Column("time", "time", unit="s"),
        Column("theory", "theory", format="verdict"),
    )
    rows = (
        {"network": label, "seed": 0, "angle": 1e-7, "gap": float("nan"), "time": 0.25, "theory": Verdict.CONFIRMED},
        {"network": "b", "seed": np.int64(1), "angle": np.float64(0.5), "gap": math.inf, "theory": None},
        {"network": "c", "seed": 2, "angle": None, "gap": -float("inf"), "time": 1, "theory": Verdict.REFUTED},
    )
    checks = (
        Check.at_most(f"limit of {label}", 2e-7 if passed else 1.0, 1e-6, unit="rad", reference=f"Theorem {label}"),
        Check.no_prediction(f"rate of {label}", 0.3, why=f"not separable {label}"),
    )
    data = {"steps": [1, 10, 100], f"angle {label}": [0.1, np.nan]}
    figure = Figure(f"angle {label}", f"Angle of {label}", draw, data)
    return Report(
        f"Report on {label}",
        (Section(f"First {label}", f"min ‖β‖₁\n\nof {label}", columns, rows, checks, (figure,)), Section("Second")),
        Provenance.collect([DataUsed(label, "ab" * 32)], seeds=[0, 1], command=f"implicitbias {label}"),
        notes=(f"note {label}",),
    )


PLURAL = re.compile(r"(?<![\d.,·−/-])\b1 (?!as|is|ends|across|less|loss|axis)[a-z]+s\b")
PYTHON = re.compile(r"\d(?:\.\d+)?e[-+]?\d+\b|\bnan\b|\bNone\b|array\(|np\.float")
"""Numbers as Python writes them, and not as a report does."""
drawn = set()


def assert_reads_well(report):
    """Every section can be told apart, every sentence is in the singular or plural it means, every axis is named."""
    headings = [(section.group, section.title) for section in report.sections]
    assert len(set(headings)) == len(headings), headings
    for section in report.sections:
        said = [section.text, *(figure.caption for figure in section.figures)]
        said += [f"{check.statement}: {check.reason}" for check in section.checks]
        for text in said:
            assert not PLURAL.search(text), text
            assert not PYTHON.search(text.partition("    >>> ")[0]), text
        for figure in section.figures:
            assert figure.caption.endswith("."), figure.caption
            kind = getattr(figure.draw, "__code__", figure.name)
            if kind not in drawn and "draw_columns" not in repr(figure.draw):
                drawn.add(kind)
                assert_axes_are_named(figure)


def assert_axes_are_named(figure):
    """Both axes of each plot have a label, there is more than one dot, and no line is under another."""
    canvas = Canvas()
    figure.draw(canvas)
    for axes in canvas.axes:
        if axes.lines and axes.axison:
            assert axes.get_xlabel() or canvas.get_supxlabel(), figure.name
            assert axes.get_ylabel() or canvas.get_supylabel(), figure.name
            points = {(x, y) for line in axes.lines for x, y in zip(*line.get_data(), strict=True) if x == x and y == y}
            assert len(points) > 1, figure.name
            for under, over in combinations(sorted(axes.lines, key=lambda line: line.zorder), 2):
                assert not hides(over, under), (figure.name, under.get_label(), over.get_label())


def hides(over, under):
    """Whether one line, drawn later, covers another: solid, no narrower, and within a pixel of it everywhere."""
    if over.get_linestyle() != "-" or (over.get_alpha() or 1.0) < 1 or over.get_linewidth() < under.get_linewidth():
        return False
    places = [line.get_transform().transform(line.get_xydata()) for line in (under, over)]
    shown = [place[np.isfinite(place).all(axis=1)] for place in places]
    return (
        under.get_linestyle() != "None"
        and shown[0].shape == shown[1].shape
        and bool(len(shown[0]) and np.abs(shown[0] - shown[1]).max() < 1.0)
    )


@pytest.fixture(scope="session", autouse=True)
def reports_read_well():
    """Every report that a test makes by an experiment is looked at."""
    made = Experiment.report

    def looked_at(*args, **options):
        report = made(*args, **options)
        assert_reads_well(report)
        return report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Experiment, "report", looked_at)
        yield


@pytest.fixture
def hidden_by():
    return hides


@pytest.fixture
def report():
    return sample()


@pytest.fixture
def hostile():
    return sample(HOSTILE)


@pytest.fixture
def harmless():
    """What `hostile` is, with words as long."""
    return sample(re.sub(r"\S", "x", HOSTILE))


@pytest.fixture
def failing():
    return sample(passed=False)


@pytest.fixture
def hostile_text():
    return HOSTILE
