"""Fully connected linear networks: ∂m_n/∂W_l = y_n (W_L ⋯ W_{l+1})ᵀ (W_{l−1} ⋯ W_1 x_n)ᵀ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gd.flow.coefficient_map import CoefficientMap
from gd.flow.coefficient_polish import CoefficientProblem
from gd.flow.kkt import StationaryPoint
from gd.flow.margin_map import Local, MarginMap, balancedness
from solvers.arrays import Array
from solvers.regularizers import Regularizer


class FullyConnectedMap(CoefficientMap):
    """f(x) = W_L ⋯ W_1 x with M outputs; constraint nM + m is y_{nm} f_m(x_n)."""

    def __init__(self, sizes: Sequence[tuple[int, int]], regularizer: Regularizer, X: Tensor, y: Tensor) -> None:
        self._sizes = list(sizes)
        self.degree, self.regularizer = len(sizes), regularizer
        dim, outputs = sizes[0][1], sizes[-1][0]
        self.shape = (dim,) if outputs == 1 else (outputs, dim)
        self.settles_slowly = outputs > 1
        self.X = X.flatten(1)
        self.y = y.reshape(X.shape[0], -1)
        self.n_constraints = self.y.numel()

    def start(self, models: Sequence[nn.Module]) -> Tensor:
        return torch.stack([torch.cat([w.detach().flatten() for w in model.weights]) for model in models]).to(self.X)  # type: ignore[union-attr]

    def layers(self, theta: Tensor) -> list[Tensor]:
        parts = torch.split(theta, [rows * columns for rows, columns in self._sizes], dim=-1)
        return [torch.unflatten(part, -1, size) for part, size in zip(parts, self._sizes, strict=True)]

    def composed(self, theta: Tensor) -> Tensor:
        """W_L ⋯ W_1, shape (B, M, D)."""
        return reduce(lambda after, before: after @ before, reversed(self.layers(theta)))

    def margins(self, theta: Tensor) -> Tensor:
        return (self.y * (self.X @ self.composed(theta).mT)).flatten(1)

    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        del carried
        layers = self.layers(theta)
        outputs = self._sizes[-1][0]
        after = [torch.eye(outputs, dtype=theta.dtype, device=theta.device).expand(theta.shape[0], -1, -1)]
        for W in reversed(layers[1:]):
            after.insert(0, after[0] @ W)  # W_L ⋯ W_{l+1}: (B, M, rows of W_l)
        before = [self.X.expand(theta.shape[0], -1, -1)]
        for W in layers[:-1]:
            before.append(before[-1] @ W.mT)  # (W_{l−1} ⋯ W_1 x_n)_n: (B, N, columns of W_l)
        gram = sum(
            (torch.einsum("bnk,bmj->bnmkj", B @ B.mT, A @ A.mT) for A, B in zip(after, before, strict=True)),
            start=torch.zeros((), dtype=theta.dtype, device=theta.device),
        )
        signs = self.y.flatten()
        gram = gram.flatten(3).flatten(1, 2) * signs * signs[:, None]

        def pull(p: Tensor) -> Tensor:
            force = torch.unflatten(p, -1, self.y.shape) * self.y  # (B, N, M)
            return torch.cat([(A.mT @ force.mT @ B).flatten(1) for A, B in zip(after, before, strict=True)], -1)

        return Local((self.y * (before[-1] @ layers[-1].mT)).flatten(1), gram, pull, theta, self.degree)

    def conserved(self, theta: Tensor) -> Tensor:
        return balancedness(self.layers(theta))

    def weights(self, theta: Tensor) -> dict[str, Array]:
        return {f"weights.{i}": W.cpu().numpy() for i, W in enumerate(self.layers(theta))}

    def predictors(self, theta: Tensor) -> Array:
        return np.asarray(self.composed(theta).reshape(-1, *self.shape).cpu().numpy())

    def polished(
        self, theta: Tensor, p: Array, *, carried: Any, may_grow: bool, tol: float
    ) -> Iterator[StationaryPoint]:
        """With several outputs the regularizer, a sum over singular values, is no sum over coefficients."""
        way = MarginMap if self.settles_slowly else CoefficientMap
        return way.polished(self, theta, p, carried=carried, may_grow=may_grow, tol=tol)

    def coefficient_problem(self) -> CoefficientProblem:
        G = (self.y * self.X).cpu().numpy()
        return CoefficientProblem(G[:, None], np.ones(1), 2.0)  # ‖β‖²: one coefficient of D coordinates

    def real_coefficients(self, theta: Tensor) -> Array:
        return np.asarray(self.composed(theta).reshape(1, -1).cpu().numpy())

    def lift(self, c: Array, theta: Tensor) -> Tensor:
        beta = torch.as_tensor(c[0], dtype=theta.dtype, device=theta.device)
        size = beta.norm() ** (1.0 / self.degree)
        before, lifted = beta / beta.norm(), []
        for W in self.layers(theta):
            after = W @ before
            after = after / after.norm()
            lifted.append(size * torch.outer(after, before))
            before = after
        return torch.cat([W.flatten() for W in lifted])
