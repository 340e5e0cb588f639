"""`compare recovery`, `compare_recovery`: signals from few measurements, by generators and by their explicit limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Self

from compare.experiments.image_data import inspect_images
from compare.experiments.protocol import Experiment, function_of, parameter
from compare.experiments.values import COUNT, INTEGER, INTEGERS, NAMES, NUMBERS, POSITIVE, SEED, Interval

if TYPE_CHECKING:
    from compare.generators.image_sources import Image

SIZES_ALLOWED = (16, 32, 64)
"""Powers of two, for the wavelets; larger ones would need more memory than the exact baselines are worth."""


@dataclass(frozen=True)
class RecoveryComparison(Experiment):
    """Signals from few measurements: generators, their explicit limit, total variation and wavelets.

    For the two-layer generator gradient descent on ½‖A G(C) − y‖² has a closed form at every step, and a limit: the
    measurement-consistent signal of least norm in the dual kernel. The trained network is held against it. On images a
    deep decoder, total variation and wavelets are compared with it. From how few measurements m* a network that is
    trained to convergence recovers a signal of dimension p is located.

    Returns:
        A report: one dimension first, then every image with Gaussian and with Fourier measurements.

    Raises:
        DataError: a name is not known.
        ValueError: more measurements than pixels, or a size that is not 16, 32 or 64.

    Reference:
        Heckel and Soltanolkotabi (2020), "Compressive sensing with un-trained neural networks: gradient descent finds a
        smooth approximation".

    >>> compare_recovery((), line_channels=512, line_counts=(8, 24), line_steps=60, transition=False).passed
    True
    """

    topic = "Recovery from few measurements"
    study = "compare.generators.recovery_report:recovery_report"
    images: Sequence[str | Image] = parameter(
        ("shepp_logan_phantom",), "Images in scikit-image, comma-separated. In Python also Image objects.", kind=NAMES
    )
    _: KW_ONLY
    size: int | None = parameter(None, "Pixels on a side: 16, 32 or 64.", kind=INTEGER, shown="32; 64 with --full")
    shares: Sequence[float] = parameter(
        (0.1, 0.25, 0.5),
        "Numbers of measurements, as shares of the pixels.",
        kind=NUMBERS,
        within=Interval(0, 1, low_open=True),
    )
    full: bool = parameter(False, "64 × 64 and a longer training; for a GPU and much time.")
    kernel_width: float = parameter(0.08, "Of the explicit limit's kernel on images.", option=None, within=POSITIVE)
    channels: int = parameter(32, "Of the deep decoder.", option=None, within=COUNT)
    depth: int = parameter(4, "Of the deep decoder.", option=None, within=COUNT)
    steps: int = parameter(1200, "Adam steps of the deep decoder.", option=None, within=COUNT)
    step: float = parameter(0.01, "Adam's step size.", option=None, within=POSITIVE)
    seed: int = parameter(0, "Of measurements and start.", option=None, within=SEED)
    line_channels: int = parameter(1024, "Of the two-layer generator in one dimension.", option=None, within=COUNT)
    line_counts: Sequence[int] = parameter(
        (8, 16, 32, 64), "Numbers of measurements in one dimension.", option=None, kind=INTEGERS, within=COUNT
    )
    transition: bool = parameter(
        True,
        "Whether to locate the transition, with networks trained to convergence.",
        option="--transition/--no-transition",
    )
    trained: int = parameter(
        5, "Networks trained to convergence for each number of measurements.", option=None, within=Interval(2)
    )
    line_steps: int = parameter(200, "Steps of gradient descent in one dimension.", option=None, within=COUNT)

    def derived(self) -> dict[str, Any]:
        """The size by default, and what --full stands for."""
        found: dict[str, Any] = {"size": (64 if self.full else 32) if self.size is None else self.size}
        return found | ({"channels": 64, "steps": 6000} if self.full else {})

    def check(self) -> None:
        """Refuse sizes without wavelets."""
        if self.size not in SIZES_ALLOWED:
            raise ValueError(f"size must be 16, 32 or 64; got {self.size!r}")

    def inspect(self) -> None:
        """Look up the images."""
        inspect_images(self.images)

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """The line alone, with a narrower network."""
        return (cls((), line_channels=512, line_counts=(8, 24), line_steps=100, transition=False),)


compare_recovery = function_of(RecoveryComparison, "compare_recovery")
