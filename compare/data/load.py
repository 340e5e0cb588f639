"""Data by name: real tables that ship with scikit-learn, a user's files, and synthetic families.

    digits:3v8         two of scikit-learn's handwritten digits, 8×8 pixels scaled from 0…16 to [0, 1]
    wine:0v1           two of three cultivars, 13 chemical measurements, standardized
    iris:0v1           two of three species, 4 measurements, standardized
    digits, wine, iris all of their classes, where several are asked for
    breast_cancer      malignant (−1) and benign (+1), 30 measurements, standardized, with a column of ones
    synthetic:N,D,seed N Gaussian points in D dimensions, labelled by the sign of a Gaussian linear predictor
    partial:N,D,seed   2N Gaussian points, labelled so by their last coordinates; N of them have none of those, and
                       labels by coin flips: no predictor separates these, and the others still separate
    random:N,D,seed    N Gaussian points in D dimensions with random labels, which a linear predictor may not separate
    FILE.csv .tsv .npz .parquet   see `compare.data.files` for where the label is; taken as it is
    FOLDER             of images, a folder for each class: `compare.data.image_folder`

"Standardized": every column less its mean, divided by its standard deviation. A column of ones makes a predictor
⟨x, β⟩ through the origin of D+1 dimensions one with an offset in D; breast_cancer is separable only with an offset, all
pairs of digits, wine and iris (0v1, 0v2) without. `scale` and `offset` override both.
Of "AvB" the first is −1, the second +1; in a file, the smaller value is −1. K ≥ 3 classes are 0 … K − 1 in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from compare.data.dataset import DataError, Dataset
from compare.data.files import OTHERS, READERS, from_arrays, from_frame, read_file
from compare.data.image_folder import read_image_folder
from compare.data.labels import signs
from compare.near_names import nearest

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from compare.generators.image_sources import Size

Scale = Literal["auto", "none", "standard"]
SCALES: tuple[str, ...] = get_args(Scale)


__all__ = ["FILE_SUFFIXES", "SCALES", "DataError", "Dataset", "Scale", "load", "nearest", "standardized", "with_offset"]

FILE_SUFFIXES = tuple(READERS)


def load(
    source: str | Path | ArrayLike | pd.DataFrame,
    y: ArrayLike | None = None,
    *,
    scale: Scale = "auto",
    offset: bool | None = None,
    several: bool = True,
    image_size: Size | None = None,
    colour: bool = False,
    image_shape: tuple[int, ...] | None = None,
    name: str = "data",
    label: str | None = None,
) -> Dataset:
    """A data set with two classes or more, by name, from a file, a DataFrame or arrays.

    Args:
        source: a name such as "digits:3v8", "wine:0v1", "synthetic:N,D,seed"; a CSV, TSV, Parquet or NPZ file; a
            DataFrame, whose label is the column called y or label, else the last one, and has to be named where another
            column has a label's name (class, target, …); a folder of images, with a folder
            for each class; a `Dataset`; or, with y, points X of shape (N, D), images (N, H, W) or
            (N, R, H, W), or a flat folder of images, in the order of the file names.
        y: labels of shape (N,), of any two values, where `source` has none.
        scale: "standard" standardizes the columns, "none" does not; "auto" standardizes wine, iris and breast_cancer,
            and takes everything else as it is.
        offset: whether to append a column of ones; None appends one only where the source needs it to separate.
        several: whether three classes and more are welcome, integers or words; "digits", "wine" and "iris" without a
            pair are all of their classes.
        image_size: (H, W), or H for squares, to which the images of a folder are cropped and resized; without it they
            must be of one size.
        colour: whether the images of a folder keep their colours, (N, 3, H, W).
        image_shape: (H, W) where the D columns of points are an image.
        name: what arrays are called.
        label: the column of a file or DataFrame that holds the label, by name, in place of y or label or the last one.

    Returns:
        A `Dataset` with X of shape (N, D), labels y in {−1, +1} of shape (N,), and the names of the two classes; for
        K ≥ 3 classes y is 0 … K − 1.

    Raises:
        DataError: the name is unknown (the message names the nearest known one), the file cannot be read, or its
            contents are not finite numbers with labels of two values and more; or of more, without `several`.

    >>> data = load("digits:3v8")
    >>> data.X.shape, data.classes, data.image_shape
    ((357, 64), ('3', '8'), (8, 8))
    >>> load([[1.0, 2.0], [3.0, 4.0]], ["no", "yes"]).y.tolist()
    [-1.0, 1.0]
    """
    if scale not in SCALES:
        raise DataError(f"scale is one of {', '.join(SCALES)}; got {scale!r}")
    data, default = read(source, y, several=several, image_size=image_size, colour=colour, name=name, label=label)
    if image_shape is None and not isinstance(source, Dataset):
        refuse_channels_last(data)
    data = data.as_images(image_shape)
    data = data if several else data.of_two_classes()
    if (scale == "standard" and not data.standardized) or (scale == "auto" and default == "standard"):
        data = standardized(data)
    wanted = isinstance(source, str) and source.strip() == "breast_cancer" if offset is None else offset
    return with_offset(data) if wanted else data


def refuse_channels_last(data: Dataset) -> None:
    """Raise DataError for images with the sizes of (N, H, W, R); `image_shape` says that they are (N, R, H, W)."""
    if (
        data.image_shape is not None
        and min(data.channels, data.image_shape[0]) > 4
        and data.image_shape[1] in (1, 3, 4)
    ):
        R, (H, W) = data.channels, data.image_shape
        raise DataError(
            f"{data.name}: X has shape (N, {R}, {H}, {W}), which looks like channels last; wanted is (N, R, H, W): "
            f"X.transpose(0, 3, 1, 2). If it is {R} channels of {H} × {W}, say image_shape=({H}, {W}), on the command "
            f"line --image-shape {H}x{W}"
        )


def read(
    source: Any,
    y: ArrayLike | None,
    *,
    several: bool,
    image_size: Size | None,
    colour: bool,
    name: str,
    label: str | None,
) -> tuple[Dataset, Scale]:
    """The data as they are, and the scaling that suits them."""
    if is_folder(source) and label is None:
        return read_image_folder(Path(source), y, image_size, colour=colour), "none"
    if image_size is not None or colour:
        raise DataError(f"image_size and colour are for a folder of images; {str(source)[:60]!r} is none")
    if y is None and isinstance(source, str) and Path(source.strip()).suffix.lower() in FILE_SUFFIXES:
        source = Path(source.strip())
    if y is None and isinstance(source, Path):
        return read_file(source, label), "none"
    if y is None and hasattr(source, "columns") and hasattr(source, "iloc"):
        return from_frame(source, "the DataFrame", label), "none"
    if label is not None:
        raise DataError(f"label names a column of a file or DataFrame, and these data have none; got {label!r}")
    if isinstance(source, Dataset):
        if y is not None:
            raise DataError(f"{source.name} has its labels already; give its X and other labels, load(data.X, y)")
        return source, "none"
    if y is not None:
        return from_arrays(source, y, name), "none"
    if not isinstance(source, str):
        raise DataError(
            "points need their labels: give X and y, a DataFrame with a label column, a file, a folder, or a name"
        )
    source = source.strip()
    named, _, argument = source.partition(":")
    if Path(source).suffix.lower() in OTHERS:
        return read_file(Path(source), label), "none"  # which says what to do
    if named not in SOURCES:
        known = f"{', '.join(USAGE)}, files {' '.join(FILE_SUFFIXES)}, and folders"
        raise DataError(f"there is no data called {source!r}; {nearest(named, SOURCES)}known are {known}")
    if several and named in TABLES and not argument and source == named:
        return all_classes(named)
    return SOURCES[named](source, argument)


def is_folder(source: Any) -> bool:
    """Whether it is a folder's path, and no name of data."""
    named = isinstance(source, str) and source.partition(":")[0] in SOURCES
    if named or not isinstance(source, str | Path) or not str(source).strip():
        return False
    return Path(source).suffix.lower() not in FILE_SUFFIXES and Path(source).is_dir()


