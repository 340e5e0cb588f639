"""Few measurements, no training set: where gradient descent on a generator ends when y = A x is all that is known.

Linearized at a start with output zero, gradient descent with step η on ½‖A·G(C) − y‖₂² moves the output x by

    x_{t+1} = x_t − η Σ A* (A x_t − y),      x_0 = 0,

Σ = J Jᵀ the dual kernel. In closed form, and in the limit of t,

    x_t = Σ A* K⁺ [I − (I − ηK)^t] y,        K = A Σ A*,
    x_∞ = Σ A* K⁺ y  =  argmin { xᵀ Σ⁺ x : A x = y, x ∈ range Σ },

the measurement-consistent signal of least norm in the kernel: the smoothest one, when Σ decays with frequency.
With full (masked) Fourier rows A and circulant Σ everything is diagonal, K = diag(σ²_d) over the measured d, and
the limit is exactly the zero-filled inverse transform, whatever the interpolation kernel: at this level of theory
the generator adds nothing to what was measured. What a trained network recovers beyond that is a nonlinear effect.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from solvers.arrays import Array, plain_array, real_array
from solvers.card import Card
from solvers.filters.dual_kernel import DualKernel, reflected
from solvers.filters.early_stopping import power_complement

Gains = Callable[[Array], Array]


class Measurement(ABC):
    """A linear map A from signals of `shape` to measurements."""

    shape: tuple[int, ...]

    @abstractmethod
    def forward(self, x: Array) -> NDArray[Any]:
        """A x."""

    @abstractmethod
    def adjoint(self, y: NDArray[Any]) -> Array:
        """A* y, a real signal: the adjoint for ⟨y, y′⟩ = Re Σ ȳ y′."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of real numbers measured."""

    @abstractmethod
    def function_of_gram(self, kernel: DualKernel, gains: Gains, y: NDArray[Any]) -> NDArray[Any]:
        """gains(K) y for K = A Σ A*, `gains` being given all eigenvalues of K at once."""


@dataclass(frozen=True, eq=False)
class DenseMeasurement(Measurement):
    """A given by its rows: (A x)_i = Σ_p A_{ip} x_p, the signal read in row-major order."""

    matrix: Array = field(repr=False)
    """Shape (m, n)."""
    shape: tuple[int, ...]
    """The signal's shape; n = product."""

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.matrix.shape[1] != int(np.prod(self.shape)) or not self.matrix.size:
            raise ValueError(
                f"the measurement matrix must have shape (m, {int(np.prod(self.shape))}) for signals of "
                f"shape {self.shape}, got {self.matrix.shape}"
            )
        if not np.isfinite(self.matrix).all():
            raise ValueError("the measurement matrix has NaN or infinite entries")

    def forward(self, x: Array) -> Array:
        return np.asarray(self.matrix @ real_array("x", x).ravel())

    def adjoint(self, y: NDArray[Any]) -> Array:
        return np.asarray(real_array("y", y) @ self.matrix).reshape(self.shape)

    @property
    def count(self) -> int:
        return int(self.matrix.shape[0])

    def function_of_gram(self, kernel: DualKernel, gains: Gains, y: NDArray[Any]) -> Array:
        rows = self.matrix.reshape(-1, *kernel.shape)
        gram = self.matrix @ kernel.apply(rows).reshape(rows.shape[0], -1).T
        values, vectors = eigh((gram + gram.T) / 2)
        return np.asarray(vectors @ (gains(np.maximum(values, 0.0)) * (vectors.T @ y)))


