"""Matrix factorization, β = W₁W₂ᵀ, seen through linear measurements ⟨X_n, β⟩."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gd.networks.linear_network import Initialization, LinearNetwork, check_architecture, gaussian, initial_weights
from solvers.regularizers import Regularizer, Schatten


class MatrixFactorization(LinearNetwork):
    """A matrix as a product of two, f(X) = ⟨X, β⟩ for matrices X of β's shape,

        β = W₁ W₂ᵀ,    W₁ (rows × rank), W₂ (columns × rank),

    with representation cost min ‖W₁‖² + ‖W₂‖² = 2‖β‖_*, twice the nuclear norm, for rank ≥ min(rows, columns).

    On the squared loss, from small weights, gradient flow is conjectured to end near the least nuclear norm that fits.
    That is proved for symmetric X_n that commute, and disproved in general for others.

    Args:
        shape: (rows, columns) of β.
        rank: columns of W₁ and W₂; min(rows, columns) unless given.
        scale: standard deviation of the weights ("balanced": every singular value of both).
        seed: of the initial weights.
        initialization: "gaussian", "unbiased", or "balanced": W₁ᵀW₁ = W₂ᵀW₂ = scale²·I, random directions.

    Raises:
        ValueError: a size is not a positive integer, or the rank is above min(rows, columns).

    Reference: Gunasekar, Woodworth, Bhojanapalli, Neyshabur, Srebro (2017), "Implicit regularization in matrix
    factorization", Theorem 1, for commuting measurements; Li, Luo, Lyu (2021), for a counterexample.

    >>> MatrixFactorization((3, 4), scale=0.1, seed=0).predictor.shape
    (3, 4)
    """

    coefficient_name = "entries"

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        rank: int | None = None,
        scale: float = 0.1,
        seed: int = 0,
        initialization: Initialization = "gaussian",
    ) -> None:
        most = min(shape)
        columns = most if rank is None else rank
        check_architecture("MatrixFactorization", {"shape": shape, "rank": columns}, 2, scale, initialization)
        if columns > most:
            raise ValueError(f"MatrixFactorization: rank {columns} is above min{shape} = {most}")
        sizes = [(n, columns) for n in shape]

        def balanced(generator: torch.Generator) -> list[Tensor]:
            return [scale * torch.linalg.qr(frame)[0] for frame in gaussian(sizes, 1.0, generator)]

        super().__init__(initial_weights(sizes, scale, seed, initialization, balanced))
        self.shape = shape

    def P(self, weights: Sequence[Tensor]) -> Tensor:
        return weights[0] @ weights[1].mT

    @property
    def regularizer(self) -> Regularizer | None:
        return Schatten(1.0) if self.weights[0].shape[1] == min(self.shape) else None
