"""`compare bounded`, `compare_bounded`: kernels of bounded width, pooling, three layers, wavelets, local minima."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Self

from compare.experiments.labelled_data import seeds
from compare.experiments.protocol import Experiment, function_of, parameter
from compare.experiments.values import COUNT, INTEGERS, WIDTH, Interval


@dataclass(frozen=True)
class BoundedComparison(Experiment):
    """Kernels of bounded width: local minima in weight space, pooling, three layers, sparsity in wavelets.

    Three questions that the papers leave open are measured on Gaussian signals. Whether limits are local minima of
    min ‖w‖² s.t. margins ≥ 1, and whether these are optimal predictors. Whether a network with average pooling ends at
    the max margin of its representation cost, twice a nuclear norm,

        min 2‖M‖_*   s.t.   y_n⟨B(x_n), M⟩ ≥ 1.

    With max pooling, and with three layers, limits are held to the KKT conditions in weight space.
    Whether the max margin of R_K is sparse in some wavelet basis, against the ℓ2 max margin of the same data.

    Returns:
        A report with a section for each question.

    Raises:
        ValueError: the pool does not divide the length, or a kernel is wider than it.

    Reference:
        Gunasekar et al. (2018), sections 4 and 6; Jagadeesan et al. (2021), future work; Lyu and Li (2020).

    The report of this call takes a quarter of a minute:

    >>> compare_bounded.experiment(seeds=(1,), data_sets=10).call
    'compare.compare_bounded(seeds=[1], data_sets=10)'
    """

    topic = "Bounded width"
    study = "compare.bounded.report:bounded_report"
    _: KW_ONLY
    points: int = parameter(8, "Signals N of each data set.", within=WIDTH)
    length: int = parameter(12, "Their length D.", within=Interval(4, 10**6))
    kernel: int = parameter(3, "Kernel size K.", within=COUNT)
    pool: int = parameter(2, "How many values pooling joins; divides D.", within=COUNT)
    channels: Sequence[int] = parameter(
        (1, 3), "Channels C with pooling and with three layers.", kind=INTEGERS, within=WIDTH
    )
    seeds: Sequence[int] = seeds((0, 1, 2, 3))
    kernels: Sequence[int] = parameter(
        (2, 4, 8, 32), "Kernel sizes in the question about wavelets.", kind=INTEGERS, within=COUNT
    )
    data_sets: int = parameter(200, "Data sets there; 0: leave it out.", within=Interval(0, 10**6))
    points_in_wavelets: int = parameter(12, "Signals of each of them.", option=None, within=COUNT)
    length_in_wavelets: int = parameter(64, "Their length, a power of two.", option=None, within=COUNT)

    def check(self) -> None:
        """Refuse sizes that do not fit."""
        if self.length % self.pool:
            raise ValueError(f"pool must divide the length, got {self.pool} and {self.length}")
        if self.data_sets == 1:
            raise ValueError("data_sets must be 0 or at least 2, of which a mean has an error; got 1")
        for name, size, length in (
            ("kernel", self.kernel, self.length),
            ("kernels", max(self.kernels), self.length_in_wavelets),
        ):
            if size > length:
                raise ValueError(f"{name} must be at most {length}, the length of the signals; got {size}")

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Two data sets, and forty for wavelets."""
        return (cls(channels=(3,), seeds=(1, 2), kernels=(2, 8), data_sets=40),)


compare_bounded = function_of(BoundedComparison, "compare_bounded")
