"""Heckel, Soltanolkotabi (2020) and related abstracts: denoising, recovery, frequencies, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compare.papers.lines import Line, Measured, about

if TYPE_CHECKING:
    from compare.experiments.denoising import DenoisingComparison
    from compare.experiments.recovery import RecoveryComparison


def denoising() -> DenoisingComparison:
    """Every question at its default size."""
    from compare.experiments.denoising import DenoisingComparison

    return DenoisingComparison()


def denoising_quickly() -> DenoisingComparison:
    """The filter, and the stopping time."""
    from compare.experiments.denoising import DenoisingComparison

    return DenoisingComparison.quick()[0]


def recovery() -> RecoveryComparison:
    """The phantom and the line."""
    from compare.experiments.recovery import RecoveryComparison

    return RecoveryComparison()


def recovery_quickly() -> RecoveryComparison:
    """The line."""
    from compare.experiments.recovery import RecoveryComparison

    return RecoveryComparison.quick()[0]


def of(*words: str) -> tuple[Measured, ...]:
    """The predictions about denoising that are about this."""
    return (Measured(denoising, denoising_quickly, about(*words)),)


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
         measured=(Measured(recovery, recovery_quickly),)),
    Line("frequencies", "an encoder-decoder learns low frequencies first", measured=of("band")),
    Line("labels", "early stopping is robust to corrupted labels", measured=of("labels")),
    Line("the theorems' constants", "rates in signal dimension and noise", elsewhere="not in our text"),
)  # fmt: skip
