"""The images generators are fitted to: those that ship with scikit-image, a folder of one's own, and matching noise.

Every image is float64 in [0, 1], channels first, cropped to the largest centred square (or the aspect asked for) and
resized with antialiasing. A photograph is turned as its camera says, and what is transparent becomes white.

Whole numbers are divided by the largest value of 8 bits where the file says 8 bits, else of the fewest of `DEPTHS` bits
that hold the image: a 12-bit image stored in 16 bits is not sixteen times too dark, nor one of 8 bits in 64 black.
Reading a folder never fails because of one file: what cannot be used is named with its reason and counted.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compare.data.dataset import DataError
from compare.reports.provenance import DataUsed
from compare.reports.wording import counted, one_line
from solvers.arrays import Array

SHIPPED = ("camera", "astronaut", "coins", "cat", "chelsea", "coffee", "rocket", "page", "text", "moon")
"""Photographs and scans in scikit-image, by their function in skimage.data ("chelsea" and "cat" are one picture)."""
DRAWN = ("shepp_logan_phantom", "checkerboard")
NAMES = (*SHIPPED, *DRAWN, "lfw_subset")
DEPTHS = (8, 10, 12, 14, 16)
"""Bits of a grey value, as cameras and scanners store it."""
LARGEST = 2**25
"""Pixels of an image, 33 millions: a small file can claim any number, and each takes 24 bytes."""
Size = int | tuple[int, int]
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".npy")


@dataclass(frozen=True)
class Image:
    """One image by name."""

    name: str
    pixels: Array
    """(1, H, W) grey or (3, H, W) colour, in [0, 1]."""
    transparent: bool = False
    """Whether parts of it were transparent, and became white."""

    @property
    def variance(self) -> float:
        """Variance over all pixels and channels, in squared units of the image."""
        return float(self.pixels.var())

    @property
    def used(self) -> DataUsed:
        """For a report's provenance."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).tobytes())
        return DataUsed(self.name, digest.hexdigest())


@dataclass(frozen=True)
class Folder:
    """The images of a folder, and what was skipped."""

    images: tuple[Image, ...]
    skipped: tuple[tuple[str, str], ...]
    """(file, reason) for every file with an image's suffix that could not be used."""

    @property
    def note(self) -> str:
        """Sentences for a report's notes; empty when nothing was skipped and nothing transparent."""
        clear = [image.name for image in self.images if image.transparent]
        white = (
            f"White behind the transparent parts of {counted(len(clear), 'image')}: {'; '.join(clear[:8])}."
            if clear
            else ""
        )
        if not self.skipped:
            return white
        shown = "; ".join(f"{name} ({reason})" for name, reason in self.skipped[:8])
        more = f"; and {len(self.skipped) - 8} more" if len(self.skipped) > 8 else ""
        count = f"{len(self.skipped)} of {len(self.skipped) + len(self.images)} files"
        return f"{count} were skipped: {shown}{more}. {white}".strip()


def check_name(name: str) -> None:
    """Raise DataError for a name that none of the images has that ship."""
    if name not in NAMES:
        raise DataError(f"no image called {name!r}: choose from {', '.join(NAMES)}, or give a folder of images")


def folder_of(images: Sequence[str | Path | Image]) -> Path | None:
    """The folder that `images` is: a path alone, or a single name that is a folder's path and no image's name.

    >>> folder_of([Path("photographs")]) == Path("photographs"), folder_of(["compare/nosuch"])
    (True, None)
    """
    if len(images) != 1 or isinstance(images[0], Image):
        return None
    place = images[0]
    named = isinstance(place, str) and (place in NAMES or not Path(place).is_dir())
    return None if named else Path(place)


