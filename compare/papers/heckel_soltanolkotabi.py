"""Heckel, Soltanolkotabi (2020) and related abstracts: denoising, RECOVERY, frequencies, labels."""

from __future__ import annotations

from compare.experiments.denoising import DenoisingComparison
from compare.experiments.recovery import RecoveryComparison
from compare.papers.lines import Line, Measured, about

DENOISING = DenoisingComparison()
"""Every question at its default size."""

DENOISING_QUICKLY = DenoisingComparison.quick()[0]
"""The filter, and the stopping time."""

RECOVERY = RecoveryComparison()
"""The phantom and the line."""

RECOVERY_QUICKLY = RecoveryComparison.quick()[0]
"""The line."""


def of(*words: str) -> tuple[Measured, ...]:
    """The predictions about denoising that are about this."""
    return (Measured(DENOISING, DENOISING_QUICKLY, about(*words)),)


LINES = (
    Line("denoising: dynamics", "early-stopped gradient descent is a spectral filter", ("early-stopping-filter",),
         of("filter")),
    Line("denoising: the cause", "fixed interpolating filters: the dual kernel",
         ("orthant-probability", "circulant-eigenvectors")),
    Line("denoising: signal first", "the structured part is fitted faster than the corruption: when to stop",
         measured=of("stopping time")),
    Line("denoising: rates", "the error falls with the noise and the signal's dimension over n",
         measured=of("mean squared error falls")),
    Line("denoising: photographs", "without training data", measured=of("PSNR")),
    Line("recovery", "a signal from few measurements, trained to convergence, without regularization",
         measured=(Measured(RECOVERY, RECOVERY_QUICKLY),)),
    Line("frequencies", "an encoder-decoder learns low frequencies first", measured=of("band")),
    Line("labels", "early stopping is robust to corrupted labels", measured=of("labels")),
    Line("the theorems' constants", "rates in signal dimension and noise", elsewhere="not in our text"),
)  # fmt: skip