@dataclass(frozen=True, eq=False, repr=False)
class FourierMeasurement(Measurement, Card):
    """The unitary DFT at the frequencies of a mask: (A x) = x̂[mask], complex.

    A real signal's coefficient at d is the conjugate of the one at −d, so measuring either gives both: `full_mask`
    is the mask closed under d → −d.

    Raises:
        ValueError: when the mask is not a boolean array (n,) or (H, W), or has no True.

    Reference:
        Heckel and Soltanolkotabi (2020), compressive sensing with un-trained networks: masked Fourier rows.

    Example:
        >>> A = FourierMeasurement(np.array([True, True, False, False]))
        >>> A.count, A.forward(np.ones(4)).round(12)
        (3, array([2.+0.j, 0.+0.j]))
    """

    mask: NDArray[np.bool_] = field(repr=False)
    """True where x̂[d] is measured, in `numpy.fft.fftn` order; shape of the signal."""

    def __post_init__(self) -> None:
        if self.mask.dtype != np.bool_ or self.mask.ndim not in (1, 2) or not self.mask.any():
            raise ValueError(
                "the mask must be a boolean array (n,) or (H, W) with some True, "
                f"got {self.mask.dtype} of shape {self.mask.shape} "
                f"with {int(np.count_nonzero(self.mask))} nonzero entries"
            )

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.mask.shape

    @property
    def full_mask(self) -> NDArray[np.bool_]:
        return np.asarray(self.mask | reflected(self.mask))

    def forward(self, x: Array) -> NDArray[Any]:
        return np.asarray(np.fft.fftn(real_array("x", x), norm="ortho")[self.mask])

    def adjoint(self, y: NDArray[Any]) -> Array:
        spectrum = np.zeros(self.shape, dtype=np.complex128)
        values = plain_array(y)
        if values.dtype.kind not in "biufc":
            raise ValueError(f"y must be complex numbers; got {type(y).__name__} of {values.dtype}")
        spectrum[self.mask] = values
        return np.asarray(np.fft.ifftn(spectrum, norm="ortho").real)

    @property
    def count(self) -> int:
        return int(np.count_nonzero(self.full_mask))  # a pair ±d is two real numbers, a self-conjugate d one

    def function_of_gram(self, kernel: DualKernel, gains: Gains, y: NDArray[Any]) -> NDArray[Any]:
        """K is diagonal: where both ±d are measured A*A acts as the identity on the pair, where one is, as ½."""
        weight = np.where(reflected(self.mask), 1.0, 0.5)[self.mask]
        return np.asarray(gains(kernel.eigenvalues[self.mask] * weight) * y)


def gaussian_measurement(count: int, shape: tuple[int, ...], seed: int) -> DenseMeasurement:
    """A with i.i.d. N(0, 1/count) entries, so that E‖A x‖² = ‖x‖².

    Args:
        count: number of rows, whole number ≥ 1.
        shape: of the signals, (n,) or (H, W).
        seed: of numpy's default generator.

    Returns:
        DenseMeasurement with a float64 matrix of shape (count, number of pixels).

    Raises:
        ValueError: unless count is a whole number ≥ 1.

    Reference:
        Candès and Tao (2006), the Gaussian ensemble of compressive sensing.

    Example:
        >>> gaussian_measurement(3, (4, 4), seed=0).matrix.shape
        (3, 16)
    """
    if int(count) != count or count < 1:
        raise ValueError(f"the number of measurements must be a whole number ≥ 1, got {count!r}")
    rng = np.random.default_rng(seed)
    return DenseMeasurement(rng.standard_normal((int(count), int(np.prod(shape)))) / np.sqrt(count), tuple(shape))


@dataclass(frozen=True, repr=False)
class Recovery(Card):
    """A recovered signal and the evidence that it is the least-norm one: see `kernel_recovery`.

    Example:
        >>> from solvers.filters.dual_kernel import dual_kernel
        >>> all_measured = FourierMeasurement(np.ones(2, dtype=bool))
        >>> kernel_recovery(dual_kernel([1.0, 0.0]), all_measured, all_measured.forward(np.array([3.0, 4.0]))).signal
        array([3., 4.])
    """

    signal: Array = field(repr=False)
    """x_t, real, shape of the kernel."""
    multiplier: NDArray[Any] = field(repr=False)
    """α with x_t = Σ A* α: x_t lies in the range of Σ A*, by construction."""
    norm: float
    """√(xᵀ Σ⁺ x) = √⟨α, A x⟩, the kernel norm, least among all consistent signals when t = ∞."""
    residual: float
    """‖A x_t − y‖₂ / ‖y‖₂ (0 for y = 0). With x = Σ A* α it is, at t = ∞, the whole certificate of optimality."""


