"""Experiments on labelled points: one way to say which data, for Python and for the command line."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from compare.data.dataset import Dataset
from compare.experiments.protocol import Experiment, parameter
from compare.experiments.values import COUNT, INTEGERS, NOT_NEGATIVE, POSITIVE, SIZES, SWITCH

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SOURCES = (
    "digits:AvB, wine:AvB, iris:AvB, breast_cancer, synthetic:N,D,seed, random:N,D,seed (random labels), "
    "partial:N,D,seed (a part separates), or a file: .csv .tsv .parquet (label in the column y or label, else the last "
    "one) or .npz (arrays X, y). In Python also a `Dataset`, or points X of shape (N, D), images (N, H, W), with y."
)


@dataclass(frozen=True)
class LabelledDataExperiment(Experiment):
    """An experiment on points with labels ±1. `data` is a name, a `Dataset`, or points X with labels y."""

    several_classes: ClassVar[bool] = False
    """Whether it takes data of three classes and more."""
    data: Any = parameter("wine:0v1", SOURCES)
    y: ArrayLike | None = parameter(None, "Labels ±1, shape (N,), where `data` are points.", option=None)
    _: KW_ONLY
    standardize: Literal["auto", "none", "standard"] = parameter(
        "auto",
        "standard: each column to mean 0 and standard deviation 1; auto: for tables. For data by name.",
        option="--scale",
        choices=("auto", "none", "standard"),
    )
    offset: bool | None = parameter(
        None,
        "Whether to append a column of ones to data by name; only breast_cancer has one by default.",
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
        """The data, read once. Raises DataError for unknown names, ValueError for arrays of the wrong shapes."""
        return self._read

    def inspect(self) -> None:
        """Read the data."""
        self.dataset()

    @cached_property
    def _read(self) -> Dataset:
        found = self._found()
        return found if self.several_classes else found.of_two_classes()

    def _found(self) -> Dataset:
        if isinstance(self.data, Dataset):
            return self.data
        if isinstance(self.data, str):
            from compare.data.load import load

            several = self.several_classes
            found = load(self.data, scale=self.standardize, offset=self.offset, several=several, label=self.label)
            return found.as_images(self.image_shape)
        if self.label is not None:
            raise ValueError(f"label names a column of a file, and these data are arrays; got {self.label!r}")
        return dataset_of(self.data, self.y, self.image_shape, self.name)


def dataset_of(X: ArrayLike, y: ArrayLike | None, image_shape: tuple[int, int] | None, name: str) -> Dataset:
    """Arrays as a data set; images (N, H, W) are flattened and remembered. The solvers check the numbers."""
    if y is None:
        raise ValueError("points need their labels: give X and y, or a Dataset, or the name of data as a string")
    from solvers.classes import find_classes

    classes = find_classes(y)
    points = np.asarray(X, dtype=np.float64)
    labels = np.asarray(y if classes is None else classes.index, dtype=np.float64)
    names = ("−1", "+1") if classes is None else tuple(map(str, classes.names))
    if points.ndim == 3:
        image_shape = (points.shape[1], points.shape[2])
    if points.ndim not in (2, 3) or labels.shape != points.shape[:1] or 0 in points.shape:
        raise ValueError(
            "X must have shape (N, D), or (N, H, W) for images, and y shape (N,); "
            f"got {points.shape} and {labels.shape}"
        )
    return Dataset(name, points.reshape(len(points), -1), labels, names, image_shape)


def depths(default: tuple[int, ...]) -> tuple[int, ...]:
    """The parameter `depths`."""
    return parameter(default, "Numbers of layers L.", kind=INTEGERS, within=COUNT)


def seeds(default: tuple[int, ...]) -> tuple[int, ...]:
    """The parameter `seeds`."""
    return parameter(default, "Seeds of the initial weights.", kind=INTEGERS, within=NOT_NEGATIVE)


def initial_scale() -> float:
    """The parameter `init`."""
    return parameter(0.1, "Standard deviation of the initial weights.", option="--init", within=POSITIVE)
