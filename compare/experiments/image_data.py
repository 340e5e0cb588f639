"""Which images an experiment is on: names in scikit-image, or a folder of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compare.generators.image_sources import Image

Images = Sequence["str | Path | Image"]


def inspect_images(images: Images | None) -> None:
    """Raise DataError for a name that no image has, and for a folder that is none."""
    from compare.generators.image_sources import Image, check_folder, check_name, folder_of

    folder = folder_of(images or ())
    if folder is not None:
        check_folder(folder)
        return
    for name in images or ():
        if not isinstance(name, Image):
            check_name(str(name))
