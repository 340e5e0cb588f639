"""Gradients of many scalars by all weights, one row each, without forming what is a product of two vectors.

The gradient of one sample's output by the matrix of a linear layer is δ hᵀ, δ of the layer's width and h its input. A
block of rows is kept as these two factors, and products with rows cost (R × (a + b)) instead of (R × a b). Blocks of
other parameters are dense.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    def gram(self) -> Tensor:
        """All scalar products, (R, R)."""
        parts = [(b.left @ b.left.T) * (b.right @ b.right.T) if isinstance(b, Outer) else b @ b.T for b in self.blocks]
        return torch.stack(parts).sum(0)

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
        return torch.cat([b.dense if isinstance(b, Outer) else b for b in self.blocks], 1)
