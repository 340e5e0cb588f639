"""`compare losses`, `compare_losses`: logistic loss and exponential loss, one limit or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Self

from compare.experiments.labelled_data import LabelledDataExperiment, depths, initial_scale, seeds
from compare.experiments.protocol import function_of, parameter
from compare.experiments.values import NAMES


@dataclass(frozen=True)
class LossComparison(LabelledDataExperiment):
    """Where the flows of the exponential and of the logistic loss end, from the same initial weights.

    Both losses have the tail e^{−m}. Where R is a norm with one minimizer, theory sends both flows to it. Where the
    problem is nonconvex (L > 2) only stationarity is promised: the two flows may end at different stationary points,
    and the angle between them is then no failure of the theory.

    Returns:
        A report with a row for each network.

    Raises:
        NotSeparableError: no predictor separates the data.
        ValueError: a name, depth or seed is none.

    Reference:
        Gunasekar et al. (2018), Theorems 1, 2, 2a (exponential loss), and the remark on losses with exponential tails;
        Lyu and Li (2020), Theorem 4.4, for both losses and any homogeneous network.

    >>> compare_losses("synthetic:4,6,0", depths=(2,), seeds=(0,)).passed
    True
    """

    topic = "Losses: linear networks"
    study = "compare.margin.loss_pairs:loss_report"
    _: KW_ONLY
    architectures: Sequence[str] | None = parameter(
        None, "Comma-separated names of architectures; all that fit the data by default.", kind=NAMES
    )
    depths: Sequence[int] = depths((1, 2, 3))
    seeds: Sequence[int] = seeds((0, 1))
    init: float = initial_scale()

    def inspect(self) -> None:
        """Read the data, and look up the architectures."""
        self.inspect_architectures(self.architectures)

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Iris, one seed."""
        return (cls("iris:0v1", depths=(2, 3), seeds=(0,)),)


compare_losses = function_of(LossComparison, "compare_losses")
