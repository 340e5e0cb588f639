"""The kinks that a piecewise smooth network slides along, and the scalar products of its gradients along them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gd.piecewise.module import Derivatives
from gd.piecewise.rows import KinkGram

RIDGE = 1e-13  # relative to the trace of ZZᵀ: samples may be duplicated, and a unit pinned on D samples is zero
PINNED = 1e-10  # of its gradient's square: what rounding leaves along the kinks of a gradient that is across them


@dataclass(frozen=True)
class Gates:
    """The state of every kink: sliding, or on, or off."""

    sliding: Tensor
    on: Tensor

    @property
    def open(self) -> Tensor:
        """γ in {0, 1} as floats: on and not sliding."""
        return (self.on & ~self.sliding).to(torch.float64)

    @property
    def kinks(self) -> Tensor:
        """The numbers of the sliding kinks, (K,)."""
        return torch.nonzero(self.sliding)[:, 0]


@dataclass(frozen=True)
class Tangent:
    """Margins, kinks and gradients at one θ for one set of gates, with the rows' scalar products."""

    gates: Gates
    local: Derivatives
    gram: Tensor
    """JJᵀ (C, C)."""
    cross: Tensor
    """ZJᵀ (K, C)."""
    across: KinkGram
    """ZZᵀ."""

    @classmethod
    def of(cls, gates: Gates, local: Derivatives) -> Tangent:
        rows, C = local.rows, local.margins.shape[0]
        J, Z = rows.select(slice(C)), rows.select(slice(C, None))
        across = KinkGram(Z.gram, Z.separate() if len(Z) else None, RIDGE)
        return cls(gates, local, J.gram(), Z.cross(J), across)

    @property
    def C(self) -> int:
        return int(self.local.margins.shape[0])

    def along_kinks(self, c: Tensor) -> Tensor:
        """(ZZᵀ)^{−1}ZJᵀ c for columns c (C, n)."""
        return self.across.solve(self.cross @ c)

    def projected_gram(self) -> Tensor:
        """JJᵀ along the kinks, (C, C)."""
        projected = self.gram - self.cross.T @ self.across.solve(self.cross)
        moves = projected.diagonal().abs() > PINNED * self.gram.diagonal().abs()
        return torch.where(moves[:, None] & moves, projected, 0.0)

    def pull(self, p: Tensor) -> Tensor:
        """Jᵀp along the kinks, (P,)."""
        return self.local.rows.combine(torch.cat([p, -self.along_kinks(p[:, None])[:, 0]]))