def all_classes(name: str) -> tuple[Dataset, Scale]:
    """`digits`, `wine` and `iris`: every class of the table."""
    from sklearn import datasets

    table, (scaling, unit, shape, _) = getattr(datasets, f"load_{name}")(), TABLES[name]
    y, classes = signs(table.target, name)
    return Dataset(name, table.data / unit, y, classes, shape), scaling


def two_classes(source: str, argument: str) -> tuple[Dataset, Scale]:
    """`digits:AvB`, `wine:AvB` and `iris:AvB`: two classes of a table of scikit-learn's; A becomes −1, B becomes +1."""
    name = source.partition(":")[0]
    scaling, unit, shape, count = TABLES[name]
    known = [str(number) for number in range(count)]
    first, v, second = argument.partition("v")
    if not v or first not in known or second not in known or first == second:
        raise DataError(
            f"{source!r}: write {name}:AvB with two different classes of {', '.join(known)}, "
            f"for instance {name}:{known[0]}v{known[1]}"
        )
    from sklearn import datasets  # a second that a wrong name need not wait for

    table = getattr(datasets, f"load_{name}")()
    rows = np.isin(table.target, [int(first), int(second)])
    y = np.where(table.target[rows] == int(second), 1.0, -1.0)
    return Dataset(source, table.data[rows] / unit, y, (first, second), shape), scaling


