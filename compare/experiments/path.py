"""`compare path`, `compare_paths`: the optimization path beside the regularization path, on any data."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Self

from compare.experiments.labelled_data import LabelledDataExperiment
from compare.experiments.protocol import function_of, parameter
from compare.experiments.values import COUNT, POSITIVE, Interval


@dataclass(frozen=True)
class PathComparison(LabelledDataExperiment):
    """Where the flow of a linear predictor goes, on data that separate and on data that do not.

    Gradient flow is followed in ln t to t = e^600 or so. On any data it is predicted which margins grow, where
    w/ln t goes, where the part of w in the span of the other rows goes, the least loss, and the rates. At equal norms
    it is set beside the regularization path, the predictors of least loss in a ball. Sign, coordinate and normalized
    gradient descent with decoupled weight decay have to end at the least loss in a ball of their own norms. Where the
    data of two classes separate, loss-normalized descent is run too. The theorem is about two classes; for more its
    statement is taken by analogy.

    Returns:
        A report with the predictions, the rates that were fitted beside the proved ones, and the distance of the paths.

    Raises:
        IllConditionedError: float64 does not resolve which rows separate.
        ValueError: a parameter out of its range.

    Reference:
        Ji, Telgarsky (2019), "The implicit bias of gradient descent on nonseparable data", main theorem; Soudry et al.
        (2018), Theorems 3 and 5; Jaggi (2013), Theorem 1, for weight decay; Nacson et al. (2019), for the normalized
        steps; Rosset, Zhu, Hastie (2004) for the regularization path.

    >>> compare_paths("partial:24,4,0", steps=500).passed
    True
    """

    topic = "Optimization path and regularization path"
    study = "compare.margin.two_paths_report:path_report"
    several_classes: ClassVar[bool] = True
    _: KW_ONLY
    loss: str = parameter(
        "logistic",
        "logistic (the cross entropy of several classes) or exponential.",
        choices=("logistic", "exponential"),
    )
    log_time: float = parameter(600.0, "ln t at the end of the flow.", within=Interval(50.0, 600.0))
    steps: int = parameter(2000, "Of gradient descent, loss-normalized or with decay.", within=COUNT)
    decay: float = parameter(1.0, "Decoupled weight decay λ: the ball has radius 1/λ.", within=POSITIVE)

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Data that separate, data that do not at all, and data of which a part does."""
        return tuple(cls(data, steps=1000) for data in ("synthetic:12,8,3", "iris:1v2", "partial:40,6,0"))


compare_paths = function_of(PathComparison, "compare_paths")
