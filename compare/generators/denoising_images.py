"""Denoising photographs with an untrained deep decoder, compared with what one would otherwise use.

Baselines: total variation (Chambolle) and wavelet shrinkage (BayesShrink and VisuShrink) from scikit-image, and BM3D
where its package is installed. Each baseline is given its best parameter for the clean image, and the decoder its best
stopping time, so that methods and not tuning are compared; what practice gets (total variation's default weight; the
stopping rules that need no clean image) is shown as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import log2, sqrt

import numpy as np

from compare.generators.denoising_filter import INTERVAL, closest, psnr
from compare.generators.fit_pairs import batches
from compare.generators.generator_figures import strip
from compare.generators.image_sources import Image
from compare.reports.report import Check, Column, Evidence, Figure, Section
from compare.reports.tables import table
from gd.images.conv_generator import ConvGenerator
from gd.images.descend_image import ImageTrajectory, descend_image
from gd.images.stopping_rules import NoiseLevel, Oracle, RunningVariance
from solvers.arrays import Array

PUBLISHED = (
    "Published (512 × 512, 100 ImageNet images, one noise for all channels, k = 128): 20.60 dB noisy, "
    "27.84 dB deep decoder"
)

ABSTRACT = "Heckel & Soltanolkotabi (2020), abstract"


@dataclass(frozen=True)
class DecoderTraining:
    """The deep decoder and its training."""

    channels: int = 48
    depth: int = 4
    steps: int = 600
    step: float = 0.01
    window: int = 50
    max_stale_steps: int = 200
    level: float = 25 / 255
    """Noise standard deviation, in units of the image."""
    same_noise: bool = False
    """One noise for all channels, as in the published table; otherwise independent."""
    seed: int = 0

    @classmethod
    def for_size(cls, size: int) -> DecoderTraining:
        """For images of `size` pixels a side: an 8 × 8 start, 6√size channels (48 at 64, 136 at 512; published 128).

        A finer image needs a longer way down to its details, and more channels to be near it at all.
        """
        return cls(
            channels=max(48, round(6 * sqrt(size))),
            depth=max(4, round(log2(size)) - 2),
            steps=max(600, 600 * size // 64),
        )


PUBLISHED_TRAINING = DecoderTraining(channels=128, depth=6, steps=4000, window=100, max_stale_steps=1000)
"""The published network, for 512 × 512 and a GPU."""


def noisy_images(images: Sequence[Image], training: DecoderTraining) -> Array:
    """x plus Gaussian noise, clipped to [0, 1], (images, channels, H, W)."""
    noisy = []
    for i, image in enumerate(images):
        shape = (1, *image.pixels.shape[1:]) if training.same_noise else image.pixels.shape
        noise = training.level * np.random.default_rng([training.seed, i]).standard_normal(shape)
        noisy.append(np.clip(image.pixels + noise, 0, 1))
    return np.stack(noisy)


def baselines(x: Array, y: Array, level: float) -> dict[str, Array]:
    """The other methods' estimates of x from y, (channels, H, W); the clean x chooses their parameter."""
    from skimage.restoration import denoise_tv_chambolle, denoise_wavelet

    def total_variation(weight: float) -> Array:
        return np.asarray(denoise_tv_chambolle(y, weight=weight, channel_axis=0))  # type: ignore[no-untyped-call]

    def wavelets(method: str, colours: bool) -> Array:
        luminance = colours and y.shape[0] == 3
        return np.asarray(denoise_wavelet(y, method=method, channel_axis=0, convert2ycbcr=luminance))

    rules = [wavelets(rule, colours) for rule in ("BayesShrink", "VisuShrink") for colours in (False, True)]
    found = {
        "total variation, best weight": closest(x, [total_variation(w) for w in np.geomspace(0.02, 0.4, 14)]),
        "total variation, default weight": total_variation(0.1),
        "wavelets, best rule": closest(x, rules),
    }
    if find_spec("bm3d") is not None:
        found["BM3D"] = block_matching(y, level)
    return found


def block_matching(y: Array, level: float) -> Array:
    """BM3D with the true noise level, from the separate package `bm3d`."""
    from importlib import import_module

    denoise: Callable[..., Array] = import_module("bm3d").bm3d
    estimate = np.asarray(denoise(np.ascontiguousarray(y.transpose(1, 2, 0)), sigma_psd=level))
    return np.clip(estimate.reshape(*y.shape[1:], -1).transpose(2, 0, 1), 0, 1)


def decoder_estimates(x: Array, y: Array, training: DecoderTraining) -> tuple[dict[str, Array], ImageTrajectory]:
    """The decoder's estimates of every image under each stopping rule, and the trajectory of the first images."""
    runs = [
        fit_decoder(x[at], y[at], training, [training.seed + i for i in at])
        for at in batches(len(x), training.channels * x[0, 0].size)
    ]
    return {name: np.concatenate([found[name] for found, _ in runs]) for name in runs[0][0]}, runs[0][1]


