"""`compare conjecture`, `compare_conjecture`: a search for predictors that cost more with few channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Self

from compare.experiments.protocol import Experiment, function_of, parameter
from compare.experiments.values import COUNT, FILE, INTEGER, NOT_NEGATIVE, SEED, SIZES, WIDTH


@dataclass(frozen=True)
class ConjectureSearch(Experiment):
    """Search for a predictor whose induced regularizer with C channels is above the convex value.

    For R input channels and kernels of K taps, C ≥ R·K channels are enough by theorem, and C ≥ R is conjectured to be
    enough. For images no C below the number of taps is covered by a theorem. The search draws instances, ascends the
    gap, and keeps the largest; its best instance is verified by the solvers.

    Returns:
        A report; interrupted, one of the generations that were finished.

    Raises:
        DataError: `state` holds another search.
        ValueError: the kernel does not fit the grid.

    Reference:
        Jagadeesan, Razenshteyn, Gunasekar (2021), "Inductive bias of multi-channel linear convolutional networks".

    >>> report = compare_conjecture((5,), (2,), channels_in=1, generations=1, batch=1, restarts=2, ascents=0)
    >>> [check.verdict.value for check in report.checks]
    ['confirmed']
    """

    topic = "Conjecture search"
    study = "compare.channels.counterexample_search:search_report"
    grid: Sequence[int] = parameter((8,), "Of a signal, or HxW of an image.", option="--size", kind=SIZES, within=WIDTH)
    kernel: Sequence[int] = parameter((2,), "K, or KxK for an image.", kind=SIZES, within=WIDTH)
    _: KW_ONLY
    channels_in: int = parameter(2, "Input channels R.", within=WIDTH)
    channels_out: int | None = parameter(
        None, "Output channels C.", kind=INTEGER, within=WIDTH, shown="R, as conjectured"
    )
    generations: int = parameter(5, "How many generations of instances.", within=COUNT)
    batch: int = parameter(20, "Instances of a generation.", within=COUNT)
    restarts: int = parameter(8, "Local searches of an instance.", within=COUNT)
    ascents: int = parameter(
        6, "Gradient steps that increase the gap of each instance.", option="--ascents", within=NOT_NEGATIVE
    )
    iterations: int = parameter(60, "Newton steps of each local search.", within=COUNT, option=None)
    verifications: int = parameter(32, "Local searches by which the best instance is verified.", within=COUNT)
    seed: int = parameter(0, "Of the instances.", within=SEED)
    state: Path | None = parameter(
        None, "File that keeps the search and its best instance; an existing one is continued.", kind=FILE
    )

    def derived(self) -> dict[str, int]:
        """As many output channels as input channels, where nothing else is asked for."""
        return {"channels_out": self.channels_out or self.channels_in}

    def check(self) -> None:
        """Refuse a kernel that does not fit the grid."""
        kernel, grid = self.kernel, self.grid
        if len(kernel) != len(grid) or any(k > d for k, d in zip(kernel, grid, strict=True)):
            raise ValueError(f"kernel {kernel} needs one size from 1 to D along each axis of the grid {grid}")

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """One generation each where one channel is enough and where it is not."""
        small = cls(channels_in=1, generations=1, batch=5, restarts=3, ascents=1, iterations=30, verifications=8)
        return small, replace(small, grid=(4, 4), kernel=(2, 2))


compare_conjecture = function_of(ConjectureSearch, "compare_conjecture")
