"""The linear networks of the theory: fully connected and diagonal here, `Convolutional` in a file of its own.

Each class says its map P from weights to predictor, the regularizer that P induces, and what a balanced
initialization is. Layers are applied to x in the order w_1, w_2, …, w_L.

Reference: Gunasekar, Lee, Soudry, Srebro (2018), *Implicit bias of gradient descent on linear convolutional networks*.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.fully_connected_map import FullyConnectedMap
from gd.flow.product_map import ProductMap
from gd.networks.convolutional import Convolutional
from gd.networks.linear_network import (
    TIE,
    Initialization,
    LinearNetwork,
    check_architecture,
    copies,
    gaussian,
    initial_weights,
    tied_at_smallest,
)
from gd.squared.effective_start import EffectiveStart
from gd.targets import ClassTargets, Targets
from solvers.regularizers import L2, Bridge, Regularizer, Schatten
from solvers.regularizers.balanced_potential import BalancedPotential
from solvers.regularizers.diagonal_potential import DiagonalPotential
from solvers.regularizers.hyperbolic_entropy import HyperbolicEntropy
from solvers.regularizers.potential import Potential

__all__ = ["FullyConnected", "Diagonal", "Convolutional"]


class FullyConnected(LinearNetwork):
    """A fully connected linear network,

        β = W_L W_{L−1} ⋯ W_1,    W_1 (width × D), W_l (width × width), W_L (outputs × width),

    with representation cost min ‖w‖² = L‖β‖₂^{2/L} for one output (any width ≥ 1), and L·Σ_i σ_i(β)^{2/L}, the
    Schatten-2/L quasi-norm to the power 2/L, for several (width ≥ min(outputs, D)). Depth 1 is the linear predictor.

    Args:
        dim: D, the dimension of x.
        depth: L ≥ 1.
        width: of every hidden layer; D unless given.
        outputs: M. β has shape (D,) for M = 1, else (M, D).
        scale: standard deviation of the weights ("balanced": every nonzero singular value of every layer).
        seed: of the initial weights.
        initialization: "gaussian", "unbiased", or "balanced": W_{l+1}ᵀW_{l+1} = W_l W_lᵀ, as W_l = scale·U_l U_{l−1}ᵀ
            with random orthonormal columns, min(outputs, width, D) of them. Gradient flow conserves the difference.

    Raises:
        ValueError: a size is not a positive integer, or several outputs are squeezed through hidden layers too
            narrow for the Schatten value to hold.

    Reference: Gunasekar et al. (2018), Theorem 1 and Lemma 5.

    >>> FullyConnected(3, 2, scale=0.1, seed=0).regularizer
    L2()
    >>> FullyConnected(3, 2, outputs=2, seed=0)(torch.ones(5, 3, dtype=torch.float64)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        *,
        width: int | None = None,
        outputs: int = 1,
        scale: float = 0.1,
        seed: int = 0,
        initialization: Initialization = "gaussian",
    ) -> None:
        hidden = dim if width is None else width
        given = {"dim": dim, "depth": depth, "width": hidden, "outputs": outputs}
        check_architecture("FullyConnected", given, depth, scale, initialization)
        rank = min(outputs, dim)
        if depth > 1 and hidden < rank:
            raise ValueError(
                f"FullyConnected: width {hidden} cannot carry {outputs} outputs of a {dim}-dimensional input; the "
                f"Schatten value needs width ≥ {rank}"
            )
        widths = [dim, *[hidden] * (depth - 1), outputs]
        sizes = [(after, before) for before, after in pairwise(widths)]

        def balanced(generator: torch.Generator) -> list[Tensor]:
            frames = [torch.linalg.qr(frame)[0] for frame in gaussian([(n, rank) for n in widths], 1.0, generator)]
            return [scale * after @ before.T for before, after in pairwise(frames)]

        super().__init__(initial_weights(sizes, scale, seed, initialization, balanced))
        self.shape = (dim,)
        self.outputs = outputs

    def P(self, weights: Sequence[Tensor]) -> Tensor:
        beta = weights[-1]
        for layer in reversed(weights[:-1]):  # from the output side: `outputs` rows are carried, not D columns
            beta = beta @ layer
        return beta if self.outputs > 1 else beta.squeeze(-2)

    def margin_map(self, X: Tensor, y: Tensor) -> FullyConnectedMap:
        return FullyConnectedMap(self._sizes, self.regularizer, X, Targets(y.reshape(X.shape[0], -1)))

    def class_margin_map(self, X: Tensor, targets: ClassTargets) -> FullyConnectedMap:
        return FullyConnectedMap(self._sizes, self.regularizer, X, targets)

    @property
    def _sizes(self) -> list[tuple[int, int]]:
        return [(w.shape[0], w.shape[1]) for w in self.weights]

    def operator_norms(self, weights: Sequence[Tensor]) -> Tensor:
        """Schatten-8 norms, within a few percent to a factor two above the spectral norms, for two small products."""
        norms = []
        for w in weights:
            gram = w @ w.mT if w.shape[-2] <= w.shape[-1] else w.mT @ w
            norms.append(torch.linalg.vector_norm((gram @ gram).flatten(1), dim=1) ** 0.25)
        return torch.stack(norms, dim=1)

    @property
    def regularizer(self) -> Regularizer:
        return L2() if self.outputs == 1 else Schatten(2.0 / self.depth)

    @property
    def potential(self) -> Potential | None:
        """For one output and balanced weights, W_{l+1}ᵀW_{l+1} = W_l W_lᵀ (to 1e-12), not all zero."""
        layers = [w.detach().cpu().numpy() for w in self.weights]
        apart = [float(np.abs(after.T @ after - before @ before.T).max()) for before, after in pairwise(layers)]
        largest = max(float(np.abs(w).max()) ** 2 * max(w.shape) for w in layers)
        if self.depth == 1 or self.outputs > 1 or max(apart) > TIE * largest or not self.predictor.any():
            return super().potential
        return BalancedPotential(self.predictor, self.depth)

    @property
    def theorem(self) -> str:
        if self.depth == 1:
            return "Soudry et al. (2018)" + (" (of K classes as well)" if self.outputs > 1 else "")
        return "Gunasekar et al. (2018), Theorem 1 and Lemma 5" if self.outputs == 1 else ""

    @property
    def locked_signs(self) -> NDArray[np.bool_]:
        """Only for D = 1 and one output, when the layers are aligned of rank one, W_l = s_l u_l u_{l−1}ᵀ: the flow
        keeps that, and the s_l behave as the factors of `Diagonal`. In more dimensions β turns without vanishing.
        """
        beta = self.predictor
        if beta.size > 1:
            return np.zeros(beta.shape, dtype=bool)
        norms = np.array([[float(torch.linalg.vector_norm(w.detach()))] for w in self.weights])
        aligned = np.abs(beta) >= (1.0 - TIE) * norms.prod(axis=0)
        return np.asarray(aligned & tied_at_smallest(norms))


