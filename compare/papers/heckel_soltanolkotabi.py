"""Heckel, Soltanolkotabi (2020) and related abstracts: denoising, RECOVERY, frequencies, labels."""

from __future__ import annotations

from compare.experiments.denoising import DenoisingComparison
from compare.experiments.recovery import RecoveryComparison
from compare.papers.lines import Line, Measured, about

DENOISING = DenoisingComparison()
"""Every question at its default size."""

DENOISING_QUICKLY = DenoisingComparison(
    questions=tuple(question for question in DENOISING.questions if question != "image"),
    widths=(64, 256, 1024),
    size=32,
    band_steps=160,
)
"""The same questions with narrower networks and smaller photographs, but the filters on an image."""

RECOVERY = RecoveryComparison()
"""The phantom and the line."""

RECOVERY_QUICKLY = RecoveryComparison((), line_channels=512, line_counts=(8, 24), line_steps=100, trained=3)
"""The line, with narrower and fewer networks."""


def denoising(*words: str) -> Measured:
    """The predictions about denoising that are about this."""
    return Measured(DENOISING, DENOISING_QUICKLY, about(*words))


def recovery(*words: str) -> Measured:
    """The predictions about few measurements that are about this."""
    return Measured(RECOVERY, RECOVERY_QUICKLY, about(*words))


LINES = (
    Line("denoising: dynamics", "early-stopped gradient descent is a spectral filter", ("early-stopping-filter",),
         (denoising("the trajectory stays"), denoising("the distance falls like"))),
    Line("denoising: the cause", "fixed interpolating filters: the dual kernel",
         ("orthant-probability", "circulant-eigenvectors")),
    Line("denoising: signal first", "the structured part is fitted much faster than the corruption",
         measured=(denoising("fitted first"),)),
    Line("denoising: early stopping", "after a few iterations the signal is nearly uncorrupted: when to stop",
         measured=(denoising("stopping time"),)),
    Line("denoising: rates", "the error scales with the noise, the signal's dimension and its length",
         measured=(denoising("mean squared error scales"),)),
    Line("denoising: photographs", "noise is removed without training data",
         measured=(denoising("removes noise"),)),
    Line("denoising: state of the art", "as good as total variation and wavelets at their best",
         measured=(denoising("mean PSNR is at least"),)),
    Line("recovery", "trained to convergence, without regularization, a network ends at a smooth signal",
         measured=(recovery("follows the explicit trajectory"), recovery("ends at the explicit limit"))),
    Line("recovery: how few", "a near-minimal number of measurements suffices for structured signals",
         measured=(recovery("m* is that"), recovery("fewer than half"), recovery("in proportion"))),
    Line("frequencies", "an encoder-decoder learns low frequencies first", measured=(denoising("each band"),)),
    Line("labels", "early stopping is robust to corrupted labels", measured=(denoising("labels are wrong"),)),
    Line("labels: distance", "memorizing corrupted labels leads far from the start",
         measured=(denoising("memorizing the corrupted labels"),)),
    Line("the theorems' constants", "rates in signal dimension and noise", elsewhere="not in our text"),
)  # fmt: skip
