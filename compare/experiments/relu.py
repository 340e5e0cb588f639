"""`compare relu`, `compare_relu`: does gradient flow of two-layer ReLU networks end at the global optimum?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from compare.experiments.labelled_data import SOURCES, LabelledDataExperiment, seeds
from compare.experiments.protocol import function_of, parameter
from compare.experiments.values import COUNT, INTEGERS, NUMBERS, SCALE, WIDTH, Interval


@dataclass(frozen=True)
class ReluComparison(LabelledDataExperiment):
    """Two-layer ReLU networks without bias: how often gradient flow ends at the global optimum, and how far above it.

    Networks of every width, initial scale and seed are followed to their limits, which are KKT points of

        min ½‖w‖² = min Σ_j |a_j|‖w_j‖   s.t.   y_n Σ_j a_j σ(w_j · x_n) ≥ 1,   σ(t) = max(t, s t).

    The network of least norm of every width is found and certified apart from them. No theorem says that a network of
    finite width ends there; what is predicted is that limits are KKT points, that no network is below the certified
    bound, and that a limit whose own multipliers prove it global is where the flow has settled.

    Returns:
        A report with how often and how far, a row for each network, and pictures of the neurons for points of a plane.

    Raises:
        NotSeparableError: no two-layer network separates the data.
        ValueError: a width, scale, slope or seed is none.

    Reference:
        Lyu and Li (2020), Theorem 4.4; Pilanci and Ergen (2020), Theorem 1.

    >>> X, y = [[1, 1], [1, -1], [-1, 1], [-1, -1]], [1, -1, -1, 1]
    >>> compare_relu(X, y, widths=(12,), inits=(1.0,), seeds=(2,), name="XOR").passed
    True
    """

    topic = "Global optimum: two-layer ReLU networks"
    study = "compare.relu.relu_report:relu_report"
    data: Any = parameter("random:6,2,6", SOURCES)
    _: KW_ONLY
    widths: Sequence[int] = parameter((3, 10, 50), "Numbers of hidden units.", kind=INTEGERS, within=WIDTH)
    inits: Sequence[float] = parameter(
        (0.01, 0.1, 1.0), "Initial scales, factors of torch's default initialization.", kind=NUMBERS, within=SCALE
    )
    seeds: Sequence[int] = seeds((0, 1, 2, 3, 4))
    slope: float = parameter(
        0.0, "s of the leaky ReLU max(t, s t); 0 is the ReLU.", within=Interval(0.0, 1.0, high_open=True)
    )
    max_steps: int = parameter(3000, "Attempted steps after which a network is given up.", within=COUNT)

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Six points of a plane, a narrow network and a wide one."""
        return (cls(widths=(4, 20), inits=(1.0,), seeds=(0,)),)


compare_relu = function_of(ReluComparison, "compare_relu")
