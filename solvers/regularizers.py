"""Induced regularizers: what an architecture pays, in squared weights, for a predictor.

A network with weights w computes the linear predictor β = P(w). Its **induced regularizer** is the price

    R_w(β) = min { ‖w‖₂² : P(w) = β },

and gradient descent on separable data, run for ever, is drawn to min R_w(β) s.t. y_n⟨x_n, β⟩ ≥ 1. A
`Regularizer` holds the mathematics of one such price and nothing about how it is minimized. `value` is always the
1-homogeneous form (a norm, or a quasi-norm for p < 1); for a network of depth L the price itself is
L·value(β)^{2/L}. Both have the same minimizers. `ConvKernel` alone is printed in the literature as the price itself,
‖U‖² + ‖V‖², which at depth 2 is already 1-homogeneous: there the price is value(β), without the factor 2.

Conventions: the Fourier transform is unitary, x̂[d] = D^{-1/2} Σ_p x[p] e^{-2πi pd/D}, taken over all axes of β.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


class Regularizer(ABC):
    """A 1-homogeneous price R(β) ≥ 0 of a predictor β.

    Every subclass gives `value`; those that are norms (`convex` is True) also give `dual_norm`,

        R°(z) = max { ⟨z, β⟩ : R(β) ≤ 1 },

    which is all a certificate needs: any α ≥ 0 with R°(Aᵀα) ≤ 1 proves R(β) ≥ 1ᵀα for every feasible β.
    """

    @property
    @abstractmethod
    def convex(self) -> bool:
        """Whether R is a norm, so that a duality gap can close."""

    @abstractmethod
    def value(self, beta: Array) -> float:
        """R(β), 1-homogeneous."""

    def dual_norm(self, z: Array) -> float:
        """R°(z), for norms. Raises TypeError where R is not a norm."""
        raise TypeError(
            f"{self} is not a norm (p < 1 is nonconvex), so it has no dual norm; "
            "judge its stationary points by `subgradient_residual` instead"
        )

    def subgradient_residual(self, beta: Array, z: Array) -> float:
        """How far z is, up to a positive factor, from a subgradient of R at β. Zero exactly when it is one.

        For a norm this is the relative slack in ⟨z, β⟩ ≤ R(β)·R°(z), the Fenchel equality that characterizes ∂R:

            1 − ⟨z, β⟩ / (R(β) R°(z)).

        For p < 1 it is the largest residual of the equations in `support_system`, after the best positive factor on z.
        Off the support nothing is required when p < 1, so a sparse point passes easily: read it beside the support
        size and the objective.
        """
        if self.convex:
            scale = self.value(beta) * self.dual_norm(z)
            return 1.0 - float(np.vdot(z, beta)) / scale if scale > 0 else 1.0
        columns, target = self.support_system(beta, z[None])
        inner = float(columns[:, 0] @ target)
        if inner <= 0:
            return 1.0
        return float(np.abs(columns[:, 0] * (float(target @ target) / inner) - target).max())

    def support_system(self, beta: Array, z: Array) -> tuple[Array, Array]:
        """For p < 1: what stationarity at β asks of z, one equation for each nonzero coefficient of β.

        With g = ∇R^p on the support (eq. 13), the equations are ẑ_d / g_d = 1. Each is relative to its own |g_d|,
        because |g| grows without bound as a coefficient shrinks and would drown the others in any norm.

        Args:
            beta: the predictor.
            z: shape (k, *beta.shape), k vectors.

        Returns:
            columns, shape (equations, k): the left sides for each z; target, shape (equations,).
        """
        raise TypeError(f"{self} is a norm: its subgradients are judged by the dual norm, not on a support")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError when predictors of this shape have no meaning for this regularizer. Any shape by default."""
        del shape


@dataclass(frozen=True)
class L2(Regularizer):
    """R(β) = ‖β‖₂: a linear predictor, or a fully connected linear network of any depth.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorem 1 and Lemma 5: R_w = L‖β‖₂^{2/L}.

    >>> L2().value(np.array([3.0, 4.0]))
    5.0
    """

    @property
    def convex(self) -> bool:
        return True

    def value(self, beta: Array) -> float:
        return float(np.linalg.norm(beta))

    def dual_norm(self, z: Array) -> float:
        return float(np.linalg.norm(z))


