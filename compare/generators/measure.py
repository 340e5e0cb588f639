"""How much longer a generator takes to fit noise than to fit an image: the measurement, without its presentation.

For one architecture and one image x the generator is fitted, from several seeds, to x and to noise of the same mean and
variance; what is counted is the first iteration at which the mean squared error is `fraction` of the target's
variance. Two ways to end early keep it affordable and say so: images that are not fitted in `longest_image` steps
have no ratio, and noise that is not fitted in `reach` times the image's steps gives a lower bound on the ratio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compare.generators.images import Image, gaussian_noise, scrambled
from gd.generators.conv_generator import PUBLISHED_DEPTH, ConvGenerator, Kind, Normalization, Output, layer_sizes
from gd.generators.descend_image import ImageTrajectory, Optimizer, descend_image
from gd.generators.stopping import NoiseLevel

Array = NDArray[np.float64]
KINDS: tuple[Kind, ...] = ("bilinear", "fixed", "learned", "deconvolution")
PUBLISHED_STEP = 0.1
NUMERAL: dict[Kind, str] = {"bilinear": "i", "fixed": "ii", "learned": "iii", "deconvolution": "iv"}


@dataclass(frozen=True)
class FitPlan:
    """How generators are fitted. All but the step is as in the code behind the published figure.

    There the step is 0.1 (`PUBLISHED_STEP`), at 256 × 256. At 64 × 64 and below a larger one, well inside the range
    where all four kinds are stable, fits image and noise alike two to four times sooner.
    """

    seeds: tuple[int, ...] = (0, 1)
    fraction: float = 0.01
    """The mean squared error to reach, in units of the target's variance."""
    step: float = 0.5
    optimizer: Optimizer = "momentum"
    normalization: Normalization = "after_relu"
    output: Output = "sigmoid"
    noise: str = "scrambled"
    """"scrambled" (the image's own pixels in random order) or "gaussian" (for linear outputs)."""
    longest_image: int = 10_000
    """Images get at most this many steps."""
    reach: float = 10.5
    """Noise is given this many times the steps of the slowest seed of its image."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise ValueError(f"fraction is a share of the target's variance, between 0 and 1; got {self.fraction!r}")
        if self.noise not in ("scrambled", "gaussian"):
            raise ValueError(f"noise must be 'scrambled' or 'gaussian', got {self.noise!r}")
        if self.noise == "gaussian" and self.output == "sigmoid":
            raise ValueError("Gaussian noise leaves [0, 1], which a sigmoid output cannot: use output 'linear', or "
                             "'scrambled' noise")


@dataclass(frozen=True)
class Fit:
    """One architecture fitted to one image and to its noise, all seeds."""

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
    """Iterations that noise was given."""
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
    def diverged(self) -> bool:
        """Whether gradient descent diverged on the image or on the noise, so that nothing was measured."""
        paths = (self.image_path, self.noise_path)
        return any(bool(path.diverged.any()) for path in paths if path is not None)

    @property
    def bound_only(self) -> bool:
        """Whether some noise was not reached, so that its ratio is a lower bound."""
        return self.noise_steps is not None and bool(np.isinf(self.noise_steps).any())


def fitting_depth(kind: Kind, size: int) -> int:
    """The published depth, less where the input would fall below 4 pixels.

    >>> [fitting_depth("bilinear", size) for size in (256, 64, 32)]
    [5, 5, 4]
    """
    depth = PUBLISHED_DEPTH[kind]
    while depth > 1 and min(layer_sizes(kind, depth, (size, size))[0]) < min(4, size):
        depth -= 1
    return depth


def fit_pair(
    kind: Kind, factor: float, images: Sequence[Image], plan: FitPlan, *, depth: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> list[Fit]:
    """Fit every image, and noise like it, with every seed: one batch for the images, one for the noises.

    Raises ValueError for a constant image: noise of its variance is the image itself.
    """
    for image in images:
        if image.variance == 0:
            raise ValueError(f"{image.name} is constant: there is no noise of the same variance to compare with")
    size = min(images[0].pixels.shape[1:])
    layers = depth or fitting_depth(kind, size)

    def network(count: int) -> ConvGenerator:
        return ConvGenerator.with_overparameterization(
            kind, factor, depth=layers, out_channels=images[0].pixels.shape[0], output_shape=images[0].pixels.shape[1:],
            seeds=plan.seeds * count, normalization=plan.normalization, output=plan.output, dtype=dtype,
        )

    width = len(plan.seeds)
    model = network(len(images))
    image_path = _fit(model, [i.pixels for i in images for _ in plan.seeds], images, plan, plan.longest_image)
    steps = _steps(image_path).reshape(len(images), width)
    tried = [i for i in range(len(images)) if np.isfinite(steps[i]).all()]
    noise_path, noise_steps, limit = None, {}, 0
    if tried:
        limit = max(200, math.ceil(plan.reach * float(steps[tried].max())))
        make = scrambled if plan.noise == "scrambled" else gaussian_noise
        noises = [make(images[i], seed) for i in tried for seed in plan.seeds]
        noise_path = _fit(network(len(tried)), noises, [images[i] for i in tried], plan, limit)
        noise_steps = dict(zip(tried, _steps(noise_path).reshape(len(tried), width), strict=True))
    fits = []
    for i, image in enumerate(images):
        seen = None if noise_path is None or i not in noise_steps else _part(noise_path, tried.index(i) * width, width)
        fits.append(Fit(kind, factor, model.overparameterization, model.channels, layers, image, steps[i],
                        noise_steps.get(i), limit, _part(image_path, i * width, width), seen))
    return fits


def _fit(
    model: ConvGenerator, targets: list[Array], images: Sequence[Image], plan: FitPlan, steps: int
) -> ImageTrajectory:
    sigma = tuple(math.sqrt(plan.fraction * image.variance) for image in images for _ in plan.seeds)
    return descend_image(model, np.stack(targets), steps=steps, step=plan.step, optimizer=plan.optimizer,
                         rules=(NoiseLevel(sigma, name="level"),), snapshots=14)


def _steps(path: ImageTrajectory) -> Array:
    found = path.stops["level"].step.astype(np.float64)
    return np.where(found < 0, np.inf, np.maximum(found, 1.0))


def _part(path: ImageTrajectory, first: int, count: int) -> ImageTrajectory:
    """The networks first … first + count − 1 of a trajectory (the model stays whole)."""
    part = slice(first, first + count)
    return replace(path, loss=path.loss[:, part], mse=path.mse[:, part], outputs=path.outputs[:, part],
                   distances=path.distances[:, :, part], diverged=path.diverged[part], stops={})
