"""What a spline experiment runs on: the paper's five points or a CSV of one's own, and initializations by name."""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from compare.reports.provenance import DataUsed
from solvers.arrays import Array
from solvers.splines.data import spline_data
from solvers.splines.initial_distributions import BinaryUniformInit, GaussianInit, InitialDistribution, UniformInit


@dataclass(frozen=True)
class SplineCase:
    """Data of one variable: distinct ascending x and y, each of shape (M,)."""

    name: str
    x: Array = field(repr=False)
    y: Array = field(repr=False)

    @property
    def interval(self) -> tuple[float, float]:
        """[min x, max x], where the theory compares functions."""
        return float(self.x[0]), float(self.x[-1])

    @property
    def used(self) -> DataUsed:
        """For a report's provenance."""
        return DataUsed(self.name, hashlib.sha256(self.x.tobytes() + self.y.tobytes()).hexdigest())


BUILTIN = SplineCase("five points", np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.array([1.5, 0.5, 1.5, 0.5, 1.5]))
"""The data of Jin and Montúfar's figures."""

AUTHORS_RMS = {"uniform:1,2": (0.602, -0.495), "gaussian:1,0.316228": (0.608, -0.465)}
"""The authors' fits c·n^p of √MSE on their five points, by initialization."""


def spline_case(data: Any, y: ArrayLike | None) -> SplineCase:
    """`data` itself, the case of that name, or points x with values y. Raises ValueError as `load_case`."""
    if isinstance(data, str):
        return load_case(data)
    if isinstance(data, SplineCase):
        return data
    if y is None:
        raise ValueError("points x need their values: give x and y, or the name of data as a string")
    checked = spline_data(data, y)
    return SplineCase("data", checked.x, checked.y)


def load_case(source: str) -> SplineCase:
    """ "builtin", or a CSV file of two columns x, y, with or without a header.

    Raises ValueError naming the file and line of what is not a pair of finite numbers, a file that is missing, or fewer
    than three distinct x; and, through `spline_data`, one x with different y.
    """
    if source == "builtin":
        return BUILTIN
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"there is no file {source!r}; give a CSV of two columns x, y, or 'builtin'")
    rows: list[tuple[float, float]] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if not row or not "".join(row).strip():
                continue
            try:
                x, y = (float(text) for text in row)
            except ValueError:
                if number == 1:
                    continue
                raise ValueError(f"{source!r}, line {number}: wanted two numbers x, y, got {row!r}") from None
            if not (math.isfinite(x) and math.isfinite(y)):
                raise ValueError(f"{source!r}, line {number}: x and y must be finite, got {row!r}")
            rows.append((x, y))
    if len({x for x, _ in rows}) < 3:
        raise ValueError(f"{source!r} holds {len(rows)} point(s); a spline experiment needs three distinct x or more")
    data = spline_data([x for x, _ in rows], [y for _, y in rows])
    return SplineCase(path.name, data.x, data.y)


def parse_init(text: str) -> InitialDistribution:
    """An initialization by name and parameters: gaussian:σ_w,σ_b, uniform:a_w,a_b, binary:a_b.

    >>> parse_init("uniform:1,2")
    UniformInit(a_w=1.0, a_b=2.0)
    """
    name, _, numbers = text.partition(":")
    kinds = {"gaussian": (GaussianInit, 2), "uniform": (UniformInit, 2), "binary": (BinaryUniformInit, 1)}
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        values = []
    if name not in kinds or len(values) != kinds[name][1]:
        raise ValueError(
            f"--init {text!r}: write gaussian:SIGMA_W,SIGMA_B (standard deviations), uniform:A_W,A_B or binary:A_B"
        )
    made: InitialDistribution = kinds[name][0](*values)
    return made


def default_inits(case: SplineCase) -> tuple[str, ...]:
    """The paper's three and the binary-uniform one; for other data the biases reach as far as the data."""
    reach = max(2.0, float(np.abs(case.x).max()))
    return f"uniform:1,{reach:g}", "gaussian:1,1", "gaussian:1,0.316228", f"binary:{reach:g}"
