"""`compare depth`, `compare_depths`: the support of the limit as the depth grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Self

from compare.experiments.labelled_data import LabelledDataExperiment, depths, initial_scale, seeds
from compare.experiments.protocol import function_of, parameter
from compare.experiments.values import NAMES


@dataclass(frozen=True)
class DepthComparison(LabelledDataExperiment):
    """Limits of diagonal and convolutional networks at every depth: certificates, supports, values of the norm.

    The regularizer ‖β‖_p, p = 2/L (‖β̂‖_p for convolutions), of a network of depth L is the ℓ2 norm at L = 1, the ℓ1
    norm at L = 2, and counts nonzeros as L → ∞. Each limit is held to its own theorem. That the support shrinks with
    depth is measured, not proved: for L > 2 the limit is one stationary point of several, and which one depends on
    the start.

    Returns:
        A report with a row for each network.

    Raises:
        NotSeparableError: no predictor separates the data.
        ValueError: a name, depth or seed is none.

    Reference:
        Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2, 2a and Lemmas 5 to 7.

    >>> compare_depths("synthetic:4,6,0", depths=(1, 2), seeds=(0,)).passed
    True
    """

    topic = "Depth: linear networks"
    study = "compare.margin.depth_limits:depth_report"
    _: KW_ONLY
    architectures: Sequence[str] = parameter(
        ("diagonal", "convolutional"), "Comma-separated names of architectures.", kind=NAMES
    )
    depths: Sequence[int] = depths((1, 2, 3, 4, 5, 6))
    seeds: Sequence[int] = seeds((0, 1, 2, 3, 4))
    init: float = initial_scale()

    def inspect(self) -> None:
        """Read the data, and look up the architectures."""
        self.inspect_architectures(self.architectures)

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Synthetic data, two seeds."""
        return (cls("synthetic:10,24,0", depths=(1, 2, 3, 4, 6), seeds=(0, 1)),)


compare_depths = function_of(DepthComparison, "compare_depths")
