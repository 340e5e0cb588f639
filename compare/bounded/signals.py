"""Gaussian signals with labels of a Gaussian predictor: separable by construction."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compare.data.load import load
from compare.reports.provenance import DataUsed
from solvers.arrays import Array


@dataclass(frozen=True)
class Signals:
    """N signals of length D with labels ±1."""

    name: str
    X: Array = field(repr=False)
    """(N, D)."""
    y: Array = field(repr=False)
    """(N,)."""
    used: DataUsed = field(repr=False)
    """For a report's provenance."""


def gaussian_signals(N: int, D: int, seed: int) -> Signals:
    """`load("synthetic:N,D,seed")`."""
    data = load(f"synthetic:{N},{D},{seed}")
    return Signals(data.name, np.asarray(data.X), np.asarray(data.y), data.used)
