"""`compare denoising`, `compare_denoising`: stopping early is filtering, and what an untrained network makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from compare.experiments.image_data import inspect_images
from compare.experiments.labelled_data import seeds
from compare.experiments.protocol import Experiment, function_of, parameter
from compare.experiments.values import COUNT, INTEGER, INTEGERS, NAMES, Interval, refuse_unsorted

if TYPE_CHECKING:
    from compare.generators.image_sources import Image

QUESTIONS = ("filter", "stopping", "rates", "image", "photographs", "frequencies", "labels")
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")


@dataclass(frozen=True)
class DenoisingComparison(Experiment):
    """Early stopping as a filter; deep decoder denoising against total variation and wavelets.

    The two-layer generator and the filter that predicts it, the best time to stop, how the error scales with noise,
    dimension and length, the same on an image; photographs
    with total variation and wavelets; the order in which frequencies are learned; and corrupted labels.

    Returns:
        A report with a section for each question; interrupted, with those that are finished.

    Raises:
        DataError: a name is not known, or a folder holds no image.
        ValueError: a parameter is outside its range.

    Reference:
        Heckel and Soltanolkotabi (2020), "Denoising and regularization via exploiting the structural bias of
        convolutional generators", Theorem 1 and Table 1.

    >>> report = compare_denoising(questions=["stopping"], widths=[512], seeds=[0, 1])
    >>> len(report.checks)
    2
    """

    topic = "Early stopping of generators is a spectral filter"
    study = "compare.generators.denoising_report:denoising_report"
    images: Sequence[str | Path | Image] | None = parameter(
        None,
        "Colour photographs in scikit-image, comma-separated, or a folder with photographs of your own, also in "
        "subfolders. In Python also Image objects.",
        kind=NAMES,
        shown=",".join(PHOTOGRAPHS),
    )
    _: KW_ONLY
    size: int | None = parameter(
        None, "Pixels on a side.", kind=INTEGER, within=Interval(16, 1024), shown="64; 512 with --full"
    )
    noise: float = parameter(
        25.0, "Noise standard deviation, on the scale 0 to 255.", within=Interval(0, 255, low_open=True)
    )
    same_noise: bool = parameter(False, "One noise for all channels, as in the published table.")
    full: bool = parameter(False, "The published network and size; for a GPU.")
    questions: Sequence[str] = parameter(QUESTIONS, "Which sections, comma-separated.", kind=NAMES, choices=QUESTIONS)
    widths: Sequence[int] | None = parameter(
        None,
        "Channels k of the two-layer generator, ascending; half the last for the stopping time.",
        kind=INTEGERS,
        within=COUNT,
        shown="256,1024,4096; 16384 too with --full",
    )
    seeds: Sequence[int] = seeds(range(16), "Of every width, two or more; a quarter of them for the stopping time.")
    filter_steps: int = parameter(20, "Steps along which network and filter are compared.", option=None, within=COUNT)
    band_steps: int = parameter(400, "Iterations in which frequencies are learned.", option=None, within=COUNT)

    def derived(self) -> dict[str, Any]:
        """Images, size and widths by default."""
        widths = (256, 1024, 4096, 16_384) if self.full else (256, 1024, 4096)
        found = {"band_steps": 4000} if self.full else {}
        return found | {
            "images": PHOTOGRAPHS if self.images is None else self.images,
            "size": self.size or (512 if self.full else 64),
            "widths": self.widths or widths,
        }

    def check(self) -> None:
        """Refuse widths that do not increase, and a single seed, of which no mean can be judged."""
        refuse_unsorted("widths", self.widths or ())
        if len(self.seeds) < 2:
            raise ValueError(f"seeds must be two or more; got {','.join(map(str, self.seeds))}")

    def inspect(self) -> None:
        """Look up the photographs, where they are asked for."""
        if "photographs" in self.questions:
            inspect_images(self.images)

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """The filter against three widths, and the best stopping time."""
        return (cls(questions=("filter", "stopping"), widths=(64, 256, 1024)),)


compare_denoising = function_of(DenoisingComparison, "compare_denoising")