def check_folder(folder: Path) -> None:
    """Raise DataError where there is no such folder."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one that holds images ({', '.join(SUFFIXES)})")


def shipped(name: str, size: Size | None, *, colour: bool = False) -> Image:
    """An image that ships with scikit-image, or one of its drawings, at the size asked for or its own.

    The pixels of the checkerboard alternate between 1 and 0, 32 × 32 unless a size is asked for; the phantom is
    scikit-image's 400 × 400 one; lfw_subset is its first portrait (25 × 25).

    Raises DataError for an unknown name.

    >>> shipped("camera", 32).pixels.shape
    (1, 32, 32)
    """
    from skimage import data

    check_name(name)
    if name == "checkerboard":
        return Image(name, checkerboard((3 if colour else 1, *(sides_of(size) or (32, 32)))))
    loaded = getattr(data, name)()
    raw = np.asarray(loaded[0] if name == "lfw_subset" else loaded)
    return Image(name, prepared(raw, size, colour))


def sides_of(size: Size | None) -> tuple[int, int] | None:
    """Height and width in pixels, or None. Raises DataError for anything else."""
    sides = (size, size) if isinstance(size, int | np.integer) else size
    if sides is None:
        return None
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side >= 2 for side in sides):
        raise DataError(f"a size is (H, W), or H for squares, in whole pixels ≥ 2; got {size!r}")
    return int(sides[0]), int(sides[1])


def prepared(raw: NDArray[np.generic], size: Size | None, colour: bool) -> Array:
    """Grey or colour, cropped at the centre to the aspect of `size` and resized, in [0, 1]; channels first."""
    from skimage.transform import resize

    image = _scaled(raw)
    shape = sides_of(size) or image.shape[:2]
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[2] in (2, 4):
        alpha = image[..., -1:]
        image = image[..., :-1] * alpha + (1.0 - alpha)  # on white
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    if not colour:
        image = (image[..., :3] @ np.array([0.2125, 0.7154, 0.0721]))[..., None]  # luma of ITU-R 709
    height, width = image.shape[:2]
    zoom = min(height / shape[0], width / shape[1])
    rows, columns = max(1, round(shape[0] * zoom)), max(1, round(shape[1] * zoom))
    top, left = (height - rows) // 2, (width - columns) // 2
    cropped = image[top : top + rows, left : left + columns, :3]
    small: Array = resize(  # type: ignore[no-untyped-call]
        cropped, shape, anti_aliasing=min(rows / shape[0], columns / shape[1]) > 1, mode="reflect"
    )
    return np.ascontiguousarray(np.clip(small, 0.0, 1.0).transpose(2, 0, 1))


def _scaled(raw: NDArray[np.generic]) -> Array:
    """Integers divided as the module says; floats must already lie in [0, 1]. Shape (H, W) or (H, W, c)."""
    if raw.ndim not in (2, 3) or min(raw.shape[:2]) < 2 or (raw.ndim == 3 and raw.shape[2] not in (1, 2, 3, 4)):
        raise DataError(f"an image has shape (H, W), (H, W, 3) or (H, W, 4) with sides ≥ 2, this one {raw.shape}")
    if raw.dtype == np.bool_:
        return raw.astype(np.float64)
    if raw.dtype == np.uint8:
        return raw.astype(np.float64) / 255.0
    if np.issubdtype(raw.dtype, np.integer):
        low, high = int(raw.min()), int(raw.max())
        bits = next((bits for bits in DEPTHS if 0 <= low <= high < 2**bits), None)
        if bits is None:
            raise DataError(
                f"holds whole numbers from {low} to {high}; wanted 0 to 2^b − 1 for b of at most {DEPTHS[-1]} bits: "
                "divide them by the scale they have, and save floating-point numbers in [0, 1]"
            )
        return raw.astype(np.float64) / float(2**bits - 1)
    if raw.dtype.kind != "f":
        raise DataError(f"holds {raw.dtype}; wanted numbers")
    image = raw.astype(np.float64)
    bad = int((~np.isfinite(image)).sum())
    if bad:
        raise DataError(f"{bad} of {image.size} values are NaN or infinite")
    if image.min() < 0 or image.max() > 1:
        raise DataError(
            f"floating-point images must lie in [0, 1], this one goes from {image.min():.4g} to {image.max():.4g}"
        )
    return image


def read_image(path: Path, size: Size | None, *, colour: bool = False) -> Image:
    """One file. Raises DataError with the reason when it cannot be read, has no variance, or has NaN."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, old headers and large sizes: pixels are all that counts
            raw = decoded(path)
    except DataError:
        raise
    except Exception as error:  # damaged bytes make the decoders beneath raise nearly anything
        raise DataError(f"cannot be read as an image: {one_line(error).replace(str(path), path.name)}") from None
    pixels = prepared(raw, size, colour)
    if np.ptp(pixels) == 0:
        raise DataError("is constant, so there is nothing to fit")
    return Image(path.name, pixels, is_transparent(raw))


def is_transparent(raw: NDArray[np.generic]) -> bool:
    """Whether some pixel is not opaque."""
    return raw.ndim == 3 and raw.shape[2] in (2, 4) and bool(_scaled(raw)[..., -1].min() < 1.0)


