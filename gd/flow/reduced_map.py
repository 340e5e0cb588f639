"""Wide fully connected linear networks in the few coordinates in which gradient flow moves them, exactly.

With G = Σ_n p_n (∂m_n/∂f) x_nᵀ the flow is dW_l/dτ = (W_L ⋯ W_{l+1})ᵀ G (W_{l−1} ⋯ W_1)ᵀ. The rows of G lie in the span
of the points, orthonormal columns Q, so that

    W_1 = A Qᵀ + R,      R = W_1(0) (I − QQᵀ),                                                                   (1)

and R stays where it is. With two layers the columns of W_1 Q and the rows of W_2 stay in the span S of what they are at
the start:  A = S A′,  W_2 = W_2′ Sᵀ,  and (A′, W_2′) follow the flow of a network of that width on the points XQ. In
directions w/‖w‖ the matrix R is one coordinate, its length, on which no force acts. All of this is an orthogonal change
of coordinates: lengths, angles and margins are the same, and so are the steps. With 100 points of 784 entries 615,440
weights are left as 10,303 numbers.

S has one more direction, in which the start has no part, if the network is so wide: all others are like that one, so
that what could grow out of the start's span (`gd.flow.growth`) and saddles show as they do in the whole network.

Several networks of a batch share Q and S, and each has a length of its own R.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.fully_connected_map import FullyConnectedMap
from gd.flow.margin_map import MarginMap
from gd.flow.weight_polish import HeldProblem
from gd.piecewise.rows import Rows
from solvers.arrays import Array


def in_few_coordinates(mapping: MarginMap, start: Tensor) -> tuple[MarginMap, Tensor]:
    """The flow of `mapping` from `start` (B, P) in fewer coordinates, where it has some and they are known."""
    if not isinstance(mapping, FullyConnectedMap) or mapping.degree == 1:
        return mapping, start
    layers, X = mapping.layers(start), mapping.X
    Q = torch.linalg.qr(X.T)[0] if X.shape[0] < X.shape[1] else torch.eye(X.shape[1]).to(X)
    S = torch.eye(layers[0].shape[1]).to(X)
    if mapping.degree == 2:
        first, last = (layers[0] @ Q).mT.flatten(0, 1), layers[1].flatten(0, 1)
        spanning = torch.cat([first, last, torch.ones_like(last[:1])])
        S = torch.linalg.qr(spanning.T)[0] if spanning.shape[0] < S.shape[0] else S
    if Q.shape[0] == Q.shape[1] and S.shape[0] == S.shape[1]:
        return mapping, start
    reduced = ReducedMap(mapping, Q, S, layers[0] - layers[0] @ Q @ Q.T)
    return reduced, reduced.of_whole(start)


class ReducedMap(FullyConnectedMap):
    """A fully connected network in the coordinates (A′, W_2′ or W_2, …, W_L, lengths of R).

    Args:
        whole: the network's own map.
        Q: (D, r), with orthonormal columns.
        S: (width, k), with orthonormal columns; the identity but for two layers.
        rest: R of every network of the batch, (B, width, D).
    """

    def __init__(self, whole: FullyConnectedMap, Q: Tensor, S: Tensor, rest: Tensor) -> None:
        self._whole, self._Q, self._S = whole, Q, S
        self._rest = rest / torch.clamp(rest.flatten(1).norm(dim=1), min=1e-300)[:, None, None]
        self._rest_seen = S.T @ self._rest
        sizes = list(whole.sizes)
        sizes[0] = (S.shape[1], Q.shape[1])
        sizes[1] = (sizes[1][0], S.shape[1])
        super().__init__(sizes, whole.regularizer, whole.X @ Q, whole.targets)
        self.shape = whole.shape

    def of_whole(self, theta: Tensor) -> Tensor:
        """These coordinates of θ (B, P), the rows in the order of the batch."""
        first, second, *others = self._whole.layers(theta)
        lengths = (self._rest * first).sum((1, 2))
        matrices = [self._S.T @ first @ self._Q, second @ self._S, *others]
        return torch.cat([*(W.flatten(1) for W in matrices), torch.diag(lengths)], 1)

    def whole(self, theta: Tensor) -> tuple[MarginMap, Tensor]:
        first, second, *others = (W[0] for W in self.layers(theta[None]))
        rest = torch.einsum("b,bkd->kd", self._lengths(theta), self._rest)
        matrices = [self._S @ first @ self._Q.T + rest, second @ self._S.T, *others]
        return self._whole, torch.cat([W.flatten() for W in matrices])

    def _lengths(self, theta: Tensor) -> Tensor:
        return theta[..., theta.shape[-1] - len(self._rest) :]

    def layers(self, theta: Tensor) -> list[Tensor]:
        return super().layers(theta[..., : theta.shape[-1] - len(self._rest)])

    def joined(self, matrices: list[Tensor]) -> Tensor:
        parts = super().joined(matrices)
        return torch.cat([parts, parts.new_zeros(*parts.shape[:-1], len(self._rest))], -1)

    def weights(self, theta: Tensor) -> dict[str, Array]:
        return self._whole.weights(self.whole(theta)[1])

    def predictors(self, theta: Tensor) -> Array:
        after = self._factors(theta)[0][0]
        rest = torch.einsum("nmk,nb,bkd->nmd", after, self._lengths(theta), self._rest_seen)
        beta = self.composed(theta) @ self._Q.T + rest
        return np.asarray(beta.reshape(-1, *self.shape).cpu().numpy())

    def held_problem(self, theta: Tensor, carried: Any, active: NDArray[np.bool_]) -> HeldProblem:
        held = super().held_problem(theta, carried, active)

        def rows(t: Tensor) -> Rows:
            found = held.rows(t)
            return Rows([*found.blocks, t.new_zeros(len(found), len(self._rest))])

        return replace(held, rows=rows)
