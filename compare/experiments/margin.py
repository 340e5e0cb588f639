"""`compare margin`, `compare_margin`: max-margin predictors and the limits of linear networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from compare.experiments.labelled_data import SOURCES, LabelledDataExperiment, depths, initial_scale, seeds
from compare.experiments.protocol import function_of, parameter
from compare.experiments.values import COUNT, NAMES, TOLERANCE

if TYPE_CHECKING:
    from torch import nn

    from gd.descent.schedule import Schedule

SCHEDULES = ("armijo", "constant", "normalized", "accelerated", "rescaled")


@dataclass(frozen=True)
class MarginComparison(LabelledDataExperiment):
    """Max margin of linear networks: the explicit solution, gradient flow's limit, and plain gradient descent.

    Each network's limit is compared with the solution of

        min R(β)   s.t.   y_n⟨x_n, β⟩ ≥ 1   for every n,

    where R is the network's induced regularizer: min ‖w‖² = L·R(β)^{2/L} (for `ConvKernel`, R(β) = min ‖w‖² itself).
    With K ≥ 3 classes ("digits" without a pair: all ten) networks have K outputs, β has one row a class, and the
    constraints are ⟨β_{y_n} − β_k, x_n⟩ ≥ 1 for every k ≠ y_n. Diagonal and convolutional networks are then K side by
    side.

    Returns:
        A report; interrupted by Ctrl-C, one of the families that were finished, marked as not complete.

    Raises:
        NotSeparableError: no predictor through the origin separates the data.
        ValueError: the data are not finite numbers of matching shapes, labels are neither ±1 nor classes, or a name,
            depth or seed is none.

    Reference:
        Gunasekar, Lee, Soudry, Srebro (2018), "Implicit bias of gradient descent on linear convolutional networks".

    >>> X, y = [[2.0, 1.0], [-1.0, -3.0], [3.0, 0.5]], [1.0, -1.0, 1.0]
    >>> report = compare_margin(X, y, architectures=["diagonal"], depths=[2], steps=50)
    >>> report.passed
    True
    """

    several_classes = True
    topic = "Max margin: linear networks"
    study = "compare.margin.margin_report:margin_report"
    data: Any = parameter("digits:3v8", f"{SOURCES} digits, wine and iris without a pair are all of their classes.")
    models: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module] | None = parameter(
        None,
        "Homogeneous torch modules of your own, trained from the weights they have; left out, the table's "
        "`architectures` at these `depths` with one network per seed.",
        option=None,
    )
    _: KW_ONLY
    architectures: Sequence[str] | None = parameter(
        None,
        "Comma-separated: fully connected, diagonal, convolutional, convolutional 2-D; all that fit the data by "
        "default.",
        kind=NAMES,
    )
    depths: Sequence[int] = depths((1, 2, 3))
    seeds: Sequence[int] = seeds((0, 1))
    init: float = initial_scale()
    loss: Literal["exponential", "logistic", "cross entropy"] = parameter(
        "exponential", "The loss of flow and descent.", choices=("exponential", "logistic", "cross entropy")
    )
    steps: int = parameter(5000, "Steps of plain gradient descent.", within=COUNT)
    schedule: str | Schedule = parameter(
        "armijo", "Of plain gradient descent; in Python also a `gd` schedule.", choices=SCHEDULES
    )
    tol: float = parameter(1e-9, "Relative certificate violation that the solver may leave.", within=TOLERANCE)
    n_starts: int = parameter(8, "Starts of the solver's own, where the problem is nonconvex.", within=COUNT)

    def inspect(self) -> None:
        """Read the data, and look up the architectures."""
        if self.models is None:
            self.inspect_architectures(self.architectures)
        else:
            self.dataset()

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Wine at depths 1 to 3, digits 3 and 8 at depths 1 and 2.

        The diagonal network on the digits alone takes as long as all of this together; `compare margin` has it.
        """
        images = ("fully connected", "convolutional", "convolutional 2-D")
        return (
            cls("wine:0v1", depths=(1, 2, 3), seeds=(0,), steps=400),
            cls("digits:3v8", architectures=images, depths=(1, 2), seeds=(0,), steps=400),
        )


compare_margin = function_of(MarginComparison, "compare_margin")
