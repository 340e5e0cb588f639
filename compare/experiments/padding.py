"""`compare padding`, `compare_paddings`: convolutions without a closed form of the induced regularizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Self

from compare.experiments.labelled_data import LabelledDataExperiment, initial_scale, seeds
from compare.experiments.protocol import function_of, parameter
from compare.experiments.values import COUNT, INTEGERS, Interval


@dataclass(frozen=True)
class PaddingComparison(LabelledDataExperiment):
    """Convolutions whose induced regularizer has no closed form: are the flow's limits KKT points in weight space?

    With zero padding, or with kernels narrower than the signal at depth L > 2, no formula for min{‖w‖² : P(w) = β} is
    known, so nothing is predicted of β. What holds for every homogeneous network is that directions of gradient flow
    converge to KKT points of

        min ‖w‖²   s.t.   y_n f(x_n; w) ≥ 1.

    Each limit is held to that. Its angle to the full-width circular network's limit from the same seed is shown, and
    nothing is predicted of it.

    Returns:
        A report with a row for each network.

    Raises:
        NotSeparableError: no predictor separates the data.
        ValueError: a kernel is wider than the signal.

    Reference:
        Lyu and Li (2020), Theorem 4.4.

    >>> compare_paddings("synthetic:4,6,0", kernels=(3,), depths=(2,), seeds=(0,)).passed
    True
    """

    topic = "Padding: convolutional networks"
    study = "compare.margin.padding_limits:padding_report"
    _: KW_ONLY
    kernels: Sequence[int] = parameter((3, 5), "Kernel sizes.", kind=INTEGERS, within=COUNT)
    depths: Sequence[int] = parameter((2, 3), "Numbers of layers L ≥ 2.", kind=INTEGERS, within=Interval(2, 100))
    seeds: Sequence[int] = seeds((0, 1))
    init: float = initial_scale()

    def inspect(self) -> None:
        """Read the data, and refuse kernels wider than they are."""
        self.inspect_kernel("kernels", max(self.kernels))

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Synthetic data, one kernel, one seed."""
        return (cls("synthetic:6,10,0", kernels=(3,), seeds=(0,)),)


compare_paddings = function_of(PaddingComparison, "compare_paddings")
