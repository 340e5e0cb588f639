"""Experiments on labelled points: one way to say which data, for Python and for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from compare.data.dataset import Dataset
from compare.experiments.protocol import Experiment, parameter
from compare.experiments.values import DEPTH, INTEGERS, SCALE, SEED, SIZES, SWITCH

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SOURCES = (
    "digits:AvB, wine:AvB, iris:AvB, breast_cancer, synthetic:N,D,seed, random:N,D,seed (random labels), "
    "partial:N,D,seed (a part separates), or a file: .csv .tsv .parquet (label in the column y or label, else the last "
    "one) or .npz (arrays X, y), or a folder of images with a folder for each class. In Python also a `Dataset`, a "
    "DataFrame, or points X of shape (N, D), images (N, H, W) or (N, R, H, W), with y."
)


@dataclass(frozen=True)
class LabelledDataExperiment(Experiment):
    """An experiment on points with labels ±1. `data` is what `compare.load` takes."""

    several_classes: ClassVar[bool] = False
    """Whether it takes data of three classes and more."""
    data: Any = parameter("wine:0v1", SOURCES)
    y: ArrayLike | None = parameter(None, "Labels, shape (N,), where `data` are points.", option=None)
    _: KW_ONLY
    standardize: Literal["auto", "none", "standard"] = parameter(
        "auto",
        "standard: each column to mean 0 and standard deviation 1; auto: so for wine, iris and breast_cancer only.",
        option="--scale",
        choices=("auto", "none", "standard"),
    )
    offset: bool | None = parameter(
        None,
        "Whether to append a column of ones (its coefficient is penalized); only breast_cancer has one by default.",
        option="--offset/--no-offset",
        kind=SWITCH,
    )
    label: str | None = parameter(
        None, "The column of a file that holds the label, by name; by number from 1 where it has no header."
    )
    image_shape: tuple[int, int] | None = parameter(
        None,
        "HxW such as 28x28, where the columns of each point are the pixels of an image; adds 2-D convolutions.",
        kind=SIZES,
    )
    name: str = parameter("data", "What the report calls the points.", option=None)

    def dataset(self) -> Dataset:
        """The data, read once. Raises DataError for names that are not known and arrays that do not fit."""
        return self._read

    def inspect(self) -> None:
        """Read the data."""
        self.dataset()

    def inspect_architectures(self, names: Sequence[str] | None) -> None:
        """Read the data, and look up the architectures."""
        from compare.margin.architectures import architectures

        architectures(names, images=True)  # an unknown name needs no data
        data = self.dataset()
        architectures(names, images=data.image_shape is not None, outputs=data.outputs)

    def inspect_kernel(self, name: str, kernel: int) -> None:
        """Read the data, and refuse a kernel wider than they are."""
        data = self.dataset()
        if kernel > (D := data.X.shape[1]):
            raise ValueError(f"{name} must be at most {D}, the columns of {data.name}; got {kernel}")

    @cached_property
    def _read(self) -> Dataset:
        from compare.data.load import load

        return load(
            self.data,
            self.y,
            scale=self.standardize,
            offset=self.offset,
            several=self.several_classes,
            image_shape=self.image_shape,
            name=self.name,
            label=self.label,
        )


def depths(default: tuple[int, ...]) -> tuple[int, ...]:
    """The parameter `depths`."""
    return parameter(default, "Numbers of layers L.", kind=INTEGERS, within=DEPTH)


def seeds(default: Sequence[int], help: str = "Seeds of the initial weights.") -> Sequence[int]:
    """The parameter `seeds`."""
    shown = f"0-{len(default) - 1}" if isinstance(default, range) else ""
    return parameter(tuple(default), help, kind=INTEGERS, within=SEED, shown=shown)


def initial_scale() -> float:
    """The parameter `init`."""
    return parameter(0.1, "Standard deviation of the initial weights.", option="--init", within=SCALE)