class Diagonal(LinearNetwork):
    """A diagonal linear network,

        β = w_1 ⊙ w_2 ⊙ ⋯ ⊙ w_L,    w_l ∈ R^D,

    with representation cost min ‖w‖² = L‖β‖_{2/L}^{2/L}. Depth 2 is the network of sparse recovery: with
    u, v = (w_1 ± w_2)/2, β = u⊙u − v⊙v, so the "unbiased" start w_2 = 0 is the start u = v of that parameterization.

    Args:
        dim: D.
        depth: L ≥ 1.
        outputs: M networks side by side that share no weights, w_l ∈ R^{M×D}: one for each class. β has shape (D,) for
            M = 1, else (M, D), and its value is over all entries.
        scale: standard deviation of the weights.
        seed: of the initial weights.
        initialization: "gaussian", "unbiased", or "balanced": |w_1| = … = |w_L| entrywise, independent signs. Entries
            of β then keep their signs for ever (see `sign_locked`).

    Reference: Gunasekar et al. (2018), Lemma 6.

    >>> Diagonal(3, 2, scale=0.1, seed=0).regularizer
    Bridge(p=1.0)
    >>> Diagonal(3, 2, scale=0.1, seed=0, initialization="balanced").sign_locked[:44]
    'sign-locked initialization: 3 of 3 entries o'
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        *,
        outputs: int = 1,
        scale: float = 0.1,
        seed: int = 0,
        initialization: Initialization = "gaussian",
    ) -> None:
        given = {"dim": dim, "depth": depth, "outputs": outputs}
        check_architecture("Diagonal", given, depth, scale, initialization)
        sizes = [copies((dim,), outputs)] * depth

        def balanced(generator: torch.Generator) -> list[Tensor]:
            weights = gaussian(sizes, scale, generator)
            return [weights[0].abs() * w.sign() for w in weights]

        super().__init__(initial_weights(sizes, scale, seed, initialization, balanced))
        self.shape = (dim,)
        self.outputs = outputs

    def P(self, weights: Sequence[Tensor]) -> Tensor:
        beta = weights[0]
        for layer in weights[1:]:
            beta = beta * layer
        return beta

    def margin_map(self, X: Tensor, y: Tensor) -> ProductMap:
        return self._product_map(X, Targets(y))

    def class_margin_map(self, X: Tensor, targets: ClassTargets) -> ProductMap:
        return self._product_map(X, targets)

    def _product_map(self, X: Tensor, targets: Targets) -> ProductMap:
        rows, R = targets.rows(X), self.regularizer
        return ProductMap(self.shape, self.depth, R, rows, outputs=self.outputs, samples=(X, targets))

    def operator_norms(self, weights: Sequence[Tensor]) -> Tensor:
        """‖w_l‖_∞."""
        return torch.stack(list(weights), dim=1).abs().flatten(2).amax(dim=-1)

    @property
    def regularizer(self) -> Regularizer:
        return L2() if self.depth == 1 else Bridge(2.0 / self.depth)

    @property
    def potential(self) -> Potential | None:
        """Each coefficient is a function of ∫ Xᵀ(y − Xβ) dt alone, from any weights."""
        weights = np.stack([w.detach().cpu().numpy() for w in self.weights])
        if self.depth == 2:
            return HyperbolicEntropy.of_weights(*weights)
        return DiagonalPotential(weights) if self.depth > 2 else super().potential

    def effective_start(self, start: Tensor) -> EffectiveStart | None:
        return EffectiveStart(start) if self.depth == 2 else None

    @property
    def theorem(self) -> str:
        return "Gunasekar et al. (2018), Lemma 6"

    @property
    def locked_signs(self) -> NDArray[np.bool_]:
        """Entries of β whose smallest factor |w_l| is attained by two layers or more (`tied_at_smallest`)."""
        return tied_at_smallest(np.stack([w.detach().abs().cpu().numpy() for w in self.weights]))
