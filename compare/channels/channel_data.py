"""Images for the multi-channel comparison: MNIST and CIFAR-10 from their standard files, everything else by name.

    mnist:0v1      train-images-idx3-ubyte and train-labels-idx1-ubyte (as they are, or .gz) in a folder
    cifar10:1v5    data_batch_1.bin … data_batch_5.bin (the binary version; the Python version is pickled, and nothing
                   is ever unpickled here)
    anything else  `compare.load`: digits:3v8, FILE.npz, synthetic:N,D,seed, …

Without a folder the first two are asked of scikit-learn's fetch_openml, which downloads them once. Pixels are divided
by 255, standardized by the mean and deviation of the training set (per channel) and then centred per image and channel,
as in the published experiments. Of "AvB" the first is −1 and the second +1; the first `count` images of the two classes
are taken, in file order.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compare.data.load import DataError, load
from compare.reports.provenance import DataUsed
from compare.reports.wording import one_line
from solvers.arrays import Array

STATISTICS = {
    "mnist": (np.array([0.1307]), np.array([0.3081])),
    "cifar10": (np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])),
}
"""Mean and standard deviation of the training pixels, in units of full brightness."""
LARGEST = 2**28
"""Bytes of an IDX file, five times those of MNIST: a small compressed file can claim any number."""
OPENML = {"mnist": "mnist_784", "cifar10": "CIFAR_10"}


@dataclass(frozen=True)
class ChannelData:
    """A binary problem for a convolutional network."""

    name: str
    X: Array = field(repr=False)
    """(N, D), (N, H, W), or with R > 1 channels (N, R, D), (N, R, H, W)."""
    y: Array = field(repr=False)
    """(N,), entries −1 and +1."""
    channels: int
    """R."""
    notes: tuple[str, ...] = ()
    """What a report says of them first."""

    @property
    def grid(self) -> tuple[int, ...]:
        """(D,) or (H, W)."""
        return self.X.shape[1:] if self.channels == 1 else self.X.shape[2:]

    @property
    def used(self) -> DataUsed:
        """For a report's provenance."""
        digest = hashlib.sha256(repr((self.X.shape, self.y.shape)).encode())
        for array in (self.X, self.y):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return DataUsed(self.name, digest.hexdigest())

    @property
    def as_signals(self) -> ChannelData:
        """The same numbers as one-dimensional signals, images flattened row by row."""
        shape = (len(self.X), -1) if self.channels == 1 else (len(self.X), self.channels, int(np.prod(self.grid)))
        return ChannelData(f"{self.name} as signals", self.X.reshape(shape), self.y, self.channels)


def channel_data(
    data: Any, y: ArrayLike | None, *, folder: Path | None, count: int, image_shape: tuple[int, ...] | None = None
) -> ChannelData:
    """`data` itself, the data of that name, or arrays of shape (N, D), (N, H, W) or (N, R, H, W) with labels y."""
    if isinstance(data, str):
        return load_channels(data, folder=folder, count=count, image_shape=image_shape)
    if isinstance(data, ChannelData):
        return data
    if y is None:
        raise DataError("arrays need their labels: give data and y, or the name of data as a string")
    X = np.asarray(data, dtype=np.float64)
    return ChannelData("data", X, np.asarray(y, dtype=np.float64), X.shape[1] if X.ndim == 4 else 1)


def load_channels(
    source: str, *, folder: Path | None = None, count: int = 128, image_shape: tuple[int, ...] | None = None
) -> ChannelData:
    """The data that `source` names, as signals or images with their channels.

    Args:
        source: "mnist:AvB" or "cifar10:AvB" with two different digits A and B for the classes −1 and +1; or a source
            that `load` takes.
        folder: where the standard files of MNIST or CIFAR-10 lie; None asks scikit-learn's fetch_openml.
        count: how many images of the two classes are taken, in file order; only for MNIST and CIFAR-10.
        image_shape: (H, W) where the columns of a table are the pixels of images, for what `load` takes.

    Returns:
        ChannelData: X of shape (N, D) or (N, H, W), or (N, R, H, W) for R > 1 channels, float64; y of shape (N,).

    Raises:
        DataError: a file is missing or damaged, the name is unknown, or `count` is less than 2.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), experiments: the standardized and centred images.

    >>> digits = load_channels("digits:3v8")
    >>> digits.grid, digits.channels
    ((8, 8), 1)
    """
    name, _, argument = source.strip().partition(":")
    if name not in STATISTICS:
        if folder is not None:
            raise DataError(f"folder is where the files of {' or '.join(STATISTICS)} lie; {source!r} has no such files")
        data = load(source, several=False, image_shape=image_shape)
        X = data.images if data.image_shape is not None else data.X
        return ChannelData(data.name, np.array(X), data.y, data.channels, data.notes)
    match = re.fullmatch(r"(\d)v(\d)", argument)
    if not match or match[1] == match[2]:
        raise DataError(f"{source!r}: write {name}:AvB with two different classes from 0 to 9, for instance {name}:0v1")
    if count < 2:
        raise DataError(f"count must be at least 2 images, got {count}")
    pixels, labels = from_folder(name, folder) if folder is not None else from_openml(name)
    classes = int(match[1]), int(match[2])
    return two_classes(f"{name}:{argument}, {count} images", name, pixels, labels, classes, count)


