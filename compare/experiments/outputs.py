"""`compare outputs`, `compare_outputs`: several outputs and the Schatten norms of the matrix they compute."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Self

from compare.data.dataset import DataError, Dataset
from compare.experiments.labelled_data import depths, initial_scale, seeds
from compare.experiments.protocol import Experiment, function_of, parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


PLANTED = re.compile(r"synthetic:(\d{1,6}),(\d{1,6}),(\d{1,3}),(\d{1,9})")


@dataclass(frozen=True)
class OutputsComparison(Experiment):
    """Fully connected networks with several outputs and the Schatten (nuclear at L = 2) max margin.

    With labels y ∈ {±1}^{N×M} and loss Σ exp(−y_nm f_m(x_n)) a network of depth L computes f(x) = βx, β ∈ R^{M×D}, and
    min ‖w‖² = L·‖β‖_{2/L}^{2/L} in the Schatten quasi-norm of its singular values: Frobenius at L = 1, nuclear at
    L = 2. At L = 1 the limit is the max margin by the theorem on linear predictors. For L ≥ 2 it is conjectured, not
    proved, that gradient descent ends at the max margin (a stationary point, L > 2) of that norm. It is proved that the
    limit is a KKT point in weight space. Both are measured; only what is proved is called a prediction.

    Returns:
        A report with a row for each network.

    Raises:
        NotSeparableError: some output's labels cannot be separated.
        ValueError: labels are not ±1 of shape (N, M), or the name of the data is not known.

    Reference:
        Gunasekar et al. (2018), discussion; Lyu and Li (2020), Theorem 4.4.

    >>> compare_outputs("synthetic:4,3,2,0", depths=(1,), seeds=(0,)).passed
    True
    """

    topic = "Several outputs: fully connected networks"
    study = "compare.margin.output_limits:output_report"
    data: Any = parameter(
        "wine", "wine, or synthetic:N,D,M,seed. In Python also a `Dataset`, or points X of shape (N, D), with y."
    )
    y: ArrayLike | None = parameter(None, "Labels ±1, shape (N, M), where `data` are points.", option=None)
    _: KW_ONLY
    depths: Sequence[int] = depths((1, 2, 3))
    seeds: Sequence[int] = seeds((0, 1))
    init: float = initial_scale()
    name: str = parameter("data", "What the report calls the points.", option=None)

    def check(self) -> None:
        """Refuse names of data that are not known."""
        if isinstance(self.data, str) and self.data != "wine":
            match = PLANTED.fullmatch(self.data)
            if match is None or 0 in map(int, match.groups()[:3]):
                raise DataError(
                    f"{self.data!r}: write wine, or synthetic:N,D,M,seed with N, D, M ≥ 1, such as synthetic:10,8,3,0"
                )

    def dataset(self) -> tuple[Dataset, NDArray[Any]]:
        """The points, and the labels (N, M)."""
        import numpy as np

        from compare.margin.output_limits import planted, wine

        if isinstance(self.data, str):
            match = PLANTED.fullmatch(self.data)
            return wine() if match is None else planted(*map(int, match.groups()))
        labels = np.asarray(self.y, dtype=np.float64)
        if isinstance(self.data, Dataset):
            return self.data, labels
        return Dataset(self.name, np.asarray(self.data, dtype=np.float64), labels[:, 0], ("−1", "+1")), labels

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Synthetic data with three outputs, one seed."""
        return (cls("synthetic:10,8,3,0", seeds=(0,)),)


compare_outputs = function_of(OutputsComparison, "compare_outputs")
