"""`compare decay`, `compare_decay`: weight decay λ → 0 beside the explicit path and the limit of gradient flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from compare.experiments.labelled_data import SOURCES, LabelledDataExperiment
from compare.experiments.protocol import function_of, parameter
from compare.experiments.values import COUNT, NUMBERS, POSITIVE, SEED, refuse_unsorted

LOGS = (5.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5, 1e6)


@dataclass(frozen=True)
class DecayComparison(LabelledDataExperiment):
    """Weight decay as explicit control of ‖w‖: networks trained with decay λ → 0, beside R and the flow's limit.

    Linear networks and a CNN minimize

        Σ_n exp(−y_n f(x_n; w)) + (λ/2)‖w‖²

    for a falling sequence of decays. Where the induced regularizer is a norm, three things are predicted: at every λ
    the weights are the cheapest that compute their predictor, and no predictor of that cost has less loss, by the
    certified regularization path; and as λ → 0 the predictor tends to the max margin, where gradient flow ends too.

    Returns:
        A report with a row for each network and decay.

    Raises:
        NotSeparableError: no predictor separates the data.
        ValueError: ln 1/λ does not increase, or a kernel is wider than the data.

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem 4.1; the regularizers: Gunasekar et al. (2018), Jagadeesan et al. (2021).

    >>> compare_decay.experiment("wine:0v1", log_inverse_decays=(10, 1e3, 1e6)).call
    "compare.compare_decay(data='wine:0v1', log_inverse_decays=[10, 1000.0, 1000000.0])"
    """

    topic = "Weight decay"
    study = "compare.margin.decay_limits:decay_report"
    data: Any = parameter("synthetic:8,12,0", SOURCES)
    _: KW_ONLY
    log_inverse_decays: Sequence[float] = parameter(LOGS, "ln 1/λ, increasing.", kind=NUMBERS, within=POSITIVE)
    kernel: int = parameter(3, "Kernel size of the CNN.", within=COUNT)
    channels: int = parameter(2, "Its output channels.", within=COUNT)
    seed: int = parameter(0, "Of the initial weights.", within=SEED)

    def check(self) -> None:
        """Refuse decays that do not fall."""
        refuse_unsorted("log_inverse_decays", self.log_inverse_decays)

    def inspect(self) -> None:
        """Read the data, and refuse a kernel wider than they are."""
        self.inspect_kernel("kernel", self.kernel)

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Few decays."""
        return (cls("synthetic:6,8,0", log_inverse_decays=(10.0, 100.0, 1e4, 1e6)),)


compare_decay = function_of(DecayComparison, "compare_decay")