def kernel_recovery(
    kernel: DualKernel,
    measurement: Measurement,
    y: ArrayLike,
    *,
    step: float | None = None,
    t: float = np.inf,
    rcond: float = 1e-12,
) -> Recovery:
    """The output of gradient descent on ½‖A G(C) − y‖₂² in the linearized model, after t steps or in the limit.

        x_∞ = argmin xᵀ Σ⁺ x  s.t.  A x = y                    (t = ∞: any stable step)
        x_t = Σ A* K⁺ [I − (I − ηK)^t] y,   K = A Σ A*          (t < ∞: step η)

    Args:
        kernel: Σ over signals (n,) or (H, W).
        measurement: A, m measurements of such signals. Dense A takes one (m, m) eigendecomposition, Fourier A one FFT.
        y: measured values, shape (m,), real for dense A, complex for Fourier A.
        step: η, in 1/(units of K); needed for finite t.
        t: whole number of steps ≥ 0, or infinity.
        rcond: eigenvalues of K below rcond·(largest) are taken as zero; the data along them are unreachable and show
            in `residual`.

    Returns:
        Recovery: the real signal, its multiplier, its kernel norm and the relative residual.

    Raises:
        ValueError: when shapes do not match, y has NaN or infinities or is complex for dense A, a finite t comes
            without a step, or the step is not in (0, 2/λ_max(K)).

    Reference:
        Heckel and Soltanolkotabi (2020), "Compressive sensing with un-trained neural networks: gradient descent finds
        the smoothest approximation" (ICML), the linearized problem behind its Theorem 1.

    Example:
        >>> from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
        >>> kernel = dual_kernel(gaussian_kernel(32, 0.1))
        >>> wave = np.cos(2 * np.pi * np.arange(32) / 32)
        >>> A = gaussian_measurement(12, (32,), seed=0)
        >>> found = kernel_recovery(kernel, A, A.forward(wave))
        >>> bool(np.linalg.norm(found.signal - wave) < 0.2 * np.linalg.norm(wave)), found.residual < 1e-9
        (True, True)
    """
    if kernel.shape != tuple(measurement.shape):
        raise ValueError(
            f"the kernel is for signals of shape {kernel.shape}, the measurement for {tuple(measurement.shape)}"
        )
    blank = measurement.forward(np.zeros(kernel.shape))
    values = plain_array(y)
    if np.iscomplexobj(values) and not np.iscomplexobj(blank):
        raise ValueError("y is complex, but this measurement gives real numbers; stack real and imaginary rows")
    data = values.astype(complex) if np.iscomplexobj(values) else real_array("y", values)
    if data.shape != blank.shape or not np.isfinite(data).all():
        raise ValueError(
            f"y must be {blank.size} finite numbers, got shape {data.shape} "
            f"with {int((~np.isfinite(data)).sum())} NaN or infinite"
        )
    if np.isnan(t) or t < 0 or (np.isfinite(t) and (t % 1 or step is None)):
        raise ValueError(
            f"t must be a whole number of steps ≥ 0, given with a step size, or infinity; got t={t!r}, step={step!r}"
        )
    multiplier = measurement.function_of_gram(kernel, partial(_multiplier_gains, step=step, t=t, rcond=rcond), data)
    signal = kernel.apply(measurement.adjoint(multiplier))
    output = measurement.forward(signal)
    scale = float(np.linalg.norm(data))
    norm = float(np.sqrt(max(0.0, float(np.vdot(multiplier, output).real))))
    residual = float(np.linalg.norm(output - data)) / scale if scale else 0.0
    return Recovery(signal, multiplier, norm, residual)


def _multiplier_gains(values: Array, *, step: float | None, t: float, rcond: float) -> Array:
    """[1 − (1 − ηκ)^t] / κ for the eigenvalues κ of K; 0 where κ counts as zero."""
    largest = float(values.max())
    reachable = values > rcond * largest
    fitted = np.ones_like(values)
    if step is not None and not 0 < step * largest < 2:
        raise ValueError(f"the step must lie in (0, {2 / largest:.6g}) = (0, 2/λ_max(AΣA*)), got {step!r}")
    if np.isfinite(t) and step is not None:
        fitted = power_complement(step * values, np.asarray(float(t)))
    return np.divide(fitted, values, out=np.zeros_like(values), where=reachable)