def decoded(path: Path) -> NDArray[np.generic]:
    """The pixels as the file holds them, (H, W) or (H, W, c). Raises DataError for more than `LARGEST`, and whatever
    numpy and Pillow raise."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    if path.suffix.lower() == ".npy":
        array = np.lib.format.open_memmap(path, mode="r")  # which reads no more than shape and type, and no pickle
        check_size(array.shape[:2])
        return np.array(array)
    with Pillow.open(path) as opened:
        check_size(opened.size)
        if (frames := getattr(opened, "n_frames", 1)) > 1:
            raise DataError(f"holds {frames} images; save each in a file of its own")
        upright = ImageOps.exif_transpose(opened)
        if upright.mode in ("PA", "La", "RGBa") or "transparency" in upright.info:
            return np.asarray(upright.convert("RGBA"))
        # palettes and CMYK are codes, not light; 16-bit grey stays as it is
        keep = upright.mode in ("1", "L", "LA", "RGB", "RGBA", "F", "I") or upright.mode.startswith("I;16")
        return np.asarray(upright if keep else upright.convert("RGB"))


def check_size(sides: Sequence[int]) -> None:
    """Raises DataError for an image of too many pixels."""
    if math.prod(sides) > LARGEST:
        raise DataError(f"has {' × '.join(map(str, sides))} pixels, more than {LARGEST}; make it smaller first")


def load_image_folder(folder: Path, size: Size | None = None, *, colour: bool = False) -> Folder:
    """Every image below a folder, at any depth (class folders as in ImageNet), in the order of their paths.

    Args:
        folder: where the files are; what cannot be used is skipped, and named with its reason.
        size: height and width in pixels, one number for squares: cropped at the centre and resized. Without it each
            image keeps its own.
        colour: three channels instead of grey.

    Returns:
        The images, pixels of shape (1 or 3, H, W) in [0, 1], and what was skipped.

    Raises:
        DataError: it is no folder, or not one file in it can be used.

    >>> load_image_folder(Path("nowhere"), 32)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    compare.data.dataset.DataError: nowhere is not a folder; give one that holds images (...)
    """
    folder = Path(folder)
    found = read_files(folder, image_files(folder), size, colour=colour)
    if not found.images:
        raise DataError(f"{folder} holds no usable image ({', '.join(SUFFIXES)}). {found.note}")
    return found


def image_files(folder: Path) -> list[Path]:
    """Every file below a folder with an image's suffix, in the order of their paths.

    Raises DataError when it is no folder.
    """
    check_folder(folder)
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)


def read_files(folder: Path, paths: Sequence[Path], size: Size | None, *, colour: bool = False) -> Folder:
    """These files of a folder, named by their paths in it; what cannot be used is skipped with its reason."""
    images: list[Image] = []
    skipped: list[tuple[str, str]] = []
    for path in paths:
        name = str(path.relative_to(folder))
        try:
            images.append(replace(read_image(path, size, colour=colour), name=name))
        except DataError as error:
            skipped.append((name, str(error)))
    return Folder(tuple(images), tuple(skipped))


def load_images(images: Sequence[str | Image], size: Size | None = None, *, colour: bool = False) -> tuple[Image, ...]:
    """Images that ship with scikit-image, by name, as experiments on generators take them.

    Args:
        images: names, among them "camera", "coffee", "shepp_logan_phantom" and "checkerboard"; images are kept.
        size: height and width in pixels, one number for squares: cropped at the centre and resized. Without it each
            image keeps its own.
        colour: three channels instead of grey.

    Returns:
        Their pixels have the shape (1 or 3, H, W) and lie in [0, 1].

    Raises:
        DataError: a name is none of them; the message lists them.

    >>> [image.pixels.shape for image in load_images(["camera", "moon"], (24, 32))]
    [(1, 24, 32), (1, 24, 32)]
    """
    return tuple(shipped(image, size, colour=colour) if isinstance(image, str) else image for image in images)


def choose(images: Sequence[str | Path | Image], size: int, *, colour: bool = False) -> tuple[tuple[Image, ...], str]:
    """The images of a folder or of these names, and a note on the files that were skipped."""
    folder = folder_of(images)
    if folder is None:
        named = [image if isinstance(image, Image) else str(image) for image in images]
        return load_images(named, size, colour=colour), ""
    found = load_image_folder(folder, size, colour=colour)
    return found.images, found.note


def checkerboard(shape: Sequence[int]) -> Array:
    """Each pixel alternates between 1 and 0, the same in every channel; shape (c, H, W).

    The finest pattern there is: an unnatural image, on the side of noise.

    >>> checkerboard((1, 2, 3))[0].tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    field = 1.0 - np.indices(tuple(shape[1:])).sum(axis=0) % 2
    return np.repeat(field[None], shape[0], axis=0)


def scrambled(image: Image, seed: int) -> Array:
    """White noise of the image's mean and variance: its pixels in random order, each with all its channels.

    The histogram is kept exactly, so the noise lies in [0, 1] whenever the image does; only the structure is gone.
    """
    flat = image.pixels.reshape(image.pixels.shape[0], -1)
    order = np.random.default_rng([seed, 7]).permutation(flat.shape[1])
    return np.ascontiguousarray(flat[:, order].reshape(image.pixels.shape))
