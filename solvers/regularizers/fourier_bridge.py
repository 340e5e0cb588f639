"""The bridge penalty ‖β̂‖_p on the Fourier coefficients of a predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from solvers import fourier
from solvers.algorithms.column_generation import group_max_margin_by_columns
from solvers.arrays import Array, ComplexArray
from solvers.regularizers.bridge import GROUP_METHOD, Bridge
from solvers.regularizers.exponent import check_exponent, subscript
from solvers.solution import Candidate

if TYPE_CHECKING:
    from solvers.problem import MarginProblem
    from solvers.search import Search


@dataclass(frozen=True)
class FourierBridge(Bridge):
    """R(β) = ‖β̂‖_p, p = 2/L, β̂ the unitary DFT over all axes of β: a full-width circular convolutional network.

    β is a signal (D,) or an image (H, W).

    A real β has conjugate-symmetric β̂. So one frequency of each conjugate pair is kept, with real and imaginary part as
    a group of two real coordinates, b = 2β̂ (b = β̂ where the frequency is real) and ω = 2^{1−p}, since the pair counts
    twice. At p = 1 that is a group-norm problem with half as many cones.

    Raises:
        ValueError: unless 0 < p ≤ 1 or p = 2. These are the values 2/L with L = 1, 2, 3, …, and all others below 1.

    Reference: Gunasekar et al. (2018), Theorems 2, 2a and Lemma 7: R_w = L‖β̂‖_{2/L}^{2/L}, exact for layers
    scaled by 1/√D (D = H·W for images).

    >>> import numpy as np
    >>> round(FourierBridge(1).value(np.array([1.0, 0.0, 0.0, 0.0])), 12)
    2.0
    """

    resolution: ClassVar[float] = 4.0 * float(np.finfo(np.float64).eps)

    @property
    def several_outputs(self) -> bool:
        return False  # the first axis of an image is no list of outputs

    def __post_init__(self) -> None:
        check_exponent("FourierBridge", self.p)

    @property
    def formula(self) -> str:
        return f"‖β̂‖{subscript(self.p)}"

    def coefficients(self, beta: Array) -> ComplexArray:
        return fourier.transform(beta, beta.shape)

    def from_coefficients(self, coefficients: NDArray[Any]) -> Array:
        return fourier.inverse(coefficients, coefficients.shape)

    def blocks(self, rows: Array) -> Array:
        return fourier.half_spectrum(rows.shape[1:]).coordinates(rows)

    def group_weights(self, shape: tuple[int, ...]) -> Array:
        return fourier.half_spectrum(shape).counts ** (1.0 - self.p)

    def to_groups(self, beta: Array) -> Array:
        half = fourier.half_spectrum(beta.shape)
        return half.coordinates(beta) * half.counts[:, None]

    def from_groups(self, b: Array, shape: tuple[int, ...]) -> Array:
        half = fourier.half_spectrum(shape)
        return half.signal(b / half.counts[:, None])

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) > 2:
            raise ValueError(
                f"{self} is defined for signals (D,) and images (H, W), got predictors of shape {shape}; "
                "for several input channels use ConvKernel"
            )

    def conic(self, beta: Any) -> Any:
        from solvers.expressions import fourier_l1

        return fourier_l1(beta) if self.p == 1 else super().conic(beta)

    def _minimize_l1(self, problem: MarginProblem, search: Search) -> Candidate:
        rows, right = problem.equilibrated.rows, problem.equilibrated.right
        found = group_max_margin_by_columns(
            rows, right, lambda part: self.blocks(part.reshape(-1, *problem.shape)), 0.5 * search.tol
        )
        return self._candidate(problem, found, GROUP_METHOD)