def two_classes(
    title: str, name: str, pixels: NDArray[np.uint8], labels: NDArray[np.integer], classes: tuple[int, int], count: int
) -> ChannelData:
    """The first `count` images of two classes, standardized and centred."""
    rows = np.flatnonzero(np.isin(labels, classes))[:count]
    if len(set(labels[rows].tolist())) < 2:
        raise DataError(f"{title}: the files hold {rows.size} images of these classes, and not of both")
    mean, deviation = STATISTICS[name]
    X = (pixels[rows] / 255.0 - mean[:, None, None]) / deviation[:, None, None]
    X = X - X.mean(axis=(2, 3), keepdims=True)
    y = np.where(labels[rows] == classes[1], 1.0, -1.0)
    channels = X.shape[1]
    return ChannelData(title, X[:, 0] if channels == 1 else X, y, channels)


def from_folder(name: str, folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Pixels (N, R, H, W) and labels (N,) from the standard files."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {str(folder)!r}")
    if name == "mnist":
        images = read_idx(find(folder, "train-images-idx3-ubyte", "train-images.idx3-ubyte"), 3)
        labels = read_idx(find(folder, "train-labels-idx1-ubyte", "train-labels.idx1-ubyte"), 1)
        if len(images) != len(labels):
            raise DataError(f"{str(folder)!r}: {len(images)} images but {len(labels)} labels, from different sets")
        return images[:, None], labels.astype(np.int64)
    batches = sorted(p for i in range(1, 6) for p in (folder / f"data_batch_{i}.bin",) if p.is_file())
    if not batches:
        raise DataError(
            f"{str(folder)!r} holds no data_batch_1.bin … data_batch_5.bin; take the binary version of CIFAR-10 "
            "(the Python version is pickled and is not read)"
        )
    records = []
    for path in batches:
        content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        if content.size == 0 or content.size % 3073:
            raise DataError(f"{str(path)!r} is damaged: {content.size} bytes is no multiple of the 3073 of one image")
        records.append(content.reshape(-1, 3073))
    table = np.concatenate(records)
    return table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0].astype(np.int64)


def find(folder: Path, *names: str) -> Path:
    """The first of the files `names`, plain or compressed. Raises DataError when none is there."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise DataError(f"{str(folder)!r} holds no {names[0]} (nor {names[0]}.gz)")


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An array of unsigned bytes in the IDX format: 0, 0, 8, number of dimensions, big-endian sizes, then the bytes."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            head = file.read(4 + 4 * dimensions)
            if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
                raise DataError(f"{str(path)!r} is not an IDX file of bytes with {dimensions} dimensions")
            shape = struct.unpack(f">{dimensions}I", head[4:])
            size = math.prod(shape)
            if not 0 < size <= LARGEST:
                raise DataError(f"{str(path)!r} says that it holds {shape} bytes; wanted from 1 to {LARGEST} in all")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{str(path)!r} could not be read: {one_line(error)}") from error
    if len(content) != size:
        more = "more" if len(content) > size else len(content)
        raise DataError(f"{str(path)!r} is damaged: its header says {shape}, it holds {more} bytes")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def from_openml(name: str) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """The same through scikit-learn, which keeps a copy. Raises DataError when it cannot be had."""
    from sklearn.datasets import fetch_openml

    try:
        table = fetch_openml(OPENML[name], version=1, as_frame=False)
    except Exception as error:  # no network, a moved server, a changed data set: all end in the same advice
        raise DataError(
            f"{name} could not be downloaded ({type(error).__name__}); put its standard files in a folder and name it "
            "with --folder"
        ) from error
    side, channels = (28, 1) if name == "mnist" else (32, 3)
    pixels = np.asarray(table.data, dtype=np.float64).round().astype(np.uint8)
    return pixels.reshape(-1, channels, side, side), np.asarray(table.target).astype(np.int64)