@dataclass(frozen=True)
class Bridge(Regularizer):
    """R(β) = ‖β‖_p = (Σ_d |β_d|^p)^{1/p}, p = 2/L: a diagonal linear network of depth L.

    p = 2 and p = 1 are norms; for 0 < p < 1 (L > 2) this is a nonconvex quasi-norm, of which only stationary
    points are promised, both by the theorem and by any solver.

    Raises ValueError unless 0 < p ≤ 1 or p = 2: the values 2/L with L = 1, 2, 3, …, and those between below 1.

    Reference: Gunasekar et al. (2018), Lemma 6: R_w = L‖β‖_{2/L}^{2/L}; eq. (13) for its stationary points.

    >>> Bridge(1).value(np.array([3.0, -4.0]))
    7.0
    """

    p: float

    def __post_init__(self) -> None:
        if not (0 < self.p <= 1 or self.p == 2):
            raise ValueError(
                f"{type(self).__name__}(p={self.p!r}): p = 2/L is the exponent of a network of depth L, so p must be 2 "
                "(L = 1) or lie in (0, 1] (L ≥ 2); a depth-3 network is p=2/3"
            )

    @property
    def convex(self) -> bool:
        return self.p >= 1

    def coefficients(self, beta: Array) -> NDArray[Any]:
        """The coefficients whose magnitudes are penalized; an isometry of β. Here β itself."""
        return beta

    def from_coefficients(self, coefficients: NDArray[Any]) -> Array:
        """The inverse, and by isometry the adjoint, of `coefficients`."""
        return np.asarray(coefficients, dtype=np.float64)

    def value(self, beta: Array) -> float:
        magnitudes = np.abs(self.coefficients(beta))
        largest = float(magnitudes.max(initial=0.0))
        if largest == 0.0:
            return 0.0
        # scaled by the largest, because |β|^p over- and underflows long before ‖β‖_p does
        return largest * float(np.sum((magnitudes / largest) ** self.p) ** (1.0 / self.p))

    def dual_norm(self, z: Array) -> float:
        if self.p == 2:
            return float(np.linalg.norm(z))
        if self.p == 1:
            return float(np.abs(self.coefficients(z)).max(initial=0.0))
        return super().dual_norm(z)

    def support(self, beta: Array, threshold: float = 1e-9) -> NDArray[np.bool_]:
        """Which coefficients count as nonzero: those above `threshold` times the largest."""
        magnitudes = np.abs(self.coefficients(beta))
        return np.asarray(magnitudes > threshold * magnitudes.max(initial=0.0))

    def gradient_on_support(self, beta: Array, support: NDArray[np.bool_]) -> NDArray[Any]:
        """∇‖·‖_p^p on the support, p|c|^{p−1} c/|c| with c the coefficients (eq. 13); zero elsewhere.

        Eq. (13) is the gradient of ‖·‖_p^p, not of ‖·‖_p; the two differ by a positive factor.
        """
        c = self.coefficients(beta)
        gradient = np.zeros_like(c)
        magnitude = np.abs(c[support])
        gradient[support] = self.p * magnitude ** (self.p - 1.0) * (c[support] / magnitude)
        return gradient

    def support_system(self, beta: Array, z: Array) -> tuple[Array, Array]:
        support = self.support(beta)
        gradient = self.gradient_on_support(beta, support)[support]
        ratios = np.stack([self.coefficients(row)[support] / gradient for row in z], axis=1)
        if not np.iscomplexobj(ratios):
            return ratios, np.ones(gradient.size)
        return np.concatenate([ratios.real, ratios.imag]), np.concatenate(
            [np.ones(gradient.size), np.zeros(gradient.size)]
        )


@dataclass(frozen=True)
class FourierBridge(Bridge):
    """R(β) = ‖β̂‖_p, p = 2/L, β̂ the unitary DFT over all axes of β: a full-width circular convolutional network.

    β is a signal (D,) or an image (H, W).

    Reference: Gunasekar et al. (2018), Theorems 2, 2a and Lemma 7: R_w = L‖β̂‖_{2/L}^{2/L}, exact for layers
    scaled by 1/√D (D = H·W for images).

    >>> round(FourierBridge(1).value(np.array([1.0, 0.0, 0.0, 0.0])), 12)
    2.0
    """

    def coefficients(self, beta: Array) -> ComplexArray:
        return np.asarray(np.fft.fftn(beta, norm="ortho"))

    def from_coefficients(self, coefficients: NDArray[Any]) -> Array:
        return np.asarray(np.fft.ifftn(coefficients, norm="ortho").real)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) > 2:
            raise ValueError(
                f"{self} is defined for signals (D,) and images (H, W), got predictors of shape {shape}; "
                "for several input channels use ConvKernel"
            )


def singular_values(matrix: Array) -> Array:
    """σ(β), largest first."""
    return np.asarray(np.linalg.svd(matrix, compute_uv=False), dtype=np.float64)


@dataclass(frozen=True)
class Schatten(Regularizer):
    """R(β) = ‖σ(β)‖_p, σ the singular values of the matrix β, shape (outputs, D), p = 2/L.

    A fully connected linear network of depth L with several outputs. p = 2 is the Frobenius norm, p = 1 the nuclear
    norm; p < 1 is a nonconvex quasi-norm. The theorem of the one-output case is only conjectured to carry over.

    Raises ValueError unless 0 < p ≤ 1 or p = 2.

    Reference: Gunasekar et al. (2018), discussion; R_w = L‖β‖_{S_{2/L}}^{2/L}.

    >>> round(Schatten(1).value(np.array([[3.0, 0.0], [0.0, 4.0]])), 12)
    7.0
    """

    p: float

    def __post_init__(self) -> None:
        Bridge(self.p)  # the same exponents, the same error

    @property
    def convex(self) -> bool:
        return self.p >= 1

    def value(self, beta: Array) -> float:
        return Bridge(self.p).value(singular_values(beta))

    def dual_norm(self, z: Array) -> float:
        return Bridge(self.p).dual_norm(singular_values(z)) if self.convex else super().dual_norm(z)

    def support_system(self, beta: Array, z: Array) -> tuple[Array, Array]:
        """With β = U diag(σ) Vᵀ of rank r: UᵀzV = diag(pσ^{p−1}), and zero in the rest of U's rows and V's columns."""
        u, sigma, vt = np.linalg.svd(beta, full_matrices=True)
        rank = int((sigma > 1e-9 * sigma[0]).sum())
        root = np.sqrt(self.p * sigma[:rank] ** (self.p - 1.0))
        left, right = np.full(u.shape[0], root.max()), np.full(vt.shape[0], root.max())
        left[:rank] = right[:rank] = root
        rotated = np.einsum("ji,kjl,ml->kim", u, z, vt) / (left[:, None] * right[None, :])
        tangent = np.ones((u.shape[0], vt.shape[0]), dtype=bool)
        tangent[rank:, rank:] = False
        return np.ascontiguousarray(rotated[:, tangent].T), np.eye(u.shape[0], vt.shape[0])[tangent]

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise ValueError(
                f"{self} is defined for matrices β of shape (outputs, D): give labels of shape (N, outputs); "
                f"got predictors of shape {shape}"
            )
