"""`compare generators`, `compare_generators`: untrained convolutional generators fit images fast and noise slowly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from compare.experiments.image_data import inspect_images
from compare.experiments.labelled_data import seeds
from compare.experiments.protocol import Experiment, function_of, parameter
from compare.experiments.values import COUNT, INTEGER, NAMES, NUMBER, NUMBERS, POSITIVE, Interval

if TYPE_CHECKING:
    from compare.generators.image_sources import Image
    from gd.images.conv_generator import Kind

KINDS: tuple[Kind, ...] = ("bilinear", "fixed", "learned", "deconvolution")
PUBLISHED_STEP = 0.1
ORDER_OF_MAGNITUDE = 10.0
"""How many times longer noise is claimed to take, at least."""
BOARD = "checkerboard"
QUESTIONS = ("noise", BOARD, "many", "toy")
USUAL_IMAGES = ("camera", "shepp_logan_phantom")
PHOTOGRAPHS = ("camera", "astronaut", "coins", "chelsea", "coffee", "rocket")
"""What the section on many images averages over where no folder is given."""


@dataclass(frozen=True)
class GeneratorComparison(Experiment):
    """Convolutional generators: iterations to fit an image and to fit noise, four architectures.

    Photographs shrunk to 32 pixels are rough, and some are then fitted less than ten times faster than noise; at 64 an
    image takes minutes.

    Optimizer, normalization and output are as in the code behind the published figure. Differences from it: there the
    size is 256 × 256, the step 0.1, the noise uniform on [0, 1] (here the image's own pixels in random order, so mean
    and variance are equal), the learned kernels of iii 3 × 3, and the numbers of channels fixed ones. At 64 × 64 and
    below the step is 0.5, which is sooner for images and noise, though not by one factor: on camera (32 × 32, 4×) the
    image takes 1.8 times (i) and 2.2 times (ii) fewer iterations than with 0.1, noise 1.3 and 2 times fewer.

    Returns:
        A report with a section for each question.

    Raises:
        ValueError: images are constant or of different sizes, or a parameter is outside its range.
        DataError: a name or folder holds no image.

    Reference:
        Heckel and Hand (2019), "Implicit bias of gradient descent on convolutional generators"; Heckel and
        Soltanolkotabi (2020), "Denoising and regularization via exploiting the structural bias of convolutional
        generators", Section 2.

    >>> report = compare_generators(
    ...     ["camera"],
    ...     size=16,
    ...     kinds=["bilinear"],
    ...     factors=[2],
    ...     seeds=[0],
    ...     longest_image=20,
    ...     questions=["noise"],
    ...     jobs=1,
    ... )
    >>> report.failures
    ()
    """

    topic = "Convolutional generators: image against noise"
    study = "compare.generators.generator_report:generator_report"
    images: Sequence[str | Path | Image] | None = parameter(
        None,
        "Names in scikit-image, comma-separated (checkerboard asks its own question), or a folder with images of your "
        "own, also in subfolders; in Python also Images.",
        kind=NAMES,
        shown=",".join(USUAL_IMAGES),
    )
    _: KW_ONLY
    size: int | None = parameter(
        None,
        "Pixels on a side.",
        kind=INTEGER,
        within=Interval(8, 1024),
        shown="32, and 64 for images of your choice; 256 with --full",
    )
    colour: bool = parameter(False, "Three channels instead of grey.")
    kinds: Sequence[Kind] = parameter(KINDS, "Architectures, comma-separated.", kind=NAMES, choices=KINDS)
    factors: Sequence[float] = parameter(
        (1.0, 4.0, 16.0),
        "Overparameterizations: parameters per output number.",
        kind=NUMBERS,
        within=Interval(0, 1000, low_open=True),
    )
    seeds: Sequence[int] = seeds((0, 1))
    fraction: float = parameter(
        0.01, "Error to reach, as a share of the variance.", within=Interval(0, 1, low_open=True, high_open=True)
    )
    text_version: bool = parameter(
        False, "As the paper's text has it: normalization before the ReLU, linear output, plain gradient descent."
    )
    step: float | None = parameter(
        None,
        "Step size for the mean squared error.",
        kind=NUMBER,
        within=POSITIVE,
        shown="0.5; 0.1 with --full or --text-version",
    )
    full: bool = parameter(False, "The published size, step and iterations; for a GPU.")
    optimizer: Literal["gd", "momentum", "adam"] = parameter(
        "momentum", "How the generators are trained.", option=None, choices=("gd", "momentum", "adam")
    )
    normalization: Literal["after_relu", "before_relu", "none"] = parameter(
        "after_relu", "Of the channels.", option=None, choices=("after_relu", "before_relu", "none")
    )
    output: Literal["sigmoid", "linear"] = parameter(
        "sigmoid", "The last layer's nonlinearity.", option=None, choices=("sigmoid", "linear")
    )
    longest_image: int = parameter(10_000, "Images get at most this many steps.", option=None, within=COUNT)
    reach: float = parameter(
        10.5,
        "Noise is given this many times the steps of the slowest seed of its image; at least the order of magnitude, "
        "or noise would be stopped before it is known to be slow.",
        option=None,
        within=Interval(ORDER_OF_MAGNITUDE),
    )
    questions: Sequence[str] = parameter(
        QUESTIONS,
        "Which ones, comma-separated: an image against noise, against a checkerboard, many images, the toy model.",
        kind=NAMES,
        choices=QUESTIONS,
    )
    many: Sequence[str | Image] | None = parameter(
        None, "What one section averages over; by default the folder's images, or six photographs.", option=None
    )
    many_steps: int = parameter(400, "Iterations on each of the many images.", option="--many-steps", within=COUNT)
    most: int = parameter(100, "Of the many images at most this many, chosen by chance.", within=Interval(2))
    toy_search: bool = parameter(
        True,
        "Whether the toy model is searched for settings, or shown in that in which the figure holds.",
        option=None,
    )
    jobs: int | None = parameter(
        None,
        "Processes that share the fits; the numbers are the same to the rounding of float32.",
        kind=INTEGER,
        within=COUNT,
        shown="every core, or 1 where there is a GPU",
    )

    def derived(self) -> dict[str, Any]:
        """Images, size and step by default, and what --text-version and --full stand for."""
        images = self.images
        questions = tuple(q for q in QUESTIONS if q in self.questions)
        if images is not None and BOARD in images:  # on the side of noise
            images = tuple(image for image in images if image != BOARD) or None
            questions = tuple(q for q in QUESTIONS if q in (*questions, BOARD))
        usual = images is None
        found: dict[str, Any] = {
            "images": USUAL_IMAGES if usual else images,
            "questions": questions,
            "size": self.size or (256 if self.full else 32 if usual else 64),
            "step": self.step or (PUBLISHED_STEP if self.full or self.text_version else 0.5),
            "kinds": tuple(kind for kind in KINDS if kind in self.kinds),
        }
        if self.text_version:
            found |= {"optimizer": "gd", "normalization": "before_relu", "output": "linear"}
        return found | ({"longest_image": 20_000} if self.full else {})

    def inspect(self) -> None:
        """Look up the images."""
        inspect_images(self.images)

    @property
    def pixels(self) -> int:
        """The size, known once the parameters are derived."""
        assert self.size is not None
        return self.size

    @property
    def many_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the many images: in colour and 512 × 512, as published, with --full."""
        size = 512 if self.full else self.pixels
        return 3 if self.colour or self.full else 1, size, size

    @property
    def step_size(self) -> float:
        """The step, known once the parameters are derived."""
        assert self.step is not None
        return self.step

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Kinds i and iv on one photograph and the checkerboard, 32 × 32, one seed; steps twice as long as by default.

        The image then takes 125 steps instead of 152, and noise is stopped after 10.5 times as many.
        """
        kinds: tuple[Kind, ...] = ("bilinear", "deconvolution")
        small: dict[str, Any] = {"size": 32, "factors": (4.0,), "seeds": (0,), "jobs": 1}
        return (cls(("camera",), kinds=kinds, step=1.0, questions=("noise", BOARD), **small),)


compare_generators = function_of(GeneratorComparison, "compare_generators")
