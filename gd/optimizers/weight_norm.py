"""Norms of all the weights of a network: what a steepest descent step is steepest in.

A norm ‖·‖ of the parameters θ has a dual norm, ‖g‖° = max { ⟨g, u⟩ : ‖u‖ ≤ 1 }, and the u where that is attained is the
direction of steepest ascent. Entrywise norms take all parameters as one vector; the spectral norm of a network is the
largest singular value of any of its layers, so its dual is the sum of the layers' nuclear norms.

Parameters come as rows (B, P), one a run, with `layers`, which views rows as the network's layers, each (B, *shape).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gd.optimizers.orthogonalize import orthogonalized
from solvers.regularizers import L2, Bridge, Regularizer, Schatten
from solvers.regularizers.exponent import conjugate, subscript

Layers = Callable[[Tensor], list[Tensor]]


class WeightNorm(ABC):
    """A norm of a network's parameters, with its dual and its direction of steepest ascent."""

    exact = True
    """Whether `steepest` is exact, so that ‖u‖ ≤ 1 and ⟨g, u⟩ = ‖g‖°."""

    @property
    @abstractmethod
    def descent(self) -> str:
        """What steepest descent in this norm is called."""

    @property
    @abstractmethod
    def formula(self) -> str:
        """The norm as it is printed."""

    @abstractmethod
    def regularizer(self, shape: tuple[int, ...]) -> Regularizer:
        """The norm of a predictor of this shape, as the explicit problems know it."""

    @abstractmethod
    def value(self, rows: Tensor, layers: Layers) -> Tensor:
        """‖θ‖, shape (B,)."""

    @abstractmethod
    def dual(self, rows: Tensor, layers: Layers) -> Tensor:
        """‖g‖°, shape (B,)."""

    @abstractmethod
    def steepest(self, rows: Tensor, layers: Layers) -> Tensor:
        """u (B, P) with ‖u‖ ≤ 1 and ⟨g, u⟩ = ‖g‖°; entries, or singular directions, where g is zero are zero."""

    @abstractmethod
    def optimality(self, theta: Tensor, z: Tensor, value: Tensor, layers: Layers) -> Tensor:
        """Equations (B, P) for θ, ‖θ‖ = value (B, 1), to have the subgradient z, ‖z‖° = 1; smooth and dimensionless.

        They hold where z ∈ ∂‖θ‖, and have other solutions too: signs and inequalities are for the caller to check.
        """

    def check_layers(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Raise ValueError where the norm is not defined for layers of these shapes. Defined for all by default."""
        del shapes


@dataclass(frozen=True)
class EntrywiseNorm(WeightNorm):
    """‖θ‖_p of all parameters as one vector, p ≥ 1: sign descent is steepest at p = ∞, coordinate descent at p = 1.

    Raises:
        ValueError: unless p ≥ 1.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), *Characterizing implicit bias in terms of optimization geometry*,
    section 3.

    >>> g = torch.tensor([[3.0, -0.5, 0.0]])
    >>> [EntrywiseNorm(p).steepest(g, lambda rows: [rows]).tolist() for p in (1, float("inf"))]
    [[[1.0, 0.0, 0.0]], [[1.0, -1.0, 0.0]]]
    """

    p: float
    """The exponent, in [1, ∞]."""

    def __post_init__(self) -> None:
        if not self.p >= 1:
            raise ValueError(f"EntrywiseNorm(p={self.p!r}): p must be at least 1, inf for the largest entry")

    @property
    def descent(self) -> str:
        named = {1.0: "coordinate descent", 2.0: "normalized gradient descent", math.inf: "sign descent"}
        return named.get(float(self.p), f"steepest descent in ℓ{subscript(self.p)}")

    @property
    def formula(self) -> str:
        return f"‖θ‖{subscript(self.p)}"

    def regularizer(self, shape: tuple[int, ...]) -> Regularizer:
        del shape
        return L2() if self.p == 2 else Bridge(float(self.p))

    def value(self, rows: Tensor, layers: Layers) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(rows, ord=self.p, dim=1)
        return norms

    def dual(self, rows: Tensor, layers: Layers) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(rows, ord=conjugate(self.p), dim=1)
        return norms

    def steepest(self, rows: Tensor, layers: Layers) -> Tensor:
        if self.p == math.inf:
            return rows.sign()
        if self.p == 1:
            largest = rows.abs().argmax(dim=1, keepdim=True)  # the first of equal ones
            return torch.zeros_like(rows).scatter_(1, largest, rows.gather(1, largest).sign())
        tiny = torch.finfo(rows.dtype).tiny
        sizes = rows.abs() / rows.abs().amax(dim=1, keepdim=True).clamp(min=tiny)
        powers = rows.sign() * sizes ** (conjugate(self.p) - 1.0)
        unit: Tensor = powers / torch.linalg.vector_norm(powers, ord=self.p, dim=1, keepdim=True).clamp(min=tiny)
        return unit

    def optimality(self, theta: Tensor, z: Tensor, value: Tensor, layers: Layers) -> Tensor:
        unit = theta / value
        if self.p == math.inf:
            return z * (unit**2 - 1.0)
        if self.p == 1:
            return unit * (z**2 - 1.0)
        if self.p >= 2:
            return unit.sign() * unit.abs() ** (self.p - 1.0) - z
        return unit - z.sign() * z.abs() ** (conjugate(self.p) - 1.0)


@dataclass(frozen=True)
class SpectralNorm(WeightNorm):
    """max_l σ_max(W_l) over the layers, which are matrices: spectral descent (Muon) moves each by U Vᵀ, W = U Σ Vᵀ.

    Raises:
        ValueError: a negative number of iterations.

    Reference: Bernstein, Newhouse (2024), *Old optimizer, new norm*; Jordan et al. (2024), *Muon*, for the iteration.

    >>> SpectralNorm().steepest(torch.tensor([[3.0, 0.0, 0.0, 0.1]]), lambda rows: [rows.view(-1, 2, 2)]).tolist()
    [[1.0, 0.0, 0.0, 1.0]]
    """

    newton_schulz: int = 0
    """Iterations of Newton–Schulz that U Vᵀ is computed by; 0: exactly, by the singular value decomposition."""

    def __post_init__(self) -> None:
        if self.newton_schulz < 0:
            raise ValueError(f"SpectralNorm: newton_schulz must be 0 or more iterations, got {self.newton_schulz!r}")

    @property
    def exact(self) -> bool:  # type: ignore[override]
        return self.newton_schulz == 0

    @property
    def descent(self) -> str:
        how = f" (Newton–Schulz, {self.newton_schulz} iterations)" if self.newton_schulz else ""
        return f"spectral descent{how}"

    @property
    def formula(self) -> str:
        return "max σ(W_l)"

    def regularizer(self, shape: tuple[int, ...]) -> Regularizer:
        return Schatten(math.inf) if len(shape) == 2 and min(shape) > 1 else L2()  # one row: σ_max is its length

    def value(self, rows: Tensor, layers: Layers) -> Tensor:
        return torch.stack([torch.linalg.matrix_norm(layer, 2) for layer in layers(rows)]).amax(dim=0)

    def dual(self, rows: Tensor, layers: Layers) -> Tensor:
        return torch.stack([torch.linalg.matrix_norm(layer, "nuc") for layer in layers(rows)]).sum(dim=0)

    def steepest(self, rows: Tensor, layers: Layers) -> Tensor:
        units = [orthogonalized(layer, self.newton_schulz).flatten(1) for layer in layers(rows)]
        return units[0] if len(units) == 1 else torch.cat(units, dim=1)

    def optimality(self, theta: Tensor, z: Tensor, value: Tensor, layers: Layers) -> Tensor:
        # W = t U Vᵀ on the range of Z = U S Vᵀ
        pairs = zip(layers(theta / value), layers(z), strict=True)
        parts: Tensor = torch.cat([(w @ g.mT @ w - g).flatten(1) for w, g in pairs], dim=1)
        return parts

    def check_layers(self, shapes: Sequence[tuple[int, ...]]) -> None:
        wrong = [shape for shape in shapes if len(shape) != 2]
        if wrong:
            raise ValueError(
                f"spectral descent moves matrices, but this network has a parameter of shape {wrong[0]}; use another "
                'optimizer, such as "sign", or write its layers as matrices'
            )
