"""Which images an experiment is on: names in scikit-image, or a folder of one's own, said in either place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compare.generators.image_sources import Image

Images = Sequence["str | Image"]


def named_or_folder(images: Images | None, folder: Path | None) -> tuple[Images | None, Path | None]:
    """Names and a folder, where a single name that is a folder's path stands for the folder.

    >>> named_or_folder(("compare/nosuch",), None)
    (('compare/nosuch',), None)
    """
    if folder is None and images is not None and len(images) == 1 and isinstance(images[0], str):
        from compare.generators.image_sources import NAMES

        if images[0] not in NAMES and Path(images[0]).is_dir():
            return None, Path(images[0])
    return images, folder


def inspect_images(images: Images | None, folder: Path | None = None) -> None:
    """Raise DataError for a name that no image has, and for a folder that is none."""
    from compare.generators.image_sources import check_folder, check_name

    if folder is not None:
        check_folder(folder)
    for name in images or ():
        if isinstance(name, str):
            check_name(name)
