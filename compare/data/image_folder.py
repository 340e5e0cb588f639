"""A folder of images as a data set: a folder for each class, or one folder with labels in the order of the file names.

Pixels lie in [0, 1], as `compare.generators.image_sources` says of every image; a file that cannot be read is an error,
since a data set without it is another one. Images keep their size, which must be one for all, unless one is asked for:
they are then cropped at the centre to its aspect and resized.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from compare.data.dataset import DataError, Dataset
from compare.data.labels import signs
from compare.reports.wording import counted, one_line
from solvers.arrays import Array

if TYPE_CHECKING:
    from compare.generators.image_sources import Size


def read_image_folder(folder: Path, y: ArrayLike | None, size: Size | None, *, colour: bool) -> Dataset:
    """The images below a folder, at any depth, and their labels.

    Args:
        folder: without `y` its subfolders are the classes; with `y` the images are in the order of their paths.
        y: labels, one for each image.
        size: (H, W), or H for squares; None where all have one size.
        colour: three channels, (N, 3, H, W), instead of grey, (N, H, W).

    Raises:
        DataError: there is no image, one cannot be read or has another size, or labels are missing.
    """
    from compare.generators.image_sources import SUFFIXES

    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")  # as macOS leaves
    )
    if not paths:
        raise DataError(f"{str(folder)!r} holds no image ({' '.join(SUFFIXES)})")
    parts = [path.relative_to(folder).parts for path in paths]
    loose = [part[0] for part in parts if len(part) == 1]
    if y is None and loose:
        raise DataError(
            f"{str(folder)!r}: {loose[0]!r} lies in no folder of a class; put the images of each class into a folder "
            "of its name, or give the labels: load(folder, y), in the order of the file names"
        )
    labels = [part[0] for part in parts] if y is None else np.asarray(y)
    if len(labels) != len(paths):
        raise DataError(f"{str(folder)!r} holds {len(paths)} images, and y {len(labels)} labels")
    found = [read(path, folder, size, colour) for path in paths]
    images = [image for image, _ in found]
    other = next((i for i, image in enumerate(images) if image.shape != images[0].shape), None)
    if other is not None:
        sizes = [" × ".join(map(str, images[i].shape[1:])) for i in (0, other)]
        raise DataError(
            f"{str(folder)!r}: {'/'.join(parts[0])} has {sizes[0]} pixels, {'/'.join(parts[other])} {sizes[1]}; give "
            "one size for all: load(folder, image_size=(H, W))"
        )
    signed, classes = signs(labels, f"{str(folder)!r}")
    X, clear = np.stack(images), sum(transparent for _, transparent in found)
    remarks = (f"{folder}: white behind the transparent parts of {counted(clear, 'image')}.",) if clear else ()
    shape = (X.shape[2], X.shape[3])
    return Dataset(str(folder), X.reshape(len(X), -1), signed, classes, shape, X.shape[1], remarks=remarks)


def read(path: Path, folder: Path, size: Size | None, colour: bool) -> tuple[Array, bool]:
    """One image, (1, H, W) or (3, H, W), and whether parts of it were transparent. Raises DataError with its name and
    the reason."""
    from compare.generators.image_sources import decoded, is_transparent, prepared

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata and old headers: pixels are all that counts
            raw = decoded(path)
            return prepared(raw, size, colour), is_transparent(raw)
    except DataError as error:
        raise DataError(f"{str(path.relative_to(folder))!r} in {str(folder)!r}: {error}") from error
    except Exception as error:  # damaged bytes make the decoders beneath raise nearly anything
        raise DataError(f"{str(path.relative_to(folder))!r} in {str(folder)!r}: {one_line(error)}") from error
