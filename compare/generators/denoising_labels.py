"""Early stopping and corrupted labels: the correct labels are fitted first, the corrupted ones only far from the start.

A wide two-layer ReLU network f(x) = v·ReLU(W x), fixed ±1/√k outputs, is fitted by gradient descent to labels ±1 of
which a fraction is flipped, with ½ Σ (f(x_n) − y_n)². It is the same mechanism as for images, with the network's kernel
in place of the convolutional one: the labels' correct part lies on the large eigenvalues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compare.generators.denoising_filter import INTERVAL
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Evidence, Figure, Section
from compare.reports.tables import table
from gd.images.descend_image import ImageTrajectory, descend_image
from gd.images.generator import Generator
from solvers.arrays import Array

MEMORIZED = 0.9
"""The share of corrupted labels fitted as they are that counts as memorizing them."""
REFERENCE = "Li, Soltanolkotabi & Oymak (2020), gradient descent with early stopping is robust to label noise"


class LabelFitter(Generator):
    """f(x_n) for all n as a function of W alone: one wide two-layer ReLU network per seed on the same inputs.

    X – (N, d) inputs. k – even number of hidden units. The start is antisymmetric, so f = 0. Output (seeds, N).
    """

    X: Tensor
    v: Tensor

    def __init__(self, X: Array, k: int, seeds: Sequence[int]) -> None:
        super().__init__()
        self.seeds = tuple(seeds)
        halves = [np.random.default_rng(seed).standard_normal((k // 2, X.shape[1])) for seed in self.seeds]
        self.W = nn.Parameter(torch.as_tensor(np.stack([np.concatenate([h, h]) for h in halves])))
        self.register_buffer("X", torch.as_tensor(X))
        self.register_buffer("v", torch.as_tensor(np.repeat([1.0, -1.0], k // 2) / math.sqrt(k)))

    @property
    def coefficients(self) -> list[Tensor]:
        """[W], (seeds, k, d)."""
        return [self.W]

    def forward(self) -> Tensor:
        """(seeds, N)."""
        return torch.relu(self.X @ self.W.mT) @ self.v


def two_digits(count: int, first: int = 3, second: int = 8) -> tuple[Array, Array]:
    """Two of scikit-learn's digits: inputs of unit length (N, 64) and labels ±1, in random order."""
    from sklearn.datasets import load_digits

    X, digit = load_digits(return_X_y=True)
    keep = np.flatnonzero((digit == first) | (digit == second))
    keep = np.random.default_rng(0).permutation(keep)[:count]
    inputs = X[keep] - X[keep].mean(axis=0)
    return inputs / np.linalg.norm(inputs, axis=1, keepdims=True), np.where(digit[keep] == first, 1.0, -1.0)


def corrupted_run(
    X: Array, truth: Array, fraction: float, seeds: Sequence[int], steps: int, k: int
) -> tuple[Array, NDArray[np.bool_], ImageTrajectory]:
    """Labels per seed with `fraction` flipped, which ones, and the fit. The step is 1/λ_max of the start's kernel."""
    flipped = np.zeros((len(seeds), truth.size), dtype=bool)
    for i, seed in enumerate(seeds):
        chosen = np.random.default_rng([seed, 5]).permutation(truth.size)[: round(fraction * truth.size)]
        flipped[i, chosen] = True
    y = np.where(flipped, -truth, truth)
    cosine = np.clip(X @ X.T, -1, 1)
    largest = float(np.linalg.eigvalsh(0.5 * (1 - np.arccos(cosine) / np.pi) * cosine)[-1])
    path = descend_image(LabelFitter(X, k, seeds), y, steps=steps, step=1 / largest, reduction="half_sum", snapshots=60)
    return y, flipped, path


