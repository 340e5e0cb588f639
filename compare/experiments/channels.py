"""`compare channels`, `compare_channels`: multi-channel CNNs against the certified R_K max margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from compare.experiments.labelled_data import initial_scale, seeds
from compare.experiments.protocol import Experiment, function_of, parameter
from compare.experiments.values import COUNT, FOLDER, INTEGERS, SIZES, TOLERANCE, Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from compare.channels.channel_data import ChannelData


@dataclass(frozen=True)
class ChannelComparison(Experiment):
    """Multi-channel linear CNNs: the certified R_K max margin and where gradient flow ends, for each K and C.

    For each kernel size K the max margin with the convex R_K is solved and certified; for each number of channels C
    and each seed the flow of the network itself is followed to its limit. Both are measured by ‖w‖² at margin one.

    Returns:
        A report with a row for each K and C.

    Raises:
        NotSeparableError: no predictor classifies the data.
        DataError: the data are not known, or a file is missing or damaged.
        ValueError: a kernel is wider than the data.

    Reference:
        Jagadeesan, Razenshteyn, Gunasekar (2021), "Inductive bias of multi-channel linear convolutional networks".

    >>> compare_channels("synthetic:4,6,0", kernels=(2,), channels=(1,), seeds=(0,)).passed
    True
    """

    topic = "Multi-channel CNNs"
    study = "compare.channels.channel_limits:channel_report"
    data: Any = parameter(
        "digits:0v1",
        "mnist:AvB, cifar10:AvB, digits:AvB, FILE.npz, synthetic:N,D,seed, … In Python also what `load_channels` "
        "returns, or arrays (N, D), (N, H, W), (N, R, H, W) with y.",
    )
    y: ArrayLike | None = parameter(None, "Labels ±1, shape (N,), where `data` is an array.", option=None)
    _: KW_ONLY
    folder: Path | None = parameter(None, "Where MNIST's or CIFAR-10's standard files are.", kind=FOLDER)
    count: int = parameter(128, "Images taken of MNIST or CIFAR-10.", within=Interval(2))
    image_shape: tuple[int, int] | None = parameter(
        None, "HxW such as 28x28, where the columns of a table are the pixels of images.", kind=SIZES
    )
    signals: bool = parameter(False, "Flatten images and convolve in one dimension.")
    kernels: Sequence[int] = parameter((1, 2, 3), "Kernel sizes K.", kind=INTEGERS, within=COUNT)
    channels: Sequence[int] = parameter((1, 2, 4), "Output channels C.", kind=INTEGERS, within=COUNT)
    seeds: Sequence[int] = seeds((0, 1, 2))
    init: float = initial_scale()
    loss: Literal["exponential", "logistic"] = parameter(
        "exponential", "The loss of the flow.", choices=("exponential", "logistic")
    )
    tol: float = parameter(1e-9, "Relative certificate violation that the solver may leave.", within=TOLERANCE)

    def inspect(self) -> None:
        """Read the data."""
        self.dataset()

    def dataset(self) -> ChannelData:
        """The data, read once, as signals where that is asked for. Raises ValueError for a kernel wider than they."""
        return self._read

    @cached_property
    def _read(self) -> ChannelData:
        from compare.channels.channel_data import channel_data

        loaded = channel_data(self.data, self.y, folder=self.folder, count=self.count, image_shape=self.image_shape)
        if self.signals:
            loaded = loaded.as_signals
        if max(self.kernels) > min(loaded.grid):
            raise ValueError(f"kernels: {max(self.kernels)} is wider than the data, {loaded.grid}")
        return loaded

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Synthetic signals with one and three channels, digits as images."""
        return (
            cls("synthetic:12,24,0", kernels=(1, 5), channels=(1, 3), seeds=(0,)),
            cls("digits:0v1", kernels=(2,), channels=(2,), seeds=(0,)),
        )


compare_channels = function_of(ChannelComparison, "compare_channels")
