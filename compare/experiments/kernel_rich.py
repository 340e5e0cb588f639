"""`compare kernel-rich`, `compare_kernel_rich`: regression from the kernel regime to the rich regime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Self

from compare.experiments.protocol import Experiment, function_of, parameter
from compare.experiments.values import INTEGERS, NOT_NEGATIVE, NUMBERS, POSITIVE, SCALE, SEED, SWITCH, Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class KernelRichComparison(Experiment):
    """Regression with the squared loss on linear networks: ℓ2 for large initial weights, ℓ1 for small ones.

    For diagonal networks the limit is known exactly at every initial scale and depth: it minimizes a potential of the
    start over all predictors that fit. The flow is integrated in the network's weights and held against it. With
    finite steps the same holds from another start, which is accumulated along the run. Fully connected, convolutional
    and factorized networks are measured beside what is proved of them, if anything.

    Returns:
        A report with a section for each depth, finite steps, other networks and matrix factorization.

    Raises:
        DataError: a name of data that is none.
        ValueError: arrays that do not fit each other, or a parameter out of its range.
        InconsistentDataError: no predictor fits.

    Reference:
        Woodworth et al. (2020), "Kernel and rich regimes in overparametrized models"; Azulay et al. (2021); Even et al.
        (2023); Gunasekar et al. (2017), "Implicit regularization in matrix factorization".

    >>> compare_kernel_rich("sparse:3,6,1,0", depths=(2,), inits=(0.1, 3.0), steps=0, others=False).passed
    True
    """

    topic = "Kernel and rich regimes: regression"
    study = "compare.regression.kernel_rich_report:kernel_rich_report"
    data: Any = parameter(
        "sparse:10,20,2,0", "sparse:N,D,K,seed: Gaussian points, K coefficients ±1. In Python also X (N, D) with y."
    )
    y: ArrayLike | None = parameter(None, "Targets, shape (N,), where `data` are points.", option=None)
    _: KW_ONLY
    depths: Sequence[int] = parameter((2, 3), "Depths of diagonal networks.", kind=INTEGERS, within=Interval(2, 6))
    inits: Sequence[float] = parameter((0.01, 0.1, 0.3, 1.0, 10.0), "Initial scales α.", kind=NUMBERS, within=SCALE)
    steps: int = parameter(10_000, "Of gradient descent with finite steps; 0: leave it out.", within=NOT_NEGATIVE)
    step_init: float = parameter(0.3, "Initial scale α of finite steps.", option=None, within=POSITIVE)
    shares: Sequence[float] = parameter(
        (0.1, 1.0), "Constant steps, as shares of 1/λ.", option=None, kind=NUMBERS, within=POSITIVE
    )
    others: bool = parameter(
        True, "Whether to measure other networks.", option="--others/--no-others", kind=SWITCH, shown="yes"
    )
    other_init: float = parameter(0.1, "Their initial scale.", option=None, within=POSITIVE)
    matrix_inits: Sequence[float] = parameter(
        (0.01, 0.1, 1.0), "Initial scales α of matrix factorization.", option=None, kind=NUMBERS, within=POSITIVE
    )
    seed: int = parameter(0, "Of Gaussian weights, measurements and minibatches.", within=SEED)

    def inspect(self) -> None:
        """Read the data."""
        from compare.regression.regression_data import regression_data

        regression_data(self.data, self.y)

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Few points, few scales."""
        return (cls("sparse:4,8,1,0", inits=(0.03, 10.0), steps=300, shares=(1.0,), matrix_inits=(0.1,)),)


compare_kernel_rich = function_of(KernelRichComparison, "compare_kernel_rich")
