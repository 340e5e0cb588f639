"""Fully connected linear networks: ∂f_m(x_n)/∂W_l = (W_L ⋯ W_{l+1})ᵀ e_m (W_{l−1} ⋯ W_1 x_n)ᵀ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.coefficient_map import CoefficientMap
from gd.flow.coefficient_polish import CoefficientProblem
from gd.flow.kkt import StationaryPoint
from gd.flow.many_margins import MANY, Gram, ManyMargins
from gd.flow.margin_map import Local, MarginMap, balancedness
from gd.flow.weight_polish import HeldProblem
from gd.piecewise.rows import Outer, Rows
from gd.targets import Targets
from solvers.arrays import Array
from solvers.regularizers import Regularizer

UNUSED = 1e-9  # relative singular values of layers: hidden directions that no weight uses


class FullyConnectedMap(CoefficientMap):
    """f(x) = W_L ⋯ W_1 x with M outputs; the margins are those of the targets."""

    def __init__(
        self, sizes: Sequence[tuple[int, int]], regularizer: Regularizer | None, X: Tensor, targets: Targets
    ) -> None:
        self.sizes = list(sizes)
        self.degree, self.regularizer = len(sizes), regularizer
        dim, outputs = sizes[0][1], sizes[-1][0]
        self.shape = (dim,) if outputs == 1 else (outputs, dim)
        self.settles_slowly = outputs > 1 and self.degree > 1
        self.X, self.targets = X.flatten(1), targets
        self.n_constraints = targets.values.numel()

    def start(self, models: Sequence[nn.Module]) -> Tensor:
        return torch.stack([torch.cat([w.detach().flatten() for w in model.weights]) for model in models]).to(self.X)  # type: ignore[union-attr]

    def layers(self, theta: Tensor) -> list[Tensor]:
        parts = torch.split(theta, [rows * columns for rows, columns in self.sizes], dim=-1)
        return [torch.unflatten(part, -1, size) for part, size in zip(parts, self.sizes, strict=True)]

    def joined(self, matrices: list[Tensor]) -> Tensor:
        """The inverse of `layers`, (…, P)."""
        return torch.cat([W.flatten(-2) for W in matrices], -1)

    def composed(self, theta: Tensor) -> Tensor:
        """W_L ⋯ W_1, shape (B, M, D)."""
        return reduce(lambda after, before: after @ before, reversed(self.layers(theta)))

    def margins(self, theta: Tensor) -> Tensor:
        return self.targets.margins(self.X @ self.composed(theta).mT).flatten(1)

    def _factors(self, theta: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Of every layer, W_L ⋯ W_{l+1} (B, M, rows of W_l) and (W_{l−1} ⋯ W_1 x_n)_n (B, N, columns of W_l)."""
        layers, outputs = self.layers(theta), self.sizes[-1][0]
        after = [torch.eye(outputs, dtype=theta.dtype, device=theta.device).expand(theta.shape[0], -1, -1)]
        for W in reversed(layers[1:]):
            after.insert(0, after[0] @ W)
        before = [self.X.expand(theta.shape[0], -1, -1)]
        for W in layers[:-1]:
            before.append(before[-1] @ W.mT)
        return after, before

    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        del carried
        after, before = self._factors(theta)

        def pull(p: Tensor) -> Tensor:
            values = self.targets.values
            force = self.targets.spread(torch.unflatten(p, -1, values.shape) * values)  # (B, N, M)
            return self.joined([A.mT @ force.mT @ B for A, B in zip(after, before, strict=True)])

        margins = self.targets.margins(before[-1] @ self.layers(theta)[-1].mT).flatten(1)
        if self.n_constraints > MANY:
            squares, grams = self._grams(after, before)
            return ManyMargins(margins, squares, grams, pull, theta, self.degree)
        pairs = [torch.einsum("bnk,bmj->bnmkj", B @ B.mT, A @ A.mT) for A, B in zip(after, before, strict=True)]
        half = self.targets.margins(torch.stack(pairs).sum(0)).flatten(3)  # of outputs (n, m) with margins
        whole = self.targets.margins(half.movedim(3, 1)).flatten(2)
        return Local(margins, whole, pull, theta, self.degree)

    def _grams(self, after: Sequence[Tensor], before: Sequence[Tensor]) -> tuple[Tensor, Callable[[int], Gram]]:
        """Σ_l (B_l B_lᵀ) ⊗ (A_l A_lᵀ) between outputs (n, m): its diagonal for margins, and its products and blocks."""
        targets, shape = self.targets, self.targets.values.shape
        signs, Q = targets.output_signs(), [A @ A.mT for A in after]
        diagonal = [torch.einsum("njm,bmk,njk->bnj", signs, q, signs) for q in Q]
        squares = [(B * B).sum(-1)[:, :, None] * d for B, d in zip(before, diagonal, strict=True)]
        total = torch.stack(squares).sum(0).flatten(1)

        def of_row(b: int) -> Gram:
            layers = [(B[b], q[b]) for B, q in zip(before, Q, strict=True)]

            def times(p: Array) -> Array:
                force = targets.spread(torch.as_tensor(p, device=signs.device).view(shape) * targets.values)
                moved = torch.stack([B @ (B.mT @ force @ q) for B, q in layers]).sum(0)
                return np.asarray(targets.margins(moved).flatten().cpu().numpy())

            def block(kept: NDArray[np.intp]) -> Array:
                chosen = torch.as_tensor(kept, device=signs.device)
                n, d = chosen // shape[1], signs.flatten(0, 1)[chosen]
                parts = [(B[n] @ B[n].mT) * (d @ q @ d.mT) for B, q in layers]
                return np.asarray(torch.stack(parts).sum(0).cpu().numpy())

            return Gram(times, block, total[b].cpu().numpy())

        return total, of_row

    def conserved(self, theta: Tensor) -> Tensor:
        return balancedness(self.layers(theta))

    def weights(self, theta: Tensor) -> dict[str, Array]:
        return {f"weights.{i}": W.cpu().numpy() for i, W in enumerate(self.layers(theta))}

    def symmetries(self, theta: Tensor) -> Tensor:
        """Rotations of hidden units: AW_l and −W_{l+1}A, A antisymmetric, one index among the directions in use."""
        layers, found = self.layers(theta), []
        for layer, (before, after) in enumerate(pairwise(layers)):
            used, sizes, _ = torch.linalg.svd(torch.cat([before, after.mT], dim=1), full_matrices=True)
            rank = int((sizes > UNUSED * sizes[0]).sum())
            for i, j in product(range(rank), range(used.shape[1])):
                if i < j:
                    A = torch.outer(used[:, i], used[:, j]) - torch.outer(used[:, j], used[:, i])
                    turned = [torch.zeros_like(W) for W in layers]
                    turned[layer], turned[layer + 1] = A @ before, -after @ A
                    found.append(self.joined(turned))
        return torch.stack(found) if found else super().symmetries(theta)

    def predictors(self, theta: Tensor) -> Array:
        return np.asarray(self.composed(theta).reshape(-1, *self.shape).cpu().numpy())

    def polished(
        self, theta: Tensor, p: Array, *, carried: Any, may_grow: bool, tol: float
    ) -> Iterator[StationaryPoint]:
        """With several outputs the regularizer, a sum over singular values, is no sum over coefficients."""
        way = MarginMap if self.settles_slowly else CoefficientMap
        return way.polished(self, theta, p, carried=carried, may_grow=may_grow, tol=tol)

    def held_problem(self, theta: Tensor, carried: Any, active: NDArray[np.bool_]) -> HeldProblem:
        signs = self.targets.output_signs()
        n = torch.arange(signs.shape[0], device=signs.device).repeat_interleave(signs.shape[1])

        def rows(t: Tensor) -> Rows:
            after, before = self._factors(t[None])
            return Rows([Outer(signs.flatten(0, 1) @ A[0], B[0][n]) for A, B in zip(after, before, strict=True)])

        return replace(super().held_problem(theta, carried, active), rows=rows)

    def coefficient_problem(self) -> CoefficientProblem:
        rows = self.targets.rows(self.X).flatten(1).cpu().numpy()
        return CoefficientProblem(rows[:, None], np.ones(1), 2.0)  # ‖β‖²: one coefficient of all coordinates

    def real_coefficients(self, theta: Tensor) -> Array:
        return np.asarray(self.composed(theta).reshape(1, -1).cpu().numpy())

    def lift(self, c: Array, theta: Tensor) -> Tensor:
        beta = torch.as_tensor(c[0], dtype=theta.dtype, device=theta.device)
        if self.degree == 1:
            return beta
        size = beta.norm() ** (1.0 / self.degree)
        before, lifted = beta / beta.norm(), []
        for W in self.layers(theta):
            after = W @ before
            after = after / after.norm()
            lifted.append(size * torch.outer(after, before))
            before = after
        return self.joined(lifted)
