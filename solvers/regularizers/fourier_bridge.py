"""The bridge penalty ‖β̂‖_p on the Fourier coefficients of a predictor."""

from __future__ import annotations

from dataclasses import dataclass, replace
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

    β is a signal (D,) or an image (H, W). With `rows` it is a list of them, (K, D) or (K, H, W), one for each class,
    and every one is transformed by itself; labels of three classes and more ask for that by themselves.

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

    rows: bool = False
    """Whether β is a list of signals (K, D) or images (K, H, W), each transformed by itself: one for every class."""
    resolution: ClassVar[float] = 4.0 * float(np.finfo(np.float64).eps)

    @property
    def several_outputs(self) -> bool:
        return self.rows  # else the first axis of an image is no list of outputs

    def of_rows(self) -> FourierBridge:
        return replace(self, rows=True)

    def __post_init__(self) -> None:
        check_exponent("FourierBridge", self.p)

    def __repr__(self) -> str:
        return f"FourierBridge(p={self.p!r}{', rows=True' if self.rows else ''})"

    @property
    def formula(self) -> str:
        return f"‖β̂‖{subscript(self.p)}{' (rows)' if self.rows else ''}"

    def grid(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The axes of β that are transformed."""
        return shape[1:] if self.rows else shape

    def coefficients(self, beta: Array) -> ComplexArray:
        return fourier.transform(beta, self.grid(beta.shape))

    def from_coefficients(self, coefficients: NDArray[Any]) -> Array:
        return fourier.inverse(coefficients, self.grid(coefficients.shape))

    def blocks(self, rows: Array) -> Array:
        coordinates = fourier.half_spectrum(self.grid(rows.shape[1:])).coordinates(rows)
        return coordinates.reshape(len(rows), -1, 2)

    def group_weights(self, shape: tuple[int, ...]) -> Array:
        counts = fourier.half_spectrum(self.grid(shape)).counts
        return np.tile(counts ** (1.0 - self.p), shape[0] if self.rows else 1)

    def to_groups(self, beta: Array) -> Array:
        half = fourier.half_spectrum(self.grid(beta.shape))
        return (half.coordinates(beta) * half.counts[:, None]).reshape(-1, 2)

    def from_groups(self, b: Array, shape: tuple[int, ...]) -> Array:
        half = fourier.half_spectrum(self.grid(shape))
        signals = [half.signal(part / half.counts[:, None]) for part in b.reshape(-1, half.own.size, 2)]
        return np.stack(signals).reshape(shape)

    @property
    def of_neighbours(self) -> bool:
        return True

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if len(self.grid(shape)) not in (1, 2):
            wanted = (
                "lists (K, D) and (K, H, W) of signals and images" if self.rows else "signals (D,) and images (H, W)"
            )
            raise ValueError(
                f"{self} is defined for {wanted}; got predictors of shape {shape}; "
                "for several input channels use ConvKernel"
            )

    def conic(self, beta: Any) -> Any:
        from solvers.expressions import fourier_l1

        if self.p != 1:
            return super().conic(beta)
        if not self.rows:
            return fourier_l1(beta)
        return sum(fourier_l1(beta[k]) for k in range(beta.shape[0]))

    def _minimize_l1(self, problem: MarginProblem, search: Search) -> Candidate:
        rows, right = problem.equilibrated.rows, problem.equilibrated.right
        found = group_max_margin_by_columns(
            rows, right, lambda part: self.blocks(part.reshape(-1, *problem.shape)), 0.5 * search.tol
        )
        return self._candidate(problem, found, GROUP_METHOD)
