import math

import numpy as np
import pytest

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


@pytest.fixture
def report():
    return sample()


@pytest.fixture
def hostile():
    return sample(HOSTILE)


@pytest.fixture
def failing():
    return sample(passed=False)


@pytest.fixture
def hostile_text():
    return HOSTILE
