"""The plots and pictures of a generator comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.generators.fit_pairs import NUMERAL, Fit
from compare.generators.image_sources import scrambled
from compare.reports.curves import Curve, curve_plot
from compare.reports.drawing import literal
from compare.reports.records import slug
from compare.reports.report import Figure
from gd.images.descend_image import ImageTrajectory

Array = NDArray[Any]
POINTS = 240
"""A curve of thousands of iterations is drawn, and stored, at this many log-spaced ones."""


def thinned(length: int, points: int = POINTS) -> NDArray[np.int64]:
    """Log-spaced iterations 1 … length − 1."""
    return np.unique(np.geomspace(1, max(length - 1, 1), points).round().astype(np.int64))


STYLES = {"image": "-", "noise": "--"}


def paths_of(fit: Fit) -> dict[str, ImageTrajectory]:
    """The fits of the image and, where there is one, of noise."""
    paths = {"image": fit.image_path, "noise": fit.noise_path}
    return {what: path for what, path in paths.items() if path is not None}


def curve_figure(fits: Sequence[Fit], factor: float, fraction: float) -> Figure:
    """Relative error against iterations at one overparameterization, first image: image solid, noise dashed."""
    chosen = [f for f in fits if f.asked == factor and f.image.name == fits[0].image.name]
    curves = []
    for colour, fit in enumerate(chosen):
        for what, path in paths_of(fit).items():
            at = thinned(len(path.mse))
            error = np.median(path.mse, axis=1)[at] / fit.image.variance
            names = (f"iteration: {fit.kind}, {what}", f"error [share of variance]: {fit.kind}, {what}")
            curves.append(Curve(f"{NUMERAL[fit.kind]} {fit.kind}, {what}", at, error, STYLES[what], colour, names))
    caption = (
        f"Fitting {chosen[0].image.name if chosen else ''} (solid) and noise of its mean and variance (dashed), "
        f"overparameterization {factor:g}; median over seeds. Dotted: the level that is counted to."
    )
    labels = ("iteration", "mean squared error / variance")
    name = f"fitting-{factor:g}x"
    return curve_plot(name, caption, curves, labels, log="xy", level=fraction, columns=2, size=(6.2, 4.2))


def distance_figure(fit: Fit) -> Figure:
    """‖C − C⁰‖/(‖C‖ + ‖C⁰‖) per layer over the iterations."""
    curves = [
        Curve(
            f"layer {layer + 1}, {what}",
            path.steps,
            np.median(path.distances[:, layer], axis=1),
            STYLES[what],
            layer,
            (f"iteration: {what}", f"relative distance: layer {layer + 1}, {what}"),
        )
        for what, path in paths_of(fit).items()
        for layer in range(path.distances.shape[1])
    ]
    name = f"distances-{slug(fit.image.name)}-{fit.asked:g}x"
    caption = (
        f"Relative distance of each layer from its start while fitting {fit.image.name} (solid) and noise "
        "(dashed); kind i, median over seeds."
    )
    labels = ("iteration", "‖C − C⁰‖ / (‖C‖ + ‖C⁰‖)")
    return curve_plot(name, caption, curves, labels, log="x", columns=2, size=(6.2, 4.2))


def shown(pixels: Array) -> Array:
    """(c, H, W) as matplotlib wants it, clipped to [0, 1]."""
    image = np.clip(pixels, 0.0, 1.0)
    return np.asarray(image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0))


def strip(rows: Sequence[tuple[str, Sequence[tuple[str, Array]]]], name: str, caption: str) -> Figure:
    """Rows of pictures: (label of the row, (title, pixels (c, H, W)) for each picture)."""

    def draw(canvas: Any) -> None:
        columns = max(len(pictures) for _, pictures in rows)
        grid = canvas.subplots(len(rows), columns, squeeze=False)
        for line, (label, pictures) in zip(grid, rows, strict=True):
            for axes in line:
                axes.set_axis_off()
            for axes, (title, pixels) in zip(line, pictures, strict=False):
                axes.imshow(shown(pixels), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                axes.set_title(title, fontsize=8)
            line[0].text(-0.08, 0.5, literal(label), rotation=90, ha="right", va="center", transform=line[0].transAxes)

    most = max(len(pictures) for _, pictures in rows)
    return Figure(name, caption, draw, {}, size=(1.15 * most + 0.4, 1.35 * len(rows)))


def gallery(fit: Fit) -> Figure:
    """Target and output at five of the snapshots, for the image and for noise (first seed)."""
    rows = []
    for label, path in ((fit.image.name, fit.image_path), ("noise", fit.noise_path)):
        assert path is not None
        picked = np.unique(np.linspace(2, len(path.steps) - 1, 5).round().astype(int))
        rows.append((label, [(f"iteration {path.steps[s]}", path.outputs[s, 0]) for s in picked]))
    rows[0][1].insert(0, ("target", fit.image.pixels))
    rows[1][1].insert(0, ("target", scrambled(fit.image, 0)))
    return strip(
        rows,
        f"pictures-{fit.kind}-{slug(fit.image.name)}",
        f"Kind {NUMERAL[fit.kind]} ({fit.kind}), overparameterization {fit.asked:g}: the output on the way, "
        f"for {fit.image.name} and for its pixels in random order.",
    )


def mean_figure(curves: Mapping[str, Array]) -> Figure:
    """Mean ± one standard deviation of relative errors (T + 1, targets)."""
    at = thinned(len(next(iter(curves.values()))))
    data: dict[str, Array] = {"iteration": at}
    for name, values in curves.items():
        data[f"mean error [share of variance]: {name}"] = values.mean(axis=1)[at]
        data[f"standard deviation [share of variance]: {name}"] = values.std(axis=1, ddof=1)[at]

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        for c, name in enumerate(curves):
            mean = data[f"mean error [share of variance]: {name}"]
            spread = data[f"standard deviation [share of variance]: {name}"]
            axes.loglog(at, mean, color=f"C{c}", label=name)
            axes.fill_between(at, np.maximum(mean - spread, 1e-2 * mean), mean + spread, color=f"C{c}", alpha=0.25)
        axes.set(xlabel="iteration", ylabel="mean squared error / variance")
        axes.legend()

    return Figure("many-images", "Mean ± one standard deviation over the targets.", draw, data)


def toy_figure(curves: Mapping[str, tuple[Array, Array]]) -> Figure:
    """The toy's relative errors for each kernel."""
    at = thinned(min(len(one) for both in curves.values() for one in both))
    drawn = [
        Curve(
            f"{name}, {what}",
            at,
            values[at],
            style,
            colour,
            ("iteration", f"error [share of variance]: {name}, {what}"),
        )
        for colour, (name, both) in enumerate(curves.items())
        for what, values, style in zip(("step", "noise"), both, ("-", "--"), strict=True)
    ]
    caption = "The toy model on a step (solid) and on its values in random order (dashed)."
    return curve_plot("toy", caption, drawn, ("iteration", "mean squared error / variance"), log="xy")