def breast_cancer(source: str, argument: str) -> tuple[Dataset, Scale]:
    """`breast_cancer`."""
    from sklearn.datasets import load_breast_cancer

    if argument:
        raise DataError(f"{source!r}: breast_cancer has two classes and takes no argument")
    table = load_breast_cancer()
    return Dataset(source, table.data, np.where(table.target == 1, 1.0, -1.0), ("malignant", "benign")), "standard"


def gaussian(source: str, argument: str) -> tuple[Dataset, Scale]:
    """`synthetic:N,D,seed`, separable by construction, and `random:N,D,seed`, with labels by chance."""
    name, match = source.partition(":")[0], re.fullmatch(r"(\d+),(\d+),(\d+)", argument.replace(" ", ""))
    if not match or 0 in (N := int(match[1]), D := int(match[2])):
        raise DataError(f"{source!r}: write {name}:N,D,seed with N, D ≥ 1, for instance {name}:10,20,0")
    if N * D > 10**9:
        raise DataError(f"{source!r}: {N}×{D} numbers would need {8 * N * D / 2**30:.0f} GiB")
    rng = np.random.default_rng(int(match[3]))
    X = rng.standard_normal((N, D))
    sides = X @ rng.standard_normal(D) if name == "synthetic" else rng.standard_normal(N)
    classes = ("below", "above") if name == "synthetic" else ("tails", "heads")
    return Dataset(f"{name}:{N},{D},{int(match[3])}", X, np.where(sides > 0, 1.0, -1.0), classes), "none"


def partly_separable(source: str, argument: str) -> tuple[Dataset, Scale]:
    """`partial:N,D,seed`: 2N rows, of which N cannot be separated and, kept at zero, leave the others separable."""
    match = re.fullmatch(r"(\d+),(\d+),(\d+)", argument.replace(" ", ""))
    if not match or int(match[2]) < 2 or 0 in (N := int(match[1]), D := int(match[2])):
        raise DataError(f"{source!r}: write partial:N,D,seed with N ≥ 1, D ≥ 2, for instance partial:40,6,0")
    if 2 * N * D > 10**9:
        raise DataError(f"{source!r}: {2 * N}×{D} numbers would need {16 * N * D / 2**30:.0f} GiB")
    rng, half = np.random.default_rng(int(match[3])), D // 2
    X, planted = rng.standard_normal((2 * N, D)), rng.standard_normal(D - half)
    X[:N, half:] = 0.0
    y = np.where(X[:, half:] @ planted > 0, 1.0, -1.0)
    y[:N] = rng.choice([-1.0, 1.0], N)
    return Dataset(f"partial:{N},{D},{int(match[3])}", X, y, ("below", "above")), "none"


TABLES: dict[str, tuple[Scale, float, tuple[int, int] | None, int]] = {
    "digits": ("none", 16.0, (8, 8), 10),
    "wine": ("standard", 1.0, None, 3),
    "iris": ("standard", 1.0, None, 3),
}
"""Tables of several classes: how they are scaled, the unit of their numbers, the shape of rows that are images, and how
many classes there are."""

SOURCES: dict[str, Callable[[str, str], tuple[Dataset, Scale]]] = {
    "digits": two_classes,
    "wine": two_classes,
    "iris": two_classes,
    "breast_cancer": breast_cancer,
    "synthetic": gaussian,
    "random": gaussian,
    "partial": partly_separable,
}
USAGE = (
    "digits:3v8",
    "wine:0v1",
    "iris:0v1",
    "breast_cancer",
    "synthetic:N,D,seed",
    "random:N,D,seed",
    "partial:N,D,seed",
)


def standardized(data: Dataset) -> Dataset:
    """Every column less its mean, divided by its standard deviation; a constant column becomes zero."""
    largest = np.abs(data.X).max(axis=0)
    X = np.divide(data.X, largest, out=np.zeros_like(data.X), where=largest > 0)  # so that squares cannot overflow
    spread = X.std(axis=0)
    centred = X - X.mean(axis=0)
    constant = spread <= 1e-14  # what rounding leaves of a column of equal numbers
    X = np.divide(centred, spread, out=np.zeros_like(X), where=~constant)
    return replace(data, X=X, name=f"{data.name}, standardized", standardized=True)


def with_offset(data: Dataset) -> Dataset:
    """A column of ones appended; the rows are then no images."""
    X = np.column_stack([data.X, np.ones(len(data.X))])
    return replace(data, X=X, name=f"{data.name}, with a column of ones", image_shape=None)
