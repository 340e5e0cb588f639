"""`compare mutants`, `compare_mutants`: wrong predictions that must be refuted, beside the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Self

from compare.data.dataset import Dataset
from compare.experiments.labelled_data import initial_scale
from compare.experiments.protocol import Experiment, function_of, parameter
from compare.experiments.values import INTEGERS, NAMES, SEED, TEXTS, Interval

KINDS = (
    "fully connected",
    "diagonal",
    "convolutional",
    "convolutional 2-D",
    "padding",
    "outputs",
    "classes",
    "channels",
    "optimizers",
    "path",
    "decay",
    "bounded",
    "wide",
    "relu",
    "regression",
    "spline",
    "filter",
    "generators",
)


@dataclass(frozen=True)
class MutantComparison(Experiment):
    """Can the comparison fail? Wrong predictions for every kind of network, which it must refute.

    Each network is trained once. The right prediction and several wrong ones (another norm, another depth's p,
    another optimizer's norm, R_K with K ± 1, a leaky ReLU's optimum, another potential in regression, another
    initialization's ζ, twice the step in the filter, another rate of denoising, circular for zero padding, the
    Hartley for the Fourier transform) go through the same code as every other comparison. The check of a wrong one
    holds if the verdict is "refuted"; a wrong prediction whose certified answer is the right one's, as far as the
    comparison resolves, is marked as equivalent and not counted.

    Returns:
        A report with a section for each kind of network.

    Raises:
        DataError: a name of data is not known.
        ValueError: a kind is none of those listed.

    Reference:
        DeMillo, Lipton, Sayward (1978), "Hints on test data selection", for mutants; the theorems are those of the
        comparisons.

    >>> compare_mutants(["diagonal"], data=["synthetic:4,6,0"], depths=[2]).passed
    True
    """

    topic = "Mutants: wrong predictions"
    study = "compare.mutants.mutant_report:mutant_report"
    kinds: Sequence[str] = parameter(KINDS, f"Comma-separated, of {', '.join(KINDS)}.", kind=NAMES, choices=KINDS)
    _: KW_ONLY
    data: Sequence[str] = parameter(
        ("synthetic:10,20,0", "wine:0v1", "digits:3v8"),
        "Labelled points by name, for the kinds that classify (the digits for 2-D networks alone); once for each name.",
        kind=TEXTS,
    )
    depths: Sequence[int] = parameter(
        (2, 3), "Depths of linear networks, 1 to 4.", kind=INTEGERS, within=Interval(1, 4)
    )
    seed: int = parameter(0, "Of the initial weights.", within=SEED)
    init: float = initial_scale()

    def check(self) -> None:
        if not self.data:
            raise ValueError("data must name at least one data set")

    def inspect(self) -> None:
        """Read the data."""
        self.datasets()

    def datasets(self) -> list[Dataset]:
        """The data, read once."""
        return self._read

    @cached_property
    def _read(self) -> list[Dataset]:
        from compare.data.load import load

        return [load(name, several=False) for name in self.data]

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Linear networks of depth 2 on synthetic data."""
        return (cls(("fully connected", "diagonal", "convolutional"), data=("synthetic:8,12,0",), depths=(2,)),)


compare_mutants = function_of(MutantComparison, "compare_mutants")
