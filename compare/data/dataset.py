"""A data set as a value: points, labels ±1 or class numbers, what they stand for, and the hash of the very numbers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from compare.reports.provenance import DataUsed
from compare.reports.wording import clean

if TYPE_CHECKING:  # solvers imports scipy, which the help of a command need not wait for
    from solvers.arrays import Array


class DataError(ValueError):
    """The data could not be had as asked; the message is one line that says what to do."""


SMALLEST_IMAGE = 8
"""Pixels of a side from which a square number of columns is taken for an image that was flattened. A convention."""


@dataclass(frozen=True)
class Dataset:
    """A classification problem: of two classes with labels ±1, or of K ≥ 3 with labels 0 … K − 1."""

    name: str
    """The source and what was done to it: "wine:0v1, standardized"."""
    X: Array = field(repr=False)
    """Shape (N, D), float64. Images are flattened in C order."""
    y: Array = field(repr=False)
    """Shape (N,), entries −1 and +1; for K ≥ 3 classes the numbers 0 … K − 1."""
    classes: tuple[str, ...]
    """What −1 and +1, or 0 … K − 1, stand for."""
    image_shape: tuple[int, int] | None = None
    """(H, W) where the rows are images, H·W = D or R·H·W = D, else None."""
    channels: int = 1
    """R, of images."""
    standardized: bool = False
    """Whether each column was brought to mean 0 and standard deviation 1."""
    remarks: tuple[str, ...] = ()
    """What was done to them that its user may want to know."""

    def __repr__(self) -> str:
        said = f"Dataset {self.name!r}: {self.X.shape[0]} points in {self.X.shape[1]} dimensions, {self.meaning}"
        return "\n  ".join((said, *self.remarks))

    @property
    def outputs(self) -> int:
        """How many outputs a network needs: one for two classes, else one a class."""
        return 1 if len(self.classes) == 2 else len(self.classes)

    @property
    def named(self) -> dict[str, str]:
        """What each label stands for, by the label."""
        numbers = ("-1", "1") if self.outputs == 1 else map(str, range(len(self.classes)))
        return {number: clean(name) for number, name in zip(numbers, self.classes, strict=True)}

    @property
    def meaning(self) -> str:
        """What the labels stand for, in one line."""
        if self.outputs == 1:
            return "label −1 is {}, +1 is {}".format(*self.named.values())
        return ", ".join(f"class {number} is {name}" for number, name in self.named.items())

    def of_two_classes(self) -> Dataset:
        """Itself. Raises DataError where there are more."""
        if len(self.classes) > 2:
            shown = ", ".join(self.classes[:6]) + (", …" if len(self.classes) > 6 else "")
            raise DataError(
                f"{self.name}: the label takes {len(self.classes)} values ({shown}); a binary problem has two. Several "
                "classes are for `compare margin` and `solve margin`"
            )
        return self

    @property
    def sha256(self) -> str:
        """SHA-256 of shape, X and y, little-endian float64 in C order: the very numbers that are computed with."""
        digest = hashlib.sha256(repr((self.X.shape, self.y.shape)).encode())
        for array in (self.X, self.y):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()

    @property
    def used(self) -> DataUsed:
        """For a report's provenance."""
        return DataUsed(self.name, self.sha256)

    def as_images(self, shape: tuple[int, ...] | None) -> Dataset:
        """The same with rows that are images of this shape; itself for None.

        Raises DataError where the columns are not as many as the pixels.
        """
        if shape is None:
            return self
        if not isinstance(shape, tuple | list):
            raise DataError(f"{self.name}: an image's shape is (H, W), HxW on the command line; got {shape!r}")
        if tuple(shape) == self.image_shape:
            return self
        if len(shape) != 2 or math.prod(shape) != self.X.shape[1]:
            size = "×".join(map(str, shape))
            raise DataError(f"{self.name}: images of {size} have not the {self.X.shape[1]} columns of X; write HxW")
        return replace(self, image_shape=(shape[0], shape[1]))

    @property
    def notes(self) -> tuple[str, ...]:
        """What its user may want to know: its remarks, and whether the columns may be the pixels of square images."""
        side = math.isqrt(self.X.shape[1])
        if self.image_shape is not None or side < SMALLEST_IMAGE or side**2 != self.X.shape[1]:
            return self.remarks
        return (
            *self.remarks,
            f"{self.name}: {side**2} columns are {side} × {side}. If each row is an image, --image-shape {side}x{side} "
            "adds the two-dimensional networks.",
        )

    @property
    def images(self) -> Array:
        """X as (N, H, W), or (N, R, H, W) of R ≥ 2 channels. Raises DataError where the rows are not images."""
        if self.image_shape is None:
            raise DataError(f"{self.name} holds no images; 2-D networks want rows that are (H, W) arrays")
        axes = self.image_shape if self.channels == 1 else (self.channels, *self.image_shape)
        return self.X.reshape(len(self.X), *axes)


def finite_table(X: Array, where: Callable[[int, int], str]) -> Array:
    """X itself. Raises DataError naming the first entry that is not a finite number, by `where(row, column)`."""
    bad = np.argwhere(~np.isfinite(X))
    if len(bad):
        row, column = map(int, bad[0])
        kind = "empty or not a number" if math.isnan(X[row, column]) else "infinite"
        entries = "1 such entry" if len(bad) == 1 else f"{len(bad)} such entries"
        raise DataError(f"{where(row, column)} is {kind} ({entries}); remove or fill them first")
    return X
