"""`compare scale`, `compare_scales`: initial scale against time, from the kernel regime to the rich regime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Self

from compare.experiments.labelled_data import LabelledDataExperiment
from compare.experiments.protocol import function_of, parameter
from compare.experiments.values import NAMES, NUMBERS, SCALE


@dataclass(frozen=True)
class InitialScaleComparison(LabelledDataExperiment):
    """Depth-2 networks from initial weights of every size: how long the kernel's answer lasts, and where they end.

    All coefficients of w_1 start at α, and w_2 = 0, so f = 0. While the weights have hardly moved the network is a
    kernel machine with kernel α²XXᵀ, which would end at the ℓ2 max margin. On separable data the weights grow for ever,
    so every α ends at the ℓ1 max margin (Fourier ℓ1 for the convolution). Theory predicts the limit for every α.

    Returns:
        A report with a section for each architecture.

    Raises:
        NotSeparableError: no predictor separates the data.
        ValueError: an α is not positive, or a name is not "diagonal" or "convolutional".

    Reference:
        Moroshko, Woodworth, Gunasekar, Lee, Srebro, Soudry (2020), "Implicit bias in deep linear classification:
        initialization scale vs training accuracy".

    >>> compare_scales("synthetic:4,6,0", inits=(0.1,), architectures=("diagonal",)).passed
    True
    """

    topic = "Initial scale: depth-2 networks"
    study = "compare.margin.scale_paths:scale_report"
    _: KW_ONLY
    inits: Sequence[float] = parameter((0.01, 0.1, 1.0, 10.0), "Initial scales α.", kind=NUMBERS, within=SCALE)
    architectures: Sequence[str] = parameter(
        ("diagonal", "convolutional"),
        "Comma-separated names of architectures.",
        kind=NAMES,
        choices=("diagonal", "convolutional"),
    )

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Synthetic data, three scales."""
        return (cls("synthetic:8,16,1", inits=(0.01, 0.3, 10.0)),)


compare_scales = function_of(InitialScaleComparison, "compare_scales")
