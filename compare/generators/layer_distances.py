"""How far each layer's weights move while a generator is fitted to an image, and to noise (Heckel & Hand, Figure 1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compare.generators.fit_pairs import Fit, middle
from compare.generators.generator_figures import distance_figure
from compare.reports.report import Check, Column, Section, Value
from gd.images.descend_image import ImageTrajectory
from solvers.arrays import Array

HAND = "Heckel & Hand (2019), Figure 1"
LESS = 0.99
"""What counts as a shorter distance: a hundredth, well above what interpolation between snapshots can make."""


def distance_section(fits: Sequence[Fit]) -> Section:
    """How far each layer has moved for the image and for noise when both have the same error."""
    text = (
        "Relative distance ‖C − C⁰‖ / (‖C‖ + ‖C⁰‖) of every layer's coefficients from their start, dimensionless, "
        "over the iterations, for the deep decoder (kind i). To the same error, fitting noise moves the weights "
        "further. The error at which they are compared is the least that both reached."
    )
    columns = (
        Column("image", "image"),
        Column("factor", "parameters / pixels", "", ".2f"),
        Column("error", "at the error", "share of variance", ".3f", "Median of seeds."),
        Column("layer", "layer"),
        Column("for_image", "fitting the image", "", ".3f", "Median of seeds, at that error."),
        Column("for_noise", "fitting noise", "", ".3f"),
    )
    rows: list[dict[str, Value]] = []
    made = []
    for fit in fits:
        assert fit.noise_path is not None
        error, ours, noise = distances_at_one_error(fit.image_path, fit.noise_path)
        rows += [
            {
                "image": fit.image.name,
                "factor": fit.reached,
                "error": error / fit.image.variance,
                "layer": i + 1,
                "for_image": float(a),
                "for_noise": float(b),
            }
            for i, (a, b) in enumerate(zip(ours, noise, strict=True))
        ]
        made.append(distance_check(fit))
    return Section(
        "How far the layers move",
        text,
        columns,
        rows,
        made,
        tuple(distance_figure(f) for f in fits if f.asked == middle(g.asked for g in fits)),
    )


def distance_check(fit: Fit) -> Check:
    """The weights move less for the image than for noise, mean over the layers."""
    assert fit.noise_path is not None
    _, ours, noise = distances_at_one_error(fit.image_path, fit.noise_path)
    return Check.at_most(
        f"to the same error, the weights move less for {fit.image.name} than for noise ({fit.asked:g}×)",
        float(ours.mean() / noise.mean()),
        LESS,
        reference=HAND,
        reason="measured: mean over layers, image / noise; at least a hundredth less",
    )


def distances_at_one_error(first: ImageTrajectory, second: ImageTrajectory) -> tuple[float, Array, Array]:
    """The least mean squared error that both runs reached, and each layer's relative distance where each first had it.

    Distances are known at the snapshots and linear in ln(1 + t) between them. Medians over the seeds.
    """
    level = np.maximum(first.mse.min(axis=0), second.mse.min(axis=0))
    medians = []
    for path in (first, second):
        at = np.log1p((path.mse <= level).argmax(axis=0))
        known = np.log1p(path.steps)
        found = [
            [np.interp(t, known, path.distances[:, layer, b]) for b, t in enumerate(at)]
            for layer in range(path.distances.shape[1])
        ]
        medians.append(np.median(found, axis=1))
    return float(np.median(level)), medians[0], medians[1]