def label_section(
    *,
    count: int = 100,
    fractions: Sequence[float] = (0.1, 0.3),
    seeds: Sequence[int] = (0, 1, 2, 3, 4, 5),
    steps: int = 1000,
    k: int = 100,
) -> Section:
    """Accuracy on the true labels over the iterations, and the distance from the start, per fraction flipped."""
    X, truth = two_digits(count)
    lines, made, figures = [], [], []
    for fraction in fractions:
        _, flipped, path = corrupted_run(X, truth, fraction, seeds, steps, k)
        curves = label_curves(path, truth, flipped)
        true, memorized, distance = curves.values()
        best = int(true.argmax())
        lines.append((fraction, true[best], path.steps[best], distance[best], true[-1], memorized[-1], distance[-1]))
        made.append(early_check(path, truth, best, fraction))
        made.append(memorizing_check(curves, best, fraction))
        figures.append(label_plot(fraction, path.steps, curves))
    columns = (
        Column("fraction", "labels flipped", "", ".0%"),
        Column("best", "best accuracy", "", ".1%", "Against the true labels of the training points, mean over seeds."),
        Column("at", "at iteration"),
        Column("best_distance", "distance there", "", ".4f", "‖W − W⁰‖/(‖W‖ + ‖W⁰‖)."),
        Column("end", "accuracy at the end", "", ".1%"),
        Column("memorized", "corrupted labels memorized", "", ".1%", "Predicted as corrupted, at the end."),
        Column("end_distance", "distance at the end", "", ".4f"),
    )
    text = (
        f"{count} of scikit-learn's digits 3 and 8, a random fraction of their labels flipped, fitted by a "
        f"two-layer ReLU network with {k} hidden units and gradient descent on ½ Σ (f − y)². The correct labels "
        "are fitted first; the corrupted ones later, further from the start."
    )
    return Section("The same with corrupted labels", text, *table(columns, lines), made, figures)


def early_check(path: ImageTrajectory, truth: Array, best: int, fraction: float) -> Check:
    """The share of labels that are wrong at the best time against the share flipped, mean over seeds."""
    statement = f"stopped early, at most half as many training labels are wrong as were flipped ({fraction:.0%})"
    wrong = (np.sign(path.outputs[best]) != truth).mean(axis=1)
    reason = f"measured: wrong at the best time / flipped, mean over seeds {INTERVAL}"
    return Check.of(statement, Evidence.of_sample(wrong / fraction), 0.5, reference=REFERENCE, reason=reason)


def memorizing_check(curves: dict[str, Array], best: int, fraction: float) -> Check:
    """The distance from the start at the best time against that where most corrupted labels are first memorized."""
    statement = f"memorizing the corrupted labels needs a larger distance from the start ({fraction:.0%})"
    memorized = curves["corrupted labels memorized"] >= MEMORIZED
    if not memorized.any():
        most = f"only {curves['corrupted labels memorized'].max():.0%} of them were memorized"
        why = f"{most} in these iterations, less than {MEMORIZED:.0%}"
        return Check.not_reached(statement, None, why=why, reference=REFERENCE)
    distance = curves["relative distance"]
    share = distance[best] / distance[memorized.argmax()]
    reason = f"measured: distance at the best time / where {MEMORIZED:.0%} are memorized first; a tenth less or more"
    return Check.at_most(statement, share, 0.9, reference=REFERENCE, reason=reason)


def label_curves(path: ImageTrajectory, truth: Array, flipped: NDArray[np.bool_]) -> dict[str, Array]:
    """Over the snapshots, mean of seeds: accuracy on true labels, share of corrupted labels memorized, distance."""
    right = np.sign(path.outputs) == truth  # (S, seeds, N)
    memorized = np.stack([(~right[:, i, flipped[i]]).mean(axis=1) for i in range(len(flipped))], axis=1)
    memorized[0] = 0.0  # f = 0 at the start predicts nothing
    return {
        "true labels": right.mean(axis=(1, 2)),
        "corrupted labels memorized": memorized.mean(axis=1),
        "relative distance": path.distances[:, 0].mean(axis=1),
    }


def label_plot(fraction: float, steps: NDArray[np.int64], curves: dict[str, Array]) -> Figure:
    """Accuracy and memorization over the iterations; the distance is drawn as a share of its largest."""
    largest = float(curves["relative distance"].max())
    lines = [Curve(name, steps, curves[name], names=("iteration", name)) for name in list(curves)[:2]]
    label = f"distance from the start / {largest:.3g}"
    lines.append(Curve(label, steps, curves["relative distance"] / largest, "--"))
    caption = (
        f"{fraction:.0%} of the labels flipped: share predicted as the true label, share of flipped labels memorized, "
        "and the distance from the start."
    )

    def adjust(axes: Any) -> None:
        axes.set_ylim(0, 1.03)

    name = f"labels-{100 * fraction:.0f}-percent"
    figure = curve_plot(name, caption, lines, ("iteration", "share"), log="x", adjust=adjust)
    return replace(figure, data={"iteration": steps, **curves})
