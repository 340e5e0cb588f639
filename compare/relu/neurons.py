"""Pictures of the neurons where the data lie in a plane: each unit's part of the norm, in its direction.

A unit is drawn at |a_j| w_j divided by Σ|a_j|‖w_j‖, so that distances from the origin add up to one in every network.
Units of one direction and sign of one network are one unit of the function, and are drawn as their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from compare.relu.relu_limits import ReluLimit
from compare.reports.report import Figure
from compare.reports.wording import counted
from solvers.arrays import Array
from solvers.relu.certificate import ReluSolution
from solvers.relu.largest_unit import row_space

ONE_DIRECTION = 1e-3  # radians: units that the flow has brought closer than this are on their way to one
SHOWN = 1e-4  # of the norm: a unit below is dying


def neuron_figures(groups: Sequence[Sequence[ReluLimit]], optimum: ReluSolution, X: Array, y: Array) -> list[Figure]:
    """A picture for each width and scale, with all seeds in it; none where the data do not lie in a plane."""
    plane = row_space(X)
    if plane.shape[0] != 2:
        return []
    return [picture(g, optimum, X @ plane.T, y, plane) for g in groups if any(run.limit.margin > 0 for run in g)]


def picture(runs: Sequence[ReluLimit], optimum: ReluSolution, points: Array, y: Array, plane: Array) -> Figure:
    """Rings: the network of least norm. Dots: the limits of all seeds. On the circle: the data."""
    best = parts(optimum.neurons @ plane.T, optimum.output_weights)
    nets = [run.limit.two_layers for run in runs if run.limit.margin > 0]
    found = [parts(net.hidden @ plane.T, net.output) for net in nets if net is not None]
    units = np.concatenate([np.column_stack([np.full(len(p), i), p]) for i, p in enumerate(found)])
    circle = points / np.linalg.norm(points, axis=1, keepdims=True)
    width, scale = runs[0].width, runs[0].scale

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        turn = np.linspace(0.0, 2.0 * np.pi, 400)
        axes.plot(np.cos(turn), np.sin(turn), color="C7", linewidth=0.6)
        for sign, colour, label in ((1.0, "C0", "+1"), (-1.0, "C1", "−1")):
            mine, unit, ring = circle[y == sign], units[units[:, 3] == sign], best[best[:, 2] == sign]
            axes.plot(mine[:, 0], mine[:, 1], "s", color=colour, markersize=5, label=f"points {label}")
            axes.plot(unit[:, 1], unit[:, 2], ".", color=colour, alpha=0.6, label=f"units, a of sign {label}")
            axes.plot(ring[:, 0], ring[:, 1], "o", color=colour, fillstyle="none", markersize=11)
        axes.plot([], [], "o", color="C7", fillstyle="none", markersize=11, label="network of least norm")
        axes.set(aspect="equal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), xlabel="first input", ylabel="second input")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

    return Figure(
        f"neurons-width-{width}-scale-{scale:g}",
        f"Width {width}, α = {scale:g}: each unit's share of the norm, in its direction "
        f"({counted(len(found), 'network')}).",
        draw,
        {
            "network": units[:, 0], "unit x": units[:, 1], "unit y": units[:, 2], "unit sign": units[:, 3],
            "optimum x": best[:, 0], "optimum y": best[:, 1], "optimum sign": best[:, 2],
        },
        size=(6.2, 3.4),
    )  # fmt: skip


def parts(neurons: Array, outputs: Array) -> Array:
    """Each direction's and sign's share of the norm: x, y and the sign of a, shape (directions, 3)."""
    size = np.abs(outputs) * np.linalg.norm(neurons, axis=1)
    vectors, signs = np.abs(outputs)[:, None] * neurons / size.sum(), np.sign(outputs)
    kept = size > SHOWN * size.sum()
    vectors, signs, rest = vectors[kept], signs[kept], np.ones(int(kept.sum()), dtype=bool)
    found = []
    for j in np.argsort(-np.linalg.norm(vectors, axis=1)):
        if rest[j]:
            cosine = vectors @ vectors[j] / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(vectors[j]))
            same = rest & (signs == signs[j]) & (cosine >= np.cos(ONE_DIRECTION))
            rest &= ~same
            found.append([*vectors[same].sum(axis=0), signs[j]])
    return np.array(found)
