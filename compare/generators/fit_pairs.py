"""How much longer a generator takes to fit noise than to fit an image: the measurement, without its presentation.

For one architecture and one image the generator is fitted, from several seeds, to the image and to something complex
of its size: noise of the same mean and variance, or a checkerboard of alternating pixels. What is counted is the first
iteration at which the mean squared error is `fraction` of the target's variance. Two ways to end early keep it
affordable and say so: an image that is not fitted in `longest_image` steps has no ratio, and noise that is not fitted
in `reach` times the image's steps gives a lower bound on the ratio. A fit that is unstable, because the step is too
long, is neither fast nor slow: it measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from compare.generators.image_sources import Image, checkerboard, scrambled
from gd.images.conv_generator import PUBLISHED_DEPTH, ConvGenerator, Kind, layer_sizes
from gd.images.descend_image import ImageTrajectory, descend_image
from gd.images.stopping_rules import NoiseLevel
from solvers.arrays import Array

if TYPE_CHECKING:
    from compare.experiments.generators import GeneratorComparison

Against = Literal["noise", "checkerboard"]
"""What an image is compared with: its pixels in random order, or pixels that alternate."""

NUMERAL: dict[Kind, str] = {"bilinear": "i", "fixed": "ii", "learned": "iii", "deconvolution": "iv"}
AT_ONCE = 2**23
"""Activations of one layer, all networks of a batch together: 32 MiB in float32, of which some ten are kept."""


@dataclass(frozen=True)
class Fit:
    """One architecture fitted to one image and to its noise, or to a checkerboard, all seeds."""

    kind: Kind
    asked: float
    """The overparameterization asked for; `reached` is that of the network."""
    reached: float
    channels: int
    depth: int
    image: Image
    image_steps: Array
    """Iterations to the level, (seeds,); inf where not reached."""
    noise_steps: Array | None
    """The same for noise; None where the image was not reached and noise not tried."""
    noise_limit: int
    """Iterations that noise was given; 0 where it was not tried."""
    noise_variance: float
    """Of the noise, or of the checkerboard."""
    image_path: ImageTrajectory = field(repr=False)
    noise_path: ImageTrajectory | None = field(repr=False)

    @property
    def ratios(self) -> Array:
        """Noise steps over image steps, (seeds,); a lower bound where noise was not reached, NaN where the image was
        not."""
        if self.noise_steps is None:
            return np.full(len(self.image_steps), np.nan)
        return np.minimum(self.noise_steps, self.noise_limit) / np.maximum(self.image_steps, 1.0)

    @property
    def bound_only(self) -> bool:
        """Whether some noise was not reached, so that its ratio is a lower bound."""
        return self.noise_steps is not None and bool(np.isinf(self.noise_steps).any())

    @property
    def unstable_on(self) -> tuple[str, ...]:
        """Which of "image" and "noise" gradient descent was unstable on, so that nothing was measured."""
        fitted = (
            ("image", self.image_path, self.image_steps, self.image.variance),
            ("noise", self.noise_path, self.noise_steps, self.noise_variance),
        )
        return tuple(
            what
            for what, path, steps, variance in fitted
            if path is not None and steps is not None and bool((unstable(path.mse, variance) & np.isinf(steps)).any())
        )


def unstable(mse: Array, variance: float) -> NDArray[np.bool_]:
    """Which of the runs (T + 1, B) went astray: not finite, or, at their best in the last tenth of the run, twice as
    far as they had been, or further than the best constant.

    A saturating output stays finite however long the step, so that infinity alone does not tell.

    >>> unstable(np.array([[1.0, 1.0], [0.2, 0.9], [0.5, 0.8]]), variance=1.0)
    array([ True, False])
    """
    late = mse[-max(1, len(mse) // 10) :].min(axis=0)
    return np.asarray(~np.isfinite(mse).all(axis=0) | (late > 2 * mse.min(axis=0)) | (late > 1.1 * variance))


def batches(count: int, numbers: int) -> list[range]:
    """0 … count − 1 in runs that are fitted at once; a layer of one network holds `numbers` activations.

    Every network descends on its own, so only memory and time depend on it: at 512 × 512 one image at a time.

    >>> batches(5, AT_ONCE // 2)
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    size = max(1, AT_ONCE // numbers)
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


def fitting_depth(kind: Kind, size: int) -> int:
    """The published depth, less where the input would fall below 4 pixels.

    >>> [fitting_depth("bilinear", size) for size in (256, 64, 32)]
    [5, 5, 4]
    """
    depth = PUBLISHED_DEPTH[kind]
    while depth > 1 and min(layer_sizes(kind, depth, (size, size))[0]) < min(4, size):
        depth -= 1
    return depth


def middle(factors: Iterable[float]) -> float:
    """The overparameterization that is shown in pictures: the middle one."""
    known = sorted(set(factors))
    return known[len(known) // 2]


def image_generator(
    kind: Kind, factor: float, shape: Sequence[int], plan: GeneratorComparison, seeds: Sequence[int]
) -> ConvGenerator:
    """The generator of images of this shape (c, H, W), as the experiment's parameters have it."""
    return ConvGenerator.with_overparameterization(
        kind,
        factor,
        depth=fitting_depth(kind, min(shape[1:])),
        out_channels=shape[0],
        output_shape=shape[1:],
        seeds=seeds,
        normalization=plan.normalization,
        output=plan.output,
    )


def fit_pair(kind: Kind, factor: float, image: Image, plan: GeneratorComparison, against: Against = "noise") -> Fit:
    """Fit the image, and noise like it or a checkerboard, with every seed: one batch each.

    Raises ValueError for a constant image: noise of its variance is the image itself.
    """
    if image.variance == 0:
        raise ValueError(f"{image.name} is constant: there is no noise of the same variance to compare with")
    model = image_generator(kind, factor, image.pixels.shape, plan, tuple(plan.seeds))
    image_path = _fit(model, image.pixels, image.variance, plan, plan.longest_image)
    image_steps, noise_path, noise_steps, limit = _steps(image_path), None, None, 0
    other, variance = complex_images(image, plan, against)
    if np.isfinite(image_steps).all():
        limit = max(200, math.ceil(plan.reach * float(image_steps.max())))
        noise_path = _fit(model, other, variance, plan, limit)
        noise_steps = _steps(noise_path)
    return Fit(
        kind,
        factor,
        model.overparameterization,
        model.channels,
        model.depth,
        image,
        image_steps,
        noise_steps,
        limit,
        variance,
        image_path,
        noise_path,
    )


def complex_images(image: Image, plan: GeneratorComparison, against: Against) -> tuple[Array, float]:
    """What the image is compared with, one for each seed, and its variance."""
    if against == "noise":
        return np.stack([scrambled(image, seed) for seed in plan.seeds]), image.variance
    board = checkerboard(image.pixels.shape)
    return np.stack([board] * len(plan.seeds)), float(board.var())


def _fit(
    model: ConvGenerator, target: Array, variance: float, plan: GeneratorComparison, steps: int
) -> ImageTrajectory:
    level = NoiseLevel(math.sqrt(plan.fraction * variance), name="level")
    return descend_image(
        model, target, steps=steps, step=plan.step_size, optimizer=plan.optimizer, rules=(level,), snapshots=20
    )


def _steps(path: ImageTrajectory) -> Array:
    found = path.stops["level"].step.astype(np.float64)
    return np.where(found < 0, np.inf, np.maximum(found, 1.0))
