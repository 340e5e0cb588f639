"""`compare spline`, `compare_spline`: wide ReLU networks against the weighted spline they converge to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Self

from compare.experiments.labelled_data import seeds
from compare.experiments.protocol import Experiment, function_of, parameter
from compare.experiments.values import COUNT, INTEGERS, NAMES, TEXTS, refuse_unsorted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


QUESTIONS = ("shapes", "rates", "panels", "linearization", "start", "trajectory", "rich", "inputs", "deep")
NOT_QUICK = ("panels", "start", "inputs", "deep")
WIDTHS = (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240)


@dataclass(frozen=True)
class SplineComparison(Experiment):
    """Train wide one-input ReLU networks to the end of gradient flow and measure their distance to min ∫ g″²/ζ.

    Error against width with fitted slope (theory −1/2), the effect of ζ, narrow networks, training all weights or the
    output layer and the linearized network along the whole trajectory, initialization as printed with a function f₀ at
    the start, the trajectory and smoothing splines, and the rich regime (least ∫|g″|). On scattered points of their
    own, not of `data`: networks with several inputs, and deep ones.

    Returns:
        A report with a section for each question; interrupted, it holds what was finished.

    Raises:
        ValueError: an initialization is not known, data lie outside the support of ζ, widths are not ascending, or
            `data` is no table of numbers.

    Reference:
        Jin and Montúfar (2023), "Implicit bias of gradient descent for mean squared error regression with
        two-layer wide neural networks".

    >>> report = compare_spline(
    ...     [0.0, 1.0, 2.0], [0.0, 1.0, 0.0], inits=["uniform:1,2"], widths=[80], seeds=(0, 1), questions=["rates"]
    ... )
    >>> report.failures
    ()
    """

    topic = "Wide ReLU networks and the weighted spline"
    study = "compare.spline.spline_report:spline_report"
    data: Any = parameter(
        "builtin", "FILE.csv with two columns x, y, or builtin: the paper's five points. In Python also x with y."
    )
    y: ArrayLike | None = parameter(None, "Values, shape (M,), where `data` are the points x.", option=None)
    _: KW_ONLY
    inits: Sequence[str] = parameter(
        (),
        "gaussian:SIGMA_W,SIGMA_B (deviations), uniform:A_W,A_B, binary:A_B; repeatable.",
        option="--init",
        kind=TEXTS,
        shown="the paper's",
    )
    widths: Sequence[int] = parameter(
        WIDTHS,
        "Units of one of the two mirrored halves, ascending; the slope is fitted from 160 on.",
        kind=INTEGERS,
        within=COUNT,
    )
    seeds: Sequence[int] = seeds(range(100), "Of the networks of every width; slopes are tested from 16 on.")
    questions: Sequence[str] = parameter(QUESTIONS, "Which sections, comma-separated.", kind=NAMES, choices=QUESTIONS)

    def check(self) -> None:
        """Refuse widths that do not ascend."""
        refuse_unsorted("widths", self.widths)

    def inspect(self) -> None:
        """Read the points and the initializations."""
        from compare.spline.spline_cases import parse_init, spline_case

        case = spline_case(self.data, self.y)
        for name in self.inits:
            parse_init(name).check_inside_support(case.x)

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """One initialization, with the fewest widths that tell its slopes."""
        questions = tuple(question for question in QUESTIONS if question not in NOT_QUICK)
        return (cls(inits=("uniform:1,2",), widths=(160, 800, 2560, 5120), seeds=range(60), questions=questions),)


compare_spline = function_of(SplineComparison, "compare_spline")
