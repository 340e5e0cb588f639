"""Gradients of many scalars by all weights, one row each, without forming what is a product of two vectors.

The gradient of one sample's output by the matrix of a linear layer is δ hᵀ, δ of the layer's width and h its input. A
block of rows is kept as these two factors, and products with rows cost (R × (a + b)) instead of (R × a b). Blocks of
other parameters are dense.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Outer:
    """Rows δ_r h_rᵀ of one matrix: left (R, a), right (R, b)."""

    left: Tensor
    right: Tensor

    @property
    def dense(self) -> Tensor:
        return (self.left[:, :, None] * self.right[:, None, :]).flatten(1)


Block = Outer | Tensor


@dataclass(frozen=True)
class Rows:
    """R rows of P entries, one block for each parameter in their order; dense blocks are (R, p)."""

    blocks: Sequence[Block]

    def __len__(self) -> int:
        block = self.blocks[0]
        return int((block.left if isinstance(block, Outer) else block).shape[0])

    def select(self, rows: Tensor | slice) -> Rows:
        """These rows alone."""
        return Rows([Outer(b.left[rows], b.right[rows]) if isinstance(b, Outer) else b[rows] for b in self.blocks])

    def scaled(self, factors: Tensor) -> Rows:
        """Each row times its factor (R,)."""
        by_rows = factors[:, None]
        return Rows([Outer(b.left * by_rows, b.right) if isinstance(b, Outer) else b * by_rows for b in self.blocks])

    def gram(self) -> Tensor:
        """All scalar products, (R, R)."""
        parts = [(b.left @ b.left.T) * (b.right @ b.right.T) if isinstance(b, Outer) else b @ b.T for b in self.blocks]
        return torch.stack(parts).sum(0)

    def squares(self) -> Tensor:
        """The squared length of each row, (R,)."""
        parts = [
            (b.left**2).sum(1) * (b.right**2).sum(1) if isinstance(b, Outer) else (b**2).sum(1) for b in self.blocks
        ]
        return torch.stack(parts).sum(0)

    def cross(self, other: Rows) -> Tensor:
        """Scalar products with the rows of another list, (R, R')."""
        pairs = zip(self.blocks, other.blocks, strict=True)
        parts = [
            (a.left @ b.left.T) * (a.right @ b.right.T)
            if isinstance(a, Outer) and isinstance(b, Outer)
            else _dense(a) @ _dense(b).T
            for a, b in pairs
        ]
        return torch.stack(parts).sum(0)

    def separate(self) -> tuple[Tensor, Tensor] | None:
        """Numbers k_r (R,) and vectors (R, b) with rows e_{k_r} v_rᵀ of one matrix, or its transpose.

        Rows of different numbers are then orthogonal. None where the rows are not of that form.
        """
        busy = [b for b in self.blocks if bool(b.left.any() if isinstance(b, Outer) else b.any())]
        if len(busy) != 1 or not isinstance(busy[0], Outer):
            return None
        for one, other in ((busy[0].left, busy[0].right), (busy[0].right, busy[0].left)):
            where = one != 0
            if bool((where.sum(1) <= 1).all()):
                return where.to(torch.int64).argmax(1), one.sum(1, keepdim=True) * other
        return None

    def dot(self, v: Tensor) -> Tensor:
        """The scalar product of each row with v (P,): (R,)."""
        total, start = v.new_zeros(len(self)), 0
        for b in self.blocks:
            if isinstance(b, Outer):
                size = b.left.shape[1] * b.right.shape[1]
                V = v[start : start + size].view(b.left.shape[1], b.right.shape[1])
                total = total + ((b.left @ V) * b.right).sum(1)
            else:
                size = b.shape[1]
                total = total + b @ v[start : start + size]
            start += size
        return total

    def combine(self, c: Tensor) -> Tensor:
        """Σ_r c_r row_r, (P,)."""
        parts = [((b.left * c[:, None]).T @ b.right).flatten() if isinstance(b, Outer) else c @ b for b in self.blocks]
        return torch.cat(parts)

    @property
    def dense(self) -> Tensor:
        """(R, P)."""
        return torch.cat([_dense(b) for b in self.blocks], 1)


def _dense(block: Block) -> Tensor:
    return block.dense if isinstance(block, Outer) else block


class KinkGram:
    """Z Zᵀ of rows Z, with a ridge relative to its trace, to be solved with; by blocks where rows are `separate`."""

    def __init__(self, gram: Callable[[], Tensor], separate: tuple[Tensor, Tensor] | None, ridge: float) -> None:
        self._place: Tensor | None = None
        if separate is None:
            S = gram()
            S.diagonal().add_(ridge * torch.trace(S) + 1e-300)
            self._factor = torch.linalg.cholesky(S)
            return
        groups, vectors = separate
        order = torch.argsort(groups, stable=True)
        _, number, counts = torch.unique_consecutive(groups[order], return_inverse=True, return_counts=True)
        within = torch.arange(len(order), device=order.device) - (torch.cumsum(counts, 0) - counts)[number]
        self._shape = (len(counts), int(counts.max()))
        self._place = torch.empty_like(order)
        self._place[order] = number * self._shape[1] + within
        blocks = self._padded(vectors)
        blocks = blocks @ blocks.mT
        diagonal = torch.ones(len(counts) * self._shape[1], dtype=vectors.dtype, device=vectors.device)
        diagonal[self._place] = ridge * float((vectors**2).sum()) + 1e-300
        self._factor = torch.linalg.cholesky(blocks + torch.diag_embed(diagonal.view(self._shape)))

    def _padded(self, rows: Tensor) -> Tensor:
        """Rows (R, n) sorted into their groups, (G, k, n)."""
        padded = rows.new_zeros(self._shape[0] * self._shape[1], rows.shape[1])
        padded[self._place] = rows
        return padded.view(*self._shape, rows.shape[1])

    def solve(self, sides: Tensor) -> Tensor:
        """(Z Zᵀ)^{−1} times columns (R, n)."""
        if self._place is None:
            return torch.cholesky_solve(sides, self._factor)
        solved = torch.cholesky_solve(self._padded(sides), self._factor)
        return solved.reshape(-1, sides.shape[1])[self._place]