def fit_decoder(
    x: Array, y: Array, training: DecoderTraining, seeds: Sequence[int]
) -> tuple[dict[str, Array], ImageTrajectory]:
    """The same for images that are fitted in one batch."""
    net = ConvGenerator("bilinear", training.channels, training.depth, x.shape[1], x.shape[2:], seeds=seeds)
    rules = (Oracle(x), RunningVariance(training.window, training.max_stale_steps), NoiseLevel(training.level))
    path = descend_image(net, y, steps=training.steps, step=training.step, optimizer="adam", rules=rules, snapshots=16)
    found = {}
    for label, rule in (("best step", "oracle"), *((name, name) for name in ("running variance", "noise level"))):
        output = path.stops[rule].output.astype(np.float64)
        never = path.stops[rule].step < 0
        output[never] = path.output[never]  # a rule that never stopped leaves the last iterate
        found[f"deep decoder, {label}"] = output
    return found, path


def photograph_section(images: Sequence[Image], training: DecoderTraining) -> Section:
    """PSNR of every method on every image, the mean, and the pictures of the first."""
    x = np.stack([image.pixels for image in images])
    y = noisy_images(images, training)
    decoded, path = decoder_estimates(x, y, training)
    others = [baselines(a, b, training.level) for a, b in zip(x, y, strict=True)]
    estimates: dict[str, list[Array]] = {"noisy": list(y)}
    estimates |= {name: list(found) for name, found in decoded.items()}
    estimates |= {name: [o[name] for o in others] for name in others[0]}
    scores = {name: [psnr(a, b) for a, b in zip(x, found, strict=True)] for name, found in estimates.items()}
    mean = {name: float(np.mean(values)) for name, values in scores.items()}
    lines = [(name, *values, mean[name]) for name, values in scores.items()]
    columns = (
        Column("method", "method"),
        *(Column(f"image {i}", image.name, "dB", ".2f") for i, image in enumerate(images)),
        Column("mean", "mean", "dB", ".2f"),
    )
    noise = "one for all channels" if training.same_noise else "independent in each channel"
    text = (
        f"Gaussian noise of standard deviation {255 * training.level:.0f}/255 ({noise}), clipped to [0, 1]; "
        f"{x.shape[2]} × {x.shape[3]} pixels. Deep decoder: {training.channels} channels, depth {training.depth}, "
        f"Adam with step {training.step:g}, {training.steps} iterations, stopped at its best step, by the "
        f"running variance of its outputs, or at the noise level. {PUBLISHED}; these images and sizes differ."
    )
    figure = pictures(images[0], path, estimates)
    return Section("Denoising photographs", text, *table(columns, lines), photograph_checks(scores), (figure,))


def photograph_checks(scores: Mapping[str, Sequence[float]]) -> list[Check]:
    """The decoder against the noisy image, and at its best step against each baseline at its best parameter.

    `scores` are the PSNRs of every method on every image; what is averaged is the difference on one image.
    """
    best = np.array(scores["deep decoder, best step"])
    paper = "Heckel & Soltanolkotabi (2020), Table 1"
    count = f"mean over {best.size} images {INTERVAL}"
    ours = np.array(scores["deep decoder, running variance"])
    gain = Evidence.of_sample(ours - scores["noisy"])
    claim = "stopped without the clean image, the deep decoder removes noise: PSNR above the noisy image's"
    reason = f"measured: decoder minus noisy image, {count}"
    made = [Check.at_least(claim, gain, 0.0, unit="dB", reference=ABSTRACT, reason=reason)]
    reason = f"measured: baseline minus decoder, {count}; more images narrow it (--images)"
    for name in ("total variation, best weight", "wavelets, best rule"):
        claim = f"the deep decoder's mean PSNR is at least that of {name}"
        ahead = Evidence.of_sample(np.array(scores[name]) - best)
        made.append(Check.of(claim, ahead, 0.0, unit="dB", reference=paper, reason=reason))
    if "BM3D" in scores:
        close = "published as close, either way"
        claim = "BM3D minus deep decoder, mean PSNR"
        made.append(Check.no_prediction(claim, float(np.mean(scores["BM3D"] - best)), unit="dB", why=close))
    practice = float(np.mean(ours - scores["total variation, default weight"]))
    claim = "without the clean image: decoder by running variance minus total variation with its default weight"
    return [*made, Check.no_prediction(claim, practice, unit="dB", why="no theory for either choice")]


def pictures(image: Image, path: ImageTrajectory, estimates: dict[str, list[Array]]) -> Figure:
    """The first image: the decoder on its way, and every method's estimate."""
    picked = np.unique(np.linspace(3, len(path.steps) - 1, 6).round().astype(int))
    way = [(f"iteration {path.steps[s]}", path.outputs[s, 0].astype(np.float64)) for s in picked]
    chosen = [("clean", image.pixels)] + [(name.replace(", ", "\n"), found[0]) for name, found in estimates.items()]
    half = (len(chosen) + 1) // 2
    caption = f"{image.name}: the deep decoder on its way from structure to noise, and every method's estimate."
    return strip([("decoder", way), ("", chosen[:half]), ("", chosen[half:])], "photographs", caption)
