"""Is there a two-layer ReLU network that classifies the points? By two linear conditions on multipliers.

Where Σ_n α_n y_n σ(u · x_n) = 0 for every u, with α ≥ 0 not zero, no network has positive margins. The kinks of these
functions of u lie on the hyperplanes x_n · u = 0. Points on one line through the origin share theirs, so the kinks
cancel line by line, and what is left is linear:

    Σ_{n on the line} α_n y_n ‖x_n‖ = 0  for every line,        Σ_n α_n y_n x_n = 0.

That is the Farkas certificate of a linear problem with features (x_n, ‖x_n‖ e_line). Points on different lines always
separate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array
from solvers.separability import farkas_certificate
from solvers.solution import NotSeparableError

SAME_LINE = 1e-13
"""Unit vectors that differ by less are one direction: rounding of their entries, times a thousand."""


class NotSeparableByReluError(NotSeparableError):
    """No two-layer ReLU network without bias classifies the points, at any width.

    Attributes:
        farkas: α ≥ 0, Σα = 1, with Σ_n α_n y_n σ(u · x_n) ≈ 0 for every u, shape (N,).
        residual: how far from zero, relative.
    """

    def __str__(self) -> str:
        shown = ", ".join(map(str, np.flatnonzero(self.farkas > 1e-12)[:8]))
        return (
            f"no two-layer ReLU network without bias classifies these points: points {shown} contradict each other. A "
            "network is homogeneous, f(c x) = c f(x) for c ≥ 0, so a point at the origin has margin zero, and positive "
            "multiples of one point need one label; antipodal points on several lines can contradict each other too. "
            "Append a column of ones to X to allow biases, or remove or relabel points."
        )


def lines_of(points: Array) -> NDArray[np.intp]:
    """For each nonzero point the number of its line through the origin, shape (N,)."""
    directions = points / np.linalg.norm(points, axis=1, keepdims=True)
    lines = np.full(points.shape[0], -1)
    for n in range(points.shape[0]):
        if lines[n] < 0:
            apart = np.minimum(*(np.linalg.norm(directions - s * directions[n], axis=1) for s in (1.0, -1.0)))
            lines[(apart <= SAME_LINE) & (lines < 0)] = n
    return np.unique(lines, return_inverse=True)[1]


def raise_if_no_network_separates(points: Array, labels: Array) -> None:
    """Raise `NotSeparableByReluError` when no two-layer network of any width has positive margins."""
    nonzero = points.any(axis=1)
    if nonzero.all():
        lines = lines_of(points)
        if lines.max() == lines.size - 1:
            return
        features = np.hstack([points, np.linalg.norm(points, axis=1)[:, None] * np.eye(lines.max() + 1)[lines]])
        found = farkas_certificate(labels[:, None] * features)
    else:
        found = np.where(np.cumsum(~nonzero) * ~nonzero == 1, 1.0, 0.0), 0.0
    if found is not None:
        raise NotSeparableByReluError(*found)
