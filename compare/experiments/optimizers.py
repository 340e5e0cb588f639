"""`compare optimizers`, `compare_optimizers`: which optimizer maximizes the margin in which norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from compare.experiments.labelled_data import SOURCES, LabelledDataExperiment, depths, initial_scale
from compare.experiments.protocol import function_of, parameter
from compare.experiments.values import NAMES, NOT_NEGATIVE, SEED, Interval

OPTIMIZERS = ("gradient", "sign", "signum", "adam", "coordinate", "spectral", "muon")
ARCHITECTURES = ("linear predictor", "diagonal", "fully connected", "several outputs")


@dataclass(frozen=True)
class OptimizerComparison(LabelledDataExperiment):
    """The optimizer chooses the norm: sign descent ℓ∞, coordinate descent ℓ1, spectral descent (Muon) the spectral one.

    Every optimizer is run step by step on the same data. Its margin is measured in every norm, and held to the
    certified optimum of that norm: a matrix of optimizers and norms, and the margins against steps. For linear
    predictors it is proved which margin an optimizer maximizes. For deep networks it is proved that the weights tend to
    a KKT point of their least norm; what that norm is in terms of the predictor is derived. Adam with a fixed ε is run
    on raw gradients, where it turns from ℓ∞ to ℓ2, and on gradients divided by the loss, where it does not.

    Returns:
        A report with a section for each architecture and depth, and one for Adam's ε.

    Raises:
        DataError: the data have no such name.
        NotSeparableError: no predictor separates the points.
        ValueError: an optimizer or an architecture is none of those listed.

    Reference:
        Gunasekar, Lee, Soudry, Srebro (2018), optimization geometry, Theorem 5; Zhang, Zou, Cao (2024) for Adam; Fan,
        Schmidt, Thrampoulidis (2025) for the spectral norm; Tsilivis, Gronich, Vardi, Kempe (2024) for deep networks.

    >>> compare_optimizers("synthetic:4,6,0", optimizers=["sign"], architectures=["linear predictor"], eps=0.0).passed
    True
    """

    topic = "Optimizers and their norms"
    study = "compare.optimizers.optimizer_report:optimizer_report"
    data: Any = parameter("synthetic:6,10,0", SOURCES)
    _: KW_ONLY
    architectures: Sequence[str] = parameter(
        ("linear predictor", "diagonal", "several outputs"),
        f"Comma-separated, of {', '.join(ARCHITECTURES)}.",
        kind=NAMES,
        choices=ARCHITECTURES,
    )
    optimizers: Sequence[str] = parameter(
        ("gradient", "sign", "adam", "coordinate", "spectral"),
        f"Comma-separated, of {', '.join(OPTIMIZERS)}.",
        kind=NAMES,
        choices=OPTIMIZERS,
    )
    depths: Sequence[int] = depths((2,))
    outputs: int = parameter(
        3, "How many, for several outputs; labels are those of random predictors.", within=Interval(2, 1000)
    )
    steps: int = parameter(
        20_000, "Steps of every run; five times as many for Adam with a fixed ε.", within=Interval(10, 10**9)
    )
    eps: float = parameter(1e-8, "Adam's ε in the experiment on it; 0 leaves it out.", within=NOT_NEGATIVE)
    seed: int = parameter(0, "Of the initial weights, and of the random predictors.", within=SEED)
    init: float = initial_scale()

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Linear predictors, three optimizers, 4,000 steps."""
        return (
            cls(
                "synthetic:6,10,0",
                architectures=("linear predictor",),
                optimizers=("gradient", "sign", "coordinate"),
                steps=4000,
                eps=0.0,
            ),
        )


compare_optimizers = function_of(OptimizerComparison, "compare_optimizers")
